"""Applying a file: checked whole, then batch by batch, each batch and its progress in one transaction that the caller opens.

A batch that was committed is never applied again, because `next_row` moved with it; one that was not leaves no trace. Applying rows twice would
be harmless anyway: they are keyed by external id and guarded by their content.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg

from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import DunningError
from dunning.kit.ids import CustomerId, ImportId, TenantId
from dunning.kit.money import format_minor
from dunning.ledger import document_store, entries, import_store, ledger_store, ledgers
from dunning.ledger.connected import Connections, Name, Noun
from dunning.ledger.customer_state import facts_changed, lock_customers, lock_customers_named
from dunning.ledger.entries import NewEntry
from dunning.ledger.import_files import FileRow, FileShape, KindOfRow, WrongShape, read_rows, storable
from dunning.ledger.import_store import Import, RowRecord
from dunning.ledger.ledger_store import Ledger
from dunning.ledger.outcomes import RowOutcome
from dunning.ledger.rows import CustomerRow
from dunning.ledger.rules import Closing, OpenItem, closes_too_much

ORDER = ("customer", "document", "receipt", "hold")
"""Kinds in the order in which a batch applies them, so that what a row refers to comes first."""
REFUSED = (DunningError, asyncpg.IntegrityConstraintViolationError)
"""What is raised when rows of a batch contradict one another, so that they have to be applied one by one."""
Kinds = Mapping[str, KindOfRow]


def shape_of(imported: Import) -> FileShape:
    """Return how the file of an import is read."""
    options = imported.options
    return FileShape(imported.format, imported.kind, options["delimiter"], options["decimal"], options["encoding"])


async def content_of(session: Session, *, tenant_id: TenantId, import_id: ImportId) -> bytes:
    """Return the file of an import."""
    return zlib.decompress(await import_store.file_of(session, tenant_id, import_id))


async def check(session: Session, *, tenant_id: TenantId, imported: Import, content: bytes, kinds: Kinds) -> str:
    """Check a received file as a whole and return the import's new state: staged, parked for a person, or failed. Nothing is applied."""
    try:
        rows = read_rows(content, shape_of(imported), kinds)
        state, error = "staged", None
        if imported.options["control_totals"]:
            state, error = await _check_totals(session, tenant_id, imported, rows, kinds)
    except WrongShape as wrong:
        state, error = "failed", storable(str(wrong))
    await import_store.set_state(session, tenant_id, imported.import_id, state, error)
    return state


async def _check_totals(session: Session, tenant_id: TenantId, imported: Import, rows: Iterable[FileRow], kinds: Kinds) -> tuple[str, str | None]:
    found: dict[str, int] = {}
    mentioned: list[str] = []
    customers: set[str] = set()
    unreadable: list[int] = []
    for row in rows:
        if row.stated is not None:
            currency, minor = kinds[row.kind].amount_of(row.stated) or ("", 0)
            found[currency] = found.get(currency, 0) + minor
            customers.add(getattr(row.stated, "customer_external_id", ""))
        else:
            unreadable.append(row.row_no)
        if row.external_id is not None:
            mentioned.append(row.external_id)
    wanted: dict[str, int] = imported.options["control_totals"]
    faults = [
        f"{currency}: the file says {format_minor(found.get(currency, 0), currency)}, the control total {format_minor(wanted.get(currency, 0), currency)}"
        for currency in sorted(found.keys() | wanted.keys())
        if found.get(currency, 0) != wanted.get(currency, 0)
    ]
    if faults:
        hint = f" {len(unreadable)} rows could not be read, row {unreadable[0]} first." if unreadable else ""
        return "failed", f"The rows do not sum to the control total ({'; '.join(faults)}). The file may be cut short.{hint} Nothing was imported."
    if imported.mode != "snapshot":
        return "staged", None
    if unreadable:
        return "failed", f"Row {unreadable[0]} cannot be read, so what is missing in the snapshot cannot be told. Nothing was imported."
    return await _check_closing(session, tenant_id, imported, mentioned, sorted(customers))


