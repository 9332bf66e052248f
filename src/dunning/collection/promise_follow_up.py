"""What surrounds a promise: a reminder of it before its day, a call on the list for the day on which it would be broken, and steps that its breach set off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import asyncpg

from dunning.collection import carrying, follow_up_store, follow_ups, promise_store, specific, specific_store
from dunning.collection.agreed_items import AgreedItem
from dunning.collection.despatch import Scene
from dunning.collection.follow_up_store import NewTask
from dunning.collection.promise_rules import broken_on
from dunning.collection.promise_store import NewPromise, Terms
from dunning.collection.specific_rules import AD_HOC, Content, NewSpecific
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.errors import Malformed
from dunning.kit.ids import ActionId, TenantId, new_id
from dunning.kit.money import Money


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
    content = Content(kind="notice", channel="email", template=reminder.template)
    mail = NewSpecific(title=f"Reminder of the promise for {promise.promised_on}", content=content, origin=AD_HOC, mode="automatic", scheduled_on=on)
    return Actions(follow_up, await _create(session, clock, scene, terms, items, mail))


@dataclass(frozen=True, slots=True)
class Wanted:
    """When the call of a promise, or of a plan by its last instalment, is to come: None never, `why` then says so. `row` is as it stood before.

    With `anew` one is made where there is none; else only a call that waits is moved. `over` is whether the money is awaited no longer.
    """

    row: asyncpg.Record
    on: dt.date | None
    why: str
    anew: bool
    over: bool


async def keep_up(session: Session, clock: Clock, scene: Scene, wanted: Sequence[Wanted]) -> None:
    """Let calls come when they are wanted: cancel those that are not, move and make the others; reminders of promises that are over are cancelled.

    The same number of statements however many. The caller holds the customers' locks.
    """
    live = {
        row["action_id"]: row
        for row in await follow_up_store.live_actions(
            session, scene.tenant_id, [one.row[name] for one in wanted for name in ("follow_up_action_id", "reminder_action_id")]
        )
    }
    ends: dict[str, list[asyncpg.Record]] = {}
    days: dict[UUID, dt.date] = {}
    calls: dict[UUID, NewTask] = {}
    for one in wanted:
        call, reminder = live.get(one.row["follow_up_action_id"]), live.get(one.row["reminder_action_id"])
        if reminder is not None and one.over:
            ends.setdefault(one.why, []).append(reminder)
        if call is not None and one.on is None:
            ends.setdefault(one.why, []).append(call)
        elif call is not None and one.on is not None and (not one.over or call["scheduled_on"] > one.on):
            days[call["action_id"]] = _at_most(scene.today, one.on)
        elif call is None and one.on is not None and one.anew:
            title, text = _words(Money(one.row["due_by_then_minor"], one.row["currency"]), one.row["promised_on"])
            calls[one.row["promise_id"]] = NewTask(
                ActionId(new_id()), one.row["customer_id"], _at_most(scene.today, one.on), title, text, one.row["item_ids"]
            )  # fmt: skip
    for why, actions in sorted(ends.items()):  # three reasons at most
        await carrying.cancel(session, clock, scene, actions, why)
    await follow_up_store.schedule(session, scene.tenant_id, days)
    await follow_ups.put_on_lists(session, clock, scene, Content(kind="task", task_kind="call"), list(calls.values()))
    await promise_store.note_follow_ups(session, scene.tenant_id, {promise_id: call.action_id for promise_id, call in calls.items()})


async def take_back_steps(session: Session, clock: Clock, scene: Scene, item_ids: Sequence[UUID]) -> None:
    """Cancel what steps were about to do because promises of some items were broken, where nothing of it has left: they were not broken after all."""
    if item_ids:
        actions = await follow_up_store.actions_on_breach(session, scene.tenant_id, item_ids)
        await carrying.cancel(session, clock, scene, actions, "promise_kept")


async def move(session: Session, tenant_id: TenantId, promise: asyncpg.Record, promised_on: dt.date, grace_days: int, today: dt.date) -> None:
    """Let the actions of a promise go with its day, as far as they have not been carried out."""
    days = {
        promise["follow_up_action_id"]: broken_on(promised_on, grace_days),
        promise["reminder_action_id"]: await _reminder_day(session, tenant_id, promise, promised_on, today),
    }
    live = await follow_up_store.live_actions(session, tenant_id, [action_id for action_id, day in days.items() if action_id is not None and day is not None])
    for action in live:  # two at most
        if action["executed_at"] is None or action["kind"] == "task":
            await specific_store.plan_of_action(
                session, tenant_id, ActionId(action["action_id"]), {"scheduled_on": _at_most(today, days[action["action_id"]] or today)}
            )


async def _reminder_day(session: Session, tenant_id: TenantId, promise: asyncpg.Record, promised_on: dt.date, today: dt.date) -> dt.date | None:
    """Return the day as long before the new promised day as it was before the old one, today at the earliest."""
    if promise["reminder_action_id"] is None:
        return None
    live = await follow_up_store.live_actions(session, tenant_id, [promise["reminder_action_id"]])
    return max(today, live[0]["scheduled_on"] + (promised_on - promise["promised_on"])) if live else None


async def _create(session: Session, clock: Clock, scene: Scene, terms: Terms, items: Sequence[AgreedItem], new: NewSpecific) -> ActionId:
    action = await specific.create(
        session, clock, tenant_id=scene.tenant_id, actor=scene.actor, customer_id=terms.customer_id, item_ids=[item.item_id for item in items], new=new,
        outbound=scene.outbound,
    )  # fmt: skip
    return ActionId(action["action_id"])


def _words(amount: Money, promised_on: dt.date) -> tuple[str, str]:
    """Return the title of a call, and what whoever calls is told."""
    return f"Promise of {amount} until {promised_on}", f"{amount} was promised until {promised_on} and has not come in. Call the customer."


def _at_most(today: dt.date, day: dt.date) -> dt.date:
    """Return a day that an action may be put off to."""
    return min(day, today + dt.timedelta(days=specific.FARTHEST_DAYS))
