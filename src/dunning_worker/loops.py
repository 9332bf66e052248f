"""One loop a kind of work: see which tenants have some, do it, sleep until the bell rings or the poll interval is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from dunning.events import due_work
from dunning.events.due_work import Kind
from dunning.kit.database import AWAY, Database
from dunning.kit.ids import TenantId
from dunning.kit.logs import logger

TENANTS_AT_ONCE = 4
"""Tenants of one kind that a process works on together; the next wait their turn, the longest waiting first."""
LOOKED_AT_ONCE = 500
REST_AFTER_NOTHING_SECONDS = 0.5
"""A tenant whose work turned out to be nothing to do just now waits this long, so that it cannot keep the others waiting."""
REST_AFTER_ERROR_SECONDS = 5.0

log = logger("worker")

Job = Callable[[TenantId], Awaitable[int]]


class Loop:
    """Follows one kind of due work. A job answers how much it did. Whoever waits is served as soon as a place is free, not at the next poll."""

    def __init__(self, kind: Kind, job: Job, database: Database, stopping: asyncio.Event, poll_seconds: float) -> None:
        self.kind = kind
        self.woken = asyncio.Event()
        self.looked_at = time.monotonic()
        self._job = job
        self._database = database
        self._stopping = stopping
        self._poll = poll_seconds
        self._active: dict[TenantId, asyncio.Task[None]] = {}
        self._resting: dict[TenantId, float] = {}
        self._more = False

    async def run(self) -> None:
        """Work until stopping is set, then let what is under way finish."""
        while not self._stopping.is_set():
            self.woken.clear()
            try:
                await self._look()
            except AWAY as error:
                log.warning("database.away", kind=self.kind, error=type(error).__name__)
            except Exception:
                log.exception("loop.failed", kind=self.kind)
            self.looked_at = time.monotonic()
            await self._sleep()
        if self._active:
            await asyncio.gather(*self._active.values(), return_exceptions=True)

    async def _sleep(self) -> None:
        waits = [asyncio.create_task(self.woken.wait()), asyncio.create_task(self._stopping.wait())]
        try:
            await asyncio.wait(waits, timeout=self._poll, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _look(self) -> None:
        now = time.monotonic()
        self._resting = {tenant_id: until for tenant_id, until in self._resting.items() if until > now}
        async with self._database.across_tenants() as session:
            tenants = await due_work.tenants_due(session, self.kind, limit=LOOKED_AT_ONCE)
        waiting = [tenant_id for tenant_id in tenants if tenant_id not in self._active and tenant_id not in self._resting]
        free = max(TENANTS_AT_ONCE - len(self._active), 0)
        self._more = len(waiting) > free
        for tenant_id in waiting[:free]:
            self._active[tenant_id] = asyncio.create_task(self._work(tenant_id))

    async def _work(self, tenant_id: TenantId) -> None:
        done = 0
        try:
            done = await self._job(tenant_id)
            if not done:
                self._resting[tenant_id] = time.monotonic() + min(REST_AFTER_NOTHING_SECONDS, self._poll)
        except AWAY as error:
            log.warning("database.away", kind=self.kind, error=type(error).__name__)
            self._resting[tenant_id] = time.monotonic() + min(REST_AFTER_ERROR_SECONDS, self._poll)
        except Exception:
            # The work is still a row; a tenant whose work fails must not keep this process from the others'.
            log.exception("job.failed", kind=self.kind, tenant_id=tenant_id)
            self._resting[tenant_id] = time.monotonic() + REST_AFTER_ERROR_SECONDS
        finally:
            del self._active[tenant_id]
            if done or self._more:
                self.woken.set()


async def every(seconds: float, job: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
    """Run a job again and again with a pause, until stopping is set; an error waits for the next time."""
    while not stopping.is_set():
        try:
            await job()
        except AWAY as error:
            log.warning("database.away", error=type(error).__name__)
        except Exception:
            log.exception("job.failed", kind="housekeeping")
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), seconds)
