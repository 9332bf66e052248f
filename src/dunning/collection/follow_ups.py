"""Tasks that follow something up: they come on their day to the customer's lead collector, and leave their items in the scenario."""

from __future__ import annotations

from collections.abc import Sequence

from dunning.collection import follow_up_store
from dunning.collection.despatch import Scene
from dunning.collection.follow_up_store import NewTask, Renewal
from dunning.collection.specific_rules import AD_HOC, Content
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import CustomerId


async def put_on_lists(session: Session, clock: Clock, scene: Scene, content: Content, tasks: Sequence[NewTask]) -> None:
    """Put tasks of one kind on the lists of the customers' lead collectors; the same number of statements however many."""
    if not tasks:
        return
    await follow_up_store.insert_tasks(session, scene.tenant_id, scene.ledger.ledger_id, scene.today, content.stored(), tasks)
    told = [
        NewEvent(
            "action.created", "action", task.action_id, CustomerId(task.customer_id),
            {"origin": AD_HOC, "kind": "task", "mode": "manual", "scheduled_on": task.scheduled_on, "items": len(task.item_ids)},
        )
        for task in tasks
    ]  # fmt: skip
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)


async def renew(session: Session, clock: Clock, scene: Scene, renewals: Sequence[Renewal]) -> None:
    """Plan mails anew that have ended before their day; the same number of statements however many."""
    if not renewals:
        return
    await follow_up_store.renew_mails(session, scene.tenant_id, scene.today, renewals, actor=scene.actor)
    told = [
        NewEvent(
            "action.created", "action", one.action_id, CustomerId(one.renews["customer_id"]),
            {"origin": one.renews["origin"], "kind": one.renews["kind"], "mode": one.renews["mode"], "scheduled_on": one.scheduled_on,
             "items": len(one.item_ids)},
        )
        for one in renewals
    ]  # fmt: skip
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)
