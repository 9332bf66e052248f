"""Statements on what accepted messages complete, several actions at once: they stand in the transaction in which each mail's result is recorded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import asyncpg

from dunning.kit.database import Session
from dunning.kit.ids import ActionId, ClaimId, LedgerId, TenantId


async def actions_to_complete(session: Session, tenant_id: TenantId, action_ids: Collection[ActionId]) -> list[asyncpg.Record]:
    """Lock and return those of some actions that wait for their message, with the customer's calendar and whether operations wait for the completion."""
    return await session.rows(
        """select a.action_id, a.customer_id, a.ledger_id, a.origin, a.kind, a.scheduled_on, l.time_zone, coalesce(c.country, l.country) as country,
                  case when c.country is null then coalesce(c.subdivision, l.subdivision) else c.subdivision end as subdivision,
                  exists (select from operation_record o where o.tenant_id = $1 and o.action_id = a.action_id and o.at_moment = 'completed'
                             and o.state = 'waiting') as operations_wait
             from action a
             join ledger l on l.tenant_id = $1 and l.ledger_id = a.ledger_id
             join customer c on c.tenant_id = $1 and c.customer_id = a.customer_id
            where a.tenant_id = $1 and a.action_id = any ($2::uuid[]) and a.state in ('executed', 'waiting')
            order by a.action_id
            for update of a""",
        tenant_id,
        list(action_ids),
    )


@dataclass(frozen=True, slots=True)
class Completion:
    """One action that is complete on a day. `counted_from_on` and `keeps` say from when that counts, `reminds` whether its items were reminded.

    `done_at` is the instant of what was done by it on that day, None where its message's own instant stands or only the day is known.
    """

    action_id: ActionId
    ledger_id: LedgerId
    completed_on: dt.date
    counted_from_on: dt.date | None
    keeps: bool
    reminds: bool
    done_at: dt.datetime | None = None


_COMPLETE = """
with given as (
  select * from unnest($2::uuid[], $3::uuid[], $4::date[], $5::date[], $6::boolean[], $7::boolean[], $9::timestamptz[])
    as g (action_id, ledger_id, completed_on, counted_from_on, keeps, reminds, done_at)
), done as (
  update item_progress p
     set state = case when p.reason is null then 'completed' else 'skipped' end, completed_on = g.completed_on,
         counted_from_on = case when p.reason is null then case when g.keeps then coalesce(p.counted_from_on, g.counted_from_on) else g.counted_from_on end end
    from given g where p.tenant_id = $1 and p.action_id = g.action_id and p.state = 'pending'
  returning p.item_id, p.step_code, p.state, g.ledger_id, g.completed_on, g.reminds
), shown as (
  insert into item_dunning (tenant_id, item_id, ledger_id, step_code, last_reminded_on, reminders)
  select $1, d.item_id, d.ledger_id, d.step_code, case when d.reminds then d.completed_on end, d.reminds::int from done d where d.state = 'completed'
      on conflict (tenant_id, item_id) do update
     set step_code = excluded.step_code, last_reminded_on = coalesce(excluded.last_reminded_on, item_dunning.last_reminded_on),
         reminders = item_dunning.reminders + excluded.reminders, updated_at = clock_timestamp()
), stood as (
  update action a set state = 'completed', reason = null, completed_on = g.completed_on, executed_at = coalesce(g.done_at, a.executed_at), revision = a.revision + 1,
         updated_at = clock_timestamp()
    from given g where a.tenant_id = $1 and a.action_id = g.action_id
), told as (
  update claim k set state = 'told', told_at = $8
    from given g where k.tenant_id = $1 and k.action_id = g.action_id and k.state = 'issued' and $8::timestamptz is not null
  returning k.claim_id, k.action_id
)
select claim_id, action_id from told order by claim_id
"""


async def complete(session: Session, tenant_id: TenantId, completions: Sequence[Completion], *, told_at: dt.datetime | None) -> list[tuple[ActionId, ClaimId]]:
    """Complete actions of different customers with their pending rows, and return the claims that count as told by it, where `told_at` is given.

    The same effect an action as `action_store.complete`. A second call changes no row of progress, reminder or claim.
    """
    c = completions
    rows = await session.rows(
        _COMPLETE, tenant_id,
        [x.action_id for x in c], [x.ledger_id for x in c], [x.completed_on for x in c], [x.counted_from_on for x in c], [x.keeps for x in c],
        [x.reminds for x in c], told_at, [x.done_at for x in c],
    )  # fmt: skip
    return [(ActionId(row["action_id"]), ClaimId(row["claim_id"])) for row in rows]
