"""Taking runs through their stages: planning page by page, then carrying out batch by batch, each its own transaction."""

from __future__ import annotations

import asyncio
from functools import partial
from uuid import UUID

import asyncpg

from dunning.collection import planning, run_store, runs
from dunning.collection.breakers import HeldBecause
from dunning.collection.despatch import Outbound
from dunning.collection.planning import Page, PageFacts
from dunning.collection.runs import RunBatch
from dunning.events import due_work
from dunning.kit.database import Session
from dunning.kit.faults import faultpoint
from dunning.kit.ids import CustomerId, RunId, TenantId
from dunning.kit.logs import logger
from dunning.tenancy import service as tenancy
from dunning_worker.batches import NO_PARTS_FAULT, together_or_each
from dunning_worker.collector import few_collections
from dunning_worker.world import World

log = logger("worker")

BATCHES_AT_ONCE = 2


class _TakenOver(Exception):  # nothing is wrong: another worker goes on with the run
    """The lease on a run has ended, and with it this worker's right to write."""


NO_CUSTOMERS_FAULT = (*NO_PARTS_FAULT, runs.SendingOff, _TakenOver)
"""What ends a batch without anything being wrong with one of its customers."""


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
            with few_collections():
                await (_plan if run["state"] == "planning" else _carry_out)(world, tenant_id, run)
        except NO_PARTS_FAULT:
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
    async with world.database.transaction(tenant_id) as session:
        begun = await runs.begin_planning(session, tenant_id=tenant_id, run_id=RunId(leased["run_id"]))
    await faultpoint("run_begun")
    # Three pages are under way: the database reads one and writes another while this process decides the one between them. Both cores of a small
    # machine are busy.
    ahead = asyncio.create_task(_read_page(world, tenant_id, begun, begun["cursor_customer_id"]))
    writing: asyncio.Task[None] | None = None
    try:
        while (read := await ahead).found:
            ahead = asyncio.create_task(_read_page(world, tenant_id, begun, read.found[-1].customer_id))
            page = await planning.decide_page(read, begun["local_date"])
            if writing is not None:
                await writing
            writing = asyncio.create_task(_write_page(world, tenant_id, leased, page))
        if writing is not None:
            await writing
        async with world.database.transaction(tenant_id) as session:
            run = await _kept(session, world, tenant_id, leased)
            await faultpoint("run_planned")
            tenant = await tenancy.tenant_of(session, tenant_id)
            await runs.finish_planning(session, tenancy.clock_of(tenant), tenant=tenant, run=run)
    except _TakenOver:
        return
    finally:
        under_way = [task for task in (ahead, writing) if task is not None]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _write_page(world: World, tenant_id: TenantId, leased: asyncpg.Record, page: Page) -> None:
    async with world.database.transaction(tenant_id) as session:
        run = await _kept(session, world, tenant_id, leased)
        await planning.write_page(session, await tenancy.tenant_of(session, tenant_id), run, page)
        await faultpoint("run_page_written")
    await faultpoint("run_page_planned")


async def _read_page(world: World, tenant_id: TenantId, run: asyncpg.Record, after: UUID | None) -> PageFacts:
    async with world.database.reading(tenant_id) as session:
        return await planning.read_page(session, tenant_id, run, after, world.settings.run_page_customers)


async def _carry_out(world: World, tenant_id: TenantId, leased: asyncpg.Record) -> None:
    """Carry a run out, two batches at a time: while the database writes one, this process works the next one out.

    Batches hold different customers, so they wait for each other nowhere but at the run's row, which each touches last.
    """
    outbound = Outbound.of(world.settings, world.keyring)
    under_way: list[asyncio.Task[None]] = []
    after: CustomerId | None = None
    try:
        while batch := await _next_batch(world, tenant_id, leased, after):
            after = batch.planned[-1].customer_id
            under_way.append(asyncio.create_task(_batch_or_each(world, tenant_id, leased, outbound, batch)))
            if len(under_way) == BATCHES_AT_ONCE:
                await under_way.pop(0)
        while under_way:
            await under_way.pop(0)
        async with world.database.transaction(tenant_id) as session:
            run = await _kept(session, world, tenant_id, leased)
            clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
            await runs.finish_run(session, clock, tenant_id=tenant_id, run=run)
    except _TakenOver:
        return
    except runs.SendingOff:
        await asyncio.gather(*under_way, return_exceptions=True)
        async with world.database.transaction(tenant_id) as session:
            clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
            await runs.hold_run(session, clock, tenant_id=tenant_id, run=leased, because=HeldBecause.SENDING_OFF)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _next_batch(world: World, tenant_id: TenantId, leased: asyncpg.Record, after: CustomerId | None) -> RunBatch | None:
    async with world.database.transaction(tenant_id) as session:
        run = await _kept(session, world, tenant_id, leased)
        batch = await runs.next_batch(session, tenant_id=tenant_id, run=run, after=after, limit=world.settings.execute_batch_customers)
    return batch if batch.planned else None


async def _batch_or_each(world: World, tenant_id: TenantId, run: asyncpg.Record, outbound: Outbound, batch: RunBatch) -> None:
    async def customer_failed(one: RunBatch, error: Exception) -> None:
        """List what fails on the run; it touches no other."""
        customer_id = one.planned[0].customer_id
        log.error("run.customer_failed", run_id=run["run_id"], customer_id=customer_id, exc_info=error)
        async with world.database.transaction(tenant_id) as session:
            await run_store.set_outcomes(session, tenant_id, run["run_id"], [customer_id], ["failed"], [planning.error_text(error)])

    await together_or_each(batch, batch.single(), partial(_batch, world, tenant_id, run, outbound), customer_failed, passed_on=NO_CUSTOMERS_FAULT)
    await faultpoint("run_batch_executed")


async def _batch(world: World, tenant_id: TenantId, run: asyncpg.Record, outbound: Outbound, batch: RunBatch) -> None:
    async with world.database.transaction(tenant_id) as session:
        tenant = await tenancy.tenant_of(session, tenant_id)
        await runs.execute_batch(session, tenancy.clock_of(tenant), tenant=tenant, run=run, outbound=outbound, batch=batch)
        # Last, so that batches under way together do not wait for each other on the run's row; a run taken over meanwhile undoes all of this.
        await _kept(session, world, tenant_id, run)
        await faultpoint("run_batch_written")


async def _kept(session: Session, world: World, tenant_id: TenantId, leased: asyncpg.Record) -> asyncpg.Record:
    """Extend the lease on a run and return the run as it is; raise `_TakenOver`, which undoes the transaction, where it is another's by now."""
    run = await run_store.keep_lease(session, tenant_id, RunId(leased["run_id"]), leased["lease_token"], leased["state"], world.settings.lease_seconds)
    if run is None:
        raise _TakenOver
    return run
