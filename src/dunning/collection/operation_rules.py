"""Operations that people carry out: what is asked of them, and what keeps a notice back. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dunning.scenarios.steps import ONLY_WHEN_COVERED, OperationKind, OperationWhen, TaskKind

WAITING_FOR_OPERATION = "waiting_for_operation"
"""Why an action waits whose notice may leave once its operations are recorded."""
NOTICE_WAITS = "notice_waits"
"""Why there is the task of an operation that a notice waits for."""
OPERATION_DUE = "operation_due"
"""Why there is the task of any other operation."""
NOT_COVERED = "not_covered"
"""No credit insurer covers the customer on the day, so that there is nothing to tell one."""
RECORDED_BEFORE = "recorded_before"
"""An earlier action has recorded the same about all of the items."""

TO_INSURER = frozenset({OperationKind.NOTIFY_INSURER, OperationKind.DECLARE_TO_INSURER})
"""Operations that tell the customer's credit insurer something."""

_TITLES = {
    OperationKind.NOTIFY_INSURER: "Notify the credit insurer",
    OperationKind.DECLARE_TO_INSURER: "Declare to the credit insurer",
    OperationKind.OPEN_LEGAL_CASE: "Open a legal case",
    OperationKind.BLOCK_ACCOUNT: "Block the account",
    OperationKind.CREATE_CALL_TASK: "Call the customer",
    OperationKind.WEBHOOK: "Tell the other system",
    OperationKind.RECORD_ACTIVITY: "Record an activity",
}


def title_of(kind: str) -> str:
    """Return what the task of an operation is called."""
    return _TITLES[OperationKind(kind)]


def task_kind_of(kind: str) -> str:
    """Return what kind of task an operation is: calls stand on the call list, any other has the operation's own name."""
    return TaskKind.CALL.value if kind == OperationKind.CREATE_CALL_TASK else kind


def reason_of(at_moment: str) -> str:
    """Return why the task of an operation is there."""
    return NOTICE_WAITS if at_moment == OperationWhen.BEFORE_NOTICE else OPERATION_DUE


def applies(params: Mapping[str, Any], *, covered: bool) -> bool:
    """Tell whether an operation is for a customer at all, by whether a credit insurer covers it that day."""
    return covered or not is_conditional(params)


def is_conditional(params: Mapping[str, Any]) -> bool:
    """Tell whether an operation asks about the customer's credit insurance."""
    return params.get(ONLY_WHEN_COVERED) is True


def still_asked(item_ids: Sequence[str], recorded: Collection[str]) -> list[str]:
    """Return the items about which an operation has not been recorded before."""
    return [item_id for item_id in item_ids if item_id not in recorded]
