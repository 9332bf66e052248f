"""Folders: where items are filed by their status."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path, Query, Response
from fastapi.responses import StreamingResponse

from dunning.collection import filing
from dunning.collection.despatch import Outbound
from dunning.kit.ids import ItemId
from dunning.ledger import folders
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.documents import ItemOut
from dunning_api.schemas.item_statuses import FolderMove, FolderMoved, FolderOut, FolderPut

router = Router(tags=["folders"])

FolderCode = Annotated[str, Path(max_length=60, pattern=r"^[a-z][a-z0-9_]*$", description="The folder's code.", examples=["litigation"])]
InLedger = Annotated[UUID | None, Query(description="Only items of this ledger.")]
OfCustomer = Annotated[UUID | None, Query(description="Only items of this customer.")]
State = Annotated[Literal["open", "settled", "void", "all"], Query(description="Only items in this state.")]
_CREATED: dict[int | str, dict[str, Any]] = {201: {"model": FolderOut, "description": "Created."}}


def _one(state: str) -> str | None:
    return None if state == "all" else state


@router.get("/folders", summary="List folders", responses=problems())
async def list_folders(work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[FolderOut]:
    """List folders by code, each with the statuses whose items lie in it."""
    key = paging.unseal(work.keyring, "folders", cursor, 1)
    found = await folders.folders_after(work.session, tenant_id=work.tenant_id, after=key[0] if key else None, limit=limit + 1)
    more = paging.seal(work.keyring, "folders", found[limit - 1].code) if len(found) > limit else None
    return Page(data=[FolderOut.of(folder) for folder in found[:limit]], next_cursor=more)


@router.get("/folders/{code}", summary="Get a folder", responses=problems(404))
async def get_folder(code: FolderCode, work: Annotated[Work, reads()]) -> FolderOut:
    """Return a folder with the statuses whose items lie in it."""
    return FolderOut.of(await folders.folder_of(work.session, tenant_id=work.tenant_id, code=code))


@router.put("/folders/{code}", summary="Create or rename a folder", responses={**problems(), **_CREATED})
async def put_folder(code: FolderCode, body: FolderPut, work: Annotated[Work, writes("scenarios:write")], response: Response) -> FolderOut:
    """State a folder; statuses name it by `folder_code`. The same again changes nothing."""
    folder, created = await folders.put_folder(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, code=code, name=body.name, position=body.position
    )
    response.status_code = 201 if created else 200
    return FolderOut.of(folder)


@router.delete("/folders/{code}", status_code=204, summary="Delete a folder", responses=problems(404, 409))
async def delete_folder(code: FolderCode, work: Annotated[Work, writes("scenarios:write")]) -> None:
    """Delete a folder in which no status lies."""
    await folders.delete_folder(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, code=code)


@router.get("/folders/{code}/items", summary="List the items in a folder", responses=problems(404))
async def list_folder_items(
    code: FolderCode,
    work: Annotated[Work, reads()],
    state: State = "open",
    ledger: InLedger = None,
    customer: OfCustomer = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[ItemOut]:
    """List what is filed in a folder, oldest first. The folder `ongoing` holds what has no status."""
    key = paging.unseal(work.keyring, "folder_items", cursor, 1)
    found = await folders.items_in(
        work.session, tenant_id=work.tenant_id, code=code, after=UUID(key[0]) if key else None, limit=limit + 1, state=_one(state), ledger_id=ledger,
        customer_id=customer,
    )  # fmt: skip
    more = paging.seal(work.keyring, "folder_items", found[limit - 1].item_id) if len(found) > limit else None
    return Page(data=[ItemOut.of(item) for item in found[:limit]], next_cursor=more)


@router.get(
    "/folders/{code}/items.csv",
    response_class=StreamingResponse,
    summary="The items in a folder as CSV",
    responses={**problems(404), 200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "An item a row."}},
)
async def export_folder_items(
    code: FolderCode, work: Annotated[Work, reads()], state: State = "open", ledger: InLedger = None, customer: OfCustomer = None
) -> StreamingResponse:
    """Return what is filed in a folder, for counsel or the management; safe to open in a spreadsheet program."""
    await folders.folder_to_list(work.session, tenant_id=work.tenant_id, code=code, customer_id=customer)
    headers = {"Content-Disposition": f'attachment; filename="folder-{code}.csv"'}
    return StreamingResponse(_export(work, code, state, ledger, customer), media_type="text/csv", headers=headers)


async def _export(work: Work, code: str, state: str, ledger_id: UUID | None, customer_id: UUID | None) -> AsyncIterator[bytes]:
    # The route's own transaction ends before the body is sent, so the stream opens one of its own.
    async with work.reading_again() as session:
        async for chunk in folders.items_as_csv(session, tenant_id=work.tenant_id, code=code, state=_one(state), ledger_id=ledger_id, customer_id=customer_id):
            yield chunk


@router.post("/folders/{code}/items", summary="Move items to a folder", responses=problems(404, 409))
async def move_to_folder(code: FolderCode, body: FolderMove, work: Annotated[Work, writes("collection:write", repeatable=True)]) -> FolderMoved:
    """File items of one or more customers in a folder: they get the first of its statuses, and the reason as a comment. Where that status stops reminding, they leave the actions that wait with them; where it has `follow_up_days`, a task a customer follows it up."""
    status_code, ids = await filing.move_items(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, code=code, item_ids=[ItemId(one) for one in body.item_ids],
        reason=body.reason, outbound=Outbound.of(work.settings, work.keyring),
    )  # fmt: skip
    return FolderMoved(folder_code=code, status_code=status_code, items=len(ids))
