"""What a worker's jobs are given: the database, the relays, and the doors from messages to the folders above them."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dunning.doors import product_ports
from dunning.kit.bell import Bell, NullBell
from dunning.kit.database import Database
from dunning.kit.errors import Unavailable
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning.ledger.addresses import InvalidAddress, ascii_address
from dunning.messages.name_service import txt_records
from dunning.messages.ports import Ports
from dunning.messages.relays import Sink, Transport, pace_of
from dunning.messages.sender_domain import is_loopback, listed
from dunning.messages.smtp import SmtpAccount, SmtpTransport, Timeouts
from dunning_worker.sender_domains import SenderDomains


def _nothing(_noun: str, _what: str) -> None:
    """Count nothing."""


@dataclass(slots=True)
class World:
    """Everything that a job may use. Jobs open their own transactions; nothing in here holds one.

    `count` is told what happened (`messages`, `accepted`), for metrics. `chance` gives 0 to 1 for jitter.
    """

    database: Database
    settings: Settings
    keyring: Keyring
    ports: Ports
    transports: Mapping[str, Transport]
    bell: Bell = field(default_factory=NullBell)
    sender_domains: SenderDomains = field(default_factory=lambda: SenderDomains(txt_records))
    chance: Callable[[], float] = random.random
    count: Callable[[str, str], None] = _nothing
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    async def close(self) -> None:
        """Close relays, bell and database."""
        for transport in self.transports.values():
            await transport.close()
        await self.bell.close()
        await self.database.close()


def transports_of(settings: Settings) -> dict[str, Transport]:
    """Return the relays that the settings name: `smtp` where a host is set, and always `sink`, the only one that test mode reaches."""
    waits = Timeouts(reply=settings.smtp_reply_timeout_seconds)
    found: dict[str, Transport] = {"sink": Sink()}
    if settings.sink_host:
        account = SmtpAccount(settings.sink_host, settings.sink_port, security="none")
        found["sink"] = SmtpTransport(
            "sink",
            account,
            connections=settings.smtp_connections,
            mails_per_connection=settings.smtp_mails_per_connection,
            timeouts=waits,
        )
    if settings.smtp_host:
        account = SmtpAccount(
            settings.smtp_host,
            settings.smtp_port,
            security=settings.smtp_security,
            username=settings.smtp_username,
            password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        )
        found["smtp"] = SmtpTransport(
            "smtp",
            account,
            connections=settings.smtp_connections,
            mails_per_connection=settings.smtp_mails_per_connection,
            pace=pace_of(settings.smtp_rate_per_domain),
            per_domain=settings.smtp_connections_per_domain,
            bounce_domain=_bounce_domain(settings.smtp_bounce_domain),
            dns_checks="off" if is_loopback(settings.smtp_host) else settings.smtp_dns_checks,
            timeouts=waits,
        )
    return found


def _bounce_domain(domain: str | None) -> str | None:
    """Return the domain of envelope senders as SMTP takes it; raise `Unavailable` that names the setting."""
    if not domain:
        return None
    try:
        return ascii_address(f"bounces@{domain}").rpartition("@")[2]
    except InvalidAddress as error:
        msg = f"DUNNING_SMTP_BOUNCE_DOMAIN is {domain!r}: {error}. Set it to a domain such as bounces.example.com, or unset it."
        raise Unavailable(msg) from error


def world_of(database: Database, settings: Settings, keyring: Keyring, bell: Bell | None = None) -> World:
    """Return the world of a product process over an open database."""
    return World(
        database=database,
        settings=settings,
        keyring=keyring,
        ports=product_ports(settings, keyring),
        transports=transports_of(settings),
        sender_domains=SenderDomains(txt_records, listed(settings.smtp_dkim_selectors)),
        bell=bell or NullBell(),
    )
