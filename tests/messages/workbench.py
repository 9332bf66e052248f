"""A worker's world for the tests of dispatch: real database, scripted relay, simple doors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dunning.kit.database import Database
from dunning.kit.ids import TenantId
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning.messages.relays import Sink, Transport, pace_of
from dunning.messages.smtp import SmtpAccount, SmtpTransport, Timeouts
from dunning_worker.world import World
from tests.messages.rows import SimplePorts

RING = Keyring.parse("t1:" + "11" * 32)


def smtp_to(
    port: int,
    *,
    name: str = "smtp",
    connections: int = 1,
    mails: int = 200,
    rate: int = 0,
    window_seconds: float = 60.0,
    reply_seconds: float = 5.0,
    **account: Any,
) -> SmtpTransport:
    """A transport to a relay on this machine."""
    return SmtpTransport(
        name,
        SmtpAccount("127.0.0.1", port, security="none", local_hostname="worker.test", **account),
        connections=connections,
        mails_per_connection=mails,
        pace=pace_of(rate, window_seconds),
        timeouts=Timeouts(connect=2, command=5, data=5, reply=reply_seconds),
    )


def world_with(database: Database, ports: SimplePorts, *transports: Transport, **settings: Any) -> World:
    """A world whose relays are the given ones, beside the sink."""
    chosen: dict[str, Transport] = {"sink": Sink()} | {t.name: t for t in transports}
    return World(
        database=database,
        settings=Settings(**({"lease_seconds": 5, "evidence_window_seconds": 1} | settings)),
        keyring=RING,
        ports=ports.ports(),
        transports=chosen,
        chance=lambda: 0.5,
    )


async def make_retries_due(database: Database, tenant_id: TenantId) -> int:
    """Let the waiting time of retries be over."""
    async with database.transaction(tenant_id) as session:
        return await session.execute("update message set retry_at = now() where tenant_id = $1 and state = 'retry_wait'", tenant_id)


async def end_rest(database: Database, relay: str) -> None:
    """Let a relay's rest be over, but not its failures be forgotten."""
    async with database.across_tenants() as session:
        await session.execute("update relay_circuit set closed_until = now() where relay = $1", relay)


def with_ports(world: World, **doors: Any) -> World:
    """The same world with some doors replaced."""
    world.ports = replace(world.ports, **doors)
    return world
