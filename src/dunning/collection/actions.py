"""Single actions in the hands of people: approve, reject, cancel, put off, complete, retry, skip, and write a note on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg

from dunning.collection import action_queries, action_store, carrying, claims, operation_store, operation_tasks, scenes, sheet_store
from dunning.collection.action_queries import ActionFilter
from dunning.collection.action_store import NewActivity
from dunning.collection.despatch import Outbound, Scene
from dunning.collection.operation_rules import NOTICE_WAITS, WAITING_FOR_OPERATION
from dunning.collection.operation_tasks import Recorded
from dunning.collection.rules import ActionEvent, may
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import ActionId, CustomerId, LedgerId, TenantId
from dunning.ledger import customers
from dunning.ledger.customer_state import facts_changed, lock_customers
from dunning.scenarios.steps import TaskKind
from dunning.tenancy import people

FARTHEST_DAYS = 366


class WrongState(Conflict):
    """The action is in a state that does not take this."""

    code = "action_state"
    title = "The action is in another state"


class MessageUnderWay(Conflict):
    """A message of the action has left or may have left, so it cannot be taken back."""

    code = "message_under_way"
    title = "A message of this action has left"


_VERBS = {
    ActionEvent.APPROVED: "approved",
    ActionEvent.REJECTED: "rejected",
    ActionEvent.CANCELLED: "cancelled",
    ActionEvent.RESCHEDULED: "put off",
    ActionEvent.COMPLETED: "completed",
    ActionEvent.RETRIED: "retried",
    ActionEvent.SKIPPED: "skipped",
    ActionEvent.CHANGED: "changed",
    ActionEvent.REPLACED: "replaced",
    ActionEvent.RUN_NOW: "run now",
    ActionEvent.REASSIGNED: "given to somebody else",
    ActionEvent.ROUTED: "led on to another step",
}


_WHILE_NOTICE_WAITS = frozenset({ActionEvent.APPROVED, ActionEvent.RUN_NOW, ActionEvent.COMPLETED, ActionEvent.RETRIED})
"""What cannot be done with an action while its notice waits for an operation: telling the customer, by whatever means."""


async def taken(
    session: Session, clock: Clock, tenant_id: TenantId, action_id: ActionId, event: ActionEvent, *, outbound: Outbound, actor: str
) -> tuple[asyncpg.Record, Scene]:
    """Lock the customer, then the action, and return it with its scene; raise `NotFound` or `WrongState`."""
    seen = await action_store.action_row(session, tenant_id, action_id)
    if seen is None:
        noun = "action"
        raise NotFound(noun)
    await lock_customers(session, tenant_id, [seen["customer_id"]])
    action = await action_store.action_for_change(session, tenant_id, action_id)
    if action is None:
        noun = "action"
        raise NotFound(noun)
    refusal = why_not(action, event)
    if refusal is not None:
        raise WrongState(refusal, state=action["state"])
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=LedgerId(action["ledger_id"]), outbound=outbound, actor=actor)
    return action, scene


def why_not(action: asyncpg.Record, event: ActionEvent) -> str | None:
    """Return why an action as it stands does not take an event, in words; None: it does."""
    manual = action["mode"] == "manual" and action["kind"] == "notice" and action["executed_at"] is None
    if not may(event, action["state"], manual=manual):
        return f"The action is {action['state'].replace('_', ' ')} and cannot be {_VERBS[event]}."
    if action["reason"] == WAITING_FOR_OPERATION and event in _WHILE_NOTICE_WAITS:
        return f"The action waits for an operation and cannot be {_VERBS[event]}. Record that with POST /v1/actions/{{id}}/operations/{{no}}/done; it then goes by itself."
    if action["reason"] == NOTICE_WAITS and event in {ActionEvent.CANCELLED, ActionEvent.REPLACED}:
        return f"A notice waits for this task, so it cannot be {_VERBS[event]}. Complete it, or cancel the action that it belongs to (operation_action_id)."
    if action["operation_no"] is not None and event is ActionEvent.RETRIED:
        return "The task belongs to an operation of another action, and nothing of it has failed. Complete it."
    if event is ActionEvent.SKIPPED and action["origin"] != "scenario" and action["counts_as_step"] is None:
        return "The action belongs to no step that could be passed over. Cancel it instead."
    return None


async def approve_action(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, action_id: ActionId, outbound: Outbound) -> asyncpg.Record:
    """Let an action go: it is carried out on facts as they are now, or on its day where that is still to come.

    Settled, held and covered rows drop out; with none left the action is cancelled with the cause. A notice in manual mode is sent by this, and a
    checkpoint is passed.
    """
    found = await action_of(session, tenant_id=tenant_id, action_id=action_id)
    if found["task_kind"] == TaskKind.CHECKPOINT and found["state"] == "waiting":
        await complete_action(session, clock, tenant_id=tenant_id, actor=actor, action_id=action_id, completed_on=None, note=None, outbound=outbound)
        await action_store.note_approval(session, tenant_id, [action_id], actor, clock.now())
        return await action_of(session, tenant_id=tenant_id, action_id=action_id)
    action, scene = await taken(session, clock, tenant_id, action_id, ActionEvent.APPROVED, outbound=outbound, actor=actor)
    await action_store.note_approval(session, tenant_id, [action_id], actor, clock.now())
    await tell(session, clock, scene, action, "action.approved", {})
    if action["scheduled_on"] > scene.today:
        await action_store.stand(session, tenant_id, action_id, "scheduled")
        await facts_changed(session, tenant_id, [CustomerId(action["customer_id"])], scene.today)
    else:
        await carrying.carry_out(session, clock, scene, action)
    return await action_of(session, tenant_id=tenant_id, action_id=action_id)


async def reject_action(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, action_id: ActionId, reason: str, outbound: Outbound
) -> asyncpg.Record:
    """Refuse an action that waits for approval. Its items are free again and will be planned anew; to pass its step over, skip it instead."""
    action, scene = await taken(session, clock, tenant_id, action_id, ActionEvent.REJECTED, outbound=outbound, actor=actor)
    await carrying.cancel(session, clock, scene, [action], reason, state="rejected")
    return await action_of(session, tenant_id=tenant_id, action_id=action_id)


async def cancel_action(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, action_id: ActionId, reason: str, outbound: Outbound
) -> asyncpg.Record:
    """Take an action back: unsent messages are withdrawn, its claim is void, its items are free.

    Raises `MessageUnderWay` when a message has left or may have left.
    """
    action, scene = await taken(session, clock, tenant_id, action_id, ActionEvent.CANCELLED, outbound=outbound, actor=actor)
    if await action_queries.has_message_under_way(session, tenant_id, action_id):
        msg = "A message of this action has left, or may have left, so it cannot be taken back. Wait for its outcome, or resolve it."
        raise MessageUnderWay(msg)
    await carrying.cancel(session, clock, scene, [action], reason)
    return await action_of(session, tenant_id=tenant_id, action_id=action_id)


async def reschedule_action(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, action_id: ActionId, scheduled_on: dt.date, outbound: Outbound
) -> asyncpg.Record:
    """Put an action off to another day, today or later; the day it was planned for stays in the history."""
    action, scene = await taken(session, clock, tenant_id, action_id, ActionEvent.RESCHEDULED, outbound=outbound, actor=actor)
    if not scene.today <= scheduled_on <= scene.today + dt.timedelta(days=FARTHEST_DAYS):
        msg = f"scheduled_on: expected a day from {scene.today} on, within a year."
        raise Malformed(msg, errors=[{"field": "scheduled_on", "message": "expected a day from today on, within a year"}])
    await action_store.reschedule(session, tenant_id, action_id, scheduled_on, action["state"])
    await tell(session, clock, scene, action, "action.rescheduled", {"from_on": action["scheduled_on"], "to_on": scheduled_on})
    await facts_changed(session, tenant_id, [CustomerId(action["customer_id"])], scene.today)
    if action["state"] == "scheduled" and scheduled_on <= scene.today:
        await carrying.carry_out(session, clock, scene, action)
    return await action_of(session, tenant_id=tenant_id, action_id=action_id)


async def complete_action(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, action_id: ActionId, completed_on: dt.date | None, note: str | None, outbound: Outbound,
    facts: Recorded | None = None,
) -> asyncpg.Record:  # fmt: skip
    """State that a task is done, on a day up to today: its items reach their steps on that day. The task of an operation takes the facts of that.

    Raises `NotFound`, `WrongState`, `MessageUnderWay`, `Malformed`, and for the task of an operation what recording that raises.
    """
    action, scene = await taken(session, clock, tenant_id, action_id, ActionEvent.COMPLETED, outbound=outbound, actor=actor)
    if action["operation_no"] is not None:
        await operation_tasks.record(
            session, clock, tenant_id=tenant_id, actor=actor, action_id=ActionId(action["operation_action_id"]), operation_no=action["operation_no"],
            recorded=replace(facts or Recorded(), done_on=completed_on, note=note), outbound=outbound,
        )  # fmt: skip
        return await action_of(session, tenant_id=tenant_id, action_id=action_id)
    if facts is not None:
        msg = "facts: this task carries out no operation that has any. Leave them out."
        raise Malformed(msg, [{"field": "facts", "message": "only the task of an operation has facts"}])
    on = completed_on or scene.today
    if on > scene.today or on < action["local_date"]:
        msg = f"completed_on: expected a day from {action['local_date']}, when the task was made, to {scene.today}."
        raise Malformed(msg, errors=[{"field": "completed_on", "message": "expected a day between the making of the task and today"}])
    if await action_queries.has_message_under_way(session, tenant_id, action_id):
        msg = "A message of this action may have left. Resolve it first, so that the customer is not told twice."
        raise MessageUnderWay(msg)
    await carrying.withdraw_unsent(session, clock, scene, [action_id], "completed_by_other_means")
    sheet = (await sheet_store.customers_of(session, tenant_id, [action["customer_id"]]))[CustomerId(action["customer_id"])]
    # The customer was told by other means, on the word of a person: the claim stands, but counts as no proof of delivery.
    await carrying.complete(session, clock, scene, action, on, country=sheet.country, subdivision=sheet.subdivision, told=False, note={"by": "person"})
    if note:
        await _note(session, clock, scene, action, note)
    return await action_of(session, tenant_id=tenant_id, action_id=action_id)


async def retry_action(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, action_id: ActionId, outbound: Outbound) -> asyncpg.Record:
    """Close the task of an action and free its items, so that the next run plans and sends anew; one outside the scenario is carried out again at once."""
    action, scene = await taken(session, clock, tenant_id, action_id, ActionEvent.RETRIED, outbound=outbound, actor=actor)
    if await action_queries.has_message_under_way(session, tenant_id, action_id):
        msg = "A message of this action may have left. Resolve it first, so that the customer is not told twice."
        raise MessageUnderWay(msg)
    if action["origin"] == "scenario":
        await carrying.cancel(session, clock, scene, [action], "retried")
    else:
        # No run plans an action outside the scenario anew, so it is carried out again itself.
        await carrying.carry_out_again(session, clock, scene, action)
    return await action_of(session, tenant_id=tenant_id, action_id=action_id)


async def skip_action(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, action_id: ActionId, reason: str, outbound: Outbound
) -> asyncpg.Record:
    """Let the items of an action pass over its steps without telling anybody; what comes next is the step above."""
    action, scene = await taken(session, clock, tenant_id, action_id, ActionEvent.SKIPPED, outbound=outbound, actor=actor)
    await action_store.skip_progress(session, tenant_id, [action_id], scene.today)
    await carrying.cancel(session, clock, scene, [action], "skipped")
    await tell(session, clock, scene, action, "action.skipped", {"reason": reason})
    return await action_of(session, tenant_id=tenant_id, action_id=action_id)


async def add_note(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, action_id: ActionId, text: str, outbound: Outbound) -> UUID:
    """Write a note on an action and return its id. Notes are never changed or removed."""
    action = await action_of(session, tenant_id=tenant_id, action_id=action_id)
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=LedgerId(action["ledger_id"]), outbound=outbound, actor=actor)
    return await _note(session, clock, scene, action, text)


async def carry_out_many(session: Session, clock: Clock, *, tenant_id: TenantId, action_ids: Sequence[ActionId], outbound: Outbound, actor: str) -> int:
    """Carry out those of some approved actions whose day has come, and return how many; none while sending is off.

    All customers are locked first. The actions are looked at again under the locks, so that one which has gone on meanwhile is passed over. The number
    of statements grows with the ledgers, and with the actions of that customer which has most of them.
    """
    customers = await action_queries.customers_of_actions(session, tenant_id, action_ids)
    await lock_customers(session, tenant_id, customers)
    scheduled = [row for row in await action_store.actions_for_change(session, tenant_id, action_ids) if row["state"] == "scheduled"]
    done = 0
    for ledger_id in sorted({LedgerId(row["ledger_id"]) for row in scheduled}, key=lambda ledger: ledger.bytes):
        scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=ledger_id, outbound=outbound, actor=actor)
        due = [row for row in scheduled if row["ledger_id"] == ledger_id and row["scheduled_on"] <= scene.today]
        if due and scene.tenant.may_send:
            await carrying.carry_out_all(session, clock, scene, due)
            done += len(due)
    return done


async def cancel_settled(session: Session, clock: Clock, *, tenant_id: TenantId, ledger_id: LedgerId, today: dt.date, outbound: Outbound, limit: int) -> int:
    """End waiting, scheduled and unapproved actions none of whose items is open any more, and return how many there were; specific ones on their day."""
    rows = await action_queries.settled_actions(session, tenant_id, ledger_id, today, limit)
    if not rows:
        return 0
    await lock_customers(session, tenant_id, sorted({CustomerId(row["customer_id"]) for row in rows}, key=lambda c: c.bytes))
    settled = {row["action_id"] for row in await action_queries.settled_actions(session, tenant_id, ledger_id, today, limit)}
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=ledger_id, outbound=outbound, actor="nightly")
    gone = [row for row in rows if row["action_id"] in settled]
    await carrying.cancel(session, clock, scene, gone, "settled")
    return len(gone)


async def action_of(session: ReadSession, *, tenant_id: TenantId, action_id: ActionId) -> asyncpg.Record:
    """Return one action; raise `NotFound`."""
    row = await action_store.action_row(session, tenant_id, action_id)
    if row is None:
        noun = "action"
        raise NotFound(noun)
    return row


async def actions_before(session: ReadSession, *, tenant_id: TenantId, where: ActionFilter, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return actions, the newest first; raise `NotFound` where the filter names an unknown customer."""
    if where.customer_id is not None:
        await customers.customer_of(session, tenant_id=tenant_id, customer_id=CustomerId(where.customer_id))
    return await action_queries.actions_before(session, tenant_id, where, before, limit)


