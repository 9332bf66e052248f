"""Between the decision and the mail: what changes is seen, what is no longer true is not said."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from dunning.collection.fence import fence
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.ledger.customer_state import facts_changed, lock_customers
from dunning.messages.ports import OutgoingMessage, Send, Stop
from dunning.tenancy import service as tenancy
from tests.collection.stage import Stage, scenario, step

ONE_STEP = scenario(step(1, "a", 1))
RACES = 2000 if os.environ.get("DUNNING_FAULTS") == "full" else 40


async def queued(stage: Stage) -> dict[str, object]:
    """Let a run go out without sending, and return its only action."""
    await stage.launch(commit_at_once=True)
    (action,) = await stage.actions()
    return action


async def test_a_payment_of_one_item_makes_a_new_claim_that_replaces_the_old(stage: Stage) -> None:
    """C-04, C-22, promises 2.3: changed amounts void the claim; the new one says what is true, and the link of the old is dead."""
    await stage.open(ONE_STEP)
    await stage.customer()
    first, _second = await stage.invoice("100.00"), await stage.invoice("60.00")
    action = await queued(stage)
    await stage.pay("100.00", first)
    await stage.settle()
    assert await stage.accepted() == ["a ap@c1.example"]
    old, new = (await stage.action(str(action["action_id"])))["claims"]
    assert (old["state"], old["void_reason"], new["state"], new["replaces_id"]) == ("void", "amounts_changed", "told", old["claim_id"])
    assert [row["open_minor"] for row in new["data"]["blocks"][0]["rows"]] == [6000]
    assert await stage.progress(first) == []
    revoked = await stage.tenant.value("select count(*) from link where tenant_id = $1 and revoked_at is not null", stage.tenant_id)
    assert revoked == 1


async def test_a_part_payment_is_told_as_it_is(stage: Stage) -> None:
    """C-19: forty of a hundred paid between decision and sending: sixty are asked for."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.invoice("100.00")
    action = await queued(stage)
    await stage.pay("40.00")
    await stage.settle()
    claim = (await stage.action(str(action["action_id"])))["claims"][-1]
    (row,) = claim["data"]["blocks"][0]["rows"]
    assert (row["original_minor"], row["open_minor"], row["status"], claim["data"]["blocks"][0]["total_minor"]) == (10000, 6000, "part_paid", 6000)


async def test_whoever_pays_everything_before_the_send_hears_nothing(stage: Stage) -> None:
    """D5, S4-20: settled: the message and the action are cancelled, the items are free, nothing was sent."""
    await stage.open(ONE_STEP)
    await stage.customer()
    item = await stage.invoice()
    action = await queued(stage)
    await stage.pay("100.00")
    await stage.settle()
    whole = await stage.action(str(action["action_id"]))
    assert (whole["state"], whole["reason"], whole["messages"][0]["state"]) == ("cancelled", "settled", "cancelled")
    assert (await stage.accepted(), await stage.progress(item)) == ([], [])


