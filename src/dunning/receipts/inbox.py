"""The inbox of receipts that wait for a person: nothing in it is lost, and nothing in it is booked by itself."""

from __future__ import annotations

from uuid import UUID

from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, NotFound
from dunning.kit.ids import LedgerId, TenantId
from dunning.ledger import ledgers
from dunning.ledger.outcomes import answered
from dunning.receipts import receipts, store
from dunning.receipts.rows import ReceiptRow
from dunning.receipts.store import Parked


class AlreadyResolved(Conflict):
    """A person has decided about it before."""

    code = "parked_receipt_resolved"
    title = "The parked receipt is resolved"


async def inbox_after(session: ReadSession, *, tenant_id: TenantId, ledger_id: LedgerId, state: str | None, after: UUID | None, limit: int) -> list[Parked]:
    """Return parked receipts of a ledger past an id; raise `NotFound` for an unknown ledger."""
    await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    return await store.inbox_after(session, tenant_id, ledger_id, state, after, limit)


async def parked_of(session: ReadSession, *, tenant_id: TenantId, receipt_inbox_id: UUID) -> Parked:
    """Return one parked receipt; raise `NotFound`."""
    parked = await store.parked_of(session, tenant_id, receipt_inbox_id)
    if parked is None:
        noun = "parked receipt"
        raise NotFound(noun)
    return parked


async def dismiss(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, receipt_inbox_id: UUID, reason: str) -> Parked:
    """Decide that a parked receipt is not to be booked. Raises `AlreadyResolved` on a second decision."""
    parked = await parked_of(session, tenant_id=tenant_id, receipt_inbox_id=receipt_inbox_id)
    await _resolve(session, clock, tenant_id, actor, parked, "dismissed", reason)
    return await parked_of(session, tenant_id=tenant_id, receipt_inbox_id=receipt_inbox_id)


async def book(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, receipt_inbox_id: UUID, external_id: str) -> Parked:
    """Book a parked receipt after all, under an external id that is free, with its money unapplied; allocate it afterwards.

    Raises `AlreadyResolved`, or `ReceiptDiffers` when the external id is taken.
    """
    parked = await parked_of(session, tenant_id=tenant_id, receipt_inbox_id=receipt_inbox_id)
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=parked.ledger_id)
    await _resolve(session, clock, tenant_id, actor, parked, "applied", f"booked as {external_id}")
    row = ReceiptRow.model_validate({**parked.content, "external_id": external_id, "allocation": "none"})
    outcomes = await receipts.put_receipts(session, clock, tenant_id=tenant_id, actor=actor, ledger=ledger, rows=[row], source="inbox", park_refused=False)
    if answered(outcomes[0]).outcome != "created":
        msg = f"external_id {external_id} is taken by a booked receipt. Take one that is free."
        raise receipts.ReceiptDiffers(msg)
    return await parked_of(session, tenant_id=tenant_id, receipt_inbox_id=receipt_inbox_id)


async def _resolve(session: Session, clock: Clock, tenant_id: TenantId, actor: str, parked: Parked, state: str, reason: str) -> None:
    if not await store.resolve_parked(session, tenant_id, parked.receipt_inbox_id, state, clock.now(), actor):
        msg = f"This receipt was {parked.state} by {parked.resolved_by} before."
        raise AlreadyResolved(msg)
    await events.record(
        session,
        clock,
        tenant_id=tenant_id,
        kind="receipt.resolved",
        subject_kind="receipt_inbox",
        subject_id=parked.receipt_inbox_id,
        actor=actor,
        data={"state": state, "reason": reason},
    )