async def _check_closing(session: Session, tenant_id: TenantId, imported: Import, mentioned: Sequence[str], customers: Sequence[str]) -> tuple[str, str | None]:
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=imported.ledger_id)
    sums = await document_store.unmentioned_sums(session, tenant_id, imported.ledger_id, mentioned, _scope(imported, customers))
    closings = [Closing(s.currency, s.closing_count, s.closing_minor, s.open_count, s.open_minor) for s in sums]
    if not closes_too_much(closings, ledger.closing_limit_percent):
        return "staged", None
    words = "; ".join(
        f"{c.closing_count} of {c.open_count} items, {format_minor(c.closing_minor, c.currency)} of {format_minor(c.open_minor, c.currency)} {c.currency}"
        for c in closings
        if c.closing_count
    )
    return "parked", f"The snapshot would close {words}: more than the ledger's limit of {ledger.closing_limit_percent} %. Approve or cancel it."


def _scope(imported: Import, customers: Sequence[str]) -> Sequence[str] | None:
    return None if imported.options["scope"] == "ledger" else customers


async def apply_rows(
    session: Session, clock: Clock, *, tenant_id: TenantId, imported: Import, rows: Sequence[FileRow], kinds: Kinds, one_by_one: bool = False
) -> list[CustomerId]:
    """Apply one batch, move `next_row` past it and return the customers that it created.

    With `one_by_one` each row stands in a savepoint, so that only what is wrong is refused.
    """
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=imported.ledger_id)
    await _lock_named(session, tenant_id, ledger, [row.stated for row in rows if row.stated is not None])
    outcomes: dict[int, RowOutcome] = {}
    for name in ORDER:
        found = [row for row in rows if row.kind == name and row.stated is not None]
        for part in [[row] for row in found] if one_by_one else [found] if found else []:
            answers = await _apply(session, clock, tenant_id, imported.actor, ledger, kinds[name], [row.stated for row in part], guarded=one_by_one)
            outcomes |= {row.row_no: answer for row, answer in zip(part, answers, strict=True)}
    for row in rows:
        if row.stated is None:
            outcomes[row.row_no] = RowOutcome("rejected", None, row.field, row.message)
    records = [_record_of(row, outcomes[row.row_no]) for row in rows]
    await import_store.insert_rows(session, tenant_id, imported.ledger_id, imported.import_id, records)
    counts = imported.counts
    for row in rows:
        count(counts, row.kind or "unknown", outcomes[row.row_no].outcome, 1, _amount(kinds, row))
    await import_store.set_counts(session, tenant_id, imported.import_id, rows[-1].row_no + 1, counts)
    made = [outcomes[row.row_no] for row in rows if row.kind == "customer"]
    return [CustomerId(one.object_id) for one in made if one.outcome == "created" and one.object_id is not None]


async def count_assigned(session: Session, *, tenant_id: TenantId, imported: Import, next_row: int, assigned: int, unassigned: int | None = None) -> None:
    """Note how many customers an import gave to somebody, and at its end for how many of the ledger nobody was found."""
    counts = imported.counts
    counts["assigned"] = counts.get("assigned", 0) + assigned
    if unassigned is not None:
        counts["unassigned"] = unassigned
    await import_store.set_counts(session, tenant_id, imported.import_id, next_row, counts)


async def _lock_named(session: Session, tenant_id: TenantId, ledger: Ledger, stated: Iterable[Any]) -> None:
    """Lock all customers that rows name at once: the kinds of a batch are applied one after another, and locks are taken in one order only."""
    named = {getattr(one, "customer_external_id", None) or (one.external_id if isinstance(one, CustomerRow) else None) for one in stated}
    await lock_customers_named(session, tenant_id, ledger.ledger_id, sorted(name for name in named if name is not None))


async def _apply(
    session: Session, clock: Clock, tenant_id: TenantId, actor: str, ledger: Ledger, kind: KindOfRow, stated: Sequence[Any], *, guarded: bool
) -> list[RowOutcome]:
    if not guarded:
        return await kind.apply(session, clock, tenant_id=tenant_id, actor=actor, ledger=ledger, rows=stated)
    try:
        async with session.savepoint():
            return await kind.apply(session, clock, tenant_id=tenant_id, actor=actor, ledger=ledger, rows=stated)
    except DunningError as error:
        return [RowOutcome("rejected", None, None, error.detail)]
    except asyncpg.IntegrityConstraintViolationError as error:
        return [RowOutcome("rejected", None, None, f"a rule of the database refuses it: {error.constraint_name}")]


