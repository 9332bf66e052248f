"""The whole service on one machine: servers, API, worker and, where wanted, the mail catcher."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dunning.kit.settings import Settings
from dunning_cli.installation import Installation, installation, link_keys_of
from dunning_cli.processes import Process

RESTART_PAUSE_SECONDS = 1.0


@dataclass(slots=True)
class Stack:
    """What is running and where to find it."""

    installation: Installation
    api_url: str
    worker_url: str
    catcher_url: str | None
    processes: list[Process] = field(default_factory=list)

    def keep_running(self) -> None:
        """Watch over the children until interrupted; one that fell is started again."""
        while True:
            time.sleep(RESTART_PAUSE_SECONDS)
            for process in self.processes:
                if process.revive():
                    print(f"The {process.name} process had stopped and was started again; its log is {process.log_path}", flush=True)


def free_port(wanted: int, host: str = "127.0.0.1") -> int:
    """Return the wanted port, or a free one when it is 0 or taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    msg = f"no free port on {host}"
    raise OSError(msg)


@contextmanager
def running_stack(settings: Settings, *, catcher: bool) -> Iterator[Stack]:
    """Start everything, yield when all of it answers, and stop it in order: first who sends, then who serves, then the servers."""
    with ExitStack() as exits:
        servers = exits.enter_context(installation(settings))
        api_port = free_port(settings.port, settings.host)
        worker_port = free_port(settings.worker_port, settings.host)
        environment = servers.environment()
        public_url = settings.public_url if "public_url" in settings.model_fields_set else f"http://{settings.host}:{api_port}"
        environment["DUNNING_LINK_KEYS"] = link_keys_of(settings)
        environment |= {"DUNNING_HOST": settings.host, "DUNNING_PORT": str(api_port), "DUNNING_WORKER_PORT": str(worker_port), "DUNNING_PUBLIC_URL": public_url}
        logs = servers.data_dir / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        stack = Stack(servers, f"http://{settings.host}:{api_port}", f"http://{settings.host}:{worker_port}", None)
        if catcher:
            smtp_port, web_port = free_port(settings.sink_port, settings.host), free_port(8025, settings.host)
            stack.catcher_url = f"http://{settings.host}:{web_port}"
            words = ["catcher", "--smtp-port", str(smtp_port), "--web-port", str(web_port), "--folder", str(servers.data_dir / "mails")]
            stack.processes.append(Process("mail catcher", words, environment, logs / "catcher.log", f"{stack.catcher_url}/api/count"))
            environment |= {"DUNNING_SINK_HOST": settings.host, "DUNNING_SINK_PORT": str(smtp_port)}
        stack.processes.append(Process("API", ["api"], environment, logs / "api.log", f"{stack.api_url}/readyz"))
        stack.processes.append(Process("worker", ["worker"], environment, logs / "worker.log", f"{stack.worker_url}/readyz"))
        for process in stack.processes:
            exits.callback(process.stop)
            process.start()
        for process in stack.processes:
            process.wait_ready()
        yield stack


def log_folder(stack: Stack) -> Path:
    """Return the folder of the logs."""
    return stack.installation.data_dir / "logs"
