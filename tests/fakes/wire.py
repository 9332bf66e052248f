"""The bytes of an SMTP connection, seen from the relay."""

from __future__ import annotations

import asyncio

LONGEST_LINE = 1 << 20
LARGEST_MAIL = 64 << 20


class ConnectionOver(Exception):
    """The connection is over, by the client's will or by ours."""


class Wire:
    """Lines in, replies out. Replies leave when the input is used up, after the delay: one wait for a whole pipelined group."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_seconds: float) -> None:
        self._reader, self._writer, self._delay = reader, writer, delay_seconds
        self._input = bytearray()
        self._output = bytearray()

    def say(self, reply: str) -> None:
        """Queue one reply."""
        self._output += reply.encode("utf-8") + b"\r\n"

    async def flush(self) -> None:
        """Send the queued replies, after the delay."""
        if self._output:
            if self._delay:
                await asyncio.sleep(self._delay)
            self._writer.write(self._output)
            self._output = bytearray()
            await self._writer.drain()

    async def line(self) -> bytes:
        """Return the next line without its end."""
        return await self._until(b"\r\n", LONGEST_LINE)

    async def body(self) -> bytes:
        """Return a mail up to its final dot, which is taken off; doubled dots stay doubled."""
        if self._input[:3] == b".\r\n" or (len(self._input) < 3 and await self._peek(3) == b".\r\n"):  # noqa: PLR2004 - a lone dot
            del self._input[:3]
            return b""
        return await self._until(b"\r\n.\r\n", LARGEST_MAIL) + b"\r\n"

    async def some_input(self) -> None:
        """Wait until the client has sent something."""
        await self._peek(1)

    def abort(self) -> None:
        """Cut the connection at once."""
        self._writer.transport.abort()

    async def _peek(self, size: int) -> bytes:
        while len(self._input) < size:
            await self._fill()
        return bytes(self._input[:size])

    async def _until(self, mark: bytes, limit: int) -> bytes:
        searched = 0
        while (end := self._input.find(mark, max(0, searched - len(mark)))) < 0:
            searched = len(self._input)
            if searched > limit:
                raise ConnectionOver
            await self._fill()
        taken = bytes(self._input[:end])
        del self._input[: end + len(mark)]
        return taken

    async def _fill(self) -> None:
        await self.flush()
        more = await self._reader.read(1 << 16)
        if not more:
            raise ConnectionOver
        self._input += more
