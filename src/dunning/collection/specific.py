"""Actions outside the scenario: made from chosen items, from scratch or after a pattern, carried out at their date, ended."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Literal
from uuid import UUID

import asyncpg

from dunning.collection import action_store, carrying, contact_budget, leaving, own_words, owners, reaching, scenes, sheet_store, specific_store
from dunning.collection.contact_budget import ContactBudgetSpent
from dunning.collection.despatch import Outbound, Scene
from dunning.collection.specific_rules import SPECIFIC, Content, NewSpecific, first_standing
from dunning.collection.specific_store import NewItem, Owing
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import ActionId, CustomerId, LedgerId, TenantId, new_id
from dunning.ledger.customer_state import facts_changed, lock_customers, watch
from dunning.scenarios.rules import DEBIT
from dunning.scenarios.steps import Channel, StepKind

FARTHEST_DAYS = 366


class ItemNotOpen(Conflict):
    """An item has nothing open that an action could be about."""

    code = "item_not_open"
    title = "An item is not open"


class ItemTaken(Conflict):
    """An item is in another open specific action; it can be in one only."""

    code = "item_in_specific_action"
    title = "An item is in another specific action"


def nothing_free(owing: Owing | None) -> ItemNotOpen | ItemTaken | None:
    """Return why an action over all that a customer owes cannot be made, or None; `reason` says what has taken all of it."""
    if owing is None:
        return ItemNotOpen("The customer owes nothing, so there is nothing to be about.")
    if owing.free:
        return None
    if owing.disputed:
        return ItemTaken("Everything that the customer owes is disputed, and followed up. Wait for the end of that.", reason="disputed")
    return ItemTaken("Everything that the customer owes is in other specific actions. Wait for their end, or choose items and make the action ad hoc.")


class SendingOff(Conflict):
    """Nothing may leave now."""

    code = "sending_off"
    title = "Sending is off"


async def create(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    customer_id: CustomerId,
    item_ids: Collection[UUID],
    new: NewSpecific,
    outbound: Outbound,
) -> asyncpg.Record:
    """Make an action outside the scenario over chosen items of one customer, begin it, and return it.

    The caller holds the customer's lock. An automatic one of today is carried out at once, of a later day on that day; one to approve waits; a
    manual one and a task wait for somebody. Raises `NotFound` for a customer, item, contact or person that is unknown, `ItemNotOpen`, `ItemTaken`,
    `SendingOff`, and what its template, words or recipients have wrong. A second call makes a second action, where its items are free.
    """
    scene = await scene_of_customer(session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, outbound=outbound)
    if new.origin == SPECIFIC:
        await leaving.leave(session, clock, scene, [customer_id], item_ids, leaving.SPECIFIC_ACTION)
    action_id = await draft(session, clock, scene, customer_id, item_ids, new)
    if new.counts_as_step is not None:
        await reaching.will_complete(session, scene, customer_id, action_id, item_ids, new.counts_as_step)
    return await begin(session, clock, scene, action_id)


async def create_for_customer(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    customer_id: CustomerId,
    item_ids: Collection[UUID],
    new: NewSpecific,
    outbound: Outbound,
) -> asyncpg.Record:
    """Make an action outside the scenario as `create` does, with the customer locked first."""
    await lock_customers(session, tenant_id, [customer_id])
    return await create(session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, item_ids=item_ids, new=new, outbound=outbound)


async def scene_of_customer(session: ReadSession, clock: Clock, *, tenant_id: TenantId, actor: str, customer_id: CustomerId, outbound: Outbound) -> Scene:
    """Return the scene of a customer's ledger; raise `NotFound` for an unknown customer."""
    ledger_id = await session.value("select ledger_id from customer where tenant_id = $1 and customer_id = $2", tenant_id, customer_id)
    if ledger_id is None:
        noun = "customer"
        raise NotFound(noun)
    return await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=LedgerId(ledger_id), outbound=outbound, actor=actor)


