"""One customer's own changes to the steps of a scenario: a step more, a step otherwise, a step less. Pure.

The shared scenario stays as it is; what is planned for the customer is a variant of its published version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, NamedTuple

from dunning.scenarios import definition
from dunning.scenarios.reading import Problem
from dunning.scenarios.steps import Scenario, Step


class OverrideKind(StrEnum):
    """Name what an override does to a step."""

    INSERT = "insert"
    CHANGE = "change"
    REMOVE = "remove"


class NoPlace(StrEnum):
    """Name why a version of the scenario has no place for an override."""

    STEP_GONE = "step_gone"
    STEP_IN_SCENARIO = "step_in_scenario"
    DOES_NOT_FIT = "does_not_fit"


class Override(NamedTuple):
    """Hold one change to one step. `content` is a whole step for `insert`, the keys that differ for `change`, nothing for `remove`."""

    kind: str
    step_code: str
    content: Mapping[str, Any]


FIXED_KEYS = frozenset({"code", "rank"})
"""A changed step keeps its place: progress refers to it."""


def varied(scenario: Scenario, overrides: Iterable[Override]) -> Scenario:
    """Return a scenario with one customer's overrides applied; those whose step a newer version no longer has are passed over.

    A removed step keeps its place and is passed over, so that history above and below it reads as before. Raises `InvalidDefinition` where an
    override makes a step that is none.
    """
    steps = {step.code: step for step in scenario.steps}
    for override in overrides:
        step = steps.get(override.step_code)
        match override.kind:
            case OverrideKind.REMOVE if step is not None:
                steps[step.code] = replace(step, removed=True)
            case OverrideKind.CHANGE if step is not None:
                steps[step.code] = _read({**definition.step_content(step), **override.content, "code": step.code, "rank": step.rank})
            case OverrideKind.INSERT if step is None:
                steps[override.step_code] = replace(_read({**override.content, "code": override.step_code}), inserted=True)
            case _:
                continue
    ranks: dict[int, str] = {}
    problems = [
        Problem("rank", f"{step.rank} is already the rank of step {other}")
        for step in steps.values()
        if (other := ranks.setdefault(step.rank, step.code)) != step.code
    ]
    if problems:
        raise definition.InvalidDefinition(problems)
    return replace(scenario, steps=tuple(sorted(steps.values(), key=lambda step: (step.rank, step.code))))


def applied(scenario: Scenario, overrides: Iterable[Override]) -> tuple[Scenario, dict[str, NoPlace]]:
    """Return a version with those overrides applied that it has a place for, and of the others, by step code, why it has none.

    The step of a change or a removal is gone, the code of an inserted step is the scenario's own by now, or what would come of it is no scenario.
    """
    made, kept, left = scenario, list[Override](), dict[str, NoPlace]()
    codes = {step.code for step in scenario.steps}
    for override in overrides:
        if (override.step_code in codes) is (override.kind == OverrideKind.INSERT):
            left[override.step_code] = NoPlace.STEP_IN_SCENARIO if override.kind == OverrideKind.INSERT else NoPlace.STEP_GONE
            continue
        try:
            made = varied(scenario, [*kept, override])
        except definition.InvalidDefinition:
            left[override.step_code] = NoPlace.DOES_NOT_FIT
            continue
        kept.append(override)
    return made, left


def problems_of(scenario: Scenario, override: Override) -> list[Problem]:
    """Return what is wrong with an override of this version, each with its place; empty: it can be applied."""
    codes = {step.code for step in scenario.steps}
    if override.kind == OverrideKind.INSERT:
        if override.step_code in codes:
            return [Problem("step_code", f"{override.step_code} is a step of the scenario; expected a code of its own")]
    elif override.step_code not in codes:
        return [Problem("step_code", f"{override.step_code} is no step of the scenario; it has {', '.join(sorted(codes))}")]
    if override.kind == OverrideKind.CHANGE:
        found = [
            Problem(f"content.{key}", "belongs to the scenario and cannot be changed for one customer") for key in sorted(FIXED_KEYS & override.content.keys())
        ]
        if not override.content:
            found.append(Problem("content", "expected at least one key of the step that is to be otherwise"))
        if found:
            return found
    if override.kind == OverrideKind.REMOVE and override.content:
        return [Problem("content", "expected nothing: a removed step has no content")]
    try:
        varied(scenario, [override])
    except definition.InvalidDefinition as error:
        return [Problem(f"content.{path}" if path else "content", message) for path, message in error.problems]
    return []


def _read(content: Mapping[str, Any]) -> Step:
    return definition.parse_step(content)
