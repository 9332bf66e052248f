"""Customers who settle what they owe just before the next step, again and again: reminders work on them, but only the last possible one.

An item counts when a payment settled it in the period, by value date, after at least one reminder about it. It was settled *just before* the next step where
that step's own day lay 0 to `days` days after the payment. The day is the rule's (`scenarios.rules.next_step`), by the version under which the item was last
reminded: due date, distance to the step before, grace, windows and closed days, while spacing, holds and minimums, which concern the customer as a whole, are
left aside; a day that had passed already, because something held the step back, does not count. A follower of a lead item is taken by its own place.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from uuid import UUID

import asyncpg

from dunning.collection import catalogue, facts, ledger_days, override_store
from dunning.collection.catalogue import Catalogue
from dunning.collection.override_store import StoredOverride
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession
from dunning.kit.ids import ActionId, CustomerId, ItemId, LedgerId, PersonId, TenantId
from dunning.reports import escalation_store
from dunning.reports.periods import check_period
from dunning.scenarios.rules import COMPLETED, DEBIT, Calendar, Id, Item, Progress, next_step

SHOWN = 5
"""How many of the last occurrences a row names."""
_REMINDERS = frozenset({"notice", "task"})


@dataclass(frozen=True, slots=True)
class Habitual:
    """Whom the report lists: customers with `at_least` items settled at most `days` days before the next step, `share` percent of what they settled."""

    days: int
    at_least: int
    share: int


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An item that was settled just before its next step, with the last reminder about it."""

    item_id: ItemId
    number: str
    currency: str
    amount_minor: int
    due_on: dt.date
    paid_on: dt.date
    step_reached: str
    step_avoided: str
    next_on: dt.date
    action_id: ActionId


@dataclass(frozen=True, slots=True)
class Habit:
    """A customer who settles just before the next step; `settled` is how many items it settled in the period after a reminder, the last occurrence first."""

    customer_id: CustomerId
    ledger_id: LedgerId
    external_id: str
    name: str
    collector_id: PersonId | None
    collector_name: str | None
    settled: int
    occurrences: Sequence[Occurrence]

    @property
    def share(self) -> int:
        """The occurrences in percent of what was settled, rounded down."""
        return len(self.occurrences) * 100 // self.settled

    @property
    def typical_steps(self) -> tuple[str, str]:
        """The step reached and the step avoided that come together most often, of equals the latest."""
        return Counter((one.step_reached, one.step_avoided) for one in self.occurrences).most_common(1)[0][0]

    @property
    def average_days_overdue(self) -> int:
        """Days from due date to payment on average, rounded to the nearest."""
        count = len(self.occurrences)
        return (2 * sum((one.paid_on - one.due_on).days for one in self.occurrences) + count) // (2 * count)

    @property
    def totals(self) -> list[tuple[str, int]]:
        """What was settled just before the next step, in minor units by currency."""
        sums: Counter[str] = Counter()
        for one in self.occurrences:
            sums[one.currency] += one.amount_minor
        return sorted(sums.items())


async def paid_before_escalation(
    session: ReadSession,
    clock: Clock,
    *,
    tenant_id: TenantId,
    ledger_id: UUID | None,
    collector_id: UUID | None,
    from_on: dt.date,
    to_on: dt.date,
    habitual: Habitual,
    after: UUID | None,
    limit: int,
) -> tuple[list[Habit], UUID | None]:
    """Return those of the next `limit` customers who settle just before the next step, by id, and the id to go on from, None at the end.

    Only customers with enough items settled after a reminder are looked at. Raises `NotFound`, and `Malformed` for a period that ends before it begins.
    """
    check_period(from_on, to_on)
    days = await ledger_days.days_of(session, clock, tenant_id=tenant_id, ledger_id=ledger_id)
    rows = await escalation_store.settled_after_reminders(
        session, tenant_id, days.ledger_ids, from_on, to_on, at_least=habitual.at_least, collector_id=collector_id, after=after, limit=limit
    )
    known = await catalogue.load(session, tenant_id, {key for row in rows for key in zip(row["scenario_ids"] or (), row["versions"] or (), strict=True)})
    customer_ids = list(dict.fromkeys(row["customer_id"] for row in rows))
    own_steps: dict[UUID, list[StoredOverride]] = {}
    for override in await override_store.overrides_of(session, tenant_id, customer_ids):
        own_steps.setdefault(override.customer_id, []).append(override)
    habits = [_habit(list(items), known.varied_by(own_steps.get(customer_id, ())), habitual) for customer_id, items in groupby(rows, itemgetter("customer_id"))]
    return [habit for habit in habits if habit is not None], customer_ids[-1] if len(customer_ids) == limit else None


