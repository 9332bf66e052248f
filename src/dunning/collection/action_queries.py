"""Statements that read actions: lists, what belongs to one, what must not wait."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.collection.totals_store import SHOWN
from dunning.kit.database import ReadSession
from dunning.kit.ids import ActionId, CustomerId, LedgerId, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFilter:
    """Which actions a list holds; None leaves a column out of account. `to_on` is included."""

    customer_id: UUID | None = None
    ledger_id: UUID | None = None
    run_id: UUID | None = None
    item_id: UUID | None = None
    step_code: str | None = None
    state: str | None = None
    kind: str | None = None
    channel: str | None = None
    from_on: dt.date | None = None
    to_on: dt.date | None = None
    person_id: UUID | None = None
    origin: str | None = None
    bulk_id: UUID | None = None
    task_kind: str | None = None


# What happened to an action is recorded after it was made, so that the walk through its customer's events ends there.
COMPLETED_BY = """
select e.actor from event e
 where e.tenant_id = $1 and e.customer_id = a.customer_id and e.event_id > a.action_id and e.kind = 'action.completed' and e.subject_id = a.action_id
 order by e.event_id desc limit 1"""
"""Who completed the action `a` of the tenant $1."""

_FOUND = """
  from action a
 where a.tenant_id = $1 and ($2::uuid is null or a.action_id < $2)
   and ($4::uuid is null or a.customer_id = $4) and ($5::uuid is null or a.ledger_id = $5) and ($6::uuid is null or a.run_id = $6)
   and ($7::text is null or a.step_code = $7) and ($8::text is null or a.state = $8) and ($9::text is null or a.kind = $9)
   and ($10::date is null or a.local_date >= $10) and ($11::date is null or a.local_date <= $11)
   and ($12::uuid is null or exists (select 1 from item_progress p where p.tenant_id = $1 and p.action_id = a.action_id and p.item_id = $12)
                          or exists (select 1 from action_item t where t.tenant_id = $1 and t.action_id = a.action_id and t.item_id = $12))
   and ($13::text is null or a.task_kind = $13 or exists (
         select 1 from message m where m.tenant_id = $1 and m.action_id = a.action_id and m.channel = $13))
   and ($14::uuid is null or a.person_id = $14) and ($15::text is null or a.origin = $15) and ($16::uuid is null or a.bulk_id = $16)
   and ($17::text is null or a.task_kind = $17)
 order by a.action_id desc limit $3
"""


def _values(where: ActionFilter, before: UUID | None, limit: int) -> tuple[object, ...]:
    return (
        before, limit, where.customer_id, where.ledger_id, where.run_id, where.step_code, where.state, where.kind, where.from_on, where.to_on,
        where.item_id, where.channel, where.person_id, where.origin, where.bulk_id, where.task_kind,
    )  # fmt: skip


async def actions_before(session: ReadSession, tenant_id: TenantId, where: ActionFilter, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return actions below an id, the newest first, in `totals_now` with what they ask for now where they are live.

    A channel is that of a message of the action, or of the task that takes its place.
    """
    return await session.rows(f"select {SHOWN} {_FOUND}", tenant_id, *_values(where, before, limit))


async def ids_before(session: ReadSession, tenant_id: TenantId, where: ActionFilter, before: UUID | None, limit: int) -> list[ActionId]:
    """Return the ids of actions below an id, the newest first."""
    return [ActionId(row["action_id"]) for row in await session.rows(f"select a.action_id {_FOUND}", tenant_id, *_values(where, before, limit))]


async def customers_of_actions(session: ReadSession, tenant_id: TenantId, action_ids: Collection[ActionId]) -> list[CustomerId]:
    """Return the customers of some actions, each once."""
    rows = await session.rows("select distinct customer_id from action where tenant_id = $1 and action_id = any ($2::uuid[])", tenant_id, list(action_ids))
    return [CustomerId(row["customer_id"]) for row in rows]


async def items_of_action(session: ReadSession, tenant_id: TenantId, action_id: ActionId) -> list[asyncpg.Record]:
    """Return the items of an action, each once, with the amounts as they were then and as they are now, and the steps that it passes over for them.

    Items of an action outside the scenario that complete no step by it have no step code.
    """
    # A row that completes a step has the amount it was planned with; one that passes a step over has none.
    return await session.rows(
        """select r.*, i.document_id, i.external_id, i.number, i.due_on, i.currency, i.amount_minor, i.amount_minor - i.allocated_minor as open_now_minor,
                  (select coalesce(jsonb_agg(jsonb_build_object('step_code', s.step_code, 'reason', s.reason) order by s.item_progress_id), '[]')
                     from item_progress s where s.tenant_id = $1 and s.action_id = $2 and s.item_id = r.item_id and s.open_minor is null and s.state <> 'void'
                  ) as passed_over
             from (
               select distinct on (x.item_id) x.* from (
                 select p.item_id, p.step_code, p.repeat_no, p.state, p.reason, p.open_minor, p.completed_on, p.item_progress_id as place,
                        case p.state when 'void' then 2 else 0 end as preference
                   from item_progress p where p.tenant_id = $1 and p.action_id = $2 and p.open_minor is not null
                  union all
                 select t.item_id, null, null, t.state, t.reason, t.open_minor, null, t.item_id, 1 from action_item t where t.tenant_id = $1 and t.action_id = $2
               ) x order by x.item_id, x.preference, x.place desc
             ) r join item i on i.tenant_id = $1 and i.item_id = r.item_id
            order by r.place""",
        tenant_id, action_id,
    )  # fmt: skip


