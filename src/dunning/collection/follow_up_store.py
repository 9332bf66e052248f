"""Statements about the actions that belong to agreements: what follows a dispute up, what comes when a promise is broken."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from dunning.collection.action_store import LIVE
from dunning.kit.database import Session
from dunning.kit.ids import TenantId


async def live_actions(session: Session, tenant_id: TenantId, action_ids: Sequence[UUID | None]) -> list[asyncpg.Record]:
    """Lock and return those of some actions that have not ended; None among the ids is passed over."""
    return await session.rows(
        "select * from action where tenant_id = $1 and action_id = any ($2::uuid[]) and state = any ($3::text[]) order by action_id for update",
        tenant_id,
        [action_id for action_id in action_ids if action_id is not None],
        list(LIVE),
    )


async def bring_forward(session: Session, tenant_id: TenantId, action_ids: Sequence[UUID | None], on: dt.date) -> None:
    """Let live actions come no later than a day; None among the ids is passed over."""
    wanted = [action_id for action_id in action_ids if action_id is not None]
    if wanted:
        await session.execute(
            """update action set scheduled_on = $3, revision = revision + 1, updated_at = clock_timestamp()
                where tenant_id = $1 and action_id = any ($2::uuid[]) and scheduled_on > $3 and state = any ($4::text[])""",
            tenant_id,
            wanted,
            on,
            list(LIVE),
        )


async def settled_specific_actions(session: Session, tenant_id: TenantId, customer_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Lock and return live specific actions of some customers none of whose items is owed any more and of which nothing has left or may have left."""
    return await session.rows(
        """select a.* from action a
            where a.tenant_id = $1 and a.customer_id = any ($2::uuid[]) and a.origin <> 'scenario'
              and a.state in ('awaiting_approval', 'scheduled', 'waiting')
              and exists (select from action_item t where t.tenant_id = $1 and t.action_id = a.action_id and t.state in ('attached', 'listed'))
              and not exists (select from action_item t join item i on i.tenant_id = $1 and i.item_id = t.item_id
                               where t.tenant_id = $1 and t.action_id = a.action_id and t.state in ('attached', 'listed')
                                 and i.state = 'posted' and i.allocated_minor < i.amount_minor)
              and not exists (select from message m where m.tenant_id = $1 and m.action_id = a.action_id
                               and m.state in ('committing', 'uncertain', 'held', 'accepted'))
            order by a.action_id for update""",
        tenant_id,
        list(customer_ids),
    )
