"""Addresses to which nothing is sent: kept as digests, with their cause, until a person takes them off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import asyncpg

from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import NotFound
from dunning.kit.ids import MessageId, TenantId, new_id
from dunning.messages.addresses import address_digest


@dataclass(frozen=True, slots=True)
class Suppression:
    """One suppressed address. `key` is the digest in hexadecimal."""

    key: str
    channel: str
    cause: str
    message_id: MessageId | None
    created_at: dt.datetime
    expires_at: dt.datetime | None


def _suppression(row: asyncpg.Record) -> Suppression:
    return Suppression(
        key=row["address_sha256"].hex(),
        channel=row["channel"],
        cause=row["cause"],
        message_id=row["message_id"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )


async def suppress(session: Session, tenant_id: TenantId, *, channel: str, address_sha256: bytes, cause: str, message_id: MessageId | None) -> bool:
    """Put an address on the list; False when it already is there, and then its first cause stays."""
    return bool(
        await session.execute(
            """insert into suppression as s (tenant_id, channel, address_sha256, cause, message_id) values ($1, $2, $3, $4, $5)
               on conflict (tenant_id, channel, address_sha256) do update
                  set cause = excluded.cause, message_id = excluded.message_id, created_at = clock_timestamp(), expires_at = null
                where s.expires_at <= now()""",
            tenant_id,
            channel,
            address_sha256,
            cause,
            message_id,
        )
    )


async def suppressed_ones(session: ReadSession, tenant_id: TenantId, digests: Collection[bytes]) -> set[bytes]:
    """Return those of some addresses, as digests, that take no mail now."""
    rows = await session.rows(
        """select address_sha256 from suppression
            where tenant_id = $1 and channel = 'email' and address_sha256 = any ($2::bytea[]) and (expires_at is null or expires_at > now())""",
        tenant_id,
        list(digests),
    )
    return {row["address_sha256"] for row in rows}


async def suppressions_after(session: ReadSession, *, tenant_id: TenantId, after: str | None, limit: int, address: str | None = None) -> list[Suppression]:
    """Return suppressed addresses in the order of their digests; with `address`, that one alone."""
    rows = await session.rows(
        """select * from suppression where tenant_id = $1 and channel = 'email' and ($2::bytea is null or address_sha256 > $2)
              and ($4::bytea is null or address_sha256 = $4)
            order by address_sha256 limit $3""",
        tenant_id,
        bytes.fromhex(after) if after else None,
        limit,
        address_digest(address) if address else None,
    )
    return [_suppression(row) for row in rows]


async def lift_suppression(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, key: str) -> None:
    """Take an address off the list; what is queued from now on reaches it again. Raises `NotFound` when it is not there."""
    noun = "suppressed address"
    try:
        digest = bytes.fromhex(key)
    except ValueError:
        raise NotFound(noun) from None
    gone = await session.row(
        "delete from suppression where tenant_id = $1 and channel = 'email' and address_sha256 = $2 returning cause, message_id", tenant_id, digest
    )
    if gone is None:
        raise NotFound(noun)
    await events.record(
        session,
        clock,
        tenant_id=tenant_id,
        kind="suppression.lifted",
        subject_kind="suppression",
        subject_id=gone["message_id"] or new_id(),
        actor=actor,
        data={"cause": gone["cause"]},
    )
