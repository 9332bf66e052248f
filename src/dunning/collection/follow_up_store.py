"""Statements about the actions that belong to agreements: what follows a dispute up, what comes when a promise is broken."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from dunning.collection.action_store import LIVE
from dunning.kit.database import Session
from dunning.kit.ids import ActionId, LedgerId, TenantId


class NewCall(NamedTuple):
    """A call to be put on a list: about whom, when, what it is called, what is to be said, and the items that it is about."""

    action_id: ActionId
    customer_id: UUID
    scheduled_on: dt.date
    title: str
    text: str
    item_ids: Sequence[UUID]


async def live_actions(session: Session, tenant_id: TenantId, action_ids: Sequence[UUID | None]) -> list[asyncpg.Record]:
    """Lock and return those of some actions that have not ended; None among the ids is passed over."""
    return await session.rows(
        "select * from action where tenant_id = $1 and action_id = any ($2::uuid[]) and state = any ($3::text[]) order by action_id for update",
        tenant_id,
        [action_id for action_id in action_ids if action_id is not None],
        list(LIVE),
    )


async def schedule(session: Session, tenant_id: TenantId, days: Mapping[UUID, dt.date]) -> None:
    """Let live actions come on given days."""
    if days:
        await session.execute(
            """update action a set scheduled_on = g.on_day, revision = a.revision + 1, updated_at = clock_timestamp()
                 from unnest($2::uuid[], $3::date[]) as g (action_id, on_day)
                where a.tenant_id = $1 and a.action_id = g.action_id and a.scheduled_on <> g.on_day and a.state = any ($4::text[])""",
            tenant_id,
            list(days),
            list(days.values()),
            list(LIVE),
        )


async def insert_calls(
    session: Session, tenant_id: TenantId, ledger_id: LedgerId, today: dt.date, content: Mapping[str, Any], calls: Sequence[NewCall]
) -> None:
    """Insert calls of one's own about what is still owed of some items, each for the customer's lead collector. They leave the items in their scenario."""
    await session.execute(
        """with called as (select * from unnest($5::uuid[], $6::uuid[], $7::date[], $8::text[], $9::text[]) as g (action_id, customer_id, on_day, title, words)
            ), owed as (
              select g.action_id, i.customer_id, i.item_id, i.episode, i.currency, i.amount_minor - i.allocated_minor as open_minor
                from unnest($10::uuid[], $11::uuid[]) as g (action_id, item_id)
                join item i on i.tenant_id = $1 and i.item_id = g.item_id and i.state = 'posted' and i.allocated_minor < i.amount_minor
            ), totals as (
              select action_id, jsonb_agg(jsonb_build_array(currency, minor) order by currency) as totals
                from (select action_id, currency, sum(open_minor)::int8 as minor from owed group by 1, 2) x group by action_id
            ), made as (
              insert into action (tenant_id, action_id, ledger_id, customer_id, origin, kind, mode, step_name, title, content, local_date, scheduled_on, state,
                                  task_kind, task_text, totals, person_id, afterwards)
              select $1, c.action_id, $2, c.customer_id, 'ad_hoc', 'task', 'manual', c.title, c.title, $4, $3, c.on_day, 'waiting', 'call', c.words,
                     coalesce(t.totals, '[]'),
                     (select s.person_id from assignment s where s.tenant_id = $1 and s.customer_id = c.customer_id and s.role = 'collector' and s.lead
                         and s.ended_on is null), 'resume'
                from called c left join totals t on t.action_id = c.action_id
            )
            insert into action_item (tenant_id, action_id, customer_id, state, item_id, episode, open_minor)
            select $1, action_id, customer_id, 'listed', item_id, episode, open_minor from owed""",
        tenant_id, ledger_id, today, dict(content),
        [call.action_id for call in calls], [call.customer_id for call in calls], [call.scheduled_on for call in calls],
        [call.title for call in calls], [call.text for call in calls],
        [call.action_id for call in calls for _ in call.item_ids], [item_id for call in calls for item_id in call.item_ids],
    )  # fmt: skip


async def actions_on_breach(session: Session, tenant_id: TenantId, item_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Lock and return the live actions that reach a step of the trigger `promise_broken` for some items and of which nothing has left or may have left."""
    return await session.rows(
        """select a.* from action a
            where a.tenant_id = $1 and a.state = any ($3::text[]) and a.action_id in (
                select g.action_id from item_progress g
                  join action b on b.tenant_id = $1 and b.action_id = g.action_id
                  join scenario_version v on v.tenant_id = $1 and v.scenario_id = b.scenario_id and v.version = b.scenario_version
                 cross join lateral jsonb_array_elements(v.content -> 'steps') s
                 where g.tenant_id = $1 and g.item_id = any ($2::uuid[]) and g.state = 'pending' and s ->> 'code' = g.step_code
                   and s -> 'trigger' ->> 'kind' = 'promise_broken')
              and not exists (select from message m where m.tenant_id = $1 and m.action_id = a.action_id
                               and m.state in ('committing', 'uncertain', 'held', 'accepted'))
            order by a.action_id for update""",
        tenant_id,
        list(item_ids),
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
