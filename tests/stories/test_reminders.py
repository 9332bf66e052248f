"""Reminders that go by themselves: when, how often, what they say, and what they leave behind."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.fakes.relay import Relay
from tests.messages.workbench import smtp_to
from tests.stories.desk import SUBJECT, Desk, notice, scenario, step

REPEATED = {"repeat_every_days": 7, "max_repeats": 3}


async def test_overdue_and_soon_due_invoices_are_reminded_without_any_call(desk: Desk) -> None:
    """S1-01, S1-02, B-55: with the clock moved one day, both kinds leave by themselves."""
    await desk.open(scenario(step("soon", -7, "Falls due soon", until=-1), step("late", 1, "Reminder")))
    await desk.invoice("1001", due=8, customer="SOON")
    await desk.invoice("1002", due=0, customer="LATE")
    await desk.work()
    assert desk.mail.subjects() == []
    await desk.days(1)
    assert sorted(desk.mail.subjects()) == ["ap@late.example Reminder: 1002", "ap@soon.example Falls due soon: 1001"]


async def test_an_unpaid_reminder_is_repeated_and_a_payment_the_day_before_ends_it(desk: Desk) -> None:
    """S1-03, S1-08, C-26, B-11: N days after the first comes the second; paid on day N - 1 nothing comes; repeats end at their number."""
    await desk.open(scenario(step("r", 1, "Reminder", **REPEATED)))
    await desk.invoice("1001", due=0, customer="PAYS")
    await desk.invoice("1002", due=0, customer="NEVER")
    await desk.days(8)
    assert desk.mail.subjects_to("ap@pays.example") == ["Reminder: 1001"] * 2
    await desk.days(6)
    await desk.pay("100.00", "1001", customer="PAYS")
    await desk.days(22)
    assert desk.mail.subjects_to("ap@pays.example") == ["Reminder: 1001"] * 2
    assert desk.mail.subjects_to("ap@never.example") == ["Reminder: 1002"] * 4


async def test_each_repeat_says_which_reminder_it_is(desk: Desk) -> None:
    """B-53, S1-04: the subject is the user's own, with the number of the reminder; the item counts them for the ERP."""
    await desk.template("letter", en=("Reminder {{reminder_number}} to {{customer_name}}", "{{items_list}}"))
    await desk.open(scenario(step("r", 1, repeat_every_days=3, max_repeats=2)))
    item = await desk.invoice(due=0)
    await desk.days(7)
    assert desk.mail.subjects_to("ap@c1.example") == [f"Reminder {n} to Customer C1" for n in (1, 2, 3)]
    found = await desk.get(f"/items/{item}")
    assert (found["reminders"], found["step_code"], found["last_reminded_on"]) == (3, "r", "2026-03-09")


async def test_the_body_states_a_deadline_and_a_consequence_and_both_are_stored(desk: Desk) -> None:
    """S1-05, B-19, B-04: the deadline is counted from the day of sending, stored on the action, and a later edit of the scenario leaves the past alone."""
    await desk.open(scenario(step("r", 1, deadline_days=10, consequence="Deliveries stop after that day.")))
    await desk.invoice(due=-1)
    await desk.remind()
    letter = desk.mail.last("ap@c1.example")
    assert "Please pay €100.00 by 12 March 2026." in letter.text
    assert "Deliveries stop after that day." in letter.text
    await desk.ask("PATCH", f"/scenarios/{desk.scenario_id}", {"steps": scenario(step("r", 1, deadline_days=3))["steps"]})
    await desk.post(f"/scenarios/{desk.scenario_id}/publish")
    action = await desk.action()
    assert (action["deadline_on"], action["scenario_version"]) == ("2026-03-12", 1)
    assert action["claims"][0]["data"]["consequence"] == "Deliveries stop after that day."


