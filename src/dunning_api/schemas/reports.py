"""Shapes of the control reports. Each row names its objects by id and by an address that answers."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
from pydantic import Field

from dunning.reports.control import Controlled
from dunning_api.schemas.activities import ActivityRecord
from dunning_api.schemas.base import Output
from dunning_api.schemas.explorer import ExplorerRow
from dunning_api.schemas.totals import Totals, TotalsAsOf, told_totals


class DoneOut(Output):
    """One action with the customer: a message accepted, a task or notice completed, or an activity that somebody recorded."""

    kind: Literal["action", "activity"]
    id: UUID
    what: Annotated[str, Field(description="The kind of the activity, or the action's task kind or step.")]
    title: Annotated[str | None, Field(description="What the action is called.")]
    outcome: str | None
    contact: Annotated[bool, Field(description="Whether the customer heard from us or we from it.")]
    on: dt.date
    url: str


class ControlRow(ExplorerRow):
    """A customer who owes, with the last actions with it; none are exactly those whom the report of customers without action lists for the same day."""

    done: list[DoneOut]

    @classmethod
    def controlled(cls, one: Controlled) -> ControlRow:
        """Show a customer."""
        nouns = {"action": "actions", "activity": "activities"}
        done = [DoneOut.model_validate({**what, "url": f"/v1/{nouns[what['kind']]}/{what['id']}"}) for what in one.done]
        return cls(**ExplorerRow.of(one.row).model_dump(), done=done)


class RegisterRow(ActivityRecord):
    """An activity with its customer."""

    customer_external_id: str
    customer_name: str
    url: str
    customer_url: str
    action_url: Annotated[str | None, Field(description="The action that it belongs to.")]

    @classmethod
    def registered(cls, row: asyncpg.Record, names: dict[str, str]) -> RegisterRow:
        """Show an activity."""
        return cls(
            **ActivityRecord.of(row, names).model_dump(), customer_external_id=row["external_id"], customer_name=row["customer_name"],
            url=f"/v1/activities/{row['activity_id']}", customer_url=f"/v1/customers/{row['customer_id']}",
            action_url=None if row["action_id"] is None else f"/v1/actions/{row['action_id']}",
        )  # fmt: skip


class CollectorRow(Output):
    """What somebody did in the period, and has on the desk now. `kinds` counts activities by their kind; `reached` calls whose outcome says that somebody was.

    `completed` counts the tasks that this person completed, whose ever they were.
    """

    person_id: UUID
    name: str
    active: bool
    team_id: UUID | None
    activities: int
    calls: int
    reached: int
    kinds: dict[str, int]
    completed: int
    approved: int
    promises: int
    disputes: int
    customers: int
    open_actions: int
    overdue_actions: int
    url: str

    @classmethod
    def of(cls, row: asyncpg.Record) -> CollectorRow:
        """Show a person."""
        return cls(**{name: row[name] for name in cls.model_fields if name != "url"}, url=f"/v1/people/{row['person_id']}")


class ApprovalRow(Output):
    """An action that waits for approval."""

    action_id: UUID
    ledger_id: UUID
    customer_id: UUID
    customer_external_id: str
    customer_name: str
    origin: str
    kind: str
    step_code: str | None
    step_name: str | None
    title: str | None
    totals: Totals
    totals_as_of: TotalsAsOf
    person_id: UUID | None
    person_name: str | None
    planned_on: dt.date
    scheduled_on: dt.date
    days_waiting: int
    url: str
    customer_url: str
    items_url: Annotated[str, Field(description="The items that it would tell or ask about.")]

    @classmethod
    def of(cls, row: asyncpg.Record) -> ApprovalRow:
        """Show an action."""
        plain = (
            "action_id", "ledger_id", "customer_id", "customer_name", "origin", "kind", "step_code", "step_name", "title", "person_id", "person_name", "scheduled_on",
        )  # fmt: skip
        return cls(
            **{name: row[name] for name in plain}, customer_external_id=row["external_id"], planned_on=row["local_date"],
            days_waiting=max(0, row["days_waiting"]), **told_totals(row),
            url=f"/v1/actions/{row['action_id']}", customer_url=f"/v1/customers/{row['customer_id']}",
            items_url=f"/v1/actions/{row['action_id']}/items",
        )  # fmt: skip
