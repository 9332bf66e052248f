"""T2: in the database itself, no tenant sees, changes or adds to what is another's; and the start-up check names every hole."""

import asyncio
from contextlib import contextmanager

import asyncpg
import pytest

from dunning.kit.database import Database
from dunning.kit.errors import Unavailable
from dunning.kit.ids import new_id
from dunning.kit.row_security import (
    BY_CUSTOMER,
    NOBODY,
    SEEN_CUSTOMERS_BODY,
    TABLES_WITHOUT_TENANT,
    guard_statements,
    refuse_unsafe,
    sight_statements,
    unsafe_parts,
)
from dunning.kit.settings import Settings
from dunning.schema import APPEND_ONLY_TABLES, TENANT_TABLES, metadata
from dunning_worker.main import open_world
from tests.databases import run_sql, scratch_database

MINE, THEIRS = new_id(), new_id()
VALUES = {
    "uuid": "gen_random_uuid()",
    "uuid[]": "array[gen_random_uuid()]",
    "text": "'x'",
    "integer": "1",
    "bigint": "1",
    "boolean": "true",
    "date": "'2026-03-02'",
    "timestamp with time zone": "now()",
    "bytea": r"'\x00'",
    "jsonb": "'{}'",
    "text[]": "'{x}'",
}


@pytest.fixture(scope="module")
def scratch(postgres):
    """A database in which each tenant table holds one row of each of two tenants; what is no matter of tenants is switched off to get them in."""
    with scratch_database(postgres, "scratch_rows") as name:
        columns = run_sql(
            postgres.superuser_url(name),
            """select c.relname as table, a.attname as column, format_type(a.atttypid, a.atttypmod) as type
                 from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
                where n.nspname = 'public' and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped and a.attname <> 'tenant_id'
                  and a.attnotnull and not a.atthasdef and a.attidentity = ''""",
        )
        constraints = run_sql(
            postgres.superuser_url(name),
            """select c.relname as table, k.conname as name from pg_constraint k join pg_class c on c.oid = k.conrelid
                join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and k.contype in ('c', 'f')""",
        )
        statements = [f'alter table "{row["table"]}" drop constraint "{row["name"]}"' for row in constraints]
        statements.append("set session_replication_role = replica")
        for table in TENANT_TABLES:
            needed = [row for row in columns if row["table"] == table]
            names = ", ".join(["tenant_id", *(f'"{row["column"]}"' for row in needed)])
            for tenant_id in (MINE, THEIRS):
                values = ", ".join([f"'{tenant_id}'", *(VALUES[row["type"]] for row in needed)])
                statements.append(f'insert into "{table}" ({names}) values ({values})')
        run_sql(postgres.superuser_url(name), *statements)
        yield name


@pytest.fixture
async def as_app(postgres, scratch):
    connection = await asyncpg.connect(postgres.app_url(scratch))
    yield connection
    await connection.close()


async def named(connection, tenant_id):
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"set local dunning.tenant = '{tenant_id}'")
    return transaction


def test_every_table_of_the_schema_is_a_tenants_or_known_to_be_none(postgres, scratch):
    rows = run_sql(postgres.superuser_url(scratch), "select tablename from pg_tables where schemaname = 'public'")
    assert {row["tablename"] for row in rows} == {*TENANT_TABLES, *TABLES_WITHOUT_TENANT}


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_without_a_tenant_a_table_answers_with_an_error(as_app, table):
    for statement in (f'select * from "{table}"', f"insert into \"{table}\" (tenant_id) values ('{MINE}')"):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await as_app.execute(statement)
        assert type(refused.value).__name__ in {"UndefinedObjectError", "InvalidTextRepresentationError"}


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_a_tenant_sees_its_own_rows_and_none_of_anothers(as_app, table):
    for tenant_id in (MINE, THEIRS):
        transaction = await named(as_app, tenant_id)
        assert await as_app.fetchval(f'select array_agg(tenant_id) from "{table}"') == [tenant_id]
        other = THEIRS if tenant_id == MINE else MINE
        assert await as_app.fetchval(f'select count(*) from "{table}" where tenant_id = $1', other) == 0
        await transaction.rollback()
    stranger = await named(as_app, new_id())
    assert await as_app.fetchval(f'select count(*) from "{table}"') == 0
    await stranger.rollback()


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_a_tenant_cannot_add_change_move_or_delete_a_row_of_anothers(as_app, table):
    transaction = await named(as_app, THEIRS)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await as_app.execute(f"insert into \"{table}\" (tenant_id) values ('{MINE}')")
    await transaction.rollback()
    for statement in (
        f"update \"{table}\" set tenant_id = '{THEIRS}' where tenant_id = '{MINE}'",
        f"delete from \"{table}\" where tenant_id = '{MINE}'",
    ):
        transaction = await named(as_app, THEIRS)
        try:
            assert await as_app.execute(statement) in {"UPDATE 0", "DELETE 0"}
        except (asyncpg.InsufficientPrivilegeError, asyncpg.RestrictViolationError):
            assert table in {*APPEND_ONLY_TABLES, "event"}
        await transaction.rollback()
    transaction = await named(as_app, MINE)
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.RestrictViolationError)):
        await as_app.execute(f"update \"{table}\" set tenant_id = '{THEIRS}'")
    await transaction.rollback()
    transaction = await named(as_app, MINE)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_app.execute(f'truncate "{table}"')
    await transaction.rollback()


