"""The day of a step: triggers, windows, grace, distance, repeats, facts and closed days, one rule a test."""

from __future__ import annotations

from datetime import date

import pytest

from dunning.scenarios.position import Calendar, Fact, Progress
from dunning.scenarios.recording import record
from dunning.scenarios.rules import Defaults, Plan, Position, UnknownVersion, customer_step, plan
from dunning.scenarios.steps import Grouping, LateEntry, Mode, Operation, OperationKind, OperationWhen, ResetPolicy, Shift, Task, TaskKind, TriggerKind
from tests.scenarios.worlds import DAY_ZERO, WEEKENDS, compiled, credit, item, phases, position, step, told


def decided(given: Position, one, today: int = 0) -> Plan:
    return plan(given, {("S0", 1): one}, DAY_ZERO + today)


def days_acted(given: Position, one, last: int, *, first: int = 0) -> list[tuple[int, str]]:
    """Walk every night and list day and step of each action."""
    scenarios = {("S0", 1): one}
    acted = []
    for day in range(first, last + 1):
        now = plan(given, scenarios, DAY_ZERO + day)
        acted += [(day, f"{row.step_code}#{row.repeat_no}" if row.repeat_no else row.step_code) for action in now.actions for row in action.rows]
        given = record(given, now, scenarios, DAY_ZERO + day)
    return acted


@pytest.mark.parametrize(("due", "acts"), [(8, False), (7, True), (1, True), (0, False)])
def test_a_pre_due_notice_goes_to_what_falls_due_in_one_to_seven_days(due: int, acts: bool) -> None:
    """S0-04: below, at and above both ends of the window."""
    assert bool(decided(position(item(f"A due {due}")), compiled(phases())).actions) is acts


@pytest.mark.parametrize(("due", "code"), [(0, None), (-1, "01"), (-7, "01"), (-8, "02")])
def test_the_first_phase_is_for_one_to_seven_days_overdue(due: int, code: str | None) -> None:
    """S0-05."""
    actions = decided(position(item(f"A due {due}")), compiled(phases())).actions
    assert [action.step_code for action in actions] == ([code] if code else [])


@pytest.mark.parametrize(("today", "acts"), [(4, False), (5, False), (6, True)])
def test_grace_of_five_days_lets_the_sixth_act(today: int, acts: bool) -> None:
    """S1-07: no message on day N, a message on day N + 1."""
    one = compiled([step("r", 1)], grace_days=5)
    assert bool(decided(position(item("A due 0")), one, today).actions) is acts


def test_grace_leaves_pre_due_steps_alone_and_the_step_wins_over_scenario_and_ledger() -> None:
    """S1-07, B-10."""
    one = compiled([step("00", -7), step("01", 1, grace_days=0)], grace_days=9)
    given = position(item("A due 5"), defaults=Defaults(grace_days=20))
    assert days_acted(given, one, 8) == [(0, "00"), (6, "01")]
    assert days_acted(position(item("A due 0"), defaults=Defaults(grace_days=2)), compiled([step("01", 1)]), 5) == [(3, "01")]


@pytest.mark.parametrize(("every", "most", "expected"), [(7, 2, [(1, "r"), (8, "r#1"), (15, "r#2")]), (3, 1, [(1, "r"), (4, "r#1")])])
def test_a_reminder_repeats_so_often_and_no_more(every: int, most: int, expected: list) -> None:
    """S1-03, S1-08, B-11."""
    assert days_acted(position(item("A due 0")), compiled([step("r", 1, repeat=(every, most))]), 60) == expected


def test_repeats_stay_inside_the_window_of_their_step() -> None:
    """Rule 7."""
    one = compiled([step("r", 1, 9, repeat=(4, 9)), step("s", 30)])
    assert days_acted(position(item("A due 0")), one, 40) == [(1, "r"), (5, "r#1"), (9, "r#2"), (30, "s")]


def test_the_end_of_the_month_is_that_of_the_due_date() -> None:
    """B-06: 10 March and 31 March both wait for 31 March, December for the year's end."""
    one = compiled([step("r", 5, kind=TriggerKind.END_OF_MONTH)])
    for due in (date(2026, 3, 10), date(2026, 3, 31)):
        given = position(item("A due 0", due_on=due.toordinal()))
        assert plan(given, {("S0", 1): one}, DAY_ZERO).review_on == date(2026, 4, 5).toordinal()
    given = position(item("A due 0", due_on=date(2026, 12, 24).toordinal()))
    assert plan(given, {("S0", 1): one}, DAY_ZERO).review_on == date(2027, 1, 5).toordinal()


