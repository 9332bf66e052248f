"""Disputes: items that the customer contests. They are reminded of by nobody until it is resolved, and count in every balance all the while."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import asyncpg

from dunning.collection import (
    action_store,
    agreed_items,
    carrying,
    dispute_credits,
    dispute_store,
    endings,
    follow_up_store,
    item_fact_store,
    leaving,
    owners,
    scenes,
    sheet_store,
    specific,
    specific_store,
    status_follow_ups,
)
from dunning.collection.action_store import NewActivity
from dunning.collection.agreed_items import AgreedItem
from dunning.collection.despatch import Outbound, Scene
from dunning.collection.dispute_credits import Next
from dunning.collection.dispute_store import DisputeFilter, NewDispute
from dunning.collection.item_fact_store import NewFact
from dunning.collection.specific import FARTHEST_DAYS
from dunning.collection.specific_rules import AD_HOC, SPECIFIC, Content, NewSpecific
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound, PreconditionFailed
from dunning.kit.ids import ActionId, CustomerId, DisputeId, ItemId, LedgerId, PersonId, TenantId, new_id
from dunning.kit.money import Money
from dunning.ledger import customers, item_comments, item_statuses, ledgers
from dunning.ledger.comment_store import Mark
from dunning.ledger.customer_state import facts_changed, lock_customers, watch
from dunning.ledger.item_statuses import DISPUTE_RESOLVED, DISPUTED
from dunning.scenarios.steps import StepKind
from dunning.tenancy import people

FOLLOW_UP_DAYS = 14
"""When a dispute is followed up where neither a deadline nor the status says it."""
WITHDRAWN = "withdrawn"

Resolution = Literal["accepted", "partly_accepted", "rejected", "withdrawn"]


class AlreadyDisputed(Conflict):
    """An item is in another open dispute."""

    code = "already_disputed"
    title = "An item is disputed already"


class AlreadyResolved(Conflict):
    """The dispute is resolved."""

    code = "dispute_resolved"
    title = "The dispute is resolved"


class ContestedAboveOpen(Conflict):
    """More is contested than the items owe."""

    code = "contested_above_open"
    title = "More is contested than is open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contested:
    """What somebody contests and why. `amount` None is all that is open; less is taken from the oldest items first.

    `deadline_on` None is the follow-up delay of the status.
    """

    item_ids: Sequence[ItemId]
    reason: str
    text: str | None = None
    source: Literal["team", "customer"] = "team"
    owner_id: UUID | None = None
    deadline_on: dt.date | None = None
    status_code: str = DISPUTED
    amount: Money | None = None


async def open_dispute(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, contested: Contested, outbound: Outbound) -> asyncpg.Record:
    """Open a dispute on items of one customer: their status is set, a task follows it up, and no message names them; return it.

    What of them is queued is stopped at the fence, and a promise about them waits. Raises `NotFound` for an unknown item, person or status,
    `AlreadyDisputed` naming the other dispute, `ItemNotOpen`, `Malformed`, also for an owner who has left.
    """
    items = await agreed_items.lock_named(session, tenant_id, contested.item_ids)
    _refuse_disputed(items)
    ledger_id, customer_id = items[0].ledger_id, items[0].customer_id
    status = await item_statuses.status_of(session, tenant_id=tenant_id, code=contested.status_code)
    if status.category != DISPUTED:
        msg = f"status_code: {status.code} is of the category {status.category}. A dispute sets a status of the category disputed."
        raise Malformed(msg, errors=[{"field": "status_code", "message": "is not of the category disputed"}])
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=ledger_id, outbound=outbound, actor=actor)
    owner_id = await _owner(session, tenant_id, customer_id, contested.owner_id)
    deadline_on = contested.deadline_on or (scene.today + dt.timedelta(days=status.follow_up_days) if status.follow_up_days is not None else None)
    _check_deadline(contested.deadline_on, scene.today)
    amounts = _amounts(items, contested.amount)
    new = NewDispute(
        dispute_id=DisputeId(new_id()), ledger_id=ledger_id, customer_id=customer_id, reason=contested.reason, text=contested.text,
        source=contested.source, owner_id=owner_id, deadline_on=deadline_on, opened_on=scene.today, disputed_minor=amounts,
        whole={item.item_id for item in items if amounts[item.item_id] == item.open_minor},
    )  # fmt: skip
    await dispute_store.insert_dispute(session, tenant_id, new, actor=actor)
    await watch(session, tenant_id, [customer_id])
    await leaving.leave(session, clock, scene, [customer_id], [item.item_id for item in items], leaving.DISPUTED)
    follow_up = await _follow_up(session, clock, scene, contested.reason, owner_id, items, deadline_on)
    await dispute_store.note_follow_up(session, tenant_id, new.dispute_id, follow_up)
    await item_comments.qualify(
        session, clock, tenant_id=tenant_id, actor=actor, ledger_id=ledger_id, customer_id=customer_id, item_ids=[item.item_id for item in items],
        status_code=status.code, text=contested.text, source="dispute", source_id=new.dispute_id,
    )  # fmt: skip
    await status_follow_ups.leave(session, clock, scene, [item.item_id for item in items])
    data = {"reason": new.reason, "source": new.source, "item_ids": [item.item_id for item in items], "deadline_on": deadline_on, "action_id": follow_up}
    await events.record_many(
        session, clock, tenant_id=tenant_id, actor=actor, events=[NewEvent("dispute.opened", "dispute", new.dispute_id, customer_id, data)]
    )  # fmt: skip
    return await dispute_of(session, tenant_id=tenant_id, dispute_id=new.dispute_id)


async def resolve_dispute(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    dispute_id: DisputeId,
    resolution: Resolution,
    text: str | None,
    following: Next,
    outbound: Outbound,
) -> asyncpg.Record:
    """Resolve a dispute: its items have the status `dispute_resolved`, its follow-up is done, and what was agreed comes next; return it.

    Rejected or withdrawn, the items go on in their scenario at once. Accepted, they are held until the credit note has arrived, and a task sees to that.
    Raises `NotFound`, `AlreadyResolved` on a second call, and what `dispute_credits` has against what comes next.
    """
    dispute = await _taken(session, tenant_id, dispute_id)
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=LedgerId(dispute["ledger_id"]), outbound=outbound, actor=actor)
    dispute_credits.check(scene, resolution, following)
    await _resolve(session, clock, scene, [dispute_id], resolution, text)
    await _end_follow_up(session, clock, scene, dispute)
    await dispute_credits.begin(session, clock, scene, await dispute_of(session, tenant_id=tenant_id, dispute_id=dispute_id), resolution, following)
    return await dispute_of(session, tenant_id=tenant_id, dispute_id=dispute_id)


async def resolve_settled(session: Session, clock: Clock, scene: Scene, customer_ids: Sequence[CustomerId]) -> int:
    """Resolve the disputes of some customers in which nothing is owed any more, and return how many there were. The caller holds the locks."""
    settled = await dispute_store.settled_disputes(session, scene.tenant_id, customer_ids)
    if settled:
        ids = [DisputeId(row["dispute_id"]) for row in settled]
        await _resolve(session, clock, scene, ids, WITHDRAWN, "Nothing of the disputed items is open any more.")
        followed = await follow_up_store.live_actions(session, scene.tenant_id, [row["follow_up_action_id"] for row in settled])
        await carrying.cancel(session, clock, scene, followed, "settled")
    return len(settled)


async def change_dispute(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    dispute_id: DisputeId,
    expected_version: int | None,
    outbound: Outbound,
    **values: Any,
) -> asyncpg.Record:
    """Change reason, text, owner or deadline of an open dispute; its follow-up goes with it. The same again changes nothing.

    Where nothing follows it up any more, an owner or a deadline that is given makes a new task.

    Raises `NotFound`, `AlreadyResolved`, `PreconditionFailed` when it is no longer at `expected_version` (None: whatever it is), `Malformed`.
    """
    dispute = await _taken(session, tenant_id, dispute_id)
    if expected_version is not None and dispute["version"] != expected_version:
        msg = f"The dispute is at version {dispute['version']}, not {expected_version}. Read it again and repeat the change on what it says now."
        raise PreconditionFailed(msg, version=dispute["version"])
    changed = {name: value for name, value in values.items() if value != dispute[name]}
    forsaken = dispute["is_unattended"] and values.keys() & {"owner_id", "deadline_on"}
    if not changed and not forsaken:
        return dispute
    customer_id = CustomerId(dispute["customer_id"])
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=LedgerId(dispute["ledger_id"]), outbound=outbound, actor=actor)
    _check_deadline(changed.get("deadline_on"), scene.today)
    if changed.get("owner_id") is not None:
        await _owner(session, tenant_id, customer_id, changed["owner_id"])
    noted = changed | ({"overdue_on": None} if "deadline_on" in changed else {})
    items = await agreed_items.named(session, tenant_id, [UUID(item["item_id"]) for item in dispute["items"] if item["is_owed"]]) if forsaken else []
    if items:
        now = dict(dispute) | changed
        noted["follow_up_action_id"] = await _follow_up(session, clock, scene, now["reason"], now["owner_id"], items, now["deadline_on"])
    await dispute_store.update_dispute(session, tenant_id, dispute_id, noted)
    await owners.let_see(session, clock, tenant_id=tenant_id, actor=actor, person_id=changed.get("owner_id"), customer_ids=[customer_id])
    moves = {"person_id": changed["owner_id"]} if "owner_id" in changed else {}
    moves |= {"scheduled_on": changed["deadline_on"]} if changed.get("deadline_on") else {}
    for action in await follow_up_store.live_actions(session, tenant_id, [dispute["follow_up_action_id"]]) if moves else []:
        await specific_store.plan_of_action(session, tenant_id, ActionId(action["action_id"]), moves)
    before = {name: dispute[name] for name in changed}
    event = NewEvent("dispute.changed", "dispute", dispute_id, customer_id, {"from": before, "to": changed})
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=[event])
    await facts_changed(session, tenant_id, [customer_id], scene.today)
    return await dispute_of(session, tenant_id=tenant_id, dispute_id=dispute_id)


async def dispute_of(session: ReadSession, *, tenant_id: TenantId, dispute_id: DisputeId) -> asyncpg.Record:
    """Return a dispute with its items; raise `NotFound`."""
    row = await dispute_store.dispute_of(session, tenant_id, dispute_id)
    if row is None:
        noun = "dispute"
        raise NotFound(noun)
    return row


async def disputes_after(session: ReadSession, *, tenant_id: TenantId, where: DisputeFilter, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return disputes past an id, by id; raise `NotFound` where the filter names an unknown ledger or customer."""
    if where.ledger_id is not None:
        await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=LedgerId(where.ledger_id))
    if where.customer_id is not None:
        await customers.customer_of(session, tenant_id=tenant_id, customer_id=CustomerId(where.customer_id))
    return await dispute_store.disputes_after(session, tenant_id, where, after, limit)


