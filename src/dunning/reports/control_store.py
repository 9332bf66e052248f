"""Statements of the control reports: what was done with customers, by whom, and what still waits for approval."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from dunning.collection.action_queries import COMPLETED_BY
from dunning.collection.activity_store import NOT_REACHED, SHOWN, WHERE, ActivityFilter, values_of
from dunning.collection.done_store import done_with
from dunning.collection.ledger_days import LedgerDays
from dunning.collection.totals_store import TOTALS_NOW
from dunning.kit.database import ReadSession
from dunning.kit.ids import TenantId
from dunning.tenancy.rules import RIGHTS

DONE_SHOWN = 10
"""How many of the last actions with a customer a row of the action control shows."""
COLLECTING = tuple(sorted(role for role, rights in RIGHTS.items() if "notes:write" in rights.scopes and rights.sees != "nothing"))
"""Roles whose people work with the customers that they see: not who only looks on, counsel with its cases, or who feeds the ledger."""
_DONE = done_with(customer="w.customer_id", zone="l.time_zone")


async def done_about(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[UUID], since: dt.date) -> dict[UUID, list[dict[str, object]]]:
    """Return what was done with some customers since a day, the last first: what `done_store` says is an action, each once.

    Days are those of each customer's ledger. A notice that was told in several messages stands there once, with the last of them.
    """
    rows = await session.rows(
        f"""select w.customer_id, d.done from unnest($2::uuid[]) as w (customer_id)
             join customer c on c.tenant_id = $1 and c.customer_id = w.customer_id
             join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id
             cross join lateral (
               select coalesce(jsonb_agg(jsonb_build_object('kind', z.kind, 'id', z.id, 'what', z.what, 'title', z.title, 'outcome', z.outcome, 'contact', z.contact,
                                                            'on', z.on_day) order by z.at desc, z.id desc), '[]') as done
                 from (select * from (
                         select distinct on (n.kind, n.id) n.kind, n.id, n.what, case when n.kind = 'action' then n.text end as title, n.outcome, n.on_day, n.at,
                                bool_or(n.contact) over (partition by n.kind, n.id) as contact
                           from ({_DONE}) n where n.on_day >= $3 order by n.kind, n.id, n.at desc) b
                        order by b.at desc, b.id desc limit $4) z) d""",
        tenant_id,
        list(customer_ids),
        since,
        DONE_SHOWN,
    )
    return {row["customer_id"]: row["done"] for row in rows}


async def register_after(session: ReadSession, tenant_id: TenantId, where: ActivityFilter, after: tuple[UUID, UUID] | None, limit: int) -> list[asyncpg.Record]:
    """Return activities by customer and then in the order in which they were recorded, past a customer and activity."""
    customer_id, activity_id = after or (UUID(int=0), UUID(int=0))
    return await session.rows(
        f"""select {SHOWN}, c.external_id, c.name as customer_name from activity n
              join customer c on c.tenant_id = $1 and c.customer_id = n.customer_id
              {WHERE} and (n.customer_id, n.activity_id) > ($2, $12) order by n.customer_id, n.activity_id limit $3""",
        tenant_id, customer_id, limit, *values_of(where), activity_id,
    )  # fmt: skip


async def collectors_after(
    session: ReadSession, tenant_id: TenantId, days: LedgerDays, from_on: dt.date, to_on: dt.date, after: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """Return what each person who collects did in a period, past a person's id, by id: calls, contacts, tasks, promises, approvals, and customers now.

    A task counts for whoever completed it, whose ever it was; one that software completed counts for nobody.
    The period's days are those of the ledger in which something was done. Of a call nobody knows whether it reached anybody unless its outcome says so.
    """
    return await session.rows(
        f"""with period as materialized (
             select l.ledger_id, $4::date::timestamp at time zone l.time_zone as begins, ($5::date + 1)::timestamp at time zone l.time_zone as ends
               from ledger l where l.tenant_id = $1 and l.ledger_id = any ($2::uuid[])),
           finished as materialized (
             select e.actor, count(*)::int as completed
               from action a cross join lateral ({COMPLETED_BY}) e
              where a.tenant_id = $1 and a.ledger_id = any ($2::uuid[]) and a.state = 'completed' and a.kind = 'task' and a.completed_on between $4 and $5
              group by e.actor)
           select p.person_id, p.name, p.active, p.team_id, n.activities, n.calls, n.reached, n.kinds, coalesce(f.completed, 0) as completed, v.approved, s.promises, d.disputes, k.customers,
                  o.open_actions, o.overdue_actions
             from (select person_id, name, active, team_id, 'person:' || person_id::text as actor from person
                    where tenant_id = $1 and role = any ($8::text[]) and ($6::uuid is null or person_id > $6) order by person_id limit $7) p
            cross join lateral (
              select coalesce(sum(x.number), 0)::int as activities, coalesce(sum(x.number) filter (where x.kind = 'call'), 0)::int as calls,
                     coalesce(sum(x.reached) filter (where x.kind = 'call'), 0)::int as reached, coalesce(jsonb_object_agg(x.kind, x.number), '{{}}') as kinds
                from (select n.kind, count(*)::int as number, count(*) filter (where n.outcome not in {NOT_REACHED})::int as reached
                        from activity n join period d on d.ledger_id = n.ledger_id
                       where n.tenant_id = $1 and (n.person_id = p.person_id or (n.person_id is null and n.actor = p.actor))
                         and n.business_at >= d.begins and n.business_at < d.ends group by n.kind) x) n
             left join finished f on f.actor = p.actor
            cross join lateral (
              select count(*)::int as approved from action a join period d on d.ledger_id = a.ledger_id
               where a.tenant_id = $1 and a.approved_by = p.actor and a.approved_at >= d.begins and a.approved_at < d.ends) v
            cross join lateral (
              select count(*)::int as promises from promise s where s.tenant_id = $1 and s.ledger_id = any ($2::uuid[]) and s.actor = p.actor
                 and s.given_on between $4 and $5) s
            cross join lateral (
              select count(*)::int as disputes from dispute d where d.tenant_id = $1 and d.ledger_id = any ($2::uuid[]) and d.opened_by = p.actor
                 and d.opened_on between $4 and $5) d
            cross join lateral (
              select count(*)::int as customers from assignment k where k.tenant_id = $1 and k.ledger_id = any ($2::uuid[]) and k.person_id = p.person_id
                 and k.role = 'collector' and k.lead and k.ended_on is null) k
            cross join lateral (
              select count(*)::int as open_actions,
                     count(*) filter (where a.scheduled_on < ($3::date[])[array_position($2::uuid[], a.ledger_id)])::int as overdue_actions
                from action a where a.tenant_id = $1 and a.ledger_id = any ($2::uuid[]) and a.person_id = p.person_id
                 and a.state in ('awaiting_approval', 'scheduled', 'waiting')) o
            order by p.person_id""",
        tenant_id, list(days.ledger_ids), list(days.todays), from_on, to_on, after, limit, list(COLLECTING),
    )  # fmt: skip


async def approvals_after(session: ReadSession, tenant_id: TenantId, days: LedgerDays, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return actions that wait for approval past an id, those that have waited the longest first, with the days they have waited."""
    return await session.rows(
        f"""select a.action_id, a.ledger_id, a.customer_id, c.external_id, c.name as customer_name, a.origin, a.kind, a.step_code, a.step_name, a.title, a.totals, {TOTALS_NOW} as totals_now,
                  a.person_id, p.name as person_name, a.local_date, a.scheduled_on, a.created_at,
                  ($3::date[])[array_position($2::uuid[], a.ledger_id)] - a.local_date as days_waiting
             from action a join customer c on c.tenant_id = $1 and c.customer_id = a.customer_id
             left join person p on p.tenant_id = $1 and p.person_id = a.person_id
            where a.tenant_id = $1 and a.state = 'awaiting_approval' and a.ledger_id = any ($2::uuid[]) and ($4::uuid is null or a.action_id > $4)
            order by a.action_id limit $5""",
        tenant_id, list(days.ledger_ids), list(days.todays), after, limit,
    )  # fmt: skip
