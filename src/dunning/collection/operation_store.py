"""Statements on the operations of actions, and on the tasks by which people carry them out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection.operation_rules import WAITING_FOR_OPERATION
from dunning.kit.database import ReadSession, Session, encode_json
from dunning.kit.ids import ActionId, CustomerId, LedgerId, TenantId
from dunning.tenancy.people_store import author_of

_LIVE = "('awaiting_approval', 'scheduled', 'executed', 'waiting')"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOperation:
    """An operation of an action, numbered within it."""

    action_id: ActionId
    operation_no: int
    kind: str
    at_moment: str
    state: str
    params: Mapping[str, Any]
    result: Mapping[str, Any]
    actor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """Something for a person to do about items of a customer. `operation` names the action and number of what it carries out, None where that is done by its being made."""

    action_id: ActionId
    customer_id: CustomerId
    operation: tuple[ActionId, int] | None
    step_code: str
    title: str
    task_kind: str
    text: str
    reason: str | None
    content: Mapping[str, Any]
    item_ids: Sequence[str]
    on: dt.date


async def upsert_operations(session: Session, tenant_id: TenantId, operations: Sequence[NewOperation]) -> None:
    """Write operations in one statement; one that is no longer waiting stays as it ended, done ones carry the present as their end."""
    if not operations:
        return
    await session.execute(
        """insert into operation_record (tenant_id, action_id, operation_no, kind, at_moment, state, params, result, actor, done_at)
           select $1, g.*, case when g.state = 'done' then clock_timestamp() end
             from unnest($2::uuid[], $3::int[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::jsonb[], $9::text[])
               as g (action_id, operation_no, kind, at_moment, state, params, result, actor)
           on conflict (tenant_id, action_id, operation_no) do update
              set state = excluded.state, result = excluded.result, actor = excluded.actor, done_at = excluded.done_at
            where operation_record.state = 'waiting'""",
        tenant_id,
        [o.action_id for o in operations], [o.operation_no for o in operations], [o.kind for o in operations], [o.at_moment for o in operations],
        [o.state for o in operations], [dict(o.params) for o in operations], [dict(o.result) for o in operations], [o.actor for o in operations],
    )  # fmt: skip


async def insert_tasks(session: Session, tenant_id: TenantId, ledger_id: LedgerId, tasks: Sequence[NewTask]) -> None:
    """Insert waiting tasks beside the scenario, each over its items and for the lead collector of its customer, in one statement."""
    if not tasks:
        return
    await session.execute(
        """with given as (
             select g.*, (select s.person_id from assignment s where s.tenant_id = $1 and s.customer_id = g.customer_id and s.role = 'collector' and s.lead
                             and s.ended_on is null) as person_id
               from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::int[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::jsonb[],
                           $13::text[]::jsonb[], $14::date[])
                 as g (action_id, customer_id, operation_action_id, operation_no, step_code, title, task_kind, task_text, reason, content, item_ids, on_day)
           ), about as (
             select g.action_id, g.customer_id, i.item_id, i.episode, i.currency, i.amount_minor - i.allocated_minor as open_minor
               from given g cross join lateral jsonb_array_elements_text(g.item_ids) x (item_id)
               join item i on i.tenant_id = $1 and i.item_id = x.item_id::uuid
           ), made as (
             insert into action (tenant_id, ledger_id, action_id, customer_id, operation_action_id, operation_no, origin, step_code, step_name, title, kind,
                                 mode, content, local_date, scheduled_on, state, reason, task_kind, task_text, totals, person_id, afterwards)
             select $1, $2, g.action_id, g.customer_id, g.operation_action_id, g.operation_no, 'ad_hoc', g.step_code, g.title, g.title, 'task',
                    'manual', g.content, g.on_day, g.on_day, 'waiting', g.reason, g.task_kind, g.task_text,
                    coalesce((select jsonb_agg(jsonb_build_array(t.currency, t.minor) order by t.currency)
                                from (select currency, sum(open_minor)::int8 as minor from about a where a.action_id = g.action_id group by currency) t), '[]'),
                    g.person_id, 'resume'
               from given g
           )
           insert into action_item (tenant_id, action_id, customer_id, item_id, episode, open_minor, state)
           select $1, action_id, customer_id, item_id, episode, open_minor, 'listed' from about""",
        tenant_id, ledger_id,
        [t.action_id for t in tasks], [t.customer_id for t in tasks], [None if t.operation is None else t.operation[0] for t in tasks],
        [None if t.operation is None else t.operation[1] for t in tasks], [t.step_code for t in tasks], [t.title for t in tasks],
        [t.task_kind for t in tasks], [t.text for t in tasks], [t.reason for t in tasks], [dict(t.content) for t in tasks],
        [encode_json(t.item_ids) for t in tasks], [t.on for t in tasks],
    )  # fmt: skip


async def operations_of(session: ReadSession, tenant_id: TenantId, action_id: ActionId) -> list[asyncpg.Record]:
    """Return the operations of an action in their order, each with the task by which a person carries it out."""
    return await session.rows(
        f"""select o.*, {author_of("o.actor")} as author, k.action_id as task_id from operation_record o
             left join action k on k.tenant_id = $1 and k.operation_action_id = o.action_id and k.operation_no = o.operation_no
            where o.tenant_id = $1 and o.action_id = $2 order by o.operation_no""",
        tenant_id,
        action_id,
    )


async def operation_for_change(session: Session, tenant_id: TenantId, action_id: ActionId, operation_no: int) -> asyncpg.Record | None:
    """Return one operation with its row locked."""
    return await session.row(
        "select * from operation_record where tenant_id = $1 and action_id = $2 and operation_no = $3 for update", tenant_id, action_id, operation_no
    )


async def task_of(session: Session, tenant_id: TenantId, action_id: ActionId, operation_no: int) -> asyncpg.Record | None:
    """Lock and return the task by which a person is to carry an operation out, None where it has ended or there is none."""
    return await session.row(
        f"select * from action where tenant_id = $1 and operation_action_id = $2 and operation_no = $3 and state in {_LIVE} for update",  # fixed words
        tenant_id,
        action_id,
        operation_no,
    )


async def begun(session: ReadSession, tenant_id: TenantId, action_ids: Collection[ActionId]) -> dict[ActionId, bool]:
    """Return those of some actions whose operations have begun, each with whether its notice waits for one."""
    rows = await session.rows(
        """select action_id, bool_or(at_moment = 'before_notice' and state = 'waiting') as waits from operation_record
            where tenant_id = $1 and action_id = any ($2::uuid[]) group by action_id""",
        tenant_id,
        list(action_ids),
    )
    return {ActionId(row["action_id"]): row["waits"] for row in rows}


async def recorded_items(session: ReadSession, tenant_id: TenantId, customer_ids: Collection[CustomerId], kinds: Collection[str]) -> dict[str, set[str]]:
    """Return by kind the open items of some customers about which an operation of that kind was recorded in their present episode."""
    rows = await session.rows(
        """select distinct o.kind, x.item_id
             from action a
             join operation_record o on o.tenant_id = $1 and o.action_id = a.action_id and o.state = 'done' and o.kind = any ($3::text[])
            cross join lateral jsonb_array_elements_text(coalesce(o.result->'item_ids', o.params->'item_ids')) x (item_id)
             join item i on i.tenant_id = $1 and i.item_id = x.item_id::uuid and i.state = 'posted' and i.allocated_minor < i.amount_minor
             join item_progress p on p.tenant_id = $1 and p.action_id = a.action_id and p.item_id = i.item_id and p.episode = i.episode
            where a.tenant_id = $1 and a.customer_id = any ($2::uuid[])""",
        tenant_id,
        list(customer_ids),
        list(kinds),
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["kind"], set()).add(row["item_id"])
    return found


async def waiting_operations(session: ReadSession, tenant_id: TenantId, action_ids: Collection[ActionId], moments: Collection[str]) -> list[asyncpg.Record]:
    """Return the operations of some actions that wait for one of some moments, without those that are due for a person."""
    return await session.rows(
        """select action_id, operation_no, kind, at_moment, state, params, result, actor from operation_record
            where tenant_id = $1 and action_id = any ($2::uuid[]) and at_moment = any ($3::text[]) and state = 'waiting' and not result ? 'due_on'
            order by action_id, operation_no""",
        tenant_id,
        list(action_ids),
        list(moments),
    )


async def hand_over_operations(session: Session, tenant_id: TenantId, from_action: ActionId, to_action: ActionId, step_codes: Collection[str]) -> None:
    """Give what waits of an action's operations at some steps to another action that has none; their tasks go with them."""
    await session.execute(
        """update operation_record set action_id = $3
            where tenant_id = $1 and action_id = $2 and state = 'waiting' and params->>'step_code' = any ($4::text[])""",
        tenant_id,
        from_action,
        to_action,
        list(step_codes),
    )


async def narrow_operations(session: Session, tenant_id: TenantId, dropped: Sequence[tuple[ActionId, UUID, str]]) -> list[asyncpg.Record]:
    """Take items that have dropped out of actions, each with why, out of the operations that wait and of their tasks.

    An operation that is about none any more is not needed; the live tasks of such are returned.
    """
    return await session.rows(
        f"""with gone as (
              select * from unnest($2::uuid[], $3::uuid[], $4::text[]) as g (action_id, item_id, reason)
            ), left_out as (
              select action_id, jsonb_agg(item_id) as item_ids from gone group by action_id
            ), narrowed as (
              select o.action_id, o.operation_no, coalesce(jsonb_agg(i.item_id) filter (where not g.item_ids @> i.item_id), '[]') as item_ids
                from left_out g
                join operation_record o on o.tenant_id = $1 and o.action_id = g.action_id and o.state = 'waiting'
               cross join lateral jsonb_array_elements(o.params->'item_ids') as i (item_id)
               group by o.action_id, o.operation_no
            ), written as (
              update operation_record o
                 set params = jsonb_set(o.params, '{{item_ids}}', n.item_ids), state = case when n.item_ids = '[]' then 'not_needed' else o.state end,
                     result = case when n.item_ids = '[]' then o.result || '{{"reason": "no_items_left"}}' else o.result end
                from narrowed n where o.tenant_id = $1 and o.action_id = n.action_id and o.operation_no = n.operation_no
              returning o.action_id, o.operation_no, o.state
            ), unlisted as (
              update action_item t set state = 'dropped', reason = g.reason
                from gone g join action k on k.tenant_id = $1 and k.operation_action_id = g.action_id
               where t.tenant_id = $1 and t.action_id = k.action_id and t.item_id = g.item_id and t.state = 'listed'
            )
            select k.* from written w join action k on k.tenant_id = $1 and k.operation_action_id = w.action_id and k.operation_no = w.operation_no
             where w.state = 'not_needed' and k.state in {_LIVE} order by k.action_id""",  # fixed words
        tenant_id,
        *map(list, zip(*dropped, strict=True)),
    )


async def finish_operation(session: Session, tenant_id: TenantId, action_id: ActionId, operation_no: int, facts: Mapping[str, Any], actor: str) -> None:
    """Note that a person carried out an operation, and what they say of it."""
    await session.execute(
        """update operation_record set state = 'done', result = result || $4, actor = $5, done_at = clock_timestamp()
            where tenant_id = $1 and action_id = $2 and operation_no = $3""",
        tenant_id,
        action_id,
        operation_no,
        dict(facts),
        actor,
    )


async def dismiss(session: Session, tenant_id: TenantId, operations: Sequence[tuple[ActionId, int]], reason: str) -> None:
    """Note that operations which wait, each by its action and number, are not needed, and why."""
    await session.execute(
        """update operation_record o set state = 'not_needed', result = o.result || jsonb_build_object('reason', $4::text)
             from unnest($2::uuid[], $3::int[]) as g (action_id, operation_no)
            where o.tenant_id = $1 and o.action_id = g.action_id and o.operation_no = g.operation_no and o.state = 'waiting'""",
        tenant_id,
        *map(list, zip(*operations, strict=True)),
        reason,
    )


async def drop_operations(session: Session, tenant_id: TenantId, action_ids: Sequence[ActionId]) -> list[asyncpg.Record]:
    """Note that operations of actions which have ended are not needed any more where they wait, and return the live tasks of such."""
    return await session.rows(
        f"""with ended as (
              update operation_record set state = 'not_needed', result = result || '{{"reason": "action_ended"}}'
               where tenant_id = $1 and action_id = any ($2::uuid[]) and state = 'waiting' returning action_id, operation_no
            )
            select k.* from ended e join action k on k.tenant_id = $1 and k.operation_action_id = e.action_id and k.operation_no = e.operation_no
             where k.state in {_LIVE} order by k.action_id""",  # fixed words
        tenant_id,
        list(action_ids),
    )


async def release(session: Session, tenant_id: TenantId, action_ids: Collection[ActionId]) -> list[asyncpg.Record]:
    """Let those of some actions go whose notice waits for no operation any more, on their day, and return them."""
    return await session.rows(
        """update action a set state = 'scheduled', reason = null, task_kind = null, task_text = null, revision = revision + 1, updated_at = clock_timestamp()
            where a.tenant_id = $1 and a.action_id = any ($2::uuid[]) and a.state = 'waiting' and a.reason = $3
              and not exists (select from operation_record o where o.tenant_id = $1 and o.action_id = a.action_id and o.at_moment = 'before_notice'
                                 and o.state = 'waiting')
          returning a.action_id, a.customer_id, a.scheduled_on""",
        tenant_id,
        list(action_ids),
        WAITING_FOR_OPERATION,
    )


@dataclass(frozen=True, slots=True)
class Insured:
    """What an operation's facts are filled up from: what is open of its items, by currency, and the customer's policy."""

    open_minor: Mapping[str, int]
    policy: str | None


async def insured(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, item_ids: Collection[UUID]) -> Insured:
    """Return what is open of some items of a customer, and the reference of its credit insurance."""
    rows = await session.rows(
        """select i.currency, sum(i.amount_minor - i.allocated_minor)::int8 as open_minor from item i
            where i.tenant_id = $1 and i.customer_id = $2 and i.item_id = any ($3::uuid[]) and i.state = 'posted' and i.allocated_minor < i.amount_minor
            group by i.currency""",
        tenant_id,
        customer_id,
        list(item_ids),
    )
    policy = await session.value("select insurance_cover_reference from customer where tenant_id = $1 and customer_id = $2", tenant_id, customer_id)
    return Insured({row["currency"]: row["open_minor"] for row in rows}, policy)
