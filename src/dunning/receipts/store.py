"""Statements about receipts, allocations, payment returns and the inbox."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple
from uuid import UUID

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import AllocationId, CustomerId, ItemId, LedgerId, PaymentReturnId, ReceiptId, TenantId, new_id


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money that came in, and how much of it was spent on items or went back; amounts in minor units."""

    receipt_id: ReceiptId
    ledger_id: LedgerId
    customer_id: CustomerId
    external_id: str
    currency: str
    amount_minor: int
    allocated_minor: int
    returned_minor: int
    state: str
    method: str
    reference: str | None
    received_on: dt.date
    final_on: dt.date | None
    recorded_on: dt.date
    ended_on: dt.date | None
    ended_because: str | None
    instrument: dict[str, Any]
    recorded_at: dt.datetime

    @property
    def unapplied_minor(self) -> int:
        """What could still be allocated."""
        return self.amount_minor - self.allocated_minor - self.returned_minor


@dataclass(frozen=True, slots=True)
class Allocation:
    """One entry of the book; `reverses_id` names the one it undoes, `reversed` says that it was undone."""

    allocation_id: AllocationId
    kind: str
    receipt_id: ReceiptId | None
    credit_item_id: ItemId | None
    item_id: ItemId
    item_external_id: str
    episode: int
    currency: str
    amount_minor: int
    reverses_id: AllocationId | None
    reversed: bool
    reason: str | None
    value_on: dt.date
    recorded_on: dt.date
    actor: str


@dataclass(frozen=True, slots=True)
class PaymentReturn:
    """A payment that failed after it was booked."""

    payment_return_id: PaymentReturnId
    receipt_id: ReceiptId
    ledger_id: LedgerId
    customer_id: CustomerId
    returned_on: dt.date
    reason: str
    charges_minor: int
    recorded_at: dt.datetime
    actor: str


@dataclass(frozen=True, slots=True)
class Parked:
    """A stated receipt that waits for a person: it contradicts one that is booked, or cannot be allocated as it says."""

    receipt_inbox_id: UUID
    ledger_id: LedgerId
    source: str
    external_id: str
    content: dict[str, Any]
    state: str
    reason: str
    recorded_at: dt.datetime
    resolved_at: dt.datetime | None
    resolved_by: str | None


class NewReceipt(NamedTuple):
    """What is written of a receipt."""

    receipt_id: UUID
    customer_id: UUID
    external_id: str
    currency: str
    amount_minor: int
    allocated_minor: int
    method: str
    reference: str | None
    received_on: dt.date
    final_on: dt.date | None
    instrument: dict[str, Any]
    content: str
    content_sha256: bytes


_RECEIPT = ", ".join(f"r.{f.name}" for f in fields(Receipt))
_PARKED = ", ".join(f.name for f in fields(Parked))


async def known_receipts(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, external_ids: Sequence[str]) -> dict[str, tuple[ReceiptId, bytes]]:
    """Return id and content hash of the receipts with these external ids."""
    rows = await session.rows(
        "select external_id, receipt_id, content_sha256 from receipt where tenant_id = $1 and ledger_id = $2 and external_id = any ($3::text[])",
        tenant_id,
        ledger_id,
        external_ids,
    )
    return {row["external_id"]: (row["receipt_id"], row["content_sha256"]) for row in rows}


async def insert_receipts(session: Session, tenant_id: TenantId, ledger_id: LedgerId, receipts: Sequence[NewReceipt], recorded_on: dt.date) -> int:
    """Insert receipts and return how many were new; external ids that another has taken are left out."""
    names = ", ".join(NewReceipt._fields)
    return await session.execute(
        f"""insert into receipt (tenant_id, ledger_id, recorded_on, {names})
            select $1, $2, $3, v.receipt_id, v.customer_id, v.external_id, v.currency, v.amount_minor, v.allocated_minor, v.method, v.reference,
                   v.received_on, v.final_on, v.instrument, v.content::jsonb, v.content_sha256
              from unnest($4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::date[],
                          $13::date[], $14::jsonb[], $15::text[], $16::bytea[]) as v({names})
            on conflict (tenant_id, ledger_id, external_id) do nothing""",
        tenant_id,
        ledger_id,
        recorded_on,
        *zip(*receipts, strict=True),
    )


