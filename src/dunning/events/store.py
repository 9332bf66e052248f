"""Statements on events."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from dunning.kit.columns import columns_of
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import EventId, TenantId

if TYPE_CHECKING:
    from dunning.events.service import NewEvent

_TYPES = {"event_id": "uuid", "kind": "text", "subject_kind": "text", "subject_id": "uuid", "customer_id": "uuid", "data": "jsonb", "actor": "text"}


async def insert_events(
    session: Session, tenant_id: TenantId, ids: Sequence[EventId], events: Sequence[NewEvent], actor: str, business_at: dt.datetime, *, rings: bool
) -> None:
    """Insert events without a number and, where asked, the due-work row that has them numbered: a mail's result is a chain of small statements."""
    rows = [(i, e.kind, e.subject_kind, e.subject_id, e.customer_id, dict(e.data), e.actor or actor) for i, e in zip(ids, events, strict=True)]
    columns = columns_of(_TYPES, rows, first=4)
    await session.execute(
        f"""with rung as (insert into due_work (tenant_id, kind, due_at) select $1, 'sequence', now() where $3)
            insert into event (tenant_id, business_at, {", ".join(_TYPES)})
            select $1, $2, {columns.selected} from {columns.source}""",  # fixed words
        tenant_id,
        business_at,
        rings,
        *columns.values,
    )


async def lock_counter(session: Session, tenant_id: TenantId) -> int:
    """Lock the tenant's event counter and return the last number given."""
    await session.execute("insert into event_counter (tenant_id) values ($1) on conflict do nothing", tenant_id)
    return int(await session.value("select last_seq from event_counter where tenant_id = $1 for update", tenant_id))


async def number_unnumbered(session: Session, tenant_id: TenantId, last: int, limit: int) -> int:
    """Give the next numbers to the oldest events without one."""
    return await session.execute(
        """update event e set seq = $2 + n.place
             from (select event_id, row_number() over (order by event_id) as place
                     from (select event_id from event where tenant_id = $1 and seq is null order by event_id limit $3) first) n
            where e.tenant_id = $1 and e.event_id = n.event_id and e.seq is null""",
        tenant_id,
        last,
        limit,
    )


async def set_counter(session: Session, tenant_id: TenantId, last: int) -> None:
    """Store the last number given."""
    await session.execute("update event_counter set last_seq = $2 where tenant_id = $1", tenant_id, last)


async def numbered_after(session: ReadSession, tenant_id: TenantId, after: int, limit: int, kinds: list[str] | None) -> list[asyncpg.Record]:
    """Return events in number order past a number, of the given kinds or all."""
    return await session.rows(
        """select seq, event_id, kind, subject_kind, subject_id, customer_id, data, actor, business_at, recorded_at
             from event where tenant_id = $1 and seq > $2 and ($4::text[] is null or kind = any($4)) order by seq limit $3""",
        tenant_id,
        after,
        limit,
        kinds,
    )
