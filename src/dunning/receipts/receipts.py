"""Recording receipts: each once by its external id, allocated as it says, and parked rather than lost where it contradicts itself or another."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import CustomerId, LedgerId, ReceiptId, TenantId, new_id
from dunning.kit.money import format_minor
from dunning.ledger import customer_store, customers, entries, item_store, ledgers
from dunning.ledger.customer_state import facts_changed, lock_customers
from dunning.ledger.entries import NewEntry, OverAllocated
from dunning.ledger.ledger_store import Ledger
from dunning.ledger.outcomes import RowOutcome, passes, rejected, unknown
from dunning.ledger.rules import OpenItem, Part
from dunning.receipts import store
from dunning.receipts.rows import ReceiptRow, Target
from dunning.receipts.rules import Refused, Wanted, allot, spread
from dunning.receipts.store import Allocation, NewReceipt, Receipt

RECEIPTS = "receipts"


class ReceiptsNotTaken(Conflict):
    """The ledger takes its balances from the ERP's open items."""

    code = "receipts_not_taken"
    title = "This ledger takes no receipts"


class ReceiptDiffers(Conflict):
    """A receipt with this external id and other content is booked."""

    code = "receipt_differs"
    title = "The receipt is booked with other content"


@dataclass(frozen=True, slots=True)
class _Named:
    """The open items of everybody concerned, and what the rows name."""

    by_customer: dict[UUID, list[OpenItem]]
    by_target: dict[tuple[str, str], list[OpenItem]]
    left: dict[UUID, int]


async def put_receipts(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    ledger: Ledger,
    rows: Sequence[ReceiptRow],
    source: str,
    park_refused: bool,
) -> list[RowOutcome]:
    """Record receipts by their external ids and say for each what became of it.

    The same receipt again is a `duplicate`. The same id with other content is parked in the inbox and never overwrites. An allocation that
    cannot be made is parked too where `park_refused`, so that no money of a file is lost, and else refused. One that names something unknown is
    parked until that is given. Raises `ReceiptsNotTaken` where balances come from the ERP.
    """
    if ledger.balance_source != RECEIPTS:
        msg = "The ledger's balance_source is erp_open_items: state the new open amounts of its documents instead of receipts."
        raise ReceiptsNotTaken(msg)
    answers: list[RowOutcome] = [RowOutcome("duplicate")] * len(rows)
    for positions in passes([row.external_id for row in rows]):
        found = await _put_distinct(session, clock, tenant_id, actor, ledger, [rows[p] for p in positions], source, park_refused=park_refused)
        for position, answer in zip(positions, found, strict=True):
            answers[position] = answer
    return answers


