"""The caller's tenant: settings, sending, emergency stop, API keys."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from dunning.kit.ids import KeyId, PersonId
from dunning.tenancy import service as tenancy
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.tenant import (
    EmergencyStop,
    KeyCreate,
    KeyCreated,
    KeyOut,
    KeyRotate,
    SendingSwitch,
    StopOut,
    TenantOut,
    TenantUpdate,
)

router = Router(tags=["tenant"])


@router.get("/tenant", summary="Who am I", responses=problems())
async def get_tenant(work: Annotated[Work, reads()]) -> TenantOut:
    """Return the caller's tenant, whether it may send, and the present of its clock."""
    return TenantOut.of(await tenancy.tenant_of(work.session, work.tenant_id), work.clock)


@router.patch("/tenant", summary="Change the tenant's settings", responses=problems())
async def update_tenant(body: TenantUpdate, work: Annotated[Work, writes("admin")]) -> TenantOut:
    """Change name, own mail domains or languages. What is left out stays."""
    tenant = await tenancy.update_tenant(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        name=body.name,
        internal_domains=body.internal_domains,
        languages=body.languages,
    )
    return TenantOut.of(tenant, work.clock)


@router.put("/tenant/sending", summary="Switch sending on or off", responses=problems())
async def switch_sending(body: SendingSwitch, work: Annotated[Work, writes("send")]) -> TenantOut:
    """Switch all sending of the tenant. A new tenant is off. Off: runs make proposals only and queued messages are cancelled at their fence. On releases nothing that was decided before."""
    work.require_whole_sight()
    tenant = await tenancy.switch_sending(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, enabled=body.enabled)
    return TenantOut.of(tenant, work.clock)


@router.post("/tenant/emergency-stop", summary="Stop everything that would leave", responses=problems())
async def emergency_stop(body: EmergencyStop, work: Annotated[Work, writes("send")]) -> StopOut:
    """Stop all sends of the tenant. When the answer arrives, no message passes its fence any more. The answer counts what was not sent and names the last that left. `PUT /tenant/sending` lifts it."""
    tenant = await tenancy.emergency_stop(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, reason=body.reason)
    return StopOut.of(tenant, await tenancy.unsent(work.session, tenant_id=work.tenant_id))


@router.get("/api-keys", summary="List API keys", responses=problems())
async def list_keys(work: Annotated[Work, reads("admin")], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[KeyOut]:
    """List keys without their secrets, oldest first."""
    after = paging.unseal(work.keyring, "api_keys", cursor, 1)
    keys = await tenancy.keys_after(work.session, tenant_id=work.tenant_id, after=UUID(after[0]) if after else None, limit=limit + 1)
    more = paging.seal(work.keyring, "api_keys", keys[limit - 1].key_id) if len(keys) > limit else None
    return Page(data=[KeyOut.of(key) for key in keys[:limit]], next_cursor=more)


@router.post("/api-keys", status_code=201, summary="Create an API key", responses=problems(404, 409))
async def create_key(body: KeyCreate, work: Annotated[Work, writes("admin")]) -> KeyCreated:
    """Create a key. Its text is in this answer only; it is stored hashed. One with `person_id` acts for that person: with their rights, sight and name."""
    key, text = await tenancy.create_key(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        name=body.name,
        scopes=body.scopes,
        expires_at=body.expires_at,
        person_id=None if body.person_id is None else PersonId(body.person_id),
    )
    return KeyCreated.made(key, text)


@router.post("/api-keys/{key_id}/rotate", status_code=201, summary="Rotate an API key", responses=problems(404, 409))
async def rotate_key(key_id: UUID, body: KeyRotate, work: Annotated[Work, writes("admin")]) -> KeyCreated:
    """Create a successor with the same scopes. The old key goes on working for the overlap, then expires."""
    key, text = await tenancy.rotate_key(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, key_id=KeyId(key_id), overlap_hours=body.overlap_hours
    )
    return KeyCreated.made(key, text)


@router.delete("/api-keys/{key_id}", summary="Revoke an API key", responses=problems(404))
async def revoke_key(key_id: UUID, work: Annotated[Work, writes("admin")]) -> KeyOut:
    """Revoke a key; it stops working within a second. Revoking again changes nothing."""
    return KeyOut.of(await tenancy.revoke_key(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, key_id=KeyId(key_id)))
