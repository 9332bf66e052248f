"""Fakes as processes of their own: they outlive a killed worker and use a core of their own."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Running:
    """A fake in another process."""

    port: int
    pid: int


@contextlib.contextmanager
def running(module: str, *arguments: object) -> Iterator[Running]:
    """Run `python -m <module> <arguments>` and give the port that it says it listens on, and its pid; it is ended on leaving.

    The module prints `listening on 127.0.0.1:<port>` when it is ready; if it ends before, RuntimeError carries what it said.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT)  # noqa: S603 - our own modules
    try:
        said = process.stdout.readline() if process.stdout is not None else ""
        if not said.startswith("listening on "):
            msg = f"{module} did not start: {said!r}"
            raise RuntimeError(msg)
        yield Running(port=int(said.rpartition(":")[2]), pid=process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
