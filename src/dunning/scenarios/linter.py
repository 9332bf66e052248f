"""What is wrong, or looks wrong, with a scenario before it is published.

Errors keep a scenario from being published; warnings are for the eyes of whoever writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date
from enum import StrEnum
from typing import NamedTuple, Protocol

from dunning.scenarios.compiled import Compiled, compile_scenario
from dunning.scenarios.position import Calendar
from dunning.scenarios.steps import (
    FACT_TRIGGERS,
    ONLY_WHEN_COVERED,
    Audience,
    Channel,
    ContentMode,
    Mode,
    Notice,
    OperationKind,
    OperationWhen,
    Scenario,
    Step,
    StepKind,
    TaskKind,
    TriggerKind,
)

SELF_SENDING = frozenset({Channel.EMAIL})
"""Channels through which the system sends without a person."""

CERTIFIED = frozenset({Channel.PEC, Channel.REGISTERED_LETTER})
CERTIFIED_TASKS = frozenset({TaskKind.PEC, TaskKind.LETTER})

INTERNAL_ROLES = frozenset({"account_manager", "collector", "collections_manager", "salesperson", "sales_representative"})
"""Roles of the company's own people, who may get copies and internal notices."""

RELEASES = frozenset({"settled", "overdue_settled", "by_hand"})
"""What may lift an account block, as `release_when` of the operation."""
DEGREES = ("no_changes", "no_new_orders", "no_deliveries", "full")
"""How far an account block goes, as `degree` of the operation; the strictest where it is left out."""
WHEN_RETURNED = ("block", "leave")
"""What becomes of a lifted account block when the payment is returned, as `when_returned` of the operation; it blocks again where it is left out."""

_SAMPLE_DUE_ON = date(2026, 1, 31).toordinal()
"""The end of a month: the day on which an end-of-month step comes soonest."""

_WEEKENDS = Calendar(closed_weekdays=frozenset({5, 6}))


class Severity(StrEnum):
    """Name whether a finding forbids publishing."""

    ERROR = "error"
    WARNING = "warning"


class Finding(NamedTuple):
    """Hold one thing to change: where it is, and a sentence that says what to do."""

    severity: Severity
    code: str
    path: str
    message: str


class TemplateFacts(Protocol):
    """What the linter needs to know of a template."""

    @property
    def code(self) -> str:
        """The code by which notices name it."""

    @property
    def languages(self) -> frozenset[str]:
        """The languages it is written in."""

    @property
    def placeholders(self) -> frozenset[str]:
        """The placeholders it uses."""

    @property
    def has_item_rows(self) -> bool:
        """Whether it lists items."""

    @property
    def unknown(self) -> frozenset[str]:
        """Placeholders that do not exist."""

    @property
    def unguarded(self) -> frozenset[str]:
        """Placeholders it prints without asking first whether they have a value."""

    @property
    def full_only(self) -> frozenset[str]:
        """Placeholders that show amounts or document numbers."""


def lint(scenario: Scenario, templates: Mapping[str, TemplateFacts], languages: Collection[str]) -> list[Finding]:
    """Find what is wrong with a scenario, errors first, each in the order of the steps.

    `templates` are the published ones by code, `languages` those that customers of the tenant are written to in. A
    scenario without errors may be published.
    """
    findings = [finding for check in _CHECKS for finding in check(scenario)]
    for index, step in enumerate(scenario.steps):
        for position, notice in enumerate(step.notices):
            path = f"steps[{index}].notices[{position}]"
            findings += _check_template(step, notice, f"{path}.template", notice.template, templates.get(notice.template), languages)
            if notice.template_when_covered is not None:
                covered = notice.template_when_covered
                findings += _check_template(step, notice, f"{path}.template_when_covered", covered, templates.get(covered), languages)
    return sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR)


def _error(code: str, path: str, message: str) -> Finding:
    return Finding(Severity.ERROR, code, path, message)


def _warning(code: str, path: str, message: str) -> Finding:
    return Finding(Severity.WARNING, code, path, message)


