"""Statements that write actions with their rows of progress, operations and activities, a set at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from dunning.collection.totals_store import SHOWN
from dunning.kit.database import ReadSession, Session, encode_json
from dunning.kit.ids import ActionId, CustomerId, LedgerId, RunId, TenantId, new_id
from dunning.scenarios.position import Id

LIVE = ("awaiting_approval", "scheduled", "executed", "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAction:
    """An action to be inserted. `totals` holds `[currency, minor]` pairs."""

    action_id: ActionId
    customer_id: CustomerId
    run_id: RunId | None
    origin: str
    scenario_id: UUID | None
    scenario_version: int | None
    step_code: str | None
    step_name: str | None
    kind: str
    mode: str
    content_mode: str | None
    document_id: UUID | None
    local_date: dt.date
    scheduled_on: dt.date
    state: str
    reason: str | None
    task_kind: str | None
    task_text: str | None
    totals: Sequence[Any]
    deadline_on: dt.date | None
    one_a_day: bool
    executed_at: dt.datetime | None
    completed_on: dt.date | None


class ProgressRow(NamedTuple):
    """One item and the step that its action completes for it or, with a reason, passes over. A tuple, because a night writes very many."""

    item_id: Id
    episode: int
    scenario_version: int
    step_code: str
    repeat_no: int
    reason: str | None
    open_minor: int | None
    counted_from_on: dt.date | None


@dataclass(frozen=True, slots=True)
class NewProgress:
    """The rows of progress of one action to be inserted: pending ones, or where the action is complete from its start, completed and skipped ones."""

    customer_id: CustomerId
    action_id: ActionId
    scenario_id: Id
    rows: Sequence[ProgressRow]
    completed_on: dt.date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewActivity:
    """Something that was done about a customer."""

    customer_id: CustomerId
    action_id: ActionId | None
    kind: str
    text: str | None
    data: Mapping[str, Any]


_INSERT_ACTIONS = """
insert into action (tenant_id, ledger_id, action_id, customer_id, run_id, origin, scenario_id, scenario_version, step_code, step_name, kind, mode,
                    content_mode, document_id, local_date, scheduled_on, state, reason, task_kind, task_text, totals, deadline_on, one_a_day,
                    executed_at, completed_on, person_id)
select $1, $2, g.*,
       (select a.person_id from assignment a where a.tenant_id = $1 and a.customer_id = g.customer_id and a.role = 'collector' and a.lead and a.ended_on is null)
  from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::uuid[], $8::int[], $9::text[], $10::text[], $11::text[], $12::text[],
  $13::text[], $14::uuid[], $15::date[], $16::date[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[]::jsonb[], $22::date[], $23::boolean[],
  $24::timestamptz[], $25::date[]) as g (action_id, customer_id)
"""


async def insert_actions(session: Session, tenant_id: TenantId, ledger_id: LedgerId, actions: Sequence[NewAction]) -> None:
    """Insert actions in one statement, each for the lead collector of its customer; a second automatic one of the day raises the unique violation."""
    if not actions:
        return
    a = actions
    await session.execute(
        _INSERT_ACTIONS, tenant_id, ledger_id,
        [x.action_id for x in a], [x.customer_id for x in a], [x.run_id for x in a], [x.origin for x in a], [x.scenario_id for x in a],
        [x.scenario_version for x in a], [x.step_code for x in a], [x.step_name for x in a], [x.kind for x in a], [x.mode for x in a],
        [x.content_mode for x in a], [x.document_id for x in a], [x.local_date for x in a], [x.scheduled_on for x in a], [x.state for x in a],
        [x.reason for x in a], [x.task_kind for x in a], [x.task_text for x in a], [encode_json(x.totals) for x in a], [x.deadline_on for x in a],
        [x.one_a_day for x in a], [x.executed_at for x in a], [x.completed_on for x in a],
    )  # fmt: skip


_INSERT_PROGRESS = """
insert into item_progress (tenant_id, item_progress_id, customer_id, item_id, episode, scenario_id, scenario_version, step_code, repeat_no, state,
                           reason, action_id, open_minor, completed_on, counted_from_on)
select $1, g.id, ($2::uuid[])[g.place], g.item_id, g.episode, ($3::uuid[])[g.place], g.version, g.step_code, g.repeat_no,
       case when ($4::date[])[g.place] is null then 'pending' when g.reason is null then 'completed' else 'skipped' end,
       g.reason, ($5::uuid[])[g.place], g.open_minor, ($4::date[])[g.place], g.counted_from_on
  from unnest($6::int[], $7::uuid[], $8::uuid[], $9::int[], $10::int[], $11::text[], $12::int[], $13::text[], $14::int8[], $15::date[])
    as g (place, id, item_id, episode, version, step_code, repeat_no, reason, open_minor, counted_from_on)
