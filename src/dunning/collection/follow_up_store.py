"""Statements about the actions that belong to agreements and statuses: what follows a dispute or a status up, what comes when a promise is broken."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from dunning.collection.action_store import LIVE
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, LedgerId, TenantId


class NewTask(NamedTuple):
    """A call or another task to be put on a list: about whom, when, what it is called, what is to be done, and the items that it is about."""

    action_id: ActionId
    customer_id: UUID
    scheduled_on: dt.date
    title: str
    text: str
    item_ids: Sequence[UUID]


class Planned(NamedTuple):
    """When a live action is to come from now on, what it is called, and what is to be done; None leaves words as they are."""

    scheduled_on: dt.date
    title: str | None = None
    text: str | None = None


class Renewal(NamedTuple):
    """A mail that takes the place of one that has ended: its id, whose place it takes, when it leaves, its title, and the items that it is about."""

    action_id: ActionId
    renews: asyncpg.Record
    scheduled_on: dt.date
    title: str
    item_ids: Sequence[UUID]


class MovedItem(NamedTuple):
    """An item whose status a comment has changed, and whether anything is owed for it."""

    item_id: UUID
    customer_id: UUID
    number: str
    is_owed: bool


async def moved_items(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, comment_ids: Sequence[UUID]) -> list[MovedItem]:
    """Return the items of a ledger whose statuses some comments have changed, the oldest document first."""
    rows = await session.rows(
        """select i.item_id, i.customer_id, i.number, i.direction = 'debit' and i.state = 'posted' and i.allocated_minor < i.amount_minor as is_owed
             from item_comment c join item i on i.tenant_id = $1 and i.item_id = c.item_id
            where c.tenant_id = $1 and c.ledger_id = $2 and c.item_comment_id = any ($3::uuid[]) and c.status_code is not null
            order by i.due_on, i.item_id""",
        tenant_id,
        ledger_id,
        list(comment_ids),
    )
    return [MovedItem(*row) for row in rows]


async def leave_status_tasks(session: Session, tenant_id: TenantId, item_ids: Collection[UUID], reason: str) -> list[ActionId]:
    """Take items out of the live tasks that follow a status, and return those tasks."""
    rows = await session.rows(
        """with gone as (
             update action_item t set state = 'dropped', reason = $3 from action a
              where t.tenant_id = $1 and t.item_id = any ($2::uuid[]) and t.state in ('attached', 'listed')
                and a.tenant_id = $1 and a.action_id = t.action_id and a.state = any ($4::text[]) and a.content ->> 'follows_status' is not null
             returning t.action_id)
           select distinct action_id from gone order by action_id""",
        tenant_id,
        list(item_ids),
        reason,
        list(LIVE),
    )
    return [ActionId(row["action_id"]) for row in rows]


async def without_items(session: Session, tenant_id: TenantId, action_ids: Sequence[ActionId]) -> list[asyncpg.Record]:
    """Lock and return those of some live actions outside the scenario that are about no item any more."""
    return await session.rows(
        """select a.* from action a where a.tenant_id = $1 and a.action_id = any ($2::uuid[]) and a.state = any ($3::text[])
              and not exists (select from action_item t where t.tenant_id = $1 and t.action_id = a.action_id and t.state in ('attached', 'listed'))
            order by a.action_id for update""",
        tenant_id,
        list(action_ids),
        list(LIVE),
    )


async def live_actions(session: Session, tenant_id: TenantId, action_ids: Sequence[UUID | None]) -> list[asyncpg.Record]:
    """Lock and return those of some actions that have not ended; None among the ids is passed over."""
    return await session.rows(
        "select * from action where tenant_id = $1 and action_id = any ($2::uuid[]) and state = any ($3::text[]) order by action_id for update",
        tenant_id,
        [action_id for action_id in action_ids if action_id is not None],
        list(LIVE),
    )


async def plan_anew(session: Session, tenant_id: TenantId, plans: Mapping[UUID, Planned]) -> None:
    """Let live actions come on given days and say given words. One that somebody has renamed keeps its words."""
    if plans:
        await session.execute(
            """update action a set scheduled_on = w.on_day, title = w.title, step_name = case when a.title = a.step_name then w.title else a.step_name end,
                                   task_text = w.words, revision = a.revision + 1, updated_at = clock_timestamp(),
                                   content = case when a.content ->> 'task_text' is null then a.content
                                                  else a.content || jsonb_build_object('task_text', w.words) end
                 from unnest($2::uuid[], $3::date[], $4::text[], $5::text[]) as g (action_id, on_day, title, words)
                 join action b on b.tenant_id = $1 and b.action_id = g.action_id
                cross join lateral (
                  select g.on_day, case when b.title = b.step_name then coalesce(g.title, b.title) else b.title end as title,
                         case when b.title = b.step_name then coalesce(g.words, b.task_text) else b.task_text end as words) w
                where a.tenant_id = $1 and a.action_id = g.action_id and a.state = any ($6::text[])
                  and (a.scheduled_on, a.title, a.task_text) is distinct from (w.on_day, w.title, w.words)""",
            tenant_id,
            list(plans),
            [plan.scheduled_on for plan in plans.values()],
            [plan.title for plan in plans.values()],
            [plan.text for plan in plans.values()],
            list(LIVE),
        )


async def insert_tasks(
    session: Session, tenant_id: TenantId, ledger_id: LedgerId, today: dt.date, content: Mapping[str, Any], tasks: Sequence[NewTask]
) -> None:
    """Insert tasks of one kind about what is still owed of some items, each for the customer's lead collector. They leave the items in their scenario."""
    await session.execute(
        """with wanted as (select * from unnest($5::uuid[], $6::uuid[], $7::date[], $8::text[], $9::text[]) as g (action_id, customer_id, on_day, title, words)
            ), owed as (
              select g.action_id, i.customer_id, i.item_id, i.episode, i.currency, i.amount_minor - i.allocated_minor as open_minor
                from unnest($10::uuid[], $11::uuid[]) as g (action_id, item_id)
                join item i on i.tenant_id = $1 and i.item_id = g.item_id and i.state = 'posted' and i.allocated_minor < i.amount_minor
            ), totals as (
              select action_id, jsonb_agg(jsonb_build_array(currency, minor) order by currency) as totals
                from (select action_id, currency, sum(open_minor)::int8 as minor from owed group by 1, 2) x group by action_id
            ), made as (
              insert into action (tenant_id, action_id, ledger_id, customer_id, origin, kind, mode, step_name, title, content, local_date, scheduled_on, state,
                                  task_kind, task_text, totals, person_id, afterwards)
              select $1, c.action_id, $2, c.customer_id, 'ad_hoc', 'task', 'manual', c.title, c.title, $4, $3, c.on_day, 'waiting', $4::jsonb ->> 'task_kind', c.words,
                     coalesce(t.totals, '[]'),
                     (select s.person_id from assignment s where s.tenant_id = $1 and s.customer_id = c.customer_id and s.role = 'collector' and s.lead
                         and s.ended_on is null), 'resume'
                from wanted c left join totals t on t.action_id = c.action_id
            )
            insert into action_item (tenant_id, action_id, customer_id, state, item_id, episode, open_minor)
            select $1, action_id, customer_id, 'listed', item_id, episode, open_minor from owed""",
        tenant_id, ledger_id, today, dict(content),
        [task.action_id for task in tasks], [task.customer_id for task in tasks], [task.scheduled_on for task in tasks],
        [task.title for task in tasks], [task.text for task in tasks],
        [task.action_id for task in tasks for _ in task.item_ids], [item_id for task in tasks for item_id in task.item_ids],
    )  # fmt: skip


