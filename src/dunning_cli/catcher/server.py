"""Running the catcher: both servers in one event loop, on loopback unless asked otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import uvicorn

from dunning.kit.clock import Clock, SystemClock
from dunning_cli.catcher.folder import MailFolder
from dunning_cli.catcher.smtp import start_smtp
from dunning_cli.catcher.web import create_app
from dunning_cli.child_process import EmbeddedServerError


class _WebServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program: the catcher is one part of it among others."""
        yield


class Catcher:
    """A running mail catcher: `async with Catcher(folder) as catcher`; port 0 takes a free port."""

    def __init__(self, folder: Path, *, smtp_port: int = 0, web_port: int = 0, host: str = "127.0.0.1", clock: Clock | None = None) -> None:
        self.mails = MailFolder(folder, clock or SystemClock())
        self._host = host
        self._wanted_ports = (smtp_port, web_port)
        self._listeners: list[socket.socket] = []
        self._smtp: asyncio.Server | None = None
        self._web: _WebServer | None = None
        self._web_task: asyncio.Task[None] | None = None

    @property
    def smtp_port(self) -> int:
        """Return the port on which mails are taken."""
        return int(self._listeners[0].getsockname()[1])

    @property
    def web_port(self) -> int:
        """Return the port of the page."""
        return int(self._listeners[1].getsockname()[1])

    async def start(self) -> None:
        """Open the folder and listen; raises EmbeddedServerError when the folder or a port is taken."""
        # Each mail would otherwise be told twice, line by line.
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        try:
            self.mails.open()
            for port, purpose in zip(self._wanted_ports, ("mails", "page"), strict=True):
                self._listeners.append(_listen(self._host, port, purpose))
            self._smtp = await start_smtp(self.mails, self._listeners[0])
            config = uvicorn.Config(
                create_app(self.mails, host=self._host),
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=2,
            )
            self._web = _WebServer(config)
            self._web_task = asyncio.create_task(self._web.serve(sockets=[self._listeners[1]]), name="catcher-web")
            # uvicorn tells that it has started by a flag and by nothing else.
            while not self._web.started and not self._web_task.done():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop both servers; the mails stay. Twice is harmless."""
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None
        if self._web is not None and self._web_task is not None:
            self._web.should_exit = True
            await asyncio.gather(self._web_task, return_exceptions=True)
            self._web = self._web_task = None
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        self.mails.close()

    async def wait(self) -> None:
        """Wait until the page's server ends, which it does only by fault or by `stop`."""
        if self._web_task is not None:
            await asyncio.shield(self._web_task)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def serve(folder: Path, smtp_port: int, web_port: int, host: str = "127.0.0.1") -> None:
    """Run the catcher until it is cancelled; raises EmbeddedServerError when the folder or a port is taken."""
    async with Catcher(folder, smtp_port=smtp_port, web_port=web_port, host=host) as catcher:
        await catcher.wait()


def _listen(host: str, port: int, purpose: str) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=256)
    except OSError as error:
        msg = f"The mail catcher cannot listen on {host} port {port} for its {purpose} ({error.strerror}): choose another port."
        raise EmbeddedServerError(msg) from None
