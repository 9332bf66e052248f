"""Promises: kept and broken are found without anybody looking, and leave their trace (B-36)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from dunning.kit.ids import new_id
from dunning_worker.jobs.watch import watch_agreements
from tests.collection.agreements import action, eur, plan, promise, receive, sound, statuses, told
from tests.collection.stage import Stage, scenario, step

QUIET = scenario(step(1, "a", 200))


async def test_a_promise_is_kept_by_the_payment_and_nobody_has_to_look(stage: Stage) -> None:
    """B-36: kept as soon as what came in reaches the amount less its tolerance; the status goes back and the call is off the list."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item, other = await stage.invoice("100.00"), await stage.invoice("50.00")
    made = await promise(stage, customer, "100.00", item, tolerance_percent=10, note="On the phone")
    assert (made["state"], await statuses(stage, [item, other])) == ("open", ["promised", None])
    await stage.pay("89.99", item)
    await watch_agreements(stage.world, stage.tenant_id)
    assert (await stage.get(f"/promises/{made['promise_id']}"))["state"] == "open"
    await stage.pay("0.01", item)
    await watch_agreements(stage.world, stage.tenant_id)
    kept = await stage.get(f"/promises/{made['promise_id']}")
    assert (kept["state"], kept["received"]["amount"], await statuses(stage, [item])) == ("kept", "90.00", [None])
    assert (await action(stage, kept["follow_up_action_id"]))["state"] == "cancelled"
    assert [event["kind"] for event in await told(stage, "promise.recorded", "promise.kept", "promise.broken")] == ["promise.recorded", "promise.kept"]
    assert [entry["kind"] for entry in kept["history"]] == ["promise.recorded", "promise.kept"]
    await sound(stage)


async def test_what_was_paid_before_and_what_was_taken_back_keep_no_promise(stage: Stage) -> None:
    """Only what comes in after the promise was given counts, and a reversed receipt is as if it had never come."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    await stage.pay("40.00", item)
    made = await promise(stage, customer, "60.00", item)
    await watch_agreements(stage.world, stage.tenant_id)
    assert (await stage.get(f"/promises/{made['promise_id']}"))["received"]["amount"] == "0.00"
    receipt = await stage.pay("60.00", item)
    await stage.post(f"/receipts/{receipt}/reverse", {"reason": "wrong customer"})
    await watch_agreements(stage.world, stage.tenant_id)
    assert (await stage.get(f"/promises/{made['promise_id']}"))["state"] == "open"
    await stage.credit("60.00")
    await watch_agreements(stage.world, stage.tenant_id)
    assert (await stage.get(f"/promises/{made['promise_id']}"))["state"] == "open", "a credit note that is set against nothing is no payment"


async def test_a_promise_is_broken_the_day_after_its_grace(stage: Stage) -> None:
    """B-36: state, status, fact, activity, event; the call for it is due that day."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    made = await promise(stage, customer, "100.00", item, days=3, grace_days=1)
    await stage.pay("30.00", item)
    await stage.advance(days=4)
    assert (await stage.get(f"/promises/{made['promise_id']}"))["state"] == "open"
    await stage.advance(days=1)
    broken = await stage.get(f"/promises/{made['promise_id']}")
    assert (broken["state"], broken["decided_on"], broken["received"]["amount"]) == ("broken", "2026-03-07", "30.00")
    assert await statuses(stage, [item]) == [None]
    facts = await stage.tenant.rows('select kind, item_id, "on" from item_fact where tenant_id = $1', stage.tenant_id)
    assert [tuple(row.values()) for row in facts] == [("promise_broken", item, dt.date(2026, 3, 7))]
    (activity,) = await stage.tenant.rows("select text from activity where tenant_id = $1 and kind = 'promise_broken'", stage.tenant_id)
    assert activity["text"] == "100.00 EUR was promised until 2026-03-05; 30.00 EUR has come in."
    call = await action(stage, broken["follow_up_action_id"])
    assert (call["task_kind"], call["scheduled_on"], call["state"]) == ("call", dt.date(2026, 3, 7), "waiting")
    await sound(stage)