async def renew_mails(session: Session, tenant_id: TenantId, today: dt.date, renewals: Sequence[Renewal], *, actor: str) -> None:
    """Insert mails with the content of ones that have ended, about what is still owed of some items; they leave by themselves on their days."""
    await session.execute(
        """with wanted as (select * from unnest($3::uuid[], $4::uuid[], $5::date[], $6::text[]) as g (action_id, renews_id, on_day, title)
            ), owed as (
              select g.action_id, i.customer_id, i.item_id, i.episode, i.currency, i.amount_minor - i.allocated_minor as open_minor
                from unnest($7::uuid[], $8::uuid[]) as g (action_id, item_id)
                join item i on i.tenant_id = $1 and i.item_id = g.item_id and i.state = 'posted' and i.allocated_minor < i.amount_minor
            ), totals as (
              select action_id, jsonb_agg(jsonb_build_array(currency, minor) order by currency) as totals
                from (select action_id, currency, sum(open_minor)::int8 as minor from owed group by 1, 2) x group by action_id
            ), made as (
              insert into action (tenant_id, action_id, ledger_id, customer_id, origin, kind, mode, step_name, title, content, local_date, scheduled_on, state,
                                  totals, person_id, afterwards, created_by)
              select $1, g.action_id, a.ledger_id, a.customer_id, a.origin, a.kind, a.mode, g.title, g.title, a.content, $2, g.on_day, 'scheduled',
                     coalesce(t.totals, '[]'), a.person_id, a.afterwards, $9
                from wanted g join action a on a.tenant_id = $1 and a.action_id = g.renews_id left join totals t on t.action_id = g.action_id
            )
            insert into action_item (tenant_id, action_id, customer_id, state, item_id, episode, open_minor)
            select $1, action_id, customer_id, 'listed', item_id, episode, open_minor from owed""",
        tenant_id, today,
        [one.action_id for one in renewals], [one.renews["action_id"] for one in renewals], [one.scheduled_on for one in renewals],
        [one.title for one in renewals],
        [one.action_id for one in renewals for _ in one.item_ids], [item_id for one in renewals for item_id in one.item_ids],
        actor,
    )  # fmt: skip


