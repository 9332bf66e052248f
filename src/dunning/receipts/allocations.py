"""Allocating what is left of a receipt later, and undoing one allocation; nothing is edited, everything is entered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, NotFound
from dunning.kit.ids import AllocationId, ItemId, ReceiptId, TenantId
from dunning.ledger import entries, item_store, items, ledgers
from dunning.ledger.customer_state import facts_changed, lock_customers
from dunning.ledger.entries import NewEntry, OverAllocated
from dunning.ledger.rules import Part
from dunning.receipts import receipts, store
from dunning.receipts.rows import Target
from dunning.receipts.rules import Refused, allot, spread
from dunning.receipts.store import Allocation, Receipt


class ReceiptEnded(Conflict):
    """The receipt was returned or reversed, so nothing of it can be spent or undone."""

    code = "receipt_ended"
    title = "The receipt was returned or reversed"


class AlreadyReversed(Conflict):
    """The allocation was undone before, or is itself an undoing."""

    code = "allocation_reversed"
    title = "The allocation is undone"


class NotOfReceipt(Conflict):
    """The entry is the ERP's or a credit note's word, which is changed where it comes from."""

    code = "allocation_not_of_receipt"
    title = "Only allocations of receipts are undone here"


async def allocate_rest(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    receipt_id: ReceiptId,
    allocation: Literal["oldest_first"] | Sequence[Target],
) -> tuple[Receipt, list[Allocation]]:
    """Set what is unapplied of a receipt against items, and return the receipt as it is then.

    Raises `NotFound` for an unknown receipt or item, `OverAllocated` when an item or the receipt has less left, `ReceiptEnded`. A second call
    allocates again, as far as there is more left.
    """
    receipt, _ = await receipts.receipt_of(session, tenant_id=tenant_id, receipt_id=receipt_id)
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=receipt.ledger_id)
    today = local_date(clock.now(), ledger.time_zone)
    await lock_customers(session, tenant_id, [receipt.customer_id])
    receipt, _ = await receipts.receipt_of(session, tenant_id=tenant_id, receipt_id=receipt_id)
    if receipt.state not in {"received", "cleared"}:
        msg = f"The receipt was {receipt.state} on {receipt.ended_on}; record the new payment as a receipt of its own."
        raise ReceiptEnded(msg)
    parts = await _parts(session, tenant_id, receipt, allocation)
    await entries.add_entries(
        session,
        tenant_id,
        [
            NewEntry("receipt", p.item.item_id, p.item.episode, p.item.currency, p.minor, max(receipt.received_on, p.item.document_on), receipt_id)
            for p in parts
        ],
        recorded_on=today,
        actor=actor,
    )
    if parts:
        await facts_changed(session, tenant_id, [receipt.customer_id], today)
        made = [NewEvent("allocation.made", "receipt", receipt_id, receipt.customer_id, {"item_ids": [p.item.item_id for p in parts]})]
        await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)
    return await receipts.receipt_of(session, tenant_id=tenant_id, receipt_id=receipt_id)


async def _parts(session: ReadSession, tenant_id: TenantId, receipt: Receipt, allocation: Literal["oldest_first"] | Sequence[Target]) -> list[Part]:
    if isinstance(allocation, str):
        found = await item_store.open_items_of(session, tenant_id, [receipt.customer_id])
        same = [item for item in found if item.currency == receipt.currency]
        return spread(receipt.unapplied_minor, same, {item.item_id: item.open_minor for item in same})
    by_target = await receipts.targets_of(session, tenant_id, receipt.ledger_id, allocation)
    for target in allocation:
        noun = "document" if target.document_external_id else "item"
        if not by_target.get(target.key):
            raise NotFound(noun)
        if target.amount.currency != receipt.currency or any(item.currency != receipt.currency for item in by_target[target.key]):
            msg = f"{receipts.noun_of(target)} and its amount must be in {receipt.currency}: an item is settled in its own currency."
            raise OverAllocated(msg)
    if sum(target.amount.minor for target in allocation) > receipt.unapplied_minor:
        msg = "The receipt has less left than was to be allocated. Read it again and allocate what is unallocated."
        raise OverAllocated(msg)
    left = {item.item_id: item.open_minor for found in by_target.values() for item in found}
    parts = allot(receipt.customer_id, receipts.wanted_of(allocation, by_target), left)
    if isinstance(parts, Refused):
        msg = f"{parts.message}. Read the items again and allocate what is open."
        raise OverAllocated(msg, items=receipts.open_of(parts))
    return parts


async def reverse_allocation(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, allocation_id: AllocationId, reason: str
) -> tuple[Receipt, list[Allocation]]:
    """Undo one allocation of a receipt: the item owes again, the receipt has the money again. Returns the receipt.

    Raises `NotFound`, `AlreadyReversed` on a second call, `NotOfReceipt` for entries of credit notes and of the ERP.
    """
    entry = await store.allocation_of(session, tenant_id, allocation_id)
    if entry is None:
        noun = "allocation"
        raise NotFound(noun)
    if entry.receipt_id is None:
        msg = "This entry is a credit note's or the ERP's word: state that document anew instead."
        raise NotOfReceipt(msg)
    receipt, _ = await receipts.receipt_of(session, tenant_id=tenant_id, receipt_id=entry.receipt_id)
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=receipt.ledger_id)
    today = local_date(clock.now(), ledger.time_zone)
    await lock_customers(session, tenant_id, [receipt.customer_id])
    live = [e for e in await entries.live_entries_of_receipts(session, tenant_id, [entry.receipt_id]) if e.allocation_id == allocation_id]
    if not live:
        msg = "This allocation is undone already, or is the undoing of another; make a new allocation instead."
        raise AlreadyReversed(msg)
    item = await items.item_of(session, tenant_id=tenant_id, item_id=ItemId(live[0].item_id))
    await entries.reverse_entries(session, tenant_id, live, value_on=today, recorded_on=today, actor=actor, reason=reason)
    await facts_changed(session, tenant_id, [receipt.customer_id], today)
    made = [NewEvent("allocation.reversed", "receipt", receipt.receipt_id, receipt.customer_id, {"item_ids": [item.item_id]})]
    if item.open_minor == 0:
        made.append(NewEvent("item.reopened", "item", item.item_id, receipt.customer_id, {"because": "allocation undone"}))
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)
    return await receipts.receipt_of(session, tenant_id=tenant_id, receipt_id=receipt.receipt_id)


async def allocations_of_item(session: ReadSession, *, tenant_id: TenantId, item_id: ItemId, after: UUID | None, limit: int) -> list[Allocation]:
    """Return the entries that explain an item's open amount, past an id; raise `NotFound`."""
    await items.item_of(session, tenant_id=tenant_id, item_id=item_id)
    return await store.allocations_of_item(session, tenant_id, item_id, after, limit)
