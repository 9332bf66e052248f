"""What the breakers measure of a plan: whether it moves a customer on, and the largest total that a message would ask for. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dunning.scenarios.netting import age_of, net_amounts
from dunning.scenarios.rules import CREDIT, DEBIT, Action, Plan, Position
from dunning.scenarios.steps import StepKind


def changes_step(plan: Plan) -> bool:
    """Tell whether an item of the customer would reach another step; a repetition of the same step is no change."""
    return any(row.repeat_no == 0 for action in plan.actions for row in action.rows)


def totals_asked(action: Action, position: Position, *, nets: bool) -> Mapping[str, int]:
    """Return what the message of an action would ask for, in minor units by currency: its rows and the overdue rows beside them, credits set off."""
    if action.kind != StepKind.NOTICE:
        return {}
    totals = dict(action.totals)
    if action.info:
        debits = sorted([item for item in position.items if item.direction == DEBIT and item.open_minor > 0], key=age_of)
        credits_ = [item for item in position.items if item.direction == CREDIT and item.open_minor > 0] if nets else []
        owed = net_amounts(debits, credits_)
        beside = set(action.info)
        for item in debits:
            if item.id in beside:
                totals[item.currency] = totals.get(item.currency, 0) + owed[item.id]
    return totals
