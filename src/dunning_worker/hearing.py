"""The arq side of the worker: it hears the bell and wakes loops. It is restarted when Redis goes away, and nothing waits for it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from arq.connections import RedisSettings
from arq.worker import Worker, func

from dunning.kit.bell import BELL_LIFE_SECONDS, QUEUE, WAKE_JOB, read_job, write_job
from dunning.kit.logs import logger
from dunning_worker.loops import Loop

POLL_SECONDS = 0.1
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0

log = logger("bell")


async def wake(ctx: dict[str, Any], kind: str) -> None:
    """Wake the loop of a kind of work. Losing this job, or running it twice, changes nothing but when the loop looks."""
    loop = ctx["loops"].get(kind)
    if loop is not None:
        loop.woken.set()


class WorkerSettings:
    """What arq is told, for its own command line as for us: plain JSON, no results kept, no retries, short jobs."""

    functions: ClassVar[list[Any]] = [func(wake, name=WAKE_JOB, keep_result=0, timeout=5, max_tries=1)]
    queue_name = QUEUE
    job_serializer = staticmethod(write_job)
    job_deserializer = staticmethod(read_job)
    keep_result = 0
    max_jobs = 50
    max_tries = 1
    job_timeout = 5
    poll_delay = POLL_SECONDS
    expires_extra_ms = BELL_LIFE_SECONDS * 1000
    health_check_interval = 60
    allow_abort_jobs = False
    retry_jobs = False
    log_results = False
    handle_signals = False
    timezone = dt.UTC


def _options() -> dict[str, Any]:
    return {name: getattr(WorkerSettings, name) for name in vars(WorkerSettings) if not name.startswith("_")}


async def hear(url: str, loops: Mapping[str, Loop], stopping: asyncio.Event) -> None:
    """Hear the bell until stopping is set. While Redis is away, try again after a pause that grows to 5 s; the loops poll meanwhile."""
    pause = FIRST_PAUSE_SECONDS
    while not stopping.is_set():
        redis = RedisSettings.from_dsn(url)
        redis.conn_retries = 0
        worker = Worker(**_options(), redis_settings=redis, ctx={"loops": loops})
        listening = asyncio.create_task(worker.async_run())
        ended = asyncio.create_task(stopping.wait())
        began = asyncio.get_running_loop().time()
        await asyncio.wait({listening, ended}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        await _close(worker, listening)
        if stopping.is_set():
            return
        pause = FIRST_PAUSE_SECONDS if asyncio.get_running_loop().time() - began > LONGEST_PAUSE_SECONDS else min(pause * 2, LONGEST_PAUSE_SECONDS)
        log.warning("bell.away", pause_seconds=pause)
        for loop in loops.values():
            loop.woken.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause)


async def _close(worker: Worker, listening: asyncio.Task[None]) -> None:
    listening.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await listening
    with suppress(asyncio.CancelledError, Exception):
        await asyncio.wait_for(worker.close(), 2)
