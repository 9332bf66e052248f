"""The statement that reads everything planning asks about a page of customers: one row a customer, arrays for what it has many of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg

from dunning.collection.contact_budget_store import counted
from dunning.collection.kept_back_store import kept_back
from dunning.kit.columns import UNSEEN_TENANT
from dunning.kit.database import ReadSession
from dunning.kit.ids import ActionId, CustomerId, LedgerId, TenantId

_LOWEST = UUID(int=0)
_ORDINAL = "({0} - date '0001-01-01') + 1"


def _day(column: str) -> str:
    return _ORDINAL.format(column)


_COUNTED = counted(
    customer="p.customer_id", zone="p.time_zone", after="($2::date - p.contact_budget_days)", but_for="p.but_for", where="p.contact_budget is not null",
    tenant=UNSEEN_TENANT,
)  # fmt: skip

# Every look-up is by customer, or by row behind an `offset 0`, which the planner does not see through: without statistics, on the first nights of
# a tenant, it would otherwise join a page with all rows of the tenant, page by page.
_FACTS = (
    f"""
select p.customer_id, p.facts_version, p.planned_revision, p.country, p.subdivision, p.tags, p.contact_budget, p.contact_budget_days,
       p.ledger_id, p.person_contact_budget, p.person_contact_budget_days,
       i.item_ids, i.document_ids, i.numbers, i.documents_on, i.dues_on, i.currencies, i.opens_minor, i.amounts_minor, i.directions,
       i.episodes, i.scenario_ids, i.versions, i.delivered_on, i.automatic, i.imported_ids, i.imported_steps, i.imported_on,
       u.receipt_ids, u.receipt_numbers, u.received_on, u.receipt_currencies, u.receipt_opens_minor, u.receipt_amounts_minor,
       k.kept_ids, k.kept_marks, k.kept_until,
       g.pending_ids, g.progress_ids, g.progress_episodes, g.progress_scenarios, g.progress_versions, g.progress_steps, g.progress_repeats,
       g.progress_states, g.progress_reasons, g.progress_on, g.progress_counted_from, g.progress_kinds, g.progress_deadlines,
       a.last_contact, d.counted_days, a.sent_scenarios, a.sent_kinds, a.sent_documents, a.sent_on, e.fact_ids, e.fact_kinds, e.fact_days
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
           array_agg({_day("i.last_reminded_on")}) filter (where i.step_reached is not null) as imported_on
      from item i
      left join scenario sc on sc.tenant_id = {UNSEEN_TENANT} and sc.published_version is not null
        and sc.scenario_id = case i.policy when 'scenario' then i.scenario_id when 'inherit' then p.scenario_id end
     where i.tenant_id = {UNSEEN_TENANT} and i.customer_id = p.customer_id and i.allocated_minor < i.amount_minor and i.state = 'posted'
  ) i on true
  left join lateral (
    select array_agg(r.receipt_id::text) as receipt_ids,
           array_agg(coalesce(r.reference, r.external_id)) as receipt_numbers,
           array_agg({_day("r.received_on")}) as received_on,
           array_agg(r.currency) as receipt_currencies,
           array_agg(r.amount_minor - r.allocated_minor - r.returned_minor) as receipt_opens_minor,
           array_agg(r.amount_minor) as receipt_amounts_minor
      from receipt r
     where r.tenant_id = {UNSEEN_TENANT} and r.customer_id = p.customer_id
       and r.allocated_minor + r.returned_minor < r.amount_minor and r.state in ('received', 'cleared')
  ) u on true
  left join lateral (
    select array_agg(k.item_id::text) as kept_ids, array_agg(k.mark) as kept_marks, array_agg({_day("k.until_on")}) as kept_until
      from ({kept_back(tenant=UNSEEN_TENANT, customer="p.customer_id", ledger="p.ledger_id", day="$2::date", action="p.but_for")}) k
  ) k on true
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
        select from item i where i.tenant_id = {UNSEEN_TENANT} and i.item_id = g.item_id and i.allocated_minor < i.amount_minor and i.state = 'posted' offset 0
      ) i on true
      left join lateral (select a.kind, a.deadline_on from action a where a.tenant_id = {UNSEEN_TENANT} and a.action_id = g.action_id offset 0) a on true
     where g.tenant_id = {UNSEEN_TENANT} and g.customer_id = p.customer_id and g.state <> 'void' and (g.action_id = p.but_for) is not true
  ) g on true
  left join lateral (
    select max({{contact_day}}) filter (where {{contact}}) as last_contact,
           array_agg(a.scenario_id::text) filter (where {{sent}}) as sent_scenarios,
           array_agg(a.kind) filter (where {{sent}}) as sent_kinds,
           array_agg(a.document_id::text) filter (where {{sent}}) as sent_documents,
           array_agg({_day("a.local_date")}) filter (where {{sent}}) as sent_on
      from action a
     where a.tenant_id = {UNSEEN_TENANT} and a.customer_id = p.customer_id and a.action_id is distinct from p.but_for
  ) a on true
  left join lateral (
    select array_agg({_day("d.on_day")}) as counted_days from ({_COUNTED}) d
  ) d on true
  left join lateral (
    select array_agg(f.item_id::text) as fact_ids, array_agg(f.kind) as fact_kinds, array_agg({_day("f.on_day")}) as fact_days
      from (
        select x.item_id, 'payment_returned' as kind, r.returned_on as on_day
          from payment_return r
          join lateral (
            select x.item_id from allocation x
             where x.tenant_id = {UNSEEN_TENANT} and x.receipt_id = r.receipt_id and x.reverses_id is not null and x.reason = 'returned' offset 0
          ) x on true
         where r.tenant_id = {UNSEEN_TENANT} and r.customer_id = p.customer_id
        union all
        select f.item_id, f.kind, f."on" from item_fact f
          left join lateral (select s.state from promise s where s.tenant_id = {UNSEEN_TENANT} and s.promise_id = f.source_id offset 0) s on f.kind = 'promise_broken'
         where f.tenant_id = {UNSEEN_TENANT} and f.customer_id = p.customer_id and (f.kind <> 'promise_broken' or s.state = 'broken')
      ) f
  ) e on true
 order by p.customer_id
