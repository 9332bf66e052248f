"""Walking a test tenant's clock forward, through every local night and every opening of a send window on the way."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.collection import nights
from dunning.collection.nights import Night
from dunning.events import due_work
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import TenantId, new_id
from dunning.ledger import ledger_store
from dunning.tenancy import service as tenancy

LONGEST_DAYS = 400


class WalkOpen(Conflict):
    """The clock is already being walked."""

    code = "walk_open"
    title = "The clock is being walked"


@dataclass(frozen=True, slots=True)
class Stop:
    """Hold one instant at which a walk has something to do: nights that begin, or messages that may leave."""

    at: dt.datetime
    nights: tuple[Night, ...]


async def advance(session: Session, clock: Clock, *, tenant_id: TenantId, to: dt.datetime | None, days: int | None) -> asyncpg.Record:
    """Queue a walk of a test tenant's clock to an instant, or by whole days, and return it; a worker walks it.

    Raises `NoTestClock` for a live tenant, `WalkOpen` while another walk is under way, `Malformed` for an instant that is not ahead.
    """
    tenant = await tenancy.tenant_of(session, tenant_id)
    if tenant.clock_at is None:
        msg = "Only the clock of a test-mode tenant can be advanced."
        raise tenancy.NoTestClock(msg)
    if (to is None) == (days is None):
        msg = "Give either `to`, an instant, or `days`, a number."
        raise Malformed(msg)
    now = clock.now()
    target = to.astimezone(dt.UTC) if to is not None else now + dt.timedelta(days=days or 0)
    if not now < target <= now + dt.timedelta(days=LONGEST_DAYS):
        msg = f"The clock stands at {now.isoformat()}. It moves only forward, at most {LONGEST_DAYS} days at once."
        raise Malformed(msg)
    walk_id = new_id()
    made = await session.execute(
        """insert into test_clock_walk (tenant_id, walk_id, from_at, to_at) values ($1, $2, $3, $4)
           on conflict (tenant_id) where state in ('queued', 'walking') do nothing""",
        tenant_id,
        walk_id,
        now,
        target,
    )
    if not made:
        msg = "A walk is under way. Wait for it to end; GET /v1/test-clock/walks lists it."
        raise WalkOpen(msg)
    # Ledgers that nobody has looked at yet begin here, so that the nights on the way are theirs.
    await nights.begin_schedule(session, clock, tenant=tenant)
    await due_work.ring(session, tenant_id, "walk")
    return await walk_of(session, tenant_id=tenant_id, walk_id=walk_id)


async def walk_of(session: ReadSession, *, tenant_id: TenantId, walk_id: UUID) -> asyncpg.Record:
    """Return one walk; raise `NotFound`."""
    row = await session.row("select * from test_clock_walk where tenant_id = $1 and walk_id = $2", tenant_id, walk_id)
    if row is None:
        noun = "walk"
        raise NotFound(noun)
    return row


async def walks_before(session: ReadSession, *, tenant_id: TenantId, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return walks, the newest first."""
    return await session.rows(
        "select * from test_clock_walk where tenant_id = $1 and ($2::uuid is null or walk_id < $2) order by walk_id desc limit $3",
        tenant_id,
        before,
        limit,
    )


async def lease_walk(session: Session, *, tenant_id: TenantId, lease_seconds: float) -> asyncpg.Record | None:
    """Lease the walk to go on with; None: there is none, or a living worker walks it."""
    return await session.row(
        """update test_clock_walk set state = 'walking', lease_token = lease_token + 1, lease_until = clock_timestamp() + make_interval(secs => $2)
            where tenant_id = $1 and state in ('queued', 'walking') and (lease_until is null or lease_until < clock_timestamp()) returning *""",
        tenant_id,
        lease_seconds,
    )


