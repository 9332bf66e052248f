"""Actions outside the scenario: what one says and does, and which of its items it can still be about. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any
from uuid import UUID

from dunning.collection.composition import Composition, Dropped, kept_back
from dunning.scenarios.netting import age_of
from dunning.scenarios.rules import DEBIT, Action, Day, Id, Item, Position, Row
from dunning.scenarios.steps import CONTACT_TASKS, Audience, Channel, ContentMode, Mode, Notice, Step, StepKind, Task, TaskKind, Trigger, TriggerKind

SPECIFIC = "specific"
AD_HOC = "ad_hoc"
TO_ROLES = ("dunning", "billing")
"""Whom a mail goes to where nobody is named."""
TITLE_CAP = 200

TIES: Mapping[str, Any] = MappingProxyType({"follows_status": None, "beside_action_id": None, "about_all": False, "days_before_promise": None})
"""What ties an action to what it was made with, by the field of its content: a copy is tied to nothing."""

_TUPLES = frozenset({"to_roles", "contact_ids", "to_emails", "copy_roles"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What an action of one's own tells whom, or what somebody has to do.

    `template_id` and `template_version` are frozen when the action is made, so that a later edit of the template does not change it. `subject` and
    `text` are the writer's own words, which the template puts in their place. `to_emails` are the company's own people only.
    """

    kind: str = "notice"
    channel: str = "email"
    audience: str = "customer"
    template: str | None = None
    template_id: str | None = None
    template_version: int | None = None
    content_mode: str = "full"
    subject: str | None = None
    text: str | None = None
    to_roles: tuple[str, ...] = ()
    contact_ids: tuple[str, ...] = ()
    to_emails: tuple[str, ...] = ()
    copy_roles: tuple[str, ...] = ()
    task_kind: str | None = None
    task_text: str | None = None
    deadline_days: int | None = None
    beyond_budget: bool = False
    """Whether somebody who may has let it go beyond the contact budget."""
    beside_action_id: str | None = None
    """The specific action that was made along with a mail, which does not keep the items of that mail back."""
    follows_status: str | None = None
    """The status whose items a task follows up; they leave it with another status."""
    about_all: bool = False
    """Whether it is about all that may be asked for, and not about items that somebody chose: what is not to be asked for any more leaves it."""
    days_before_promise: int | None = None
    """How many days before the promised one a mail reminds of a promise."""

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Content:
        """Read a content as it was stored; names it does not know are left out."""
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {name: tuple(value or ()) if name in _TUPLES else value for name, value in stored.items() if name in known}
        return cls(**values)

    def stored(self) -> dict[str, Any]:
        """Return the content as it is stored, every field present."""
        return {field.name: list(value) if isinstance(value := getattr(self, field.name), tuple) else value for field in fields(self)}

    @property
    def is_internal(self) -> bool:
        """Tell whether it stays inside the company."""
        return self.audience == Audience.INTERNAL


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSpecific:
    """An action to be made outside the scenario.

    `specific` takes its items out of the scenario until it ends; `ad_hoc` leaves them in it. `scheduled_on` None is today. `counts_as_step` names a
    step that its items complete with it. Once it has ended, the items follow the scenario from where they were (`resume`) or from a named step. With
    `beyond_budget` the contact budget does not keep it; one that is not `refusable` is made although the budget is spent, and waits for a free day.
    """

    title: str
    content: Content
    origin: str = SPECIFIC
    mode: str = "manual"
    scheduled_on: dt.date | None = None
    afterwards: str = "resume"
    afterwards_step_code: str | None = None
    counts_as_step: str | None = None
    person_id: UUID | None = None
    model_id: UUID | None = None
    copied_from_action_id: UUID | None = None
    beyond_budget: bool = False
    refusable: bool = True

    @property
    def is_contact(self) -> bool:
        """Tell whether the contact budget counts it: what tells or asks the customer something, ad hoc only a call."""
        if self.content.kind == StepKind.TASK:
            return self.content.task_kind in (CONTACT_TASKS if self.origin == SPECIFIC else (TaskKind.CALL,))
        return self.origin == SPECIFIC and not self.content.is_internal

    @property
    def sends(self) -> bool:
        """Tell whether a message of it may leave without anybody looking at it again."""
        return self.mode == Mode.AUTOMATIC and self.content.kind == StepKind.NOTICE


