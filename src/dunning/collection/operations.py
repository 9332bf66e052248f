"""Operations: what a step does besides telling. Each is recorded once; what no machine here can do is a task for a person, and a notice may wait for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dunning.collection import action_store, blocks, operation_store, sheet_store
from dunning.collection.action_store import NewActivity
from dunning.collection.block_store import NewBlock
from dunning.collection.despatch import Going, Scene, Standing
from dunning.collection.operation_rules import (
    NOT_COVERED,
    RECORDED_BEFORE,
    WAITING_FOR_OPERATION,
    applies,
    is_conditional,
    reason_of,
    still_asked,
    task_kind_of,
    title_of,
)
from dunning.collection.operation_store import NewOperation, NewTask
from dunning.collection.specific_rules import AD_HOC, Content
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, CustomerId, LedgerId, TenantId, new_id
from dunning.ledger.customer_state import watch
from dunning.scenarios.steps import Mode, OperationKind, OperationWhen, Step, StepKind, TaskKind, is_by_person

WAITING = Standing("waiting", WAITING_FOR_OPERATION)
"""How an action stands whose notice waits for an operation that is not recorded yet."""

CALL_TEXT = "Call the customer about this claim and write down what was agreed."


@dataclass(slots=True)
class Effects:
    """Collect what operations write: their records, activities, tasks for people, account blocks, and events."""

    operations: list[NewOperation] = field(default_factory=list)
    activities: list[NewActivity] = field(default_factory=list)
    tasks: list[NewTask] = field(default_factory=list)
    blocks: list[NewBlock] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Background:
    """Hold what operations are begun before: the customers whom a credit insurer covers today, and by kind the items that were recorded before."""

    covered: Collection[CustomerId] = frozenset()
    recorded: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ahead:
    """Hold what is known of the operations of actions before these are carried out: which have begun them, and whose notice waits for one."""

    background: Background = field(default_factory=Background)
    begun: Collection[ActionId] = frozenset()
    waiting: Collection[ActionId] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """Hold when, by whom and before which background operations are carried out."""

    today: dt.date
    actor: str
    background: Background = field(default_factory=Background)


def moments_of(standing: Standing) -> frozenset[OperationWhen]:
    """Return the moments that an action reaches by standing so: one of operations alone is completed at once, one whose notice waits has not begun."""
    if standing.reason == WAITING_FOR_OPERATION:
        return frozenset({OperationWhen.BEFORE_NOTICE})
    completed = {OperationWhen.COMPLETED} if standing.state == "completed" else set()
    return frozenset({OperationWhen.BEFORE_NOTICE, OperationWhen.EXECUTED} | completed)


def steps_of(going: Going) -> list[tuple[Step, list[str]]]:
    """Return the steps of an action's rows, each with the items that are at it."""
    items: dict[str, list[str]] = {}
    for row in going.action.rows:
        items.setdefault(row.step_code, []).append(str(row.item_id))
    return [(going.published.steps[code], item_ids) for code, item_ids in items.items()]


def has_operations(going: Going) -> bool:
    """Tell whether the steps of an action's rows do anything besides telling."""
    return any(step.operations for step, _ in steps_of(going))


async def look_ahead(
    session: Session, clock: Clock, scene: Scene, goings: Sequence[Going], may_have_begun: Collection[ActionId]
) -> tuple[Ahead, list[NewEvent]]:
    """Return which notices may leave as far as their steps' operations go, and what happened as events; nothing is read where no step asks for any.

    `may_have_begun` are those of the actions that were about to be carried out before.
    """
    customers = {going.action_id: going.customer_id for going in goings if going.action_id in may_have_begun}
    begun = await operation_store.begun(session, scene.tenant_id, customers) if customers else {}
    happened: list[NewEvent] = []
    if any(begun.values()):
        # Operations that came with the place of another action are not due yet.
        happened = await reach(
            session, clock, tenant_id=scene.tenant_id, ledger_id=scene.ledger.ledger_id, customers={one: customers[one] for one in begun},
            moments={OperationWhen.BEFORE_NOTICE}, today=scene.today, actor=scene.actor,
        )  # fmt: skip
        begun = await operation_store.begun(session, scene.tenant_id, begun)
    fresh = [going for going in goings if going.action_id not in begun]
    background = await _background_of(session, scene.tenant_id, fresh, scene.today)
    waiting = {going.action_id for going in fresh if _waits(going, background)} | {
        going.action_id for going in goings if begun.get(going.action_id) and going.step.kind is StepKind.NOTICE
    }
    return Ahead(background, begun.keys(), waiting), happened


