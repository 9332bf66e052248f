"""Stopping: holds on ledger, customer and item, direct debits, policies, spacing, limits, and what goes on meanwhile."""

from __future__ import annotations

from tests.stories.desk import Desk, scenario, step

LADDER = (step("01", 1, "First", until=7), step("02", 8, "Second"), step("03", 15, "Third"))


async def test_what_nothing_stops_is_driven_by_the_customers_scenario(desk: Desk) -> None:
    """S4-01, B-05: item before customer before group before ledger: each may name another scenario, or never."""
    await desk.open(scenario(*LADDER))
    other = await desk.install(scenario(step("x", 1, "Other way")))
    await desk.ask("PUT", f"/ledgers/{desk.ledger_id}/customer-groups/public", {"name": "Public bodies", "policy": "never"})
    await desk.push_customer("PLAIN")
    await desk.push_customer("OTHER", policy="scenario", scenario_id=other)
    await desk.push_customer("NEVER", policy="never")
    await desk.push_customer("GROUP", group_code="public")
    await desk.push_customer("TOWN", group_code="public", policy="scenario", scenario_id=other)
    for n, name in enumerate(("PLAIN", "OTHER", "NEVER", "GROUP", "TOWN")):
        await desk.invoice(f"100{n}", customer=name)
    spared = await desk.invoice("1009", customer="PLAIN")
    await desk.ask("PATCH", f"/items/{spared}", {"policy": "never"})
    await desk.remind()
    assert sorted(desk.mail.subjects()) == ["ap@other.example Other way: 1001", "ap@plain.example First: 1000", "ap@town.example Other way: 1004"]
    assert (await desk.explain(spared))["blockers"] == ["NO_SCENARIO"]


async def test_a_hold_stops_one_invoice_or_customer_for_its_days_and_ends_by_itself(desk: Desk) -> None:
    """C-15, B-13: with reason and end, listed while in force; the first day after its last day reminds again; others go on."""
    await desk.open(scenario(step("01", 1, "First")))
    held = await desk.invoice("1001")
    await desk.invoice("1002")
    await desk.invoice("2001", customer="C2")
    made = await desk.hold("item", held, "payment_in_flight", days=2)
    await desk.hold("customer", desk.customers["C2"], "talks")
    assert (await desk.explain(held))["first_day"] == "2026-03-05"
    await desk.remind()
    assert desk.mail.subjects() == ["ap@c1.example First: 1002"]
    listed = (await desk.get("/holds", ledger=desk.ledger_id, in_force_on="2026-03-04"))["data"]
    assert [(hold["scope"], hold["reason"], hold["until_on"]) for hold in listed] == [("item", "payment_in_flight", "2026-03-04"), ("customer", "talks", None)]
    await desk.days(2)
    assert len(desk.mail.letters) == 1
    await desk.days(1)
    assert desk.mail.subjects()[1:] == ["ap@c1.example First: 1001"]
    expired = (await desk.get("/holds", ledger=desk.ledger_id, in_force_on="2026-03-05"))["data"]
    assert made["hold_id"] not in [hold["hold_id"] for hold in expired]


async def test_a_released_hold_reminds_again_and_stays_in_the_list(desk: Desk) -> None:
    """C-15, B-13: with who released it."""
    await desk.open(scenario(step("01", 1, "First")))
    await desk.invoice("1001")
    hold = await desk.hold("ledger", desk.ledger_id, "christmas")
    await desk.remind()
    assert desk.mail.letters == []
    gone = await desk.ask("DELETE", f"/holds/{hold['hold_id']}")
    assert gone["released_by"].startswith("key:")
    assert gone["hold_id"] in [kept["hold_id"] for kept in (await desk.get("/holds", ledger=desk.ledger_id))["data"]]
    await desk.remind()
    assert desk.mail.subjects() == ["ap@c1.example First: 1001"]


async def test_with_everything_held_nothing_is_selected_shown_or_sent(desk: Desk) -> None:
    """C-16: one predicate for the proposal, the dry run, the preview of a customer, and the last look before sending."""
    await desk.open(scenario(step("01", 1, "First")))
    items = [await desk.invoice(f"100{n}") for n in range(3)]
    run = await desk.run(commit_at_once=True)
    assert run["counts"]["actions"] == 1
    for item in items:
        await desk.hold("item", item)
    await desk.work()
    assert desk.mail.letters == []
    assert [(message["state"], message["reason"]) for message in await desk.messages()] == [("cancelled", "held")]
    customers = {"filter": {"customer_external_ids": ["C1"]}}
    for dry in (True, False):
        again = await desk.run(dry_run=dry, **customers)
        assert (again["counts"]["actions"], again["reasons"]) == (0, {"HELD": 3})
    template_id = (await desk.get("/templates", code="letter"))["data"][0]["template_id"]
    refused = await desk.post(f"/templates/{template_id}/preview", {"customer_id": desk.customers["C1"]}, status=409)
    assert refused["code"] == "nothing_open"


