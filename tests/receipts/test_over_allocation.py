"""M1: no invoice is over-allocated and no receipt spent twice, whoever writes at once."""

from __future__ import annotations

import asyncio
import os

import pytest

from dunning.kit.database import Database
from dunning.kit.errors import DunningError
from dunning.kit.ids import LedgerId, new_id
from dunning.ledger import ledger_store
from dunning.receipts import receipts
from dunning.receipts.rows import ReceiptRow
from tests.ledger.books import Books, customer_row, document_row, receipt_row

FULL = os.environ.get("DUNNING_FAULTS") == "full"
INVOICES = 1000 if FULL else 60
WRITERS = 8


async def _fill(books: Books, worker, tenant) -> None:
    from dunning_worker.jobs.imports import work_on_imports

    rows = [customer_row(f"C{n}") for n in range(INVOICES)] + [document_row(f"I{n}", "100.00", f"C{n}") for n in range(INVOICES)]
    assert (await books.post_import(rows)).status_code == 202
    await work_on_imports(worker, tenant.tenant_id)


async def test_eight_writers_paying_60_on_each_invoice_of_100_over_allocate_none(books, worker, tenant):
    await _fill(books, worker, tenant)
    clock = await tenant.clock()
    refused = 0

    async def write(writer: int) -> None:
        nonlocal refused
        for n in range(INVOICES):
            row = ReceiptRow.model_validate(
                receipt_row(
                    f"R{writer}-{n}", "60.00", f"C{n}", allocation=[{"document_external_id": f"I{n}", "amount": {"amount": "60.00", "currency": "EUR"}}]
                )
            )
            async with tenant.transaction() as session:
                ledger = await ledger_store.ledger_of(session, tenant.tenant_id, LedgerId(books.ledger_id))
                outcome = (
                    await receipts.put_receipts(
                        session, clock, tenant_id=tenant.tenant_id, actor="test", ledger=ledger, rows=[row], source="api", park_refused=False
                    )
                )[0]
                refused += outcome.outcome == "rejected"

    await asyncio.gather(*(write(w) for w in range(WRITERS)))
    assert refused == INVOICES * (WRITERS - 1)
    assert await tenant.value("select count(*) from item where allocated_minor = 6000") == INVOICES
    await books.sound()


async def test_many_allocations_of_one_receipt_never_spend_it_twice(books, tenant):
    paid = await books.receipt("R", "100.00", "none")
    for n in range(WRITERS):
        await books.invoice(f"I{n}", "60.00")

    async def spend(n: int) -> int:
        target = [{"document_external_id": f"I{n}", "amount": {"amount": "60.00", "currency": "EUR"}}]
        path = f"/v1/receipts/{paid['receipt_id']}/allocations"
        return (await books.api.post(path, json={"allocation": target}, headers={"Idempotency-Key": str(new_id())})).status_code

    answers = await asyncio.gather(*(spend(n) for n in range(WRITERS)))
    assert sorted(answers) == [201] + [409] * (WRITERS - 1)
    await books.sound()


async def test_two_returns_of_one_receipt_at_once_are_one(books):
    await books.invoice("I", "60.00")
    paid = await books.receipt("R", "60.00")
    body = {"receipt_id": paid["receipt_id"], "returned_on": "2026-02-27", "reason": "x"}
    answers = await asyncio.gather(*(books.api.post("/v1/payment-returns", json=body) for _ in range(WRITERS)))
    assert sorted(a.status_code for a in answers) == [201] + [409] * (WRITERS - 1)
    assert [i["episode"] for i in await books.items()] == [2]
    await books.sound()


async def test_control_reading_the_sum_before_inserting_does_over_allocate(postgres, database: Database):
    """The way that looks right: the same race, on tables without counters, must fail, or the tests above prove nothing."""
    import asyncpg

    owner = await asyncpg.connect(postgres.owner_url())
    await owner.execute("create unlogged table naive_entry (item int, minor bigint)")
    connections = [await asyncpg.connect(postgres.owner_url()) for _ in range(WRITERS)]

    async def write(connection: asyncpg.Connection) -> None:
        for item in range(INVOICES):
            async with connection.transaction():
                if await connection.fetchval("select coalesce(sum(minor), 0) from naive_entry where item = $1", item) + 60 <= 100:
                    await asyncio.sleep(0)
                    await connection.execute("insert into naive_entry values ($1, 60)", item)

    try:
        await asyncio.gather(*(write(c) for c in connections))
        over = await owner.fetchval("select count(*) from (select item from naive_entry group by item having sum(minor) > 100) o")
    finally:
        await owner.execute("drop table naive_entry")
        for connection in [owner, *connections]:
            await connection.close()
    assert over > 0


async def test_control_an_entry_without_its_counter_is_refused_at_commit(books, tenant):
    """promises 4 rule 4: the deferred trigger."""
    made = await books.invoice("I", "60.00")
    with pytest.raises(Exception, match="entries say"):
        async with tenant.transaction() as session:
            await session.execute(
                "insert into allocation (tenant_id, allocation_id, kind, item_id, episode, currency, amount_minor, value_on, actor)"
                " values ($1, $2, 'erp_adjustment', $3, 1, 'EUR', 100, '2026-03-02', 'test')",
                tenant.tenant_id,
                new_id(),
                made["items"][0]["item_id"],
            )
    assert issubclass(DunningError, Exception)
    await books.sound()
