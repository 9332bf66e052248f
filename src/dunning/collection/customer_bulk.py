"""The same done to many customers at once, with a result for each: one for whom it cannot be done never stops the others.

An act takes the same number of statements for one customer as for five thousand, and one transaction. What it sends is made then, and carried out by
the worker batch by batch, so that no customer is locked for longer than the making of rows takes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

import asyncpg

from dunning.collection import assignments, call_tasks, customer_bulk_store, customer_messages, explorer, explorer_store, scenes, specific_for_many
from dunning.collection.assignment_rules import COLLECTOR, NEEDS
from dunning.collection.call_tasks import Calls
from dunning.collection.despatch import Outbound, Scene
from dunning.collection.explorer import Search
from dunning.collection.explorer_store import CustomerFilter
from dunning.collection.specific_rules import AD_HOC, Content, NewSpecific
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import NotFound
from dunning.kit.ids import CustomerId, LedgerId, PersonId, TenantId, new_id
from dunning.ledger import holds
from dunning.ledger.customer_state import lock_customers
from dunning.tenancy import people

Act = Literal["send_template", "create_action", "hold", "assign", "call_task"]
Outcome = Literal["done", "ready", "by_hand", "exists", "refused", "unknown"]

AT_ONCE = 5_000
SHOWN_FIRST = 20
"""How many of the customers that a filter finds a dry run shows."""
HOLD_IN_FORCE = "hold_in_force"
_UNKNOWN = "No such customer. Check the id, and that it belongs to this tenant."


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerBulk:
    """What is done to whom: customers named, or those that a search finds past a place, at most `AT_ONCE`. Of the rest, what the act asks for.

    A place is the search form of a name and the customer's id.
    """

    act: Act
    customer_ids: Sequence[UUID] | None = None
    search: Search | None = None
    after: tuple[str, UUID] | None = None
    content: Content | None = None
    origin: str = AD_HOC
    new: NewSpecific | None = None
    calls: Calls | None = None
    person_id: PersonId | None = None
    reason: str | None = None
    until_on: dt.date | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one customer.

    `done`, in a dry run `ready`; `by_hand`: its action is made, but somebody has to tell it; `exists`: it has such a one; `refused`: nothing was done.
    """

    customer_id: UUID
    outcome: Outcome
    action_id: UUID | None = None
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """What became of each, where to go on with the filter, what the actions that were made carry, and in a dry run what the first customers look like."""

    results: Sequence[Result]
    next_place: tuple[str, UUID] | None
    bulk_id: UUID | None
    first: Sequence[asyncpg.Record]


async def act_on_customers(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, bulk: CustomerBulk, outbound: Outbound) -> Results:
    """Do the same to many customers and return what became of each, in the order given or by name.

    All customers are locked first. A dry run locks and writes nothing and answers what the act would do as things stand. Raises `NotFound` and
    `Malformed` for the search, and what is wrong for all alike: an unknown person, a day, a template, sending that is off.
    """
    if (person_id := bulk.person_id or (bulk.new.person_id if bulk.new else None)) is not None:
        named = await people.active_ones(session, tenant_id=tenant_id, person_ids={person_id})
        if bulk.act == "assign":
            people.may_work(named.values(), NEEDS[COLLECTOR])
    asked, next_place = await _chosen(session, clock, tenant_id, bulk)
    known = await customer_bulk_store.ledgers_of(session, tenant_id, asked)
    found = {CustomerId(one): known[CustomerId(one)] for one in asked if one in known}
    if not bulk.dry_run:
        await lock_customers(session, tenant_id, found)
    bulk_id = new_id()
    results = await _act(_Round(session, clock, tenant_id, actor, bulk, outbound, bulk_id), found) if found else {}
    lost = {one: Result(one, "unknown", None, NotFound.code, _UNKNOWN) for one in asked if one not in known}
    first: Sequence[asyncpg.Record] = []
    if bulk.dry_run:
        shown = Search(where=CustomerFilter(customer_ids=list(found)[:SHOWN_FIRST]))
        first = await explorer.customers_after(session, clock, tenant_id=tenant_id, search=shown, after=None, limit=SHOWN_FIRST)
    made = bulk.act in {"send_template", "create_action"} and any(one.action_id is not None for one in results.values())
    return Results([results.get(CustomerId(one)) or lost[one] for one in asked], next_place, bulk_id if made else None, first)


async def progress_of(session: ReadSession, *, tenant_id: TenantId, bulk_id: UUID) -> asyncpg.Record:
    """Return how far what an act on many customers has made has come; raise `NotFound`."""
    row = await customer_bulk_store.progress_of(session, tenant_id, bulk_id)
    if row is None:
        noun = "act on many customers"
        raise NotFound(noun)
    return row


