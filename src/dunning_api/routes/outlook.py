"""Looking ahead and explaining: agenda, reasons, forewarning, timeline, activities."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from dunning.collection import history, outlook
from dunning.kit.ids import CustomerId, ItemId, LedgerId
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.actions import ActivityCreate, ActivityOut, TimelineEntry
from dunning_api.schemas.base import Day, Instant, Page
from dunning_api.schemas.outlook import AgendaOut, CustomerExplanation, ExplanationOut, ForewarnedOut

router = Router(tags=["outlook"])

At = Annotated[Day | None, Query(description="Seen from this day, today or later, if nothing happens until then.")]


@router.get("/customers/{customer_id}/agenda", summary="What will happen to a customer", responses=problems(404))
async def get_agenda(
    customer_id: UUID,
    work: Annotated[Work, reads()],
    days: Annotated[int, Query(ge=0, le=366, description="How far to look ahead.")] = 90,
) -> AgendaOut:
    """Return the customer's future actions, planned by the same rule as the nightly run, if nothing else happens. Items of waiting actions are not in it."""
    seen = await outlook.outlook_of(work.session, work.clock, tenant_id=work.tenant_id, customer_id=CustomerId(customer_id))
    return AgendaOut.of(seen, outlook.step_of_customer(seen), outlook.agenda_of(seen, days=days))


@router.get("/items/{item_id}/explain", summary="Why an item is reminded, or not", responses=problems(404, 409))
async def explain_item(item_id: UUID, work: Annotated[Work, reads()], at: At = None) -> ExplanationOut:
    """Tell the rule's path for an item: scenario version, candidate step, each condition with what it read, each blocker by code, the first possible day and what would change the answer."""
    customer_id = await outlook.customer_of_item(work.session, tenant_id=work.tenant_id, item_id=ItemId(item_id))
    seen = await outlook.outlook_of(work.session, work.clock, tenant_id=work.tenant_id, customer_id=customer_id, on=at)
    return ExplanationOut.of(outlook.explain_item(seen, ItemId(item_id)))


@router.get("/customers/{customer_id}/explain", summary="Why a customer is reminded, or not", responses=problems(404))
async def explain_customer(customer_id: UUID, work: Annotated[Work, reads()], at: At = None) -> CustomerExplanation:
    """Tell the rule's path for every open debt of a customer, the oldest first."""
    seen = await outlook.outlook_of(work.session, work.clock, tenant_id=work.tenant_id, customer_id=CustomerId(customer_id), on=at)
    return CustomerExplanation(
        customer_id=customer_id,
        on=seen.today,
        current_step=outlook.step_of_customer(seen),
        items=[ExplanationOut.of(found) for found in outlook.explain_customer(seen)],
    )


@router.get("/ledgers/{ledger_id}/forewarning", summary="What goes out next, and who cannot be reached", responses=problems(404))
async def get_forewarning(
    ledger_id: UUID,
    work: Annotated[Work, reads()],
    days: Annotated[int, Query(ge=0, le=60, description="How far to look ahead.")] = 14,
    only_problems: Annotated[bool, Query(description="Only actions that would reach nobody as things are.")] = False,
    limit: Annotated[int, Query(ge=1, le=500, description="Customers looked at for one page.")] = 100,
    cursor: paging.Cursor = None,
) -> Page[ForewarnedOut]:
    """List the coming actions of a ledger's customers by customer, each with its day and what would keep it from reaching anybody."""
    key = paging.unseal(work.keyring, "forewarning", cursor, 1)
    found, last = await outlook.forewarning(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        ledger_id=LedgerId(ledger_id),
        days=days,
        after=UUID(key[0]) if key else None,
        limit=limit,
        only_problems=only_problems,
    )
    more = None if last is None else paging.seal(work.keyring, "forewarning", last)
    return Page(data=[ForewarnedOut.of(one) for one in found], next_cursor=more)


@router.get("/customers/{customer_id}/timeline", summary="Everything that happened about a customer", responses=problems(404))
async def get_timeline(customer_id: UUID, work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[TimelineEntry]:
    """List actions, notes and other activities, messages, receipts and readings about a customer in one order, newest first."""
    key = paging.unseal(work.keyring, "timeline", cursor, 1)
    rows = await history.timeline(
        work.session, tenant_id=work.tenant_id, customer_id=CustomerId(customer_id), before=UUID(key[0]) if key else None, limit=limit + 1
    )
    more = paging.seal(work.keyring, "timeline", rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page(data=[TimelineEntry.of(row) for row in rows[:limit]], next_cursor=more)


@router.get("/activities", summary="List activities", responses=problems())
async def list_activities(
    work: Annotated[Work, reads()],
    customer: Annotated[UUID | None, Query(description="Only activities about this customer.")] = None,
    ledger: Annotated[UUID | None, Query(description="Only activities of this ledger.")] = None,
    kind: Annotated[str | None, Query(max_length=80, alias="type", description="Only activities of this kind, such as claim_for_non_payment.")] = None,
    since: Annotated[Instant | None, Query(description="Only activities from this instant on.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[ActivityOut]:
    """List activities, newest first."""
    key = paging.unseal(work.keyring, "activities", cursor, 1)
    rows = await history.activities_before(
        work.session,
        tenant_id=work.tenant_id,
        before=UUID(key[0]) if key else None,
        limit=limit + 1,
        customer_id=customer,
        ledger_id=ledger,
        kind=kind,
        since=since,
    )
    more = paging.seal(work.keyring, "activities", rows[limit - 1]["activity_id"]) if len(rows) > limit else None
    return Page(data=[ActivityOut.of(row) for row in rows[:limit]], next_cursor=more)


@router.post("/customers/{customer_id}/activities", status_code=201, summary="Record an activity", responses=problems(404))
async def add_activity(customer_id: UUID, body: ActivityCreate, work: Annotated[Work, writes("collection:write")]) -> ActivityOut:
    """Record something that was done about a customer, such as a call. Activities are never changed or removed."""
    row = await history.add_activity(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, customer_id=CustomerId(customer_id), kind=body.kind, text=body.text
    )
    return ActivityOut.of(row)