async def items_of(session: ReadSession, *, tenant_id: TenantId, action_id: ActionId) -> list[asyncpg.Record]:
    """Return the items of an action; raise `NotFound`."""
    await action_of(session, tenant_id=tenant_id, action_id=action_id)
    return await action_queries.items_of_action(session, tenant_id, action_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What belongs to an action; `names` are of those who wrote the notes and of who completed it."""

    items: Sequence[asyncpg.Record]
    claims: Sequence[asyncpg.Record]
    operations: Sequence[asyncpg.Record]
    notes: Sequence[asyncpg.Record]
    messages: Sequence[asyncpg.Record]
    completed_by: str | None
    names: Mapping[str, str]


async def parts_of(session: ReadSession, *, tenant_id: TenantId, action_id: ActionId) -> Parts:
    """Return what belongs to an action: its item rows, claims, operations, notes, messages, and who completed it."""
    notes = await action_queries.activities_of_action(session, tenant_id, action_id)
    completed_by = await action_queries.completed_by(session, tenant_id, action_id)
    actors = {*(note["actor"] for note in notes), *([] if completed_by is None else [completed_by])}
    return Parts(
        items=await action_queries.items_of_action(session, tenant_id, action_id),
        claims=await claims.claims_of(session, tenant_id=tenant_id, action_id=action_id),
        operations=await operation_store.operations_of(session, tenant_id, action_id),
        notes=notes,
        messages=await action_queries.messages_of_action(session, tenant_id, action_id),
        completed_by=completed_by,
        names=await people.names_of(session, tenant_id=tenant_id, actors=actors),
    )


async def _note(session: Session, clock: Clock, scene: Scene, action: asyncpg.Record, text: str) -> UUID:
    made = NewActivity(customer_id=CustomerId(action["customer_id"]), action_id=ActionId(action["action_id"]), kind="note", text=text, data={})
    ids = await action_store.insert_activities(session, scene.tenant_id, scene.ledger.ledger_id, [made], actor=scene.actor, business_at=clock.now())
    await tell(session, clock, scene, action, "action.noted", {"activity_id": ids[0]})
    return ids[0]


async def tell(session: Session, clock: Clock, scene: Scene, action: asyncpg.Record, kind: str, data: dict[str, object]) -> None:
    """Record what happened to an action."""
    await events.record(
        session, clock, tenant_id=scene.tenant_id, kind=kind, subject_kind="action", subject_id=action["action_id"], actor=scene.actor,
        customer_id=CustomerId(action["customer_id"]), data=data,
    )  # fmt: skip