def _habit(rows: Sequence[asyncpg.Record], known: Catalogue, habitual: Habitual) -> Habit | None:
    """Return a customer's habit by what it settled; None where it settled too little, or too small a part of it, just before the next step."""
    reminded = [(row, place) for row in rows if (place := _last_reminder(row)) is not None]
    found = [one for row, place in reminded if (one := _occurrence(row, place, known, habitual.days)) is not None]
    if len(found) < habitual.at_least or len(found) * 100 < habitual.share * len(reminded):
        return None
    row = rows[0]
    return Habit(row["customer_id"], row["ledger_id"], row["external_id"], row["name"], row["person_id"], row["person_name"], len(reminded), found)


def _last_reminder(row: asyncpg.Record) -> int | None:
    """Return the place, among an item's rows of progress, of the last reminder in its present episode; None: it was settled without one."""
    reminders = [
        place
        for place, (state, kind, episode) in enumerate(zip(row["states"], row["kinds"], row["episodes"], strict=True))
        if state == COMPLETED and kind in _REMINDERS and episode == row["episode"]
    ]
    return reminders[-1] if reminders else None


def _occurrence(row: asyncpg.Record, reminder: int, known: Catalogue, days: int) -> Occurrence | None:
    """Return what an item's payment forestalled, if the next step's day lay 0 to `days` days after it."""
    paid_on, version = row["paid_on"], (row["scenario_ids"][reminder], row["versions"][reminder])
    calendar = facts.calendar_of(row["country"], row["subdivision"], paid_on.year) if known[version].uses_calendar else Calendar()
    step = next_step(_item(row, reminder), _progress(row, version, known), known.compiled, calendar, paid_on.toordinal())
    if step is None or not 0 <= step[1] - paid_on.toordinal() <= days:
        return None
    return Occurrence(
        row["item_id"], row["number"], row["currency"], row["amount_minor"], row["due_on"], paid_on, row["steps"][reminder], step[0],
        dt.date.fromordinal(step[1]), row["action_ids"][reminder],
    )  # fmt: skip


def _item(row: asyncpg.Record, reminder: int) -> Item:
    """Return an item as the rules read it, in the scenario version under which it was last reminded."""
    return Item(
        str(row["item_id"]), str(row["document_id"]), row["number"], row["document_on"].toordinal(), row["due_on"].toordinal(), row["currency"],
        row["amount_minor"], row["amount_minor"], DEBIT, row["episode"], row["scenario_ids"][reminder], row["versions"][reminder],
        _ordinal(row["delivered_on"]), _ordinal(row["deadlines"][reminder]),
    )  # fmt: skip


def _progress(row: asyncpg.Record, version: tuple[Id, int], known: Catalogue) -> list[Progress]:
    """Return the steps that an item had completed or passed over, with the one that it had reached when it came from another system."""
    item_id = str(row["item_id"])
    rows = [
        Progress(item_id, episode, of_scenario, of_version, step, repeat_no, state, None, _ordinal(on) or 0, _ordinal(counted_from))
        for episode, of_scenario, of_version, step, repeat_no, state, on, counted_from in zip(
            row["episodes"], row["scenario_ids"], row["versions"], row["steps"], row["repeats"], row["states"], row["completed_on"],
            row["counted_from_on"], strict=True,
        )
    ]  # fmt: skip
    if row["step_reached"] in known[version].compiled.index_of:
        rows.append(Progress(item_id, 1, *version, row["step_reached"], 0, COMPLETED, "imported", row["last_reminded_on"].toordinal()))
    return rows


def _ordinal(day: dt.date | None) -> int | None:
    return None if day is None else day.toordinal()
