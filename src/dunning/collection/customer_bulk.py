"""The same done to many customers at once, with a result for each: one for whom it cannot be done never stops the others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

import asyncpg

from dunning.collection import assignments, call_tasks, customer_messages, explorer, explorer_store, specific, specific_store
from dunning.collection.call_tasks import Calls
from dunning.collection.despatch import Outbound
from dunning.collection.explorer import Search
from dunning.collection.explorer_store import CustomerFilter
from dunning.collection.specific_rules import Content, NewSpecific
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import DunningError, NotFound
from dunning.kit.ids import CustomerId, PersonId, TenantId
from dunning.ledger import holds
from dunning.ledger.customer_state import lock_customers

Act = Literal["send_template", "create_action", "hold", "assign", "call_task"]
Outcome = Literal["done", "ready", "exists", "refused", "unknown"]

AT_ONCE = 500
SHOWN_FIRST = 20
"""How many of the customers that a filter finds a dry run shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerBulk:
    """What is done to whom: customers named, or those that a search finds, at most `AT_ONCE`. Of the rest, what the act asks for."""

    act: Act
    customer_ids: Sequence[UUID] | None = None
    search: Search | None = None
    content: Content | None = None
    new: NewSpecific | None = None
    calls: Calls | None = None
    person_id: PersonId | None = None
    reason: str | None = None
    until_on: dt.date | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one customer."""

    customer_id: UUID
    outcome: Outcome
    action_id: UUID | None = None
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """What became of each, whether the filter finds more than fit one request, and in a dry run what the first of them look like."""

    results: Sequence[Result]
    more: bool
    first: Sequence[asyncpg.Record]


async def act_on_customers(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, bulk: CustomerBulk, outbound: Outbound) -> Results:
    """Do the same to many customers and return what became of each.

    All customers are locked first. Each one's part is undone by itself where it cannot be done. A dry run writes nothing: it tells who is unknown and
    shows the first customers; what their items forbid is found when it is done. Raises `NotFound` and `Malformed` for the search.
    """
    ids, more = await _chosen(session, clock, tenant_id, bulk)
    known = set(await _known(session, clock, tenant_id, ids))
    found = [one for one in ids if one in known]
    lost = [
        Result(one, "unknown", None, NotFound.code, "No such customer. Check the id, and that it belongs to this tenant.") for one in ids if one not in known
    ]
    if bulk.act == "call_task" and bulk.calls is not None:
        done = await _call(session, clock, tenant_id, actor, replace(bulk.calls, customer_ids=found, dry_run=bulk.dry_run))
    elif bulk.dry_run:
        done = [Result(one, "ready") for one in found]
    else:
        await lock_customers(session, tenant_id, [CustomerId(one) for one in found])
        done = [await _one(session, CustomerId(one), _deed(session, clock, tenant_id, actor, bulk, outbound)) for one in found]
    first: Sequence[asyncpg.Record] = []
    if bulk.dry_run:
        shown = Search(where=CustomerFilter(customer_ids=found[:SHOWN_FIRST]))
        first = await explorer.customers_after(session, clock, tenant_id=tenant_id, search=shown, after=None, limit=SHOWN_FIRST)
    return Results([*done, *lost], more, first)


async def _chosen(session: Session, clock: Clock, tenant_id: TenantId, bulk: CustomerBulk) -> tuple[list[UUID], bool]:
    if bulk.customer_ids is not None:
        return list(dict.fromkeys(bulk.customer_ids)), False
    made = await explorer.prepared(session, clock, tenant_id=tenant_id, search=bulk.search or Search(where=CustomerFilter()))
    found = await explorer_store.ids_of(session, tenant_id, made.days, made.where, AT_ONCE + 1)
    return found[:AT_ONCE], len(found) > AT_ONCE


async def _known(session: ReadSession, clock: Clock, tenant_id: TenantId, ids: Sequence[UUID]) -> list[UUID]:
    made = await explorer.prepared(session, clock, tenant_id=tenant_id, search=Search(where=CustomerFilter(customer_ids=ids)))
    return await explorer_store.ids_of(session, tenant_id, made.days, made.where, len(ids))


async def _call(session: Session, clock: Clock, tenant_id: TenantId, actor: str, calls: Calls) -> list[Result]:
    made = await call_tasks.create_call_tasks(session, clock, tenant_id=tenant_id, actor=actor, calls=calls)
    return [
        Result(one.customer_id, "done" if one.outcome == "created" else one.outcome, one.action_id, one.code, one.detail)
        for one in made
        if one.customer_id is not None
    ]


async def _one(session: Session, customer_id: CustomerId, deed: Callable[[CustomerId], Awaitable[UUID | None]]) -> Result:
    try:
        async with session.savepoint():
            return Result(customer_id, "done", await deed(customer_id))
    except DunningError as refusal:
        return Result(customer_id, "refused", None, refusal.code, refusal.detail)


def _deed(
    session: Session, clock: Clock, tenant_id: TenantId, actor: str, bulk: CustomerBulk, outbound: Outbound
) -> Callable[[CustomerId], Awaitable[UUID | None]]:
    """Return what is done to one customer; it returns the action that was made, if one was."""

    async def hold(customer_id: CustomerId) -> None:
        await holds.set_hold(
            session, clock, tenant_id=tenant_id, actor=actor, scope="customer", object_id=customer_id, reason=bulk.reason or "in_bulk", comment=None,
            from_on=None, until_on=bulk.until_on,
        )  # fmt: skip

    async def assign(customer_id: CustomerId) -> None:
        await assignments.set_collectors(
            session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, lead_id=bulk.person_id, other_ids=[], reason=bulk.reason
        )

    async def send(customer_id: CustomerId) -> UUID:
        made = await customer_messages.send_message(
            session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, item_ids=None, title=None, content=bulk.content or Content(),
            counts_as_step=None, outbound=outbound,
        )  # fmt: skip
        return UUID(str(made["action_id"]))

    async def make(customer_id: CustomerId) -> UUID:
        new = bulk.new or NewSpecific(title="Action", content=Content())
        made = await specific.create(
            session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id,
            item_ids=await specific_store.open_item_ids(session, tenant_id, customer_id), new=new, outbound=outbound,
        )  # fmt: skip
        return UUID(str(made["action_id"]))

    deeds: dict[Act, Callable[[CustomerId], Awaitable[UUID | None]]] = {"hold": hold, "assign": assign, "send_template": send, "create_action": make}
    return deeds[bulk.act]