async def _put_distinct(
    session: Session,
    clock: Clock,
    tenant_id: TenantId,
    actor: str,
    ledger: Ledger,
    rows: Sequence[ReceiptRow],
    source: str,
    *,
    park_refused: bool,
) -> list[RowOutcome]:
    today = local_date(clock.now(), ledger.time_zone)
    contents = [row.model_dump_json(exclude_defaults=True) for row in rows]
    hashes = [hashlib.sha256(content.encode()).digest() for content in contents]
    customers = await customer_store.ids_of(session, tenant_id, ledger.ledger_id, sorted({row.customer_external_id for row in rows}))
    await lock_customers(session, tenant_id, set(customers.values()))
    known = await store.known_receipts(session, tenant_id, ledger.ledger_id, [row.external_id for row in rows])
    named = await _named(session, tenant_id, ledger.ledger_id, rows, customers)
    answers: list[RowOutcome] = []
    booked: list[NewReceipt] = []
    spent: list[NewEntry] = []
    inbox: list[tuple[UUID, str, str, bytes, str]] = []
    for row, content, sha in zip(rows, contents, hashes, strict=True):
        present = known.get(row.external_id)
        if present is not None and present[1] == sha:
            answers.append(RowOutcome("duplicate", present[0]))
            continue
        if present is not None:
            message = f"receipt {row.external_id} is booked with other content; this one waits in the receipt inbox for a person"
            inbox.append((new_id(), row.external_id, content, sha, "differs from the booked receipt"))
            answers.append(RowOutcome("parked", inbox[-1][0], "external_id", message, None, ReceiptDiffers))
            continue
        customer_id = customers.get(row.customer_external_id)
        parts = _parts(row, customer_id, named, today)
        if isinstance(parts, RowOutcome):
            if parts.outcome == "rejected" and parts.error is OverAllocated and park_refused:
                inbox.append((new_id(), row.external_id, content, sha, parts.message or ""))
                parts = RowOutcome("parked", inbox[-1][0], "allocation", f"{parts.message}; it waits in the receipt inbox for a person")
            answers.append(parts)
            continue
        receipt = _new_receipt(row, CustomerId(customer_id or new_id()), parts, content, sha)
        booked.append(receipt)
        for part in parts:
            named.left[part.item.item_id] -= part.minor
            spent.append(
                NewEntry("receipt", part.item.item_id, part.item.episode, part.item.currency, part.minor, row.received_on, receipt_id=receipt.receipt_id)
            )
        answers.append(RowOutcome("created", receipt.receipt_id))
    await _write(session, clock, tenant_id, actor, ledger, today, booked, spent)
    if inbox:
        fresh = await store.park(session, tenant_id, ledger.ledger_id, source, inbox)
        repeated = {entry[0] for entry in inbox} - fresh
        answers = [RowOutcome("duplicate", None, a.field, a.message, None, a.error) if a.object_id in repeated else a for a in answers]
    return answers


async def _write(
    session: Session,
    clock: Clock,
    tenant_id: TenantId,
    actor: str,
    ledger: Ledger,
    today: dt.date,
    booked: Sequence[NewReceipt],
    spent: Sequence[NewEntry],
) -> None:
    if not booked:
        return
    if await store.insert_receipts(session, tenant_id, ledger.ledger_id, booked, today) != len(booked):
        msg = "Another request recorded one of these receipts at the same moment. Repeat this one."
        raise Conflict(msg)
    await entries.add_entries(session, tenant_id, spent, recorded_on=today, actor=actor, receipts_counted=True)
    await facts_changed(session, tenant_id, {CustomerId(receipt.customer_id) for receipt in booked}, today)
    made = [NewEvent("receipt.recorded", "receipt", receipt.receipt_id, CustomerId(receipt.customer_id)) for receipt in booked]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)


async def _named(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, rows: Sequence[ReceiptRow], customers: dict[str, CustomerId]) -> _Named:
    spreading = {customers[r.customer_external_id] for r in rows if r.allocation == "oldest_first" and r.customer_external_id in customers}
    by_customer: dict[UUID, list[OpenItem]] = {customer_id: [] for customer_id in spreading}
    left: dict[UUID, int] = {}
    if spreading:
        for item in await item_store.open_items_of(session, tenant_id, list(spreading)):
            by_customer[item.customer_id].append(item)
            left[item.item_id] = item.open_minor
    by_target = await targets_of(session, tenant_id, ledger_id, [t for r in rows if isinstance(r.allocation, list) for t in r.allocation])
    left |= {item.item_id: item.open_minor for items in by_target.values() for item in items}
    return _Named(by_customer, by_target, left)


async def targets_of(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, targets: Sequence[Target]) -> dict[tuple[str, str], list[OpenItem]]:
    """Return the items that targets name, open or not; what is unknown is missing."""
    if not targets:
        return {}
    return await item_store.items_named(
        session,
        tenant_id,
        ledger_id,
        [t.item_id for t in targets if t.item_id is not None],
        [t.item_external_id for t in targets if t.item_external_id is not None],
        [t.document_external_id for t in targets if t.document_external_id is not None],
    )


