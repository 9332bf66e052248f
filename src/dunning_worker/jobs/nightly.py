"""The nights of a tenant's ledgers, each once a local day."""

from __future__ import annotations

import datetime as dt

from dunning.collection import nights, run_store
from dunning.collection.despatch import Outbound
from dunning.collection.nights import Night
from dunning.events import due_work
from dunning.kit.faults import faultpoint
from dunning.kit.ids import TenantId
from dunning.tenancy import service as tenancy
from dunning_worker.jobs import actions
from dunning_worker.jobs.assigning import assign_everybody
from dunning_worker.jobs.watch import watch_ledger
from dunning_worker.world import World


async def run_due_nights(world: World, tenant_id: TenantId) -> int:
    """Begin the nights that are due and say when the next one is; return how many were begun.

    The schedule's unique key over ledger, job and local day makes a second worker's night the same night. A night that finds another run under
    way is left due and looked at again soon.
    """
    async with world.database.transaction(tenant_id) as session:
        await due_work.take(session, tenant_id, "schedule")
        tenant = await tenancy.tenant_of(session, tenant_id)
        clock = tenancy.clock_of(tenant)
        schedule = await nights.begin_schedule(session, clock, tenant=tenant)
        due = schedule.due(clock.now())
        following = schedule.next_at(clock.now())
        if due:
            again = await session.value("select now() + make_interval(secs => $1)", world.settings.lease_seconds)
            await due_work.ring(session, tenant_id, "schedule", again)
        elif following is not None and tenant.mode == "live":
            await due_work.ring(session, tenant_id, "schedule", following)
    begun = 0
    for night in due:
        begun += await run_night(world, tenant_id, night)
    return begun


async def run_night(world: World, tenant_id: TenantId, night: Night) -> int:
    """Do what a night brings to one ledger before its run, and begin the run; return 1 when it was begun by this."""
    outbound = Outbound.of(world.settings, world.keyring)
    ledger_id = night.ledger.ledger_id
    await watch_ledger(world, tenant_id, ledger_id)
    done = 1
    while done:
        async with world.database.transaction(tenant_id) as session:
            clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
            done = await nights.tidy_up(session, clock, tenant_id=tenant_id, ledger_id=ledger_id, outbound=outbound)
            kept_since = clock.now() - dt.timedelta(days=world.settings.inputs_kept_days)
            done += await run_store.forget_inputs(session, tenant_id, kept_since, nights.BATCH)
    await actions.carry_out(world, tenant_id, ledger_id=ledger_id, actor=nights.JOB)
    await assign_everybody(world, tenant_id, ledger_id, nights.JOB)
    await faultpoint("night_prepared")
    async with world.database.transaction(tenant_id) as session:
        run_id = await nights.run_night(session, clock, tenant_id=tenant_id, ledger_id=ledger_id, local_day=night.local_day)
        await faultpoint("night_written")
    await faultpoint("night_begun")
    return int(run_id is not None)
