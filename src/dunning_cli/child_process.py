"""Server processes that live and die with ours: how they are started, whom their folder belongs to, where their sockets stand."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import hashlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# sockaddr_un holds 108 bytes on Linux and 104 on macOS, the closing NUL included.
LONGEST_SOCKET_PATH = 99
LARGEST_LOG_BYTES = 10 * 1024 * 1024
_PR_SET_PDEATHSIG = 1


class EmbeddedServerError(RuntimeError):
    """An embedded server cannot be started or reached; the message is one sentence for the person at the terminal."""


def _bind_prctl() -> Callable[[int, int], int] | None:
    if sys.platform != "linux":
        return None
    # Bound at import: between fork and exec nothing may be looked up, since another thread may hold the loader's lock.
    return ctypes.CDLL(None, use_errno=True).prctl


_PRCTL = _bind_prctl()


@functools.cache
def _spawner_of(process_id: int) -> ThreadPoolExecutor:
    """Return the thread that forks for this process; a forked copy of us (another id) gets its own.

    The kernel sends the death signal when the *thread* that forked ends. A caller's thread may be short-lived; this one is not.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"spawner-{process_id}")


def spawn(
    command: Sequence[str],
    *,
    log: IO[bytes],
    environment: Mapping[str, str],
    working_directory: Path,
    death_signal: signal.Signals,
    identity: Mapping[str, Any],
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, its output in `log`; the kernel sends it `death_signal` when our process ends in any way.

    The own session keeps the terminal's Ctrl-C away from it: we stop first, then stop it. Outside Linux there is no death signal.
    """
    parent = os.getpid()

    def before_exec() -> None:
        if _PRCTL is not None:
            _PRCTL(_PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:
                os._exit(1)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=working_directory,
            start_new_session=True,
            preexec_fn=before_exec,  # noqa: PLW1509 - it makes two system calls bound beforehand and takes no lock
            **identity,
        )

    return _spawner_of(parent).submit(start).result()


def open_log(path: Path) -> IO[bytes]:
    """Open a server's log for appending; one that has grown past 10 MB is kept once as `<name>.1` and started anew."""
    if path.exists() and path.stat().st_size > LARGEST_LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def end_of_log(path: Path, since: int, lines: int = 6) -> str:
    """Return the last lines that a server wrote to its log after byte `since`, for an error message."""
    with contextlib.suppress(OSError), path.open("rb") as log:
        log.seek(since)
        told = log.read()[-4096:].decode("utf-8", "replace").strip().splitlines()
        return " | ".join(line.strip() for line in told[-lines:])
    return ""


class FolderLock:
    """Holds a folder for one process. The kernel lets go of it when that process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def take(self, purpose: str) -> None:
        """Take the folder, or raise EmbeddedServerError naming the process that has it. Taking it twice is harmless."""
        if self._file is not None:
            return
        file = self._path.open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            msg = (
                f"The folder {self._path.parent} is in use by another running process (process id {holder}): "
                f"stop that one first, or choose another folder for {purpose}."
            )
            raise EmbeddedServerError(msg) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let go of the folder; harmless when it is not held."""
        if self._file is not None:
            self._file.close()
            self._file = None


def socket_directory(folder: Path, longest_name: str, owner_uid: int | None = None) -> Path:
    """Return a 0700 directory for Unix sockets: `<folder>/run`, or a short one under the temporary directory where that path is too long.

    The same folder gives the same directory each time, so that URLs stay valid over a restart. A path with a comma or a colon
    counts as too long: drivers read those as separators in a list of hosts. `owner_uid` is the server's account where it is not ours.
    """
    inside = folder / "run"
    if len(os.fsencode(inside / longest_name)) <= LONGEST_SOCKET_PATH and not set(str(inside)) & set(",:"):
        return _private(inside, owner_uid)
    name = f"dunning-{os.geteuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - _private refuses a directory that is not ours
        if len(os.fsencode(base / name / longest_name)) <= LONGEST_SOCKET_PATH:
            with contextlib.suppress(OSError):
                return _private(base / name, owner_uid)
    msg = (
        f"No place for a Unix socket: the path of {folder} is too long for one ({LONGEST_SOCKET_PATH} bytes at most), and no short directory "
        "of our own could be made under the temporary directory: choose a shorter data folder."
    )
    raise EmbeddedServerError(msg)


def _private(path: Path, owner_uid: int | None) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), owner_uid}:
        msg = f"{path} belongs to another account"
        raise PermissionError(msg)
    path.chmod(0o700)
    if owner_uid is not None:
        os.chown(path, owner_uid, -1)
    return path


def wait_until(answered: Callable[[], bool], *, seconds: float, pause_seconds: float = 0.01) -> bool:
    """Ask until the answer is yes or the time is over, and return the last answer."""
    deadline = time.monotonic() + seconds
    while not answered():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause_seconds)
    return True


def stop_child(child: subprocess.Popen[bytes], steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal in turn and wait its seconds until the child has ended; after the last step it is killed."""
    for wanted, seconds in steps:
        if child.poll() is not None:
            return
        child.send_signal(wanted)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
    if child.poll() is None:
        child.kill()
        child.wait()


def clean_environment() -> dict[str, str]:
    """Return our environment without what would bend the servers: PG* settings of a client, and locales that may not exist."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_")) and name not in {"LANG", "LANGUAGE"}}
    return kept | {"LC_ALL": "C"}