def wanted_of(targets: Sequence[Target], by_target: dict[tuple[str, str], list[OpenItem]]) -> list[Wanted]:
    """Return what targets ask for; each must have been found."""
    return [Wanted(" ".join(t.key), t.amount.minor, tuple(by_target[t.key])) for t in targets]


def _parts(row: ReceiptRow, customer_id: CustomerId | None, named: _Named, today: dt.date) -> list[Part] | RowOutcome:
    if customer_id is None:
        return unknown("customer", "customer_external_id", row.customer_external_id)
    if row.received_on > today:
        return rejected("received_on", f"{row.received_on} lies in the future; today is {today} in the ledger's time zone")
    if row.allocation == "none":
        return []
    currency = row.amount.currency
    if not isinstance(row.allocation, list):
        return spread(row.amount.minor, [i for i in named.by_customer[customer_id] if i.currency == currency], named.left)
    for target in row.allocation:
        found = named.by_target.get(target.key)
        if not found:
            noun, name = target.key
            return unknown("item" if noun == "id" else noun, "allocation", name)
        if any(item.currency != currency for item in found):
            return rejected("allocation", f"{noun_of(target)} is not in {currency}: an item is settled in its own currency", OverAllocated)
    parts = allot(customer_id, wanted_of(row.allocation, named.by_target), named.left)
    return rejected("allocation", parts.message, OverAllocated, {"items": open_of(parts)}) if isinstance(parts, Refused) else parts


def open_of(refused: Refused) -> list[dict[str, Any]]:
    """Return, for each item that has less open than was asked, how much it has."""
    return [
        {
            "item_id": str(one.item_id),
            "external_id": one.external_id,
            "number": one.number,
            "open": {"amount": format_minor(one.open_minor, one.currency), "currency": one.currency},
        }
        for one in refused.short
    ]


def noun_of(target: Target) -> str:
    """Return how a target is called in a sentence."""
    return " ".join(target.key)


def _new_receipt(row: ReceiptRow, customer_id: CustomerId, parts: Sequence[Part], content: str, sha: bytes) -> NewReceipt:
    return NewReceipt(
        new_id(),
        customer_id,
        row.external_id,
        row.amount.currency,
        row.amount.minor,
        sum(part.minor for part in parts),
        row.method,
        row.reference,
        row.received_on,
        row.final_on,
        row.instrument.model_dump(mode="json", exclude_none=True) if row.instrument else {},
        content,
        sha,
    )


async def receipt_of(session: ReadSession, *, tenant_id: TenantId, receipt_id: ReceiptId) -> tuple[Receipt, list[Allocation]]:
    """Return a receipt with all its allocations, undone ones too; raise `NotFound`."""
    receipt = await store.receipt_of(session, tenant_id, receipt_id)
    if receipt is None:
        noun = "receipt"
        raise NotFound(noun)
    return receipt, (await store.allocations_of_receipts(session, tenant_id, [receipt_id]))[receipt_id]


async def receipts_after(
    session: ReadSession,
    *,
    tenant_id: TenantId,
    ledger_id: LedgerId,
    after: UUID | None,
    limit: int,
    customer_id: UUID | None = None,
    external_id: str | None = None,
    unapplied: bool | None = None,
) -> list[Receipt]:
    """Return receipts of a ledger past an id, by id; `unapplied` narrows to those with, or without, money left.

    Raises `NotFound` for an unknown ledger or customer.
    """
    await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    if customer_id is not None:
        await customers.customer_of(session, tenant_id=tenant_id, customer_id=CustomerId(customer_id))
    return await store.receipts_after(
        session, tenant_id, after, limit, ledger_id=ledger_id, customer_id=customer_id, external_id=external_id, unapplied=unapplied
    )


def not_after_today(name: str, day: dt.date, today: dt.date) -> None:
    """Raise `Malformed` when a day lies in the future."""
    if day > today:
        msg = f"{name}: {day} lies in the future; today is {today} in the ledger's time zone."
        raise Malformed(msg, errors=[{"field": name, "message": "lies in the future"}])
