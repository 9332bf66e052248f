"""Operations that people carry out: tasks with facts, and notices that wait for them (rows S0-03, S0-07, S0-08)."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest

from dunning.collection import operations
from dunning.kit.database import statement_log
from tests.collection.agreements import dispute, eur, sound, told
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_agenda import leads, person

DECLARE: dict[str, Any] = {
    "kind": "declare_to_insurer", "when": "before_notice", "params": {"manual": True, "only_when_covered": True, "text": "Declare it on the portal."},
}  # fmt: skip
NOTIFY: dict[str, Any] = {"kind": "notify_insurer", "when": "completed", "params": {"manual": True, "only_when_covered": True, "text": "Tell them."}}
COVER = {"state": "active", "until_on": "2026-12-31", "reference": "POL-88/1001"}
FACTS = {
    "done_on": "2026-03-02", "amounts": [eur("100.00")], "policy": "POL-9", "reference": "D-88", "note": "Declared by phone with Ms Verdi.",
}  # fmt: skip


async def opened(stage: Stage, *declared: dict[str, Any], **settings: Any) -> UUID:
    """Open a ledger whose first step asks for operations, with a covered customer."""
    await stage.open(scenario(step(10, "first", 1, operations=list(declared or [DECLARE]), **settings), step(20, "second", 8)))
    return await stage.customer(insurance_cover=COVER)


async def only(stage: Stage, **params: Any) -> dict[str, Any]:
    """Return the only action that a filter finds, with its parts."""
    (found,) = await stage.actions(**params)
    return await stage.action(found["action_id"])


async def mails(stage: Stage) -> int:
    """Count the mails to customers that left."""
    return len(await stage.accepted())


# What waits is a task


async def test_a_waiting_operation_is_a_task_of_the_collector_until_its_facts_are_recorded(stage: Stage) -> None:
    """S0-07: who, due when and what to do, in agenda, list and reports; done with date, amount, items, policy and reference, which the timeline shows."""
    customer = await opened(stage, NOTIFY)
    anna = await person(stage, "anna")
    await leads(stage, customer, anna)
    item = await stage.invoice(days_overdue=1)
    await stage.remind()
    notice = await only(stage, kind="notice")
    assert notice["state"] == "completed"
    (operation,) = notice["operations"]
    page = await stage.get("/agenda", person=anna)
    (task,) = page["data"]
    assert (task["kind"], task["task_kind"], task["task_text"], task["why"]) == ("task", "notify_insurer", "Tell them.", "operation_due")
    assert (task["person_id"], task["scheduled_on"], task["totals"], task["items"]) == (anna, "2026-03-02", [eur("100.00")], 1)
    assert (task["operation_action_id"], task["operation_no"], task["action_id"]) == (notice["action_id"], 1, operation["task_id"])
    assert page["counts"]["to_do"] == 1
    assert [one["action_id"] for one in await stage.actions(task_kind="notify_insurer", state="waiting")] == [task["action_id"]]
    assert (await stage.get("/agenda", person=anna, task_kind="call"))["counts"]["due"] == 0
    (row,) = (await stage.get("/reports/collector-activity", **{"from": "2026-03-01", "to": "2026-03-02"}))["data"]
    assert row["open_actions"] == 1

    (done,) = await stage.post(f"/actions/{notice['action_id']}/operations/1/done", FACTS | {"item_ids": [str(item)]})
    assert {name: done[name] for name in ("state", "done_on", "amounts", "policy", "reference", "note", "item_ids")} == {
        "state": "done", **FACTS, "item_ids": [str(item)],
    }  # fmt: skip
    assert (await stage.action(task["action_id"]))["state"] == "completed"
    assert (await stage.get("/agenda", person=anna))["data"] == []
    entry = next(e for e in (await stage.get(f"/customers/{customer}/timeline"))["data"] if e["data"].get("kind") == "operation_done")
    assert entry["data"]["text"] == FACTS["note"]
    assert {name: entry["data"]["data"][name] for name in ("operation", "done_on", "reference")} == {
        "operation": "notify_insurer", "done_on": "2026-03-02", "reference": "D-88",
    }  # fmt: skip
    (shown,) = (await stage.get(f"/customers/{customer}", expand="insurance"))["insurance"]["notices"]
    assert (shown["state"], shown["policy"], shown["amounts"], shown["task_id"]) == ("done", "POL-9", [eur("100.00")], task["action_id"])
    again = await stage.post(f"/actions/{notice['action_id']}/operations/1/done", {}, status=409)
    assert again["code"] == "operation_ended"
    await sound(stage)


async def test_a_task_of_an_operation_is_completed_where_it_stands_and_what_is_not_said_is_taken_from_it(stage: Stage) -> None:
    """S0-08: the day, the open amounts, all of its items and the customer's policy; only such tasks take facts."""
    await opened(stage, NOTIFY)
    item = await stage.invoice("100.00", days_overdue=1)
    await stage.remind()
    await stage.pay("30.00", item)
    task = await only(stage, kind="task")
    assert task["totals"] == [eur("70.00")]
    await stage.post(f"/actions/{task['action_id']}/complete", {"note": "By mail.", "facts": {"reference": "W-1"}})
    (done,) = (await only(stage, kind="notice"))["operations"]
    assert (done["state"], done["done_on"], done["amounts"], done["policy"]) == ("done", "2026-03-02", [eur("70.00")], "POL-88/1001")
    assert (done["reference"], done["note"], done["item_ids"]) == ("W-1", "By mail.", [str(item)])
    call = await stage.post(f"/customers/{task['customer_id']}/actions", {"title": "Call", "content": {"kind": "task"}, "item_ids": [str(item)]}, status=201)
    refused = await stage.post(f"/actions/{call['action_id']}/complete", {"facts": {"reference": "W-2"}}, status=422)
    assert refused["errors"][0]["field"] == "facts"


