"""The sink counts every mail once, however the bytes are cut, and is fast enough not to be what a benchmark measures."""

from __future__ import annotations

import asyncio
import time

import aiosmtplib
import pytest

from tests.fakes import processes
from tests.fakes.sink import Sink, statistics_of

_ENVELOPE = b"MAIL FROM:<us@x.test>\r\nRCPT TO:<a@y.test>\r\nDATA\r\n"


def body(number: int) -> bytes:
    return b"Message-ID: <m.%d@x.test>\r\n\r\n..dot\r\nbye\r\n.\r\n" % number


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
async def test_a_pipelined_stream_is_counted_alike_however_it_is_cut(chunk: int) -> None:
    """Boundaries of packets mean nothing: a dot split over two of them is still the end; an empty body is one too."""
    stream = b"EHLO x\r\n" + _ENVELOPE + body(1) + _ENVELOPE + body(2) + _ENVELOPE + body(2) + _ENVELOPE + b".\r\nQUIT\r\n"
    async with Sink(keep_message_ids=True) as sink:
        reader, writer = await asyncio.open_connection("127.0.0.1", sink.port)
        for start in range(0, len(stream), chunk):
            writer.write(stream[start : start + chunk])
            await asyncio.sleep(0)
        answers = (await asyncio.wait_for(reader.read(), 5)).decode().splitlines()
        writer.close()
        assert [line[:3] for line in answers if line[3] == " "] == ["220", "250", *["250", "250", "354", "250"] * 4, "221"]
        assert sink.tally.mails == 4
        assert sink.tally.message_ids == {b"<m.1@x.test>", b"<m.2@x.test>"}


async def test_an_ordinary_client_is_served_and_told_when_it_has_no_recipient() -> None:
    """The sink is a server that real clients speak with."""
    async with Sink() as sink:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=sink.port, start_tls=False)
        async with client:
            for _ in range(3):
                await client.sendmail("us@x.test", ["a@y.test"], b"Subject: x\r\n\r\n.\r\n")
            assert (await client.execute_command(b"DATA")).code == 554
        assert sink.tally.mails == 3


async def test_a_delay_is_one_wait_for_a_group_of_commands() -> None:
    """A pipelining client pays the round trip once a group: that is what the benchmark against 20 ms wants to show."""
    async with Sink(delay_seconds=0.1) as sink:
        reader, writer = await asyncio.open_connection("127.0.0.1", sink.port)
        await reader.readline()
        began = time.monotonic()
        writer.write(_ENVELOPE)
        assert [(await reader.readline())[:3] for _ in range(3)] == [b"250", b"250", b"354"]
        assert 0.09 < time.monotonic() - began < 0.3
        writer.close()


async def test_a_sink_of_its_own_process_tells_its_counts_over_smtp() -> None:
    """A benchmark reads the counts from outside."""
    with processes.running("tests.fakes.sink", "--message-ids") as sink:
        reader, writer = await asyncio.open_connection("127.0.0.1", sink.port)
        writer.write(b"EHLO x\r\n" + b"".join(_ENVELOPE + body(n) for n in range(500)) + b"QUIT\r\n")
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
        counts = await statistics_of(sink.port)
        assert (counts["mails"], counts["distinct"]) == (500, 500)
