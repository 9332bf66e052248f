"""Money that went away again: payments returned by the bank, and receipts reversed because they were booked by mistake."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import Session
from dunning.kit.errors import Conflict, Malformed
from dunning.kit.ids import CustomerId, ItemId, ReceiptId, TenantId
from dunning.kit.money import format_minor
from dunning.ledger import customers, documents, entries, holds, item_store, ledgers
from dunning.ledger.customer_state import facts_changed, lock_customers, watch
from dunning.ledger.ledger_store import Ledger
from dunning.ledger.outcomes import answered
from dunning.ledger.rows import DocumentRow
from dunning.ledger.rules import LiveEntry
from dunning.receipts import receipts, store
from dunning.receipts.allocations import ReceiptEnded
from dunning.receipts.rows import ReturnContent
from dunning.receipts.store import Allocation, PaymentReturn, Receipt

RETURNED = "returned"
"""Reason of the entries that undo a returned payment's allocations: the fact by which steps of the trigger `payment_returned` are found."""
HOLD_REASON = "payment_returned"


class AlreadyReturned(Conflict):
    """The receipt was returned before."""

    code = "already_returned"
    title = "The payment was returned before"


async def record_return(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, returned: ReturnContent) -> tuple[PaymentReturn, list[UUID]]:
    """Record that a booked payment failed; return the record and the ids of the items that owe again.

    All allocations are undone; the items keep their due dates and begin a new episode; charges become a fee item due on the day of the
    return; where the ledger says so the items are held for some days first. Raises `AlreadyReturned` on a second return, `ReceiptEnded` for a
    reversed receipt, `Malformed` for a day before the payment or in the future.
    """
    receipt, _ = await receipts.receipt_of(session, tenant_id=tenant_id, receipt_id=ReceiptId(returned.receipt_id))
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=receipt.ledger_id)
    today = local_date(clock.now(), ledger.time_zone)
    receipts.not_after_today("returned_on", returned.returned_on, today)
    if returned.returned_on < receipt.received_on:
        msg = f"returned_on: {returned.returned_on} lies before the day on which the payment was received ({receipt.received_on})."
        raise Malformed(msg, errors=[{"field": "returned_on", "message": "lies before received_on"}])
    charges = returned.charges
    if charges is not None and (charges.currency != receipt.currency or charges.minor < 0):
        msg = f"charges: must not be negative and are in {receipt.currency}, the currency of the receipt."
        raise Malformed(msg, errors=[{"field": "charges", "message": f"must be in {receipt.currency} and not negative"}])
    undone = await _undo_all(session, tenant_id, actor, receipt.receipt_id, receipt.customer_id, value_on=returned.returned_on, today=today, reason=RETURNED)
    if not await store.end_receipt(
        session, tenant_id, receipt.receipt_id, state="returned", ended_on=returned.returned_on, recorded_on=today, because=returned.reason
    ):
        raise await _ended(session, tenant_id, receipt.receipt_id)
    item_ids = list(dict.fromkeys(entry.item_id for entry in undone))
    await item_store.raise_episodes(session, tenant_id, item_ids)
    made = await store.insert_return(
        session,
        tenant_id,
        receipt,
        returned_on=returned.returned_on,
        reason=returned.reason,
        charges_minor=charges.minor if charges is not None else 0,
        actor=actor,
    )
    if made.charges_minor:
        await _charge(session, clock, tenant_id, actor, ledger, receipt, made)
    await _hold(session, clock, tenant_id, actor, ledger, receipt.customer_id, item_ids, today)
    # Whoever decided something from this money, and whoever is to deal with what has no step left, looks again.
    await watch(session, tenant_id, [receipt.customer_id])
    await facts_changed(session, tenant_id, [receipt.customer_id], today)
    happened = [NewEvent("receipt.returned", "receipt", receipt.receipt_id, receipt.customer_id, {"reason": returned.reason})]
    happened += [NewEvent("item.reopened", "item", i, receipt.customer_id, {"because": "payment returned"}) for i in item_ids]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=happened)
    return made, item_ids


