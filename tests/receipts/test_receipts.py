from __future__ import annotations

import asyncio
import datetime as dt
from uuid import uuid4

import pytest

from tests.conftest import client_of
from tests.ledger.books import Books, eur, make_ledger


def pays(document: str, amount: str) -> dict[str, object]:
    return {"document_external_id": document, "amount": eur(amount)}


async def test_a_receipt_pays_what_it_names_and_over_allocation_is_refused(books):
    """S3-13."""
    await books.invoice("A", "100.00")
    await books.invoice("B", "50.00")
    paid = await books.receipt("R-1", "120.00", [pays("A", "80.00"), {"item_external_id": "B/1", "amount": eur("40.00")}])
    assert [(a["item_external_id"], a["amount"]["amount"]) for a in paid["allocations"]] == [("A/1", "80.00"), ("B/1", "40.00")]
    assert await books.open_amounts() == {"A/1": "20.00", "B/1": "10.00"}
    for part, status in (("19.99", 201), ("0.02", 409), ("0.01", 201)):
        answer = await books.put_receipt(f"R-{part}", part, [pays("A", part)])
        assert answer.status_code == status, answer.text
    assert answer.json()["allocations"][0]["kind"] == "receipt"
    await books.sound()


async def test_a_total_pays_the_oldest_debt_first_and_the_rest_stays_unapplied(books):
    """S3-14, C-35: by due date, then document date, then number."""
    await books.invoice("LATE", "50.00", due_on="2026-02-20")
    await books.invoice("OLD-2", "30.00", due_on="2026-01-31", document_on="2026-01-10")
    await books.invoice("OLD-1", "30.00", due_on="2026-01-31", document_on="2026-01-05")
    await books.credit_note("CN", "5.00")
    paid = await books.receipt("R-1", "45.00")
    assert [(a["item_external_id"], a["amount"]["amount"]) for a in paid["allocations"]] == [("OLD-1/1", "30.00"), ("OLD-2/1", "15.00")]
    rest = await books.receipt("R-2", "100.00")
    assert (rest["allocated"]["amount"], rest["unapplied"]["amount"]) == ("65.00", "35.00")
    assert await books.open_amounts() == {"CN/1": "5.00"}, "a receipt never pays a credit (C-36)"
    await books.sound()


async def test_the_same_receipt_again_changes_nothing_and_other_content_is_parked(books):
    """promises 4 rule 9."""
    await books.invoice("A", "100.00")
    first = await books.receipt("R-1", "60.00")
    again = await books.put_receipt("R-1", "60.00")
    assert (again.status_code, again.json()) == (200, first)
    for _ in range(2):
        other = await books.put_receipt("R-1", "61.00")
        assert (other.status_code, other.json()["code"]) == (409, "receipt_differs")
    parked = (await books.api.get(f"{books.path}/receipt-inbox")).json()["data"]
    assert [(p["external_id"], p["content"]["amount"]["amount"], p["state"]) for p in parked] == [("R-1", "61.00", "parked")]
    assert await books.open_amounts() == {"A/1": "40.00"}
    booked = await books.api.post(f"/v1/receipt-inbox/{parked[0]['receipt_inbox_id']}/book", json={"external_id": "R-1b"})
    assert (booked.status_code, booked.json()["state"]) == (200, "applied")
    assert (await books.position())["EUR"]["unapplied_receipts"] == "61.00"
    late = await books.api.post(f"/v1/receipt-inbox/{parked[0]['receipt_inbox_id']}/dismiss", json={"reason": "twice"})
    assert late.status_code == 409
    await books.sound()


async def test_a_receipt_without_an_id_is_kept_once_by_its_idempotency_key(books):
    await books.invoice("A", "100.00")
    body = {"customer_external_id": "C-1", "amount": eur("10.00"), "received_on": "2026-02-25"}
    assert (await books.api.post(f"{books.path}/receipts", json=body)).status_code == 422
    key = {"Idempotency-Key": str(uuid4())}
    first = await books.api.post(f"{books.path}/receipts", json=body, headers=key)
    second = await books.api.post(f"{books.path}/receipts", json=body, headers=key)
    assert (first.status_code, second.status_code, first.json()) == (201, 201, second.json())
    assert await books.open_amounts() == {"A/1": "90.00"}
    named = await books.api.post(f"{books.path}/receipts", json={**body, "external_id": "R-9"}, headers={"Idempotency-Key": str(uuid4())})
    assert named.json()["external_id"] == "R-9"


