"""Tenants and their keys: who calls, by which clock, and whether anything may be sent."""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.events import due_work
from dunning.events import service as events
from dunning.kit.clock import Clock, FixedClock, SystemClock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import KeyId, PersonId, TenantId, new_id
from dunning.kit.signing import sha256
from dunning.tenancy import people, store
from dunning.tenancy.rules import SCOPES, KeyText, Mode, compose_key

LANGUAGES = ("en", "es", "it", "fr")


@dataclass(frozen=True, slots=True)
class Tenant:
    """One company that uses the service."""

    tenant_id: TenantId
    name: str
    mode: Mode
    sending_enabled: bool
    stopped_at: dt.datetime | None
    stopped_because: str | None
    clock_at: dt.datetime | None
    internal_domains: tuple[str, ...]
    languages: tuple[str, ...]

    @property
    def may_send(self) -> bool:
        """Whether sending is switched on and no emergency stop is in force."""
        return self.sending_enabled and self.stopped_at is None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as it is stored: without its secret."""

    key_id: KeyId
    name: str
    scopes: tuple[str, ...]
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None
    last_used_at: dt.datetime | None
    rotated_from: KeyId | None
    person_id: PersonId | None


@dataclass(frozen=True, slots=True)
class Unsent:
    """What a stop found: messages that wait, and the last one that left."""

    messages: int
    last_accepted_at: dt.datetime | None
    last_accepted_message_id: UUID | None


class NoTestClock(Conflict):
    """The clock of a live tenant cannot be set."""

    code = "no_test_clock"


def _tenant(row: asyncpg.Record) -> Tenant:
    return Tenant(
        tenant_id=TenantId(row["tenant_id"]),
        name=row["name"],
        mode=row["mode"],
        sending_enabled=row["sending_enabled"],
        stopped_at=row["stopped_at"],
        stopped_because=row["stopped_because"],
        clock_at=row["clock_at"],
        internal_domains=tuple(row["internal_domains"]),
        languages=tuple(row["languages"]),
    )


def _key(row: asyncpg.Record, name: str | None = None) -> Key:
    return Key(
        key_id=KeyId(row["key_id"]),
        name=row["name"] if name is None else name,
        scopes=tuple(row["scopes"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
        rotated_from=row["rotated_from"],
        person_id=row["person_id"],
    )


def clock_of(tenant: Tenant) -> Clock:
    """Return the clock of a tenant: its own in test mode, else the system's."""
    return SystemClock() if tenant.clock_at is None else FixedClock(tenant.clock_at)


async def create_tenant(
    session: Session, *, tenant_id: TenantId, name: str, mode: Mode, clock_at: dt.datetime | None = None, languages: Sequence[str] = ("en",)
) -> Tenant:
    """Create a tenant inside a transaction that already names it. Sending is off; a test tenant's clock stands at `clock_at` or at the present."""
    unknown = sorted(set(languages) - set(LANGUAGES))
    if unknown or not languages:
        msg = f"languages {', '.join(unknown) or '(none)'}: expected some of {', '.join(LANGUAGES)}"
        raise Malformed(msg)
    if mode == "live" and clock_at is not None:
        msg = "Only a test-mode tenant has a clock that can be set."
        raise NoTestClock(msg)
    at = clock_at or SystemClock().now()
    await store.insert_tenant(session, tenant_id, name, mode, at if mode == "test" else None, list(languages))
    return await tenant_of(session, tenant_id)


async def tenant_of(session: ReadSession, tenant_id: TenantId) -> Tenant:
    """Return the tenant of this transaction; raise `NotFound` when it does not exist."""
    row = await store.tenant_row(session, tenant_id)
    if row is None:
        noun = "tenant"
        raise NotFound(noun)
    return _tenant(row)


async def update_tenant(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    name: str | None,
    internal_domains: Sequence[str] | None,
    languages: Sequence[str] | None,
) -> Tenant:
    """Change the name, the company's own mail domains or the languages it writes in; None leaves a value."""
    if languages is not None and (not languages or set(languages) - set(LANGUAGES)):
        msg = f"languages: expected one or more of {', '.join(LANGUAGES)}"
        raise Malformed(msg)
    await store.update_tenant(
        session, tenant_id, name, None if internal_domains is None else list(internal_domains), None if languages is None else list(languages)
    )
    await events.record(session, clock, tenant_id=tenant_id, kind="tenant.changed", subject_kind="tenant", subject_id=tenant_id, actor=actor)
    return await tenant_of(session, tenant_id)


async def switch_sending(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, enabled: bool) -> Tenant:
    """Switch sending on or off. Off makes every run a proposal; on releases nothing that was decided before and lifts an emergency stop.

    Where it stands so already, nothing happens: what is queued stays queued.
    """
    await sending_lock_exclusive(session, tenant_id)
    if await store.set_sending(session, tenant_id, enabled):
        await due_work.ring(session, tenant_id, "dispatch")
        await events.record(
            session, clock, tenant_id=tenant_id, kind="sending.switched", subject_kind="tenant", subject_id=tenant_id, actor=actor, data={"enabled": enabled}
        )
    return await tenant_of(session, tenant_id)


