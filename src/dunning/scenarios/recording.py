"""What becomes fact when the actions of a plan are completed."""

from __future__ import annotations

from dunning.scenarios.compiled import CompiledStep, Scenarios
from dunning.scenarios.position import COMPLETED, SKIPPED, Action, Day, Id, Plan, Position, Progress, Sent
from dunning.scenarios.steps import Mode, StepKind


def record(position: Position, plan: Plan, scenarios: Scenarios, today: Day) -> Position:
    """Return the position after every action of the plan was completed on this day.

    A row carries from then on the deadline that its action states, or none; operations alone state nothing. Where the
    plan has no action the position is returned as it is.
    """
    if not plan.actions:
        return position
    rows: list[Progress] = []
    deadlines: dict[Id, Day | None] = {}
    for action in plan.actions:
        rows += _completed(action, today)
        if action.kind != StepKind.OPERATIONS:
            deadline_on = _stated_deadline(action, scenarios, today)
            deadlines.update((row.item_id, deadline_on) for row in action.rows)
    rows += [Progress(*skip[:5], 0, SKIPPED, skip.reason.value, today, None, contact=False) for skip in plan.skips]
    made = [action for action in plan.actions if action.kind != StepKind.OPERATIONS]
    sent = [Sent(today, action.scenario_id, action.kind, action.document_id) for action in plan.actions if action.mode == Mode.AUTOMATIC]
    return position._replace(
        items=tuple(item._replace(deadline_on=deadlines[item.id]) if item.id in deadlines else item for item in position.items),
        progress=(*position.progress, *rows),
        contacts=(*position.contacts, *[today for _ in made]),
        counted=(*position.counted, *[today for action in made if _step_of(action, scenarios).is_contact]),
        already_today=position.already_today.union(sent),
    )


def _completed(action: Action, today: Day) -> list[Progress]:
    return [
        Progress(
            row.item_id,
            row.episode,
            action.scenario_id,
            row.version,
            row.step_code,
            row.repeat_no,
            COMPLETED,
            None,
            today,
            row.counted_from,
        )
        for row in action.rows
    ]


def _stated_deadline(action: Action, scenarios: Scenarios, today: Day) -> Day | None:
    days = _step_of(action, scenarios).deadline_days
    return None if days is None else today + days


def _step_of(action: Action, scenarios: Scenarios) -> CompiledStep:
    compiled = scenarios[action.scenario_id, action.version]
    return next(step for step in (*compiled.ladder, *compiled.by_fact) if step.code == action.step_code)
