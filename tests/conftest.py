"""Real servers for all tests: one PostgreSQL a run, a fresh test-mode tenant a test, so that nothing needs cleaning up."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx
import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from dunning.kit.bell import NullBell
from dunning.kit.clock import Clock
from dunning.kit.database import Database, Session
from dunning.kit.ids import TenantId, new_id
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning.tenancy import service as tenancy
from dunning.tenancy.rules import SCOPES
from dunning_api.app import create_app
from dunning_cli import migrate
from dunning_cli.embedded import EmbeddedPostgres
from tests.browser import chromium  # noqa: F401  # a fixture, used by name

MONDAY = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
KEYRING = Keyring.parse("t1:" + "11" * 32)

# The default renderer of tracebacks prints every local variable, which takes seconds.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str),
    ]
)

hypothesis_settings.register_profile("short", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
hypothesis_settings.register_profile("full", parent=hypothesis_settings.get_profile("short"), max_examples=10_000)
hypothesis_settings.load_profile(os.environ.get("DUNNING_HYPOTHESIS", "short"))


LONGEST_FIRST = (
    "replay/test_replay.py", "stories/test_guides.py", "test_migrations.py", "faults/", "api/test_cross_tenant.py", "stories/test_collectors_day.py",
    "collection/test_customer_bulk.py", "collection/test_kept_back", "worker/", "collection/test_promise_histories.py", "stories/", "evidence/", "api/",
)  # fmt: skip
"""Where tests take seconds each. Two processes share the files: had a long one to wait for the end, the other process would have nothing left to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest; the order within a file stays."""

    def place(item: pytest.Item) -> int:
        path = item.nodeid.removeprefix("tests/")
        return next((n for n, part in enumerate(LONGEST_FIRST) if path.startswith(part)), len(LONGEST_FIRST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A migrated PostgreSQL for the whole run; fsync is off, because no test of this server cuts its power."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("pg"), fast=True)
    server.start()
    migrate.upgrade(server.owner_url())
    yield server
    server.stop("immediate")


@pytest.fixture(scope="session")
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    """The pool of the app role."""
    opened = await Database.connect(postgres.app_url(), size=16, name="tests")
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the tests: everything at its default, but quick polls."""
    return Settings(data_dir=tmp_path_factory.mktemp("data"), poll_seconds=0.2, public_url="http://testserver")


@pytest.fixture
def keyring() -> Keyring:
    """The ring that signs links and cursors."""
    return KEYRING


@dataclass(frozen=True)
class TenantWorld:
    """A tenant of its own for one test, with its key and its clock."""

    database: Database
    tenant_id: TenantId
    api_key: str

    async def clock(self) -> Clock:
        """Return the tenant's clock as it stands."""
        async with self.database.reading(self.tenant_id) as session:
            return tenancy.clock_of(await tenancy.tenant_of(session, self.tenant_id))

    async def set_clock(self, at: dt.datetime) -> None:
        """Move the clock forward without walking the nights between."""
        async with self.database.transaction(self.tenant_id) as session:
            await tenancy.set_test_clock(session, tenant_id=self.tenant_id, at=at)

    async def rows(self, sql: str, *values: object) -> list[dict[str, object]]:
        """Read rows of this tenant."""
        async with self.database.reading(self.tenant_id) as session:
            return [dict(row) for row in await session.rows(sql, *values)]

    async def value(self, sql: str, *values: object) -> object:
        """Read one value of this tenant."""
        async with self.database.reading(self.tenant_id) as session:
            return await session.value(sql, *values)

    def transaction(self) -> object:
        """Open a writing transaction."""
        return self.database.transaction(self.tenant_id)


async def make_tenant(database: Database, *, mode: str = "test", at: dt.datetime = MONDAY, sending: bool = True) -> TenantWorld:
    """Create a tenant with a key of all scopes."""
    tenant_id = TenantId(new_id())
    async with database.transaction(tenant_id) as session:
        tenant = await tenancy.create_tenant(
            session,
            tenant_id=tenant_id,
            name="Acme",
            mode="test" if mode == "test" else "live",
            clock_at=at if mode == "test" else None,
            languages=tenancy.LANGUAGES,
        )
        clock = tenancy.clock_of(tenant)
        _, text = await tenancy.create_key(session, clock, tenant_id=tenant_id, actor="test", name="all", scopes=list(SCOPES))
        if sending:
            await tenancy.switch_sending(session, clock, tenant_id=tenant_id, actor="test", enabled=True)
    return TenantWorld(database, tenant_id, text)


@pytest.fixture
async def tenant(database: Database) -> TenantWorld:
    """A fresh test-mode tenant that may send; its clock stands on Monday 2 March 2026, 08:00 UTC."""
    return await make_tenant(database)


@pytest.fixture
async def other_tenant(database: Database) -> TenantWorld:
    """Somebody else."""
    return await make_tenant(database)


@pytest.fixture
async def session(tenant: TenantWorld) -> AsyncIterator[Session]:
    """A writing transaction of the tenant, committed when the test ends well."""
    async with tenant.database.transaction(tenant.tenant_id) as opened:
        yield opened


@pytest.fixture(scope="session")
def app(database: Database, settings: Settings) -> object:
    """The API over the test database."""
    return create_app(database, settings, KEYRING, NullBell())


def client_of(app: object, api_key: str | None) -> httpx.AsyncClient:
    """Return a client that calls the application in process."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]  # an ASGI application
    return httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers)


@pytest.fixture
async def api(app: object, tenant: TenantWorld) -> AsyncIterator[httpx.AsyncClient]:
    """The tenant's client, with all scopes; paths begin with /v1."""
    async with client_of(app, tenant.api_key) as client:
        yield client


@pytest.fixture
async def other_api(app: object, other_tenant: TenantWorld) -> AsyncIterator[httpx.AsyncClient]:
    """The other tenant's client."""
    async with client_of(app, other_tenant.api_key) as client:
        yield client


@pytest.fixture
async def anonymous(app: object) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key: the customer's browser."""
    async with client_of(app, None) as client:
        yield client