async def emergency_stop(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, reason: str) -> Tenant:
    """Stop all sending at once. When this commits, no message passes its fence any more; calling it again keeps the first stop."""
    await sending_lock_exclusive(session, tenant_id)
    if await store.stop(session, tenant_id, actor, reason):
        await due_work.ring(session, tenant_id, "dispatch")
        await events.record(
            session, clock, tenant_id=tenant_id, kind="tenant.stopped", subject_kind="tenant", subject_id=tenant_id, actor=actor, data={"reason": reason}
        )
    return await tenant_of(session, tenant_id)


async def unsent(session: ReadSession, *, tenant_id: TenantId) -> Unsent:
    """Count what a stop keeps from leaving and find the last message that left."""
    row = await store.unsent_row(session, tenant_id)
    return Unsent(row["messages"], row["last_accepted_at"], row["last_accepted_message_id"])


async def sending_lock_exclusive(session: Session, tenant_id: TenantId) -> None:
    """Wait for fences that are being passed and keep new ones out until this transaction ends."""
    await session.execute("select pg_advisory_xact_lock(hashtextextended('dunning.sending.' || $1::text, 0))", str(tenant_id))


async def sending_lock_shared(session: Session, tenant_id: TenantId, *, lock_timeout: str = "0") -> None:
    """Taken inside a fence before the tenant's switch is read, so that a stop that has answered is a stop that holds.

    `lock_timeout` is set for the whole transaction in the same statement; `0` waits without end.
    """
    await session.execute(
        "select set_config('lock_timeout', $2, true), pg_advisory_xact_lock_shared(hashtextextended('dunning.sending.' || $1::text, 0))",
        str(tenant_id),
        lock_timeout,
    )


async def set_test_clock(session: Session, *, tenant_id: TenantId, at: dt.datetime) -> None:
    """Move a test tenant's clock forward; raise `NoTestClock` for a live tenant or an instant in its past."""
    if not await store.move_clock(session, tenant_id, at):
        msg = "The clock is set only in test mode, and only forward."
        raise NoTestClock(msg)


async def create_key(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    name: str,
    scopes: Sequence[str],
    expires_at: dt.datetime | None = None,
    rotated_from: KeyId | None = None,
    person_id: PersonId | None = None,
) -> tuple[Key, str]:
    """Create an API key and return it with its text, which is shown this once and never again.

    A key made for a person acts for that one always, within what its own scopes and the person's role allow. Raises `Malformed`, `NotFound`, and
    `Conflict` for a person who left.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        msg = f"scopes {', '.join(unknown) or '(none)'}: expected some of {', '.join(SCOPES)}"
        raise Malformed(msg)
    if person_id is not None:
        await people.active_ones(session, tenant_id=tenant_id, person_ids={person_id})
    tenant = await tenant_of(session, tenant_id)
    key_id = KeyId(new_id())
    text, secret = compose_key(tenant.mode, tenant_id, key_id)
    await store.insert_key(session, tenant_id, key_id, name, sha256(secret), sorted(set(scopes)), expires_at, rotated_from, person_id)
    await events.record(
        session,
        clock,
        tenant_id=tenant_id,
        kind="api_key.created",
        subject_kind="api_key",
        subject_id=key_id,
        actor=actor,
        data={"scopes": sorted(set(scopes)), "person_id": None if person_id is None else str(person_id)},
    )
    return await key_of(session, tenant_id=tenant_id, key_id=key_id), text


async def rotate_key(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, key_id: KeyId, overlap_hours: int) -> tuple[Key, str]:
    """Create a successor with the same name and scopes; the old key lives on for the overlap, so that callers can change without a gap."""
    old = await key_of(session, tenant_id=tenant_id, key_id=key_id)
    if old.revoked_at is not None:
        msg = "This key is revoked; create a new one instead of rotating it."
        raise Conflict(msg)
    made = await create_key(session, clock, tenant_id=tenant_id, actor=actor, name=old.name, scopes=old.scopes, rotated_from=key_id, person_id=old.person_id)
    await store.expire_key(session, tenant_id, key_id, overlap_hours)
    return made


async def revoke_key(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, key_id: KeyId) -> Key:
    """Revoke a key; it stops working within a second. Revoking again changes nothing."""
    await key_of(session, tenant_id=tenant_id, key_id=key_id)
    if await store.revoke_key(session, tenant_id, key_id):
        await events.record(session, clock, tenant_id=tenant_id, kind="api_key.revoked", subject_kind="api_key", subject_id=key_id, actor=actor)
    return await key_of(session, tenant_id=tenant_id, key_id=key_id)


async def key_of(session: ReadSession, *, tenant_id: TenantId, key_id: KeyId) -> Key:
    """Return one key; raise `NotFound`."""
    row = await store.key_row(session, tenant_id, key_id)
    if row is None:
        noun = "API key"
        raise NotFound(noun)
    return _key(row)


async def keys_after(session: ReadSession, *, tenant_id: TenantId, after: UUID | None, limit: int) -> list[Key]:
    """Return keys in the order of their creation."""
    return [_key(row) for row in await store.key_rows(session, tenant_id, after, limit)]


async def authenticate(session: ReadSession, presented: KeyText) -> tuple[Tenant, Key] | None:
    """Return tenant and key for a presented key, or None when it is unknown, wrong, expired or revoked.

    Expiry is technical time: a settable clock must not bring a dead key back.
    """
    row = await store.key_with_tenant(session, presented.tenant_id, presented.key_id)
    if row is None or not hmac.compare_digest(row["secret_sha256"], sha256(presented.secret)) or not row["usable"] or row["mode"] != presented.mode:
        return None
    return _tenant(row), _key(row, row["key_name"])
