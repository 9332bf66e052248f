"""The statement behind the customer explorer: a spine in the order asked for, conditions on it, and what is shown of the customers it leaves."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import asyncpg

from dunning.collection.done_store import done_with
from dunning.collection.ledger_days import LedgerDays
from dunning.collection.step_store import RUNGS, STEP, Rungs
from dunning.kit.database import ReadSession, encode_json
from dunning.kit.ids import TenantId

Sort = Literal["name", "oldest_due", "overdue_amount", "last_action"]

_OPEN_DEBT = "i.tenant_id = $1 and i.direction = 'debit' and i.state = 'posted' and i.allocated_minor < i.amount_minor"
_OF_CUSTOMER = f"{_OPEN_DEBT} and i.customer_id = c.customer_id"
_TODAY = "($3::date[])[array_position($2::uuid[], {}.ledger_id)]"
_LIVE = "('awaiting_approval', 'scheduled', 'waiting')"
NEVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""Stands for no action at all, so that the key of the order is never null."""

_ZONE = "(select l.time_zone from ledger l where l.tenant_id = $1 and l.ledger_id = c.ledger_id)"
_DONE = done_with(customer="c.customer_id", zone=_ZONE)
_LAST_AT = f"coalesce((select max(d.at) from ({_DONE}) d), '{NEVER.isoformat()}'::timestamptz)"

_SPINES: dict[Sort, tuple[str, str, str, bool]] = {
    "name": ("select c.customer_id, c.name_search as key from customer c where {where}", "(key {after} ${key} or (key = ${key} and customer_id > ${id}))",
             "key using ~<~", False),
    # A customer's first open debt in the order of due days is its oldest: the walk ends with the page and never adds up the ledger.
    "oldest_due": (f"""select i.customer_id, i.due_on as key from item i join customer c on c.tenant_id = $1 and c.customer_id = i.customer_id
 where {_OPEN_DEBT} and {{beyond}} and {{where}}
   and not exists (select 1 from item j where j.tenant_id = $1 and j.customer_id = i.customer_id and j.direction = 'debit' and j.state = 'posted'
                    and j.allocated_minor < j.amount_minor and j.due_on < i.due_on)
 group by i.due_on, i.customer_id""", "(i.due_on, i.customer_id) > (${key}, ${id})", "key", True),
    # The customers that are looked for come first, each with its day, so that of few only what they owe is added up.
    "overdue_amount": (f"""select k.customer_id, -sum(i.amount_minor - i.allocated_minor)::int8 as key
   from (select c.customer_id, {_TODAY.format("c")} as today from customer c where {{where}} offset 0) k
   join item i on i.customer_id = k.customer_id and {_OPEN_DEBT} and i.currency = ${{currency}} and i.due_on < k.today
  group by k.customer_id""", "(key, customer_id) > (${key}, ${id})", "key", False),
    "last_action": (f"select c.customer_id, {_LAST_AT} as key from customer c where {{where}}", "(key, customer_id) > (${key}, ${id})", "key", False),
}  # fmt: skip

