"""What follows a status that says after how many days it is followed up: a task about the items that have got it, until they get another one."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from dunning.collection import agreed_items, carrying, follow_up_store, follow_ups
from dunning.collection.despatch import Scene
from dunning.collection.follow_up_store import MovedItem, NewTask
from dunning.collection.specific_rules import TITLE_CAP, Content
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import ActionId, CustomerId, new_id
from dunning.ledger.customer_state import watch
from dunning.ledger.status_store import ItemStatus

ANOTHER_STATUS = "another_status"


async def follow(session: Session, clock: Clock, scene: Scene, status: ItemStatus, comment_ids: Sequence[UUID], *, wanted: bool) -> list[ActionId]:
    """Let items that have just got a status leave what followed their old one; where `wanted`, put a task on the day that the new one names (S4-05).

    One task a customer, about what is owed; it leaves the items in their scenario, which the status itself stops or not, and is cancelled once all are
    settled. `comment_ids` are what setting the status wrote, so that items which had it already are passed over. Returns the tasks. The caller holds the
    customers' locks.
    """
    moved = await follow_up_store.moved_items(session, scene.tenant_id, scene.ledger.ledger_id, comment_ids)
    await leave(session, clock, scene, [item.item_id for item in moved])
    owed = [item for item in moved if item.is_owed]
    if not wanted or status.follow_up_days is None or not owed:
        return []
    tasks = _tasks(scene.today, scene.today + dt.timedelta(days=status.follow_up_days), status, owed)
    await follow_ups.put_on_lists(session, clock, scene, Content(kind="task", task_kind="other", follows_status=status.code), tasks)
    await watch(session, scene.tenant_id, [CustomerId(task.customer_id) for task in tasks])
    return [task.action_id for task in tasks]


async def leave(session: Session, clock: Clock, scene: Scene, item_ids: Collection[UUID]) -> None:
    """Take items that have another status by now out of the tasks that follow their old one; a task that is left without items is cancelled.

    The caller holds the customers' locks. A second call finds nothing.
    """
    if not item_ids:
        return
    left = await follow_up_store.leave_status_tasks(session, scene.tenant_id, item_ids, ANOTHER_STATUS)
    await carrying.cancel(session, clock, scene, await follow_up_store.without_items(session, scene.tenant_id, left), ANOTHER_STATUS)


def _tasks(today: dt.date, on: dt.date, status: ItemStatus, items: Sequence[MovedItem]) -> list[NewTask]:
    of_customer: defaultdict[UUID, list[MovedItem]] = defaultdict(list)
    for item in items:
        of_customer[item.customer_id].append(item)
    title = f"Follow up: {status.name}"[:TITLE_CAP]
    return [
        NewTask(
            ActionId(new_id()), customer_id, on, title,
            f"{agreed_items.in_words([item.number for item in some])}: {status.name} since {today}. See how it stands, and set the status that fits.",
            [item.item_id for item in some],
        )
        for customer_id, some in of_customer.items()
    ]  # fmt: skip
