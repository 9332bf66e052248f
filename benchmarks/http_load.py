"""A small HTTP client that keeps many connections busy: requests are bytes made beforehand, answers are read by their Content-Length."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

CONNECTIONS = 32


@dataclass(slots=True)
class Served:
    """What was answered in the measured time; latencies are seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency in milliseconds that this share of the answers keeps."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


class _Connection(asyncio.Protocol):
    def __init__(self, following: Callable[[], bytes | None], served: Served, over: asyncio.Future[None]) -> None:
        self._following, self._served, self._over = following, served, over
        self._buffer = bytearray()
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        request = self._following()
        if self._transport is None or request is None:
            if self._transport is not None:
                self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        place = self._buffer.lower().find(b"content-length:", 0, head)
        length = int(self._buffer[place + 15 : self._buffer.find(b"\r\n", place)]) if place >= 0 else 0
        if len(self._buffer) < head + 4 + length:
            return
        self._served.latencies.append(time.perf_counter() - self._sent_at)
        if not self._buffer.startswith(b"HTTP/1.1 2"):
            self._served.refused.append(bytes(self._buffer[:600]))
        self._buffer.clear()
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._over.done():
            self._over.set_result(None)


async def _run(port: int, following: Callable[[], bytes], seconds: float, connections: int) -> Served:
    served = Served()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    ends_at = began + seconds

    def next_one() -> bytes | None:
        return following() if time.perf_counter() < ends_at else None

    ends = [loop.create_future() for _ in range(connections)]
    await asyncio.gather(
        *[loop.create_connection(lambda end=end: _Connection(next_one, served, end), "127.0.0.1", port) for end in ends]  # type: ignore[misc]  # a default binds it
    )
    await asyncio.wait_for(asyncio.gather(*ends), seconds + 60)
    served.seconds = time.perf_counter() - began
    return served


async def load(port: int, following: Callable[[], bytes], seconds: float, *, connections: int = CONNECTIONS) -> Served:
    """Ask again and again for some seconds, after a warm-up; raise when anything but success is answered."""
    await _run(port, following, min(0.5, seconds / 2), connections)
    served = await _run(port, following, seconds, connections)
    if served.refused:
        msg = f"{len(served.refused)} of {len(served.latencies)} requests were refused, the first with: {served.refused[0].decode(errors='replace')}"
        raise RuntimeError(msg)
    return served


def request(method: str, path: str, *, key: str | None = None, body: bytes = b"", content_type: str = "application/json") -> bytes:
    """Return the bytes of a request."""
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: */*"]
    if key is not None:
        head.append(f"Authorization: Bearer {key}")
    if body:
        head += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body
