"""What comes after a dispute in which the customer is right: its items are held until the credit note has arrived, and somebody sees to that."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import carrying, dispute_store, follow_up_store, owners, specific
from dunning.collection.despatch import Scene
from dunning.collection.specific import FARTHEST_DAYS
from dunning.collection.specific_rules import AD_HOC, Content, NewSpecific
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed
from dunning.kit.ids import ActionId, CustomerId, DisputeId, ItemId, TenantId
from dunning.kit.money import Money
from dunning.ledger import holds

ACCEPTED, PARTLY_ACCEPTED = "accepted", "partly_accepted"
HOLD_DAYS = 30
"""For how long the items are held for which a credit note is awaited, where nobody says it."""
TASK_DAYS = 14
"""When somebody is to see to the credit note of items that are not held."""
CREDIT_AWAITED, RESOLVED = "credit_note_awaited", "dispute_resolved"
CREDITED = "credited"


class CreditAboveOpen(Conflict):
    """A credit note is announced over more than the items owe."""

    code = "credit_above_open"
    title = "More is to be credited than is open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What comes after a dispute. The items are held to the last day given, or for some days from today; 0 days is not at all.

    Nothing given: for 30 days where a credit note is awaited, which is so when the dispute was accepted or `credit` says how much; else not at all.
    """

    hold_until: dt.date | None = None
    hold_days: int | None = None
    credit: Money | None = None


def check(scene: Scene, resolution: str, following: Next) -> None:
    """Raise `Malformed` where what comes next contradicts how a dispute ended, or itself."""
    if following.credit is not None and resolution not in {ACCEPTED, PARTLY_ACCEPTED}:
        msg = f"credit_note: nothing is credited for a dispute that is {resolution}."
        raise Malformed(msg, errors=[{"field": "credit_note", "message": "goes with accepted and partly_accepted"}])
    if following.hold_until is not None and following.hold_days is not None:
        msg = "hold_until: give a day or a number of days, not both."
        raise Malformed(msg, errors=[{"field": "hold_until", "message": "is given beside hold_days"}])
    if following.hold_until is not None and not scene.today <= following.hold_until <= scene.today + dt.timedelta(days=FARTHEST_DAYS):
        msg = f"hold_until: expected a day from {scene.today} on, within a year."
        raise Malformed(msg, errors=[{"field": "hold_until", "message": "expected a day from today on, within a year"}])


async def begin(session: Session, clock: Clock, scene: Scene, dispute: asyncpg.Record, resolution: str, following: Next) -> None:
    """Hold the items of a dispute that has just been resolved, and have somebody see to the credit note, as far as anything is still owed.

    The caller holds the customer's lock and says that facts changed. Raises `Malformed` for a credit note in a currency that the items are not in,
    and `CreditAboveOpen`.
    """
    owed = [item for item in dispute["items"] if item["is_owed"]]
    credit = _credit(resolution, owed, following.credit)
    until = _held_until(scene.today, following, awaited=bool(credit))
    if not owed or (until is None and not credit):
        return
    task = await _task(session, clock, scene, dispute, owed, until, following.credit) if credit else None
    await dispute_store.await_credit(
        session, scene.tenant_id, DisputeId(dispute["dispute_id"]), held_until=until, credit_minor=credit, task=task
    )  # fmt: skip
    if until is not None:
        held = [
            holds.new_hold(
                scene.ledger.ledger_id, "item", customer_id=CustomerId(dispute["customer_id"]), item_id=ItemId(UUID(item["item_id"])), origin="dispute",
                reason=CREDIT_AWAITED if credit else RESOLVED, comment=dispute["resolution_text"], from_on=scene.today, until_on=until, actor=scene.actor,
                at=clock.now(),
            )
            for item in owed
        ]  # fmt: skip
        await holds.add_holds(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, holds=held)
    await end_credited(session, clock, scene, [CustomerId(dispute["customer_id"])])