async def _chosen(session: Session, clock: Clock, tenant_id: TenantId, bulk: CustomerBulk) -> tuple[list[UUID], tuple[str, UUID] | None]:
    if bulk.customer_ids is not None:
        return list(dict.fromkeys(bulk.customer_ids)), None
    made = await explorer.prepared(session, clock, tenant_id=tenant_id, search=bulk.search or Search(where=CustomerFilter()))
    found = await explorer_store.keys_after(session, tenant_id, made.days, made.where, made.rungs, bulk.after, AT_ONCE + 1)
    chosen = [customer_id for _, customer_id in found[:AT_ONCE]]
    return chosen, found[AT_ONCE - 1] if len(found) > AT_ONCE else None


@dataclass(frozen=True, slots=True)
class _Round:
    session: Session
    clock: Clock
    tenant_id: TenantId
    actor: str
    bulk: CustomerBulk
    outbound: Outbound
    bulk_id: UUID

    async def scene(self, ledger_id: LedgerId) -> Scene:
        """Return the scene of a ledger."""
        return await scenes.scene_of(
            self.session, self.clock, tenant_id=self.tenant_id, ledger_id=ledger_id, outbound=self.outbound, actor=self.actor
        )  # fmt: skip


async def _act(made: _Round, found: Mapping[CustomerId, LedgerId]) -> dict[CustomerId, Result]:
    bulk = made.bulk
    if bulk.act == "assign":
        return await _assign(made, list(found))
    if bulk.act == "call_task":
        return await _call(made, list(found), bulk.calls or Calls())
    of_ledger: dict[LedgerId, list[CustomerId]] = {}
    for customer_id, ledger_id in found.items():
        of_ledger.setdefault(ledger_id, []).append(customer_id)
    results: dict[CustomerId, Result] = {}
    for ledger_id, customer_ids in of_ledger.items():
        scene = await made.scene(ledger_id)
        results |= await (_hold(made, scene, customer_ids) if bulk.act == "hold" else _make(made, scene, customer_ids, _new(bulk)))
    return results


def _new(bulk: CustomerBulk) -> NewSpecific:
    if bulk.act == "send_template":
        return customer_messages.message_of(bulk.content or Content(), origin=bulk.origin)
    return bulk.new or NewSpecific(title="Action", content=Content())


def _all(made: _Round, customer_ids: Sequence[CustomerId]) -> dict[CustomerId, Result]:
    return {one: Result(one, "ready" if made.bulk.dry_run else "done") for one in customer_ids}


async def _hold(made: _Round, scene: Scene, customer_ids: Sequence[CustomerId]) -> dict[CustomerId, Result]:
    holds.check_days(scene.today, made.bulk.until_on)
    reason, until_on = made.bulk.reason or "in_bulk", made.bulk.until_on
    held = await holds.held_alike(
        made.session, tenant_id=made.tenant_id, ledger=scene.ledger, customer_ids=customer_ids, reason=reason, until_on=until_on, today=scene.today
    )
    free = [one for one in customer_ids if one not in held]
    if not made.bulk.dry_run:
        await holds.hold_customers(
            made.session, made.clock, tenant_id=made.tenant_id, actor=made.actor, ledger=scene.ledger, customer_ids=free, reason=reason, until_on=until_on
        )
    return _all(made, free) | {one: Result(one, "exists", None, HOLD_IN_FORCE, "The same hold is in force already.") for one in held}


async def _assign(made: _Round, customer_ids: Sequence[CustomerId]) -> dict[CustomerId, Result]:
    bulk = made.bulk
    if not bulk.dry_run:
        await assignments.set_leads(
            made.session, made.clock, tenant_id=made.tenant_id, actor=made.actor, customer_ids=customer_ids, lead_id=bulk.person_id, reason=bulk.reason
        )
    return _all(made, customer_ids)


async def _make(made: _Round, scene: Scene, customer_ids: Sequence[CustomerId], new: NewSpecific) -> dict[CustomerId, Result]:
    hindered = await specific_for_many.hindrances(made.session, scene, customer_ids, new)
    going = [one for one in customer_ids if one not in hindered or hindered[one].outcome == "by_hand"]
    actions = {} if made.bulk.dry_run else await specific_for_many.create(made.session, made.clock, scene, going, new, made.bulk_id)
    return {
        one: Result(one, why.outcome, actions.get(one), why.code, why.detail) if (why := hindered.get(one)) else replace(plain, action_id=actions.get(one))
        for one, plain in _all(made, customer_ids).items()
    }


async def _call(made: _Round, customer_ids: Sequence[CustomerId], calls: Calls) -> dict[CustomerId, Result]:
    done = await call_tasks.create_call_tasks(
        made.session, made.clock, tenant_id=made.tenant_id, actor=made.actor, calls=replace(calls, customer_ids=customer_ids, dry_run=made.bulk.dry_run)
    )
    return {
        CustomerId(one.customer_id): Result(one.customer_id, "done" if one.outcome == "created" else one.outcome, one.action_id, one.code, one.detail)
        for one in done
        if one.customer_id is not None
    }
