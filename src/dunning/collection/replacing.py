"""Replacing an action that is not to be by another one: an interactive mail instead of a call, a letter instead of a mail."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg

from dunning.collection import (
    action_queries,
    action_store,
    actions,
    carrying,
    last_look,
    operation_store,
    operations,
    owners,
    patterns,
    reaching,
    specific,
    specific_store,
)
from dunning.collection.despatch import Outbound, Scene
from dunning.collection.last_look import Planned
from dunning.collection.operations import At, Effects
from dunning.collection.rules import ActionEvent
from dunning.collection.specific import ItemNotOpen
from dunning.collection.specific_rules import NewSpecific
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import ActionId, CustomerId, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """What an action takes over from the one that it replaces.

    With `completes_steps` it completes the steps that the other one would have completed, or where `counts_as_step` names one, that step instead.
    It then also gives the same days for payment where it states none of its own, so that a step or an operation that waits for the deadline is reached.
    `carries_out_operations` says whether it also does what those steps do besides telling, as far as the other one has not.
    """

    completes_steps: bool = True
    counts_as_step: str | None = None
    carries_out_operations: bool = True


async def replace_action(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    action_id: ActionId,
    new: NewSpecific,
    succession: Succession,
    reason: str,
    outbound: Outbound,
) -> asyncpg.Record:
    """Put a new action in the place of one that has told nobody, over its items that are still open, and return the new one.

    The replaced one is `superseded` and names its successor in `superseded_by`. Where the new one completes no steps, they are planned again once it
    has ended. Raises `NotFound`, `WrongState`, `MessageUnderWay`, `ItemNotOpen` where everything is settled, and what making an action raises.
    """
    old, scene = await actions.taken(session, clock, tenant_id, action_id, ActionEvent.REPLACED, outbound=outbound, actor=actor)
    if await action_queries.has_message_under_way(session, tenant_id, action_id):
        msg = "A message of this action has left, or may have left, so it cannot be replaced. Make another action beside it."
        raise actions.MessageUnderWay(msg)
    item_ids: list[UUID] = await specific_store.open_items_of_action(session, tenant_id, action_id)
    if not item_ids:
        msg = "Everything that this action is about is settled, so there is nothing to replace it for."
        raise ItemNotOpen(msg)
    new = replace(new, person_id=new.person_id or old["person_id"], counts_as_step=succession.counts_as_step)
    if succession.completes_steps and new.content.deadline_days is None:
        new = replace(new, content=replace(new.content, deadline_days=await patterns.stated_days(session, tenant_id, action_id)))
    await carrying.take_back(session, clock, scene, [action_id], "replaced")
    # The items can be in one specific action only, so the old one lets go of them before the new one takes them.
    await specific_store.release_items(session, tenant_id, [action_id], "superseded")
    customer_id = CustomerId(old["customer_id"])
    new_id = await specific.draft(session, clock, scene, customer_id, item_ids, new, instead_of=action_id)
    if succession.completes_steps and succession.counts_as_step is None and await specific_store.move_progress(session, tenant_id, action_id, new_id, item_ids):
        await specific_store.plan_of_action(session, tenant_id, new_id, {"counts_as_step": old["counts_as_step"] or old["step_code"]})
    await action_store.void_progress(session, tenant_id, [action_id], reason)
    if succession.counts_as_step is not None:
        await reaching.will_complete(session, scene, customer_id, new_id, item_ids, succession.counts_as_step)
    if succession.carries_out_operations:
        await _take_over_operations(session, clock, scene, old, new_id)
    await carrying.cancel(session, clock, scene, [old], reason, state="superseded", superseded_by=new_id)
    await specific_store.supersede(session, tenant_id, action_id, new_id)
    if new.person_id != old["person_id"]:
        await owners.own_disputes(session, clock, tenant_id=tenant_id, actor=actor, person_id=new.person_id, action_ids=[new_id])
    await actions.tell(session, clock, scene, old, "action.replaced", {"superseded_by": new_id})
    return await specific.begin(session, clock, scene, new_id)


async def _take_over_operations(session: Session, clock: Clock, scene: Scene, old: asyncpg.Record, new_id: ActionId) -> None:
    """Give a new action the operations of the steps that it is to complete, each once: those that wait in the old one, and those that it had not begun."""
    tenant_id, customer_id = scene.tenant_id, CustomerId(old["customer_id"])
    begun = await operation_store.operations_of(session, tenant_id, ActionId(old["action_id"]))
    at: defaultdict[Planned, list[str]] = defaultdict(list)
    for row in await action_store.pending_rows(session, tenant_id, [new_id]):
        if row["reason"] is None:
            at[Planned(customer_id, str(row["scenario_id"]), row["scenario_version"], row["step_code"])].append(str(row["item_id"]))
    await operation_store.hand_over_operations(session, tenant_id, ActionId(old["action_id"]), new_id, {one.step_code for one in at})
    codes_begun = {row["params"]["step_code"] for row in begun}
    versions = await last_look.versions_of(session, scene, at.keys())
    effects = Effects()
    operations.begin(
        effects, action_id=new_id, customer_id=customer_id, moments=(), at=At(today=scene.today, actor=scene.actor),
        steps=[(versions[one].steps[one.step_code], item_ids) for one, item_ids in at.items() if one.step_code not in codes_begun],
        after_no=max((row["operation_no"] for row in begun), default=0),
    )  # fmt: skip
    await operations.write(session, clock, tenant_id, scene.ledger.ledger_id, effects, actor=scene.actor)
