"""Talking to a mail relay over SMTP, one step at a time, so that the fence stands between RCPT and DATA. No database here.

aiosmtplib does connecting, TLS, login and commands; `DATA` and the body go through its protocol object, because the fence, the 354 and the
final dot are different moments for us and one call for its public method.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Literal

import aiosmtplib
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPException,
    SMTPNotSupported,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)
from aiosmtplib.protocol import SMTPProtocol

from dunning.kit.faults import faultpoint
from dunning.messages.relays import Connection, DnsChecks, RelayLost, RelayRefused, Reply, pace_of
from dunning.messages.rules import Phase
from dunning.messages.store import Pace

_COMPLETED = 250
_START_INPUT = 354
_CLOSING = 421
_LEADING_DOT = b"\r\n."


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait in each phase (RFC 5321 4.5.3.2)."""

    connect: float = 30.0
    command: float = 300.0
    data: float = 120.0
    reply: float = 600.0


@dataclass(frozen=True, slots=True)
class SmtpAccount:
    """Where a relay is and how to log in."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: str | None = None
    local_hostname: str | None = None


class SmtpConnection:
    """One SMTP connection, reused for many mails."""

    __slots__ = ("_account", "_client", "_mail_open", "_timeouts", "broken", "mails")

    def __init__(self, account: SmtpAccount, timeouts: Timeouts) -> None:
        self._account = account
        self._timeouts = timeouts
        self._client: aiosmtplib.SMTP | None = None
        self._mail_open = False
        self.mails = 0
        self.broken = False

    async def open(self) -> None:
        """Connect, greet, encrypt and log in."""
        account, wait = self._account, self._timeouts
        sock = await _connect(account.host, account.port, wait.connect)
        client = aiosmtplib.SMTP(
            hostname=account.host,
            sock=sock,
            local_hostname=account.local_hostname,
            timeout=wait.command,
            use_tls=account.security == "tls",
            start_tls=account.security == "starttls",
        )
        try:
            await client.connect()
            if account.username is not None:
                await client.login(account.username, account.password or "")
        except SMTPAuthenticationError as error:
            client.close()
            raise RelayRefused(Phase.AUTH, error.code, str(error.message)) from error
        except (SMTPException, OSError, ValueError) as error:
            client.close()
            sock.close()
            raise _trouble(Phase.CONNECT, error) from error
        self._client = client

    async def offer(self, sender: str, recipient: str) -> None:
        """Say MAIL and RCPT."""
        client = self._ready(Phase.MAIL)
        try:
            await client.mail(sender, encoding="ascii")
            self._mail_open = True
        except (SMTPException, OSError, ValueError) as error:
            raise self._note(Phase.MAIL, error) from error
        try:
            await client.rcpt(recipient, encoding="ascii")
        except (SMTPException, OSError, ValueError) as error:
            raise self._note(Phase.RCPT, error) from error

    async def deliver(self, mime: bytes) -> Reply:
        """Say DATA, the body and the final dot, and return the 250."""
        protocol = self._ready(Phase.DATA).protocol
        if protocol is None:
            self.broken = True
            raise RelayLost(Phase.DATA, "disconnected")
        self._mail_open = False
        try:
            started = await protocol.execute_command(b"DATA", timeout=self._timeouts.data)
        except (SMTPException, OSError) as error:
            raise self._note(Phase.DATA, error) from error
        if started.code != _START_INPUT:
            self._mail_open = True
            raise self._note(Phase.DATA, SMTPResponseException(started.code, started.message))
        await faultpoint("data_answered")
        try:
            return await self._send_body(protocol, mime)
        except (SMTPException, OSError) as error:
            raise self._note(Phase.DOT, error) from error

    async def _send_body(self, protocol: SMTPProtocol, mime: bytes) -> Reply:
        protocol.write(_stuffed(mime))
        await faultpoint("body_written")
        protocol.write(b".\r\n")
        await faultpoint("dot_written")
        answer = await protocol.read_response(timeout=self._timeouts.reply)
        await faultpoint("reply_read")
        self.mails += 1
        if answer.code != _COMPLETED:
            raise SMTPResponseException(answer.code, answer.message)
        return Reply(answer.code, answer.message)

    async def withdraw(self) -> None:
        """Say RSET where a mail is open; a connection that does not answer it is not used again."""
        if self._client is None or self.broken or not self._mail_open:
            return
        self._mail_open = False
        try:
            await self._client.rset()
        except (SMTPException, OSError):
            self.broken = True

    async def close(self) -> None:
        """Say QUIT, or cut what no longer listens."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            if not self.broken and client.is_connected:
                with suppress(SMTPException, OSError):
                    await client.quit(timeout=2)
        finally:
            client.close()

    def cut(self) -> None:
        """Close the socket at once, so that nothing more of the mail under way leaves."""
        self.broken = True
        if self._client is not None:
            self._client.close()

    @property
    def usable(self) -> bool:
        """Whether the next mail can go over it."""
        return not self.broken and self._client is not None and self._client.is_connected

    @property
    def reused(self) -> bool:
        """Whether it has carried a mail: a relay may have closed such a connection for being idle, which says nothing about the relay."""
        return self.mails > 0

    def _ready(self, phase: Phase) -> aiosmtplib.SMTP:
        if self._client is None or self.broken:
            raise RelayLost(phase, "disconnected")
        return self._client

    def _note(self, phase: Phase, error: Exception) -> RelayRefused | RelayLost:
        trouble = _trouble(phase, error)
        if isinstance(trouble, RelayLost) or trouble.code == _CLOSING:
            self.broken = True
        return trouble