async def reverse_receipt(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, receipt_id: ReceiptId, reason: str
) -> tuple[Receipt, list[Allocation]]:
    """Take back a receipt that was booked by mistake; its items owe again in the same episode. Raises `ReceiptEnded` on a second call."""
    receipt, _ = await receipts.receipt_of(session, tenant_id=tenant_id, receipt_id=receipt_id)
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=receipt.ledger_id)
    today = local_date(clock.now(), ledger.time_zone)
    undone = await _undo_all(session, tenant_id, actor, receipt_id, receipt.customer_id, value_on=today, today=today, reason="reversed")
    if not await store.end_receipt(session, tenant_id, receipt_id, state="reversed", ended_on=today, recorded_on=today, because=reason):
        raise await _ended(session, tenant_id, receipt_id)
    await facts_changed(session, tenant_id, [receipt.customer_id], today)
    happened = [NewEvent("receipt.reversed", "receipt", receipt_id, receipt.customer_id, {"reason": reason})]
    happened += [NewEvent("item.reopened", "item", i, receipt.customer_id, {"because": "receipt reversed"}) for i in dict.fromkeys(e.item_id for e in undone)]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=happened)
    return await receipts.receipt_of(session, tenant_id=tenant_id, receipt_id=receipt_id)


async def _undo_all(
    session: Session,
    tenant_id: TenantId,
    actor: str,
    receipt_id: ReceiptId,
    customer_id: CustomerId,
    *,
    value_on: dt.date,
    today: dt.date,
    reason: str,
) -> list[LiveEntry]:
    await lock_customers(session, tenant_id, [customer_id])
    live = await entries.live_entries_of_receipts(session, tenant_id, [receipt_id])
    await entries.reverse_entries(session, tenant_id, live, value_on=value_on, recorded_on=today, actor=actor, reason=reason)
    return live


async def _ended(session: Session, tenant_id: TenantId, receipt_id: ReceiptId) -> Conflict:
    receipt, _ = await receipts.receipt_of(session, tenant_id=tenant_id, receipt_id=receipt_id)
    msg = f"The receipt was {receipt.state} on {receipt.ended_on}: {receipt.ended_because}."
    return AlreadyReturned(msg) if receipt.state == "returned" else ReceiptEnded(msg)


async def _charge(session: Session, clock: Clock, tenant_id: TenantId, actor: str, ledger: Ledger, receipt: Receipt, made: PaymentReturn) -> None:
    customer = await customers.customer_of(session, tenant_id=tenant_id, customer_id=receipt.customer_id)
    fee = DocumentRow.model_validate(
        {
            "external_id": f"return:{made.payment_return_id}",
            "customer_external_id": customer.external_id,
            "type": "fee",
            "number": (receipt.reference or receipt.external_id)[:100],
            "document_on": made.returned_on,
            "due_on": made.returned_on,
            "total": {"amount": format_minor(made.charges_minor, receipt.currency), "currency": receipt.currency},
        }
    )
    for outcome in await documents.put_documents(session, clock, tenant_id=tenant_id, actor=actor, ledger=ledger, rows=[fee]):
        answered(outcome)


async def _hold(
    session: Session,
    clock: Clock,
    tenant_id: TenantId,
    actor: str,
    ledger: Ledger,
    customer_id: CustomerId,
    item_ids: Sequence[UUID],
    today: dt.date,
) -> None:
    if not ledger.return_hold_days:
        return
    held = [
        holds.new_hold(
            ledger.ledger_id,
            "item",
            customer_id=customer_id,
            item_id=ItemId(item_id),
            origin="payment_return",
            reason=HOLD_REASON,
            comment=None,
            from_on=today,
            until_on=today + dt.timedelta(days=ledger.return_hold_days - 1),
            actor=actor,
            at=clock.now(),
        )
        for item_id in item_ids
    ]
    await holds.add_holds(session, clock, tenant_id=tenant_id, actor=actor, holds=held)
