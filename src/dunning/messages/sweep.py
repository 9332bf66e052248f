"""What time alone moves on: leases of dead workers, messages whose validity has passed, queues that were switched off, replies that never came."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

import asyncpg

from dunning.events import due_work
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import Session
from dunning.kit.ids import TenantId
from dunning.messages import relay_store, store
from dunning.messages.dispatch import WORKER, change, own_relay, relay_of, tell
from dunning.messages.ports import Evidence, Ports
from dunning.messages.rules import COURTESY_HELD, Event, next_look
from dunning.messages.store import Change
from dunning.tenancy import service as tenancy

BATCH = 200
SOONEST_SECONDS = 1.0
"""What could not be claimed just now is looked at again no sooner."""
SUSPENDED_SECONDS = 60.0


async def sweep(session: Session, ports: Ports, *, tenant_id: TenantId, first_look_seconds: float) -> int:
    """Move on up to a batch of each kind and return how many messages moved; again until 0.

    A dead worker's message goes back to `ready` only where its fence was not passed; past the fence it becomes `uncertain`, and stays out
    of reach of every timer that would send it. Twice at once is harmless: rows being swept are passed over.
    """
    tenant = await tenancy.tenant_of(session, tenant_id)
    clock = tenancy.clock_of(tenant)
    moved = 0
    dead = await store.expired_leases(session, tenant_id, BATCH)
    before = [row for row in dead if row["state"] == "leased"]
    after = [row for row in dead if row["state"] == "committing"]
    moved += len(await change(session, clock, ports, Event.RELEASED, before, what=Change(reason="lease_expired"), own_lease=True))
    lost = Change(reason="reply_lost", retry_in_seconds=first_look_seconds)
    moved += len(await change(session, clock, ports, Event.LOST, after, what=lost, own_lease=True))
    reason = "stopped" if tenant.stopped_at is not None else "sending_off"
    switched_off = await store.queued_before_switch(session, tenant_id, BATCH)
    moved += len(await change(session, clock, ports, Event.CANCELLED, switched_off, what=Change(reason=reason)))
    expired = await store.past_validity(session, tenant_id, clock.now(), BATCH)
    moved += len(await change(session, clock, ports, Event.EXPIRED, expired, what=Change(reason="valid_until_passed")))
    return moved


async def lost_replies(session: Session, *, tenant_id: TenantId) -> list[asyncpg.Record]:
    """Return messages about which evidence is to be looked for now."""
    return await store.replies_lost(session, tenant_id, BATCH)


async def settle_lost(
    session: Session,
    ports: Ports,
    *,
    tenant_id: TenantId,
    looked: Sequence[tuple[asyncpg.Record, Evidence | None]],
    evidence_window_seconds: float,
    looks_on: bool,
) -> None:
    """Move messages by what was found about them; what is still unknown when the window is over is `held` for a person.

    `looks_on` tells whether there is any source to look into again. A courtesy that nobody has decided about for 72 hours is closed as if sent,
    which completes its step and is never proof; whatever else is held stays with the person.
    """
    tenant = await tenancy.tenant_of(session, tenant_id)
    clock = tenancy.clock_of(tenant)
    left_at = evidence_window_seconds + COURTESY_HELD
    unknown = []
    for row, evidence in looked:
        if evidence is not None:
            await _apply(session, clock, ports, row, evidence)
            continue
        age: float = row["age_seconds"]
        following = next_look(age) if looks_on else None
        given_up = row["state"] == "uncertain" and age >= evidence_window_seconds
        stays_uncertain = row["state"] == "uncertain" and not given_up
        next_ages = [at for at in (following, evidence_window_seconds if stays_uncertain else left_at) if at is not None and at > age]
        wait = min(next_ages) - age if next_ages else None
        if given_up:
            await change(session, clock, ports, Event.GIVEN_UP, [row], what=Change(reason="reply_lost", retry_in_seconds=wait))
            continue
        if row["state"] == "held" and age >= left_at:
            unknown.append(row)
        await store.look_again(session, tenant_id, [row["message_id"]], [wait])
    await _close_courtesies(session, clock, ports, unknown)


async def _close_courtesies(session: Session, clock: Clock, ports: Ports, held: Sequence[asyncpg.Record]) -> None:
    """Close those of some held messages that are courtesies, and let the collection go on as if they had been sent."""
    if not held:
        return
    tenant_id: TenantId = held[0]["tenant_id"]
    courtesies = await ports.courtesies(session, tenant_id, [row["message_id"] for row in held])
    closing = [row for row in held if row["message_id"] in courtesies]
    reason = "courtesy_held_72_hours"
    closed = await change(session, clock, ports, Event.CLOSED, closing, what=Change(reason=reason, data={"decision": "treat_as_sent", "by": "policy"}))
    await tell(session, clock, ports, closed, "closed_as_sent", reason=reason, actor=WORKER)


async def _apply(session: Session, clock: Clock, ports: Ports, row: asyncpg.Record, evidence: Evidence) -> None:
    if not evidence.sent:
        await change(session, clock, ports, Event.PROVED_UNSENT, [row], what=Change(reason=f"proof:{evidence.source}"))
        return
    zone: str = await session.value("select time_zone from ledger where tenant_id = $1 and ledger_id = $2", row["tenant_id"], row["ledger_id"])
    now = clock.now()
    proved = Change(
        reason=f"evidence:{evidence.source}",
        provider_id=evidence.provider_id,
        accepted_at=now,
        accepted_on=local_date(now, zone),
        data={"source": evidence.source},
    )
    await change(session, clock, ports, Event.EVIDENCE_FOUND, [row], what=proved)


async def plan_next_visit(session: Session, *, tenant_id: TenantId, relays: Collection[str]) -> dt.datetime | None:
    """Replace the due-work rows whose time has come by one for what remains, and return its instant; None when nothing waits for time.

    `relays` are those that the worker has; mails for another, or for a suspended one, are looked at once a minute.
    """
    await due_work.take(session, tenant_id, "dispatch")
    tenant = await tenancy.tenant_of(session, tenant_id)
    clock = tenancy.clock_of(tenant)
    at = await store.next_due_at(session, tenant_id, clock.now(), clock_runs=tenant.clock_at is None)
    if at is None:
        return None
    relay = relay_of(tenant)
    circuits = await relay_store.circuits_of(session, [relay, own_relay(relay, tenant_id)])
    rest_until = max((c["closed_until"] for c in circuits if c["resting"]), default=None)
    barred = relay not in relays or any(c["suspended"] for c in circuits)
    seconds = SUSPENDED_SECONDS if barred else SOONEST_SECONDS
    due_at: dt.datetime = await session.value("select greatest($1::timestamptz, now() + make_interval(secs => $2), $3::timestamptz)", at, seconds, rest_until)
    await due_work.ring(session, tenant_id, "dispatch", due_at)
    return due_at
