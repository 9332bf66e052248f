"""Statements about promises and the payment plans they may be instalments of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from dunning.collection.promise_rules import broken_on, last_day
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, CustomerId, ItemId, LedgerId, PlanId, PromiseId, TenantId
from dunning.tenancy.people_store import author_of


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPromise:
    """A promise to be inserted; `due_by_then_minor` is what must have come in by its day, earlier instalments included."""

    promise_id: PromiseId
    instalment: int | None
    amount_minor: int
    due_by_then_minor: int
    promised_on: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the promises of one agreement share."""

    ledger_id: LedgerId
    customer_id: CustomerId
    plan_id: PlanId | None
    currency: str
    grace_days: int
    tolerance_percent: int
    pauses: bool
    source: str
    note: str | None
    given_on: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseFilter:
    """Which promises a list holds; None leaves a column out of account."""

    ledger_id: UUID | None = None
    customer_id: UUID | None = None
    item_id: UUID | None = None
    plan_id: UUID | None = None
    state: str | None = None
    from_on: dt.date | None = None
    to_on: dt.date | None = None


class Turn(NamedTuple):
    """What one promise is from now on."""

    promise_id: UUID
    state: str
    reason: str | None
    received_minor: int
    paid_on: dt.date | None
    last_on: dt.date | None
    look_on: dt.date | None


_SELECT = f"""select p.*, {author_of("p.actor")} as author, i.items
  from promise p
  cross join lateral (
    select jsonb_agg(jsonb_build_object('item_id', x.item_id, 'number', i.number, 'open_at_start_minor', x.open_at_start_minor,
                                        'open_minor', i.amount_minor - i.allocated_minor) order by i.due_on, i.item_id) as items
      from promise_item x join item i on i.tenant_id = $1 and i.item_id = x.item_id
     where x.tenant_id = $1 and x.promise_id = p.promise_id
  ) i"""


async def insert_promises(
    session: Session, tenant_id: TenantId, terms: Terms, promises: Sequence[NewPromise], open_minor: Mapping[ItemId, int], *, actor: str
) -> None:
    """Insert the promises of one agreement, all about the same items."""
    await session.execute(
        """insert into promise (tenant_id, ledger_id, customer_id, plan_id, currency, grace_days, tolerance_percent, pauses, source, note, given_on, agreed_on, actor,
                                promise_id, instalment, amount_minor, due_by_then_minor, promised_on, last_on, look_on)
           select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, g.*
             from unnest($13::uuid[], $14::int[], $15::int8[], $16::int8[], $17::date[], $18::date[], $19::date[]) as g""",
        tenant_id, terms.ledger_id, terms.customer_id, terms.plan_id, terms.currency, terms.grace_days, terms.tolerance_percent, terms.pauses, terms.source,
        terms.note, terms.given_on, actor,
        [p.promise_id for p in promises], [p.instalment for p in promises], [p.amount_minor for p in promises], [p.due_by_then_minor for p in promises],
        [p.promised_on for p in promises], [last_day(p.promised_on, terms.grace_days) for p in promises],
        [broken_on(p.promised_on, terms.grace_days) for p in promises],
    )  # fmt: skip
    await session.execute(
        """insert into promise_item (tenant_id, customer_id, promise_id, item_id, open_at_start_minor)
           select $1, $2, p.id, g.* from unnest($3::uuid[]) as p(id), unnest($4::uuid[], $5::int8[]) as g""",
        tenant_id, terms.customer_id, [p.promise_id for p in promises], list(open_minor), list(open_minor.values()),
    )  # fmt: skip


async def note_follow_ups(session: Session, tenant_id: TenantId, follow_ups: Mapping[UUID, ActionId]) -> None:
    """Note the calls that come when promises are broken, by promise."""
    if follow_ups:
        await session.execute(
            """update promise p set follow_up_action_id = g.action_id from unnest($2::uuid[], $3::uuid[]) as g (promise_id, action_id)
                where p.tenant_id = $1 and p.promise_id = g.promise_id""",
            tenant_id,
            list(follow_ups),
            list(follow_ups.values()),
        )


