"""What an action shows while it waits: amounts of now, rows that are still in it, who made it, and the same in every list (rows S4-02, S4-04, S4-17, S4-18)."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any
from uuid import UUID

import pytest

from dunning.collection import leaving
from dunning.kit.ids import new_id
from dunning_api.acting import HEADER
from tests.collection.agreements import dispute, eur, promise, sound
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_agenda import CALL, person

APPROVED = scenario(step(10, "first", 1, mode="approve"), step(20, "second", 8, mode="approve"))


async def opened(stage: Stage, *days_overdue: int, content: dict[str, Any] | None = None) -> tuple[Any, list[UUID], str]:
    """Open a ledger whose steps need approval, with a customer who owes 100, 200, …, and return it with the items and the waiting action."""
    await stage.open(content or APPROVED)
    customer = await stage.customer()
    items = [await stage.invoice(f"{n}00.00", days_overdue=days) for n, days in enumerate(days_overdue, 1)]
    await stage.remind()
    (action,) = await stage.actions(state="awaiting_approval")
    return customer, items, action["action_id"]


async def shown(stage: Stage, action_id: str) -> list[tuple[list[dict[str, str]], str]]:
    """Return amounts, and as of when, of an action wherever it is shown: by itself, in lists, agenda and report."""
    places = [
        await stage.action(action_id), *await stage.actions(), *(await stage.get("/agenda"))["data"], *(await stage.get("/reports/approval-queue"))["data"],
    ]  # fmt: skip
    return [(one["totals"], one["totals_as_of"]) for one in places if one["action_id"] == action_id]


# Amounts


async def test_everywhere_a_waiting_action_shows_what_is_open_now(stage: Stage) -> None:
    """A part payment, a settled item, a new credit: at once and after a night; what is approved is what the claim then says."""
    _, (first, second), action_id = await opened(stage, 3, 2)
    assert await shown(stage, action_id) == [([eur("300.00")], "now")] * 4
    await stage.pay("60.00", first)
    assert await shown(stage, action_id) == [([eur("240.00")], "now")] * 4
    await stage.advance(days=1)
    assert await shown(stage, action_id) == [([eur("240.00")], "now")] * 4
    await stage.pay("200.00", second)
    assert await shown(stage, action_id) == [([eur("40.00")], "now")] * 4
    (entry,) = (await stage.get("/agenda"))["data"]
    assert entry["items"] == 1
    await stage.credit("15.00")
    assert await shown(stage, action_id) == [([eur("25.00")], "now")] * 4
    timeline = (await stage.get(f"/customers/{entry['customer_id']}/timeline", kind="action"))["data"]
    assert [one["data"]["totals"] for one in timeline] == [[eur("25.00")]]
    told = await stage.post(f"/actions/{action_id}/approve")
    assert (told["totals"], told["totals_as_of"]) == ([eur("25.00")], "then")
    await stage.settle()
    await stage.pay("5.00", first)
    assert {(str(totals), as_of) for totals, as_of in await shown(stage, action_id)} == {(str([eur("25.00")]), "then")}


async def test_amounts_of_several_currencies_stand_side_by_side(stage: Stage) -> None:
    """C-21: each currency by itself; one that is settled is no longer there."""
    await stage.open(APPROVED)
    await stage.customer()
    euro = await stage.invoice("100.00", days_overdue=2)
    await stage.invoice("70.00", days_overdue=2, currency="USD")
    await stage.remind()
    (action,) = await stage.actions()
    assert action["totals"] == [eur("100.00"), {"amount": "70.00", "currency": "USD"}]
    await stage.pay("100.00", euro)
    assert (await stage.action(action["action_id"]))["totals"] == [{"amount": "70.00", "currency": "USD"}]


@pytest.mark.parametrize("netting", ["net", "show"])
async def test_what_is_approved_is_what_is_told_whatever_was_paid_credited_or_came_since(stage: Stage, netting: str) -> None:
    """Generated: twenty customers whose books move after the proposal; the amounts shown before the approval are those of the claims after it."""
    chance = random.Random(f"amounts {netting}")  # noqa: S311  # a world that can be made again
    await stage.open(APPROVED | {"netting": netting, "code": f"s-{new_id().hex[-8:]}"})
    items: dict[str, list[UUID]] = {}
    for n in range(20):
        code = f"C{n}"
        await stage.customer(code)
        items[code] = [
            await stage.invoice(f"{chance.randint(5, 90)}.{chance.randint(0, 99):02}", customer=code, days_overdue=chance.randint(-9, 20))
            for _ in range(chance.randint(1, 6))
        ]
    await stage.remind()
    planned = {one["action_id"]: one["totals"] for one in await stage.actions(state="awaiting_approval", limit=100)}
    for code, own in items.items():
        for _ in range(chance.randint(0, 3)):
            match chance.randrange(4):
                case 0:
                    await stage.pay("3.10", chance.choice(own), customer=code)
                case 1:
                    await stage.credit(f"{chance.randint(1, 40)}.00", customer=code)
                case 2:
                    await stage.invoice(f"{chance.randint(5, 90)}.00", customer=code, days_overdue=chance.randint(-9, 20))
                case _:
                    await stage.pay(f"{chance.randint(1, 30)}.00", customer=code)
    now = {one["action_id"]: one["totals"] for one in await stage.actions(state="awaiting_approval", limit=100)}
    agenda = {one["action_id"]: one["totals"] for one in (await stage.get("/agenda", limit=100))["data"]}
    assert agenda == now
    await stage.post("/actions/bulk", {"act": "approve", "action_ids": list(now)})
    await stage.settle()
    told = {one["action_id"]: one for one in await stage.actions(limit=100)}
    assert {action_id: told[action_id]["totals"] for action_id in now if told[action_id]["state"] == "completed"} == {
        action_id: totals for action_id, totals in now.items() if told[action_id]["state"] == "completed"
    }
    assert {str(now[one]) for one in now if told[one]["state"] == "cancelled"} <= {"[]"}
    moved = sum(now[one] != planned[one] for one in now)
    assert len(now) > 12
    assert moved > 5, "the control: amounts that stayed as planned would be seen"


# Rows


async def test_a_specific_action_takes_its_items_out_of_the_action_that_waits_with_them(stage: Stage) -> None:
    """S4-02: at once, with the reason; the rest goes on, and the item comes back once the specific action has ended."""
    customer, (first, second), action_id = await opened(stage, 3, 2)
    before = (await stage.action(action_id))["revision"]
    made = await stage.post(f"/customers/{customer}/actions", {"title": "Call", "content": CALL, "item_ids": [str(first)]}, status=201)
    left = await stage.action(action_id)
    assert [(row["item_id"], row["state"], row["reason"]) for row in left["items"]] == [
        (str(first), "void", "specific_action"), (str(second), "pending", None),
    ]  # fmt: skip
    assert (left["totals"], left["state"], left["revision"] > before) == ([eur("200.00")], "awaiting_approval", True)
    assert await stage.progress(first) == []
    await stage.post(f"/actions/{action_id}/approve")
    await stage.settle()
    assert await stage.progress(second) == ["first#0 completed 2026-03-02"]
    await stage.post(f"/actions/{made['action_id']}/cancel", {"reason": "Nobody answers."})
    await stage.remind()
    (again,) = await stage.actions(state="awaiting_approval")
    assert [row["item_id"] for row in (await stage.action(again["action_id"]))["items"]] == [str(first)]
    await sound(stage)


async def test_an_action_that_loses_its_last_row_is_cancelled_with_the_reason(stage: Stage) -> None:
    """S4-02."""
    customer, items, action_id = await opened(stage, 3, 2)
    await stage.post(f"/customers/{customer}/actions", {"title": "Call", "content": CALL, "item_ids": [str(i) for i in items]}, status=201)
    gone = await stage.action(action_id)
    assert (gone["state"], gone["reason"]) == ("cancelled", "specific_action")
    assert {row["reason"] for row in gone["items"]} == {"specific_action"}
    await sound(stage)


async def test_without_leaving_the_item_would_stay_in_both(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """S4-02, the control: a product that forgets to let items leave shows them in the waiting action as before."""

    async def nothing(*_: object) -> None:
        """Forget."""

    monkeypatch.setattr(leaving, "leave", nothing)
    customer, (first, _), action_id = await opened(stage, 3, 2)
    await stage.post(f"/customers/{customer}/actions", {"title": "Call", "content": CALL, "item_ids": [str(first)]}, status=201)
    assert (await stage.action(action_id))["totals"] == [eur("300.00")]


async def test_what_stands_beside_the_scenario_leaves_its_items_where_they_are(stage: Stage) -> None:
    """S4-19: an ad hoc action is beside the scenario."""
    customer, (first, _), action_id = await opened(stage, 3, 2)
    body = {"title": "Call", "content": CALL, "item_ids": [str(first)], "origin": "ad_hoc"}
    await stage.post(f"/customers/{customer}/actions", body, status=201)
    assert (await stage.action(action_id))["totals"] == [eur("300.00")]


async def test_a_disputed_item_leaves_the_action_that_waits_with_it_and_comes_back_when_that_is_over(stage: Stage) -> None:
    """S4-04."""
    _, (first, second), action_id = await opened(stage, 3, 2)
    made = await dispute(stage, first)
    left = await stage.action(action_id)
    assert [(row["state"], row["reason"]) for row in left["items"]] == [("void", "disputed"), ("pending", None)]
    assert left["totals"] == [eur("200.00")]
    await dispute(stage, second)
    assert (await stage.action(action_id))["reason"] == "disputed"
    await stage.post(f"/disputes/{made['dispute_id']}/resolve", {"resolution": "rejected"})
    await stage.remind()
    (again,) = await stage.actions(state="awaiting_approval")
    assert again["totals"] == [eur("100.00")]


@pytest.mark.parametrize("way", ["item-updates", "folder"])
async def test_a_status_that_stops_reminding_takes_the_item_out_at_once(stage: Stage, way: str) -> None:
    """S4-08: set on the item, or by filing it in the status' folder; another status changes nothing."""
    customer, (first, second), action_id = await opened(stage, 3, 2)
    if way == "folder":
        await stage.post("/folders/litigation/items", {"item_ids": [str(first)], "reason": "At court."})
    else:
        await stage.post(f"/customers/{customer}/item-updates", {"item_ids": [str(second)], "status_code": "ongoing", "notify": "none"}, status=201)
        assert (await stage.action(action_id))["totals"] == [eur("300.00")]
        await stage.post(f"/customers/{customer}/item-updates", {"item_ids": [str(first)], "status_code": "litigation", "notify": "none"}, status=201)
    left = await stage.action(action_id)
    assert (left["totals"], left["items"][0]["reason"]) == ([eur("200.00")], "excluded_status")


