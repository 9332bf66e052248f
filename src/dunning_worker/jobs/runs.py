"""Taking runs through their stages: planning page by page, then carrying out batch by batch, each its own transaction."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg

from dunning.collection import planning, run_store, runs
from dunning.collection.despatch import Outbound
from dunning.collection.planning import PageFacts
from dunning.collection.rules import HeldBecause
from dunning.events import due_work
from dunning.kit.database import AWAY, Session
from dunning.kit.faults import InjectedFault, faultpoint
from dunning.kit.ids import RunId, TenantId
from dunning.kit.logs import logger
from dunning.tenancy import service as tenancy
from dunning_worker.world import World

log = logger("worker")

NOT_ONE_CUSTOMERS_FAULT = (*AWAY, InjectedFault, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
"""Errors upon which the batch is tried again whole: nothing about a customer is wrong."""


async def work_on_runs(world: World, tenant_id: TenantId) -> int:
    """Work on the tenant's runs until none has work left, and return how many stages were worked on.

    Killed anywhere, another worker goes on from the stored cursor once the lease is over: the unique keys of run, customer, progress and action
    make a page or batch that was done twice count once.
    """
    stages = 0
    while True:
        async with world.database.transaction(tenant_id) as session:
            await due_work.take(session, tenant_id, "run")
            run = await run_store.lease_run(session, tenant_id, world.settings.lease_seconds)
            await _come_back(session, tenant_id, run)
        if run is None:
            return stages
        stages += 1
        try:
            await (_plan if run["state"] == "planning" else _carry_out)(world, tenant_id, run)
        except (*AWAY, InjectedFault):
            raise
        except Exception as error:
            log.exception("run.failed", run_id=run["run_id"], tenant_id=tenant_id)
            async with world.database.transaction(tenant_id) as session:
                clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
                await runs.fail_run(session, clock, tenant_id=tenant_id, run=run, error=error)


async def _come_back(session: Session, tenant_id: TenantId, run: asyncpg.Record | None) -> None:
    """Leave a due row at the end of the lease, so that a worker that dies is noticed; the row of another's lease is left likewise."""
    lease_until = run["lease_until"] if run else await run_store.next_lease_end(session, tenant_id)
    if lease_until is not None:
        await due_work.ring(session, tenant_id, "run", lease_until)


async def _plan(world: World, tenant_id: TenantId, leased: asyncpg.Record) -> None:
    run_id, token = RunId(leased["run_id"]), leased["lease_token"]
    async with world.database.transaction(tenant_id) as session:
        if leased["ledger_revision"] == 0:
            await runs.begin_planning(session, tenant_id=tenant_id, run=leased)
        begun = await runs.run_of(session, tenant_id=tenant_id, run_id=run_id)
    await faultpoint("run_begun")
    # The database reads the next page while this process decides the present one: both cores of a small machine are busy.
    ahead = asyncio.create_task(_read_page(world, tenant_id, begun, begun["cursor_customer_id"]))
    try:
        while True:
            page = await ahead
            if page.found:
                ahead = asyncio.create_task(_read_page(world, tenant_id, begun, page.found[-1].customer_id))
            async with world.database.transaction(tenant_id) as session:
                run = await run_store.keep_lease(session, tenant_id, run_id, token, "planning", world.settings.lease_seconds)
                if run is None:
                    return
                tenant = await tenancy.tenant_of(session, tenant_id)
                if page.found:
                    await planning.plan_page(session, tenant, run, page)
                else:
                    await faultpoint("run_planned")
                    await runs.finish_planning(session, tenancy.clock_of(tenant), tenant_id=tenant_id, run=run)
                await faultpoint("run_page_written")
            await faultpoint("run_page_planned")
            if not page.found:
                return
    finally:
        ahead.cancel()
        await asyncio.gather(ahead, return_exceptions=True)


async def _read_page(world: World, tenant_id: TenantId, run: asyncpg.Record, after: UUID | None) -> PageFacts:
    async with world.database.reading(tenant_id) as session:
        return await planning.read_page(session, tenant_id, run, after, world.settings.run_page_customers)


async def _carry_out(world: World, tenant_id: TenantId, leased: asyncpg.Record) -> None:
    run_id, token = RunId(leased["run_id"]), leased["lease_token"]
    outbound = Outbound.of(world.settings, world.keyring)
    while True:
        async with world.database.transaction(tenant_id) as session:
            run = await run_store.keep_lease(session, tenant_id, run_id, token, "committing", world.settings.lease_seconds)
            if run is None:
                return
            rows = await run_store.to_execute(session, tenant_id, run_id, world.settings.execute_batch_customers)
            clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
            if not rows:
                await runs.finish_run(session, clock, tenant_id=tenant_id, run=run)
                return
        try:
            await _batch(world, tenant_id, run, outbound, rows)
        except runs.SendingOff:
            async with world.database.transaction(tenant_id) as session:
                await runs.hold_run(session, clock, tenant_id=tenant_id, run=run, because=HeldBecause.SENDING_OFF)
            return
        except NOT_ONE_CUSTOMERS_FAULT:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it was, its customers are carried out one by one
            log.warning("run.batch_failed", run_id=run_id, customers=len(rows), error=type(error).__name__)
            for row in rows:
                await _one(world, tenant_id, run, outbound, row)
        await faultpoint("run_batch_executed")


async def _batch(world: World, tenant_id: TenantId, run: asyncpg.Record, outbound: Outbound, rows: list[asyncpg.Record]) -> None:
    async with world.database.transaction(tenant_id) as session:
        clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
        if await run_store.keep_lease(session, tenant_id, run["run_id"], run["lease_token"], "committing", world.settings.lease_seconds) is None:
            return
        await runs.execute_batch(session, clock, tenant_id=tenant_id, run=run, outbound=outbound, rows=rows)
        await faultpoint("run_batch_written")


async def _one(world: World, tenant_id: TenantId, run: asyncpg.Record, outbound: Outbound, row: asyncpg.Record) -> None:
    """Carry out one customer by itself; what fails is listed on the run and touches no other."""
    try:
        await _batch(world, tenant_id, run, outbound, [row])
    except (*NOT_ONE_CUSTOMERS_FAULT, runs.SendingOff):
        raise
    except Exception as error:
        log.exception("run.customer_failed", run_id=run["run_id"], customer_id=row["customer_id"])
        async with world.database.transaction(tenant_id) as session:
            await run_store.set_outcomes(session, tenant_id, run["run_id"], [row["customer_id"]], ["failed"], [planning.error_text(error)])
