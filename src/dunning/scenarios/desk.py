"""The making of one plan: items are sorted into blocked and ready ones, ready ones are tested, actions are formed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dunning.scenarios.compiled import Compiled, CompiledStep, Scenarios
from dunning.scenarios.grouping import Ready, Shown, actions_of, day_key, reaching_customer_minimum, reaching_item_minimum, unmet_condition
from dunning.scenarios.ladder import Candidate, Case, added_later, boundaries_after, candidate_on, case_of, first_day_of, passed_steps
from dunning.scenarios.netting import age_of, net_amounts
from dunning.scenarios.position import (
    COMPLETED,
    CREDIT,
    DEBIT,
    Blocked,
    Day,
    Fact,
    Id,
    Item,
    Plan,
    Position,
    Progress,
    Reason,
    Skip,
    SkipReason,
)
from dunning.scenarios.steps import TriggerKind

NO_END: Day = 10**8
"""The last held day of a hold without end."""


class UnknownVersion(KeyError):
    """A position names a scenario version that was not passed to the rules."""

    def __str__(self) -> str:
        """Say which version is missing."""
        scenario_id, version = self.args
        return f"version {version} of scenario {scenario_id} was not given to the rules"


def held_until(item: Item) -> Day:
    """Return the last held day of an item, by hold or promise; 0: never held, NO_END: no end."""
    until = item.promise_until or 0
    if item.held:
        return NO_END if item.held_until is None else max(until, item.held_until)
    return until


def compiled_of(scenarios: Scenarios, scenario_id: Id, version: int) -> Compiled:
    """Return a version, or raise UnknownVersion."""
    try:
        return scenarios[scenario_id, version]
    except KeyError:
        raise UnknownVersion(scenario_id, version) from None


class Desk:
    """Hold one plan in the making: call its steps in the order in which they stand."""

    __slots__ = (
        "amounts",
        "blocked",
        "budget_until",
        "cases",
        "credits",
        "debits",
        "facts",
        "last_contact",
        "position",
        "reachable",
        "ready",
        "rows",
        "scenarios",
        "shown",
        "today",
    )

    def __init__(self, position: Position, scenarios: Scenarios, today: Day) -> None:
        self.position = position
        self.scenarios = scenarios
        self.today = today
        items = sorted([item for item in position.items if item.open_minor > 0], key=age_of)
        self.debits = [item for item in items if item.direction == DEBIT]
        self.credits = [item for item in items if item.direction == CREDIT]
        self.rows: dict[Id, list[Progress]] = {}
        self.last_contact = max(position.contacts, default=0)
        for row in position.progress:
            item_id, _, _, _, _, _, state, _, completed_on, _, contact = row
            rows = self.rows.get(item_id)
            if rows is None:
                self.rows[item_id] = [row]
            else:
                rows.append(row)
            if contact and completed_on > self.last_contact and state == COMPLETED:
                self.last_contact = completed_on
        self.budget_until = _budget_until(position, self.rows) if position.defaults.contact_budget is not None else 0
        self.reachable = dict(position.reachable)
        self.facts: dict[Id, list[Fact]] = {}
        for fact in position.facts:
            self.facts.setdefault(fact.item_id, []).append(fact)
        self.amounts: dict[Id, int] = {}
        self.blocked: dict[Id, tuple[tuple[Reason, ...], Day]] = {}
        self.cases: dict[Id, Case] = {}
        self.ready: list[Ready] = []
        self.shown: dict[Id, list[Shown]] = {}

    def sort_items(self) -> None:
        """Put every open debit item among the blocked or the ready ones."""
        today, position = self.today, self.position
        net = net_amounts(self.debits, self.credits)
        for item in self.debits:
            scenario_id = item.scenario_id
            if scenario_id is None:
                self.blocked[item.id] = (Reason.NO_SCENARIO,), 0
                continue
            compiled = compiled_of(self.scenarios, scenario_id, item.version)
            amount_minor = self.amounts[item.id] = net[item.id] if compiled.nets else item.open_minor
            until = held_until(item) if item.held or item.promise_until else 0
            apart = item.excluded or item.automatic_collection or item.specific_action or until >= today
            if not apart:
                self.shown.setdefault(scenario_id, []).append(Shown(item, amount_minor, item.due_on < today))
            codes: tuple[Reason, ...] = ()
            if apart or item.pending_action or not amount_minor:
                codes = _blockers(item, until, today, covered=not amount_minor)
                if codes != (Reason.HELD,):
                    self.blocked[item.id] = codes, 0
                    continue
            case = case_of(
                item,
                compiled,
                self.rows.get(item.id, ()),
                self.facts.get(item.id, ()),
                scenarios=self.scenarios,
                grace_days=position.defaults.grace_days,
                calendar=position.calendar,
            )
            self.cases[item.id] = case
            if codes:
                first_day = 0 if until == NO_END else first_day_of(case, max(until + 1, self._spaced_until(compiled)))
                self.blocked[item.id] = codes, first_day
            else:
                self._sort_free(case, amount_minor)

    def _sort_free(self, case: Case, amount_minor: int) -> None:
        today, compiled = self.today, case.compiled
        candidate = candidate_on(case, today)
        if candidate is None:
            waits = bool(compiled.by_fact) or _waits_for_a_deadline(case)
            code = Reason.WAITING_FOR_FACT if waits else Reason.SCENARIO_ENDED
            self.blocked[case.item.id] = (code,), 0
            return
        spaced_until, free_from = self._spaced_until(compiled), self.free_from(candidate.step)
        if candidate.own_day > today:
            code = Reason.NOT_YET
        elif max(spaced_until, free_from) > today:
            code = Reason.CONTACT_BUDGET if free_from >= spaced_until else Reason.SPACING
            # Another step may contact others, or nobody, so the day on which one may take its place is looked at too.
            free_from = min(free_from, candidate.changes_on) if candidate.changes_on > today else free_from
            self.blocked[case.item.id] = (code,), first_day_of(case, max(spaced_until, free_from))
            return
        elif compiled.shifts and self.position.calendar.is_closed(today):
            code = Reason.CLOSED_DAY
        else:
            earliest_on = max(candidate.own_day, spaced_until, free_from, held_until(case.item) + 1) if compiled.shifts else today
            self.ready.append(Ready(case, candidate, amount_minor, earliest_on))
            return
        self.blocked[case.item.id] = (
            (code,),
            first_day_of(case, today, candidate) if spaced_until <= today else first_day_of(case, spaced_until),
        )

    def follow_leads(self) -> None:
        """In scenarios with a lead item let the other overdue items take its step with it, and wait with it."""
        leads: dict[Id, Case] = {}
        older: set[Id] = set()
        for item in self.debits:
            if item.scenario_id is None or item.id not in self.cases or not self.cases[item.id].compiled.leads:
                continue
            if item.scenario_id in older:
                self._look_when_it_may_follow(item)
            older.add(item.scenario_id)
            if item.scenario_id not in leads and item.due_on < self.today and self._stands(item):
                leads[item.scenario_id] = self.cases[item.id]
        if not leads:
            return
        ready = {row.case.item.id: row for row in self.ready}
        kept = []
        for item in self.debits:
            lead = None if item.scenario_id is None else leads.get(item.scenario_id)
            own = ready.get(item.id)
            if lead is None or lead.item.id == item.id or item.due_on >= self.today or not self._stands(item):
                if own is not None:
                    kept.append(own)
                continue
            led = _led(self.cases[item.id], ready.get(lead.item.id), self.amounts[item.id], self.today)
            if led is not None:
                self.blocked.pop(item.id, None)
                kept.append(led)
            else:
                waiting = self.blocked.get(lead.item.id)
                self.blocked[item.id] = (Reason.FOLLOWS_LEAD,), self.today + 1 if waiting is None else waiting[1]
        self.ready = kept

    def _look_when_it_may_follow(self, item: Item) -> None:
        """Bring an item's first day forward to the one on which it begins to move with an older one: overdue, and no longer held."""
        case = self.cases[item.id]
        codes, first_day = self.blocked.get(item.id, ((), 0))
        until = held_until(item) if Reason.HELD in codes else 0
        follows_on = max(item.due_on, until) + 1
        if codes and self.today < follows_on <= NO_END:
            follows_on = self.position.calendar.open_from(follows_on) if case.compiled.shifts else follows_on
            self.blocked[item.id] = codes, min(first_day or follows_on, follows_on)

    def _stands(self, item: Item) -> bool:
        """Tell whether nothing but days keeps an item from having a candidate."""
        if item.id not in self.cases or item.pending_action or not self.amounts.get(item.id):
            return False
        codes = self.blocked.get(item.id, ((), 0))[0]
        return Reason.HELD not in codes

    def use_up_the_day(self) -> None:
        """Let automatic rows wait whose action of today exists already."""
        if not self.position.already_today:
            return
        left = []
        for row in self.ready:
            if row.candidate.step.mode == "automatic" and day_key(row, self.today) in self.position.already_today:
                first_day = first_day_of(row.case, max(self.today + 1, self._spaced_until(row.case.compiled)))
                self.blocked[row.case.item.id] = (Reason.ALREADY_TODAY,), first_day
            else:
                left.append(row)
        self.ready = left

    def test_conditions(self) -> None:
        """Let rows wait whose step asks for something of the customer that does not hold."""
        if not any(row.case.compiled.has_conditions for row in self.ready):
            return
        kept: list[Ready] = []
        unmet: list[Ready] = []
        for row in self.ready:
            holds = unmet_condition(row, self.shown, self.position.tags, self.today) is None
            (kept if holds else unmet).append(row)
        for row in unmet:
            self.blocked[row.case.item.id] = (Reason.CONDITION_NOT_MET,), self._condition_may_hold_on(row)
        self.ready = kept

    def _condition_may_hold_on(self, row: Ready) -> Day:
        """Return the next day on which the row's own step or the items that its condition reads may change; 0: none."""
        days = boundaries_after(row.case, self.today)
        conditions = row.candidate.step.conditions
        older = (conditions.min_oldest_days or 0) if conditions is not None else 0
        for item in self.debits:
            if item.scenario_id == row.case.item.scenario_id:
                days += [item.due_on + 1, item.due_on + older, held_until(item) + 1, self.blocked.get(item.id, ((), 0))[1]]
        first_day = min([day for day in days if self.today < day <= NO_END], default=0)
        return self.position.calendar.open_from(first_day) if first_day and row.case.compiled.shifts else first_day

    def test_minimums(self) -> None:
        """Let rows wait that do not reach their minimum amounts."""
        defaults = self.position.defaults
        if not (defaults.min_item or defaults.min_customer or any(row.case.compiled.has_minimums for row in self.ready)):
            return
        reached = reaching_item_minimum(self.ready, defaults)
        reached = reaching_customer_minimum(reached, self.shown, defaults)
        kept = {row.case.item.id for row in reached}
        below = [row for row in self.ready if row.case.item.id not in kept]
        if not below:
            return
        for row in below:
            self.blocked[row.case.item.id] = (Reason.BELOW_MINIMUM,), self._minimum_may_be_reached_on(row.case)
        self.ready = reached

    def _minimum_may_be_reached_on(self, case: Case) -> Day:
        """Return the next day on which the row's own step or the sum it is tested with may change; 0: none."""
        days = boundaries_after(case, self.today)
        for item in self.debits:
            if item.scenario_id == case.item.scenario_id and item.currency == case.item.currency:
                days += [item.due_on + 1, held_until(item) + 1, self.blocked.get(item.id, ((), 0))[1]]
        first_day = min([day for day in days if self.today < day <= NO_END], default=0)
        return self.position.calendar.open_from(first_day) if first_day and case.compiled.shifts else first_day

    def close(self) -> Plan:
        """Form the actions and tell what is skipped with them, what waits, and when to look again."""
        actions = actions_of(self.ready, self.shown, self.credits, self.position.calendar, self.today)
        reasons = []
        review_on = 0
        blocked = self.blocked
        for item in self.debits:
            found = blocked.get(item.id)
            if found is not None:
                codes, day = found
                reasons.append(Blocked(item.id, codes, day or None))
                if day and (not review_on or day < review_on):
                    review_on = day
        if actions:
            review_on = self.today
        return Plan(actions, self._skips(), tuple(reasons), review_on or None)

    def _skips(self) -> tuple[Skip, ...]:
        skips = []
        for case, candidate, _, _ in self.ready:
            item, standing = case.item, case.standing
            passed: Sequence[tuple[str, SkipReason]] = ()
            if candidate.place > standing.place + 1:
                passed = passed_steps(case, candidate, self.today)
            if standing.place > 0:
                codes = added_later(case, self.rows.get(item.id, ()), self.scenarios)
                passed = [*[(code, SkipReason.ADDED_LATER) for code in codes], *passed]
            for code, reason in passed:
                if item.scenario_id is not None:
                    skips.append(Skip(item.id, item.episode, item.scenario_id, item.version, code, reason))
        return tuple(skips)

    def _spaced_until(self, compiled: Compiled) -> Day:
        """Return the first day that the spacing of a scenario leaves free; 0: it asks for none."""
        days = compiled.spacing_days
        if days is None:
            days = self.position.defaults.spacing_days
        return self.last_contact + days if days and self.last_contact else 0

    def free_from(self, step: CompiledStep) -> Day:
        """Return the first day on which the contact budget allows a step; 0: any, as for one that contacts nobody."""
        return max(self.budget_until, self.told_from(step)) if step.is_contact else 0

    def told_from(self, step: CompiledStep) -> Day:
        """Return the first day on which one of the people whom a step mails may be written to once more; 0: any."""
        return next((self.reachable[role] for role in step.to_roles if role in self.reachable), 0)


