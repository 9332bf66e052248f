"""Stories of reminding, told through the API with a worker and a clock."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.collection.stage import TODAY, Stage, scenario, step


async def test_a_proposal_is_looked_at_committed_sent_and_recorded(stage: Stage) -> None:
    """B-01, S0-10, S0-15, S0-17: nothing is stored on items until the commit; then each item reaches its step with the mail's acceptance."""
    await stage.open("claims")
    await stage.customer()
    item = await stage.invoice(days_overdue=9)
    run = await stage.launch()
    assert (run["state"], run["counts"]["actions"]) == ("proposed", 1)
    assert await stage.progress(item) == []
    await stage.post(f"/runs/{run['run_id']}/commit", status=202)
    await stage.settle()
    assert (await stage.get(f"/runs/{run['run_id']}"))["state"] == "committed"
    assert await stage.accepted() == ["02 ap@c1.example"]
    assert await stage.progress(item) == ["02#0 completed 2026-03-02", "00#0 skipped window_passed", "01#0 skipped window_passed"]
    (action,) = await stage.actions()
    whole = await stage.action(action["action_id"])
    assert (whole["state"], whole["claims"][0]["state"], whole["deadline_on"]) == ("completed", "told", "2026-03-09")
    assert whole["items"][0]["open_then"] == {"amount": "100.00", "currency": "EUR"}


async def test_the_worker_reminds_by_itself_night_after_night(stage: Stage) -> None:
    """S1-02, C-08, S2-22: with the clock moved, steps go out on their days without any call, each once."""
    await stage.open("claims")
    await stage.customer()
    await stage.invoice(days_overdue=0)
    walked = await stage.advance(days=16)
    assert len(walked["nights"]) == 16
    assert await stage.accepted() == ["01 ap@c1.example", "02 ap@c1.example", "03 ap@c1.example"]
    days = [action["completed_on"] for action in await stage.actions()]
    assert days == ["2026-03-03", "2026-03-10", "2026-03-17"]


async def test_a_pre_due_notice_goes_to_what_falls_due_in_seven_days_and_not_in_eight(stage: Stage) -> None:
    """S0-04: seven days before yes, eight no; what is settled before the send gets none."""
    await stage.open("claims")
    for name, due_in in (("C1", 8), ("C7", 7), ("C6", 6), ("C5", 1)):
        await stage.customer(name)
        await stage.invoice(days_overdue=-due_in, customer=name)
    await stage.customer("PAID")
    await stage.invoice(days_overdue=-7, customer="PAID")
    await stage.pay("100.00", customer="PAID")
    await stage.remind()
    assert sorted(await stage.accepted()) == ["00 ap@c5.example", "00 ap@c6.example", "00 ap@c7.example"]


async def test_a_reminder_repeats_after_its_days_and_ends_with_the_payment(stage: Stage) -> None:
    """S1-03, S1-08, B-11: unpaid after seven days gives a second message; paid the day before the third gives none."""
    await stage.open("reminder")
    await stage.customer()
    await stage.invoice(days_overdue=0)
    await stage.advance(days=9)
    assert await stage.accepted() == ["reminder ap@c1.example"] * 2
    await stage.advance(days=5)
    await stage.pay("100.00")
    await stage.advance(days=20)
    assert await stage.accepted() == ["reminder ap@c1.example"] * 2


async def test_repeats_end_at_their_number(stage: Stage) -> None:
    """C-26: the reminder and its three repeats, then nothing more."""
    await stage.open("reminder")
    await stage.customer()
    item = await stage.invoice(days_overdue=0)
    await stage.advance(days=60)
    assert len(await stage.accepted()) == 4
    assert (await stage.progress(item))[-1].startswith("reminder#3 completed")


async def test_the_recovery_path_counts_from_what_was_done(stage: Stage) -> None:
    """S2-21, S2-22, S2-18: e-mail at +5, PEC ten days after it was sent, calls and counsel five days after what came before was done."""
    await stage.open("recovery")
    await stage.customer()
    item = await stage.invoice(days_overdue=4)
    await stage.advance(days=1)
    assert await stage.accepted() == ["email ap@c1.example"]
    await stage.advance(days=9)
    assert [a["step_code"] for a in await stage.actions()] == ["email"]
    await stage.advance(days=1)
    (pec,) = await stage.actions(state="waiting")
    assert (pec["step_code"], pec["task_kind"]) == ("pec", "pec")
    await stage.advance(days=4)
    await stage.post(f"/actions/{pec['action_id']}/complete", {"note": "Sent; both receipts are filed."})
    await stage.advance(days=4)
    assert await stage.actions(state="waiting", step="call") == []
    await stage.advance(days=1)
    (call,) = await stage.actions(state="waiting", step="call")
    await stage.post(f"/actions/{call['action_id']}/complete", {"completed_on": (await stage.today()).isoformat()})
    await stage.advance(days=5)
    (counsel,) = await stage.actions(step="counsel")
    assert (counsel["state"], counsel["task_kind"]) == ("waiting", "counsel")
    assert [p.split()[0] for p in await stage.progress(item)] == ["email#0", "pec#0", "call#0", "counsel#0"]