def _check_template(step: Step, notice: Notice, path: str, name: str, facts: TemplateFacts | None, languages: Collection[str]) -> Iterator[Finding]:
    if facts is None:
        yield _error("missing_template", path, f"There is no published template {name}. Publish it, or name another.")
        return
    missing = sorted(set(languages) - facts.languages)
    if missing:
        yield _error("missing_language", path, f"Template {name} is not written in {', '.join(missing)}. Add the texts.")
    for placeholder in sorted(facts.unknown):
        yield _error("unknown_placeholder", path, f"Template {name} uses {{{{{placeholder}}}}}, which does not exist. Correct it.")
    if notice.content_mode is ContentMode.LINK_ONLY and (facts.has_item_rows or facts.full_only):
        shown = ", ".join(sorted(facts.full_only)) or "rows of items"
        yield _error(
            "link_only_shows_items",
            path,
            f"The notice carries a link only, but template {name} shows {shown}. Use a template without them.",
        )
    for placeholder, value in (("deadline", step.deadline_days), ("consequence", step.consequence)):
        if value is None and placeholder in facts.unguarded:
            setting = "deadline_days" if placeholder == "deadline" else "consequence"
            yield _error(
                "value_never_there",
                path,
                f"Template {name} always prints {{{{{placeholder}}}}}, but the step has no {setting}. Set it, or put the placeholder inside an if.",
            )


def _steps_and_codes(scenario: Scenario) -> Iterator[Finding]:
    if not scenario.steps:
        yield _error("no_steps", "steps", "The scenario has no steps. Add at least one.")
    ranks: set[int] = set()
    codes: set[str] = set()
    for index, step in enumerate(scenario.steps):
        if step.rank in ranks:
            yield _error("duplicate_rank", f"steps[{index}].rank", f"Rank {step.rank} is used twice. Give each its own.")
        if step.code in codes:
            yield _error("duplicate_code", f"steps[{index}].code", f"Code {step.code} is used twice. Give each its own.")
        ranks.add(step.rank)
        codes.add(step.code)


def _reachable(scenario: Scenario) -> Iterator[Finding]:
    """Find steps whose window closes before an item can come to them."""
    compiled = compile_scenario(scenario)
    starts, lasts = compiled.timeline(_SAMPLE_DUE_ON, _WEEKENDS)
    path_of = {step.code: f"steps[{index}]" for index, step in enumerate(scenario.steps)}
    for place, step in enumerate(compiled.ladder):
        path = f"{path_of[step.code]}.trigger"
        start, last = starts[place], lasts[place]
        if step.grace_days is not None and start > 0:
            start = max(start, step.grace_days + 1)
        if start > last:
            yield _error(
                "unreachable_step",
                path,
                f"Step {step.code} begins on day {start} after the due date, but its window ends on day {last}. Move the window's end or the beginning.",
            )
            continue
        for before in range(place):
            least = max(1, step.min_days_between_steps or 1)
            if min(starts[before] + least, lasts[before] + 1) > last:
                yield _error(
                    "unreachable_step",
                    path,
                    f"Step {step.code} can never come: its window ends on day {last}, and step"
                    f" {compiled.ladder[before].code} before it begins on day {starts[before]}. Change the order.",
                )
                break
        if step.trigger is TriggerKind.DEADLINE_PASSED and not any(s.deadline_days is not None for s in scenario.steps):
            yield _error(
                "unreachable_step",
                path,
                f"Step {step.code} waits for a stated deadline, but no step states one. Give one deadline_days.",
            )


def _repeats(scenario: Scenario) -> Iterator[Finding]:
    for index, step in enumerate(scenario.steps):
        if step.repeat_every_days is None:
            if step.max_repeats is not None:
                yield _error(
                    "repeat_without_interval",
                    f"steps[{index}].repeat_every_days",
                    f"Step {step.code} has max_repeats but not after how many days to repeat. Set repeat_every_days.",
                )
            continue
        if step.max_repeats is None:
            yield _error(
                "repeat_without_max",
                f"steps[{index}].max_repeats",
                f"Step {step.code} would repeat for ever. Say how often at most: max_repeats.",
            )
        if step.trigger.kind in FACT_TRIGGERS:
            yield _error(
                "repeat_of_fact_step",
                f"steps[{index}].repeat_every_days",
                f"Step {step.code} comes again with each {step.trigger.kind.value}; it cannot repeat by days.",
            )