async def test_an_item_is_paid_by_its_own_customer_in_its_own_currency_only(books):
    await books.customer("C-2")
    await books.invoice("A", "100.00")
    await books.invoice("U", total=eur("100.00", "USD"))
    other = await books.put_receipt("R-1", "10.00", [pays("A", "10.00")], customer="C-2")
    assert (other.status_code, other.json()["code"]) == (409, "over_allocated")
    assert "another customer" in other.json()["detail"]
    dollars = await books.put_receipt("R-2", "10.00", [pays("U", "10.00")])
    assert (dollars.status_code, dollars.json()["code"]) == (409, "over_allocated")
    await books.receipt("R-3", "500.00")
    assert await books.open_amounts() == {"U/1": "100.00"}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"amount": eur("0.00")}, 422),
        ({"amount": eur("-1.00")}, 422),
        ({"received_on": "2026-03-03"}, 422),
        ({"allocation": [pays("A", "11.00")]}, 422),
        ({"allocation": [pays("NONE", "1.00")]}, 404),
        ({"allocation": [{"item_id": "0198c0de-0000-7000-8000-000000000001", "amount": eur("1.00")}]}, 404),
        ({"customer_external_id": "C-9"}, 404),
    ],
)
async def test_a_receipt_that_does_not_make_sense_is_refused_whole(books, change, status):
    await books.invoice("A", "100.00")
    body = {"customer_external_id": "C-1", "amount": eur("10.00"), "received_on": "2026-02-25", **change}
    answer = await books.api.put(f"{books.path}/receipts/R-1", json=body)
    assert answer.status_code == status, answer.text
    assert (await books.api.get(f"{books.path}/receipts")).json()["data"] == []


async def test_another_tenants_items_and_receipts_are_unknown(books, other_api):
    made = await books.invoice("A", "100.00")
    paid = await books.receipt("R-1", "10.00")
    mine = await make_ledger(other_api)
    await mine.customer()
    target = [{"item_id": made["items"][0]["item_id"], "amount": eur("1.00")}]
    assert (await mine.put_receipt("R-1", "1.00", target)).status_code == 404
    assert (await other_api.get(f"/v1/receipts/{paid['receipt_id']}")).status_code == 404
    assert (await other_api.post(f"/v1/receipts/{paid['receipt_id']}/reverse", json={"reason": "x"})).status_code == 404
    body = {"receipt_id": paid["receipt_id"], "returned_on": "2026-03-01", "reason": "x"}
    assert (await other_api.post("/v1/payment-returns", json=body)).status_code == 404
    assert (await other_api.post(f"/v1/allocations/{paid['allocations'][0]['allocation_id']}/reverse", json={"reason": "x"})).status_code == 404
    await books.sound()


async def test_the_rest_of_a_receipt_is_allocated_later_and_one_allocation_undone(books):
    paid = await books.receipt("R-1", "100.00")
    await books.invoice("A", "80.00")
    path = f"/v1/receipts/{paid['receipt_id']}/allocations"
    key = {"Idempotency-Key": str(uuid4())}
    more = await books.api.post(path, json={"allocation": [pays("A", "100.01")]}, headers=key)
    assert more.status_code == 409
    later = await books.api.post(path, json={"allocation": "oldest_first"}, headers={"Idempotency-Key": str(uuid4())})
    assert (later.json()["allocated"]["amount"], later.json()["unapplied"]["amount"]) == ("80.00", "20.00")
    entry = later.json()["allocations"][0]["allocation_id"]
    undone = await books.api.post(f"/v1/allocations/{entry}/reverse", json={"reason": "wrong invoice"})
    assert (undone.json()["unapplied"]["amount"], await books.open_amounts()) == ("100.00", {"A/1": "80.00"})
    again = await books.api.post(f"/v1/allocations/{entry}/reverse", json={"reason": "wrong invoice"})
    assert (again.status_code, again.json()["code"]) == (409, "allocation_reversed")
    reversal = undone.json()["allocations"][1]["allocation_id"]
    assert (await books.api.post(f"/v1/allocations/{reversal}/reverse", json={"reason": "x"})).status_code == 409
    await books.sound()


