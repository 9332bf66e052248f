"""What a scenario says: ordered steps with their triggers, notices, operations and limits.

These types are the parsed form of a scenario's content. `definition.py` reads and writes the content,
`compiled.py` prepares a scenario for planning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class TriggerKind(StrEnum):
    """Name what a step waits for."""

    DUE_DATE = "due_date"
    END_OF_MONTH = "end_of_month"
    AFTER_PREVIOUS = "after_previous"
    PAYMENT_RETURNED = "payment_returned"
    PROMISE_BROKEN = "promise_broken"
    DISPUTE_RESOLVED = "dispute_resolved"
    DEADLINE_PASSED = "deadline_passed"


DUE_DATE_TRIGGERS = frozenset({TriggerKind.DUE_DATE, TriggerKind.END_OF_MONTH})
FACT_TRIGGERS = frozenset({TriggerKind.PAYMENT_RETURNED, TriggerKind.PROMISE_BROKEN, TriggerKind.DISPUTE_RESOLVED})


class Mode(StrEnum):
    """Name who lets an action go."""

    AUTOMATIC = "automatic"
    APPROVE = "approve"
    MANUAL = "manual"


class StepKind(StrEnum):
    """Name what completes a step: an accepted notice, a person's word, or recorded operations."""

    NOTICE = "notice"
    TASK = "task"
    OPERATIONS = "operations"


class LateEntry(StrEnum):
    """Name where an item enters that is first seen late."""

    FIRST_STEP = "first_step"
    MATCHING_AGE = "matching_age"


class Grouping(StrEnum):
    """Name what forms one action."""

    CUSTOMER = "customer"
    DOCUMENT = "document"


class Netting(StrEnum):
    """Name what credits do: cover the oldest debts, or only stand beside them."""

    NET = "net"
    SHOW = "show"


class Ladder(StrEnum):
    """Name whose place on the ladder counts: each item's own, or that of the customer's oldest one."""

    ITEM = "item"
    LEAD_ITEM = "lead_item"


class ResetPolicy(StrEnum):
    """Name where a reopened item goes on."""

    RESUME = "resume"
    RESTART = "restart"


class Shift(StrEnum):
    """Name what happens to a step whose day is closed."""

    NONE = "none"
    FORWARD = "forward"


class Channel(StrEnum):
    """Name a way to reach somebody."""

    EMAIL = "email"
    PEC = "pec"
    SMS = "sms"
    LETTER = "letter"
    REGISTERED_LETTER = "registered_letter"
    CALL = "call"
    COUNSEL = "counsel"


class Audience(StrEnum):
    """Name whether a notice leaves the company."""

    CUSTOMER = "customer"
    INTERNAL = "internal"


class ContentMode(StrEnum):
    """Name whether a notice carries the items or only a link to them."""

    FULL = "full"
    LINK_ONLY = "link_only"


class OperationKind(StrEnum):
    """Name a side effect of a step."""

    CREATE_CALL_TASK = "create_call_task"
    NOTIFY_INSURER = "notify_insurer"
    DECLARE_TO_INSURER = "declare_to_insurer"
    BLOCK_ACCOUNT = "block_account"
    OPEN_LEGAL_CASE = "open_legal_case"
    WEBHOOK = "webhook"
    RECORD_ACTIVITY = "record_activity"


class OperationWhen(StrEnum):
    """Name the moment of an operation. One of `before_notice` keeps the step's notice back until it is recorded."""

    BEFORE_NOTICE = "before_notice"
    EXECUTED = "executed"
    COMPLETED = "completed"
    DEADLINE_PASSED = "deadline_passed"


_BY_MACHINE = frozenset({OperationKind.RECORD_ACTIVITY, OperationKind.WEBHOOK, OperationKind.CREATE_CALL_TASK, OperationKind.BLOCK_ACCOUNT})
ONLY_WHEN_COVERED = "only_when_covered"
"""The parameter of an operation that is for customers alone whom a credit insurer covers on the day of its moment."""


def is_by_person(kind: str, params: Mapping[str, object]) -> bool:
    """Tell whether an operation of a kind is left to a person, as `manual` among its parameters says, or because nothing here can do it."""
    return kind not in _BY_MACHINE or bool(params.get("manual"))


class TaskKind(StrEnum):
    """Name the work a person does."""

    CALL = "call"
    LETTER = "letter"
    PEC = "pec"
    COUNSEL = "counsel"
    CHECKPOINT = "checkpoint"
    OTHER = "other"


