"""Which candidates form an action, what it shows, and whether they reach their minimum amounts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from dunning.scenarios.ladder import Candidate, Case
from dunning.scenarios.netting import age_of
from dunning.scenarios.position import Action, Calendar, Day, Defaults, Id, Item, Row, Sent


class Ready(NamedTuple):
    """Hold a free item whose candidate's day has come."""

    case: Case
    candidate: Candidate
    amount_minor: int
    """What is asked for: net of credits where the scenario nets."""
    earliest_on: Day
    """The day it could have come but for closed days."""


class Shown(NamedTuple):
    """Hold an item that may stand beside the candidate rows of its scenario."""

    item: Item
    amount_minor: int
    overdue: bool


def day_key(ready: Ready, today: Day) -> Sent:
    """Return the key under which one automatic action a day may live."""
    item, step = ready.case.item, ready.candidate.step
    return Sent(today, _scenario_of(item), step.kind, item.document_id if ready.case.compiled.by_document else None)


def reaching_item_minimum(ready: Sequence[Ready], defaults: Defaults) -> list[Ready]:
    """Return the rows that reach their step's item minimum."""
    return [row for row in ready if row.amount_minor >= minimum(row, row.candidate.step.min_item, defaults.min_item)]


def reaching_customer_minimum(ready: Sequence[Ready], shown: Mapping[Id, Sequence[Shown]], defaults: Defaults) -> list[Ready]:
    """Return the rows that reach their step's customer minimum.

    The sum is, per scenario and currency, that of the candidate rows and of the overdue rows that may be shown. A row
    that falls out and is not overdue leaves the sum, so the test is repeated until it holds for all that remain.
    """
    overdue: dict[tuple[Id, str], int] = {}
    beside: set[Id] = set()
    for scenario_id, rows in shown.items():
        for item, amount_minor, is_overdue in rows:
            if is_overdue:
                key = (scenario_id, item.currency)
                overdue[key] = overdue.get(key, 0) + amount_minor
                beside.add(item.id)
    rows_left = list(ready)
    while True:
        sums = dict(overdue)
        for row in rows_left:
            if row.case.item.id not in beside:
                key = (_scenario_of(row.case.item), row.case.item.currency)
                sums[key] = sums.get(key, 0) + row.amount_minor
        reached = [
            row
            for row in rows_left
            if sums[_scenario_of(row.case.item), row.case.item.currency] >= minimum(row, row.candidate.step.min_customer, defaults.min_customer)
        ]
        if len(reached) == len(rows_left):
            return reached
        rows_left = reached


def unmet_condition(row: Ready, shown: Mapping[Id, Sequence[Shown]], tags: Collection[str], today: Day) -> str | None:
    """Return the name of the first condition of a row's step that does not hold of the customer; None: all hold."""
    conditions = row.candidate.step.conditions
    if conditions is None:
        return None
    if conditions.tags_any and not any(tag in tags for tag in conditions.tags_any):
        return "tags_any"
    if any(tag in tags for tag in conditions.tags_none):
        return "tags_none"
    overdue = [beside.item.due_on for beside in shown.get(_scenario_of(row.case.item), ()) if beside.overdue]
    if conditions.min_overdue_items is not None and len(overdue) < conditions.min_overdue_items:
        return "min_overdue_items"
    if conditions.min_oldest_days is not None and today - min(overdue, default=today) < conditions.min_oldest_days:
        return "min_oldest_days"
    return None


def minimum(row: Ready, of_step: Mapping[str, int], of_ledger: Mapping[str, int]) -> int:
    """Return the minimum in the row's currency: the step's or scenario's, else the ledger's, else 0."""
    currency = row.case.item.currency
    found = of_step.get(currency)
    return of_ledger.get(currency, 0) if found is None else found


def actions_of(
    ready: Iterable[Ready],
    shown: Mapping[Id, Sequence[Shown]],
    credits_: Sequence[Item],
    calendar: Calendar,
    today: Day,
) -> tuple[Action, ...]:
    """Form the actions of a day; rows come oldest first and stay so."""
    groups: dict[tuple[Id, str, str, Id | None], list[Ready]] = {}
    for row in ready:
        item, compiled, step = row.case.item, row.case.compiled, row.candidate.step
        key = (_scenario_of(item), step.mode, step.kind, item.document_id if compiled.by_document else None)
        group = groups.get(key)
        if group is None:
            groups[key] = [row]
        else:
            group.append(row)
    ordered = list(groups.items())
    if len(ordered) > 1:
        ordered.sort(key=lambda entry: (*age_of(entry[1][0].case.item), *map(str, entry[0])))
    return tuple([_action(key, rows, shown=shown, credits_=credits_, calendar=calendar, today=today) for key, rows in ordered])


def _action(
    key: tuple[Id, str, str, Id | None],
    ready: Sequence[Ready],
    *,
    shown: Mapping[Id, Sequence[Shown]],
    credits_: Sequence[Item],
    calendar: Calendar,
    today: Day,
) -> Action:
    scenario_id, mode, kind, document_id = key
    top = ready[0]
    totals: dict[str, int] = {}
    rows = []
    ids = set()
    for row in ready:
        case, candidate, amount_minor, _ = row
        item = case.item
        if candidate.step.rank > top.candidate.step.rank:
            top = row
        ids.add(item.id)
        totals[item.currency] = totals.get(item.currency, 0) + amount_minor
        rows.append(
            Row(
                item.id,
                item.episode,
                item.version,
                candidate.step.code,
                candidate.repeat_no,
                item.currency,
                amount_minor,
                item.open_minor,
                item.due_on >= today,
                _counted_from(row, calendar, today),
            )
        )
    step = top.candidate.step
    by_document = top.case.compiled.by_document
    info, not_due = [], []
    for item, _, overdue in shown.get(scenario_id, ()):
        if item.id in ids or (by_document and item.document_id != document_id):
            continue
        if overdue:
            info.append(item.id)
        elif step.show_not_due:
            not_due.append(item.id)
    return Action(
        scenario_id,
        top.case.item.version,
        step.code,
        step.rank,
        mode,
        kind,
        document_id,
        tuple(rows),
        tuple(info),
        tuple(not_due),
        tuple([credit.id for credit in credits_ if credit.currency in totals]),
        tuple(sorted(totals.items())),
    )


def _counted_from(row: Ready, calendar: Calendar, today: Day) -> Day | None:
    """Return the first of the closed days that lie between the row's earliest day and today without a gap."""
    if not row.case.compiled.shifts:
        return None
    first = today
    while first > row.earliest_on and calendar.is_closed(first - 1):
        first -= 1
    return first if first < today else None


def _scenario_of(item: Item) -> Id:
    """Return the scenario of an item that has one: only those become candidates."""
    assert item.scenario_id is not None  # noqa: S101  # items without a scenario were blocked before
    return item.scenario_id