async def test_a_credit_that_covers_the_debt_stops_the_mail(stage: Stage) -> None:
    """C-06, B-14: not only payments count: a credit note over the whole sum leaves nothing to ask for."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.invoice("100.00")
    action = await queued(stage)
    await stage.credit("100.00")
    await stage.settle()
    whole = await stage.action(str(action["action_id"]))
    assert (whole["state"], whole["reason"], await stage.accepted()) == ("cancelled", "covered_by_credit", [])


@pytest.mark.parametrize("scope", ["item", "customer", "ledger"])
async def test_a_hold_set_before_the_send_stops_it(stage: Stage, scope: str) -> None:
    """B-13, C-15, C-16: whatever the hold is on, the message is not sent; once it is over the step goes out."""
    await stage.open(ONE_STEP)
    customer = await stage.customer()
    item = await stage.invoice()
    await queued(stage)
    await stage.hold(customer_id=customer if scope != "ledger" else None, item_id=item if scope == "item" else None, until_on=await stage.today())
    await stage.settle()
    assert await stage.accepted() == []
    await stage.advance(days=1)
    assert await stage.accepted() == ["a ap@c1.example"]


async def test_a_hold_on_one_of_two_items_leaves_the_other_in_the_mail(stage: Stage) -> None:
    """C-17, C-18: the held item drops out, the other is reminded."""
    await stage.open(ONE_STEP)
    customer = await stage.customer()
    held, free = await stage.invoice("100.00"), await stage.invoice("60.00")
    await queued(stage)
    await stage.hold(customer_id=customer, item_id=held)
    await stage.settle()
    assert await stage.progress(held) == []
    assert await stage.progress(free) == ["a#0 completed 2026-03-02"]


async def test_switching_sending_off_cancels_what_is_queued_and_on_releases_nothing(stage: Stage) -> None:
    """C-27: queued messages are cancelled; after switching on again only a new decision sends."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.invoice()
    action = await queued(stage)
    for enabled in (False, True):
        answer = await stage.api.put("/v1/tenant/sending", json={"enabled": enabled})
        assert answer.status_code == 200
    await stage.settle()
    assert await stage.accepted() == []
    assert (await stage.action(str(action["action_id"])))["state"] == "cancelled"
    await stage.remind()
    assert await stage.accepted() == ["a ap@c1.example"]


async def test_saying_again_that_sending_is_on_stops_nothing_and_tells_nothing(stage: Stage) -> None:
    """Whoever sets what is set already, as a deployment may each night, costs nobody a reminder."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.invoice()
    await queued(stage)
    before = (await stage.api.get("/v1/events", params={"limit": 500})).json()["data"]
    assert (await stage.api.put("/v1/tenant/sending", json={"enabled": True})).json()["may_send"] is True
    after = (await stage.api.get("/v1/events", params={"limit": 500})).json()["data"]
    assert [event["kind"] for event in after[len(before) :]] == []
    await stage.settle()
    assert await stage.accepted() == ["a ap@c1.example"]


BARRED = {
    "customer": ("update customer set policy = 'never' where tenant_id = $1", "policy_never"),
    "group": (
        """with g as (insert into customer_group (tenant_id, customer_group_id, ledger_id, code, name, policy)
                      select $1, gen_random_uuid(), ledger_id, 'g', 'G', 'never' from ledger where tenant_id = $1 returning customer_group_id)
           update customer set customer_group_id = (select customer_group_id from g) where tenant_id = $1""",
        "policy_never",
    ),
    "ledger": ("update ledger set policy = 'never', scenario_id = null where tenant_id = $1", "policy_never"),
    "direct debit": ("update customer set collection_method = 'automatic' where tenant_id = $1", "automatic_collection"),
}


@pytest.mark.parametrize("what", BARRED)
async def test_what_no_scenario_is_to_remind_any_more_is_not_reminded(stage: Stage, what: str) -> None:
    """Promises 2.4: set to never, or to direct debit, between queueing and sending: cancelled with the reason, the item free, nothing sent."""
    await stage.open(ONE_STEP)
    await stage.customer()
    item = await stage.invoice()
    action = await queued(stage)
    statement, reason = BARRED[what]
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute(statement, stage.tenant_id)
    await stage.settle()
    whole = await stage.action(str(action["action_id"]))
    assert (whole["state"], whole["reason"], whole["messages"][0]["state"]) == ("cancelled", reason, "cancelled")
    assert (await stage.accepted(), await stage.progress(item)) == ([], [])


@pytest.mark.parametrize("switch", ["collection_method = 'automatic'", "policy = 'never'"])
async def test_one_of_two_items_that_is_no_longer_for_the_scenario_drops_out(stage: Stage, switch: str) -> None:
    """B-14: the rest is told by a new claim."""
    await stage.open(ONE_STEP)
    customer = await stage.customer()
    debited, free = await stage.invoice("100.00"), await stage.invoice("60.00")
    await queued(stage)
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await lock_customers(session, stage.tenant_id, [customer])
        await session.execute(f"update item set {switch} where tenant_id = $1 and item_id = $2", stage.tenant_id, debited)
        await facts_changed(session, stage.tenant_id, [customer], await stage.today())
    await stage.settle()
    assert await stage.progress(debited) == []
    assert await stage.progress(free) == ["a#0 completed 2026-03-02"]
    assert await stage.accepted() == ["a ap@c1.example"]


async def test_an_item_with_a_scenario_of_its_own_is_reminded_although_its_customer_is_not(stage: Stage) -> None:
    """The item's own policy goes before its customer's: what is queued for it leaves."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.invoice()
    await queued(stage)
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute("update item set policy = 'scenario', scenario_id = $2 where tenant_id = $1", stage.tenant_id, stage.scenario_id)
        await session.execute("update customer set policy = 'never' where tenant_id = $1", stage.tenant_id)
    await stage.settle()
    assert await stage.accepted() == ["a ap@c1.example"]


