"""Documents: invoices, credit notes, debit notes and charges."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response
from fastapi.responses import RedirectResponse

from dunning.kit.ids import DocumentId, LedgerId
from dunning.ledger import documents, items, ledgers
from dunning.ledger.outcomes import answered
from dunning.ledger.rows import ExternalId
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.documents import DocumentOut, DocumentPut, DocumentRecord, DocumentVersionOut

router = Router(tags=["documents"])


@router.put(
    "/ledgers/{ledger_id}/documents/{external_id:path}",
    summary="Create or change a document",
    responses={**problems(404, 409), 201: {"description": "Created."}},
)
async def put_document(
    ledger_id: UUID,
    external_id: Annotated[ExternalId, Path(examples=["INV-118"])],
    body: DocumentPut,
    work: Annotated[Work, writes("ledger:write")],
    response: Response,
) -> DocumentRecord:
    """State a document under your own id: 201 when it is new, 200 when it was known. The same again changes nothing.

    A changed one keeps a version. Where an amount falls below what was allocated, the newest allocations are undone and the item is listed as over-settled.
    """
    ledger = await ledgers.ledger_of(work.session, tenant_id=work.tenant_id, ledger_id=LedgerId(ledger_id))
    outcomes = await documents.put_documents(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, ledger=ledger, rows=[body.row(external_id)])
    outcome = answered(outcomes[0])
    response.status_code = 201 if outcome.outcome == "created" else 200
    found = await items.document_of(work.session, tenant_id=work.tenant_id, document_id=DocumentId(outcome.object_id or ledger_id))
    return DocumentRecord.with_items(*found)


@router.get("/ledgers/{ledger_id}/documents", summary="List documents", responses=problems(404))
async def list_documents(
    ledger_id: UUID,
    work: Annotated[Work, reads()],
    customer: Annotated[UUID | None, Query(description="Only documents of this customer.")] = None,
    external_id: Annotated[str | None, Query(max_length=200, description="Your own id of the document.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[DocumentOut]:
    """List documents of a ledger, oldest first."""
    key = paging.unseal(work.keyring, "documents", cursor, 1)
    found = await items.documents_after(
        work.session,
        tenant_id=work.tenant_id,
        ledger_id=LedgerId(ledger_id),
        after=UUID(key[0]) if key else None,
        limit=limit + 1,
        customer_id=customer,
        external_id=external_id,
    )
    more = paging.seal(work.keyring, "documents", found[limit - 1].document_id) if len(found) > limit else None
    return Page(data=[DocumentOut.of(document) for document in found[:limit]], next_cursor=more)


@router.get("/documents/{document_id}", summary="Get a document", responses=problems(404))
async def get_document(document_id: UUID, work: Annotated[Work, reads()]) -> DocumentRecord:
    """Return a document with its items."""
    found = await items.document_of(work.session, tenant_id=work.tenant_id, document_id=DocumentId(document_id))
    return DocumentRecord.with_items(*found)


@router.get("/documents/{document_id}/versions", summary="What a document said before", responses=problems(404))
async def list_versions(document_id: UUID, work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[DocumentVersionOut]:
    """List the former versions of a document, newest first."""
    key = paging.unseal(work.keyring, "document_versions", cursor, 1)
    found = await items.versions_of(
        work.session, tenant_id=work.tenant_id, document_id=DocumentId(document_id), before=int(key[0]) if key else None, limit=limit + 1
    )
    more = paging.seal(work.keyring, "document_versions", found[limit - 1].version) if len(found) > limit else None
    return Page(data=[DocumentVersionOut.of(version) for version in found[:limit]], next_cursor=more)


@router.get(
    "/documents/{document_id}/file",
    status_code=307,
    response_class=RedirectResponse,
    summary="The document's file",
    responses={**problems(404), 307: {"description": "The file's address is in `Location`."}},
)
async def get_file(document_id: UUID, work: Annotated[Work, reads()]) -> RedirectResponse:
    """Redirect to the registered address of the document's file; 404 when none is registered."""
    return RedirectResponse(await items.file_url_of(work.session, tenant_id=work.tenant_id, document_id=DocumentId(document_id)))