def test_business_days_are_counted_where_the_step_says_so() -> None:
    """Rule 5: due on Monday, two open days later is Wednesday; due on Friday it is Tuesday; three before Monday is Wednesday."""
    one = compiled([step("r", 2, business_days=True)])
    for due, expected in ((0, 2), (4, 8), (5, 8)):
        assert decided(position(item(f"A due {due}"), calendar=WEEKENDS), one, -1).review_on == DAY_ZERO + expected
    before = compiled([step("r", -3, business_days=True)])
    assert decided(position(item("A due 7"), calendar=WEEKENDS), before, -1).review_on == DAY_ZERO + 2


def test_a_late_action_pushes_the_one_that_counts_from_it() -> None:
    """S2-22: after_previous counts from the execution, not from the plan."""
    one = compiled([step("1", 5), step("2", 10, kind=TriggerKind.AFTER_PREVIOUS), step("3", 5, kind=TriggerKind.AFTER_PREVIOUS)])
    assert days_acted(position(item("A due 0")), one, 40) == [(5, "1"), (15, "2"), (20, "3")]
    assert days_acted(position(item("A due 0")), one, 40, first=9) == [(9, "1"), (19, "2"), (24, "3")]


def test_lateness_is_carried_on_and_never_caught_up() -> None:
    """Rule 5: the default distance is the scenario's own."""
    assert days_acted(position(item("A due 0 {00@-3}")), compiled(phases()), 60, first=5) == [(5, "01"), (12, "02"), (19, "03"), (26, "04"), (34, "05")]


def test_a_given_distance_counts_from_the_last_completion_repeats_included() -> None:
    """Rule 5."""
    one = compiled([step("1", 1, repeat=(3, 1)), step("2", 5, min_days_between_steps=4)])
    assert days_acted(position(item("A due 0")), one, 20) == [(1, "1"), (4, "1#1"), (8, "2")]


def test_a_notice_waits_until_the_invoice_was_long_enough_with_the_customer() -> None:
    """Rule 5: delivered_on + min_days_after_delivery, where known."""
    one = compiled([step("1", 1, min_days_after_delivery=10)])
    assert decided(position(item("A due 0", delivered_on=-2)), one).review_on == DAY_ZERO + 8
    assert decided(position(item("A due 0")), one).review_on == DAY_ZERO + 1


def test_a_stated_deadline_drives_the_next_step() -> None:
    """S1-16, B-19: the day after the deadline, plus the delay; without a stated one it is passed over."""
    one = compiled([step("1", 1, deadline_days=4), step("2", 2, kind=TriggerKind.DEADLINE_PASSED), step("3", 30)])
    assert days_acted(position(item("A due 0")), one, 40) == [(1, "1"), (8, "2"), (30, "3")]
    silent = compiled([step("1", 1), step("2", 2, kind=TriggerKind.DEADLINE_PASSED), step("3", 30)])
    assert days_acted(position(item("A due 0")), silent, 40) == [(1, "1"), (30, "3")]
    last = decided(position(item("A due -31 {1@-30}")), silent)
    assert told(last)["skipped"] == "A 2 no_fact"


def test_an_item_left_with_a_deadline_nobody_stated_waits_for_a_fact() -> None:
    """Rule 14: WAITING_FOR_FACT is not SCENARIO_ENDED."""
    one = compiled([step("1", 1), step("2", 2, kind=TriggerKind.DEADLINE_PASSED)])
    assert told(decided(position(item("A due -5 {1@-4}")), one))["reasons"] == "A WAITING_FOR_FACT → null"
    ended = compiled([step("1", 1)])
    assert told(decided(position(item("A due -5 {1@-4}")), ended))["reasons"] == "A SCENARIO_ENDED → null"


