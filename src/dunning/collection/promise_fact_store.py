"""Statements that read what promises are judged by: their terms, their items and when these were set apart, and the money that came in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession
from dunning.kit.ids import CustomerId, TenantId

_ROW = """select p.promise_id, p.customer_id, p.plan_id, p.instalment, p.currency, p.amount_minor, p.due_by_then_minor, p.tolerance_percent,
       p.promised_on, p.grace_days, p.agreed_on, p.state, p.reason, p.last_on, p.look_on, p.received_minor, p.paid_on, p.follow_up_action_id, p.reminder_action_id,
       p.created_at, n.state as plan_state, coalesce(p.plan_id, p.promise_id) as agreement_id, x.item_ids,
       exists (select from promise_item o join promise q on q.tenant_id = $1 and q.promise_id = o.promise_id
                where o.tenant_id = $1 and o.item_id = any (x.item_ids) and q.created_at > p.created_at and q.state <> 'cancelled'
                  and coalesce(q.plan_id, q.promise_id) <> coalesce(p.plan_id, p.promise_id)) as promised_anew
  from promise p
  left join payment_plan n on n.tenant_id = $1 and n.plan_id = p.plan_id
 cross join lateral (select array_agg(x.item_id order by x.item_id) as item_ids from promise_item x where x.tenant_id = $1 and x.promise_id = p.promise_id) x"""


async def promises_to_judge(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[CustomerId], since: dt.date) -> list[asyncpg.Record]:
    """Return the promises of some customers that are open, and those whose last day was no longer ago than `since` and whose verdict a later entry may change.

    What was taken back by hand, and what nothing was owed for, is over. Instalments of a plan come in their order.
    """
    return await session.rows(
        f"""{_ROW} where p.tenant_id = $1 and p.customer_id = any ($2::uuid[]) and n.state is distinct from 'cancelled'
              and (p.state = 'open' or (coalesce(p.last_on, p.decided_on) >= $3 and (p.state in ('kept', 'broken') or p.reason = 'plan_broken')))
            order by p.created_at, p.plan_id, p.instalment, p.promise_id""",  # fixed words
        tenant_id,
        list(customer_ids),
        since,
    )


async def open_promises(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> list[asyncpg.Record]:
    """Return the open promises of a customer in the same form."""
    return await session.rows(
        f"{_ROW} where p.tenant_id = $1 and p.customer_id = $2 and p.state = 'open' order by p.created_at, p.plan_id, p.instalment, p.promise_id",  # fixed words
        tenant_id,
        customer_id,
    )


async def items_of(session: ReadSession, tenant_id: TenantId, promise_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Return what the items of some promises owe."""
    return await session.rows(
        """select x.promise_id, x.item_id, case i.state when 'posted' then i.amount_minor - i.allocated_minor else 0 end as open_minor
             from promise_item x join item i on i.tenant_id = $1 and i.item_id = x.item_id
            where x.tenant_id = $1 and x.promise_id = any ($2::uuid[]) order by x.promise_id, x.item_id""",
        tenant_id,
        list(promise_ids),
    )


async def set_apart(session: ReadSession, tenant_id: TenantId, promise_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Return when the items of some promises were disputed or held since these were given, from the first day to the last (null: no end).

    `minor` is what a dispute is about where that is less than the item; null is all of it. Time-ordered ids tell which came later, whatever a tenant's
    clock showed. What is held because a payment was returned is asked for all the same.
    """
    return await session.rows(
        """select x.promise_id, x.item_id, d.opened_on as from_on, d.resolved_on as until_on, case when y.whole then null else y.disputed_minor end as minor,
                  'disputed' as why, d.resolved_on is not null as ended
             from promise_item x
             join dispute_item y on y.tenant_id = $1 and y.item_id = x.item_id and y.dispute_id > x.promise_id
             join dispute d on d.tenant_id = $1 and d.dispute_id = y.dispute_id
            where x.tenant_id = $1 and x.promise_id = any ($2::uuid[])
           union all
           select x.promise_id, x.item_id, h.from_on, least(h.until_on, (h.released_at at time zone l.time_zone)::date), null, 'held', h.released_at is not null
             from promise_item x
             join promise p on p.tenant_id = $1 and p.promise_id = x.promise_id
             join ledger l on l.tenant_id = $1 and l.ledger_id = p.ledger_id
            cross join lateral (
              select h.from_on, h.until_on, h.released_at from hold h
               where h.tenant_id = $1 and h.customer_id = x.customer_id and (h.item_id is null or h.item_id = x.item_id)
                 and h.hold_id > x.promise_id and h.origin <> 'payment_return'
              union all
              select h.from_on, h.until_on, h.released_at from hold h
               where h.tenant_id = $1 and h.ledger_id = p.ledger_id and h.scope = 'ledger' and h.hold_id > x.promise_id) h
            where x.tenant_id = $1 and x.promise_id = any ($2::uuid[])""",
        tenant_id,
        list(promise_ids),
    )


async def payments_towards(
    session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[CustomerId], item_ids: Sequence[UUID], since: dt.datetime
) -> list[asyncpg.Record]:
    """Return money that was recorded from an instant on: set against some items, and left on account by some customers, by its value date.

    A receipt's value date is the day on which it was received. What was reversed is left out; what was returned has the day on which it went away.
    """
    return await session.rows(
        """select i.customer_id, a.allocation_id as payment_id, a.item_id, a.currency, coalesce(r.received_on, a.value_on) as value_on,
                  coalesce(r.recorded_at, a.recorded_at) as recorded_at, a.amount_minor as minor,
                  case when v.allocation_id is not null then b.returned_on end as returned_on
             from allocation a
             join item i on i.tenant_id = $1 and i.item_id = a.item_id
             left join receipt r on r.tenant_id = $1 and r.receipt_id = a.receipt_id
             left join allocation v on v.tenant_id = $1 and v.reverses_id = a.allocation_id
             left join payment_return b on b.tenant_id = $1 and b.receipt_id = a.receipt_id
            where a.tenant_id = $1 and a.item_id = any ($3::uuid[]) and a.kind in ('receipt', 'erp_adjustment') and a.reverses_id is null
              and (v.allocation_id is null or (v.reason = 'returned' and b.payment_return_id is not null)) and coalesce(r.recorded_at, a.recorded_at) >= $4
           union all
           select r.customer_id, r.receipt_id, null, r.currency, r.received_on, r.recorded_at, r.amount_minor - r.allocated_minor - r.returned_minor, null
             from receipt r
            where r.tenant_id = $1 and r.customer_id = any ($2::uuid[]) and r.allocated_minor + r.returned_minor < r.amount_minor
              and r.state in ('received', 'cleared') and r.recorded_at >= $4
           union all
           select r.customer_id, r.receipt_id, null, r.currency, r.received_on, r.recorded_at, r.amount_minor - coalesce(u.minor, 0)::bigint, b.returned_on
             from payment_return b
             join receipt r on r.tenant_id = $1 and r.receipt_id = b.receipt_id
             left join lateral (
               select sum(v.amount_minor) as minor from allocation v
                where v.tenant_id = $1 and v.receipt_id = r.receipt_id and v.reverses_id is not null and v.reason = 'returned') u on true
            where b.tenant_id = $1 and b.customer_id = any ($2::uuid[]) and r.recorded_at >= $4 and r.amount_minor > coalesce(u.minor, 0)""",
        tenant_id,
        list(customer_ids),
        list(item_ids),
        since,
    )
