"""What a relay is to the dispatcher: connections that offer, deliver and withdraw one mail at a time. And the sink of test mode."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from dunning.messages.rules import Phase, enhanced_code
from dunning.messages.store import Pace

DnsChecks = Literal["off", "warn", "enforce"]

RATE_WINDOW_SECONDS = 60.0
"""The window of `smtp_rate_per_domain`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that was read."""

    code: int
    text: str

    @property
    def line(self) -> str:
        """The answer as one line."""
        return f"{self.code} {' '.join(self.text.split())}"[:500]


class RelayRefused(Exception):
    """The relay answered 4xx or 5xx; the mail is certainly not taken."""

    def __init__(self, phase: Phase, code: int, text: str) -> None:
        super().__init__(f"{code} at {phase}")
        self.phase = phase
        self.code = code
        self.text = " ".join(text.split())[:400]

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code, where the answer has one."""
        return enhanced_code(self.text)


class RelayLost(Exception):
    """No answer was read: the connection broke, never came to be, or time ran out. From DATA on nobody can know what became of the mail."""

    def __init__(self, phase: Phase, why: str) -> None:
        super().__init__(f"{why} at {phase}")
        self.phase = phase
        self.why = why


class Connection(Protocol):
    """One conversation with a relay. `usable` is false once it broke; `reused` is true once it has carried a mail."""

    @property
    def usable(self) -> bool:
        """Whether the next mail can go over it."""
        ...

    @property
    def reused(self) -> bool:
        """Whether it has carried a mail."""
        ...

    def cut(self) -> None:
        """Close at once, so that nothing more of a mail under way leaves."""
        ...

    async def offer(self, sender: str, recipient: str) -> None:
        """Say MAIL and RCPT; raise `RelayRefused` or `RelayLost`."""
        ...

    async def deliver(self, mime: bytes) -> Reply:
        """Say DATA, the body and the final dot, and return the 250; raise `RelayRefused` or `RelayLost`. Only ever after the fence."""
        ...

    async def withdraw(self) -> None:
        """Take back what was offered (RSET), so that the connection serves the next message."""
        ...


class Transport(Protocol):
    """A relay with its connections. `per_domain` is how many mails to one recipient domain a worker has under way at once; 0 is no limit.

    Where `bounce_domain` is set, each message has an envelope sender of its own at that domain. `dns_checks` says what a sending domain whose
    DNS records fail means for its mails: nothing is looked up (`off`), it is logged (`warn`), or they wait (`enforce`).
    """

    name: str
    pace: Pace
    lanes: int
    per_domain: int
    bounce_domain: str | None
    dns_checks: DnsChecks

    def lend(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection for some messages; it comes back usable, or is replaced. Raises `RelayLost` or `RelayRefused` when none opens."""
        ...

    async def close(self) -> None:
        """Say goodbye on idle connections."""
        ...


def pace_of(mails: int, window_seconds: float = RATE_WINDOW_SECONDS) -> Pace:
    """Return how a rate is counted so that no window, wherever it begins, ever sees more than `mails`.

    The counters reach back over the window, one bucket, the time for which a claim's count stays good, and as much for RCPT and fence.
    """
    bucket, fresh = window_seconds / 12, window_seconds / 30
    return Pace(mails=mails, window_seconds=window_seconds + bucket + 2 * fresh, bucket_seconds=bucket, fresh_seconds=fresh)


class SinkConnection:
    """Takes every mail and drops it."""

    usable = True
    reused = False

    def cut(self) -> None:
        """Do nothing: there is no socket."""

    async def offer(self, sender: str, recipient: str) -> None:
        """Take the addresses."""

    async def deliver(self, mime: bytes) -> Reply:
        """Take the mail."""
        del mime
        return Reply(250, "2.0.0 taken by the test sink and dropped")

    async def withdraw(self) -> None:
        """Forget the addresses."""


@dataclass(slots=True)
class Sink:
    """Where test-mode tenants send to when no mail server is set for them: nowhere."""

    name: str = "sink"
    pace: Pace = field(default_factory=lambda: pace_of(0))
    lanes: int = 2
    per_domain: int = 0
    bounce_domain: str | None = None
    dns_checks: DnsChecks = "off"

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """Lend the one that takes everything."""
        yield SinkConnection()

    async def close(self) -> None:
        """Do nothing."""
