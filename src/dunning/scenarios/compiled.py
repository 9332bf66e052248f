"""A scenario prepared for planning: one pass over its steps, once per version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dunning.scenarios.position import Calendar, Day, Id
from dunning.scenarios.steps import (
    DUE_DATE_TRIGGERS,
    FACT_TRIGGERS,
    NO_CONDITIONS,
    Amount,
    Audience,
    Channel,
    Conditions,
    Grouping,
    Ladder,
    LateEntry,
    Netting,
    ResetPolicy,
    Scenario,
    Shift,
    Step,
    TriggerKind,
)
from dunning.scenarios.timing import day_of, last_day_of


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """Hold one step as planning reads it."""

    code: str
    rank: int
    mode: str
    kind: str
    trigger: TriggerKind
    offset_days: int
    until_days: int | None
    business_days: bool
    windowed: bool
    """Whether its trigger is one that windows belong to."""
    grace_days: int | None
    min_days_after_delivery: int | None
    min_days_between_steps: int | None
    repeat_every_days: int
    """0: it does not repeat."""
    max_repeats: int
    min_item: Mapping[str, int]
    min_customer: Mapping[str, int]
    deadline_days: int | None
    show_not_due: bool
    conditions: Conditions | None
    """None: it asks nothing more of the customer."""
    removed: bool
    """Passed over, for one customer."""
    is_contact: bool
    """Whether the customer is contacted by it."""
    to_roles: tuple[str, ...]
    """Whom its primary notice is mailed to, by the first role that anybody has; empty: it mails no customer."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """Hold one version of a scenario as planning reads it."""

    scenario: Scenario
    ladder: tuple[CompiledStep, ...]
    """Steps in rising rank, without those that a fact triggers."""
    by_fact: tuple[CompiledStep, ...]
    """Steps that a fact triggers, in rising rank."""
    index_of: Mapping[str, int]
    """Place of each ladder code."""
    fact_codes: frozenset[str]
    matching_age: bool
    by_document: bool
    nets: bool
    restarts: bool
    shifts: bool
    leads: bool
    """Whether the customer's oldest item leads the others."""
    spacing_days: int | None
    grace_days: int | None
    has_minimums: bool
    has_conditions: bool
    inserted: frozenset[str]
    """Codes that only this customer's variant has."""
    repeats: bool
    starts: tuple[int, ...]
    """Unshifted day of each ladder step relative to the due date; empty where it depends on the due date."""
    lasts: tuple[int, ...]
    """Last day of each ladder step relative to the due date, or NEVER_ENDS; empty as `starts`."""

    def timeline(self, due_on: Day, calendar: Calendar) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the unshifted day and the last day of each ladder step for an item due then, relative to it."""
        if self.starts or not self.ladder:
            return self.starts, self.lasts
        return _timeline(self.ladder, due_on, calendar)

    def surviving(self, code: str, origin: Compiled | None) -> tuple[int, int] | None:
        """Return the place a code of another version counts as, and its order among those that count as the same.

        The place is that of the highest code below it in `origin` that is still here, or -1. None: it stood outside
        the ladder there, or `origin` does not know it.
        """
        if origin is None or (old := origin.index_of.get(code)) is None:
            return None
        for index in range(old, -1, -1):
            place = self.index_of.get(origin.ladder[index].code)
            if place is not None:
                return place, old + 1
        return -1, old + 1


Scenarios = Mapping[tuple[Id, int], Compiled]
"""Every version that a position names, and every older one its rows of progress refer to."""


def compile_scenario(scenario: Scenario) -> Compiled:
    """Prepare one version of a scenario for planning; the result is immutable and may be shared."""
    steps = [_compile_step(scenario, step) for step in sorted(scenario.steps, key=lambda step: (step.rank, step.code))]
    ladder = tuple(step for step in steps if step.trigger not in FACT_TRIGGERS)
    by_fact = tuple(step for step in steps if step.trigger in FACT_TRIGGERS and not step.removed)
    starts: tuple[int, ...] = ()
    lasts: tuple[int, ...] = ()
    if not any(step.business_days or step.trigger is TriggerKind.END_OF_MONTH for step in ladder):
        starts, lasts = _timeline(ladder, 0, Calendar())
    return Compiled(
        scenario=scenario,
        ladder=ladder,
        by_fact=by_fact,
        index_of=MappingProxyType({step.code: index for index, step in enumerate(ladder)}),
        fact_codes=frozenset(step.code for step in steps if step.trigger in FACT_TRIGGERS),
        matching_age=scenario.late_entry is LateEntry.MATCHING_AGE,
        by_document=scenario.grouping is Grouping.DOCUMENT,
        nets=scenario.netting is Netting.NET,
        restarts=scenario.reset_policy is ResetPolicy.RESTART,
        shifts=scenario.shift is Shift.FORWARD,
        leads=scenario.ladder is Ladder.LEAD_ITEM,
        spacing_days=scenario.spacing_days,
        grace_days=scenario.grace_days,
        has_minimums=any(step.min_item or step.min_customer for step in steps),
        has_conditions=any(step.conditions for step in steps),
        inserted=frozenset(step.code for step in scenario.steps if step.inserted),
        repeats=any(step.repeat_every_days for step in ladder),
        starts=starts,
        lasts=lasts,
    )


def _compile_step(scenario: Scenario, step: Step) -> CompiledStep:
    repeats = bool(step.repeat_every_days and step.max_repeats)
    return CompiledStep(
        code=step.code,
        rank=step.rank,
        mode=step.mode.value,
        kind=step.kind.value,
        trigger=step.trigger.kind,
        offset_days=step.trigger.offset_days,
        until_days=step.trigger.until_days,
        business_days=step.trigger.business_days,
        windowed=step.trigger.kind in DUE_DATE_TRIGGERS,
        grace_days=scenario.grace_days if step.grace_days is None else step.grace_days,
        min_days_after_delivery=step.min_days_after_delivery,
        min_days_between_steps=step.min_days_between_steps,
        repeat_every_days=(step.repeat_every_days or 0) if repeats else 0,
        max_repeats=(step.max_repeats or 0) if repeats else 0,
        min_item=_by_currency(scenario.min_item, step.min_item),
        min_customer=_by_currency(scenario.min_customer, step.min_customer),
        deadline_days=step.deadline_days,
        show_not_due=step.show_not_due,
        conditions=None if step.conditions == NO_CONDITIONS else step.conditions,
        removed=step.removed,
        is_contact=step.is_contact,
        to_roles=next((n.to_roles for n in step.notices if n.primary and n.channel is Channel.EMAIL and n.audience is Audience.CUSTOMER), ()),
    )


def _by_currency(of_scenario: tuple[Amount, ...], of_step: tuple[Amount, ...]) -> Mapping[str, int]:
    return MappingProxyType({amount.currency: amount.minor for amount in (*of_scenario, *of_step)})


def _timeline(ladder: tuple[CompiledStep, ...], due_on: Day, calendar: Calendar) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the planned days of the ladder, each step taken to come on its day and its claim to set its deadline from there."""
    starts: list[int] = []
    lasts: list[int] = []
    before, deadline_days = due_on, 0
    for step in ladder:
        comes_on = day_of(step, calendar, due_on=due_on, previous_on=before, deadline_on=before + deadline_days)
        starts.append(comes_on - due_on)
        lasts.append(last_day_of(step, calendar, due_on=due_on, comes_on=comes_on) - due_on)
        before, deadline_days = comes_on, step.deadline_days or 0
    return tuple(starts), tuple(lasts)