async def test_a_promise_that_pauses_stops_reminding_and_its_breach_fires_its_step(stage: Stage) -> None:
    """B-36: silence until day and grace are over, then the step of the trigger; the control: a promise that does not pause is reminded meanwhile."""
    breach = step(9, "breach", 0, trigger={"kind": "promise_broken", "offset_days": 0})
    await stage.open(scenario(step(1, "a", 1), breach))
    for name, pauses in (("C1", True), ("C2", False)):
        customer = await stage.customer(name)
        await promise(stage, customer, "100.00", await stage.invoice("100.00", customer=name), days=3, grace_days=1, pauses=pauses)
    await stage.remind()
    assert await stage.accepted() == ["a ap@c2.example"]
    await stage.advance(days=4)
    assert await stage.accepted() == ["a ap@c2.example"]
    await stage.advance(days=1)
    assert sorted((await stage.accepted())[1:]) == ["breach ap@c1.example", "breach ap@c2.example"]
    await sound(stage)


async def test_moving_a_promise_keeps_its_history_and_moves_its_call(stage: Stage) -> None:
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    made = await promise(stage, customer, "100.00", item, days=3)
    path = f"/v1/promises/{made['promise_id']}"
    body = {"promised_on": "2026-03-12", "reason": "Their bank is slow."}
    assert (await stage.api.patch(path, json=body)).status_code == 428
    assert (await stage.api.patch(path, json=body, headers={"If-Match": '"9"'})).status_code == 412
    moved = await stage.api.patch(path, json=body, headers={"If-Match": f'"{made["version"]}"'})
    assert moved.status_code == 200, moved.text
    await stage.advance(days=5)
    whole = await stage.get(f"/promises/{made['promise_id']}")
    assert (whole["state"], whole["promised_on"]) == ("open", "2026-03-12")
    event = whole["history"][-1]
    assert (event["kind"], event["data"]["from"], event["data"]["reason"]) == ("promise.moved", {"promised_on": "2026-03-05"}, "Their bank is slow.")
    call = await action(stage, whole["follow_up_action_id"])
    words = "100.00 EUR was promised until 2026-03-12 and has not come in. Call the customer."
    assert (call["scheduled_on"], call["title"], call["task_text"]) == (dt.date(2026, 3, 13), "Promise of 100.00 EUR until 2026-03-12", words)
    assert call["content"]["task_text"] == words
    past = await stage.api.patch(path, json={"promised_on": "2026-03-01"}, headers={"If-Match": "*"})
    assert past.status_code == 422


async def test_a_promise_may_be_reminded_of_before_its_day(stage: Stage) -> None:
    """B-36: the mail leaves some days before; one whose promise is kept by then does not, and no step is completed by it."""
    await stage.open(QUIET)
    customer = await stage.customer()
    other = await stage.customer("C2")
    item, paid = await stage.invoice("100.00"), await stage.invoice("100.00", customer="C2")
    reminder = {"days_before": 2, "template": "claim-01"}
    made = await promise(stage, customer, "100.00", item, days=5, reminder=reminder)
    kept = await promise(stage, other, "100.00", paid, days=5, reminder=reminder)
    await stage.pay("100.00", paid, customer="C2")
    await stage.advance(days=2)
    assert await stage.accepted() == []
    await stage.advance(days=1)
    mails = await stage.tenant.rows(
        "select d.to_email from message m join message_address d using (tenant_id, message_id) where m.tenant_id = $1 and m.state = 'accepted'", stage.tenant_id
    )
    assert [row["to_email"] for row in mails] == ["ap@c1.example"]
    assert (await stage.progress(item), (await action(stage, kept["reminder_action_id"]))["state"]) == ([], "cancelled")
    assert (await action(stage, made["reminder_action_id"]))["state"] == "completed"
    late = await promise(stage, other, "1.00", await stage.invoice("10.00", customer="C2"), days=1, reminder=reminder, status=422)
    assert late["errors"][0]["field"] == "reminder.days_before"


