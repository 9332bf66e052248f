"""The one door to the database: transactions belong to one tenant, end as they should, and never leak into the next."""

import asyncio
import datetime as dt
import json
import uuid
from decimal import Decimal

import asyncpg
import pytest

from dunning.kit.database import Database, decode_json, encode_json, statement_log
from dunning.kit.errors import Unavailable
from dunning.kit.ids import TenantId, new_id

KEY = "insert into suppression (tenant_id, channel, address_sha256, cause) values ($1, 'email', $2, 'test')"


async def addresses(tenant):
    return await tenant.value("select count(*) from suppression")


async def test_a_block_that_ends_is_committed_and_one_that_raises_is_not(tenant):
    async with tenant.transaction() as session:
        await session.execute(KEY, tenant.tenant_id, b"1")
    with pytest.raises(RuntimeError):
        async with tenant.transaction() as session:
            await session.execute(KEY, tenant.tenant_id, b"2")
            raise RuntimeError
    assert await addresses(tenant) == 1


async def test_a_cancelled_task_leaves_nothing_and_gives_its_connection_back(tenant, postgres):
    database = await Database.connect(postgres.app_url(), size=2)
    began = asyncio.Event()

    async def write():
        async with database.transaction(tenant.tenant_id) as session:
            await session.execute(KEY, tenant.tenant_id, b"1")
            began.set()
            await session.execute("select pg_sleep(30)")

    for _ in range(4):
        began.clear()
        task = asyncio.create_task(write())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await addresses(tenant) == 0
    async with database.transaction(tenant.tenant_id) as session:
        assert await session.value("select 1") == 1
    await database.close()


async def test_a_reading_session_cannot_write_and_sees_one_snapshot(tenant, database):
    async with database.reading(tenant.tenant_id) as reading:
        assert await reading.value("select count(*) from suppression") == 0
        async with tenant.transaction() as session:
            await session.execute(KEY, tenant.tenant_id, b"1")
        assert await reading.value("select count(*) from suppression") == 0
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with database.reading(tenant.tenant_id) as reading:
            await reading.value(KEY + " returning 1", tenant.tenant_id, b"2")


async def test_the_tenant_of_one_transaction_is_not_the_next_ones(tenant, other_tenant, postgres):
    """One connection, one after the other: the name ends with its transaction."""
    database = await Database.connect(postgres.app_url(), size=1)
    async with tenant.transaction() as session:
        await session.execute(KEY, tenant.tenant_id, b"1")
    async with database.transaction(tenant.tenant_id) as session:
        assert await session.value("select count(*) from suppression") == 1
    async with database.transaction(other_tenant.tenant_id) as session:
        assert await session.value("select count(*) from suppression") == 0
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        async with database.across_tenants() as session:
            await session.value("select count(*) from suppression")
    await database.close()


async def test_a_savepoint_undoes_only_what_is_inside(tenant):
    async with tenant.transaction() as session:
        await session.execute(KEY, tenant.tenant_id, b"1")
        with pytest.raises(asyncpg.UniqueViolationError):
            async with session.savepoint():
                await session.execute(KEY, tenant.tenant_id, b"2")
                await session.execute(KEY, tenant.tenant_id, b"1")
        async with session.savepoint():
            await session.execute(KEY, tenant.tenant_id, b"3")
    assert await addresses(tenant) == 2


async def test_savepoints_stand_inside_one_another(tenant):
    async with tenant.transaction() as session, session.savepoint():
        await session.execute(KEY, tenant.tenant_id, b"1")
        with pytest.raises(RuntimeError):
            async with session.savepoint():
                await session.execute(KEY, tenant.tenant_id, b"2")
                raise RuntimeError
        await session.execute(KEY, tenant.tenant_id, b"3")
    assert await addresses(tenant) == 2


async def test_a_statement_tells_how_many_rows_it_touched(tenant):
    async with tenant.transaction() as session:
        assert await session.execute(KEY, tenant.tenant_id, b"1") == 1
        assert await session.execute("update suppression set cause = 'x' where false") == 0
        assert await session.execute("delete from suppression") == 1