async def receipt_of(session: ReadSession, tenant_id: TenantId, receipt_id: ReceiptId) -> Receipt | None:
    """Return one receipt."""
    row = await session.row(f"select {_RECEIPT} from receipt r where r.tenant_id = $1 and r.receipt_id = $2", tenant_id, receipt_id)
    return None if row is None else Receipt(**dict(row))


async def receipts_after(
    session: ReadSession,
    tenant_id: TenantId,
    after: UUID | None,
    limit: int,
    *,
    ledger_id: UUID,
    customer_id: UUID | None,
    external_id: str | None,
    unapplied: bool | None,
) -> list[Receipt]:
    """Return receipts of a ledger past an id, by id."""
    conditions = ["r.tenant_id = $1", "r.ledger_id = $2"]
    values: list[Any] = [tenant_id, ledger_id]
    for condition, value in (("r.receipt_id >", after), ("r.customer_id =", customer_id), ("r.external_id =", external_id)):
        if value is not None:
            values.append(value)
            conditions.append(f"{condition} ${len(values)}")
    if unapplied is not None:
        conditions.append(f"r.allocated_minor + r.returned_minor {'<' if unapplied else '='} r.amount_minor")
    rows = await session.rows(f"select {_RECEIPT} from receipt r where {' and '.join(conditions)} order by r.receipt_id limit {int(limit)}", *values)
    return [Receipt(**dict(row)) for row in rows]


_ALLOCATION = """select a.allocation_id, a.kind, a.receipt_id, a.credit_item_id, a.item_id, i.external_id as item_external_id, a.episode, a.currency,
       a.amount_minor, a.reverses_id,
       exists (select 1 from allocation v where v.tenant_id = a.tenant_id and v.reverses_id = a.allocation_id) as reversed,
       a.reason, a.value_on, a.recorded_on, a.actor
  from allocation a join item i on i.tenant_id = a.tenant_id and i.item_id = a.item_id"""


async def allocations_of_receipts(session: ReadSession, tenant_id: TenantId, receipt_ids: Sequence[UUID]) -> dict[UUID, list[Allocation]]:
    """Return all entries of some receipts, with the reversed ones, in the order of their making."""
    rows = await session.rows(
        f"{_ALLOCATION} where a.tenant_id = $1 and a.receipt_id = any ($2::uuid[]) order by a.recorded_at, a.allocation_id", tenant_id, receipt_ids
    )
    found: dict[UUID, list[Allocation]] = {receipt_id: [] for receipt_id in receipt_ids}
    for row in rows:
        found[row["receipt_id"]].append(Allocation(**dict(row)))
    return found


async def allocations_of_item(session: ReadSession, tenant_id: TenantId, item_id: ItemId, after: UUID | None, limit: int) -> list[Allocation]:
    """Return the entries that explain an item's open amount, past an id, by id."""
    rows = await session.rows(
        f"""{_ALLOCATION} where a.tenant_id = $1 and (a.item_id = $2 or a.credit_item_id = $2) and ($3::uuid is null or a.allocation_id > $3)
             order by a.allocation_id limit $4""",
        tenant_id,
        item_id,
        after,
        limit,
    )
    return [Allocation(**dict(row)) for row in rows]


async def allocation_of(session: ReadSession, tenant_id: TenantId, allocation_id: AllocationId) -> Allocation | None:
    """Return one entry."""
    row = await session.row(f"{_ALLOCATION} where a.tenant_id = $1 and a.allocation_id = $2", tenant_id, allocation_id)
    return None if row is None else Allocation(**dict(row))


