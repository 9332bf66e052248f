"""Recovery with people in it: collectors, tasks, counsel, returned payments, and what each of them sees."""

from __future__ import annotations

from typing import Any

import pytest

from dunning.collection import despatch
from tests.stories.desk import Desk, scenario, step, task


async def test_the_shipped_recovery_path_counts_each_delay_from_what_was_done(desk: Desk) -> None:
    """S2-21, S2-22, S2-17, S2-18, S2-28: e-mail at +5; PEC 10 days after it left; calls 5 days after the PEC was done, however late; then counsel."""
    await desk.open("recovery")
    item = await desk.invoice("1001", due=0)
    await desk.days(4)
    assert desk.mail.letters == []
    await desk.days(1)
    assert len(desk.mail.to("ap@c1.example")) == 1
    await desk.days(9)
    assert await desk.actions(state="waiting") == []
    await desk.days(1)
    pec = await desk.action(state="waiting")
    assert (pec["step_code"], pec["task_kind"], pec["scheduled_on"]) == ("pec", "pec", "2026-03-17")
    await desk.days(4)
    await desk.post(f"/actions/{pec['action_id']}/notes", {"text": "Both receipts are filed."})
    done = await desk.post(f"/actions/{pec['action_id']}/complete", {})
    assert done["completed_on"] == "2026-03-21"
    assert [a["text"] for a in done["activities"]] == ["Both receipts are filed."]
    await desk.days(4)
    assert await desk.actions(step="call") == []
    await desk.days(1)
    call = await desk.action(step="call")
    assert (call["state"], call["scheduled_on"]) == ("waiting", "2026-03-26")
    await desk.post(f"/actions/{call['action_id']}/complete", {"note": "They promise to pay."})
    await desk.days(5)
    counsel = await desk.action(step="counsel")
    assert (counsel["state"], counsel["task_kind"]) == ("waiting", "counsel")
    await desk.post(f"/actions/{counsel['action_id']}/complete", {})
    assert await desk.steps_of(item) == ["email", "pec", "call", "counsel"]
    assert len(desk.mail.letters) == 1


async def test_a_notice_may_show_what_is_not_yet_due_with_its_own_subtotal(desk: Desk) -> None:
    """S2-03, B-56: a section of its own, outside what is asked for; without the option it is not there."""
    await desk.open(scenario(step("a", 1, show_not_due=True), step("b", 8)))
    await desk.invoice("1001", "100.00", due=0)
    await desk.invoice("1002", "60.00", due=30)
    await desk.days(1)
    shown = desk.mail.last("ap@c1.example").text
    overdue, not_due = shown.split("Not yet due (EUR)")
    assert "1001" in overdue
    assert "Subtotal: €60.00" in not_due
    assert "Please pay" not in overdue
    assert "Total to pay: €100.00" in not_due
    await desk.days(7)
    assert "1002" not in desk.mail.last("ap@c1.example").text


async def test_a_notice_may_go_before_the_due_date(desk: Desk) -> None:
    """S2-04: a step with a negative offset goes that many days before, and not after the due date."""
    await desk.open(scenario(step("soon", -3, "Soon due", until=-1)))
    await desk.invoice("1001", due=4)
    await desk.invoice("1002", due=0, customer="C2")
    await desk.days(3)
    assert desk.mail.subjects() == ["ap@c1.example Soon due: 1001"]


async def test_a_returned_payment_opens_the_debt_again_and_brings_its_own_notice(desk: Desk) -> None:
    """S2-05, S0-06, S3-16: the item owes again in a new episode, the bank's charges become a fee, and the step of the returned payment comes first."""
    returned = step("ret", 0, "Payment returned") | {"trigger": {"kind": "payment_returned", "offset_days": 1}}
    await desk.open(scenario(step("01", 1, "First"), step("02", 8, "Second"), returned))
    item = await desk.invoice("1001", due=0)
    await desk.days(1)
    receipt = await desk.pay("100.00", "1001")
    await desk.days(9)
    assert desk.mail.subjects() == ["ap@c1.example First: 1001"]
    back = await desk.post(
        "/payment-returns",
        {"receipt_id": receipt["receipt_id"], "returned_on": "2026-03-12", "reason": "insufficient_funds", "charges": {"amount": "7.50", "currency": "EUR"}},
        status=201,
    )
    assert back["reopened_item_ids"] == [item]
    assert (await desk.get(f"/items/{item}"))["episode"] == 2
    await desk.days(1)
    letter = desk.mail.last("ap@c1.example")
    assert letter.subject.startswith("Payment returned: 1001")
    assert "IT60 X054 2811 1010 0000 0123 456" in letter.text
    position = (await desk.get(f"/customers/{desk.customers['C1']}/position"))["currencies"][0]
    assert position["net"]["amount"] == "107.50"
    await desk.post("/payment-returns", {"receipt_id": receipt["receipt_id"], "returned_on": "2026-03-12", "reason": "again"}, status=409)


