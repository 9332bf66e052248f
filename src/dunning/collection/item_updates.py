"""What a collector says about selected items in one go: their status and a comment, who is told now, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import asyncpg

from dunning.collection import action_store, carrying, leaving, own_words, specific, specific_store, status_follow_ups
from dunning.collection.despatch import Outbound, Scene
from dunning.collection.specific_rules import AD_HOC, Content, NewSpecific
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.errors import Malformed, NotFound
from dunning.kit.ids import ActionId, CustomerId, ItemId, TenantId
from dunning.ledger import item_comments, item_statuses
from dunning.ledger.customer_state import facts_changed, lock_customers
from dunning.scenarios.steps import Audience, Mode

Notify = Literal["none", "customer", "internal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemUpdate:
    """The three steps: status and comment, both optional; who gets a mail now; the scenario again, an action outside it, or what the status asks for."""

    item_ids: Sequence[UUID]
    status_code: str | None = None
    comment: str | None = None
    notify: Notify = "none"
    message: Content | None = None
    follow_scenario: bool = False
    action: NewSpecific | None = None


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update made: comments, the message's action and the action outside the scenario, and the actions that its items have left."""

    comment_ids: Sequence[UUID]
    message_action: asyncpg.Record | None
    action: asyncpg.Record | None
    left_action_ids: Sequence[ActionId]


async def update_items(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, customer_id: CustomerId, update: ItemUpdate, outbound: Outbound
) -> Updated:
    """Do the three steps for selected items of one customer, all or none, and return what was made.

    Without the scenario or an action as the next step, a status that names days has its items followed up after them.

    What is told now is told about the items as they stand after the first step: a customer is not written to about an item that it excludes. Raises
    `NotFound` for items, a status or contacts that are unknown, and what making an action raises. A second call writes, tells and makes once more.
    """
    scene = await specific.scene_of_customer(session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, outbound=outbound)
    await lock_customers(session, tenant_id, [customer_id])
    ids = list(dict.fromkeys(update.item_ids))
    if len(await specific_store.items_to_tie(session, tenant_id, customer_id, ids)) < len(ids):
        noun = "item of this customer"
        raise NotFound(noun)
    comments = await item_comments.qualify(
        session, clock, tenant_id=tenant_id, actor=actor, ledger_id=scene.ledger.ledger_id, customer_id=customer_id, item_ids=[ItemId(one) for one in ids],
        status_code=update.status_code, text=update.comment, source="person", source_id=None,
    )  # fmt: skip
    status = None if update.status_code is None else await item_statuses.status_of(session, tenant_id=tenant_id, code=update.status_code)
    if status is not None and status.excludes:
        await leaving.leave(session, clock, scene, [customer_id], ids, leaving.EXCLUDED_STATUS)
    message = None
    if update.notify != "none":
        message = await _notify(session, clock, scene, customer_id, ids, update, outbound)
    left = await _back_to_scenario(session, clock, scene, customer_id, ids) if update.follow_scenario else []
    action = None
    if update.action is not None:
        action = await specific.create(
            session, clock, tenant_id=tenant_id, actor=actor, customer_id=customer_id, item_ids=ids, new=update.action, outbound=outbound
        )  # fmt: skip
        if message is not None:
            # The mail is told now, the action later: it does not take its items from the mail that was asked for in the same breath.
            content = {**message["content"], "beside_action_id": str(action["action_id"])}
            await specific_store.plan_of_action(session, tenant_id, ActionId(message["action_id"]), {"content": content})
            message = await action_store.action_row(session, tenant_id, ActionId(message["action_id"]))
    if status is not None:
        followed = await status_follow_ups.follow(session, clock, scene, status, comments, wanted=action is None and not update.follow_scenario)
        for action_id in followed:  # one: the items are of one customer
            action = await action_store.action_row(session, tenant_id, action_id)
    return Updated(comments, message, action, left)


async def _notify(
    session: Session, clock: Clock, scene: Scene, customer_id: CustomerId, item_ids: Sequence[UUID], update: ItemUpdate, outbound: Outbound
) -> asyncpg.Record:
    audience = Audience.INTERNAL if update.notify == "internal" else Audience.CUSTOMER
    content = update.message or Content(audience=audience.value)
    if content.audience != audience:
        msg = f"message.audience: expected {audience.value}, as notify says."
        raise Malformed(msg, [{"field": "message.audience", "message": f"expected {audience.value}"}])
    if audience is Audience.INTERNAL and content.text is None and update.comment is not None:
        content = own_words.with_comment(content, update.comment)
    title = content.subject or ("Question to colleagues" if audience is Audience.INTERNAL else "Message to the customer")
    new = NewSpecific(title=title, content=content, origin=AD_HOC, mode=Mode.AUTOMATIC.value)
    return await specific.create(
        session, clock, tenant_id=scene.tenant_id, actor=scene.actor, customer_id=customer_id, item_ids=item_ids, new=new, outbound=outbound
    )  # fmt: skip


async def _back_to_scenario(session: Session, clock: Clock, scene: Scene, customer_id: CustomerId, item_ids: Sequence[UUID]) -> list[ActionId]:
    """Take items out of the specific actions that have them; one that is left without items ends."""
    left = await specific_store.detach(session, scene.tenant_id, item_ids, "follow_scenario")
    if not left:
        return []
    await action_store.void_progress(session, scene.tenant_id, left, "follow_scenario", item_ids=list(item_ids))
    empty = [action for action in await action_store.actions_for_change(session, scene.tenant_id, left) if action["state"] in action_store.LIVE]
    kept = await specific_store.with_items(session, scene.tenant_id, left)
    await carrying.cancel(session, clock, scene, [action for action in empty if action["action_id"] not in kept], "follow_scenario")
    data = {"reason": "follow_scenario", "item_ids": [str(one) for one in item_ids]}
    told = [NewEvent("action.items_left", "action", action_id, customer_id, data) for action_id in left]
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)
    await facts_changed(session, scene.tenant_id, [customer_id], scene.today)
    return left
