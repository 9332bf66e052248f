"""Promises to pay: what, until when, for which items; kept and broken are found without anybody looking."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import asyncpg

from dunning.collection import agreed_items, promise_fact_store, promise_follow_up, promise_store, promise_verdicts, scenes
from dunning.collection.agreed_items import AgreedItem
from dunning.collection.despatch import Outbound, Scene
from dunning.collection.promise_rules import broken_on, last_day, running_totals
from dunning.collection.promise_store import NewPromise, PromiseFilter, Terms
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound, PreconditionFailed
from dunning.kit.ids import CustomerId, ItemId, LedgerId, PlanId, PromiseId, TenantId, new_id
from dunning.kit.money import Money
from dunning.ledger import customers, item_comments, item_statuses, ledgers
from dunning.ledger.customer_state import facts_changed, lock_customers, watch
from dunning.ledger.item_statuses import PROMISED

FARTHEST_DAYS = 366

Source = Literal["team", "customer"]


class AlreadyPromised(Conflict):
    """An item is in another open promise; what comes in could not be told apart."""

    code = "already_promised"
    title = "An item is promised already"


class ItemDisputed(Conflict):
    """An item is disputed; it is promised once the dispute is resolved."""

    code = "item_disputed"
    title = "An item is disputed"


class PromiseAboveOpen(Conflict):
    """More is promised than the items owe."""

    code = "promise_above_open"
    title = "More is promised than is open"


class PromiseEnded(Conflict):
    """The promise is kept, broken or cancelled."""

    code = "promise_ended"
    title = "The promise is over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """What a customer promises. Without items: its oldest debts that the amount covers, as far as they are due by the day."""

    customer_id: CustomerId
    item_ids: Sequence[ItemId] | None
    amount: Money
    promised_on: dt.date
    grace_days: int = 0
    tolerance_percent: int = 0
    pauses: bool = True
    source: Source = "team"
    note: str | None = None
    status_code: str = PROMISED
    reminder: promise_follow_up.Reminder | None = None


async def record_promise(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, promised: Promised, outbound: Outbound) -> asyncpg.Record:
    """Record a promise and return it: its items have the status, and where it pauses nobody reminds of them until its day and grace are over.

    A call is put on the list for the day on which it would be broken, and taken off when it is kept. Raises `NotFound`, `Malformed` for a day that is
    past, `AlreadyPromised`, `ItemDisputed`, `ItemNotOpen`, and `PromiseAboveOpen` with both amounts.
    """
    customer = await customers.customer_of(session, tenant_id=tenant_id, customer_id=promised.customer_id)
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=customer.ledger_id, outbound=outbound, actor=actor)
    check_day("promised_on", promised.promised_on, scene.today)
    items = await chosen(session, tenant_id, promised.customer_id, promised.item_ids, promised.amount, promised.promised_on)
    terms = Terms(
        ledger_id=customer.ledger_id, customer_id=customer.customer_id, plan_id=None, currency=promised.amount.currency, grace_days=promised.grace_days,
        tolerance_percent=promised.tolerance_percent, pauses=promised.pauses, source=promised.source, note=promised.note, given_on=scene.today,
    )  # fmt: skip
    (promise_id,) = await write(session, clock, scene, terms, items, [(promised.promised_on, promised.amount.minor)], promised.status_code, promised.reminder)
    return await promise_of(session, tenant_id=tenant_id, promise_id=promise_id)


async def write(
    session: Session,
    clock: Clock,
    scene: Scene,
    terms: Terms,
    items: Sequence[AgreedItem],
    parts: Sequence[tuple[dt.date, int]],
    status_code: str,
    reminder: promise_follow_up.Reminder | None = None,
) -> list[PromiseId]:
    """Write promises about the same items, one for each day and amount, with all that hangs on them, and return their ids. The customer is locked."""
    tenant_id, customer_id = scene.tenant_id, terms.customer_id
    status = await item_statuses.status_of(session, tenant_id=tenant_id, code=status_code)
    if status.category != PROMISED:
        msg = f"status_code: {status.code} is of the category {status.category}. A promise sets a status of the category promised."
        raise Malformed(msg, errors=[{"field": "status_code", "message": "is not of the category promised"}])
    totals = running_totals([minor for _, minor in parts])
    made = [
        NewPromise(
            promise_id=PromiseId(new_id()), instalment=None if terms.plan_id is None else number, amount_minor=minor, due_by_then_minor=total,
            promised_on=day,
        )
        for number, ((day, minor), total) in enumerate(zip(parts, totals, strict=True), 1)
    ]  # fmt: skip
    last = made[-1]
    # Before the promise stands, which would keep back a reminder of today that it does not name yet.
    actions = await promise_follow_up.make(session, clock, scene, terms, last, items, reminder)
    await promise_store.insert_promises(session, tenant_id, terms, made, {item.item_id: item.open_minor for item in items}, actor=scene.actor)
    await watch(session, tenant_id, [customer_id])
    await promise_store.note_actions(session, tenant_id, last.promise_id, actions.follow_up, actions.reminder)
    anew = "new_promise" if terms.plan_id is None else "new_payment_plan"
    await promise_follow_up.end_calls(session, clock, scene, [item.item_id for item in items], anew)
    await item_comments.qualify(
        session, clock, tenant_id=tenant_id, actor=scene.actor, ledger_id=terms.ledger_id, customer_id=customer_id, item_ids=[i.item_id for i in items],
        status_code=status.code, text=terms.note, source="promise" if terms.plan_id is None else "plan", source_id=terms.plan_id or last.promise_id,
    )  # fmt: skip
    told = [
        NewEvent("promise.recorded", "promise", one.promise_id, customer_id, {"promised_on": one.promised_on, "plan_id": terms.plan_id, "source": terms.source})
        for one in made
    ]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=scene.actor, events=told)
    return [one.promise_id for one in made]


async def change_promise(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    promise_id: PromiseId,
    expected_version: int | None,
    reason: str | None,
    outbound: Outbound,
    **values: Any,
) -> asyncpg.Record:
    """Move an open promise to another day, or change its grace, pause, tolerance or note; return it. What it said before stays in its history.

    Raises `NotFound`, `PromiseEnded`, `PreconditionFailed` when it is no longer at `expected_version` (None: whatever it is), `Malformed` for a past
    day or one that lies beyond a neighbouring instalment. The same again changes nothing.
    """
    promise = await _taken(session, tenant_id, promise_id)
    if expected_version is not None and promise["version"] != expected_version:
        msg = f"The promise is at version {promise['version']}, not {expected_version}. Read it again and repeat the change on what it says now."
        raise PreconditionFailed(msg, version=promise["version"])
    changed = {name: value for name, value in values.items() if value != promise[name]}
    if not changed:
        return promise
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=LedgerId(promise["ledger_id"]), outbound=outbound, actor=actor)
    today, customer_id = scene.today, CustomerId(promise["customer_id"])
    promised_on = changed.get("promised_on", promise["promised_on"])
    if "promised_on" in changed:
        check_day("promised_on", promised_on, today)
        await _between_neighbours(session, tenant_id, promise, promised_on)
    grace_days = changed.get("grace_days", promise["grace_days"])
    days = _days(promise, changed, promised_on, grace_days, today)
    await promise_store.update_promise(session, tenant_id, promise_id, changed | days)
    if changed.keys() & {"promised_on", "grace_days"}:
        await promise_follow_up.move(session, clock, scene, promise, promised_on, grace_days, days.get("last_on"))
    kind = "promise.moved" if "promised_on" in changed else "promise.changed"
    data = {"from": {name: promise[name] for name in changed}, "to": changed, "reason": reason}
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=[NewEvent(kind, "promise", promise_id, customer_id, data)])
    await facts_changed(session, tenant_id, [customer_id], today)
    return await promise_of(session, tenant_id=tenant_id, promise_id=promise_id)


async def cancel_promise(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, promise_id: PromiseId, reason: str, outbound: Outbound
) -> asyncpg.Record:
    """Take back an open promise; its items have the status that they had before. An instalment goes with its plan only, which is cancelled instead.

    Raises `NotFound`, `PromiseEnded` on a second call, `Malformed` for an instalment.
    """
    promise = await _taken(session, tenant_id, promise_id)
    if promise["plan_id"] is not None:
        msg = f"This promise is instalment {promise['instalment']} of a payment plan. Cancel the plan, and agree on a new one for the rest."
        raise Malformed(msg, plan_id=str(promise["plan_id"]))
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=LedgerId(promise["ledger_id"]), outbound=outbound, actor=actor)
    found = await promise_fact_store.open_promises(session, tenant_id, CustomerId(promise["customer_id"]))
    await promise_verdicts.take_back(session, clock, scene, [row for row in found if row["promise_id"] == promise_id], why=reason)
    return await promise_of(session, tenant_id=tenant_id, promise_id=promise_id)


async def promise_of(session: ReadSession, *, tenant_id: TenantId, promise_id: PromiseId) -> asyncpg.Record:
    """Return a promise with its items and what has come in; raise `NotFound`."""
    row = await promise_store.promise_of(session, tenant_id, promise_id)
    if row is None:
        noun = "promise"
        raise NotFound(noun)
    return row


async def history_of(session: ReadSession, *, tenant_id: TenantId, promise: asyncpg.Record) -> list[asyncpg.Record]:
    """Return what happened to a promise, the oldest first: when it was given, moved, kept or broken, and by whom."""
    return await promise_store.history_of(session, tenant_id, CustomerId(promise["customer_id"]), promise["promise_id"])


async def promises_after(session: ReadSession, *, tenant_id: TenantId, where: PromiseFilter, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return promises past an id, by id; raise `NotFound` where the filter names an unknown ledger or customer."""
    if where.ledger_id is not None:
        await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=LedgerId(where.ledger_id))
    if where.customer_id is not None:
        await customers.customer_of(session, tenant_id=tenant_id, customer_id=CustomerId(where.customer_id))
    return await promise_store.promises_after(session, tenant_id, where, after, limit)


