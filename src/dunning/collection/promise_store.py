"""Statements about promises and the payment plans they may be instalments of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, CustomerId, ItemId, LedgerId, PlanId, PromiseId, TenantId


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


class Decided(NamedTuple):
    """What became of one promise."""

    promise_id: UUID
    state: str
    received_minor: int


# What was set against the items since the promise was given and stands: receipts, credit notes, the ERP's word. Taking an invoice back is none of it.
_RECEIVED = """select coalesce(sum(e.minor), 0)::bigint as received_minor,
         coalesce(sum(i.amount_minor - i.allocated_minor) filter (where i.state = 'posted'), 0)::bigint as open_minor
    from promise_item x
    join item i on i.tenant_id = $1 and i.item_id = x.item_id
    left join lateral (
      select sum(a.amount_minor) as minor from allocation a
       where a.tenant_id = $1 and a.item_id = x.item_id and a.kind in ('receipt', 'credit', 'erp_adjustment') and a.reverses_id is null
         and a.recorded_at >= p.created_at
         and not exists (select from allocation r where r.tenant_id = $1 and r.reverses_id = a.allocation_id)
    ) e on true
   where x.tenant_id = $1 and x.promise_id = p.promise_id"""

_SELECT = f"""select p.*, case when p.state = 'open' then r.received_minor else p.received_minor end as received_now_minor, r.open_minor, i.items
  from promise p
  cross join lateral ({_RECEIVED}) r
  cross join lateral (
    select jsonb_agg(jsonb_build_object('item_id', x.item_id, 'number', i.number, 'open_at_start_minor', x.open_at_start_minor,
                                        'open_minor', i.amount_minor - i.allocated_minor) order by i.due_on, i.item_id) as items
      from promise_item x join item i on i.tenant_id = $1 and i.item_id = x.item_id
     where x.tenant_id = $1 and x.promise_id = p.promise_id
  ) i"""  # fixed words


async def insert_promises(
    session: Session, tenant_id: TenantId, terms: Terms, promises: Sequence[NewPromise], open_minor: Mapping[ItemId, int], *, actor: str
) -> None:
    """Insert the promises of one agreement, all about the same items."""
    await session.execute(
        """insert into promise (tenant_id, ledger_id, customer_id, plan_id, currency, grace_days, tolerance_percent, pauses, source, note, given_on, actor,
                                promise_id, instalment, amount_minor, due_by_then_minor, promised_on)
           select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, g.* from unnest($13::uuid[], $14::int[], $15::int8[], $16::int8[], $17::date[]) as g""",
        tenant_id, terms.ledger_id, terms.customer_id, terms.plan_id, terms.currency, terms.grace_days, terms.tolerance_percent, terms.pauses, terms.source,
        terms.note, terms.given_on, actor,
        [p.promise_id for p in promises], [p.instalment for p in promises], [p.amount_minor for p in promises], [p.due_by_then_minor for p in promises],
        [p.promised_on for p in promises],
    )  # fmt: skip
    await session.execute(
        """insert into promise_item (tenant_id, customer_id, promise_id, item_id, open_at_start_minor)
           select $1, $2, p.id, g.* from unnest($3::uuid[]) as p(id), unnest($4::uuid[], $5::int8[]) as g""",
        tenant_id, terms.customer_id, [p.promise_id for p in promises], list(open_minor), list(open_minor.values()),
    )  # fmt: skip


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


async def open_promises(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[CustomerId]) -> list[asyncpg.Record]:
    """Return the open promises of some customers with what has come in, instalments of a plan in their order."""
    return await session.rows(
        f"""select p.promise_id, p.customer_id, p.plan_id, p.instalment, p.currency, p.amount_minor, p.due_by_then_minor, p.tolerance_percent, p.promised_on,
                   p.grace_days, p.follow_up_action_id, p.reminder_action_id, r.received_minor, r.open_minor,
                   (select array_agg(x.item_id) from promise_item x where x.tenant_id = $1 and x.promise_id = p.promise_id and x.open) as item_ids
              from promise p cross join lateral ({_RECEIVED}) r
             where p.tenant_id = $1 and p.customer_id = any ($2::uuid[]) and p.state = 'open' order by p.plan_id, p.promised_on, p.promise_id""",  # fixed words
        tenant_id,
        list(customer_ids),
    )


async def decide(session: Session, tenant_id: TenantId, decided: Sequence[Decided], on: dt.date) -> None:
    """Write what became of open promises and let go of their items."""
    if decided:
        await session.execute(
            """with given as (select * from unnest($2::uuid[], $3::text[], $4::int8[]) as g (promise_id, state, received_minor)),
                    done as (
                      update promise p set state = g.state, received_minor = g.received_minor, decided_on = $5, version = version + 1,
                             updated_at = clock_timestamp()
                        from given g where p.tenant_id = $1 and p.promise_id = g.promise_id and p.state = 'open' returning p.promise_id)
               update promise_item x set open = false from done d where x.tenant_id = $1 and x.promise_id = d.promise_id and x.open""",
            tenant_id,
            *map(list, zip(*decided, strict=True)),
            on,
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
        """select kind, actor, business_at, data from event where tenant_id = $1 and customer_id = $2 and subject_id = $3 order by event_id""",
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
    return await session.row("select * from payment_plan where tenant_id = $1 and plan_id = $2", tenant_id, plan_id)


async def plans_after(
    session: ReadSession, tenant_id: TenantId, after: UUID | None, limit: int, *, ledger_id: UUID | None, customer_id: UUID | None, state: str | None
) -> list[asyncpg.Record]:
    """Return plans past an id, by id."""
    return await session.rows(
        """select * from payment_plan
            where tenant_id = $1 and ($2::uuid is null or plan_id > $2) and ($4::uuid is null or ledger_id = $4)
              and ($5::uuid is null or customer_id = $5) and ($6::text is null or state = $6) order by plan_id limit $3""",
        tenant_id, after, limit, ledger_id, customer_id, state,
    )  # fmt: skip


async def end_plans(session: Session, tenant_id: TenantId, states: Mapping[UUID, str], on: dt.date) -> list[asyncpg.Record]:
    """End those of some plans that are active, and return them."""
    if not states:
        return []
    return await session.rows(
        """update payment_plan p set state = g.state, ended_on = $4, version = version + 1, updated_at = clock_timestamp()
             from unnest($2::uuid[], $3::text[]) as g (plan_id, state)
            where p.tenant_id = $1 and p.plan_id = g.plan_id and p.state = 'active' returning p.plan_id, p.customer_id, p.state""",
        tenant_id,
        list(states),
        list(states.values()),
        on,
    )


async def plans_without_open(session: ReadSession, tenant_id: TenantId, plan_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Return those of some active plans of which no instalment is open, with how many of their instalments were kept."""
    return await session.rows(
        """select n.plan_id, count(*) filter (where p.state = 'kept') as kept, count(*) as instalments
             from payment_plan n join promise p on p.tenant_id = $1 and p.plan_id = n.plan_id
            where n.tenant_id = $1 and n.plan_id = any ($2::uuid[]) and n.state = 'active'
            group by n.plan_id having count(*) filter (where p.state = 'open') = 0""",
        tenant_id,
        list(plan_ids),
    )
