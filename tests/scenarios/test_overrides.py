"""One customer's own steps: inserted, changed and removed ones, conditions on the customer, and the contact budget."""

from __future__ import annotations

import pytest

from dunning.scenarios.definition import InvalidDefinition
from dunning.scenarios.overrides import Override, problems_of, varied
from dunning.scenarios.rules import Defaults, Position, Reason, SkipReason, compile_scenario, plan
from dunning.scenarios.steps import Amount, Conditions, Ladder, Operation, OperationKind, OperationWhen, Scenario, Task, TaskKind
from tests.scenarios.worlds import DAY_ZERO, item, position, step

LADDER = Scenario("S0", "S", (step("00", -7), step("01", 1), step("02", 8), step("03", 15)))
CHECKPOINT = {
    "rank": 15,
    "name": "Look first",
    "mode": "manual",
    "trigger": {"kind": "due_date", "offset_days": 5},
    "task": {"kind": "checkpoint", "text": "Read the file."},
}


def position_of(*texts: str) -> Position:
    return position(*(item(text) for text in texts))


def planned(seen: Position, scenario: Scenario, *overrides: Override, today: int = 0):
    return plan(seen, {("S0", 1): compile_scenario(varied(scenario, overrides))}, DAY_ZERO + today)


def rows_of(decided):
    return [(row.item_id, row.step_code) for action in decided.actions for row in action.rows]


def test_a_removed_step_is_passed_over_with_its_name():
    """S2-12, S2-29: the step above comes next, on its own day, and the history says why."""
    decided = planned(position_of("A due -8 {00@-15}"), LADDER, Override("remove", "01", {}))
    assert rows_of(decided) == [("A", "02")]
    assert [(skip.step_code, skip.reason) for skip in decided.skips] == [("01", SkipReason.REMOVED)]


def test_control_without_the_override_the_window_of_the_same_step_is_open():
    decided = planned(position_of("A due -8 {00@-15}"), LADDER)
    assert rows_of(decided) == [("A", "01")]


def test_a_removed_step_that_was_reached_before_keeps_its_place():
    """No way back: what was completed above it stays, and nothing below it comes again."""
    decided = planned(position_of("A due -15 {00@-22 01@-14 02@-7}"), LADDER, Override("remove", "02", {}))
    assert rows_of(decided) == [("A", "03")]
    assert decided.skips == ()


def test_an_inserted_checkpoint_stops_before_the_next_step():
    """S2-23: the path waits for a person."""
    decided = planned(position_of("A due -9 {00@-16 01@-8}"), LADDER, Override("insert", "look", CHECKPOINT))
    action = decided.actions[0]
    assert (action.step_code, action.mode, action.kind) == ("look", "manual", "task")


def test_an_item_beyond_an_inserted_step_skips_it_as_added_later():
    decided = planned(position_of("A due -15 {00@-22 01@-14 02@-7}"), LADDER, Override("insert", "look", CHECKPOINT))
    assert rows_of(decided) == [("A", "03")]
    assert [(skip.step_code, skip.reason) for skip in decided.skips] == [("look", SkipReason.ADDED_LATER)]


def test_a_changed_step_keeps_what_is_not_named():
    changed = varied(LADDER, [Override("change", "02", {"mode": "approve"})]).steps[2]
    assert (changed.mode, changed.trigger, changed.notices) == ("approve", LADDER.steps[2].trigger, LADDER.steps[2].notices)


def test_overrides_of_steps_that_a_new_version_dropped_do_nothing():
    newer = Scenario("S0", "S", tuple(one for one in LADDER.steps if one.code != "02"))
    gone = Override("change", "02", {"mode": "approve"})
    assert varied(newer, [gone]).steps == newer.steps


@pytest.mark.parametrize(
    ("override", "field"),
    [
        (Override("insert", "02", CHECKPOINT), "step_code"),
        (Override("insert", "look", {**CHECKPOINT, "rank": 20}), "content.rank"),
        (Override("insert", "look", {"rank": 15}), "content.name"),
        (Override("change", "09", {"mode": "approve"}), "step_code"),
        (Override("change", "02", {}), "content"),
        (Override("change", "02", {"rank": 5}), "content.rank"),
        (Override("change", "02", {"mode": "sometimes"}), "content.mode"),
        (Override("remove", "02", {"mode": "approve"}), "content"),
    ],
)
def test_what_is_wrong_with_an_override_is_named_by_its_place(override, field):
    assert field in [path for path, _ in problems_of(LADDER, override)]


