"""Imports: a file of customers, documents, receipts or holds, applied by the worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from dunning.kit.ids import ImportId, LedgerId
from dunning.ledger import imports
from dunning.ledger.import_kinds import CUSTOMERS, DOCUMENTS, HOLDS
from dunning.ledger.imports import Upload, Wanted
from dunning.receipts.import_kind import RECEIPTS
from dunning_api import paging
from dunning_api.deps import Caller, Work, calling, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Instant, Page
from dunning_api.schemas.imports import ImportOut, ImportRowOut

router = Router(tags=["imports"])

_NDJSON = (
    '{"kind": "customer", "external_id": "C-1001", "name": "Rossi Costruzioni S.p.A."}\n'
    '{"kind": "document", "external_id": "INV-118", "customer_external_id": "C-1001", "number": "2026/118", "document_on": "2026-01-15",'
    ' "due_on": "2026-02-15", "total": {"amount": "1220.00", "currency": "EUR"}}\n'
)
_CSV_COLUMNS = "\n".join(
    f"- `{kind.plural}`: {', '.join(f'**{name}**' if name in kind.required else name for name in kind.columns)}"
    for kind in (CUSTOMERS, DOCUMENTS, RECEIPTS, HOLDS)
)
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": (
            "The file: NDJSON with one object a line, in the shape of the PUT bodies with `kind` (customer, document, receipt, hold) and `external_id`;"
            " or CSV whose header names these columns in any order, the bold ones required:\n\n"
            f"{_CSV_COLUMNS}\n\nSeveral roles stand in one cell with spaces between. A document of several instalments needs NDJSON."
        ),
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}, "example": _NDJSON},
            "text/csv": {
                "schema": {"type": "string"},
                "example": "external_id,customer_external_id,number,document_on,due_on,amount,currency\nINV-119,C-1001,2026/119,2026-01-20,2026-02-20,80.00,EUR\n",
            },
        },
    }
}
_LARGEST = 2**31
"""The framework's cap on an import; the real one is the setting `max_import_bytes`, checked while the file comes in."""


async def spooled(request: Request, _caller: Annotated[Caller, Depends(calling)]) -> Upload:
    """Read the file before a transaction is opened, so that a slow line holds no connection; more than `max_import_bytes` is 413."""
    upload = Upload()
    limit: int = request.app.state.settings.max_import_bytes
    async for chunk in request.stream():
        upload.add(chunk)
        if upload.size > limit:
            raise HTTPException(413, f"The file is larger than {limit} bytes: split it, or raise DUNNING_MAX_IMPORT_BYTES.")
    return upload


@router.post(
    "/ledgers/{ledger_id}/imports",
    status_code=202,
    summary="Import a file",
    responses=problems(404, 409),
    openapi_extra=_BODY,
    max_body_size=_LARGEST,
)
async def create_import(
    ledger_id: UUID,
    upload: Annotated[Upload, Depends(spooled)],
    work: Annotated[Work, writes("ledger:write")],
    kind: Annotated[Literal["customers", "documents", "receipts", "holds", "mixed"], Query(description="`mixed` is for NDJSON.")] = "mixed",
    format: Annotated[Literal["ndjson", "csv"], Query(description="How the file is written.")] = "ndjson",  # noqa: A002  # the parameter's name in the API
    mode: Annotated[
        Literal["upsert", "snapshot"], Query(description="`snapshot`: what is missing in the file is closed; only with balance_source erp_open_items.")
    ] = "upsert",
    dry_run: Annotated[bool, Query(description="Answer what would happen and keep nothing.")] = False,
    complete_as_of: Annotated[Instant | None, Query(description="When done, state that the ledger is complete up to this instant.")] = None,
    control_total: Annotated[
        list[Annotated[str, Query(max_length=40)]] | None,
        Query(max_length=20, description="Sum of the file, a currency each, such as EUR:1234.50; open amounts for documents, credits negative."),
    ] = None,
    scope: Annotated[Literal["ledger", "customers"] | None, Query(description="What a snapshot is whole for: the ledger, or the customers in it.")] = None,
    delimiter: Annotated[Literal[",", ";"], Query(description="CSV only.")] = ",",
    decimal: Annotated[Literal[".", ","], Query(description="CSV only: decimal sign of amounts.")] = ".",
    encoding: Annotated[Literal["utf-8", "windows-1252", "iso-8859-1"], Query(description="CSV only.")] = "utf-8",
) -> ImportOut:
    """Take a file and answer 202; a worker checks it whole and applies it in batches. Poll `GET /imports/{import_id}`.

    Rows are keyed by external id: unchanged ones touch nothing, so the same file may be sent again. A row that refers to something unknown is parked and tried again after each later import. Receipts need the scope `receipts:write` too.
    """
    if kind in {"receipts", "mixed"}:
        work.require("receipts:write")
    wanted = Wanted(kind, format, mode, dry_run, complete_as_of, tuple(control_total or ()), scope, delimiter, decimal, encoding)
    made = await imports.receive_import(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, ledger_id=LedgerId(ledger_id), wanted=wanted, upload=upload
    )
    return ImportOut.of(made)