@dataclass(frozen=True, slots=True)
class FirstStanding:
    """How an action stands once it is made: its state, and the task of one that somebody has to do."""

    state: str
    reason: str | None = None
    task_kind: str | None = None
    task_text: str | None = None
    deadline_on: dt.date | None = None


def first_standing(content: Content, *, mode: str, title: str, scheduled_on: dt.date) -> FirstStanding:
    """Return how an action begins: one to approve waits for that, a task and a manual one for somebody, an automatic one for its day, which may be today."""
    if mode == Mode.APPROVE:
        return FirstStanding("awaiting_approval")
    # What leaves by itself states its deadline when it leaves; what somebody does, from the day on which they shall.
    deadline_on = None if content.deadline_days is None else scheduled_on + dt.timedelta(days=content.deadline_days)
    if content.kind == StepKind.TASK:
        return FirstStanding("waiting", None, content.task_kind or "other", content.task_text or title, deadline_on)
    if mode == Mode.MANUAL:
        return FirstStanding("waiting", "manual", "other", f"Send by hand or approve: {title}.", deadline_on)
    return FirstStanding("scheduled")


def step_of(content: Content, *, origin: str, title: str, mode: str) -> Step:
    """Return an action of one's own in the form of a step, so that it is told, frozen and carried out like one."""
    task = None
    notices: tuple[Notice, ...] = ()
    if content.kind == StepKind.TASK:
        task = Task(TaskKind(content.task_kind or "other"), content.task_text or title)
    else:
        notices = (
            Notice(
                code="main", channel=Channel(content.channel), template=content.template or "", to_roles=content.to_roles or TO_ROLES,
                audience=Audience(content.audience), content_mode=ContentMode(content.content_mode), copy_roles=content.copy_roles,
            ),
        )  # fmt: skip
    trigger = Trigger(TriggerKind.DUE_DATE)
    return Step(
        rank=0, code=origin, name=title, mode=Mode(mode), trigger=trigger, deadline_days=content.deadline_days, notices=notices, task=task
    )  # fmt: skip


def select(position: Position, today: Day, item_ids: Collection[Id], step: Step, *, tells_customer: bool) -> Composition:
    """Return what an action of one's own is about on facts as they are now: exactly the chosen items that are still open, gross, nothing beside them.

    What tells the customer leaves out items that are held, that a status excludes, that are promised, or that another specific action has taken; a task
    and a notice to colleagues may be about just those.
    """
    debits = {item.id: item for item in position.items if item.direction == DEBIT and item.open_minor > 0}
    dropped: list[Dropped] = []
    kept: list[Item] = []
    for item_id in item_ids:
        item = debits.get(item_id)
        reason = "settled" if item is None else kept_back(item, today) if tells_customer else None
        if item is None or reason is not None:
            dropped.append(Dropped(item_id, reason or "settled"))
        else:
            kept.append(item)
    if not kept:
        return Composition(None, tuple(dropped), {})
    totals: dict[str, int] = {}
    for item in kept:
        totals[item.currency] = totals.get(item.currency, 0) + item.open_minor
    rows = tuple(
        Row(item.id, item.episode, 0, step.code, 0, item.currency, item.open_minor, item.open_minor, item.due_on >= today, None)
        for item in sorted(kept, key=age_of)
    )
    action = Action(
        scenario_id="", version=0, step_code=step.code, rank=step.rank, mode=step.mode.value, kind=step.kind.value, document_id=None, rows=rows, info=(),
        not_due=(), credits=(), totals=tuple(sorted(totals.items())),
    )  # fmt: skip
    return Composition(action, tuple(dropped), {})


def passed_over(ladder: Sequence[str], done: Collection[str], code: str) -> list[str]:
    """Return the codes below a step of a ladder, lowest first, that an item has neither completed nor skipped: reaching the step passes them over."""
    return [below for below in ladder[: list(ladder).index(code)] if below not in done]
