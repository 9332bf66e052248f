"""The agenda is the rule itself, walked ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from dunning.scenarios.agenda import agenda
from dunning.scenarios.definition import parse
from dunning.scenarios.desk import Desk
from dunning.scenarios.recording import record
from dunning.scenarios.rules import Action, Plan, SkipReason, compile_scenario, plan
from dunning.scenarios.shipped import shipped_scenarios
from dunning.scenarios.steps import Mode
from tests.scenarios.strategies import World, examples, seeds, sizes, world
from tests.scenarios.worlds import DAY_ZERO, compiled, item, phases, position, step

S0 = {("S0", 1): compiled(phases())}


def told(entries) -> list[tuple[int, str, list[str]]]:
    return [(entry.on - DAY_ZERO, entry.action.step_code, [f"{row.item_id}:{row.step_code}" for row in entry.action.rows]) for entry in entries]


def test_the_agenda_lists_every_action_to_come_with_its_day() -> None:
    """S2-09: two items at different steps, one letter where they meet."""
    entries = agenda(position(item("A due -8 {00@-15 01@-7}"), item("B due 7")), S0, DAY_ZERO, DAY_ZERO + 22)
    assert told(entries) == [
        (0, "02", ["A:02", "B:00"]),
        (7, "03", ["A:03"]),
        (8, "01", ["B:01"]),
        (14, "04", ["A:04"]),
        (15, "02", ["B:02"]),
        (22, "05", ["A:05", "B:03"]),
    ]


def test_the_agenda_ends_on_the_day_asked_for() -> None:
    """Below, at and above the day of the next action."""
    given_ = position(item("A due 0 {00@-3}"))
    assert [len(agenda(given_, S0, DAY_ZERO, DAY_ZERO + day)) for day in (0, 1, 2)] == [0, 1, 1]


def test_the_agenda_carries_what_is_passed_over() -> None:
    entry = agenda(position(item("A due -9")), S0, DAY_ZERO, DAY_ZERO)[0]
    assert [(skip.step_code, skip.reason) for skip in entry.skips] == [("00", SkipReason.WINDOW_PASSED), ("01", SkipReason.WINDOW_PASSED)]


def test_actions_for_a_person_are_taken_as_done_on_their_day() -> None:
    """S2-21: e-mail at +5, PEC 10 days after, calls 5 after that, counsel 5 after that."""
    scenarios = {("S0", 1): compile_scenario(parse(shipped_scenarios()["recovery"]))}
    entries = agenda(position(item("A due 0")), scenarios, DAY_ZERO, DAY_ZERO + 60)
    assert [(day, code) for day, code, _ in told(entries)] == [(5, "email"), (15, "pec"), (20, "call"), (25, "counsel")]
    assert [entry.action.mode for entry in entries] == [Mode.AUTOMATIC, Mode.MANUAL, Mode.MANUAL, Mode.MANUAL]


def test_a_held_or_waiting_item_is_not_on_the_agenda() -> None:
    given_ = position(item("A due -1", held=True), item("B due -1", pending_action=True))
    assert agenda(given_, S0, DAY_ZERO, DAY_ZERO + 90) == []


def test_repeats_are_on_the_agenda() -> None:
    scenarios = {("S0", 1): compiled([step("r", 1, repeat=(7, 3))])}
    assert [day for day, _, _ in told(agenda(position(item("A due 0")), scenarios, DAY_ZERO, DAY_ZERO + 90))] == [1, 8, 15, 22]


def walked_every_night(customer: World, days: int) -> list[tuple[int, Action]]:
    """Return what a run on each of so many days does, and the day of it."""
    position_, found = customer.position, []
    for day in range(customer.today, customer.today + days):
        decided = plan(position_, customer.scenarios, day)
        found += [(day, action) for action in decided.actions]
        position_ = record(position_, decided, customer.scenarios, day)
    return found


def hold(*, leading: bool, most: int, phases: Sequence[Phase] = tuple(Phase)) -> None:
    """Compare the agenda of random customers with a run every night."""

    @settings(max_examples=most, deadline=None, database=None, derandomize=True, phases=phases)
    @given(seeds, sizes)
    def holds(seed: int, size: int) -> None:
        customer = world(seed, size, leading=leading)
        entries = agenda(customer.position, customer.scenarios, customer.today, customer.today + 39)
        assert [(entry.on, entry.action) for entry in entries] == walked_every_night(customer, 40)

    holds()


LAWS = [(False, 40), (True, 200)]


@pytest.mark.parametrize(("leading", "most"), LAWS, ids=["any customers", "customers whose oldest item leads"])
def test_the_agenda_is_what_a_run_every_night_does(leading: bool, most: int) -> None:
    """S2-09: jumping from one named day to the next misses nothing that walking every night finds."""
    hold(leading=leading, most=examples(most))


def test_control_a_customer_who_sleeps_past_the_day_an_item_begins_to_follow_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look at when an item may follow its lead, as many customers as the short form takes find what is missed."""
    monkeypatch.setattr(Desk, "_look_when_it_may_follow", lambda *_: None)
    with pytest.raises(AssertionError):
        hold(leading=True, most=dict(LAWS)[True], phases=(Phase.generate,))


def test_control_an_agenda_that_jumps_a_day_too_far_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any customers."""

    def late(*args: Any) -> Plan:
        decided = plan(*args)
        return decided if decided.actions or decided.review_on is None else decided._replace(review_on=decided.review_on + 1)

    monkeypatch.setattr("dunning.scenarios.agenda.plan", late)
    with pytest.raises(AssertionError):
        hold(leading=False, most=dict(LAWS)[False], phases=(Phase.generate,))
