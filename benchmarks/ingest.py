"""Importing documents over REST until they are applied, new and again, beside the same rows written by arrays into the same indexes."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import Any

import httpx

from benchmarks import data
from benchmarks.ground import KEYRING, TODAY, Company, Ground, Watch
from benchmarks.results import Line, Result
from benchmarks.serving import product_api
from dunning.kit.ids import new_id
from dunning_worker.jobs.imports import work_on_imports
from dunning_worker.world import World, world_of

INGEST = Line(
    "ingest",
    "rows/s",
    0.35,
    0.2,
    "documents and items upserted from `unnest`, with an event and an outcome a row: the same rows and indexes, 5,000 a statement, no checks",
)
AGAIN = Line("re-import", "rows/s", 1.5, 1.0, "the import of the same rows when they were new")
BATCH = 5_000
CUSTOMERS = 1_000

_UPSERT = """
with given as (
  select * from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::date[], $8::date[], $9::bigint[], $10::bytea[], $11::uuid[],
                       $12::bigint[])
    as g (document_id, item_id, customer_id, number, document_on, due_on, amount_minor, digest, event_id, row_no)
), documents as (
  insert into bare.document as d (tenant_id, document_id, ledger_id, customer_id, external_id, kind, number, document_on, currency, total_minor,
                                  content_sha256, value_on)
  select $1, document_id, $2, customer_id, number, 'invoice', number, document_on, 'EUR', amount_minor, digest, document_on from given
  on conflict (tenant_id, ledger_id, external_id) do update set total_minor = excluded.total_minor, content_sha256 = excluded.content_sha256
    where d.content_sha256 is distinct from excluded.content_sha256
), events as (
  insert into bare.event (tenant_id, event_id, kind, subject_kind, subject_id, customer_id, data, actor, business_at)
  select $1, event_id, 'document.created', 'document', document_id, customer_id, '{}', 'bare', now() from given
), outcomes as (
  insert into bare.import_row (tenant_id, import_id, row_no, ledger_id, kind, external_id, outcome)
  select $1, $2, row_no, $2, 'document', number, 'created' from given
)
insert into bare.item as i (tenant_id, item_id, ledger_id, customer_id, document_id, external_id, kind, direction, number, document_on, due_on, currency,
                            amount_minor, value_on)
select $1, item_id, $2, customer_id, document_id, number, 'invoice', 'debit', number, document_on, due_on, 'EUR', amount_minor, document_on from given
on conflict (tenant_id, ledger_id, external_id) do update set amount_minor = excluded.amount_minor, due_on = excluded.due_on
  where (i.amount_minor, i.due_on) is distinct from (excluded.amount_minor, excluded.due_on)
"""


def documents_of(rows: int) -> list[dict[str, Any]]:
    """Return documents as an ERP states them."""
    return [
        {
            "kind": "document", "external_id": f"INV-{n}", "customer_external_id": f"K{1 + n % CUSTOMERS}", "number": f"2026-{n}",
            "document_on": (TODAY - dt.timedelta(days=40 + n % 60)).isoformat(), "due_on": (TODAY - dt.timedelta(days=10 + n % 60)).isoformat(),
            "total": {"amount": f"{100 + n % 5000}.50", "currency": "EUR"}, "payment_reference": f"2026-{n}",
        }
        for n in range(rows)
    ]  # fmt: skip


async def import_file(world: World, company: Company, port: int, content: bytes, rows: int, outcome: str) -> float:
    """Send a file and have it applied; return rows a second, checked by the import's own counts."""
    headers = {"Authorization": f"Bearer {company.api_key}", "Content-Type": "application/x-ndjson"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/v1", headers=headers, timeout=120) as client:
        with Watch() as watch:
            taken = await client.post(f"/ledgers/{company.ledger_id}/imports", content=content)
            taken.raise_for_status()
            await work_on_imports(world, company.tenant_id)
        made = (await client.get(f"/imports/{taken.json()['import_id']}")).json()
    if made["state"] != "done" or made["counts"][outcome] != rows:
        msg = f"The import ended as {made['state']} with {made['counts']} and {made['error']}; expected {rows} {outcome}."
        raise RuntimeError(msg)
    return rows / watch.seconds


async def bare_upsert(ground: Ground, company: Company, documents: list[dict[str, Any]]) -> float:
    """Return the rows a second of the bare statement, its arrays made beforehand."""
    await ground.bare.execute("drop schema if exists bare cascade; create schema bare")
    for table in ("document", "item", "event", "import_row"):
        await ground.bare.execute(f"create table bare.{table} (like public.{table} including defaults including indexes including storage)")
    customers = [row[0] for row in await ground.bare.fetch("select customer_id from customer where tenant_id = $1", company.tenant_id)]
    batches = []
    for start in range(0, len(documents), BATCH):
        some = documents[start : start + BATCH]
        batches.append((
            [new_id() for _ in some], [new_id() for _ in some], [customers[n % len(customers)] for n in range(len(some))], [d["external_id"] for d in some],
            [dt.date.fromisoformat(d["document_on"]) for d in some], [dt.date.fromisoformat(d["due_on"]) for d in some],
            [int(d["total"]["amount"].replace(".", "")) for d in some], [d["number"].encode() for d in some], [new_id() for _ in some], list(range(start, start + len(some))),
        ))  # fmt: skip
    await ground.settle()
    with Watch() as watch:
        for batch in batches:
            await ground.bare.execute(_UPSERT, company.tenant_id, company.ledger_id, *batch)
    return len(documents) / watch.seconds


async def measure(ground: Ground) -> list[Result]:
    """Import a file into a new company, then once more."""
    rows, world = ground.sizes.import_rows, world_of(ground.database, ground.settings, KEYRING)
    documents = documents_of(rows)
    content = await asyncio.to_thread(lambda: b"\n".join(json.dumps(d).encode() for d in documents))
    new, again = [], []
    async with product_api(ground) as port:
        for _ in range(ground.sizes.repeats):
            company = await ground.company()
            async with ground.database.transaction(company.tenant_id) as session:
                await data.insert_customers(session, company.tenant_id, company.ledger_id, CUSTOMERS, TODAY)
            await ground.bare.execute("analyze")
            at_best = await bare_upsert(ground, company, documents)
            await ground.settle()
            figure = await import_file(world, company, port, content, rows, "created")
            new.append((figure, at_best))
            await ground.settle()
            again.append((await import_file(world, company, port, content, rows, "unchanged"), figure))
    return [Result(INGEST, new), Result(AGAIN, again)]