def _notices(scenario: Scenario) -> Iterator[Finding]:
    for index, step in enumerate(scenario.steps):
        path = f"steps[{index}]"
        primaries = [notice for notice in step.notices if notice.primary]
        if step.notices and len(primaries) != 1:
            yield _error(
                "not_one_primary",
                f"{path}.notices",
                f"Step {step.code} has {len(primaries)} primary notices. Exactly one must be primary: it completes the step.",
            )
        for position, notice in enumerate(step.notices):
            yield from _notice(step, notice, f"{path}.notices[{position}]")
        if step.kind is StepKind.OPERATIONS and not step.operations:
            yield _error("empty_step", path, f"Step {step.code} does nothing. Give it a notice, a task or an operation.")


def _notice(step: Step, notice: Notice, path: str) -> Iterator[Finding]:
    if notice.channel not in SELF_SENDING and step.mode is not Mode.MANUAL:
        yield _error(
            "unsupported_channel",
            f"{path}.channel",
            f"{notice.channel.value} is not sent by the system: only e-mail is. Make step {step.code} a task of kind"
            f" {_task_for(notice.channel)} that a person does, or use e-mail.",
        )
    outsiders = sorted(set(notice.copy_roles) - INTERNAL_ROLES)
    if outsiders:
        yield _error(
            "copy_to_customer",
            f"{path}.copy_roles",
            f"Copies go to colleagues only, and {', '.join(outsiders)} is not one. Choose from"
            f" {', '.join(sorted(INTERNAL_ROLES))}, or write to the customer with to_roles.",
        )
    inside = sorted(INTERNAL_ROLES.intersection(notice.to_roles))
    if notice.audience is Audience.CUSTOMER and inside:
        yield _error(
            "audience_mixed",
            f"{path}.to_roles",
            f"{', '.join(inside)} is a colleague, but the notice is for the customer. Use copy_roles, or audience internal.",
        )
    if notice.audience is Audience.INTERNAL and set(notice.to_roles) - INTERNAL_ROLES:
        yield _error(
            "audience_mixed",
            f"{path}.to_roles",
            f"An internal notice goes to colleagues only: {', '.join(sorted(INTERNAL_ROLES))}.",
        )


def _task_for(channel: Channel) -> str:
    kinds = {Channel.PEC: TaskKind.PEC, Channel.CALL: TaskKind.CALL, Channel.COUNSEL: TaskKind.COUNSEL}
    if channel in {Channel.LETTER, Channel.REGISTERED_LETTER}:
        return TaskKind.LETTER.value
    return kinds.get(channel, TaskKind.OTHER).value


def _blocks(scenario: Scenario) -> Iterator[Finding]:
    for index, step in enumerate(scenario.steps):
        for position, operation in enumerate(step.operations):
            if operation.kind is not OperationKind.BLOCK_ACCOUNT or operation.params.get("manual") is True:
                continue
            if operation.params.get("degree", DEGREES[-1]) not in DEGREES:
                yield _error(
                    "unknown_degree",
                    f"steps[{index}].operations[{position}].params.degree",
                    f"Step {step.code} blocks the account in a degree that nobody knows. Set degree to one of {', '.join(DEGREES)}.",
                )
            if operation.params.get("when_returned", "block") not in WHEN_RETURNED:
                yield _error(
                    "unknown_when_returned",
                    f"steps[{index}].operations[{position}].params.when_returned",
                    f"Step {step.code} does not say what becomes of its block when a payment is returned. Set when_returned to block or leave.",
                )
            if operation.params.get("release_when") not in RELEASES:
                yield _error(
                    "block_without_release",
                    f"steps[{index}].operations[{position}].params.release_when",
                    f"Step {step.code} blocks the account, but nothing lifts the block. Set release_when to one of {', '.join(sorted(RELEASES))}.",
                )