async def chosen(
    session: Session, tenant_id: TenantId, customer_id: CustomerId, item_ids: Sequence[ItemId] | None, amount: Money | None, due_to: dt.date,
    currency: str | None = None,
) -> list[AgreedItem]:  # fmt: skip
    """Lock the customer and return the items of an agreement: the named ones, or its oldest debts as far as the amount goes.

    Without an amount all of them are taken. Raises what stands in the way of promising them.
    """
    wanted = amount.currency if amount is not None else currency
    if item_ids is None:
        if wanted is None:
            msg = "currency: without items and total, say which currency the plan is about."
            raise Malformed(msg, errors=[{"field": "currency", "message": "is missing"}])
        found = _covering(await agreed_items.lock_owed(session, tenant_id, customer_id, wanted, due_to), amount)
    else:
        found = await agreed_items.lock_named(session, tenant_id, item_ids)
        if found and found[0].customer_id != customer_id:
            msg = "item_ids: the items belong to another customer."
            raise Malformed(msg, errors=[{"field": "item_ids", "message": "belong to another customer"}])
    _refuse(found, wanted)
    open_minor = sum(item.open_minor for item in found)
    if amount is not None and amount.minor > open_minor:
        has = Money(open_minor, amount.currency)
        msg = f"{amount} is promised, but {has} is open of the items. Promise at most that, or name further items."
        raise PromiseAboveOpen(msg, promised=str(amount), open=str(has))
    return found


