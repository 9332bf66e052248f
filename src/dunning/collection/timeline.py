"""What happened about a customer, from all sides and in one order: actions, messages, notes, comments, money, readings, and what was agreed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.collection import activity_store, timeline_store
from dunning.kit.database import ReadSession
from dunning.kit.errors import NotFound
from dunning.kit.ids import CustomerId, TenantId
from dunning.tenancy import people


@dataclass(frozen=True, slots=True)
class Timeline:
    """A page with the names of those who did what it shows, by actor."""

    rows: Sequence[asyncpg.Record]
    names: dict[str, str]


async def timeline(
    session: ReadSession, *, tenant_id: TenantId, customer_id: CustomerId, kinds: Collection[str] | None, before: UUID | None, limit: int
) -> Timeline:
    """Return what was recorded about a customer, of some kinds or all, the newest first; raise `NotFound`.

    Ids carry their time, so that one order holds over all kinds. What a transaction wrote stands in the next request's timeline.
    """
    rows = await timeline_store.timeline_before(session, tenant_id, customer_id, kinds or timeline_store.KINDS, before, limit)
    # What has happened to somebody proves that there is such a customer.
    if not rows and await activity_store.whose(session, tenant_id, customer_id) is None:
        noun = "customer"
        raise NotFound(noun)
    return Timeline(rows, await people.names_of(session, tenant_id=tenant_id, actors=[row["actor"] for row in rows if row["actor"] is not None]))
