"""Why an item is reminded today, or why not: the path that the rule took, with what it read on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from dunning.scenarios.compiled import Scenarios
from dunning.scenarios.desk import NO_END, Desk, held_until
from dunning.scenarios.grouping import Ready, unmet_condition
from dunning.scenarios.ladder import (
    Candidate,
    Case,
    candidate_on,
    case_of,
    default_distance,
    passed_steps,
    repeat_day_of,
    trigger_day_of,
    unanswered_since,
)
from dunning.scenarios.position import Blocked, Day, Fact, Id, Item, Position, Progress, Reason, SkipReason
from dunning.scenarios.steps import TriggerKind
from dunning.scenarios.timing import NEVER_ENDS, day_of

Value: TypeAlias = str | int | bool | None
History: TypeAlias = tuple[Sequence[Progress], Sequence[Fact]]


class Condition(NamedTuple):
    """Hold one condition of the rule: what it read, and the first day it allows."""

    code: str
    inputs: Mapping[str, Value]
    """Days are ordinals under names that end in `_on`, counts of days end in `_days`, amounts in `_minor`."""
    day: Day | None
    """None: it is not a matter of days."""
    met: bool
    """Whether it lets the item act today."""


class Change(NamedTuple):
    """Hold what would change the answer: by itself on a day, or when somebody does it."""

    code: Reason
    on: Day | None
    text: str


class Explanation(NamedTuple):
    """Hold the rule's path for one item on one day."""

    item_id: Id
    on: Day
    scenario_id: Id | None
    version: int | None
    reached_step: str | None
    """The highest step completed in this scenario."""
    candidate_step: str | None
    repeat_no: int
    passed: tuple[tuple[str, SkipReason], ...]
    """Steps that acting today would pass over."""
    conditions: tuple[Condition, ...]
    blockers: tuple[Reason, ...]
    """Empty: the item is in an action of today's plan."""
    first_day: Day | None
    """The first day on which it can be in an action; None: only a fact can tell."""
    changes: tuple[Change, ...]


class NotOpen(LookupError):
    """The position holds no open debit item with this id."""

    def __str__(self) -> str:
        """Say which item it is."""
        return f"item {self.args[0]} is not an open debit item of this position"


def explain(position: Position, scenarios: Scenarios, today: Day, item_id: Id) -> Explanation:
    """Tell for one open debit item what `plan` decides on this day, and from what.

    Blockers and first day are those of the plan itself. Raises NotOpen where the position has no such item.
    """
    desk = Desk(position, scenarios, today)
    desk.sort_items()
    desk.follow_leads()
    free = {row.case.item.id: row for row in desk.ready}
    desk.use_up_the_day()
    desk.test_conditions()
    desk.test_minimums()
    plan = desk.close()
    item = next((one for one in desk.debits if one.id == item_id), None)
    if item is None:
        raise NotOpen(item_id)
    blocked = next((one for one in plan.reasons if one.item_id == item_id), Blocked(item_id, (), today))
    changes = tuple(_change(code, item, blocked.first_day) for code in blocked.codes)
    if item.scenario_id is None:
        return Explanation(item_id, today, None, None, None, None, 0, (), (), blocked.codes, blocked.first_day, changes)
    compiled = scenarios[item.scenario_id, item.version]
    history = desk.rows.get(item_id, ()), desk.facts.get(item_id, ())
    case = desk.cases.get(item_id) or case_of(
        item, compiled, *history, scenarios=scenarios, grace_days=position.defaults.grace_days, calendar=position.calendar
    )
    candidate = candidate_on(case, today)
    row = free.get(item_id)
    led = row is not None and row.candidate != candidate
    if row is not None:
        candidate = row.candidate
    last = case.standing.last
    conditions = _facts_about(desk, case)
    if compiled.leads:
        conditions.append(Condition("lead_item", {"moves_with_lead": led}, blocked.first_day, Reason.FOLLOWS_LEAD not in blocked.codes))
    if candidate is not None:
        # An item that moves with its lead does so on the lead's day, whatever its own.
        conditions += [] if led else own_conditions(case, candidate, history, today)
        conditions += _customer_conditions(desk, case, candidate, free.get(item_id))
    return Explanation(
        item_id,
        today,
        item.scenario_id,
        item.version,
        compiled.ladder[last].code if last >= 0 else None,
        None if candidate is None else candidate.step.code,
        0 if candidate is None else candidate.repeat_no,
        () if candidate is None else tuple(passed_steps(case, candidate, today)),
        tuple(conditions),
        blocked.codes,
        blocked.first_day,
        changes,
    )