# The look-ups of a customer stand behind an `offset 0`: without fresh statistics the planner would walk all work of the tenant by its day for each.
_SHOWN = f"""
select c.customer_id, c.ledger_id, c.external_id, c.name, c.country, c.territory, c.tags, g.code as group_code, f.key, {_TODAY.format("c")} as today,
       o.sums, o.oldest_due_on, o.items, v.statuses, s.step_code, p.person_id, p.name as person_name, b.degree as block_degree,
       y.kind as last_kind, y.id as last_id, y.what as last_what, y.at as last_at, (y.at at time zone {_ZONE})::date as last_on,
       x.action_id as next_id, x.kind as next_kind, x.task_kind as next_task_kind, x.step_code as next_step_code, x.title as next_title, x.state as next_state, x.scheduled_on as next_on
  from found f
  join customer c on c.tenant_id = $1 and c.customer_id = f.customer_id
  left join customer_group g on g.tenant_id = $1 and g.customer_group_id = c.customer_group_id
 cross join lateral (
   select coalesce(jsonb_agg(jsonb_build_array(q.currency, q.overdue, q.not_due, q.disputed) order by q.currency), '[]') as sums,
          min(q.oldest_due_on) as oldest_due_on, coalesce(sum(q.items), 0)::int as items
     from (select r.currency, sum(r.open) filter (where r.due_on < r.today)::int8 as overdue, sum(r.open) filter (where r.due_on >= r.today)::int8 as not_due,
                  sum(r.disputed)::int8 as disputed, min(r.due_on) as oldest_due_on, count(*) as items
             from (select i.currency, i.due_on, i.amount_minor - i.allocated_minor as open, {_TODAY.format("c")} as today,
                          (select least(t.disputed_minor, i.amount_minor - i.allocated_minor) from dispute_item t
                            where t.tenant_id = $1 and t.item_id = i.item_id and t.open) as disputed
                     from item i where {_OF_CUSTOMER}) r group by r.currency) q) o
 cross join lateral (
   select coalesce(array_agg(distinct i.status_code), '{{}}') as statuses from item i where {_OF_CUSTOMER} and i.status_code is not null) v
 left join lateral ({STEP}) s on true
 left join assignment w on w.tenant_id = $1 and w.customer_id = c.customer_id and w.role = 'collector' and w.lead and w.ended_on is null
 left join person p on p.tenant_id = $1 and p.person_id = w.person_id
 left join lateral (
   select k.degree from account_block k where k.tenant_id = $1 and k.customer_id = c.customer_id and k.state = 'active'
    order by array_position(array['full', 'no_deliveries', 'no_new_orders', 'no_changes'], k.degree) limit 1) b on true
 left join lateral (select d.* from ({_DONE}) d order by d.at desc, d.kind, d.id desc limit 1) y on true
 left join lateral (
   select * from (
     select a.action_id, a.kind, a.task_kind, a.step_code, coalesce(a.title, a.step_name) as title, a.state, a.scheduled_on from action a
      where a.tenant_id = $1 and a.customer_id = c.customer_id and a.state in {_LIVE} offset 0) z
    order by z.scheduled_on, z.action_id limit 1) x on true
 order by f.place
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerFilter:
    """Which customers are looked for; None leaves a condition out. `person_ids` are collectors; `customer_ids` a selection by hand."""

    customer_ids: Sequence[UUID] | None = None
    name_prefix: str | None = None
    overdue_days: int | None = None
    overdue_minor: int | None = None
    currency: str | None = None
    without_action_since: dt.date | None = None
    action_type: str | None = None
    step_code: str | None = None
    status_code: str | None = None
    person_ids: Collection[UUID] | None = None
    unassigned: bool = False
    group_code: str | None = None
    tag: str | None = None
    blocked: bool | None = None
    next_action_before: dt.date | None = None


@dataclass(slots=True)
class _Values:
    """The values of a statement, and the place of each."""

    values: list[Any] = field(default_factory=list)

    def add(self, value: Any) -> int:
        self.values.append(value)
        return len(self.values)


def _conditions(where: CustomerFilter, values: _Values) -> list[str]:
    """Return the conditions on `customer c`; words are fixed, values are parameters."""
    add = values.add
    # The days are named once, so that a search that compares none of them takes the same values.
    found = ["c.tenant_id = $1", "c.ledger_id = any ($2::uuid[])", "$3::date[] is not null"]
    if where.customer_ids is not None:
        found.append(f"c.customer_id = any (${add(list(where.customer_ids))}::uuid[])")
    if where.name_prefix is not None:
        place = add(where.name_prefix)
        found.append(f"c.name_search ~>=~ ${place} and c.name_search ~<~ (${place} || chr(1114111))")
    if where.overdue_days is not None:
        found.append(f"exists (select 1 from item i where {_OF_CUSTOMER} and i.due_on <= {_TODAY.format('c')} - ${add(where.overdue_days)}::int)")
    if where.overdue_minor is not None:
        found.append(
            f"""(select coalesce(sum(i.amount_minor - i.allocated_minor), 0) from item i
                  where {_OF_CUSTOMER} and i.currency = ${add(where.currency)} and i.due_on < {_TODAY.format("c")}) >= ${add(where.overdue_minor)}::int8"""
        )
    if where.without_action_since is not None:
        found.append(_without_action(add(where.without_action_since), None if where.action_type is None else add(where.action_type)))
    if where.step_code is not None:
        place = add(where.step_code)
        counts = f"(select r.code from rung r where r.step_code = ${place})"
        # Whoever never completed such a step is left out before the ladders are walked.
        found.append(
            f"""(exists (select 1 from item_progress p where p.tenant_id = $1 and p.customer_id = c.customer_id and p.state = 'completed' and p.step_code in {counts})
                 or exists (select 1 from item i where {_OF_CUSTOMER} and i.step_reached in {counts}))"""
        )
        found.append(f"({STEP}) = ${place}")
    if where.status_code is not None:
        found.append(f"exists (select 1 from item i where {_OF_CUSTOMER} and coalesce(i.status_code, 'ongoing') = ${add(where.status_code)})")
    collector = "select 1 from assignment s where s.tenant_id = $1 and s.customer_id = c.customer_id and s.role = 'collector' and s.ended_on is null"
    if where.person_ids is not None:
        found.append(f"exists ({collector} and s.person_id = any (${add(list(where.person_ids))}::uuid[]))")
    if where.unassigned:
        found.append(f"not exists ({collector} and s.lead)")
    if where.group_code is not None:
        found.append(f"c.customer_group_id in (select u.customer_group_id from customer_group u where u.tenant_id = $1 and u.code = ${add(where.group_code)})")
    if where.tag is not None:
        found.append(f"${add(where.tag)}::text = any (c.tags)")
    if where.blocked is not None:
        word = "" if where.blocked else "not "
        found.append(f"{word}exists (select 1 from account_block k where k.tenant_id = $1 and k.customer_id = c.customer_id and k.state = 'active')")
    if where.next_action_before is not None:
        found.append(
            f"""exists (select 1 from action a where a.tenant_id = $1 and a.customer_id = c.customer_id and a.state in {_LIVE}
                         and a.scheduled_on < ${add(where.next_action_before)}::date)"""
        )
    return found


def _without_action(since: int, kind: int | None) -> str:
    """Return that there was no action with the customer on a day or after it; with a kind: none of that kind."""
    of_kind = f" and ${kind} = any (d.types)" if kind else ""
    return f"not exists (select 1 from ({_DONE}) d where d.on_day >= ${since}::date{of_kind})"


def _spine(days: LedgerDays, where: CustomerFilter, sort: Sort, currency: str | None, after: tuple[Any, UUID] | None, limit: int | None) -> tuple[str, _Values]:
    values = _Values([None, list(days.ledger_ids), list(days.todays)])
    conditions = " and ".join(_conditions(where, values))
    spine, beyond, order, inside = _SPINES[sort]
    past = "true"
    if after is not None:
        past = beyond.format(key=values.add(after[0]), id=values.add(after[1]), after="~>~")
    # Inside the walk the place it begins at is a condition of the index; elsewhere it is one on the finished keys.
    text = spine.format(where=conditions, beyond=past, currency=values.add(currency) if sort == "overdue_amount" else 0)
    if not inside:
        text = f"select * from ({text}) k where {past}"
    return f"{text} order by {order}, customer_id limit ${values.add(limit)}", values


def _statement(
    days: LedgerDays, where: CustomerFilter, rungs: Rungs, sort: Sort, currency: str | None, after: tuple[Any, UUID] | None, limit: int | None
) -> tuple[str, _Values]:
    spine, values = _spine(days, where, sort, currency, after, limit)
    ladders = RUNGS.format(place=values.add(encode_json(rungs)))
    return f"with {ladders}, found as (select s.*, row_number() over () as place from ({spine}) s) {_SHOWN}", values


async def customers_after(
    session: ReadSession,
    tenant_id: TenantId,
    days: LedgerDays,
    where: CustomerFilter,
    rungs: Rungs,
    *,
    sort: Sort,
    currency: str | None,
    after: tuple[Any, UUID] | None,
    limit: int,
) -> list[asyncpg.Record]:
    """Return customers past a key and id in the order asked for, each with its sums, step, people, last and next action."""
    text, values = _statement(days, where, rungs, sort, currency, after, limit)
    return await session.rows(text, tenant_id, *values.values[1:])


async def stream(
    session: ReadSession, tenant_id: TenantId, days: LedgerDays, where: CustomerFilter, rungs: Rungs, *, sort: Sort, currency: str | None
) -> AsyncIterator[asyncpg.Record]:
    """Yield all customers in the order asked for."""
    text, values = _statement(days, where, rungs, sort, currency, None, None)
    async for row in session.stream(text, tenant_id, *values.values[1:]):
        yield row


async def keys_after(
    session: ReadSession, tenant_id: TenantId, days: LedgerDays, where: CustomerFilter, rungs: Rungs, after: tuple[str, UUID] | None, limit: int
) -> list[tuple[str, UUID]]:
    """Return the customers that a filter finds past a place, by name: the search form of the name, and the id."""
    text, values = _spine(days, where, "name", None, after, limit)
    return [
        (row["key"], row["customer_id"])
        for row in await session.rows(f"with {RUNGS.format(place=values.add(encode_json(rungs)))} {text}", tenant_id, *values.values[1:])
    ]
