"""Disputes: items that the customer contests."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Response

from dunning.collection import disputes
from dunning.collection.despatch import Outbound
from dunning.collection.dispute_store import DisputeFilter
from dunning.kit.ids import DisputeId, LedgerId
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.etags import IfMatch, expected_revision, tag
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Day, Page
from dunning_api.schemas.disputes import DisputeCreate, DisputeOut, DisputeReasonOut, DisputeResolve, DisputeSummaryOut, DisputeUpdate

router = Router(tags=["disputes"])


@router.post("/disputes", status_code=201, summary="Open a dispute", responses=problems(404, 409))
async def open_dispute(body: DisputeCreate, work: Annotated[Work, writes("collection:write", repeatable=True)], response: Response) -> DisputeOut:
    """Note that a customer contests items: in one step they get the status, a task follows the dispute up, and no message names them any more."""
    row = await disputes.open_dispute(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, contested=body.contested(work.person_id),
        outbound=Outbound.of(work.settings, work.keyring),
    )  # fmt: skip
    tag(response, row["version"])
    return DisputeOut.of(row)


@router.get("/disputes", summary="List disputes", responses=problems(404))
async def list_disputes(
    work: Annotated[Work, reads()],
    ledger: Annotated[UUID | None, Query(description="Only disputes of this ledger.")] = None,
    customer: Annotated[UUID | None, Query(description="Only disputes of this customer.")] = None,
    item: Annotated[UUID | None, Query(description="Only disputes about this item.")] = None,
    owner: Annotated[UUID | None, Query(description="Only disputes that this person sees to.")] = None,
    state: Annotated[Literal["open", "resolved"] | None, Query(description="Only disputes in this state.")] = None,
    reason: Annotated[str | None, Query(max_length=60, description="Only disputes with this reason.")] = None,
    needs_attention: Annotated[
        bool | None, Query(description="Only open disputes that need somebody: overdue, or followed up by nobody; false: only the others.")
    ] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[DisputeOut]:
    """List disputes with their items, oldest first."""
    key = paging.unseal(work.keyring, "disputes", cursor, 1)
    where = DisputeFilter(ledger_id=ledger, customer_id=customer, item_id=item, owner_id=owner, state=state, reason=reason, needs_attention=needs_attention)
    found = await disputes.disputes_after(work.session, tenant_id=work.tenant_id, where=where, after=UUID(key[0]) if key else None, limit=limit + 1)
    more = paging.seal(work.keyring, "disputes", found[limit - 1]["dispute_id"]) if len(found) > limit else None
    return Page(data=[DisputeOut.of(row) for row in found[:limit]], next_cursor=more)


@router.get("/ledgers/{ledger_id}/dispute-summary", summary="Disputes by reason", responses=problems(404))
async def summarize_disputes(
    ledger_id: UUID,
    work: Annotated[Work, reads()],
    from_on: Annotated[Day | None, Query(description="Of resolved disputes those resolved from this day on; missing: the last year.")] = None,
) -> DisputeSummaryOut:
    """Return, a reason, how many disputes are open and what they contest, how many were resolved, and the mean time that took."""
    rows = await disputes.summary(work.session, work.clock, tenant_id=work.tenant_id, ledger_id=LedgerId(ledger_id), from_on=from_on)
    return DisputeSummaryOut(data=[DisputeReasonOut.of(row) for row in rows])


@router.get("/disputes/{dispute_id}", summary="Get a dispute", responses=problems(404))
async def get_dispute(dispute_id: UUID, work: Annotated[Work, reads()], response: Response) -> DisputeOut:
    """Return a dispute with its items; its ETag goes into `If-Match` of a change."""
    row = await disputes.dispute_of(work.session, tenant_id=work.tenant_id, dispute_id=DisputeId(dispute_id))
    tag(response, row["version"])
    return DisputeOut.of(row)


@router.patch("/disputes/{dispute_id}", summary="Change a dispute", responses=problems(404, 409, 412, 428))
async def update_dispute(
    dispute_id: UUID, body: DisputeUpdate, work: Annotated[Work, writes("collection:write")], response: Response, if_match: IfMatch = None
) -> DisputeOut:
    """Change reason, text, owner or deadline; the task that follows it up goes with it. Where it was cancelled, an owner or a deadline makes a new one."""
    row = await disputes.change_dispute(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, dispute_id=DisputeId(dispute_id),
        expected_version=expected_revision(if_match), outbound=Outbound.of(work.settings, work.keyring), **body.fields(),
    )  # fmt: skip
    tag(response, row["version"])
    return DisputeOut.of(row)


@router.post("/disputes/{dispute_id}/resolve", summary="Resolve a dispute", responses=problems(404, 409))
async def resolve_dispute(dispute_id: UUID, body: DisputeResolve, work: Annotated[Work, writes("collection:write")], response: Response) -> DisputeOut:
    """State how a dispute ended, and what comes next: its items have the status `dispute_resolved` and its follow-up is done.

    Rejected or withdrawn, they are reminded of again at once. Accepted, they are held until the credit note has arrived, at most for the days given or 30.
    """
    row = await disputes.resolve_dispute(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, dispute_id=DisputeId(dispute_id), resolution=body.resolution, text=body.text,
        following=body.following(), outbound=Outbound.of(work.settings, work.keyring),
    )  # fmt: skip
    tag(response, row["version"])
    return DisputeOut.of(row)
