"""The facts about one customer that planning reads, and the decision it returns.

Every day is an ordinal (`date.toordinal()`), every amount is in minor units of the currency beside it, every id is a
string or an integer that the rules only compare. Rows are named tuples, so that they are made in bulk from the
columns of a query: `list(map(Item, ids, document_ids, ...))` or `Item._make(row)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

Id: TypeAlias = str | int
Day: TypeAlias = int

DEBIT = "debit"
CREDIT = "credit"
COMPLETED = "completed"
SKIPPED = "skipped"

NO_MINIMUM: Mapping[str, int] = MappingProxyType({})


class Reason(StrEnum):
    """Name why an open item is not reminded today."""

    NO_SCENARIO = "NO_SCENARIO"
    EXCLUDED_STATUS = "EXCLUDED_STATUS"
    AUTOMATIC_COLLECTION = "AUTOMATIC_COLLECTION"
    SPECIFIC_ACTION = "SPECIFIC_ACTION"
    PENDING_ACTION = "PENDING_ACTION"
    HELD = "HELD"
    COVERED_BY_CREDIT = "COVERED_BY_CREDIT"
    BELOW_MINIMUM = "BELOW_MINIMUM"
    CONDITION_NOT_MET = "CONDITION_NOT_MET"
    SPACING = "SPACING"
    CONTACT_BUDGET = "CONTACT_BUDGET"
    FOLLOWS_LEAD = "FOLLOWS_LEAD"
    ALREADY_TODAY = "ALREADY_TODAY"
    CLOSED_DAY = "CLOSED_DAY"
    NOT_YET = "NOT_YET"
    WAITING_FOR_FACT = "WAITING_FOR_FACT"
    SCENARIO_ENDED = "SCENARIO_ENDED"


class SkipReason(StrEnum):
    """Name why an item passed over a step."""

    WINDOW_PASSED = "window_passed"
    LATE_ENTRY = "late_entry"
    ADDED_LATER = "added_later"
    NO_FACT = "no_fact"
    IMPORTED = "imported"
    BY_HAND = "by_hand"
    REMOVED = "removed"


class Item(NamedTuple):
    """Hold one open item, debit or credit. Settled items need not be given."""

    id: Id
    document_id: Id | None
    """The invoice; groups the rows of `grouping: document`."""
    number: str
    """What the customer knows the document by."""
    document_on: Day
    due_on: Day
    currency: str
    open_minor: int
    """What is still open, never negative; a credit's is what it can still cover."""
    amount_minor: int
    """What it was at first; the rules do not read it."""
    direction: str
    """`debit` or `credit`."""
    episode: int = 1
    """Counts up when the item is reopened."""
    scenario_id: Id | None = None
    """None: nobody chose a scenario for it."""
    version: int = 0
    """The scenario's version in force today."""
    delivered_on: Day | None = None
    """When the document reached the customer, where known."""
    deadline_on: Day | None = None
    """The payment deadline stated by the last claim about this item; None: it stated none."""
    automatic_collection: bool = False
    """A direct debit or card collects it."""
    held: bool = False
    held_until: Day | None = None
    """The last held day of the longest hold; None beside `held`: no end."""
    excluded: bool = False
    """Its status takes it out of reminding."""
    promise_until: Day | None = None
    """The promised day plus grace, of a promise that pauses."""
    specific_action: bool = False
    """A specific action has taken it out of its scenario."""
    pending_action: bool = False
    """A waiting or committed action has it as a candidate row."""


class Progress(NamedTuple):
    """Hold one live row of progress: a step that an item completed or passed over."""

    item_id: Id
    episode: int
    scenario_id: Id
    version: int
    """The version in which it was completed."""
    step_code: str
    repeat_no: int
    """0 is the step itself; a step triggered by a fact counts its occurrences."""
    state: str
    """`completed` or `skipped`."""
    reason: str | None
    """Why it was skipped, or how it was completed where that is not by an action."""
    completed_on: Day
    """The day on which it was completed or passed over."""
    counted_from: Day | None = None
    """The first of the closed days that had delayed it."""
    contact: bool = True
    """Whether the customer was reached by it; counts for spacing."""


class Fact(NamedTuple):
    """Hold something that happened to an item: `kind` is the trigger kind it sets off."""

    item_id: Id
    kind: str
    on: Day


class Sent(NamedTuple):
    """Hold the key of a live automatic scenario action: there is one a day."""

    on: Day
    scenario_id: Id
    kind: str
    document_id: Id | None


