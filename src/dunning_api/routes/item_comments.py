"""Comments on items."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from dunning.kit.ids import ItemId
from dunning.ledger import item_comments
from dunning.tenancy import people
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.item_statuses import CommentCreate, CommentOut

router = Router(tags=["item comments"])


@router.get("/items/{item_id}/comments", summary="What was said of an item", responses=problems(404))
async def list_item_comments(item_id: UUID, work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[CommentOut]:
    """List comments and changes of status of an item, the newest first."""
    key = paging.unseal(work.keyring, "item_comments", cursor, 1)
    found = await item_comments.comments_before(
        work.session, tenant_id=work.tenant_id, item_id=ItemId(item_id), before=UUID(key[0]) if key else None, limit=limit + 1
    )
    more = paging.seal(work.keyring, "item_comments", found[limit - 1].item_comment_id) if len(found) > limit else None
    names = await people.names_of(work.session, tenant_id=work.tenant_id, actors=[comment.actor for comment in found[:limit]])
    return Page(data=[CommentOut.of(comment, names) for comment in found[:limit]], next_cursor=more)


@router.post("/items/{item_id}/comments", status_code=201, summary="Comment on an item", responses=problems(404))
async def add_item_comment(item_id: UUID, body: CommentCreate, work: Annotated[Work, writes("notes:write", repeatable=True)]) -> CommentOut:
    """Write a comment on an item. It keeps author and time, and is never changed or removed."""
    comment = await item_comments.add_comment(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, item_id=ItemId(item_id), text=body.text)
    return CommentOut.of(comment, await people.names_of(work.session, tenant_id=work.tenant_id, actors=[comment.actor]))
