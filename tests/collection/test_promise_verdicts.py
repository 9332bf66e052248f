"""Verdicts that follow the books: returned, booked late, on account, disputed meanwhile; each through the API and the worker (B-36, B-37)."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any
from uuid import UUID

from dunning.kit.database import statement_log
from dunning_worker.jobs.watch import watch_agreements
from tests.collection.agreements import action, dispute, plan, promise, receive, sound, statuses, told
from tests.collection.stage import Stage, scenario, step

BREACH = step(9, "breach", 0, trigger={"kind": "promise_broken", "offset_days": 0})
QUIET = scenario(step(1, "a", 200))
TWO = scenario(step(1, "a", 1), BREACH)
ON_BREACH = scenario(step(1, "a", 200), BREACH)


async def now(stage: Stage, made: dict[str, Any]) -> dict[str, Any]:
    """Return a promise as it is, once the worker has looked."""
    await stage.settle()
    return dict(await stage.get(f"/promises/{made['promise_id']}"))


async def open_promise(stage: Stage, content: Any = QUIET, **terms: Any) -> tuple[dict[str, Any], UUID]:
    """Open the company, with an invoice of 100.00 that is promised."""
    await stage.open(content)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    return await promise(stage, customer, "100.00", item, **terms), item


async def test_a_payment_returned_before_the_last_day_opens_the_promise_again(stage: Stage) -> None:
    """Paid on the first day, returned on the second, promised for the third: it pauses again, and is kept or broken anew."""
    made, item = await open_promise(stage, TWO, days=2)
    receipt = await stage.pay("100.00", item)
    assert (await now(stage, made))["state"] == "kept"
    await stage.advance(days=1)
    await stage.payment_returns(receipt)
    again = await now(stage, made)
    assert (again["state"], again["reason"], again["decided_on"], again["received"]["amount"]) == ("open", None, None, "0.00")
    assert await statuses(stage, [item]) == ["promised"]
    call = await action(stage, again["follow_up_action_id"])
    assert (call["state"], call["scheduled_on"], call["task_kind"]) == ("waiting", dt.date(2026, 3, 5), "call")
    assert [row["item_id"] for row in await stage.tenant.rows("select item_id from action_item where action_id = $1", call["action_id"])] == [item]
    await stage.remind()
    assert await stage.accepted() == [], "nobody reminds before its last day"
    assert [event["kind"] for event in await told(stage, "promise.kept", "promise.reopened", "promise.broken")] == ["promise.kept", "promise.reopened"]
    shown = [entry["data"] for entry in (await stage.get(f"/customers/{made['customer_id']}/timeline", kind="activity"))["data"]]
    assert [(entry["kind"], entry["text"]) for entry in shown] == [
        ("promise_reopened", "100.00 EUR was promised until 2026-03-04; 0.00 EUR has come in. The promise is open again until 2026-03-04.")
    ]
    await stage.advance(days=2)
    broken = await now(stage, made)
    assert (broken["state"], broken["reason"]) == ("broken", "payment_returned")
    assert await stage.accepted() == ["breach ap@c1.example"]
    await sound(stage)


async def test_what_is_paid_once_more_in_time_keeps_the_reopened_promise(stage: Stage) -> None:
    made, item = await open_promise(stage, days=5)
    receipt = await stage.pay("100.00", item)
    await stage.settle()
    await stage.payment_returns(receipt)
    assert (await now(stage, made))["state"] == "open"
    await stage.pay("100.00", item)
    kept = await now(stage, made)
    assert (kept["state"], kept["reason"], await statuses(stage, [item])) == ("kept", "paid", [None])
    assert (await action(stage, kept["follow_up_action_id"]))["state"] == "cancelled"
    await sound(stage)


async def test_a_payment_returned_after_the_last_day_breaks_the_promise_once(stage: Stage) -> None:
    """It was kept; the return breaks it, with its own reason, and its step fires once, on the day of the return."""
    made, item = await open_promise(stage, ON_BREACH, days=2)
    receipt = await stage.pay("100.00", item)
    await stage.advance(days=3)
    assert (await now(stage, made))["state"] == "kept", "the control: it stays kept while nothing happens"
    await stage.payment_returns(receipt)
    broken = await now(stage, made)
    assert (broken["state"], broken["reason"], broken["decided_on"]) == ("broken", "payment_returned", "2026-03-05")
    (event,) = await told(stage, "promise.broken")
    assert (event["data"]["reason"], event["data"]["was"]) == ("payment_returned", "kept")
    call = await action(stage, broken["follow_up_action_id"])
    assert (call["state"], call["scheduled_on"]) == ("waiting", dt.date(2026, 3, 5))
    await stage.remind()
    await stage.advance(days=3)
    assert await stage.accepted() == ["breach ap@c1.example"]
    facts = await stage.tenant.rows('select "on" from item_fact where tenant_id = $1', stage.tenant_id)
    assert [row["on"] for row in facts] == [dt.date(2026, 3, 5)]
    await sound(stage)


async def test_a_receipt_booked_by_mistake_kept_nothing(stage: Stage) -> None:
    """Reversed after the last day: the money never came, so that the promise was not paid."""
    made, item = await open_promise(stage, days=2)
    receipt = await stage.pay("100.00", item)
    await stage.advance(days=3)
    await stage.post(f"/receipts/{receipt}/reverse", {"reason": "another customer's"})
    assert ((await now(stage, made))["state"], (await now(stage, made))["reason"]) == ("broken", "not_paid")
    await sound(stage)


async def test_money_dated_in_time_and_booked_late_mends_a_broken_promise(stage: Stage) -> None:
    """Received on the promised day, booked two days later: kept; call and waiting letter go, priority forgets it, what was sent stays."""
    letter = step(9, "breach", 0, trigger={"kind": "promise_broken", "offset_days": 0}, mode="approve")
    await stage.open(scenario(step(1, "a", 200), letter))
    customer = await stage.customer()
    item = await stage.invoice("200.00")
    made = await promise(stage, customer, "100.00", item, days=2)
    await stage.advance(days=3)
    broken = await now(stage, made)
    assert (broken["state"], broken["reason"]) == ("broken", "not_paid")
    (waiting,) = await stage.actions(state="awaiting_approval")

    async def points() -> int:
        (row,) = (await stage.get(f"/call-lists/{await stage.today()}"))["data"]
        (part,) = [part for part in row["parts"] if part["name"] == "broken_promises"]
        return int(part["points"])

    assert await points() == 30
    await stage.advance(days=1)
    await receive(stage, "99.99", item, on="2026-03-04")
    assert (await now(stage, made))["state"] == "broken", "the control: a cent too little"
    await receive(stage, "0.01", item, on="2026-03-04")
    kept = await now(stage, made)
    assert (kept["state"], kept["reason"], kept["paid_on"], kept["decided_on"]) == ("kept", "paid", "2026-03-04", "2026-03-06")
    assert (await action(stage, kept["follow_up_action_id"]))["state"] == "cancelled"
    await stage.post("/call-tasks", {"customer_ids": [str(customer)]})
    assert await points() == 0
    assert (await action(stage, waiting["action_id"]))["reason"] == "promise_kept"
    event = (await told(stage, "promise.kept"))[-1]
    assert (event["data"]["was"], event["data"]["paid_on"]) == ("broken", "2026-03-04")
    assert [entry["kind"] for entry in kept["history"]] == ["promise.recorded", "promise.broken", "promise.kept"]
    await stage.remind()
    assert [one["step_code"] for one in await stage.actions(state="awaiting_approval")] == []
    await sound(stage)


async def test_money_dated_after_the_last_day_mends_nothing(stage: Stage) -> None:
    made, item = await open_promise(stage, days=2)
    await stage.advance(days=4)
    await receive(stage, "100.00", item, on="2026-03-05")
    broken = await now(stage, made)
    assert (broken["state"], broken["received"]["amount"]) == ("broken", "0.00")
    await sound(stage)


async def test_the_mail_about_a_broken_promise_that_has_left_stays_and_no_second_one_follows(stage: Stage) -> None:
    made, item = await open_promise(stage, ON_BREACH, days=2)
    await stage.advance(days=3)
    assert await stage.accepted() == ["breach ap@c1.example"]
    await receive(stage, "100.00", item, on="2026-03-04")
    assert (await now(stage, made))["state"] == "kept"
    await stage.advance(days=5)
    assert await stage.accepted() == ["breach ap@c1.example"]
    await sound(stage)


async def test_money_on_account_counts_for_the_oldest_promise_first(stage: Stage) -> None:
    """150.00 on account: the older promise of 100.00 is kept, the other one has 50.00; allocated to it, the rest is found as well."""
    made, _ = await open_promise(stage, days=5)
    customer = UUID(made["customer_id"])
    second = await stage.invoice("100.00")
    later = await promise(stage, customer, "100.00", second, days=3)
    before = await stage.invoice("30.00", days_overdue=90)
    receipt = await receive(stage, "150.00", on_account=True)
    found = [await now(stage, one) for one in (made, later)]
    assert [(one["state"], one["received"]["amount"]) for one in found] == [("kept", "100.00"), ("open", "50.00")]
    await receive(stage, "50.00", on_account=True)
    assert (await now(stage, later))["state"] == "kept"
    allocation = [{"item_id": str(before), "amount": {"amount": "30.00", "currency": "EUR"}}]
    await stage.post(f"/receipts/{receipt}/allocations", {"allocation": allocation}, status=201)
    found = [await now(stage, one) for one in (made, later)]
    assert [(one["state"], one["received"]["amount"]) for one in found] == [("kept", "100.00"), ("open", "70.00")], "spent on something else"
    await sound(stage)


async def test_money_that_has_kept_a_promise_stays_with_it(stage: Stage) -> None:
    """Also with one that waited for a dispute: each cent counts once, whatever comes later for an older one."""
    await stage.open(QUIET)
    customer = await stage.customer()
    first, second = await stage.invoice("100.00"), await stage.invoice("50.00")
    older, younger = await promise(stage, customer, "100.00", first, days=0), await promise(stage, customer, "50.00", second, days=0)
    await dispute(stage, second)
    await receive(stage, "50.00", on_account=True)
    assert [(await now(stage, one))["received"]["amount"] for one in (older, younger)] == ["50.00", "0.00"]
    await stage.advance(days=1)
    assert [(one["state"], one["last_on"]) for one in [await now(stage, one) for one in (older, younger)]] == [("broken", "2026-03-02"), ("kept", None)]
    await receive(stage, "50.00", first, on="2026-03-02")
    assert [(await now(stage, one))["state"] for one in (older, younger)] == ["broken", "kept"]
    await sound(stage)


async def test_what_lay_on_account_before_the_promise_does_not_count(stage: Stage) -> None:
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    await receive(stage, "40.00", on_account=True)
    made = await promise(stage, customer, "60.00", item)
    assert (await now(stage, made))["received"]["amount"] == "0.00"
    await receive(stage, "60.00", on_account=True)
    assert (await now(stage, made))["state"] == "kept"


async def test_a_promise_all_of_which_is_disputed_waits_and_goes_on_after_the_dispute(stage: Stage) -> None:
    """No call meanwhile; the days of the dispute are added to its last one, and the call comes the day after that."""
    made, item = await open_promise(stage, days=2)
    await stage.advance(days=1)
    raised = await dispute(stage, item)
    waiting = await now(stage, made)
    assert (waiting["state"], waiting["reason"], waiting["last_on"]) == ("open", "disputed", None)
    assert (await action(stage, made["follow_up_action_id"]))["reason"] == "promise_waits"
    assert (await stage.get(f"/call-lists/{dt.date(2026, 12, 31)}"))["data"] == []
    await stage.advance(days=9)
    assert (await now(stage, made))["state"] == "open"
    await stage.post(f"/disputes/{raised['dispute_id']}/resolve", {"resolution": "rejected"})
    resumed = await now(stage, made)
    assert (resumed["state"], resumed["reason"], resumed["last_on"]) == ("open", None, "2026-03-14"), "the 3rd to the 12th, ten days"
    assert (await action(stage, resumed["follow_up_action_id"]))["scheduled_on"] == dt.date(2026, 3, 15)
    assert [event["kind"] for event in await told(stage, "promise.waits", "promise.put_off")] == ["promise.waits", "promise.put_off"]
    await stage.advance(days=2)
    assert (await now(stage, made))["state"] == "open"
    await stage.advance(days=1)
    assert (await now(stage, made))["state"] == "broken"
    await sound(stage)


async def test_the_verdict_is_about_what_is_not_disputed(stage: Stage) -> None:
    """Two items promised, one disputed: the other is paid, so that the promise is kept; what becomes of the dispute changes nothing."""
    await stage.open(QUIET)
    customer = await stage.customer()
    paid, contested = await stage.invoice("60.00"), await stage.invoice("40.00")
    made = await promise(stage, customer, "100.00", paid, contested, days=2)
    raised = await dispute(stage, contested)
    await stage.pay("60.00", paid)
    assert (await now(stage, made))["state"] == "open", "the dispute may be over before the last day"
    await stage.advance(days=3)
    kept = await now(stage, made)
    assert (kept["state"], kept["reason"], kept["received"]["amount"]) == ("kept", "rest_paid", "60.00")
    await stage.post(f"/disputes/{raised['dispute_id']}/resolve", {"resolution": "rejected"})
    assert (await now(stage, made))["state"] == "kept"
    await sound(stage)


async def test_what_is_not_disputed_and_not_paid_breaks_the_promise(stage: Stage) -> None:
    await stage.open(QUIET)
    customer = await stage.customer()
    items = await stage.invoice("60.00"), await stage.invoice("40.00")
    made = await promise(stage, customer, "100.00", *items, days=2)
    await dispute(stage, items[1])
    await stage.advance(days=3)
    assert (await now(stage, made))["state"] == "broken"
    await sound(stage)


async def test_a_hold_set_after_a_promise_puts_it_off_and_one_from_before_does_not(stage: Stage) -> None:
    """Who holds a customer does not ask it; who takes a promise knows of the holds that there are. What a return holds is asked for."""
    await stage.open(QUIET, return_hold_days=30)
    held, holding, returning = await stage.customer("C1"), await stage.customer("C2"), await stage.customer("C3")
    items = [await stage.invoice("100.00", customer=name) for name in ("C1", "C2", "C3")]
    await stage.hold(customer_id=held, until_on=dt.date(2026, 3, 20))
    made = [await promise(stage, customer, "100.00", item, days=2) for customer, item in zip((held, holding, returning), items, strict=True)]
    await stage.hold(item_id=items[1], until_on=dt.date(2026, 3, 6), reason="holidays")
    receipt = await stage.pay("100.00", items[2], customer="C3")
    await stage.settle()
    await stage.payment_returns(receipt)
    assert [(await now(stage, one))["last_on"] for one in made] == ["2026-03-04", "2026-03-09", "2026-03-04"]
    assert [(await now(stage, one))["reason"] for one in made] == [None, "held", None]
    await stage.advance(days=5)
    assert [(one["state"], one["reason"]) for one in [await now(stage, one) for one in made]] == [
        ("broken", "not_paid"), ("open", None), ("broken", "payment_returned"),
    ]  # fmt: skip
    await sound(stage)


async def test_moving_a_promise_after_a_dispute_counts_from_the_new_day(stage: Stage) -> None:
    """What was disputed before the new day was agreed on does not put it off once more."""
    made, item = await open_promise(stage, days=2)
    raised = await dispute(stage, item)
    await stage.advance(days=6)
    await stage.post(f"/disputes/{raised['dispute_id']}/resolve", {"resolution": "rejected"})
    await stage.settle()
    moved = await stage.api.patch(f"/v1/promises/{made['promise_id']}", json={"promised_on": "2026-03-20"}, headers={"If-Match": "*"})
    assert moved.status_code == 200, moved.text
    found = await now(stage, made)
    assert (found["last_on"], (await action(stage, found["follow_up_action_id"]))["scheduled_on"]) == ("2026-03-20", dt.date(2026, 3, 21))


async def test_a_plan_goes_on_when_the_missing_instalment_turns_up_in_time(stage: Stage) -> None:
    """Broken with what follows it, and active again with all of it; its items are promised, its call is for the last day."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("90.00")
    made = await plan(stage, customer, item_ids=[str(item)], rhythm={"count": 3, "first_on": "2026-03-04", "every_days": 7})
    await stage.advance(days=3)
    broken = await stage.get(f"/payment-plans/{made['plan_id']}")
    assert (broken["state"], [(one["state"], one["reason"]) for one in broken["instalments"]]) == (
        "broken", [("broken", "not_paid"), ("cancelled", "plan_broken"), ("cancelled", "plan_broken")],
    )  # fmt: skip
    receipt = await receive(stage, "30.00", item, on="2026-03-04")
    await stage.settle()
    again = await stage.get(f"/payment-plans/{made['plan_id']}")
    assert (again["state"], again["ended_on"], [one["state"] for one in again["instalments"]]) == ("active", None, ["kept", "open", "open"])
    assert await statuses(stage, [item]) == ["promised"]
    call = await action(stage, again["instalments"][-1]["follow_up_action_id"])
    assert (call["state"], call["scheduled_on"]) == ("waiting", dt.date(2026, 3, 19))
    assert [event["kind"] for event in await told(stage, "payment_plan.broken", "payment_plan.reopened")] == ["payment_plan.broken", "payment_plan.reopened"]
    await stage.payment_returns(UUID(receipt))
    await stage.settle()
    last = await stage.get(f"/payment-plans/{made['plan_id']}")
    assert (last["state"], last["instalments"][0]["reason"]) == ("broken", "payment_returned")
    await sound(stage)