"""


async def insert_progress(session: Session, tenant_id: TenantId, progress: Sequence[NewProgress]) -> None:
    """Insert rows of progress in one statement; a live row of the same item, episode, step and repeat raises the unique violation."""
    rows = [row for one in progress for row in one.rows]
    if not rows:
        return
    # What all rows of an action share goes over the wire once, and a row names its action by place.
    places = [place for place, one in enumerate(progress, 1) for _ in one.rows]
    await session.execute(
        _INSERT_PROGRESS, tenant_id,
        [x.customer_id for x in progress], [x.scenario_id for x in progress], [x.completed_on for x in progress], [x.action_id for x in progress],
        places, [new_id() for _ in rows], *map(list, zip(*rows, strict=True)),
    )  # fmt: skip


async def insert_activities(
    session: Session, tenant_id: TenantId, ledger_id: LedgerId, activities: Sequence[NewActivity], *, actor: str, business_at: dt.datetime
) -> list[UUID]:
    """Insert activities in one statement and return their ids."""
    if not activities:
        return []
    ids = [new_id() for _ in activities]
    await session.execute(
        """insert into activity (tenant_id, ledger_id, actor, business_at, activity_id, customer_id, action_id, kind, text, data)
           select $1, $2, $3, $4, g.* from unnest($5::uuid[], $6::uuid[], $7::uuid[], $8::text[], $9::text[], $10::jsonb[]) as g""",
        tenant_id, ledger_id, actor, business_at, ids,
        [a.customer_id for a in activities], [a.action_id for a in activities], [a.kind for a in activities], [a.text for a in activities],
        [dict(a.data) for a in activities],
    )  # fmt: skip
    return ids


async def action_row(session: ReadSession, tenant_id: TenantId, action_id: ActionId) -> asyncpg.Record | None:
    """Return one action, in `totals_now` with what it asks for now where it is live."""
    return await session.row(f"select {SHOWN} from action a where a.tenant_id = $1 and a.action_id = $2", tenant_id, action_id)


async def action_rows(session: ReadSession, tenant_id: TenantId, action_ids: Sequence[ActionId]) -> list[asyncpg.Record]:
    """Return some actions in id order; those that do not exist are missing."""
    return await session.rows("select * from action where tenant_id = $1 and action_id = any ($2::uuid[]) order by action_id", tenant_id, list(action_ids))


async def actions_for_change(session: Session, tenant_id: TenantId, action_ids: Sequence[ActionId]) -> list[asyncpg.Record]:
    """Return some actions in id order with their rows locked; those that do not exist are missing."""
    return await session.rows(
        "select * from action where tenant_id = $1 and action_id = any ($2::uuid[]) order by action_id for update", tenant_id, list(action_ids)
    )


async def action_for_change(session: Session, tenant_id: TenantId, action_id: ActionId) -> asyncpg.Record | None:
    """Return one action with its row locked."""
    return await session.row("select * from action where tenant_id = $1 and action_id = $2 for update", tenant_id, action_id)


async def pending_rows(session: ReadSession, tenant_id: TenantId, action_ids: Collection[ActionId]) -> list[asyncpg.Record]:
    """Return the pending rows of some actions: those without a reason are their candidate rows, the others the steps they pass over."""
    return await session.rows(
        "select * from item_progress where tenant_id = $1 and action_id = any ($2::uuid[]) and state = 'pending' order by item_progress_id",
        tenant_id,
        list(action_ids),
    )


class Stood(NamedTuple):
    """How one action stands from now on. What is None stays as it was, except the reason and the task, which belong to the state."""

    action_id: ActionId
    state: str
    reason: str | None = None
    task_kind: str | None = None
    task_text: str | None = None
    deadline_on: dt.date | None = None
    content_mode: str | None = None
    executed_at: dt.datetime | None = None
    completed_on: dt.date | None = None
    totals: Sequence[Any] | None = None


_STAND = """
update action a
   set state = g.state, reason = g.reason, task_kind = coalesce(g.task_kind, case when g.state in ('waiting', 'completed') then a.task_kind end),
       task_text = coalesce(g.task_text, case when g.state in ('waiting', 'completed') then a.task_text end),
       deadline_on = coalesce(g.deadline_on, a.deadline_on), content_mode = coalesce(g.content_mode, a.content_mode),
       executed_at = coalesce(g.executed_at, a.executed_at), completed_on = coalesce(g.completed_on, a.completed_on),
       totals = coalesce(g.totals, a.totals), revision = a.revision + 1, updated_at = clock_timestamp()
  from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::date[], $8::text[], $9::timestamptz[], $10::date[], $11::text[]::jsonb[])
    as g (action_id, state, reason, task_kind, task_text, deadline_on, content_mode, executed_at, completed_on, totals)
 where a.tenant_id = $1 and a.action_id = g.action_id
