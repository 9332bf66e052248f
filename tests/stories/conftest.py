"""A desk for each story: a tenant of its own, a worker, a client, and a mailbox that takes the place of the sink."""

from __future__ import annotations

import httpx
import pytest

from dunning.kit.database import Database
from dunning.kit.settings import Settings
from dunning_worker.world import World, world_of
from tests.conftest import KEYRING, TenantWorld
from tests.stories.desk import Desk
from tests.stories.mailbox import Mailbox


@pytest.fixture
def mail() -> Mailbox:
    """What arrives."""
    return Mailbox()


@pytest.fixture
def world(database: Database, settings: Settings, mail: Mailbox) -> World:
    """A worker that reaches nothing but the mailbox."""
    made = world_of(database, settings, KEYRING)
    made.transports = {"sink": mail}
    return made


@pytest.fixture
async def desk(tenant: TenantWorld, api: httpx.AsyncClient, world: World, mail: Mailbox) -> Desk:
    """A company without a ledger yet: `await desk.open(...)`."""
    return Desk(tenant, api, world, mail)
