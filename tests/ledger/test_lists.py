"""Lists take the same number of statements for one row as for many, and their pages follow one another without gaps."""

from __future__ import annotations

import pytest

from dunning.kit.database import statement_log


@pytest.fixture
async def lists(books):
    for n in range(5):
        await books.customer(f"C-{n}")
        made = await books.invoice(f"I-{n}", customer=f"C-{n}")
        await books.receipt(f"R-{n}", "10.00", customer=f"C-{n}")
        await books.put_receipt(f"R-{n}", "11.00", customer=f"C-{n}")
        await books.api.post("/v1/holds", json={"scope": "item", "object_id": made["items"][0]["item_id"], "reason": "x"})
        await books.api.put(f"{books.path}/customer-groups/g-{n}", json={"name": "G"})
        await books.post_import([{"kind": "customer", "external_id": "C-0", "name": "x"}])
    return {
        "customers": (f"{books.path}/customers", {}),
        "named": (f"{books.path}/customers", {"name": "cust"}),
        "groups": (f"{books.path}/customer-groups", {}),
        "documents": (f"{books.path}/documents", {}),
        "items": (f"{books.path}/items", {"state": "open"}),
        "changes": (f"{books.path}/item-changes", {"changed_since": "2020-01-01T00:00:00Z"}),
        "receipts": (f"{books.path}/receipts", {"unapplied": False}),
        "inbox": (f"{books.path}/receipt-inbox", {}),
        "holds": ("/v1/holds", {}),
        "imports": (f"{books.path}/imports", {}),
        "ledgers": ("/v1/ledgers", {}),
    }


async def test_every_list_takes_the_same_statements_for_one_row_as_for_many(books, lists):
    for name, (path, query) in lists.items():
        counts = set()
        for limit in (1, 5):
            log: list[str] = []
            token = statement_log.set(log)
            answer = await books.api.get(path, params={**query, "limit": limit})
            statement_log.reset(token)
            assert answer.status_code == 200, (name, answer.text)
            counts.add(len(log))
        assert len(counts) == 1, (name, counts)


async def test_pages_follow_one_another_without_gaps_or_repeats(books, lists):
    for name, (path, query) in lists.items():
        whole = (await books.api.get(path, params={**query, "limit": 500})).json()["data"]
        seen, cursor = [], None
        while True:
            page = (await books.api.get(path, params={**query, "limit": 2, **({"cursor": cursor} if cursor else {})})).json()
            assert len(page["data"]) <= 2
            seen += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == whole, name
        assert len(whole) == (1 if name == "ledgers" else 5), name


async def test_no_list_shows_another_tenants_rows(lists, other_api):
    for name, (path, query) in lists.items():
        answer = await other_api.get(path, params=query)
        assert answer.status_code == 404 or answer.json()["data"] == [], name
