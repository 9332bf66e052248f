"""The statement behind the report of payments that come just before the next step: what customers settled after a reminder, with the steps behind it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession
from dunning.kit.ids import TenantId

# The look-ups are by customer and by item, so that the walk over customers ends as soon as the page is full.
_SETTLED = """
with page as materialized (
  select c.customer_id, c.ledger_id, c.external_id, c.name, coalesce(c.country, l.country) as country,
         case when c.country is null then coalesce(c.subdivision, l.subdivision) else c.subdivision end as subdivision, n.item_ids, n.paid_on
    from customer c
    join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id
   cross join lateral (
     select array_agg(i.item_id) as item_ids, array_agg(s.value_on) as paid_on
       from (select distinct g.item_id from item_progress g join action a on a.tenant_id = $1 and a.action_id = g.action_id and a.kind in ('notice', 'task')
              where g.tenant_id = $1 and g.customer_id = c.customer_id and g.state = 'completed' and g.completed_on <= $4 offset 0) g
       join item i on i.tenant_id = $1 and i.item_id = g.item_id and i.direction = 'debit' and i.state = 'posted' and i.allocated_minor = i.amount_minor
      cross join lateral (
        select a.kind, a.value_on from allocation a
         where a.tenant_id = $1 and a.item_id = i.item_id and a.episode = i.episode and a.reverses_id is null
           and not exists (select from allocation r where r.tenant_id = $1 and r.reverses_id = a.allocation_id)
         order by a.value_on desc, a.allocation_id desc limit 1) s
      where s.kind in ('receipt', 'erp_adjustment') and s.value_on between $3 and $4) n
   where c.tenant_id = $1 and c.ledger_id = any ($2::uuid[]) and c.customer_id > $5 and cardinality(n.item_ids) >= $6
     and ($7::uuid is null or exists (select from assignment w where w.tenant_id = $1 and w.customer_id = c.customer_id and w.role = 'collector'
                                         and w.person_id = $7 and w.ended_on is null))
   order by c.customer_id limit $8
)
select p.customer_id, p.ledger_id, p.external_id, p.name, p.country, p.subdivision, w.person_id, w.person_name, x.paid_on,
       i.item_id, i.document_id, i.number, i.document_on, i.due_on, i.delivered_on, i.currency, i.amount_minor, i.episode, i.step_reached, i.last_reminded_on,
       g.episodes, g.scenario_ids, g.versions, g.steps, g.repeats, g.states, g.completed_on, g.counted_from_on, g.kinds, g.deadlines, g.action_ids
  from page p
  left join lateral (
    select w.person_id, o.name as person_name from assignment w join person o on o.tenant_id = $1 and o.person_id = w.person_id
     where w.tenant_id = $1 and w.customer_id = p.customer_id and w.role = 'collector' and w.lead and w.ended_on is null) w on true
 cross join lateral unnest(p.item_ids, p.paid_on) as x (item_id, paid_on)
  join item i on i.tenant_id = $1 and i.item_id = x.item_id
 cross join lateral (
   select array_agg(g.episode) as episodes, array_agg(g.scenario_id::text) as scenario_ids, array_agg(g.scenario_version) as versions,
          array_agg(g.step_code) as steps, array_agg(g.repeat_no) as repeats, array_agg(g.state) as states, array_agg(g.completed_on) as completed_on,
          array_agg(g.counted_from_on) as counted_from_on, array_agg(g.kind) as kinds, array_agg(g.deadline_on) as deadlines, array_agg(g.action_id) as action_ids
     from (select g.*, a.kind, a.deadline_on from item_progress g left join action a on a.tenant_id = $1 and a.action_id = g.action_id
            where g.tenant_id = $1 and g.item_id = x.item_id and g.state in ('completed', 'skipped') and coalesce(g.completed_on, '-infinity') <= x.paid_on
            order by g.completed_on nulls first, g.item_progress_id) g) g
 order by p.customer_id, x.paid_on desc, i.item_id desc
"""


async def settled_after_reminders(
    session: ReadSession,
    tenant_id: TenantId,
    ledger_ids: Sequence[UUID],
    from_on: dt.date,
    to_on: dt.date,
    *,
    at_least: int,
    collector_id: UUID | None,
    after: UUID | None,
    limit: int,
) -> list[asyncpg.Record]:
    """Return the items that customers past an id settled by a payment in a period and about which they had been reminded by its last day.

    One row an item, those of a customer side by side, the last paid first, each with the steps it had completed or passed over by the value date of the
    payment that settled it, oldest first. Of at most `limit` customers, by id, who have `at_least` such items.
    """
    return await session.rows(_SETTLED, tenant_id, list(ledger_ids), from_on, to_on, after or UUID(int=0), at_least, collector_id, limit)
