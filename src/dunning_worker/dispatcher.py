"""Sending: claim, render, offer, fence, deliver, record. The database and the network take turns; no transaction is open while a relay is spoken to."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from dunning.kit.database import AWAY
from dunning.kit.faults import faultpoint
from dunning.kit.ids import TenantId
from dunning.messages import store
from dunning.messages.dispatch import Batch, claim_batch, release
from dunning.messages.relays import Transport
from dunning.messages.rules import LOOKS_FOR_EVIDENCE
from dunning_worker.feed import Feed, Job
from dunning_worker.fences import Fences
from dunning_worker.lane import Lane, Visit
from dunning_worker.results import TRANSIENT, Results
from dunning_worker.world import World

__all__ = ["TRANSIENT", "Dispatcher"]

CLAIM_LEAST, CLAIM_MOST = 20, 100
"""Messages leased at once: eight a connection, within these."""


class Dispatcher:
    """Sends for one process. `stopping` ends it between two messages; a message past its fence is always finished."""

    def __init__(self, world: World, stopping: asyncio.Event | None = None) -> None:
        self._world = world
        self.stopping = stopping or asyncio.Event()
        self.first_look_seconds = float(min(LOOKS_FOR_EVIDENCE[0], world.settings.evidence_window_seconds))

    async def send_due(self, tenant_id: TenantId, relay: str) -> int:
        """Send what is due for a tenant over one relay, on as many connections as there is work for, and return how many were begun."""
        transport = self._world.transports.get(relay)
        if transport is None or self.stopping.is_set():
            return 0
        first = await self._claim(tenant_id, transport)
        if first is None:
            return 0
        feed = Feed(lambda: self._claim(tenant_id, transport), low=2 * (transport.lanes - 1), per_domain=transport.per_domain)
        feed.add(first)
        visit = Visit(
            self._world, tenant_id, transport, feed, Fences(self._world, tenant_id), Results(self._world, tenant_id, self.first_look_seconds), self.stopping
        )
        lanes = transport.lanes if first.full else min(transport.lanes, len(first.rows))
        alive = asyncio.create_task(self._keep_leases(tenant_id, feed))
        try:
            done = await asyncio.gather(*(Lane(visit).run() for _ in range(lanes)), return_exceptions=True)
        finally:
            unused = await feed.left()
            alive.cancel()
            await self._give_back(tenant_id, unused, "stopping" if self.stopping.is_set() else "relay_away")
        for result in done:
            if isinstance(result, BaseException):
                raise result
        return feed.claimed

    async def _claim(self, tenant_id: TenantId, transport: Transport) -> Batch | None:
        world = self._world
        async with world.database.transaction(tenant_id) as session:
            batch = await claim_batch(
                session,
                world.ports,
                tenant_id=tenant_id,
                relay=transport.name,
                limit=min(max(CLAIM_LEAST, 8 * transport.lanes), CLAIM_MOST),
                lease_seconds=world.settings.lease_seconds,
                pace=transport.pace,
            )
        if batch is not None:
            await faultpoint("claimed")
        return batch

    async def _keep_leases(self, tenant_id: TenantId, feed: Feed) -> None:
        lease_seconds = self._world.settings.lease_seconds
        while True:
            await asyncio.sleep(lease_seconds / 3)
            rows = [job.row for job in feed.held()]
            if not rows:
                continue
            with suppress(*AWAY):
                async with self._world.database.transaction(tenant_id) as session:
                    await store.extend_leases(session, tenant_id, [r["message_id"] for r in rows], [r["lease_token"] for r in rows], lease_seconds)

    async def _give_back(self, tenant_id: TenantId, unused: list[Job], reason: str) -> None:
        """Release what was not begun; where the database is away, the end of the leases does it."""
        if not unused:
            return
        with suppress(*AWAY):
            async with self._world.database.transaction(tenant_id) as session:
                await release(session, tenant_id, [job.row for job in unused], reason)