async def summary(session: ReadSession, clock: Clock, *, tenant_id: TenantId, ledger_id: LedgerId, from_on: dt.date | None) -> list[asyncpg.Record]:
    """Return, a reason, what is open and how long resolving took, of disputes resolved from a day on (missing: the last 365 days)."""
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    since = from_on or local_date(clock.now(), ledger.time_zone) - dt.timedelta(days=365)
    return await dispute_store.summary(session, tenant_id, ledger_id, since)


async def note_overdue(session: Session, clock: Clock, scene: Scene, customer_ids: Sequence[CustomerId]) -> int:
    """Tell of open disputes of some customers whose deadlines have passed, each once a deadline, and return how many. The caller holds the locks."""
    overdue = await dispute_store.note_overdue(session, scene.tenant_id, customer_ids, scene.today)
    told = [
        NewEvent(
            "dispute.overdue", "dispute", row["dispute_id"], CustomerId(row["customer_id"]),
            {"deadline_on": row["deadline_on"], "owner_id": row["owner_id"], "action_id": row["follow_up_action_id"]},
        )
        for row in overdue
    ]  # fmt: skip
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)
    return len(overdue)


@endings.register
async def follow_ups_ended(session: Session, clock: Clock, scene: Scene, actions: Sequence[asyncpg.Record], how: str) -> None:
    """Resolve disputes whose follow-up tasks a person has completed; of those whose ended otherwise, tell that nobody follows the dispute up any more.

    Such a one stays open, and is listed as one that needs attention. What replaced a follow-up follows up in its place; a mail that did, say a question
    to a colleague, decides nothing by having been sent.
    """
    if how == "superseded":
        return
    rows = await dispute_store.open_disputes_followed_up_by(
        session, scene.tenant_id, [action["customer_id"] for action in actions], [action["action_id"] for action in actions]
    )
    done = {action["action_id"] for action in actions if how == "completed" and action["kind"] == StepKind.TASK}
    if decided := [DisputeId(row["dispute_id"]) for row in rows if row["follow_up_action_id"] in done]:
        await _resolve(session, clock, scene, decided, None, None)
    told = [
        NewEvent("dispute.not_followed_up", "dispute", row["dispute_id"], CustomerId(row["customer_id"]), {"action_id": row["follow_up_action_id"]})
        for row in rows
        if row["follow_up_action_id"] not in done
    ]
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)