def test_a_returned_payment_comes_first_once_for_each_occurrence() -> None:
    """Rule 4, S2-05: outside the ladder, with the next number, and the ladder keeps its distance from it."""
    one = compiled([step("1", 1), step("2", 8), step("back", 1, rank=99, kind=TriggerKind.PAYMENT_RETURNED)])
    given = position(item("A due -2 {1@-1}"))
    assert days_acted(given, one, 20) == [(6, "2")]
    returned = given._replace(facts=(Fact("A", "payment_returned", DAY_ZERO + 3),))
    assert days_acted(returned, one, 20, first=3) == [(4, "back"), (11, "2")]
    again = returned._replace(
        facts=(*returned.facts, Fact("A", "payment_returned", DAY_ZERO + 9)),
        progress=(*returned.progress, Progress("A", 1, "S0", 1, "back", 0, "completed", None, DAY_ZERO + 4)),
    )
    assert days_acted(again, one, 20, first=9) == [(10, "back#1"), (17, "2")]


def test_a_restart_does_not_answer_old_facts_again() -> None:
    """Rule 4: newer than the last completion, whatever the episode."""
    one = compiled([step("1", 1), step("broken", 0, rank=99, kind=TriggerKind.PROMISE_BROKEN)], reset_policy=ResetPolicy.RESTART)
    given = position(item("A due -20 {1@-19 broken@-9}", episode=2), facts=(Fact("A", "promise_broken", DAY_ZERO - 9),))
    assert told(decided(given, one))["actions"] == "[1: A:1, 100 EUR]"


def test_an_item_acts_at_most_once_a_day() -> None:
    """Rule 5: two steps of the same day come on two days."""
    assert days_acted(position(item("A due 0")), compiled([step("1", 1), step("2", 1)]), 9) == [(1, "1"), (2, "2")]


def test_what_closed_days_delayed_counts_from_the_first_of_them() -> None:
    """Rule 5: due for Saturday, done on Monday, the next one a week after Saturday."""
    one = compiled([step("1", 1), step("2", 8)], shift=Shift.FORWARD)
    given = position(item("A due 4"), calendar=WEEKENDS)
    action = decided(given, one, 7).actions[0]
    assert action.rows[0].counted_from == DAY_ZERO + 5
    assert days_acted(given, one, 20) == [(7, "1"), (14, "2")]
    tuesday_night_missed = decided(position(item("A due 0"), calendar=WEEKENDS), one, 3)
    assert tuesday_night_missed.actions[0].rows[0].counted_from is None


def test_a_window_that_ends_on_closed_days_is_passed_on_the_next_open_one() -> None:
    """Rules 5 and 6: the first possible day is that of the following step."""
    one = compiled([step("1", 1, 2), step("2", 9)], shift=Shift.FORWARD)
    given = position(item("A due 4"), calendar=WEEKENDS)
    assert decided(given, one, 5).review_on == DAY_ZERO + 14
    assert days_acted(given, one, 20) == [(14, "2")]


def test_a_holiday_is_closed_like_a_sunday() -> None:
    one = compiled([step("1", 1)], shift=Shift.FORWARD)
    given = position(item("A due 0"), calendar=Calendar(frozenset({5, 6}), frozenset({DAY_ZERO + 1, DAY_ZERO + 2})))
    assert told(decided(given, one, 1)) == {"actions": "none", "skipped": "–", "reasons": "A CLOSED_DAY → 3", "review_on": "3"}


def test_a_calendar_without_an_open_day_says_so() -> None:
    with pytest.raises(ValueError, match="no open day"):
        Calendar(frozenset(range(7))).open_from(DAY_ZERO)


@pytest.mark.parametrize(("amount", "acts"), [(49, False), (50, True), (51, True)])
def test_an_item_below_its_minimum_waits(amount: int, acts: bool) -> None:
    """B-09: below, at, above."""
    assert bool(decided(position(item(f"A due -1 {amount}")), compiled([step("1", 1, min_item=50)])).actions) is acts


def test_a_part_payment_below_the_minimum_stops_the_next_reminder_and_a_lower_minimum_brings_it_back() -> None:
    """B-09, C-45: minimums are tested at each plan and never stored."""
    given = position(item("A due -8 40 of 100 {00@-15 01@-7}"))
    strict, mild = (compiled([step(s.code, s.trigger.offset_days, s.trigger.until_days, min_item=least) for s in phases()]) for least in (50, 40))
    assert told(decided(given, strict))["reasons"] == "A BELOW_MINIMUM → 7"
    assert told(decided(given, mild))["actions"] == "[02: A:02, 40 EUR]"


