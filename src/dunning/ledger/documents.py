"""Documents and their items: stated whole by external id, created or changed, with what they settle kept right."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import Session
from dunning.kit.errors import Conflict
from dunning.kit.ids import CustomerId, ItemId, TenantId, new_id
from dunning.ledger import blocks, credit_notes, document_store, entries, item_store, ledger_store, restating
from dunning.ledger.blocks import StatedBlock
from dunning.ledger.customer_state import facts_changed, lock_customers
from dunning.ledger.customers import NotFoundScenario
from dunning.ledger.document_store import KnownDocument
from dunning.ledger.entries import NewEntry
from dunning.ledger.item_store import NewItem
from dunning.ledger.ledger_store import Ledger
from dunning.ledger.outcomes import RowOutcome, passes, rejected, unknown
from dunning.ledger.progress import Progress, progress_of_customers
from dunning.ledger.rows import DocumentRow
from dunning.ledger.rules import direction_of
from dunning.ledger.stated_documents import ERP, FixedForDocument, Restated, document_values, new_item, opening_of


async def put_documents(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger: Ledger, rows: Sequence[DocumentRow], customers_locked: bool = False
) -> list[RowOutcome]:
    """Create or change documents by their external ids and say for each what became of it.

    `customers_locked` says that the caller has locked the customers that the rows name. Unchanged ones touch nothing. One that names an unknown customer, or corrects an unknown invoice, is parked. Raises `OverAllocated` or a
    violation of uniqueness when rows of one call contradict one another; then state them one at a time.
    """
    answers: list[RowOutcome] = [RowOutcome("unchanged")] * len(rows)
    for positions in passes([row.external_id for row in rows]):
        found = await _put_distinct(session, clock, tenant_id, actor, ledger, [rows[p] for p in positions], locked=customers_locked)
        for position, answer in zip(positions, found, strict=True):
            answers[position] = answer
    return answers


async def _put_distinct(
    session: Session, clock: Clock, tenant_id: TenantId, actor: str, ledger: Ledger, rows: Sequence[DocumentRow], *, locked: bool
) -> list[RowOutcome]:
    today = local_date(clock.now(), ledger.time_zone)
    hashes = [row.content_sha256 for row in rows]
    customers = await progress_of_customers(session, tenant_id, ledger.ledger_id, sorted({row.customer_external_id for row in rows}))
    known = await document_store.known_documents(session, tenant_id, ledger.ledger_id, [row.external_id for row in rows])
    moved = [n for n, row in enumerate(rows) if row.external_id not in known or known[row.external_id].content_sha256 != hashes[n]]
    if moved and not locked:
        to_lock = {customers[rows[n].customer_external_id].customer_id for n in moved if rows[n].customer_external_id in customers}
        to_lock |= {CustomerId(known[rows[n].external_id].customer_id) for n in moved if rows[n].external_id in known}
        await lock_customers(session, tenant_id, to_lock)
        # What was read before the lock may have been changed by the transaction that held it.
        known |= await document_store.known_documents(session, tenant_id, ledger.ledger_id, [rows[n].external_id for n in moved])
    correcting = sorted({rows[n].corrects_external_id or "" for n in moved} - {""})
    corrected = await document_store.known_documents(session, tenant_id, ledger.ledger_id, correcting)
    scenario_ids = sorted({row.scenario_id for row in rows if row.scenario_id})
    scenarios = await ledger_store.known_scenarios(session, tenant_id, scenario_ids) if scenario_ids else set()

    answers: list[RowOutcome] = []
    new: list[tuple[DocumentRow, bytes, UUID, UUID | None]] = []
    restated: list[Restated] = []
    for row, sha in zip(rows, hashes, strict=True):
        present = known.get(row.external_id)
        if present is not None and present.content_sha256 == sha:
            answers.append(RowOutcome("unchanged", present.document_id))
            continue
        fault = _fault_of(row, ledger, customers, present, corrected, scenarios)
        if fault is not None:
            answers.append(fault)
            continue
        corrects = corrected[row.corrects_external_id].document_id if row.corrects_external_id else None
        if present is None:
            document_id = new_id()
            new.append((row, sha, document_id, corrects))
            answers.append(RowOutcome("created", document_id))
        else:
            restated.append(Restated(row, sha, present, corrects))
            answers.append(RowOutcome("changed", present.document_id))

    made = await _create(session, clock, tenant_id, actor, ledger, today, new, customers)
    refused = await restating.restate(session, clock, tenant_id=tenant_id, actor=actor, ledger=ledger, today=today, restated=restated, customers=customers)
    if refused:
        by_document = {answer.object_id: n for n, answer in enumerate(answers)}
        for document_id, answer in refused.items():
            answers[by_document[document_id]] = answer
    written = [r for r in restated if r.known.document_id not in refused]
    await credit_notes.set_against_corrected(
        session,
        tenant_id,
        [(d, c) for row, _, d, c in new if c is not None and row.state == "posted"]
        + [(r.known.document_id, r.corrects) for r in written if r.corrects is not None and r.row.state == "posted"],
        balances_from_erp=ledger.balance_source == ERP,
        recorded_on=today,
        actor=actor,
    )
    touched = {customers[row.customer_external_id].customer_id for row, *_ in new}
    touched |= {CustomerId(r.known.customer_id) for r in written}
    await facts_changed(session, tenant_id, touched, today)
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)
    return answers


def _fault_of(
    row: DocumentRow,
    ledger: Ledger,
    customers: dict[str, Progress],
    present: KnownDocument | None,
    corrected: dict[str, KnownDocument],
    scenarios: set[UUID],
) -> RowOutcome | None:
    customer = customers.get(row.customer_external_id)
    if customer is None:
        return unknown("customer", "customer_external_id", row.customer_external_id)
    if row.scenario_id is not None and row.scenario_id not in scenarios:
        return rejected("scenario_id", f"no scenario {row.scenario_id} is known: create it first, or leave the policy at inherit", NotFoundScenario)
    if row.corrects_external_id is not None:
        target = corrected.get(row.corrects_external_id)
        if target is None:
            return unknown("document", "corrects_external_id", row.corrects_external_id)
        if (target.customer_id, target.currency) != (customer.customer_id, row.total.currency) or direction_of(target.kind) == "credit":
            message = "names a document of another customer or currency, or another credit note: a credit note corrects an invoice of its own customer"
            return rejected("corrects_external_id", message, FixedForDocument)
    if present is not None:
        stored = (present.customer_id, present.kind, present.currency)
        if stored != (customer.customer_id, row.type, row.total.currency):
            message = "customer, type and currency of a document cannot change: void it (state void) and state the right one under another external_id"
            return rejected("external_id", message, FixedForDocument)
    if ledger.balance_source == ERP and row.state == "posted" and any(open_ is None for open_ in _stated_open(row)):
        return rejected("open_amount", "is required: the ledger takes its balances from the ERP's open items (balance_source erp_open_items)")
    return None


def _stated_open(row: DocumentRow) -> list[object]:
    return [part.open_amount for part in row.instalments] if row.instalments else [row.open_amount]


async def _create(
    session: Session,
    clock: Clock,
    tenant_id: TenantId,
    actor: str,
    ledger: Ledger,
    today: dt.date,
    new: Sequence[tuple[DocumentRow, bytes, UUID, UUID | None]],
    customers: dict[str, Progress],
) -> list[NewEvent]:
    if not new:
        return []
    values = [document_values(row, sha, document_id, customers[row.customer_external_id].customer_id, corrects) for row, sha, document_id, corrects in new]
    if await document_store.insert_documents(session, tenant_id, ledger.ledger_id, values, today) != len(values):
        msg = "Another request created one of these documents at the same moment. Repeat this one."
        raise Conflict(msg)
    items: list[NewItem] = []
    opening: list[NewEntry] = []
    stated: list[StatedBlock] = []
    for row, _, document_id, _ in new:
        customer = customers[row.customer_external_id]
        for number, part in enumerate(row.parts(row.external_id), 1):
            item = new_item(row, part, number, document_id, customer, opening_of(row, part), today)
            items.append(item)
            if item.allocated_minor:
                kind, reason = ("void", "stated void") if row.state == "void" else ("erp_adjustment", "stated open amount")
                opening.append(NewEntry(kind, item.item_id, 1, item.currency, item.allocated_minor, item.value_on, reason=reason))
            if part.dunning_block is not None:
                stated.append(StatedBlock(customer.customer_id, ItemId(item.item_id), part.dunning_block))
    await item_store.insert_items(session, tenant_id, ledger.ledger_id, items, today)
    await entries.open_with(session, tenant_id, opening, recorded_on=today, actor=actor)
    void = {document_id for row, _, document_id, _ in new if row.state == "void"}
    await item_store.set_void(session, tenant_id, [item.item_id for item in items if item.document_id in void])
    if stated:
        await blocks.put_blocks(session, clock, tenant_id=tenant_id, actor=actor, ledger_id=ledger.ledger_id, today=today, stated=stated, fresh=True)
    return [NewEvent("document.created", "document", v.document_id, CustomerId(v.customer_id)) for v in values]