async def _resolve(session: Session, clock: Clock, scene: Scene, ids: Sequence[DisputeId], resolution: str | None, text: str | None) -> None:
    """Resolve those of some disputes that are open, with all that hangs on it but their follow-ups. The caller holds the customers' locks."""
    tenant_id = scene.tenant_id
    rows = await dispute_store.resolve(session, tenant_id, ids, on=scene.today, resolution=resolution, text=text, actor=scene.actor)
    if not rows:
        return
    marks = [Mark(new_id(), row["item_id"], row["category"] == DISPUTED, DISPUTE_RESOLVED, text, row["dispute_id"]) for row in rows]
    await item_comments.say(session, clock, tenant_id=tenant_id, actor=scene.actor, marks=marks, source="dispute")
    facts = [NewFact(row["customer_id"], row["item_id"], scene.today, row["dispute_id"]) for row in rows]
    await item_fact_store.insert_facts(session, tenant_id, "dispute_resolved", facts)
    owners = {DisputeId(row["dispute_id"]): CustomerId(row["customer_id"]) for row in rows}
    told = [NewActivity(customer_id=c, action_id=None, kind="dispute_resolved", text=text, data={"dispute_id": d}) for d, c in owners.items()]
    await action_store.insert_activities(session, tenant_id, scene.ledger.ledger_id, told, actor=scene.actor, business_at=clock.now())
    made = [NewEvent("dispute.resolved", "dispute", d, c, {"resolution": resolution}) for d, c in owners.items()]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=scene.actor, events=made)
    await facts_changed(session, tenant_id, set(owners.values()), scene.today)


