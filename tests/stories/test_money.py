"""Money between decision and sending: payments, credits, minimums, currencies, instalments, and the ledger as it was known."""

from __future__ import annotations

import pytest

from tests.stories.desk import Desk, scenario, step

LADDER = (step("01", 1, "First"), step("02", 8, "Second"))


@pytest.mark.parametrize("by", ["payment", "credit note", "void document"])
async def test_what_no_longer_owes_at_the_last_moment_is_not_reminded(desk: Desk, by: str) -> None:
    """C-04, C-06, S0-04, S4-20: settled between decision and sending, by whatever made it so: no mail, and the action is cancelled with the reason."""
    await desk.open(scenario(*LADDER))
    await desk.invoice("1001")
    run = await desk.run(commit_at_once=True)
    assert run["counts"]["actions"] == 1
    if by == "payment":
        await desk.pay("100.00", "1001")
    elif by == "credit note":
        await desk.credit_note("CN1", "100.00", corrects_external_id="1001")
    else:
        await desk.document("1001", due_on="2026-03-01", document_on="2026-01-01", state="void")
    await desk.work()
    action = await desk.action()
    assert (desk.mail.letters, action["state"], action["reason"]) == ([], "cancelled", "settled")
    assert [claim["state"] for claim in action["claims"]] == ["void"]
    await desk.days(8)
    assert desk.mail.letters == []


async def test_a_part_payment_at_the_last_moment_changes_what_the_mail_asks_for(desk: Desk) -> None:
    """C-04, C-19, C-22: the claim that was frozen is void, and the one that is told has the new amount."""
    await desk.open(scenario(*LADDER))
    await desk.invoice("1001")
    await desk.run(commit_at_once=True)
    await desk.pay("60.00", "1001")
    await desk.work()
    (letter,) = desk.mail.letters
    assert "Total to pay: €40.00" in letter.text
    claims = (await desk.action())["claims"]
    assert sorted((claim["state"], claim["data"]["blocks"][0]["total_minor"]) for claim in claims) == [("told", 4000), ("void", 10000)]


async def test_a_receipt_its_allocation_and_the_new_state_are_seen_together(desk: Desk) -> None:
    """C-05, S1-13: in the next request the item is settled, the position lower, and the events in order."""
    await desk.open(scenario(*LADDER))
    item = await desk.invoice("1001")
    receipt = await desk.pay("100.00", "1001")
    assert receipt["allocations"][0]["item_id"] == item
    found = await desk.get(f"/items/{item}")
    assert (found["state"], found["open_amount"]["amount"]) == ("posted", "0.00")
    assert await desk.net() == "0.00"
    assert "receipt.recorded" in await desk.events()


async def test_credits_are_netted_oldest_debt_first_and_the_rows_equal_the_ledger(desk: Desk) -> None:
    """C-20, B-14: the credit is listed, the covered debt is not asked for, and the total is net; an account in credit is not reminded at all."""
    await desk.open(scenario(*LADDER))
    covered = await desk.invoice("1001", "100.00", due=-3)
    await desk.invoice("1002", "60.00", due=-2)
    await desk.credit_note("CN1", "120.00")
    await desk.invoice("2001", "50.00", customer="RICH")
    await desk.credit_note("CN2", "80.00", customer="RICH")
    await desk.remind()
    (letter,) = desk.mail.letters
    assert letter.to == "ap@c1.example"
    assert "Total to pay: €40.00" in letter.text
    assert "-€120.00" in letter.text
    assert "1001" in letter.text
    assert (await desk.explain(covered))["blockers"] == ["COVERED_BY_CREDIT"]
    (block,) = (await desk.action())["claims"][0]["data"]["blocks"]
    assert sum(row["open_minor"] for row in block["rows"] if row["section"] != "credit") - block["credit_minor"] == block["total_minor"] == 4000


async def test_credits_may_only_be_shown(desk: Desk) -> None:
    """C-20: the mode `show` lists the credit and asks for the whole."""
    await desk.open(scenario(*LADDER, netting="show"))
    await desk.invoice("1001", "100.00", due=-3)
    await desk.credit_note("CN1", "120.00")
    await desk.remind()
    (letter,) = desk.mail.letters
    assert "Total to pay: €100.00" in letter.text
    assert "-€120.00" in letter.text


async def test_currencies_are_never_added(desk: Desk) -> None:
    """C-21, C-22: a block, a total and a sign of its own for each; a credit in one covers nothing in the other."""
    await desk.open(scenario(*LADDER))
    await desk.invoice("1001", "100.00")
    await desk.invoice("1002", "9000", currency="JPY")
    await desk.invoice("1003", "70.00", currency="USD")
    await desk.credit_note("CN1", "40.00")
    await desk.remind()
    text = desk.mail.last("ap@c1.example").text
    assert "Total to pay: €60.00" in text
    assert "Total to pay: US$70.00" in text
    assert "Total to pay: JP¥9,000" in text or "Total to pay: ¥9,000" in text
    assert sorted((total["amount"], total["currency"]) for total in (await desk.action())["totals"]) == [("60.00", "EUR"), ("70.00", "USD"), ("9000", "JPY")]