def check_day(field: str, day: dt.date, today: dt.date) -> None:
    """Raise `Malformed` for a day in the past or farther than a year away."""
    if not today <= day <= today + dt.timedelta(days=FARTHEST_DAYS):
        msg = f"{field}: expected a day from {today} on, within a year."
        raise Malformed(msg, errors=[{"field": field, "message": "expected a day from today on, within a year"}])


def _covering(items: Sequence[AgreedItem], amount: Money | None) -> list[AgreedItem]:
    """Return the first items that add up to an amount, all where they do not."""
    found: list[AgreedItem] = []
    left = None if amount is None else amount.minor
    for item in items:
        if left is not None and left <= 0:
            break
        found.append(item)
        left = None if left is None else left - item.open_minor
    return found


def _refuse(items: Sequence[AgreedItem], currency: str | None) -> None:
    if not items:
        msg = f"Nothing in {currency} is due by that day that is neither disputed nor promised. Name the items."
        raise PromiseAboveOpen(msg)
    foreign = [item for item in items if item.currency != (currency or items[0].currency)]
    if foreign:
        msg = f"{agreed_items.numbers_of(foreign)} is in {foreign[0].currency}. A promise is in one currency; currencies are never added."
        raise Malformed(msg, errors=[{"field": "item_ids", "message": "are in several currencies"}])
    disputed = [item for item in items if item.dispute_id is not None]
    if disputed:
        msg = f"{agreed_items.numbers_of(disputed)} is disputed. Resolve the dispute first, or leave it out."
        raise ItemDisputed(msg, item_ids=[str(item.item_id) for item in disputed])
    taken = [item for item in items if item.promise_id is not None]
    if taken:
        msg = f"{agreed_items.numbers_of(taken)} is promised already. Move that promise, cancel it, or agree on a payment plan."
        raise AlreadyPromised(msg, promises=[{"item_id": str(item.item_id), "promise_id": str(item.promise_id)} for item in taken])


