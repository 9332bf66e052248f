"""Dispatch of one tenant: move on what time has moved, send what is due, and say when to come again."""

from __future__ import annotations

import asyncpg

from dunning.kit.faults import faultpoint
from dunning.kit.ids import TenantId
from dunning.kit.logs import logger
from dunning.messages import store, sweep
from dunning.messages.compose import outgoing
from dunning.messages.dispatch import relay_of
from dunning.messages.ports import Evidence, no_evidence
from dunning.tenancy import service as tenancy
from dunning_worker.dispatcher import TRANSIENT, Dispatcher
from dunning_worker.world import World

log = logger("dispatch")


async def dispatch_tenant(world: World, tenant_id: TenantId, dispatcher: Dispatcher | None = None) -> int:
    """Do one visit to a tenant and return how many messages were begun or moved.

    Running it twice at once is harmless: claims and sweeps pass over rows that another is working on.
    """
    at_work = dispatcher or Dispatcher(world)
    moved = await sweep_tenant(world, tenant_id, at_work.first_look_seconds)
    moved += await look_for_evidence(world, tenant_id)
    async with world.database.reading(tenant_id) as session:
        relay = relay_of(await tenancy.tenant_of(session, tenant_id))
    try:
        begun = await at_work.send_due(tenant_id, relay)
    finally:
        async with world.database.transaction(tenant_id) as session:
            await sweep.plan_next_visit(session, tenant_id=tenant_id, relays=world.transports.keys())
    return moved + begun


async def sweep_tenant(world: World, tenant_id: TenantId, first_look_seconds: float) -> int:
    """Move on what time has moved, a batch a transaction, and return how many messages moved."""
    total = 0
    while True:
        try:
            async with world.database.transaction(tenant_id) as session:
                moved = await sweep.sweep(session, world.ports, tenant_id=tenant_id, first_look_seconds=first_look_seconds)
        except TRANSIENT:
            raise
        except Exception:
            # One message to whose end the collection cannot react must not keep all others from theirs.
            log.exception("message.reaction_failed", tenant_id=tenant_id)
            async with world.database.transaction(tenant_id) as session:
                moved = await sweep.sweep(session, world.ports.without_reaction(), tenant_id=tenant_id, first_look_seconds=first_look_seconds)
        total += moved
        if moved < sweep.BATCH:
            return total


async def look_for_evidence(world: World, tenant_id: TenantId) -> int:
    """Look for what became of messages whose reply was lost, outside any transaction, and return how many were looked at."""
    async with world.database.transaction(tenant_id) as session:
        rows = await sweep.lost_replies(session, tenant_id=tenant_id)
    if not rows:
        return 0
    looks_on = world.ports.find_evidence is not no_evidence
    looked: list[tuple[asyncpg.Record, Evidence | None]] = [
        (row, await world.ports.find_evidence(outgoing(row), row["header_message_id"]) if looks_on else None) for row in rows
    ]
    await faultpoint("evidence_searched")
    async with world.database.transaction(tenant_id) as session:
        await sweep.settle_lost(
            session,
            world.ports,
            tenant_id=tenant_id,
            looked=looked,
            evidence_window_seconds=world.settings.evidence_window_seconds,
            looks_on=looks_on,
        )
    return len(rows)


async def drain_tenant(world: World, tenant_id: TenantId) -> int:
    """Dispatch until nothing of the tenant is due at its clock's present time, and return how many messages were begun or moved."""
    total = 0
    while await _has_open(world, tenant_id) and (done := await dispatch_tenant(world, tenant_id)):
        total += done
    return total


async def _has_open(world: World, tenant_id: TenantId) -> bool:
    async with world.database.reading(tenant_id) as session:
        return await store.has_open(session, tenant_id)