def test_minimums_are_tested_on_what_credits_leave() -> None:
    """Rule 9, B-14, C-20."""
    one = compiled([step("1", 1, min_item=50)])
    assert not decided(position(item("A due -1 100"), credit("C", 60)), one).actions
    assert decided(position(item("A due -1 100"), credit("C", 50)), one).actions


def test_a_minimum_of_another_currency_does_not_count() -> None:
    assert decided(position(item("A due -1 10 USD")), compiled([step("1", 1, min_item=50, min_customer=90)])).actions


def test_overdue_rows_that_may_be_shown_count_for_the_customer_minimum_and_held_ones_do_not() -> None:
    """Rule 9: a waiting row counts, a held one does not."""
    one = compiled([step("1", 1, min_customer=150)])
    assert decided(position(item("A due -1"), item("B due -3", pending_action=True)), one).actions
    assert not decided(position(item("A due -1"), item("B due -3", held=True)), one).actions


def test_the_ledger_speaks_where_the_scenario_is_silent() -> None:
    """B-05: spacing and minimums of the ledger; an explicit zero of the scenario wins."""
    given = position(item("A due -1 30"), contacts=(-1,), defaults=Defaults(spacing_days=3))
    assert told(decided(given, compiled([step("1", 1)])))["reasons"] == "A SPACING → 2"
    assert decided(given, compiled([step("1", 1)], spacing_days=0)).actions
    poor = position(item("A due -1 30"), defaults=Defaults(min_item={"EUR": 5000}))
    assert told(decided(poor, compiled([step("1", 1)])))["reasons"] == "A BELOW_MINIMUM → null"


def test_contacts_of_other_scenarios_space_and_actions_of_one_plan_do_not() -> None:
    """B-08, rule 5."""
    spaced = compiled([step("1", 1)], spacing_days=5)
    scenarios = {("S0", 1): spaced, ("T", 1): spaced}
    given = position(item("A due -1"), item("B due -1", scenario_id="T"))
    assert len(plan(given, scenarios, DAY_ZERO).actions) == 2
    later = position(item("A due -1 {1@0}"), item("B due 1", scenario_id="T"))
    assert told(plan(later, scenarios, DAY_ZERO + 2))["reasons"].endswith("B SPACING → 5")


def test_by_document_each_document_has_its_own_action() -> None:
    """B-12."""
    one = compiled([step("1", 1), step("2", 8)], grouping=Grouping.DOCUMENT)
    given = position(item("A due -1", document_id="d1"), item("B due -9 {1@-8}", document_id="d1"), item("C due -1", document_id="d2"))
    actions = decided(given, one).actions
    assert [(action.document_id, [row.item_id for row in action.rows]) for action in actions] == [("d1", ["B", "A"]), ("d2", ["C"])]


def test_tasks_and_notices_do_not_mix() -> None:
    """Rule 8: mode and kind divide the actions."""
    call = step("2", 8, notices=(), task=Task(TaskKind.CALL, "Call."), mode=Mode.MANUAL)
    given = position(item("A due -1"), item("B due -9 {1@-8}"))
    actions = decided(given, compiled([step("1", 1), call])).actions
    assert [(action.kind, action.mode, action.info) for action in actions] == [("task", "manual", ("A",)), ("notice", "automatic", ("B",))]


def test_rows_not_due_are_shown_only_where_the_step_says_so() -> None:
    """S2-03, B-56."""
    given = position(item("A due -1"), item("B due 3"), item("H due 3", held=True))
    assert decided(given, compiled([step("1", 1)])).actions[0].not_due == ()
    assert decided(given, compiled([step("1", 1, show_not_due=True)])).actions[0].not_due == ("B",)


def test_credits_of_the_currencies_asked_for_are_listed() -> None:
    """C-20."""
    action = decided(position(item("A due -1"), credit("C", 10), credit("D", 10, "USD")), compiled([step("1", 1)])).actions[0]
    assert (action.credits, action.totals, action.rows[0].open_minor, action.rows[0].net_minor) == (("C",), (("EUR", 9000),), 10000, 9000)


