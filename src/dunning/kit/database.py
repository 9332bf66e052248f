"""The one door to PostgreSQL: a pool of asyncpg connections and transactions that belong to one tenant.

A transaction begins by naming its tenant, so that row level security lets exactly that tenant's rows through; without a name every
tenant table raises an error. Statements are SQL text with `$1` parameters; SQLAlchemy declares the tables and Alembic moves them.
Only the edges (a request's dependency, a job, a command) open transactions, and so only they commit.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from dunning.kit.errors import Unavailable
from dunning.kit.ids import TenantId

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""What is raised when the server cannot be reached or went away in the middle.

The driver's internal error is among them: a server that ends says so between two statements, and the next statement of that connection,
sent before its socket is closed, finds the driver still reading that farewell.
"""

statement_log: ContextVar[list[str] | None] = ContextVar("statement_log", default=None)
"""When a test puts a list here, every statement is appended to it: the assertion on query counts."""


def encode_json(value: Any) -> str:
    """Write JSON for a JSONB column; a float or Decimal raises, because money never is one."""
    _refuse_floats(value)
    return _ENCODER.encode(value)


_EXACT = frozenset({str, int, bool, type(None)})


def _refuse_floats(value: Any) -> None:
    kind = type(value)
    if kind is dict:
        for part in value.values():
            if type(part) not in _EXACT:
                _refuse_floats(part)
    elif kind is list or kind is tuple:
        for part in value:
            if type(part) not in _EXACT:
                _refuse_floats(part)
    elif isinstance(value, float):
        msg = f"the float {value!r} is not stored as JSON: count in whole units, or write a decimal as text"
        raise TypeError(msg)


def _refuse(value: Any) -> str:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    msg = f"{type(value).__name__} is not stored as JSON"
    raise TypeError(msg)


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=_refuse)


