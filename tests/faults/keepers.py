"""Servers and product processes that are killed while they work: each has a keeper, which starts it again at once, as an operator's supervisor does."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx

from dunning.kit.clock import SystemClock
from dunning_cli.child_process import EmbeddedServerError, end_of_log
from dunning_cli.embedded import APP_ROLE, EmbeddedPostgres
from dunning_cli.embedded_valkey import EmbeddedValkey
from dunning_cli.processes import Process

TARGETS = ("api", "worker", "valkey", "postgres")
LOOK_SECONDS = 0.02
LAST_MOMENT = 0.96
"""The progress at which the last kill falls; it is held there until all are done, while customers and payments still come in."""
PAUSE_AFTER_FALL_SECONDS = 0.2


class Mortal(Protocol):
    """Something that can be killed and started again."""

    name: str

    @property
    def pid(self) -> int | None:
        """The process id, None when it is not running."""
        ...

    def victim(self, dice: random.Random) -> int | None:
        """Return the process that is to be killed."""
        ...

    def start(self) -> None:
        """Start it; it need not answer yet."""
        ...

    def answers(self) -> bool:
        """Tell whether it has begun to work."""
        ...


class Server:
    """PostgreSQL or Valkey; its `start` returns when it answers."""

    def __init__(self, name: str, server: EmbeddedPostgres | EmbeddedValkey) -> None:
        self.name = name
        self._server = server

    @property
    def pid(self) -> int | None:
        return self._server.postmaster_pid if isinstance(self._server, EmbeddedPostgres) else self._server.pid

    def victim(self, dice: random.Random) -> int | None:
        """Return the server itself or, with PostgreSQL, as often one of its sessions, whose death makes it drop all others and recover."""
        sessions = _sessions_of(self.pid) if isinstance(self._server, EmbeddedPostgres) and self.pid is not None and dice.random() < 0.5 else []
        return dice.choice(sessions) if sessions else self.pid

    def start(self) -> None:
        self._server.start()

    def answers(self) -> bool:
        return self.pid is not None


class Product:
    """The API or the worker. It counts as working when it answers at all, whether or not its servers do."""

    def __init__(self, name: str, environment: Mapping[str, str], logs: Path, url: str) -> None:
        self.name = name
        self.process = Process(name, [name], environment, logs / f"{name}.log", f"{url}/readyz")
        self._alive = f"{url}/livez"

    @property
    def pid(self) -> int | None:
        return self.process.pid

    def victim(self, dice: random.Random) -> int | None:
        return self.pid

    def start(self) -> None:
        self.process.start()

    def answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(self._alive, timeout=1).status_code == 200
        return False

    def last_words(self) -> str:
        """Return the end of its log."""
        return end_of_log(self.process.log_path, 0, lines=3)


class Progress:
    """How far the whole run is, from 0 to 1; kills wait for their moment on it, so that they fall while work is going on."""

    def __init__(self) -> None:
        self._value = 0.0
        self.over = threading.Event()

    @property
    def value(self) -> float:
        return self._value

    def reach(self, value: float) -> None:
        """Go on to a value; it never goes back."""
        self._value = max(self._value, value)


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL that ended a working process, between two instants of the machine's clock."""

    target: str
    what: str
    progress: float
    before: dt.datetime
    after: dt.datetime


@dataclass(slots=True)
class Fall:
    """A process that ended without having been killed by its keeper."""

    target: str
    code: int | None
    at: dt.datetime
    words: str


@dataclass
class Keeper:
    """Keeps one process alive from a thread of its own, and kills it at its moments."""

    mortal: Mortal
    progress: Progress
    moments: Sequence[float] = ()
    seed: int = 0
    kills: list[Kill] = field(default_factory=list)
    falls: list[Fall] = field(default_factory=list)
    starts_failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(f"{self.seed}.{self.mortal.name}")
        self._left = sorted(self.moments)
        self._stopping = threading.Event()
        self._let_be = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {self.mortal.name}", daemon=True)

    @property
    def name(self) -> str:
        return self.mortal.name

    @property
    def pending(self) -> bool:
        """Whether there are kills left to do."""
        return bool(self._left)

    def begin(self) -> None:
        """Begin to keep, and to kill."""
        self._thread.start()

    def stop(self) -> None:
        """Leave the process as it is."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(120)

    @contextlib.contextmanager
    def kept_down(self):
        """Kill the process and keep it down inside the block."""
        self._let_be.set()
        time.sleep(2 * LOOK_SECONDS)
        self._kill()
        try:
            yield
        finally:
            self._let_be.clear()

    def _keep(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            if self._let_be.is_set():
                continue
            if self.mortal.pid is None:
                self._note_fall()
                self._start()
            elif self._left and self.progress.value >= self._left[0] and not self.progress.over.is_set() and self.mortal.answers():
                self._stopping.wait(self._random.random() * 0.3)
                known = len(self.kills)
                self._kill()
                if len(self.kills) > known:
                    self._left.pop(0)
                if self.mortal.pid is None:
                    self._start()

    def _kill(self) -> None:
        pid = self.mortal.victim(self._random)
        if pid is None:
            return
        whole = pid == self.mortal.pid
        at, before = self.progress.value, SystemClock().now()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            until = time.monotonic() + 10
            # A process with threads shows as dead before the last of them is gone: ours count as ended when they can be waited for.
            while (self.mortal.pid == pid if whole else _runs(pid)) and time.monotonic() < until:
                time.sleep(0.001)
            self.kills.append(Kill(self.name, self.name if whole else f"{self.name} session", at, before, SystemClock().now()))

    def _start(self) -> None:
        try:
            self.mortal.start()
        except EmbeddedServerError as error:
            self.starts_failed.append(str(error))
            self._stopping.wait(PAUSE_AFTER_FALL_SECONDS)

    def _note_fall(self) -> None:
        if isinstance(self.mortal, Product) and self.mortal.process.child is not None:
            self.falls.append(Fall(self.name, self.mortal.process.child.returncode, SystemClock().now(), self.mortal.last_words()))
            self._stopping.wait(PAUSE_AFTER_FALL_SECONDS)


def _sessions_of(postmaster: int) -> list[int]:
    """Return the PostgreSQL processes that serve the product's connections."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((path / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
            if parent == postmaster and APP_ROLE.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return sorted(found)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def moments_of(seed: int, target: str, count: int) -> list[float]:
    """Return the moments at which a target is killed: spread over the whole run, one at random in each equal part of it.

    The worker's last one falls where mails are leaving: there it has most to lose.
    """
    dice = random.Random(f"{seed}.moments.{target}")
    first, last = 0.03, LAST_MOMENT
    part = (last - first) / max(1, count)
    found = [first + part * (n + dice.random()) for n in range(count)]
    if target == "worker" and found:
        found[-1] = max(found[-1], dice.uniform(0.65, last))
    return found