async def end_receipt(
    session: Session, tenant_id: TenantId, receipt_id: ReceiptId, *, state: str, ended_on: dt.date, recorded_on: dt.date, because: str
) -> bool:
    """Give a receipt whose allocations are undone its last state; False when it has ended before."""
    count = await session.execute(
        """update receipt set state = $3, returned_minor = amount_minor, ended_on = $4, end_recorded_on = $5, ended_because = $6
            where tenant_id = $1 and receipt_id = $2 and state in ('received', 'cleared') and allocated_minor = 0""",
        tenant_id,
        receipt_id,
        state,
        ended_on,
        recorded_on,
        because,
    )
    return count == 1


async def insert_return(
    session: Session, tenant_id: TenantId, receipt: Receipt, *, returned_on: dt.date, reason: str, charges_minor: int, actor: str
) -> PaymentReturn:
    """Record a payment return; a second one of the same receipt violates its unique key."""
    row = await session.row(
        """insert into payment_return (tenant_id, payment_return_id, receipt_id, ledger_id, customer_id, returned_on, reason, charges_minor, actor)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           returning payment_return_id, receipt_id, ledger_id, customer_id, returned_on, reason, charges_minor, recorded_at, actor""",
        tenant_id,
        new_id(),
        receipt.receipt_id,
        receipt.ledger_id,
        receipt.customer_id,
        returned_on,
        reason,
        charges_minor,
        actor,
    )
    return PaymentReturn(**dict(row or {}))


async def park(session: Session, tenant_id: TenantId, ledger_id: LedgerId, source: str, parked: Sequence[tuple[UUID, str, str, bytes, str]]) -> set[UUID]:
    """Put stated receipts into the inbox as (id, external id, content, hash, reason); return the ids of those that were not in it yet."""
    rows = await session.rows(
        """insert into receipt_inbox (tenant_id, ledger_id, source, receipt_inbox_id, external_id, content, content_sha256, reason)
           select $1, $2, $3, v.id, v.external_id, v.content::jsonb, v.sha, v.reason
             from unnest($4::uuid[], $5::text[], $6::text[], $7::bytea[], $8::text[]) as v(id, external_id, content, sha, reason)
           on conflict (tenant_id, ledger_id, external_id, content_sha256) do nothing returning receipt_inbox_id""",
        tenant_id,
        ledger_id,
        source,
        *zip(*parked, strict=True),
    )
    return {row["receipt_inbox_id"] for row in rows}


async def inbox_after(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, state: str | None, after: UUID | None, limit: int) -> list[Parked]:
    """Return parked receipts of a ledger past an id, by id."""
    rows = await session.rows(
        f"""select {_PARKED} from receipt_inbox
             where tenant_id = $1 and ledger_id = $2 and ($3::text is null or state = $3) and ($4::uuid is null or receipt_inbox_id > $4)
             order by receipt_inbox_id limit $5""",
        tenant_id,
        ledger_id,
        state,
        after,
        limit,
    )
    return [Parked(**dict(row)) for row in rows]


async def parked_of(session: ReadSession, tenant_id: TenantId, receipt_inbox_id: UUID) -> Parked | None:
    """Return one parked receipt."""
    row = await session.row(f"select {_PARKED} from receipt_inbox where tenant_id = $1 and receipt_inbox_id = $2", tenant_id, receipt_inbox_id)
    return None if row is None else Parked(**dict(row))


async def resolve_parked(session: Session, tenant_id: TenantId, receipt_inbox_id: UUID, state: str, at: dt.datetime, actor: str) -> bool:
    """Say what a person decided about a parked receipt; False when it was decided before."""
    count = await session.execute(
        """update receipt_inbox set state = $3, resolved_at = $4, resolved_by = $5
            where tenant_id = $1 and receipt_inbox_id = $2 and state = 'parked'""",
        tenant_id,
        receipt_inbox_id,
        state,
        at,
        actor,
    )
    return count == 1
