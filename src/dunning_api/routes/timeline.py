"""The timeline of a customer, and files registered with what belongs to it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from dunning.collection import attachments, timeline
from dunning.kit.errors import Malformed
from dunning.kit.ids import CustomerId
from dunning.tenancy import people
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.timeline import AttachmentCreate, AttachmentOut, EntryKind, SubjectKind, TimelineEntry, timeline_page

router = Router(tags=["timeline"])


@router.get("/customers/{customer_id}/timeline", summary="Everything that happened about a customer", responses=problems(404))
async def get_timeline(
    customer_id: UUID,
    work: Annotated[Work, reads()],
    kind: Annotated[list[EntryKind] | None, Query(max_length=25, description="Only entries of these kinds.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[TimelineEntry]:
    """List actions, messages, notes and other activities, comments, money, readings, disputes, agreements, blocks, holds and steps in one order, newest first."""
    key = paging.unseal(work.keyring, "timeline", cursor, 1)
    found = await timeline.timeline(
        work.session, tenant_id=work.tenant_id, customer_id=CustomerId(customer_id), kinds=kind, before=UUID(key[0]) if key else None, limit=limit + 1
    )
    more = paging.seal(work.keyring, "timeline", found[limit - 1]["id"]) if len(found) > limit else None
    return timeline_page(found[:limit], more)


@router.post("/attachments", status_code=201, summary="Register an attachment", responses=problems(404))
async def register_attachment(body: AttachmentCreate, work: Annotated[Work, writes("notes:write", repeatable=True)]) -> AttachmentOut:
    """Register the address of a file with a customer, item, document, action, activity, dispute or promise. The file stays where it lies."""
    row = await attachments.register_attachment(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, **body.model_dump())
    return AttachmentOut.of(row, await people.names_of(work.session, tenant_id=work.tenant_id, actors=[work.actor]))


@router.get("/attachments", summary="List attachments", responses=problems(404))
async def list_attachments(
    work: Annotated[Work, reads()],
    customer: Annotated[UUID | None, Query(description="Attachments of this customer and of all that belongs to it.")] = None,
    subject_kind: Annotated[SubjectKind | None, Query(description="With `subject_id`: attachments of just this.")] = None,
    subject_id: Annotated[UUID | None, Query(description="With `subject_kind`.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[AttachmentOut]:
    """List attachments, oldest first."""
    if (subject_kind is None) != (subject_id is None):
        msg = "subject_kind and subject_id: give both or neither."
        raise Malformed(msg)
    subject = None if subject_kind is None or subject_id is None else (subject_kind, subject_id)
    key = paging.unseal(work.keyring, "attachments", cursor, 1)
    rows = await attachments.attachments_after(
        work.session, tenant_id=work.tenant_id, after=UUID(key[0]) if key else None, limit=limit + 1, customer_id=customer, subject=subject
    )
    more = paging.seal(work.keyring, "attachments", rows[limit - 1]["attachment_id"]) if len(rows) > limit else None
    names = await people.names_of(work.session, tenant_id=work.tenant_id, actors=[row["actor"] for row in rows[:limit]])
    return Page(data=[AttachmentOut.of(row, names) for row in rows[:limit]], next_cursor=more)