async def _connect(host: str, port: int, timeout_seconds: float) -> socket.socket:
    """Open a TCP connection to the first address that answers; raise `RelayLost`."""
    loop = asyncio.get_running_loop()
    why = "the name has no address"
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM), timeout_seconds)
    except (OSError, TimeoutError) as error:
        raise RelayLost(Phase.CONNECT, f"the host name {host} cannot be resolved") from error
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)  # noqa: FBT003  # the standard library's signature
        try:
            await asyncio.wait_for(loop.sock_connect(sock, address), timeout_seconds)
        except (OSError, TimeoutError) as error:
            sock.close()
            why = f"{host}:{port} does not answer ({type(error).__name__})"
        except BaseException:
            sock.close()
            raise
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    raise RelayLost(Phase.CONNECT, why)


def _trouble(phase: Phase, error: Exception) -> RelayRefused | RelayLost:
    if isinstance(error, SMTPResponseException) and error.code >= 400:
        return RelayRefused(phase, error.code, str(error.message))
    if isinstance(error, SMTPConnectError | SMTPServerDisconnected | ConnectionError):
        return RelayLost(phase, "the connection was cut")
    if isinstance(error, SMTPTimeoutError | TimeoutError):
        return RelayLost(phase, "no answer in time")
    if isinstance(error, ssl.SSLError):
        return RelayLost(phase, f"TLS failed: {error.reason or type(error).__name__}")
    if isinstance(error, SMTPNotSupported):
        return RelayLost(phase, "it does not offer what is configured (see DUNNING_SMTP_SECURITY and DUNNING_SMTP_USERNAME)")
    if isinstance(error, ValueError):
        # An address that cannot be written in SMTP never left this process.
        return RelayRefused(phase, 553, "5.6.7 the address cannot be written in SMTP")
    return RelayLost(phase, f"{type(error).__name__}")


def _stuffed(mime: bytes) -> bytes:
    """Double the dots that begin a line (RFC 5321 4.5.2). The mail comes with CRLF line ends and ends with one."""
    body = mime if mime.endswith(b"\r\n") else mime + b"\r\n"
    if body.startswith(b"."):
        body = b"." + body
    return body.replace(_LEADING_DOT, b"\r\n..")


class SmtpTransport:
    """A relay over SMTP: a few connections, kept open and reused, replaced after so many mails and when the relay closes them."""

    def __init__(
        self,
        name: str,
        account: SmtpAccount,
        *,
        connections: int,
        mails_per_connection: int,
        pace: Pace | None = None,
        per_domain: int = 0,
        bounce_domain: str | None = None,
        dns_checks: DnsChecks = "off",
        timeouts: Timeouts | None = None,
    ) -> None:
        self.name = name
        self.pace = pace or pace_of(0)
        self.lanes = connections
        self.per_domain = per_domain
        self.bounce_domain = bounce_domain
        self.dns_checks: DnsChecks = dns_checks
        self._account = account
        self._timeouts = timeouts or Timeouts()
        self._mails = mails_per_connection
        self._idle: deque[SmtpConnection] = deque()
        self._slots = asyncio.Semaphore(connections)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """Lend a connection; wait while all are lent."""
        async with self._slots:
            connection = await self._usable()
            try:
                yield connection
            except BaseException:
                connection.cut()
                raise
            await connection.withdraw()
            if connection.usable and connection.mails < self._mails:
                self._idle.append(connection)
            else:
                await connection.close()

    async def close(self) -> None:
        """Say goodbye on idle connections."""
        while self._idle:
            await self._idle.popleft().close()

    async def _usable(self) -> SmtpConnection:
        while self._idle:
            kept = self._idle.pop()
            if kept.usable:
                return kept
            await kept.close()
        if self._account.local_hostname is None:
            # Asked once: where name service is slow, a look-up a connection would cost more than the mails.
            name = await asyncio.to_thread(socket.getfqdn)
            self._account = replace(self._account, local_hostname=name if name.isascii() else "localhost")
        fresh = SmtpConnection(self._account, self._timeouts)
        await fresh.open()
        return fresh
