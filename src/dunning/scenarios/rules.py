"""Who is dunned, how and when: the one place where it is decided.

`plan` reads a position (the facts about one customer) and compiled scenarios, and says what to do today, why the rest
waits, and the day before which looking again is of no use. Everything else in this folder that decides is called from
here; callers import from this module only.
"""

from __future__ import annotations

from dunning.scenarios.compiled import Compiled, Scenarios, compile_scenario
from dunning.scenarios.desk import Desk, UnknownVersion, compiled_of
from dunning.scenarios.ladder import standing_of
from dunning.scenarios.position import (
    COMPLETED,
    CREDIT,
    DEBIT,
    SKIPPED,
    Action,
    Blocked,
    Calendar,
    Day,
    Defaults,
    Fact,
    Id,
    Item,
    Plan,
    Position,
    Progress,
    Reason,
    Row,
    Sent,
    Skip,
    SkipReason,
)
from dunning.scenarios.steps import Scenario

__all__ = [
    "COMPLETED",
    "CREDIT",
    "DEBIT",
    "SKIPPED",
    "Action",
    "Blocked",
    "Calendar",
    "Compiled",
    "Day",
    "Defaults",
    "Fact",
    "Id",
    "Item",
    "Plan",
    "Position",
    "Progress",
    "Reason",
    "Row",
    "Scenario",
    "Scenarios",
    "Sent",
    "Skip",
    "SkipReason",
    "UnknownVersion",
    "compile_scenario",
    "customer_step",
    "plan",
]


def plan(position: Position, scenarios: Scenarios, today: Day) -> Plan:
    """Decide what is done about one customer on this day.

    `today` is the ordinal of the local date on which the run starts. Pure: the same arguments give the same plan, in
    the same order, whatever the order of items, credits and rows. Planned again once its actions are recorded as
    facts, the same day yields nothing. Raises UnknownVersion where an item's version is missing from `scenarios`.
    """
    desk = Desk(position, scenarios, today)
    desk.sort_items()
    desk.follow_leads()
    desk.use_up_the_day()
    desk.test_conditions()
    desk.test_minimums()
    return desk.close()


def customer_step(position: Position, scenarios: Scenarios) -> tuple[Id, int, str] | None:
    """Return scenario id, version and code of the highest step that the customer's open debit items have completed.

    The customer's step is derived, never stored; None: no open item has completed a step of its scenario.
    """
    best: tuple[int, str, Id, int, str] | None = None
    for item in position.items:
        if item.direction != DEBIT or item.open_minor <= 0 or item.scenario_id is None:
            continue
        compiled = compiled_of(scenarios, item.scenario_id, item.version)
        rows = [row for row in position.progress if row.item_id == item.id]
        last = standing_of(item, rows, compiled, scenarios).last
        if last >= 0:
            step = compiled.ladder[last]
            found = (step.rank, str(item.scenario_id), item.scenario_id, item.version, step.code)
            if best is None or found[:2] > best[:2]:
                best = found
    return None if best is None else best[2:]