@pytest.mark.parametrize(
    ("facts", "status", "field"),
    [
        ({"done_on": "2026-03-03"}, 422, "done_on"),
        ({"done_on": "2025-02-28"}, 422, "done_on"),
        ({"done_on": "2025-03-01"}, 200, None),
        ({"amounts": [eur("1.00"), eur("2.00")]}, 422, "amounts.1"),
        ({"amounts": [eur("0.00")]}, 422, "amounts.0"),
        ({"item_ids": ["0198c0de-0000-7000-8000-000000000001"]}, 404, None),
    ],
)
async def test_facts_that_cannot_be_are_refused(stage: Stage, facts: dict[str, Any], status: int, field: str | None) -> None:
    """S0-08."""
    await opened(stage, NOTIFY)
    await stage.invoice(days_overdue=1)
    await stage.remind()
    notice = await only(stage, kind="notice")
    answer = await stage.post(f"/actions/{notice['action_id']}/operations/1/done", facts, status=status)
    if field is not None:
        assert answer["errors"][0]["field"] == field


async def test_a_task_ends_with_what_it_is_about_and_its_operation_with_it(stage: Stage) -> None:
    """S0-07, S4-20: paid, or taken back by a person; nothing is left waiting that nobody sees."""
    customer = await opened(stage, NOTIFY)
    first = await stage.invoice(days_overdue=1)
    await stage.customer("C2", insurance_cover=COVER)
    await stage.invoice(days_overdue=1, customer="C2")
    await stage.remind()
    await stage.pay("100.00", first)
    await stage.settle()
    ended = await only(stage, kind="task", customer=str(customer))
    assert (ended["state"], ended["reason"]) == ("cancelled", "settled")
    other = next(one for one in await stage.actions(kind="task") if one["state"] == "waiting")
    await stage.post(f"/actions/{other['action_id']}/cancel", {"reason": "They know already."})
    states = [(await stage.action(one["action_id"]))["operations"][0] for one in await stage.actions(kind="notice")]
    assert {(one["state"], one["reason"]) for one in states} == {("not_needed", "task_cancelled")}
    await sound(stage)


