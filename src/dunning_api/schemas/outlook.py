"""Shapes of looking ahead and of explaining."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

import asyncpg

from dunning.collection import worklist
from dunning.collection.outlook import CustomerAgenda, Forewarned
from dunning.scenarios.agenda import AgendaEntry
from dunning.scenarios.explanation import Explanation
from dunning.scenarios.overrides import NoPlace
from dunning_api.schemas.base import MoneyOut, Output
from dunning_api.schemas.totals import Totals, amounts, told_totals


class AgendaAction(Output):
    """A live action, or a future one if nothing else happens: its day, its step, the items it asks for, and the net amounts.

    A future action is `planned` and has no id yet; a live one is the same as in `/agenda` and `/actions`, and `why` says what it waits for.
    """

    action_id: UUID | None
    state: Literal["planned", "awaiting_approval", "scheduled", "executed", "waiting"]
    why: str | None
    on: dt.date
    origin: str
    scenario_id: UUID | None
    scenario_version: int | None
    step_code: str | None
    step_name: str | None
    title: str | None
    kind: str
    mode: str
    task_kind: str | None
    task_text: str | None
    person_id: UUID | None
    person_name: str | None
    item_ids: list[UUID]
    totals: Totals
    passed_over: list[str]
    url: str | None

    @classmethod
    def live(cls, row: asyncpg.Record) -> AgendaAction:
        """Show an action that there is."""
        plain = (
            "action_id", "state", "origin", "scenario_id", "scenario_version", "step_code", "step_name", "title", "kind", "mode", "task_kind", "task_text",
            "person_id", "person_name", "item_ids",
        )  # fmt: skip
        return cls(
            **{name: row[name] for name in plain}, why=worklist.why(row), on=row["scheduled_on"], totals=told_totals(row)["totals"], passed_over=[],
            url=f"/v1/actions/{row['action_id']}",
        )  # fmt: skip

    @classmethod
    def of(cls, entry: AgendaEntry, step_name: str) -> AgendaAction:
        """Show one that is to come."""
        action = entry.action
        return cls(
            action_id=None,
            state="planned",
            why=None,
            origin="scenario",
            title=None,
            task_kind=None,
            task_text=None,
            person_id=None,
            person_name=None,
            url=None,
            on=dt.date.fromordinal(entry.on),
            scenario_id=UUID(str(action.scenario_id)),
            scenario_version=action.version,
            step_code=action.step_code,
            step_name=step_name,
            kind=action.kind,
            mode=action.mode,
            item_ids=[UUID(str(row.item_id)) for row in action.rows],
            totals=amounts(action.totals),
            passed_over=sorted({skip.step_code for skip in entry.skips}),
        )


class AgendaOut(Output):
    """A customer's live actions by their day, and then its future ones, planned by the rule itself with each action taken to be completed on its day."""

    customer_id: UUID
    today: dt.date
    current_step: str | None
    actions: list[AgendaAction]

    @classmethod
    def of(cls, agenda: CustomerAgenda) -> AgendaOut:
        """Show an agenda."""
        outlook, entries = agenda.outlook, agenda.coming
        names = {
            (entry.action.scenario_id, entry.action.version, entry.action.step_code): outlook.known[entry.action.scenario_id, entry.action.version]
            .steps[entry.action.step_code]
            .name
            for entry in entries
        }
        shown = [AgendaAction.of(e, names[e.action.scenario_id, e.action.version, e.action.step_code]) for e in entries]
        live = [AgendaAction.live(row) for row in agenda.live]
        return cls(customer_id=outlook.customer_id, today=outlook.today, current_step=agenda.current_step, actions=live + shown)


class ConditionOut(Output):
    """One condition of the rule: what it read, the first day it allows (null: not a matter of days), and whether it lets the item act."""

    code: str
    inputs: dict[str, Any]
    first_day: dt.date | None
    met: bool


class ChangeOut(Output):
    """What would change the answer: by itself on a day, or when somebody does it."""

    code: str
    on: dt.date | None
    text: str


class PassedStep(Output):
    """A step that acting today would pass over, and why."""

    step_code: str
    reason: str


class OwnStepLeftOut(Output):
    """A step that was changed for the customer and that the plan leaves out, since the scenario's present version has no place for it."""

    step_code: str
    why: Literal["step_gone", "step_in_scenario", "does_not_fit"]


class ExplanationOut(Output):
    """Why an item is reminded on a day, or why not. No blockers: it is in an action of that day's plan.

    `own_steps_left_out` are the customer's own changes to the scenario (`/customers/{customer_id}/step-overrides`) that have no effect on it any more.
    """

    item_id: UUID
    on: dt.date
    scenario_id: UUID | None
    scenario_version: int | None
    reached_step: str | None
    candidate_step: str | None
    repeat_no: int
    passed_over: list[PassedStep]
    conditions: list[ConditionOut]
    blockers: list[str]
    may_be_dunned: bool
    first_day: dt.date | None
    changes: list[ChangeOut]
    own_steps_left_out: list[OwnStepLeftOut]

    @classmethod
    def of(cls, found: Explanation, left_out: Mapping[str, NoPlace]) -> ExplanationOut:
        """Show an explanation with the customer's own steps that its scenario version has no place for; days become dates."""
        return cls(
            item_id=UUID(str(found.item_id)),
            on=dt.date.fromordinal(found.on),
            scenario_id=None if found.scenario_id is None else UUID(str(found.scenario_id)),
            scenario_version=found.version,
            reached_step=found.reached_step,
            candidate_step=found.candidate_step,
            repeat_no=found.repeat_no,
            passed_over=[PassedStep(step_code=code, reason=reason.value) for code, reason in found.passed],
            conditions=[ConditionOut(code=c.code, inputs=_dated(c.inputs), first_day=_date(c.day), met=c.met) for c in found.conditions],
            blockers=[code.value for code in found.blockers],
            may_be_dunned=not found.blockers,
            first_day=_date(found.first_day),
            changes=[ChangeOut(code=change.code.value, on=_date(change.on), text=change.text) for change in found.changes],
            own_steps_left_out=[OwnStepLeftOut(step_code=code, why=why.value) for code, why in left_out.items()],
        )


class CustomerExplanation(Output):
    """The explanation of every open debt of a customer, the oldest first."""

    customer_id: UUID
    on: dt.date
    current_step: str | None
    items: list[ExplanationOut]


class ForewarnedOut(Output):
    """A coming action. `problem` says why it would reach nobody as things are; null: it would."""

    customer_id: UUID
    external_id: str
    name: str
    on: dt.date
    step_code: str
    step_name: str
    kind: str
    mode: str
    totals: list[MoneyOut]
    problem: str | None

    @classmethod
    def of(cls, found: Forewarned) -> ForewarnedOut:
        """Show a coming action."""
        action = found.entry.action
        return cls(
            customer_id=found.customer_id,
            external_id=found.external_id,
            name=found.name,
            on=found.on,
            step_code=action.step_code,
            step_name=found.step_name,
            kind=action.kind,
            mode=action.mode,
            totals=[MoneyOut.of(minor, currency) for currency, minor in action.totals],
            problem=found.problem,
        )


def _date(ordinal: int | None) -> dt.date | None:
    return None if ordinal is None else dt.date.fromordinal(ordinal)


def _dated(inputs: Any) -> dict[str, Any]:
    """Write days, which stand under names that end in `_on` or `_until`, as dates."""
    return {
        name: dt.date.fromordinal(value).isoformat() if name.endswith(("_on", "_until")) and isinstance(value, int) and 0 < value < 3_652_059 else value
        for name, value in inputs.items()
    }
