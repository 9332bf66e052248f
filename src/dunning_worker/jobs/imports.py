"""Imports of one tenant, oldest first: each file checked whole, then applied a batch a transaction."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NoReturn

import asyncpg

from dunning.events import due_work
from dunning.kit.clock import Clock
from dunning.kit.database import AWAY, Session
from dunning.kit.errors import DunningError
from dunning.kit.faults import InjectedFault, faultpoint
from dunning.kit.ids import TenantId
from dunning.kit.logs import logger
from dunning.ledger import import_kinds, import_store, importing
from dunning.ledger.import_files import FileRow, read_rows
from dunning.ledger.import_store import Import, RowRecord
from dunning.receipts import import_kind
from dunning.tenancy import service as tenancy
from dunning_worker.world import World

KINDS = {kind.name: kind for kind in (import_kinds.CUSTOMERS, import_kinds.DOCUMENTS, import_kind.RECEIPTS, import_kinds.HOLDS)}
log = logger("worker")
LAST_ROW = 2**31 - 1
ANALYSE_AFTER = (1, 10, 100, 1000)
"""Batches of one import after which the planner's statistics are renewed."""
REFUSED = (DunningError, asyncpg.IntegrityConstraintViolationError)


class _Rehearsed(Exception):
    """Ends a dry run, so that everything it wrote is undone, and carries what it found."""

    def __init__(self, imported: Import, rows: list[RowRecord]) -> None:
        super().__init__()
        self.imported = imported
        self.rows = rows


async def work_on_imports(world: World, tenant_id: TenantId) -> int:
    """Apply the waiting imports of a tenant and return how many were ended.

    Two workers at once are harmless: each batch locks its import and begins at the row that the import says; whoever finds it moved leaves it.
    """
    ended = 0
    while True:
        async with world.database.transaction(tenant_id) as session:
            await due_work.take(session, tenant_id, "import")
            imported = await import_store.oldest_open_import(session, tenant_id)
            if imported is None:
                return ended
            # A worker that dies on the way is followed by another after a lease.
            await _come_back(session, world, tenant_id)
            content = await importing.content_of(session, tenant_id=tenant_id, import_id=imported.import_id)
        if imported.state == "received":
            async with world.database.transaction(tenant_id) as session:
                locked = await import_store.lock_import(session, tenant_id, imported.import_id)
                if locked is not None and locked.state == "received":
                    await importing.check(session, tenant_id=tenant_id, imported=locked, content=content, kinds=KINDS)
            continue
        try:
            with _few_collections():
                done = await (_dry_run if imported.dry_run else _apply)(world, tenant_id, imported, content)
        except (*AWAY, InjectedFault, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError):
            raise
        except Exception:
            log.exception("import.failed", tenant_id=tenant_id, import_id=imported.import_id)
            await _fail(world, tenant_id, imported)
            done = True
        if not done:
            return ended
        ended += 1