async def note_reminders(session: Session, tenant_id: TenantId, reminders: Mapping[UUID, ActionId]) -> None:
    """Note the mails that remind of promises before their days, by promise."""
    if reminders:
        await session.execute(
            """update promise p set reminder_action_id = g.action_id from unnest($2::uuid[], $3::uuid[]) as g (promise_id, action_id)
                where p.tenant_id = $1 and p.promise_id = g.promise_id""",
            tenant_id,
            list(reminders),
            list(reminders.values()),
        )


async def note_actions(session: Session, tenant_id: TenantId, promise_id: PromiseId, follow_up: ActionId | None, reminder: ActionId | None) -> None:
    """Note the actions that belong to a promise: what comes when it is broken, and what reminds of it before."""
    await session.execute(
        "update promise set follow_up_action_id = $3, reminder_action_id = $4 where tenant_id = $1 and promise_id = $2",
        tenant_id,
        promise_id,
        follow_up,
        reminder,
    )


async def promise_of(session: ReadSession, tenant_id: TenantId, promise_id: PromiseId) -> asyncpg.Record | None:
    """Return one promise with its items and what has come in."""
    return await session.row(f"{_SELECT} where p.tenant_id = $1 and p.promise_id = $2", tenant_id, promise_id)


async def promises_after(session: ReadSession, tenant_id: TenantId, where: PromiseFilter, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return promises past an id, by id."""
    return await session.rows(
        f"""{_SELECT} where p.tenant_id = $1 and ($2::uuid is null or p.promise_id > $2) and ($4::uuid is null or p.ledger_id = $4)
              and ($5::uuid is null or p.customer_id = $5) and ($6::uuid is null or p.plan_id = $6) and ($7::text is null or p.state = $7)
              and ($8::date is null or p.promised_on >= $8) and ($9::date is null or p.promised_on <= $9)
              and ($10::uuid is null or exists (select from promise_item y where y.tenant_id = $1 and y.promise_id = p.promise_id and y.item_id = $10))
            order by p.promise_id limit $3""",  # fixed words
        tenant_id, after, limit, where.ledger_id, where.customer_id, where.plan_id, where.state, where.from_on, where.to_on, where.item_id,
    )  # fmt: skip


async def promises_of_plans(session: ReadSession, tenant_id: TenantId, plan_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Return the instalments of some plans in their order."""
    return await session.rows(f"{_SELECT} where p.tenant_id = $1 and p.plan_id = any ($2::uuid[]) order by p.plan_id, p.instalment", tenant_id, list(plan_ids))


async def turn(session: Session, tenant_id: TenantId, turns: Sequence[Turn], on: dt.date) -> None:
    """Write what became of promises; an open one holds its items, any other lets go of them."""
    if turns:
        await session.execute(
            """with given as (
                      select * from unnest($2::uuid[], $3::text[], $4::text[], $5::int8[], $6::date[], $7::date[], $8::date[])
                          as g (promise_id, state, reason, received_minor, paid_on, last_on, look_on)),
                    turned as (
                      update promise p
                         set state = g.state, reason = g.reason, received_minor = g.received_minor, paid_on = g.paid_on, last_on = g.last_on,
                             look_on = g.look_on, decided_on = case g.state when 'open' then null else $9::date end, version = p.version + 1,
                             updated_at = clock_timestamp()
                        from given g where p.tenant_id = $1 and p.promise_id = g.promise_id returning p.promise_id, p.state)
               update promise_item x set open = t.state = 'open' from turned t
                where x.tenant_id = $1 and x.promise_id = t.promise_id and x.open <> (t.state = 'open')""",
            tenant_id,
            *map(list, zip(*turns, strict=True)),
            on,
        )


async def note_standings(session: Session, tenant_id: TenantId, standings: Sequence[Turn]) -> None:
    """Note how promises stand that are open and stay so: what has come in, what they wait for, their last day. Their versions stay."""
    if standings:
        await session.execute(
            """update promise p set reason = g.reason, received_minor = g.received_minor, paid_on = g.paid_on, last_on = g.last_on, look_on = g.look_on
                 from unnest($2::uuid[], $3::text[], $4::text[], $5::int8[], $6::date[], $7::date[], $8::date[])
                   as g (promise_id, state, reason, received_minor, paid_on, last_on, look_on)
                where p.tenant_id = $1 and p.promise_id = g.promise_id and p.state = 'open'""",
            tenant_id,
            *map(list, zip(*standings, strict=True)),
        )


async def update_promise(session: Session, tenant_id: TenantId, promise_id: PromiseId, values: Mapping[str, Any]) -> None:
    """Set the given columns of a promise and raise its version."""
    sets = "".join(f", {name} = ${n}" for n, name in enumerate(values, 3))
    await session.execute(
        f"update promise set version = version + 1, updated_at = clock_timestamp(){sets} where tenant_id = $1 and promise_id = $2",  # names of columns
        tenant_id,
        promise_id,
        *values.values(),
    )


async def history_of(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, subject_id: UUID) -> list[asyncpg.Record]:
    """Return what happened to a promise or plan, the oldest first."""
    return await session.rows(
        f"""select kind, actor, {author_of("actor")} as author, business_at, data from event where tenant_id = $1 and customer_id = $2 and subject_id = $3 order by event_id""",
        tenant_id,
        customer_id,
        subject_id,
    )


async def insert_plan(session: Session, tenant_id: TenantId, terms: Terms, total_minor: int, *, actor: str) -> None:
    """Insert a plan; its instalments are inserted as promises."""
    await session.execute(
        """insert into payment_plan (tenant_id, plan_id, ledger_id, customer_id, currency, total_minor, source, note, agreed_on, actor)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
        tenant_id, terms.plan_id, terms.ledger_id, terms.customer_id, terms.currency, total_minor, terms.source, terms.note, terms.given_on, actor,
    )  # fmt: skip


async def plan_of(session: ReadSession, tenant_id: TenantId, plan_id: PlanId) -> asyncpg.Record | None:
    """Return one plan."""
    return await session.row(f"select n.*, {author_of('n.actor')} as author from payment_plan n where tenant_id = $1 and plan_id = $2", tenant_id, plan_id)


async def plans_after(
    session: ReadSession, tenant_id: TenantId, after: UUID | None, limit: int, *, ledger_id: UUID | None, customer_id: UUID | None, state: str | None
) -> list[asyncpg.Record]:
    """Return plans past an id, by id."""
    return await session.rows(
        f"""select n.*, {author_of("n.actor")} as author from payment_plan n
            where tenant_id = $1 and ($2::uuid is null or plan_id > $2) and ($4::uuid is null or ledger_id = $4)
              and ($5::uuid is null or customer_id = $5) and ($6::text is null or state = $6) order by plan_id limit $3""",
        tenant_id, after, limit, ledger_id, customer_id, state,
    )  # fmt: skip


async def settle_plans(session: Session, tenant_id: TenantId, plan_ids: Sequence[UUID], on: dt.date, *, ended: str | None) -> list[asyncpg.Record]:
    """Let some plans be what their instalments make of them, and return those that changed: `plan_id, customer_id, state`.

    One is open: active. One is broken: broken. Else kept where one was kept, or cancelled. `ended` is what a plan is instead of the last two.
    """
    return await session.rows(
        """with judged as (
             select p.plan_id, case when bool_or(p.state = 'open') then 'active'
                                    when bool_or(p.state = 'broken' or p.reason is not distinct from 'plan_broken') then 'broken'
                                    when $4::text is not null then $4 when bool_or(p.state = 'kept') then 'kept' else 'cancelled' end as state
               from promise p where p.tenant_id = $1 and p.plan_id = any ($2::uuid[]) group by p.plan_id)
           update payment_plan n set state = j.state, ended_on = case j.state when 'active' then null else $3::date end, version = n.version + 1,
                  updated_at = clock_timestamp()
             from judged j where n.tenant_id = $1 and n.plan_id = j.plan_id and n.state <> j.state returning n.plan_id, n.customer_id, n.state""",
        tenant_id,
        list(plan_ids),
        on,
        ended,
    )
