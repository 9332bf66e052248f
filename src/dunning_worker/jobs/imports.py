"""Imports of one tenant, oldest first: each file checked whole, then applied a batch a transaction."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import asyncpg

from dunning.collection import sharing
from dunning.collection.assignment_rules import COLLECTOR
from dunning.collection.sharing import Applied
from dunning.events import due_work
from dunning.kit.clock import Clock
from dunning.kit.database import AWAY, Session
from dunning.kit.faults import InjectedFault, faultpoint
from dunning.kit.ids import CustomerId, ImportId, TenantId
from dunning.kit.logs import logger
from dunning.ledger import import_kinds, import_store, importing, ledgers
from dunning.ledger.import_files import FileRow, read_rows
from dunning.ledger.import_store import Import
from dunning.receipts import import_kind
from dunning.tenancy import service as tenancy
from dunning_worker.collector import few_collections
from dunning_worker.jobs.assigning import assign_everybody
from dunning_worker.jobs.rehearsal import SAY_WHO_OWES, mentioned_by, rehearse
from dunning_worker.world import World

KINDS = {kind.name: kind for kind in (import_kinds.CUSTOMERS, import_kinds.DOCUMENTS, import_kind.RECEIPTS, import_kinds.HOLDS)}
log = logger("worker")
ANALYSE_AFTER = (1, 10, 100, 1000)
"""Batches of one import after which the planner's statistics are renewed, where the tables have outgrown them."""
OFTEN_SECONDS = 0.0005
USUAL_SECONDS = sys.getswitchinterval()


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
            with few_collections(), _turns_taken_often():
                done = await (rehearse(world, tenant_id, imported, content, KINDS) if imported.dry_run else _apply(world, tenant_id, imported, content))
        except (*AWAY, InjectedFault, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError):
            raise
        except Exception:
            # The file is marked as failed, with what it had taken; the next one must not wait behind it.
            log.exception("import.failed", tenant_id=tenant_id, import_id=imported.import_id)
            await _fail(world, tenant_id, imported)
            done = True
        if not done:
            return ended
        ended += 1


@contextmanager
def _turns_taken_often() -> Iterator[None]:
    """Have threads take turns often: the one that reads ahead would else keep each answer of the database waiting for five milliseconds."""
    sys.setswitchinterval(OFTEN_SECONDS)
    try:
        yield
    finally:
        # Not what it was when this began: another import may have set that.
        sys.setswitchinterval(USUAL_SECONDS)


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
                outgrown = await import_store.outgrown_tables(session)
                if outgrown:
                    await import_store.analyse_tables(session, outgrown)
        batch = following
    if imported.mode == "snapshot":
        await _close(world, tenant_id, imported, content)
    await _retry(world, tenant_id, imported)
    if imported.kind in SAY_WHO_OWES:
        await _assign_rest(world, tenant_id, imported)
    async with world.database.transaction(tenant_id) as session:
        last = await import_store.lock_import(session, tenant_id, imported.import_id)
        if last is not None and last.state in {"staged", "applying"}:
            await importing.finish(session, await _clock(session, tenant_id), tenant_id=tenant_id, imported=last)
    return True


def _next(rows: Iterator[FileRow], size: int) -> list[FileRow]:
    found = list(islice(rows, size))
    for row in found:
        if row.stated is not None:
            # Reading the digest keeps it: it is made here, in the thread, instead of while the database waits.
            row.stated.content_sha256  # noqa: B018
    return found


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
                made = await importing.apply_rows(session, clock, tenant_id=tenant_id, imported=locked, rows=batch, kinds=KINDS, one_by_one=one_by_one)
                await _assign_new(session, clock, tenant_id, locked, made, batch[-1].row_no + 1)
                await faultpoint("import_batch_applied")
        except importing.REFUSED:
            if one_by_one:
                raise
        else:
            return True
    return False


async def _assign_new(session: Session, clock: Clock, tenant_id: TenantId, imported: Import, made: list[CustomerId], next_row: int) -> None:
    """Give customers who have just come to somebody; in the batch's own transaction, so that nobody ever meets one of them without."""
    if not made:
        return
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=imported.ledger_id)
    applied = await sharing.apply_to_new(session, clock, tenant_id=tenant_id, actor=imported.actor, ledger=ledger, customer_ids=made)
    if applied.assigned_count:
        await importing.count_assigned(session, tenant_id=tenant_id, imported=imported, next_row=next_row, assigned=applied.assigned_count)


async def _assign_rest(world: World, tenant_id: TenantId, imported: Import) -> None:
    """Give those to somebody for whom the amounts had to be known, and note for how many nobody was found. Whoever has somebody is left alone, so twice is harmless."""
    done = await assign_everybody(world, tenant_id, imported.ledger_id, imported.actor)
    async with world.database.transaction(tenant_id) as session:
        for role, applied in done.items():
            await _note_assigned(session, tenant_id, imported, role, applied)


async def _note_assigned(session: Session, tenant_id: TenantId, imported: Import, role: str, applied: Applied) -> None:
    if not applied.has_rules:
        return
    locked = await import_store.lock_import(session, tenant_id, imported.import_id)
    if locked is not None:
        left = applied.left_count if role == COLLECTOR else None
        await importing.count_assigned(
            session, tenant_id=tenant_id, imported=locked, next_row=locked.next_row, assigned=applied.assigned_count, unassigned=left
        )


async def _close(world: World, tenant_id: TenantId, imported: Import, content: bytes) -> None:
    mentioned, customers = mentioned_by(imported, content, KINDS)
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
    stuck: set[tuple[ImportId, int]] = set()
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
                        stuck=stuck,
                        one_by_one=one_by_one,
                    )
            except importing.REFUSED:
                if one_by_one:
                    raise
            else:
                break


async def _clock(session: Session, tenant_id: TenantId) -> Clock:
    return tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