async def test_many_specific_actions_at_once_take_their_items_out_too(stage: Stage) -> None:
    """S4-02: the act on many customers does what the act on one does."""
    await stage.open(APPROVED)
    ids = []
    for n in range(3):
        ids.append(str(await stage.customer(f"C{n}")))
        await stage.invoice(customer=f"C{n}", days_overdue=2)
    await stage.remind()
    body = {"act": "create_action", "origin": "specific", "customer_ids": ids[:2], "action": {"title": "Call", "content": CALL}}
    await stage.post("/customers/bulk", body)
    states = {one["customer_id"]: (one["state"], one["reason"]) for one in await stage.actions(origin="scenario")}
    assert states == {ids[0]: ("cancelled", "specific_action"), ids[1]: ("cancelled", "specific_action"), ids[2]: ("awaiting_approval", None)}


async def test_an_item_stands_once_in_its_action_with_the_steps_that_are_passed_over_for_it(stage: Stage) -> None:
    """S4-18: sums over the rows are the sums of the action."""
    _, items, action_id = await opened(stage, 15, 14, content=scenario(step(5, "early", 1, until=5), step(10, "first", 8, mode="approve")))
    for rows in ((await stage.action(action_id))["items"], await stage.get(f"/actions/{action_id}/items")):
        assert [row["item_id"] for row in rows] == [str(item) for item in items]
        assert {row["step_code"] for row in rows} == {"first"}
        assert [row["passed_over"] for row in rows] == [[{"step_code": "early", "reason": "window_passed"}]] * 2
        assert sum(float(row["open_now"]["amount"]) for row in rows) == 300.0
    await stage.post(f"/actions/{action_id}/approve")
    await stage.settle()
    rows = await stage.get(f"/actions/{action_id}/items")
    assert [(row["state"], row["step_code"], len(row["passed_over"])) for row in rows] == [("completed", "first", 1)] * 2


