"""Leading the items of a waiting action on to another step than the one it stands for: what a person decides at a checkpoint."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from dunning.collection import action_queries, actions, carrying, specific_store, steps_by_hand
from dunning.collection.despatch import Outbound
from dunning.collection.rules import ActionEvent
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.errors import Conflict
from dunning.kit.ids import ActionId, CustomerId, ItemId, TenantId


class NothingOpen(Conflict):
    """Everything that the action is about is settled, so there is nothing to lead on."""

    code = "nothing_open"
    title = "Nothing is open any more"


async def route_action(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, action_id: ActionId, step_code: str, reason: str, outbound: Outbound
) -> asyncpg.Record:
    """End an action that has told nobody and let its open items go on from another step of their scenario; return the ended action.

    It ends as `cancelled`, reason `routed`. Raises `NotFound`, `WrongState`, `MessageUnderWay`, `NothingOpen`, and `StepUnknown` where an item's scenario has
    no such step; then nothing has changed.
    """
    action, scene = await actions.taken(session, clock, tenant_id, action_id, ActionEvent.ROUTED, outbound=outbound, actor=actor)
    if await action_queries.has_message_under_way(session, tenant_id, action_id):
        msg = "A message of this action has left, or may have left. Wait for its outcome, or resolve it."
        raise actions.MessageUnderWay(msg)
    items: list[UUID] = await specific_store.open_items_of_action(session, tenant_id, action_id)
    if not items:
        msg = "Everything that this action is about is settled. It ends by itself in the next night, or cancel it."
        raise NothingOpen(msg)
    await carrying.cancel(session, clock, scene, [action], "routed")
    await steps_by_hand.set_step(
        session, clock, tenant_id=tenant_id, actor=actor, customer_id=CustomerId(action["customer_id"]), item_ids=[ItemId(i) for i in items],
        step_code=step_code, reason=reason,
    )  # fmt: skip
    await actions.tell(session, clock, scene, action, "action.routed", {"step_code": step_code, "reason": reason})
    return await actions.action_of(session, tenant_id=tenant_id, action_id=action_id)
