"""API, worker and catcher as child processes of `serve` and `demo`: started, awaited, restarted when they fall, stopped in order."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from dunning_cli.child_process import EmbeddedServerError, end_of_log, open_log, spawn, stop_child


class Process:
    """One child: `dunning <words>`, with its log in the data folder."""

    def __init__(self, name: str, words: list[str], environment: Mapping[str, str], log_path: Path, ready_url: str) -> None:
        self.name = name
        self.words = words
        self.environment = dict(environment)
        self.log_path = log_path
        self.ready_url = ready_url
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the child."""
        with open_log(self.log_path) as log:
            self.child = spawn(
                [sys.executable, "-m", "dunning_cli.main", *self.words],
                log=log,
                environment=self.environment,
                working_directory=Path.cwd(),
                death_signal=signal.SIGTERM,
                identity={},
            )

    @property
    def pid(self) -> int | None:
        """The child's process id, None when it is not running."""
        return self.child.pid if self.child is not None and self.child.poll() is None else None

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait until the child answers; raise with the end of its log when it does not."""
        began = 0
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.pid is None:
                break
            try:
                if httpx.get(self.ready_url, timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        msg = f"The {self.name} process did not come up. The end of {self.log_path}:\n{end_of_log(self.log_path, began)}"
        raise EmbeddedServerError(msg)

    def revive(self) -> bool:
        """Start the child again if it fell; True when it had."""
        if self.pid is not None:
            return False
        self.start()
        return True

    def stop(self, grace_seconds: float = 20.0) -> None:
        """Ask the child to finish, then insist."""
        if self.child is not None:
            stop_child(self.child, [(signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)])
