"""Operations in the hands of people: recording what was done, and what then goes on by itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import action_store, carrying, endings, operation_store, scenes, sheet_store
from dunning.collection.action_store import NewActivity
from dunning.collection.despatch import Outbound, Scene
from dunning.collection.operation_rules import TO_INSURER
from dunning.events import due_work
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import ActionId, CustomerId, LedgerId, TenantId
from dunning.kit.money import Money
from dunning.ledger.customer_state import facts_changed, lock_customers

ACTIVITY = "operation_done"
LONGEST_AGO_DAYS = 366


class OperationEnded(Conflict):
    """The operation is done or not needed, so there is nothing to record."""

    code = "operation_ended"
    title = "The operation is over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What somebody did. What is None is taken from the operation: today, its items, what is open of them, the customer's policy."""

    done_on: dt.date | None = None
    amounts: Sequence[Money] | None = None
    item_ids: Sequence[UUID] | None = None
    policy: str | None = None
    reference: str | None = None
    note: str | None = None


async def record(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, action_id: ActionId, operation_no: int, recorded: Recorded, outbound: Outbound
) -> list[asyncpg.Record]:
    """Record that an operation which was left to people is carried out, and return all operations of its action.

    Its task is done with it, and an action whose notice waited for nothing else goes on its day by itself: the worker looks at the facts again. Raises
    `NotFound` for the action, the operation or an item, `OperationEnded`, also on a second call, and `Malformed`.
    """
    action = await action_store.action_row(session, tenant_id, action_id)
    if action is None:
        noun = "action"
        raise NotFound(noun)
    customer_id = CustomerId(action["customer_id"])
    await lock_customers(session, tenant_id, [customer_id])
    operation = await operation_store.operation_for_change(session, tenant_id, action_id, operation_no)
    if operation is None:
        noun = "operation of this action"
        raise NotFound(noun)
    if operation["state"] != "waiting":
        msg = f"The operation is {operation['state'].replace('_', ' ')}, and no longer waits to be recorded."
        raise OperationEnded(msg, state=operation["state"])
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=LedgerId(action["ledger_id"]), outbound=outbound, actor=actor)
    facts = await _facts(session, scene, customer_id, operation, recorded)
    await operation_store.finish_operation(session, tenant_id, action_id, operation_no, facts, actor)
    data = {"operation": operation["kind"], "operation_no": operation_no, "step_code": operation["params"].get("step_code"), **facts}
    activity = NewActivity(customer_id=customer_id, action_id=action_id, kind=ACTIVITY, text=recorded.note, data=_without_note(data))
    await action_store.insert_activities(session, tenant_id, scene.ledger.ledger_id, [activity], actor=actor, business_at=clock.now())
    done = NewEvent("operation.done", "action", action_id, customer_id, _without_note(data))
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=[done])
    await _finish_task(session, clock, scene, action_id, operation_no, dt.date.fromisoformat(facts["done_on"]))
    await go_on(session, clock, scene, [action_id])
    return await operation_store.operations_of(session, tenant_id, action_id)


async def go_on(session: Session, clock: Clock, scene: Scene, action_ids: Collection[ActionId]) -> None:
    """Let those of some actions go whose notice waits for nothing any more; on its day the worker carries each out on facts as they are then."""
    released = await operation_store.release(session, scene.tenant_id, action_ids)
    if not released:
        return
    told = [NewEvent("action.released", "action", row["action_id"], CustomerId(row["customer_id"]), {"on": row["scheduled_on"]}) for row in released]
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)
    await facts_changed(session, scene.tenant_id, {CustomerId(row["customer_id"]) for row in released}, scene.today)
    await due_work.ring(session, scene.tenant_id, "action")


@endings.register
async def tasks_ended(session: Session, clock: Clock, scene: Scene, actions: Sequence[asyncpg.Record], how: str) -> None:
    """Note that operations are not needed whose tasks ended without being done, such as ones whose items were paid, and let go what waited for them."""
    tasks = [action for action in actions if action["operation_no"] is not None]
    if not tasks or how == "completed":
        return
    dropped = [(ActionId(task["operation_action_id"]), task["operation_no"]) for task in tasks]
    await operation_store.dismiss(session, scene.tenant_id, dropped, f"task_{how}")
    await go_on(session, clock, scene, list({action_id for action_id, _ in dropped}))


async def _finish_task(session: Session, clock: Clock, scene: Scene, action_id: ActionId, operation_no: int, done_on: dt.date) -> None:
    task = await operation_store.task_of(session, scene.tenant_id, action_id, operation_no)
    if task is None:
        return
    sheet = (await sheet_store.customers_of(session, scene.tenant_id, [task["customer_id"]]))[CustomerId(task["customer_id"])]
    note, on = {"by": "operation", "operation_no": operation_no}, max(done_on, task["local_date"])
    await carrying.complete(session, clock, scene, task, on, country=sheet.country, subdivision=sheet.subdivision, told=False, note=note)


async def _facts(session: Session, scene: Scene, customer_id: CustomerId, operation: asyncpg.Record, recorded: Recorded) -> dict[str, Any]:
    """Return what is stored of an operation that was carried out."""
    done_on = recorded.done_on or scene.today
    if not scene.today - dt.timedelta(days=LONGEST_AGO_DAYS) <= done_on <= scene.today:
        msg = f"done_on: expected a day up to today, {scene.today}, and within the last year."
        raise Malformed(msg, [{"field": "done_on", "message": "expected a day up to today, within the last year"}])
    to_insurer = operation["kind"] in TO_INSURER
    own = [UUID(item_id) for item_id in operation["params"].get("item_ids", ())]
    item_ids = own if recorded.item_ids is None else list(dict.fromkeys(recorded.item_ids))
    if not set(item_ids) <= set(own):
        noun = "item of this operation"
        raise NotFound(noun)
    known = await operation_store.insured(session, scene.tenant_id, customer_id, item_ids)
    amounts = known.open_minor if recorded.amounts is None else _by_currency(recorded.amounts)
    facts = {
        "done_on": done_on.isoformat(), "item_ids": [str(item_id) for item_id in item_ids], "amounts": sorted(amounts.items()),
        "policy": recorded.policy or (known.policy if to_insurer else None), "reference": recorded.reference, "note": recorded.note,
    }  # fmt: skip
    return {name: value for name, value in facts.items() if value is not None}


def _by_currency(amounts: Sequence[Money]) -> dict[str, int]:
    """Return amounts by currency, in minor units; raise `Malformed` for two in one currency, or for nothing of one."""
    found: dict[str, int] = {}
    for place, amount in enumerate(amounts):
        if amount.currency in found or amount.minor <= 0:
            message = "expected one amount above zero for each currency"
            msg = f"amounts: {message}."
            raise Malformed(msg, [{"field": f"amounts.{place}", "message": message}])
        found[amount.currency] = amount.minor
    return found


def _without_note(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event and an activity say beside a person's own words."""
    return {name: value for name, value in data.items() if name != "note"}
