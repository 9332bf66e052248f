"""Statements about disputes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, CustomerId, DisputeId, ItemId, LedgerId, TenantId
from dunning.tenancy.people_store import author_of, name_of


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDispute:
    """A dispute to be inserted, with the amount that is contested of each item, and the items of which that is all they owe."""

    dispute_id: DisputeId
    ledger_id: LedgerId
    customer_id: CustomerId
    reason: str
    text: str | None
    source: str
    owner_id: UUID | None
    deadline_on: dt.date | None
    opened_on: dt.date
    disputed_minor: Mapping[ItemId, int]
    whole: Collection[ItemId]


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFilter:
    """Which disputes a list holds; None leaves a column out of account."""

    ledger_id: UUID | None = None
    customer_id: UUID | None = None
    item_id: UUID | None = None
    owner_id: UUID | None = None
    state: str | None = None
    reason: str | None = None
    needs_attention: bool | None = None


_UNATTENDED = """d.state = 'open' and not exists (select from action a where a.tenant_id = $1 and a.action_id = d.follow_up_action_id
                                                  and a.state in ('awaiting_approval', 'scheduled', 'executed', 'waiting'))"""

_SELECT = f"""select d.*, d.state = 'open' and d.overdue_on is not null as is_overdue, {_UNATTENDED} as is_unattended, i.items,
       {author_of("d.opened_by")} as opened_by_name, {author_of("d.resolved_by")} as resolved_by_name,
       {name_of("d.owner_id")} as owner_name
  from dispute d
  cross join lateral (
    select jsonb_agg(jsonb_build_object('item_id', x.item_id, 'number', i.number, 'currency', i.currency, 'disputed_minor', x.disputed_minor,
                                        'open_minor', i.amount_minor - i.allocated_minor, 'open', x.open, 'credit_minor', x.credit_minor,
                                        'is_owed', i.state = 'posted' and i.allocated_minor < i.amount_minor) order by i.due_on, i.item_id) as items
      from dispute_item x join item i on i.tenant_id = $1 and i.item_id = x.item_id
     where x.tenant_id = $1 and x.dispute_id = d.dispute_id
  ) i"""  # fixed words


async def insert_dispute(session: Session, tenant_id: TenantId, new: NewDispute, *, actor: str) -> None:
    """Insert a dispute with its items; an item that another open dispute has raises the unique violation."""
    await session.execute(
        """insert into dispute (tenant_id, dispute_id, ledger_id, customer_id, reason, text, source, owner_id, deadline_on, opened_on, opened_by)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)""",
        tenant_id, new.dispute_id, new.ledger_id, new.customer_id, new.reason, new.text, new.source, new.owner_id, new.deadline_on, new.opened_on, actor,
    )  # fmt: skip
    await session.execute(
        """insert into dispute_item (tenant_id, dispute_id, customer_id, item_id, disputed_minor, whole)
           select $1, $2, $3, g.* from unnest($4::uuid[], $5::int8[], $6::boolean[]) as g""",
        tenant_id, new.dispute_id, new.customer_id, list(new.disputed_minor), list(new.disputed_minor.values()),
        [item_id in new.whole for item_id in new.disputed_minor],
    )  # fmt: skip


async def note_follow_up(session: Session, tenant_id: TenantId, dispute_id: DisputeId, action_id: ActionId) -> None:
    """Note the action by which a dispute is followed up."""
    await session.execute("update dispute set follow_up_action_id = $3 where tenant_id = $1 and dispute_id = $2", tenant_id, dispute_id, action_id)


async def dispute_of(session: ReadSession, tenant_id: TenantId, dispute_id: DisputeId) -> asyncpg.Record | None:
    """Return one dispute with its items."""
    return await session.row(f"{_SELECT} where d.tenant_id = $1 and d.dispute_id = $2", tenant_id, dispute_id)


async def disputes_after(session: ReadSession, tenant_id: TenantId, where: DisputeFilter, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return disputes past an id, by id, with their items."""
    return await session.rows(
        f"""{_SELECT} where d.tenant_id = $1 and ($2::uuid is null or d.dispute_id > $2) and ($4::uuid is null or d.ledger_id = $4)
              and ($5::uuid is null or d.customer_id = $5) and ($6::uuid is null or d.owner_id = $6) and ($7::text is null or d.state = $7)
              and ($8::text is null or d.reason = $8)
              and ($9::uuid is null or exists (select from dispute_item y where y.tenant_id = $1 and y.dispute_id = d.dispute_id and y.item_id = $9))
              and ($10::boolean is null or $10 = (d.state = 'open' and (d.overdue_on is not null or {_UNATTENDED})))
            order by d.dispute_id limit $3""",  # fixed words
        tenant_id, after, limit, where.ledger_id, where.customer_id, where.owner_id, where.state, where.reason, where.item_id, where.needs_attention,
    )  # fmt: skip


