"""The SMTP side: it takes every mail for anyone from anyone, and any password."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from dunning_cli.catcher.folder import MailFolder

LARGEST_MAIL_OCTETS = 32 * 1024 * 1024


class _LenientSMTP(SMTP):
    # A mail with overlong lines is caught and shown with a remark, where a strict server would refuse it without a trace.
    line_length_limit = LARGEST_MAIL_OCTETS


class _Handler:
    def __init__(self, folder: MailFolder) -> None:
        self._folder = folder

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd finds it by this name
        mail = self._folder.add(
            envelope_sender=envelope.mail_from or "",
            recipients=[str(address) for address in envelope.rcpt_tos],
            content=envelope.original_content or b"",
        )
        return f"250 2.0.0 kept as {mail.id}"


def _welcome(*_: object) -> AuthResult:
    return AuthResult(success=True)


async def start_smtp(folder: MailFolder, listener: socket.socket) -> asyncio.Server:
    """Serve SMTP on a listening socket; each mail is in the folder before it is answered with 250."""
    loop = asyncio.get_running_loop()

    def connection() -> SMTP:
        return _LenientSMTP(
            _Handler(folder),
            data_size_limit=LARGEST_MAIL_OCTETS,
            enable_SMTPUTF8=True,
            # A fixed name: asking for ours may wait for a name server that is not there.
            hostname="catcher.localhost",
            ident="mail catcher",
            auth_require_tls=False,
            authenticator=_welcome,
            loop=loop,
        )

    return await loop.create_server(connection, sock=listener)
