"""Statements on what is told a second time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, ClaimId, MessageId, TenantId


async def last_told(session: ReadSession, tenant_id: TenantId, action_ids: Collection[ActionId]) -> dict[ActionId, asyncpg.Record]:
    """Return the last accepted primary message of each of some actions, with the claim that it told."""
    rows = await session.rows(
        """select distinct on (m.action_id) m.action_id, coalesce(m.resend_of, m.message_id) as first_id, m.content_mode, k.claim_id, k.data
             from message m join claim k on k.tenant_id = $1 and k.claim_id = m.claim_id
            where m.tenant_id = $1 and m.action_id = any ($2::uuid[]) and m.is_primary and not m.is_copy and m.state = 'accepted'
            order by m.action_id, m.message_id desc""",
        tenant_id,
        list(action_ids),
    )
    return {ActionId(row["action_id"]): row for row in rows}


async def with_resends_under_way(session: ReadSession, tenant_id: TenantId, action_ids: Collection[ActionId]) -> set[ActionId]:
    """Return those of some actions of which a message is on its way."""
    rows = await session.rows(
        """select distinct action_id from message where tenant_id = $1 and action_id = any ($2::uuid[]) and is_primary and not is_copy
              and state in ('ready', 'leased', 'committing', 'retry_wait', 'uncertain', 'held')""",
        tenant_id,
        list(action_ids),
    )
    return {ActionId(row["action_id"]) for row in rows}


async def tell_claims(session: Session, tenant_id: TenantId, claim_ids: Collection[ClaimId], at: dt.datetime, on: dt.date) -> list[asyncpg.Record]:
    """Note that issued claims have been told, raise the reminders of their items where they count, and return those that became told."""
    return await session.rows(
        """with told as (
             update claim set state = 'told', told_at = $3 where tenant_id = $1 and claim_id = any ($2::uuid[]) and state = 'issued'
             returning claim_id, customer_id, action_id, data
           ), counted as (
             update item_dunning n set reminders = n.reminders + 1, last_reminded_on = greatest(n.last_reminded_on, $4), updated_at = clock_timestamp()
               from (select distinct (r->>'item_id')::uuid as item_id from told t
                       cross join lateral jsonb_array_elements(t.data->'blocks') as b(block)
                       cross join lateral jsonb_array_elements(b.block->'rows') as r
                      where t.data ? 'counts_again' and r->>'section' = 'candidate') c
              where n.tenant_id = $1 and n.item_id = c.item_id
           )
           select claim_id, customer_id, action_id from told order by claim_id""",
        tenant_id,
        list(claim_ids),
        at,
        on,
    )


async def void_unheard(session: Session, tenant_id: TenantId, claim_id: ClaimId, message_id: MessageId, reason: str) -> bool:
    """Make an issued claim void that no message but a failed one was to tell; False where another still may, or it was told."""
    return bool(
        await session.execute(
            """update claim k set state = 'void', void_reason = $4, revision = revision + 1
                where k.tenant_id = $1 and k.claim_id = $2 and k.state = 'issued'
                  and not exists (select 1 from message m where m.tenant_id = $1 and m.action_id = k.action_id and m.claim_id = $2 and m.message_id <> $3
                                     and m.state not in ('rejected', 'suppressed', 'expired', 'cancelled', 'closed_unknown', 'parked'))""",
            tenant_id,
            claim_id,
            message_id,
            reason,
        )
    )
