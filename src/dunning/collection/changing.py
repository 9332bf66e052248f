"""Changing one action in time and manner before it is carried out, and carrying it out ahead of its day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import action_store, actions, carrying, own_words, owners, patterns, specific, specific_store
from dunning.collection.despatch import Outbound, Scene
from dunning.collection.last_look import published_of
from dunning.collection.rules import ActionEvent
from dunning.collection.specific_rules import Content
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.errors import Malformed, PreconditionFailed
from dunning.kit.ids import ActionId, CustomerId, TenantId
from dunning.ledger.customer_state import facts_changed
from dunning.scenarios.steps import StepKind

_WORDS = frozenset({"subject", "text"})
_REFREEZE = frozenset({"template", "content_mode", "contact_ids", "to_emails"}) | _WORDS
OF_A_NOTICE = frozenset({"channel", "template", "content_mode", "subject", "text", "contact_ids", "to_emails", "to_roles", "deadline_days"})
OF_A_TASK = frozenset({"task_kind", "task_text", "deadline_days"})
OF_A_SCENARIO = frozenset({"channel", "template", "content_mode", "subject", "text", "contact_ids", "task_kind", "task_text"})


async def change_action(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    action_id: ActionId,
    expected_revision: int | None,
    changes: Mapping[str, Any],
    outbound: Outbound,
) -> asyncpg.Record:
    """Change what is planned for one action that has told nobody yet, and return it; what was planned stays in its events.

    `changes` may hold `scheduled_on`, `title`, `person_id`, and fields of its content; the scenario, the model or the action it came from are not
    touched. Raises `NotFound`, `WrongState`, `PreconditionFailed` for another revision, `Malformed` for a change that does not fit its kind.
    The same again changes nothing.
    """
    action, scene = await actions.taken(session, clock, tenant_id, action_id, ActionEvent.CHANGED, outbound=outbound, actor=actor)
    if expected_revision is not None and expected_revision != action["revision"]:
        msg = f"The action has revision {action['revision']}, not {expected_revision}. Read it again and repeat your change on it."
        raise PreconditionFailed(msg)
    values = await _plain(session, scene, action, changes)
    written = {name: value for name, value in changes.items() if name not in {"scheduled_on", "title", "person_id"}}
    if written:
        values |= await _content(session, clock, scene, action, written)
    changed = {name: value for name, value in values.items() if value != action[name]}
    if not changed:
        return action
    await specific_store.plan_of_action(session, tenant_id, action_id, changed)
    if "person_id" in changed:
        customer_ids = [CustomerId(action["customer_id"])]
        await owners.let_see(session, clock, tenant_id=tenant_id, actor=actor, person_id=changed["person_id"], customer_ids=customer_ids)
        await owners.own_disputes(session, clock, tenant_id=tenant_id, actor=actor, person_id=changed["person_id"], action_ids=[action_id])
    await actions.tell(
        session, clock, scene, action, "action.changed", {"from": _told(action, changed), "to": _told(changed, changed), "fields": sorted(changes)}
    )
    await facts_changed(session, tenant_id, [CustomerId(action["customer_id"])], scene.today)
    if action["state"] == "scheduled" and values.get("scheduled_on", action["scheduled_on"]) <= scene.today:
        now = await actions.action_of(session, tenant_id=tenant_id, action_id=action_id)
        specific.refuse_while_off(scene, now)
        await carrying.carry_out(session, clock, scene, now)
    return await actions.action_of(session, tenant_id=tenant_id, action_id=action_id)


async def run_now(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, action_id: ActionId, outbound: Outbound) -> asyncpg.Record:
    """Carry an action out now that waits for its day, for approval or, by hand, for somebody; facts are looked at again.

    Raises `NotFound`, `WrongState`, `SendingOff`. A second call finds the action carried out, and raises `WrongState`.
    """
    action, scene = await actions.taken(session, clock, tenant_id, action_id, ActionEvent.RUN_NOW, outbound=outbound, actor=actor)
    specific.refuse_while_off(scene, action)
    await action_store.note_approval(session, tenant_id, [action_id], actor, clock.now())
    await actions.tell(session, clock, scene, action, "action.run_now", {"from_on": action["scheduled_on"], "to_on": scene.today})
    if action["scheduled_on"] > scene.today:
        await action_store.reschedule(session, tenant_id, action_id, scene.today, action["state"])
    await carrying.carry_out(session, clock, scene, await actions.action_of(session, tenant_id=tenant_id, action_id=action_id))
    return await actions.action_of(session, tenant_id=tenant_id, action_id=action_id)


async def _plain(session: Session, scene: Scene, action: asyncpg.Record, changes: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "scheduled_on" in changes:
        day: dt.date = changes["scheduled_on"]
        if day != action["scheduled_on"] and not scene.today <= day <= scene.today + dt.timedelta(days=specific.FARTHEST_DAYS):
            msg = f"scheduled_on: expected a day from {scene.today} on, within a year."
            raise Malformed(msg, [{"field": "scheduled_on", "message": "expected a day from today on, within a year"}])
        values["scheduled_on"] = day
    if "title" in changes:
        values["title"] = changes["title"]
    if "person_id" in changes:
        person_id: UUID | None = changes["person_id"]
        await owners.check(session, tenant_id=scene.tenant_id, person_id=person_id)
        values["person_id"] = person_id
    return values


async def _content(session: Session, clock: Clock, scene: Scene, action: asyncpg.Record, written: Mapping[str, Any]) -> dict[str, Any]:
    if action["executed_at"] is not None:
        msg = f"The action was carried out, so its {', '.join(sorted(written))} cannot be changed. Complete it, retry it, or replace it."
        raise actions.WrongState(msg, state=action["state"])
    taken = OF_A_TASK if action["kind"] == StepKind.TASK else OF_A_NOTICE
    if action["origin"] == "scenario":
        taken &= OF_A_SCENARIO
    strange = sorted(set(written) - taken)
    if strange:
        msg = f"{strange[0]}: this action takes {', '.join(sorted(taken)) or 'no such change'}."
        raise Malformed(msg, [{"field": name, "message": f"expected one of {', '.join(sorted(taken))}"} for name in strange])
    base, own = action["content"], None
    if action["origin"] == "scenario":
        own = await _content_of_step(session, scene, action)
        base = base or own
        written = {name: own.get(name) if value is None else value for name, value in written.items()}
    if "template" in written:
        base = {**base, "template_id": None, "template_version": None}
    content = Content.read({**base, **written})
    if own is not None and content == Content.read(own):
        values: dict[str, Any] = {"content": None}
    else:
        if _REFREEZE & set(written):
            content = await own_words.checked(session, clock, scene, CustomerId(action["customer_id"]), content)
        values = {"content": content.stored()}
    if action["kind"] == StepKind.TASK:
        values |= {"task_kind": content.task_kind, "task_text": content.task_text}
    return values


async def _content_of_step(session: Session, scene: Scene, action: asyncpg.Record) -> dict[str, Any]:
    """Return what the step of a scenario's action says, which its own changes stand over; its template is the one frozen with the version."""
    step = (await published_of(session, scene, action)).steps[action["step_code"]]
    return {**patterns.content_of(step), "template_id": None, "template_version": None}


def _told(values: Mapping[str, Any] | asyncpg.Record, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event says of the plan: the person's own words stay out of it."""
    told: dict[str, Any] = {}
    for name in changed:
        value = values[name]
        if name == "content":
            told |= {part: kept for part, kept in (value or {}).items() if part not in _WORDS | {"task_text", "to_emails"} and kept not in (None, [])}
        elif name not in {"title", "task_text"}:
            told[name] = value
    return told