async def test_a_row_that_is_held_before_sending_drops_out_and_the_rest_is_told(desk: Desk) -> None:
    """C-16, S4-04: a dispute after the run takes its row out; the claim is made again without it and replaces the first."""
    await desk.open(scenario(step("01", 1, "First")))
    disputed = await desk.invoice("1001", "70.00")
    await desk.invoice("1002", "30.00")
    await desk.run(commit_at_once=True)
    await desk.hold("item", disputed, "dispute")
    await desk.work()
    (letter,) = desk.mail.letters
    assert letter.subject == "First: 1002"
    assert "70.00" not in letter.text
    first, second = sorted((await desk.action())["claims"], key=lambda claim: claim["claim_no"])
    assert (first["state"], second["state"], second["replaces_id"]) == ("void", "told", first["claim_id"])


async def test_direct_debits_are_left_out_with_their_reason(desk: Desk) -> None:
    """B-15: of one item, or of a whole customer; the others of the account are reminded."""
    await desk.open(scenario(step("01", 1, "First")))
    debit = await desk.invoice("1001", collection_method="automatic")
    await desk.invoice("1002")
    await desk.push_customer("C2", collection_method="automatic")
    await desk.invoice("2001", customer="C2")
    run = await desk.remind()
    assert desk.mail.subjects() == ["ap@c1.example First: 1002"]
    assert run["reasons"]["AUTOMATIC_COLLECTION"] == 2
    assert (await desk.explain(debit))["blockers"] == ["AUTOMATIC_COLLECTION"]


async def test_contacts_keep_their_distance(desk: Desk) -> None:
    """B-08: with spacing_days 3 the second mail to one customer waits for the third day after the first, whatever it is about."""
    await desk.open(scenario(step("01", 1, "First"), grouping="document", spacing_days=3))
    await desk.invoice("1001", due=0)
    later = await desk.invoice("1002", due=1)
    await desk.days(2)
    assert desk.mail.subjects() == ["ap@c1.example First: 1001"]
    explained = await desk.explain(later)
    assert (explained["blockers"], explained["first_day"]) == (["SPACING"], "2026-03-06")
    await desk.days(1)
    assert len(desk.mail.letters) == 1
    await desk.days(1)
    assert desk.mail.subjects()[1:] == ["ap@c1.example First: 1002"]


async def test_an_invoice_at_its_limit_blocks_no_other(desk: Desk) -> None:
    """C-17: the old one has had its reminder and its one repeat; the new one gets its own."""
    await desk.open(scenario(step("r", 1, "Reminder", repeat_every_days=2, max_repeats=1)))
    old = await desk.invoice("1001", due=0)
    await desk.days(6)
    await desk.invoice("1002", due=0)
    await desk.days(3)
    assert desk.mail.subjects() == [
        "ap@c1.example Reminder: 1001",
        "ap@c1.example Reminder: 1001",
        "ap@c1.example Reminder: 1002",
        "ap@c1.example Reminder: 1002",
    ]
    assert (await desk.explain(old))["blockers"] == ["SCENARIO_ENDED"]
    assert "Invoice 1001" in desk.mail.last("ap@c1.example").text, "it stands there for information"


async def test_reminding_one_invoice_hides_no_other(desk: Desk) -> None:
    """C-18: the interval is each item's own; the one not reminded keeps its day and is listed with it."""
    await desk.open(scenario(*LADDER))
    first, second = await desk.invoice("1001", due=0), await desk.invoice("1002", due=3)
    await desk.days(1)
    explained = {e["item_id"]: e for e in (await desk.get(f"/customers/{desk.customers['C1']}/explain"))["items"]}
    assert explained[second]["first_day"] == "2026-03-06"
    assert explained[first]["first_day"] == "2026-03-10"
    await desk.days(3)
    assert desk.mail.subjects() == ["ap@c1.example First: 1001", "ap@c1.example First: 1002"]