async def test_nobody_to_write_to_makes_a_task_and_never_loses_the_step(stage: Stage) -> None:
    """C-34, B-24: without an address the step does not move; told by letter it does, on the day the person states."""
    await stage.open("claims")
    await stage.customer(emails=[])
    item = await stage.invoice(days_overdue=2)
    run = await stage.launch(commit_at_once=True)
    assert run["counts"]["unreachable"] == 1
    await stage.settle()
    (action,) = await stage.actions(state="waiting")
    assert (action["reason"], action["task_kind"]) == ("no_address", "letter")
    assert (await stage.progress(item))[0] == "01#0 pending"
    await stage.advance(days=2)
    await stage.post(f"/actions/{action['action_id']}/complete", {"completed_on": "2026-03-03", "note": "Letter posted."})
    whole = await stage.action(action["action_id"])
    assert (whole["state"], whole["completed_on"], whole["claims"][0]["state"]) == ("completed", "2026-03-03", "issued")
    assert [n["text"] for n in whole["activities"] if n["kind"] == "note"] == ["Letter posted."]
    assert (await stage.progress(item))[0] == "01#0 completed 2026-03-03"


async def test_retry_frees_the_items_and_the_next_run_sends(stage: Stage) -> None:
    """Plan 10: retry closes the task; with an address found, the same step goes out."""
    await stage.open("claims")
    await stage.customer(emails=[])
    await stage.invoice(days_overdue=2)
    await stage.remind()
    (action,) = await stage.actions(state="waiting")
    await stage.customer(emails=["found@c1.example"])
    done = await stage.post(f"/actions/{action['action_id']}/retry")
    assert (done["state"], done["reason"], done["claims"][0]["state"]) == ("cancelled", "retried", "void")
    await stage.remind()
    assert await stage.accepted() == ["01 found@c1.example"]


async def test_a_skipped_step_is_passed_over_and_the_next_one_comes(stage: Stage) -> None:
    """Plan 10, S2-23: a person who skips a task lets the item go on to the step above."""
    await stage.open(scenario(step(1, "a", 1), step(2, "b", 2)))
    await stage.customer(emails=[])
    item = await stage.invoice(days_overdue=2)
    await stage.remind()
    (action,) = await stage.actions(state="waiting")
    await stage.customer(emails=["found@c1.example"])
    await stage.post(f"/actions/{action['action_id']}/skip", {"reason": "They were told in person."})
    await stage.advance(days=1)
    assert await stage.accepted() == ["b found@c1.example"]
    assert (await stage.progress(item))[0] == "a#0 skipped by_hand"


async def test_an_action_to_approve_tells_nobody_until_it_is_approved(stage: Stage) -> None:
    """S4-14, B-01: nothing is rendered or claimed before; after approval it goes out; settled rows have dropped out."""
    await stage.open(scenario(step(1, "a", 1, mode="approve")))
    await stage.customer()
    first, second = await stage.invoice("100.00"), await stage.invoice("60.00")
    await stage.remind()
    (action,) = await stage.actions()
    whole = await stage.action(action["action_id"])
    assert (whole["state"], whole["claims"], whole["messages"]) == ("awaiting_approval", [], [])
    await stage.pay("100.00", first)
    approved = await stage.post(f"/actions/{action['action_id']}/approve")
    assert approved["state"] == "executed"
    await stage.settle()
    assert await stage.accepted() == ["a ap@c1.example"]
    (claim,) = (await stage.action(action["action_id"]))["claims"]
    assert [row["open_minor"] for row in claim["data"]["blocks"][0]["rows"]] == [6000]
    assert await stage.progress(first) == []
    assert await stage.progress(second) == ["a#0 completed 2026-03-02"]


