"""Passing fences: those of a visit that are asked for at the same time share a transaction; a message that does not pass at once looks alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from dunning.kit.ids import TenantId
from dunning.kit.logs import logger
from dunning.messages.compose import Mail
from dunning.messages.dispatch import FenceResult, Try, pass_fence, pass_fences
from dunning_worker.feed import Job
from dunning_worker.together import Together
from dunning_worker.world import World

TOGETHER = 100
"""Fences that share one transaction at most."""

AT_ONCE = 1
"""Transactions of fences under way at once: while one waits for its commit, the next looks."""

log = logger("dispatch")


@dataclass(frozen=True, slots=True)
class Passage:
    """What a fence answered, and the monotonic instant before its transaction began: a mail that stood still for a lease since then must not go on."""

    result: FenceResult
    began_at: float


@dataclass(frozen=True, slots=True)
class _Question:
    job: Job
    mail: Mail


class Fences:
    """The fences of one visit to a tenant."""

    def __init__(self, world: World, tenant_id: TenantId) -> None:
        self._world = world
        self._tenant_id = tenant_id
        self._together: Together[_Question, Passage | None] = Together(self._group, TOGETHER, at_once=AT_ONCE)

    async def passage(self, job: Job, mail: Mail) -> Passage:
        """Return what the fence says of a mail. Whatever is raised leaves open whether it was passed, except the driver's lock timeout: it was not."""
        passage = await self._together.ask(_Question(job, mail))
        return passage if passage is not None else await self._alone(job, mail)

    async def _group(self, group: Sequence[_Question]) -> list[Passage | None]:
        """Pass several fences in one commit; None for each message that has to look alone."""
        world, began_at, decided = self._world, time.monotonic(), False
        try:
            async with world.database.transaction(self._tenant_id, for_many=True) as session:
                tries = [Try(q.job.row, q.mail) for q in group]
                passed = await pass_fences(session, group[-1].job.batch.clock, world.ports, tries, lease_seconds=world.settings.lease_seconds)
                decided = True
        except Exception as error:
            if decided:
                raise
            # Nothing was committed. Alone, each shows what is wrong with it, and none is stopped by another.
            log.warning("fences.not_passed_together", tenant_id=self._tenant_id, fences=len(group), error=type(error).__name__)
            return [None] * len(group)
        return [Passage(FenceResult("passed"), began_at) if q.job.message_id in passed else None for q in group]

    async def _alone(self, job: Job, mail: Mail) -> Passage:
        world, began_at = self._world, time.monotonic()
        async with world.database.transaction(self._tenant_id) as session:
            result = await pass_fence(session, job.batch.clock, world.ports, job.row, mail, lease_seconds=world.settings.lease_seconds)
        return Passage(result, began_at)
