"""Payment plans: instalments to the cent; one that is missing breaks the rest (B-38)."""

from __future__ import annotations

import datetime as dt

import pytest

from dunning_worker.jobs.watch import watch_agreements
from tests.collection.agreements import action, eur, plan, promise, receive, sound, statuses, told
from tests.collection.stage import Stage, scenario, step

QUIET = scenario(step(1, "a", 200))


async def test_equal_instalments_add_up_to_the_cent(stage: Stage) -> None:
    """B-38: what does not divide goes to the first ones; what must have come in by then runs up."""
    await stage.open(QUIET)
    customer = await stage.customer()
    items = [await stage.invoice("60.00"), await stage.invoice("40.00")]
    made = await plan(stage, customer, item_ids=[str(i) for i in items], rhythm={"count": 3, "first_on": "2026-03-31"})
    assert [(p["promised_on"], p["amount"]["amount"], p["due_by_then"]["amount"]) for p in made["instalments"]] == [
        ("2026-03-31", "33.34", "33.34"),
        ("2026-04-30", "33.33", "66.67"),
        ("2026-05-31", "33.33", "100.00"),
    ]
    assert (made["state"], made["total"], await statuses(stage, items)) == ("active", eur("100.00"), ["promised", "promised"])
    await sound(stage)


async def test_given_instalments_must_add_up(stage: Stage) -> None:
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    parts = [{"promised_on": "2026-03-10", "amount": eur("50.00")}, {"promised_on": "2026-03-20", "amount": eur("49.99")}]
    refused = await plan(stage, customer, item_ids=[str(item)], total=eur("100.00"), instalments=parts, status=422)
    assert (refused["instalments"], refused["total"]) == ("99.99 EUR", "100.00 EUR")
    parts[1] = {"promised_on": "2026-03-10", "amount": eur("50.00")}
    assert "rising" in (await plan(stage, customer, item_ids=[str(item)], instalments=parts, status=422))["detail"]
    over = [{"promised_on": "2026-03-10", "amount": eur("60.00")}, {"promised_on": "2026-03-20", "amount": eur("60.00")}]
    assert (await plan(stage, customer, item_ids=[str(item)], total=eur("120.00"), instalments=over, status=409))["code"] == "promise_above_open"
    parts[1]["promised_on"] = "2026-03-20"
    assert (await plan(stage, customer, item_ids=[str(item)], instalments=parts))["state"] == "active"


async def test_payments_keep_instalments_one_after_the_other(stage: Stage) -> None:
    """A payment counts once: the second instalment is kept when what came in reaches both."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    made = await plan(stage, customer, rhythm={"count": 2, "first_on": "2026-03-10", "every_days": 10}, currency="EUR")

    async def states() -> tuple[str, list[str]]:
        found = await stage.get(f"/payment-plans/{made['plan_id']}")
        return found["state"], [p["state"] for p in found["instalments"]]

    await stage.pay("50.00", item)
    await watch_agreements(stage.world, stage.tenant_id)
    assert await states() == ("active", ["kept", "open"])
    assert await statuses(stage, [item]) == ["promised"], "the plan goes on"
    await stage.pay("49.99", item)
    await watch_agreements(stage.world, stage.tenant_id)
    assert await states() == ("active", ["kept", "open"])
    await stage.pay("0.01", item)
    await watch_agreements(stage.world, stage.tenant_id)
    assert await states() == ("kept", ["kept", "kept"])
    assert [e["kind"] for e in await told(stage, "payment_plan.agreed", "payment_plan.kept")] == ["payment_plan.agreed", "payment_plan.kept"]
    await sound(stage)


async def test_a_missing_instalment_breaks_the_plan_and_ends_the_rest(stage: Stage) -> None:
    """B-38: broken at the first that is missing; the status goes back, the fact is there once, the call comes at once."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("90.00")
    made = await plan(stage, customer, item_ids=[str(item)], rhythm={"count": 3, "first_on": "2026-03-05", "every_days": 7})
    await stage.pay("30.00", item)
    await stage.advance(days=11)
    found = await stage.get(f"/payment-plans/{made['plan_id']}")
    assert (found["state"], [p["state"] for p in found["instalments"]]) == ("broken", ["kept", "broken", "cancelled"])
    assert await statuses(stage, [item]) == [None]
    assert await stage.tenant.value("select count(*) from item_fact where tenant_id = $1", stage.tenant_id) == 1
    call = await action(stage, found["instalments"][-1]["follow_up_action_id"])
    assert (call["scheduled_on"].isoformat(), call["state"]) == ("2026-03-13", "waiting")
    told_to_call = "Instalment 2 of the payment plan, 30.00 EUR, was promised until 2026-03-12 and has not come in. Call the customer."
    assert (call["title"], call["task_text"]) == ("Instalment of 30.00 EUR until 2026-03-12", told_to_call)
    await sound(stage)


