"""Who is dunned, how and when: the one place where it is decided.

`plan` reads a position (the facts about one customer) and compiled scenarios, and says what to do today, why the rest
waits, and the day before which looking again is of no use. Everything else in this folder that decides is called from
here; callers import from this module only.
"""

from __future__ import annotations

from collections.abc import Sequence

from dunning.scenarios.compiled import Compiled, Scenarios, compile_scenario
from dunning.scenarios.desk import Desk, UnknownVersion, compiled_of, first_free_day
from dunning.scenarios.ladder import case_of, next_place, own_day_of, standing_of
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
from dunning.scenarios.rungs import Rung, rungs_of
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
    "Rung",
    "Scenario",
    "Scenarios",
    "Sent",
    "Skip",
    "SkipReason",
    "UnknownVersion",
    "compile_scenario",
    "customer_step",
    "first_free_day",
    "next_step",
    "plan",
    "rungs_of",
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


def next_step(item: Item, progress: Sequence[Progress], scenarios: Scenarios, calendar: Calendar, day: Day) -> tuple[str, Day] | None:
    """Return the code of the next higher step of an item, as seen on a day, and the first open day on which its scenario lets it come.

    `progress` are the item's own rows. Repeats, steps triggered by a fact, and what concerns the customer as a whole (spacing, holds, minimums, a lead
    item) are left aside. None: no step is left. Raises UnknownVersion as `plan`.
    """
    assert item.scenario_id is not None, "an item on a ladder has a scenario"  # noqa: S101  # tells the type checker
    compiled = compiled_of(scenarios, item.scenario_id, item.version)
    case = case_of(item, compiled, progress, (), scenarios=scenarios, grace_days=None, calendar=calendar)
    place = next_place(case, day)
    if place == len(compiled.ladder):
        return None
    comes_on = own_day_of(case, place)
    return compiled.ladder[place].code, calendar.open_from(comes_on) if compiled.shifts else comes_on
