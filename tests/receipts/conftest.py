from __future__ import annotations

import httpx
import pytest

from dunning.kit.database import Database
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning_worker.world import World, world_of
from tests.ledger.books import Books, make_ledger


@pytest.fixture
def worker(database: Database, settings: Settings, keyring: Keyring) -> World:
    return world_of(database, settings, keyring)


@pytest.fixture
async def books(api: httpx.AsyncClient) -> Books:
    made = await make_ledger(api)
    await made.customer()
    return made


@pytest.fixture
async def erp_books(api: httpx.AsyncClient) -> Books:
    made = await make_ledger(api, "erp-01", balance_source="erp_open_items")
    await made.customer()
    return made
