"""Account blocks: what the CRM must not let a customer do any more, by degree, with the items that caused it; lifted when they are settled."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import asyncpg

from dunning.collection import block_store
from dunning.collection.agreement_tables import BLOCK_DEGREES
from dunning.collection.block_store import NewBlock
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, NotFound
from dunning.kit.ids import ActionId, BlockId, CustomerId, ItemId, LedgerId, TenantId, new_id
from dunning.ledger import customers, ledgers
from dunning.ledger.customer_state import facts_changed, lock_customers, watch

DEFAULT_DEGREE = "full"
SETTLED, OVERDUE_SETTLED = "settled", "overdue_settled"
LEAVE = "leave"
"""What an operation says as `when_returned` whose block is not to come back when a payment by which it was lifted is returned."""
PAYMENT_RETURNED, REOPENED = "payment_returned", "reopened"


class NothingOverdue(Conflict):
    """There is no debt that could lift the block when it is settled."""

    code = "nothing_overdue"
    title = "Nothing is owed that the block could depend on"


class AlreadyBlocked(Conflict):
    """A block of this degree is in force because of the same items."""

    code = "already_blocked"
    title = "The account is blocked like this already"


class BlockLifted(Conflict):
    """The block is lifted."""

    code = "block_lifted"
    title = "The block is lifted"


class BlockActive(Conflict):
    """The block is in force."""

    code = "block_active"
    title = "The block is in force"


@dataclass(slots=True)
class Placed:
    """What placing blocks has done: the operations whose block was placed, and what happened."""

    operations: set[tuple[ActionId, int]] = field(default_factory=set)
    events: list[NewEvent] = field(default_factory=list)


def of_operation(action_id: ActionId, operation_no: int, customer_id: CustomerId, params: Mapping[str, Any], today: dt.date) -> NewBlock:
    """Return the block that an operation of a step asks for; its causes are the rows of the step."""
    degree = str(params.get("degree") or DEFAULT_DEGREE)
    return NewBlock(
        block_id=BlockId(new_id()), customer_id=customer_id, degree=degree if degree in BLOCK_DEGREES else DEFAULT_DEGREE,
        reason=str(params.get("reason") or f"Step {params['step_code']}"), origin="step", action_id=action_id, operation_no=operation_no, placed_on=today,
        release_when=str(params.get("release_when") or SETTLED), item_ids=[ItemId(UUID(item_id)) for item_id in params["item_ids"]],
        renewable=params.get("when_returned") != LEAVE,
    )  # fmt: skip


async def place_of_operations(session: Session, tenant_id: TenantId, ledger_id: LedgerId, wanted: Sequence[NewBlock], *, actor: str) -> Placed:
    """Place the blocks that operations ask for, each caused by what is still owed of its items; where nothing is, none is placed.

    The caller holds the customers' locks, records the events and says that facts changed. Repeating it places nothing twice.
    """
    if not wanted:
        return Placed()
    owed = await block_store.owed_items(session, tenant_id, [b.customer_id for b in wanted], [item_id for b in wanted for item_id in b.item_ids])
    due_on = {ItemId(row["item_id"]): row["due_on"] for row in owed}
    caused = [_caused(block, due_on) for block in wanted]
    return await _place(session, tenant_id, ledger_id, [block for block in caused if block.item_ids], actor=actor)


async def place_by_hand(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    customer_id: CustomerId,
    degree: str,
    reason: str,
    item_ids: Sequence[ItemId] | None,
    lifts_when_settled: bool,
    renewable: bool = True,
) -> asyncpg.Record:
    """Block a customer's account and return the block. Without items, everything overdue is its cause.

    Several blocks may stand side by side, the strictest counts. Raises `NotFound` for an unknown customer or an item that is not its own,
    `NothingOverdue` when it is to be lifted by a settlement although nothing is owed, and `AlreadyBlocked`, also on a second call, naming the block of
    this degree that the same items have caused.
    """
    customer = await customers.customer_of(session, tenant_id=tenant_id, customer_id=customer_id)
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=customer.ledger_id)
    today = local_date(clock.now(), ledger.time_zone)
    await lock_customers(session, tenant_id, [customer_id])
    if item_ids is not None:
        await _own(session, tenant_id, customer_id, item_ids)
    owed = await block_store.owed_items(session, tenant_id, [customer_id], item_ids)
    causes = [ItemId(row["item_id"]) for row in owed if item_ids is not None or row["due_on"] < today]
    if lifts_when_settled and not causes:
        msg = "Nothing is owed whose settlement could lift this block. Name open items, or set lifts_when_settled to false and lift it by hand."
        raise NothingOverdue(msg)
    alike = await block_store.active_alike(session, tenant_id, customer_id, degree, causes)
    if alike is not None:
        msg = f"The account is blocked in the degree {degree} because of these items. Lift that block first, or take another degree."
        raise AlreadyBlocked(msg, block_id=str(alike))
    block = NewBlock(
        block_id=BlockId(new_id()), customer_id=customer_id, degree=degree, reason=reason, origin="hand", action_id=None, operation_no=None, placed_on=today,
        release_when=SETTLED if lifts_when_settled else "by_hand", item_ids=causes, renewable=renewable,
    )  # fmt: skip
    placed = await _place(session, tenant_id, ledger.ledger_id, [block], actor=actor)
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=placed.events)
    await facts_changed(session, tenant_id, [customer_id], today)
    return await block_of(session, tenant_id=tenant_id, block_id=block.block_id)


async def lift_block(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, block_id: BlockId, reason: str) -> asyncpg.Record:
    """Lift a block by hand and return it. Raises `NotFound`, `BlockLifted` on a second call."""
    seen = await block_of(session, tenant_id=tenant_id, block_id=block_id)
    customer_id = CustomerId(seen["customer_id"])
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=LedgerId(seen["ledger_id"]))
    await lock_customers(session, tenant_id, [customer_id])
    today = local_date(clock.now(), ledger.time_zone)
    if not await _lift(session, clock, tenant_id, [block_id], today, actor=actor, because=reason):
        block = await block_of(session, tenant_id=tenant_id, block_id=block_id)
        msg = f"The block was lifted on {block['lifted_on']}: {block['lifted_because']}."
        raise BlockLifted(msg)
    await facts_changed(session, tenant_id, [customer_id], today)
    return await block_of(session, tenant_id=tenant_id, block_id=block_id)


async def lift_settled(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, customer_ids: Sequence[CustomerId], today: dt.date) -> int:
    """Lift the blocks of some customers whose causes are all settled, and return how many. The caller holds the customers' locks."""
    settled = await block_store.settled_blocks(session, tenant_id, customer_ids)
    return await _lift(session, clock, tenant_id, settled, today, actor=actor, because=SETTLED) if settled else 0


