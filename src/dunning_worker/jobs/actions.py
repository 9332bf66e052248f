"""Carrying out approved actions whose day has come: what people let go many at a time, by day, and what waited for its day, by night."""

from __future__ import annotations

from collections.abc import Sequence

from dunning.collection import actions, bulk_store
from dunning.collection.despatch import Outbound
from dunning.events import due_work
from dunning.kit.faults import faultpoint
from dunning.kit.ids import ActionId, LedgerId, TenantId
from dunning.kit.logs import logger
from dunning.tenancy import service as tenancy
from dunning_worker.batches import NO_PARTS_FAULT, together_or_each
from dunning_worker.world import World

log = logger("worker")

ACTOR = "worker"


async def carry_out_due(world: World, tenant_id: TenantId) -> int:
    """Carry out what a tenant has approved and is due, and return how many actions that were."""
    async with world.database.transaction(tenant_id) as session:
        await due_work.take(session, tenant_id, "action")
    try:
        return await carry_out(world, tenant_id, actor=ACTOR)
    except NO_PARTS_FAULT:
        # Whatever was not done is found again by whoever comes next.
        async with world.database.transaction(tenant_id) as session:
            await due_work.ring(session, tenant_id, "action")
        raise


async def carry_out(world: World, tenant_id: TenantId, *, ledger_id: LedgerId | None = None, actor: str) -> int:
    """Carry out what is approved and due, of one ledger or all, batch by batch, and return how many actions that were.

    An action leaves the state `scheduled` in the transaction that carries it out, so a second worker, or a repetition after a crash, finds it done.
    Where a batch fails its actions are carried out one by one; one that fails by itself stays scheduled for the next look and stops no other.
    """
    done, after = 0, None
    while True:
        async with world.database.reading(tenant_id) as session:
            now = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id)).now()
            found = await bulk_store.due_scheduled(session, tenant_id, ledger_id, now, after, world.settings.execute_batch_customers)
        if not found:
            return done
        done += await _batch_or_each(world, tenant_id, found, actor)
        after = found[-1]
        await faultpoint("actions_carried_out")


async def _batch_or_each(world: World, tenant_id: TenantId, action_ids: Sequence[ActionId], actor: str) -> int:
    outbound = Outbound.of(world.settings, world.keyring)

    async def batch(some: Sequence[ActionId]) -> int:
        async with world.database.transaction(tenant_id) as session:
            clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
            return await actions.carry_out_many(session, clock, tenant_id=tenant_id, action_ids=some, outbound=outbound, actor=actor)

    async def action_failed(some: Sequence[ActionId], error: Exception) -> int:
        log.error("action.failed", tenant_id=tenant_id, action_id=some[0], exc_info=error)
        return 0

    return sum(await together_or_each(action_ids, [[one] for one in action_ids], batch, action_failed))