async def test_an_approval_after_everything_was_paid_cancels_the_action(stage: Stage) -> None:
    """S4-20, C-04: all settled at execution: cancelled with the reason, no message."""
    await stage.open(scenario(step(1, "a", 1, mode="approve")))
    await stage.customer()
    item = await stage.invoice()
    await stage.remind()
    (action,) = await stage.actions()
    await stage.pay("100.00")
    done = await stage.post(f"/actions/{action['action_id']}/approve")
    assert (done["state"], done["reason"], done["messages"]) == ("cancelled", "settled", [])
    assert await stage.progress(item) == []


async def test_a_rejected_action_frees_its_items(stage: Stage) -> None:
    """S4-14: rejected with a reason; the next run proposes anew."""
    await stage.open(scenario(step(1, "a", 1, mode="approve")))
    await stage.customer()
    await stage.invoice()
    await stage.remind()
    (action,) = await stage.actions()
    done = await stage.post(f"/actions/{action['action_id']}/reject", {"reason": "Ask again next week."})
    assert (done["state"], done["reason"]) == ("rejected", "Ask again next week.")
    await stage.remind()
    assert [a["state"] for a in await stage.actions()] == ["rejected", "awaiting_approval"]


async def test_an_approved_action_that_was_put_off_goes_on_its_day(stage: Stage) -> None:
    """S2-11: put off to Thursday and approved today, it goes out on Thursday, once."""
    await stage.open(scenario(step(1, "a", 1, mode="approve")))
    await stage.customer()
    await stage.invoice()
    await stage.remind()
    (action,) = await stage.actions()
    await stage.post(f"/actions/{action['action_id']}/reschedule", {"scheduled_on": "2026-03-05"})
    assert (await stage.post(f"/actions/{action['action_id']}/approve"))["state"] == "scheduled"
    await stage.advance(days=2)
    assert await stage.accepted() == []
    await stage.advance(days=2)
    assert await stage.accepted() == ["a ap@c1.example"]
    assert (await stage.action(action["action_id"]))["completed_on"] == "2026-03-05"


async def test_a_manual_notice_waits_until_a_person_sends_it(stage: Stage) -> None:
    """S4-14: manual never sends by itself; approving it does."""
    await stage.open(scenario(step(1, "a", 1, mode="manual")))
    await stage.customer()
    await stage.invoice()
    await stage.advance(days=3)
    (action,) = await stage.actions()
    assert (action["state"], await stage.accepted()) == ("waiting", [])
    await stage.post(f"/actions/{action['action_id']}/approve")
    await stage.settle()
    assert await stage.accepted() == ["a ap@c1.example"]


async def test_steps_with_only_operations_are_done_at_once(stage: Stage) -> None:
    """S0-03, S1-09: an activity of the configured kind is there with the action, the insurer's notice is left to a person and recorded once."""
    operations = [
        {"kind": "record_activity", "when": "executed", "params": {"type": "claim_for_non_payment"}},
        {"kind": "declare_to_insurer", "when": "completed", "params": {"manual": True, "text": "Declare it."}},
    ]
    await stage.open(scenario(step(1, "a", 1, notices=[], operations=operations, deadline_days=None), step(2, "b", 5)))
    await stage.customer()
    item = await stage.invoice()
    await stage.remind()
    (action,) = await stage.actions(kind="operations")
    whole = await stage.action(action["action_id"])
    assert whole["state"] == "completed"
    assert [task["action_id"] for task in await stage.actions(state="waiting")] == [whole["operations"][1]["task_id"]]
    assert [(o["kind"], o["state"], o["due_on"]) for o in whole["operations"]] == [
        ("record_activity", "done", None),
        ("declare_to_insurer", "waiting", "2026-03-02"),
    ]
    found = await stage.get("/activities", kind="claim_for_non_payment")
    assert [a["data"]["item_ids"] for a in found["data"]] == [[str(item)]]
    done = await stage.post(f"/actions/{action['action_id']}/operations/2/done", {"note": "D-88"})
    assert (done[1]["state"], done[1]["note"]) == ("done", "D-88")
    await stage.post(f"/actions/{action['action_id']}/operations/2/done", {}, status=409)


