"""Content and scenario are two forms of one thing; what is wrong with content is named by its path."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dunning.scenarios.definition import InvalidDefinition, parse, to_content
from dunning.scenarios.reading import Problem
from dunning.scenarios.shipped import shipped_scenarios
from dunning.scenarios.steps import Amount, Channel, Mode, OperationWhen, StepKind, TriggerKind


def content(**step: Any) -> dict[str, Any]:
    """Return the least content that is accepted, with settings of its one step."""
    first = {"rank": 1, "code": "01", "name": "Reminder", "trigger": {"kind": "due_date", "offset_days": 1}, **step}
    return {"code": "simple", "name": "Simple", "steps": [first]}


def problems(given: Any) -> list[Problem]:
    with pytest.raises(InvalidDefinition) as caught:
        parse(given)
    return list(caught.value.problems)


@pytest.mark.parametrize("code", ["claims", "reminder", "recovery"])
def test_shipped_scenarios_read_back_as_they_are_written(code: str) -> None:
    """S0-01, S1-08, S2-21: content, scenario and JSON say the same."""
    scenario = parse(shipped_scenarios()[code])
    written = to_content(scenario)
    assert parse(json.loads(json.dumps(written))) == scenario
    assert to_content(parse(written)) == written


def test_the_shipped_claim_phases_are_those_of_the_reference_system() -> None:
    """S0-04 to S0-09: six phases, what the system cannot do yet is work for a person and says so, the block of the last phase is real.

    What concerns the insurer is for covered customers alone, and so is the text that mentions it.
    """
    scenario = parse(shipped_scenarios()["claims"])
    days = [(step.code, step.trigger.offset_days, step.trigger.until_days) for step in scenario.steps]
    assert days == [("00", -7, -1), ("01", 1, 7), ("02", 8, None), ("03", 15, None), ("04", 22, None), ("05", 30, None)]
    assert all(step.mode is Mode.AUTOMATIC and step.notices[0].channel is Channel.EMAIL for step in scenario.steps)
    by_hand = [operation for step in scenario.steps for operation in step.operations]
    assert [operation.kind.value for operation in by_hand] == ["notify_insurer", "declare_to_insurer", "block_account"]
    assert all(operation.params["manual"] is True and operation.params["text"] and operation.params["only_when_covered"] for operation in by_hand[:2])
    assert [operation.when.value for operation in by_hand] == ["completed", "before_notice", "completed"]
    variants = {step.code: step.notices[0].templates for step in scenario.steps if step.notices[0].template_when_covered}
    assert variants == {"03": ("claim-03", "claim-03-covered"), "04": ("claim-04-uncovered", "claim-04")}
    assert by_hand[2].params["degree"] == "no_new_orders"


def test_the_shipped_recovery_counts_from_what_was_done() -> None:
    """S2-21: +5 e-mail, +10 PEC, +5 call list, +5 counsel."""
    steps = parse(shipped_scenarios()["recovery"]).steps
    assert [(step.trigger.kind, step.trigger.offset_days, step.kind) for step in steps] == [
        (TriggerKind.DUE_DATE, 5, StepKind.NOTICE),
        (TriggerKind.AFTER_PREVIOUS, 10, StepKind.TASK),
        (TriggerKind.AFTER_PREVIOUS, 5, StepKind.TASK),
        (TriggerKind.AFTER_PREVIOUS, 5, StepKind.TASK),
    ]


def test_changing_shipped_content_changes_nobody_elses() -> None:
    shipped_scenarios()["claims"]["steps"].clear()  # type: ignore[attr-defined]
    assert len(shipped_scenarios()["claims"]["steps"]) == 6  # type: ignore[arg-type]


def test_amounts_are_read_into_minor_units_of_their_currency() -> None:
    """B-09: JPY has no decimals, KWD has three."""
    amounts = [{"amount": "10.00", "currency": "EUR"}, {"amount": "500", "currency": "JPY"}, {"amount": "1.250", "currency": "KWD"}]
    step = parse(content(min_item=amounts)).steps[0]
    assert step.min_item == (Amount(1000, "EUR"), Amount(500, "JPY"), Amount(1250, "KWD"))
    assert to_content(parse(content(min_item=amounts)))["steps"][0]["min_item"] == amounts  # type: ignore[index]


def test_a_block_waits_until_the_customer_was_told() -> None:
    """Block and fees default to completed, all else to executed."""
    operations = [{"kind": "block_account", "params": {"release_when": "settled"}}, {"kind": "webhook"}]
    step = parse(content(operations=operations)).steps[0]
    assert [operation.when for operation in step.operations] == [OperationWhen.COMPLETED, OperationWhen.EXECUTED]


@pytest.mark.parametrize(
    ("step", "path", "message"),
    [
        ({"trigger": {"kind": "due_date", "offset_days": "1"}}, "steps[0].trigger.offset_days", "expected an integer"),
        ({"trigger": {"kind": "due_date", "offset_days": True}}, "steps[0].trigger.offset_days", "expected an integer"),
        ({"trigger": {"kind": "due_dat"}}, "steps[0].trigger.kind", "did you mean due_date?"),
        ({"trigger": {"kind": "after_previous", "until_days": 3}}, "steps[0].trigger.until_days", "leave it out"),
        ({"trigger": {"kind": "after_previous", "offset_days": -3}}, "steps[0].trigger.offset_days", "expected 0 or more"),
        ({"trigger": None}, "steps[0].trigger", "expected an object"),
        ({"rank": None}, "steps[0].rank", "expected an integer"),
        ({"rank": -1}, "steps[0].rank", "from 0 to 10000"),
        ({"code": "a b"}, "steps[0].code", "expected a code"),
        ({"name": " "}, "steps[0].name", "expected a text"),
        ({"mode": 3}, "steps[0].mode", "expected one of automatic, approve, manual"),
        ({"repeat_every_days": 0}, "steps[0].repeat_every_days", "from 1 to 3650"),
        ({"grace_days": 1.5}, "steps[0].grace_days", "expected an integer"),
        ({"show_not_due": "yes"}, "steps[0].show_not_due", "expected true or false"),
        ({"gracedays": 3}, "steps[0].gracedays", "did you mean grace_days?"),
        ({"min_item": [{"amount": "10.001", "currency": "EUR"}]}, "steps[0].min_item[0].amount", "more decimals"),
        ({"min_item": [{"amount": 10, "currency": "EUR"}]}, "steps[0].min_item[0].amount", "expected"),
        ({"min_item": [{"amount": "-1.00", "currency": "EUR"}]}, "steps[0].min_item[0].amount", "0 or more"),
        ({"min_item": [{"amount": "1.00", "currency": "XXX"}]}, "steps[0].min_item[0].amount", "unknown currency"),
        ({"min_item": [{"amount": "1.00", "currency": "EUR"}] * 2}, "steps[0].min_item[1].currency", "has an amount already"),
        ({"min_item": {}}, "steps[0].min_item", "expected a list"),
        ({"notices": [{"code": "main", "template": "t"}]}, "steps[0].notices[0].to_roles", "at least one role"),
        ({"notices": [{"code": "main", "template": "t", "to_roles": ["a", "a"]}]}, "steps[0].notices[0].to_roles[1]", "named twice"),
        ({"notices": [{"code": "main", "template": "t", "to_roles": ["a"], "fallback": ["leter"]}]}, "steps[0].notices[0].fallback[0]", "letter"),
        ({"operations": [{"kind": "webhook", "params": {"rate": 0.5}}]}, "steps[0].operations[0].params.rate", "write decimals as text"),
        ({"operations": [{"kind": "webhook", "params": []}]}, "steps[0].operations[0].params", "expected an object"),
        ({"task": {"kind": "call", "text": ""}}, "steps[0].task.text", "expected a text"),
        ({"consequence": {"en": 3}}, "steps[0].consequence", "one text a language"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(step: dict[str, Any], path: str, message: str) -> None:
    found = problems(content(**step))
    assert [problem.path for problem in found] == [path]
    assert message in found[0].message


def test_ranks_and_codes_are_unique_in_a_scenario() -> None:
    """S0-01."""
    given = content()
    given["steps"] *= 2
    assert problems(given) == [
        Problem("steps[1].rank", "1 is already the rank of steps[0]"),
        Problem("steps[1].code", "01 is already the code of steps[0]"),
    ]


def test_all_problems_are_found_in_one_pass() -> None:
    given = {"code": "", "name": "x", "late_entry": "never", "steps": [{"rank": "a"}, "b"], "stepz": []}
    paths = [problem.path for problem in problems(given)]
    assert {"code", "late_entry", "steps[0].rank", "steps[0].code", "steps[0].name", "steps[0].trigger", "steps[1]", "stepz"} <= set(paths)


@pytest.mark.parametrize("given", [None, [], "x", 3])
def test_content_that_is_no_object_is_refused(given: Any) -> None:
    assert problems(given)[0] == Problem("content", "expected an object")