async def test_customers_without_cover_ask_nothing_of_anybody(stage: Stage) -> None:
    """S0-07: cover is looked at on the day of the operation's moment."""
    await opened(stage, DECLARE, NOTIFY)
    for code, cover in (("C2", None), ("C3", {"state": "active", "until_on": "2026-03-01"})):
        await stage.customer(code, **({} if cover is None else {"insurance_cover": cover}))
        await stage.invoice(days_overdue=1, customer=code)
    await stage.remind()
    assert await stage.accepted() == ["first ap@c2.example", "first ap@c3.example"]
    for action in await stage.actions(kind="notice"):
        found = (await stage.action(action["action_id"]))["operations"]
        assert [(o["state"], o["reason"], o["task_id"]) for o in found] == [("not_needed", "not_covered", None)] * 2
    assert await stage.actions(kind="task") == []


# A notice that waits


async def test_a_notice_waits_for_its_declaration_and_then_goes_by_itself_on_the_facts_of_that_day(stage: Stage) -> None:
    """S0-08: no message, claim or number before; the task names what to do; what was paid meanwhile is not asked for."""
    await opened(stage)
    item, other = await stage.invoice("100.00", days_overdue=1), await stage.invoice("50.00", days_overdue=2)
    await stage.remind()
    waiting = await only(stage, kind="notice")
    assert (waiting["state"], waiting["reason"], waiting["executed_at"]) == ("waiting", "waiting_for_operation", None)
    assert (waiting["messages"], waiting["claims"]) == ([], [])
    page = await stage.get("/agenda")
    whys = {entry["why"]: entry for entry in page["data"]}
    assert set(whys) == {"waiting_for_operation", "notice_waits"}
    task = whys["notice_waits"]
    assert (task["task_text"], task["operation_action_id"], task["totals"]) == ("Declare it on the portal.", waiting["action_id"], [eur("150.00")])
    assert [entry["action_id"] for entry in (await stage.get("/agenda", bucket="to_do"))["data"]] == [task["action_id"]]
    assert page["counts"]["to_do"] == 1
    await stage.advance(days=3)
    assert await mails(stage) == 0
    await stage.pay("60.00", item)
    await stage.pay("50.00", other)
    await stage.post(f"/actions/{waiting['action_id']}/operations/1/done", {"reference": "D-88"})
    await stage.settle()
    assert await stage.accepted() == ["first ap@c1.example"]
    gone = await stage.action(waiting["action_id"])
    assert (gone["state"], gone["completed_on"], gone["totals"]) == ("completed", "2026-03-05", [eur("40.00")])
    assert [row["open_minor"] for row in gone["claims"][0]["data"]["blocks"][0]["rows"]] == [4000]
    assert await stage.progress(item) == ["first#0 completed 2026-03-05"]
    kinds = [event["kind"] for event in await told(stage, "action.waiting", "action.released", "action.executed", "operation.due", "operation.done")]
    assert kinds == ["action.waiting", "operation.due", "operation.done", "action.released", "action.executed"]
    assert (await stage.get("/agenda"))["data"] == []
    await sound(stage)


