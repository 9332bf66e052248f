"""What follows when an action outside the scenario ends: its items are free again, and whoever waits for its end is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import asyncpg

from dunning.collection import reaching, specific_store
from dunning.collection.despatch import Scene
from dunning.collection.specific_rules import SPECIFIC
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import ActionId, CustomerId

How = Literal["completed", "cancelled", "rejected", "superseded"]
Reaction = Callable[[Session, Clock, Scene, Sequence[asyncpg.Record], str], Awaitable[None]]

_reactions: list[Reaction] = []


def register(reaction: Reaction) -> Reaction:
    """Have something done, in the same transaction, whenever actions outside the scenario end. A second registration changes nothing."""
    if reaction not in _reactions:
        _reactions.append(reaction)
    return reaction


async def close(session: Session, clock: Clock, scene: Scene, actions: Sequence[asyncpg.Record], how: How) -> None:
    """Free the items of those of some actions that stand outside the scenario; completed ones go on from the step that was named for it.

    The callers hold the customers' locks and have set the actions' states. Actions of the scenario are passed over at no cost; a second call
    finds nothing attached.
    """
    own = [action for action in actions if action["origin"] != "scenario"]
    if not own:
        return
    ids = [ActionId(action["action_id"]) for action in own]
    placed = [action for action in own if how == "completed" and action["afterwards"] == "step" and action["afterwards_step_code"]]
    items = await specific_store.tied_items(session, scene.tenant_id, [ActionId(action["action_id"]) for action in placed]) if placed else {}
    if any(action["origin"] == SPECIFIC for action in own):
        await specific_store.release_items(session, scene.tenant_id, ids, how)
    for action in placed:
        customer_id = CustomerId(action["customer_id"])
        await reaching.go_on_from(session, clock, scene, customer_id, items[action["action_id"]], action["afterwards_step_code"])
    for reaction in _reactions:
        await reaction(session, clock, scene, own, how)
