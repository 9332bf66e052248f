"""Dry runs: the answers of the import itself, kept apart from everybody's work."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from typing import Any

import asyncpg
import pytest

from dunning.ledger.connected import Connections, Name, pieces_of
from dunning_worker.jobs.imports import work_on_imports
from dunning_worker.world import World
from tests.ledger.books import Books, customer_row, document_row, eur, make_ledger, receipt_row


def in_batches_of(worker: World, rows: int) -> World:
    return dataclasses.replace(worker, settings=worker.settings.model_copy(update={"import_batch_rows": rows}))


async def done(books: Books, worker: World, tenant, rows, **query) -> dict[str, Any]:
    answer = await books.post_import(rows, **query)
    assert answer.status_code == 202, answer.text
    await work_on_imports(worker, tenant.tenant_id)
    return await books.imported(answer.json()["import_id"])


async def make_rules(books: Books, *conditions: dict[str, Any], role: str = "collector") -> None:
    """Rules in the order given, each with somebody of its own."""
    for rank, asked in enumerate(conditions, 1):
        name = f"{role}{rank}"
        person = await books.api.post("/v1/people", json={"name": name, "email": f"{name}@acme.example", "role": "collector"})
        body = {"rank": rank, "name": name, "role": role, "person_ids": [person.json()["person_id"]], "conditions": asked}
        answer = await books.api.post(f"/v1/ledgers/{books.ledger_id}/assignment-rules", json=body)
        assert answer.status_code == 201, answer.text


async def answers_of(books: Books, imported: dict[str, Any]) -> tuple[Any, ...]:
    found = (await books.api.get(f"/v1/imports/{imported['import_id']}/rows", params={"limit": 500})).json()["data"]
    counts = {name: n for name, n in imported["counts"].items() if n}
    totals = sorted((t["total"]["currency"], t["outcome"], t["total"]["amount"]) for t in imported["totals"] if t["total"]["amount"] != "0.00")
    return (
        imported["state"],
        counts,
        totals,
        imported["assigned"],
        imported["unassigned"],
        [(r["row_no"], r["kind"], r["external_id"], r["outcome"], r["field"], r["message"]) for r in found],
    )


def file_of(dice: random.Random, rows: int) -> list[dict[str, Any]]:
    """A file in which customers, documents, receipts and holds refer to one another forwards and backwards, come twice, and contradict one another."""
    customers, documents = [f"C-{n}" for n in range(5)], [f"INV-{n}" for n in range(8)]
    found: list[dict[str, Any]] = []
    for n in range(rows):
        customer, document = dice.choice(customers), dice.choice(documents)
        amount = f"{dice.choice([40, 60, 100])}.00"
        target = dice.choice([{"document_external_id": document}, {"item_external_id": f"{document}/1"}])
        found.append(
            dice.choice([
                customer_row(customer, tax_number=dice.choice(["A1", "B2"])),
                document_row(document, amount, customer),
                document_row(document, amount, customers[int(document[4:]) % 5], state=dice.choice(["posted", "posted", "void"])),
                {**document_row(f"CN-{n % 4}", "20.00", customer), "type": "credit_note", "corrects_external_id": document},
                document_row(f"OTHER-{n}", "10.00", customer, instalments=[{"external_id": f"{document}/1", "due_on": "2026-02-20", "amount": eur("10.00")}]),
                receipt_row(f"R-{dice.randrange(rows // 3)}", amount, customer, allocation=[{**target, "amount": eur("40.00")}]),
                receipt_row(f"R-{n}", amount, customer),
                {"kind": "hold", "scope": "item", "item_external_id": f"{document}/1", "reason": "dispute"},
                {"kind": "hold", "scope": "customer", "customer_external_id": customer, "reason": dice.choice(["dispute", "insolvency"])},
                {"kind": "hold", "scope": "ledger", "reason": "audit"},
                {"kind": "customer", "external_id": customer},
            ])
        )  # fmt: skip
    for row in found:
        if "instalments" in row:
            del row["due_on"]
    return found


@pytest.mark.parametrize("seed", range(8))
async def test_a_dry_run_answers_what_the_import_of_the_same_file_answers(api, worker, tenant, seed):
    """S2-16: row by row the same outcome, field and message, whatever batch a row falls into; the dry run changes nothing in between."""
    books, small = await make_ledger(api), in_batches_of(worker, 5)
    dice = random.Random(seed)
    await done(books, small, tenant, [customer_row("C-0"), customer_row("C-1"), document_row("INV-0", customer="C-0"), receipt_row("R-1", "60.00", "C-3")])
    rows = file_of(dice, 40)
    facts = "select 'c' as of, customer_id, facts_version::text as is from customer_state union all select 'r', import_id, outcome from import_row where import_id = $1"
    first = await tenant.value("select import_id from import order by import_id limit 1")
    before = sorted(map(str, await tenant.rows(facts, first)))
    rehearsed = await done(books, small, tenant, rows, dry_run=True)
    assert sorted(map(str, await tenant.rows(facts, first))) == before, "a dry run keeps nothing"
    real = await done(books, small, tenant, rows)
    assert await answers_of(books, rehearsed) == await answers_of(books, real)
    assert {"created", "rejected"} < real["counts"].keys(), "the file has both sorts of rows"
    await books.sound()


@pytest.mark.parametrize("seed", range(4))
async def test_a_dry_run_answers_for_how_many_customers_somebody_will_be_found(api, worker, tenant, seed):
    """S2-01, S2-16: by what customers say when they come, and by what they owe in the end; those who were there before are looked at too."""
    books, small = await make_ledger(api), in_batches_of(worker, 5)
    dice = random.Random(seed)
    await done(books, small, tenant, [customer_row(f"OLD-{n}", country=country) for n, country in enumerate(["FR", "IT", "ES"])])
    await done(books, small, tenant, [document_row("OLD", "500.00", "OLD-0"), receipt_row("R-1", "60.00", "C-3")])
    await make_rules(books, {"countries": ["FR"], "min_open_amount": "90.00"}, {"countries": ["IT"]}, {"external_ids": ["C-1"], "max_open_amount": "150.00"})
    await make_rules(books, {"tags": ["key"]}, role="account_manager")
    rows = file_of(dice, 30)
    for row in rows:
        if row["kind"] == "customer" and "name" in row:
            row |= {"country": dice.choice(["IT", "FR", "ES"]), "tags": dice.choice([[], ["key"]])}
    rehearsed = await done(books, small, tenant, rows, dry_run=True)
    assert await tenant.value("select count(*) from assignment") == 0
    real = await done(books, small, tenant, rows)
    assert await answers_of(books, rehearsed) == await answers_of(books, real)
    assert real["assigned"] == await tenant.value("select count(*) from assignment") > 0
    left = (await books.api.get(f"/v1/ledgers/{books.ledger_id}/unassigned")).json()["data"]
    assert real["unassigned"] == len(left) > 0


async def test_a_dry_run_of_a_snapshot_knows_what_customers_will_owe_once_the_rest_is_closed(erp_books, worker, tenant):
    """S2-16: what the snapshot would close no longer counts for a rule that asks for an amount; the amount before is the control."""
    small = in_batches_of(worker, 3)
    await erp_books.customer("C-2")
    rows = [document_row(f"INV-{n}", "100.00", f"C-{1 + n % 2}", open_amount=eur("100.00")) for n in range(40)]
    await done(erp_books, small, tenant, rows)
    await make_rules(erp_books, {"min_open_amount": "1700.00"})
    wanted = {"kind": "documents", "mode": "snapshot", "scope": "ledger", "control_total": "EUR:3600.00"}
    kept = [row for n, row in enumerate(rows) if n not in {0, 2, 4, 6}]
    rehearsed = await done(erp_books, small, tenant, kept, dry_run=True, **wanted)
    assert (rehearsed["assigned"], rehearsed["unassigned"]) == (1, 1), "C-1 would owe 1600.00"
    real = await done(erp_books, small, tenant, kept, **wanted)
    assert await answers_of(erp_books, rehearsed) == await answers_of(erp_books, real)


async def test_a_dry_run_of_a_snapshot_answers_what_it_would_close(erp_books, worker, tenant):
    small = in_batches_of(worker, 3)
    await erp_books.customer("C-2")
    rows = [document_row(f"INV-{n}", "100.00", f"C-{1 + n % 2}", open_amount=eur("100.00")) for n in range(40)]
    await done(erp_books, small, tenant, rows)
    wanted = {"kind": "documents", "mode": "snapshot", "scope": "ledger", "control_total": "EUR:3300.00"}
    rehearsed = await done(erp_books, small, tenant, rows[7:], dry_run=True, **wanted)
    assert len(await erp_books.open_amounts()) == 40
    real = await done(erp_books, small, tenant, rows[7:], **wanted)
    assert await answers_of(erp_books, rehearsed) == await answers_of(erp_books, real)
    assert real["counts"]["closed"] == 7


@pytest.mark.parametrize("rules", [False, True])
@pytest.mark.parametrize(("batch_rows", "locked"), [(1, False), (100, True)])
async def test_a_dry_run_locks_no_customer_for_longer_than_a_batch(api, worker, tenant, batch_rows, locked, rules):
    """While it waits for the last customer, those tried before are free, with assignment rules or without; as a control, those of the same batch are not."""
    books, small = await make_ledger(api), in_batches_of(worker, batch_rows)
    if rules:
        await make_rules(books, {"min_open_amount": "5.00"})
    await done(books, worker, tenant, [customer_row(f"C-{n}") for n in range(4)])
    lock = "select 1 from customer_state s join customer c using (tenant_id, customer_id) where c.external_id = any ($1::text[]) for no key update of s nowait"
    answer = await books.post_import([document_row(f"INV-{n}", customer=f"C-{n}") for n in range(4)], dry_run=True)
    async with tenant.database.transaction(tenant.tenant_id) as held:
        await held.execute(lock, ["C-3"])
        trying = asyncio.create_task(work_on_imports(small, tenant.tenant_id))
        async with asyncio.timeout(20):
            while not await tenant.value("select exists (select from pg_locks where not granted and pid <> pg_backend_pid())"):
                await asyncio.sleep(0.02)
        others = tenant.database.transaction(tenant.tenant_id)
        if locked:
            with pytest.raises(asyncpg.LockNotAvailableError):
                async with others as free:
                    await free.execute(lock, ["C-0", "C-1", "C-2"])
        else:
            async with others as free:
                assert await free.execute(lock, ["C-0", "C-1", "C-2"]) == 3
    await trying
    assert (await books.imported(answer.json()["import_id"]))["counts"]["created"] == 4


async def test_a_dry_run_begun_twice_is_answered_once(books, worker, tenant):
    answer = await books.post_import([document_row(f"INV-{n}") for n in range(20)], dry_run=True)
    small = in_batches_of(worker, 1)
    await asyncio.gather(work_on_imports(small, tenant.tenant_id), work_on_imports(small, tenant.tenant_id))
    imported = await books.imported(answer.json()["import_id"])
    assert (imported["state"], imported["counts"]["created"]) == ("done", 20)
    assert await tenant.value("select count(*) from import_row") == 20
    assert await tenant.value("select count(*) from event where kind = 'import.finished'") == 1


def customer(called: str) -> Name:
    return Name("customer", called)


def test_rows_that_bear_on_one_another_are_in_one_piece():
    connections = Connections()
    for names in ([customer("A")], [customer("B"), Name("document", "1")], [customer("C"), Name("document", "2")], [Name("document", "2"), customer("A")]):
        connections.join(names)
    rows = [(1, customer("A")), (2, customer("B")), (3, customer("C")), (4, None), (5, customer("B"))]
    assert pieces_of(rows, connections, 1) == [[1, 3], [2, 5], [4]]
    assert pieces_of(rows, connections, 3) == [[1, 3], [2, 5, 4]]
    assert pieces_of(rows, connections, 100) == [[1, 3, 2, 5, 4]]
    assert pieces_of([], connections, 3) == []


def test_joining_is_the_same_in_any_order():
    pairs = [[customer(str(n)), customer(str(n + 1))] for n in range(200) if n % 50 != 49]
    sizes = set()
    for seed in range(5):
        random.Random(seed).shuffle(pairs)
        connections = Connections()
        for pair in pairs:
            connections.join(pair)
        sizes.add(tuple(sorted(len(piece) for piece in pieces_of([(n, customer(str(n))) for n in range(200)], connections, 1))))
    assert sizes == {(50, 50, 50, 50)}


async def test_an_import_ends_although_a_row_still_waits_for_what_has_come_as_void(books, worker, tenant):
    """The row is tried once when its document comes; it would be tried for ever if coming were enough."""
    receipt = receipt_row("R-1", "60.00", allocation=[{"document_external_id": "INV-1", "amount": eur("60.00")}])
    rows = [receipt, document_row("INV-1", state="void"), document_row("INV-2")]
    async with asyncio.timeout(20):
        imported = await done(books, worker, tenant, rows)
    assert (imported["state"], {name: n for name, n in imported["counts"].items() if n}) == ("done", {"created": 2, "parked": 1})
    async with asyncio.timeout(20):
        await done(books, worker, tenant, [document_row("INV-1")])
    assert (await books.imported(imported["import_id"]))["counts"]["created"] == 3, "control: it is taken once the document counts"
