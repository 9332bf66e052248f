"""The 25 worked examples that fix the meaning of the rule: actions, skips, reasons, first days, and when to look again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from dunning.scenarios.recording import record
from dunning.scenarios.rules import Compiled, Id, Position, Sent, plan
from dunning.scenarios.steps import LateEntry, Mode, Netting, ResetPolicy, Shift
from tests.scenarios.worlds import DAY_ZERO, WEEKENDS, compiled, credit, item, phases, position, step, told

S0 = compiled(phases())
BY_AGE = compiled(phases(), late_entry=LateEntry.MATCHING_AGE)
REPEATING = compiled([step("r1", 1, repeat=(3, 3)), step("r2", 8)])
WITH_MINIMUM = compiled([step(s.code, s.trigger.offset_days, s.trigger.until_days, min_customer=50) for s in phases()[1:]])
SHIFTING = compiled(phases(), shift=Shift.FORWARD)
FINAL_BY_HAND = compiled(phases(final_mode=Mode.APPROVE))
L = compiled([step("L1", 30, mode=Mode.APPROVE)])


@dataclass(frozen=True)
class Example:
    """Hold one example: its input and what must come out, written as in the specification."""

    name: str
    given: Position
    actions: str
    review_on: str
    skipped: str = "–"
    reasons: str = "–"
    today: int = 0
    scenarios: Mapping[tuple[Id, int], Compiled] = field(default_factory=lambda: {("S0", 1): S0})


def only(one: Compiled) -> dict[tuple[Id, int], Compiled]:
    return {("S0", 1): one}


PASSED = "A 00 window_passed, A 01 window_passed"
EXAMPLES = [
    Example("1", position(item("A due 7"), item("B due 8")), "[00: A:00, 100 EUR]", "0; then 1", reasons="B NOT_YET → 1"),
    Example("2", position(item("A due -8 {00@-15 01@-7}"), item("B due 7")), "[02: A:02 B:00, 200 EUR]", "0; then 7"),
    Example("3", position(item("A due 0")), "none", "1", reasons="A NOT_YET → 1"),
    Example("4 first_step", position(item("A due -9")), "[02: A:02, 100 EUR]", "0; then 7", skipped=PASSED),
    Example(
        "4 matching_age",
        position(item("A due -9")),
        "[02: A:02, 100 EUR]",
        "0; then 7",
        skipped=PASSED,
        scenarios=only(BY_AGE),
    ),
    Example("5", position(item("A due -20")), "[02: A:02, 100 EUR]", "0; then 7", skipped=PASSED),
    Example(
        "6",
        position(item("A due -20")),
        "[03: A:03, 100 EUR]",
        "0; then 7",
        skipped=f"{PASSED}, A 02 late_entry",
        scenarios=only(BY_AGE),
    ),
    Example("7", position(item("A due -8 {00@-15}")), "[02: A:02, 100 EUR]", "0; then 7", skipped="A 01 window_passed"),
    Example("8", position(item("A due -1 {00@-2}")), "[01: A:01, 100 EUR]", "0; then 7"),
    Example("9", position(item("A due -2 {00@-9}")), "[01: A:01, 100 EUR]", "0; then 7"),
    Example("10a", position(item("A due -7 {r1@-6 r1#1@-3}")), "[r1: A:r1#2, 100 EUR]", "0; then 1", scenarios=only(REPEATING)),
    Example(
        "10b",
        position(item("A due -8 {r1@-7 r1#1@-4 r1#2@-1}")),
        "[r2: A:r2, 100 EUR]",
        "0; then null",
        scenarios=only(REPEATING),
    ),
    Example("11a", position(item("A due -6 {00@-13}", held=True, held_until=1)), "none", "2", reasons="A HELD → 2"),
    Example("11b", position(item("A due -6 {00@-13}")), "[01: A:01, 100 EUR]", "0; then 7"),
    Example(
        "11c",
        position(item("A due -6 {00@-13}", held=True, held_until=1)),
        "[02: A:02, 100 EUR]",
        "2; then 9",
        skipped="A 01 window_passed",
        today=2,
    ),
    Example(
        "12",
        position(item("A due -3", held=True), item("B due 2 {00@-5}")),
        "none",
        "3",
        reasons="A HELD → null, B NOT_YET → 3",
    ),
    Example("13", position(item("A due -8 40 of 100 {00@-15 01@-7}")), "[02: A:02, 40 EUR]", "0; then 7"),
    Example("14", position(item("A due -8"), credit("C", 100)), "none", "null", reasons="A COVERED_BY_CREDIT → null"),
    Example(
        "15a",
        position(item("A due -9 100 {01@-8}"), item("B due -8 60 {01@-7}"), credit("C", 120)),
        "[02: B:02, info A, 40 EUR]",
        "0; then 7",
        reasons="A COVERED_BY_CREDIT → null",
    ),
    Example(
        "15b",
        position(item("A due -9 100 {01@-8}"), item("B due -8 60 {01@-7}"), credit("C", 120)),
        "[02: A:02 B:02, 160 EUR]",
        "0; then 7",
        scenarios=only(compiled(phases(), netting=Netting.SHOW)),
    ),
    Example(
        "16a",
        position(item("A due -1 30"), item("B due 3 30")),
        "none",
        "4",
        reasons="A BELOW_MINIMUM → 4, B NOT_YET → 4",
        scenarios=only(WITH_MINIMUM),
    ),
    Example(
        "16b",
        position(item("A due -1 30"), item("B due 3 30")),
        "[01: A:01 B:01, 60 EUR]",
        "4; then 11",
        today=4,
        scenarios=only(WITH_MINIMUM),
    ),
    Example(
        "17a",
        position(item("A due 4 {00@-3}"), calendar=WEEKENDS),
        "none",
        "7",
        reasons="A CLOSED_DAY → 7",
        today=5,
        scenarios=only(SHIFTING),
    ),
    Example(
        "17b",
        position(item("A due -8 {01@-7}"), calendar=WEEKENDS),
        "none",
        "7",
        reasons="A CLOSED_DAY → 7",
        today=5,
        scenarios=only(SHIFTING),
    ),
    Example(
        "18",
        position(item("A due -1 {00@-8}"), item("B due -30", scenario_id="L")),
        "[L1 approve: B:L1, 100 EUR] [01: A:01, 100 EUR]",
        "0; then 7",
        scenarios={("S0", 1): S0, ("L", 1): L},
    ),
    Example(
        "19",
        position(item("A due -1 {00@-8}"), item("B due -30 {04@-8}")),
        "[05 approve: B:05, info A, 100 EUR] [01: A:01, info B, 100 EUR]",
        "0; then 7",
        scenarios=only(FINAL_BY_HAND),
    ),
    Example(
        "20",
        position(item("A due -1 {00@-8}"), item("B due -30 {04@-8}", pending_action=True)),
        "[01: A:01, info B, 100 EUR]",
        "0; then 7",
        reasons="B PENDING_ACTION → null",
        scenarios=only(FINAL_BY_HAND),
    ),
    Example("21a", position(item("A due -40 {02@-32 03@-25}")), "[04: A:04, 100 EUR]", "0; then 8"),
    Example(
        "21a, the episode counted up",
        position(item("A due -40 {02@-32 03@-25}", episode=2)),
        "[04: A:04, 100 EUR]",
        "0; then 8",
    ),
    Example(
        "21b",
        position(item("A due -40 {02@-32 03@-25}", episode=2)),
        "[02: A:02, 100 EUR]",
        "0; then 7",
        skipped=PASSED,
        scenarios=only(compiled(phases(), reset_policy=ResetPolicy.RESTART)),
    ),
    Example(
        "22a",
        position(item("A due -9 {01@-8}", pending_action=True)),
        "none",
        "null",
        reasons="A PENDING_ACTION → null",
    ),
    Example("22b", position(item("A due -9 {01@-8}")), "[02: A:02, 100 EUR]", "0; then 7"),
    Example("22c", position(item("A due -9 {01@-8 02@0}")), "none", "7", reasons="A NOT_YET → 7"),
    Example(
        "23a",
        position(item("A due -8 {01@-7}"), contacts=(-1,)),
        "none",
        "2",
        reasons="A SPACING → 2",
        scenarios=only(compiled(phases(), spacing_days=3)),
    ),
    Example(
        "23b",
        position(item("B due -1 {00@-8}"), already_today=frozenset({Sent(DAY_ZERO, "S0", "notice", None)})),
        "none",
        "1",
        reasons="B ALREADY_TODAY → 1",
    ),
    Example(
        "24",
        position(item("A due -22 {02@-14 03@-7}", version=2)),
        "[04: A:04, 100 EUR]",
        "0; then 8",
        skipped="A 02b added_later",
        scenarios={("S0", 1): S0, ("S0", 2): compiled(phases(later=[step("02b", 12, rank=25)]))},
    ),
    Example(
        "25",
        position(item("A due -1 100 EUR {00@-8}"), item("U due -1 70 USD {00@-8}"), credit("C", 40)),
        "[01: A:01 U:01, 60 EUR + 70 USD]",
        "0; then 7",
    ),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_a_worked_example_comes_out_as_written(example: Example) -> None:
    """Each of the 25 examples; S0-04, S0-05, S1-07, S1-08, B-06 to B-15, C-07, C-12, C-18, C-20, C-45."""
    today = DAY_ZERO + example.today
    first = plan(example.given, example.scenarios, today)
    answer = told(first)
    if first.actions:
        after = plan(record(example.given, first, example.scenarios, today), example.scenarios, today)
        assert after.actions == ()
        answer["review_on"] = f"{answer['review_on']}; then {told(after)['review_on']}"
    assert answer == {
        "actions": example.actions,
        "skipped": example.skipped,
        "reasons": example.reasons,
        "review_on": example.review_on,
    }


def test_all_twenty_five_examples_are_here() -> None:
    """Every number of the specification has at least one row in the table."""
    numbers = {int("".join(ch for ch in example.name.split()[0].split(",")[0] if ch.isdigit())) for example in EXAMPLES}
    assert numbers == set(range(1, 26))
