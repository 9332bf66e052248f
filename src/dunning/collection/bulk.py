"""The same done to many actions at once, with a result for each: one that cannot be done never stops the others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

import asyncpg

from dunning.collection import action_queries, action_store, actions, bulk_store, carrying, owners, resending, scenes
from dunning.collection.action_queries import ActionFilter
from dunning.collection.despatch import Outbound, Scene
from dunning.collection.resending import Refused, Repeat
from dunning.collection.rules import ActionEvent
from dunning.collection.specific import FARTHEST_DAYS, SendingOff
from dunning.events import due_work
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.errors import Malformed, NotFound
from dunning.kit.ids import ActionId, CustomerId, LedgerId, TenantId
from dunning.ledger.customer_state import facts_changed, lock_customers

Act = Literal["approve", "reject", "cancel", "reschedule", "reassign", "skip", "run_now", "resend"]
Outcome = Literal["done", "ready", "refused", "unknown"]

AT_ONCE = 1_000
SENDS: frozenset[Act] = frozenset({"approve", "run_now", "resend"})
"""Acts after which messages may leave."""

_EVENTS: dict[Act, ActionEvent] = {
    "approve": ActionEvent.APPROVED,
    "reject": ActionEvent.REJECTED,
    "cancel": ActionEvent.CANCELLED,
    "reschedule": ActionEvent.RESCHEDULED,
    "reassign": ActionEvent.REASSIGNED,
    "skip": ActionEvent.SKIPPED,
    "run_now": ActionEvent.RUN_NOW,
}
_STATES: dict[Act, str] = {"approve": "scheduled", "run_now": "scheduled", "reject": "rejected", "cancel": "cancelled", "skip": "cancelled"}
_UNDER_WAY = "A message of this action has left, or may have left, so it cannot be taken back. Wait for its outcome, or resolve it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """What is done to which actions: those named, or the newest that a filter finds, at most `AT_ONCE`."""

    act: Act
    action_ids: Sequence[ActionId] | None = None
    where: ActionFilter | None = None
    reason: str | None = None
    scheduled_on: dt.date | None = None
    person_id: UUID | None = None
    repeat: Repeat = field(default_factory=Repeat)
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one action: `done`, in a dry run `ready`, `refused` with a code and what to do, or `unknown`."""

    action_id: ActionId
    outcome: Outcome
    state: str | None
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """What became of each action, in the order given; `more` tells whether the filter finds further ones."""

    results: Sequence[Result]
    more: bool


async def act_on_many(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, bulk: Bulk, outbound: Outbound) -> Results:
    """Do the same to many actions in one transaction, a statement a table and not one an action, and return what became of each.

    What is approved or run now is carried out by the worker, which looks at the facts again. Raises `NotFound` for an unknown person, `Malformed`
    for a day out of range, and `SendingOff` where something would be sent and nothing may leave. A second call finds each in its new state.
    """
    ids, more = await _chosen(session, tenant_id, bulk)
    customers = await action_queries.customers_of_actions(session, tenant_id, ids)
    if not bulk.dry_run:
        await lock_customers(session, tenant_id, customers)
    found = await (action_store.action_rows if bulk.dry_run else action_store.actions_for_change)(session, tenant_id, ids)
    if bulk.act == "reassign":
        await owners.check(session, tenant_id=tenant_id, person_id=bulk.person_id)
    refused = await _refusals(session, tenant_id, bulk, found)
    for ledger_id in dict.fromkeys(LedgerId(action["ledger_id"]) for action in found):
        scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=ledger_id, outbound=outbound, actor=actor)
        _check(scene, bulk)
        chosen = [a for a in found if a["ledger_id"] == ledger_id and a["action_id"] not in refused]
        if chosen and bulk.dry_run and bulk.act == "resend":
            refused |= _untold(await resending.refusals(session, clock, scene, chosen, bulk.repeat))
        elif chosen and not bulk.dry_run:
            refused |= await _do(session, clock, scene, bulk, chosen)
    by_id = {ActionId(action["action_id"]): action for action in found}
    return Results([_result(action_id, by_id.get(action_id), refused.get(action_id), bulk) for action_id in ids], more)


async def _chosen(session: Session, tenant_id: TenantId, bulk: Bulk) -> tuple[list[ActionId], bool]:
    if bulk.action_ids is not None:
        return list(dict.fromkeys(bulk.action_ids)), False
    found = await action_queries.ids_before(session, tenant_id, bulk.where or ActionFilter(), None, AT_ONCE + 1)
    return found[:AT_ONCE], len(found) > AT_ONCE