def _record_of(row: FileRow, outcome: RowOutcome) -> RowRecord:
    content = json.loads(row.stated.model_dump_json(exclude_defaults=True)) if outcome.outcome == "parked" else None
    return RowRecord(
        row.row_no, row.kind or "unknown", row.external_id, content, row.raw or None, outcome.outcome, outcome.field, outcome.message, outcome.waits_for
    )


def _amount(kinds: Kinds, row: FileRow) -> tuple[str, int] | None:
    return kinds[row.kind].amount_of(row.stated) if row.stated is not None else None


def count(counts: dict[str, Any], kind: str, outcome: str, number: int, amount: tuple[str, int] | None) -> None:
    """Add a number of rows of one outcome, and their amount, to an import's counts."""
    by_kind = counts.setdefault("by_kind", {}).setdefault(kind, {})
    by_kind[outcome] = by_kind.get(outcome, 0) + number
    counts[outcome] = counts.get(outcome, 0) + number
    if amount is not None:
        currency, minor = amount
        sums = counts.setdefault("totals", {}).setdefault(currency, {})
        sums[outcome] = sums.get(outcome, 0) + minor * number


async def close_unmentioned(
    session: Session, clock: Clock, *, tenant_id: TenantId, imported: Import, mentioned: Sequence[str], customers: Sequence[str], limit: int
) -> int:
    """Close a batch of the items that a snapshot does not mention and return how many; 0 means that none is left."""
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=imported.ledger_id)
    today = local_date(clock.now(), ledger.time_zone)
    scope = _scope(imported, customers)
    found = await document_store.unmentioned_items(session, tenant_id, imported.ledger_id, mentioned, scope, limit)
    if not found:
        return 0
    customer_ids = {CustomerId(customer_id) for _, _, customer_id in found}
    await lock_customers(session, tenant_id, customer_ids)
    items = await document_store.open_items_again(session, tenant_id, [item_id for item_id, _, _ in found])
    closing = [NewEntry("erp_adjustment", i.item_id, i.episode, i.currency, i.open_minor, today, reason="missing in the snapshot") for i in items]
    await entries.add_entries(session, tenant_id, closing, recorded_on=today, actor=imported.actor)
    await document_store.forget_content(session, tenant_id, sorted({i.document_id for i in items}))
    await facts_changed(session, tenant_id, customer_ids, today)
    made = [NewEvent("item.closed", "item", i.item_id, CustomerId(i.customer_id), {"because": "missing in the snapshot"}) for i in items]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=imported.actor, events=made)
    records = closing_records(imported.next_row, imported.counts, items)
    await import_store.insert_rows(session, tenant_id, imported.ledger_id, imported.import_id, records)
    await import_store.set_counts(session, tenant_id, imported.import_id, imported.next_row + len(items), imported.counts)
    return len(found)


def closing_records(first_row: int, counts: dict[str, Any], items: Sequence[OpenItem]) -> list[RowRecord]:
    """Return the rows that closing some items adds to an import, numbered from `first_row`, and count them."""
    for i in items:
        count(counts, "item", "closed", 1, (i.currency, i.open_minor))
    return [RowRecord(first_row + n, "item", i.external_id, None, None, "closed", None, "missing in the snapshot", None) for n, i in enumerate(items)]


