"""Statements on call lists: which customers are to be called by a day, what their order is made of, and what whoever calls wants to see."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from dunning.collection.contact_budget_store import counted
from dunning.collection.done_store import done_with
from dunning.collection.worklist_store import Scope
from dunning.kit.database import ReadSession
from dunning.kit.ids import LedgerId, TenantId

_MADE = counted(
    customer="k.customer_id", zone="k.time_zone", after="(k.today - k.contact_budget_days)", but_for="null::uuid",
    where="k.contact_budget is not null and not k.beyond_budget",
)  # fmt: skip
"""The contacts that were made: calls that wait do not keep one another from being made."""
_OPEN_DEBT = "i.direction = 'debit' and i.state = 'posted' and i.allocated_minor < i.amount_minor"


async def facts_of_calls(session: ReadSession, tenant_id: TenantId, scope: Scope, by: dt.date, broken_since: dt.date) -> list[asyncpg.Record]:
    """Return the customers with a call that waits for a day up to `by`, each with the facts of its priority and of its contact budget.

    A call that may go beyond the budget is as one of a ledger without.
    """
    return await session.rows(
        f"""with called as (
              select a.customer_id, a.ledger_id, bool_or(coalesce(a.content ->> 'beyond_budget', 'false') = 'true') as beyond_budget from action a
               where a.tenant_id = $1 and a.state = 'waiting' and a.task_kind = 'call' and a.ledger_id = any ($2::uuid[]) and a.scheduled_on <= $5
                 and ($4::uuid[] is null or a.person_id = any ($4))
               group by a.customer_id, a.ledger_id
            ), placed as (
              select c.*, l.time_zone, l.contact_budget, l.contact_budget_days, ($3::date[])[array_position($2::uuid[], c.ledger_id)] as today
                from called c join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id)
            select k.customer_id, k.ledger_id, k.today, k.contact_budget, k.contact_budget_days, o.overdue, o.oldest_due_on, b.broken_promises,
                   n.last_contact_on, s.steps, q.contact_days
              from placed k
             cross join lateral (
               select array_agg(d.on_day) as contact_days from ({_MADE}) d where d.made) q
             cross join lateral (
               select coalesce(jsonb_agg(jsonb_build_array(x.currency, x.minor) order by x.currency), '[]') as overdue, min(x.oldest_due_on) as oldest_due_on
                 from (select i.currency, sum(i.amount_minor - i.allocated_minor)::int8 as minor, min(i.due_on) as oldest_due_on from item i
                        where i.tenant_id = $1 and i.customer_id = k.customer_id and {_OPEN_DEBT} and i.due_on < k.today group by i.currency) x) o
             cross join lateral (
               select count(*)::int as broken_promises from promise p
                where p.tenant_id = $1 and p.customer_id = k.customer_id and p.state = 'broken' and p.decided_on >= $6) b
             cross join lateral (
               select max(d.on_day) as last_contact_on from ({done_with(customer="k.customer_id", zone="k.time_zone")}) d where d.contact) n
             cross join lateral (
               select coalesce(max(x.steps), 0)::int as steps from (
                 select count(distinct p.step_code) as steps from item_progress p
                   join item i on i.tenant_id = $1 and i.item_id = p.item_id and i.episode = p.episode and {_OPEN_DEBT}
                  where p.tenant_id = $1 and p.customer_id = k.customer_id and p.state = 'completed' group by p.item_id) x) s""",
        tenant_id, list(scope.days.ledger_ids), list(scope.days.todays), None if scope.person_ids is None else list(scope.person_ids), by, broken_since,
    )  # fmt: skip


async def rows_of(
    session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[UUID], by: dt.date, person_ids: Sequence[UUID] | None
) -> dict[UUID, asyncpg.Record]:
    """Return what whoever calls some customers wants to see: names, the lead collector, phones, the calls that wait with whose they are, the last contact."""
    rows = await session.rows(
        f"""select c.customer_id, c.ledger_id, c.external_id, c.name, c.language, c.time_zone, p.person_id as collector_id, p.name as collector_name, k.phones, a.actions,
                  n.kind as contact_noun, n.id as contact_id, n.what as contact_kind, n.outcome as contact_outcome, n.text as contact_text, n.at as contact_at,
                  n.on_day as contact_on, n.actor as contact_actor
             from unnest($2::uuid[]) as w (customer_id)
             join customer c on c.tenant_id = $1 and c.customer_id = w.customer_id
             join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id
             left join assignment s on s.tenant_id = $1 and s.customer_id = c.customer_id and s.role = 'collector' and s.lead and s.ended_on is null
             left join person p on p.tenant_id = $1 and p.person_id = s.person_id
            cross join lateral (
              select coalesce(jsonb_agg(jsonb_build_object('contact_id', k.contact_id, 'name', k.name, 'phone', k.phone, 'roles', to_jsonb(k.roles),
                                                           'language', k.language, 'email', k.email) order by k.external_id), '[]') as phones
                from contact k where k.tenant_id = $1 and k.customer_id = c.customer_id and not k.internal and k.phone is not null) k
            cross join lateral (
              select coalesce(jsonb_agg(jsonb_build_object('action_id', a.action_id, 'origin', a.origin, 'step_code', a.step_code,
                                                           'title', coalesce(a.title, a.step_name), 'text', a.task_text, 'scheduled_on', a.scheduled_on,
                                                           'person_id', a.person_id, 'person_name', o.name)
                                        order by a.scheduled_on, a.action_id), '[]') as actions
                from action a left join person o on o.tenant_id = $1 and o.person_id = a.person_id
               where a.tenant_id = $1 and a.customer_id = c.customer_id and a.state = 'waiting' and a.task_kind = 'call'
                 and a.scheduled_on <= $3 and ($4::uuid[] is null or a.person_id = any ($4))) a
             left join lateral (
              select d.* from ({done_with(customer="c.customer_id", zone="l.time_zone")}) d where d.contact order by d.at desc, d.kind desc, d.id desc limit 1) n on true""",
        tenant_id, list(customer_ids), by, None if person_ids is None else list(person_ids),
    )  # fmt: skip
    return {row["customer_id"]: row for row in rows}


class Terms(NamedTuple):
    """The weights of priority that a ledger states, and its budget of a person."""

    priority_weights: dict[str, int]
    person_contact_budget: int | None
    person_contact_budget_days: int | None


async def terms_of(session: ReadSession, tenant_id: TenantId, ledger_ids: Sequence[LedgerId]) -> dict[LedgerId, Terms]:
    """Return what ledgers state about calling."""
    rows = await session.rows(
        """select ledger_id, priority_weights, person_contact_budget, person_contact_budget_days from ledger
            where tenant_id = $1 and ledger_id = any ($2::uuid[])""",
        tenant_id,
        ledger_ids,
    )
    return {LedgerId(ledger_id): Terms(*terms) for ledger_id, *terms in rows}