""".replace(
        "{contact}",
        "a.origin in ('scenario', 'specific') and a.kind <> 'operations' and a.state in ('completed', 'awaiting_approval', 'scheduled', 'executed', 'waiting')",
    )
    .replace("{contact_day}", f"(case when a.state = 'completed' then {_day('a.completed_on')} else {_day('a.scheduled_on')} end)")
    .replace("{sent}", "a.one_a_day and a.local_date >= $2 and a.state not in ('cancelled', 'rejected', 'superseded')")
)

_PAGE = f"""
with page as materialized (
  select s.customer_id, s.ledger_id, s.facts_version, s.planned_revision,
         coalesce(c.country, l.country) as country,
         case when c.country is null then coalesce(c.subdivision, l.subdivision) else c.subdivision end as subdivision,
         c.collection_method, c.tags, l.contact_budget, l.contact_budget_days, l.person_contact_budget, l.person_contact_budget_days, l.time_zone,
         {{but_for}} as but_for,
         case c.policy when 'never' then null when 'scenario' then c.scenario_id
              else case g.policy when 'never' then null when 'scenario' then g.scenario_id else l.scenario_id end end as scenario_id
    from customer_state s
    join lateral (
      select c.country, c.subdivision, c.collection_method, c.policy, c.scenario_id, c.customer_group_id, c.tags
        from customer c where c.tenant_id = s.tenant_id and c.customer_id = s.customer_id offset 0
    ) c on true
    join ledger l on l.tenant_id = s.tenant_id and l.ledger_id = s.ledger_id
    left join customer_group g on g.tenant_id = s.tenant_id and g.customer_group_id = c.customer_group_id
   where s.tenant_id = {UNSEEN_TENANT} and {{condition}}
)
"""

_DUE = (
    _PAGE.format(
        but_for="null::uuid",
        condition="""s.ledger_id = $3 and s.customer_id > $4 and (s.review_on <= $2 or s.planned_revision < $5 or $7)
     and ($8::uuid[] is null or s.customer_id = any ($8))
     and ($9::text[] is null or g.code = any ($9))
   order by s.customer_id limit $6""",
    )
    + _FACTS
)
_GIVEN = _PAGE.format(but_for="($4::uuid[])[array_position($3::uuid[], s.customer_id)]", condition="s.customer_id = any ($3::uuid[])") + _FACTS


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
        _DUE, tenant_id, today, ledger_id, after or _LOWEST, revision, limit, every,
        None if customer_ids is None else list(customer_ids), None if group_codes is None else list(group_codes),
    )  # fmt: skip


async def facts_of(
    session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[CustomerId], today: dt.date, *, but_for: Mapping[CustomerId, ActionId]
) -> list[asyncpg.Record]:
    """Return the facts of given customers in id order, each as if the action named for it in `but_for` did not exist."""
    return await session.rows(_GIVEN, tenant_id, today, list(customer_ids), [but_for.get(customer_id) for customer_id in customer_ids])


async def asleep(session: ReadSession, tenant_id: TenantId, ledger_ids: Sequence[LedgerId], today: dt.date, sample: int) -> list[CustomerId]:
    """Return at most `sample` customers of each ledger, drawn at random, whom a run of this day does not look at."""
    rows = await session.rows(
        """select s.customer_id from ledger l cross join lateral (
             select c.customer_id from customer_state c
              where c.tenant_id = $1 and c.ledger_id = l.ledger_id and (c.review_on is null or c.review_on > $3) and c.planned_revision >= l.revision
              order by random() limit $4
           ) s where l.tenant_id = $1 and l.ledger_id = any ($2::uuid[])""",
        tenant_id, list(ledger_ids), today, sample,
    )  # fmt: skip
    return [CustomerId(row["customer_id"]) for row in rows]
