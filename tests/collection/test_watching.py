"""Watching: rung by the facts, done once, kept from nobody by one that fails; and the invariants that would tell (D-15)."""

from __future__ import annotations

import asyncio
import datetime as dt
from functools import partial
from typing import Any

import pytest

from dunning.collection import promise_verdicts, watching
from dunning.kit.clock import instant_of
from dunning.soundness import CHECKS
from dunning_worker.jobs.watch import watch_agreements
from dunning_worker.loops import Loop
from tests.collection.agreements import dispute, plan, promise, sound, told
from tests.collection.stage import Stage, scenario, step

QUIET = scenario(step(1, "a", 200))


async def rung(stage: Stage) -> int:
    """Count what is due for the watching."""
    rows = await stage.tenant.rows("select 1 from due_work where tenant_id = $1 and kind = 'watch'", stage.tenant_id)
    return len(rows)


async def test_only_the_facts_of_a_watched_customer_ring(stage: Stage) -> None:
    """A payment of somebody without agreements costs nothing more; the control: one who has promised rings."""
    await stage.open(QUIET)
    promising = await stage.customer()
    await stage.customer("C2")
    mine, theirs = await stage.invoice("100.00"), await stage.invoice("100.00", customer="C2")
    await promise(stage, promising, "100.00", mine)
    await watch_agreements(stage.world, stage.tenant_id)
    assert await rung(stage) == 0
    await stage.pay("10.00", theirs, customer="C2")
    assert await rung(stage) == 0
    await stage.pay("10.00", mine)
    assert await rung(stage) > 0


async def test_whoever_has_nothing_left_to_wait_for_is_watched_no_longer(stage: Stage) -> None:
    """A promise that was taken back waits for nothing; a kept one for its payment to be returned, until that cannot be any more."""
    await stage.open(QUIET)
    customer = await stage.customer()
    made = await promise(stage, customer, "100.00", await stage.invoice("100.00"))
    await stage.settle()

    async def watched() -> object:
        return await stage.tenant.value("select watched from customer_state where tenant_id = $1", stage.tenant_id)

    assert await watched() is True
    await stage.post(f"/promises/{made['promise_id']}/cancel", {"reason": "misheard"})
    await stage.settle()
    assert await watched() is False
    item = await stage.invoice("100.00")
    await promise(stage, customer, "100.00", item)
    await stage.pay("100.00", item)
    await stage.settle()
    assert await watched() is True
    assert await watch_agreements(stage.world, stage.tenant_id) == 0
    await stage.tenant.set_clock(dt.datetime(2027, 4, 13, 8, 0, tzinfo=dt.UTC))
    await stage.invoice("1.00")
    await stage.settle()
    assert await watched() is False


async def test_two_workers_find_a_promise_kept_once(stage: Stage) -> None:
    """Style 28: both look at once; the locks put one after the other, and the second finds it done."""
    await stage.open(QUIET)
    for n in range(4):
        customer = await stage.customer(f"C{n}")
        item = await stage.invoice("100.00", customer=f"C{n}")
        await promise(stage, customer, "100.00", item)
        await stage.pay("100.00", item, customer=f"C{n}")
    await asyncio.gather(*(watch_agreements(stage.world, stage.tenant_id) for _ in range(3)))
    assert len(await told(stage, "promise.kept")) == 4
    await sound(stage)


