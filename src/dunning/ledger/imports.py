"""Imports as callers see them: receiving a file, asking how far it is, deciding about one that waits for a person."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from dunning.events import due_work
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import ImportId, LedgerId, TenantId, new_id
from dunning.kit.money import MoneyError, parse_minor
from dunning.kit.spreadsheet import safe_cell
from dunning.ledger import import_store, ledgers
from dunning.ledger.import_store import Import, RowRecord

FAULTS = ("rejected", "parked")


@dataclass(slots=True)
class Upload:
    """A file as it comes in: compressed and hashed on the way, so that it never lies whole in memory."""

    size: int = 0
    _hash: Any = field(default_factory=hashlib.sha256)
    _compressor: Any = field(default_factory=lambda: zlib.compressobj(1))
    _parts: list[bytes] = field(default_factory=list)

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.size += len(chunk)
        self._hash.update(chunk)
        self._parts.append(self._compressor.compress(chunk))

    def ended(self) -> tuple[bytes, bytes]:
        """Return the digest of the file and its compressed bytes; call it once."""
        self._parts.append(self._compressor.flush())
        return self._hash.digest(), b"".join(self._parts)


class NotWaiting(Conflict):
    """The import does not wait for a decision."""

    code = "import_not_waiting"
    title = "The import does not wait for a decision"


class SnapshotRefused(Conflict):
    """Only ERP open items can be stated as a whole."""

    code = "snapshot_needs_erp_open_items"
    title = "The ledger takes no snapshots"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a file is and how it is to be taken. `control_totals` are texts such as EUR:1234.50; `scope` is what a snapshot claims to be whole for."""

    kind: str
    format: str
    mode: str = "upsert"
    dry_run: bool = False
    complete_as_of: dt.datetime | None = None
    control_totals: Sequence[str] = ()
    scope: str | None = None
    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"


async def receive_import(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger_id: LedgerId, wanted: Wanted, upload: Upload) -> Import:
    """Keep a file for the worker and return its import. Nothing of it is applied yet; sending the same file again applies it again, harmlessly.

    Raises `Malformed` for options that do not go together, `SnapshotRefused` where the ledger counts receipts.
    """
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    totals = _totals_of(wanted.control_totals)
    if wanted.format == "csv" and wanted.kind == "mixed":
        raise _malformed("format", "a CSV file holds one kind of rows: name it, or send NDJSON")
    if wanted.complete_as_of is not None and wanted.complete_as_of > clock.now():
        raise _malformed("complete_as_of", "lies in the future: state until when the data is complete")
    if totals and wanted.kind not in {"documents", "receipts"}:
        raise _malformed("control_total", "goes with documents or receipts")
    if wanted.mode == "snapshot":
        if wanted.kind != "documents" or not totals or wanted.scope is None:
            raise _malformed("mode", "a snapshot is of documents and needs control_total, the open sum of each currency, and scope")
        if ledger.balance_source != "erp_open_items":
            msg = (
                "A snapshot closes what is missing in it, and this ledger's balance_source is receipts: closing would leave money unexplained."
                " Send receipts, or use a ledger whose balance_source is erp_open_items."
            )
            raise SnapshotRefused(msg)
    options: dict[str, Any] = {
        "control_totals": totals,
        "scope": wanted.scope,
        "delimiter": wanted.delimiter,
        "decimal": wanted.decimal,
        "encoding": wanted.encoding,
        "bytes": upload.size,
    }
    made = Import(
        ImportId(new_id()),
        ledger_id,
        wanted.format,
        wanted.kind,
        wanted.mode,
        wanted.dry_run,
        "received",
        actor,
        options,
        {},
        None,
        1,
        wanted.complete_as_of,
        clock.now(),
        None,
    )
    digest, compressed = upload.ended()
    await import_store.insert_import(session, tenant_id, made, digest, compressed)
    await due_work.ring(session, tenant_id, "import")
    return await import_of(session, tenant_id=tenant_id, import_id=made.import_id)


def _malformed(field: str, message: str) -> Malformed:
    return Malformed(f"{field}: {message}.", errors=[{"field": field, "message": message}])