async def renew_owed(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, customer_ids: Sequence[CustomerId], today: dt.date, since: dt.date
) -> int:
    """Block accounts of some customers again whose blocks a settlement had lifted that did not last, and return how many.

    The new block is caused by what is owed again of the causes, and names the one that it renews. Not renewed is what was lifted before `since` or by
    anybody but `actor`, and what was to stay lifted. The caller holds the customers' locks. A second call finds none.
    """
    owed = await block_store.owed_again(session, tenant_id, customer_ids, since, lifted_by=actor)
    made = [
        NewBlock(
            block_id=BlockId(new_id()), customer_id=CustomerId(row["customer_id"]), degree=row["degree"],
            reason=PAYMENT_RETURNED if row["returned"] else REOPENED, origin=row["origin"], action_id=row["action_id"], operation_no=None, placed_on=today,
            release_when=SETTLED, item_ids=row["item_ids"], renews_id=row["block_id"],
        )
        for row in owed
    ]  # fmt: skip
    if made:
        placed = await _place(session, tenant_id, LedgerId(owed[0]["ledger_id"]), made, actor=actor)
        await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=placed.events)
        await facts_changed(session, tenant_id, {block.customer_id for block in made}, today)
    return len(made)


async def confirm_block(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    block_id: BlockId,
    what: Literal["blocked", "unblocked"],
    reference: str | None,
    note: str | None,
) -> asyncpg.Record:
    """Note that the CRM has carried out a block, or its end, and return the block; the latest word about each counts.

    Raises `NotFound`, `BlockActive` where the end of a block is confirmed that is in force.
    """
    seen = await block_of(session, tenant_id=tenant_id, block_id=block_id)
    if what == "unblocked" and seen["state"] == "active":
        msg = "The block is in force. Unblock the account when account.unblocked has been told, or lift the block first."
        raise BlockActive(msg)
    confirmed: dict[str, Any] = {what: {"reference": reference, "note": note, "actor": actor, "at": clock.now()}}
    await block_store.confirm(session, tenant_id, block_id, confirmed)
    event = NewEvent("account.block_confirmed", "account_block", block_id, CustomerId(seen["customer_id"]), {"what": what, "reference": reference})
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=[event])
    return await block_of(session, tenant_id=tenant_id, block_id=block_id)


