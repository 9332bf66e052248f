"""Statements about documents and their versions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple
from uuid import UUID

from dunning.kit.columns import columns_of
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, DocumentId, LedgerId, TenantId
from dunning.ledger.rules import OpenItem


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice, credit note, debit note or charge of one customer."""

    document_id: DocumentId
    ledger_id: LedgerId
    customer_id: CustomerId
    external_id: str
    kind: str
    number: str
    document_on: dt.date
    delivered_on: dt.date | None
    currency: str
    total_minor: int
    state: str
    corrects_document_id: DocumentId | None
    payment_reference: str | None
    file_url: str | None
    custom: dict[str, Any]
    value_on: dt.date
    recorded_on: dt.date
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class KnownDocument:
    """What telling a repeated statement from a changed one needs."""

    document_id: UUID
    customer_id: UUID
    kind: str
    currency: str
    state: str
    content_sha256: bytes


class DocumentValues(NamedTuple):
    """What is written of a document."""

    document_id: UUID
    customer_id: UUID
    external_id: str
    kind: str
    number: str
    document_on: dt.date
    delivered_on: dt.date | None
    currency: str
    total_minor: int
    state: str
    corrects_document_id: UUID | None
    payment_reference: str | None
    file_url: str | None
    custom: dict[str, Any]
    content_sha256: bytes
    value_on: dt.date


_COLUMNS = ", ".join(f.name for f in fields(Document))
_WRITTEN = DocumentValues._fields
_TYPES = dict(
    zip(
        _WRITTEN,
        ("uuid", "uuid", "text", "text", "text", "date", "date", "text", "bigint", "text", "uuid", "text", "text", "jsonb", "bytea", "date"),
        strict=True,
    )
)


async def known_documents(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, external_ids: Sequence[str]) -> dict[str, KnownDocument]:
    """Return what is known of the documents with these external ids."""
    if not external_ids:
        return {}
    rows = await session.rows(
        """select external_id, document_id, customer_id, kind, currency, state, content_sha256 from document
            where tenant_id = $1 and ledger_id = $2 and external_id = any ($3::text[])""",
        tenant_id,
        ledger_id,
        external_ids,
    )
    return {row["external_id"]: KnownDocument(*list(row.values())[1:]) for row in rows}


async def insert_documents(session: Session, tenant_id: TenantId, ledger_id: LedgerId, values: Sequence[DocumentValues], recorded_on: dt.date) -> int:
    """Insert documents and return how many were new; external ids that another has taken are left out."""
    columns = columns_of(_TYPES, values, first=4)
    return await session.execute(
        f"""insert into document (tenant_id, ledger_id, recorded_on, {", ".join(_WRITTEN)})
            select $1, $2, $3, {columns.selected} from {columns.source}
            on conflict (tenant_id, ledger_id, external_id) do nothing""",  # fixed words
        tenant_id,
        ledger_id,
        recorded_on,
        *columns.values,
    )


async def archive_documents(session: Session, tenant_id: TenantId, document_ids: Sequence[UUID]) -> None:
    """Keep the present content of documents, with the amounts and due dates of their items, as a version before it changes."""
    await session.execute(
        """insert into document_version (tenant_id, document_id, version, content, value_on, recorded_on, recorded_at)
           select d.tenant_id, d.document_id, d.version,
                  (to_jsonb(d) - '{tenant_id,content_sha256}'::text[]) || jsonb_build_object('items', coalesce(i.items, '[]')),
                  d.value_on, d.recorded_on, d.updated_at
             from document d
             left join (
               select document_id, jsonb_agg(jsonb_build_object('item_id', item_id, 'external_id', external_id, 'amount_minor', amount_minor,
                                                                'due_on', due_on, 'state', state) order by instalment) as items
                 from item where tenant_id = $1 and document_id = any ($2::uuid[]) group by document_id) i on i.document_id = d.document_id
            where d.tenant_id = $1 and d.document_id = any ($2::uuid[])""",
        tenant_id,
        document_ids,
    )


async def update_documents(session: Session, tenant_id: TenantId, ledger_id: LedgerId, values: Sequence[DocumentValues], recorded_on: dt.date) -> None:
    """Write documents stated anew, each with a new version."""
    names = _WRITTEN[3:]
    columns = columns_of(_TYPES, values, first=4)
    await session.execute(
        f"""update document d set ({", ".join(names)}) = row({", ".join("v." + n for n in names)}),
                   recorded_on = $3, version = d.version + 1, updated_at = clock_timestamp()
              from (select {columns.selected} from {columns.source}) as v({", ".join(_WRITTEN)})
             where d.tenant_id = $1 and d.ledger_id = $2 and d.document_id = v.document_id""",  # fixed words
        tenant_id,
        ledger_id,
        recorded_on,
        *columns.values,
    )


