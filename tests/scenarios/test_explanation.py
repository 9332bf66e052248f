"""An explanation says what the plan decides, and its conditions add up to the day that the plan names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from dunning.scenarios.explanation import NotOpen, explain
from dunning.scenarios.ladder import candidate_on, case_of
from dunning.scenarios.position import Fact
from dunning.scenarios.rules import DEBIT, Reason, SkipReason, plan
from dunning.scenarios.steps import Shift, TriggerKind
from tests.scenarios.strategies import examples, seeds, sizes, world
from tests.scenarios.worlds import DAY_ZERO, WEEKENDS, compiled, credit, item, phases, position, step

S0 = {("S0", 1): compiled(phases())}
OWN = {"grace", "delivery", "distance", "one_a_day", "repeat", *(kind.value for kind in TriggerKind)}


def told(one, code: str):
    return next(condition for condition in one.conditions if condition.code == code)


def test_an_item_in_an_action_has_no_blocker_and_today_as_its_day() -> None:
    """D-01: version, candidate, what is passed over."""
    one = explain(position(item("A due -9")), S0, DAY_ZERO, "A")
    assert (one.scenario_id, one.version, one.reached_step, one.candidate_step) == ("S0", 1, None, "02")
    assert one.passed == (("00", SkipReason.WINDOW_PASSED), ("01", SkipReason.WINDOW_PASSED))
    assert (one.blockers, one.first_day, one.changes) == ((), DAY_ZERO, ())
    assert all(condition.met for condition in one.conditions)


def test_each_condition_carries_what_it_read_and_the_day_it_gives() -> None:
    """D-01, B-03."""
    scenarios = {("S0", 1): compiled([step("1", 1), step("2", 8, 20, grace_days=9, min_days_after_delivery=30)], spacing_days=6)}
    one = explain(position(item("A due -8 {1@-3}", delivered_on=-25)), scenarios, DAY_ZERO, "A")
    assert (told(one, "due_date").inputs, told(one, "due_date").day) == (
        {"offset_days": 8, "due_on": DAY_ZERO - 8, "last_on": DAY_ZERO + 12},
        DAY_ZERO,
    )
    assert told(one, "grace").day == DAY_ZERO + 2
    assert told(one, "delivery").day == DAY_ZERO + 5
    assert (told(one, "distance").inputs["distance_days"], told(one, "distance").day) == (7, DAY_ZERO + 4)
    assert told(one, "one_a_day").day == DAY_ZERO - 2
    assert (told(one, "spacing").inputs, told(one, "spacing").day) == ({"last_contact_on": DAY_ZERO - 3, "spacing_days": 6}, DAY_ZERO + 3)
    assert (one.reached_step, one.candidate_step, one.blockers, one.first_day) == ("1", "2", (Reason.NOT_YET,), DAY_ZERO + 5)
    assert {condition.code for condition in one.conditions if not condition.met} == {"grace", "delivery", "distance", "spacing"}


def test_a_minimum_says_what_is_missing() -> None:
    """B-09: the sum is that of the rows which the plan adds up."""
    scenarios = {("S0", 1): compiled([step("1", 1, min_customer=150, min_item=20)])}
    given = position(item("A due -1 70"), item("B due -5 60", pending_action=True), item("H due -5 60", held=True))
    one = explain(given, scenarios, DAY_ZERO, "A")
    assert one.blockers == (Reason.BELOW_MINIMUM,)
    assert told(one, "minimum_of_customer").inputs == {"amount_minor": 13000, "minimum_minor": 15000, "currency": "EUR"}
    assert told(one, "minimum_of_item").met


def test_facts_repeats_and_deadlines_are_named_as_what_they_are() -> None:
    returned = {("S0", 1): compiled([step("1", 1), step("back", 2, rank=99, kind=TriggerKind.PAYMENT_RETURNED)])}
    one = explain(position(item("A due -9 {1@-8}"), facts=(Fact("A", "payment_returned", DAY_ZERO - 1),)), returned, DAY_ZERO, "A")
    assert (told(one, "payment_returned").inputs, told(one, "payment_returned").day) == ({"offset_days": 2, "happened_on": DAY_ZERO - 1}, DAY_ZERO + 1)
    repeating = {("S0", 1): compiled([step("1", 1, repeat=(5, 2))])}
    again = explain(position(item("A due -9 {1@-3}")), repeating, DAY_ZERO, "A")
    assert (again.repeat_no, told(again, "repeat").day) == (1, DAY_ZERO + 2)
    stated = {("S0", 1): compiled([step("1", 1, deadline_days=7), step("2", 1, kind=TriggerKind.DEADLINE_PASSED)])}
    late = explain(position(item("A due -9 {1@-8}", deadline_on=-1)), stated, DAY_ZERO, "A")
    assert (told(late, "deadline_passed").inputs["deadline_on"], told(late, "deadline_passed").day) == (DAY_ZERO - 1, DAY_ZERO + 1)


def test_what_would_change_the_answer_is_told() -> None:
    """D-01."""
    held = explain(position(item("A due -1", held=True, held_until=4)), S0, DAY_ZERO, "A")
    assert [(change.code, change.on) for change in held.changes] == [(Reason.HELD, DAY_ZERO + 5)]
    endless = explain(position(item("A due -1", held=True), credit("C", 100)), S0, DAY_ZERO, "A")
    assert [(change.code, change.on) for change in endless.changes] == [(Reason.HELD, None), (Reason.COVERED_BY_CREDIT, None)]
    assert all(change.text for change in endless.changes)


def test_a_closed_day_names_the_next_open_one() -> None:
    scenarios = {("S0", 1): compiled(phases(), shift=Shift.FORWARD)}
    one = explain(position(item("A due 4 {00@-3}"), calendar=WEEKENDS), scenarios, DAY_ZERO + 5, "A")
    assert (one.blockers, one.first_day, told(one, "business_day").day) == ((Reason.CLOSED_DAY,), DAY_ZERO + 7, DAY_ZERO + 7)


def test_an_item_without_scenario_is_explained_too() -> None:
    one = explain(position(item("A due -1", scenario_id=None)), S0, DAY_ZERO, "A")
    assert (one.blockers, one.first_day, one.conditions) == ((Reason.NO_SCENARIO,), None, ())


def test_only_open_debit_items_are_explained() -> None:
    for name in ("C", "Z"):
        with pytest.raises(NotOpen, match=name):
            explain(position(item("A due -1"), credit("C", 10)), S0, DAY_ZERO, name)


@settings(max_examples=examples(100), deadline=None, database=None, derandomize=True)
@given(seeds, sizes)
def test_an_explanation_agrees_with_the_plan(seed: int, size: int) -> None:
    """D-01: blockers and first day are the plan's, an action means no blocker, and the own conditions give the own day."""
    customer = world(seed, size)
    position_, scenarios, today = customer.position, customer.scenarios, customer.today
    decided = plan(position_, scenarios, today)
    reasons = {blocked.item_id: blocked for blocked in decided.reasons}
    rows = {row.item_id: row for action in decided.actions for row in action.rows}
    skips: dict[object, set[str]] = {}
    for skip in decided.skips:
        skips.setdefault(skip.item_id, set()).add(skip.step_code)
    for one in position_.items:
        if one.direction != DEBIT:
            continue
        told_ = explain(position_, scenarios, today, one.id)
        if one.id in rows:
            assert (told_.blockers, told_.first_day, told_.candidate_step) == ((), today, rows[one.id].step_code)
            assert all(condition.met for condition in told_.conditions)
            assert {code for code, _ in told_.passed} <= skips.get(one.id, set())
        else:
            assert (told_.blockers, told_.first_day) == (reasons[one.id].codes, reasons[one.id].first_day)
            if one.scenario_id is not None and told_.candidate_step is not None and set(told_.blockers) != {Reason.ALREADY_TODAY}:
                assert any(not condition.met for condition in told_.conditions)
        own = [condition.day for condition in told_.conditions if condition.code in OWN]
        if own and one.scenario_id is not None:
            history = [row for row in position_.progress if row.item_id == one.id], [fact for fact in position_.facts if fact.item_id == one.id]
            case = case_of(
                one,
                scenarios[one.scenario_id, one.version],
                *history,
                scenarios=scenarios,
                grace_days=position_.defaults.grace_days,
                calendar=position_.calendar,
            )
            candidate = candidate_on(case, today)
            assert candidate is not None
            assert max(own) == candidate.own_day