# The same in every list


async def test_a_customers_agenda_begins_with_its_live_actions_and_goes_on_with_what_is_planned_for_the_rest(stage: Stage) -> None:
    """S4-17: what waits, what was made for another day, and what comes by itself; with the ids of agenda and to-do list."""
    customer, (first, second), waiting = await opened(stage, 3, 2)
    on = (await stage.today()) + dt.timedelta(days=3)
    body = {"title": "Call", "content": CALL, "item_ids": [str(first)], "scheduled_on": on.isoformat()}
    call = await stage.post(f"/customers/{customer}/actions", body, status=201)
    third = await stage.invoice("50.00", days_overdue=-4)
    found = await stage.get(f"/customers/{customer}/agenda")
    live = [one for one in found["actions"] if one["action_id"] is not None]
    assert found["actions"][: len(live)] == live
    assert [(one["action_id"], one["state"], one["why"], one["on"], one["item_ids"]) for one in live] == [
        (waiting, "awaiting_approval", "waits_for_approval", "2026-03-02", [str(second)]),
        (call["action_id"], "waiting", "task_outside_scenario", on.isoformat(), [str(first)]),
    ]  # fmt: skip
    coming = found["actions"][2:]
    assert coming
    assert {(one["action_id"], one["state"], one["url"]) for one in coming} == {(None, "planned", None)}
    assert {item for one in coming for item in one["item_ids"]} == {str(third)}
    assert {one["action_id"] for one in (await stage.get("/agenda"))["data"]} == {one["action_id"] for one in live}
    near = await stage.get(f"/customers/{customer}/agenda", days=1)
    assert [one["action_id"] for one in near["actions"]] == [waiting]


