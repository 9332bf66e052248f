"""What the linter finds, one finding a test; and what it leaves in peace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from dunning.scenarios.definition import parse
from dunning.scenarios.linter import Finding, Severity, lint
from dunning.scenarios.shipped import shipped_scenarios
from dunning.scenarios.steps import (
    Audience,
    Channel,
    ContentMode,
    Mode,
    Notice,
    Operation,
    OperationKind,
    OperationWhen,
    Scenario,
    Step,
    Task,
    TaskKind,
    TriggerKind,
)
from tests.scenarios.worlds import NOTICE, scenario, step

LANGUAGES = ["en", "it"]
BY_PERSON: dict[str, Any] = {"notices": (), "mode": Mode.MANUAL}


@dataclass(frozen=True)
class Facts:
    """Hold what the linter asks of a template."""

    code: str = "claim"
    languages: frozenset[str] = frozenset(LANGUAGES)
    placeholders: frozenset[str] = frozenset({"items_list"})
    has_item_rows: bool = False
    unknown: frozenset[str] = frozenset()
    unguarded: frozenset[str] = frozenset()
    full_only: frozenset[str] = frozenset()


def found(given: Scenario, templates: Mapping[str, Facts] | None = None) -> list[Finding]:
    return lint(given, {"claim": Facts()} if templates is None else templates, LANGUAGES)


def errors(given: Scenario, templates: Mapping[str, Facts] | None = None) -> list[tuple[str, str]]:
    return [(finding.code, finding.path) for finding in found(given, templates) if finding.severity is Severity.ERROR]


def warnings(given: Scenario) -> list[tuple[str, str]]:
    return [(finding.code, finding.path) for finding in found(given) if finding.severity is Severity.WARNING]


def notice_step(**settings: Any) -> Scenario:
    return scenario([step("1", 1, notices=(Notice(**{"code": "main", "channel": Channel.EMAIL, "template": "claim", "to_roles": ("dunning",), **settings}),))])


def final(code: str = "9", offset: int = 60) -> Step:
    return step(code, offset, task=Task(TaskKind.OTHER, "Decide."), **BY_PERSON)


@pytest.mark.parametrize("code", ["claims", "reminder", "recovery"])
def test_shipped_scenarios_have_no_error(code: str) -> None:
    """D-13."""
    given = parse(shipped_scenarios()[code])
    templates = {template: Facts(code=template) for one in given.steps for notice in one.notices for template in notice.templates}
    assert errors(given, templates) == []


def test_a_sound_scenario_has_no_finding() -> None:
    assert found(scenario([step("1", 1), step("2", 8), final()])) == []


def test_a_scenario_needs_a_step() -> None:
    assert errors(scenario([])) == [("no_steps", "steps")]


def test_ranks_and_codes_stand_once() -> None:
    """S0-01."""
    found_errors = errors(scenario([step("1", 1), step("1", 8, rank=10)]))
    assert found_errors[:2] == [("duplicate_rank", "steps[1].rank"), ("duplicate_code", "steps[1].code")]


@pytest.mark.parametrize(("offset", "until", "reached"), [(8, 7, False), (8, 8, True), (-3, -4, False), (-3, -3, True)])
def test_a_window_that_ends_before_it_begins_is_never_reached(offset: int, until: int, reached: bool) -> None:
    """D-13."""
    assert (errors(scenario([step("1", offset, until)])) == []) is reached


def test_a_step_behind_a_later_one_is_never_reached() -> None:
    """D-13: its window is over when the step before it comes."""
    assert errors(scenario([step("1", 8), step("2", 1, 7)])) == [("unreachable_step", "steps[1].trigger")]
    assert errors(scenario([step("1", 8), step("2", 1, 9)])) == []


def test_grace_beyond_the_window_makes_a_step_unreachable() -> None:
    assert errors(scenario([step("1", 1, 7)], grace_days=7)) == [("unreachable_step", "steps[0].trigger")]
    assert errors(scenario([step("1", 1, 7)], grace_days=6)) == []


def test_a_deadline_trigger_needs_a_step_that_states_one() -> None:
    late = step("2", 0, kind=TriggerKind.DEADLINE_PASSED)
    assert errors(scenario([step("1", 1), late])) == [("unreachable_step", "steps[1].trigger")]
    assert errors(scenario([step("1", 1, deadline_days=7), late])) == []


def test_a_missing_template_and_missing_languages_are_listed() -> None:
    """S0-02."""
    assert errors(notice_step(), {}) == [("missing_template", "steps[0].notices[0].template")]
    lacking = lint(notice_step(), {"claim": Facts(languages=frozenset({"fr"}))}, ["it", "en"])
    assert lacking[0].code == "missing_language"
    assert "en, it" in lacking[0].message


def test_an_unknown_placeholder_keeps_a_scenario_from_being_published() -> None:
    """S1-12."""
    finding = found(notice_step(), {"claim": Facts(unknown=frozenset({"amont"}))})[0]
    assert (finding.code, "{{amont}}" in finding.message) == ("unknown_placeholder", True)


@pytest.mark.parametrize("facts", [Facts(has_item_rows=True), Facts(full_only=frozenset({"items_amount"}))])
def test_a_notice_with_a_link_only_shows_no_items(facts: Facts) -> None:
    """S0-12."""
    assert errors(notice_step(content_mode=ContentMode.LINK_ONLY), {"claim": facts}) == [("link_only_shows_items", "steps[0].notices[0].template")]
    assert errors(notice_step(), {"claim": facts}) == []


def test_a_template_that_always_prints_the_deadline_needs_one() -> None:
    """S1-05: never a blank in a mail."""
    facts = {"claim": Facts(unguarded=frozenset({"deadline", "consequence"}))}
    assert [code for code, _ in errors(scenario([step("1", 1)]), facts)] == ["value_never_there", "value_never_there"]
    assert errors(scenario([step("1", 1, deadline_days=7, consequence="No more deliveries.")]), facts) == []


def test_an_account_block_says_what_lifts_it() -> None:
    """S0-09, D-13: a block that a person does is lifted by that person."""

    def blocking(**params: Any) -> Scenario:
        return scenario([step("1", 1, operations=(Operation(OperationKind.BLOCK_ACCOUNT, OperationWhen.COMPLETED, params),))])

    assert errors(blocking()) == [("block_without_release", "steps[0].operations[0].params.release_when")]
    assert errors(blocking(release_when="never")) == [("block_without_release", "steps[0].operations[0].params.release_when")]
    assert errors(blocking(release_when="settled")) == []
    assert errors(blocking(release_when="settled", degree="total")) == [("unknown_degree", "steps[0].operations[0].params.degree")]
    assert errors(blocking(release_when="settled", degree="no_new_orders")) == []
    assert errors(blocking(manual=True)) == []


def test_only_a_notice_waits_and_only_for_what_a_person_records() -> None:
    """S0-08: an operation before the notice needs a notice, and a person who records it; a condition is true or false."""

    def before(kind: OperationKind, settings: Mapping[str, Any] = {}, **params: Any) -> Scenario:
        return scenario([step("1", 1, operations=(Operation(kind, OperationWhen.BEFORE_NOTICE, params),), **settings)])

    calling: dict[str, Any] = BY_PERSON | {"task": Task(TaskKind.CALL, "Call.")}
    assert errors(before(OperationKind.DECLARE_TO_INSURER)) == []
    assert errors(before(OperationKind.DECLARE_TO_INSURER, calling)) == [("before_no_notice", "steps[0].operations[0].when")]
    assert errors(before(OperationKind.WEBHOOK)) == [("before_notice_by_system", "steps[0].operations[0].when")]
    assert errors(before(OperationKind.WEBHOOK, manual=True)) == []
    assert errors(before(OperationKind.NOTIFY_INSURER, only_when_covered=True)) == []
    assert errors(before(OperationKind.NOTIFY_INSURER, only_when_covered="no")) == [("unknown_condition", "steps[0].operations[0].params.only_when_covered")]


def test_a_repeat_has_an_end_and_an_interval() -> None:
    """S1-08, B-11."""
    endless = Scenario("s", "s", (Step(1, "1", "1", Mode.AUTOMATIC, step("1", 1).trigger, repeat_every_days=7, notices=(NOTICE,)),))
    aimless = Scenario("s", "s", (Step(1, "1", "1", Mode.AUTOMATIC, step("1", 1).trigger, max_repeats=7, notices=(NOTICE,)),))
    assert errors(endless) == [("repeat_without_max", "steps[0].max_repeats")]
    assert errors(aimless) == [("repeat_without_interval", "steps[0].repeat_every_days")]


def test_a_step_that_a_fact_triggers_does_not_repeat_by_days() -> None:
    given = scenario([step("1", 1), step("2", 0, kind=TriggerKind.PAYMENT_RETURNED, repeat=(3, 3))])
    assert errors(given) == [("repeat_of_fact_step", "steps[1].repeat_every_days")]


@pytest.mark.parametrize(("primaries", "sound"), [(0, False), (1, True), (2, False)])
def test_a_step_with_notices_has_exactly_one_primary(primaries: int, sound: bool) -> None:
    notices = tuple(Notice(f"n{n}", Channel.EMAIL, "claim", ("dunning",), primary=n < primaries) for n in range(2))
    assert (errors(scenario([step("1", 1, notices=notices)])) == []) is sound


@pytest.mark.parametrize("channel", [channel for channel in Channel if channel is not Channel.EMAIL])
def test_only_email_is_sent_without_a_person(channel: Channel) -> None:
    """S2-17 and S2-18 until the other channels are there: the message says what to do instead."""
    finding = found(notice_step(channel=channel))[0]
    assert (finding.code, finding.path) == ("unsupported_channel", "steps[0].notices[0].channel")
    assert "task of kind" in finding.message


def test_copies_go_to_colleagues_only() -> None:
    """S0-13, S1-06."""
    assert errors(notice_step(copy_roles=("billing",))) == [("copy_to_customer", "steps[0].notices[0].copy_roles")]
    assert errors(notice_step(copy_roles=("account_manager", "collections_manager"))) == []


def test_a_notice_is_for_the_customer_or_for_colleagues() -> None:
    """S0-13."""
    assert errors(notice_step(to_roles=("dunning", "account_manager"))) == [("audience_mixed", "steps[0].notices[0].to_roles")]
    assert errors(notice_step(to_roles=("dunning",), audience=Audience.INTERNAL)) == [("audience_mixed", "steps[0].notices[0].to_roles")]
    assert errors(notice_step(to_roles=("account_manager",), audience=Audience.INTERNAL)) == []


def test_a_step_that_does_nothing_is_an_error() -> None:
    assert errors(scenario([step("1", 1, notices=())])) == [("empty_step", "steps[0]")]


def test_an_end_without_outcome_is_a_warning() -> None:
    """B-46, D-13."""
    assert warnings(scenario([step("1", 1)])) == [("end_without_outcome", "steps[0]")]
    assert warnings(scenario([step("1", 1), final()])) == []


@pytest.mark.parametrize(("offset", "spacing", "overlaps"), [(3, 3, True), (4, 3, False), (1, 0, True), (2, 0, False)])
def test_offsets_closer_than_the_spacing_overlap(offset: int, spacing: int, overlaps: bool) -> None:
    """D-13: the second step would come later than written."""
    given = scenario([step("1", 1), step("2", offset), final()], spacing_days=spacing)
    assert (("offsets_overlap", "steps[1].trigger.offset_days") in warnings(given)) is overlaps


def test_repeats_that_the_next_step_cuts_short_are_a_warning() -> None:
    assert ("repeats_cut_short", "steps[0].trigger.offset_days") in warnings(scenario([step("1", 1, repeat=(3, 3)), step("2", 8), final()]))
    assert warnings(scenario([step("1", 1, repeat=(3, 2)), step("2", 8), final()])) == []


def test_going_to_law_without_a_certified_channel_is_a_warning() -> None:
    """D-13."""
    law = step("9", 60, task=Task(TaskKind.COUNSEL, "Hand over."), **BY_PERSON)
    pec = step("5", 30, task=Task(TaskKind.PEC, "Send the PEC."), **BY_PERSON)
    assert warnings(scenario([step("1", 1), law])) == [("legal_without_certified_channel", "steps[1]")]
    assert warnings(scenario([step("1", 1), pec, law])) == []


def test_errors_come_before_warnings() -> None:
    severities = [finding.severity for finding in found(scenario([step("1", 8, 7)]))]
    assert severities == [Severity.ERROR, Severity.WARNING]
