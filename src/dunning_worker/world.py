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
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning.messages.ports import Ports
from dunning.messages.relays import Sink, Transport, pace_of
from dunning.messages.smtp import SmtpAccount, SmtpTransport, Timeouts


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
            timeouts=waits,
        )
    return found


def world_of(database: Database, settings: Settings, keyring: Keyring, bell: Bell | None = None) -> World:
    """Return the world of a product process over an open database."""
    return World(
        database=database,
        settings=settings,
        keyring=keyring,
        ports=product_ports(settings, keyring),
        transports=transports_of(settings),
        bell=bell or NullBell(),
    )
