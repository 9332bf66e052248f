"""The statement that reads everything planning asks about a page of customers: one row a customer, arrays for what it has many of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession
from dunning.kit.ids import CustomerId, LedgerId, TenantId

_LOWEST = UUID(int=0)
_ORDINAL = "({0} - date '0001-01-01') + 1"


def _day(column: str) -> str:
    return _ORDINAL.format(column)


# Every look-up is by customer, or by row behind an `offset 0`, which the planner does not see through: without statistics, on the first nights of
# a tenant, it would otherwise join a page with all rows of the tenant, page by page.
_FACTS = (
    f"""
, ledger_holds as materialized (
  select h.ledger_id, h.until_on from hold h
   where h.tenant_id = $1 and h.scope = 'ledger' and h.released_at is null and h.from_on <= $2 and (h.until_on is null or h.until_on >= $2)
)
select p.customer_id, p.facts_version, p.planned_revision, p.country, p.subdivision, p.tags, p.contact_budget, p.contact_budget_days,
       i.item_ids, i.document_ids, i.numbers, i.documents_on, i.dues_on, i.currencies, i.opens_minor, i.amounts_minor, i.directions,
       i.episodes, i.scenario_ids, i.versions, i.delivered_on, i.automatic, i.imported_ids, i.imported_steps, i.imported_on,
       i.status_item_ids, i.status_codes, e.agreed_ids, e.agreed_kinds, e.agreed_on,
       u.receipt_ids, u.receipt_numbers, u.received_on, u.receipt_currencies, u.receipt_opens_minor, u.receipt_amounts_minor,
       h.held_item_ids, h.held_until,
       g.pending_ids, g.progress_ids, g.progress_episodes, g.progress_scenarios, g.progress_versions, g.progress_steps, g.progress_repeats,
       g.progress_states, g.progress_reasons, g.progress_on, g.progress_counted_from, g.progress_kinds, g.progress_deadlines,
       a.last_contact, a.contact_days, a.sent_scenarios, a.sent_kinds, a.sent_documents, a.sent_on, r.returned_ids, r.returned_on
  from page p
  left join lateral (
    select array_agg(i.item_id::text) as item_ids,
           array_agg(i.document_id::text) as document_ids,
           array_agg(i.number) as numbers,
           array_agg({_day("i.document_on")}) as documents_on,
           array_agg({_day("i.due_on")}) as dues_on,
           array_agg(i.currency) as currencies,
           array_agg(i.amount_minor - i.allocated_minor) as opens_minor,
           array_agg(i.amount_minor) as amounts_minor,
           array_agg(i.direction) as directions,
           array_agg(i.episode) as episodes,
           array_agg(sc.scenario_id::text) as scenario_ids,
           array_agg(coalesce(sc.published_version, 0)) as versions,
           array_agg({_day("i.delivered_on")}) as delivered_on,
           array_agg(coalesce(i.collection_method, p.collection_method) = 'automatic') as automatic,
           array_agg(i.item_id::text) filter (where i.step_reached is not null) as imported_ids,
           array_agg(i.step_reached) filter (where i.step_reached is not null) as imported_steps,
           array_agg({_day("i.last_reminded_on")}) filter (where i.step_reached is not null) as imported_on,
           array_agg(i.item_id::text) filter (where i.status_code is not null) as status_item_ids,
           array_agg(i.status_code) filter (where i.status_code is not null) as status_codes
      from item i
      left join scenario sc on sc.tenant_id = $1 and sc.published_version is not null
        and sc.scenario_id = case i.policy when 'scenario' then i.scenario_id when 'inherit' then p.scenario_id end
     where i.tenant_id = $1 and i.customer_id = p.customer_id and i.allocated_minor < i.amount_minor and i.state = 'posted'
  ) i on true
  left join lateral (
    select array_agg(r.receipt_id::text) as receipt_ids,
           array_agg(coalesce(r.reference, r.external_id)) as receipt_numbers,
           array_agg({_day("r.received_on")}) as received_on,
           array_agg(r.currency) as receipt_currencies,
           array_agg(r.amount_minor - r.allocated_minor - r.returned_minor) as receipt_opens_minor,
           array_agg(r.amount_minor) as receipt_amounts_minor
      from receipt r
     where r.tenant_id = $1 and r.customer_id = p.customer_id
       and r.allocated_minor + r.returned_minor < r.amount_minor and r.state in ('received', 'cleared')
  ) u on true
  left join lateral (
    select array_agg(h.item_id::text) as held_item_ids, array_agg({_day("h.until_on")}) as held_until
      from (
        select h.item_id, h.until_on from hold h
         where h.tenant_id = $1 and h.customer_id = p.customer_id and h.released_at is null
           and h.from_on <= $2 and (h.until_on is null or h.until_on >= $2)
        union all
        select null, l.until_on from ledger_holds l where l.ledger_id = p.ledger_id
      ) h
  ) h on true
  left join lateral (
    select array_agg(g.item_id::text) filter (where g.state = 'pending') as pending_ids,
           array_agg(g.item_id::text) filter (where g.state <> 'pending') as progress_ids,
           array_agg(g.episode) filter (where g.state <> 'pending') as progress_episodes,
           array_agg(g.scenario_id::text) filter (where g.state <> 'pending') as progress_scenarios,
           array_agg(g.scenario_version) filter (where g.state <> 'pending') as progress_versions,
           array_agg(g.step_code) filter (where g.state <> 'pending') as progress_steps,
           array_agg(g.repeat_no) filter (where g.state <> 'pending') as progress_repeats,
           array_agg(g.state) filter (where g.state <> 'pending') as progress_states,
           array_agg(g.reason) filter (where g.state <> 'pending') as progress_reasons,
           array_agg(coalesce({_day("g.completed_on")}, 0)) filter (where g.state <> 'pending') as progress_on,
           array_agg({_day("g.counted_from_on")}) filter (where g.state <> 'pending') as progress_counted_from,
           array_agg(coalesce(a.kind, '')) filter (where g.state <> 'pending') as progress_kinds,
           array_agg({_day("a.deadline_on")}) filter (where g.state <> 'pending') as progress_deadlines
      from item_progress g
      join lateral (
        select from item i where i.tenant_id = $1 and i.item_id = g.item_id and i.allocated_minor < i.amount_minor and i.state = 'posted' offset 0
      ) i on true
      left join lateral (select a.kind, a.deadline_on from action a where a.tenant_id = $1 and a.action_id = g.action_id offset 0) a on true
     where g.tenant_id = $1 and g.customer_id = p.customer_id and g.state <> 'void' and ($3::uuid is null or g.action_id is distinct from $3)
  ) g on true
  left join lateral (
    select max({{contact_day}}) filter (where {{contact}}) as last_contact,
           array_agg({{contact_day}}) filter (where {{contact}} and p.contact_budget is not null
                                              and {{contact_day}} > {_day("$2::date")} - p.contact_budget_days) as contact_days,
           array_agg(a.scenario_id::text) filter (where {{sent}}) as sent_scenarios,
           array_agg(a.kind) filter (where {{sent}}) as sent_kinds,
           array_agg(a.document_id::text) filter (where {{sent}}) as sent_documents,
           array_agg({_day("a.local_date")}) filter (where {{sent}}) as sent_on
      from action a
     where a.tenant_id = $1 and a.customer_id = p.customer_id and a.action_id is distinct from $3
  ) a on true
  left join lateral (
    select array_agg(x.item_id::text) as returned_ids, array_agg({_day("r.returned_on")}) as returned_on
      from payment_return r
      join lateral (
        select x.item_id from allocation x
         where x.tenant_id = $1 and x.receipt_id = r.receipt_id and x.reverses_id is not null and x.reason = 'returned' offset 0
      ) x on true
     where r.tenant_id = $1 and r.customer_id = p.customer_id
  ) r on true
  left join lateral (
    select array_agg(x.item_id::text) as agreed_ids, array_agg(x.kind) as agreed_kinds, array_agg(x.on_day) as agreed_on
      from (
        select d.item_id, 'disputed' as kind, null::int as on_day from dispute_item d
         where d.tenant_id = $1 and d.customer_id = p.customer_id and d.open
        union all
        select t.item_id, 'attached', null from action_item t
         where t.tenant_id = $1 and t.customer_id = p.customer_id and t.state = 'attached' and t.action_id is distinct from $3
        union all
        select o.item_id, 'promised', {_day("m.promised_on")} + m.grace_days
          from promise_item o
          join lateral (
            select m.promised_on, m.grace_days from promise m
             where m.tenant_id = $1 and m.promise_id = o.promise_id and m.state = 'open' and m.pauses offset 0
          ) m on true
         where o.tenant_id = $1 and o.customer_id = p.customer_id and o.open
        union all
        select f.item_id, f.kind, {_day('f."on"')} from item_fact f where f.tenant_id = $1 and f.customer_id = p.customer_id
      ) x
  ) e on true
 order by p.customer_id
