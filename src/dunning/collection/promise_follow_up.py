"""What surrounds a promise: a reminder of it before its day, and a call on the list for the day on which it would be broken."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from dunning.collection import follow_up_store, specific, specific_store
from dunning.collection.agreed_items import AgreedItem
from dunning.collection.despatch import Scene
from dunning.collection.promise_rules import broken_on
from dunning.collection.promise_store import NewPromise, Terms
from dunning.collection.specific_rules import AD_HOC, Content, NewSpecific
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.errors import Malformed
from dunning.kit.ids import ActionId, TenantId
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
    amount = Money(promise.due_by_then_minor, terms.currency)
    title = f"Promise of {amount} until {promise.promised_on}"
    text = f"{amount} was promised until {promise.promised_on} and has not come in. Call the customer."
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


def _at_most(today: dt.date, day: dt.date) -> dt.date:
    """Return a day that an action may be put off to."""
    return min(day, today + dt.timedelta(days=specific.FARTHEST_DAYS))
