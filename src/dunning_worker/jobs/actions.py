"""Carrying out approved actions whose day has come: what people let go many at a time, between two nights."""

from __future__ import annotations

import asyncpg

from dunning.collection import actions, bulk_store
from dunning.collection.despatch import Outbound
from dunning.events import due_work
from dunning.kit.database import AWAY
from dunning.kit.faults import InjectedFault, faultpoint
from dunning.kit.ids import ActionId, TenantId
from dunning.kit.logs import logger
from dunning.tenancy import service as tenancy
from dunning_worker.world import World

log = logger("worker")

BATCH = 20
NOT_ONE_ACTIONS_FAULT = (*AWAY, InjectedFault, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)


async def carry_out_due(world: World, tenant_id: TenantId) -> int:
    """Carry out what is approved and due, batch by batch, and return how many actions that were.

    An action leaves the state `scheduled` in the transaction that carries it out, so a second worker, or a repetition after a crash, finds it done.
    One that fails stays scheduled for the night and stops no other.
    """
    outbound = Outbound.of(world.settings, world.keyring)
    done, tried = 0, set[ActionId]()
    async with world.database.transaction(tenant_id) as session:
        await due_work.take(session, tenant_id, "action")
    while True:
        async with world.database.reading(tenant_id) as session:
            clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
            found = await bulk_store.due_scheduled(session, tenant_id, clock.now(), BATCH + len(tried))
        waiting = [action_id for action_id in found if action_id not in tried][:BATCH]
        if not waiting:
            return done
        tried.update(waiting)
        try:
            done += await _batch(world, tenant_id, outbound, waiting)
        except NOT_ONE_ACTIONS_FAULT:
            # Whatever was not done is found again by whoever comes next.
            async with world.database.transaction(tenant_id) as session:
                await due_work.ring(session, tenant_id, "action")
            raise
        except Exception as error:  # noqa: BLE001  # whatever it was, its actions are carried out one by one
            log.warning("action.batch_failed", tenant_id=tenant_id, actions=len(waiting), error=type(error).__name__)
            for action_id in waiting:
                done += await _one(world, tenant_id, outbound, action_id)
        await faultpoint("actions_carried_out")


async def _batch(world: World, tenant_id: TenantId, outbound: Outbound, action_ids: list[ActionId]) -> int:
    async with world.database.transaction(tenant_id) as session:
        clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
        return await actions.carry_out_many(session, clock, tenant_id=tenant_id, action_ids=action_ids, outbound=outbound, actor="worker")


async def _one(world: World, tenant_id: TenantId, outbound: Outbound, action_id: ActionId) -> int:
    try:
        return await _batch(world, tenant_id, outbound, [action_id])
    except NOT_ONE_ACTIONS_FAULT:
        raise
    except Exception:
        # Whatever is wrong with one action must not keep the others from being carried out; it is tried again with the next look.
        log.exception("action.failed", tenant_id=tenant_id, action_id=action_id)
        return 0
