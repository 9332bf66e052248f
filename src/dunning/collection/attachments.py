"""Attachments: files that lie in the company's own store, registered by their address with what they belong to. Nothing is copied here."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from dunning.collection import attachment_store
from dunning.collection.attachment_store import NewAttachment
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import NotFound
from dunning.kit.ids import AttachmentId, CustomerId, LedgerId, TenantId, new_id


async def register_attachment(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, subject_kind: str, subject_id: UUID, url: str, name: str, media_type: str | None
) -> asyncpg.Record:
    """Register the address of a file with a customer, item, document, action, activity, dispute or promise, and return it; raise `NotFound`.

    A second call registers it once more. Attachments are never changed or removed.
    """
    owner = await _owner(session, tenant_id, subject_kind, subject_id)
    new = NewAttachment(
        attachment_id=AttachmentId(new_id()), ledger_id=LedgerId(owner["ledger_id"]), customer_id=CustomerId(owner["customer_id"]),
        subject_kind=subject_kind, subject_id=subject_id, url=url, name=name, media_type=media_type,
    )  # fmt: skip
    made = await attachment_store.insert_attachment(session, tenant_id, new, actor)
    assert made is not None, "the insert returns its row"  # noqa: S101  # tells the type checker
    await events.record(
        session, clock, tenant_id=tenant_id, kind="attachment.registered", subject_kind=subject_kind, subject_id=subject_id, actor=actor,
        customer_id=new.customer_id, data={"attachment_id": new.attachment_id},
    )  # fmt: skip
    return made


async def attachments_after(
    session: ReadSession, *, tenant_id: TenantId, after: UUID | None, limit: int, customer_id: UUID | None, subject: tuple[str, UUID] | None
) -> list[asyncpg.Record]:
    """Return attachments, the oldest first: of a customer with all that belongs to it, or of one subject; raise `NotFound` for an unknown one."""
    if customer_id is not None:
        await _owner(session, tenant_id, "customer", customer_id)
    if subject is not None:
        await _owner(session, tenant_id, *subject)
    return await attachment_store.attachments_after(session, tenant_id, after, limit, customer_id=customer_id, subject=subject)


async def _owner(session: ReadSession, tenant_id: TenantId, subject_kind: str, subject_id: UUID) -> asyncpg.Record:
    owner = await attachment_store.owner_of(session, tenant_id, subject_kind, subject_id)
    if owner is None:
        raise NotFound(subject_kind)
    return owner
