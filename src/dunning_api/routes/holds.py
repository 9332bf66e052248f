"""Holds: reminding stopped, with a reason and an end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import Query

from dunning.kit.ids import HoldId
from dunning.ledger import holds
from dunning.ledger.hold_store import Hold
from dunning.tenancy import people
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Day, Page
from dunning_api.schemas.holds import HoldCreate, HoldOut

router = Router(tags=["holds"])


@router.post("/holds", status_code=201, summary="Set a hold", responses=problems(404))
async def set_hold(body: HoldCreate, work: Annotated[Work, writes("collection:write", repeatable=True)]) -> HoldOut:
    """Stop reminding a ledger, customer or item, from today until a last held day or until it is released. What is queued is stopped too."""
    hold = await holds.set_hold(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        scope=body.scope,
        object_id=body.object_id,
        reason=body.reason,
        comment=body.comment,
        from_on=body.from_on,
        until_on=body.until_on,
    )
    return (await _shown(work, [hold]))[0]


@router.get("/holds", summary="List holds", responses=problems(404))
async def list_holds(
    work: Annotated[Work, reads()],
    ledger: Annotated[UUID | None, Query(description="Holds of this ledger, its customers and items.")] = None,
    customer: Annotated[UUID | None, Query(description="Holds of this customer and its items.")] = None,
    item: Annotated[UUID | None, Query(description="Holds of this item.")] = None,
    in_force_on: Annotated[Day | None, Query(description="Only holds in force on this day; missing: all, released ones too.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[HoldOut]:
    """List holds, oldest first."""
    key = paging.unseal(work.keyring, "holds", cursor, 1)
    found = await holds.holds_after(
        work.session,
        tenant_id=work.tenant_id,
        after=UUID(key[0]) if key else None,
        limit=limit + 1,
        ledger_id=ledger,
        customer_id=customer,
        item_id=item,
        in_force_on=in_force_on,
    )
    more = paging.seal(work.keyring, "holds", found[limit - 1].hold_id) if len(found) > limit else None
    return Page(data=await _shown(work, found[:limit]), next_cursor=more)


@router.get("/holds/{hold_id}", summary="Get a hold", responses=problems(404))
async def get_hold(hold_id: UUID, work: Annotated[Work, reads()]) -> HoldOut:
    """Return a hold, whether it is in force, has ended or was released."""
    return (await _shown(work, [await holds.hold_of(work.session, tenant_id=work.tenant_id, hold_id=HoldId(hold_id))]))[0]


@router.delete("/holds/{hold_id}", summary="Release a hold", responses=problems(404, 409))
async def release_hold(hold_id: UUID, work: Annotated[Work, writes("collection:write")]) -> HoldOut:
    """End a hold now; it stays in the list, with who released it. What it stopped is planned again tonight."""
    hold = await holds.release_hold(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, hold_id=HoldId(hold_id))
    return (await _shown(work, [hold]))[0]


async def _shown(work: Work, found: Sequence[Hold]) -> list[HoldOut]:
    names = await people.names_of(work.session, tenant_id=work.tenant_id, actors=holds.actors_of(found))
    return [HoldOut.of(hold, names) for hold in found]
