"""When a step comes: the one place that turns a trigger into a day.

The planned days of a scenario (`compiled.py`) and the days of one item as things went (`ladder.py`) are both asked for here; they differ only in what they
know of the step before, of the deadline and of the fact. Grace and delivery, which may hold a step back, follow below. The distance that an item's next step
keeps from its last one, and the interval of repeats, need the item's history and stand in `ladder.py`.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from dunning.scenarios.steps import FACT_TRIGGERS, TriggerKind

if TYPE_CHECKING:
    from dunning.scenarios.compiled import CompiledStep
    from dunning.scenarios.position import Calendar, Day, Item

NEVER_ENDS = 10**8
"""The last day, relative to the due date, of a step without a window."""


def day_of(step: CompiledStep, calendar: Calendar, *, due_on: Day, previous_on: Day = 0, deadline_on: Day = 0, happened_on: Day = 0) -> Day:
    """Return the day that a step's trigger names.

    `previous_on` is the day on which the step before came, `deadline_on` the day that the last claim set for payment, `happened_on` that of the fact;
    each is read by the triggers that count from it only.
    """
    if step.trigger is TriggerKind.DUE_DATE:
        base = due_on
    elif step.trigger is TriggerKind.END_OF_MONTH:
        base = end_of_month(due_on)
    elif step.trigger is TriggerKind.AFTER_PREVIOUS:
        base = previous_on
    elif step.trigger is TriggerKind.DEADLINE_PASSED:
        base = deadline_on + 1
    elif step.trigger in FACT_TRIGGERS:
        base = happened_on
    return days_after(base, step.offset_days, step, calendar)


def last_day_of(step: CompiledStep, calendar: Calendar, *, due_on: Day, comes_on: Day) -> Day:
    """Return the last day of a step that comes on a day: its window's, for a pre-due step the day before the due date at the latest."""
    if step.removed:
        return due_on - NEVER_ENDS
    last = due_on + NEVER_ENDS
    if step.windowed:
        if step.until_days is not None:
            last = days_after(due_on, step.until_days, step, calendar)
        if comes_on < due_on:
            last = min(last, due_on - 1)
    return last


def not_before_grace_and_delivery(step: CompiledStep, item: Item, day: Day, grace_days: int | None) -> Day:
    """Return the later of a day and what grace, where it lies after the due date, and delivery allow; `grace_days` is what the ledger says."""
    grace = grace_days if step.grace_days is None else step.grace_days
    if grace is not None and day > item.due_on:
        day = max(day, item.due_on + grace + 1)
    if step.min_days_after_delivery is not None and item.delivered_on is not None:
        day = max(day, item.delivered_on + step.min_days_after_delivery)
    return day


def days_after(day: Day, count: int, step: CompiledStep, calendar: Calendar) -> Day:
    """Return the day this many of the step's days after (or, negative, before) the given one."""
    return calendar.moved(day, count) if step.business_days else day + count


def end_of_month(day: Day) -> Day:
    """Return the last day of the month that holds this day."""
    on = date.fromordinal(day)
    following = date(on.year + on.month // 12, on.month % 12 + 1, 1)
    return following.toordinal() - 1
