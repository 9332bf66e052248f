"""Recording what happened, numbering it once committed, and reading it in order.

Rows are written in the business transaction without a number. The sequencer numbers committed rows a tenant at a time, so a
transaction that commits late gets a later number, and a reader that has seen number n will never miss a smaller one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from dunning.events import due_work, store
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, EventId, TenantId, new_id


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened: `kind` is `noun.verb`, `data` holds ids and words, never an amount beside a name.

    `actor` is who did this one, where the events recorded together are not all by the same.
    """

    kind: str
    subject_kind: str
    subject_id: UUID
    customer_id: CustomerId | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    actor: str | None = None


async def record(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    kind: str,
    subject_kind: str,
    subject_id: UUID,
    actor: str,
    customer_id: CustomerId | None = None,
    data: Mapping[str, Any] | None = None,
) -> EventId:
    """Record one event in the caller's transaction and return its id."""
    event = NewEvent(kind, subject_kind, subject_id, customer_id, data or {})
    return (await record_many(session, clock, tenant_id=tenant_id, actor=actor, events=[event]))[0]


async def record_many(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, events: Sequence[NewEvent]) -> list[EventId]:
    """Record events in one statement; their order among themselves is kept."""
    if not events:
        return []
    ids = [EventId(new_id()) for _ in events]
    rings = due_work.is_news(session, "sequence")
    await store.insert_events(session, tenant_id, ids, events, actor, clock.now(), rings=rings)
    return ids


async def number_events(session: Session, *, tenant_id: TenantId, limit: int = 5000) -> int:
    """Give numbers to up to `limit` committed events of a tenant and return how many; another worker's numbering is waited for, not raced."""
    await due_work.take(session, tenant_id, "sequence")
    last = await store.lock_counter(session, tenant_id)
    numbered = await store.number_unnumbered(session, tenant_id, last, limit)
    if numbered:
        await store.set_counter(session, tenant_id, last + numbered)
    if numbered == limit:
        await due_work.ring(session, tenant_id, "sequence")
    return numbered


async def events_after(session: ReadSession, *, tenant_id: TenantId, after: int, limit: int, kinds: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return numbered events past a number, in order; reading again from the same number gives the same events first."""
    return [dict(row) for row in await store.numbered_after(session, tenant_id, after, limit, list(kinds) if kinds else None)]
