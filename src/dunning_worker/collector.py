"""The collector of cycles, told to rest while a job makes very many small objects that hold none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = (100_000, 50, 100)
"""Thresholds meanwhile. Searching what a batch has made for cycles took a fifth of a run's processor time, two fifths of an import's."""


class _Rest:
    """Counts the jobs that have asked for rest, since several run in one process; the last to end restores what was before the first."""

    def __init__(self) -> None:
        self.jobs = 0
        self.before = gc.get_threshold()

    def begin(self) -> None:
        if not self.jobs:
            self.before = gc.get_threshold()
            gc.set_threshold(*SELDOM)
        self.jobs += 1

    def end(self) -> None:
        self.jobs -= 1
        if not self.jobs:
            gc.set_threshold(*self.before)


_rest = _Rest()


@contextmanager
def few_collections() -> Iterator[None]:
    """Have the collector run seldom inside the block; blocks may overlap in any order."""
    _rest.begin()
    try:
        yield
    finally:
        _rest.end()
