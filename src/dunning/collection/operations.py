"""Operations: what a step does besides telling. Each is recorded once; what no machine here can do is listed for a person."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dunning.collection import action_store, blocks
from dunning.collection.action_store import NewAction, NewActivity, NewOperation
from dunning.collection.block_store import NewBlock
from dunning.collection.catalogue import Published
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import ActionId, CustomerId, LedgerId, TenantId, new_id
from dunning.scenarios.rules import Action
from dunning.scenarios.steps import OperationKind, OperationWhen

BY_MACHINE = frozenset(
    {OperationKind.RECORD_ACTIVITY.value, OperationKind.WEBHOOK.value, OperationKind.CREATE_CALL_TASK.value, OperationKind.BLOCK_ACCOUNT.value}
)
"""What is carried out at its moment without a person."""

CALL_TEXT = "Call the customer about this claim and write down what was agreed."


@dataclass(slots=True)
class Effects:
    """Collect what operations write: their records, activities, calls for the list, account blocks, and events."""

    operations: list[NewOperation] = field(default_factory=list)
    activities: list[NewActivity] = field(default_factory=list)
    calls: list[NewAction] = field(default_factory=list)
    blocks: list[NewBlock] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)


def moments_of(state: str) -> frozenset[OperationWhen]:
    """Return the moments that an action reaches by being carried out: one of operations alone is completed at once."""
    return frozenset({OperationWhen.EXECUTED, OperationWhen.COMPLETED} if state == "completed" else {OperationWhen.EXECUTED})


def begin(
    effects: Effects, *, action_id: ActionId, customer_id: CustomerId, action: Action, published: Published, moments: Collection[OperationWhen],
    today: dt.date, actor: str,
) -> None:  # fmt: skip
    """Add the operations of an action that is carried out: each row's step gives its own, over its own rows, a step's once.

    Those whose moment is reached are carried out with it; the others wait for theirs.
    """
    items: dict[str, list[str]] = {}
    for row in action.rows:
        items.setdefault(row.step_code, []).append(str(row.item_id))
    number = 0
    for code, item_ids in items.items():
        for operation in published.steps[code].operations:
            number += 1
            params = {**operation.params, "step_code": code, "item_ids": item_ids}
            record = NewOperation(
                action_id=action_id, operation_no=number, kind=operation.kind.value, at_moment=operation.when.value, state="waiting",
                params=params, result={}, actor=None,
            )  # fmt: skip
            if operation.when in moments:
                record = _reached(effects, record, customer_id, today, actor)
            effects.operations.append(record)


async def reach(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    ledger_id: LedgerId,
    customer_id: CustomerId,
    action_id: ActionId,
    moment: OperationWhen,
    today: dt.date,
    actor: str,
) -> list[NewEvent]:
    """Carry out the operations of an action whose moment has come, and return what happened as events.

    A second call does nothing twice: done ones are done, and what is due for a person stays due.
    """
    effects = Effects()
    for row in await action_store.operations_of(session, tenant_id, action_id):
        if row["at_moment"] == moment.value and row["state"] == "waiting" and not row["result"].get("due_on"):
            names = ("action_id", "operation_no", "kind", "at_moment", "state", "params", "result", "actor")
            record = NewOperation(**{name: row[name] for name in names})
            effects.operations.append(_reached(effects, record, customer_id, today, actor))
    await write(session, clock, tenant_id, ledger_id, effects, actor=actor)
    return effects.events


async def write(session: Session, clock: Clock, tenant_id: TenantId, ledger_id: LedgerId, effects: Effects, *, actor: str) -> None:
    """Write what operations did, a statement a table; events are the caller's, and the customers are locked by it."""
    await _place_blocks(session, tenant_id, ledger_id, effects, actor)
    await action_store.upsert_operations(session, tenant_id, effects.operations)
    await action_store.insert_actions(session, tenant_id, ledger_id, effects.calls)
    await action_store.insert_activities(session, tenant_id, ledger_id, effects.activities, actor=actor, business_at=clock.now())


def _reached(effects: Effects, record: NewOperation, customer_id: CustomerId, today: dt.date, actor: str) -> NewOperation:
    params = record.params
    if record.kind not in BY_MACHINE or params.get("manual"):
        effects.events.append(_event(record, customer_id, "operation.due"))
        return replace(record, result={"due_on": today.isoformat()})
    if record.kind == OperationKind.RECORD_ACTIVITY.value:
        effects.activities.append(_activity(record, customer_id))
    elif record.kind == OperationKind.CREATE_CALL_TASK.value:
        effects.calls.append(_call(customer_id, params, today))
    elif record.kind == OperationKind.BLOCK_ACCOUNT.value:
        # Whether there is a cause left is seen when it is written; until then nothing is said to be done.
        effects.blocks.append(blocks.of_operation(record.action_id, record.operation_no, customer_id, params, today))
        return replace(record, state="done", actor=actor)
    effects.events.append(_event(record, customer_id, "operation.done"))
    return replace(record, state="done", actor=actor)


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


def _event(record: NewOperation, customer_id: CustomerId, kind: str) -> NewEvent:
    data = {"operation": record.kind, "operation_no": record.operation_no, "params": dict(record.params)}
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


def _call(customer_id: CustomerId, params: Mapping[str, Any], today: dt.date) -> NewAction:
    """Return a call for the collector's list; ad hoc, so that it counts neither as step nor as spacing."""
    return NewAction(
        action_id=ActionId(new_id()), customer_id=customer_id, run_id=None, origin="ad_hoc", scenario_id=None, scenario_version=None,
        step_code=params["step_code"], step_name=None, kind="task", mode="manual", content_mode=None, document_id=None, local_date=today,
        scheduled_on=today, state="waiting", reason=None, task_kind="call", task_text=str(params.get("text") or CALL_TEXT), totals=[],
        deadline_on=None, one_a_day=False, executed_at=None, completed_on=None,
    )  # fmt: skip
