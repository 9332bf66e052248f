"""Statements about what is said of items: their status, and comments with author and time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple
from uuid import UUID

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, ItemId, LedgerId, TenantId


@dataclass(frozen=True, slots=True)
class ItemComment:
    """What was said of an item at a time: a status that was set, a text, or both."""

    item_comment_id: UUID
    ledger_id: LedgerId
    customer_id: CustomerId
    item_id: ItemId
    status_code: str | None
    previous_status_code: str | None
    text: str | None
    source: str
    source_id: UUID | None
    actor: str
    business_at: dt.datetime
    recorded_at: dt.datetime


class Mark(NamedTuple):
    """What is to be said of one item. `sets` tells whether the status is set at all; `status_code` None then means none."""

    item_comment_id: UUID
    item_id: UUID
    sets: bool
    status_code: str | None
    text: str | None
    source_id: UUID | None


class Marked(NamedTuple):
    """What a mark found: whose item it was, and its status before."""

    item_id: UUID
    customer_id: CustomerId
    ledger_id: LedgerId
    previous_status_code: str | None


_COLUMNS = ", ".join(f.name for f in fields(ItemComment))


async def mark_items(
    session: Session, tenant_id: TenantId, marks: Sequence[Mark], *, ongoing: str, source: str, actor: str, business_at: dt.datetime
) -> list[Marked]:
    """Set statuses and write comments of items in one statement; a mark that changes nothing and says nothing writes no row.

    In comments the absence of a status has the name `ongoing`.
    """
    rows = await session.rows(
        """with given as (
             select * from unnest($2::uuid[], $3::uuid[], $4::boolean[], $5::text[], $6::text[], $7::uuid[])
                 as g (item_comment_id, item_id, sets, status_code, text, source_id)
           ), found as (
             select g.*, i.customer_id, i.ledger_id, i.status_code as before, g.sets and g.status_code is distinct from i.status_code as moves
               from given g join item i on i.tenant_id = $1 and i.item_id = g.item_id
           ), moved as (
             update item i set status_code = f.status_code, updated_at = clock_timestamp()
               from found f where i.tenant_id = $1 and i.item_id = f.item_id and f.moves
           ), said as (
             insert into item_comment (tenant_id, item_comment_id, ledger_id, customer_id, item_id, status_code, previous_status_code, text, source,
                                       source_id, actor, business_at)
             select $1, f.item_comment_id, f.ledger_id, f.customer_id, f.item_id, case when f.moves then coalesce(f.status_code, $8) end,
                    case when f.moves then coalesce(f.before, $8) end, f.text, $9, f.source_id, $10, $11
               from found f where f.moves or f.text is not null
           )
           select item_id, customer_id, ledger_id, before as previous_status_code from found""",
        tenant_id,
        *map(list, zip(*marks, strict=True)),
        ongoing,
        source,
        actor,
        business_at,
    )
    return [Marked(*row) for row in rows]


async def comments_before(
    session: ReadSession, tenant_id: TenantId, before: UUID | None, limit: int, *, item_id: UUID | None, customer_id: UUID | None
) -> list[ItemComment]:
    """Return comments of an item, or of all items of a customer, below an id, the newest first."""
    rows = await session.rows(
        f"""select {_COLUMNS} from item_comment
             where tenant_id = $1 and ($2::uuid is null or item_comment_id < $2) and ($4::uuid is null or item_id = $4)
               and ($5::uuid is null or customer_id = $5)
             order by item_comment_id desc limit $3""",  # fixed words
        tenant_id,
        before,
        limit,
        item_id,
        customer_id,
    )
    return [ItemComment(**dict(row)) for row in rows]


async def comments_of(session: ReadSession, tenant_id: TenantId, ids: Sequence[UUID]) -> list[ItemComment]:
    """Return comments by their ids, the oldest first."""
    rows = await session.rows(
        f"select {_COLUMNS} from item_comment where tenant_id = $1 and item_comment_id = any ($2::uuid[]) order by item_comment_id",  # fixed words
        tenant_id,
        list(ids),
    )
    return [ItemComment(**dict(row)) for row in rows]


async def statuses_before(session: ReadSession, tenant_id: TenantId, item_ids: Sequence[UUID], source_ids: Sequence[UUID], category: str) -> dict[UUID, str]:
    """Return, of items that have a status of a category, the status they had before some sources set it; the latest of these counts."""
    rows = await session.rows(
        """select distinct on (c.item_id) c.item_id, c.previous_status_code
             from item_comment c
             join item i on i.tenant_id = $1 and i.item_id = c.item_id
             join item_status s on s.tenant_id = $1 and s.code = i.status_code and s.category = $4
            where c.tenant_id = $1 and c.item_id = any ($2::uuid[]) and c.source_id = any ($3::uuid[]) and c.previous_status_code is not null
            order by c.item_id, c.item_comment_id desc""",
        tenant_id,
        list(item_ids),
        list(source_ids),
        category,
    )
    return {row["item_id"]: row["previous_status_code"] for row in rows}


async def statuses_lost(session: ReadSession, tenant_id: TenantId, item_ids: Sequence[UUID], source_ids: Sequence[UUID], category: str) -> dict[UUID, str]:
    """Return, of items that have no status now, the one of a category that some sources had set last."""
    rows = await session.rows(
        """select distinct on (c.item_id) c.item_id, c.status_code
             from item_comment c
             join item i on i.tenant_id = $1 and i.item_id = c.item_id and i.status_code is null
             join item_status s on s.tenant_id = $1 and s.code = c.status_code and s.category = $4
            where c.tenant_id = $1 and c.item_id = any ($2::uuid[]) and c.source_id = any ($3::uuid[])
            order by c.item_id, c.item_comment_id desc""",
        tenant_id,
        list(item_ids),
        list(source_ids),
        category,
    )
    return {row["item_id"]: row["status_code"] for row in rows}
