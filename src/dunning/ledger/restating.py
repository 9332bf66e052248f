"""Documents stated anew: a version is kept, items follow, and what settled more than is left to settle becomes free again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import CustomerId, ItemId, TenantId
from dunning.ledger import blocks, document_store, entries, item_store
from dunning.ledger.blocks import StatedBlock
from dunning.ledger.customer_state import watch
from dunning.ledger.entries import NewEntry
from dunning.ledger.item_store import ItemChange, NewItem, StoredItem
from dunning.ledger.ledger_store import Ledger
from dunning.ledger.outcomes import RowOutcome, rejected
from dunning.ledger.progress import Progress
from dunning.ledger.rows import DocumentRow, Part
from dunning.ledger.rules import LiveEntry, unwind
from dunning.ledger.stated_documents import ERP, OpenAmountDiffers, Restated, document_values, new_item, opening_of


@dataclass(slots=True)
class _Writes:
    """What restating writes, collected over documents so that each kind is one statement."""

    reversals: list[LiveEntry] = field(default_factory=list)
    changes: list[ItemChange] = field(default_factory=list)
    new_items: list[NewItem] = field(default_factory=list)
    opening: list[NewEntry] = field(default_factory=list)
    additions: list[NewEntry] = field(default_factory=list)
    voided: list[UUID] = field(default_factory=list)
    stated: list[StatedBlock] = field(default_factory=list)
    happened: list[NewEvent] = field(default_factory=list)
    reopened: set[CustomerId] = field(default_factory=set)


async def restate(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    ledger: Ledger,
    today: dt.date,
    restated: Sequence[Restated],
    customers: dict[str, Progress],
) -> dict[UUID, RowOutcome]:
    """Write documents stated anew and return those that were refused. The caller holds the customers' locks and says that facts changed.

    Documents from which settled money is freed go one at a time, because one may free what settles another; all others go together.
    """
    if not restated:
        return {}
    items = await item_store.stored_items_of(session, tenant_id, [r.known.document_id for r in restated])
    refused: dict[UUID, RowOutcome] = {}
    together: list[Restated] = []
    alone: list[Restated] = []
    for r in restated:
        fault = _open_amount_fault(r.row, ledger, items[r.known.document_id])
        if fault is not None:
            refused[r.known.document_id] = fault
        elif _frees_money(r, items[r.known.document_id]):
            alone.append(r)
        else:
            together.append(r)
    written = together + alone
    if not written:
        return refused
    await document_store.archive_documents(session, tenant_id, [r.known.document_id for r in written])
    values = [document_values(r.row, r.sha, r.known.document_id, r.known.customer_id, r.corrects) for r in written]
    await document_store.update_documents(session, tenant_id, ledger.ledger_id, values, today)
    for batch in ([together] if together else []) + [[r] for r in alone]:
        if batch is not together:
            items = await item_store.stored_items_of(session, tenant_id, [batch[0].known.document_id])
        await _write(session, clock, tenant_id, actor, ledger, today, batch, items, customers)
    return refused


async def _write(
    session: Session,
    clock: Clock,
    tenant_id: TenantId,
    actor: str,
    ledger: Ledger,
    today: dt.date,
    batch: Sequence[Restated],
    items: dict[UUID, list[StoredItem]],
    customers: dict[str, Progress],
) -> None:
    freeing = [item.item_id for r in batch if _frees_money(r, items[r.known.document_id]) for item in items[r.known.document_id]]
    live: dict[UUID, list[LiveEntry]] = {}
    if freeing:
        for entry in await entries.live_entries_of_items(session, tenant_id, freeing):
            for item_id in {entry.item_id, entry.credit_item_id} - {None}:
                live.setdefault(item_id, []).append(entry)  # type: ignore[arg-type]  # None is taken out above
    writes = _Writes()
    for r in batch:
        _collect(r, ledger, items[r.known.document_id], live, customers[r.row.customer_external_id], today, writes)
    await entries.reverse_entries(session, tenant_id, writes.reversals, value_on=today, recorded_on=today, actor=actor, reason="document stated anew")
    await item_store.change_items(session, tenant_id, writes.changes)
    if writes.new_items:
        await item_store.insert_items(session, tenant_id, ledger.ledger_id, writes.new_items, today)
        await entries.open_with(session, tenant_id, writes.opening, recorded_on=today, actor=actor)
    await entries.add_entries(session, tenant_id, writes.additions, recorded_on=today, actor=actor)
    await item_store.set_void(session, tenant_id, writes.voided)
    await blocks.put_blocks(session, clock, tenant_id=tenant_id, actor=actor, ledger_id=ledger.ledger_id, today=today, stated=writes.stated, fresh=False)
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=writes.happened)
    await watch(session, tenant_id, writes.reopened)


def _collect(
    r: Restated,
    ledger: Ledger,
    stored: Sequence[StoredItem],
    live: dict[UUID, list[LiveEntry]],
    customer: Progress,
    today: dt.date,
    writes: _Writes,
) -> None:
    row, document_id = r.row, r.known.document_id
    by_name = {item.external_id: item for item in stored}
    named: set[str] = set()
    for number, part in enumerate(row.parts(row.external_id), 1):
        name = part.external_id
        named.add(name)
        item = by_name.get(name)
        if item is None:
            _add_item(row, part, number, document_id, customer, today, writes)
        else:
            _change_item(row, part, number, item, ledger, live.get(item.item_id, []), today, writes)
        item_id = ItemId(item.item_id if item is not None else writes.new_items[-1].item_id)
        block = part.dunning_block if row.state == "posted" else None
        writes.stated.append(StatedBlock(customer.customer_id, item_id, block))
    for item in stored:
        if item.external_id not in named and item.state == "posted":
            _void_item(item, live.get(item.item_id, []), today, writes)
    kind = "document.voided" if row.state == "void" and r.known.state == "posted" else "document.changed"
    writes.happened.append(NewEvent(kind, "document", document_id, customer.customer_id))


def _add_item(row: DocumentRow, part: Part, number: int, document_id: UUID, customer: Progress, today: dt.date, writes: _Writes) -> None:
    opening = opening_of(row, part)
    item = new_item(row, part, number, document_id, customer, opening, today)
    writes.new_items.append(item)
    if opening:
        kind = "void" if row.state == "void" else "erp_adjustment"
        writes.opening.append(NewEntry(kind, item.item_id, 1, item.currency, opening, item.value_on, reason="stated open amount"))


def _change_item(
    row: DocumentRow,
    part: Part,
    number: int,
    item: StoredItem,
    ledger: Ledger,
    live: Sequence[LiveEntry],
    today: dt.date,
    writes: _Writes,
) -> None:
    amount = part.amount_minor
    if row.state == "void":
        if item.state == "posted":
            _void_item(item, live, today, writes)
        return
    from_erp = ledger.balance_source == ERP
    # A void item is closed by its void entry; posted again, it owes what its document says.
    allocated = item.allocated_minor if item.state == "posted" else 0
    if item.state == "void":
        writes.reversals.extend(live)
        live = []
    wanted = amount - part.open_minor if from_erp and part.open_minor is not None else min(allocated, amount)
    excess = allocated - wanted
    if excess > 0:
        freed = unwind(live, excess)
        writes.reversals.extend(freed.reversed_entries)
        if freed.kept is not None:
            entry, minor = freed.kept
            writes.additions.append(
                NewEntry(entry.kind, entry.item_id, entry.episode, entry.currency, minor, entry.value_on, entry.receipt_id, entry.credit_item_id)
            )
    elif excess < 0:
        writes.additions.append(NewEntry("erp_adjustment", item.item_id, item.episode, item.currency, -excess, today, reason="stated open amount"))
    over_settled = excess > 0 and not from_erp
    was_settled = item.state == "posted" and item.allocated_minor == item.amount_minor and item.amount_minor > 0
    reopened = from_erp and was_settled and wanted < amount
    customer_id = CustomerId(item.customer_id)
    if reopened:
        writes.reopened.add(customer_id)
    if over_settled:
        writes.happened.append(NewEvent("item.over_settled", "item", item.item_id, customer_id))
    if was_settled and wanted < amount:
        writes.happened.append(NewEvent("item.reopened", "item", item.item_id, customer_id, {"because": "document stated anew"}))
    keeps_policy = "policy" not in row.model_fields_set
    writes.changes.append(
        ItemChange(
            item.item_id,
            number,
            row.number,
            row.document_on,
            part.due_on,
            row.delivered_on,
            amount,
            part.collection_method,
            part.step_reached or item.step_reached,
            (part.last_reminded_on or item.last_reminded_on or today) if part.step_reached else item.last_reminded_on,
            item.policy if keeps_policy else row.policy,
            item.scenario_id if keeps_policy else row.scenario_id,
            row.value_on or row.document_on,
            "posted",
            over_settled,
            reopened,
        )
    )


def _void_item(item: StoredItem, live: Sequence[LiveEntry], today: dt.date, writes: _Writes) -> None:
    writes.reversals.extend(live)
    spent_on = {entry.item_id for entry in live if entry.credit_item_id == item.item_id}
    writes.happened.extend(
        NewEvent("item.reopened", "item", item_id, CustomerId(item.customer_id), {"because": "credit note void"}) for item_id in sorted(spent_on)
    )
    if item.amount_minor:
        writes.additions.append(NewEntry("void", item.item_id, item.episode, item.currency, item.amount_minor, today, reason="document void"))
    writes.voided.append(item.item_id)


def _open_amount_fault(row: DocumentRow, ledger: Ledger, stored: Sequence[StoredItem]) -> RowOutcome | None:
    if ledger.balance_source == ERP or row.state == "void":
        return None
    by_name = {item.external_id: item for item in stored if item.state == "posted"}
    for part in row.parts(row.external_id):
        item = by_name.get(part.external_id)
        if item is None or part.open_minor is None:
            continue
        follows = part.amount_minor - min(item.allocated_minor, part.amount_minor)
        if part.open_minor != follows:
            message = (
                "this ledger counts receipts and credits, and they leave another open amount than the stated one;"
                " leave open_amount out, or send the missing receipt"
            )
            return rejected("open_amount", message, OpenAmountDiffers)
    return None


def _frees_money(r: Restated, stored: Sequence[StoredItem]) -> bool:
    if r.row.state != r.known.state:
        return True
    parts = {part.external_id: part for part in r.row.parts(r.row.external_id)}
    for item in stored:
        part = parts.get(item.external_id)
        if (part is None) != (item.state == "void"):
            return True
        if part is None:
            continue
        ceiling = part.amount_minor if part.open_minor is None else part.amount_minor - part.open_minor
        if item.allocated_minor > ceiling and r.row.state == "posted":
            return True
    return False
