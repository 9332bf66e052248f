"""Statements about positions."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from dunning.kit.database import ReadSession
from dunning.kit.ids import CustomerId, TenantId


@dataclass(frozen=True, slots=True)
class CurrencyPosition:
    """Sums in minor units of one currency.

    Disputed and promised are parts of overdue and not due: what is contested, and what open promises still let expect. Credits and receipts are what
    could still be set against them.
    """

    currency: str
    overdue_minor: int
    not_due_minor: int
    disputed_minor: int
    promised_minor: int
    open_credit_minor: int
    unapplied_receipts_minor: int

    @property
    def net_minor(self) -> int:
        """What is owed when everything that could be set against it is."""
        return self.overdue_minor + self.not_due_minor - self.open_credit_minor - self.unapplied_receipts_minor


_SUMS = """select coalesce(o.currency, u.currency) as currency,
       coalesce(o.overdue, 0)::bigint as overdue_minor, coalesce(o.not_due, 0)::bigint as not_due_minor,
       coalesce(o.disputed, 0)::bigint as disputed_minor,
       coalesce((select sum(least(greatest(p.due_minor - p.received_minor, 0), p.open_minor)) from promised p where p.currency = o.currency), 0)::bigint
         as promised_minor,
       coalesce(o.credit, 0)::bigint as open_credit_minor,
       coalesce(u.unapplied, 0)::bigint as unapplied_receipts_minor
  from (select currency,
               sum(open_minor) filter (where direction = 'debit' and due_on < $3) as overdue,
               sum(open_minor) filter (where direction = 'debit' and due_on >= $3) as not_due,
               sum(case when exists (select from disputed d where d.scope = 'customer' or (d.scope = 'item' and d.item_id = i.item_id)) then open_minor
                        else least(open_minor, (select sum(d.minor) from disputed d where d.scope = 'dispute' and d.item_id = i.item_id)) end)
                 filter (where direction = 'debit' and exists (select from disputed d where d.scope = 'customer' or d.item_id = i.item_id)) as disputed,
               sum(open_minor) filter (where direction = 'credit') as credit
          from open_items i where open_minor <> 0 group by currency) o
  full join (select currency, sum(unapplied) as unapplied from money where unapplied <> 0 group by currency) u on u.currency = o.currency
 order by 1"""

# Of an agreement the last instalment's running total is what was promised in all; what came in since it was given counts against it: what is set against
# its items, at once, and what it found to be its own when it was looked at last, money on account included.
_PROMISED = """promised as (
  select p.currency, p.due_minor, r.open_minor, greatest(r.received_minor, p.found_minor) as received_minor
    from (select currency, coalesce(plan_id, promise_id) as agreement, max(due_by_then_minor) as due_minor, min(created_at) as since,
                 (array_agg(promise_id))[1] as promise_id, coalesce(max(received_minor) filter (where {found}), 0) as found_minor
            from promise where tenant_id = $1 and customer_id = $2 and {standing} group by 1, 2) p
    cross join lateral (
      select coalesce(sum(i.open_minor), 0) as open_minor, coalesce(sum(e.minor), 0) as received_minor
        from promise_item x left join open_items i on i.item_id = x.item_id
        left join lateral (
          select sum(a.amount_minor) as minor from allocation a
           where a.tenant_id = $1 and a.item_id = x.item_id and a.kind in ('receipt', 'credit', 'erp_adjustment') and a.reverses_id is null
             and a.recorded_at >= p.since and {entered}
             and not exists (select from allocation r where r.tenant_id = $1 and r.reverses_id = a.allocation_id)) e on true
       where x.tenant_id = $1 and x.promise_id = p.promise_id) r
)"""

_TODAY = f"""with disputed as (
  select item_id, scope, null::bigint as minor from hold
   where tenant_id = $1 and customer_id = $2 and reason = 'dispute' and released_at is null and from_on <= $3 and (until_on is null or until_on >= $3)
  union all
  select item_id, 'dispute', disputed_minor from dispute_item where tenant_id = $1 and customer_id = $2 and open
), open_items as (
  select item_id, currency, direction, due_on, amount_minor - allocated_minor as open_minor from item
   where tenant_id = $1 and customer_id = $2 and state = 'posted' and allocated_minor < amount_minor
), money as (
  select currency, amount_minor - allocated_minor - returned_minor as unapplied from receipt
   where tenant_id = $1 and customer_id = $2 and state in ('received', 'cleared')
), {_PROMISED.format(standing="state = 'open'", entered="true", found="true")}
{_SUMS}"""

_SIGNED = "sum(case when a.reverses_id is null then a.amount_minor else -a.amount_minor end)"
_ENTERED = "a.value_on <= $3 and a.recorded_on <= $4"
# What a promise has found holds for a day by which all of it had come in, where nothing was recorded since the day of knowledge.
_FOUND = "paid_on <= $3 and not exists (select from receipt e where e.tenant_id = $1 and e.customer_id = $2 and e.recorded_on > $4)"

# A document counts from its value date; what it said on the day of knowledge is its newest version recorded by then. An entry counts from
# its value date, its reversal from the reversal's, each as far as recorded by then.
_AS_OF = f"""with disputed as (
  select item_id, scope, null::bigint as minor from hold
   where tenant_id = $1 and customer_id = $2 and reason = 'dispute' and from_on <= $3 and (until_on is null or until_on >= $3)
     and (released_at is null or (released_at at time zone (select l.time_zone from customer c join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id
                                                               where c.tenant_id = $1 and c.customer_id = $2))::date > $3)
  union all
  select x.item_id, 'dispute', x.disputed_minor
    from dispute d join dispute_item x on x.tenant_id = $1 and x.dispute_id = d.dispute_id
   where d.tenant_id = $1 and d.customer_id = $2 and d.opened_on <= $3 and (d.resolved_on is null or d.resolved_on > $3)
), said as (
  select i.item_id, i.currency, i.direction,
         case when d.recorded_on <= $4 then i.amount_minor else (v.item ->> 'amount_minor')::bigint end as amount_minor,
         case when d.recorded_on <= $4 then i.due_on else (v.item ->> 'due_on')::date end as due_on
    from document d
    join item i on i.tenant_id = $1 and i.document_id = d.document_id
    left join lateral (
      select p.value as item, w.value_on
        from document_version w, jsonb_array_elements(w.content -> 'items') p
       where w.tenant_id = $1 and w.document_id = d.document_id and w.recorded_on <= $4 and (p.value ->> 'item_id')::uuid = i.item_id
       order by w.version desc limit 1) v on d.recorded_on > $4
   where d.tenant_id = $1 and d.customer_id = $2 and case when d.recorded_on <= $4 then d.value_on else v.value_on end <= $3
), open_items as (
  select s.item_id, s.currency, s.direction, s.due_on, s.amount_minor - coalesce(e.minor, 0) - coalesce(c.minor, 0) as open_minor
    from said s
    left join lateral (select {_SIGNED} as minor from allocation a where a.tenant_id = $1 and a.item_id = s.item_id and {_ENTERED}) e on true
    left join lateral (select {_SIGNED} as minor from allocation a where a.tenant_id = $1 and a.credit_item_id = s.item_id and {_ENTERED}) c on true
), money as (
  select r.currency, case when r.ended_on <= $3 and r.end_recorded_on <= $4 then 0 else r.amount_minor end - coalesce(e.minor, 0) as unapplied
    from receipt r
    left join lateral (select {_SIGNED} as minor from allocation a where a.tenant_id = $1 and a.receipt_id = r.receipt_id and {_ENTERED}) e on true
   where r.tenant_id = $1 and r.customer_id = $2 and r.received_on <= $3 and r.recorded_on <= $4
), {_PROMISED.format(standing="given_on <= $3 and (decided_on is null or decided_on > $3)", entered=_ENTERED, found=_FOUND)}
{_SUMS}"""


async def position_today(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, today: dt.date) -> list[CurrencyPosition]:
    """Return the sums by currency of what is open now."""
    return [CurrencyPosition(**dict(row)) for row in await session.rows(_TODAY, tenant_id, customer_id, today)]


async def position_as_of(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, as_of: dt.date, known_on: dt.date) -> list[CurrencyPosition]:
    """Return the sums by currency at the end of a day, from the entries recorded by another."""
    return [CurrencyPosition(**dict(row)) for row in await session.rows(_AS_OF, tenant_id, customer_id, as_of, known_on)]