async def test_more_than_is_open_is_refused_with_both_amounts(stage: Stage) -> None:
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    refused = await promise(stage, customer, "100.01", item, status=409)
    assert (refused["code"], refused["promised"], refused["open"]) == ("promise_above_open", "100.01 EUR", "100.00 EUR")
    made = await promise(stage, customer, "100.00", item)
    again = await promise(stage, customer, "10.00", item, status=409)
    assert (again["code"], again["promises"]) == ("already_promised", [{"item_id": str(item), "promise_id": made["promise_id"]}])


async def test_without_items_the_oldest_debts_are_promised_that_the_amount_covers(stage: Stage) -> None:
    await stage.open(QUIET)
    customer = await stage.customer()
    young, old, older = (
        await stage.invoice("100.00", days_overdue=1),
        await stage.invoice("100.00", days_overdue=5),
        await stage.invoice("100.00", days_overdue=9),
    )
    made = await promise(stage, customer, "150.00")
    assert [item["item_id"] for item in made["items"]] == [str(older), str(old)]
    assert await statuses(stage, [young, old, older]) == [None, "promised", "promised"]
    rest = await promise(stage, customer, "100.00")
    assert [item["item_id"] for item in rest["items"]] == [str(young)]


async def test_a_promise_gives_back_the_status_that_an_item_had_before(stage: Stage) -> None:
    """S2-20: whoever files an item keeps it there, whatever the customer promises meanwhile."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    await stage.post("/folders/litigation/items", {"item_ids": [str(item)], "reason": "Handed to counsel"})
    made = await promise(stage, customer, "100.00", item)
    assert await statuses(stage, [item]) == ["promised"]
    await stage.post(f"/promises/{made['promise_id']}/cancel", {"reason": "misheard"})
    assert await statuses(stage, [item]) == ["litigation"]
    await stage.post(f"/promises/{made['promise_id']}/cancel", {"reason": "misheard"}, status=409)
    await sound(stage)


async def test_the_position_shows_what_is_promised_now_and_then(stage: Stage) -> None:
    """B-37: what is promised stays in the balance, and shrinks with what comes in."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    await promise(stage, customer, "80.00", item, days=30)

    async def promised(**days: str) -> tuple[str, str]:
        (found,) = (await stage.get(f"/customers/{customer}/position", **days))["currencies"]
        return found["promised"]["amount"], found["net"]["amount"]

    assert await promised() == ("80.00", "100.00")
    await stage.advance(days=2)
    await stage.pay("50.00", item)
    await stage.settle()
    assert await promised() == ("30.00", "50.00")
    assert await promised(as_of="2026-03-03") == ("80.00", "100.00")
    assert await promised(as_of="2026-03-01") == ("0.00", "100.00")


async def test_money_on_account_that_a_promise_counts_is_not_promised_any_more(stage: Stage) -> None:
    """B-37: each cent once, as the promises themselves say: what is left over for the second one, and on no day before it came in."""
    await stage.open(QUIET)
    customer = await stage.customer()
    items = [await stage.invoice("100.00"), await stage.invoice("50.00")]
    first = await promise(stage, customer, "100.00", items[0], days=30)

    async def promised(**days: str) -> str:
        (found,) = (await stage.get(f"/customers/{customer}/position", **days))["currencies"]
        return str(found["promised"]["amount"])

    await stage.advance(days=2)
    await receive(stage, "60.00", on_account=True)
    await stage.settle()
    assert (await stage.get(f"/promises/{first['promise_id']}"))["received"] == eur("60.00")
    assert [await promised(), await promised(as_of="2026-03-04"), await promised(as_of="2026-03-03")] == ["40.00", "40.00", "100.00"]
    assert await promised(known_on="2026-03-03") == "100.00"
    second = await promise(stage, customer, "50.00", items[1], days=30)
    await stage.settle()
    assert await promised() == "90.00"
    await receive(stage, "60.00", on_account=True)
    await stage.settle()
    found = [await stage.get(f"/promises/{one['promise_id']}") for one in (first, second)]
    assert [(one["state"], one["received"]) for one in found] == [("kept", eur("100.00")), ("open", eur("20.00"))]
    assert await promised() == "30.00"
    await stage.pay("30.00", items[1])
    await stage.settle()
    assert await promised() == "0.00"
    await sound(stage)