async def test_a_message_on_its_way_is_live_on_the_customers_agenda(stage: Stage) -> None:
    """S4-17: what was carried out and has not arrived yet is neither gone nor planned anew."""
    await stage.open(scenario(step(10, "first", 1)))
    customer = await stage.customer()
    await stage.invoice(days_overdue=2)
    await stage.launch(commit_at_once=True)
    (one,) = (await stage.get(f"/customers/{customer}/agenda"))["actions"]
    assert (one["state"], one["step_code"]) == ("executed", "first")


async def test_an_action_says_who_made_it(stage: Stage) -> None:
    """S4-09: in the list and, by name, in the timeline; what a run made was approved by somebody instead."""
    customer, items, planned = await opened(stage, 3)
    anna = await person(stage, "anna")
    body = {"title": "Call", "content": CALL, "item_ids": [str(items[0])], "origin": "ad_hoc"}
    headers = {HEADER: anna, "Idempotency-Key": str(new_id())}
    made = (await stage.api.post(f"/v1/customers/{customer}/actions", json=body, headers=headers)).json()
    assert made["created_by"] == f"person:{anna}"
    approved = await stage.api.post(f"/v1/actions/{planned}/approve", headers={**headers, "Idempotency-Key": str(new_id())})
    assert (approved.json()["created_by"], approved.json()["approved_by"]) == (None, f"person:{anna}")
    entries = (await stage.get(f"/customers/{customer}/timeline", kind="action"))["data"]
    assert {(one["id"], one["author"]) for one in entries} == {(made["action_id"], "anna"), (planned, "anna")}
    other = await stage.customer("C2")
    await stage.invoice(customer="C2")
    await stage.post("/call-tasks", {"customer_ids": [str(other)]})
    assert [one["created_by"] for one in await stage.actions(customer=str(other))] == ["key:all"]
    again = await stage.post("/customers/bulk", {"act": "create_action", "customer_ids": [str(customer)], "action": {"title": "Call", "content": CALL}})
    assert (await stage.action(again["data"][0]["action_id"]))["created_by"] == "key:all"


async def test_what_drops_out_of_an_action_when_it_is_carried_out_says_why(stage: Stage) -> None:
    """S4-14: an approver sees afterwards what became of each item: held, promised or paid, not merely that it dropped out."""
    await stage.open(scenario(step(10, "01", 1, mode="approve")))
    customer_id = await stage.customer()
    items = [await stage.invoice(f"{n}00.00") for n in range(1, 5)]
    await stage.remind()
    (waiting,) = await stage.actions(state="awaiting_approval")
    await stage.hold(item_id=items[1])
    await promise(stage, customer_id, "300.00", items[2])
    await stage.pay("400.00", items[3])
    await stage.post(f"/actions/{waiting['action_id']}/approve")
    await stage.settle()
    done = await stage.action(waiting["action_id"])
    assert done["totals"] == [eur("100.00")]
    assert {one["item_id"]: (one["state"], one["reason"]) for one in done["items"]} == {
        str(items[0]): ("completed", None), str(items[1]): ("void", "held"), str(items[2]): ("void", "promised"), str(items[3]): ("void", "settled"),
    }  # fmt: skip
