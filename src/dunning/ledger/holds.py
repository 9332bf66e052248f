"""Holds: reminding stopped for a ledger, customer or item, with a reason; each ends by itself, or when it is released."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Literal
from uuid import UUID

from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import CustomerId, HoldId, ItemId, LedgerId, TenantId, new_id
from dunning.ledger import customer_store, customers, hold_store, item_store, ledger_store
from dunning.ledger.customer_state import bump_ledger, facts_changed, lock_customers
from dunning.ledger.hold_store import Hold
from dunning.ledger.ledger_store import Ledger
from dunning.ledger.outcomes import RowOutcome, unknown
from dunning.ledger.rows import HoldRow

DISPUTE = "dispute"
"""The reason whose held items count as disputed in a customer's position."""


class AlreadyReleased(Conflict):
    """The hold was released before."""

    code = "hold_released"
    title = "The hold is released"


def new_hold(
    ledger_id: LedgerId,
    scope: str,
    *,
    customer_id: CustomerId | None = None,
    item_id: ItemId | None = None,
    origin: str = "set",
    reason: str,
    comment: str | None,
    from_on: dt.date,
    until_on: dt.date | None,
    actor: str,
    at: dt.datetime,
) -> Hold:
    """Build a hold that begins on `from_on`; one that would end before it begins covers its first day only when it was stated late."""
    return Hold(HoldId(new_id()), ledger_id, customer_id, item_id, scope, origin, reason, comment, from_on, until_on, actor, at, None, None)


async def set_hold(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    scope: Literal["ledger", "customer", "item"],
    object_id: UUID,
    reason: str,
    comment: str | None,
    from_on: dt.date | None,
    until_on: dt.date | None,
) -> Hold:
    """Set a hold on one ledger, customer or item and return it.

    Each call sets another; the longest counts. Raises `NotFound` for an unknown object, `Malformed` when it would end before it begins.
    """
    ledger, customer_id, item_id = await _object(session, tenant_id, scope, object_id)
    today = local_date(clock.now(), ledger.time_zone)
    begins = from_on or today
    check_days(begins, until_on)
    hold = new_hold(
        ledger.ledger_id,
        scope,
        customer_id=customer_id,
        item_id=item_id,
        reason=reason,
        comment=comment,
        from_on=begins,
        until_on=until_on,
        actor=actor,
        at=clock.now(),
    )
    await _lock(session, tenant_id, [hold])
    await add_holds(session, clock, tenant_id=tenant_id, actor=actor, holds=[hold])
    await _facts_moved(session, tenant_id, ledger.ledger_id, [hold], today)
    return hold


def check_days(begins: dt.date, until_on: dt.date | None) -> None:
    """Raise `Malformed` where a hold would end before it begins."""
    if until_on is not None and until_on < begins:
        msg = f"until_on: {until_on} lies before the hold's first day {begins}"
        raise Malformed(msg, errors=[{"field": "until_on", "message": f"lies before the first day {begins}"}])


async def hold_customers(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    ledger: Ledger,
    customer_ids: Sequence[CustomerId],
    reason: str,
    until_on: dt.date | None,
) -> list[Hold]:
    """Set a hold from today on each of many customers of a ledger, as `set_hold` does on one, in the same number of statements for all.

    Raises `Malformed` when it would end before it begins.
    """
    today = local_date(clock.now(), ledger.time_zone)
    check_days(today, until_on)
    made = [
        new_hold(
            ledger.ledger_id, "customer", customer_id=one, reason=reason, comment=None, from_on=today, until_on=until_on, actor=actor, at=clock.now()
        )
        for one in customer_ids
    ]  # fmt: skip
    await _lock(session, tenant_id, made)
    await add_holds(session, clock, tenant_id=tenant_id, actor=actor, holds=made)
    await _facts_moved(session, tenant_id, ledger.ledger_id, made, today)
    return made


async def held_alike(
    session: ReadSession, *, tenant_id: TenantId, ledger: Ledger, customer_ids: Sequence[CustomerId], reason: str, until_on: dt.date | None, today: dt.date
) -> set[CustomerId]:
    """Return those of some customers of a ledger on whom, as customers, a hold for the same reason until the same day is in force."""
    found = await hold_store.set_holds_of(session, tenant_id, ledger.ledger_id, customer_ids)
    return {
        hold.customer_id
        for hold in found
        if hold.scope == "customer" and hold.customer_id is not None and hold.from_on <= today and (hold.reason, hold.until_on) == (reason, until_on)
    }


async def release_hold(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, hold_id: HoldId) -> Hold:
    """End a hold now. Raises `AlreadyReleased` on a second call, `NotFound`."""
    hold = await hold_of(session, tenant_id=tenant_id, hold_id=hold_id)
    ledger = await _ledger(session, tenant_id, hold.ledger_id)
    await _lock(session, tenant_id, [hold])
    released = await release_holds(session, clock, tenant_id=tenant_id, actor=actor, hold_ids=[hold_id])
    if not released:
        msg = f"This hold was released at {hold.released_at} by {hold.released_by}."
        raise AlreadyReleased(msg)
    await _facts_moved(session, tenant_id, hold.ledger_id, [hold], local_date(clock.now(), ledger.time_zone))
    return released[0]


async def hold_of(session: ReadSession, *, tenant_id: TenantId, hold_id: HoldId) -> Hold:
    """Return a hold; raise `NotFound`."""
    hold = await hold_store.hold_of(session, tenant_id, hold_id)
    if hold is None:
        noun = "hold"
        raise NotFound(noun)
    return hold