def own_conditions(case: Case, candidate: Candidate, history: History, today: Day) -> list[Condition]:
    """Return the conditions whose latest day is the candidate's own day, each with what it read."""
    item, standing, step = case.item, case.standing, candidate.step
    found = [_trigger(case, candidate, history)]
    grace = case.grace_days if step.grace_days is None else step.grace_days
    if grace is not None and found[0][2] > item.due_on:
        found.append(("grace", {"due_on": item.due_on, "grace_days": grace}, item.due_on + grace + 1))
    after = step.min_days_after_delivery
    if after is not None and item.delivered_on is not None:
        inputs: dict[str, Value] = {"delivered_on": item.delivered_on, "min_days_after_delivery": after}
        found.append(("delivery", inputs, item.delivered_on + after))
    if standing.item_on:
        between = step.min_days_between_steps
        base = max(standing.base, standing.fact_on)
        if between is not None:
            inputs = {"last_completed_on": standing.item_on, "min_days_between_steps": between}
            found.append(("distance", inputs, standing.item_on + between))
        elif base and candidate.place >= 0 and not candidate.repeat_no:
            days = default_distance(standing, case.starts, candidate.place)
            found.append(("distance", {"counted_from_on": base, "distance_days": days}, base + days))
        found.append(("one_a_day", {"last_completed_on": standing.item_on}, standing.item_on + 1))
    return [Condition(code, inputs, day, day <= today) for code, inputs, day in found]


def _trigger(case: Case, candidate: Candidate, history: History) -> tuple[str, dict[str, Value], Day]:
    item, standing, step = case.item, case.standing, candidate.step
    inputs: dict[str, Value] = {"offset_days": step.offset_days}
    if candidate.place < 0:
        happened_on = unanswered_since(step, item, *history)
        inputs["happened_on"] = happened_on
        return step.trigger.value, inputs, day_of(step, case.calendar, due_on=item.due_on, happened_on=happened_on)
    if candidate.repeat_no:
        day = repeat_day_of(standing, step)
        every, most = step.repeat_every_days, step.max_repeats
        return "repeat", {"counted_from_on": day - every, "repeat_every_days": every, "max_repeats": most}, day
    if step.trigger is TriggerKind.AFTER_PREVIOUS and standing.chain_on:
        inputs["last_completed_on"] = standing.chain_on
    elif step.trigger is TriggerKind.DEADLINE_PASSED:
        inputs["deadline_on"] = item.deadline_on
    else:
        inputs["due_on"] = item.due_on
    if case.lasts[candidate.place] < NEVER_ENDS:
        inputs["last_on"] = item.due_on + case.lasts[candidate.place]
    return step.trigger.value, inputs, trigger_day_of(case, candidate.place)


def _facts_about(desk: Desk, case: Case) -> list[Condition]:
    """Return what is asked of an item whatever its step."""
    item, today = case.item, desk.today
    until = held_until(item)
    ended = None if until == NO_END else until + 1
    found = [
        Condition("status", {"excluded": item.excluded}, None, not item.excluded),
        Condition("collection_method", {"automatic_collection": item.automatic_collection}, None, not item.automatic_collection),
        Condition("specific_action", {"specific_action": item.specific_action}, None, not item.specific_action),
        Condition("pending_action", {"pending_action": item.pending_action}, None, not item.pending_action),
    ]
    if until:
        inputs = {"held": item.held, "held_until_on": item.held_until, "promise_until_on": item.promise_until}
        found.append(Condition("hold", inputs, ended, until < today))
    amount_minor = desk.amounts[item.id]
    inputs = {"open_minor": item.open_minor, "asked_minor": amount_minor, "nets": case.compiled.nets}
    found.append(Condition("credit", inputs, None, amount_minor > 0))
    return found