SHARED = {
    "absence", "action_model", "customer_group", "event_counter", "folder", "idempotency_key", "item_status", "ledger", "ledger_counter", "person",
    "scenario", "scenario_version", "schedule_run", "suppression", "team", "template", "template_version", "tenant", "test_clock_walk",
}  # fmt: skip
"""Tables of which a caller who sees only some customers sees everything. A new table is added here, or is out of sight."""
OF_NOBODY_IN_PARTICULAR = {"hold", "message", "test_message"}
"""Tables whose rows may be about no customer, as those of the scratch database are: a hold on a ledger, a test message."""


async def limited(connection, tenant_id, *people):
    transaction = await named(connection, tenant_id)
    await connection.execute("select set_config('dunning.sight', $1, true), set_config('role', 'dunning_app_limited', true)", ",".join(map(str, people)))
    return transaction


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_who_looks_after_no_customer_sees_only_what_the_tenant_shares(as_app, table):
    transaction = await limited(as_app, MINE, new_id())
    assert await as_app.fetchval(f'select count(*) from "{table}"') == (table in SHARED | OF_NOBODY_IN_PARTICULAR)
    await transaction.rollback()


@pytest.mark.parametrize("table", [table for table in TENANT_TABLES if "customer_id" in metadata.tables[table].c and table != "assignment"])
async def test_who_looks_after_a_customer_sees_its_rows_while_it_lasts(as_app, table):
    person, customer = new_id(), new_id()
    transaction = await named(as_app, MINE)
    if table in {*APPEND_ONLY_TABLES, "event"}:
        customer = await as_app.fetchval(f'select customer_id from "{table}"') or customer
    else:
        await as_app.execute(f'update "{table}" set customer_id = $1', customer)
    for ended_on, seen in ((None, True), ("2026-03-02", False)):
        await as_app.execute("delete from assignment")
        await as_app.execute(
            f"""insert into assignment (tenant_id, assignment_id, ledger_id, customer_id, person_id, role, origin, from_on, ended_on, actor)
                values ('{MINE}', '{new_id()}', '{new_id()}', '{customer}', '{person}', 'collector', 'hand', '2026-03-01', $1::text::date, 'x')""",
            ended_on,
        )
        await as_app.execute("select set_config('dunning.sight', $1, true), set_config('role', 'dunning_app_limited', true)", str(person))
        about = await as_app.fetchval(f'select count(*) from "{table}" where customer_id is not null')
        assert about == (1 if seen and table != "event" else 0)
        await as_app.execute("select set_config('role', 'none', true)")
    await transaction.rollback()


async def test_a_limited_transaction_without_a_sight_answers_with_an_error_and_leaves_nothing_behind(as_app):
    """Closed by default; and the next transaction of the connection has the whole sight again."""
    transaction = await named(as_app, MINE)
    await as_app.execute("select set_config('role', 'dunning_app_limited', true)")
    try:
        assert await as_app.fetchval("select count(*) from customer") == 0
    except asyncpg.UndefinedObjectError:
        pass
    await transaction.rollback()
    transaction = await named(as_app, MINE)
    assert await as_app.fetchval("select count(*) from customer") == 1
    await transaction.rollback()