async def end_credited(session: Session, clock: Clock, scene: Scene, customer_ids: Sequence[CustomerId]) -> int:
    """Release what was held until a credit note of disputes of some customers, as far as it has arrived, end its task, and return how many there were.

    The caller holds the customers' locks. A second call finds none.
    """
    arrived = await dispute_store.credited(session, scene.tenant_id, customer_ids)
    if arrived:
        hold_ids = [hold_id for row in arrived for hold_id in row["hold_ids"] or ()]
        await holds.release_holds(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, hold_ids=hold_ids)
        tasks = await follow_up_store.live_actions(session, scene.tenant_id, [row["follow_up_action_id"] for row in arrived])
        await carrying.cancel(session, clock, scene, tasks, CREDITED)
        told = [NewEvent("dispute.credited", "dispute", row["dispute_id"], CustomerId(row["customer_id"]), {}) for row in arrived]
        await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)
    return len(arrived)


async def active(session: ReadSession, tenant_id: TenantId, owner_id: UUID | None) -> UUID | None:
    """Return the owner of a dispute where that is somebody who is still active; else the task is for the lead collector."""
    return owner_id if await owners.may_have(session, tenant_id, owner_id) else None


def _held_until(today: dt.date, following: Next, *, awaited: bool) -> dt.date | None:
    if following.hold_until is not None:
        return following.hold_until
    days = following.hold_days if following.hold_days is not None else HOLD_DAYS if awaited else 0
    return today + dt.timedelta(days=days) if days else None


def _credit(resolution: str, owed: Sequence[dict[str, Any]], stated: Money | None) -> dict[ItemId, int]:
    """Return what is to be credited for each item: what was contested where the dispute was accepted, else what is stated, the oldest items first."""
    if stated is None:
        return {ItemId(UUID(item["item_id"])): min(item["disputed_minor"], item["open_minor"]) for item in owed} if resolution == ACCEPTED else {}
    if any(item["currency"] != stated.currency for item in owed):
        msg = f"credit_note: is in {stated.currency}, but not all items are. Leave it out, or resolve the dispute of each currency by itself."
        raise Malformed(msg, errors=[{"field": "credit_note", "message": "is in another currency than the items"}])
    whole = Money(sum(item["open_minor"] for item in owed), stated.currency)
    if stated.minor > whole.minor:
        msg = f"{stated} is to be credited, but {whole} is open of the items. Announce at most that."
        raise CreditAboveOpen(msg, credit_note=str(stated), open=str(whole))
    found, left = {}, stated.minor
    for item in owed:
        found[ItemId(UUID(item["item_id"]))] = min(left, item["open_minor"])
        left -= found[ItemId(UUID(item["item_id"]))]
    return found


async def _task(
    session: Session, clock: Clock, scene: Scene, dispute: asyncpg.Record, owed: Sequence[dict[str, Any]], until: dt.date | None, stated: Money | None
) -> ActionId:
    """Make the task of the dispute's owner, for the last held day; it ends by itself when the credit note has arrived."""
    numbers = ", ".join(item["number"] for item in owed[:5]) + (f" and {len(owed) - 5} more" if len(owed) > 5 else "")
    amount = "The credit note" if stated is None else f"The credit note over {stated}"
    held = "" if until is None else f" They are held until {until}."
    new = NewSpecific(
        title=f"Credit note: {dispute['reason'].replace('_', ' ')}",
        content=Content(kind="task", task_kind="other", task_text=f"{amount} for {numbers} is to be issued.{held}"), origin=AD_HOC,
        scheduled_on=until or scene.today + dt.timedelta(days=TASK_DAYS),
        person_id=await active(session, scene.tenant_id, dispute["owner_id"]),
    )  # fmt: skip
    action = await specific.create(
        session, clock, tenant_id=scene.tenant_id, actor=scene.actor, customer_id=CustomerId(dispute["customer_id"]),
        item_ids=[UUID(item["item_id"]) for item in owed], new=new, outbound=scene.outbound,
    )  # fmt: skip
    return ActionId(action["action_id"])