async def test_the_collections_manager_gets_a_copy_that_the_log_shows(desk: Desk) -> None:
    """S1-06: the copy is a mail of its own, listed with the message."""
    await desk.open("reminder")
    await desk.push_customer("C1", contacts=[
        {"external_id": "a", "name": "Anna", "email": "anna@c1.example", "roles": ["dunning"]},
        {"external_id": "m", "name": "Mara", "email": "mara@acme.example", "roles": ["collections_manager"], "internal": True},
    ])  # fmt: skip
    await desk.invoice(due=-2)
    await desk.remind()
    assert desk.mail.subjects_to("mara@acme.example") == desk.mail.subjects_to("anna@c1.example")
    (message,) = await desk.messages(to="anna@c1.example")
    assert message["cc"] == ["mara@acme.example"]


async def test_the_tolerance_keeps_day_n_silent_and_lets_the_next_day_speak(desk: Desk) -> None:
    """S1-07: grace_days 5: nothing on the fifth day, a message on the sixth."""
    await desk.open(scenario(step("r", 1, "Reminder", grace_days=5)))
    await desk.invoice(due=0)
    await desk.days(5)
    assert desk.mail.subjects() == []
    await desk.days(1)
    assert desk.mail.subjects() == ["ap@c1.example Reminder: 1001"]


async def test_each_notice_leaves_an_event_on_the_customer_with_the_action_itself(desk: Desk) -> None:
    """S1-09, S1-10: the activity of the configured type is there as soon as the action is, before anything is sent; it is listed by type and day."""
    await desk.open("reminder")
    await desk.invoice(due=-2)
    await desk.run(commit_at_once=True)
    assert desk.mail.letters == []
    (activity,) = (await desk.get("/activities", kind="claim_for_non_payment", since="2026-03-02T00:00:00Z"))["data"]
    action = await desk.action()
    assert (activity["action_id"], activity["customer_id"], activity["business_at"]) == (action["action_id"], desk.customers["C1"], action["executed_at"])
    assert (await desk.get("/activities", kind="claim_for_non_payment", since="2026-03-03T00:00:00Z"))["data"] == []


OUTSIDE: list[str] = []
_watching: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event == "socket.connect" and isinstance(arguments[1], tuple):
        OUTSIDE.append(f"{arguments[1][0]}:{arguments[1][1]}")
    if _watching and event == "socket.getaddrinfo":
        OUTSIDE.append(f"looked up {arguments[0]}")


@contextmanager
def connections_seen() -> Iterator[list[str]]:
    """Note every connection over the network and every name that is looked up in this process; the database listens on a file."""
    if not getattr(_hook, "installed", False):
        sys.addaudithook(_hook)
        _hook.installed = True  # type: ignore[attr-defined]
    OUTSIDE.clear()
    _watching.append(True)
    try:
        yield OUTSIDE
    finally:
        _watching.clear()


async def test_nothing_is_called_but_the_configured_mail_server(desk: Desk) -> None:
    """S1-11: data is pushed in and stays; from import to sending the only connections are those to the relay that is configured."""
    async with Relay() as relay:
        desk.world.transports = {"sink": smtp_to(relay.port, name="sink")}
        with connections_seen() as seen:
            await desk.open("reminder")
            await desk.import_rows(
                {"kind": "customer", "external_id": "C9", "name": "Nine", "contacts": [{"external_id": "a", "email": "a@c9.example", "roles": ["dunning"]}]}
            )
            await desk.invoice(due=-2)
            await desk.remind()
            await asyncio.sleep(0)
        assert len(relay.accepted) == 1, "the control: something was sent, and seen"
        assert set(seen) <= {f"127.0.0.1:{relay.port}", "looked up 127.0.0.1"}
        assert f"127.0.0.1:{relay.port}" in seen


async def test_a_mail_is_wholly_the_customers_own(desk: Desk) -> None:
    """S1-12: the customer's name and number, the person's name, the language, and the ledger's sender."""
    texts = {
        "en": ("For {{customer_name}}", "Dear {{addressee}}, number {{customer_number}}. {{items_amount}}"),
        "it": ("Per {{customer_name}}", "Gentile {{addressee}}, codice {{customer_number}}. {{items_amount}}"),
    }
    await desk.template("letter", **texts)
    await desk.open(
        scenario(step("r", 1)), languages=("en", "it"), sender_name="Acme Italia", sender_email="crediti@acme.example", reply_to="risposte@acme.example"
    )
    await desk.push_customer("C1", name="Rossi S.p.A.", language="it")
    await desk.invoice("1001", "1234.50", due=-1)
    await desk.remind()
    letter = desk.mail.last("ap@c1.example")
    assert (letter.subject, letter.sender, letter.reply_to) == ("Per Rossi S.p.A.", "Acme Italia <crediti@acme.example>", "risposte@acme.example")
    assert letter.text.replace("\N{NO-BREAK SPACE}", " ").startswith("Gentile Person 0, codice C1. 1.234,50 €")


