"""Statements about holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, HoldId, ItemId, LedgerId, TenantId


@dataclass(frozen=True, slots=True)
class Hold:
    """Reminding stopped for a ledger, customer or item, from a first to a last held day; without `until_on` it has no end."""

    hold_id: HoldId
    ledger_id: LedgerId
    customer_id: CustomerId | None
    item_id: ItemId | None
    scope: str
    origin: str
    reason: str
    comment: str | None
    from_on: dt.date
    until_on: dt.date | None
    created_by: str
    created_at: dt.datetime
    released_at: dt.datetime | None
    released_by: str | None


_COLUMNS = ", ".join(f.name for f in fields(Hold))


def _hold(row: Any) -> Hold:
    return Hold(**dict(row))


async def insert_holds(session: Session, tenant_id: TenantId, holds: Sequence[Hold]) -> None:
    """Insert holds in one statement."""
    await session.execute(
        """insert into hold (tenant_id, hold_id, ledger_id, customer_id, item_id, scope, origin, reason, comment, from_on, until_on,
                             created_by, created_at)
           select $1, h.* from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[],
                                      $10::date[], $11::date[], $12::text[], $13::timestamptz[]) as h""",
        tenant_id,
        *([getattr(h, name) for h in holds] for name in Hold.__slots__[:12]),
    )


async def hold_of(session: ReadSession, tenant_id: TenantId, hold_id: HoldId) -> Hold | None:
    """Return one hold."""
    row = await session.row(f"select {_COLUMNS} from hold where tenant_id = $1 and hold_id = $2", tenant_id, hold_id)  # fixed words
    return None if row is None else _hold(row)


async def holds_after(
    session: ReadSession,
    tenant_id: TenantId,
    after: UUID | None,
    limit: int,
    *,
    ledger_id: UUID | None,
    customer_id: UUID | None,
    item_id: UUID | None,
    in_force_on: dt.date | None,
) -> list[Hold]:
    """Return holds past an id, by id; with a day, those that are in force on it."""
    rows = await session.rows(
        f"""select {_COLUMNS} from hold
             where tenant_id = $1 and ($2::uuid is null or hold_id > $2)
               and ($4::uuid is null or ledger_id = $4) and ($5::uuid is null or customer_id = $5) and ($6::uuid is null or item_id = $6)
               and ($7::date is null or (released_at is null and from_on <= $7 and (until_on is null or until_on >= $7)))
             order by hold_id limit $3""",  # fixed words
        tenant_id,
        after,
        limit,
        ledger_id,
        customer_id,
        item_id,
        in_force_on,
    )
    return [_hold(row) for row in rows]


async def release_holds(session: Session, tenant_id: TenantId, hold_ids: Sequence[UUID], at: dt.datetime, actor: str) -> list[Hold]:
    """Release those of the holds that are not released and return them."""
    rows = await session.rows(
        f"""update hold set released_at = $3, released_by = $4
             where tenant_id = $1 and hold_id = any ($2::uuid[]) and released_at is null returning {_COLUMNS}""",  # fixed words
        tenant_id,
        hold_ids,
        at,
        actor,
    )
    return [_hold(row) for row in rows]


async def stated_holds_of(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[UUID]) -> list[Hold]:
    """Return the unreleased holds that came with customers and items, of some customers."""
    rows = await session.rows(
        f"""select {_COLUMNS} from hold
             where tenant_id = $1 and customer_id = any ($2::uuid[]) and origin = 'stated' and released_at is null""",  # fixed words
        tenant_id,
        customer_ids,
    )
    return [_hold(row) for row in rows]


async def set_holds_of(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, customer_ids: Sequence[UUID]) -> list[Hold]:
    """Return the unreleased holds that were set on a ledger itself and on some customers and their items."""
    rows = await session.rows(
        f"""select {_COLUMNS} from hold
             where tenant_id = $1 and ledger_id = $2 and origin = 'set' and released_at is null
               and (scope = 'ledger' or customer_id = any ($3::uuid[]))""",  # fixed words
        tenant_id,
        ledger_id,
        customer_ids,
    )
    return [_hold(row) for row in rows]


async def holds_upon(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, customer_id: CustomerId, on: dt.date, limit: int) -> list[Hold]:
    """Return the holds that are in force on a day for a customer, its items, or its whole ledger, the widest first."""
    rows = await session.rows(
        f"""select {_COLUMNS} from hold
             where tenant_id = $1 and (customer_id = $3 or (scope = 'ledger' and ledger_id = $2))
               and released_at is null and from_on <= $4 and (until_on is null or until_on >= $4)
             order by array_position(array['ledger', 'customer', 'item'], scope), hold_id limit $5""",  # fixed words
        tenant_id,
        ledger_id,
        customer_id,
        on,
        limit,
    )
    return [_hold(row) for row in rows]
