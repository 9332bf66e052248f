"""Open items: what is owed, and what reminding has done to it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query

from dunning.kit.ids import ItemId, LedgerId
from dunning.ledger import items
from dunning.ledger.item_store import ItemFilter
from dunning.receipts import allocations
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Day, Instant, Page
from dunning_api.schemas.documents import ItemOut, ItemUpdate
from dunning_api.schemas.receipts import AllocationOut

router = Router(tags=["items"])

_FIRST = UUID(int=0)


@router.get("/ledgers/{ledger_id}/items", summary="List items", responses=problems(404))
async def list_items(
    ledger_id: UUID,
    work: Annotated[Work, reads()],
    customer: Annotated[UUID | None, Query(description="Only items of this customer.")] = None,
    external_id: Annotated[str | None, Query(max_length=200, description="Your own id of the item.")] = None,
    state: Annotated[Literal["open", "settled", "void"] | None, Query(description="Only items in this state.")] = None,
    direction: Annotated[Literal["debit", "credit"] | None, Query(description="What is owed, or what takes away from it.")] = None,
    currency: Annotated[str | None, Query(pattern=r"^[A-Z]{3}$", description="Only items in this currency.")] = None,
    due_from: Annotated[Day | None, Query(description="Due on this day or later.")] = None,
    due_to: Annotated[Day | None, Query(description="Due on this day or earlier.")] = None,
    over_settled: Annotated[bool | None, Query(description="Items that were settled by more than their document came to say.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[ItemOut]:
    """List items of a ledger, oldest first, each with the step it has reached and its last reminder."""
    key = paging.unseal(work.keyring, "items", cursor, 1)
    wanted = ItemFilter(ledger_id, customer, external_id, state, currency, direction, due_from, due_to, over_settled)
    found = await items.items_after(work.session, tenant_id=work.tenant_id, wanted=wanted, after=UUID(key[0]) if key else None, limit=limit + 1)
    more = paging.seal(work.keyring, "items", found[limit - 1].item_id) if len(found) > limit else None
    return Page(data=[ItemOut.of(item) for item in found[:limit]], next_cursor=more)


@router.get("/ledgers/{ledger_id}/item-changes", summary="Items that changed, for the ERP to write back", responses=problems(404))
async def list_item_changes(
    ledger_id: UUID,
    work: Annotated[Work, reads()],
    changed_since: Annotated[Instant, Query(description="`changed_at` of the last item you have; the beginning of time for all.")],
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[ItemOut]:
    """List items in the order in which they last changed: by an import, a payment or a reminder. Each gives its step and last reminder.

    When `next_cursor` is null, ask again later with the last `changed_at`; an item may come twice and none is missed.
    """
    key = paging.unseal(work.keyring, "item_changes", cursor, 2)
    since, after = (dt.datetime.fromisoformat(key[0]), UUID(key[1])) if key else (changed_since, _FIRST)
    found = await items.items_changed_after(work.session, tenant_id=work.tenant_id, ledger_id=LedgerId(ledger_id), since=since, after=after, limit=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    more = paging.seal(work.keyring, "item_changes", last.changed_at.isoformat(), last.item_id) if last else None
    return Page(data=[ItemOut.of(item) for item in found[:limit]], next_cursor=more)


@router.get("/items/{item_id}", summary="Get an item", responses=problems(404))
async def get_item(item_id: UUID, work: Annotated[Work, reads(one_row=True)]) -> ItemOut:
    """Return an item with the step it has reached and its last reminder."""
    return ItemOut.of(await items.item_of(work.session, tenant_id=work.tenant_id, item_id=ItemId(item_id)))


@router.patch("/items/{item_id}", summary="Decide about one item", responses=problems(404))
async def update_item(item_id: UUID, body: ItemUpdate, work: Annotated[Work, writes("collection:write")]) -> ItemOut:
    """Have an item inherit its policy, follow a scenario or never be reminded; or take it off the list of over-settled ones."""
    target = ItemId(item_id)
    if body.policy is not None:
        await items.set_policy(
            work.session,
            work.clock,
            tenant_id=work.tenant_id,
            actor=work.actor,
            item_id=target,
            policy=body.policy,
            scenario_id=body.scenario_id,
        )
    if body.over_settled is not None:
        await items.settle_over_settled(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, item_id=target)
    return ItemOut.of(await items.item_of(work.session, tenant_id=work.tenant_id, item_id=target))


@router.get("/items/{item_id}/allocations", summary="What explains an item's open amount", responses=problems(404))
async def list_item_allocations(item_id: UUID, work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[AllocationOut]:
    """List the entries set against an item, or spent from it where it is a credit, with those that undo them."""
    key = paging.unseal(work.keyring, "item_allocations", cursor, 1)
    found = await allocations.allocations_of_item(
        work.session, tenant_id=work.tenant_id, item_id=ItemId(item_id), after=UUID(key[0]) if key else None, limit=limit + 1
    )
    more = paging.seal(work.keyring, "item_allocations", found[limit - 1].allocation_id) if len(found) > limit else None
    return Page(data=[AllocationOut.of(entry) for entry in found[:limit]], next_cursor=more)