async def test_one_customer_who_fails_keeps_no_other_from_the_look(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.open(QUIET)
    customers = {}
    for name in ("C1", "C2", "C3"):
        customers[name] = await stage.customer(name)
        item = await stage.invoice("100.00", customer=name)
        await promise(stage, customers[name], "100.00", item)
        await stage.pay("100.00", item, customer=name)
    decide = promise_verdicts.decide

    async def failing(session: Any, clock: Any, scene: Any, customer_ids: Any, since: Any) -> int:
        if customers["C2"] in customer_ids:
            msg = "planted"
            raise RuntimeError(msg)
        return await decide(session, clock, scene, customer_ids, since)

    monkeypatch.setattr(promise_verdicts, "decide", failing)
    await watch_agreements(stage.world, stage.tenant_id)
    states = await stage.tenant.rows("select customer_id, state from promise where tenant_id = $1", stage.tenant_id)
    assert {row["customer_id"]: row["state"] for row in states} == {customers["C1"]: "kept", customers["C2"]: "open", customers["C3"]: "kept"}


async def test_a_live_tenant_is_looked_at_when_the_last_day_is_over_in_its_ledgers_zone(stage: Stage) -> None:
    """Broken promises are found at the local midnight, and overdue disputes; a second look asks for the same instant once."""
    await stage.open(QUIET)
    customer = await stage.customer()
    await promise(stage, customer, "100.00", await stage.invoice("100.00"), days=4, grace_days=2)
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute("update tenant set mode = 'live', clock_at = null where tenant_id = $1", stage.tenant_id)
        for _ in range(2):
            await watching.plan_next_look(session, tenant_id=stage.tenant_id, ledger_id=stage.ledger_id)
    at = instant_of(dt.date(2026, 3, 9), dt.time(), "Europe/Rome")
    assert await stage.tenant.value("select count(*) from due_work where tenant_id = $1 and kind = 'watch' and due_at = $2", stage.tenant_id, at) == 1


async def test_the_workers_loop_finds_a_kept_promise_and_lifts_a_block_within_seconds(stage: Stage) -> None:
    """S0-09, B-36: nobody calls anything; the payment's own transaction rings the loop."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    made = await promise(stage, customer, "100.00", item)
    body = {"customer_id": str(customer), "degree": "full", "reason": "late", "item_ids": [str(item)]}
    block = await stage.post("/account-blocks", body, status=201)
    await stage.settle()
    stopping = asyncio.Event()
    loop = Loop("watch", partial(watch_agreements, stage.world), stage.tenant.database, stopping, 0.1)
    running = asyncio.create_task(loop.run())
    try:
        await asyncio.sleep(0.3)
        assert (await stage.get(f"/promises/{made['promise_id']}"))["state"] == "open", "the control: looking alone changes nothing"
        await stage.pay("100.00", item)
        found = ("", "")
        for _ in range(100):
            await asyncio.sleep(0.05)
            found = (await stage.get(f"/promises/{made['promise_id']}"))["state"], (await stage.get(f"/account-blocks/{block['block_id']}"))["state"]
            if found == ("kept", "lifted"):
                break
        assert found == ("kept", "lifted")
    finally:
        stopping.set()
        await running


async def test_missed_nights_break_a_promise_on_the_day_it_was_due(stage: Stage) -> None:
    """The fact counts from the day after the last one, however late somebody looked."""
    await stage.open(QUIET)
    customer = await stage.customer()
    await promise(stage, customer, "100.00", await stage.invoice("100.00"), days=2)
    await stage.tenant.set_clock(dt.datetime(2026, 3, 20, 8, 0, tzinfo=dt.UTC))
    await stage.settle()
    (row,) = await stage.tenant.rows('select "on" from item_fact where tenant_id = $1', stage.tenant_id)
    assert row["on"] == dt.date(2026, 3, 5)
    assert await stage.tenant.value("select decided_on from promise where tenant_id = $1", stage.tenant_id) == dt.date(2026, 3, 20)


PLANTED = {
    "an account block that ends by itself has a cause": "delete from account_block_item where tenant_id = $1",
    "no account block is in force whose causes are all settled": (
        "update account_block_item x set item_id = (select item_id from item where tenant_id = $1 and allocated_minor = amount_minor limit 1)"
        " where tenant_id = $1 and block_id = (select min(block_id::text)::uuid from account_block where tenant_id = $1)"
    ),
    "no promise stays open past its last day": "update promise set last_on = '2026-01-01' where tenant_id = $1 and plan_id is null",
    "only an open promise holds items": "update promise set state = 'kept', decided_on = '2026-03-02' where tenant_id = $1 and plan_id is null",
    "only an active payment plan has open instalments": "update payment_plan set state = 'broken', ended_on = '2026-03-02' where tenant_id = $1",
    "an item has the status of a dispute while it is disputed, and only then": "update item set status_code = 'disputed' where tenant_id = $1",
    "an item is held by one promise or plan at a time": (
        "insert into promise_item (tenant_id, promise_id, item_id, customer_id, open_at_start_minor)"
        " select tenant_id, promise_id, (select x.item_id from promise_item x join promise q using (tenant_id, promise_id)"
        "   where x.tenant_id = $1 and q.plan_id is not null limit 1), customer_id, 1 from promise where tenant_id = $1 and plan_id is null"
    ),
    "whoever has an open agreement is watched": "update customer_state set watched = false where tenant_id = $1",
}


@pytest.mark.parametrize("sentence", PLANTED)
async def test_control_what_breaks_an_invariant_is_found(stage: Stage, sentence: str) -> None:
    """D-15: sound before, and each planted fault is named."""
    await stage.open(QUIET)
    customer = await stage.customer()
    items = [await stage.invoice("100.00") for _ in range(5)]
    await stage.pay("100.00", items[4])
    await promise(stage, customer, "50.00", items[0])
    await plan(stage, customer, item_ids=[str(items[1])], rhythm={"count": 2, "first_on": "2026-03-09"})
    await dispute(stage, items[2])
    await stage.post("/account-blocks", {"customer_id": str(customer), "degree": "full", "reason": "x", "item_ids": [str(items[3])]}, status=201)
    await stage.settle()
    await sound(stage)
    assert sentence in {check.name for check in CHECKS}
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute(PLANTED[sentence], stage.tenant_id)
    found = (await stage.get("/health/invariants"))["violations"]
    assert sentence in {violation["check"] for violation in found}, found


def test_the_sentences_of_agreements_all_have_a_control() -> None:
    from dunning.collection.agreement_invariants import CHECKS as OF_AGREEMENTS  # noqa: PLC0415  # its length is what is asked

    assert {check.name for check in OF_AGREEMENTS} == set(PLANTED)