async def test_the_call_about_a_broken_plan_says_what_of_which_instalment_is_missing(stage: Stage) -> None:
    """B-38: 100 of 300 came in, and a part of the second instalment, whose day it was; with the plan active again the call is about the whole of it."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("300.00")
    made = await plan(stage, customer, item_ids=[str(item)], rhythm={"count": 3, "first_on": "2026-03-03", "every_days": 10})
    await stage.pay("130.00", item)
    await stage.advance(days=12)
    path = f"/payment-plans/{made['plan_id']}"
    assert (await stage.get(path))["state"] == "broken"
    call = await action(stage, made["instalments"][-1]["follow_up_action_id"])
    words = "Instalment 2 of the payment plan, 100.00 EUR, was promised until 2026-03-13; 70.00 EUR of it has not come in. Call the customer."
    assert (call["state"], call["title"], call["task_text"]) == ("waiting", "Instalment of 100.00 EUR until 2026-03-13", words)
    await receive(stage, "70.00", item, on="2026-03-12")
    await stage.settle()
    found = await stage.get(path)
    call = await action(stage, found["instalments"][-1]["follow_up_action_id"])
    words = "300.00 EUR was promised until 2026-03-23 and has not come in. Call the customer."
    assert (found["state"], call["title"], call["task_text"]) == ("active", "Promise of 300.00 EUR until 2026-03-23", words)
    await sound(stage)


async def test_the_call_about_a_broken_promise_says_what_of_it_is_missing(stage: Stage) -> None:
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    made = await promise(stage, customer, "100.00", item, days=3)
    await stage.pay("40.00", item)
    await stage.advance(days=4)
    call = await action(stage, made["follow_up_action_id"])
    words = "100.00 EUR was promised until 2026-03-05; 60.00 EUR of it has not come in. Call the customer."
    assert (call["state"], call["title"], call["task_text"]) == ("waiting", "Promise of 100.00 EUR until 2026-03-05", words)


@pytest.mark.parametrize("again", ["new_promise", "new_payment_plan"])
async def test_what_is_agreed_anew_ends_the_call_about_what_was_broken(stage: Stage, again: str) -> None:
    """B-38: the customer is on the call list for it no longer; while something of it is not agreed on, the call stays."""
    await stage.open(QUIET)
    customer = await stage.customer()
    items = [await stage.invoice("100.00"), await stage.invoice("100.00")]
    plan_of_both = await plan(stage, customer, item_ids=[str(i) for i in items], rhythm={"count": 2, "first_on": "2026-03-03", "every_days": 10})
    call_id = plan_of_both["instalments"][-1]["follow_up_action_id"]
    await stage.advance(days=2)
    assert (await stage.get(f"/payment-plans/{plan_of_both['plan_id']}"))["state"] == "broken"
    await promise(stage, customer, "100.00", items[0], days=9)
    await stage.settle()
    assert (await action(stage, call_id))["state"] == "waiting", "half of it is not promised"
    if again == "new_promise":
        await promise(stage, customer, "100.00", items[1], days=9)
    else:
        await plan(stage, customer, item_ids=[str(items[1])], rhythm={"count": 2, "first_on": str((await stage.today()) + dt.timedelta(days=8))})
    await stage.settle()
    call = await action(stage, call_id)
    assert (call["state"], call["reason"]) == ("cancelled", again)
    assert (await stage.get(f"/call-lists/{await stage.today()}", everybody=True))["data"] == []
    await sound(stage)


async def test_a_plan_can_be_taken_back_once(stage: Stage) -> None:
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("90.00")
    made = await plan(stage, customer, item_ids=[str(item)], rhythm={"count": 3, "first_on": "2026-03-05"})
    single = made["instalments"][0]["promise_id"]
    assert "instalment 1 of a payment plan" in (await stage.post(f"/promises/{single}/cancel", {"reason": "x"}, status=422))["detail"]
    ended = await stage.post(f"/payment-plans/{made['plan_id']}/cancel", {"reason": "They pay at once."})
    assert (ended["state"], {p["state"] for p in ended["instalments"]}, await statuses(stage, [item])) == ("cancelled", {"cancelled"}, [None])
    await stage.post(f"/payment-plans/{made['plan_id']}/cancel", {"reason": "again"}, status=409)
    await sound(stage)