async def test_a_stream_gives_every_row_in_order_and_two_streams_do_not_mix(tenant, database):
    async with database.reading(tenant.tenant_id) as reading:
        assert [row["n"] async for row in reading.stream("select n from generate_series(1, $1::int) n", 25, prefetch=10)] == list(range(1, 26))
        assert [row["n"] async for row in reading.stream("select n from generate_series(1, 3) n", prefetch=1)] == [1, 2, 3]


async def test_copy_fills_a_temporary_table_and_a_tenants_table_refuses_it(tenant):
    async with tenant.transaction() as session:
        await session.execute("create temporary table staged (n int, t text) on commit drop")
        await session.copy("staged", ["n", "t"], [(1, "a"), (2, None)])
        assert await session.value("select count(*) from staged") == 2
    with pytest.raises(asyncpg.PostgresError):
        async with tenant.transaction() as session:
            await session.copy("suppression", ["tenant_id", "channel", "address_sha256", "cause"], [(tenant.tenant_id, "email", b"1", "x")])


async def test_json_comes_back_as_it_went_in(tenant):
    value = {"a": [1, None, True, "é"], "n": 10**17}
    async with tenant.transaction() as session:
        assert await session.value("select $1::jsonb", value) == value
        assert await session.value("select $1::jsonb[]", [value, {}]) == [value, {}]


@pytest.mark.parametrize("value", [Decimal("1.5"), {1, 2}, b"x", object()])
def test_what_json_cannot_hold_exactly_is_refused(value):
    with pytest.raises(TypeError):
        encode_json({"a": value})


@pytest.mark.parametrize("value", [1.5, float("nan"), {"a": [{"b": 0.1}]}, [1.0]])
def test_a_float_is_never_stored(value):
    """Money never is one, and what is not money is counted in whole units."""
    with pytest.raises(TypeError):
        encode_json(value)


def test_ids_and_days_are_written_as_text():
    one = uuid.UUID(int=7)
    assert encode_json([one, dt.date(2026, 3, 2)]) == f'["{one}","2026-03-02"]'


async def test_every_statement_can_be_counted(tenant):
    log = []
    token = statement_log.set(log)
    try:
        async with tenant.transaction() as session:
            await session.value("select 1")
            await session.rows("select 2")
    finally:
        statement_log.reset(token)
    assert log == ["select 1", "select 2"]


async def test_a_server_that_is_away_is_told_with_what_to_check(tmp_path):
    with pytest.raises(Unavailable, match="DUNNING_DATABASE_URL"):
        await Database.connect(f"postgresql://nobody@/nothing?host={tmp_path}")


async def test_an_unknown_database_is_told_the_same_way(postgres):
    with pytest.raises(Unavailable, match="DUNNING_DATABASE_URL"):
        await Database.connect(postgres.app_url().replace("/dunning?", "/not_there?"))


async def test_a_tenant_id_that_is_no_uuid_never_reaches_a_statement(database):
    """The id is written into `set local`; only an id's own text may stand there."""
    with pytest.raises((TypeError, ValueError, AttributeError)):
        async with database.transaction(TenantId("x'; drop table tenant; --")):
            pass
    async with database.transaction(TenantId(new_id())) as session:
        assert await session.value("select 1") == 1


async def test_two_streams_of_different_rows_may_follow_one_another_on_one_connection(tenant):
    async with tenant.database.reading(tenant.tenant_id) as session:
        for sql, expected in (
            ("select 1 as a, 'x' as b", [(1, "x")]),
            ("select date '2026-03-02' as a", [(dt.date(2026, 3, 2),)]),
            ("select 'y' as a", [("y",)]),
        ):
            assert [tuple(row) async for row in session.stream(sql)] == expected


@pytest.mark.parametrize("text", ['{"a": [1, -2.50, null, "è\\u20ac\\"", true], "b": {}}', "123456789012345678901234567890", '{"a":' * 400 + "1" + "}" * 400])
def test_json_columns_are_read_as_the_standard_library_reads_them(text):
    """Also numbers without end, and what is nested more deeply than the fast parser goes."""
    assert decode_json(text) == json.loads(text)
