"""Statements on acts on many customers: whose ledger each is in, and how far what an act has made has come."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession
from dunning.kit.ids import CustomerId, LedgerId, TenantId


async def ledgers_of(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[UUID]) -> dict[CustomerId, LedgerId]:
    """Return the ledger of those of some customers that the caller sees."""
    rows = await session.rows(
        "select customer_id, ledger_id from customer where tenant_id = $1 and customer_id = any ($2::uuid[])", tenant_id, list(customer_ids)
    )
    return {CustomerId(row["customer_id"]): LedgerId(row["ledger_id"]) for row in rows}


async def progress_of(session: ReadSession, tenant_id: TenantId, bulk_id: UUID) -> asyncpg.Record | None:
    """Return how the actions of an act stand and what became of their messages, counted; None where it made none that the caller sees."""
    return await session.row(
        """with acted as (
             select a.action_id, a.title, a.origin, a.state, a.reason, a.created_at from action a where a.tenant_id = $1 and a.bulk_id = $2
           ), told as (
             select m.state from acted a join message m on m.tenant_id = $1 and m.action_id = a.action_id
              where m.is_primary and not m.is_copy and m.resend_of is null
           )
           select min(title) as title, min(origin) as origin, min(created_at) as created_at, count(*)::int as actions,
                  (select jsonb_object_agg(state, n) from (select state, count(*) as n from acted group by state) x) as states,
                  (select coalesce(jsonb_object_agg(reason, n), '{}') from (
                     select reason, count(*) as n from acted where reason is not null group by reason) x) as reasons,
                  (select coalesce(jsonb_object_agg(state, n), '{}') from (select state, count(*) as n from told group by state) x) as messages
             from acted having count(*) > 0""",
        tenant_id,
        bulk_id,
    )
