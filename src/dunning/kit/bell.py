"""The doorbell: after a commit it wakes workers early. Whatever must happen is already a row, so a bell that nobody hears costs one poll interval."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from typing import Any, Protocol

from arq.connections import ArqRedis

QUEUE = "dunning:bell"
"""Name of the queue that carries nothing but kinds of work."""
WAKE_JOB = "wake"

RING_TIMEOUT_SECONDS = 0.25
REST_AFTER_FAILURE_SECONDS = 2.0
BELL_LIFE_SECONDS = 60
"""A wake that no worker took by then is dropped: polling has found the work long ago."""


def write_job(job: dict[str, Any]) -> bytes:
    """Write a job of the queue as JSON; anything that is not plain JSON raises."""
    return json.dumps(job, separators=(",", ":")).encode()


def read_job(data: bytes) -> dict[str, Any]:
    """Read what `write_job` wrote."""
    job: dict[str, Any] = json.loads(data)
    return job


class Bell(Protocol):
    """What wakes workers."""

    async def ring(self, kinds: Iterable[str]) -> None:
        """Wake the workers that look for these kinds of work. Never raises and never takes long."""
        ...

    async def answers(self) -> bool:
        """Tell whether the bell can be heard now."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class NullBell:
    """A bell without a sound: workers find their work by polling."""

    async def ring(self, kinds: Iterable[str]) -> None:
        """Do nothing."""

    async def answers(self) -> bool:
        """Return False: there is nothing to hear."""
        return False

    async def close(self) -> None:
        """Do nothing."""


class ArqBell:
    """A bell over Redis or Valkey. While the server is away, rings cost nothing and are forgotten."""

    def __init__(self, url: str) -> None:
        self._redis: ArqRedis = ArqRedis.from_url(url, socket_timeout=RING_TIMEOUT_SECONDS, socket_connect_timeout=RING_TIMEOUT_SECONDS)
        self._redis.job_serializer = write_job
        self._redis.job_deserializer = read_job
        self._redis.default_queue_name = QUEUE
        self._quiet_until = 0.0

    async def ring(self, kinds: Iterable[str]) -> None:
        """Queue one wake a kind. Never raises and never takes long."""
        wanted = sorted(set(kinds))
        if not wanted or time.monotonic() < self._quiet_until:
            return
        try:
            async with asyncio.timeout(RING_TIMEOUT_SECONDS):
                for kind in wanted:
                    await self._redis.enqueue_job(WAKE_JOB, kind, _expires=BELL_LIFE_SECONDS)
        except Exception:  # noqa: BLE001  # whatever the server or the network does, the work is a row already
            self._quiet_until = time.monotonic() + REST_AFTER_FAILURE_SECONDS

    async def answers(self) -> bool:
        """Tell whether the server answers a ping now."""
        try:
            async with asyncio.timeout(RING_TIMEOUT_SECONDS):
                return bool(await self._redis.ping())
        except Exception:  # noqa: BLE001  # the question is only whether it answers
            return False

    async def close(self) -> None:
        """Close the connections; a server that is away does not matter."""
        try:
            async with asyncio.timeout(RING_TIMEOUT_SECONDS):
                await self._redis.aclose()
        except Exception:  # noqa: BLE001, S110  # closing is best effort
            pass


def open_bell(url: str | None) -> Bell:
    """Return the bell behind a Redis URL, or one without a sound. Nothing is connected yet."""
    return ArqBell(url) if url else NullBell()
