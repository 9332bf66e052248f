"""Statuses of the tenant's own, folders, and what is said of items (S2-20, S4-09)."""

from __future__ import annotations

import csv
import io

import httpx
import pytest

from dunning.kit.database import statement_log
from tests.conftest import TenantWorld
from tests.ledger.books import Books, make_ledger


async def items_of(books: Books, count: int, **content: str) -> list[str]:
    """State some invoices and return their items."""
    return [(await books.invoice(f"I-{n}", **content))["items"][0]["item_id"] for n in range(count)]


async def test_a_tenant_begins_with_the_built_in_statuses_each_with_its_folder(books: Books, api: httpx.AsyncClient) -> None:
    found = (await api.get("/v1/item-statuses")).json()["data"]
    assert {s["code"]: s["excludes"] for s in found} == {
        "ongoing": False, "promised": False, "disputed": True, "dispute_resolved": False, "litigation": True, "uncollectible": True,
    }  # fmt: skip
    assert all(s["folder_code"] == s["code"] == s["category"] for s in found)
    assert {f["code"]: f["status_codes"] for f in (await api.get("/v1/folders")).json()["data"]} == {s["code"]: [s["code"]] for s in found}


async def test_a_status_of_ones_own_is_made_changed_and_deleted(books: Books, api: httpx.AsyncClient, tenant: TenantWorld) -> None:
    body = {"code": "with_lawyer", "name": "With our lawyer", "category": "litigation", "excludes": True, "follow_up_days": 30, "folder_code": "litigation"}
    made = await api.post("/v1/item-statuses", json=body)
    assert (made.status_code, made.json()["excludes"]) == (201, True)
    assert (await api.post("/v1/item-statuses", json=body)).json()["code"] == "status_taken"
    assert (await api.post("/v1/item-statuses", json=body | {"code": "x", "folder_code": "nowhere"})).status_code == 422
    revision = await tenant.value("select revision from ledger")
    path = "/v1/item-statuses/with_lawyer"
    assert (await api.patch(path, json={"name": "Counsel"})).status_code == 428
    renamed = await api.patch(path, json={"name": "Counsel"}, headers={"If-Match": made.headers["ETag"]})
    assert (renamed.json()["name"], renamed.json()["follow_up_days"], await tenant.value("select revision from ledger")) == ("Counsel", 30, revision)
    assert (await api.patch(path, json={"excludes": False}, headers={"If-Match": made.headers["ETag"]})).status_code == 412
    assert (await api.patch(path, json={"excludes": False}, headers={"If-Match": renamed.headers["ETag"]})).status_code == 200
    assert await tenant.value("select revision - $1 from ledger", revision) == 1, "everybody is planned again"
    assert (await api.delete(path)).status_code == 204
    assert (await api.delete(path)).status_code == 404


@pytest.mark.parametrize("code", ["ongoing", "disputed", "litigation"])
async def test_built_in_statuses_stay(books: Books, api: httpx.AsyncClient, code: str) -> None:
    assert (await api.delete(f"/v1/item-statuses/{code}")).json()["code"] == "status_in_use"
    changed = await api.patch(f"/v1/item-statuses/{code}", json={"excludes": code == "ongoing"}, headers={"If-Match": "*"})
    assert changed.status_code == (200 if code == "litigation" else 409)


