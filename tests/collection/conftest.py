"""A stage for each test: a tenant of its own, a worker, a client."""

from __future__ import annotations

import httpx
import pytest

from dunning.kit.database import Database
from dunning.kit.settings import Settings
from dunning_worker.world import World, world_of
from tests.collection.stage import Stage
from tests.conftest import KEYRING, TenantWorld


@pytest.fixture
def world(database: Database, settings: Settings) -> World:
    """A worker that reaches nothing but the sink."""
    return world_of(database, settings, KEYRING)


@pytest.fixture
async def stage(tenant: TenantWorld, world: World, api: httpx.AsyncClient) -> Stage:
    """A company without a ledger yet: `await stage.open(...)`."""
    return Stage(tenant, world, api)
