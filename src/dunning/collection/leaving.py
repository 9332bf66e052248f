"""Items that something has taken out of reminding leave what waits with them at once: what people approve is what would be told, and asked on the phone."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from dunning.collection import call_task_store, carrying, follow_up_store, progress_store
from dunning.collection.despatch import Scene
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import CustomerId

DISPUTED = "disputed"
EXCLUDED_STATUS = "excluded_status"
SPECIFIC_ACTION = "specific_action"


async def leave(session: Session, clock: Clock, scene: Scene, customer_ids: Collection[CustomerId], item_ids: Collection[UUID], reason: str) -> None:
    """Take items of some customers out of actions of their scenario that wait for their day, an approval, an operation or a person, and out of calls about all.

    Their rows are void with the reason, and an action that has none left is cancelled with it; what was on its way already is looked at again before it
    leaves. What somebody made about chosen items keeps them. The items come back when the rule plans them again. The caller holds the customers' locks and
    says that facts changed. A second call finds nothing.
    """
    gone = await progress_store.leave_waiting(session, scene.tenant_id, customer_ids, item_ids, reason)
    not_asked = await call_task_store.leave_calls(session, scene.tenant_id, customer_ids, item_ids, reason)
    if not gone and not not_asked:
        return
    if gone:
        await carrying.narrow(session, clock, scene, [(row["action_id"], row["item_id"], reason) for row in gone])
    left: dict[UUID, tuple[CustomerId, list[str]]] = {}
    for row in (*gone, *not_asked):
        left.setdefault(row["action_id"], (CustomerId(row["customer_id"]), []))[1].append(str(row["item_id"]))
    empty = await progress_store.without_rows(session, scene.tenant_id, [row["action_id"] for row in gone])
    empty += await follow_up_store.without_items(session, scene.tenant_id, [row["action_id"] for row in not_asked])
    await carrying.cancel(session, clock, scene, empty, reason)
    ended = {action["action_id"] for action in empty}
    told = [
        NewEvent("action.items_left", "action", action_id, customer_id, {"reason": reason, "item_ids": items})
        for action_id, (customer_id, items) in left.items()
        if action_id not in ended
    ]
    await events.record_many(session, clock, tenant_id=scene.tenant_id, actor=scene.actor, events=told)
