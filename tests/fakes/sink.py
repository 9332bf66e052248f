"""A very fast SMTP sink for benchmarks: it accepts everything, pipelines, and keeps a count, and Message-IDs if asked.

In a benchmark: `async with Sink() as sink`. As its own process: `python -m tests.fakes.sink --port 0 --delay-ms 0 --message-ids`;
it prints `listening on 127.0.0.1:<port>`. The command `XSTAT` answers `250 {"mails": …, "bytes": …, "distinct": …}` on any connection.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import signal
import sys
from dataclasses import dataclass, field
from typing import Self, cast

_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_OFFERS = b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 67108864\r\n"
_OK = b"250 2.0.0 ok\r\n"
_REPLIES = {b"EHLO": _OFFERS, b"HELO": b"250 sink.test\r\n", b"MAIL": _OK, b"RCPT": _OK, b"RSET": _OK, b"NOOP": _OK}


@dataclass(slots=True)
class Tally:
    """What has arrived. `message_ids` is None unless they are kept."""

    mails: int = 0
    bytes_in: int = 0
    message_ids: set[bytes] | None = None

    def as_json(self) -> bytes:
        """Return the counts as one line; `distinct` is null where Message-IDs are not kept."""
        distinct = len(self.message_ids) if self.message_ids is not None else None
        return json.dumps({"mails": self.mails, "bytes": self.bytes_in, "distinct": distinct}).encode()


@dataclass(slots=True)
class _Input:
    buffer: bytearray = field(default_factory=bytearray)
    searched: int = 0
    in_body: bool = False
    recipients: int = 0


class _Connection(asyncio.Protocol):
    """One connection: all that has arrived is handled at once, its replies leave in one write after the delay."""

    def __init__(self, tally: Tally, delay_seconds: float, open_connections: set[asyncio.Transport]) -> None:
        self._tally, self._delay, self._open = tally, delay_seconds, open_connections
        self._input = _Input()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast and no isinstance: uvloop's transports do not inherit from asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self._transport)
        self._send(b"220 sink.test ESMTP\r\n")

    def connection_lost(self, _error: Exception | None) -> None:
        if self._transport is not None:
            self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        state = self._input
        state.buffer += data
        self._tally.bytes_in += len(data)
        replies = bytearray()
        closing = False
        while not closing:
            reply = self._end_of_body() if state.in_body else self._command()
            if reply is None:
                break
            replies += reply
            closing = reply.startswith(b"221")
        if replies:
            self._send(bytes(replies), closing=closing)

    def _command(self) -> bytes | None:
        state = self._input
        end = state.buffer.find(b"\r\n", state.searched)
        if end < 0:
            state.searched = max(0, len(state.buffer) - 1)
            return None
        verb = bytes(state.buffer[:4]).upper() if end >= 4 else bytes(state.buffer[:end])  # noqa: PLR2004 - all verbs have four letters
        statistics = bytes(state.buffer[:end]).upper() == b"XSTAT"
        del state.buffer[: end + 2]
        state.searched = 0
        if statistics:
            return b"250 " + self._tally.as_json() + b"\r\n"
        if verb == b"RCPT":
            state.recipients += 1
        elif verb == b"DATA":
            if not state.recipients:
                return b"554 5.5.1 no valid recipients\r\n"
            # The end is looked for from the line break before the body on, so that a body of one dot is found too.
            state.in_body = True
            state.buffer[:0] = b"\r\n"
            return b"354 end with a dot\r\n"
        elif verb in {b"RSET", b"EHLO", b"HELO", b"MAIL"}:
            state.recipients = 0
        elif verb == b"QUIT":
            return b"221 2.0.0 bye\r\n"
        return _REPLIES.get(verb, b"502 5.5.2 command not known\r\n")

    def _end_of_body(self) -> bytes | None:
        state = self._input
        end = state.buffer.find(b"\r\n.\r\n", state.searched)
        if end < 0:
            state.searched = max(0, len(state.buffer) - 4)
            return None
        if self._tally.message_ids is not None:
            found = _MESSAGE_ID.search(state.buffer, 0, end)
            if found is not None:
                self._tally.message_ids.add(found.group(1))
        del state.buffer[: end + 5]
        self._tally.mails += 1
        state.searched, state.in_body, state.recipients = 0, False, 0
        return _OK

    def _send(self, replies: bytes, *, closing: bool = False) -> None:
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._write, replies, closing)
        else:
            self._write(replies, closing)

    def _write(self, replies: bytes, closing: bool) -> None:  # noqa: FBT001 - called by the loop with positions only
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(replies)
            if closing:
                self._transport.close()


class Sink:
    """A sink on loopback. `delay_seconds` passes before each group of replies, like a round trip to a distant relay."""

    def __init__(self, *, delay_seconds: float = 0.0, keep_message_ids: bool = False) -> None:
        self.tally = Tally(message_ids=set() if keep_message_ids else None)
        self._delay = delay_seconds
        self._open: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        if self._server is None:
            msg = "the sink is not started"
            raise RuntimeError(msg)
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1, on a free port by default."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self.tally, self._delay, self._open), "127.0.0.1", port, backlog=1024)

    async def stop(self) -> None:
        """Stop listening and cut all connections; the tally stays readable. Twice is harmless."""
        if self._server is not None:
            self._server.close()
            for transport in list(self._open):
                transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def statistics_of(port: int) -> dict[str, int | None]:
    """Return the counts of a sink in another process: keys `mails`, `bytes`, `distinct`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    writer.write(b"XSTAT\r\n")
    answer = await reader.readline()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    counts: dict[str, int | None] = json.loads(answer[4:])
    return counts


async def _main(arguments: argparse.Namespace) -> None:
    sink = Sink(delay_seconds=arguments.delay_ms / 1000, keep_message_ids=arguments.message_ids)
    await sink.start(arguments.port)
    sys.stdout.write(f"listening on 127.0.0.1:{sink.port}\n")
    sys.stdout.flush()
    over = asyncio.Event()
    for wanted in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(wanted, over.set)
    await over.wait()
    await sink.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.sink", description="A fast SMTP sink on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0.0, help="wait before each group of replies")
    parser.add_argument("--message-ids", action="store_true", help="keep the Message-IDs, to count distinct ones")
    chosen = parser.parse_args()
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.run(_main(chosen))
        sys.exit(0)
    asyncio.run(_main(chosen))