async def test_money_is_only_set_against_debts(desk: Desk) -> None:
    """C-36, S3-13: a receipt cannot pay a credit note, nor more than is open; `oldest first` touches debts only; nothing is half done."""
    await desk.open(scenario(*LADDER))
    await desk.invoice("1001", "50.00")
    await desk.credit_note("CN1", "30.00")
    euros = {"amount": "30.00", "currency": "EUR"}
    body = {"customer_external_id": "C1", "amount": euros, "received_on": "2026-03-02"}
    for wrong, status in (("CN1", 409), ("NOWHERE", 404)):
        target = [{"document_external_id": wrong, "amount": euros}]
        await desk.ask("PUT", f"/ledgers/{desk.ledger_id}/receipts/R1", body | {"allocation": target}, status=status)
    much = {"amount": "60.00", "currency": "EUR"}
    target = [{"document_external_id": "1001", "amount": much}]
    over = await desk.ask("PUT", f"/ledgers/{desk.ledger_id}/receipts/R1", body | {"amount": much, "allocation": target}, status=409)
    assert "document 1001 has less open than the 60.00 EUR to be allocated to it (open now: 1001/1: 50.00 EUR)" in over["detail"]
    assert (await desk.get(f"/ledgers/{desk.ledger_id}/receipts"))["data"] == []
    paid = await desk.pay("60.00")
    assert (paid["allocated"]["amount"], paid["unapplied"]["amount"]) == ("50.00", "10.00")
    position = (await desk.get(f"/customers/{desk.customers['C1']}/position"))["currencies"][0]
    assert (position["open_credit"]["amount"], position["net"]["amount"]) == ("30.00", "-40.00")
    assert (await desk.get("/health/invariants"))["sound"]


async def test_minimums_are_looked_at_anew_each_time(desk: Desk) -> None:
    """B-09, C-45: below, at and above the minimum of item and customer; lowering the minimum brings back what it had kept out."""
    euro = [{"amount": "50.00", "currency": "EUR"}]
    await desk.open(scenario(step("01", 1, "First", min_item=[{"amount": "10.00", "currency": "EUR"}]), min_customer=euro))
    for name, amounts in {"BELOW": ("49.99",), "AT": ("50.00",), "ABOVE": ("25.00", "25.01"), "TINY": ("9.99", "45.00")}.items():
        for n, amount in enumerate(amounts):
            await desk.invoice(f"{name}{n}", amount, customer=name)
    await desk.remind()
    assert sorted(letter.to for letter in desk.mail.letters) == ["ap@above.example", "ap@at.example", "ap@tiny.example"]
    assert desk.mail.last("ap@tiny.example").subject == "First: TINY1"
    draft = scenario(step("01", 1, "First"), min_customer=[{"amount": "5.00", "currency": "EUR"}])
    await desk.ask("PATCH", f"/scenarios/{desk.scenario_id}", {"steps": draft["steps"], "min_customer": draft["min_customer"]})
    await desk.post(f"/scenarios/{desk.scenario_id}/publish")
    await desk.days(1)
    assert sorted(desk.mail.subjects()[3:]) == ["ap@below.example First: BELOW0", "ap@tiny.example First: TINY0"]


async def test_each_instalment_is_reminded_on_its_own_day(desk: Desk) -> None:
    """C-42: three parts of one invoice, each with its due date, its phase and its payment."""
    await desk.open(scenario(*LADDER))
    parts = [{"due_on": day, "amount": {"amount": "40.00", "currency": "EUR"}} for day in ("2026-03-02", "2026-03-09", "2026-03-16")]
    document = await desk.document("1001", "120.00", instalments=parts)
    first, second, third = (item["item_id"] for item in sorted(document["items"], key=lambda item: item["due_on"]))
    await desk.days(1)
    await desk.pay("40.00", customer="C1")
    await desk.days(7)
    assert (await desk.steps_of(first), await desk.steps_of(second), await desk.steps_of(third)) == (["01"], ["01"], [])
    text = desk.mail.last("ap@c1.example").text
    assert ("9 Mar 2026" in text, "16 Mar 2026" in text, "2 Mar 2026" in text) == (True, False, False)
    assert "Total to pay: €40.00" in text


async def test_the_ledger_can_be_asked_as_it_was_and_as_it_was_known(desk: Desk) -> None:
    """D-23, S2-07: a payment valued on the 5th and recorded on the 9th counts for the 5th only for who asks with what was known on the 9th."""
    await desk.open(scenario(*LADDER))
    await desk.invoice("1001", "100.00", due=-3)
    await desk.days(7)
    await desk.pay("100.00", "1001", received_on="2026-03-05")
    assert await desk.net(as_of="2026-03-05", known_on="2026-03-08") == "100.00"
    assert await desk.net(as_of="2026-03-05", known_on="2026-03-09") == "0.00"
    assert await desk.net(as_of="2026-03-04", known_on="2026-03-09") == "100.00"
    assert await desk.net() == "0.00"