async def test_an_invoice_that_is_taken_back_leaves_nothing_to_promise(stage: Stage) -> None:
    """Nobody broke anything: the promise is cancelled, not broken."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    made = await promise(stage, customer, "100.00", item, days=1)
    external = (await stage.get(f"/items/{item}"))["external_id"].rpartition("/")[0]
    body = {
        "customer_external_id": "C1", "number": external[1:], "document_on": "2026-01-30", "due_on": "2026-03-01", "total": eur("100.00"), "state": "void",
    }  # fmt: skip
    answer = await stage.api.put(f"/v1/ledgers/{stage.ledger_id}/documents/{external}", json=body)
    assert answer.status_code == 200, answer.text
    await stage.settle()
    assert (await stage.get(f"/promises/{made['promise_id']}"))["state"] == "cancelled"
    await sound(stage)


REMINDED = {"days_before": 2, "template": "claim-01"}


async def reminders(stage: Stage, made: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the day and state of each reminder of a promise, in the order in which they were made; the promise names the last."""
    rows = await stage.tenant.rows(
        "select action_id, scheduled_on, state from action where tenant_id = $1 and title like 'Reminder of the promise%' order by action_id", stage.tenant_id
    )
    assert (await stage.get(f"/promises/{made['promise_id']}"))["reminder_action_id"] == str(rows[-1]["action_id"])
    return [(row["scheduled_on"].isoformat(), row["state"]) for row in rows]


async def patch(stage: Stage, made: dict[str, Any], status: int = 200, **body: Any) -> dict[str, Any]:
    """Change a promise."""
    answer = await stage.api.patch(f"/v1/promises/{made['promise_id']}", json=body, headers={"If-Match": "*"})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def test_a_promise_that_is_open_again_is_reminded_of_on_its_day(stage: Stage) -> None:
    """B-36: the payment that kept it went back before the reminder's day."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    made = await promise(stage, customer, "100.00", item, days=5, reminder=REMINDED)
    receipt = await stage.pay("100.00", item)
    await stage.settle()
    assert await reminders(stage, made) == [("2026-03-05", "cancelled")]
    await stage.payment_returns(receipt)
    await stage.settle()
    assert await reminders(stage, made) == [("2026-03-05", "cancelled"), ("2026-03-05", "scheduled")]
    await stage.settle()
    assert len(await reminders(stage, made)) == 2, "once"
    await sound(stage)


async def test_no_reminder_is_made_up_for_once_its_day_has_passed(stage: Stage) -> None:
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    made = await promise(stage, customer, "100.00", item, days=5, reminder=REMINDED)
    receipt = await stage.pay("100.00", item)
    await stage.advance(days=4)
    await stage.payment_returns(receipt)
    await stage.settle()
    assert (await stage.get(f"/promises/{made['promise_id']}"))["state"] == "open"
    assert await reminders(stage, made) == [("2026-03-05", "cancelled")]
    assert await stage.accepted() == []


async def test_a_reminder_goes_with_a_day_that_a_hold_puts_off(stage: Stage) -> None:
    """B-36: with an end that is known, and with one that is not until the hold is released."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    made = await promise(stage, customer, "100.00", item, days=5, reminder=REMINDED)
    await stage.advance(days=1)
    await stage.hold(customer_id=customer, until_on=dt.date(2026, 3, 7))
    await stage.settle()
    last_on = dt.date.fromisoformat((await stage.get(f"/promises/{made['promise_id']}"))["last_on"])
    assert await reminders(stage, made) == [(str(last_on - dt.timedelta(days=2)), "scheduled")]
    endless = await stage.hold(customer_id=customer)
    await stage.settle()
    assert [state for _, state in await reminders(stage, made)] == ["cancelled"]
    await stage.advance(days=9)
    assert (await stage.api.delete(f"/v1/holds/{endless}", headers={"Idempotency-Key": str(new_id())})).status_code in (200, 204)
    await stage.settle()
    found = await stage.get(f"/promises/{made['promise_id']}")
    day = str(dt.date.fromisoformat(found["last_on"]) - dt.timedelta(days=2))
    assert [(found["state"], found["reason"]), (await reminders(stage, made))[-1]] == [("open", None), (day, "scheduled")]
    await stage.advance(days=(dt.date.fromisoformat(day) - await stage.today()).days + 1)
    assert [state for _, state in await reminders(stage, made)] == ["cancelled", "completed"]
    await sound(stage)