async def test_a_returned_payment_reopens_its_items_with_their_due_dates_in_a_new_episode(api, tenant):
    """S2-05, promises 4 rule 5."""
    books = await make_ledger(api, return_hold_days=5)
    await books.customer()
    await books.invoice("A", "100.00", due_on="2026-02-10")
    paid = await books.receipt("R-1", "100.00")
    body = {"receipt_id": paid["receipt_id"], "returned_on": "2026-02-27", "reason": "insufficient_funds", "charges": eur("7.50")}
    made = await api.post("/v1/payment-returns", json=body)
    assert made.status_code == 201, made.text
    items = {i["external_id"]: i for i in await books.items()}
    reopened = items["A/1"]
    assert made.json()["reopened_item_ids"] == [reopened["item_id"]]
    assert (reopened["open_amount"]["amount"], reopened["due_on"], reopened["episode"]) == ("100.00", "2026-02-10", 2)
    fee = next(i for i in items.values() if i["type"] == "fee")
    assert (fee["open_amount"]["amount"], fee["due_on"], fee["episode"]) == ("7.50", "2026-02-27", 1)
    holds = (await api.get("/v1/holds", params={"item": reopened["item_id"]})).json()["data"]
    assert [(h["reason"], h["from_on"], h["until_on"]) for h in holds] == [("payment_returned", "2026-03-02", "2026-03-06")]
    assert (await api.get(f"/v1/receipts/{paid['receipt_id']}")).json()["state"] == "returned"
    second = await api.post("/v1/payment-returns", json=body)
    assert (second.status_code, second.json()["code"]) == (409, "already_returned")
    spent = await api.post(f"/v1/receipts/{paid['receipt_id']}/allocations", json={"allocation": "oldest_first"}, headers={"Idempotency-Key": str(uuid4())})
    assert (spent.status_code, spent.json()["code"]) == (409, "receipt_ended")
    kinds = [e["kind"] for e in await tenant.rows("select kind from event order by event_id")]
    assert {"receipt.returned", "item.reopened", "hold.set"} <= set(kinds)
    await books.sound()


async def test_a_return_before_the_payment_or_in_the_future_is_refused(books):
    await books.invoice("A", "100.00")
    paid = await books.receipt("R-1", "100.00")
    for day in ("2026-02-24", "2026-03-03"):
        answer = await books.api.post("/v1/payment-returns", json={"receipt_id": paid["receipt_id"], "returned_on": day, "reason": "x"})
        assert answer.status_code == 422
    assert await books.open_amounts() == {}


async def test_a_receipt_booked_by_mistake_is_reversed_once_in_the_same_episode(books):
    await books.invoice("A", "100.00")
    paid = await books.receipt("R-1", "100.00")
    undone = await books.api.post(f"/v1/receipts/{paid['receipt_id']}/reverse", json={"reason": "wrong customer"})
    assert (undone.json()["state"], undone.json()["unapplied"]["amount"]) == ("reversed", "0.00")
    assert [(i["open_amount"]["amount"], i["episode"]) for i in await books.items()] == [("100.00", 1)]
    assert (await books.api.post(f"/v1/receipts/{paid['receipt_id']}/reverse", json={"reason": "x"})).status_code == 409
    await books.sound()


async def test_a_payment_has_its_customer_planned_again_in_the_same_transaction(books, tenant):
    """C-05: receipt, allocation and state change commit together."""
    await books.invoice("A", "100.00")
    before = await tenant.value("select facts_version from customer_state")
    await books.receipt("R-1", "100.00")
    rows = await tenant.rows("select facts_version, review_on from customer_state")
    assert rows == [{"facts_version": before + 1, "review_on": dt.date(2026, 3, 2)}]


async def test_the_same_receipt_sent_by_two_at_once_is_recorded_once(app, books, tenant):
    await books.invoice("A", "100.00")
    async with client_of(app, tenant.api_key) as one, client_of(app, tenant.api_key) as two:
        twins = [Books(one, books.ledger_id), Books(two, books.ledger_id)]
        answers = await asyncio.gather(*(b.put_receipt("R-1", "60.00") for b in twins for _ in range(4)))
    assert sorted(a.status_code for a in answers) == [200] * 7 + [201]
    assert await books.open_amounts() == {"A/1": "40.00"}
    await books.sound()