async def forget_content(session: Session, tenant_id: TenantId, document_ids: Sequence[UUID]) -> None:
    """Forget the hash of documents whose open amount was changed by something else, so that the same statement counts as news again."""
    await session.execute("update document set content_sha256 = '' where tenant_id = $1 and document_id = any ($2::uuid[])", tenant_id, document_ids)


async def document_of(session: ReadSession, tenant_id: TenantId, document_id: DocumentId) -> Document | None:
    """Return one document."""
    row = await session.row(f"select {_COLUMNS} from document where tenant_id = $1 and document_id = $2", tenant_id, document_id)
    return None if row is None else Document(**dict(row))


async def documents_after(
    session: ReadSession,
    tenant_id: TenantId,
    after: UUID | None,
    limit: int,
    *,
    ledger_id: UUID,
    customer_id: UUID | None,
    external_id: str | None,
) -> list[Document]:
    """Return documents of a ledger past an id, by id."""
    conditions = ["tenant_id = $1", "ledger_id = $2"]
    values: list[Any] = [tenant_id, ledger_id]
    for condition, value in (("document_id >", after), ("customer_id =", customer_id), ("external_id =", external_id)):
        if value is not None:
            values.append(value)
            conditions.append(f"{condition} ${len(values)}")
    rows = await session.rows(
        f"select {_COLUMNS} from document where {' and '.join(conditions)} order by document_id limit {int(limit)}",  # fixed words
        *values,
    )
    return [Document(**dict(row)) for row in rows]


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """What a document said before it changed."""

    version: int
    content: dict[str, Any]
    value_on: dt.date
    recorded_on: dt.date
    recorded_at: dt.datetime


async def versions_of(session: ReadSession, tenant_id: TenantId, document_id: DocumentId, before: int | None, limit: int) -> list[DocumentVersion]:
    """Return the former versions of a document, newest first, below a version number."""
    rows = await session.rows(
        """select version, content, value_on, recorded_on, recorded_at from document_version
            where tenant_id = $1 and document_id = $2 and ($3::int is null or version < $3) order by version desc limit $4""",
        tenant_id,
        document_id,
        before,
        limit,
    )
    return [DocumentVersion(**dict(row)) for row in rows]


@dataclass(frozen=True, slots=True)
class Unmentioned:
    """Open items of a currency that a snapshot does not mention, beside all that is open."""

    currency: str
    open_count: int
    open_minor: int
    closing_count: int
    closing_minor: int


_SCOPE = """i.tenant_id = $1 and i.ledger_id = $2 and i.state = 'posted' and i.allocated_minor < i.amount_minor
   and ($4::text[] is null or exists (select 1 from customer c where c.tenant_id = $1 and c.customer_id = i.customer_id
                                         and c.external_id = any ($4::text[])))"""
_MENTIONED = """exists (select 1 from document d join unnest($3::text[]) as m(external_id) on m.external_id = d.external_id
                         where d.tenant_id = $1 and d.document_id = i.document_id)"""


async def unmentioned_sums(
    session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, mentioned: Sequence[str], customers: Sequence[str] | None
) -> list[Unmentioned]:
    """Return, a currency, how much of what is open in a scope belongs to documents that are not mentioned."""
    rows = await session.rows(
        f"""select currency, count(*)::int as open_count, sum(open_minor)::bigint as open_minor,
                   count(*) filter (where not mentioned)::int as closing_count,
                   coalesce(sum(open_minor) filter (where not mentioned), 0)::bigint as closing_minor
              from (select i.currency, i.amount_minor - i.allocated_minor as open_minor, {_MENTIONED} as mentioned from item i where {_SCOPE}) o
             group by currency order by currency""",  # fixed words
        tenant_id,
        ledger_id,
        mentioned,
        customers,
    )
    return [Unmentioned(**dict(row)) for row in rows]


async def unmentioned_items(
    session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, mentioned: Sequence[str], customers: Sequence[str] | None, limit: int | None
) -> list[tuple[UUID, UUID, UUID]]:
    """Return item, document and customer of open items in a scope whose documents are not mentioned; all of them without a limit."""
    rows = await session.rows(
        f"""select i.item_id, i.document_id, i.customer_id from item i where {_SCOPE} and not {_MENTIONED}
             order by i.customer_id, i.item_id limit $5""",  # fixed words
        tenant_id,
        ledger_id,
        mentioned,
        customers,
        limit,
    )
    return [(row["item_id"], row["document_id"], row["customer_id"]) for row in rows]


async def open_items_again(session: Session, tenant_id: TenantId, item_ids: Sequence[UUID]) -> list[OpenItem]:
    """Return those of the items that are open now, read again after their customers were locked."""
    rows = await session.rows(
        """select item_id, customer_id, document_id, external_id, currency, due_on, document_on, number,
                  amount_minor - allocated_minor as open_minor, episode, direction
             from item where tenant_id = $1 and item_id = any ($2::uuid[]) and state = 'posted' and allocated_minor < amount_minor order by item_id""",
        tenant_id,
        item_ids,
    )
    return [OpenItem(**dict(row)) for row in rows]
