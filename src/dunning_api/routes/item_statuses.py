"""Item statuses: what items can be said to be."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response

from dunning.ledger import item_statuses
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.etags import IfMatch, expected_revision, tag
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.item_statuses import StatusCreate, StatusOut, StatusUpdate

router = Router(tags=["item statuses"])

StatusCode = Annotated[str, Path(max_length=60, description="The status's code.", examples=["litigation"])]


@router.get("/item-statuses", summary="List item statuses", responses=problems())
async def list_item_statuses(work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[StatusOut]:
    """List statuses by code: the built-in ones, and your own."""
    key = paging.unseal(work.keyring, "item_statuses", cursor, 1)
    found = await item_statuses.statuses_after(work.session, tenant_id=work.tenant_id, after=key[0] if key else None, limit=limit + 1)
    more = paging.seal(work.keyring, "item_statuses", found[limit - 1].code) if len(found) > limit else None
    return Page(data=[StatusOut.of(status) for status in found[:limit]], next_cursor=more)


@router.post("/item-statuses", status_code=201, summary="Create an item status", responses=problems(409))
async def create_item_status(body: StatusCreate, work: Annotated[Work, writes("scenarios:write", repeatable=True)], response: Response) -> StatusOut:
    """Create a status of your own: its category, whether it stops reminding, how soon it is followed up, and its folder."""
    status = await item_statuses.create_status(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, status=body.status())
    tag(response, status.version)
    return StatusOut.of(status)


@router.get("/item-statuses/{code}", summary="Get an item status", responses=problems(404))
async def get_item_status(code: StatusCode, work: Annotated[Work, reads()], response: Response) -> StatusOut:
    """Return a status; its ETag goes into `If-Match` of a change."""
    status = await item_statuses.status_of(work.session, tenant_id=work.tenant_id, code=code)
    tag(response, status.version)
    return StatusOut.of(status)


@router.patch("/item-statuses/{code}", summary="Change an item status", responses=problems(404, 409, 412, 428))
async def update_item_status(
    code: StatusCode, body: StatusUpdate, work: Annotated[Work, writes("scenarios:write")], response: Response, if_match: IfMatch = None
) -> StatusOut:
    """Change a status; what is left out stays. Where it stops or allows reminding from now on, all customers are planned again."""
    status = await item_statuses.update_status(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, code=code, expected_version=expected_revision(if_match), **body.fields()
    )
    tag(response, status.version)
    return StatusOut.of(status)


@router.delete("/item-statuses/{code}", status_code=204, summary="Delete an item status", responses=problems(404, 409))
async def delete_item_status(code: StatusCode, work: Annotated[Work, writes("scenarios:write")]) -> None:
    """Delete a status of your own that no item has."""
    await item_statuses.delete_status(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, code=code)
