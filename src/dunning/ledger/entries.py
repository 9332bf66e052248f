"""The append-only book that explains every open amount: entries are added and reversed, never changed.

An entry of kind `receipt` spends a receipt, `credit` a credit note; `erp_adjustment` is the ERP's word about an open amount and `void` closes an
item that was taken back. The counters on items and receipts move with the entries, each by a conditional update that refuses more than there is;
a deferred trigger compares both at commit. Callers hold the customers' locks (`customer_state.lock_customers`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict
from dunning.kit.ids import TenantId, new_id
from dunning.ledger.rules import LiveEntry


class OverAllocated(Conflict):
    """More was to be set against an item, or taken from a receipt or credit, than there is."""

    code = "over_allocated"
    title = "More than is open"


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An amount to be set against an item, in the item's currency."""

    kind: str
    item_id: UUID
    episode: int
    currency: str
    amount_minor: int
    value_on: dt.date
    receipt_id: UUID | None = None
    credit_item_id: UUID | None = None
    reason: str | None = None


async def add_entries(
    session: Session, tenant_id: TenantId, entries: Sequence[NewEntry], *, recorded_on: dt.date, actor: str, receipts_counted: bool = False
) -> list[UUID]:
    """Add entries and raise their counters; return their ids in order.

    `receipts_counted` says that this transaction created the receipts with their counters already at the entries' sums. Raises `OverAllocated` when an item, receipt or credit has less left than asked; nothing of the transaction may then be kept.
    """
    if not entries:
        return []
    await _move_counters(session, tenant_id, entries, sign=1, with_receipts=not receipts_counted)
    ids = [new_id() for _ in entries]
    await _insert(session, tenant_id, ids, entries, [None] * len(entries), recorded_on, actor)
    return ids


async def open_with(session: Session, tenant_id: TenantId, entries: Sequence[NewEntry], *, recorded_on: dt.date, actor: str) -> None:
    """Add entries to items that this transaction created with their counters already at the entries' sums."""
    if entries:
        await _insert(session, tenant_id, [new_id() for _ in entries], entries, [None] * len(entries), recorded_on, actor)


async def reverse_entries(
    session: Session, tenant_id: TenantId, live: Sequence[LiveEntry], *, value_on: dt.date, recorded_on: dt.date, actor: str, reason: str
) -> None:
    """Undo live entries by opposite ones and lower their counters. A second reversal of an entry is refused by its unique key."""
    if not live:
        return
    opposite = [
        # An undoing counts from no earlier day than what it undoes.
        NewEntry(e.kind, e.item_id, e.episode, e.currency, e.amount_minor, max(value_on, e.value_on), e.receipt_id, e.credit_item_id, reason)
        for e in live
    ]
    await _move_counters(session, tenant_id, opposite, sign=-1, with_receipts=True)
    await _insert(session, tenant_id, [new_id() for _ in live], opposite, [e.allocation_id for e in live], recorded_on, actor)


async def _insert(
    session: Session,
    tenant_id: TenantId,
    ids: Sequence[UUID],
    entries: Sequence[NewEntry],
    reverses: Sequence[UUID | None],
    recorded_on: dt.date,
    actor: str,
) -> None:
    await session.execute(
        """insert into allocation (tenant_id, allocation_id, kind, receipt_id, credit_item_id, item_id, episode, currency, amount_minor,
                                   reverses_id, reason, value_on, recorded_on, actor)
           select $1, e.*, $13, $14
             from unnest($2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], $7::int[], $8::text[], $9::bigint[], $10::uuid[],
                         $11::text[], $12::date[]) as e""",
        tenant_id,
        ids,
        [e.kind for e in entries],
        [e.receipt_id for e in entries],
        [e.credit_item_id for e in entries],
        [e.item_id for e in entries],
        [e.episode for e in entries],
        [e.currency for e in entries],
        [e.amount_minor for e in entries],
        reverses,
        [e.reason for e in entries],
        [e.value_on for e in entries],
        recorded_on,
        actor,
    )


