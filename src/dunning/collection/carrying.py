"""Carrying out, completing and ending actions, with everything that hangs on them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import (
    acceptance_store,
    action_store,
    claims,
    composition,
    despatch,
    endings,
    execute,
    last_look,
    operation_store,
    operations,
    specific_store,
)
from dunning.collection.acceptance_store import Completion
from dunning.collection.action_store import Stood
from dunning.collection.contact_budget import CONTACT_BUDGET
from dunning.collection.despatch import Despatch, Going, Scene, Standing
from dunning.collection.last_look import Look
from dunning.collection.operations import Ahead
from dunning.collection.rules import one_a_customer
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.evidence.links import revoke_links_of_claims
from dunning.kit.calendar import is_closed
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import ActionId, ClaimId, CustomerId, MessageId
from dunning.ledger.customer_state import facts_changed
from dunning.messages import store as message_store
from dunning.messages.rules import Event
from dunning.messages.store import Change
from dunning.scenarios.steps import OperationWhen, StepKind

_NONE: Mapping[ActionId, ClaimId] = MappingProxyType({})
_HOW: dict[str, endings.How] = {"rejected": "rejected", "superseded": "superseded"}

OPERATION_NOT_NEEDED = "operation_not_needed"
"""Why the task of an operation ends that is about nothing any more, or whose action has ended."""
OFFICE_DAYS = 30
"""Closed days in a row that are looked through when a completion was put off by them."""


async def carry_out(session: Session, clock: Clock, scene: Scene, action: asyncpg.Record) -> None:
    """Carry out one action, as `carry_out_all` does."""
    await carry_out_all(session, clock, scene, [action])


async def carry_out_all(
    session: Session, clock: Clock, scene: Scene, actions: Sequence[asyncpg.Record], *, replaced: Mapping[ActionId, ClaimId] = _NONE
) -> None:
    """Carry out actions of one ledger whose items are waiting for them, on facts as they are now.

    Rows that are settled, kept back or covered by now drop out and are free again; where none is left the action is cancelled with the cause. One whose
    notice waits for an operation stands waiting, and is carried out once that is recorded. The number of statements does not grow with the customers;
    several actions of one customer are carried out one after the other, each on what the one before has left. `replaced` names the claims whose place
    the new ones take. The caller has locked the customers' state rows and the actions.
    """
    for turn in one_a_customer(actions):
        await _carry_out(session, clock, scene, turn, replaced)


async def _carry_out(session: Session, clock: Clock, scene: Scene, actions: Sequence[asyncpg.Record], replaced: Mapping[ActionId, ClaimId]) -> None:
    by_id = {ActionId(action["action_id"]): action for action in actions}
    looks = await last_look.look(session, scene, actions)
    await _drop(session, clock, scene, by_id, looks)
    goings = [
        Going(
            action_id, CustomerId(by_id[action_id]["customer_id"]), seen.composed.action, seen.composed.info_net_minor, seen.published, seen.facts_version + 1,
            content_mode=by_id[action_id]["content_mode"], replaces_id=replaced.get(action_id), own=seen.own,
        )
        for action_id, seen in looks.items() if seen.composed.action is not None
    ]  # fmt: skip
    may_have_begun = {g.action_id for g in goings if operations.has_operations(g) or by_id[g.action_id]["counts_as_step"] is not None}
    ahead, happened = await operations.look_ahead(session, clock, scene, goings, may_have_begun)
    made = await despatch.prepare(session, clock, scene, [going for going in goings if going.action_id not in ahead.waiting])
    made.standings |= dict.fromkeys(ahead.waiting, operations.WAITING)
    over = {action_id: composition.cause_of(seen.composed.dropped) for action_id, seen in looks.items() if seen.composed.action is None}
    put_off = {action_id: standing.put_off_to for action_id, standing in made.standings.items() if standing.put_off_to is not None}
    passed = {
        action_id: standing.reason or "cancelled"
        for action_id, standing in made.standings.items() if standing.state == "cancelled" and action_id not in put_off
    }  # fmt: skip
    await _put_off(session, clock, scene, [by_id[action_id] for action_id in put_off], put_off)
    for reason in sorted(set(passed.values())):
        await action_store.skip_progress(session, scene.tenant_id, _of(passed, reason), scene.today, reason=reason)
    await _go(session, clock, scene, [going for going in goings if going.action_id not in passed | put_off], made, ahead, happened)
    ended = over | passed
    for reason in sorted(set(ended.values())):
        await cancel(session, clock, scene, [by_id[action_id] for action_id in _of(ended, reason)], reason)


async def _put_off(session: Session, clock: Clock, scene: Scene, actions: Sequence[asyncpg.Record], days: Mapping[ActionId, dt.date]) -> None:
    """Let actions wait for a day on which one of those whom they tell may be told; they go out by themselves then."""
    if not actions:
        return
    await action_store.put_off(session, scene.tenant_id, days, CONTACT_BUDGET)
    told = [
        NewEvent(
            "action.rescheduled", "action", ActionId(one["action_id"]), CustomerId(one["customer_id"]),
            {"from_on": one["scheduled_on"], "to_on": days[ActionId(one["action_id"])], "reason": CONTACT_BUDGET},
        )
        for one in actions
    ]  # fmt: skip
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)
    await facts_changed(session, scene.tenant_id, sorted({CustomerId(one["customer_id"]) for one in actions}, key=lambda c: c.bytes), scene.today)


def _of(reasons: Mapping[ActionId, str], reason: str) -> list[ActionId]:
    return [action_id for action_id, why in reasons.items() if why == reason]


async def _drop(session: Session, clock: Clock, scene: Scene, by_id: Mapping[ActionId, asyncpg.Record], looks: Mapping[ActionId, Look]) -> None:
    """Free the rows that drop out of actions of which others are left."""
    dropped = [
        (action_id, UUID(str(drop.item_id)), drop.reason)
        for action_id, seen in looks.items() if seen.composed.action is not None
        for drop in seen.composed.dropped
    ]  # fmt: skip
    if dropped:
        await action_store.void_dropped(session, scene.tenant_id, dropped)
        await narrow(session, clock, scene, dropped)
        await specific_store.drop_items(session, scene.tenant_id, [one for one in dropped if by_id[one[0]]["origin"] != "scenario"])


async def narrow(session: Session, clock: Clock, scene: Scene, dropped: Sequence[tuple[ActionId, UUID, str]]) -> None:
    """Keep items that have left actions, each with why, out of what those still have to do; a task that is about none of them any more ends."""
    over = await operation_store.narrow_operations(session, scene.tenant_id, dropped)
    await cancel(session, clock, scene, over, OPERATION_NOT_NEEDED)


async def _go(session: Session, clock: Clock, scene: Scene, goings: Sequence[Going], made: Despatch, ahead: Ahead, happened: Sequence[NewEvent]) -> None:
    """Write what actions tell and do, and how they stand."""
    if not goings:
        return
    tenant_id, ledger_id = scene.tenant_id, scene.ledger.ledger_id
    customers = {going.action_id: going.customer_id for going in goings}
    effects = execute.begin(scene, goings, made.standings, ahead)
    effects.events += happened
    begun = {action_id: customer_id for action_id, customer_id in customers.items() if action_id in ahead.begun and action_id not in ahead.waiting}
    await execute.write_despatch(session, clock, scene, made, effects)
    standings = [(going, made.standings[going.action_id]) for going in goings]
    await action_store.stand_all(session, tenant_id, [_stood(going, standing, clock) for going, standing in standings])
    done = [Completion(going.action_id, ledger_id, scene.today, None, keeps=True, reminds=False) for going, one in standings if one.state == "completed"]
    if done:
        await acceptance_store.complete(session, tenant_id, done, told_at=None)
    told = effects.events
    if begun:
        told += await operations.reach(
            session, clock, tenant_id=tenant_id, ledger_id=ledger_id, customers=begun, moments={OperationWhen.BEFORE_NOTICE, OperationWhen.EXECUTED},
            today=scene.today, actor=scene.actor,
        )  # fmt: skip
    await events.record_many(session, clock, tenant_id=tenant_id, actor=scene.actor, events=told)
    await facts_changed(session, tenant_id, sorted(customers.values(), key=lambda c: c.bytes), scene.today)


def _stood(going: Going, standing: Standing, clock: Clock) -> Stood:
    return Stood(
        going.action_id, standing.state, standing.reason, standing.task_kind, standing.task_text, standing.deadline_on, standing.content_mode,
        executed_at=None if standing is operations.WAITING else clock.now(), totals=[list(total) for total in going.action.totals],
    )  # fmt: skip


async def carry_out_again(session: Session, clock: Clock, scene: Scene, action: asyncpg.Record) -> None:
    """Take back what an action was about to tell and tell what is true now: its claim is void, and a new one takes its place."""
    action_id = ActionId(action["action_id"])
    voided = await take_back(session, clock, scene, [action_id], "amounts_changed")
    await carry_out_all(session, clock, scene, [action], replaced={action_id: voided[0]} if voided else _NONE)


async def take_back(session: Session, clock: Clock, scene: Scene, action_ids: Sequence[ActionId], reason: str) -> list[ClaimId]:
    """Withdraw the unsent messages and issued claims of some actions, and return the claims that became void."""
    tenant_id = scene.tenant_id
    await withdraw_unsent(session, clock, scene, action_ids, reason)
    voided = await claims.void(session, tenant_id, action_ids, reason)
    await revoke_links_of_claims(session, clock, tenant_id=tenant_id, actor=scene.actor, claim_ids=voided, reason=reason)
    made = [NewEvent("claim.voided", "claim", claim_id, None, {"reason": reason}) for claim_id in voided]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=scene.actor, events=made)
    return voided


async def withdraw_unsent(session: Session, clock: Clock, scene: Scene, action_ids: Sequence[ActionId], reason: str) -> None:
    """Withdraw the messages of some actions that have not left; what has passed its fence goes on."""
    tenant_id = scene.tenant_id
    unsent: list[MessageId] = [
        MessageId(row["message_id"])
        for row in await session.rows(
            """select message_id from message where tenant_id = $1 and action_id = any ($2::uuid[])
                 and state in ('ready', 'retry_wait', 'leased', 'parked') order by message_id""",
            tenant_id,
            list(action_ids),
        )
    ]
    if unsent:
        withdrawn = await message_store.change_states(session, tenant_id, Event.CANCELLED, unsent, actor=scene.actor, change=Change(reason=reason))
        told = [
            NewEvent("message.cancelled", "message", row["message_id"], row["customer_id"], {"reason": reason, "action_id": row["action_id"]})
            for row in withdrawn
        ]
        await events.record_many(session, clock, tenant_id=tenant_id, actor=scene.actor, events=told)


async def cancel(
    session: Session,
    clock: Clock,
    scene: Scene,
    actions: Sequence[asyncpg.Record],
    reason: str,
    *,
    state: str = "cancelled",
    superseded_by: ActionId | None = None,
) -> None:
    """End actions that are not to be: nothing of them leaves any more and their items are free. `superseded_by` takes the place of the one that is superseded.

    The callers hold the customers' locks.
    """
    ids = [ActionId(action["action_id"]) for action in actions]
    if not ids:
        return
    await take_back(session, clock, scene, ids, reason)
    await action_store.void_progress(session, scene.tenant_id, ids, reason)
    tasks = await operation_store.drop_operations(session, scene.tenant_id, ids)
    await action_store.end_actions(session, scene.tenant_id, ids, state, reason)
    await endings.close(session, clock, scene, actions, _HOW.get(state, "cancelled"))
    kind = f"action.{state}"
    data: dict[str, object] = {"reason": reason} if superseded_by is None else {"reason": reason, "superseded_by": superseded_by}
    told = [NewEvent(kind, "action", ActionId(a["action_id"]), CustomerId(a["customer_id"]), data) for a in actions]
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)
    await facts_changed(session, scene.tenant_id, sorted({CustomerId(a["customer_id"]) for a in actions}, key=lambda c: c.bytes), scene.today)
    await cancel(session, clock, scene, tasks, OPERATION_NOT_NEEDED)


async def complete(
    session: Session,
    clock: Clock,
    scene: Scene,
    action: asyncpg.Record,
    on: dt.date,
    *,
    country: str,
    subdivision: str | None,
    told: bool,
    note: dict[str, Any],
) -> None:
    """Complete an action on a day: its rows reach their steps, its claim counts as told where it was, its operations of that moment are carried out.

    What people do today was done at this instant, whatever the software tried before; of an earlier day only the day is known.
    """
    tenant_id, action_id, customer_id = scene.tenant_id, ActionId(action["action_id"]), CustomerId(action["customer_id"])
    counted_from_on, keeps = counted(action["scheduled_on"], on, country, subdivision)
    done_at = clock.now() if on == scene.today and not told else None
    completion = Completion(action_id, scene.ledger.ledger_id, on, counted_from_on, keeps, reminds=action["kind"] == StepKind.NOTICE, done_at=done_at)
    claims_told = await acceptance_store.complete(session, tenant_id, [completion], told_at=clock.now() if told else None)
    made = [NewEvent("action.completed", "action", action_id, customer_id, {"completed_on": on, **note})]
    made += [NewEvent("claim.told", "claim", claim_id, customer_id, {"action_id": action_id}) for _, claim_id in claims_told]
    # A task of one's own is carried out by being done: what was to be done with that moment comes with it.
    made += await operations.reach(
        session, clock, tenant_id=tenant_id, ledger_id=scene.ledger.ledger_id, customers={action_id: customer_id},
        moments={OperationWhen.EXECUTED, OperationWhen.COMPLETED}, today=scene.today, actor=scene.actor,
    )  # fmt: skip
    await events.record_many(session, clock, tenant_id=tenant_id, actor=scene.actor, events=made)
    await endings.close(session, clock, scene, [action], "completed")
    await facts_changed(session, tenant_id, [customer_id], scene.today)


def counted(planned_on: dt.date, completed_on: dt.date, country: str, subdivision: str | None) -> tuple[dt.date | None, bool]:
    """Return from which day a completion counts where closed days put it off, and whether a still earlier day known to its rows holds.

    A message planned on a Saturday and accepted on the Monday after counts from the Saturday; one that a relay kept until Tuesday counts from
    Tuesday, because lateness is carried on.
    """
    if completed_on <= planned_on:
        return None, completed_on == planned_on
    between = [planned_on + dt.timedelta(days=n) for n in range(min((completed_on - planned_on).days, OFFICE_DAYS))]
    put_off = all(is_closed(day, country, subdivision) for day in between)
    return (planned_on, True) if put_off else (None, False)


async def wait_for_somebody(session: Session, clock: Clock, scene: Scene, action: asyncpg.Record, reason: str, *, task_kind: str, task_text: str) -> None:
    """Turn an action whose message did not arrive into a task: the step stays where it is until a person has dealt with it."""
    tenant_id, action_id, customer_id = scene.tenant_id, ActionId(action["action_id"]), CustomerId(action["customer_id"])
    await action_store.stand(session, tenant_id, action_id, "waiting", reason=reason, task_kind=task_kind, task_text=task_text)
    told = NewEvent("action.waiting", "action", action_id, customer_id, {"reason": reason, "task_kind": task_kind})
    await events.record_many(session, clock, tenant_id=tenant_id, actor=scene.actor, events=[told])
    await facts_changed(session, tenant_id, [customer_id], scene.today)