async def test_items_are_filed_with_a_reason_and_taken_out_again(books: Books, api: httpx.AsyncClient, tenant: TenantWorld) -> None:
    """S2-20: the folder lists them, the reason is kept with author and time, and the customers are planned again."""
    await books.customer("C-2")
    mine, theirs = (await books.invoice("A"))["items"][0]["item_id"], (await books.invoice("B", customer="C-2"))["items"][0]["item_id"]
    versions = {row["customer_id"]: row["facts_version"] for row in await tenant.rows("select customer_id, facts_version from customer_state")}
    moved = await api.post("/v1/folders/litigation/items", json={"item_ids": [mine, theirs], "reason": "Handed to counsel"})
    assert moved.json() == {"folder_code": "litigation", "status_code": "litigation", "items": 2}
    assert {i["item_id"] for i in (await api.get("/v1/folders/litigation/items")).json()["data"]} == {mine, theirs}
    assert (await api.get("/v1/folders/ongoing/items")).json()["data"] == []
    after = {
        row["customer_id"]: row["facts_version"] for row in await tenant.rows("select customer_id, facts_version - 1 as facts_version from customer_state")
    }
    assert after == versions
    await api.post("/v1/folders/ongoing/items", json={"item_ids": [mine], "reason": "Paid the fee"})
    assert [i["status_code"] for i in (await api.get("/v1/folders/ongoing/items")).json()["data"]] == [None]
    said = (await api.get(f"/v1/items/{mine}/comments")).json()["data"]
    assert [(c["previous_status_code"], c["status_code"], c["text"]) for c in said] == [
        ("litigation", "ongoing", "Paid the fee"),
        ("ongoing", "litigation", "Handed to counsel"),
    ]
    assert all(c["actor"].startswith("key:") and c["business_at"] for c in said)
    assert (await api.delete("/v1/item-statuses/litigation")).status_code == 409


async def test_a_folder_of_ones_own(books: Books, api: httpx.AsyncClient) -> None:
    (item,) = await items_of(books, 1)
    assert (await api.put("/v1/folders/insolvent", json={"name": "Insolvent"})).status_code == 201
    assert (await api.put("/v1/folders/insolvent", json={"name": "Insolvent"})).status_code == 200
    refused = await api.post("/v1/folders/insolvent/items", json={"item_ids": [item], "reason": "x"})
    assert refused.json()["code"] == "folder_without_status"
    await api.post(
        "/v1/item-statuses", json={"code": "insolvent", "name": "Insolvent", "category": "uncollectible", "excludes": True, "folder_code": "insolvent"}
    )
    assert (await api.post("/v1/folders/insolvent/items", json={"item_ids": [item], "reason": "Court notice"})).json()["status_code"] == "insolvent"
    assert (await api.delete("/v1/folders/insolvent")).json()["code"] == "folder_in_use"
    assert (await api.delete("/v1/item-statuses/insolvent")).json()["items"] == 1


async def test_disputed_is_said_by_a_dispute_only(books: Books, api: httpx.AsyncClient) -> None:
    """D-15: dispute status and open dispute agree, whoever moves items about."""
    (item,) = await items_of(books, 1)
    refused = await api.post("/v1/folders/disputed/items", json={"item_ids": [item], "reason": "x"})
    assert (refused.status_code, refused.json()["code"]) == (409, "dispute_needed")
    assert (await api.post("/v1/disputes", json={"item_ids": [item], "reason": "price"})).status_code == 201
    refused = await api.post("/v1/folders/litigation/items", json={"item_ids": [item], "reason": "x"})
    assert (refused.json()["code"], refused.json()["item_ids"]) == ("dispute_open", [item])
    await books.sound()


async def test_the_export_of_a_folder_is_safe_to_open(books: Books, api: httpx.AsyncClient) -> None:
    """S2-20: CSV with amounts; a cell cannot run as a formula."""
    items = await items_of(books, 2)
    hostile = (await books.invoice("=1+1"))["items"][0]["item_id"]
    await api.post("/v1/folders/uncollectible/items", json={"item_ids": [*items, hostile], "reason": "x"})
    answer = await api.get("/v1/folders/uncollectible/items.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-type"].startswith("text/csv")
    assert [row["item_id"] for row in rows] == [*items, hostile]
    assert (rows[0]["open_amount"], rows[0]["currency"], rows[0]["status"], rows[2]["number"]) == ("100.00", "EUR", "uncollectible", "'=1+1")