def _waits(going: Going, background: Background) -> bool:
    """Tell whether an action tells somebody and one of its steps asks for something to be recorded before."""
    covered = going.customer_id in background.covered
    return going.step.kind is StepKind.NOTICE and any(
        operation.when is OperationWhen.BEFORE_NOTICE
        and applies(operation.params, covered=covered)
        and still_asked(item_ids, background.recorded.get(operation.kind, ()))
        for step, item_ids in steps_of(going)
        for operation in step.operations
    )


async def _background_of(session: ReadSession, tenant_id: TenantId, goings: Sequence[Going], today: dt.date) -> Background:
    asked = [(going.customer_id, operation) for going in goings for step, _ in steps_of(going) for operation in step.operations]
    covered = await _covered(session, tenant_id, {customer_id for customer_id, operation in asked if is_conditional(operation.params)}, today)
    waited_for = [(customer_id, operation.kind.value) for customer_id, operation in asked if operation.when is OperationWhen.BEFORE_NOTICE]
    if not waited_for:
        return Background(covered)
    customer_ids, kinds = map(set, zip(*waited_for, strict=True))
    return Background(covered, await operation_store.recorded_items(session, tenant_id, customer_ids, kinds))


async def _covered(session: ReadSession, tenant_id: TenantId, customer_ids: Collection[CustomerId], today: dt.date) -> frozenset[CustomerId]:
    if not customer_ids:
        return frozenset()
    return frozenset(one.customer_id for one in (await sheet_store.customers_of(session, tenant_id, customer_ids)).values() if one.is_covered(today))


def begin(
    effects: Effects, *, action_id: ActionId, customer_id: CustomerId, steps: Iterable[tuple[Step, Sequence[str]]], moments: Collection[OperationWhen],
    at: At, after_no: int = 0,
) -> None:  # fmt: skip
    """Add the operations of an action: each of its steps gives its own, over the items that are at it, a step's once.

    Those whose moment is reached are carried out with it; the others wait for theirs. They are numbered past `after_no`.
    """
    number = after_no
    for step, item_ids in steps:
        for operation in step.operations:
            number += 1
            params = {**operation.params, "step_code": step.code, "item_ids": item_ids}
            record = NewOperation(
                action_id=action_id, operation_no=number, kind=operation.kind.value, at_moment=operation.when.value, state="waiting",
                params=params, result={}, actor=None,
            )  # fmt: skip
            if operation.when in moments:
                record = _reached(effects, record, customer_id, at)
            effects.operations.append(record)


async def reach(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    ledger_id: LedgerId,
    customers: Mapping[ActionId, CustomerId],
    moments: Collection[OperationWhen],
    today: dt.date,
    actor: str,
) -> list[NewEvent]:
    """Carry out the operations of actions whose moment has come, and return what happened as events; `customers` are those of the actions.

    A second call does nothing twice: done ones are done, and what is due for a person stays due.
    """
    effects = Effects()
    waiting = [NewOperation(**row) for row in await operation_store.waiting_operations(session, tenant_id, customers, [moment.value for moment in moments])]
    covered = await _covered(session, tenant_id, {customers[record.action_id] for record in waiting if is_conditional(record.params)}, today)
    at = At(today=today, actor=actor, background=Background(covered))
    effects.operations += [_reached(effects, record, customers[record.action_id], at) for record in waiting]
    await write(session, clock, tenant_id, ledger_id, effects, actor=actor)
    return effects.events


async def write(session: Session, clock: Clock, tenant_id: TenantId, ledger_id: LedgerId, effects: Effects, *, actor: str) -> None:
    """Write what operations did, a statement a table; events are the caller's, and the customers are locked by it."""
    await _place_blocks(session, tenant_id, ledger_id, effects, actor)
    await operation_store.upsert_operations(session, tenant_id, effects.operations)
    await operation_store.insert_tasks(session, tenant_id, ledger_id, effects.tasks)
    # Whoever settles all that a task is about ends it within seconds.
    await watch(session, tenant_id, {task.customer_id for task in effects.tasks})
    await action_store.insert_activities(session, tenant_id, ledger_id, effects.activities, actor=actor, business_at=clock.now())


