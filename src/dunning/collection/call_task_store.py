"""Statements that make call tasks for many customers at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import TenantId

_OPEN_DEBT = "i.direction = 'debit' and i.state = 'posted' and i.allocated_minor < i.amount_minor"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCalls:
    """The same call about several customers. `days` are the local days on which they are made, `scheduled` those on which they are due."""

    action_ids: Sequence[UUID]
    customer_ids: Sequence[UUID]
    days: Sequence[dt.date]
    scheduled: Sequence[dt.date]
    title: str
    text: str
    content: dict[str, Any]
    person_id: UUID | None


async def candidates(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Return those of some customers that exist, with the first call that waits for them already and its day, and whether they owe anything."""
    return await session.rows(
        f"""select c.customer_id, c.ledger_id, l.time_zone, w.action_id as waiting_id, w.scheduled_on as waiting_on,
                   exists (select 1 from item i where i.tenant_id = $1 and i.customer_id = c.customer_id and {_OPEN_DEBT}) as owes
              from customer c join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id
              left join (select distinct on (a.customer_id) a.customer_id, a.action_id, a.scheduled_on from action a
                          where a.tenant_id = $1 and a.customer_id = any ($2::uuid[]) and a.state = 'waiting' and a.task_kind = 'call'
                          order by a.customer_id, a.scheduled_on, a.action_id) w on w.customer_id = c.customer_id
             where c.tenant_id = $1 and c.customer_id = any ($2::uuid[])""",
        tenant_id,
        list(customer_ids),
    )


async def insert_calls(session: Session, tenant_id: TenantId, new: NewCalls, *, actor: str) -> int:
    """Insert waiting calls beside the scenario over all open debts of each customer, for its lead collector where nobody is named; return how many."""
    made: int = await session.value(
        f"""with chosen as (
              select g.*, c.ledger_id, coalesce($8, (select s.person_id from assignment s where s.tenant_id = $1 and s.customer_id = c.customer_id
                                                        and s.role = 'collector' and s.lead and s.ended_on is null)) as person_id
                from unnest($2::uuid[], $3::uuid[], $4::date[], $9::date[]) as g (action_id, customer_id, local_date, scheduled_on)
                join customer c on c.tenant_id = $1 and c.customer_id = g.customer_id
            ), owed as (
              select k.action_id, k.customer_id, i.item_id, i.episode, i.currency, i.amount_minor - i.allocated_minor as open_minor
                from chosen k join item i on i.tenant_id = $1 and i.customer_id = k.customer_id and {_OPEN_DEBT}
            ), totals as (
              select action_id, jsonb_agg(jsonb_build_array(currency, minor) order by currency) as totals
                from (select action_id, currency, sum(open_minor)::int8 as minor from owed group by 1, 2) x group by action_id
            ), made as (
              insert into action (tenant_id, action_id, ledger_id, customer_id, origin, step_name, title, kind, mode, content, local_date, scheduled_on, state,
                                  task_kind, task_text, totals, person_id, afterwards, created_by)
              select $1, k.action_id, k.ledger_id, k.customer_id, 'ad_hoc', $5, $5, 'task', 'manual', $7, k.local_date, k.scheduled_on, 'waiting',
                     'call', $6, t.totals, k.person_id, 'resume', $10
                from chosen k join totals t on t.action_id = k.action_id returning 1
            ), tied as (
              insert into action_item (tenant_id, action_id, customer_id, item_id, episode, open_minor, state)
              select $1, action_id, customer_id, item_id, episode, open_minor, 'listed' from owed
            )
            select count(*)::int from made""",
        tenant_id, list(new.action_ids), list(new.customer_ids), list(new.days), new.title, new.text, new.content, new.person_id, list(new.scheduled),
        actor,
    )  # fmt: skip
    return made