async def test_the_export_of_a_folder_is_narrowed_as_its_list_is(books: Books, api: httpx.AsyncClient) -> None:
    """S2-20: by ledger and customer. The control is the export without them."""
    other = await make_ledger(api, "it-02")
    await books.customer("C-2")
    await other.customer()
    made = [await books.invoice("A"), await books.invoice("B", customer="C-2"), await other.invoice("C")]
    items = [one["items"][0]["item_id"] for one in made]
    await api.post("/v1/folders/litigation/items", json={"item_ids": items, "reason": "x"})

    async def found(**params: str) -> list[str]:
        answer = await api.get("/v1/folders/litigation/items.csv", params=params)
        assert answer.status_code == 200, answer.text
        exported = [row["item_id"] for row in csv.DictReader(io.StringIO(answer.text))]
        assert exported == [item["item_id"] for item in (await api.get("/v1/folders/litigation/items", params=params)).json()["data"]]
        return exported

    assert await found() == items
    assert await found(ledger=made[0]["ledger_id"]) == items[:2]
    assert await found(customer=made[1]["customer_id"]) == [items[1]]
    assert await found(customer=made[1]["customer_id"], ledger=made[2]["ledger_id"]) == []


async def test_a_comment_is_kept_with_author_and_time_and_changes_nothing(books: Books, api: httpx.AsyncClient, other_api: httpx.AsyncClient) -> None:
    """S4-09: append-only."""
    (item,) = await items_of(books, 1)
    made = await api.post(f"/v1/items/{item}/comments", json={"text": "Asked for a copy."})
    assert (made.status_code, made.json()["status_code"], made.json()["source"]) == (201, None, "person")
    assert (await api.get(f"/v1/items/{item}")).json()["status_code"] is None
    assert (await other_api.get(f"/v1/items/{item}/comments")).status_code == 404
    assert (await other_api.post(f"/v1/items/{item}/comments", json={"text": "x"})).status_code == 404


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("/v1/item-statuses", "from item_status"),
        ("/v1/folders", "from folder"),
        ("/v1/folders/litigation/items", "from item i"),
        ("/v1/items/{item}/comments", "from item_comment"),
        ("/v1/disputes", "from dispute d"),
        ("/v1/promises", "from promise p"),
        ("/v1/account-blocks", "from account_block b"),
        ("/v1/payment-plans", "payment_plan"),
    ],
)
async def test_a_list_costs_the_same_statements_however_long(books: Books, api: httpx.AsyncClient, path: str, table: str) -> None:
    """Style 28."""
    items = await items_of(books, 9)
    customer = (await api.get(f"/v1/items/{items[0]}")).json()["customer_id"]
    eur = {"amount": "10.00", "currency": "EUR"}
    for item in items[:3]:
        assert (await api.post("/v1/disputes", json={"item_ids": [item], "reason": "price"})).status_code == 201
        await api.post(f"/v1/items/{items[0]}/comments", json={"text": "x"})
        assert (await api.post("/v1/account-blocks", json={"customer_id": customer, "degree": "full", "reason": "x", "item_ids": [item]})).status_code == 201
    for item in items[3:5]:
        body = {"customer_id": customer, "item_ids": [item], "amount": eur, "promised_on": "2026-03-09"}
        assert (await api.post("/v1/promises", json=body)).status_code == 201
    for item in items[5:7]:
        body = {"customer_id": customer, "item_ids": [item], "rhythm": {"count": 2, "first_on": "2026-03-09"}}
        assert (await api.post("/v1/payment-plans", json=body)).status_code == 201
    await api.post("/v1/folders/litigation/items", json={"item_ids": items[7:], "reason": "x"})
    counts = []
    for limit in (1, 100):
        log: list[str] = []
        token = statement_log.set(log)
        try:
            answer = await api.get(path.format(item=items[0]), params={"limit": limit})
        finally:
            statement_log.reset(token)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["data"]) >= min(limit, 2)
        counts.append([sum(table in sql for sql in log), len(log)])
    assert counts[0] == counts[1]
    assert counts[0][0] >= 1


async def test_pages_of_disputes_and_promises_go_on_where_they_ended(books: Books, api: httpx.AsyncClient) -> None:
    for item in await items_of(books, 3):
        await api.post("/v1/disputes", json={"item_ids": [item], "reason": "price"})
    first = (await api.get("/v1/disputes", params={"limit": 2})).json()
    rest = (await api.get("/v1/disputes", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    ids = [d["dispute_id"] for d in first["data"] + rest["data"]]
    assert (len(set(ids)), rest["next_cursor"], ids) == (3, None, sorted(ids))
    assert (await api.get("/v1/promises", params={"cursor": first["next_cursor"]})).json()["code"] == "wrong_cursor"
