"""Doing a batch in one transaction, and where that fails its parts one by one: what is wrong with one part keeps no other from being done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import asyncpg

from dunning.kit.database import AWAY
from dunning.kit.faults import InjectedFault
from dunning.kit.logs import logger

NO_PARTS_FAULT: tuple[type[BaseException], ...] = (*AWAY, InjectedFault, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
"""What ends a batch without anything being wrong with a part of it."""

Batch = TypeVar("Batch")
Done = TypeVar("Done")

log = logger("worker")


async def together_or_each(
    whole: Batch,
    parts: Iterable[Batch],
    do: Callable[[Batch], Awaitable[Done]],
    failed: Callable[[Batch, Exception], Awaitable[Done]],
    *,
    passed_on: tuple[type[BaseException], ...] = NO_PARTS_FAULT,
) -> list[Done]:
    """Do a batch and return what came of it, or where it fails what came of each part; `failed` answers for a part that cannot be done.

    `do` is one transaction, so that a batch which failed has left nothing behind. What is `passed_on` is raised: the rest is for whoever comes next.
    """
    try:
        return [await do(whole)]
    except passed_on:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it was, the parts are done one by one
        log.warning("batch.failed", work=failed.__qualname__, error=type(error).__name__)
    done = []
    for part in parts:
        try:
            done.append(await do(part))
        except passed_on:
            raise
        except Exception as error:  # noqa: BLE001  # `failed` says what it means for this part
            done.append(await failed(part, error))
    return done
