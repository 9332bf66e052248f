"""The one door to PostgreSQL: a pool of asyncpg connections and transactions that belong to one tenant.

A transaction begins by naming its tenant, so that row level security lets exactly that tenant's rows through; without a name every
tenant table raises an error. Statements are SQL text with `$1` parameters; SQLAlchemy declares the tables and Alembic moves them.
Only the edges (a request's dependency, a job, a command) open transactions, and so only they commit.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zlib import crc32

import asyncpg
from pydantic_core import from_json

from dunning.kit.errors import Unavailable
from dunning.kit.ids import TenantId

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

Sight = Collection[UUID] | None
"""Whose customers a transaction sees: None is everybody's; an empty collection sees none."""

LIMITED_SUFFIX = "_limited"
"""What the name of the role of limited sight has after the app role's."""

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


def decode_json(text: str) -> Any:
    """Read what a JSON column holds: pages of rows are full of it, and this parser takes a third of the time of the standard library's."""
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)  # nested more deeply than that parser goes


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
        # A name a statement: the driver keeps what the rows of `fetch … from …` look like, and another statement's rows look otherwise.
        name = f"dunning_stream_{crc32(sql.encode()):08x}"
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


class Look(ReadSession):
    """One statement of one tenant that returns at most one row, in a transaction of its own and in one round trip.

    The statement names its tenant itself, before it reads: what names it is the outer side of a join whose inner side, the statement,
    refers to it and cannot be pulled apart. Were it ever otherwise, row level security would meet no name and raise, as it does without one.
    """

    __slots__ = ("_database", "_sight", "_spent")

    def __init__(self, database: Database, tenant_id: TenantId, sight: Sight = None) -> None:
        self._database = database
        self._sight = sight
        self._spent = False
        self.tenant_id: TenantId = tenant_id

    @property
    def connection(self) -> Connection:
        """Refuse: the connection is borrowed for the moment of the statement only."""
        raise RuntimeError(_ONE_LOOK)

    async def rows(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """Refuse: the order of several rows would not be kept."""
        del sql, values
        raise RuntimeError(_ONE_LOOK)

    async def row(self, sql: str, *values: Any) -> asyncpg.Record | None:
        """Return the first row of the statement, or None; raise `RuntimeError` for a second statement, which would see another snapshot."""
        if self._spent:
            raise RuntimeError(_ONE_LOOK)
        self._spent = True
        if self._sight is not None:
            # The limited role must be taken before the statement is planned.
            async with self._database.reading(self.tenant_id, sight=self._sight) as session:
                return await session.row(sql, *values)
        _note(sql)
        return await self._database.one_row(_naming(sql, len(values) + 1), *values, str(self.tenant_id))

    async def value(self, sql: str, *values: Any) -> Any:
        """Return the first column of the first row, or None."""
        row = await self.row(sql, *values)
        return None if row is None else row[0]

    def stream(self, sql: str, *values: Any, prefetch: int = 500) -> AsyncIterator[asyncpg.Record]:
        """Refuse, like `rows`."""
        del sql, values, prefetch
        raise RuntimeError(_ONE_LOOK)


_ONE_LOOK = "a look is one statement for one row; open a reading transaction for more"


@lru_cache(maxsize=512)
def _naming(sql: str, place: int) -> str:
    """Return a statement that names the tenant in its last value and then reads."""
    return f"""select found.* from (select set_config('dunning.tenant', ${place}, true) as tenant offset 0) as named
 cross join lateral (select stated.* from ({sql}) as stated where named.tenant is not null offset 0) as found"""


def _note(sql: str) -> None:
    log = statement_log.get()
    if log is not None:
        log.append(sql)


class Database:
    """The pool of one process."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], size: int) -> None:
        self._pool = pool
        # The driver's pool lets a newcomer take a freed connection before those who wait, who then queue again at the end: the unlucky
        # wait ten times as long as the rest. Turns are kept here, so that whoever came first is served first.
        self._turns = asyncio.Semaphore(size)
        self._at_rest: list[PoolConnectionProxy[asyncpg.Record]] = []
        self._closing = False
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
        return cls(pool, size)

    async def close(self) -> None:
        """Close the pool, waiting a little for what is under way."""
        self._closing = True
        while self._at_rest:
            await self._pool.release(self._at_rest.pop())
        try:
            await asyncio.wait_for(self._pool.close(), timeout=10)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def transaction(self, tenant_id: TenantId, *, sight: Sight = None, planned_once: bool = False, for_many: bool = False) -> AsyncIterator[Session]:
        """Open a writing transaction of one tenant; commit when the block ends, roll back when it raises. `sight` limits it to some people's customers.

        `planned_once` is for statements that find their rows by keys in arrays. Each connection plans them once, to go by indexes and rows one by one:
        planning took longer than doing, and a plan that reads whole tables would be kept from when they were short. New statistics of a table have them
        planned again. `for_many` is the same for rows that others may be changing: none waits for a lock longer than two seconds.
        """
        begin = f"begin{_PLANNED_ONCE}{_SHORT_WAIT}" if for_many else f"begin{_PLANNED_ONCE}" if planned_once else "begin"
        async with self._open(tenant_id, begin, sight) as connection:
            session = Session(connection, tenant_id)
            yield session
        if session.rung and self.committed is not None:
            self.committed(session.rung)

    @asynccontextmanager
    async def reading(self, tenant_id: TenantId, *, sight: Sight = None) -> AsyncIterator[ReadSession]:
        """Open a read-only transaction of one tenant on one snapshot. `sight` limits it to some people's customers."""
        async with self._open(tenant_id, "begin transaction isolation level repeatable read, read only", sight) as connection:
            yield ReadSession(connection, tenant_id)

    @asynccontextmanager
    async def across_tenants(self) -> AsyncIterator[Session]:
        """Open a transaction without a tenant: it reaches only the tables without business content (`due_work`, relays)."""
        async with self._open(None, "begin") as connection:
            yield Session(connection, None)

    def looking(self, tenant_id: TenantId, *, sight: Sight = None) -> Look:
        """Return a session of one tenant for a single statement that returns at most one row. `sight` limits it to some people's customers."""
        return Look(self, tenant_id, sight)

    async def one_row(self, sql: str, *values: Any) -> asyncpg.Record | None:
        """Return the first row of a statement that is a transaction of its own and names its own tenant."""
        connection = await self._borrow()
        whole = False
        try:
            row = await connection.fetchrow(sql, *values)
            whole = True
        finally:
            await self._give_back(connection, whole=whole)
        return row

    async def _borrow(self) -> PoolConnectionProxy[asyncpg.Record]:
        """Wait for a turn and return a connection."""
        await self._turns.acquire()
        try:
            while self._at_rest:
                connection = self._at_rest.pop()
                if not connection.is_closed():
                    return connection
                await self._pool.release(connection)
            return await self._pool.acquire()
        except BaseException:
            self._turns.release()
            raise

    async def _give_back(self, connection: PoolConnectionProxy[asyncpg.Record], *, whole: bool) -> None:
        """Let the next one have a connection. What did not end as it should goes through the driver's own checks first."""
        try:
            if whole and not self._closing and not connection.is_closed() and not connection.is_in_transaction():
                self._at_rest.append(connection)
            else:
                await self._pool.release(connection)
        finally:
            self._turns.release()

    @asynccontextmanager
    async def _open(self, tenant_id: TenantId | None, begin: str, sight: Sight = None) -> AsyncIterator[Connection]:
        named: object = tenant_id
        if named is not None and not isinstance(named, UUID):
            msg = f"a tenant is named by its UUID, not by a {type(named).__name__}"
            raise TypeError(msg)
        connection = await self._borrow()
        whole = False
        try:
            # The text of a UUID is safe inside the statement; one round trip for all of it.
            naming = "" if named is None else f"; set local dunning.tenant = '{named}'"
            if sight is not None:
                naming += _limiting(sight)
            await connection.execute(begin + naming)
            try:
                yield connection
            except BaseException:
                await _roll_back(connection)
                raise
            await connection.execute("commit")
            whole = True
        finally:
            await self._give_back(connection, whole=whole)


_PLANNED_ONCE = (
    "; set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off"
    "; set local join_collapse_limit = 1"
)
_SHORT_WAIT = "; set local lock_timeout = '2s'"


def _limiting(sight: Collection[UUID]) -> str:
    """Return the statement by which a transaction takes the limited role, named after the one it has, and sees some people's customers only."""
    if not all(isinstance(person_id, UUID) for person_id in sight):
        msg = "a limited sight is a collection of the ids of people"
        raise TypeError(msg)
    people = ",".join(str(person_id) for person_id in sight)
    return f"; select set_config('dunning.sight', '{people}', true), set_config('role', current_user || '{LIMITED_SUFFIX}', true)"


async def _prepare(connection: Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=encode_json, decoder=decode_json, schema="pg_catalog")
    await connection.set_type_codec("json", encoder=encode_json, decoder=decode_json, schema="pg_catalog")


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
