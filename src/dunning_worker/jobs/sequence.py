"""Numbering what happened, so that the feed can tell it in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dunning.events import service as events
from dunning.kit.ids import TenantId

if TYPE_CHECKING:
    from dunning_worker.world import World

BATCH_EVENTS = 5000


async def number_events(world: World, tenant_id: TenantId) -> int:
    """Give numbers to all committed events of a tenant and return how many, one transaction a batch.

    Two workers at once wait for each other on the tenant's counter; an event has a number at most once, so a second run finds nothing.
    """
    total = 0
    while True:
        async with world.database.transaction(tenant_id) as session:
            numbered = await events.number_events(session, tenant_id=tenant_id, limit=BATCH_EVENTS)
        total += numbered
        if numbered < BATCH_EVENTS:
            return total