""".replace(
        "{contact}",
        "a.origin in ('scenario', 'specific') and a.kind <> 'operations' and a.state in ('completed', 'awaiting_approval', 'scheduled', 'executed', 'waiting')",
    )
    .replace("{contact_day}", f"(case when a.state = 'completed' then {_day('a.completed_on')} else {_day('a.scheduled_on')} end)")
    .replace("{sent}", "a.one_a_day and a.local_date >= $2 and a.state not in ('cancelled', 'rejected', 'superseded')")
)

_PAGE = """
with page as materialized (
  select s.customer_id, s.ledger_id, s.facts_version, s.planned_revision,
         coalesce(c.country, l.country) as country,
         case when c.country is null then coalesce(c.subdivision, l.subdivision) else c.subdivision end as subdivision,
         c.collection_method, c.tags, l.contact_budget, l.contact_budget_days,
         case c.policy when 'never' then null when 'scenario' then c.scenario_id
              else case g.policy when 'never' then null when 'scenario' then g.scenario_id else l.scenario_id end end as scenario_id
    from customer_state s
    join lateral (
      select c.country, c.subdivision, c.collection_method, c.policy, c.scenario_id, c.customer_group_id, c.tags
        from customer c where c.tenant_id = s.tenant_id and c.customer_id = s.customer_id offset 0
    ) c on true
    join ledger l on l.tenant_id = s.tenant_id and l.ledger_id = s.ledger_id
    left join customer_group g on g.tenant_id = s.tenant_id and g.customer_group_id = c.customer_group_id
   where s.tenant_id = $1 and {condition}
)
"""

_DUE = (
    _PAGE.format(
        condition="""s.ledger_id = $4 and s.customer_id > $5 and (s.review_on <= $2 or s.planned_revision < $6 or $8)
     and ($9::uuid[] is null or s.customer_id = any ($9))
     and ($10::text[] is null or g.code = any ($10))
   order by s.customer_id limit $7"""
    )
    + _FACTS
)
_GIVEN = _PAGE.format(condition="s.customer_id = any ($4::uuid[])") + _FACTS


async def facts_of_due(
    session: ReadSession,
    tenant_id: TenantId,
    ledger_id: LedgerId,
    today: dt.date,
    *,
    after: UUID | None,
    revision: int,
    limit: int,
    every: bool = False,
    customer_ids: Sequence[UUID] | None = None,
    group_codes: Sequence[str] | None = None,
) -> list[asyncpg.Record]:
    """Return the facts of the next customers of a ledger that are to be looked at, in id order; `every` looks at sleeping ones too."""
    return await session.rows(
        _DUE, tenant_id, today, None, ledger_id, after or _LOWEST, revision, limit, every,
        None if customer_ids is None else list(customer_ids), None if group_codes is None else list(group_codes),
    )  # fmt: skip


async def facts_of(
    session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[CustomerId], today: dt.date, *, without_action: UUID | None = None
) -> list[asyncpg.Record]:
    """Return the facts of given customers in id order, as if one action did not exist where `without_action` names it."""
    return await session.rows(_GIVEN, tenant_id, today, without_action, list(customer_ids))


async def excluding_statuses(session: ReadSession, tenant_id: TenantId) -> frozenset[str]:
    """Return the codes of the item statuses that take items out of reminding."""
    return frozenset(row["code"] for row in await session.rows("select code from item_status where tenant_id = $1 and excludes", tenant_id))