def test_two_overrides_may_not_take_the_same_rank():
    with pytest.raises(InvalidDefinition, match="15 is already the rank"):
        varied(LADDER, [Override("insert", "look", CHECKPOINT), Override("insert", "look2", CHECKPOINT)])


def conditional(**asked) -> Scenario:
    return Scenario("S0", "S", (step("01", 1, conditions=Conditions(**asked)),))


@pytest.mark.parametrize(
    ("asked", "tags", "acts"),
    [
        ({"min_overdue_items": 2}, (), True),
        ({"min_overdue_items": 3}, (), False),
        ({"min_oldest_days": 9}, (), True),
        ({"min_oldest_days": 10}, (), False),
        ({"tags_any": ("vip", "x")}, ("vip",), True),
        ({"tags_any": ("vip",)}, ("x",), False),
        ({"tags_none": ("vip",)}, (), True),
        ({"tags_none": ("vip",)}, ("vip",), False),
    ],
)
def test_a_step_asks_for_count_age_and_tags_of_the_customer(asked, tags, acts):
    """B-30: below, at and above each boundary; what does not hold has its own reason."""
    seen = position_of("A due -9", "B due -3", "C due 3")._replace(tags=frozenset(tags))
    decided = plan(seen, {("S0", 1): compile_scenario(conditional(**asked))}, DAY_ZERO)
    assert bool(decided.actions) is acts
    if not acts:
        assert {blocked.codes for blocked in decided.reasons if blocked.item_id != "C"} == {(Reason.CONDITION_NOT_MET,)}


def test_an_unmet_age_is_looked_at_again_on_the_day_it_is_reached():
    decided = plan(position_of("A due -9"), {("S0", 1): compile_scenario(conditional(min_oldest_days=12))}, DAY_ZERO)
    assert decided.review_on == DAY_ZERO + 3


def budgeted(budget: int, days: int, *contacts: int) -> Position:
    return position_of("A due -9")._replace(defaults=Defaults(contact_budget=budget, contact_budget_days=days), counted=tuple(DAY_ZERO + on for on in contacts))


@pytest.mark.parametrize(
    ("budget", "contacts", "first_day"),
    [(2, (-6,), None), (2, (-6, -3), 1), (2, (-7, -3), None), (1, (-2,), 5), (2, (-3, -3), 4), (2, (-3, 2), 4)],
)
def test_one_contact_more_than_the_budget_waits_until_one_leaves_the_window(budget, contacts, first_day):
    """D-07: two contacts on one day count twice, and so does one that is planned for later; the refusal names the rule."""
    scenario = Scenario("S0", "S", (step("01", 1),))
    decided = plan(budgeted(budget, 7, *contacts), {("S0", 1): compile_scenario(scenario)}, DAY_ZERO)
    if first_day is None:
        assert rows_of(decided) == [("A", "01")]
    else:
        assert decided.reasons[0].codes == (Reason.CONTACT_BUDGET,)
        assert decided.review_on == DAY_ZERO + first_day


def test_what_counts_for_the_budget_alone_spaces_nothing():
    """D-07: a call beside the scenario counts for the budget; the distance between two contacts of the scenario is another rule."""
    scenario = {("S0", 1): compile_scenario(Scenario("S0", "S", (step("01", 1),), spacing_days=9))}
    called = budgeted(3, 7, -1)
    assert rows_of(plan(called, scenario, DAY_ZERO)) == [("A", "01")]
    assert plan(called._replace(contacts=called.counted), scenario, DAY_ZERO).reasons[0].codes == (Reason.SPACING,), "the control"


@pytest.mark.parametrize(
    ("does", "waits"),
    [
        ({"notices": (), "task": Task(TaskKind.CALL, "Call.")}, True), ({"notices": (), "task": Task(TaskKind.COUNSEL, "File it.")}, True),
        ({"notices": (), "task": Task(TaskKind.CHECKPOINT, "Look.")}, False),
        ({"notices": (), "operations": (Operation(OperationKind.BLOCK_ACCOUNT, OperationWhen.EXECUTED),)}, False),
    ],
)  # fmt: skip
def test_the_budget_keeps_what_contacts_the_customer_and_nothing_else(does, waits):
    """D-07: calls and legal steps wait like mails; a checkpoint and an account block tell the customer nothing."""
    decided = plan(budgeted(1, 7, -1), {("S0", 1): compile_scenario(Scenario("S0", "S", (step("01", 1, **does),)))}, DAY_ZERO)
    assert [blocked.codes for blocked in decided.reasons] == ([(Reason.CONTACT_BUDGET,)] if waits else [])