@router.get("/ledgers/{ledger_id}/imports", summary="List imports", responses=problems(404))
async def list_imports(ledger_id: UUID, work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[ImportOut]:
    """List the imports of a ledger, newest first."""
    key = paging.unseal(work.keyring, "imports", cursor, 1)
    found = await imports.imports_after(
        work.session, tenant_id=work.tenant_id, ledger_id=LedgerId(ledger_id), before=UUID(key[0]) if key else None, limit=limit + 1
    )
    more = paging.seal(work.keyring, "imports", found[limit - 1].import_id) if len(found) > limit else None
    return Page(data=[ImportOut.of(one) for one in found[:limit]], next_cursor=more)


@router.get("/imports/{import_id}", summary="How far an import is", responses=problems(404))
async def get_import(import_id: UUID, work: Annotated[Work, reads()]) -> ImportOut:
    """Return an import's state, its rows by outcome, and its sums by currency and outcome."""
    return ImportOut.of(await imports.import_of(work.session, tenant_id=work.tenant_id, import_id=ImportId(import_id)))


@router.get("/imports/{import_id}/rows", summary="What became of each row", responses=problems(404))
async def list_import_rows(
    import_id: UUID,
    work: Annotated[Work, reads()],
    outcome: Annotated[
        Literal["created", "changed", "unchanged", "closed", "parked", "rejected", "duplicate"] | None, Query(description="Only rows that ended so.")
    ] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[ImportRowOut]:
    """List the rows of an import in the order of the file."""
    key = paging.unseal(work.keyring, "import_rows", cursor, 1)
    found = await imports.rows_after(
        work.session,
        tenant_id=work.tenant_id,
        import_id=ImportId(import_id),
        outcome=outcome,
        after=int(key[0]) if key else 0,
        limit=limit + 1,
    )
    more = paging.seal(work.keyring, "import_rows", found[limit - 1].row_no) if len(found) > limit else None
    return Page(data=[ImportRowOut.of(row) for row in found[:limit]], next_cursor=more)


@router.get(
    "/imports/{import_id}/errors.csv",
    response_class=StreamingResponse,
    summary="Rejected and parked rows as CSV",
    responses={**problems(404), 200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The rows with what is wrong."}},
)
async def get_import_errors(import_id: UUID, work: Annotated[Work, reads()]) -> StreamingResponse:
    """Return the rejected and parked rows with what is wrong with each; safe to open in a spreadsheet program."""
    await imports.import_of(work.session, tenant_id=work.tenant_id, import_id=ImportId(import_id))
    headers = {"Content-Disposition": f'attachment; filename="import-{import_id}-errors.csv"'}
    return StreamingResponse(_errors(work, ImportId(import_id)), media_type="text/csv", headers=headers)


async def _errors(work: Work, import_id: ImportId) -> AsyncIterator[bytes]:
    # The route's own transaction ends before the body is sent, so the stream opens one of its own.
    async with work.reading_again() as session:
        async for chunk in imports.faults_as_csv(session, tenant_id=work.tenant_id, import_id=import_id):
            yield chunk


@router.post("/imports/{import_id}/approve", status_code=202, summary="Let a parked snapshot go on", responses=problems(404, 409))
async def approve_import(import_id: UUID, work: Annotated[Work, writes("ledger:write")]) -> ImportOut:
    """Approve a snapshot that would close more than the ledger's limit."""
    return ImportOut.of(await imports.approve(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, import_id=ImportId(import_id)))


@router.post("/imports/{import_id}/cancel", summary="Drop an import that has not begun", responses=problems(404, 409))
async def cancel_import(import_id: UUID, work: Annotated[Work, writes("ledger:write")]) -> ImportOut:
    """Drop an import of which nothing has been applied."""
    return ImportOut.of(await imports.cancel(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, import_id=ImportId(import_id)))
