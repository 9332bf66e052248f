"""Replacing an action that is not to be by another one: an interactive mail instead of a call, a letter instead of a mail."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import asyncpg

from dunning.collection import action_queries, actions, carrying, specific, specific_store
from dunning.collection.despatch import Outbound
from dunning.collection.rules import ActionEvent
from dunning.collection.specific import ItemNotOpen
from dunning.collection.specific_rules import NewSpecific
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import ActionId, CustomerId, TenantId


async def replace_action(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    action_id: ActionId,
    new: NewSpecific,
    completes_steps: bool,
    reason: str,
    outbound: Outbound,
) -> asyncpg.Record:
    """Put a new action in the place of one that has told nobody, over its items that are still open, and return the new one.

    The replaced one is `superseded` and names its successor in `superseded_by`. With `completes_steps` the new one completes the steps that the old
    one would have completed; without, they are planned again once the new one has ended. Raises `NotFound`, `WrongState`, `MessageUnderWay`,
    `ItemNotOpen` where everything is settled, and what making an action raises.
    """
    old, scene = await actions.taken(session, clock, tenant_id, action_id, ActionEvent.REPLACED, outbound=outbound, actor=actor)
    if await action_queries.has_message_under_way(session, tenant_id, action_id):
        msg = "A message of this action has left, or may have left, so it cannot be replaced. Make another action beside it."
        raise actions.MessageUnderWay(msg)
    item_ids: list[UUID] = await specific_store.open_items_of_action(session, tenant_id, action_id)
    if not item_ids:
        msg = "Everything that this action is about is settled, so there is nothing to replace it for."
        raise ItemNotOpen(msg)
    if new.person_id is None:
        new = replace(new, person_id=old["person_id"])
    await carrying.take_back(session, clock, scene, [action_id], "replaced")
    # The items can be in one specific action only, so the old one lets go of them before the new one takes them.
    await specific_store.release_items(session, tenant_id, [action_id], "superseded")
    customer_id = CustomerId(old["customer_id"])
    new_id = await specific.draft(session, clock, scene, customer_id, item_ids, new)
    if completes_steps and await specific_store.move_progress(session, tenant_id, action_id, new_id, item_ids):
        await specific_store.plan_of_action(session, tenant_id, new_id, {"counts_as_step": old["counts_as_step"] or old["step_code"]})
    await carrying.cancel(session, clock, scene, [old], reason, state="superseded")
    await specific_store.supersede(session, tenant_id, action_id, new_id)
    await actions.tell(session, clock, scene, old, "action.replaced", {"superseded_by": new_id})
    return await specific.begin(session, clock, scene, new_id)