async def test_the_position_shows_what_is_overdue_not_due_disputed_and_unapplied(desk: Desk) -> None:
    """S2-07, C-21: one line a currency, nothing added across."""
    await desk.open("claims")
    await desk.invoice("1001", "100.00", due=-3)
    disputed = await desk.invoice("1002", "40.00", due=-3)
    await desk.invoice("1003", "30.00", due=9)
    await desk.invoice("1004", "70.00", due=-3, currency="USD")
    await desk.credit_note("CN1", "15.00")
    await desk.pay("25.00", allocation="none")
    await desk.hold("item", disputed, "dispute")
    euro, dollar = (await desk.get(f"/customers/{desk.customers['C1']}/position"))["currencies"]
    assert {name: euro[name]["amount"] for name in ("overdue", "not_due", "disputed", "open_credit", "unapplied_receipts", "net")} == {
        "overdue": "140.00", "not_due": "30.00", "disputed": "40.00", "open_credit": "15.00", "unapplied_receipts": "25.00", "net": "130.00",
    }  # fmt: skip
    assert (dollar["currency"], dollar["net"]["amount"]) == ("USD", "70.00")


async def test_all_that_was_done_is_in_one_timeline_at_once_and_what_comes_in_the_agenda(desk: Desk) -> None:
    """S2-08, S2-09, S2-19, B-27: actions, notes, mails and receipts in the next request; future steps with their days, and nothing sent for asking."""
    await desk.open("claims")
    await desk.invoice("1001", due=-2)
    await desk.remind()
    action = await desk.action()
    await desk.post(f"/actions/{action['action_id']}/notes", {"text": "Called, no answer."})
    await desk.post(f"/customers/{desk.customers['C1']}/activities", {"kind": "visit", "text": "Met their accountant."}, status=201)
    await desk.pay("10.00")
    timeline = (await desk.get(f"/customers/{desk.customers['C1']}/timeline"))["data"]
    assert {entry["kind"] for entry in timeline} == {"action", "activity", "message", "receipt"}
    assert [entry["data"].get("text") for entry in timeline if entry["kind"] == "activity"][:2] == ["Met their accountant.", "Called, no answer."]
    agenda = await desk.get(f"/customers/{desk.customers['C1']}/agenda", days=40)
    assert agenda["current_step"] == "01"
    assert [(a["on"], a["step_code"]) for a in agenda["actions"]] == [("2026-03-09", "02"), ("2026-03-16", "03"), ("2026-03-23", "04"), ("2026-03-31", "05")]
    assert len(desk.mail.letters) == 1


async def test_channels_come_in_any_order_and_number(desk: Desk) -> None:
    """S2-14, S2-23: call, e-mail, a checkpoint, e-mail, letter: the company's own way, and the checkpoint stops it until somebody says go on."""
    after = {"kind": "after_previous", "offset_days": 1}
    way = scenario(
        task("call", {"kind": "due_date", "offset_days": 1}),
        step("m1", 0, "First mail") | {"trigger": after},
        task("check", after, "checkpoint"),
        step("m2", 0, "Second mail") | {"trigger": after},
        task("post", after, "letter"),
    )
    await desk.open(way)
    item = await desk.invoice("1001", due=0)
    await desk.days(1)
    for _ in range(3):
        for waiting in await desk.actions(state="waiting"):
            if waiting["task_kind"] != "checkpoint":
                await desk.post(f"/actions/{waiting['action_id']}/complete", {})
        await desk.days(1)
    assert desk.mail.subjects() == ["ap@c1.example First mail: 1001"]
    check = await desk.action(state="waiting")
    await desk.post(f"/actions/{check['action_id']}/complete", {"note": "Go on."})
    await desk.days(2)
    assert desk.mail.subjects() == ["ap@c1.example First mail: 1001", "ap@c1.example Second mail: 1001"]
    assert await desk.steps_of(item) == ["call", "m1", "check", "m2"]
    assert (await desk.action(state="waiting"))["task_kind"] == "letter"


async def test_what_failed_for_one_customer_is_listed_and_tried_again_and_touches_no_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """B-52, C-34: the run goes on, names the customer with its error, and a retry sends what is missing, once."""
    await desk.open(scenario(step("a", 1, "First")))
    await desk.invoice("1001", customer="GOOD")
    await desk.invoice("1002", customer="BAD")
    write_one = despatch._Desk._write_one

    def broken(self: Any, going: Any, number: int) -> None:
        if str(going.customer_id) == desk.customers["BAD"]:
            msg = "the printer is on fire"
            raise RuntimeError(msg)
        write_one(self, going, number)

    monkeypatch.setattr(despatch._Desk, "_write_one", broken)
    run = await desk.remind()
    assert desk.mail.subjects() == ["ap@good.example First: 1001"]
    assert (run["state"], run["counts"]["outcomes"]) == ("committed", {"executed": 1, "failed": 1})
    (failed,) = (await desk.get(f"/runs/{run['run_id']}/customers", outcome="failed"))["data"]
    assert (failed["external_id"], "the printer is on fire" in failed["error"]) == ("BAD", True)
    monkeypatch.undo()
    again = await desk.post(f"/runs/{run['run_id']}/customers/{failed['customer_id']}/retry")
    assert again["outcome"] == "executed"
    await desk.post(f"/runs/{run['run_id']}/customers/{failed['customer_id']}/retry", status=409)
    await desk.work()
    assert desk.mail.subjects() == ["ap@good.example First: 1001", "ap@bad.example First: 1002"]
