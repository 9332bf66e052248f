"""The proxy breaks connections in the ways that networks do, and otherwise passes every byte."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.fakes.proxy import Direction, FaultProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Upper:
    """A server that answers each line in capitals and remembers what it heard, an end of input included."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.address: tuple[str, int] = ("127.0.0.1", 0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                self.heard.append(line)
                writer.write(line.upper())
                await writer.drain()
            self.heard.append(b"<end>")
            writer.write(b"BYE\n")
        writer.close()


@pytest.fixture
async def upper() -> AsyncIterator[Upper]:
    told = Upper()
    server = await asyncio.start_server(told.serve, "127.0.0.1", 0)
    told.address = server.sockets[0].getsockname()
    yield told
    server.close()


async def line_of(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readline(), 2)


async def test_bytes_pass_unchanged_over_a_unix_socket_and_over_a_port(upper: Upper, tmp_path: Path) -> None:
    """PostgreSQL and Valkey stand on Unix sockets here, relays on ports."""
    async with FaultProxy(upper.address, tmp_path / "s") as proxy, FaultProxy(tmp_path / "s") as outer:
        reader, writer = await asyncio.open_connection("127.0.0.1", outer.port)
        writer.write(b"x" * 50_000 + b"\n")
        assert await line_of(reader) == b"X" * 50_000 + b"\n"
        writer.close()
        assert proxy.connections == outer.connections == 1
    assert not (tmp_path / "s").exists()


async def test_a_cut_ends_open_connections_and_lets_new_ones_in(upper: Upper) -> None:
    """A cut is an instant, not a state."""
    async with FaultProxy(upper.address) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"a\n")
        await line_of(reader)
        assert proxy.cut() == 1
        with pytest.raises(ConnectionError):
            await line_of(reader)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"b\n")
        assert await line_of(reader) == b"B\n"
        writer.close()


async def test_a_stall_holds_bytes_until_resumed(upper: Upper) -> None:
    """A stalled network loses nothing; it only takes longer than a lease."""
    async with FaultProxy(upper.address) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        proxy.stall(Direction.TO_CLIENT)
        writer.write(b"a\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readline(), 0.2)
        assert upper.heard == [b"a\n"]
        proxy.resume()
        assert await line_of(reader) == b"A\n"
        writer.close()


async def test_a_half_closed_connection_still_answers_the_other_way(upper: Upper) -> None:
    """The server reads an end and may still speak."""
    async with FaultProxy(upper.address) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"a\n")
        await line_of(reader)
        proxy.half_close(Direction.TO_SERVER)
        assert await line_of(reader) == b"BYE\n"
        assert upper.heard == [b"a\n", b"<end>"]
        writer.close()


@pytest.mark.parametrize("forward", [True, False])
async def test_a_cut_after_a_word_loses_the_answer_and_if_wanted_the_word(upper: Upper, forward: bool) -> None:  # noqa: FBT001 - a parameter
    """D4: the connection breaks just after COMMIT is sent; whether it arrived is what the client cannot know."""
    async with FaultProxy(upper.address) as proxy:
        proxy.cut_after(lambda to, sent: to is Direction.TO_SERVER and b"commit" in sent, forward=forward)
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"insert\n")
        assert await line_of(reader) == b"INSERT\n"
        writer.write(b"commit\n")
        with pytest.raises(ConnectionError):
            await line_of(reader)
        writer.close()
        await asyncio.sleep(0.1)
        assert (b"commit\n" in upper.heard) is forward
        assert proxy.cuts == 1


async def test_a_refusing_proxy_closes_new_connections_until_told_otherwise(upper: Upper) -> None:
    """A server that is away for a minute, without stopping it."""
    async with FaultProxy(upper.address) as proxy:
        proxy.refuse()
        with pytest.raises(ConnectionError):
            reader, _ = await asyncio.open_connection("127.0.0.1", proxy.port)
            raise ConnectionResetError if await line_of(reader) == b"" else AssertionError
        proxy.accept()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"b\n")
        assert await line_of(reader) == b"B\n"
        writer.close()
