"""Statements on attachments: addresses of files that lie elsewhere, registered with what they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import AttachmentId, CustomerId, LedgerId, TenantId

OWNER_OF = {
    "customer": "select customer_id, ledger_id from customer where tenant_id = $1 and customer_id = $2",
    "item": "select customer_id, ledger_id from item where tenant_id = $1 and item_id = $2",
    "document": "select customer_id, ledger_id from document where tenant_id = $1 and document_id = $2",
    "action": "select customer_id, ledger_id from action where tenant_id = $1 and action_id = $2",
    "activity": "select customer_id, ledger_id from activity where tenant_id = $1 and activity_id = $2",
    "dispute": "select customer_id, ledger_id from dispute where tenant_id = $1 and dispute_id = $2",
    "promise": "select customer_id, ledger_id from promise where tenant_id = $1 and promise_id = $2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttachment:
    """An address to be registered."""

    attachment_id: AttachmentId
    ledger_id: LedgerId
    customer_id: CustomerId
    subject_kind: str
    subject_id: UUID
    url: str
    name: str
    media_type: str | None


async def owner_of(session: ReadSession, tenant_id: TenantId, subject_kind: str, subject_id: UUID) -> asyncpg.Record | None:
    """Return customer and ledger of what an attachment belongs to."""
    return await session.row(OWNER_OF[subject_kind], tenant_id, subject_id)


async def insert_attachment(session: Session, tenant_id: TenantId, new: NewAttachment, actor: str) -> asyncpg.Record | None:
    """Insert an attachment and return it."""
    return await session.row(
        """insert into attachment (tenant_id, attachment_id, ledger_id, customer_id, subject_kind, subject_id, url, name, media_type, actor)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning *""",
        tenant_id, new.attachment_id, new.ledger_id, new.customer_id, new.subject_kind, new.subject_id, new.url, new.name, new.media_type, actor,
    )  # fmt: skip


async def attachments_after(
    session: ReadSession, tenant_id: TenantId, after: UUID | None, limit: int, *, customer_id: UUID | None, subject: tuple[str, UUID] | None
) -> list[asyncpg.Record]:
    """Return attachments past an id, by id: of a customer with all that belongs to it, or of one subject."""
    kind, subject_id = subject or (None, None)
    return await session.rows(
        """select * from attachment where tenant_id = $1 and ($2::uuid is null or attachment_id > $2) and ($4::uuid is null or customer_id = $4)
              and ($5::text is null or (subject_kind = $5 and subject_id = $6)) order by attachment_id limit $3""",
        tenant_id,
        after,
        limit,
        customer_id,
        kind,
        subject_id,
    )