class Calendar(NamedTuple):
    """Hold the closed days: weekdays (Monday is 0) and single days."""

    closed_weekdays: frozenset[int] = frozenset()
    holidays: frozenset[Day] = frozenset()

    def is_closed(self, day: Day) -> bool:
        """Tell whether nothing is sent on this day."""
        return (day + 6) % 7 in self.closed_weekdays or day in self.holidays

    def open_from(self, day: Day) -> Day:
        """Return the first open day on or after this one; raise ValueError where ten years hold none."""
        for candidate in range(day, day + 3660):
            if (candidate + 6) % 7 not in self.closed_weekdays and candidate not in self.holidays:
                return candidate
        msg = "The calendar has no open day in the next ten years."
        raise ValueError(msg)

    def moved(self, day: Day, open_days: int) -> Day:
        """Return the day that lies this many open days after (or, negative, before) the given one."""
        stride = 1 if open_days > 0 else -1
        for _ in range(abs(open_days)):
            day += stride
            if self.is_closed(day):
                day = self.open_from(day) if stride > 0 else self._open_before(day)
        return day

    def _open_before(self, day: Day) -> Day:
        for candidate in range(day, day - 3660, -1):
            if not self.is_closed(candidate):
                return candidate
        msg = "The calendar has no open day in the last ten years."
        raise ValueError(msg)


class Defaults(NamedTuple):
    """Hold what the ledger says where a scenario is silent; minimums are minor units by currency."""

    spacing_days: int = 0
    grace_days: int | None = None
    min_item: Mapping[str, int] = NO_MINIMUM
    min_customer: Mapping[str, int] = NO_MINIMUM
    contact_budget: int | None = None
    """Contacts that the customer may have within `contact_budget_days`; None: any number."""
    contact_budget_days: int = 0


class Position(NamedTuple):
    """Hold everything that planning one customer reads."""

    items: tuple[Item, ...]
    progress: tuple[Progress, ...] = ()
    contacts: tuple[Day, ...] = ()
    """Days on which the customer was contacted, one for each contact, and the planned days of committed and waiting actions."""
    facts: tuple[Fact, ...] = ()
    already_today: frozenset[Sent] = frozenset()
    """Live automatic actions, each with its day; other days' entries are harmless."""
    calendar: Calendar = Calendar()
    defaults: Defaults = Defaults()
    tags: frozenset[str] = frozenset()
    """What the company calls this customer; conditions of steps ask for them."""
    overrides: tuple[tuple[Id, str, str, str], ...] = ()
    """The customer's own steps as scenario, kind, step code and content. They are in the scenarios that the rules are given; here they are known by."""
    counted: tuple[Day, ...] = ()
    """Days of everything that the contact budget counts, one for each: mails, letters, calls, visits, legal steps; made, committed or waiting."""
    reachable: tuple[tuple[str, Day], ...] = ()
    """Roles in which somebody can be mailed, each with the first day on which one of its people may be written to once more; 0: any."""


class Row(NamedTuple):
    """Hold one candidate row of an action: the item and the step it completes."""

    item_id: Id
    episode: int
    version: int
    step_code: str
    repeat_no: int
    currency: str
    net_minor: int
    """What is asked for after netting."""
    open_minor: int
    """What the row shows."""
    not_due: bool
    counted_from: Day | None
    """Goes into the row of progress when it is completed on the planned day."""


class Action(NamedTuple):
    """Hold one action that the plan proposes."""

    scenario_id: Id
    version: int
    step_code: str
    """The step of the highest rank: it gives text, channel and audience."""
    rank: int
    mode: str
    kind: str
    document_id: Id | None
    """Set where the scenario groups by document."""
    rows: tuple[Row, ...]
    """Oldest first."""
    info: tuple[Id, ...]
    """Overdue items shown beside the candidate rows; they do not advance."""
    not_due: tuple[Id, ...]
    """Items not yet due, shown because the step says so; they do not advance."""
    credits: tuple[Id, ...]
    """Credits shown, in the currencies of the rows."""
    totals: tuple[tuple[str, int], ...]
    """Net total of the candidate rows per currency."""


class Skip(NamedTuple):
    """Hold one passed-over step, to be written together with the action of the same item."""

    item_id: Id
    episode: int
    scenario_id: Id
    version: int
    step_code: str
    reason: SkipReason


class Blocked(NamedTuple):
    """Hold why an open debit item is in no action, and the first day it could be; None: only a fact can tell."""

    item_id: Id
    codes: tuple[Reason, ...]
    first_day: Day | None


class Plan(NamedTuple):
    """Hold the decision about one customer on one day."""

    actions: tuple[Action, ...]
    skips: tuple[Skip, ...]
    reasons: tuple[Blocked, ...]
    review_on: Day | None
    """No plan before this day could contain an action while facts stand still; None: only a fact changes that."""
