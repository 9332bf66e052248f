"""The nightly decision: once a local day, whatever happens to the workers, the clocks and the network."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest

from dunning.collection import nights, run_store
from dunning.collection import runs as collected_runs
from dunning.kit import faults
from dunning.kit.database import Database, statement_log
from dunning.kit.faults import InjectedFault
from dunning.kit.settings import Settings
from dunning.tenancy import service as tenancy
from dunning_worker.jobs import nightly, runs
from dunning_worker.world import World, world_of
from tests.collection.stage import Stage, scenario, step
from tests.conftest import KEYRING

CROWD = 7


async def crowd(stage: Stage) -> Stage:
    """Open a ledger with customers who are due tomorrow, and one who is not."""
    await stage.open(scenario(step(1, "a", 1)))
    for n in range(CROWD):
        await stage.customer(f"C{n}")
        await stage.invoice(customer=f"C{n}", days_overdue=0)
    await stage.customer("LATER")
    await stage.invoice(customer="LATER", days_overdue=-9)
    return stage


async def tomorrow(stage: Stage, *, at: dt.time = dt.time(6, 30), days: int = 1) -> None:
    """Move the clock without letting anybody work."""
    today = (await stage.tenant.clock()).now().date()
    await stage.tenant.set_clock(dt.datetime.combine(today + dt.timedelta(days=days), at, dt.UTC))


async def decided(stage: Stage) -> list[tuple[str, str, str]]:
    """Return what was decided: customer, step and recipient of every message."""
    rows = await stage.tenant.rows(
        """select c.external_id, a.step_code, d.to_email from message m join action a on a.tenant_id = m.tenant_id and a.action_id = m.action_id
             join customer c on c.tenant_id = m.tenant_id and c.customer_id = m.customer_id
             join message_address d on d.tenant_id = m.tenant_id and d.message_id = m.message_id
            where m.tenant_id = $1 order by 1, 2, 3""",
        stage.tenant_id,
    )
    return [(str(r["external_id"]), str(r["step_code"]), str(r["to_email"])) for r in rows]


EXPECTED = [(f"C{n}", "a", f"ap@c{n}.example") for n in range(CROWD)]


async def night(world: World, stage: Stage) -> None:
    """Let a worker do its night: what is due by the schedule, then runs."""
    await nightly.run_due_nights(world, stage.tenant_id)
    await runs.work_on_runs(world, stage.tenant_id)


def small_pages(settings: Settings) -> Settings:
    """Return settings that take a run apart into many transactions, with leases that end at once."""
    return settings.model_copy(update={"run_page_customers": 2, "execute_batch_customers": 2, "lease_seconds": 0.05})


@pytest.fixture
def hasty(database: Database, settings: Settings) -> World:
    """A worker with small pages and short leases."""
    return world_of(database, small_pages(settings), KEYRING)


async def test_two_workers_at_once_decide_once(stage: Stage, database: Database, settings: Settings) -> None:
    """D6, C-02: started twice at the same moment, the night is one run and each customer is told once."""
    await crowd(stage)
    await tomorrow(stage)
    pair = [world_of(database, settings.model_copy(update={"run_page_customers": 2, "execute_batch_customers": 2}), KEYRING) for _ in range(2)]
    await asyncio.gather(*(night(one, stage) for one in pair))
    assert await decided(stage) == EXPECTED
    assert len((await stage.get("/runs"))["data"]) == 1


ONCE: Sequence[str] = ("night_prepared", "night_written", "night_begun", "run_begun", "run_planned")
OFTEN: Sequence[str] = ("run_page_written", "run_page_planned", "run_batch_written", "run_batch_executed", "messages_queued")


@pytest.mark.parametrize(("point", "hit"), [(point, 1) for point in (*ONCE, *OFTEN)] + [(point, 3) for point in OFTEN])
async def test_a_night_killed_anywhere_decides_the_same(stage: Stage, hasty: World, point: str, hit: int) -> None:
    """D6: whatever step a worker dies in, the next goes on, and the set of messages is that of an undisturbed night."""
    await crowd(stage)
    await tomorrow(stage)
    faults.set_plan(f"{point}=raise@{hit}")
    try:
        for _ in range(12):
            try:
                await night(hasty, stage)
            except InjectedFault:
                continue
            await asyncio.sleep(0.06)
        reached = faults.hits().get(point, 0)
    finally:
        faults.set_plan(None)
    assert reached >= hit, "a fault point that is never passed proves nothing"
    assert await decided(stage) == EXPECTED
    assert len((await stage.get("/runs"))["data"]) == 1


async def test_a_worker_that_was_away_for_nights_makes_one_late_run(stage: Stage) -> None:
    """D6, C-08: three missed nights are one run on the day's facts; asked again, nothing more."""
    await crowd(stage)
    await tomorrow(stage, days=3)
    for _ in range(3):
        await night(stage.world, stage)
    assert await decided(stage) == EXPECTED
    assert [r["local_date"] for r in (await stage.get("/runs"))["data"]] == ["2026-03-05"]