async def test_cancelling_an_action_withdraws_its_mail(stage: Stage) -> None:
    """S2-11: taken back before it left: cancelled with the reason, the claim void; once sent, it is too late."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.invoice()
    action = await queued(stage)
    done = await stage.post(f"/actions/{action['action_id']}/cancel", {"reason": "Wrong price list."})
    assert (done["state"], done["reason"], done["claims"][0]["state"], done["messages"][0]["state"]) == ("cancelled", "Wrong price list.", "void", "cancelled")
    await stage.settle()
    assert await stage.accepted() == []
    await stage.remind()
    sent = (await stage.actions())[-1]
    await stage.post(f"/actions/{sent['action_id']}/cancel", {"reason": "Too late."}, status=409)


async def test_what_was_paid_between_proposal_and_commit_drops_out_and_nothing_is_added(stage: Stage) -> None:
    """B-01, architecture 4.4: the committed proposal asks for less, never for more than a person has seen."""
    await stage.open(ONE_STEP)
    await stage.customer()
    paid, kept = await stage.invoice("100.00"), await stage.invoice("60.00")
    run = await stage.launch()
    await stage.pay("100.00", paid)
    unseen = await stage.invoice("500.00", days_overdue=3)
    await stage.post(f"/runs/{run['run_id']}/commit", status=202)
    await stage.settle()
    assert [await stage.progress(i) for i in (paid, kept, unseen)] == [[], ["a#0 completed 2026-03-02"], []]
    found = await stage.get(f"/runs/{run['run_id']}/customers")
    assert found["data"][0]["outcome"] == "moved"
    await stage.advance(days=1)
    assert await stage.progress(unseen) == ["a#0 completed 2026-03-03"]


async def test_a_proposal_all_paid_before_its_commit_leaves_a_cancelled_action(stage: Stage) -> None:
    """S4-20: the record stays, with the reason."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.invoice()
    run = await stage.launch()
    await stage.pay("100.00")
    await stage.post(f"/runs/{run['run_id']}/commit", status=202)
    await stage.settle()
    (action,) = await stage.actions()
    assert (action["state"], action["reason"], await stage.accepted()) == ("cancelled", "settled", [])


Verdict = Callable[[Session, Clock, OutgoingMessage], Awaitable[Send | Stop | None]]


async def waiting_fence(session: Session, clock: Clock, message: OutgoingMessage) -> Send | Stop | None:
    """The fence of a message that looks alone: it waits for whoever is changing the customer's facts."""
    return (await fence(session, clock, [message], waits=True)).get(message.message_id)


async def shared_fence(session: Session, clock: Clock, message: OutgoingMessage) -> Send | Stop | None:
    """The fence as several messages pass it together: it waits for nobody, and says nothing of a customer whose facts are being changed."""
    return (await fence(session, clock, [message], waits=False)).get(message.message_id)


async def no_fence(session: Session, clock: Clock, message: OutgoingMessage) -> Send | Stop:
    """Look without locking: the broken version that the races must catch."""
    del clock
    owed = await session.value(
        "select sum(amount_minor - allocated_minor) from item where tenant_id = $1 and customer_id = $2", message.tenant_id, message.customer_id
    )
    # The network and the relay lie between this look and the send.
    await asyncio.sleep(0.02)
    return Send() if owed else Stop("settled")