@pytest.mark.parametrize(
    ("reachable", "first_day"),
    [
        ((), None), ((("dunning", DAY_ZERO),), None), ((("dunning", DAY_ZERO + 3),), 3), ((("dunning", DAY_ZERO + 3), ("billing", 0)), 3),
        ((("billing", DAY_ZERO + 3),), None), ((("dunning", DAY_ZERO + 40),), 7),
    ],
)  # fmt: skip
def test_a_step_waits_until_somebody_whom_it_tells_may_be_written_to(reachable, first_day):
    """D-07: by the first of its roles that anybody has. On the day on which another step takes its place it is looked at again: that may tell others."""
    scenario = {("S0", 1): compile_scenario(Scenario("S0", "S", (step("01", 1, 15), step("02", 16))))}
    decided = plan(position_of("A due -9")._replace(reachable=reachable), scenario, DAY_ZERO)
    if first_day is None:
        assert rows_of(decided) == [("A", "01")]
    else:
        assert (decided.actions, decided.reasons[0].codes, decided.review_on) == ((), (Reason.CONTACT_BUDGET,), DAY_ZERO + first_day)


def led(*texts: str, today: int = 0):
    scenario = Scenario("S0", "S", (step("01", 1), step("02", 8), step("03", 15)), ladder=Ladder.LEAD_ITEM)
    return plan(position_of(*texts), {("S0", 1): compile_scenario(scenario)}, DAY_ZERO + today)


def test_the_oldest_item_leads_and_the_others_take_its_step_with_it():
    """D-12, B-06: the younger item goes to 02 beside its lead, passing 01 over by name, though its own day has not come."""
    decided = led("A due -8 {01@-7}", "B due -1")
    assert rows_of(decided) == [("A", "02"), ("B", "02")]
    assert [(skip.item_id, skip.step_code, skip.reason) for skip in decided.skips] == [("B", "01", SkipReason.LATE_ENTRY)]


def test_while_the_lead_waits_the_others_wait_with_it():
    decided = led("A due -7 {01@-6}", "B due -1")
    assert decided.actions == ()
    assert {blocked.item_id: blocked.codes for blocked in decided.reasons} == {"A": (Reason.NOT_YET,), "B": (Reason.FOLLOWS_LEAD,)}
    assert decided.review_on == DAY_ZERO + 1


def test_when_the_lead_is_settled_the_next_one_goes_on_from_its_own_place():
    """C-07: nothing is restarted and nothing skipped without a name."""
    assert rows_of(led("B due -8 {02@-7}")) == []
    assert rows_of(led("B due -15 {02@-7}")) == [("B", "03")]


def test_what_is_not_yet_due_does_not_follow_a_lead():
    assert rows_of(led("A due -8 {01@-7}", "B due 0")) == [("A", "02")]


@pytest.mark.parametrize(("text", "held_until", "wakes"), [("B due 3 USD", None, 4), ("B due -1 USD", 2, 3), ("B due 3 USD", 5, 6), ("B due 3 USD", 1, 4)])
def test_what_will_follow_a_lead_is_looked_at_on_the_day_it_begins_to(text, held_until, wakes):
    """Its own day, after days of grace, may be later: its lead, kept back by a minimum of another currency, takes it along."""
    scenario = Scenario("S0", "S", (step("01", 1), step("02", 8)), ladder=Ladder.LEAD_ITEM, grace_days=9, min_customer=(Amount(1_000_00, "EUR"),))
    seen = position(item("A due -30"), item(text, held=held_until is not None, held_until=held_until))
    compiled = {("S0", 1): compile_scenario(scenario)}
    assert plan(seen, compiled, DAY_ZERO).review_on == DAY_ZERO + wakes
    released = seen._replace(items=tuple(one._replace(held=False, held_until=None) for one in seen.items))
    assert rows_of(plan(released, compiled, DAY_ZERO + wakes)) == [("B", "01")]


def test_control_by_default_each_item_climbs_by_its_own_dates():
    scenario = Scenario("S0", "S", (step("01", 1), step("02", 8), step("03", 15)))
    decided = plan(position_of("A due -8 {01@-7}", "B due -1"), {("S0", 1): compile_scenario(scenario)}, DAY_ZERO)
    assert rows_of(decided) == [("A", "02"), ("B", "01")]
