"""Disputes: excluded through a follow-up, still in every balance, resolved by a word or by its task (S4-04, B-37)."""

from __future__ import annotations

import datetime as dt

from dunning_worker.jobs.watch import watch_agreements
from tests.collection.agreements import action, dispute, eur, promise, sound, statuses, told
from tests.collection.stage import Stage, scenario, step

ONE_STEP = scenario(step(1, "a", 1))


async def test_a_dispute_sets_the_status_and_makes_its_follow_up_in_one_go(stage: Stage) -> None:
    """S4-04, S4-05: status, exclusion, task at the status's delay, event; no scenario message lists the items, the others are reminded."""
    await stage.open(ONE_STEP)
    await stage.customer()
    contested, plain = await stage.invoice("100.00"), await stage.invoice("60.00")
    made = await dispute(stage, contested, reason="goods_damaged", text="Two boxes were wet.", source="customer")
    assert (made["state"], made["deadline_on"], await statuses(stage, [contested, plain])) == ("open", "2026-03-16", ["disputed", None])
    task = await action(stage, made["follow_up_action_id"])
    assert (task["origin"], task["kind"], task["scheduled_on"]) == ("specific", "task", dt.date(2026, 3, 16))
    await stage.remind()
    assert await stage.accepted() == ["a ap@c1.example"]
    assert (await stage.progress(contested), await stage.progress(plain)) == ([], ["a#0 completed 2026-03-02"])
    (comment,) = (await stage.get(f"/items/{contested}/comments"))["data"]
    assert (comment["previous_status_code"], comment["status_code"], comment["text"], comment["source"]) == (
        "ongoing", "disputed", "Two boxes were wet.", "dispute",
    )  # fmt: skip
    await sound(stage)


async def test_what_is_disputed_after_the_decision_is_not_sent(stage: Stage) -> None:
    """S4-04: a dispute raised between the decision and the mail stops the mail; the control: without it the mail leaves."""
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.customer("C2")
    contested = await stage.invoice("100.00")
    await stage.invoice("70.00", customer="C2")
    await stage.launch(commit_at_once=True)
    await dispute(stage, contested)
    await stage.settle()
    assert await stage.accepted() == ["a ap@c2.example"]


async def test_disputed_items_stay_in_balance_and_position(stage: Stage) -> None:
    """B-37: counted as disputed up to the contested amount, on the days on which the dispute was open."""
    await stage.open(ONE_STEP)
    customer = await stage.customer()
    item = await stage.invoice("100.00", days_overdue=9)
    await stage.invoice("60.00", days_overdue=9)
    made = await dispute(stage, item, amount=eur("30.00"))

    async def seen(**days: str) -> tuple[str, str]:
        (found,) = (await stage.get(f"/customers/{customer}/position", **days))["currencies"]
        return found["disputed"]["amount"], found["net"]["amount"]

    assert await seen() == ("30.00", "160.00")
    await stage.advance(days=3)
    await stage.post(f"/disputes/{made['dispute_id']}/resolve", {"resolution": "rejected"})
    assert await seen() == ("0.00", "160.00")
    assert await seen(as_of="2026-03-04") == ("30.00", "160.00")
    assert await seen(as_of="2026-03-01") == ("0.00", "160.00")


async def test_resolving_frees_the_items_notes_the_fact_and_ends_the_task(stage: Stage) -> None:
    await stage.open(ONE_STEP)
    await stage.customer()
    item = await stage.invoice("100.00")
    made = await dispute(stage, item)
    done = await stage.post(f"/disputes/{made['dispute_id']}/resolve", {"resolution": "partly_accepted", "text": "Credit note follows."})
    assert (done["state"], done["resolution"], done["resolved_on"]) == ("resolved", "partly_accepted", "2026-03-02")
    assert await statuses(stage, [item]) == ["dispute_resolved"]
    assert (await action(stage, made["follow_up_action_id"]))["state"] == "completed"
    assert await stage.tenant.value("select count(*) from item_fact where tenant_id = $1 and kind = 'dispute_resolved'", stage.tenant_id) == 1
    await stage.post(f"/disputes/{made['dispute_id']}/resolve", {"resolution": "accepted"}, status=409)
    assert len(await told(stage, "dispute.resolved")) == 1
    await stage.remind()
    assert await stage.accepted() == ["a ap@c1.example"]
    await sound(stage)


async def test_completing_the_follow_up_resolves_the_dispute_and_cancelling_it_does_not(stage: Stage) -> None:
    await stage.open(ONE_STEP)
    await stage.customer()
    first, second = await stage.invoice("100.00"), await stage.invoice("60.00")
    kept, ended = await dispute(stage, first), await dispute(stage, second)
    await stage.post(f"/actions/{kept['follow_up_action_id']}/cancel", {"reason": "another way"})
    await stage.post(f"/actions/{ended['follow_up_action_id']}/complete", {"note": "They were right."})
    assert [(await stage.get(f"/disputes/{one['dispute_id']}"))["state"] for one in (kept, ended)] == ["open", "resolved"]
    assert await statuses(stage, [first, second]) == ["disputed", "dispute_resolved"]
    await sound(stage)


