"""A proxy between us and PostgreSQL or Valkey that cuts, stalls, half-closes and refuses connections at will."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

Address = tuple[str, int] | Path
_CHUNK_BYTES = 1 << 16


class Direction(StrEnum):
    """Which way bytes go."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"


CutRule = Callable[[Direction, bytes], bool]


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection: a reset over TCP, where a plain close would look like an orderly end; over a Unix socket there is only the end."""
    stream = writer.get_extra_info("socket")
    if stream is not None and stream.family == socket.AF_INET:
        with contextlib.suppress(OSError):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass(slots=True, eq=False)
class _Pair:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def abort(self) -> None:
        _reset(self.client)
        _reset(self.server)


class FaultProxy:
    """A proxy to `target`, listening on a Unix socket path or on 127.0.0.1 (port 0: a free one).

    A PostgreSQL client is pointed at it with a directory: listen on `<directory>/.s.PGSQL.5432`. Faults act on all connections
    that are open; `cut_after` acts on the one whose bytes match. `seen` counts what was done.
    """

    def __init__(self, target: Address, listen: Address = ("127.0.0.1", 0)) -> None:
        self._target, self._listen = target, listen
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._flowing = {direction: asyncio.Event() for direction in Direction}
        self._refusing = False
        self._cut_rule: CutRule | None = None
        self._forward_before_cut = True
        self.connections = 0
        self.cuts = 0
        for event in self._flowing.values():
            event.set()

    @property
    def port(self) -> int:
        """Return the TCP port that it listens on."""
        if self._server is None or isinstance(self._listen, Path):
            msg = "the proxy listens on no port"
            raise RuntimeError(msg)
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def open_connections(self) -> int:
        """Return how many connections are open through it."""
        return len(self._pairs)

    async def start(self) -> None:
        """Listen; a socket file that a former run left is replaced."""
        if isinstance(self._listen, Path):
            self._listen.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, str(self._listen))
        else:
            self._server = await asyncio.start_server(self._serve, *self._listen)

    async def stop(self) -> None:
        """Stop listening and cut everything. Twice is harmless."""
        if self._server is None:
            return
        self._server.close()
        self.resume()
        self._abort_all()
        await asyncio.gather(*(task for pair in self._pairs for task in pair.tasks), return_exceptions=True)
        await self._server.wait_closed()
        self._server = None
        if isinstance(self._listen, Path):
            self._listen.unlink(missing_ok=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def cut(self) -> int:
        """Cut all open connections at both ends and return how many there were."""
        cut = len(self._pairs)
        self.cuts += cut
        self._abort_all()
        return cut

    def stall(self, *directions: Direction) -> None:
        """Keep connections open but let nothing pass in these directions (default: both) until `resume`; bytes are held, not lost."""
        for direction in directions or tuple(Direction):
            self._flowing[direction].clear()

    def resume(self) -> None:
        """Let bytes flow again, those that were held first."""
        for event in self._flowing.values():
            event.set()

    def half_close(self, direction: Direction) -> None:
        """Tell the receivers of one direction that no more will come, while the other direction stays open."""
        for pair in self._pairs:
            receiver = pair.server if direction is Direction.TO_SERVER else pair.client
            with contextlib.suppress(OSError):
                receiver.write_eof()

    def refuse(self) -> None:
        """Close every new connection at once until `accept`; open ones live on."""
        self._refusing = True

    def accept(self) -> None:
        """Take new connections again."""
        self._refusing = False

    def cut_after(self, rule: CutRule | None, *, forward: bool = True) -> None:
        """Cut a connection when `rule(direction, bytes)` says so: with `forward` the bytes still arrive, without it they are lost.

        `cut_after(lambda to, sent: to is Direction.TO_SERVER and b"COMMIT" in sent)` loses the answer to a commit that was sent
        (promise D4). The rule sees the bytes of one read, which for a short command is the whole command. None takes it away.
        """
        self._cut_rule, self._forward_before_cut = rule, forward

    def _abort_all(self) -> None:
        for pair in list(self._pairs):
            pair.abort()

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._refusing:
            _reset(to_client)
            return
        try:
            if isinstance(self._target, Path):
                from_server, to_server = await asyncio.open_unix_connection(str(self._target))
            else:
                from_server, to_server = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(to_client)
            return
        pair = _Pair(to_client, to_server)
        self._pairs.add(pair)
        pair.tasks = [
            asyncio.create_task(self._pump(Direction.TO_SERVER, from_client, to_server, pair)),
            asyncio.create_task(self._pump(Direction.TO_CLIENT, from_server, to_client, pair)),
        ]
        try:
            await asyncio.gather(*pair.tasks, return_exceptions=True)
        finally:
            self._pairs.discard(pair)
            to_client.close()
            to_server.close()

    async def _pump(self, direction: Direction, source: asyncio.StreamReader, sink: asyncio.StreamWriter, pair: _Pair) -> None:
        try:
            while sent := await source.read(_CHUNK_BYTES):
                await self._flowing[direction].wait()
                cutting = self._cut_rule is not None and self._cut_rule(direction, sent)
                if not cutting or self._forward_before_cut:
                    sink.write(sent)
                    await sink.drain()
                if cutting:
                    self.cuts += 1
                    await self._part(direction, pair)
                    return
            if not sink.is_closing():
                sink.write_eof()
        except (ConnectionError, OSError, RuntimeError):
            pair.abort()

    async def _part(self, direction: Direction, pair: _Pair) -> None:
        """Cut so that forwarded bytes still arrive: the receiver sees an orderly end, the sender a broken connection."""
        receiver, sender = (pair.server, pair.client) if direction is Direction.TO_SERVER else (pair.client, pair.server)
        _reset(sender)
        receiver.close()
        with contextlib.suppress(ConnectionError, OSError):
            await receiver.wait_closed()
