"""Account blocks: what the CRM must not let a customer do."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query

from dunning.collection import blocks
from dunning.kit.ids import BlockId, CustomerId, ItemId
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.account_blocks import BlockConfirm, BlockCreate, BlockLift, BlockOut
from dunning_api.schemas.base import Page

router = Router(tags=["account blocks"])


@router.post("/account-blocks", status_code=201, summary="Block an account", responses=problems(404, 409))
async def place_account_block(body: BlockCreate, work: Annotated[Work, writes("collection:write", repeatable=True)]) -> BlockOut:
    """Block a customer's account by hand. The event `account.blocked` tells the CRM; the block ends when the items that cause it are settled.

    It comes back, as a new block, when such a payment is returned. A second one of the same degree because of the same items is 409 `already_blocked`.
    """
    row = await blocks.place_by_hand(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, customer_id=CustomerId(body.customer_id), degree=body.degree,
        reason=body.reason, item_ids=None if body.item_ids is None else [ItemId(one) for one in body.item_ids], lifts_when_settled=body.lifts_when_settled,
        renewable=body.renewable,
    )  # fmt: skip
    return BlockOut.of(row)


@router.get("/account-blocks", summary="List account blocks", responses=problems(404))
async def list_account_blocks(
    work: Annotated[Work, reads()],
    ledger: Annotated[UUID | None, Query(description="Only blocks of this ledger.")] = None,
    customer: Annotated[UUID | None, Query(description="Only blocks of this customer.")] = None,
    state: Annotated[Literal["active", "lifted"] | None, Query(description="Only blocks in this state.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[BlockOut]:
    """List blocks with the items that cause them, oldest first."""
    key = paging.unseal(work.keyring, "account_blocks", cursor, 1)
    found = await blocks.blocks_after(
        work.session, tenant_id=work.tenant_id, after=UUID(key[0]) if key else None, limit=limit + 1, ledger_id=ledger, customer_id=customer, state=state
    )
    more = paging.seal(work.keyring, "account_blocks", found[limit - 1]["block_id"]) if len(found) > limit else None
    return Page(data=[BlockOut.of(row) for row in found[:limit]], next_cursor=more)


@router.get("/account-blocks/{block_id}", summary="Get an account block", responses=problems(404))
async def get_account_block(block_id: UUID, work: Annotated[Work, reads()]) -> BlockOut:
    """Return a block with the items that cause it."""
    return BlockOut.of(await blocks.block_of(work.session, tenant_id=work.tenant_id, block_id=BlockId(block_id)))


@router.post("/account-blocks/{block_id}/lift", summary="Lift an account block", responses=problems(404, 409))
async def lift_account_block(block_id: UUID, body: BlockLift, work: Annotated[Work, writes("collection:write")]) -> BlockOut:
    """Lift a block by hand, with the reason. The event `account.unblocked` names the strictest block that is left."""
    row = await blocks.lift_block(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, block_id=BlockId(block_id), reason=body.reason
    )  # fmt: skip
    return BlockOut.of(row)


@router.post("/account-blocks/{block_id}/confirm", summary="Confirm an account block", responses=problems(404, 409))
async def confirm_account_block(block_id: UUID, body: BlockConfirm, work: Annotated[Work, writes("collection:write")]) -> BlockOut:
    """State that the CRM has carried out a block, or its end. The latest word about each counts."""
    row = await blocks.confirm_block(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, block_id=BlockId(block_id), what=body.what, reference=body.reference,
        note=body.note,
    )  # fmt: skip
    return BlockOut.of(row)