async def race(stage: Stage, verdict: Verdict, rolls: random.Random) -> tuple[int, int, int]:
    """Let payments and fences run against each other; return races, sends, and sends decided after their payment had been written.

    Both say when they were done by the database's clock, as the last thing in their transaction: whoever holds the customer's row is alone with it.
    """
    messages = await stage.tenant.rows("select * from message where tenant_id = $1 and state = 'ready'", stage.tenant_id)
    names = {row["customer_id"]: row["external_id"] for row in await stage.tenant.rows("select * from customer where tenant_id = $1", stage.tenant_id)}
    clock = await stage.tenant.clock()
    paid: dict[object, dt.datetime] = {}
    sent: dict[object, dt.datetime] = {}
    # A payment uses two connections of the pool's sixteen.
    at_once = asyncio.Semaphore(4)

    # How long a payment takes depends on the machine; the offsets are drawn around it, so that both orders happen everywhere.
    took = 0.03

    async def pay(customer_id: object) -> None:
        await asyncio.sleep(rolls.random() * took)
        async with stage.tenant.database.transaction(stage.tenant_id) as session:
            await stage.pay_in(session, "100.00", customer=str(names[customer_id]))
            paid[customer_id] = await session.value("select clock_timestamp()")

    async def send(row: dict[str, object]) -> None:
        await asyncio.sleep(rolls.random() * took * 3)
        ids: Any = {name: row[name] for name in ("message_id", "ledger_id", "customer_id", "action_id", "claim_id")}
        message = OutgoingMessage(
            tenant_id=stage.tenant_id, **ids, notice="main", channel="email", recipient_key="x", audience="customer", is_primary=True, is_copy=False,
            resend_of=None, claim_revision=1,
        )  # fmt: skip
        async with stage.tenant.database.transaction(stage.tenant_id) as session:
            with suppress(asyncpg.LockNotAvailableError):
                if isinstance(await verdict(session, clock, message), Send):
                    sent[row["customer_id"]] = await session.value("select clock_timestamp()")

    async def both(row: dict[str, object]) -> None:
        async with at_once:
            await asyncio.gather(pay(row["customer_id"]), send(row))

    began = time.monotonic()
    await pay(messages[0]["customer_id"])
    took = max(time.monotonic() - began, 0.01)
    await asyncio.gather(*(both(row) for row in messages[1:]))
    wrong = [customer for customer, at in sent.items() if paid[customer] < at]
    return len(messages) - 1, len(sent), len(wrong)


@pytest.mark.parametrize(
    ("verdict", "catches"), [(waiting_fence, False), (shared_fence, False), (no_fence, True)], ids=["fence", "shared fence", "control without a lock"]
)
async def test_nobody_who_paid_before_the_fence_is_reminded(stage: Stage, verdict: Verdict, catches: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """D5: payments commit around the fence at random; a fence that locks never lets a paid one pass, one that only looks does."""
    await stage.open(ONE_STEP)
    for n in range(RACES):
        await stage.customer(f"C{n}")
        await stage.invoice(customer=f"C{n}")
    await stage.launch(commit_at_once=True)
    races, sends, wrong = await race(stage, verdict, random.Random(5))
    print(f"races {races}, sent {sends}, sent although paid {wrong}, seed 5")
    assert races == RACES - 1
    assert sends > 0
    assert (wrong > 0) == catches


async def test_an_emergency_stop_that_has_answered_is_a_stop_that_holds(stage: Stage) -> None:
    """D-21: no fence passes once the stop is committed."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.invoice()
    await queued(stage)
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await tenancy.emergency_stop(session, await stage.tenant.clock(), tenant_id=stage.tenant_id, actor="test", reason="price list")
    await stage.settle()
    assert await stage.accepted() == []
    assert [a["reason"] for a in await stage.actions()] == ["stopped"]
