"""Looking ahead and explaining: agenda, reasons, forewarning."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from dunning.collection import outlook
from dunning.kit.ids import CustomerId, ItemId, LedgerId
from dunning_api import paging
from dunning_api.deps import Work, reads
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Day, Page
from dunning_api.schemas.outlook import AgendaOut, CustomerExplanation, ExplanationOut, ForewarnedOut

router = Router(tags=["outlook"])

At = Annotated[Day | None, Query(description="Seen from this day, today or later, if nothing happens until then.")]


@router.get("/customers/{customer_id}/agenda", summary="What will happen to a customer", responses=problems(404))
async def get_agenda(
    customer_id: UUID,
    work: Annotated[Work, reads()],
    days: Annotated[int, Query(ge=0, le=366, description="How far to look ahead.")] = 90,
) -> AgendaOut:
    """Return the customer's live actions, with the ids and states that they have in `/agenda` and `/actions`, and then its future ones, planned by the same rule as the nightly run for the items that are free, if nothing else happens."""
    return AgendaOut.of(await outlook.agenda_of(work.session, work.clock, tenant_id=work.tenant_id, customer_id=CustomerId(customer_id), days=days))


@router.get("/items/{item_id}/explain", summary="Why an item is reminded, or not", responses=problems(404, 409))
async def explain_item(item_id: UUID, work: Annotated[Work, reads()], at: At = None) -> ExplanationOut:
    """Tell the rule's path for an item: scenario version, candidate step, each condition with what it read, each blocker by code, the first possible day and what would change the answer."""
    customer_id = await outlook.customer_of_item(work.session, tenant_id=work.tenant_id, item_id=ItemId(item_id))
    seen = await outlook.outlook_of(work.session, work.clock, tenant_id=work.tenant_id, customer_id=customer_id, on=at)
    found = outlook.explain_item(seen, ItemId(item_id))
    return ExplanationOut.of(found, seen.left_out(found))


@router.get("/customers/{customer_id}/explain", summary="Why a customer is reminded, or not", responses=problems(404))
async def explain_customer(customer_id: UUID, work: Annotated[Work, reads()], at: At = None) -> CustomerExplanation:
    """Tell the rule's path for every open debt of a customer, the oldest first."""
    seen = await outlook.outlook_of(work.session, work.clock, tenant_id=work.tenant_id, customer_id=CustomerId(customer_id), on=at)
    return CustomerExplanation(
        customer_id=customer_id,
        on=seen.today,
        current_step=outlook.step_of_customer(seen),
        items=[ExplanationOut.of(found, seen.left_out(found)) for found in outlook.explain_customer(seen)],
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
