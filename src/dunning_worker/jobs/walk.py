"""Walking the clock of a test tenant: every night and every opening of a send window on the way, in order."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg

from dunning.collection import walks
from dunning.events import due_work
from dunning.kit.database import AWAY
from dunning.kit.faults import InjectedFault, faultpoint
from dunning.kit.ids import TenantId
from dunning.kit.logs import logger
from dunning.tenancy import service as tenancy
from dunning_worker.jobs import actions, dispatch, nightly, runs
from dunning_worker.jobs.imports import work_on_imports
from dunning_worker.jobs.watch import watch_agreements
from dunning_worker.world import World

log = logger("worker")

LOOK_AGAIN_SECONDS = 0.05


async def work_on_walks(world: World, tenant_id: TenantId) -> int:
    """Walk the tenant's open walk to its end and return 1, or 0 where there is none or another worker walks it.

    Killed on the way, the next worker goes on from where the clock stands once the lease is over; nights that were begun are not begun again.
    """
    async with world.database.transaction(tenant_id) as session:
        await due_work.take(session, tenant_id, "walk")
        walk = await walks.lease_walk(session, tenant_id=tenant_id, lease_seconds=world.settings.lease_seconds)
        ends_at = await walks.lease_end(session, tenant_id=tenant_id)
        if ends_at is not None:
            await due_work.ring(session, tenant_id, "walk", ends_at)
    if walk is None:
        return 0
    sign_of_life = asyncio.create_task(_stay_alive(world, tenant_id, walk))
    try:
        await _walk(world, tenant_id, walk)
    except (*AWAY, InjectedFault):
        raise
    except Exception as error:
        log.exception("walk.failed", tenant_id=tenant_id, walk_id=walk["walk_id"])
        async with world.database.transaction(tenant_id) as session:
            await walks.fail(session, tenant_id=tenant_id, walk_id=walk["walk_id"], error=error)
    finally:
        sign_of_life.cancel()
        with suppress(asyncio.CancelledError):
            await sign_of_life
    return 1


async def _stay_alive(world: World, tenant_id: TenantId, walk: asyncpg.Record) -> None:
    alive = True
    while alive:
        await asyncio.sleep(world.settings.lease_seconds / 3)
        with suppress(*AWAY):
            async with world.database.transaction(tenant_id) as session:
                alive = await walks.keep_lease(session, tenant_id=tenant_id, walk=walk, lease_seconds=world.settings.lease_seconds)


async def _walk(world: World, tenant_id: TenantId, walk: asyncpg.Record) -> None:
    await settle(world, tenant_id)
    while True:
        async with world.database.transaction(tenant_id) as session:
            if not await walks.keep_lease(session, tenant_id=tenant_id, walk=walk, lease_seconds=world.settings.lease_seconds):
                return
            clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
            stop = await walks.next_stop(session, clock, tenant_id=tenant_id, until=walk["to_at"])
            if stop is None:
                break
            await walks.step_to(session, tenant_id=tenant_id, walk_id=walk["walk_id"], stop=stop)
        await faultpoint("walk_stepped")
        await nightly.run_due_nights(world, tenant_id)
        await settle(world, tenant_id)
    async with world.database.transaction(tenant_id) as session:
        await walks.reach_target(session, tenant_id=tenant_id, to=walk["to_at"])
    await settle(world, tenant_id)
    async with world.database.transaction(tenant_id) as session:
        await walks.finish(session, tenant_id=tenant_id, walk_id=walk["walk_id"])


async def settle(world: World, tenant_id: TenantId) -> None:
    """Do everything that is due at the clock's present: imports, runs, sending, and what sending makes due again.

    What a loop or another worker is doing at that moment is waited for, so that the clock moves only when the present is over, and a walk brings the
    same whoever does its work. What a dead one has left is taken over when its lease ends.
    """
    while True:
        await work_on_imports(world, tenant_id)
        await watch_agreements(world, tenant_id)
        await runs.work_on_runs(world, tenant_id)
        await actions.carry_out_due(world, tenant_id)
        if await dispatch.drain_tenant(world, tenant_id):
            continue
        async with world.database.reading(tenant_id) as session:
            if not await walks.is_under_way(session, tenant_id=tenant_id):
                return
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