async def test_the_app_role_plans_as_if_there_were_no_limits(as_app):
    """Its statements carry the tenant's policy and nothing else: what limits others costs it nothing."""
    transaction = await named(as_app, MINE)
    whole = "\n".join(row[0] for row in await as_app.fetch("explain select * from item"))
    assert "assignment" not in whole
    assert "seen_customers" not in whole
    await transaction.rollback()
    transaction = await limited(as_app, MINE, new_id())
    assert "hashed SubPlan" in "\n".join(row[0] for row in await as_app.fetch("explain select * from item"))
    await transaction.rollback()


async def test_even_the_owner_sees_nothing_without_a_tenant(postgres, scratch):
    """Forced, not only enabled: a migration that forgets where it is cannot read across tenants either."""
    connection = await asyncpg.connect(postgres.owner_url(scratch))
    for table in TENANT_TABLES:
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(f'select * from "{table}"')
    await connection.close()


async def test_a_name_that_ended_with_its_transaction_leaves_an_error_behind(as_app):
    transaction = await named(as_app, MINE)
    await transaction.commit()
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await as_app.execute("select * from customer")


async def test_the_schema_as_it_is_is_safe(as_app):
    assert await unsafe_parts(as_app) == []


POLICY = guard_statements("hold", "dunning_app", append_only=False)[2]
SIGHT = sight_statements("item", "dunning_app", BY_CUSTOMER, append_only=False)[0]
SEES = "create or replace function seen_customers() returns setof uuid language sql stable parallel safe rows 300 security definer set search_path"
HOLES = {
    "table hold does not force row level security": ("alter table hold no force row level security", "alter table hold force row level security"),
    "table item does not force row level security": ("alter table item disable row level security", "alter table item enable row level security"),
    "table leak does not force row level security": ("create table leak (tenant_id uuid primary key)", "drop table leak"),
    "table hold has no tenant policy": ("drop policy tenant_only on hold", POLICY),
    "or a second policy beside it": ("create policy wide on hold using (true)", "drop policy wide on hold"),
    "table hold has no tenant policy for reading and writing": (
        f"drop policy tenant_only on hold; {POLICY.replace('tenant_id = (', 'true or tenant_id = (', 1)}",
        f"drop policy tenant_only on hold; {POLICY}",
    ),
    "unique index hold_reason_once of hold does not begin with tenant_id": (
        "create unique index hold_reason_once on hold (hold_id, reason)",
        "drop index hold_reason_once",
    ),
    "constraint hold_once of hold does not begin with tenant_id": (
        "alter table hold add constraint hold_once unique (hold_id)",
        "alter table hold drop constraint hold_once",
    ),
    "constraint hold_item of hold does not begin with tenant_id": (
        (
            "alter table item add constraint item_turned unique (tenant_id, item_id, ledger_id); alter table hold add constraint hold_item"
            " foreign key (item_id, tenant_id, ledger_id) references item (item_id, tenant_id, ledger_id) not valid"
        ),
        "alter table hold drop constraint hold_item; alter table item drop constraint item_turned",
    ),
    "view all_holds runs with the rights of its owner": ("create view all_holds as select * from hold", "drop view all_holds"),
    "materialized view all_items knows no row level security": (
        "create materialized view all_items as select * from item with no data",
        "drop materialized view all_items",
    ),
    "function peek runs with the rights of its owner": (
        "create function peek() returns bigint language sql security definer as 'select count(*) from hold'",
        "drop function peek()",
    ),
    "role dunning_app may truncate table hold": ("grant truncate on hold to dunning_app", "revoke truncate on hold from dunning_app"),
    "role dunning_app owns or may come to own table": ("grant dunning_owner to dunning_app", "revoke dunning_owner from dunning_app"),
    "role dunning_app bypasses row level security as sleeper": (
        "create role sleeper bypassrls; grant sleeper to dunning_app",
        "drop role sleeper",
    ),
    "table item has no limit to sight": ("drop policy sight on item", SIGHT),
    "table item has no limit to sight, or not the one of its customer": (
        f"drop policy sight on item; {SIGHT.replace(BY_CUSTOMER, 'true')}",
        f"drop policy sight on item; {SIGHT}",
    ),
    "table run has no limit to sight": (
        "drop policy sight on run",
        sight_statements("run", "dunning_app", NOBODY, append_only=False)[0],
    ),
    "table item has no tenant policy for reading and writing, or a second policy beside it": (
        "create policy wide on item to dunning_app_limited using (true)",
        "drop policy wide on item",
    ),
    "role dunning_app_limited may truncate table hold, which dunning_app may not": (
        "grant truncate on hold to dunning_app_limited",
        "revoke truncate on hold from dunning_app_limited",
    ),
    "role dunning_app_limited may delete table activity, which dunning_app may not": (
        "grant delete on activity to dunning_app_limited",
        "revoke delete on activity from dunning_app_limited",
    ),
    "role dunning_app may not become dunning_app_limited": (
        "revoke dunning_app_limited from dunning_app",
        "grant dunning_app_limited to dunning_app with inherit false, set true",
    ),
    "role dunning_app inherits from dunning_app_limited, whose limits then bind it always": (
        "grant dunning_app_limited to dunning_app with inherit true",
        "grant dunning_app_limited to dunning_app with inherit false, set true",
    ),
    "function seen_customers runs with the rights of its owner": (
        f"{SEES} = pg_catalog, pg_temp as 'select customer_id from public.customer'",
        f"{SEES} = pg_catalog, pg_temp as $${SEEN_CUSTOMERS_BODY}$$",
    ),
    "role dunning_app is or may become the superuser": ("create role king superuser; grant king to dunning_app", "drop role king"),
}


