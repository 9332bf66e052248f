"""The next step of one item and its day, which reports compare with the day of a payment (row D-12)."""

from __future__ import annotations

import pytest

from dunning.scenarios.recording import record
from dunning.scenarios.rules import Calendar, compile_scenario, next_step, plan
from dunning.scenarios.steps import Ladder, LateEntry, Scenario, Shift
from tests.scenarios.worlds import DAY_ZERO, WEEKENDS, compiled, item, phases, position, step


def seen(text: str, one, today: int = 0, calendar: Calendar | None = None) -> tuple[str, int] | None:
    """Return code and day of the next step of an item written in shorthand."""
    given = position(item(text))
    found = next_step(given.items[0], given.progress, {("S0", 1): one}, calendar or Calendar(), DAY_ZERO + today)
    return None if found is None else (found[0], found[1] - DAY_ZERO)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A due -1", ("01", 0)), ("A due -2 {01@-1}", ("02", 6)), ("A due -5 {01@-1}", ("02", 6)), ("A due -14 {02@-6}", ("03", 1)),
        ("A due -40 {05@-10}", None),
    ],
)  # fmt: skip
def test_the_next_step_is_the_lowest_one_above_the_last_and_keeps_its_distance(text: str, expected: tuple[str, int] | None) -> None:
    assert seen(text, compiled(phases())) == expected


def test_a_step_whose_window_is_over_does_not_come() -> None:
    one = compiled([step("01", 1), step("02", 8, 10), step("03", 15)])
    assert [seen("A due 0 {01@1}", one, day) for day in (10, 11)] == [("02", 8), ("03", 15)]


def test_a_repeat_is_no_next_step() -> None:
    assert seen("A due -3 {01@-2}", compiled([step("01", 1, repeat=(2, 3)), step("02", 8)])) == ("02", 5)


def test_a_day_on_a_weekend_moves_only_where_the_scenario_shifts() -> None:
    steps = [step("01", 1), step("02", 5)]
    for shift, day in ((Shift.NONE, 5), (Shift.FORWARD, 7)):
        assert seen("A due 0 {01@1}", compiled(steps, shift=shift), calendar=WEEKENDS) == ("02", day)


@pytest.mark.parametrize("late_entry", list(LateEntry))
def test_it_is_what_the_plan_does_on_that_day_and_on_no_day_before(late_entry: LateEntry) -> None:
    """The two ask one rule: walked night by night, each action comes on the day foretold after the one before it."""
    one = compiled(phases(), late_entry=late_entry)
    scenarios = {("S0", 1): one}
    given, foretold, acted = position(item("A due 3")), None, 0
    for today in range(DAY_ZERO, DAY_ZERO + 60):
        now = plan(given, scenarios, today)
        for row in [row for action in now.actions for row in action.rows]:
            assert foretold in (None, (row.step_code, today))
            acted += 1
        assert foretold is None or today < foretold[1] or now.actions
        given = record(given, now, scenarios, today)
        if now.actions:
            foretold = next_step(given.items[0], given.progress, scenarios, Calendar(), today)
    assert (acted, foretold) == (6, None)


def test_what_was_not_yet_overdue_when_its_lead_is_paid_stands_where_its_own_age_puts_it() -> None:
    """ADR 14: the lead had gone to 02, and would have gone to 03 today."""
    scenario = Scenario("S0", "S", (step("01", 1), step("02", 8), step("03", 15)), ladder=Ladder.LEAD_ITEM)
    lead, young = item("A due -15 {02@-7}"), item("B due -2")
    for given, codes in ((position(lead, young), ["03", "03"]), (position(young), ["01"])):
        decided = plan(given, {("S0", 1): compile_scenario(scenario)}, DAY_ZERO)
        assert [row.step_code for action in decided.actions for row in action.rows] == codes