async def test_a_promise_given_anew_closes_the_book_on_the_earlier_one(stage: Stage) -> None:
    """The new one holds the item; late money can still show that the old one was kept, and then nothing is left to promise."""
    made, item = await open_promise(stage, days=2)
    await stage.advance(days=3)
    anew = await promise(stage, UUID(made["customer_id"]), "100.00", item, days=5)
    await receive(stage, "100.00", item, on="2026-03-04")
    found = [await now(stage, one) for one in (made, anew)]
    assert [(one["state"], one["reason"]) for one in found] == [("kept", "paid"), ("cancelled", "nothing_owed")]
    await sound(stage)


async def test_lists_and_looks_take_the_same_statements_for_one_as_for_many(stage: Stage) -> None:
    """Promises, plans, disputes and blocks; and a look that breaks, reopens and puts off the promises of one customer or of several."""
    await stage.open(QUIET)

    async def counted(work: Any) -> int:
        log: list[str] = []
        token = statement_log.set(log)
        await work()
        statement_log.reset(token)
        return len(log)

    async def lists() -> list[int]:
        paths = ("/promises", "/payment-plans", "/disputes?needs_attention=true", "/account-blocks")
        return [await counted(lambda path=path: stage.api.get(f"/v1{path}")) for path in paths]

    async def town(names: list[str]) -> list[int]:
        """Let customers promise, be blocked, dispute and have their payments returned, and return what the looks at them cost."""
        today = await stage.today()
        costs = []
        raised, receipts = [], []
        for name in names:
            customer = await stage.customer(name)
            items = [await stage.invoice("90.00", customer=name) for _ in range(4)]
            for item in items[:2]:
                await promise(stage, customer, "90.00", item, days=1)
            await plan(stage, customer, item_ids=[str(items[2])], rhythm={"count": 2, "first_on": str(today + dt.timedelta(days=1))})
            raised.append(await dispute(stage, items[1]))
            await stage.post("/account-blocks", {"customer_id": str(customer), "degree": "full", "reason": "x", "item_ids": [str(items[0])]}, status=201)
            receipts.append(await stage.pay("90.00", items[0], customer=name))
        for one in raised:
            await stage.post(f"/actions/{one['follow_up_action_id']}/cancel", {"reason": "x"})
        costs.append(await counted(partial(watch_agreements, stage.world, stage.tenant_id)))
        for receipt in receipts:
            await stage.payment_returns(receipt)
        costs.append(await counted(partial(watch_agreements, stage.world, stage.tenant_id)))
        await stage.tenant.set_clock((await stage.tenant.clock()).now() + dt.timedelta(days=3))
        costs.append(await counted(partial(watch_agreements, stage.world, stage.tenant_id)))
        return costs

    await town(["B1"])  # The first look of a process reads the scenario versions that it keeps from then on.
    few_looks, few = await town(["C1"]), await lists()
    many_looks, many = await town([f"D{n}" for n in range(4)]), await lists()
    assert few == many
    assert max(few) <= 6
    assert few_looks == many_looks