def _reached(effects: Effects, record: NewOperation, customer_id: CustomerId, at: At) -> NewOperation:
    if not applies(record.params, covered=customer_id in at.background.covered):
        return replace(record, state="not_needed", result={"reason": NOT_COVERED})
    if record.at_moment == OperationWhen.BEFORE_NOTICE:
        item_ids = still_asked(record.params["item_ids"], at.background.recorded.get(record.kind, ()))
        if not item_ids:
            return replace(record, state="not_needed", result={"reason": RECORDED_BEFORE})
        record = replace(record, params={**record.params, "item_ids": item_ids})
    if is_by_person(record.kind, record.params):
        task = _task(record, customer_id, at.today)
        _add_task(effects, task)
        effects.events.append(_event(record, customer_id, "operation.due", task_id=task.action_id))
        return replace(record, result={"due_on": at.today.isoformat()})
    if record.kind == OperationKind.RECORD_ACTIVITY.value:
        effects.activities.append(_activity(record, customer_id))
    elif record.kind == OperationKind.CREATE_CALL_TASK.value:
        _add_task(effects, replace(_task(record, customer_id, at.today), operation=None, reason=None))
    elif record.kind == OperationKind.BLOCK_ACCOUNT.value:
        # Whether there is a cause left is seen when it is written; until then nothing is said to be done.
        effects.blocks.append(blocks.of_operation(record.action_id, record.operation_no, customer_id, record.params, at.today))
        return replace(record, state="done", actor=at.actor)
    effects.events.append(_event(record, customer_id, "operation.done"))
    return replace(record, state="done", actor=at.actor)


async def _place_blocks(session: Session, tenant_id: TenantId, ledger_id: LedgerId, effects: Effects, actor: str) -> None:
    """Place the blocks that were asked for; an operation nothing of whose items is owed any more is not needed."""
    if not effects.blocks:
        return
    placed = await blocks.place_of_operations(session, tenant_id, ledger_id, effects.blocks, actor=actor)
    asked = {(block.action_id, block.operation_no): block.customer_id for block in effects.blocks}
    effects.blocks.clear()
    for position, record in enumerate(effects.operations):
        key = (record.action_id, record.operation_no)
        if key in placed.operations:
            effects.events.append(_event(record, asked[key], "operation.done"))
        elif key in asked:
            effects.operations[position] = replace(record, state="not_needed")
    effects.events += placed.events


def _event(record: NewOperation, customer_id: CustomerId, kind: str, **more: object) -> NewEvent:
    data = {"operation": record.kind, "operation_no": record.operation_no, "params": dict(record.params), **more}
    return NewEvent(kind, "action", record.action_id, customer_id, data)


def _activity(record: NewOperation, customer_id: CustomerId) -> NewActivity:
    params = record.params
    return NewActivity(
        customer_id=customer_id,
        action_id=record.action_id,
        kind=str(params.get("type") or "claim_for_non_payment"),
        text=params.get("text"),
        data={"step_code": params["step_code"], "item_ids": params["item_ids"]},
    )


def _task(record: NewOperation, customer_id: CustomerId, today: dt.date) -> NewTask:
    """Return what a person has to do, beside the scenario, so that it counts neither as step nor as spacing."""
    params, kind = record.params, task_kind_of(record.kind)
    title = title_of(record.kind)
    text = str(params.get("text") or (CALL_TEXT if kind == TaskKind.CALL else title))
    return NewTask(
        action_id=ActionId(new_id()), customer_id=customer_id, operation=(record.action_id, record.operation_no), step_code=params["step_code"], title=title,
        task_kind=kind, text=text, reason=reason_of(record.at_moment), content=Content(kind=StepKind.TASK.value, task_kind=kind, task_text=text).stored(),
        item_ids=params["item_ids"], on=today,
    )  # fmt: skip


def _add_task(effects: Effects, task: NewTask) -> None:
    effects.tasks.append(task)
    data = {"origin": AD_HOC, "kind": StepKind.TASK.value, "mode": Mode.MANUAL.value, "task_kind": task.task_kind}
    effects.events.append(NewEvent("action.created", "action", task.action_id, task.customer_id, data))