def test_every_obstacle_that_only_a_fact_removes_is_named() -> None:
    """B-03: all blockers as codes."""
    given = position(
        item("A due -1", scenario_id=None),
        item("B due -1", excluded=True, automatic_collection=True, specific_action=True, pending_action=True, held=True),
    )
    assert told(decided(given, compiled([step("1", 1)])))["reasons"] == (
        "A NO_SCENARIO → null, B EXCLUDED_STATUS AUTOMATIC_COLLECTION SPECIFIC_ACTION PENDING_ACTION HELD → null"
    )


def test_a_promise_holds_until_its_last_day() -> None:
    """Rule 2."""
    given = position(item("A due -1 {00@-8}", promise_until=2))
    assert told(decided(given, compiled(phases())))["reasons"] == "A HELD → 3"


def test_matching_age_is_for_the_very_first_contact_only() -> None:
    """B-07: an item that a person set back goes on from there."""
    one = compiled(phases(), late_entry=LateEntry.MATCHING_AGE)
    assert told(decided(position(item("A due -40")), one))["actions"] == "[05: A:05, 100 EUR]"
    given = position(item("A due -40"))
    by_hand = given._replace(progress=(Progress("A", 1, "S0", 1, "01", 0, "skipped", "by_hand", DAY_ZERO - 1, None, False),))
    assert told(decided(by_hand, one))["actions"] == "[02: A:02, 100 EUR]"


def test_imported_progress_counts_as_completed_and_as_contact() -> None:
    """Rule 3: step_reached with last_reminded_on."""
    given = position(item("A due -10"))
    imported = given._replace(progress=(Progress("A", 1, "S0", 1, "02", 0, "completed", "imported", DAY_ZERO - 2),))
    assert told(decided(imported, compiled(phases())))["reasons"] == "A NOT_YET → 5"
    assert told(decided(imported, compiled([step("02", 1), step("03", 2)], spacing_days=9)))["reasons"] == "A SPACING → 7"


def test_a_code_that_is_gone_counts_as_the_highest_surviving_one_below_it() -> None:
    """Rule 13."""
    first = compiled([step("1", 1), step("2", 5), step("3", 9), step("4", 13)])
    second = compiled([step("1", 1), step("2", 5), step("4", 13)])
    given = position(item("A due -20 {1@-19 2@-15 3@-2}", version=2))
    scenarios = {("S0", 1): first, ("S0", 2): second}
    assert customer_step(given, scenarios) == ("S0", 2, "2")
    assert told(plan(given, scenarios, DAY_ZERO))["reasons"] == "A NOT_YET → 6"


def test_a_version_without_any_known_code_begins_again_the_next_day() -> None:
    """Rule 13: nothing survives, so the place is below the first step."""
    scenarios = {("S0", 1): compiled([step("1", 1)]), ("S0", 2): compiled([step("x", 1), step("y", 8)])}
    given = position(item("A due -9 {1@0}", version=2))
    assert told(plan(given, scenarios, DAY_ZERO))["reasons"] == "A NOT_YET → 1"


def test_the_customers_step_is_the_highest_of_its_open_items() -> None:
    """Rule 1, C-07: paying the oldest item lowers what the customer stands at, and skips nothing."""
    scenarios = {("S0", 1): compiled(phases())}
    old, young = item("A due -20 {01@-19 02@-12 03@-5}"), item("B due -2 {01@-1}")
    assert customer_step(position(old, young), scenarios) == ("S0", 1, "03")
    assert customer_step(position(young), scenarios) == ("S0", 1, "01")
    assert customer_step(position(item("C due 9")), scenarios) is None


def test_a_version_that_was_not_given_is_named() -> None:
    with pytest.raises(UnknownVersion, match="version 7 of scenario S0"):
        plan(position(item("A due -1", version=7)), {}, DAY_ZERO)


def test_operations_alone_state_no_deadline() -> None:
    """Rule 10."""
    webhook = step("1", 1, notices=(), operations=(Operation(OperationKind.WEBHOOK, OperationWhen.EXECUTED),), deadline_days=5)
    scenarios = {("S0", 1): compiled([webhook])}
    given = position(item("A due -1", deadline_on=3))
    after = record(given, plan(given, scenarios, DAY_ZERO), scenarios, DAY_ZERO)
    assert after.items[0].deadline_on == DAY_ZERO + 3