CONTACT_TASKS = frozenset({TaskKind.CALL, TaskKind.LETTER, TaskKind.PEC, TaskKind.COUNSEL})
"""Work in which the customer is contacted; the other kinds stay inside the company."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Hold one amount in minor units of its currency."""

    minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """Say from when a step may come, and until when.

    `offset_days` is counted from what the kind names and may be negative for due dates. `until_days` counts from
    the due date, inclusive, and belongs to due-date kinds. With `business_days` both count open days only.
    """

    kind: TriggerKind
    offset_days: int = 0
    until_days: int | None = None
    business_days: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """Say whom a step tells, through which channel and with which template."""

    code: str
    channel: Channel
    template: str
    to_roles: tuple[str, ...]
    audience: Audience = Audience.CUSTOMER
    content_mode: ContentMode = ContentMode.FULL
    primary: bool = True
    copy_roles: tuple[str, ...] = ()
    fallback: tuple[Channel, ...] = ()
    sender_name: str | None = None
    """Who writes, instead of the ledger's sender: a step may be signed by somebody higher up."""
    reply_to: str | None = None
    """Where answers to it go, instead of the ledger's address."""
    template_when_covered: str | None = None
    """The template for customers with active insurance cover; None: the same as for all."""

    @property
    def templates(self) -> tuple[str, ...]:
        """The codes of all templates it may be written with."""
        return (self.template,) if self.template_when_covered is None else (self.template, self.template_when_covered)

    def template_for(self, *, covered: bool) -> str:
        """Return the code of the template for a customer, by whether an insurer covers it."""
        return self.template if self.template_when_covered is None or not covered else self.template_when_covered


@dataclass(frozen=True, slots=True)
class Operation:
    """Say what a step does besides telling; `params` is JSON-able and read by whoever carries it out."""

    kind: OperationKind
    when: OperationWhen
    params: Mapping[str, object] = field(default_factory=dict)

    @property
    def by_person(self) -> bool:
        """Tell whether a person carries it out: nothing here does it, or the scenario says so (`manual`)."""
        return is_by_person(self.kind.value, self.params)


@dataclass(frozen=True, slots=True)
class Task:
    """Say what a person must do."""

    kind: TaskKind
    text: str


@dataclass(frozen=True, slots=True)
class Conditions:
    """Say what else must hold of the customer before a step comes.

    Counts and ages are those of the overdue items of the scenario that may be shown; tags are the customer's.
    """

    min_overdue_items: int | None = None
    min_oldest_days: int | None = None
    """Days by which the oldest of them is overdue."""
    tags_any: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()


NO_CONDITIONS = Conditions()


@dataclass(frozen=True, slots=True)
class Step:
    """Hold one step; its code is stable over the versions of a scenario, its rank orders it."""

    rank: int
    code: str
    name: str
    mode: Mode
    trigger: Trigger
    grace_days: int | None = None
    min_days_after_delivery: int | None = None
    min_days_between_steps: int | None = None
    repeat_every_days: int | None = None
    max_repeats: int | None = None
    min_item: tuple[Amount, ...] = ()
    min_customer: tuple[Amount, ...] = ()
    deadline_days: int | None = None
    consequence: str | Mapping[str, str] | None = None
    show_not_due: bool = False
    notices: tuple[Notice, ...] = ()
    operations: tuple[Operation, ...] = ()
    task: Task | None = None
    conditions: Conditions = NO_CONDITIONS
    removed: bool = False
    """Taken out for one customer: it keeps its place and is passed over."""
    inserted: bool = False
    """Put in for one customer: the scenario does not have it."""

    @property
    def kind(self) -> StepKind:
        """Tell what completes this step."""
        if self.notices:
            return StepKind.NOTICE
        return StepKind.TASK if self.task is not None else StepKind.OPERATIONS

    @property
    def is_contact(self) -> bool:
        """Tell whether the customer is contacted by it, so that the contact budget counts and keeps it."""
        if self.notices:
            return any(notice.primary and notice.audience is Audience.CUSTOMER for notice in self.notices)
        return self.task is not None and self.task.kind in CONTACT_TASKS

    @property
    def is_courtesy(self) -> bool:
        """Tell whether it comes before the due date: its notices are a service, and their readers may opt out of them."""
        return self.trigger.kind is TriggerKind.DUE_DATE and self.trigger.offset_days < 0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Hold one version of a scenario.

    `spacing_days` and `grace_days` of None, and a currency without a minimum, leave the choice to the ledger.
    """

    code: str
    name: str
    steps: tuple[Step, ...]
    late_entry: LateEntry = LateEntry.FIRST_STEP
    grouping: Grouping = Grouping.CUSTOMER
    netting: Netting = Netting.NET
    spacing_days: int | None = None
    grace_days: int | None = None
    reset_policy: ResetPolicy = ResetPolicy.RESUME
    shift: Shift = Shift.NONE
    ladder: Ladder = Ladder.ITEM
    min_item: tuple[Amount, ...] = ()
    min_customer: tuple[Amount, ...] = ()
