"""What follows a status that names days: a task on its day, until the items get another status or are paid (S4-05)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from dunning.collection import status_follow_ups
from dunning.kit.database import statement_log
from tests.collection.agreements import dispute, receive, sound
from tests.collection.stage import Stage
from tests.collection.test_agenda import leads, person
from tests.collection.test_item_updates import update
from tests.collection.test_specific_actions import opened

LITIGATION_DAYS = 30
"""What the built-in status says."""


async def tasks(stage: Stage) -> list[dict[str, Any]]:
    """Return the tasks that follow statuses, the oldest first."""
    return [action for action in await stage.actions() if (action["content"] or {}).get("follows_status")]


async def own_status(stage: Stage, days: int | None, code: str = "awaiting_order") -> None:
    """Make a status that does not stop reminding."""
    body = {"code": code, "name": "Order number missing", "category": "ongoing", "excludes": False, "follow_up_days": days}
    await stage.post("/item-statuses", body, status=201)


async def test_a_status_that_names_days_makes_a_task_for_that_day_with_the_lead_collector(stage: Stage) -> None:
    """One task about the items that have got it, in the agenda and beside the scenario; its answer is the action of the update."""
    customer_id, (first, second, _) = await opened(stage)
    anna = await person(stage, "anna")
    await leads(stage, customer_id, anna)
    today = await stage.today()
    done = await update(stage, customer_id, first, second, status_code="litigation")
    (task,) = await tasks(stage)
    assert done["action"]["action_id"] == task["action_id"]
    assert (task["origin"], task["kind"], task["state"], task["title"]) == ("ad_hoc", "task", "waiting", "Follow up: In litigation")
    assert (task["scheduled_on"], task["person_id"]) == (str(today + dt.timedelta(days=LITIGATION_DAYS)), anna)
    assert task["task_text"].startswith("1001, 1002: In litigation since")
    items = await stage.get(f"/actions/{task['action_id']}/items")
    assert {item["item_id"] for item in items} == {str(first), str(second)}
    agenda = (await stage.get("/agenda", person=anna, bucket="coming"))["data"]
    assert [entry["action_id"] for entry in agenda] == [task["action_id"]]
    await sound(stage)


@pytest.mark.parametrize("days", [None, 0, 1, 14])
async def test_the_day_is_so_many_days_from_today_and_without_days_there_is_no_task(stage: Stage, days: int | None) -> None:
    customer_id, (first, *_) = await opened(stage)
    await own_status(stage, days)
    done = await update(stage, customer_id, first, status_code="awaiting_order")
    if days is None:
        assert (done["action"], await tasks(stage)) == (None, [])
    else:
        assert [task["scheduled_on"] for task in await tasks(stage)] == [str((await stage.today()) + dt.timedelta(days=days))]


async def test_what_the_caller_says_comes_next_wins(stage: Stage) -> None:
    """An action of his own takes its place, and going back to the scenario makes none; nothing said is the control."""
    customer_id, (first, second, third) = await opened(stage)
    own = await update(
        stage, customer_id, first, status_code="litigation", next={"title": "Dossier", "content": {"kind": "task", "task_kind": "counsel", "task_text": "Prepare."}}
    )  # fmt: skip
    assert own["action"]["title"] == "Dossier"
    none = await update(stage, customer_id, second, status_code="litigation", next="follow_scenario")
    assert none["action"] is None
    assert await tasks(stage) == []
    await update(stage, customer_id, third, status_code="litigation")
    assert len(await tasks(stage)) == 1


async def test_the_same_status_again_makes_no_second_task(stage: Stage) -> None:
    customer_id, (first, second, _) = await opened(stage)
    await update(stage, customer_id, first, status_code="litigation")
    again = await update(stage, customer_id, first, status_code="litigation", comment="Still there.")
    assert again["action"] is None
    more = await update(stage, customer_id, first, second, status_code="litigation")
    about = await stage.get(f"/actions/{more['action']['action_id']}/items")
    assert [item["item_id"] for item in about] == [str(second)]
    assert len(await tasks(stage)) == 2


async def test_payment_of_all_its_items_cancels_the_task_and_of_one_does_not(stage: Stage) -> None:
    customer_id, (first, second, _) = await opened(stage)
    await update(stage, customer_id, first, second, status_code="litigation")
    await receive(stage, "100.00", first)
    await stage.settle()
    assert [task["state"] for task in await tasks(stage)] == ["waiting"]
    await receive(stage, "200.00", second)
    await stage.settle()
    assert [(task["state"], task["reason"]) for task in await tasks(stage)] == [("cancelled", "settled")]


async def test_items_leave_the_task_with_their_status_and_the_last_one_ends_it(stage: Stage) -> None:
    """Another status brings its own task; a dispute has a follow-up of its own."""
    customer_id, (first, second, third) = await opened(stage)
    await own_status(stage, 5)
    await update(stage, customer_id, first, second, third, status_code="litigation")
    await update(stage, customer_id, first, status_code="awaiting_order")
    assert [(task["title"], task["state"]) for task in await tasks(stage)] == [
        ("Follow up: In litigation", "waiting"), ("Follow up: Order number missing", "waiting"),
    ]  # fmt: skip
    await update(stage, customer_id, second, status_code="ongoing")
    await update(stage, customer_id, first, status_code="litigation", next="follow_scenario")
    assert [task["state"] for task in await tasks(stage)] == ["waiting", "cancelled"]
    await update(stage, customer_id, third, status_code="ongoing")
    assert [(task["state"], task["reason"]) for task in await tasks(stage)] == [("cancelled", "another_status")] * 2
    await update(stage, customer_id, second, status_code="litigation")
    await dispute(stage, second)
    assert (await tasks(stage))[-1]["state"] == "cancelled"
    await sound(stage)


async def test_a_status_that_stops_nothing_leaves_its_items_in_the_scenario(stage: Stage) -> None:
    """The task stands beside the reminder."""
    customer_id, items = await opened(stage)
    await own_status(stage, 3)
    await update(stage, customer_id, *items, status_code="awaiting_order")
    await stage.remind()
    assert len([action for action in await stage.actions() if action["origin"] == "scenario"]) == 1
    assert [task["state"] for task in await tasks(stage)] == ["waiting"]


async def test_items_filed_in_a_folder_are_followed_up_once_a_customer_in_as_many_statements_as_for_one(stage: Stage) -> None:
    """S2-20: filing sets the status, so what it asks for follows."""
    _, (first, second, _) = await opened(stage)
    others = []
    for code in ("C2", "C3", "C4"):
        await stage.customer(code)
        others.append(await stage.invoice(customer=code))
    counts = []
    for some in ([first, second], others):
        log: list[str] = []
        token = statement_log.set(log)
        await stage.post("/folders/litigation/items", {"item_ids": [str(item) for item in some], "reason": "Handed to counsel"})
        statement_log.reset(token)
        counts.append(len(log))
    assert counts[0] == counts[1]
    made = await tasks(stage)
    assert len(made) == len({task["customer_id"] for task in made}) == 4
    await sound(stage)


async def test_a_copy_of_the_task_follows_no_status(stage: Stage) -> None:
    """What somebody makes after its pattern is his own, and stays when the status goes."""
    customer_id, (first, *_) = await opened(stage)
    done = await update(stage, customer_id, first, status_code="litigation")
    body = {"item_ids": [str(first)], "origin": "ad_hoc", "copy_from": {"action_id": done["action"]["action_id"]}}
    copy = await stage.post(f"/customers/{customer_id}/actions", body, status=201)
    await update(stage, customer_id, first, status_code="ongoing")
    assert [(await stage.action(one))["state"] for one in (done["action"]["action_id"], copy["action_id"])] == ["cancelled", "waiting"]


async def test_control_a_task_that_kept_its_items_would_be_seen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version in which items stay in the task of their old status leaves the task standing."""

    async def stays(*_: object) -> None:
        return None

    monkeypatch.setattr(status_follow_ups, "leave", stays)
    customer_id, (first, *_) = await opened(stage)
    await update(stage, customer_id, first, status_code="litigation")
    await update(stage, customer_id, first, status_code="ongoing")
    with pytest.raises(AssertionError):
        assert [task["state"] for task in await tasks(stage)] == ["cancelled"]
