"""A look: one statement of one tenant, without a transaction around it, under the same guard as all others; and whose turn it is for a connection."""

import asyncio

import asyncpg
import pytest

from dunning.kit.database import Database, statement_log

KEY = "insert into suppression (tenant_id, channel, address_sha256, cause) values ($1, 'email', $2, 'test')"
ALL = "select count(*) as n, max(tenant_id::text) as whose from suppression"
"""Names no tenant: only row level security keeps the others' rows out."""


async def suppress(tenant, *addresses):
    async with tenant.transaction() as session:
        for address in addresses:
            await session.execute(KEY, tenant.tenant_id, address)


async def test_a_look_sees_its_tenants_rows_and_nobody_elses(tenant, other_tenant, postgres):
    """T1: on one connection, in turns, so that a name left behind would show."""
    await suppress(tenant, b"1", b"2")
    await suppress(other_tenant, b"3")
    database = await Database.connect(postgres.app_url(), size=1)
    for _ in range(12):  # past the executions after which a plan is kept
        for asked, n in ((tenant, 2), (other_tenant, 1)):
            row = await database.looking(asked.tenant_id).row(ALL)
            assert (row["n"], row["whose"]) == (n, str(asked.tenant_id))
    await database.close()


async def test_the_name_ends_with_the_look(tenant, postgres):
    await suppress(tenant, b"1")
    database = await Database.connect(postgres.app_url(), size=1)
    assert await database.looking(tenant.tenant_id).value(ALL) == 1
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        async with database.across_tenants() as session:
            await session.value(ALL)
    await database.close()


async def test_a_look_is_one_statement_for_one_row(tenant, database):
    look = database.looking(tenant.tenant_id)
    assert await look.value("select 1") == 1
    with pytest.raises(RuntimeError, match="one statement"):
        await look.value("select 2")
    for refused in (database.looking(tenant.tenant_id).rows("select 1"), database.looking(tenant.tenant_id).row("select 1 where false")):
        try:
            assert await refused is None
        except RuntimeError as error:
            assert "one statement" in str(error)
    with pytest.raises(RuntimeError):
        _ = database.looking(tenant.tenant_id).connection
    with pytest.raises(RuntimeError):
        database.looking(tenant.tenant_id).stream("select 1")


async def test_a_look_cannot_write(tenant, database):
    for statement in (KEY + " returning cause", f"with w as ({KEY} returning cause) select * from w", "select 1; delete from suppression"):
        with pytest.raises(asyncpg.PostgresError):
            await database.looking(tenant.tenant_id).row(statement, *([tenant.tenant_id, b"1"] if "$1" in statement else []))
    assert await tenant.value("select count(*) from suppression") == 0


async def test_a_look_is_counted_like_every_statement(tenant, database):
    log = []
    token = statement_log.set(log)
    try:
        await database.looking(tenant.tenant_id).value("select 1")
    finally:
        statement_log.reset(token)
    assert log == ["select 1"]


async def test_a_look_that_fails_leaves_a_connection_that_works(tenant, postgres):
    database = await Database.connect(postgres.app_url(), size=1)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await database.looking(tenant.tenant_id).value("select 1 / 0")
    task = asyncio.create_task(database.looking(tenant.tenant_id).value("select pg_sleep(30)::text"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await database.looking(tenant.tenant_id).value("select 7") == 7
    await database.close()


async def test_whoever_came_first_gets_the_connection_first(tenant, postgres):
    """Else the unlucky of many requests wait ten times as long as the rest: the figure p99 of a GET by id."""
    database = await Database.connect(postgres.app_url(), size=1)
    served = []

    async def ask(place, again):
        await database.looking(tenant.tenant_id).value("select 1")
        served.append(place)
        if again:  # comes back at once, as a client with a connection of its own does
            await ask(place + 100, again=False)

    await asyncio.gather(*[ask(place, again=True) for place in range(8)])
    assert served == [*range(8), *range(100, 108)]
    await database.close()
