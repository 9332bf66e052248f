"""Steps that items reach otherwise than by an action of their scenario: completed by one outside it, or named as the place to go on from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from uuid import UUID

from dunning.collection import action_store, facts, specific_store, steps_by_hand
from dunning.collection.action_store import NewProgress, ProgressRow
from dunning.collection.despatch import Scene
from dunning.collection.specific_rules import passed_over
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict
from dunning.kit.ids import ActionId, CustomerId, ItemId
from dunning.scenarios.rules import DEBIT, Compiled, Id, Item


class NoSuchStep(Conflict):
    """An item follows no scenario that has the step."""

    code = "no_such_step"
    title = "The step is not in the item's scenario"


class StepReached(Conflict):
    """An item has been at the step before."""

    code = "step_reached"
    title = "An item has reached this step before"


async def check_step(session: ReadSession, scene: Scene, customer_id: CustomerId, item_ids: Collection[UUID], code: str) -> list[tuple[Item, Compiled]]:
    """Return the open items with their scenario's version; raise `NoSuchStep` where an item's scenario has no such step in its ladder."""
    found, _ = await facts.facts_of(session, scene.tenant_id, [customer_id], scene.today)
    wanted = {str(item_id) for item_id in item_ids}
    chosen: list[tuple[Item, Compiled]] = []
    without: list[str] = []
    for item in found[0].position.items if found else ():
        if str(item.id) not in wanted or item.direction != DEBIT:
            continue
        compiled = None if item.scenario_id is None else found[0].known[item.scenario_id, item.version].compiled
        if compiled is None or code not in compiled.index_of:
            without.append(item.number)
        else:
            chosen.append((item, compiled))
    if without:
        msg = f"The scenario of {', '.join(sorted(without)[:5])} has no step {code}. Name a step of the ladder that all of these items follow, or none."
        raise NoSuchStep(msg, step_code=code)
    return chosen


async def check_completion(
    session: ReadSession, scene: Scene, customer_id: CustomerId, item_ids: Collection[UUID], code: str
) -> tuple[list[tuple[Item, Compiled]], Mapping[str, set[str]]]:
    """Return the open items with their scenario's version, and what each has reached; raise `NoSuchStep`, and `StepReached` for one that was at the step."""
    chosen = await check_step(session, scene, customer_id, item_ids, code)
    reached = await _reached(session, scene, [item for item, _ in chosen])
    again = sorted(item.number for item, compiled in chosen if _has(reached[str(item.id)], compiled, code))
    if again:
        msg = f"{', '.join(again[:5])} reached step {code} or a later one before. Leave counts_as_step out, or take these items out."
        raise StepReached(msg, step_code=code)
    return chosen, reached


async def will_complete(session: Session, scene: Scene, customer_id: CustomerId, action_id: ActionId, item_ids: Collection[UUID], code: str) -> None:
    """Let the completion of an action complete a step of its items; what lies below and was not reached is passed over by it.

    Raises `NoSuchStep`, and `StepReached` where an item has completed or passed the step, or another action is about to complete it.
    """
    chosen, reached = await check_completion(session, scene, customer_id, item_ids, code)
    rows: defaultdict[Id, list[ProgressRow]] = defaultdict(list)
    for item, compiled in chosen:
        if item.scenario_id is None:
            continue
        rows[item.scenario_id].append(ProgressRow(item.id, item.episode, item.version, code, 0, None, item.open_minor, None))
        rows[item.scenario_id] += _passed(item, compiled, reached[str(item.id)], code)
    await action_store.insert_progress(session, scene.tenant_id, [NewProgress(customer_id, action_id, sid, of) for sid, of in rows.items()])


async def go_on_from(session: Session, clock: Clock, scene: Scene, customer_id: CustomerId, item_ids: Collection[UUID], code: str) -> None:
    """Let items follow their scenario from a step on, as by hand.

    Items that are settled, that wait in another action, or whose scenario has lost the step stay where they are.
    """
    found, _ = await facts.facts_of(session, scene.tenant_id, [customer_id], scene.today)
    wanted = {str(item_id) for item_id in item_ids}
    placed = [
        ItemId(UUID(str(item.id)))
        for item in (found[0].position.items if found else ())
        if str(item.id) in wanted and item.direction == DEBIT and item.scenario_id is not None and not item.pending_action
        and code in found[0].known[item.scenario_id, item.version].compiled.index_of
    ]  # fmt: skip
    if placed:
        await steps_by_hand.set_step(
            session, clock, tenant_id=scene.tenant_id, actor=scene.actor, customer_id=customer_id, item_ids=placed, step_code=code,
            reason="afterwards",
        )  # fmt: skip


async def _reached(session: ReadSession, scene: Scene, items: Collection[Item]) -> defaultdict[str, set[str]]:
    reached: defaultdict[str, set[str]] = defaultdict(set)
    for row in await specific_store.live_progress(session, scene.tenant_id, [UUID(str(item.id)) for item in items]):
        reached[str(row["item_id"])].add(row["step_code"])
    return reached


def _has(reached: set[str], compiled: Compiled, code: str) -> bool:
    place = compiled.index_of[code]
    return any(compiled.index_of.get(one, -1) >= place for one in reached)


def _passed(item: Item, compiled: Compiled, reached: set[str], code: str) -> list[ProgressRow]:
    ladder = [step.code for step in compiled.ladder]
    return [
        ProgressRow(item.id, item.episode, item.version, below, 0, "by_hand", None, None) for below in passed_over(ladder, reached, code)
    ]  # fmt: skip