async def unmentioned(
    session: Session, *, tenant_id: TenantId, imported: Import, mentioned: Sequence[str], customers: Sequence[str], limit: int
) -> list[OpenItem]:
    """Return the items that `close_unmentioned` would close, in the order in which it would in batches of `limit`. Nothing is locked or written."""
    found = await document_store.unmentioned_items(session, tenant_id, imported.ledger_id, mentioned, _scope(imported, customers), None)
    items = await document_store.open_items_again(session, tenant_id, [item_id for item_id, _, _ in found])
    batch_of = {item_id: place // limit for place, (item_id, _, _) in enumerate(found)}
    return sorted(items, key=lambda i: (batch_of[i.item_id], i.item_id))


async def names_apart(session: ReadSession, *, tenant_id: TenantId, imported: Import, kinds: Kinds, connections: Connections) -> None:
    """Join what the database knows of an import's names: the customers of documents and items, and what is parked until something is given."""
    for kind, content in await import_store.waiting_rows(session, tenant_id, imported.ledger_id):
        connections.join(kinds[kind].names(kinds[kind].model.model_validate(content)))
    owners = await import_store.owners_named(
        session, tenant_id, imported.ledger_id, connections.named("document"), connections.named("item"), connections.named("item_id")
    )
    nouns: dict[str, Noun] = {"document": "document", "item": "item", "item_id": "item_id"}
    for noun, called, customer in owners:
        connections.join([Name(nouns[noun], called), Name("customer", customer)])


def add_counts(counts: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add the counts of a part of an import's rows to those of the others."""
    for name, value in more.items():
        if isinstance(value, Mapping):
            add_counts(counts.setdefault(name, {}), value)
        else:
            counts[name] = counts.get(name, 0) + value


async def finish(session: Session, clock: Clock, *, tenant_id: TenantId, imported: Import) -> None:
    """End an import: state until when the ledger is complete, and tell."""
    await import_store.set_state(session, tenant_id, imported.import_id, "done")
    if imported.complete_as_of is not None and not imported.dry_run:
        await ledger_store.raise_complete_as_of(session, tenant_id, imported.ledger_id, imported.complete_as_of)
    await events.record(
        session,
        clock,
        tenant_id=tenant_id,
        kind="import.finished",
        subject_kind="import",
        subject_id=imported.import_id,
        actor=imported.actor,
        data={"dry_run": imported.dry_run, "counts": {k: v for k, v in imported.counts.items() if isinstance(v, int)}},
    )


async def retry_parked(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    imported: Import,
    kinds: Kinds,
    limit: int,
    stuck: set[tuple[ImportId, int]],
    one_by_one: bool = False,
) -> int:
    """Try again parked rows of the ledger, of any import, whose missing object has come; return how many.

    Each ends, or waits for another object. One that waits for the same again, such as a receipt for a document that has come as void, is added
    to `stuck` and left alone by the next call.
    """
    ready = await import_store.ready_rows(session, tenant_id, imported.ledger_id, limit, stuck)
    if not ready:
        return 0
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=imported.ledger_id)
    settled: list[tuple[ImportId, RowRecord]] = []
    parsed = {(import_id, row.row_no): kinds[row.kind].model.model_validate(row.content) for import_id, row in ready}
    await _lock_named(session, tenant_id, ledger, parsed.values())
    for name in ORDER:
        found = [(import_id, row) for import_id, row in ready if row.kind == name]
        for part in [[pair] for pair in found] if one_by_one else [found] if found else []:
            stated = [parsed[import_id, row.row_no] for import_id, row in part]
            answers = await _apply(session, clock, tenant_id, imported.actor, ledger, kinds[name], stated, guarded=one_by_one)
            for (import_id, row), answer, one in zip(part, answers, stated, strict=True):
                after = row._replace(outcome=answer.outcome, field=answer.field, message=answer.message, waits_for=answer.waits_for)
                settled.append((import_id, after))
                await _recount(session, tenant_id, imported, import_id, row, after, kinds[name].amount_of(one))
    await import_store.settle_rows(session, tenant_id, settled)
    waited_for = {(import_id, row.row_no): row.waits_for for import_id, row in ready}
    stuck |= {(import_id, row.row_no) for import_id, row in settled if row.outcome == "parked" and row.waits_for == waited_for[import_id, row.row_no]}
    return len(ready)


async def _recount(
    session: Session, tenant_id: TenantId, imported: Import, import_id: ImportId, before: RowRecord, after: RowRecord, amount: tuple[str, int] | None
) -> None:
    if before.outcome == after.outcome:
        return
    other = imported if import_id == imported.import_id else await import_store.lock_import(session, tenant_id, import_id)
    if other is not None:
        count(other.counts, before.kind, before.outcome, -1, amount)
        count(other.counts, after.kind, after.outcome, 1, amount)
        await import_store.set_counts(session, tenant_id, import_id, other.next_row, other.counts)