async def test_a_promise_that_is_moved_is_reminded_of_before_its_new_day(stage: Stage) -> None:
    """B-36: after its reminder has left, and before; one whose new day has passed is not."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    made = await promise(stage, customer, "100.00", item, days=5, reminder=REMINDED)
    await stage.advance(days=4)
    assert await reminders(stage, made) == [("2026-03-05", "completed")]
    await patch(stage, made, grace_days=1)
    assert len(await reminders(stage, made)) == 1
    await patch(stage, made, promised_on="2026-03-20")
    assert await reminders(stage, made) == [("2026-03-05", "completed"), ("2026-03-18", "scheduled")]
    await patch(stage, made, promised_on="2026-03-25")
    assert await reminders(stage, made) == [("2026-03-05", "completed"), ("2026-03-23", "scheduled")]
    await patch(stage, made, promised_on="2026-03-07")
    assert await reminders(stage, made) == [("2026-03-05", "completed"), ("2026-03-23", "cancelled")]
    await patch(stage, made, promised_on="2026-03-10")
    assert await reminders(stage, made) == [("2026-03-05", "completed"), ("2026-03-23", "cancelled"), ("2026-03-08", "scheduled")]
    await sound(stage)


async def test_a_reminder_that_somebody_took_back_stays_away(stage: Stage) -> None:
    await stage.open(QUIET)
    customer = await stage.customer()
    made = await promise(stage, customer, "100.00", await stage.invoice("100.00"), days=5, reminder=REMINDED)
    await stage.post(f"/actions/{made['reminder_action_id']}/cancel", {"reason": "They were told."})
    await patch(stage, made, promised_on="2026-03-20")
    assert await reminders(stage, made) == [("2026-03-05", "cancelled")]


async def test_a_call_that_somebody_renamed_keeps_its_words_when_its_promise_moves(stage: Stage) -> None:
    await stage.open(QUIET)
    customer = await stage.customer()
    made = await promise(stage, customer, "100.00", await stage.invoice("100.00"), days=3)
    path = f"/v1/actions/{made['follow_up_action_id']}"
    renamed = await stage.api.patch(path, json={"title": "Ask Ms Rossi"}, headers={"If-Match": "*"})
    assert renamed.status_code == 200, renamed.text
    await patch(stage, made, promised_on="2026-03-12")
    call = await action(stage, made["follow_up_action_id"])
    assert (call["scheduled_on"], call["title"], "2026-03-05" in call["task_text"]) == (dt.date(2026, 3, 13), "Ask Ms Rossi", True)


async def test_a_tolerance_of_all_of_it_is_refused(stage: Stage) -> None:
    """B-36: below, at and above; the greatest that is taken keeps no promise with nothing received."""
    await stage.open(QUIET)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    for percent in (100, 101):
        refused = await promise(stage, customer, "100.00", item, tolerance_percent=percent, status=422)
        assert "tolerance_percent" in refused["errors"][0]["field"]
        rhythm = {"count": 2, "first_on": "2026-03-10"}
        await plan(stage, customer, item_ids=[str(item)], rhythm=rhythm, tolerance_percent=percent, status=422)
        said = {"amount": eur("100.00"), "promised_on": "2026-03-10", "tolerance_percent": percent}
        await stage.post(f"/customers/{customer}/activities", {"kind": "call", "outcome": "promised", "promise": said}, status=422)
    made = await promise(stage, customer, "100.00", item, tolerance_percent=99)
    await patch(stage, made, status=422, tolerance_percent=100)
    await stage.settle()
    assert (await stage.get(f"/promises/{made['promise_id']}"))["state"] == "open"
    await stage.pay("1.00", item)
    await stage.settle()
    assert (await stage.get(f"/promises/{made['promise_id']}"))["state"] == "kept"