async def test_a_night_that_meets_an_open_run_waits_for_it(stage: Stage) -> None:
    """Architecture 4.3: a run under way is not superseded; the night follows when it is over."""
    await crowd(stage)
    await tomorrow(stage)
    await stage.api.post(f"/v1/ledgers/{stage.ledger_id}/runs", json={}, headers={"Idempotency-Key": "a-manual-run-of-today"})
    assert await nightly.run_due_nights(stage.world, stage.tenant_id) == 0
    await runs.work_on_runs(stage.world, stage.tenant_id)
    assert await nightly.run_due_nights(stage.world, stage.tenant_id) == 1
    await stage.settle()
    assert await decided(stage) == EXPECTED


@pytest.mark.parametrize(
    ("begins", "nightly_at", "expected"),
    [
        # 02:30 does not exist on 29 March 2026 in Rome: that night comes at 03:30 summer time.
        (dt.datetime(2026, 3, 27, 12, tzinfo=dt.UTC), "02:30", ["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"]),
        # 02:30 exists twice on 25 October 2026: that night comes the first time, once.
        (dt.datetime(2026, 10, 23, 12, tzinfo=dt.UTC), "02:30", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
    ],
    ids=["spring", "autumn"],
)
async def test_nights_of_clock_changes_come_once_each(stage: Stage, begins: dt.datetime, nightly_at: str, expected: list[str]) -> None:
    """D6, C-10: one run a local day on both kinds of daylight-saving nights."""
    await stage.tenant.set_clock(begins)
    await stage.open(scenario(step(1, "a", 1)), nightly_at=nightly_at)
    walked = await stage.advance(days=3)
    assert [n["at"][:16] for n in walked["nights"]] == expected
    assert [r["local_date"] for r in reversed((await stage.get("/runs"))["data"])] == [n["local_date"] for n in walked["nights"]]


async def test_a_walk_that_was_interrupted_ends_where_it_should(stage: Stage, hasty: World) -> None:
    """B-55: a worker that dies on the way leaves a walk that the next one finishes, with the same nights and mails."""
    from dunning_worker.jobs import walk  # noqa: PLC0415  # only here

    await crowd(stage)
    stage.world = hasty
    faults.set_plan("walk_stepped=raise@2")
    answer = await stage.api.post("/v1/test-clock/advance", json={"days": 3})
    try:
        with pytest.raises(InjectedFault):
            await walk.work_on_walks(hasty, stage.tenant_id)
        refused = await stage.api.post("/v1/test-clock/advance", json={"days": 1})
        assert refused.json()["code"] == "walk_open"
        await asyncio.sleep(0.1)
        await walk.work_on_walks(hasty, stage.tenant_id)
    finally:
        faults.set_plan(None)
    done = await stage.get(f"/test-clock/walks/{answer.json()['walk_id']}")
    assert (done["state"], len(done["nights"])) == ("done", 3)
    assert await decided(stage) == EXPECTED


async def test_a_walk_waits_for_what_another_worker_does_at_the_clocks_present(stage: Stage) -> None:
    """B-55: a run is carried out on its own day, whoever works on it; else the same ledger would be dunned otherwise each time it is walked."""
    from dunning_worker.jobs import walk  # noqa: PLC0415  # only here

    await crowd(stage)
    await tomorrow(stage)
    await nightly.run_due_nights(stage.world, stage.tenant_id)
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        another = await run_store.lease_run(session, stage.tenant_id, lease_seconds=60)
    assert another is not None
    stands_at = (await stage.tenant.clock()).now()
    answer = await stage.api.post("/v1/test-clock/advance", json={"days": 3})
    walking = asyncio.create_task(walk.work_on_walks(stage.world, stage.tenant_id))
    try:
        await asyncio.wait({walking}, timeout=0.5)
        assert (await stage.tenant.clock()).now() == stands_at
        async with stage.tenant.database.transaction(stage.tenant_id) as session:
            await session.execute("update run set lease_until = clock_timestamp() where tenant_id = $1", stage.tenant_id)
        assert await walking == 1
    finally:
        walking.cancel()
    assert (await stage.get(f"/test-clock/walks/{answer.json()['walk_id']}"))["state"] == "done"
    assert await decided(stage) == EXPECTED
    days = await stage.tenant.rows("select distinct scheduled_on from action where tenant_id = $1", stage.tenant_id)
    assert [day["scheduled_on"] for day in days] == [another["local_date"]]


async def test_a_live_ledgers_first_night_is_the_one_after_it_was_made(stage: Stage) -> None:
    """Promises 2.3: nights before a ledger existed are not missed ones."""
    await stage.open(scenario(step(1, "a", 1)))
    async with stage.tenant.database.reading(stage.tenant_id) as session:
        clock = await stage.tenant.clock()
        schedule = await nights.schedule_of(session, tenant=await tenancy.tenant_of(session, stage.tenant_id))
        assert schedule.due(clock.now()) == []
        assert schedule.next_at(clock.now()) == dt.datetime(2026, 3, 3, 5, 0, tzinfo=dt.UTC)


async def test_two_batches_are_under_way_at_once_and_number_their_claims_without_a_gap(stage: Stage, hasty: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-02, S0-04: batches that go out side by side hold different customers, and no two claims share a number."""
    whole, under_way, most = collected_runs.execute_batch, 0, 0

    async def watched(*values: Any, **named: Any) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            await whole(*values, **named)
        finally:
            under_way -= 1

    monkeypatch.setattr(collected_runs, "execute_batch", watched)
    await crowd(stage)
    await nightly.run_due_nights(hasty, stage.tenant_id)
    await tomorrow(stage)
    await night(hasty, stage)
    assert await decided(stage) == EXPECTED
    assert most == runs.BATCHES_AT_ONCE
    claims = await stage.tenant.rows("select claim_no from claim where tenant_id = $1 order by claim_no", stage.tenant_id)
    assert [row["claim_no"] for row in claims] == list(range(1, CROWD + 1))


QUIET_NIGHT_STATEMENTS = 60


async def test_a_night_with_nothing_to_do_costs_few_statements(stage: Stage) -> None:
    """Style 28: what a small tenant's night costs is what it costs to find nothing, so that must not creep up. The control is a night with work."""
    await stage.open(scenario(step(1, "a", 1)))
    await stage.customer("C1")
    await stage.advance(days=1)
    quiet = await _statements_of_a_night(stage)
    run = (await stage.get("/runs"))["data"][0]
    assert (run["state"], run["counts"].get("actions", 0), run["counts"]["outcomes"]) == ("committed", 0, {})
    stored = await stage.tenant.rows("select counts from run where tenant_id = $1", stage.tenant_id)
    assert all("planning_ms" in row["counts"] for row in stored)  # type: ignore[operator]  # JSON
    assert quiet <= QUIET_NIGHT_STATEMENTS
    await stage.invoice(customer="C1", days_overdue=0)
    assert await _statements_of_a_night(stage) > quiet + 10
    assert await decided(stage) == [("C1", "a", "ap@c1.example")]


async def _statements_of_a_night(stage: Stage) -> int:
    await tomorrow(stage)
    log: list[str] = []
    token = statement_log.set(log)
    await nightly.run_due_nights(stage.world, stage.tenant_id)
    await stage.settle()
    statement_log.reset(token)
    return len(log)
