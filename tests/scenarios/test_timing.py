"""When a step comes is decided in one place: what is changed there moves planned days and days as things went alike."""

from __future__ import annotations

import pytest

from dunning.scenarios import compiled, ladder
from dunning.scenarios.rules import plan
from dunning.scenarios.steps import LateEntry, TriggerKind
from dunning.scenarios.timing import day_of
from tests.scenarios.worlds import DAY_ZERO, item, position, scenario, step

AFTER = TriggerKind.AFTER_PREVIOUS


def first_days(text: str, **settings: object) -> int:
    """Return the day, counted from day 0, on which the item is first in an action."""
    chain = scenario((step("01", 5), step("02", 10, kind=AFTER), step("03", 5, kind=AFTER)), **settings)
    known = {("S0", 1): compiled.compile_scenario(chain)}
    return next(day for day in range(60) if plan(position(item(text)), known, DAY_ZERO + day).actions)


CASES = [
    ("A due 0 {01@5}", {}, 15),
    ("A due 0 {01@7}", {}, 17),
    ("A due 0 {01@5 02@15}", {}, 20),
]


@pytest.mark.parametrize(("text", "settings", "day"), CASES)
def test_a_step_after_another_comes_its_days_after_it(text: str, settings: dict[str, object], day: int) -> None:
    """S2-22: counted from the execution of the one before, so that a late one pushes the next."""
    assert first_days(text, **settings) == day


@pytest.mark.parametrize("earlier", [-2, 1])
@pytest.mark.parametrize(("text", "settings", "day"), CASES)
def test_a_change_in_the_one_place_moves_every_such_step(
    monkeypatch: pytest.MonkeyPatch, text: str, settings: dict[str, object], day: int, earlier: int
) -> None:
    """A rule of `after_previous` that counts otherwise, later or sooner, shows in the chain: nothing else holds the old day."""

    def otherwise(step, calendar, **days):
        return day_of(step, calendar, **days) + (earlier if step.trigger is AFTER else 0)

    monkeypatch.setattr(compiled, "day_of", otherwise)
    monkeypatch.setattr(ladder, "day_of", otherwise)
    assert first_days(text, **settings) == day + earlier


def test_control_a_change_of_half_the_rule_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the rule written twice, one that is changed only where things went would be held back by the planned days."""
    monkeypatch.setattr(ladder, "day_of", lambda step, calendar, **days: day_of(step, calendar, **days) - 2)
    assert first_days("A due 0 {01@5}") == 15


def test_a_late_entry_finds_its_step_by_the_same_days() -> None:
    """C-08: at +16 the chain of +5, +10, +5 stands at its second step."""
    chain = scenario((step("01", 5), step("02", 10, kind=AFTER), step("03", 5, kind=AFTER)), late_entry=LateEntry.MATCHING_AGE)
    decided = plan(position(item("A due -16")), {("S0", 1): compiled.compile_scenario(chain)}, DAY_ZERO)
    assert decided.actions[0].step_code == "02"
