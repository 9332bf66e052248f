"""What surrounds a promise: a reminder of it before its day, a call on the list for the day on which it would be broken, and steps that its breach set off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import asyncpg

from dunning.collection import action_store, carrying, follow_up_store, follow_ups, promise_store, specific
from dunning.collection.action_store import LIVE
from dunning.collection.agreed_items import AgreedItem
from dunning.collection.despatch import Scene
from dunning.collection.follow_up_store import NewTask, Planned, Renewal
from dunning.collection.promise_rules import broken_on
from dunning.collection.promise_store import NewPromise, Terms
from dunning.collection.specific_rules import AD_HOC, Content, NewSpecific
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.errors import Malformed
from dunning.kit.ids import ActionId, new_id
from dunning.kit.money import Money

_ENDED_BY_ITSELF = frozenset({"promise_kept", "promise_waits", "promise_broken", "promise_moved", "settled", "held", "facts_changed"})
"""Why a reminder ended that was not taken back by hand."""


@dataclass(frozen=True, slots=True)
class Reminder:
    """A mail to the customer some days before the promised day, from a template of the tenant."""

    days_before: int
    template: str


class Actions(NamedTuple):
    """The actions that belong to a promise."""

    follow_up: ActionId
    reminder: ActionId | None


async def make(
    session: Session, clock: Clock, scene: Scene, terms: Terms, promise: NewPromise, items: Sequence[AgreedItem], reminder: Reminder | None
) -> Actions:
    """Make the call for the day after a promise's last, and its reminder where one is wanted. Neither takes items out of their scenario.

    Raises `Malformed` where the reminder's day is past.
    """
    title, text = _words(Money(promise.due_by_then_minor, terms.currency), promise.promised_on)
    call = NewSpecific(
        title=title, content=Content(kind="task", task_kind="call", task_text=text), origin=AD_HOC,
        scheduled_on=_at_most(scene.today, broken_on(promise.promised_on, terms.grace_days)),
    )  # fmt: skip
    follow_up = await _create(session, clock, scene, terms, items, call)
    if reminder is None:
        return Actions(follow_up, None)
    on = promise.promised_on - dt.timedelta(days=reminder.days_before)
    if on < scene.today:
        msg = f"reminder.days_before: {reminder.days_before} days before {promise.promised_on} is past. Take fewer days."
        raise Malformed(msg, errors=[{"field": "reminder.days_before", "message": "lies in the past"}])
    content = Content(kind="notice", channel="email", template=reminder.template, days_before_promise=reminder.days_before)
    mail = NewSpecific(title=_reminder_title(promise.promised_on), content=content, origin=AD_HOC, mode="automatic", scheduled_on=on)
    return Actions(follow_up, await _create(session, clock, scene, terms, items, mail))


@dataclass(frozen=True, slots=True)
class Wanted:
    """When the call of a promise, or of a plan by its last instalment, is to come: None never, `why` then says so. `row` is as it stood before.

    With `anew` one is made where there is none; else only a call that waits is moved. `over` is whether the money is awaited no longer; while it is,
    `promised_on` is the day that was agreed and `expected_on` that day put off by those on which nothing was asked for, None while that cannot be told.
    `words` are what the call is to be called and to say from now on, None as before.
    """

    row: asyncpg.Record
    item_ids: Sequence[UUID]
    on: dt.date | None
    why: str
    anew: bool
    over: bool
    promised_on: dt.date
    expected_on: dt.date | None = None
    words: tuple[str, str] | None = None


async def keep_up(session: Session, clock: Clock, scene: Scene, wanted: Sequence[Wanted]) -> None:
    """Let calls and reminders come when they are wanted: cancel those that are not, move and make the others.

    The same number of statements however many. The caller holds the customers' locks.
    """
    named = [one.row[name] for one in wanted for name in ("follow_up_action_id", "reminder_action_id") if one.row[name] is not None]
    found = {row["action_id"]: row for row in await action_store.actions_for_change(session, scene.tenant_id, named)}
    live = {action_id: row for action_id, row in found.items() if row["state"] in LIVE}
    ends: dict[str, list[asyncpg.Record]] = {}
    plans: dict[UUID, Planned] = {}
    calls: dict[UUID, NewTask] = {}
    reminders: dict[UUID, Renewal] = {}
    for one in wanted:
        call = live.get(one.row["follow_up_action_id"])
        if call is not None and one.on is None:
            ends.setdefault(one.why, []).append(call)
        elif call is not None and one.on is not None:
            on = min(one.on, call["scheduled_on"]) if one.over else one.on
            plans[call["action_id"]] = Planned(_at_most(scene.today, on), *(one.words or ()))
        elif call is None and one.on is not None and one.anew:
            title, text = one.words or words_while_open(one.row, one.promised_on)
            calls[one.row["promise_id"]] = NewTask(
                ActionId(new_id()), one.row["customer_id"], _at_most(scene.today, one.on), title, text, one.item_ids
            )  # fmt: skip
        reminder = found.get(one.row["reminder_action_id"])
        if reminder is None:
            continue
        day, before = _reminder_day(one, reminder, one.expected_on), _reminder_day(one, reminder, _expected_on(one.row))
        if reminder["action_id"] in live and one.over:
            ends.setdefault(one.why, []).append(reminder)
        elif reminder["action_id"] in live and reminder["executed_at"] is None:
            if day != before and (day is None or day < scene.today):
                ends.setdefault("promise_waits" if day is None else "promise_moved", []).append(reminder)
            elif day != before and day is not None:
                plans[reminder["action_id"]] = Planned(_at_most(scene.today, day), _reminder_title(one.promised_on))
        elif day is not None and day > scene.today and _may_be_renewed(reminder, moved=day != before):
            title = _reminder_title(one.promised_on)
            reminders[one.row["promise_id"]] = Renewal(ActionId(new_id()), reminder, _at_most(scene.today, day), title, one.item_ids)
    for why, actions in sorted(ends.items()):  # four reasons at most
        await carrying.cancel(session, clock, scene, actions, why)
    await follow_up_store.plan_anew(session, scene.tenant_id, plans)
    await follow_ups.put_on_lists(session, clock, scene, Content(kind="task", task_kind="call"), list(calls.values()))
    await follow_ups.renew(session, clock, scene, list(reminders.values()))
    await promise_store.note_follow_ups(session, scene.tenant_id, {promise_id: call.action_id for promise_id, call in calls.items()})
    await promise_store.note_reminders(session, scene.tenant_id, {promise_id: one.action_id for promise_id, one in reminders.items()})


async def end_calls(session: Session, clock: Clock, scene: Scene, item_ids: Sequence[UUID], reason: str) -> None:
    """End the calls about broken promises of some items once all that they are still owed for is promised anew; `reason` says by what."""
    calls = await follow_up_store.calls_promised_anew(session, scene.tenant_id, item_ids)
    await carrying.cancel(session, clock, scene, calls, reason)


async def take_back_steps(session: Session, clock: Clock, scene: Scene, item_ids: Sequence[UUID]) -> None:
    """Cancel what steps were about to do because promises of some items were broken, where nothing of it has left: they were not broken after all."""
    if item_ids:
        actions = await follow_up_store.actions_on_breach(session, scene.tenant_id, item_ids)
        await carrying.cancel(session, clock, scene, actions, "promise_kept")


async def move(session: Session, clock: Clock, scene: Scene, promise: asyncpg.Record, promised_on: dt.date, grace_days: int, last_on: dt.date | None) -> None:
    """Let the actions of an open promise go with its day; `last_on` is None while it waits. A reminder that has left is planned anew for a day ahead."""
    on, expected_on = None, None
    if last_on is not None:
        on, expected_on = last_on + dt.timedelta(days=1), last_on - dt.timedelta(days=grace_days)
    item_ids = [UUID(item["item_id"]) for item in promise["items"]]
    words = words_while_open(promise, promised_on)
    wanted = Wanted(promise, item_ids, on, "promise_waits", anew=False, over=False, promised_on=promised_on, expected_on=expected_on, words=words)
    await keep_up(session, clock, scene, [wanted])


async def _create(session: Session, clock: Clock, scene: Scene, terms: Terms, items: Sequence[AgreedItem], new: NewSpecific) -> ActionId:
    action = await specific.create(
        session, clock, tenant_id=scene.tenant_id, actor=scene.actor, customer_id=terms.customer_id, item_ids=[item.item_id for item in items], new=new,
        outbound=scene.outbound,
    )  # fmt: skip
    return ActionId(action["action_id"])


def _expected_on(row: asyncpg.Record) -> dt.date | None:
    """Return the promised day of a promise, put off as its last day is."""
    return None if row["last_on"] is None else row["last_on"] - dt.timedelta(days=row["grace_days"])


def _reminder_day(one: Wanted, reminder: asyncpg.Record, expected_on: dt.date | None) -> dt.date | None:
    """Return when a reminder is to leave for an expected day; None where that cannot be told, or where the reminder is over and does not say."""
    days_before = reminder["content"].get("days_before_promise")
    if days_before is None and reminder["state"] in LIVE:
        days_before = (one.row["promised_on"] - reminder["scheduled_on"]).days  # Older ones do not say; they stand at their day.
    return None if expected_on is None or days_before is None else expected_on - dt.timedelta(days=days_before)


def _may_be_renewed(reminder: asyncpg.Record, *, moved: bool) -> bool:
    """Tell whether a reminder that is over may leave once more: for another day than it has left for, or where nobody ended it by hand."""
    if reminder["executed_at"] is not None:
        return moved
    return reminder["state"] == "cancelled" and reminder["reason"] in _ENDED_BY_ITSELF


def _reminder_title(promised_on: dt.date) -> str:
    return f"Reminder of the promise for {promised_on}"


def words_while_open(row: asyncpg.Record, promised_on: dt.date) -> tuple[str, str]:
    """Return the title of the call that comes when nothing does, and what whoever calls is told."""
    return _words(Money(row["due_by_then_minor"], row["currency"]), promised_on)


def words_of_breach(row: asyncpg.Record, received_minor: int) -> tuple[str, str]:
    """Return the same for a promise that was broken, of a plan the instalment that was missed: what of it had not come in by its last day."""
    amount, currency, promised_on = Money(row["amount_minor"], row["currency"]), row["currency"], row["promised_on"]
    missing = Money(min(amount.minor, row["due_by_then_minor"] - received_minor), currency)
    what, title = str(amount), f"Promise of {amount} until {promised_on}"
    if row["instalment"] is not None:
        what, title = f"Instalment {row['instalment']} of the payment plan, {amount},", f"Instalment of {amount} until {promised_on}"
    said = " and has not come in" if missing == amount else f"; {missing} of it has not come in"
    return title, f"{what} was promised until {promised_on}{said}. Call the customer."


def _words(amount: Money, promised_on: dt.date) -> tuple[str, str]:
    return f"Promise of {amount} until {promised_on}", f"{amount} was promised until {promised_on} and has not come in. Call the customer."


def _at_most(today: dt.date, day: dt.date) -> dt.date:
    """Return a day that an action may be put off to."""
    return min(day, today + dt.timedelta(days=specific.FARTHEST_DAYS))