def _led(case: Case, lead: Ready | None, amount_minor: int, today: Day) -> Ready | None:
    """Return an item as it takes the step of its lead today; None where the lead waits, repeats, or the item has been there."""
    if lead is None or lead.candidate.place < 0 or lead.candidate.repeat_no:
        return None
    place = lead.candidate.place
    if case.item.version != lead.case.item.version or case.standing.place >= place or case.standing.item_on >= today:
        return None
    return Ready(case, Candidate(lead.candidate.step, place, 0, lead.candidate.own_day, 0), amount_minor, lead.earliest_on)


def _budget_until(position: Position, rows: Mapping[Id, Sequence[Progress]]) -> Day:
    """Return the first day on which one more contact stays within the budget; 0: any.

    A day on which items had been reminded before they were imported counts as one contact.
    """
    imported = {row.completed_on for of_item in rows.values() for row in of_item if row.reason == SkipReason.IMPORTED and row.state == COMPLETED}
    return first_free_day([*position.counted, *imported], position.defaults.contact_budget or 0, position.defaults.contact_budget_days)


def first_free_day(contacts: Sequence[Day], budget: int, days: int) -> Day:
    """Return the first day on which one more contact makes at most `budget` within so many days; 0: any day."""
    return 0 if len(contacts) < budget else sorted(contacts)[-budget] + days


def _blockers(item: Item, until: Day, today: Day, *, covered: bool) -> tuple[Reason, ...]:
    """Return everything that keeps an item from having a candidate, whatever its steps."""
    found = (
        (item.excluded, Reason.EXCLUDED_STATUS),
        (item.automatic_collection, Reason.AUTOMATIC_COLLECTION),
        (item.specific_action, Reason.SPECIFIC_ACTION),
        (item.pending_action, Reason.PENDING_ACTION),
        (until >= today, Reason.HELD),
        (covered, Reason.COVERED_BY_CREDIT),
    )
    return tuple(reason for holds, reason in found if holds)


def _waits_for_a_deadline(case: Case) -> bool:
    """Tell whether a step above the item's place waits for a deadline that nobody stated."""
    if case.item.deadline_on is not None:
        return False
    return any(step.trigger is TriggerKind.DEADLINE_PASSED for step in case.compiled.ladder[case.standing.place + 1 :])
