"""Statements on items that owe again after they were settled."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from dunning.kit.database import ReadSession
from dunning.kit.ids import CustomerId, TenantId


async def without_action(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[CustomerId]) -> list[asyncpg.Record]:
    """Return the items of some customers that owe in a later episode in which no action about them was made yet, whatever became of it."""
    return await session.rows(
        """select i.customer_id, i.item_id, i.number from item i
            where i.tenant_id = $1 and i.customer_id = any ($2::uuid[]) and i.episode > 1 and i.direction = 'debit' and i.state = 'posted'
              and i.allocated_minor < i.amount_minor
              and not exists (select from action_item t where t.tenant_id = $1 and t.item_id = i.item_id and t.episode = i.episode)
              and not exists (select from item_progress g where g.tenant_id = $1 and g.item_id = i.item_id and g.episode = i.episode and g.action_id is not null)
            order by i.customer_id, i.item_id""",
        tenant_id,
        list(customer_ids),
    )