async def activities_of_action(session: ReadSession, tenant_id: TenantId, action_id: ActionId) -> list[asyncpg.Record]:
    """Return the activities of an action, notes among them, the oldest first."""
    return await session.rows(
        """select n.* from activity n join action a on a.tenant_id = n.tenant_id and a.action_id = n.action_id
            where n.tenant_id = $1 and a.action_id = $2 and n.customer_id = a.customer_id order by n.activity_id""",
        tenant_id, action_id,
    )  # fmt: skip


async def completed_by(session: ReadSession, tenant_id: TenantId, action_id: ActionId) -> str | None:
    """Return who completed an action, None where it is not complete."""
    actor: str | None = await session.value(
        f"select ({COMPLETED_BY}) from action a where a.tenant_id = $1 and a.action_id = $2 and a.state = 'completed'", tenant_id, action_id
    )
    return actor


async def messages_of_action(session: ReadSession, tenant_id: TenantId, action_id: ActionId) -> list[asyncpg.Record]:
    """Return the messages of an action, the oldest first."""
    return await session.rows(
        """select m.message_id, m.notice, m.channel, m.audience, m.is_primary, m.is_copy, m.language, m.content_mode, m.state, m.reason, m.delivery,
                  m.claim_id, m.not_before, m.valid_until, m.sent_at, m.accepted_at, d.to_email, d.to_name
             from message m left join message_address d on d.tenant_id = m.tenant_id and d.message_id = m.message_id
            where m.tenant_id = $1 and m.action_id = $2 order by m.message_id""",
        tenant_id, action_id,
    )  # fmt: skip


async def has_message_under_way(session: ReadSession, tenant_id: TenantId, action_id: ActionId) -> bool:
    """Tell whether a message of an action has left, or may have left."""
    return bool(
        await session.value(
            """select exists (select 1 from message where tenant_id = $1 and action_id = $2 and not is_copy
                 and state in ('committing', 'uncertain', 'held', 'accepted'))""",
            tenant_id,
            action_id,
        )
    )


async def settled_actions(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, today: dt.date, limit: int) -> list[asyncpg.Record]:
    """Return live actions that tell nobody by themselves and none of whose pending items is open; a specific one from its day on."""
    return await session.rows(
        """select a.* from action a
            where a.tenant_id = $1 and a.ledger_id = $2 and a.state in ('awaiting_approval', 'scheduled', 'waiting')
              and (a.origin <> 'specific' or a.scheduled_on <= $4)
              and case when a.origin = 'scenario' then
                exists (select 1 from item_progress p where p.tenant_id = $1 and p.action_id = a.action_id and p.state = 'pending')
                and not exists (
                  select 1 from item_progress p join item i on i.tenant_id = $1 and i.item_id = p.item_id
                   where p.tenant_id = $1 and p.action_id = a.action_id and p.state = 'pending' and i.state = 'posted' and i.allocated_minor < i.amount_minor)
              else
                exists (select 1 from action_item t where t.tenant_id = $1 and t.action_id = a.action_id and t.state in ('attached', 'listed'))
                and not exists (
                  select 1 from action_item t join item i on i.tenant_id = $1 and i.item_id = t.item_id
                   where t.tenant_id = $1 and t.action_id = a.action_id and t.state in ('attached', 'listed') and i.state = 'posted'
                     and i.allocated_minor < i.amount_minor)
              end
              and not exists (select 1 from message m where m.tenant_id = $1 and m.action_id = a.action_id
                               and m.state in ('committing', 'uncertain', 'held', 'accepted'))
            order by a.action_id limit $3""",
        tenant_id, ledger_id, limit, today,
    )  # fmt: skip


async def deadlines_passed(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, today: dt.date, limit: int) -> list[asyncpg.Record]:
    """Return completed actions with operations that wait for their deadline to pass, where it has and something of them is still open."""
    return await session.rows(
        """select distinct a.action_id, a.customer_id, a.ledger_id from operation_record o
             join action a on a.tenant_id = o.tenant_id and a.action_id = o.action_id
             join item_progress p on p.tenant_id = a.tenant_id and p.action_id = a.action_id and p.state = 'completed'
             join item i on i.tenant_id = a.tenant_id and i.item_id = p.item_id and i.state = 'posted' and i.allocated_minor < i.amount_minor
            where o.tenant_id = $1 and a.ledger_id = $2 and o.at_moment = 'deadline_passed' and o.state = 'waiting' and not o.result ? 'due_on'
              and a.state = 'completed' and a.deadline_on < $3
            order by a.action_id limit $4""",
        tenant_id, ledger_id, today, limit,
    )  # fmt: skip