async def _end_follow_up(session: Session, clock: Clock, scene: Scene, dispute: asyncpg.Record) -> None:
    """Complete what followed a dispute up, unless it has ended."""
    for action in await follow_up_store.live_actions(session, scene.tenant_id, [dispute["follow_up_action_id"]]):
        sheet = (await sheet_store.customers_of(session, scene.tenant_id, [action["customer_id"]]))[CustomerId(action["customer_id"])]
        await carrying.complete(
            session, clock, scene, action, scene.today, country=sheet.country, subdivision=sheet.subdivision, told=False, note={"by": "dispute"}
        )  # fmt: skip


async def _taken(session: Session, tenant_id: TenantId, dispute_id: DisputeId) -> asyncpg.Record:
    """Lock the customer and return the open dispute as it is then."""
    seen = await dispute_of(session, tenant_id=tenant_id, dispute_id=dispute_id)
    await lock_customers(session, tenant_id, [CustomerId(seen["customer_id"])])
    dispute = await dispute_of(session, tenant_id=tenant_id, dispute_id=dispute_id)
    if dispute["state"] != "open":
        msg = f"The dispute was resolved on {dispute['resolved_on']} by {dispute['resolved_by']}. Open another one for what is contested anew."
        raise AlreadyResolved(msg, resolution=dispute["resolution"])
    return dispute