async def update_dispute(session: Session, tenant_id: TenantId, dispute_id: DisputeId, values: Mapping[str, Any]) -> None:
    """Set the given columns of a dispute and raise its version."""
    sets = "".join(f", {name} = ${n}" for n, name in enumerate(values, 3))
    await session.execute(
        f"update dispute set version = version + 1, updated_at = clock_timestamp(){sets} where tenant_id = $1 and dispute_id = $2",  # names of columns
        tenant_id,
        dispute_id,
        *values.values(),
    )


async def resolve(
    session: Session, tenant_id: TenantId, dispute_ids: Sequence[DisputeId], *, on: dt.date, resolution: str | None, text: str | None, actor: str
) -> list[asyncpg.Record]:
    """Resolve those of some disputes that are open, and return an item a row: `dispute_id, customer_id, item_id, category` of its present status."""
    return await session.rows(
        """with done as (
             update dispute set state = 'resolved', resolved_on = $3, resolution = $4, resolution_text = $5, resolved_by = $6, version = version + 1,
                    updated_at = clock_timestamp()
              where tenant_id = $1 and dispute_id = any ($2::uuid[]) and state = 'open' returning dispute_id
           ), closed as (
             update dispute_item x set open = false from done d where x.tenant_id = $1 and x.dispute_id = d.dispute_id and x.open
             returning x.dispute_id, x.customer_id, x.item_id
           )
           select c.*, s.category from closed c join item i on i.tenant_id = $1 and i.item_id = c.item_id
             left join item_status s on s.tenant_id = $1 and s.code = i.status_code order by c.dispute_id, c.item_id""",
        tenant_id, list(dispute_ids), on, resolution, text, actor,
    )  # fmt: skip


async def note_overdue(session: Session, tenant_id: TenantId, customer_ids: Sequence[CustomerId], on: dt.date) -> list[asyncpg.Record]:
    """Note on a day which open disputes of some customers have passed their deadlines, each once, and return these."""
    return await session.rows(
        """update dispute set overdue_on = $3 where tenant_id = $1 and customer_id = any ($2::uuid[]) and state = 'open' and deadline_on < $3
              and overdue_on is null returning dispute_id, customer_id, deadline_on, owner_id, follow_up_action_id""",
        tenant_id,
        list(customer_ids),
        on,
    )


async def await_credit(
    session: Session, tenant_id: TenantId, dispute_id: DisputeId, *, held_until: dt.date | None, credit_minor: Mapping[ItemId, int], task: ActionId | None
) -> None:
    """Note until when the items of a resolved dispute are held, what credit notes are awaited for them, and the task that sees to these."""
    await session.execute(
        """with noted as (
             update dispute set held_until = $3, credit_awaited = $4, follow_up_action_id = coalesce($5, follow_up_action_id)
              where tenant_id = $1 and dispute_id = $2)
           update dispute_item x set credit_minor = g.minor from unnest($6::uuid[], $7::int8[]) as g (item_id, minor)
            where x.tenant_id = $1 and x.dispute_id = $2 and x.item_id = g.item_id""",
        tenant_id, dispute_id, held_until, task is not None, task, list(credit_minor), list(credit_minor.values()),
    )  # fmt: skip