async def draft(
    session: Session,
    clock: Clock,
    scene: Scene,
    customer_id: CustomerId,
    item_ids: Collection[UUID],
    new: NewSpecific,
    *,
    instead_of: ActionId | None = None,
) -> ActionId:
    """Write an action and tie its items to it; nothing of it is begun. `instead_of` is the one whose place it takes. Raises what `create` does."""
    scheduled_on = day_of(scene, new.scheduled_on)
    items = await items_to_tell(session, scene, customer_id, item_ids, new.origin)
    if new.afterwards == "step":
        if not new.afterwards_step_code:
            msg = "afterwards_step_code: name the step from which the items go on, or choose afterwards resume."
            raise Malformed(msg, [{"field": "afterwards_step_code", "message": "expected a step code"}])
        await reaching.check_step(session, scene, customer_id, item_ids, new.afterwards_step_code)
    content = replace(await own_words.checked(session, clock, scene, customer_id, new.content), beyond_budget=new.beyond_budget)
    await _check_budget(session, scene, customer_id, new, scheduled_on, instead_of)
    await owners.check(session, tenant_id=scene.tenant_id, person_id=new.person_id)
    totals: dict[str, int] = {}
    for row in items:
        totals[row["currency"]] = totals.get(row["currency"], 0) + row["open_minor"]
    action_id = ActionId(new_id())
    await specific_store.insert_action(
        session, scene.tenant_id, action_id=action_id, ledger_id=scene.ledger.ledger_id, customer_id=customer_id,
        values={
            "origin": new.origin, "kind": content.kind, "mode": new.mode, "step_name": new.title, "title": new.title, "content": content.stored(),
            "local_date": scene.today, "scheduled_on": scheduled_on, "state": "awaiting_approval",
            "totals": [list(total) for total in sorted(totals.items())],
            "person_id": new.person_id or await specific_store.lead_of(session, scene.tenant_id, customer_id), "model_id": new.model_id,
            "copied_from_action_id": new.copied_from_action_id, "afterwards": new.afterwards, "afterwards_step_code": new.afterwards_step_code,
            "counts_as_step": new.counts_as_step, "created_by": scene.actor,
        },
    )  # fmt: skip
    state = "attached" if new.origin == SPECIFIC else "listed"
    tied = [NewItem(row["item_id"], row["episode"], row["open_minor"]) for row in items]
    await specific_store.tie(session, scene.tenant_id, action_id, customer_id, state, tied)
    # Whoever settles all of these items ends the action within seconds.
    await watch(session, scene.tenant_id, [customer_id])
    await events.record(
        session, clock, tenant_id=scene.tenant_id, kind="action.created", subject_kind="action", subject_id=action_id, actor=scene.actor,
        customer_id=customer_id, data={"origin": new.origin, "kind": content.kind, "mode": new.mode, "scheduled_on": scheduled_on, "items": len(items)},
    )  # fmt: skip
    await owners.let_see(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, person_id=new.person_id, customer_ids=[customer_id])
    return action_id


async def begin(session: Session, clock: Clock, scene: Scene, action_id: ActionId) -> asyncpg.Record:
    """Let a drafted action stand as its mode says, carrying it out where it is automatic and its day has come, and return it."""
    action = await _row(session, scene, action_id)
    first = first_standing(Content.read(action["content"]), mode=action["mode"], title=action["title"], scheduled_on=action["scheduled_on"])
    if first.state != action["state"]:
        await action_store.stand(
            session, scene.tenant_id, action_id, first.state, reason=first.reason, task_kind=first.task_kind, task_text=first.task_text,
            deadline_on=first.deadline_on,
        )  # fmt: skip
    if first.state == "scheduled" and action["scheduled_on"] <= scene.today:
        refuse_while_off(scene, action)
        await carrying.carry_out(session, clock, scene, await _row(session, scene, action_id))
        return await _row(session, scene, action_id)
    await facts_changed(session, scene.tenant_id, [CustomerId(action["customer_id"])], scene.today)
    return await _row(session, scene, action_id)


def refuse_while_off(scene: Scene, action: asyncpg.Record) -> None:
    """Raise `SendingOff` where an action would send a mail now and the tenant may not send."""
    content = action["content"] or {}
    refuse_mail_while_off(scene, kind=action["kind"], channel=content.get("channel", "email"))


def refuse_mail_while_off(scene: Scene, *, kind: str, channel: str) -> None:
    """Raise `SendingOff` where what would leave now is a mail and the tenant may not send."""
    if not scene.tenant.may_send and kind == StepKind.NOTICE and channel == "email":
        msg = "Sending is off or stopped. Make the action one to approve, or for a later day, or switch sending on with PUT /v1/tenant/sending."
        raise SendingOff(msg)


async def end(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    action_id: ActionId,
    how: Literal["completed", "cancelled"],
    reason: str,
    outbound: Outbound,
) -> bool:
    """End an action outside the scenario because what it was about is over, and free its items; False when it had ended before.

    The caller holds the customer's lock. Messages that have not left are withdrawn; the ending is told on as any other.
    """
    action = await action_store.action_for_change(session, tenant_id, action_id)
    if action is None or action["state"] not in action_store.LIVE:
        return False
    scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=LedgerId(action["ledger_id"]), outbound=outbound, actor=actor)
    if how == "cancelled":
        await carrying.cancel(session, clock, scene, [action], reason)
        return True
    await carrying.withdraw_unsent(session, clock, scene, [action_id], reason)
    sheet = (await sheet_store.customers_of(session, tenant_id, [action["customer_id"]]))[CustomerId(action["customer_id"])]
    await carrying.complete(
        session, clock, scene, action, scene.today, country=sheet.country, subdivision=sheet.subdivision, told=False, note={"by": reason}
    )  # fmt: skip
    return True