async def actions_on_breach(session: Session, tenant_id: TenantId, item_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Lock and return the live actions that reach a step of the trigger `promise_broken` for some items and of which nothing has left or may have left."""
    return await session.rows(
        """select a.* from action a
            where a.tenant_id = $1 and a.state = any ($3::text[]) and a.action_id in (
                select g.action_id from item_progress g
                  join action b on b.tenant_id = $1 and b.action_id = g.action_id
                  join scenario_version v on v.tenant_id = $1 and v.scenario_id = b.scenario_id and v.version = b.scenario_version
                 cross join lateral jsonb_array_elements(v.content -> 'steps') s
                 where g.tenant_id = $1 and g.item_id = any ($2::uuid[]) and g.state = 'pending' and s ->> 'code' = g.step_code
                   and s -> 'trigger' ->> 'kind' = 'promise_broken')
              and not exists (select from message m where m.tenant_id = $1 and m.action_id = a.action_id
                               and m.state in ('committing', 'uncertain', 'held', 'accepted'))
            order by a.action_id for update""",
        tenant_id,
        list(item_ids),
        list(LIVE),
    )


async def calls_promised_anew(session: Session, tenant_id: TenantId, item_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Lock and return the live calls about broken promises of some items of which nothing is owed that is not in an open promise."""
    return await session.rows(
        """select a.* from action a
            where a.tenant_id = $1 and a.state = any ($3::text[])
              and a.action_id in (select p.follow_up_action_id from promise_item x
                                    join promise p on p.tenant_id = $1 and p.promise_id = x.promise_id
                                   where x.tenant_id = $1 and x.item_id = any ($2::uuid[])
                                     and (p.state = 'broken' or p.reason is not distinct from 'plan_broken'))
              and not exists (select from action_item t join item i on i.tenant_id = $1 and i.item_id = t.item_id
                               where t.tenant_id = $1 and t.action_id = a.action_id and t.state in ('attached', 'listed')
                                 and i.state = 'posted' and i.allocated_minor < i.amount_minor
                                 and not exists (select from promise_item o where o.tenant_id = $1 and o.item_id = t.item_id and o.open))
            order by a.action_id for update""",
        tenant_id,
        list(item_ids),
        list(LIVE),
    )


async def settled_own_actions(session: Session, tenant_id: TenantId, customer_ids: Sequence[UUID], today: dt.date) -> list[asyncpg.Record]:
    """Lock and return live actions outside the scenario none of whose items is owed any more and of which nothing has left or may have left.

    One that has its items to itself keeps them until its day: a payment that is returned before then must not give them to the scenario.
    """
    return await session.rows(
        """select a.* from action a
            where a.tenant_id = $1 and a.customer_id = any ($2::uuid[]) and (a.origin = 'ad_hoc' or a.origin = 'specific' and a.scheduled_on <= $3)
              and a.state in ('awaiting_approval', 'scheduled', 'waiting')
              and exists (select from action_item t where t.tenant_id = $1 and t.action_id = a.action_id and t.state in ('attached', 'listed'))
              and not exists (select from action_item t join item i on i.tenant_id = $1 and i.item_id = t.item_id
                               where t.tenant_id = $1 and t.action_id = a.action_id and t.state in ('attached', 'listed')
                                 and i.state = 'posted' and i.allocated_minor < i.amount_minor)
              and not exists (select from message m where m.tenant_id = $1 and m.action_id = a.action_id
                               and m.state in ('committing', 'uncertain', 'held', 'accepted'))
            order by a.action_id for update""",
        tenant_id,
        list(customer_ids),
        today,
    )