async def credited(session: Session, tenant_id: TenantId, customer_ids: Sequence[CustomerId]) -> list[asyncpg.Record]:
    """Let those disputes of some customers await credit no longer for which it has arrived, or whose items owe nothing any more, and return them.

    What counts is everything but receipts that was set against their items since they were opened: credit notes, and the ERP's word.
    """
    return await session.rows(
        """update dispute d set credit_awaited = false
            where d.tenant_id = $1 and d.customer_id = any ($2::uuid[]) and d.credit_awaited and not exists (
              select from dispute_item x
                join item i on i.tenant_id = $1 and i.item_id = x.item_id
               cross join lateral (
                 select coalesce(sum(a.amount_minor), 0) as minor from allocation a
                  where a.tenant_id = $1 and a.item_id = x.item_id and a.kind <> 'receipt' and a.reverses_id is null and a.recorded_on >= d.opened_on
                    and not exists (select from allocation v where v.tenant_id = $1 and v.reverses_id = a.allocation_id)) c
               where x.tenant_id = $1 and x.dispute_id = d.dispute_id
               group by i.currency
              having sum(x.credit_minor) > sum(c.minor) and bool_or(i.state = 'posted' and i.allocated_minor < i.amount_minor))
           returning d.dispute_id, d.customer_id, d.follow_up_action_id,
                     (select array_agg(h.hold_id) from dispute_item x
                        join hold h on h.tenant_id = $1 and h.customer_id = x.customer_id and h.item_id = x.item_id
                       where x.tenant_id = $1 and x.dispute_id = d.dispute_id and h.origin = 'dispute' and h.released_at is null) as hold_ids""",
        tenant_id,
        list(customer_ids),
    )


async def give(session: Session, tenant_id: TenantId, action_ids: Collection[ActionId], owner_id: UUID | None) -> list[asyncpg.Record]:
    """Give the open disputes that some actions follow up to one owner, and return those that changed with who had them before."""
    return await session.rows(
        """with before as (
             select d.dispute_id, d.customer_id, d.owner_id from action a
               join dispute d on d.tenant_id = $1 and d.customer_id = a.customer_id and d.follow_up_action_id = a.action_id
              where a.tenant_id = $1 and a.action_id = any ($2::uuid[]) and d.state = 'open' and d.owner_id is distinct from $3 for update of d)
           update dispute d set owner_id = $3, version = d.version + 1, updated_at = clock_timestamp()
             from before b where d.tenant_id = $1 and d.dispute_id = b.dispute_id
           returning d.dispute_id, d.customer_id, b.owner_id as former_id""",
        tenant_id,
        list(action_ids),
        owner_id,
    )


async def open_disputes_followed_up_by(
    session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[UUID], action_ids: Sequence[UUID]
) -> list[asyncpg.Record]:
    """Return the open disputes of some customers that some actions follow up."""
    return await session.rows(
        """select dispute_id, customer_id, follow_up_action_id from dispute
            where tenant_id = $1 and customer_id = any ($2::uuid[]) and follow_up_action_id = any ($3::uuid[]) and state = 'open' order by dispute_id""",
        tenant_id,
        list(customer_ids),
        list(action_ids),
    )


async def settled_disputes(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[CustomerId]) -> list[asyncpg.Record]:
    """Return the open disputes of some customers none of whose items is owed any more, with what follows them up."""
    return await session.rows(
        """select d.dispute_id, d.customer_id, d.follow_up_action_id from dispute d
            where d.tenant_id = $1 and d.customer_id = any ($2::uuid[]) and d.state = 'open'
              and not exists (select from dispute_item x join item i on i.tenant_id = $1 and i.item_id = x.item_id
                               where x.tenant_id = $1 and x.dispute_id = d.dispute_id and i.state = 'posted' and i.allocated_minor < i.amount_minor)
            order by d.dispute_id""",
        tenant_id,
        list(customer_ids),
    )


async def summary(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, from_on: dt.date) -> list[asyncpg.Record]:
    """Return, a reason: open disputes and what they contest by currency, those resolved from a day on, and the days these took in all."""
    return await session.rows(
        """with chosen as (
             select dispute_id, reason, state, resolved_on - opened_on as days from dispute
              where tenant_id = $1 and ledger_id = $2 and (state = 'open' or resolved_on >= $3)
           ), contested as (
             select reason, jsonb_agg(jsonb_build_array(currency, minor) order by currency) as amounts
               from (select c.reason, i.currency, sum(least(x.disputed_minor, i.amount_minor - i.allocated_minor))::bigint as minor
                       from chosen c join dispute_item x on x.tenant_id = $1 and x.dispute_id = c.dispute_id and x.open
                       join item i on i.tenant_id = $1 and i.item_id = x.item_id where c.state = 'open' group by c.reason, i.currency) s group by reason
           )
           select c.reason, count(*) filter (where c.state = 'open') as open, count(*) filter (where c.state = 'resolved') as resolved,
                  coalesce(sum(c.days), 0)::bigint as days_to_resolve, coalesce((select amounts from contested k where k.reason = c.reason), '[]') as contested
             from chosen c group by c.reason order by c.reason""",
        tenant_id,
        ledger_id,
        from_on,
    )
