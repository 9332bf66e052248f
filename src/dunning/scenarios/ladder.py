"""Where one item stands in its scenario, which step is its candidate, and from which day.

Days are ordinals; 0 as a day means never. What is called relative is counted from the item's due date.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dunning.scenarios.compiled import Compiled, CompiledStep, Scenarios
from dunning.scenarios.position import COMPLETED, Calendar, Day, Fact, Item, Progress, SkipReason
from dunning.scenarios.steps import TriggerKind
from dunning.scenarios.timing import NEVER_ENDS, day_of, not_before_grace_and_delivery

DEADLINE_PASSED = TriggerKind.DEADLINE_PASSED
AFTER_PREVIOUS = TriggerKind.AFTER_PREVIOUS


class Standing(NamedTuple):
    """Hold how far an item has come; places are indexes into the ladder, -1 is below the first step."""

    place: int = -1
    """The highest step completed or skipped."""
    last: int = -1
    """The highest step completed."""
    last_order: int = -1
    """0 where that is the step itself, above where it is a removed one that counts as it, -1 where there is none."""
    base: Day = 0
    """First completion of that step, or the first of the closed days that delayed it."""
    repeat_no: int = 0
    repeated_on: Day = 0
    """Its last completion, repeats included."""
    chain_on: Day = 0
    """Last completion of any step the item goes on from."""
    item_on: Day = 0
    """Last completion on the item, all episodes included."""
    fact_on: Day = 0
    """Last completion of a step triggered by a fact."""
    first_contact: bool = False


FRESH = Standing(first_contact=True)


class Candidate(NamedTuple):
    """Hold the step that an item waits for."""

    step: CompiledStep
    place: int
    """Its index in the ladder; -1 for a step triggered by a fact."""
    repeat_no: int
    own_day: Day
    """The latest of its own conditions: all but spacing, holds and closed days."""
    changes_on: Day
    """A later day on which another step may take its place; 0: none."""


class Case(NamedTuple):
    """Hold one item with everything that its candidate depends on, whatever the day."""

    item: Item
    compiled: Compiled
    standing: Standing
    starts: Sequence[int]
    lasts: Sequence[int]
    by_fact: Candidate | None
    grace_days: int | None
    """What the ledger says where the scenario does not."""
    calendar: Calendar


def standing_of(item: Item, rows: Sequence[Progress], compiled: Compiled, scenarios: Scenarios) -> Standing:
    """Return how far an item has come in the scenario version that is in force; `rows` are its own, in any order."""
    if not rows:
        return FRESH
    place, last, last_order = -1, -1, -1
    base = repeat = repeated_on = chain_on = item_on = fact_on = 0
    index_of, episode = compiled.index_of, item.episode
    first_episode = episode if compiled.restarts else 0
    for row in rows:
        _, row_episode, scenario_id, version, code, repeat_no, state, _, completed_on, counted_from, _ = row
        completed = state == COMPLETED
        if completed and completed_on > item_on:
            item_on = completed_on
        if not first_episode <= row_episode <= episode:
            continue
        index, order = index_of.get(code), 0
        if index is None:
            survivor = None
            if code not in compiled.fact_codes:
                survivor = compiled.surviving(code, scenarios.get((scenario_id, version)))
            if survivor is None:
                if completed and completed_on > fact_on:
                    fact_on = completed_on
                continue
            index, order = survivor
        place = max(place, index)
        if not completed:
            continue
        chain_on = max(chain_on, completed_on)
        counted = counted_from or completed_on
        if index > last or (index == last and order > last_order):
            last, last_order, base, repeat, repeated_on = index, order, counted, repeat_no, completed_on
        elif index == last and order == last_order:
            base = min(base, counted)
            repeat = max(repeat, repeat_no)
            repeated_on = max(repeated_on, completed_on)
    chain_on = max(chain_on, fact_on)
    return Standing(place, last, last_order, base, repeat, repeated_on, chain_on, item_on, fact_on)


def case_of(
    item: Item,
    compiled: Compiled,
    rows: Sequence[Progress],
    facts: Sequence[Fact],
    *,
    scenarios: Scenarios,
    grace_days: int | None,
    calendar: Calendar,
) -> Case:
    """Gather what an item's candidate depends on; `rows` and `facts` are its own, in any order."""
    standing = standing_of(item, rows, compiled, scenarios)
    starts, lasts = compiled.timeline(item.due_on, calendar)
    case = Case(item, compiled, standing, starts, lasts, None, grace_days, calendar)
    if facts and compiled.by_fact:
        return case._replace(by_fact=_candidate_by_fact(case, rows, facts))
    return case


def candidate_on(case: Case, day: Day) -> Candidate | None:
    """Return the step that the item waits for on this day; None: no step is left."""
    item, compiled, standing, _, lasts, by_fact, _, _ = case
    if by_fact is not None:
        return by_fact
    if standing.first_contact and compiled.matching_age:
        return _candidate_matching_age(case, day)
    ladder = compiled.ladder
    due_on, end = item.due_on, len(ladder)
    index = next_place(case, day)
    own_day = own_day_of(case, index) if index < end else 0
    changes_on = due_on + lasts[index] + 1 if index < end and lasts[index] < NEVER_ENDS else 0
    if compiled.repeats and (repeat := _repeat_on(case, day, own_day, changes_on)) is not None:
        return repeat
    return Candidate(ladder[index], index, 0, own_day, changes_on) if index < end else None