@contextmanager
def planted(postgres, scratch, hole):
    make, undo = HOLES[hole]
    run_sql(postgres.superuser_url(scratch), *make.split("; "))
    yield
    run_sql(postgres.superuser_url(scratch), *undo.split("; "))


@pytest.mark.parametrize("hole", HOLES)
def test_the_start_up_check_names_a_planted_hole(postgres, scratch, hole):
    async def look():
        connection = await asyncpg.connect(postgres.app_url(scratch))
        try:
            return await unsafe_parts(connection)
        finally:
            await connection.close()

    with planted(postgres, scratch, hole):
        faults = asyncio.run(look())
    assert any(hole in fault for fault in faults), faults
    assert asyncio.run(look()) == []


def test_a_process_refuses_to_serve_with_a_hole_and_says_what_to_do(postgres, scratch):
    async def start():
        database = await Database.connect(postgres.app_url(scratch), size=2)
        try:
            async with database.across_tenants() as session:
                await refuse_unsafe(session.connection)
        finally:
            await database.close()

    asyncio.run(start())
    with planted(postgres, scratch, "table hold does not force row level security"), pytest.raises(Unavailable, match="table hold does not force") as refused:
        asyncio.run(start())
    assert "migrate" in str(refused.value)


def test_a_worker_refuses_to_start_with_a_hole(postgres, scratch):
    settings = Settings(database_url=postgres.app_url(scratch), link_keys="t1:" + "11" * 32)

    async def start():
        await (await open_world(settings)).close()

    asyncio.run(start())
    with planted(postgres, scratch, "table item does not force row level security"), pytest.raises(Unavailable, match="table item does not force"):
        asyncio.run(start())


def test_the_check_refuses_the_owner_and_the_superuser(postgres, scratch):
    async def look(url):
        connection = await asyncpg.connect(url)
        try:
            return await unsafe_parts(connection)
        finally:
            await connection.close()

    assert any("owns or may come to own" in fault for fault in asyncio.run(look(postgres.owner_url(scratch))))
    assert any("superuser" in fault for fault in asyncio.run(look(postgres.superuser_url(scratch))))


def test_control_with_security_off_a_tenant_reads_anothers_rows(postgres, scratch):
    """What the tests above would find, were the guard gone."""

    async def read():
        connection = await asyncpg.connect(postgres.app_url(scratch))
        transaction = await named(connection, THEIRS)
        found = await connection.fetchval("select count(*) from item where tenant_id = $1", MINE)
        await transaction.rollback()
        await connection.close()
        return found

    assert asyncio.run(read()) == 0
    with planted(postgres, scratch, "table item does not force row level security"):
        assert asyncio.run(read()) == 1