async def holds_after(
    session: ReadSession,
    *,
    tenant_id: TenantId,
    after: UUID | None,
    limit: int,
    ledger_id: UUID | None = None,
    customer_id: UUID | None = None,
    item_id: UUID | None = None,
    in_force_on: dt.date | None = None,
) -> list[Hold]:
    """Return holds past an id, narrowed by object and by a day on which they are in force; raise `NotFound` for an unknown customer."""
    if customer_id is not None:
        await customers.customer_of(session, tenant_id=tenant_id, customer_id=CustomerId(customer_id))
    return await hold_store.holds_after(
        session, tenant_id, after, limit, ledger_id=ledger_id, customer_id=customer_id, item_id=item_id, in_force_on=in_force_on
    )


async def add_holds(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, holds: Sequence[Hold]) -> None:
    """Insert holds and record their events; the caller locked the customers and says that facts changed."""
    if not holds:
        return
    await hold_store.insert_holds(session, tenant_id, holds)
    made = [_event("hold.set", hold, {"scope": hold.scope, "reason": hold.reason, "until_on": hold.until_on}) for hold in holds]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)


async def release_holds(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, hold_ids: Sequence[UUID]) -> list[Hold]:
    """Release what is not released yet and record its events; the caller locked the customers and says that facts changed."""
    if not hold_ids:
        return []
    released = await hold_store.release_holds(session, tenant_id, hold_ids, clock.now(), actor)
    made = [_event("hold.released", hold, {"scope": hold.scope, "reason": hold.reason}) for hold in released]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)
    return released


async def put_hold_rows(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger: Ledger, rows: Sequence[HoldRow]) -> list[RowOutcome]:
    """Set holds stated in a file; one that is in force in the same words already is `unchanged`, one on something unknown is parked."""
    customers = await customer_store.ids_of(session, tenant_id, ledger.ledger_id, [r.customer_external_id for r in rows if r.customer_external_id])
    items = await item_store.ids_of(session, tenant_id, ledger.ledger_id, [r.item_external_id for r in rows if r.item_external_id])
    today = local_date(clock.now(), ledger.time_zone)
    outcomes: list[RowOutcome | Hold] = []
    for row in rows:
        customer_id, item_id = None, None
        if row.customer_external_id is not None:
            customer_id = customers.get(row.customer_external_id)
            if customer_id is None:
                outcomes.append(unknown("customer", "customer_external_id", row.customer_external_id))
                continue
        if row.item_external_id is not None:
            item_id, customer_id = items.get(row.item_external_id, (None, None))
            if item_id is None:
                outcomes.append(unknown("item", "item_external_id", row.item_external_id))
                continue
        outcomes.append(
            new_hold(
                ledger.ledger_id,
                row.scope,
                customer_id=customer_id,
                item_id=item_id,
                reason=row.reason,
                comment=row.comment,
                from_on=row.from_on or min(today, row.until_on or today),
                until_on=row.until_on,
                actor=actor,
                at=clock.now(),
            )
        )
    wanted = [o for o in outcomes if isinstance(o, Hold)]
    await _lock(session, tenant_id, wanted)
    customer_ids = [h.customer_id for h in wanted if h.customer_id is not None]
    known = {_same(h) for h in await hold_store.set_holds_of(session, tenant_id, ledger.ledger_id, customer_ids)}
    added: list[Hold] = []
    answers: list[RowOutcome] = []
    for outcome in outcomes:
        if not isinstance(outcome, Hold):
            answers.append(outcome)
        elif _same(outcome) in known:
            answers.append(RowOutcome("unchanged"))
        else:
            known.add(_same(outcome))
            added.append(outcome)
            answers.append(RowOutcome("created", outcome.hold_id))
    await add_holds(session, clock, tenant_id=tenant_id, actor=actor, holds=added)
    await _facts_moved(session, tenant_id, ledger.ledger_id, added, today)
    return answers


def _same(hold: Hold) -> tuple[object, ...]:
    return hold.scope, hold.customer_id, hold.item_id, hold.reason, hold.until_on, hold.comment


async def _lock(session: Session, tenant_id: TenantId, holds: Sequence[Hold]) -> None:
    await lock_customers(session, tenant_id, {h.customer_id for h in holds if h.customer_id is not None})


async def _facts_moved(session: Session, tenant_id: TenantId, ledger_id: LedgerId, holds: Sequence[Hold], today: dt.date) -> None:
    await facts_changed(session, tenant_id, {h.customer_id for h in holds if h.customer_id is not None}, today)
    if any(h.scope == "ledger" for h in holds):
        await bump_ledger(session, tenant_id, ledger_id)


def _event(kind: str, hold: Hold, data: dict[str, object]) -> NewEvent:
    return NewEvent(kind, "hold", hold.hold_id, hold.customer_id, data)


async def _ledger(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId) -> Ledger:
    ledger = await ledger_store.ledger_of(session, tenant_id, ledger_id)
    if ledger is None:
        noun = "ledger"
        raise NotFound(noun)
    return ledger


async def _object(session: ReadSession, tenant_id: TenantId, scope: str, object_id: UUID) -> tuple[Ledger, CustomerId | None, ItemId | None]:
    if scope == "ledger":
        return await _ledger(session, tenant_id, LedgerId(object_id)), None, None
    if scope == "customer":
        customer = await customer_store.customer_of(session, tenant_id, CustomerId(object_id))
        if customer is None:
            raise NotFound(scope)
        return await _ledger(session, tenant_id, customer.ledger_id), customer.customer_id, None
    item = await item_store.item_of(session, tenant_id, ItemId(object_id))
    if item is None:
        raise NotFound(scope)
    return await _ledger(session, tenant_id, item.ledger_id), item.customer_id, item.item_id


def actors_of(found: Iterable[Hold]) -> set[str]:
    """Return those who have set or released some holds."""
    return {actor for hold in found for actor in (hold.created_by, hold.released_by) if actor is not None}
