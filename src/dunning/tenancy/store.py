"""Statements on tenants and API keys."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import KeyId, PersonId, TenantId

_TENANT = "tenant_id, name, mode, sending_enabled, stopped_at, stopped_because, clock_at, internal_domains, languages"
_KEY = "key_id, name, scopes, created_at, expires_at, revoked_at, last_used_at, rotated_from, person_id"


async def insert_tenant(session: Session, tenant_id: TenantId, name: str, mode: str, clock_at: dt.datetime | None, languages: list[str]) -> None:
    """Insert a tenant."""
    await session.execute(
        "insert into tenant (tenant_id, name, mode, clock_at, languages) values ($1, $2, $3, $4, $5)", tenant_id, name, mode, clock_at, languages
    )


async def tenant_row(session: ReadSession, tenant_id: TenantId) -> asyncpg.Record | None:
    """Return a tenant."""
    return await session.row(f"select {_TENANT} from tenant where tenant_id = $1", tenant_id)


async def update_tenant(session: Session, tenant_id: TenantId, name: str | None, domains: list[str] | None, languages: list[str] | None) -> None:
    """Change what is given."""
    await session.execute(
        """update tenant set name = coalesce($2, name), internal_domains = coalesce($3, internal_domains), languages = coalesce($4, languages)
            where tenant_id = $1""",
        tenant_id,
        name,
        domains,
        languages,
    )


async def set_sending(session: Session, tenant_id: TenantId, enabled: bool) -> bool:  # the one value it stores
    """Store the switch, on lifting a stop; tell whether that changed anything."""
    changed = await session.value(
        """update tenant set sending_enabled = $2, sending_changed_at = now(),
                  stopped_at = case when $2 then null else stopped_at end, stopped_by = case when $2 then null else stopped_by end,
                  stopped_because = case when $2 then null else stopped_because end
            where tenant_id = $1 and (sending_enabled <> $2 or ($2 and stopped_at is not null)) returning true""",
        tenant_id,
        enabled,
    )
    return bool(changed)


async def stop(session: Session, tenant_id: TenantId, actor: str, reason: str) -> bool:
    """Store an emergency stop unless one is in force; tell whether none was."""
    changed = await session.value(
        "update tenant set stopped_at = now(), stopped_by = $2, stopped_because = $3 where tenant_id = $1 and stopped_at is null returning true",
        tenant_id,
        actor,
        reason,
    )
    return bool(changed)


async def unsent_row(session: ReadSession, tenant_id: TenantId) -> asyncpg.Record:
    """Return how many messages have not passed their fence, and the last one that was accepted."""
    row = await session.row(
        """select (select count(*) from message where tenant_id = $1 and state in ('ready', 'retry_wait', 'leased')) as messages,
                  l.accepted_at as last_accepted_at, l.message_id as last_accepted_message_id
             from (select 1) one
             left join lateral (select accepted_at, message_id from message where tenant_id = $1 and accepted_at is not null
                                 order by accepted_at desc, message_id desc limit 1) l on true""",
        tenant_id,
    )
    assert row is not None, "a select without from always has a row"  # noqa: S101  # tells the type checker
    return row


async def move_clock(session: Session, tenant_id: TenantId, at: dt.datetime) -> bool:
    """Move a test clock forward; False when there is none or it would go back."""
    return bool(await session.execute("update tenant set clock_at = $2 where tenant_id = $1 and mode = 'test' and clock_at <= $2", tenant_id, at))


async def insert_key(
    session: Session,
    tenant_id: TenantId,
    key_id: KeyId,
    name: str,
    secret_sha256: bytes,
    scopes: list[str],
    expires_at: dt.datetime | None,
    rotated_from: KeyId | None,
    person_id: PersonId | None,
) -> None:
    """Insert an API key."""
    await session.execute(
        "insert into api_key (tenant_id, key_id, name, secret_sha256, scopes, expires_at, rotated_from, person_id) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        tenant_id,
        key_id,
        name,
        secret_sha256,
        scopes,
        expires_at,
        rotated_from,
        person_id,
    )


async def expire_key(session: Session, tenant_id: TenantId, key_id: KeyId, hours: int) -> None:
    """Let a key expire after some hours, unless it does sooner."""
    await session.execute(
        "update api_key set expires_at = least(expires_at, now() + make_interval(hours => $3)) where tenant_id = $1 and key_id = $2", tenant_id, key_id, hours
    )


async def revoke_key(session: Session, tenant_id: TenantId, key_id: KeyId) -> int:
    """Revoke a key that is not."""
    return await session.execute("update api_key set revoked_at = now() where tenant_id = $1 and key_id = $2 and revoked_at is null", tenant_id, key_id)


async def key_row(session: ReadSession, tenant_id: TenantId, key_id: KeyId) -> asyncpg.Record | None:
    """Return a key."""
    return await session.row(f"select {_KEY} from api_key where tenant_id = $1 and key_id = $2", tenant_id, key_id)


async def key_rows(session: ReadSession, tenant_id: TenantId, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return keys by id."""
    return await session.rows(
        f"select {_KEY} from api_key where tenant_id = $1 and ($2::uuid is null or key_id > $2) order by key_id limit $3", tenant_id, after, limit
    )


async def key_with_tenant(session: ReadSession, tenant_id: TenantId, key_id: KeyId) -> asyncpg.Record | None:
    """Return a key with its tenant, and whether it is usable now."""
    return await session.row(
        """select t.tenant_id, t.name, t.mode, t.sending_enabled, t.stopped_at, t.stopped_because, t.clock_at, t.internal_domains, t.languages,
                  k.key_id, k.name as key_name, k.secret_sha256, k.scopes, k.created_at, k.expires_at, k.revoked_at, k.last_used_at, k.rotated_from, k.person_id,
                  k.revoked_at is null and (k.expires_at is null or k.expires_at > now()) as usable
             from api_key k join tenant t on t.tenant_id = k.tenant_id
            where k.tenant_id = $1 and k.key_id = $2""",
        tenant_id,
        key_id,
    )


async def note_use(session: Session, tenant_id: TenantId, key_id: KeyId) -> None:
    """Store that a key was used, at most once an hour."""
    await session.execute(
        """update api_key set last_used_at = now()
            where tenant_id = $1 and key_id = $2 and (last_used_at is null or last_used_at < now() - interval '1 hour')""",
        tenant_id,
        key_id,
    )