def next_place(case: Case, day: Day) -> int:
    """Return the place of the lowest step above the item's own that is still to come on this day; the length of the ladder where there is none."""
    item, compiled, standing, _, lasts, _, _, _ = case
    ladder = compiled.ladder
    age = day - item.due_on
    index, end = standing.place + 1, len(ladder)
    while index < end and (lasts[index] < age or (ladder[index].trigger is DEADLINE_PASSED and item.deadline_on is None)):
        index += 1
    return index


def own_day_of(case: Case, index: int) -> Day:
    """Return the latest of the own conditions of a ladder step above the item's place."""
    item, compiled, standing, starts, _, _, grace_days, _ = case
    step = compiled.ladder[index]
    day = item.due_on + starts[index] if step.windowed else trigger_day_of(case, index)
    if step.grace_days is not None or grace_days is not None or step.min_days_after_delivery is not None:
        day = not_before_grace_and_delivery(step, item, day, grace_days)
    item_on = standing.item_on
    if item_on:
        if step.min_days_between_steps is not None:
            earliest = item_on + step.min_days_between_steps
        else:
            base = max(standing.base, standing.fact_on)
            earliest = base + default_distance(standing, starts, index) if base else 0
        day = max(day, earliest)
        if item_on >= day:
            day = item_on + 1
    return day


def trigger_day_of(case: Case, index: int) -> Day:
    """Return the day that the trigger of a ladder step names for the item."""
    item, compiled, standing, starts, _, _, _, calendar = case
    step = compiled.ladder[index]
    if step.trigger is AFTER_PREVIOUS and standing.chain_on:
        return day_of(step, calendar, due_on=item.due_on, previous_on=standing.chain_on)
    if step.trigger is DEADLINE_PASSED and item.deadline_on is not None:
        return day_of(step, calendar, due_on=item.due_on, deadline_on=item.deadline_on)
    # What depends on the due date alone, or on a step before that has not come, stands in the planned days.
    return item.due_on + starts[index]


def default_distance(standing: Standing, starts: Sequence[int], index: int) -> int:
    """Return the days that a step keeps from the one before it where it does not say.

    It is the scenario's own distance from the last completed step, or, where only a step outside the ladder was
    completed, from the ladder step before it; 1 after a pre-due step, and at least 1.
    """
    before = standing.last if standing.last_order >= 0 else index - 1
    if before < 0 or starts[before] < 0:
        return 1
    apart = starts[index] - starts[before]
    return max(1, apart)


def first_day_of(case: Case, day: Day, candidate: Candidate | None = None) -> Day:
    """Return the first day, on or after the given one, on which the item's own conditions let it act; 0: none.

    Spacing and holds are the caller's: they move the given day. Who already knows the candidate of that day passes it.
    """
    shifts, calendar = case.compiled.shifts, case.calendar
    if shifts and calendar.is_closed(day):
        day, candidate = calendar.open_from(day), None
    while True:
        if candidate is None and (candidate := candidate_on(case, day)) is None:
            return 0
        _, _, _, own_day, changes_on = candidate
        if own_day <= day:
            return day
        day = own_day
        if changes_on and changes_on < day:
            day = changes_on
        if shifts:
            day = calendar.open_from(day)
        if not changes_on or day < changes_on:
            return day
        candidate = None


def boundaries_after(case: Case, day: Day) -> list[Day]:
    """Return the days after this one on which a step of the item begins or ends, in no order."""
    due_on, standing = case.item.due_on, case.standing
    days = [due_on + start for start in case.starts[standing.place + 1 :]]
    days += [due_on + last + 1 for last in case.lasts[max(0, standing.place) :] if last < NEVER_ENDS]
    candidate = candidate_on(case, day)
    if candidate is not None:
        days.append(candidate.changes_on)
    return [boundary for boundary in days if boundary > day]


def passed_steps(case: Case, candidate: Candidate, day: Day) -> list[tuple[str, SkipReason]]:
    """Return the ladder steps that a completion of the candidate on this day passes over, each with its reason."""
    if candidate.place < 0 or candidate.repeat_no:
        return []
    age = day - case.item.due_on
    passed = []
    for index in range(case.standing.place + 1, candidate.place):
        step = case.compiled.ladder[index]
        if step.removed:
            reason = SkipReason.REMOVED
        elif case.lasts[index] < age:
            reason = SkipReason.WINDOW_PASSED
        elif step.trigger is DEADLINE_PASSED and case.item.deadline_on is None:
            reason = SkipReason.NO_FACT
        else:
            reason = SkipReason.LATE_ENTRY
        passed.append((step.code, reason))
    return passed


