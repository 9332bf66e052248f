"""The shape of the report of payments just before the next step."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field

from dunning.reports.escalations import SHOWN, Habit, Occurrence
from dunning_api.schemas.base import MoneyOut, Output

_EXAMPLE: dict[str, Any] = {
    "customer_id": "0198c0de-0000-7000-8000-000000000001", "ledger_id": "0198c0de-0000-7000-8000-000000000002", "customer_external_id": "C-1001",
    "customer_name": "Rossi Costruzioni S.p.A.", "collector_id": None, "collector_name": None, "items_settled": 4, "items_just_before": 3, "share_percent": 75,
    "step_reached": "02", "step_avoided": "03", "average_days_overdue": 14, "totals": [{"amount": "300.00", "currency": "EUR"}],
    "last": [
        {
            "item_id": "0198c0de-0000-7000-8000-000000000003", "number": "1003", "amount": {"amount": "100.00", "currency": "EUR"}, "due_on": "2026-03-02",
            "paid_on": "2026-03-16", "step_reached": "02", "step_avoided": "03", "next_on": "2026-03-17", "days_before": 1,
            "item_url": "/v1/items/0198c0de-0000-7000-8000-000000000003", "action_url": "/v1/actions/0198c0de-0000-7000-8000-000000000004",
        }
    ],
    "customer_url": "/v1/customers/0198c0de-0000-7000-8000-000000000001",
}  # fmt: skip


class OccurrenceOut(Output):
    """An item settled just before its next step: the step it had reached, the one that did not come, and when that would have come."""

    item_id: UUID
    number: str
    amount: MoneyOut
    due_on: dt.date
    paid_on: dt.date
    step_reached: str
    step_avoided: str
    next_on: dt.date
    days_before: int
    item_url: str
    action_url: Annotated[str, Field(description="The last reminder about the item.")]

    @classmethod
    def of(cls, one: Occurrence) -> OccurrenceOut:
        """Show an occurrence."""
        plain = ("item_id", "number", "due_on", "paid_on", "step_reached", "step_avoided", "next_on")
        return cls(
            **{name: getattr(one, name) for name in plain}, amount=MoneyOut.of(one.amount_minor, one.currency), days_before=(one.next_on - one.paid_on).days,
            item_url=f"/v1/items/{one.item_id}", action_url=f"/v1/actions/{one.action_id}",
        )  # fmt: skip


class HabitRow(Output):
    """A customer who settles just before the next step. Steps are the pair that comes together most often; amounts are those of the items just before."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    customer_id: UUID
    ledger_id: UUID
    customer_external_id: str
    customer_name: str
    collector_id: UUID | None
    collector_name: str | None
    items_settled: Annotated[int, Field(description="Items settled in the period after at least one reminder.")]
    items_just_before: Annotated[int, Field(description="Those of them that were settled just before the next step.")]
    share_percent: Annotated[int, Field(description="The second in percent of the first, rounded down.")]
    step_reached: str
    step_avoided: str
    average_days_overdue: Annotated[int, Field(description="From due date to payment, of the items just before.")]
    totals: list[MoneyOut]
    last: Annotated[list[OccurrenceOut], Field(description=f"The last {SHOWN} of them.")]
    customer_url: str

    @classmethod
    def of(cls, habit: Habit) -> HabitRow:
        """Show a customer."""
        reached, avoided = habit.typical_steps
        return cls(
            customer_id=habit.customer_id, ledger_id=habit.ledger_id, customer_external_id=habit.external_id, customer_name=habit.name,
            collector_id=habit.collector_id, collector_name=habit.collector_name, items_settled=habit.settled, items_just_before=len(habit.occurrences),
            share_percent=habit.share, step_reached=reached, step_avoided=avoided, average_days_overdue=habit.average_days_overdue,
            totals=[MoneyOut.of(minor, currency) for currency, minor in habit.totals], last=[OccurrenceOut.of(one) for one in habit.occurrences[:SHOWN]],
            customer_url=f"/v1/customers/{habit.customer_id}",
        )  # fmt: skip
