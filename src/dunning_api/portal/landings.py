"""Visits to landing pages, recorded in batches: whoever comes while a batch is being committed is part of the next.

Nobody waits for a clock: the first visitor's batch begins at once. A page leaves only after the commit of the batch that counted its visit.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from dunning.collection.claims import claim_faces
from dunning.evidence.landings import record_landing, record_landings
from dunning.evidence.trace import Trace
from dunning.evidence.visits import Arrival
from dunning.kit.bell import Bell
from dunning.kit.database import AWAY, Database, Session
from dunning.kit.errors import NotFound
from dunning.kit.ids import LinkId, TenantId
from dunning.tenancy import service as tenancy

MOST_AT_ONCE = 200
"""Visits in one transaction; it bounds how long the first of them waits."""


@dataclass(frozen=True, slots=True)
class _Coming:
    link_id: LinkId
    trace: Trace
    answer: asyncio.Future[Arrival | None]


class Landings:
    """The visits that one process has not recorded yet, a queue for each tenant; a queue goes when it is empty."""

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell
        self._queues: dict[TenantId, list[_Coming]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def land(self, tenant_id: TenantId, link_id: LinkId, trace: Trace) -> Arrival | None:
        """Count a visit and return what the visitor finds once that is committed; None when there is no such link. Raises what the commit raised."""
        coming = _Coming(link_id, trace, asyncio.get_running_loop().create_future())
        queue = self._queues.get(tenant_id)
        if queue is not None:
            queue.append(coming)
        else:
            self._queues[tenant_id] = [coming]
            task = asyncio.create_task(self._work(tenant_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await coming.answer

    async def _work(self, tenant_id: TenantId) -> None:
        """Record batch after batch until nobody is waiting."""
        batch: list[_Coming] = []
        try:
            while queue := self._queues[tenant_id]:
                batch, self._queues[tenant_id] = queue[:MOST_AT_ONCE], queue[MOST_AT_ONCE:]
                await self._record(tenant_id, batch)
        finally:
            # Where the task itself was ended, nobody may be left waiting for it.
            for coming in (*batch, *self._queues.pop(tenant_id)):
                coming.answer.cancel()

    async def _record(self, tenant_id: TenantId, batch: list[_Coming]) -> None:
        try:
            visits = await self._together(tenant_id, batch)
        except AWAY as error:
            for coming in batch:
                _refuse(coming, error)
            return
        except Exception:  # noqa: BLE001  # whatever one visit ran into is for that one alone to answer for
            visits = {}
        for coming in batch:
            if coming.link_id in visits:
                _answer(coming, visits[coming.link_id])
            else:
                await self._alone(tenant_id, coming)

    async def _together(self, tenant_id: TenantId, batch: list[_Coming]) -> dict[LinkId, Arrival | None]:
        """Record a batch in one transaction; links that others hold are left out."""
        comings: dict[LinkId, list[Trace]] = {}
        for coming in batch:
            comings.setdefault(coming.link_id, []).append(coming.trace)
        async with self._database.transaction(tenant_id) as session:
            clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
            visits = await record_landings(session, clock, claim_faces, tenant_id=tenant_id, comings=comings, waits=False)
        await self._bell.ring(session.rung)
        return visits

    async def _alone(self, tenant_id: TenantId, coming: _Coming) -> None:
        """Record one visit in a transaction of its own, waiting for who holds its link."""
        try:
            async with self._database.transaction(tenant_id) as session:
                visit = await _one(session, tenant_id, coming)
            await self._bell.ring(session.rung)
        except Exception as error:  # noqa: BLE001  # it is raised again where the visitor's request waits
            _refuse(coming, error)
        else:
            _answer(coming, visit)


async def _one(session: Session, tenant_id: TenantId, coming: _Coming) -> Arrival | None:
    try:
        clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
    except NotFound:
        return None
    return await record_landing(session, clock, claim_faces, tenant_id=tenant_id, link_id=coming.link_id, trace=coming.trace)


def _answer(coming: _Coming, visit: Arrival | None) -> None:
    if not coming.answer.done():
        coming.answer.set_result(visit)


def _refuse(coming: _Coming, error: Exception) -> None:
    if not coming.answer.done():
        coming.answer.set_exception(error)
