from __future__ import annotations

import datetime as dt

import pytest

from tests.ledger.books import eur, make_ledger


async def test_the_instalment_is_the_item(books):
    """C-42: each instalment has its own due date, amount and id."""
    parts = [{"due_on": "2026-02-15", "amount": eur("61.00")}, {"due_on": "2026-03-15", "amount": eur("39.00"), "external_id": "second"}]
    made = await books.invoice("INV-1", instalments=parts)
    assert [(i["external_id"], i["due_on"], i["open_amount"]["amount"]) for i in made["items"]] == [
        ("INV-1/1", "2026-02-15", "61.00"),
        ("second", "2026-03-15", "39.00"),
    ]


async def test_the_same_document_again_changes_nothing_and_another_content_makes_a_version(books, tenant):
    first = await books.invoice("INV-1")
    facts = await tenant.value("select facts_version from customer_state")
    assert await books.invoice("INV-1") == first
    assert await tenant.value("select facts_version from customer_state") == facts
    changed = await books.invoice("INV-1", due_on="2026-03-20")
    assert (changed["version"], changed["items"][0]["due_on"]) == (2, "2026-03-20")
    assert changed["items"][0]["item_id"] == first["items"][0]["item_id"]
    versions = (await books.api.get(f"/v1/documents/{first['document_id']}/versions")).json()["data"]
    assert [(v["version"], v["items"][0]["due_on"]) for v in versions] == [(1, "2026-02-20")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"total": eur("-5.00")}, "credit_note"),
        ({"due_on": None}, "due_on"),
        ({"instalments": [{"due_on": "2026-02-01", "amount": eur("99.99")}], "due_on": None}, "add up"),
        ({"instalments": [{"due_on": "2026-02-01", "amount": eur("100.00", "USD")}], "due_on": None}, "currency"),
        ({"corrects_external_id": "INV-0"}, "credit_note"),
        ({"total": {"amount": "100.001", "currency": "EUR"}}, "decimals"),
        ({"total": {"amount": 100.0, "currency": "EUR"}}, "text"),
        ({"surprise": 1}, "Extra"),
    ],
)
async def test_a_document_that_does_not_make_sense_says_why(books, change, words):
    body = {"customer_external_id": "C-1", "number": "1", "document_on": "2026-01-20", "due_on": "2026-02-20", "total": eur("100.00"), **change}
    answer = await books.put_document("INV-1", **body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


async def test_an_unknown_customer_is_404_and_another_tenants_ledger_too(books, other_api):
    body = {"customer_external_id": "C-9", "number": "1", "document_on": "2026-01-20", "due_on": "2026-02-20", "total": eur("100.00")}
    assert (await books.put_document("INV-1", **body)).status_code == 404
    assert (await other_api.put(f"{books.path}/documents/INV-1", json={**body, "customer_external_id": "C-1"})).status_code == 404


async def test_customer_type_and_currency_of_a_document_cannot_change(books):
    await books.customer("C-2")
    await books.invoice("INV-1")
    body = {"customer_external_id": "C-1", "number": "1", "document_on": "2026-01-20", "due_on": "2026-02-20", "total": eur("100.00")}
    for change in ({"customer_external_id": "C-2"}, {"type": "debit_note"}, {"total": eur("100.00", "USD")}):
        answer = await books.put_document("INV-1", **{**body, **change})
        assert (answer.status_code, answer.json()["code"]) == (409, "document_identity_fixed")


async def test_a_credit_note_is_set_against_its_invoice_and_the_rest_stays_open_credit(books):
    """C-06, C-20, C-36: a credit, not a payment, settles; only opposite signs meet."""
    await books.invoice("INV-1", "100.00")
    note = await books.credit_note("CN-1", "130.00", corrects_external_id="INV-1")
    assert note["items"][0]["open_amount"]["amount"] == "30.00"
    assert await books.position() == {
        "EUR": {"overdue": "0.00", "not_due": "0.00", "disputed": "0.00", "open_credit": "30.00", "unapplied_receipts": "0.00", "net": "-30.00"}
    }
    await books.sound()


async def test_a_credit_note_that_corrects_an_invoice_of_another_customer_is_refused(books):
    await books.customer("C-2")
    await books.invoice("INV-1")
    body = {"customer_external_id": "C-2", "type": "credit_note", "number": "CN", "document_on": "2026-01-25", "total": eur("10.00")}
    assert (await books.put_document("CN-1", **body, corrects_external_id="INV-1")).status_code == 409
    assert (await books.put_document("CN-1", **body, corrects_external_id="INV-9")).status_code == 404


async def test_an_invoice_restated_below_what_was_paid_frees_the_newest_money_and_is_listed(books):
    """promises 4 rule 9."""
    await books.invoice("INV-1", "100.00")
    await books.receipt("R-1", "60.00")
    await books.receipt("R-2", "40.00")
    restated = await books.invoice("INV-1", "70.00")
    item = restated["items"][0]
    assert (item["open_amount"]["amount"], item["over_settled"]) == ("0.00", True)
    left = {r["external_id"]: r["unapplied"]["amount"] for r in (await books.api.get(f"{books.path}/receipts")).json()["data"]}
    assert left == {"R-1": "0.00", "R-2": "30.00"}
    assert [i["item_id"] for i in await books.items(over_settled=True)] == [item["item_id"]]
    entries = (await books.api.get(f"/v1/items/{item['item_id']}/allocations")).json()["data"]
    assert [(e["amount"]["amount"], e["reversed"], e["reverses_id"] is not None) for e in entries] == [
        ("60.00", False, False),
        ("40.00", True, False),
        ("40.00", False, True),
        ("10.00", False, False),
    ]
    seen = await books.api.patch(f"/v1/items/{item['item_id']}", json={"over_settled": False})
    assert seen.json()["over_settled"] is False
    await books.sound()


async def test_a_void_invoice_owes_nothing_frees_its_money_and_can_come_back(books):
    await books.invoice("INV-1", "100.00")
    await books.receipt("R-1", "60.00")
    void = await books.invoice("INV-1", "100.00", state="void")
    assert (void["state"], void["items"][0]["state"], void["items"][0]["open_amount"]["amount"]) == ("void", "void", "0.00")
    assert (await books.position())["EUR"]["unapplied_receipts"] == "60.00"
    await books.sound()
    back = await books.invoice("INV-1", "100.00")
    assert (back["items"][0]["state"], back["items"][0]["open_amount"]["amount"]) == ("posted", "100.00")
    await books.sound()


async def test_a_void_credit_note_makes_its_invoice_owe_again(books):
    await books.invoice("INV-1", "100.00")
    await books.credit_note("CN-1", "100.00", corrects_external_id="INV-1")
    assert await books.open_amounts() == {}
    await books.credit_note("CN-1", "100.00", corrects_external_id="INV-1", state="void")
    assert await books.open_amounts() == {"INV-1/1": "100.00"}
    await books.sound()


async def test_an_instalment_that_is_no_longer_stated_is_void(books):
    parts = [{"due_on": "2026-02-15", "amount": eur("60.00")}, {"due_on": "2026-03-15", "amount": eur("40.00")}]
    await books.invoice("INV-1", instalments=parts)
    await books.receipt("R-1", "100.00")
    one = await books.invoice("INV-1", "60.00", instalments=[{"due_on": "2026-02-15", "amount": eur("60.00")}])
    assert [(i["external_id"], i["state"]) for i in one["items"]] == [("INV-1/1", "posted"), ("INV-1/2", "void")]
    assert (await books.position())["EUR"]["unapplied_receipts"] == "40.00"
    await books.sound()


async def test_go_live_progress_and_blocks_come_with_items_and_customers(books, tenant):
    """Go-live: architecture 6; plan 3."""
    await books.customer("C-2", step_reached="02", last_reminded_on="2026-02-10")
    await books.invoice("OLD", customer="C-2", due_on="2026-01-31")
    await books.invoice("NEW", customer="C-2", due_on="2026-02-20")
    await books.invoice("OWN", step_reached="01", dunning_block={"reason": "dispute"})
    assert {i["external_id"]: (i["step_code"], i["last_reminded_on"]) for i in await books.items()} == {
        "OLD/1": ("02", "2026-02-10"),
        "NEW/1": (None, None),
        "OWN/1": ("01", "2026-03-02"),
    }
    assert (await books.position())["EUR"]["disputed"] == "100.00"


async def test_a_persons_decision_on_an_item_survives_the_erps_next_statement(books):
    """B-05: policy on the item."""
    made = await books.invoice("INV-1")
    item_id = made["items"][0]["item_id"]
    decided = await books.api.patch(f"/v1/items/{item_id}", json={"policy": "never"})
    assert (decided.status_code, decided.json()["policy"]) == (200, "never")
    changed = await books.invoice("INV-1", due_on="2026-04-01")
    assert changed["items"][0]["policy"] == "never"
    stated = await books.invoice("INV-1", due_on="2026-04-02", policy="inherit")
    assert stated["items"][0]["policy"] == "inherit"


async def test_the_file_of_a_document_is_its_registered_address(books, other_api):
    """S2-10."""
    made = await books.invoice("INV-1", file_url="https://files.acme.example/1.pdf")
    plain = await books.invoice("INV-2")
    answer = await books.api.get(f"/v1/documents/{made['document_id']}/file")
    assert (answer.status_code, answer.headers["location"]) == (307, "https://files.acme.example/1.pdf")
    assert (await books.api.get(f"/v1/documents/{plain['document_id']}/file")).status_code == 404
    assert (await other_api.get(f"/v1/documents/{made['document_id']}/file")).status_code == 404


async def test_the_position_separates_overdue_not_due_disputed_and_what_is_unapplied_by_currency(books):
    """S2-07, C-19."""
    await books.invoice("A", "100.00", due_on="2026-03-01")
    await books.invoice("B", "50.00", due_on="2026-03-02")
    disputed = await books.invoice("C", "30.00", due_on="2026-01-31")
    await books.invoice("U", total=eur("70.00", "USD"), due_on="2026-01-31")
    await books.receipt("R", "10.00", "none")
    hold = {"scope": "item", "object_id": disputed["items"][0]["item_id"], "reason": "dispute"}
    assert (await books.api.post("/v1/holds", json=hold)).status_code == 201
    nothing = {"disputed": "0.00", "open_credit": "0.00", "unapplied_receipts": "0.00"}
    assert await books.position() == {
        "EUR": {"overdue": "130.00", "not_due": "50.00", "disputed": "30.00", "open_credit": "0.00", "unapplied_receipts": "10.00", "net": "170.00"},
        "USD": {"overdue": "70.00", "not_due": "0.00", **nothing, "net": "70.00"},
    }


async def test_the_position_can_be_asked_as_of_a_day_and_as_known_on_a_day(books, tenant):
    """D-23: value date and record date."""
    await books.invoice("INV-1", "100.00", due_on="2026-02-20")
    await books.receipt("R-1", "60.00", received_on="2026-02-25")
    monday = dt.datetime(2026, 3, 9, 8, tzinfo=dt.UTC)
    await tenant.set_clock(monday)
    await books.receipt("R-2", "40.00", received_on="2026-02-26")
    await books.invoice("INV-1", "90.00", due_on="2026-02-20")

    async def owed(**query: str) -> tuple[str, str]:
        found = (await books.position(**query)).get("EUR")
        return (found["overdue"], found["unapplied_receipts"]) if found else ("0.00", "0.00")

    assert await owed() == ("0.00", "10.00")
    assert await owed(as_of="2026-02-24") == ("90.00", "0.00")
    assert await owed(as_of="2026-03-09", known_on="2026-03-08") == ("40.00", "0.00")
    assert await owed(as_of="2026-02-25", known_on="2026-03-02") == ("40.00", "0.00")
    assert await owed(as_of="2026-02-25", known_on="2026-03-01") == ("0.00", "0.00"), "nothing was recorded yet"
    assert (await books.api.get(f"{books.path}/customers")).status_code == 200
    customer = (await books.api.get(f"{books.path}/customers")).json()["data"][0]["customer_id"]
    assert (await books.api.get(f"/v1/customers/{customer}/position", params={"as_of": "2026-03-10"})).status_code == 422


async def test_changes_of_items_are_listed_in_order_for_the_erp_to_write_back(books, tenant):
    for n in range(5):
        await books.invoice(f"INV-{n}")
    first = await books.api.get(f"{books.path}/item-changes", params={"changed_since": "2020-01-01T00:00:00Z", "limit": 2})
    seen = [i["external_id"] for i in first.json()["data"]]
    cursor = first.json()["next_cursor"]
    while cursor:
        page = (await books.api.get(f"{books.path}/item-changes", params={"changed_since": "2020-01-01T00:00:00Z", "limit": 2, "cursor": cursor})).json()
        seen += [i["external_id"] for i in page["data"]]
        last, cursor = page["data"][-1], page["next_cursor"]
    assert seen == [f"INV-{n}/1" for n in range(5)]
    async with tenant.transaction() as session:
        item = await session.row("select ledger_id, item_id from item where external_id = 'INV-1/1'")
        await session.execute(
            "insert into item_dunning (tenant_id, item_id, ledger_id, step_code, last_reminded_on, updated_at) values ($1, $2, $3, '01', '2026-03-02', clock_timestamp())",
            tenant.tenant_id,
            item["item_id"],
            item["ledger_id"],
        )
    again = await books.api.get(f"{books.path}/item-changes", params={"changed_since": last["changed_at"]})
    assert [(i["external_id"], i["step_code"], i["last_reminded_on"]) for i in again.json()["data"]][-1] == ("INV-1/1", "01", "2026-03-02")


async def test_a_change_that_commits_late_is_not_missed_by_a_reader_who_goes_on_from_the_last(books, tenant):
    await books.invoice("INV-1")
    await books.invoice("INV-2")
    query = {"changed_since": "2020-01-01T00:00:00Z"}
    async with tenant.transaction() as session:
        await session.execute("update item set updated_at = clock_timestamp() where external_id = 'INV-1/1'")
        async with tenant.transaction() as other:
            await other.execute("update item set updated_at = clock_timestamp() where external_id = 'INV-2/1'")
        early = (await books.api.get(f"{books.path}/item-changes", params=query)).json()["data"]
        assert "INV-2/1" not in [i["external_id"] for i in early], "it changed after one that has not committed"
    seen = [i["external_id"] for i in (await books.api.get(f"{books.path}/item-changes", params=query)).json()["data"]]
    assert seen == ["INV-1/1", "INV-2/1"]


async def test_open_amounts_of_an_erp_are_explained_by_adjustments(erp_books):
    """architecture 4.7: every open amount is explained by its entries."""
    await erp_books.invoice("INV-1", "100.00", open_amount=eur("100.00"))
    paid = await erp_books.invoice("INV-1", "100.00", open_amount=eur("25.00"))
    assert paid["items"][0]["open_amount"]["amount"] == "25.00"
    await erp_books.invoice("INV-1", "100.00", open_amount=eur("0.00"))
    again = await erp_books.invoice("INV-1", "100.00", open_amount=eur("40.00"))
    assert (again["items"][0]["open_amount"]["amount"], again["items"][0]["episode"]) == ("40.00", 2)
    await erp_books.sound()
    refused = await erp_books.put_receipt("R-1", "10.00")
    assert (refused.status_code, refused.json()["code"]) == (409, "receipts_not_taken")
    body = {"customer_external_id": "C-1", "number": "1", "document_on": "2026-01-20", "due_on": "2026-02-20", "total": eur("100.00")}
    missing = await erp_books.put_document("INV-2", **body)
    assert missing.status_code == 422
    assert "open_amount" in missing.json()["detail"]


async def test_an_opening_balance_may_be_stated_once_where_receipts_count(books):
    await books.invoice("INV-1", "100.00", open_amount=eur("40.00"))
    assert await books.open_amounts() == {"INV-1/1": "40.00"}
    await books.receipt("R-1", "15.00")
    body = {"customer_external_id": "C-1", "number": "INV-1", "document_on": "2026-01-20", "due_on": "2026-03-20", "total": eur("100.00")}
    wrong = await books.put_document("INV-1", **body, open_amount=eur("40.00"))
    assert (wrong.status_code, wrong.json()["code"]) == (409, "open_amount_differs")
    right = await books.put_document("INV-1", **body, open_amount=eur("25.00"))
    assert right.status_code == 200
    assert await books.open_amounts() == {"INV-1/1": "25.00"}
    await books.sound()


async def test_a_cursor_of_another_list_is_refused(books):
    await books.invoice("A")
    await books.invoice("B")
    page = (await books.api.get(f"{books.path}/items", params={"limit": 1})).json()
    assert (await books.api.get(f"{books.path}/documents", params={"cursor": page["next_cursor"]})).status_code == 422
    other = await make_ledger(books.api, "other")
    assert (await other.items()) == []
