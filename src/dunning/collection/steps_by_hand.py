"""Setting the step of items by hand: what lies below is skipped, what was reached at and above it is void, and the next run goes on from there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from dunning.collection import facts, progress_store
from dunning.collection.facts import CustomerFacts
from dunning.collection.progress_store import SkippedStep
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import CustomerId, ItemId, TenantId
from dunning.ledger import items, ledgers
from dunning.ledger.customer_state import facts_changed, lock_customers
from dunning.scenarios.compiled import Compiled, CompiledStep
from dunning.scenarios.ladder import standing_of
from dunning.scenarios.rules import DEBIT, Item, SkipReason


class StepUnknown(Malformed):
    """The step is none of the ladder that an item follows; `errors` names the steps there are."""

    code = "step_unknown"
    title = "No such step"


class ItemWaits(Conflict):
    """An action that waits or is on its way has the item; it must be decided first."""

    code = "item_waits"
    title = "An action has the item"


@dataclass(frozen=True, slots=True)
class StepSet:
    """Hold one item whose step was set: which step of its ladder came next before and comes next now, and how far it had come before and has now.

    `before` is None where the ladder was at its end; `reached_before` and `reached` are the highest steps completed or skipped, None for none.
    """

    item_id: ItemId
    before: str | None
    step_code: str
    reached_before: str | None
    reached: str | None


async def set_step_of_item(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, item_id: ItemId, step_code: str, reason: str) -> list[StepSet]:
    """Let an item go on from a step of its scenario; raise `NotFound`, `StepUnknown`, or `ItemWaits`."""
    item = await items.item_of(session, tenant_id=tenant_id, item_id=item_id)
    return await set_step(
        session, clock, tenant_id=tenant_id, actor=actor, customer_id=item.customer_id, item_ids=[item_id], step_code=step_code, reason=reason
    )


async def set_step(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    customer_id: CustomerId,
    item_ids: Sequence[ItemId] | None,
    step_code: str,
    reason: str,
) -> list[StepSet]:
    """Let open items of a customer, all that follow a scenario or the given ones, go on from a step; all or none.

    Steps below it are skipped as `by_hand`; what was completed or skipped at and above it becomes void, so that the step itself comes next, on the
    day its own conditions name. Repeating it changes nothing more. Raises `NotFound`, `StepUnknown` naming each item whose scenario has no
    such step, `ItemWaits` naming the items that an action has.
    """
    await lock_customers(session, tenant_id, [customer_id])
    today = await _today(session, clock, tenant_id, customer_id)
    seen, _ = await facts.facts_of(session, tenant_id, [customer_id], today)
    open_items = {str(item.id): item for item in seen[0].position.items if item.direction == DEBIT and item.open_minor > 0 and item.scenario_id is not None}
    chosen = list(open_items.values()) if item_ids is None else [open_items[str(i)] for i in item_ids if str(i) in open_items]
    if not chosen or (item_ids is not None and len(chosen) < len(item_ids)):
        msg = "Only open debts that follow a scenario have a step."
        raise Malformed(msg, errors=[{"field": "item_ids", "message": "expected open debts of this customer that follow a scenario"}])
    waiting = [str(item.id) for item in chosen if item.pending_action]
    if waiting:
        msg = "Approve, complete or cancel the action that has the item first."
        raise ItemWaits(msg, item_ids=waiting)
    compiled = {item.id: _ladder(seen[0].known.compiled[item.scenario_id, item.version], step_code, item) for item in chosen if item.scenario_id is not None}
    skips: list[SkippedStep] = []
    void: list[tuple[UUID, int, list[str]]] = []
    done: list[StepSet] = []
    for item in chosen:
        ladder = compiled[item.id].ladder
        place = compiled[item.id].index_of[step_code]
        live = {row.step_code for row in seen[0].position.progress if row.item_id == item.id and row.reason != "imported"}
        item_id = UUID(str(item.id))
        # A step that a fact triggers was done whatever the ladder says now; without its row the same fact would set it off once more.
        void.append((item_id, item.episode, [*[step.code for step in ladder[:place]], *compiled[item.id].fact_codes]))
        skips += [
            SkippedStep(customer_id, item_id, item.episode, UUID(str(item.scenario_id)), item.version, step.code)
            for step in ladder[:place]
            if step.code not in live
        ]
        rows = [row for row in seen[0].position.progress if row.item_id == item.id]
        reached = standing_of(item, rows, compiled[item.id], seen[0].known.compiled).place
        left_before = next((step.code for step in ladder[reached + 1 :] if not step.removed), None)
        done.append(StepSet(ItemId(item_id), left_before, step_code, _code_at(ladder, reached), _code_at(ladder, place - 1)))
    await progress_store.void_all_but(session, tenant_id, void, f"step_set_by_hand: {step_code}")
    await progress_store.forget_imported(session, tenant_id, [one.item_id for one in done])
    await progress_store.insert_skips(session, tenant_id, skips, today)
    left = [(UUID(str(item.id)), _completed_below(item, seen[0], compiled[item.id], step_code)) for item in chosen]
    await progress_store.show_step(session, tenant_id, left)
    made = [
        NewEvent(
            "item.step_set", "item", one.item_id, customer_id, {"from": one.before, "to": step_code, "reached_before": one.reached_before, "reason": reason}
        )
        for one in done
    ]
    await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)
    await facts_changed(session, tenant_id, [customer_id], today)
    return done


def _code_at(ladder: Sequence[CompiledStep], place: int) -> str | None:
    return ladder[place].code if place >= 0 else None


def _completed_below(item: Item, seen: CustomerFacts, compiled: Compiled, step_code: str) -> str | None:
    """Return the highest step that an item has completed below one; what another system said of it is forgotten."""
    below = {step.code for step in compiled.ladder[: compiled.index_of[step_code]]}
    rows = [row for row in seen.position.progress if row.item_id == item.id and row.step_code in below and row.reason != SkipReason.IMPORTED]
    last = standing_of(item, rows, compiled, seen.known.compiled).last
    return compiled.ladder[last].code if last >= 0 else None


def _ladder(compiled: Compiled, step_code: str, item: Item) -> Compiled:
    place = compiled.index_of.get(step_code)
    if place is None or compiled.ladder[place].removed:
        codes = ", ".join(step.code for step in compiled.ladder if not step.removed)
        msg = f"{step_code} is no step that item {item.number} can go on from: its scenario has {codes}. Steps that a fact triggers come by themselves."
        raise StepUnknown(msg, errors=[{"field": "step_code", "message": f"expected one of {codes}"}])
    return compiled


async def _today(session: Session, clock: Clock, tenant_id: TenantId, customer_id: CustomerId) -> dt.date:
    ledger_id = await session.value("select ledger_id from customer where tenant_id = $1 and customer_id = $2", tenant_id, customer_id)
    if ledger_id is None:
        noun = "customer"
        raise NotFound(noun)
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    return local_date(clock.now(), ledger.time_zone)
