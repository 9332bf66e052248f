"""Carrying out, completing and ending single actions, with everything that hangs on them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import action_store, claims, composition, despatch, endings, execute, last_look, operations, specific_store
from dunning.collection.despatch import Going, Scene
from dunning.collection.operations import Effects
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

_HOW: dict[str, endings.How] = {"rejected": "rejected", "superseded": "superseded"}

OFFICE_DAYS = 30
"""Closed days in a row that are looked through when a completion was put off by them."""


async def carry_out(session: Session, clock: Clock, scene: Scene, action: asyncpg.Record, *, replaces_id: ClaimId | None = None) -> None:
    """Carry out an action whose items are waiting for it, on facts as they are now.

    Rows that are settled, held or covered by now drop out and are free again; where none is left the action is cancelled with the cause. The
    caller has locked the customer's state row and the action.
    """
    action_id, customer_id = ActionId(action["action_id"]), CustomerId(action["customer_id"])
    seen = await last_look.look(session, scene, action)
    composed = seen.composed
    if composed.action is None:
        await cancel(session, clock, scene, [action], composition.cause_of(composed.dropped))
        return
    if composed.dropped:
        gone = [UUID(str(drop.item_id)) for drop in composed.dropped]
        await action_store.void_progress(session, scene.tenant_id, [action_id], "dropped_out", item_ids=gone)
        if action["origin"] != "scenario":
            await specific_store.drop_items(session, scene.tenant_id, action_id, gone, [drop.reason for drop in composed.dropped])
    going = Going(
        action_id, customer_id, composed.action, composed.info_net_minor, seen.published, seen.facts_version + 1,
        content_mode=action["content_mode"], replaces_id=replaces_id, own=seen.own,
    )  # fmt: skip
    made = await despatch.prepare(session, clock, scene, [going])
    standing = made.standings[action_id]
    if standing.state == "cancelled":
        await action_store.skip_progress(session, scene.tenant_id, action_id, scene.today, reason=standing.reason or "cancelled")
        await cancel(session, clock, scene, [action], standing.reason or "cancelled")
        return
    effects = Effects()
    operations.begin(
        effects, action_id=action_id, customer_id=customer_id, action=composed.action, published=seen.published,
        moments=operations.moments_of(standing.state), today=scene.today, actor=scene.actor,
    )  # fmt: skip
    await execute.write_despatch(session, clock, scene, made, effects)
    await action_store.stand(
        session, scene.tenant_id, action_id, standing.state, reason=standing.reason, task_kind=standing.task_kind, task_text=standing.task_text,
        deadline_on=standing.deadline_on, content_mode=standing.content_mode, executed_at=clock.now(),
        completed_on=scene.today if standing.state == "completed" else None, totals=[list(total) for total in composed.action.totals],
    )  # fmt: skip
    if standing.state == "completed":
        await action_store.complete_progress(session, scene.tenant_id, scene.ledger.ledger_id, action_id, scene.today, None, keep_counted=True, reminds=False)
    told = NewEvent("action.executed", "action", action_id, customer_id, {"state": standing.state, "reason": standing.reason})
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=[told, *effects.events])
    await facts_changed(session, scene.tenant_id, [customer_id], scene.today)


async def carry_out_again(session: Session, clock: Clock, scene: Scene, action: asyncpg.Record) -> None:
    """Take back what an action was about to tell and tell what is true now: its claim is void, and a new one takes its place."""
    action_id = ActionId(action["action_id"])
    voided = await take_back(session, clock, scene, [action_id], "amounts_changed")
    await carry_out(session, clock, scene, action, replaces_id=voided[0] if voided else None)


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


async def cancel(session: Session, clock: Clock, scene: Scene, actions: Sequence[asyncpg.Record], reason: str, *, state: str = "cancelled") -> None:
    """End actions that are not to be: nothing of them leaves any more and their items are free. The callers hold the customers' locks."""
    ids = [ActionId(action["action_id"]) for action in actions]
    if not ids:
        return
    await take_back(session, clock, scene, ids, reason)
    await action_store.void_progress(session, scene.tenant_id, ids, reason)
    await action_store.drop_operations(session, scene.tenant_id, ids)
    await action_store.end_actions(session, scene.tenant_id, ids, state, reason)
    await endings.close(session, clock, scene, actions, _HOW.get(state, "cancelled"))
    kind = f"action.{state}"
    told = [NewEvent(kind, "action", ActionId(a["action_id"]), CustomerId(a["customer_id"]), {"reason": reason}) for a in actions]
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)
    await facts_changed(session, scene.tenant_id, sorted({CustomerId(a["customer_id"]) for a in actions}, key=lambda c: c.bytes), scene.today)


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
    """Complete an action on a day: its rows reach their steps, its claim counts as told where it was, its operations of that moment are carried out."""
    tenant_id, action_id, customer_id = scene.tenant_id, ActionId(action["action_id"]), CustomerId(action["customer_id"])
    counted_from, keep = counted(action["scheduled_on"], on, country, subdivision)
    done = await action_store.complete(
        session, tenant_id, scene.ledger.ledger_id, action_id, on, counted_from, keep_counted=keep, reminds=action["kind"] == StepKind.NOTICE,
        told_at=clock.now() if told else None,
    )  # fmt: skip
    made = [NewEvent("action.completed", "action", action_id, customer_id, {"completed_on": on, **note})]
    made += [NewEvent("claim.told", "claim", claim_id, customer_id, {"action_id": action_id}) for claim_id in done.told]
    if done.operations_wait:
        made += await operations.reach(
            session, clock, tenant_id=tenant_id, ledger_id=scene.ledger.ledger_id, customer_id=customer_id, action_id=action_id,
            moment=OperationWhen.COMPLETED, today=scene.today, actor=scene.actor,
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