async def test_a_run_tells_how_many_customers_it_planned_and_how_fast(desk: Desk) -> None:
    """S1-15: the plan of many customers is one run; duration and throughput stand on it. The figures of large ledgers are in the benchmarks."""
    await desk.open("reminder")
    people = [{"kind": "customer", "external_id": f"K{n}", "name": f"K {n}"} for n in range(300)]
    debts = [
        {"kind": "document", "external_id": f"D{n}", "customer_external_id": f"K{n}", "number": f"{n}"}
        | {"document_on": "2026-01-10", "due_on": "2026-02-10", "total": {"amount": "10.00", "currency": "EUR"}}
        for n in range(300)
    ]
    done = await desk.import_rows(*people, *debts)
    assert (done["state"], done["counts"]["created"]) == ("done", 600)
    run = await desk.run()
    assert (run["counts"]["customers"], run["counts"]["actions"], run["counts"]["unreachable"]) == (300, 300, 300)
    assert run["duration_seconds"] > 0
    assert run["customers_per_second"] > 0
    await desk.post(f"/runs/{run['run_id']}/commit")
    await desk.work()
    later = await desk.get(f"/runs/{run['run_id']}")
    assert (later["state"], later["duration_seconds"]) == ("committed", run["duration_seconds"]), "the time in which a proposal waits does not count"


async def test_the_deadline_that_a_notice_states_drives_the_next_step(desk: Desk) -> None:
    """S1-16, B-19: the day after the stated deadline the next step comes, however late the first one was sent."""
    first = step("first", 1, "First", deadline_days=4)
    after = step("after", 0, "Deadline passed") | {"trigger": {"kind": "deadline_passed"}}
    await desk.open(scenario(first, after))
    await desk.invoice(due=-20)
    await desk.remind()
    assert (await desk.action())["deadline_on"] == "2026-03-06"
    await desk.days(4)
    assert desk.mail.subjects() == ["ap@c1.example First: 1001"]
    await desk.days(1)
    assert desk.mail.subjects() == ["ap@c1.example First: 1001", "ap@c1.example Deadline passed: 1001"]


async def test_nights_that_were_missed_are_made_up_for_once(desk: Desk) -> None:
    """C-08: the machine was off for three nights; on its return the reminder goes late, once, and the next one keeps its distance from it."""
    await desk.open(scenario(step("a", 1, "First"), step("b", 8, "Second")))
    await desk.invoice(due=0)
    await desk.machine_off(4)
    assert desk.mail.subjects() == ["ap@c1.example First: 1001"]
    assert (await desk.action(step="a"))["completed_on"] == "2026-03-06"
    await desk.days(6)
    assert len(desk.mail.letters) == 1
    await desk.days(1)
    assert (await desk.action(step="b"))["completed_on"] == "2026-03-13"


async def test_the_preview_shows_a_template_before_anything_is_sent(desk: Desk) -> None:
    """S1-04, C-44: subject and body with the values of a customer as it stands, and no mail."""
    template_id = await desk.template("letter", en=(SUBJECT, "Dear {{addressee}}, {{items_amount}} by {{deadline}}"))
    await desk.open(scenario(step("r", 1, deadline_days=7, notices=[notice()])))
    await desk.invoice("1001", "50.00", due=-3)
    shown = await desk.post(f"/templates/{template_id}/preview", {"customer_id": desk.customers["C1"]})
    assert shown["subject"] == "Preview: 1001"
    assert shown["text"] == "Dear Customer C1, €50.00 by 9 March 2026\n"
    assert desk.mail.letters == []