def _operations(scenario: Scenario) -> Iterator[Finding]:
    for index, step in enumerate(scenario.steps):
        for position, operation in enumerate(step.operations):
            path = f"steps[{index}].operations[{position}]"
            if not isinstance(operation.params.get(ONLY_WHEN_COVERED, False), bool):
                yield _error("unknown_condition", f"{path}.params.{ONLY_WHEN_COVERED}", f"{ONLY_WHEN_COVERED} is true or false.")
            if operation.when is not OperationWhen.BEFORE_NOTICE:
                continue
            if step.kind is not StepKind.NOTICE:
                yield _error(
                    "before_no_notice",
                    f"{path}.when",
                    f"Step {step.code} has no notice that could wait for {operation.kind.value}. Use executed, or give the step a notice.",
                )
            elif not operation.by_person:
                yield _error(
                    "before_notice_by_system",
                    f"{path}.when",
                    f"{operation.kind.value} is done by the system at once, so that no notice would wait for it. Use executed, or set manual in its params.",
                )


def _overlaps(scenario: Scenario) -> Iterator[Finding]:
    compiled = compile_scenario(scenario)
    starts, _ = compiled.timeline(_SAMPLE_DUE_ON, _WEEKENDS)
    path_of = {step.code: f"steps[{index}].trigger.offset_days" for index, step in enumerate(scenario.steps)}
    spacing = max(1, scenario.spacing_days or 0)
    for place in range(1, len(compiled.ladder)):
        step, before = compiled.ladder[place], compiled.ladder[place - 1]
        apart = starts[place] - starts[place - 1]
        if not (step.windowed and before.windowed):
            continue
        if apart < spacing:
            yield _warning(
                "offsets_overlap",
                path_of[step.code],
                f"Step {step.code} begins {apart} days after step {before.code}, but contacts must lie {spacing} days"
                " apart, so it will come later than written.",
            )
    yield from _shadowed_repeats(compiled, starts, path_of)


def _shadowed_repeats(compiled: Compiled, starts: tuple[int, ...], path_of: Mapping[str, str]) -> Iterator[Finding]:
    for step, following, start, end in zip(compiled.ladder, compiled.ladder[1:], starts, starts[1:], strict=False):
        every = step.repeat_every_days
        if every and following.windowed and every * step.max_repeats >= end - start:
            fitting = max(0, (end - start - 1) // every)
            yield _warning(
                "repeats_cut_short",
                path_of[step.code],
                f"Step {step.code} may repeat {step.max_repeats} times, but step {following.code} comes after {fitting}.",
            )


def _outcome(scenario: Scenario) -> Iterator[Finding]:
    ladder = sorted((step for step in scenario.steps if step.trigger.kind not in FACT_TRIGGERS), key=lambda step: step.rank)
    if ladder and not ladder[-1].operations and ladder[-1].task is None:
        index = scenario.steps.index(ladder[-1])
        yield _warning(
            "end_without_outcome",
            f"steps[{index}]",
            f"After step {ladder[-1].code} nothing more happens to what is unpaid. Add an operation or a task that says what.",
        )


def _legal(scenario: Scenario) -> Iterator[Finding]:
    certified = False
    for step in sorted(scenario.steps, key=lambda step: step.rank):
        certified = certified or any(notice.channel in CERTIFIED for notice in step.notices)
        certified = certified or (step.task is not None and step.task.kind in CERTIFIED_TASKS)
        legal = (step.task is not None and step.task.kind is TaskKind.COUNSEL) or any(
            operation.kind is OperationKind.OPEN_LEGAL_CASE for operation in step.operations
        )
        if legal and not certified:
            yield _warning(
                "legal_without_certified_channel",
                f"steps[{scenario.steps.index(step)}]",
                f"Step {step.code} goes to law, but no step up to it uses a certified channel. Add a PEC or letter task.",
            )


_CHECKS: tuple[Callable[[Scenario], Iterator[Finding]], ...] = (
    _steps_and_codes,
    _reachable,
    _repeats,
    _notices,
    _blocks,
    _operations,
    _overlaps,
    _outcome,
    _legal,
)