def _check(scene: Scene, bulk: Bulk) -> None:
    if bulk.act in {"run_now", "resend"} and not scene.tenant.may_send:
        msg = "Sending is off or stopped. Switch it on with PUT /v1/tenant/sending first."
        raise SendingOff(msg)
    if bulk.act == "reschedule":
        day = bulk.scheduled_on
        if day is None or not scene.today <= day <= scene.today + dt.timedelta(days=FARTHEST_DAYS):
            msg = f"scheduled_on: expected a day from {scene.today} on, within a year."
            raise Malformed(msg, [{"field": "scheduled_on", "message": "expected a day from today on, within a year"}])


async def _refusals(session: Session, tenant_id: TenantId, bulk: Bulk, found: Sequence[asyncpg.Record]) -> dict[ActionId, tuple[str, str]]:
    event = _EVENTS.get(bulk.act)
    if event is None:
        return {}
    refused = {ActionId(a["action_id"]): (actions.WrongState.code, why) for a in found if (why := actions.why_not(a, event)) is not None}
    if bulk.act in {"cancel", "skip"}:
        left = await bulk_store.under_way(session, tenant_id, [ActionId(a["action_id"]) for a in found])
        refused |= {action_id: (actions.MessageUnderWay.code, _UNDER_WAY) for action_id in left if action_id not in refused}
    return refused


async def _do(session: Session, clock: Clock, scene: Scene, bulk: Bulk, chosen: Sequence[asyncpg.Record]) -> dict[ActionId, tuple[str, str]]:
    tenant_id, ids = scene.tenant_id, [ActionId(action["action_id"]) for action in chosen]
    if bulk.act == "resend":
        return _untold(await resending.resend_many(session, clock, scene, chosen, bulk.repeat))
    if bulk.act in {"reject", "cancel"}:
        await carrying.cancel(session, clock, scene, chosen, bulk.reason or "in_bulk", state=_STATES[bulk.act])
        return {}
    data: dict[str, object] = {}
    if bulk.act in {"approve", "run_now"}:
        await bulk_store.let_go(session, tenant_id, ids, scene.actor, clock.now(), on=scene.today if bulk.act == "run_now" else None)
        await due_work.ring(session, tenant_id, "action")
    elif bulk.act == "skip":
        await action_store.skip_progress(session, tenant_id, ids, scene.today)
        await carrying.cancel(session, clock, scene, chosen, "skipped")
        data = {"reason": bulk.reason}
    elif bulk.act == "reschedule" and bulk.scheduled_on is not None:
        await bulk_store.put_off(session, tenant_id, ids, bulk.scheduled_on)
        await due_work.ring(session, tenant_id, "action")
        data = {"to_on": bulk.scheduled_on}
    elif bulk.act == "reassign":
        await bulk_store.give_to(session, tenant_id, ids, bulk.person_id)
        customer_ids = {CustomerId(action["customer_id"]) for action in chosen}
        await owners.let_see(session, clock, tenant_id=tenant_id, actor=scene.actor, person_id=bulk.person_id, customer_ids=customer_ids)
        await owners.own_disputes(session, clock, tenant_id=tenant_id, actor=scene.actor, person_id=bulk.person_id, action_ids=ids)
        data = {"person_id": bulk.person_id}
    await _tell(session, clock, scene, bulk, chosen, data)
    return {}


def _untold(answers: Mapping[ActionId, Refused | None]) -> dict[ActionId, tuple[str, str]]:
    return {action_id: (resending.NothingToResend.code, why.detail) for action_id, why in answers.items() if why is not None}


async def _tell(session: Session, clock: Clock, scene: Scene, bulk: Bulk, chosen: Sequence[asyncpg.Record], data: dict[str, object]) -> None:
    kind = {"run_now": "action.run_now", "skip": "action.skipped"}.get(bulk.act, f"action.{_EVENTS[bulk.act].value}")
    before = {"reschedule": ("from_on", "scheduled_on"), "reassign": ("from_person_id", "person_id"), "run_now": ("from_on", "scheduled_on")}.get(bulk.act)
    told = [
        NewEvent(kind, "action", action["action_id"], CustomerId(action["customer_id"]), {**data, **({before[0]: action[before[1]]} if before else {})})
        for action in chosen
    ]
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)
    if bulk.act != "reassign":
        await facts_changed(session, scene.tenant_id, {CustomerId(action["customer_id"]) for action in chosen}, scene.today)


def _result(action_id: ActionId, action: asyncpg.Record | None, refusal: tuple[str, str] | None, bulk: Bulk) -> Result:
    if action is None:
        return Result(action_id, "unknown", None, NotFound.code, "No such action. Check the id, and that it belongs to this tenant.")
    if refusal is not None:
        return Result(action_id, "refused", action["state"], *refusal)
    return Result(action_id, "ready", action["state"]) if bulk.dry_run else Result(action_id, "done", _STATES.get(bulk.act, action["state"]))