async def keep_lease(session: Session, *, tenant_id: TenantId, walk: asyncpg.Record, lease_seconds: float) -> bool:
    """Show a sign of life; False when another worker has taken the walk over."""
    return bool(
        await session.execute(
            """update test_clock_walk set lease_until = clock_timestamp() + make_interval(secs => $4)
                where tenant_id = $1 and walk_id = $2 and lease_token = $3 and state = 'walking'""",
            tenant_id,
            walk["walk_id"],
            walk["lease_token"],
            lease_seconds,
        )
    )


async def lease_end(session: ReadSession, *, tenant_id: TenantId) -> dt.datetime | None:
    """Return when the lease of the open walk ends; None: there is none."""
    at: dt.datetime | None = await session.value(
        "select coalesce(lease_until, clock_timestamp()) from test_clock_walk where tenant_id = $1 and state in ('queued', 'walking')", tenant_id
    )
    return at


async def next_stop(session: ReadSession, clock: Clock, *, tenant_id: TenantId, until: dt.datetime) -> Stop | None:
    """Return the next instant, up to one, at which a night begins or a message may leave; None: nothing more happens on the way."""
    ahead = [nights.next_night(ledger, clock.now()) for ledger in await ledger_store.ledgers_after(session, tenant_id, None, nights.LEDGERS_MAX, None)]
    moving = await session.value(
        """select least(min(not_before) filter (where not_before > $2), min(valid_until) filter (where valid_until > $2)) from message
            where tenant_id = $1 and state in ('ready', 'retry_wait')""",
        tenant_id, clock.now(),
    )  # fmt: skip
    instants = [night.due_at for night in ahead] + ([] if moving is None else [moving])
    at = min(instants, default=None)
    if at is None or at > until:
        return None
    return Stop(at, tuple(night for night in ahead if night.due_at == at))


async def is_under_way(session: ReadSession, *, tenant_id: TenantId) -> bool:
    """Tell whether somebody works on what the tenant's present still brings: an import, a run, or a message that is being sent."""
    return bool(
        await session.value(
            """select exists (select 1 from run where tenant_id = $1 and state in ('queued', 'planning', 'committing'))
                   or exists (select 1 from import where tenant_id = $1 and state in ('received', 'staged', 'applying'))
                   or exists (select 1 from message where tenant_id = $1 and state in ('leased', 'committing'))""",
            tenant_id,
        )
    )


async def step_to(session: Session, *, tenant_id: TenantId, walk_id: UUID, stop: Stop) -> None:
    """Move the clock to a stop and note its nights in the walk."""
    await tenancy.set_test_clock(session, tenant_id=tenant_id, at=stop.at)
    noted = [{"ledger_id": str(night.ledger.ledger_id), "local_date": night.local_day.isoformat(), "at": stop.at.isoformat()} for night in stop.nights]
    if noted:
        await session.execute("update test_clock_walk set nights = nights || $3 where tenant_id = $1 and walk_id = $2", tenant_id, walk_id, noted)


async def reach_target(session: Session, *, tenant_id: TenantId, to: dt.datetime) -> None:
    """Move the clock to where the walk goes, unless it stands there already."""
    tenant = await tenancy.tenant_of(session, tenant_id)
    if tenant.clock_at is not None and tenant.clock_at < to:
        await tenancy.set_test_clock(session, tenant_id=tenant_id, at=to)


async def finish(session: Session, *, tenant_id: TenantId, walk_id: UUID) -> None:
    """End a walk that has come to its target."""
    await session.execute(
        "update test_clock_walk set state = 'done', finished_at = clock_timestamp() where tenant_id = $1 and walk_id = $2 and state = 'walking'",
        tenant_id,
        walk_id,
    )


async def fail(session: Session, *, tenant_id: TenantId, walk_id: UUID, error: Exception) -> None:
    """End a walk that cannot go on; the clock stays where it came to."""
    await session.execute(
        """update test_clock_walk set state = 'failed', error = $3, finished_at = clock_timestamp()
            where tenant_id = $1 and walk_id = $2 and state = 'walking'""",
        tenant_id,
        walk_id,
        f"{type(error).__name__}: {error}"[:300],
    )
