"""The claimed messages of one visit to a tenant: lanes take them one by one, and more are claimed before they run out."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg

from dunning.kit.errors import DunningError
from dunning.kit.ids import MessageId
from dunning.messages.compose import Mail, compose
from dunning.messages.dispatch import Batch


@dataclass(slots=True)
class Job:
    """One leased message, the batch it was claimed in, and, once it is written, its mail or what keeps it from being written."""

    batch: Batch
    row: asyncpg.Record
    mail: Mail | None = None
    trouble: str = ""

    @property
    def message_id(self) -> MessageId:
        """The message."""
        message_id: MessageId = self.row["message_id"]
        return message_id

    def write(self) -> None:
        """Write the mail, unless nothing will be sent anyway. Whatever keeps it from being written, a person must see it."""
        if self.row["suppressed_because"] is not None:
            return
        try:
            self.mail = compose(self.row, self.batch.facts, self.batch.clock.now())
        except Exception as error:  # noqa: BLE001  # its name is kept, and the message is parked with it
            self.trouble = error.detail if isinstance(error, DunningError) else type(error).__name__


class Feed:
    """Hands out claimed messages, first come first served, never more at a time to one recipient domain than `per_domain` (0: no limit).

    Mails are written ahead, one a turn of the loop: were each lane to write its own, those that go on together would keep the loop from
    everything else for as long as all of them write. `low` is the number of waiting messages below which the next batch is claimed while the lanes go on.
    """

    def __init__(self, claim: Callable[[], Awaitable[Batch | None]], *, low: int, per_domain: int) -> None:
        self.claimed = 0
        self.relay_had_failures = False
        self._claim = claim
        self._low = low
        self._per_domain = per_domain
        self._unwritten: deque[Job] = deque()
        self._waiting: deque[Job] = deque()
        self._out: dict[MessageId, Job] = {}
        self._at_domain: Counter[str] = Counter()
        self._more = True
        self._stopped = False
        self._claimer: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._changed = asyncio.Event()

    def add(self, batch: Batch) -> None:
        """Put a claimed batch behind what waits already."""
        self._unwritten.extend(Job(batch, row) for row in batch.rows)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_ahead())
        self.claimed += len(batch.rows)
        self.relay_had_failures = self.relay_had_failures or batch.relay_had_failures
        self._more = self._more and batch.full

    def take_now(self) -> Job | None:
        """Return the next message that may be begun at this moment, or None."""
        if self._stopped:
            return None
        for place, job in enumerate(self._waiting):
            domain = job.row["recipient_domain"]
            if self._per_domain and self._at_domain[domain] >= self._per_domain:
                continue
            del self._waiting[place]
            self._out[job.message_id] = job
            self._at_domain[domain] += 1
            if len(self._waiting) + len(self._unwritten) < self._low:
                self._claim_ahead()
            return job
        return None

    async def take(self) -> Job | None:
        """Return the next message, waiting for a claim or for a place at its domain; None when there is nothing more. A failed claim raises here."""
        while not self._stopped:
            if (job := self.take_now()) is not None:
                return job
            if not self._waiting and not self._unwritten:
                self._claim_ahead()
                if self._claimer is None:
                    break
            self._changed.clear()
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure
        return None

    def done(self, job: Job) -> None:
        """Note that a message needs its lease no more, and give its place at its domain to the next."""
        if self._out.pop(job.message_id, None) is not None:
            self._at_domain[job.row["recipient_domain"]] -= 1
            self._changed.set()

    def held(self) -> list[Job]:
        """Return everything whose lease must be kept."""
        return [*self._out.values(), *self._waiting, *self._unwritten]

    def stop(self) -> None:
        """Hand out and claim nothing more; what waits stays for `left`."""
        self._stopped = True
        self._changed.set()

    async def left(self) -> list[Job]:
        """Wait for a claim under way and return what was claimed and never begun; the feed is empty then."""
        self.stop()
        if self._claimer is not None:
            await asyncio.wait({self._claimer})
        if self._writer is not None:
            await asyncio.wait({self._writer})
        unused = [*self._waiting, *self._unwritten]
        self._waiting.clear()
        self._unwritten.clear()
        return unused

    def _claim_ahead(self) -> None:
        if self._more and self._claimer is None and not self._stopped:
            self._claimer = asyncio.create_task(self._claim_more())

    async def _write_ahead(self) -> None:
        try:
            while self._unwritten and not self._stopped:
                job = self._unwritten[0]
                job.write()
                self._waiting.append(self._unwritten.popleft())
                self._changed.set()
                await asyncio.sleep(0)
        finally:
            self._writer = None
            self._changed.set()

    async def _claim_more(self) -> None:
        try:
            batch = await self._claim()
            if batch is None:
                self._more = False
            else:
                self.add(batch)
        except Exception as error:  # noqa: BLE001  # raised again to the lanes
            self._failure = error
            self._stopped = True
        finally:
            self._claimer = None
            self._changed.set()