"""


async def stand_all(session: Session, tenant_id: TenantId, stood: Sequence[Stood]) -> None:
    """Set how some actions stand, in one statement."""
    if stood:
        written = [one._replace(totals=None if one.totals is None else encode_json(one.totals)) for one in stood]
        await session.execute(_STAND, tenant_id, *map(list, zip(*written, strict=True)))


async def stand(
    session: Session,
    tenant_id: TenantId,
    action_id: ActionId,
    state: str,
    *,
    reason: str | None = None,
    task_kind: str | None = None,
    task_text: str | None = None,
    deadline_on: dt.date | None = None,
) -> None:
    """Set how one action stands that was not carried out by this."""
    await stand_all(session, tenant_id, [Stood(action_id, state, reason, task_kind, task_text, deadline_on)])


async def note_approval(session: Session, tenant_id: TenantId, action_ids: Sequence[ActionId], actor: str, at: dt.datetime) -> None:
    """Note who let some actions go, and when on the tenant's clock."""
    await session.execute(
        "update action set approved_at = $3, approved_by = $4 where tenant_id = $1 and action_id = any ($2::uuid[])", tenant_id, list(action_ids), at, actor
    )


async def end_actions(session: Session, tenant_id: TenantId, action_ids: Sequence[ActionId], state: str, reason: str) -> None:
    """End some actions that are not to be, for one reason, in one statement; what somebody was to do stays to be read."""
    await session.execute(
        """update action set state = $3, reason = $4, revision = revision + 1, updated_at = clock_timestamp()
            where tenant_id = $1 and action_id = any ($2::uuid[])""",
        tenant_id,
        list(action_ids),
        state,
        reason,
    )


async def reschedule(session: Session, tenant_id: TenantId, action_id: ActionId, scheduled_on: dt.date, state: str) -> None:
    """Move an action to another day."""
    await session.execute(
        """update action set scheduled_on = $3, state = $4, revision = revision + 1, updated_at = clock_timestamp()
            where tenant_id = $1 and action_id = $2""",
        tenant_id,
        action_id,
        scheduled_on,
        state,
    )


async def put_off(session: Session, tenant_id: TenantId, days: Mapping[ActionId, dt.date], reason: str) -> None:
    """Let some actions wait for a day each, on which they go out by themselves."""
    await session.execute(
        """update action a set state = 'scheduled', scheduled_on = g.on_day, reason = $4, task_kind = null, task_text = null, revision = a.revision + 1,
                  updated_at = clock_timestamp()
             from unnest($2::uuid[], $3::date[]) as g (action_id, on_day) where a.tenant_id = $1 and a.action_id = g.action_id""",
        tenant_id,
        list(days),
        list(days.values()),
        reason,
    )


async def void_progress(session: Session, tenant_id: TenantId, action_ids: Sequence[ActionId], reason: str, *, item_ids: Sequence[UUID] | None = None) -> int:
    """Free the items of some actions, all or the given ones, and return how many rows that were."""
    return await session.execute(
        """update item_progress set state = 'void', reason = $3
            where tenant_id = $1 and action_id = any ($2::uuid[]) and state = 'pending' and ($4::uuid[] is null or item_id = any ($4))""",
        tenant_id,
        list(action_ids),
        reason,
        None if item_ids is None else list(item_ids),
    )


async def void_dropped(session: Session, tenant_id: TenantId, dropped: Sequence[tuple[ActionId, UUID, str]]) -> None:
    """Free items that drop out of actions of which others are left, each with its own reason."""
    action_ids, item_ids, reasons = zip(*dropped, strict=True)
    await session.execute(
        """update item_progress p set state = 'void', reason = g.reason from unnest($2::uuid[], $3::uuid[], $4::text[]) as g (action_id, item_id, reason)
            where p.tenant_id = $1 and p.action_id = g.action_id and p.item_id = g.item_id and p.state = 'pending'""",
        tenant_id,
        action_ids,
        item_ids,
        reasons,
    )


async def skip_progress(session: Session, tenant_id: TenantId, action_ids: Sequence[ActionId], on: dt.date, *, reason: str = "by_hand") -> None:
    """Let the items of some actions pass over their steps, because a person said so or for another named reason."""
    await session.execute(
        """update item_progress set state = 'skipped', reason = coalesce(reason, $4), completed_on = $3, counted_from_on = null
            where tenant_id = $1 and action_id = any ($2::uuid[]) and state = 'pending'""",
        tenant_id,
        list(action_ids),
        on,
        reason,
    )