async def test_a_despatch_that_does_not_look_ahead_is_caught(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """S0-08, the control: with the look broken the mail leaves while the declaration waits, which the test above would see."""
    monkeypatch.setattr(operations, "_waits", lambda *_: False)
    await opened(stage)
    await stage.invoice(days_overdue=1)
    await stage.remind()
    assert await mails(stage) == 1
    assert (await only(stage, kind="notice"))["operations"][0]["state"] == "waiting"


@pytest.mark.parametrize("mode", ["approve", "manual"])
async def test_what_a_person_lets_go_waits_for_the_declaration_too(stage: Stage, mode: str) -> None:
    """S0-08: before the approval there is no task; after it the declaration is all that is missing."""
    await opened(stage, mode=mode)
    await stage.invoice(days_overdue=1)
    await stage.remind()
    notice = await only(stage, kind="notice")
    assert (notice["operations"], await stage.actions(kind="task")) == ([], [])
    approved = await stage.post(f"/actions/{notice['action_id']}/approve")
    assert (approved["state"], approved["reason"], len(approved["operations"])) == ("waiting", "waiting_for_operation", 1)
    again = await stage.post(f"/actions/{notice['action_id']}/approve", status=409)
    assert again["code"] == "action_state"
    await stage.post(f"/actions/{notice['action_id']}/operations/1/done", {})
    await stage.settle()
    assert await mails(stage) == 1
    assert len(await stage.actions(kind="task")) == 1


async def test_nobody_is_told_by_other_means_either_and_the_task_stands_while_the_notice_waits(stage: Stage) -> None:
    """S0-08: the action cannot be completed, retried or run, its task not be taken back; cancelling the action ends both."""
    await opened(stage)
    item = await stage.invoice(days_overdue=1)
    await stage.remind()
    notice, task = await only(stage, kind="notice"), await only(stage, kind="task")
    for path, body in (("complete", {}), ("retry", None), ("run-now", None)):
        refused = await stage.post(f"/actions/{notice['action_id']}/{path}", body, status=409)
        assert refused["code"] == "action_state", path
    for path, body in (("cancel", {"reason": "No."}), ("retry", None)):
        refused = await stage.post(f"/actions/{task['action_id']}/{path}", body, status=409)
        assert refused["code"] == "action_state", path
    await stage.post(f"/actions/{notice['action_id']}/cancel", {"reason": "They call us."})
    assert (await stage.action(task["action_id"]))["state"] == "cancelled"
    (operation,) = (await stage.action(notice["action_id"]))["operations"]
    assert (operation["state"], operation["reason"]) == ("not_needed", "action_ended")
    assert await stage.progress(item) == []
    await sound(stage)


async def test_what_is_settled_while_a_notice_waits_ends_it_and_its_task(stage: Stage) -> None:
    """S0-08, S4-20."""
    await opened(stage)
    item = await stage.invoice(days_overdue=1)
    await stage.remind()
    await stage.pay("100.00", item)
    await stage.advance(days=1)
    assert {(one["kind"], one["state"], one["reason"]) for one in await stage.actions()} == {
        ("notice", "cancelled", "settled"),
        ("task", "cancelled", "settled"),
    }
    assert await mails(stage) == 0
    await sound(stage)


async def test_an_item_that_leaves_a_waiting_notice_leaves_its_declaration(stage: Stage) -> None:
    """S0-08, S4-04: a disputed item is not declared; where it was the only one, neither is anything else."""
    await opened(stage)
    contested, other = await stage.invoice("100.00", days_overdue=1), await stage.invoice("50.00", days_overdue=1)
    await stage.remind()
    notice, task = await only(stage, kind="notice"), await only(stage, kind="task")
    await dispute(stage, contested)
    (operation,) = (await stage.action(notice["action_id"]))["operations"]
    assert operation["item_ids"] == [str(other)]
    assert (await stage.action(task["action_id"]))["totals"] == [eur("50.00")]
    await dispute(stage, other)
    assert {(await stage.action(one["action_id"]))["state"] for one in (notice, task)} == {"cancelled"}
    await sound(stage)


async def test_what_was_declared_once_is_not_asked_for_again(stage: Stage) -> None:
    """S0-08: the mail that bounced is planned anew and goes at once, because the declaration exists; an item that came since is declared."""
    await opened(stage, mode="approve")
    await stage.invoice(days_overdue=1)
    await stage.remind()
    notice = await only(stage, kind="notice")
    await stage.post(f"/actions/{notice['action_id']}/approve")
    await stage.post(f"/actions/{notice['action_id']}/operations/1/done", {})
    await stage.post(f"/actions/{notice['action_id']}/cancel", {"reason": "Wrong address."})
    await stage.remind()
    again = await only(stage, state="awaiting_approval")
    gone = await stage.post(f"/actions/{again['action_id']}/approve")
    assert gone["state"] == "executed"
    assert [(o["state"], o["reason"]) for o in gone["operations"]] == [("not_needed", "recorded_before")]
    await stage.settle()
    await stage.invoice(days_overdue=1)
    await stage.advance(days=1)
    await stage.remind()
    third = await only(stage, state="awaiting_approval")
    assert (await stage.post(f"/actions/{third['action_id']}/approve"))["state"] == "waiting"


async def test_what_takes_the_place_of_a_waiting_notice_waits_in_its_place(stage: Stage) -> None:
    """S0-08, S4-03: the declaration and its task go over to the successor, and so does the waiting."""
    await opened(stage)
    await stage.invoice(days_overdue=1)
    await stage.remind()
    notice, task = await only(stage, kind="notice"), await only(stage, kind="task")
    body = {"title": "In other words", "mode": "automatic", "content": {"template": "claim-01"}, "reason": "Softer.", "completes_steps": True}
    new = await stage.post(f"/actions/{notice['action_id']}/replace", body, status=201)
    assert (new["state"], new["reason"]) == ("waiting", "waiting_for_operation")
    assert (await stage.action(task["action_id"]))["operation_action_id"] == new["action_id"]
    await stage.post(f"/actions/{task['action_id']}/complete", {})
    await stage.settle()
    assert (await stage.action(new["action_id"]))["state"] == "completed"
    assert await mails(stage) == 1
    await sound(stage)


async def test_a_declaration_recorded_while_sending_is_off_lets_nothing_leave(stage: Stage) -> None:
    """S0-08: the action stands on its day and goes when sending is on again."""
    await opened(stage)
    await stage.invoice(days_overdue=1)
    await stage.remind()
    notice = await only(stage, kind="notice")
    await stage.put("/tenant/sending", {"enabled": False})
    await stage.post(f"/actions/{notice['action_id']}/operations/1/done", {})
    await stage.settle()
    assert ((await stage.action(notice["action_id"]))["state"], await mails(stage)) == ("scheduled", 0)
    await stage.put("/tenant/sending", {"enabled": True})
    await stage.advance(days=1)
    assert await mails(stage) == 1


async def test_a_night_with_operations_takes_no_more_statements_for_many_customers_than_for_two(stage: Stage) -> None:
    """The tasks of a batch are written together."""
    await stage.open(scenario(step(10, "first", 1, operations=[DECLARE, NOTIFY])))
    counts = []
    for number in (2, 12):
        for n in range(number):
            await stage.customer(f"K{number}-{n}", insurance_cover=COVER)
            await stage.invoice(days_overdue=1, customer=f"K{number}-{n}")
        log: list[str] = []
        token = statement_log.set(log)
        await stage.remind()
        statement_log.reset(token)
        counts.append(len(log))
    assert len(await stage.actions(task_kind="declare_to_insurer", limit=100)) == 14
    assert counts[1] <= counts[0] + 2


async def test_the_fourth_claim_phase_waits_for_the_declaration_of_whom_an_insurer_covers(stage: Stage) -> None:
    """S0-08 as shipped: a covered customer reads that the debt was declared once it was, another one is asked without a word of an insurer."""
    await stage.open("claims")
    for code, cover in (("C1", COVER), ("C2", {"state": "none"})):
        await stage.customer(code, insurance_cover=cover)
        await stage.invoice(customer=code, days_overdue=22, step_reached="03", last_reminded_on=(await stage.today()) - dt.timedelta(days=7))
    await stage.remind()
    assert await stage.accepted() == ["04 ap@c2.example"]
    notice = await only(stage, state="waiting", kind="notice")
    assert (notice["step_code"], notice["reason"]) == ("04", "waiting_for_operation")
    await stage.post(f"/actions/{notice['action_id']}/operations/1/done", {"reference": "D-1"})
    await stage.settle()
    assert await stage.accepted() == ["04 ap@c2.example", "04 ap@c1.example"]
    subjects = {message["to"]["email"]: message["subject"] for message in (await stage.get("/messages", state="accepted"))["data"]}
    assert subjects["ap@c1.example"].startswith("Debt declared to our credit insurer: ")
    assert subjects["ap@c2.example"].startswith("Still unpaid: ")


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        ("update action set state = 'cancelled' where tenant_id = $1 and kind = 'task'", "an operation waits for a person as long as its task does"),
        ("update operation_record set state = 'done' where tenant_id = $1", "an action whose notice waits has an operation that it waits for"),
    ],
)
async def test_a_task_or_notice_that_waits_for_nothing_is_found(stage: Stage, broken: str, check: str) -> None:
    """The invariants see what nobody else would: a task gone without its operation, a notice that nothing lets go."""
    await opened(stage)
    await stage.invoice(days_overdue=1)
    await stage.remind()
    await sound(stage)
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute(broken, stage.tenant_id)
    assert check in [violation["check"] for violation in (await stage.get("/health/invariants"))["violations"]]