@contextmanager
def _few_collections() -> Iterator[None]:
    """Have the collector of cycles run seldom meanwhile: a batch is many small objects without cycles, and searching them took two fifths of the time."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def _fail(world: World, tenant_id: TenantId, imported: Import) -> None:
    async with world.database.transaction(tenant_id) as session:
        locked = await import_store.lock_import(session, tenant_id, imported.import_id)
        if locked is not None:
            message = f"An unexpected error stopped it before row {locked.next_row} and was logged. Rows before it are applied; send the file again."
            await import_store.set_state(session, tenant_id, imported.import_id, "failed", message)


async def _come_back(session: Session, world: World, tenant_id: TenantId) -> None:
    at = await session.value("select now()")
    await due_work.ring(session, tenant_id, "import", at + dt.timedelta(seconds=world.settings.lease_seconds))


def _rows_from(imported: Import, content: bytes) -> Iterator[FileRow]:
    return (row for row in read_rows(content, importing.shape_of(imported), KINDS) if row.row_no >= imported.next_row)


async def _apply(world: World, tenant_id: TenantId, imported: Import, content: bytes) -> bool:
    rows = _rows_from(imported, content)
    at_row = imported.next_row
    size = world.settings.import_batch_rows
    batches = 0
    # The next rows are read in a thread while the database works on the present ones.
    batch = await asyncio.to_thread(_next, rows, size)
    while batch:
        ahead = asyncio.create_task(asyncio.to_thread(_next, rows, size))
        try:
            applied = await _one_batch(world, tenant_id, imported, at_row, batch)
        finally:
            following = await ahead
        if not applied:
            return False
        at_row = batch[-1].row_no + 1
        await faultpoint("import_batch_committed")
        batches += 1
        if batches in ANALYSE_AFTER and len(batch) == size:
            # A first large file fills tables faster than the database looks at them by itself; until then its plans are for empty ones.
            async with world.database.transaction(tenant_id) as session:
                await import_store.analyse_tables(session)
        batch = following
    if imported.mode == "snapshot":
        await _close(world, tenant_id, imported, content)
    await _retry(world, tenant_id, imported)
    async with world.database.transaction(tenant_id) as session:
        last = await import_store.lock_import(session, tenant_id, imported.import_id)
        if last is not None and last.state in {"staged", "applying"}:
            await importing.finish(session, await _clock(session, tenant_id), tenant_id=tenant_id, imported=last)
    return True


def _next(rows: Iterator[FileRow], size: int) -> list[FileRow]:
    return list(islice(rows, size))


async def _one_batch(world: World, tenant_id: TenantId, imported: Import, at_row: int, batch: list[FileRow]) -> bool:
    """Apply a batch; when its rows contradict one another, apply it again row by row. False when another worker has taken the import."""
    for one_by_one in (False, True):
        try:
            async with world.database.transaction(tenant_id) as session:
                locked = await import_store.lock_import(session, tenant_id, imported.import_id)
                if locked is None or locked.next_row != at_row or locked.state not in {"staged", "applying"}:
                    return False
                if locked.state == "staged":
                    await import_store.set_state(session, tenant_id, imported.import_id, "applying")
                clock = await _clock(session, tenant_id)
                await importing.apply_rows(session, clock, tenant_id=tenant_id, imported=locked, rows=batch, kinds=KINDS, one_by_one=one_by_one)
                await faultpoint("import_batch_applied")
        except REFUSED:
            if one_by_one:
                raise
        else:
            return True
    return False


def _named_by(imported: Import, content: bytes) -> tuple[list[str], list[str]]:
    """Return the external ids of the documents and of the customers that a snapshot mentions."""
    mentioned: list[str] = []
    customers: set[str] = set()
    for row in read_rows(content, importing.shape_of(imported), KINDS):
        if row.external_id is not None:
            mentioned.append(row.external_id)
        if row.stated is not None:
            customers.add(row.stated.customer_external_id)
    return mentioned, sorted(customers)


async def _close(world: World, tenant_id: TenantId, imported: Import, content: bytes) -> None:
    mentioned, customers = _named_by(imported, content)
    while True:
        async with world.database.transaction(tenant_id) as session:
            locked = await import_store.lock_import(session, tenant_id, imported.import_id)
            if locked is None or locked.state not in {"staged", "applying"}:
                return
            closed = await importing.close_unmentioned(
                session,
                await _clock(session, tenant_id),
                tenant_id=tenant_id,
                imported=locked,
                mentioned=mentioned,
                customers=customers,
                limit=world.settings.import_batch_rows,
            )
        await faultpoint("import_batch_committed")
        if not closed:
            return


async def _retry(world: World, tenant_id: TenantId, imported: Import) -> None:
    tried = 1
    while tried:
        for one_by_one in (False, True):
            try:
                async with world.database.transaction(tenant_id) as session:
                    locked = await import_store.lock_import(session, tenant_id, imported.import_id)
                    if locked is None:
                        return
                    tried = await importing.retry_parked(
                        session,
                        await _clock(session, tenant_id),
                        tenant_id=tenant_id,
                        imported=locked,
                        kinds=KINDS,
                        limit=world.settings.import_batch_rows,
                        one_by_one=one_by_one,
                    )
            except REFUSED:
                if one_by_one:
                    raise
            else:
                break


async def _dry_run(world: World, tenant_id: TenantId, imported: Import, content: bytes) -> bool:
    """Apply the whole file in one transaction, read what became of its rows, undo everything, and keep only the answer.

    The customers it names are locked meanwhile, so a dry run is for files of a size that a person looks at.
    """
    async with world.database.transaction(tenant_id) as session:
        locked = await import_store.lock_import(session, tenant_id, imported.import_id)
        if locked is None or locked.state != "staged":
            return False
        clock = await _clock(session, tenant_id)
        try:
            async with session.savepoint():
                await _rehearse(session, clock, tenant_id, locked, content, world.settings.import_batch_rows)
        except _Rehearsed as found:
            # Without its content a parked row is never tried again.
            rows = [row._replace(content=None) for row in found.rows]
            await import_store.insert_rows(session, tenant_id, locked.ledger_id, locked.import_id, rows)
            await import_store.set_counts(session, tenant_id, locked.import_id, found.imported.next_row, found.imported.counts)
            await importing.finish(session, clock, tenant_id=tenant_id, imported=found.imported)
    return True


async def _rehearse(session: Session, clock: Clock, tenant_id: TenantId, imported: Import, content: bytes, size: int) -> NoReturn:
    rows = _rows_from(imported, content)
    while batch := list(islice(rows, size)):
        await importing.apply_rows(session, clock, tenant_id=tenant_id, imported=imported, rows=batch, kinds=KINDS, one_by_one=True)
    import_id = imported.import_id
    seen = await import_store.lock_import(session, tenant_id, import_id) or imported
    if imported.mode == "snapshot":
        mentioned, customers = _named_by(imported, content)
        while await importing.close_unmentioned(session, clock, tenant_id=tenant_id, imported=seen, mentioned=mentioned, customers=customers, limit=size):
            seen = await import_store.lock_import(session, tenant_id, import_id) or seen
    while await importing.retry_parked(session, clock, tenant_id=tenant_id, imported=seen, kinds=KINDS, limit=size, one_by_one=True):
        seen = await import_store.lock_import(session, tenant_id, import_id) or seen
    raise _Rehearsed(seen, await import_store.rows_after(session, tenant_id, import_id, None, 0, LAST_ROW))


async def _clock(session: Session, tenant_id: TenantId) -> Clock:
    return tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