class ReadSession:
    """A transaction of one tenant that may only read."""

    __slots__ = ("_connection", "tenant_id")

    def __init__(self, connection: Connection, tenant_id: TenantId | None) -> None:
        self._connection = connection
        self.tenant_id = tenant_id

    @property
    def connection(self) -> Connection:
        """The driver's connection, for COPY and cursors inside this transaction."""
        return self._connection

    async def rows(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """Return all rows of a statement."""
        _note(sql)
        return await self._connection.fetch(sql, *values)

    async def row(self, sql: str, *values: Any) -> asyncpg.Record | None:
        """Return the first row of a statement, or None."""
        _note(sql)
        return await self._connection.fetchrow(sql, *values)

    async def value(self, sql: str, *values: Any) -> Any:
        """Return the first column of the first row, or None."""
        _note(sql)
        return await self._connection.fetchval(sql, *values)

    async def stream(self, sql: str, *values: Any, prefetch: int = 500) -> AsyncIterator[asyncpg.Record]:
        """Yield rows through a server-side cursor."""
        _note(sql)
        name = "dunning_stream"
        await self._connection.execute(f"declare {name} no scroll cursor for {sql}", *values)
        while page := await self._connection.fetch(f"fetch {prefetch} from {name}"):
            for row in page:
                yield row
        await self._connection.execute(f"close {name}")


class Session(ReadSession):
    """A transaction of one tenant that may write. The edge that opened it commits, then rings the bell for what is in `rung`."""

    __slots__ = ("rung",)

    def __init__(self, connection: Connection, tenant_id: TenantId | None) -> None:
        super().__init__(connection, tenant_id)
        self.rung: set[str] = set()

    async def execute(self, sql: str, *values: Any) -> int:
        """Run a statement and return the number of rows it touched."""
        _note(sql)
        tag = await self._connection.execute(sql, *values)
        last = tag.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    async def copy(self, table: str, columns: Sequence[str], records: Iterable[Sequence[Any]]) -> None:
        """Copy records into a table that has no row level security, such as a temporary one."""
        _note(f"copy {table}")
        await self._connection.copy_records_to_table(table, columns=list(columns), records=records)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo only what happens inside when it raises."""
        rung = frozenset(self.rung)
        await self._connection.execute("savepoint inner_part")
        try:
            yield
        except BaseException:
            await self._connection.execute("rollback to savepoint inner_part; release savepoint inner_part")
            # The rows behind what was rung inside are gone: it may be rung again.
            self.rung &= rung
            raise
        await self._connection.execute("release savepoint inner_part")


def _note(sql: str) -> None:
    log = statement_log.get()
    if log is not None:
        log.append(sql)


class Database:
    """The pool of one process."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self.committed: Callable[[set[str]], None] | None = None
        """Told, after each commit, which kinds of work its transaction made due."""

    @classmethod
    async def connect(cls, url: str, *, size: int = 8, name: str = "dunning") -> Database:
        """Open the pool; raise `Unavailable` with what to check when the server does not answer."""
        try:
            pool = await asyncpg.create_pool(
                url, min_size=1, max_size=size, init=_prepare, reset=_nothing_to_reset, server_settings={"application_name": name, "timezone": "UTC"}
            )
        except (*AWAY, asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            msg = f"The database does not answer: {error}. Check DUNNING_DATABASE_URL and that the server is up."
            raise Unavailable(msg) from error
        return cls(pool)

    async def close(self) -> None:
        """Close the pool, waiting a little for what is under way."""
        try:
            await asyncio.wait_for(self._pool.close(), timeout=10)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def transaction(self, tenant_id: TenantId) -> AsyncIterator[Session]:
        """Open a writing transaction of one tenant; commit when the block ends, roll back when it raises."""
        async with self._open(tenant_id, "begin") as connection:
            session = Session(connection, tenant_id)
            yield session
        if session.rung and self.committed is not None:
            self.committed(session.rung)

    @asynccontextmanager
    async def reading(self, tenant_id: TenantId) -> AsyncIterator[ReadSession]:
        """Open a read-only transaction of one tenant on one snapshot."""
        async with self._open(tenant_id, "begin transaction isolation level repeatable read, read only") as connection:
            yield ReadSession(connection, tenant_id)

    @asynccontextmanager
    async def across_tenants(self) -> AsyncIterator[Session]:
        """Open a transaction without a tenant: it reaches only the tables without business content (`due_work`, relays)."""
        async with self._open(None, "begin") as connection:
            yield Session(connection, None)

    @asynccontextmanager
    async def _open(self, tenant_id: TenantId | None, begin: str) -> AsyncIterator[Connection]:
        named: object = tenant_id
        if named is not None and not isinstance(named, UUID):
            msg = f"a tenant is named by its UUID, not by a {type(named).__name__}"
            raise TypeError(msg)
        connection = await self._pool.acquire()
        try:
            # The text of a UUID is safe inside the statement; one round trip for both.
            naming = "" if named is None else f"; set local dunning.tenant = '{named}'"
            await connection.execute(begin + naming)
            try:
                yield connection
            except BaseException:
                await _roll_back(connection)
                raise
            await connection.execute("commit")
        finally:
            await self._pool.release(connection)


async def _prepare(connection: Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=encode_json, decoder=json.loads, schema="pg_catalog")
    await connection.set_type_codec("json", encoder=encode_json, decoder=json.loads, schema="pg_catalog")


async def _nothing_to_reset(connection: Connection) -> None:
    """Leave the connection as it is: everything set is `set local`, and the block above always ends its transaction."""
    if connection.is_in_transaction():
        # A cancelled task can leave the transaction open; such a connection is not handed to the next tenant.
        connection.terminate()


async def _roll_back(connection: Connection) -> None:
    """Undo what the transaction did; without a word where the server is gone and has undone it, lest that hide why the block ended."""
    try:
        if not connection.is_closed():
            await connection.execute("rollback")
    except AWAY:
        with suppress(asyncpg.InterfaceError):
            # The pool takes a connection back by itself when its server goes; then there is nothing left to end.
            connection.terminate()
