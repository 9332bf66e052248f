"""Statements on relays: whether one rests or is suspended, and how many mails it was given of late. These tables belong to no tenant."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.messages.store import Pace


async def circuits_of(session: ReadSession, relays: Sequence[str]) -> list[asyncpg.Record]:
    """Return the state of relays that have one; `resting` tells whether it rests at this moment."""
    return await session.rows("select *, coalesce(closed_until > now(), false) as resting from relay_circuit where relay = any ($1::text[])", list(relays))


async def note_failure(session: Session, relay: str, delays: Sequence[int], reason: str) -> dt.datetime | None:
    """Let a relay rest after a failure, longer each time in a row by the table of delays, and return until when; None where it already rests.

    Failures that come while it rests are those of mails that were already on their way, and make the rest no longer.
    """
    until: dt.datetime | None = await session.value(
        """insert into relay_circuit as r (relay, failures, closed_until, reason) values ($1, 1, now() + make_interval(secs => ($2::int[])[1]), $3)
           on conflict (relay) do update
              set failures = r.failures + 1, reason = excluded.reason, updated_at = clock_timestamp(),
                  closed_until = now() + make_interval(secs => ($2::int[])[least(r.failures + 1, array_length($2::int[], 1))])
            where r.closed_until is null or r.closed_until <= now()
           returning closed_until""",
        relay,
        list(delays),
        reason,
    )
    return until


async def all_circuits(session: ReadSession) -> list[asyncpg.Record]:
    """Return the circuits of all relays and of all tenants' own queues."""
    return await session.rows("select *, coalesce(closed_until > now(), false) as resting from relay_circuit order by relay")


async def note_success(session: Session, relay: str) -> None:
    """End a row of failures."""
    await session.execute(
        "update relay_circuit set failures = 0, closed_until = null, reason = null, updated_at = clock_timestamp() where relay = $1 and failures > 0 and not suspended",
        relay,
    )


async def suspend(session: Session, relay: str, reason: str) -> bool:
    """Suspend a relay until a person resumes it; False when it already is."""
    return bool(
        await session.execute(
            """insert into relay_circuit as r (relay, suspended, reason) values ($1, true, $2)
               on conflict (relay) do update set suspended = true, reason = excluded.reason, updated_at = clock_timestamp() where not r.suspended""",
            relay,
            reason,
        )
    )


async def resume(session: Session, relays: Sequence[str]) -> int:
    """Take suspensions and rests away and return how many there were."""
    return await session.execute(
        """update relay_circuit set suspended = false, failures = 0, closed_until = null, reason = null, updated_at = clock_timestamp()
            where relay = any ($1::text[]) and (suspended or failures > 0)""",
        list(relays),
    )


async def move_place(session: Session, relay: str, domain: str, counted_at: dt.datetime, pace: Pace) -> None:
    """Count a claimed mail now instead of at its claim.

    This can never exceed the rate: the mail stays in every window that ends now, and whoever claims later counts it there.
    """
    await session.execute(
        "update relay_rate set sent = sent - 1 where relay = $1 and recipient_domain = $2 and bucket_at = $3 and sent > 0", relay, domain, counted_at
    )
    await session.execute(
        """insert into relay_rate (relay, recipient_domain, bucket_at, sent)
           values ($1, $2, date_bin(make_interval(secs => $3), clock_timestamp(), timestamptz 'epoch'), 1)
           on conflict (relay, recipient_domain, bucket_at) do update set sent = relay_rate.sent + 1""",
        relay,
        domain,
        pace.bucket_seconds,
    )


async def forget_old_counts(session: Session, older_than_seconds: float) -> int:
    """Delete counters that no window reaches any more."""
    return await session.execute("delete from relay_rate where bucket_at < clock_timestamp() - make_interval(secs => $1)", older_than_seconds)
