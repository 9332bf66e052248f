"""What happened about a customer, from all sides and in one order: actions, messages, notes, comments, money, readings, and what was agreed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

import asyncpg

from dunning.collection import activity_store, timeline_store
from dunning.kit.database import ReadSession
from dunning.kit.errors import NotFound
from dunning.kit.ids import CustomerId, TenantId


async def timeline(
    session: ReadSession, *, tenant_id: TenantId, customer_id: CustomerId, kinds: Collection[str] | None, before: UUID | None, limit: int
) -> Sequence[asyncpg.Record]:
    """Return what was recorded about a customer, of some kinds or all, with the name of who did it, the newest first; raise `NotFound`.

    Ids carry their time, so that one order holds over all kinds. What a transaction wrote stands in the next request's timeline.
    """
    rows = await timeline_store.timeline_before(session, tenant_id, customer_id, kinds or timeline_store.KINDS, before, limit)
    # What has happened to somebody proves that there is such a customer.
    if not rows and await activity_store.whose(session, tenant_id, customer_id) is None:
        noun = "customer"
        raise NotFound(noun)
    return rows