async def _follow_up(
    session: Session, clock: Clock, scene: Scene, reason: str, owner_id: UUID | None, items: Sequence[AgreedItem], deadline_on: dt.date | None
) -> ActionId:
    """Make the task that follows a dispute up; items that another action has already are only listed in it, the status keeps them out of messages."""
    title = f"Dispute: {reason.replace('_', ' ')}"
    text = f"Resolve the dispute about {agreed_items.numbers_of(items)}. Completing this task resolves it."
    free = [item.item_id for item in items if not item.attached]
    wanted = NewSpecific(
        title=title, content=Content(kind="task", task_kind="other", task_text=text), origin=SPECIFIC if free else AD_HOC,
        scheduled_on=max(deadline_on or scene.today + dt.timedelta(days=FOLLOW_UP_DAYS), scene.today),
        person_id=await dispute_credits.active(session, scene.tenant_id, owner_id),
    )  # fmt: skip
    action = await specific.create(
        session, clock, tenant_id=scene.tenant_id, actor=scene.actor, customer_id=items[0].customer_id,
        item_ids=free or [item.item_id for item in items], new=wanted, outbound=scene.outbound,
    )  # fmt: skip
    return ActionId(action["action_id"])


async def _owner(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, owner_id: UUID | None) -> UUID | None:
    """Return who sees to a dispute, the lead collector where nobody is named. Raises `NotFound`, and `Malformed` for somebody who has left."""
    if owner_id is None:
        return await specific_store.lead_of(session, tenant_id, customer_id)
    owner = await people.person_of(session, tenant_id=tenant_id, person_id=PersonId(owner_id))
    if not owner.active:
        msg = f"owner_id: {owner.name} is not active any more. Name somebody who is."
        raise Malformed(msg, errors=[{"field": "owner_id", "message": "is somebody who is not active any more"}])
    await owners.check(session, tenant_id=tenant_id, person_id=owner_id)
    return owner_id


def _refuse_disputed(items: Sequence[AgreedItem]) -> None:
    taken = [item for item in items if item.dispute_id is not None]
    if taken:
        msg = f"{agreed_items.numbers_of(taken)} is disputed already. Resolve that dispute first, or leave it out."
        raise AlreadyDisputed(msg, disputes=[{"item_id": str(item.item_id), "dispute_id": str(item.dispute_id)} for item in taken])


def _check_deadline(deadline_on: dt.date | None, today: dt.date) -> None:
    if deadline_on is not None and not today <= deadline_on <= today + dt.timedelta(days=FARTHEST_DAYS):
        msg = f"deadline_on: expected a day from {today} on, within a year."
        raise Malformed(msg, errors=[{"field": "deadline_on", "message": "expected a day from today on, within a year"}])


def _amounts(items: Sequence[AgreedItem], amount: Money | None) -> dict[ItemId, int]:
    """Return what is contested of each item, the oldest first. Raises `Malformed`, or `ContestedAboveOpen` with both amounts."""
    if amount is None:
        return {item.item_id: item.open_minor for item in items}
    if any(item.currency != amount.currency for item in items):
        msg = f"amount: is in {amount.currency}, but not all items are. Contest items of one currency, or leave the amount out."
        raise Malformed(msg, errors=[{"field": "amount", "message": "is in another currency than the items"}])
    whole = Money(sum(item.open_minor for item in items), amount.currency)
    if amount.minor > whole.minor:
        msg = f"{amount} is contested, but {whole} is open of the items. Contest at most that, or name further items."
        raise ContestedAboveOpen(msg, contested=str(amount), open=str(whole))
    found, left = {}, amount.minor
    for item in items:
        found[item.item_id] = min(left, item.open_minor)
        left -= found[item.item_id]
    return found
