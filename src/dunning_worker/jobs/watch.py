"""Watching agreements: what a payment or a day that is over has done to promises, blocks and disputes."""

from __future__ import annotations

from functools import partial

from dunning.collection import watching
from dunning.collection.despatch import Outbound
from dunning.events import due_work
from dunning.kit.faults import faultpoint
from dunning.kit.ids import CustomerId, LedgerId, TenantId
from dunning.kit.logs import logger
from dunning.tenancy import service as tenancy
from dunning_worker.batches import together_or_each
from dunning_worker.world import World

log = logger("worker")


async def watch_agreements(world: World, tenant_id: TenantId) -> int:
    """Look at every ledger of a tenant until nothing has moved, and return at how many customers was looked.

    Each batch is a transaction that begins with the customers' locks, so that two workers look one after the other; what one has written, the
    other finds done.
    """
    async with world.database.transaction(tenant_id) as session:
        await due_work.take(session, tenant_id, "watch")
        ledgers = await watching.ledgers_watched(session, tenant_id=tenant_id)
    total = 0
    for ledger_id in ledgers:
        looked_at = await watch_ledger(world, tenant_id, ledger_id)
        total += looked_at
        if not looked_at:
            continue
        async with world.database.transaction(tenant_id) as session:
            await watching.plan_next_look(session, tenant_id=tenant_id, ledger_id=ledger_id)
    return total


async def watch_ledger(world: World, tenant_id: TenantId, ledger_id: LedgerId) -> int:
    """Look at one ledger until nothing has moved, a batch a transaction, and return at how many customers was looked.

    Where a batch fails its customers are looked at one by one; one that fails by itself is passed over and keeps no other from its look.
    """
    total = 0
    failed: list[CustomerId] = []

    async def customer_failed(customer_ids: list[CustomerId], error: Exception) -> None:
        # One customer's agreements that cannot be read must not keep the others' promises and blocks as they are.
        log.error("watch.customer_failed", tenant_id=tenant_id, customer_id=customer_ids[0], exc_info=error)
        failed.extend(customer_ids)

    while True:
        async with world.database.reading(tenant_id) as reading:
            clock = tenancy.clock_of(await tenancy.tenant_of(reading, tenant_id))
            found = await watching.to_look_at(reading, clock, tenant_id=tenant_id, ledger_id=ledger_id, without=failed)
        if not found:
            return total
        await together_or_each(found, [[one] for one in found], partial(_look, world, tenant_id, ledger_id), customer_failed)
        total += len(found)


async def _look(world: World, tenant_id: TenantId, ledger_id: LedgerId, customer_ids: list[CustomerId]) -> None:
    async with world.database.transaction(tenant_id) as session:
        clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
        outbound = Outbound.of(world.settings, world.keyring)
        await watching.look(session, clock, tenant_id=tenant_id, ledger_id=ledger_id, customer_ids=customer_ids, outbound=outbound)
        await faultpoint("agreements_looked_at")
