"""What happened, numbered once committed: nothing that commits late is lost, nothing is told twice, and numbers have no gaps."""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from dunning.events import due_work
from dunning.events import service as events
from dunning.kit.database import Database
from dunning.kit.ids import new_id
from dunning_worker.jobs import sequence
from tests.conftest import make_tenant


async def happen(session, tenant, clock, count=1, kind="thing.happened"):
    made = [events.NewEvent(kind, "thing", new_id()) for _ in range(count)]
    return await events.record_many(session, clock, tenant_id=tenant.tenant_id, actor="test", events=made)


async def number(tenant):
    return await sequence.number_events(SimpleNamespace(database=tenant.database), tenant.tenant_id)


async def feed(api, after=0, **params):
    answer = await api.get("/v1/events", params={"after": after, "limit": 1000, **params})
    assert answer.status_code == 200
    return answer.json()


async def test_an_event_is_told_only_after_it_was_numbered(api, tenant):
    await number(tenant)
    last = (await feed(api))["last"]
    async with tenant.transaction() as session:
        await happen(session, tenant, await tenant.clock())
    assert (await feed(api, last))["data"] == []
    assert await number(tenant) == 1
    told = (await feed(api, last))["data"]
    assert [(event["seq"], event["kind"]) for event in told] == [(last + 1, "thing.happened")]
    assert told[0]["business_at"] == "2026-03-02T08:00:00Z"


async def test_what_commits_late_gets_a_later_number_and_is_not_lost(api, tenant):
    """A reader that stored the last number before the commit still finds the event, though it was recorded earlier."""
    clock = await tenant.clock()
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slow():
        async with tenant.transaction() as session:
            (event_id,) = await happen(session, tenant, clock, kind="thing.slow")
            began.set()
            await go_on.wait()
        return event_id

    task = asyncio.create_task(slow())
    await began.wait()
    async with tenant.transaction() as session:
        await happen(session, tenant, clock, kind="thing.quick")
    await number(tenant)
    first = await feed(api)
    assert "thing.slow" not in [event["kind"] for event in first["data"]]
    go_on.set()
    await task
    await number(tenant)
    later = await feed(api, first["last"])
    assert [event["kind"] for event in later["data"]] == ["thing.slow"]


async def test_control_numbers_given_at_insert_lose_what_commits_late(tenant, api):
    """The naive way, a number taken from the counter when the row is written, shows that the test above can fail."""
    clock = await tenant.clock()
    await number(tenant)
    seen = (await feed(api))["last"]
    began, go_on = asyncio.Event(), asyncio.Event()

    async def naive(seq, wait):
        async with tenant.transaction() as session:
            (event_id,) = await happen(session, tenant, clock)
            await session.execute("update event set seq = $2 where tenant_id = $1 and event_id = $3", tenant.tenant_id, seq, event_id)
            if wait:
                began.set()
                await go_on.wait()

    slow = asyncio.create_task(naive(seen + 1, wait=True))
    await began.wait()
    await naive(seen + 2, wait=False)
    last = (await feed(api, seen))["last"]
    assert last == seen + 2
    go_on.set()
    await slow
    assert (await feed(api, last))["data"] == [], "the event with the smaller number is never told"


async def test_a_rolled_back_event_leaves_no_gap(api, tenant):
    clock = await tenant.clock()
    with pytest.raises(RuntimeError):
        async with tenant.transaction() as session:
            await happen(session, tenant, clock, 3)
            raise RuntimeError
    async with tenant.transaction() as session:
        await happen(session, tenant, clock, 3)
    await number(tenant)
    numbers = [event["seq"] for event in (await feed(api))["data"]]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_numbering_goes_on_where_a_batch_ended(tenant, monkeypatch):
    monkeypatch.setattr(sequence, "BATCH_EVENTS", 7)
    async with tenant.transaction() as session:
        ids = await happen(session, tenant, await tenant.clock(), 50)
    await number(tenant)
    rows = await tenant.rows("select event_id, seq from event where kind = 'thing.happened' order by seq")
    assert [row["event_id"] for row in rows] == ids, "events of one transaction keep their order"
    assert await number(tenant) == 0


async def test_an_event_rings_for_the_sequencer_in_its_own_transaction(tenant, database):
    async with database.across_tenants() as session:
        await due_work.take(session, tenant.tenant_id, "sequence")
    async with tenant.transaction() as session:
        await happen(session, tenant, await tenant.clock(), 2)
        assert "sequence" in session.rung
    async with database.across_tenants() as session:
        assert await session.value("select count(*) from due_work where tenant_id = $1 and kind = 'sequence'", tenant.tenant_id) == 1
    await number(tenant)
    async with database.across_tenants() as session:
        assert await session.value("select count(*) from due_work where tenant_id = $1 and kind = 'sequence'", tenant.tenant_id) == 0


