"""What follows when promises turn: kept, broken, waiting, taken back or open again, with the plans that they are instalments of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from dunning.collection import action_store, item_fact_store, promise_follow_up, promise_store
from dunning.collection.action_store import NewActivity
from dunning.collection.despatch import Scene
from dunning.collection.item_fact_store import NewFact
from dunning.collection.promise_follow_up import Wanted
from dunning.collection.promise_rules import Judgement, Reason, State
from dunning.collection.promise_store import Turn
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import CustomerId, ItemId
from dunning.kit.money import format_minor
from dunning.ledger import item_comments
from dunning.ledger.customer_state import facts_changed
from dunning.ledger.item_statuses import PROMISED

ACTIVE = "active"
_STANDING = ("state", "reason", "last_on", "look_on", "received_minor", "paid_on")


class Change(NamedTuple):
    """A promise as it stood, as `promise_fact_store` returns it, and what it is from now on."""

    row: asyncpg.Record
    now: Judgement

    @property
    def is_none(self) -> bool:
        """Whether it stays what it was. One whose items were promised anew can only be found kept after all."""
        row, now = self.row, self.now
        if row["state"] == State.OPEN:
            return all(row[name] == getattr(now, name) for name in _STANDING)
        mended = row["state"] == State.BROKEN and now.state is State.KEPT
        return bool(row["state"] == now.state or (row["promised_anew"] and not mended))

    @property
    def turns(self) -> bool:
        """Whether it becomes something else."""
        return bool(self.row["state"] != self.now.state)

    @property
    def is_put_off(self) -> bool:
        """Whether it stays open, with another last day or something else that it waits for."""
        return not self.turns and (self.row["last_on"], self.row["reason"]) != (self.now.last_on, self.now.reason)

    @property
    def written(self) -> Turn:
        """What is written of it."""
        now = self.now
        return Turn(self.row["promise_id"], now.state, now.reason, now.received_minor, now.paid_on, now.last_on, now.look_on)


@dataclass(frozen=True, slots=True)
class _Agreement:
    """A promise or a plan after changes: whether it was and is open, its state, and the promise by which it ends with that one's last day.

    `breach` is the promise that was broken now, of a plan the instalment that was missed.
    """

    source: str
    source_id: UUID
    was_open: bool
    state: str
    is_new: bool
    last: asyncpg.Record
    last_on: dt.date | None
    breach: Change | None

    @property
    def is_open(self) -> bool:
        """Whether money is still awaited."""
        return self.state in {State.OPEN, ACTIVE}


async def follow(
    session: Session,
    clock: Clock,
    scene: Scene,
    changes: Sequence[Change],
    rows: Sequence[asyncpg.Record],
    *,
    why: str | None = None,
    plan_state: str | None = None,
) -> int:
    """Write what promises are from now on and all that hangs on it, and return how many became something else.

    That is their plans, the statuses of their items, the facts that steps wait for, calls, activities and events. `rows` are all that were looked at,
    `why` is what somebody said. The caller holds the customers' locks.
    """
    turned, put_off = [c for c in changes if c.turns], [c for c in changes if c.is_put_off]
    await promise_store.turn(session, scene.tenant_id, [change.written for change in turned], scene.today)
    await promise_store.note_standings(session, scene.tenant_id, [change.written for change in changes if not change.turns])
    if not turned and not put_off:
        return 0
    plans = await _settle_plans(session, clock, scene, turned, why, plan_state)
    agreements = _agreements(rows, [*turned, *put_off], plans)
    await _set_statuses(session, clock, scene, agreements)
    await _note_broken(session, scene, [change for change in turned if change.now.state is State.BROKEN])
    await promise_follow_up.keep_up(session, clock, scene, [_wanted(one, scene.today) for one in agreements])
    mended = [change.row for change in turned if change.row["state"] == State.BROKEN]
    await promise_follow_up.take_back_steps(session, clock, scene, [item_id for row in mended for item_id in row["item_ids"]])
    await _tell(session, clock, scene, [*turned, *put_off], why)
    await facts_changed(session, scene.tenant_id, {CustomerId(change.row["customer_id"]) for change in (*turned, *put_off)}, scene.today)
    return len(turned)


async def _settle_plans(session: Session, clock: Clock, scene: Scene, turned: Sequence[Change], why: str | None, plan_state: str | None) -> Mapping[UUID, str]:
    """Let the plans of promises that turned be what their instalments make of them, and return the states of those that changed."""
    plan_ids = {change.row["plan_id"] for change in turned if change.row["plan_id"] is not None}
    if not plan_ids:
        return {}
    settled = await promise_store.settle_plans(session, scene.tenant_id, sorted(plan_ids), scene.today, ended=plan_state)
    told = [
        NewEvent(
            "payment_plan.reopened" if row["state"] == ACTIVE else f"payment_plan.{row['state']}", "payment_plan", row["plan_id"],
            CustomerId(row["customer_id"]), {"reason": why},
        )
        for row in settled
    ]  # fmt: skip
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)
    return {row["plan_id"]: row["state"] for row in settled}


def _agreements(rows: Sequence[asyncpg.Record], changes: Sequence[Change], plans: Mapping[UUID, str]) -> list[_Agreement]:
    now = {change.row["promise_id"]: change for change in changes}
    touched = {change.row["agreement_id"] for change in changes}
    last = {row["agreement_id"]: row for row in rows if row["agreement_id"] in touched}
    breaches = {change.row["agreement_id"]: change for change in changes if change.turns and change.now.state is State.BROKEN}
    found = []
    for agreement_id, row in last.items():
        change = now.get(row["promise_id"])
        last_on = row["last_on"] if change is None else change.now.last_on
        if row["plan_id"] is not None:
            was, is_new = row["plan_state"], row["plan_id"] in plans
            found.append(_Agreement("plan", agreement_id, was == ACTIVE, plans.get(row["plan_id"], was), is_new, row, last_on, breaches.get(agreement_id)))
        elif change is not None:
            found.append(
                _Agreement("promise", agreement_id, row["state"] == State.OPEN, change.now.state, change.turns, row, last_on, breaches.get(agreement_id))
            )
    return found


def _wanted(agreement: _Agreement, today: dt.date) -> Wanted:
    """Return when a promise wants its call: the day after its last, today once it is broken, never while it waits or when it is over."""
    row = agreement.last
    if agreement.is_open:
        on, expected_on = None, None
        if agreement.last_on is not None:
            on, expected_on = agreement.last_on + dt.timedelta(days=1), agreement.last_on - dt.timedelta(days=row["grace_days"])
        anew = agreement.is_new or row["last_on"] is None
        words = promise_follow_up.words_while_open(row, row["promised_on"]) if agreement.is_new else None
        return Wanted(row, row["item_ids"], on, "promise_waits", anew=anew, over=False, promised_on=row["promised_on"], expected_on=expected_on, words=words)
    if agreement.state == State.BROKEN:
        breach = agreement.breach
        words = None if breach is None else promise_follow_up.words_of_breach(breach.row, breach.now.received_minor)
        return Wanted(row, row["item_ids"], today, "promise_broken", anew=agreement.is_new, over=True, promised_on=row["promised_on"], words=words)
    return Wanted(
        row, row["item_ids"], None, "promise_kept" if agreement.state == State.KEPT else "not_needed", anew=False, over=True, promised_on=row["promised_on"]
    )


async def _set_statuses(session: Session, clock: Clock, scene: Scene, agreements: Iterable[_Agreement]) -> None:
    """Give items their status of a promise when it is open again, and the one that they had before when it is not any more."""
    for source in ("promise", "plan"):
        own = [one for one in agreements if one.source == source and one.was_open != one.is_open]
        for is_open, change in ((False, item_comments.take_back_status), (True, item_comments.bring_back_status)):
            sources: dict[UUID, Sequence[ItemId]] = {one.source_id: one.last["item_ids"] for one in own if one.is_open == is_open}
            if sources:
                await change(
                    session, clock, tenant_id=scene.tenant_id, actor=scene.actor, source=source, sources=sources, category=PROMISED,
                )  # fmt: skip


async def _note_broken(session: Session, scene: Scene, broken: Sequence[Change]) -> None:
    """Note the fact that steps wait for, from the day on which a promise was broken; for a second breach the same day it is the same fact."""
    facts = [NewFact(row["customer_id"], item_id, now.broken_on or scene.today, row["promise_id"]) for row, now in broken for item_id in row["item_ids"]]
    await item_fact_store.insert_facts(session, scene.tenant_id, "promise_broken", facts)


async def _tell(session: Session, clock: Clock, scene: Scene, changes: Sequence[Change], why: str | None) -> None:
    told = [NewEvent(_kind(change), "promise", change.row["promise_id"], CustomerId(change.row["customer_id"]), _data(change, why)) for change in changes]
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)
    activities = [
        NewActivity(
            customer_id=CustomerId(change.row["customer_id"]), action_id=None, kind=_kind(change).replace(".", "_"), text=text,
            data={"promise_id": change.row["promise_id"], "plan_id": change.row["plan_id"]},
        )
        for change in changes
        if (text := _said(change)) is not None
    ]  # fmt: skip
    await action_store.insert_activities(session, scene.tenant_id, scene.ledger.ledger_id, activities, actor=scene.actor, business_at=clock.now())


def _kind(change: Change) -> str:
    if change.turns:
        return "promise.reopened" if change.now.state is State.OPEN else f"promise.{change.now.state}"
    return "promise.put_off" if change.now.reason is None else "promise.waits"


def _data(change: Change, why: str | None) -> dict[str, Any]:
    row, now = change
    data = {"promised_on": row["promised_on"], "plan_id": row["plan_id"], "reason": why or now.reason, "last_on": now.last_on, "paid_on": now.paid_on}
    return data | {"was": row["state"]} if change.turns else data


def _said(change: Change) -> str | None:
    """Return what the customer's history says of a promise that was broken, or of a verdict that did not last."""
    row, now = change
    if not change.turns or (row["state"] == State.OPEN and now.state is not State.BROKEN) or now.state is State.CANCELLED:
        return None
    currency = row["currency"]
    due, received = (f"{format_minor(minor, currency)} {currency}" for minor in (row["due_by_then_minor"], now.received_minor))
    text = f"{due} was promised until {row['promised_on']}; {received} has come in."
    if now.state is State.KEPT:
        return f"{text} Its value date is {now.paid_on}: the promise was kept, although that was booked later."
    if now.state is State.OPEN:
        return f"{text} The promise is open again until {now.last_on}." if now.last_on else f"{text} The promise is open again."
    return f"{text} A payment of it was returned." if now.reason is Reason.PAYMENT_RETURNED else text
