"""A dry run: what an import would do, tried piece by piece and undone each time, so that it holds nobody up for longer than a batch does."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, NoReturn

from dunning.collection import trial_sharing
from dunning.collection.trial_sharing import Terms
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import CustomerId, ImportId, TenantId
from dunning.ledger import import_store, importing
from dunning.ledger.connected import Connections, Name, pieces_of
from dunning.ledger.import_files import FileRow, KindOfRow, read_rows
from dunning.ledger.import_store import Import, RowRecord
from dunning.ledger.rules import OpenItem
from dunning.tenancy import service as tenancy
from dunning_worker.world import World

Kinds = Mapping[str, KindOfRow]
LAST_ROW = 2**31 - 1
SAY_WHO_OWES = ("customers", "documents", "mixed")
"""Kinds of files after which customers without a collector are looked at again."""
PIECES_READ = 20
"""Pieces whose rows are kept in memory at once; the file is read again for each so many."""


class _Shares(NamedTuple):
    """The rules by which customers are given to somebody, and the customers of one piece."""

    terms: Terms
    external_ids: list[str]


class _Tried(Exception):
    """Ends the transaction of a piece, so that everything it wrote is undone, and carries what it found."""

    def __init__(self, counts: dict[str, Any], rows: list[RowRecord]) -> None:
        super().__init__()
        self.counts = counts
        self.rows = rows


async def rehearse(world: World, tenant_id: TenantId, imported: Import, content: bytes, kinds: Kinds) -> bool:
    """Answer what an import would do and keep only the answer. False when another worker has answered it meanwhile.

    Rows that bear on one another, such as all of a customer, are tried in one transaction, in the batches in which the import would apply them;
    others in another. So the answers are those of the import, and a lock is held no longer than some batch of rows needs, or the rows of one
    customer where those are more. Begun twice, it is answered once.
    """
    size = world.settings.import_batch_rows
    connections, named = await asyncio.to_thread(_connected, imported, content, kinds)
    closing: list[OpenItem] = []
    async with world.database.transaction(tenant_id) as session:
        await importing.names_apart(session, tenant_id=tenant_id, imported=imported, kinds=kinds, connections=connections)
        if imported.mode == "snapshot":
            mentioned, customers = mentioned_by(imported, content, kinds)
            closing = await importing.unmentioned(session, tenant_id=tenant_id, imported=imported, mentioned=mentioned, customers=customers, limit=size)
        terms = await trial_sharing.terms_of(session, tenant_id=tenant_id, ledger_id=imported.ledger_id, closing=closing)
    shares_out = imported.kind in SAY_WHO_OWES and bool(terms.rules.rules)
    customers_of = connections.by_root("customer") if shares_out else {}
    pieces = await asyncio.to_thread(pieces_of, named, connections, size)
    counts: dict[str, Any] = {}
    records: list[RowRecord] = []
    for first in range(0, len(pieces), PIECES_READ):
        some = pieces[first : first + PIECES_READ]
        for row_nos, rows in zip(some, await asyncio.to_thread(_read, imported, content, kinds, some), strict=True):
            roots = {connections.root(name) for row_no in row_nos if (name := named[row_no - 1][1]) is not None} if shares_out else set()
            shares = _Shares(terms, [called for root in roots for called in customers_of.get(root, ())]) if shares_out else None
            found = await _try(world, tenant_id, imported, rows, kinds, size, shares)
            if found is None:
                return False
            importing.add_counts(counts, found.counts)
            # Without its content a parked row is never tried again.
            records.extend(row._replace(content=None) for row in found.rows)
    records.sort(key=lambda row: row.row_no)
    following = len(named) + 1
    async with world.database.transaction(tenant_id) as session:
        locked = await import_store.lock_import(session, tenant_id, imported.import_id)
        if locked is None or locked.state != "staged":
            return False
        records += importing.closing_records(following, counts, closing)
        following += len(closing)
        if shares_out:
            others = await trial_sharing.look_at_others(session, terms, tenant_id=tenant_id, named=frozenset(connections.named("customer")))
            importing.add_counts(counts, others)
        await import_store.insert_rows(session, tenant_id, locked.ledger_id, locked.import_id, records)
        await import_store.set_counts(session, tenant_id, locked.import_id, following, counts)
        locked.counts.clear()
        locked.counts.update(counts)
        await importing.finish(session, await _clock(session, tenant_id), tenant_id=tenant_id, imported=locked)
    return True


def mentioned_by(imported: Import, content: bytes, kinds: Kinds) -> tuple[list[str], list[str]]:
    """Return the external ids of the documents and of the customers that a snapshot mentions."""
    mentioned: list[str] = []
    customers: set[str] = set()
    for row in read_rows(content, importing.shape_of(imported), kinds):
        if row.external_id is not None:
            mentioned.append(row.external_id)
        if row.stated is not None:
            customers.add(row.stated.customer_external_id)
    return mentioned, sorted(customers)


def _connected(imported: Import, content: bytes, kinds: Kinds) -> tuple[Connections, list[tuple[int, Name | None]]]:
    connections = Connections()
    named: list[tuple[int, Name | None]] = []
    for row in read_rows(content, importing.shape_of(imported), kinds):
        names = kinds[row.kind].names(row.stated) if row.stated is not None else []
        connections.join(names)
        named.append((row.row_no, names[0] if names else None))
    return connections, named


def _read(imported: Import, content: bytes, kinds: Kinds, pieces: Sequence[Sequence[int]]) -> list[list[FileRow]]:
    """Return the rows of some pieces, each piece in the order of the file."""
    belongs = array("i", [-1]) * (max(map(max, pieces)) + 1)
    for n, piece in enumerate(pieces):
        for row_no in piece:
            belongs[row_no] = n
    found: list[list[FileRow]] = [[] for _ in pieces]
    for row in read_rows(content, importing.shape_of(imported), kinds):
        if row.row_no >= len(belongs):
            break
        if belongs[row.row_no] >= 0:
            found[belongs[row.row_no]].append(row)
    return found


async def _try(world: World, tenant_id: TenantId, imported: Import, rows: Sequence[FileRow], kinds: Kinds, size: int, shares: _Shares | None) -> _Tried | None:
    """Apply a piece in a transaction that is undone; None when the import no longer waits for its answer."""
    try:
        async with world.database.transaction(tenant_id) as session:
            locked = await import_store.lock_import(session, tenant_id, imported.import_id)
            if locked is None or locked.state != "staged":
                return None
            await _try_out(session, tenant_id, locked, rows, kinds, size, shares)
    except _Tried as tried_out:
        return tried_out


async def _try_out(session: Session, tenant_id: TenantId, locked: Import, rows: Sequence[FileRow], kinds: Kinds, size: int, shares: _Shares | None) -> NoReturn:
    clock = await _clock(session, tenant_id)
    at_once = trial_sharing.Found()
    for batch in _batches(rows, size):
        made = await _apply(session, clock, tenant_id, locked, batch, kinds)
        if shares is not None:
            await trial_sharing.look_at_new(session, shares.terms, at_once, tenant_id=tenant_id, customer_ids=made)
    tried = 1
    stuck: set[tuple[ImportId, int]] = set()
    while tried:
        tried = await importing.retry_parked(session, clock, tenant_id=tenant_id, imported=locked, kinds=kinds, limit=size, stuck=stuck, one_by_one=True)
    if shares is not None:
        counted = await trial_sharing.look_at_named(session, shares.terms, at_once, tenant_id=tenant_id, external_ids=shares.external_ids)
        importing.add_counts(locked.counts, counted)
    raise _Tried(locked.counts, await import_store.rows_after(session, tenant_id, locked.import_id, None, 0, LAST_ROW))


def _batches(rows: Sequence[FileRow], size: int) -> Iterator[list[FileRow]]:
    for _, batch in groupby(rows, lambda row: (row.row_no - 1) // size):
        yield list(batch)


async def _apply(session: Session, clock: Clock, tenant_id: TenantId, locked: Import, batch: Sequence[FileRow], kinds: Kinds) -> list[CustomerId]:
    try:
        async with session.savepoint():
            return await importing.apply_rows(session, clock, tenant_id=tenant_id, imported=locked, rows=batch, kinds=kinds)
    except importing.REFUSED:
        return await importing.apply_rows(session, clock, tenant_id=tenant_id, imported=locked, rows=batch, kinds=kinds, one_by_one=True)


async def _clock(session: Session, tenant_id: TenantId) -> Clock:
    return tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