async def _move_counters(session: Session, tenant_id: TenantId, entries: Sequence[NewEntry], *, sign: int, with_receipts: bool) -> None:
    receipts: dict[UUID, int] = {}
    items: dict[UUID, int] = {}
    for entry in entries:
        minor = sign * entry.amount_minor
        items[entry.item_id] = items.get(entry.item_id, 0) + minor
        if entry.credit_item_id is not None:
            items[entry.credit_item_id] = items.get(entry.credit_item_id, 0) + minor
        if with_receipts and entry.receipt_id is not None:
            receipts[entry.receipt_id] = receipts.get(entry.receipt_id, 0) + minor
    # One order for all: receipts, then items, each by id (promises.md 4 rule 2).
    if receipts:
        await _lock_receipts(session, tenant_id, receipts)
    await _lock_items(session, tenant_id, items)
    if receipts and await _count_receipts(session, tenant_id, receipts) != len(receipts):
        msg = "The receipt has less left than was to be allocated. Read it again and allocate what is unallocated."
        raise OverAllocated(msg)
    if await _count_items(session, tenant_id, items) != len(items):
        msg = "An item has less open than was to be allocated, or is void. Read the items again and allocate what is open."
        raise OverAllocated(msg)


async def _lock_receipts(session: Session, tenant_id: TenantId, deltas: dict[UUID, int]) -> None:
    await session.execute(
        "select 1 from receipt where tenant_id = $1 and receipt_id = any ($2::uuid[]) order by receipt_id for no key update", tenant_id, list(deltas)
    )


async def _lock_items(session: Session, tenant_id: TenantId, deltas: dict[UUID, int]) -> None:
    await session.execute("select 1 from item where tenant_id = $1 and item_id = any ($2::uuid[]) order by item_id for no key update", tenant_id, list(deltas))


async def _count_receipts(session: Session, tenant_id: TenantId, deltas: dict[UUID, int]) -> int:
    return await session.execute(
        """update receipt r set allocated_minor = r.allocated_minor + d.minor
             from unnest($2::uuid[], $3::bigint[]) as d(receipt_id, minor)
            where r.tenant_id = $1 and r.receipt_id = d.receipt_id
              and r.allocated_minor + d.minor between 0 and r.amount_minor - r.returned_minor""",
        tenant_id,
        list(deltas),
        list(deltas.values()),
    )


async def _count_items(session: Session, tenant_id: TenantId, deltas: dict[UUID, int]) -> int:
    return await session.execute(
        """update item i set allocated_minor = i.allocated_minor + d.minor, updated_at = clock_timestamp()
             from unnest($2::uuid[], $3::bigint[]) as d(item_id, minor)
            where i.tenant_id = $1 and i.item_id = d.item_id
              and i.allocated_minor + d.minor between 0 and i.amount_minor""",
        tenant_id,
        list(deltas),
        list(deltas.values()),
    )


_NOT_REVERSED = """a.reverses_id is null
   and not exists (select 1 from allocation r where r.tenant_id = a.tenant_id and r.reverses_id = a.allocation_id)"""


async def live_entries_of_items(session: ReadSession, tenant_id: TenantId, item_ids: Sequence[UUID]) -> list[LiveEntry]:
    """Return the entries that count against some items, and those that spend them where they are credits, newest first."""
    rows = await session.rows(
        f"""select {_COLUMNS}, a.recorded_at from allocation a
             where a.tenant_id = $1 and a.item_id = any ($2::uuid[]) and {_NOT_REVERSED}
            union
            select {_COLUMNS}, a.recorded_at from allocation a
             where a.tenant_id = $1 and a.credit_item_id = any ($2::uuid[]) and {_NOT_REVERSED}
             order by recorded_at desc, allocation_id desc""",  # fixed words only
        tenant_id,
        item_ids,
    )
    return [_live(row) for row in rows]


async def live_entries_of_receipts(session: ReadSession, tenant_id: TenantId, receipt_ids: Sequence[UUID]) -> list[LiveEntry]:
    """Return the entries that spend some receipts, newest first."""
    rows = await session.rows(
        f"""select {_COLUMNS} from allocation a where a.tenant_id = $1 and a.receipt_id = any ($2::uuid[]) and {_NOT_REVERSED}
             order by a.recorded_at desc, a.allocation_id desc""",  # fixed words only
        tenant_id,
        receipt_ids,
    )
    return [_live(row) for row in rows]


_COLUMNS = "a.allocation_id, a.kind, a.item_id, a.receipt_id, a.credit_item_id, a.currency, a.amount_minor, a.episode, a.value_on"


def _live(row: Any) -> LiveEntry:
    return LiveEntry(**{name: row[name] for name in LiveEntry.__slots__})