def _customer_conditions(desk: Desk, case: Case, candidate: Candidate, ready: Ready | None) -> list[Condition]:
    """Return what depends on the customer's other items, contacts and calendar."""
    item, compiled, today, position = case.item, case.compiled, desk.today, desk.position
    found: list[Condition] = []
    inputs: dict[str, Value]
    days = position.defaults.spacing_days if compiled.spacing_days is None else compiled.spacing_days
    if desk.last_contact and days:
        day = desk.last_contact + days
        inputs = {"last_contact_on": desk.last_contact, "spacing_days": days}
        found.append(Condition("spacing", inputs, day, day <= today))
    if position.defaults.contact_budget is not None and candidate.step.is_contact:
        inputs = {"contact_budget": position.defaults.contact_budget, "contact_budget_days": position.defaults.contact_budget_days}
        found.append(Condition("contact_budget", inputs, desk.budget_until or None, desk.budget_until <= today))
    if desk.reachable and candidate.step.to_roles:
        day = desk.told_from(candidate.step)
        found.append(Condition("person_contact_budget", {"to_roles": ", ".join(candidate.step.to_roles)}, day or None, day <= today))
    if candidate.step.conditions is not None and ready is not None:
        unmet = unmet_condition(ready, desk.shown, position.tags, today)
        found.append(Condition("conditions", {"unmet": unmet}, None, unmet is None))
    if compiled.shifts:
        day = position.calendar.open_from(today)
        found.append(Condition("business_day", {"closed": day > today}, day, day == today))
    least = _minimum(candidate.step.min_item, position.defaults.min_item, item.currency)
    amount_minor = desk.amounts[item.id]
    if least:
        inputs = {"amount_minor": amount_minor, "minimum_minor": least, "currency": item.currency}
        found.append(Condition("minimum_of_item", inputs, None, amount_minor >= least))
    least = _minimum(candidate.step.min_customer, position.defaults.min_customer, item.currency)
    if least:
        beside = {row.item.id: row.amount_minor for row in desk.shown.get(item.scenario_id or "", ()) if row.overdue and row.item.currency == item.currency}
        for row in (*desk.ready, *((ready,) if ready else ())):
            other = row.case.item
            if other.scenario_id == item.scenario_id and other.currency == item.currency:
                beside[other.id] = row.amount_minor
        total = sum(beside.values())
        inputs = {"amount_minor": total, "minimum_minor": least, "currency": item.currency}
        found.append(Condition("minimum_of_customer", inputs, None, total >= least))
    return found


def _minimum(of_step: Mapping[str, int], of_ledger: Mapping[str, int], currency: str) -> int:
    found = of_step.get(currency)
    return of_ledger.get(currency, 0) if found is None else found


_CHANGES = {
    Reason.NO_SCENARIO: "Choose a scenario for the item, its customer or its ledger.",
    Reason.EXCLUDED_STATUS: "Give the item a status that is reminded.",
    Reason.AUTOMATIC_COLLECTION: "Collect it by bank transfer instead of automatically.",
    Reason.SPECIFIC_ACTION: "End the specific action that has the item.",
    Reason.PENDING_ACTION: "Decide, complete or cancel the waiting action that has the item.",
    Reason.HELD: "Release the hold.",
    Reason.COVERED_BY_CREDIT: "Use the customer's credit for something else, or allocate it to this item.",
    Reason.BELOW_MINIMUM: "More must be owed, or the minimum amount lowered.",
    Reason.CONDITION_NOT_MET: "The step's condition must hold: more overdue items, an older one, or another tag of the customer.",
    Reason.CONTACT_BUDGET: "The customer, or everybody who would be told, has been contacted as often as the ledger allows: an earlier contact must leave the window.",
    Reason.FOLLOWS_LEAD: "The customer's oldest item of this scenario leads: the others move with it.",
    Reason.SPACING: "The days between two contacts of the customer must have gone by.",
    Reason.ALREADY_TODAY: "The customer was reminded today; the next day is free.",
    Reason.CLOSED_DAY: "The calendar's next open day must come.",
    Reason.NOT_YET: "The step's day must come.",
    Reason.WAITING_FOR_FACT: "Something must happen: a returned payment, a broken promise, a resolved dispute or a stated deadline.",
    Reason.SCENARIO_ENDED: "Choose another scenario, or publish a version with a further step.",
}


def _change(code: Reason, item: Item, first_day: Day | None) -> Change:
    on = first_day
    if code is Reason.HELD:
        until = held_until(item)
        on = None if until == NO_END else until + 1
    return Change(code, on, _CHANGES[code])
