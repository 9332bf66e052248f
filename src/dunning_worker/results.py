"""Writing down what became of messages: acceptances of one visit together, everything else by itself, and again while the database is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import asyncpg

from dunning.kit.database import AWAY, Session
from dunning.kit.ids import TenantId
from dunning.kit.logs import logger
from dunning.messages.dispatch import Taken, end_suppressed, recall, record_acceptance, record_acceptances, record_failure
from dunning.messages.ports import Ports
from dunning.messages.rules import RetryDecision
from dunning_worker.feed import Job
from dunning_worker.together import Together
from dunning_worker.world import World

RECORD_FOR_SECONDS = 660.0
"""How long a result that was read is offered to a database that is away: the grace of a shutdown."""
TRANSIENT = (*AWAY, asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
"""What the next try may not meet."""
TOGETHER = 100
"""Results that share one transaction at most."""

AT_ONCE = 1
"""Transactions of results under way at once: while one waits for its commit, the next does its work."""

log = logger("dispatch")


@dataclass(frozen=True, slots=True)
class _Acceptance:
    job: Job
    taken: Taken


class Results:
    """Records for one visit to a tenant. Writing twice is harmless: each writing is conditional on the lease and on the state it starts from."""

    def __init__(self, world: World, tenant_id: TenantId, first_look_seconds: float) -> None:
        self._world = world
        self._tenant_id = tenant_id
        self._first_look_seconds = first_look_seconds
        self._together: Together[_Acceptance, bool] = Together(self._acceptances, TOGETHER, at_once=AT_ONCE)

    async def accepted(self, job: Job, taken: Taken) -> None:
        """Record that the relay took a mail, at once, with whatever other results have come in just now."""
        if not await self._together.ask(_Acceptance(job, taken)):
            clock = job.batch.clock
            await self._by_itself(job, lambda session, ports: record_acceptance(session, clock, ports, job.row, reply=taken.reply, subject=taken.subject))

    async def failed(self, job: Job, decision: RetryDecision, reply: str | None) -> None:
        """Record what became of a try that was not taken, or whose answer never came."""
        clock, seconds = job.batch.clock, self._first_look_seconds
        await self._by_itself(
            job,
            lambda session, ports: record_failure(session, clock, ports, job.row, decision=decision, reply=reply, first_look_seconds=seconds),
        )

    async def suppressed(self, job: Job) -> None:
        """Record that a message's address takes no mail."""
        await self._by_itself(job, lambda session, ports: end_suppressed(session, job.batch.clock, ports, job.row))

    async def recalled(self, job: Job) -> None:
        """Take back a message whose fence may have been committed when DATA was certainly not said."""
        await self._insist(job, lambda: self._recall(job))

    async def _acceptances(self, group: Sequence[_Acceptance]) -> list[bool]:
        """Record a group in one transaction; False for each that must be recorded by itself."""
        world = self._world
        try:
            async with world.database.transaction(self._tenant_id, for_many=True) as session:
                recorded = await record_acceptances(session, group[-1].job.batch.clock, world.ports, [a.taken for a in group])
        except Exception as error:  # noqa: BLE001  # by itself, each shows what is wrong with it, and none is kept from its record by another
            log.warning("results.not_recorded_together", tenant_id=self._tenant_id, results=len(group), error=type(error).__name__)
            return [False] * len(group)
        return [a.job.message_id in recorded for a in group]

    async def _by_itself(self, job: Job, step: Callable[[Session, Ports], Awaitable[bool]]) -> None:
        await self._insist(job, lambda: self._step(job, step))

    async def _step(self, job: Job, step: Callable[[Session, Ports], Awaitable[bool]]) -> None:
        """Record a result with the collection's reaction; when the reaction fails for a reason of its own, record the result without it."""
        world = self._world
        try:
            async with world.database.transaction(self._tenant_id) as session:
                await step(session, world.ports)
        except TRANSIENT:
            raise
        except Exception:
            log.exception("message.reaction_failed", tenant_id=self._tenant_id, message_id=job.message_id)
            async with world.database.transaction(self._tenant_id) as session:
                await step(session, world.ports.without_reaction())

    async def _recall(self, job: Job) -> None:
        async with self._world.database.transaction(self._tenant_id) as session:
            await recall(session, job.row)

    async def _insist(self, job: Job, write: Callable[[], Awaitable[None]]) -> None:
        """Write down what is known, again while the database is away: a result that was read must not become a question for a person."""
        give_up_at = time.monotonic() + RECORD_FOR_SECONDS
        pause = 0.1
        while True:
            try:
                await write()
            except TRANSIENT as error:
                if time.monotonic() > give_up_at:
                    raise
                log.warning("result.not_recorded_yet", tenant_id=self._tenant_id, message_id=job.message_id, error=type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            else:
                return