def added_later(case: Case, rows: Sequence[Progress], scenarios: Scenarios) -> list[str]:
    """Return the codes of steps below the item's place that a newer version brought."""
    item, compiled, standing = case.item, case.compiled, case.standing
    current = (item.scenario_id, item.version)
    if standing.place < 1 or (not compiled.inserted and all((row.scenario_id, row.version) == current for row in rows)):
        return []
    chain = [row for row in rows if row.episode == item.episode or (not compiled.restarts and row.episode < item.episode)]
    known = {row.step_code for row in chain}
    return [
        compiled.ladder[index].code
        for index in range(standing.place)
        if (code := compiled.ladder[index].code) not in known
        and (code in compiled.inserted or any(_was_not_below(code, index, row, compiled, scenarios) for row in chain))
    ]


def _was_not_below(code: str, index: int, row: Progress, compiled: Compiled, scenarios: Scenarios) -> bool:
    """Tell whether a step lies below a row of progress now, but did not in the version of that row."""
    origin = scenarios.get((row.scenario_id, row.version))
    if origin is None or _place_of(row, compiled, origin) <= index:
        return False
    return origin.index_of.get(code, len(origin.ladder)) > origin.index_of.get(row.step_code, -1)


def _place_of(row: Progress, compiled: Compiled, origin: Compiled) -> int:
    index = compiled.index_of.get(row.step_code)
    if index is not None:
        return index
    survivor = compiled.surviving(row.step_code, origin)
    return -1 if survivor is None else survivor[0]


def _candidate_matching_age(case: Case, day: Day) -> Candidate | None:
    """Return the highest step whose unshifted day has come, else the lowest one still open."""
    item, compiled, _, starts, lasts, _, _, _ = case
    age = day - item.due_on
    come, lowest, changes_on = -1, -1, 0
    for index, step in enumerate(compiled.ladder):
        if lasts[index] < age or (step.trigger is DEADLINE_PASSED and item.deadline_on is None):
            continue
        if lowest < 0:
            lowest = index
        if starts[index] <= age:
            come = index
        elif not changes_on or item.due_on + starts[index] < changes_on:
            changes_on = item.due_on + starts[index]
    index = come if come >= 0 else lowest
    if index < 0:
        return None
    if lasts[index] < NEVER_ENDS:
        ends_on = item.due_on + lasts[index] + 1
        changes_on = min(changes_on, ends_on) if changes_on else ends_on
    return Candidate(compiled.ladder[index], index, 0, own_day_of(case, index), changes_on)


def _repeat_on(case: Case, day: Day, next_day: Day, next_ends_on: Day) -> Candidate | None:
    """Return the repeat of the last completed step, unless the next step's day has come or the repeats are over."""
    due_on, standing, lasts = case.item.due_on, case.standing, case.lasts
    last = standing.last
    if last < 0 or standing.last_order or standing.place != last:
        return None
    step = case.compiled.ladder[last]
    if standing.repeat_no >= step.max_repeats or lasts[last] < day - due_on or 0 < next_day <= day:
        return None
    own_day = not_before_grace_and_delivery(step, case.item, repeat_day_of(standing, step), case.grace_days)
    own_day = max(own_day, standing.item_on + max(1, step.min_days_between_steps or 1))
    changes = [change for change in (next_day, next_ends_on) if change]
    if lasts[last] < NEVER_ENDS:
        changes.append(due_on + lasts[last] + 1)
    return Candidate(step, last, standing.repeat_no + 1, own_day, min(changes, default=0))


def repeat_day_of(standing: Standing, step: CompiledStep) -> Day:
    """Return the day on which the interval of a repeat ends, counted from the last completion."""
    return max(standing.repeated_on, standing.fact_on) + step.repeat_every_days


def unanswered_since(step: CompiledStep, item: Item, rows: Sequence[Progress], facts: Sequence[Fact]) -> Day:
    """Return the day of the first fact that is newer than the last completion of the step it triggers; 0: none."""
    answered_on = max((row.completed_on for row in rows if row.step_code == step.code and row.episode <= item.episode), default=0)
    return min((fact.on for fact in facts if fact.kind == step.trigger and fact.on > answered_on), default=0)


def _candidate_by_fact(case: Case, rows: Sequence[Progress], facts: Sequence[Fact]) -> Candidate | None:
    """Return the step that comes first among those whose fact is newer than their last completion."""
    item, compiled, standing = case.item, case.compiled, case.standing
    best: Candidate | None = None
    for step in compiled.by_fact:
        happened_on = unanswered_since(step, item, rows, facts)
        if not happened_on:
            continue
        first_episode = item.episode if compiled.restarts else 0
        numbers = [row.repeat_no for row in rows if row.step_code == step.code and first_episode <= row.episode <= item.episode]
        day = day_of(step, case.calendar, due_on=item.due_on, happened_on=happened_on)
        day = not_before_grace_and_delivery(step, item, day, case.grace_days)
        if standing.item_on:
            day = max(day, standing.item_on + max(1, step.min_days_between_steps or 1))
        if best is None or day < best.own_day:
            best = Candidate(step, -1, max(numbers, default=-1) + 1, day, 0)
    return best