async def items_to_tell(session: ReadSession, scene: Scene, customer_id: CustomerId, item_ids: Collection[UUID], origin: str) -> list[asyncpg.Record]:
    """Return the items that an action can be about; raise `Malformed` for none, `NotFound` for unknown ones, `ItemNotOpen` and `ItemTaken`."""
    wanted = set(item_ids)
    if not wanted:
        msg = "item_ids: choose at least one open item; an action is always about items."
        raise Malformed(msg, [{"field": "item_ids", "message": "expected at least one item"}])
    rows = await specific_store.items_to_tie(session, scene.tenant_id, customer_id, wanted)
    if len(rows) < len(wanted):
        noun = "item of this customer"
        raise NotFound(noun)
    closed = [row["number"] for row in rows if row["state"] != "posted" or row["open_minor"] <= 0 or row["direction"] != DEBIT]
    if closed:
        msg = f"Nothing can be asked for {', '.join(sorted(closed)[:5])}: settled, cancelled or a credit. Leave it out."
        raise ItemNotOpen(msg, numbers=sorted(closed))
    taken = [row for row in rows if origin == SPECIFIC and row["attached_to"] is not None]
    if taken:
        names = ", ".join(sorted(row["number"] for row in taken)[:5])
        msg = f"{names}: another specific action has this already. Replace or end that one, or make this one ad_hoc."
        raise ItemTaken(msg, action_ids=sorted({str(row["attached_to"]) for row in taken}))
    return rows


def day_of(scene: Scene, scheduled_on: dt.date | None) -> dt.date:
    """Return the day of an action, today where none is named; raise `Malformed` for one that has passed or is more than a year away."""
    day = scheduled_on or scene.today
    if not scene.today <= day <= scene.today + dt.timedelta(days=FARTHEST_DAYS):
        msg = f"scheduled_on: expected a day from {scene.today} on, within a year; leave it out for now."
        raise Malformed(msg, [{"field": "scheduled_on", "message": "expected a day from today on, within a year"}])
    return day


async def _check_budget(session: ReadSession, scene: Scene, customer_id: CustomerId, new: NewSpecific, on: dt.date, instead_of: ActionId | None) -> None:
    """Raise `ContactBudgetSpent` or `PersonBudgetSpent` where one more contact on a day would be above what the ledger allows."""
    if (refusal := (await budget_refusals(session, scene, [customer_id], new, on, instead_of=instead_of)).get(customer_id)) is not None:
        raise refusal


async def budget_refusals(
    session: ReadSession,
    scene: Scene,
    customer_ids: Sequence[CustomerId],
    new: NewSpecific,
    on: dt.date,
    *,
    instead_of: ActionId | None = None,
    untold: Collection[CustomerId] = (),
) -> dict[CustomerId, ContactBudgetSpent]:
    """Return the customers for whom the contact budget, theirs or that of everybody who would be told, does not allow an action on a day, with why.

    The same number of statements however many; none where the ledger has no budget, or the action is no contact or may go beyond it. Whoever reads for
    several of them is told for the first; those of `untold` will have nothing told, and spend nothing.
    """
    if not new.is_contact or new.beyond_budget or not new.refusable:
        return {}
    found = await contact_budget.spent(session, scene.tenant_id, scene.ledger, customer_ids, on, but_for=instead_of)
    if scene.ledger.person_contact_budget is None or new.content.kind != StepKind.NOTICE or new.content.channel != Channel.EMAIL:
        return found
    contacts = await sheet_store.contacts_of(session, scene.tenant_id, customer_ids)
    readers = {one: own_words.addressees(scene, contacts[one], new.content) for one in customer_ids if one not in found}
    counted = await contact_budget.people_of_ledger(session, scene.ledger, {r.email for some in readers.values() for r in some if r.email}, on)
    for one, some in readers.items():
        if (refusal := contact_budget.unreachable(counted, some, on)) is not None:
            found[one] = refusal
        elif counted is not None and one not in untold:
            counted.note([reader for reader in some if counted.may_be_told(reader, on)], on)
    return found


async def _row(session: ReadSession, scene: Scene, action_id: ActionId) -> asyncpg.Record:
    row = await action_store.action_row(session, scene.tenant_id, action_id)
    if row is None:
        noun = "action"
        raise NotFound(noun)
    return row