async def _taken(session: Session, tenant_id: TenantId, promise_id: PromiseId) -> asyncpg.Record:
    """Lock the customer and return the open promise as it is then."""
    seen = await promise_of(session, tenant_id=tenant_id, promise_id=promise_id)
    await lock_customers(session, tenant_id, [CustomerId(seen["customer_id"])])
    promise = await promise_of(session, tenant_id=tenant_id, promise_id=promise_id)
    if promise["state"] != "open":
        msg = f"The promise was {promise['state']} on {promise['decided_on']}. Record a new one for what is still open."
        raise PromiseEnded(msg, state=promise["state"])
    return promise


def _days(promise: asyncpg.Record, changed: Mapping[str, Any], promised_on: dt.date, grace_days: int, today: dt.date) -> dict[str, Any]:
    """Return the days that go with a new one. What was disputed or held before that was agreed puts it off no more; one that waits goes on waiting."""
    agreed = {"agreed_on": today} if "promised_on" in changed else {}
    if promise["last_on"] is None or not changed.keys() & {"promised_on", "grace_days"}:
        return agreed
    return agreed | {"last_on": last_day(promised_on, grace_days), "look_on": broken_on(promised_on, grace_days)}


async def _between_neighbours(session: ReadSession, tenant_id: TenantId, promise: asyncpg.Record, promised_on: dt.date) -> None:
    if promise["plan_id"] is None:
        return
    for other in await promise_store.promises_of_plans(session, tenant_id, [PlanId(promise["plan_id"])]):
        wrong = other["instalment"] < promise["instalment"] and other["promised_on"] >= promised_on
        wrong = wrong or (other["instalment"] > promise["instalment"] and other["promised_on"] <= promised_on)
        if wrong:
            msg = f"promised_on: instalment {other['instalment']} of the plan is on {other['promised_on']}; the order of instalments stays."
            raise Malformed(msg, errors=[{"field": "promised_on", "message": "lies beyond a neighbouring instalment"}])