async def test_a_sequencer_that_dies_before_its_commit_is_followed_by_another(tenant, database):
    async with tenant.transaction() as session:
        await happen(session, tenant, await tenant.clock(), 5)
    with pytest.raises(RuntimeError):
        async with tenant.transaction() as session:
            assert await events.number_events(session, tenant_id=tenant.tenant_id) >= 5
            raise RuntimeError
    async with database.across_tenants() as session:
        assert tenant.tenant_id in await due_work.tenants_due(session, "sequence", limit=100_000)
    assert await number(tenant) >= 5


SEQUENCER = """
import asyncio, sys
from types import SimpleNamespace
from uuid import UUID
from dunning.kit.database import Database
from dunning_worker.jobs import sequence

async def main(url, tenant_id):
    database = await Database.connect(url, size=2)
    sequence.BATCH_EVENTS = 3
    world = SimpleNamespace(database=database)
    print("ready", flush=True)
    sys.stdin.readline()
    numbered = 0
    for _ in range(60):
        numbered += await sequence.number_events(world, tenant_id)
        await asyncio.sleep(0.02)
    await database.close()
    print(numbered, flush=True)

asyncio.run(main(sys.argv[1], UUID(sys.argv[2])))
"""


async def test_two_sequencer_processes_and_four_writers_number_each_event_once(tenant, postgres):
    clock = await tenant.clock()
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", SEQUENCER, postgres.app_url(), str(tenant.tenant_id), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in processes:
        assert (await asyncio.wait_for(process.stdout.readline(), 30)).strip() == b"ready"
    for process in processes:
        process.stdin.write(b"go\n")
    database = await Database.connect(postgres.app_url(), size=4)

    async def write(count):
        for _ in range(count):
            async with database.transaction(tenant.tenant_id) as session:
                await happen(session, tenant, clock, 2)
                await asyncio.sleep(0.005)

    await asyncio.gather(*(write(20) for _ in range(4)))
    counts = [int((await asyncio.wait_for(process.communicate(), 60))[0]) for process in processes]
    await database.close()
    rest = await number(tenant)
    total = await tenant.value("select count(*) from event")
    assert sum(counts) + rest == total
    assert min(counts) > 0, "both took part"
    numbers = [row["seq"] for row in await tenant.rows("select seq from event order by seq")]
    assert numbers == list(range(1, total + 1))


async def test_reading_again_from_an_older_number_gives_the_same_events_first(api, tenant):
    async with tenant.transaction() as session:
        await happen(session, tenant, await tenant.clock(), 10)
    await number(tenant)
    whole = (await feed(api))["data"]
    part = (await feed(api, after=4, limit=3))["data"]
    assert part == whole[4:7]


async def test_the_feed_can_be_narrowed_to_kinds(api, tenant):
    clock = await tenant.clock()
    async with tenant.transaction() as session:
        await happen(session, tenant, clock, 2, "thing.one")
        await happen(session, tenant, clock, 2, "thing.two")
    await number(tenant)
    assert {event["kind"] for event in (await feed(api, kind="thing.two"))["data"]} == {"thing.two"}
    both = await api.get("/v1/events", params=[("kind", "thing.one"), ("kind", "thing.two")])
    assert len(both.json()["data"]) == 4


async def test_the_feed_shows_no_other_tenants_events(api, database):
    other = await make_tenant(database)
    async with other.transaction() as session:
        await happen(session, other, await other.clock(), 3, "thing.theirs")
    await number(other)
    assert "thing.theirs" not in [event["kind"] for event in (await feed(api))["data"]]


async def test_an_event_is_never_changed_or_deleted(tenant):
    async with tenant.transaction() as session:
        await happen(session, tenant, await tenant.clock())
    await number(tenant)
    for statement in ("delete from event", "update event set kind = 'thing.else'", "update event set seq = seq + 100"):
        with pytest.raises(Exception) as refused:
            async with tenant.transaction() as session:
                await session.execute(statement)
        assert type(refused.value).__name__ in {"InsufficientPrivilegeError", "RestrictViolationError"}, statement


async def test_recording_nothing_writes_nothing(session, tenant):
    assert await events.record_many(session, await tenant.clock(), tenant_id=tenant.tenant_id, actor="test", events=[]) == []