async def test_one_open_dispute_an_item(stage: Stage) -> None:
    """S4-04: the second is refused and names the first; once that is resolved the item may be disputed again."""
    await stage.open(ONE_STEP)
    await stage.customer()
    item, other = await stage.invoice("100.00"), await stage.invoice("60.00")
    first = await dispute(stage, item)
    refused = await dispute(stage, item, other, status=409)
    assert (refused["code"], refused["disputes"]) == ("already_disputed", [{"item_id": str(item), "dispute_id": first["dispute_id"]}])
    assert await statuses(stage, [other]) == [None], "all or none"
    await stage.post(f"/disputes/{first['dispute_id']}/resolve", {"resolution": "rejected"})
    again = await dispute(stage, item)
    assert again["dispute_id"] != first["dispute_id"]
    await stage.post(
        "/promises", {"customer_id": again["customer_id"], "item_ids": [str(item)], "amount": eur("1.00"), "promised_on": "2026-03-09"}, status=409
    )


async def test_a_promised_item_may_be_disputed_and_its_promise_leaves_the_status_alone(stage: Stage) -> None:
    """The dispute wins: the promise waits for it, and when it ends it does not take the dispute's status away."""
    await stage.open(ONE_STEP)
    customer = await stage.customer()
    item = await stage.invoice("100.00")
    made = await promise(stage, customer, "100.00", item, days=2)
    await dispute(stage, item)
    await stage.advance(days=3)
    assert (await statuses(stage, [item]), await told(stage, "promise.broken")) == (["disputed"], [])
    await stage.post(f"/promises/{made['promise_id']}/cancel", {"reason": "It is about the dispute now."})
    assert await statuses(stage, [item]) == ["disputed"]
    await sound(stage)


async def test_when_everything_disputed_is_settled_the_dispute_is_over(stage: Stage) -> None:
    await stage.open(ONE_STEP)
    await stage.customer()
    item = await stage.invoice("100.00")
    made = await dispute(stage, item)
    await stage.pay("99.00", item)
    await watch_agreements(stage.world, stage.tenant_id)
    assert (await stage.get(f"/disputes/{made['dispute_id']}"))["state"] == "open"
    await stage.pay("1.00", item)
    await watch_agreements(stage.world, stage.tenant_id)
    assert (await stage.get(f"/disputes/{made['dispute_id']}"))["resolution"] == "withdrawn"
    assert (await action(stage, made["follow_up_action_id"]))["state"] == "cancelled"
    await sound(stage)


async def test_changing_a_dispute_moves_its_task(stage: Stage) -> None:
    await stage.open(ONE_STEP)
    await stage.customer()
    made = await dispute(stage, await stage.invoice("100.00"))
    path = f"/v1/disputes/{made['dispute_id']}"
    assert (await stage.api.patch(path, json={"deadline_on": "2026-04-01"})).status_code == 428
    changed = await stage.api.patch(path, json={"deadline_on": "2026-04-01", "reason": "quantity"}, headers={"If-Match": f'"{made["version"]}"'})
    assert (changed.status_code, changed.json()["reason"]) == (200, "quantity")
    assert (await action(stage, made["follow_up_action_id"]))["scheduled_on"] == dt.date(2026, 4, 1)
    assert (await stage.api.patch(path, json={"deadline_on": "2026-01-01"}, headers={"If-Match": "*"})).status_code == 422
    assert (await stage.api.patch(path, json={"reason": "price"}, headers={"If-Match": '"1"'})).status_code == 412


async def test_the_summary_tells_reasons_amounts_and_the_mean_time(stage: Stage) -> None:
    """B-37: dispute reasons and mean time to solve."""
    await stage.open(ONE_STEP)
    await stage.customer()
    first, second, third = [await stage.invoice("100.00") for _ in range(3)]
    ended = [await dispute(stage, first, reason="price"), await dispute(stage, second, reason="price")]
    await dispute(stage, third, reason="quantity")
    await stage.advance(days=2)
    await stage.post(f"/disputes/{ended[0]['dispute_id']}/resolve", {"resolution": "accepted"})
    await stage.advance(days=3)
    await stage.post(f"/disputes/{ended[1]['dispute_id']}/resolve", {"resolution": "rejected"})
    found = (await stage.get(f"/ledgers/{stage.ledger_id}/dispute-summary"))["data"]
    assert found == [
        {"reason": "price", "open": 0, "contested": [], "resolved": 2, "mean_days_to_resolve": "3.5"},
        {"reason": "quantity", "open": 1, "contested": [eur("100.00")], "resolved": 0, "mean_days_to_resolve": None},
    ]


async def test_items_of_two_customers_and_credits_are_refused(stage: Stage) -> None:
    await stage.open(ONE_STEP)
    await stage.customer()
    await stage.customer("C2")
    mine, theirs, credit = await stage.invoice("100.00"), await stage.invoice("50.00", customer="C2"), await stage.credit("20.00")
    assert "2 customers" in (await dispute(stage, mine, theirs, status=422))["detail"]
    assert (await dispute(stage, credit, status=409))["code"] == "item_not_open"
    refused = await dispute(stage, mine, amount=eur("100.01"), status=409)
    assert (refused["code"], refused["contested"], refused["open"]) == ("contested_above_open", "100.01 EUR", "100.00 EUR")
