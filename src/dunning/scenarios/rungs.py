"""Ladders written out as rows, so that a statement over many customers finds the step that the rule finds for one."""

from __future__ import annotations

from typing import NamedTuple

from dunning.scenarios.compiled import Compiled, Scenarios
from dunning.scenarios.position import Id


class Rung(NamedTuple):
    """Tell as which step of a scenario's present version a completed step counts.

    `of_scenario` and `of_version` name the version in which a code was completed that is gone by now; None: the code is still there, whatever the version.
    """

    scenario_id: Id
    code: str
    of_scenario: Id | None
    of_version: int | None
    step_code: str
    rank: int
    restarts: bool
    """Whether only what an item completed in its present episode counts."""


def rungs_of(scenario_id: Id, present: Compiled, scenarios: Scenarios) -> list[Rung]:
    """Return the rungs of a scenario's present version, those of the codes that stand in `scenarios` and are gone from it included.

    The highest rank among the rungs of an item's completed steps is the step that `standing_of` calls its last.
    """
    made = [Rung(scenario_id, step.code, None, None, step.code, step.rank, present.restarts) for step in present.ladder]
    for (of_scenario, of_version), origin in scenarios.items():
        for code in origin.index_of:
            if code in present.index_of or code in present.fact_codes:
                continue
            survivor = present.surviving(code, origin)
            if survivor is not None and survivor[0] >= 0:
                step = present.ladder[survivor[0]]
                made.append(Rung(scenario_id, code, of_scenario, of_version, step.code, step.rank, present.restarts))
    return made