async def block_of(session: ReadSession, *, tenant_id: TenantId, block_id: BlockId) -> asyncpg.Record:
    """Return a block with its items; raise `NotFound`."""
    row = await block_store.block_of(session, tenant_id, block_id)
    if row is None:
        noun = "account block"
        raise NotFound(noun)
    return row


async def blocks_after(
    session: ReadSession,
    *,
    tenant_id: TenantId,
    after: UUID | None,
    limit: int,
    ledger_id: UUID | None = None,
    customer_id: UUID | None = None,
    state: str | None = None,
) -> list[asyncpg.Record]:
    """Return blocks past an id, by id; raise `NotFound` for an unknown ledger or customer."""
    if ledger_id is not None:
        await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=LedgerId(ledger_id))
    if customer_id is not None:
        await customers.customer_of(session, tenant_id=tenant_id, customer_id=CustomerId(customer_id))
    return await block_store.blocks_after(session, tenant_id, after, limit, ledger_id=ledger_id, customer_id=customer_id, state=state)


def strictest(degrees: Collection[str]) -> str | None:
    """Return the strictest of some degrees, None of none."""
    return max(degrees, key=BLOCK_DEGREES.index, default=None)


def _caused(block: NewBlock, due_on: Mapping[ItemId, dt.date]) -> NewBlock:
    """Return a block with those of its items that are owed; where only overdue ones are to be settled, with these, if there are any."""
    owed = [item_id for item_id in block.item_ids if item_id in due_on]
    overdue = [item_id for item_id in owed if due_on[item_id] < block.placed_on]
    causes = overdue if block.release_when == OVERDUE_SETTLED and overdue else owed
    return NewBlock(**{name: getattr(block, name) for name in NewBlock.__slots__} | {"item_ids": causes})


async def _place(session: Session, tenant_id: TenantId, ledger_id: LedgerId, blocks: Sequence[NewBlock], *, actor: str) -> Placed:
    placed = Placed()
    if not blocks:
        return placed
    made = await block_store.insert_blocks(session, tenant_id, ledger_id, blocks, actor=actor)
    new = [block for block in blocks if block.block_id in made]
    await watch(session, tenant_id, {block.customer_id for block in new if block.lifts_when_settled})
    degrees = await block_store.degrees_of(session, tenant_id, [block.customer_id for block in new])
    for block in new:
        if block.action_id is not None and block.operation_no is not None:
            placed.operations.add((block.action_id, block.operation_no))
        data = {
            "block_id": block.block_id, "degree": block.degree, "item_ids": list(block.item_ids), "reason": block.reason,
            "strictest": strictest(degrees[block.customer_id]), "action_id": block.action_id, "renews_id": block.renews_id,
        }  # fmt: skip
        placed.events.append(NewEvent("account.blocked", "account_block", block.block_id, block.customer_id, data))
    return placed


async def _lift(session: Session, clock: Clock, tenant_id: TenantId, ids: Sequence[BlockId], today: dt.date, *, actor: str, because: str) -> int:
    lifted = await block_store.lift(session, tenant_id, ids, today, by=actor, because=because)
    if lifted:
        left = await block_store.degrees_of(session, tenant_id, [row["customer_id"] for row in lifted])
        told = [
            NewEvent(
                "account.unblocked", "account_block", row["block_id"], CustomerId(row["customer_id"]),
                {
                    "block_id": row["block_id"], "degree": row["degree"], "item_ids": [item["item_id"] for item in row["items"]], "reason": because,
                    "strictest": strictest(left.get(CustomerId(row["customer_id"]), [])),
                },
            )
            for row in lifted
        ]  # fmt: skip
        await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=told)
    return len(lifted)


async def _own(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, item_ids: Sequence[ItemId]) -> None:
    wanted = set(item_ids)
    known = await session.value(
        "select count(*) from item where tenant_id = $1 and customer_id = $2 and item_id = any ($3::uuid[])", tenant_id, customer_id, list(wanted)
    )
    if known != len(wanted):
        noun = "item of this customer"
        raise NotFound(noun)
