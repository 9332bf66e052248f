"""Filing items in a folder, with what follows for the actions that wait with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from dunning.collection import leaving, scenes, status_follow_ups
from dunning.collection.despatch import Outbound
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import CustomerId, ItemId, LedgerId, TenantId
from dunning.ledger import folders, item_statuses, status_store


async def move_items(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, code: str, item_ids: Sequence[ItemId], reason: str, outbound: Outbound
) -> tuple[str, list[UUID]]:
    """File items in a folder as `folders.move_items` does; where that stops reminding of them, they leave the actions that wait with them.

    A status that names days has its items followed up after them: one task a customer.
    """
    status_code, ids = await folders.move_items(session, clock, tenant_id=tenant_id, actor=actor, code=code, item_ids=item_ids, reason=reason)
    status = await item_statuses.status_of(session, tenant_id=tenant_id, code=status_code)
    of_ledger: defaultdict[LedgerId, set[CustomerId]] = defaultdict(set)
    for ledger_id, customer_id in (await status_store.owners_of_items(session, tenant_id, item_ids)).values():
        of_ledger[ledger_id].add(customer_id)
    for ledger_id, customer_ids in of_ledger.items():  # each ledger has its own day
        scene = await scenes.scene_of(session, clock, tenant_id=tenant_id, ledger_id=ledger_id, outbound=outbound, actor=actor)
        if status.excludes:
            await leaving.leave(session, clock, scene, customer_ids, item_ids, leaving.EXCLUDED_STATUS)
        await status_follow_ups.follow(session, clock, scene, status, ids, wanted=True)
    return status_code, ids
