"""What benchmarks stand on: a migrated PostgreSQL with the product's durable settings, and tenants with data."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import json
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from uuid import UUID

import asyncpg

from benchmarks import data
from dunning.collection.places import places_in_scenario
from dunning.kit.database import Database, encode_json
from dunning.kit.ids import LedgerId, TenantId, new_id
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning.messages.template_service import PublishedTemplates
from dunning.scenarios import ports
from dunning.scenarios import service as scenarios
from dunning.tenancy import service as tenancy
from dunning.tenancy.rules import SCOPES
from dunning_cli import migrate
from dunning_cli.embedded import EmbeddedPostgres

TODAY = dt.date(2026, 3, 2)
MORNING = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
KEYRING_TEXT = "b1:" + "5b" * 32
KEYRING = Keyring.parse(KEYRING_TEXT)
TOP = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. What takes long and is measured over many seconds anyway is repeated `long_repeats` times."""

    items: int
    items_a_customer: int
    import_rows: int
    mails: int
    request_seconds: float
    repeats: int
    long_repeats: int
    memory_items: tuple[int, int]
    collector_items: int
    """What the lists of collectors are measured on, ten to a customer."""


FULL = Sizes(
    items=100_000,
    items_a_customer=10,
    import_rows=50_000,
    mails=2_000,
    request_seconds=3.0,
    repeats=3,
    long_repeats=2,
    memory_items=(10_000, 100_000),
    collector_items=1_000_000,
)
QUICK = Sizes(
    items=20_000,
    items_a_customer=10,
    import_rows=6_000,
    mails=400,
    request_seconds=1.0,
    repeats=2,
    long_repeats=1,
    memory_items=(1_000, 10_000),
    collector_items=50_000,
)


@dataclass(frozen=True, slots=True)
class Company:
    """One tenant with a ledger; `api_key` has all scopes."""

    tenant_id: TenantId
    ledger_id: LedgerId
    scenario_id: UUID
    api_key: str


@dataclass(slots=True)
class Ground:
    """The servers of a run. `database` is the app role's pool, bound by row security as in the product; `bare` is a connection that is not."""

    postgres: EmbeddedPostgres
    database: Database
    bare: asyncpg.Connection[asyncpg.Record]
    settings: Settings
    sizes: Sizes
    folder: Path
    notes: list[str] = field(default_factory=list)
    top: Path = TOP

    async def company(self, *, mode: tenancy.Mode = "test") -> Company:
        """Make a tenant that may send, with the shipped overdue reminder in force; a test tenant's clock stands on a Monday morning."""
        tenant_id = TenantId(new_id())
        async with self.database.transaction(tenant_id) as session:
            tenant = await tenancy.create_tenant(
                session, tenant_id=tenant_id, name="Benchmark", mode=mode, clock_at=MORNING if mode == "test" else None, languages=tenancy.LANGUAGES
            )
            clock = tenancy.clock_of(tenant)
            _, key = await tenancy.create_key(session, clock, tenant_id=tenant_id, actor="benchmark", name="all", scopes=list(SCOPES))
            await tenancy.switch_sending(session, clock, tenant_id=tenant_id, actor="benchmark", enabled=True)
            doors = ports.Ports(templates=PublishedTemplates(), places=places_in_scenario)
            scenario, _ = await scenarios.install_shipped_scenario(session, clock, doors, tenant_id=tenant_id, actor="benchmark", code="reminder")
            ledger_id = await data.insert_ledger(session, tenant_id, scenario.scenario_id)
        return Company(tenant_id, ledger_id, scenario.scenario_id, key)

    async def fill(self, company: Company, items: int, a_customer: int, *, today: dt.date = TODAY) -> None:
        """Give a company customers, one contact each, and overdue invoices; the planner's statistics are fresh afterwards."""
        async with self.database.transaction(company.tenant_id) as session:
            await data.insert_customers(session, company.tenant_id, company.ledger_id, items // a_customer, today)
            await data.insert_invoices(session, company.tenant_id, company.ledger_id, a_customer, today)
        await self.bare.execute("analyze")

    async def settle(self) -> None:
        """Let what earlier work left behind be done now, not inside the next measurement."""
        gc.collect()
        await self.bare.execute("checkpoint")


@contextlib.asynccontextmanager
async def ground(sizes: Sizes) -> AsyncIterator[Ground]:
    """Start PostgreSQL in a folder of its own and remove everything afterwards."""
    with tempfile.TemporaryDirectory(prefix="dunning-bench-") as name:
        folder = Path(name)
        with EmbeddedPostgres(folder / "postgres") as postgres:
            await asyncio.to_thread(migrate.upgrade, postgres.owner_url())
            database = await Database.connect(postgres.app_url(), name="benchmark")
            bare = await asyncpg.connect(postgres.superuser_url("dunning"))
            await bare.set_type_codec("jsonb", encoder=encode_json, decoder=json.loads, schema="pg_catalog")
            try:
                settings = Settings(data_dir=folder, database_url=postgres.app_url())
                yield Ground(postgres, database, bare, settings, sizes, folder)
            finally:
                await bare.close()
                await database.close()


class Watch:
    """Measures the seconds of a block."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
