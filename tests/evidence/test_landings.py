"""Visits of a landing page that come at once: counted each, recorded together, and shown only what is committed."""

from __future__ import annotations

import asyncio

import asyncpg
import httpx
import pytest

from dunning.collection.claims import claim_faces
from dunning.evidence import landings as recorded
from dunning.evidence.trace import Trace
from dunning.kit.bell import NullBell
from dunning.kit.database import Database, statement_log
from dunning_api.portal import landings
from dunning_api.portal.landings import Landings
from tests.conftest import TenantWorld
from tests.evidence.rows import Told, make_told

TRACE = Trace("GET", "203.0.113.0/24", "other")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every transaction that is opened."""
    found: list[object] = []
    real = Database.transaction

    def counted(self: Database, *words: object, **more: object) -> object:
        found.append(words)
        return real(self, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "transaction", counted)
    return found


async def test_repeats_are_counted_and_not_multiplied(anonymous: httpx.AsyncClient, told: Told, opened: list[object]) -> None:
    """Promises 6.3, S0-20: thirty visits of a scanner at once are thirty in the count, one reading and one event, in a few transactions."""
    answers = await asyncio.gather(*[anonymous.get(told.path) for _ in range(30)])
    assert {answer.status_code for answer in answers} == {200}
    assert (await told.link())["fetches"] == 30
    assert await told.kinds() == ["fetched"]
    assert len(await told.world.rows("select 1 from event where kind = 'link.fetched' and actor = $1", f"link:{told.link_id}")) == 1
    assert len(opened) <= 6


async def test_many_links_cost_the_statements_of_one(anonymous: httpx.AsyncClient, tenant: TenantWorld) -> None:
    """Each gets its own page, count, reading and event."""
    many = [await make_told(tenant) for _ in range(12)]

    async def statements(of: list[Told]) -> int:
        log: list[str] = []
        mark = statement_log.set(log)
        try:
            async with tenant.database.transaction(tenant.tenant_id) as session:
                comings = {told.link_id: [TRACE] for told in of}
                found = await recorded.record_landings(session, await tenant.clock(), claim_faces, tenant_id=tenant.tenant_id, comings=comings, waits=True)
        finally:
            statement_log.reset(mark)
        assert set(found) == set(comings)
        return len(log)

    assert await statements(many[:1]) == await statements(many[1:]) <= 6
    assert await statements(many) <= 3, "repeats only count"
    for told in many:
        assert (await told.kinds(), (await told.link())["fetches"], await told.grade()) == (["fetched"], 2, "fetched")


async def test_a_link_that_another_holds_does_not_keep_the_others_waiting(anonymous: httpx.AsyncClient, tenant: TenantWorld) -> None:
    """It is taken by itself when it is free, and its visit is not lost."""
    held, free = await make_told(tenant), await make_told(tenant)
    async with tenant.database.transaction(tenant.tenant_id) as session:
        await session.execute("select 1 from link where link_id = $1 for update", held.link_id)
        first = asyncio.create_task(anonymous.get(free.path))  # its batch is under way when the others come
        waiting = asyncio.create_task(anonymous.get(held.path))
        assert (await first).status_code == 200
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert (await held.link())["fetches"] == 0
    assert (await waiting).status_code == 200
    assert (await held.link())["fetches"] == 1


async def test_no_page_leaves_before_its_visit_is_committed(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """L5: whoever has a page is in the count."""
    came = Landings(told.world.database, NullBell())
    counts = []

    async def visit() -> None:
        await came.land(told.world.tenant_id, told.link_id, TRACE)
        counts.append((await told.link())["fetches"])

    await asyncio.gather(*[visit() for _ in range(10)])
    assert all(count >= place for place, count in enumerate(counts, 1))
    assert max(counts) == 10
    assert not came._queues, "nothing is kept of a tenant nobody visits"


async def test_what_one_visit_runs_into_is_its_own(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that fails is taken again one by one."""
    calls = []

    async def failing(*words: object, **more: object) -> object:
        calls.append(more["comings"])
        msg = "deadlock detected"
        raise asyncpg.DeadlockDetectedError(msg)

    monkeypatch.setattr(landings, "record_landings", failing)
    came = Landings(told.world.database, NullBell())
    visits = await asyncio.gather(*[came.land(told.world.tenant_id, told.link_id, TRACE) for _ in range(4)])
    assert all(visit is not None for visit in visits)
    assert (await told.link())["fetches"] == 4
    assert len(calls) == 1, "the others were recorded one by one"


async def test_a_database_that_is_away_is_told_to_everyone_who_waits(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each visitor sees the page that says so; nobody waits for ever."""

    def away(*_words: object, **_more: object) -> object:
        msg = "gone"
        raise OSError(msg)

    came = Landings(told.world.database, NullBell())
    monkeypatch.setattr(Database, "transaction", away)
    answers = await asyncio.gather(*[came.land(told.world.tenant_id, told.link_id, TRACE) for _ in range(5)], return_exceptions=True)
    assert [type(answer) for answer in answers] == [OSError] * 5