def _totals_of(stated: Sequence[str]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for text in stated:
        currency, _, amount = text.partition(":")
        try:
            totals[currency] = parse_minor(amount, currency)
        except MoneyError as error:
            raise _malformed("control_total", f"{error}; write it as EUR:1234.50") from None
    return totals


async def import_of(session: ReadSession, *, tenant_id: TenantId, import_id: ImportId) -> Import:
    """Return an import; raise `NotFound`."""
    found = await import_store.import_of(session, tenant_id, import_id)
    if found is None:
        noun = "import"
        raise NotFound(noun)
    return found


async def imports_after(session: ReadSession, *, tenant_id: TenantId, ledger_id: LedgerId, before: UUID | None, limit: int) -> list[Import]:
    """Return the imports of a ledger, newest first; raise `NotFound` for an unknown ledger."""
    await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    return await import_store.imports_after(session, tenant_id, ledger_id, before, limit)


async def rows_after(session: ReadSession, *, tenant_id: TenantId, import_id: ImportId, outcome: str | None, after: int, limit: int) -> list[RowRecord]:
    """Return what became of an import's rows, past a row number; raise `NotFound`."""
    await import_of(session, tenant_id=tenant_id, import_id=import_id)
    return await import_store.rows_after(session, tenant_id, import_id, [outcome] if outcome else None, after, limit)


async def faults_as_csv(session: ReadSession, *, tenant_id: TenantId, import_id: ImportId, page: int = 1000) -> AsyncIterator[bytes]:
    """Yield the rejected and parked rows of an import as a CSV file that is safe to open in a spreadsheet program."""
    yield b"row,kind,external_id,outcome,field,message,raw\r\n"
    after = 0
    while found := await import_store.rows_after(session, tenant_id, import_id, FAULTS, after, page):
        text = io.StringIO()
        write = csv.writer(text)
        for row in found:
            cells = (row.kind, row.external_id or "", row.outcome, row.field or "", row.message or "", row.raw or "")
            write.writerow([row.row_no, *map(safe_cell, cells)])
        yield text.getvalue().encode()
        after = found[-1].row_no


async def approve(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, import_id: ImportId) -> Import:
    """Let a parked snapshot go on although it closes more than the ledger's limit. Raises `NotWaiting` otherwise."""
    found = await _locked(session, tenant_id, import_id)
    if found.state != "parked":
        msg = f"The import is {found.state}; only one that is parked can be approved."
        raise NotWaiting(msg)
    await import_store.set_options(session, tenant_id, import_id, {**found.options, "approved_by": actor})
    await import_store.set_state(session, tenant_id, import_id, "staged")
    await _record(session, clock, tenant_id, actor, import_id, "import.approved", {})
    await due_work.ring(session, tenant_id, "import")
    return await import_of(session, tenant_id=tenant_id, import_id=import_id)


async def cancel(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, import_id: ImportId) -> Import:
    """Drop an import of which nothing has been applied. Raises `NotWaiting` for one that has begun or ended."""
    found = await _locked(session, tenant_id, import_id)
    if found.state not in {"received", "staged", "parked"}:
        msg = f"The import is {found.state}; only one that has not begun can be cancelled."
        raise NotWaiting(msg)
    await import_store.set_state(session, tenant_id, import_id, "cancelled")
    await _record(session, clock, tenant_id, actor, import_id, "import.cancelled", {})
    return await import_of(session, tenant_id=tenant_id, import_id=import_id)


async def _locked(session: Session, tenant_id: TenantId, import_id: ImportId) -> Import:
    found = await import_store.lock_import(session, tenant_id, import_id)
    if found is None:
        noun = "import"
        raise NotFound(noun)
    return found


async def _record(session: Session, clock: Clock, tenant_id: TenantId, actor: str, import_id: ImportId, kind: str, data: Mapping[str, Any]) -> None:
    await events.record(session, clock, tenant_id=tenant_id, kind=kind, subject_kind="import", subject_id=import_id, actor=actor, data=data)
