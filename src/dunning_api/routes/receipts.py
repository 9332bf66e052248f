"""Receipts, what they pay, and money that went back."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Path, Query, Response
from fastapi.responses import JSONResponse

from dunning.kit.ids import AllocationId, LedgerId, ReceiptId, new_id
from dunning.ledger import ledgers
from dunning.ledger.outcomes import RowOutcome, answered
from dunning.ledger.rows import ExternalId
from dunning.receipts import allocations, inbox, receipts, returns
from dunning.receipts.receipts import ReceiptDiffers
from dunning.receipts.rows import ReceiptRow
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problem, problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.receipts import (
    AllocationCreate,
    Because,
    ParkedBook,
    ParkedOut,
    ReceiptCreate,
    ReceiptOut,
    ReceiptPut,
    ReceiptRecord,
    ReturnCreate,
    ReturnOut,
)

router = Router(tags=["receipts"])


@router.put(
    "/ledgers/{ledger_id}/receipts/{external_id:path}",
    response_model=ReceiptRecord,
    summary="Record a receipt under your own id",
    responses={**problems(404, 409), 201: {"description": "Recorded."}},
)
async def put_receipt(
    ledger_id: UUID,
    external_id: Annotated[ExternalId, Path(examples=["R-2026-0041"])],
    body: ReceiptPut,
    work: Annotated[Work, writes("receipts:write")],
    response: Response,
) -> ReceiptRecord | JSONResponse:
    """Record money that came in: 201, and 200 for the same again. Other content under the same id is 409, overwrites nothing and waits in the receipt inbox.

    `allocation` says what it pays. More than is open is 409 and nothing is recorded.
    """
    return await _recorded(work, ledger_id, body.row(external_id), response)


@router.post(
    "/ledgers/{ledger_id}/receipts",
    status_code=201,
    response_model=ReceiptRecord,
    summary="Record a receipt",
    responses={**problems(404, 409), 200: {"model": ReceiptRecord, "description": "The same was recorded under this id before."}},
)
async def create_receipt(
    ledger_id: UUID, body: ReceiptCreate, work: Annotated[Work, writes("receipts:write", idempotent=True)], response: Response
) -> ReceiptRecord | JSONResponse:
    """Record money that came in. With an `external_id` it is kept once under it; without one the `Idempotency-Key` keeps a repeat from counting twice."""
    return await _recorded(work, ledger_id, body.row(f"receipt:{new_id()}"), response)


async def _recorded(work: Work, ledger_id: UUID, row: ReceiptRow, response: Response) -> ReceiptRecord | JSONResponse:
    ledger = await ledgers.ledger_of(work.session, tenant_id=work.tenant_id, ledger_id=LedgerId(ledger_id))
    outcomes = await receipts.put_receipts(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, ledger=ledger, rows=[row], source="api", park_refused=False
    )
    outcome = outcomes[0]
    if outcome.error is ReceiptDiffers:
        # An answer, not an error: what was parked has to be committed.
        return _differs(outcome)
    answered(outcome)
    response.status_code = 201 if outcome.outcome == "created" else 200
    found = await receipts.receipt_of(work.session, tenant_id=work.tenant_id, receipt_id=ReceiptId(outcome.object_id or ledger_id))
    return ReceiptRecord.with_allocations(*found)


def _differs(outcome: RowOutcome) -> JSONResponse:
    return problem(409, ReceiptDiffers.code, ReceiptDiffers.title, f"{outcome.message}.")


@router.get("/ledgers/{ledger_id}/receipts", summary="List receipts", responses=problems(404))
async def list_receipts(
    ledger_id: UUID,
    work: Annotated[Work, reads()],
    customer: Annotated[UUID | None, Query(description="Only receipts of this customer.")] = None,
    external_id: Annotated[str | None, Query(max_length=200, description="Your own id of the receipt.")] = None,
    unapplied: Annotated[bool | None, Query(description="true: with money left; false: wholly spent or returned.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[ReceiptOut]:
    """List receipts of a ledger, oldest first."""
    key = paging.unseal(work.keyring, "receipts", cursor, 1)
    found = await receipts.receipts_after(
        work.session,
        tenant_id=work.tenant_id,
        ledger_id=LedgerId(ledger_id),
        after=UUID(key[0]) if key else None,
        limit=limit + 1,
        customer_id=customer,
        external_id=external_id,
        unapplied=unapplied,
    )
    more = paging.seal(work.keyring, "receipts", found[limit - 1].receipt_id) if len(found) > limit else None
    return Page(data=[ReceiptOut.of(receipt) for receipt in found[:limit]], next_cursor=more)


@router.get("/receipts/{receipt_id}", summary="Get a receipt", responses=problems(404))
async def get_receipt(receipt_id: UUID, work: Annotated[Work, reads()]) -> ReceiptRecord:
    """Return a receipt with its allocations, undone ones too."""
    return ReceiptRecord.with_allocations(*await receipts.receipt_of(work.session, tenant_id=work.tenant_id, receipt_id=ReceiptId(receipt_id)))


@router.post("/receipts/{receipt_id}/allocations", status_code=201, summary="Allocate what is left of a receipt", responses=problems(404, 409))
async def allocate_rest(receipt_id: UUID, body: AllocationCreate, work: Annotated[Work, writes("receipts:write", idempotent=True)]) -> ReceiptRecord:
    """Set unapplied money against items, oldest debt first or as listed. More than is left or open is 409."""
    found = await allocations.allocate_rest(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, receipt_id=ReceiptId(receipt_id), allocation=body.allocation
    )
    return ReceiptRecord.with_allocations(*found)


@router.post("/allocations/{allocation_id}/reverse", summary="Undo one allocation", responses=problems(404, 409))
async def reverse_allocation(allocation_id: UUID, body: Because, work: Annotated[Work, writes("receipts:write")]) -> ReceiptRecord:
    """Undo an allocation by an opposite entry: the item owes again and the receipt has the money again. A second time is 409."""
    found = await allocations.reverse_allocation(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        allocation_id=AllocationId(allocation_id),
        reason=body.reason,
    )
    return ReceiptRecord.with_allocations(*found)


@router.post("/receipts/{receipt_id}/reverse", summary="Take back a receipt booked by mistake", responses=problems(404, 409))
async def reverse_receipt(receipt_id: UUID, body: Because, work: Annotated[Work, writes("receipts:write")]) -> ReceiptRecord:
    """Undo a receipt and all its allocations; its items owe again, in the same episode. A second time is 409."""
    found = await returns.reverse_receipt(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, receipt_id=ReceiptId(receipt_id), reason=body.reason
    )
    return ReceiptRecord.with_allocations(*found)


@router.post("/payment-returns", status_code=201, summary="Record a returned payment", responses=problems(404, 409))
async def record_return(body: ReturnCreate, work: Annotated[Work, writes("receipts:write", repeatable=True)]) -> ReturnOut:
    """Record that a booked payment failed. Its items owe again with their original due dates, in a new episode; charges become a fee item; the ledger may hold the items for some days. A second return is 409."""
    made, item_ids = await returns.record_return(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, returned=body)
    receipt, _ = await receipts.receipt_of(work.session, tenant_id=work.tenant_id, receipt_id=made.receipt_id)
    return ReturnOut.of(made, item_ids, receipt.currency)


@router.get("/ledgers/{ledger_id}/receipt-inbox", summary="Receipts that wait for a person", responses=problems(404))
async def list_inbox(
    ledger_id: UUID,
    work: Annotated[Work, reads()],
    state: Annotated[Literal["parked", "applied", "dismissed"] | None, Query(description="Only those in this state.")] = "parked",
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[ParkedOut]:
    """List receipts that contradict a booked one, or could not be allocated as they say; nothing here is lost and nothing books itself."""
    key = paging.unseal(work.keyring, "receipt_inbox", cursor, 1)
    found = await inbox.inbox_after(
        work.session, tenant_id=work.tenant_id, ledger_id=LedgerId(ledger_id), state=state, after=UUID(key[0]) if key else None, limit=limit + 1
    )
    more = paging.seal(work.keyring, "receipt_inbox", found[limit - 1].receipt_inbox_id) if len(found) > limit else None
    return Page(data=[ParkedOut.of(parked) for parked in found[:limit]], next_cursor=more)


@router.post("/receipt-inbox/{receipt_inbox_id}/dismiss", summary="Do not book a parked receipt", responses=problems(404, 409))
async def dismiss_parked(receipt_inbox_id: UUID, body: Because, work: Annotated[Work, writes("receipts:write")]) -> ParkedOut:
    """Decide that a parked receipt is not to be booked; it stays listed as dismissed."""
    return ParkedOut.of(
        await inbox.dismiss(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, receipt_inbox_id=receipt_inbox_id, reason=body.reason)
    )


@router.post("/receipt-inbox/{receipt_inbox_id}/book", summary="Book a parked receipt after all", responses=problems(404, 409))
async def book_parked(receipt_inbox_id: UUID, body: ParkedBook, work: Annotated[Work, writes("receipts:write")]) -> ParkedOut:
    """Book a parked receipt under an id that is free, with its money unapplied; allocate it afterwards."""
    return ParkedOut.of(
        await inbox.book(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, receipt_inbox_id=receipt_inbox_id, external_id=body.external_id)
    )