async def test_operations_of_a_completed_notice_wait_for_its_acceptance(stage: Stage) -> None:
    """S0-09, promises 2.4: what must follow the telling becomes due with the acceptance, not with the queueing."""
    operations = [{"kind": "block_account", "when": "completed", "params": {"manual": True}}]
    await stage.open(scenario(step(1, "a", 1, operations=operations)))
    await stage.customer()
    await stage.invoice()
    await stage.launch(commit_at_once=True)
    (action,) = await stage.actions()
    assert (await stage.action(action["action_id"]))["operations"][0]["due_on"] is None
    await stage.settle()
    assert (await stage.action(action["action_id"]))["operations"][0]["due_on"] == "2026-03-02"


async def test_a_returned_payment_goes_on_where_the_item_was(stage: Stage) -> None:
    """S2-05, plan 1: paid after the first reminder and returned later, the item reads on from there in a new episode."""
    await stage.open("claims")
    await stage.customer()
    item = await stage.invoice(days_overdue=1)
    await stage.remind()
    receipt = await stage.pay("100.00")
    await stage.advance(days=10)
    assert await stage.accepted() == ["01 ap@c1.example"]
    await stage.payment_returns(receipt)
    await stage.advance(days=1)
    assert await stage.accepted() == ["01 ap@c1.example", "02 ap@c1.example"]
    assert (await stage.progress(item))[-1].startswith("02#0 completed")


async def test_imported_progress_counts_as_completed(stage: Stage) -> None:
    """Go-live, plan 3: an item that comes with step 01 reached goes on with 02 at the scenario's own distance."""
    await stage.open("claims")
    await stage.customer()
    await stage.invoice(days_overdue=5, step_reached="01", last_reminded_on="2026-02-26")
    await stage.remind()
    assert await stage.accepted() == []
    await stage.advance(days=3)
    assert await stage.accepted() == ["02 ap@c1.example"]
    assert (await stage.actions())[0]["completed_on"] == "2026-03-05"


async def test_a_direct_debit_is_left_alone(stage: Stage) -> None:
    """B-15: what is collected automatically is not reminded, with its reason."""
    await stage.open("claims")
    customer = await stage.customer()
    await stage.invoice(days_overdue=9, collection_method="automatic")
    run = await stage.launch(filter={"customer_ids": [str(customer)]})
    assert run["reasons"] == {"AUTOMATIC_COLLECTION": 1}


async def test_closed_days_put_a_mail_off_without_making_it_late(stage: Stage) -> None:
    """C-40, plan 5: decided on Saturday, sent on Monday; the next step keeps its distance from the Saturday."""
    await stage.open(scenario(step(1, "a", 5), step(2, "b", 12)), send_on_closed_days=False)
    await stage.customer()
    await stage.invoice(days_overdue=0)
    await stage.advance(days=8)
    (action,) = await stage.actions()
    assert (action["scheduled_on"], action["completed_on"]) == ("2026-03-07", "2026-03-09")
    await stage.advance(days=7)
    assert [a["scheduled_on"] for a in await stage.actions()] == ["2026-03-07", "2026-03-14"]


async def test_mails_leave_inside_the_window_of_the_customers_own_hours(stage: Stage) -> None:
    """C-10, B-26: the night decides at six in Rome; a customer in New York is written to at eight of its own morning."""
    await stage.open("claims")
    await stage.customer(time_zone="America/New_York", country="US")
    await stage.invoice(days_overdue=0)
    await stage.advance(days=2)
    (message,) = (await stage.get("/messages"))["data"]
    assert dt.datetime.fromisoformat(message["accepted_at"]) == dt.datetime(2026, 3, 3, 13, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize("how", ["approve", "complete"])
async def test_a_checkpoint_stops_until_somebody_says_go_on(stage: Stage, how: str) -> None:
    """S2-23, S2-14: a task between two mails holds the item until a person approves it, or completes it as any other task."""
    check = step(2, "check", 2, notices=[], mode="manual", task={"kind": "checkpoint", "text": "May we go on?"})
    await stage.open(scenario(step(1, "a", 1), check, step(3, "b", 3)))
    await stage.customer()
    await stage.invoice(days_overdue=0)
    await stage.advance(days=6)
    assert await stage.accepted() == ["a ap@c1.example"]
    (waiting,) = await stage.actions(state="waiting")
    passed = await stage.post(f"/actions/{waiting['action_id']}/{how}", {} if how == "complete" else None)
    assert (passed["state"], passed["approved_by"]) == ("completed", "key:all" if how == "approve" else None)
    await stage.advance(days=2)
    assert await stage.accepted() == ["a ap@c1.example", "b ap@c1.example"]
    assert TODAY == dt.date(2026, 3, 2)
