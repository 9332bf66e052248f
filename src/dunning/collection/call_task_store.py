"""Statements that make call tasks for many customers at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection.kept_back_store import kept_back
from dunning.kit.columns import UNSEEN_TENANT
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, TenantId

_OPEN_DEBT = "i.direction = 'debit' and i.state = 'posted' and i.allocated_minor < i.amount_minor"


def _not_asked_for(customer: str, ledger: str) -> str:
    """Return the statement of the items of a customer that no call asks for, each with why. A hold or a promise may be what one calls about."""
    causes = kept_back(tenant=UNSEEN_TENANT, customer=customer, ledger=ledger, day="null::date", action="null::uuid")
    return f"select k.item_id, k.why from ({causes}) k where k.mark in ('excluded', 'specific_action')"


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
    """Return those of some customers that exist, with the first call that waits for them already and its day, and what they owe.

    `free` tells whether some of it may be asked for, and is null where nothing is owed; `whys` is what keeps the rest back.
    """
    return await session.rows(
        f"""select c.customer_id, c.ledger_id, l.time_zone, w.action_id as waiting_id, w.scheduled_on as waiting_on,
                   o.free, o.whys
              from customer c join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id
              left join (select distinct on (a.customer_id) a.customer_id, a.action_id, a.scheduled_on from action a
                          where a.tenant_id = $1 and a.customer_id = any ($2::uuid[]) and a.state = 'waiting' and a.task_kind = 'call'
                          order by a.customer_id, a.scheduled_on, a.action_id) w on w.customer_id = c.customer_id
             cross join lateral (
               select bool_or(b.item_id is null) as free, array_agg(distinct b.why) filter (where b.why is not null) as whys
                 from item i left join ({_not_asked_for("c.customer_id", "c.ledger_id")}) b on b.item_id = i.item_id
                where i.tenant_id = $1 and i.customer_id = c.customer_id and {_OPEN_DEBT}) o
             where c.tenant_id = $1 and c.customer_id = any ($2::uuid[])""",
        tenant_id,
        list(customer_ids),
    )


async def insert_calls(session: Session, tenant_id: TenantId, new: NewCalls, *, actor: str) -> int:
    """Insert waiting calls beside the scenario over all open debts of each customer that may be asked for, and return how many.

    Each is for the customer's lead collector where nobody is named.
    """
    made: int = await session.value(
        f"""with chosen as (
              select g.*, c.ledger_id, coalesce($8, (select s.person_id from assignment s where s.tenant_id = $1 and s.customer_id = c.customer_id
                                                        and s.role = 'collector' and s.lead and s.ended_on is null)) as person_id
                from unnest($2::uuid[], $3::uuid[], $4::date[], $9::date[]) as g (action_id, customer_id, local_date, scheduled_on)
                join customer c on c.tenant_id = $1 and c.customer_id = g.customer_id
            ), kept as materialized (
              select b.item_id from chosen c cross join lateral ({_not_asked_for("c.customer_id", "c.ledger_id")}) b
            ), owed as (
              select k.action_id, k.customer_id, i.item_id, i.episode, i.currency, i.amount_minor - i.allocated_minor as open_minor
                from chosen k join item i on i.tenant_id = $1 and i.customer_id = k.customer_id and {_OPEN_DEBT}
               where not exists (select from kept b where b.item_id = i.item_id)
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


async def leave_calls(
    session: Session, tenant_id: TenantId, customer_ids: Collection[CustomerId], item_ids: Collection[UUID], reason: str
) -> list[asyncpg.Record]:
    """Take items of some customers out of the waiting calls that are about all that may be asked for, and return the items with those calls."""
    return await session.rows(
        """with gone as (
             update action_item t set state = 'dropped', reason = $4 from action a
              where t.tenant_id = $1 and t.item_id = any ($3::uuid[]) and t.customer_id = any ($2::uuid[]) and t.state = 'listed'
                and a.tenant_id = $1 and a.action_id = t.action_id and a.state = 'waiting' and (a.content ->> 'about_all')::boolean
             returning t.action_id, t.item_id, t.customer_id
           ), moved as (
             update action a set revision = revision + 1, updated_at = clock_timestamp()
              where a.tenant_id = $1 and a.action_id in (select action_id from gone)
           )
           select action_id, item_id, customer_id from gone order by action_id, item_id""",
        tenant_id,
        list(customer_ids),
        list(item_ids),
        reason,
    )
