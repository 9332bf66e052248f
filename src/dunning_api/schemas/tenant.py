"""Shapes of the tenant and its keys."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field

from dunning.kit.clock import Clock
from dunning.tenancy.service import Key, Tenant, Unsent
from dunning_api.schemas.base import Input, Language, LongText, Output, Text


class TenantOut(Output):
    """The caller's tenant."""

    tenant_id: UUID
    name: str
    mode: str
    sending_enabled: bool
    may_send: bool
    stopped_at: dt.datetime | None
    stopped_because: str | None
    internal_domains: list[str]
    languages: list[str]
    now: dt.datetime

    @classmethod
    def of(cls, tenant: Tenant, clock: Clock) -> TenantOut:
        """Show a tenant."""
        return cls(
            tenant_id=tenant.tenant_id,
            name=tenant.name,
            mode=tenant.mode,
            sending_enabled=tenant.sending_enabled,
            may_send=tenant.may_send,
            stopped_at=tenant.stopped_at,
            stopped_because=tenant.stopped_because,
            internal_domains=list(tenant.internal_domains),
            languages=list(tenant.languages),
            now=clock.now(),
        )


class TenantUpdate(Input):
    """What may be changed; fields left out stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Acme Group", "internal_domains": ["acme.example"], "languages": ["en", "it"]}]})

    name: Text | None = None
    internal_domains: Annotated[list[Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,253}$")]], Field(max_length=50)] | None = None
    languages: Annotated[list[Language], Field(min_length=1, max_length=4)] | None = None


class SendingSwitch(Input):
    """On or off."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": True}]})

    enabled: bool


class EmergencyStop(Input):
    """Why everything stops."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Wrong price list went out with the last import."}]})

    reason: LongText


class StopOut(Output):
    """What the stop found."""

    stopped_at: dt.datetime
    stopped_because: str
    messages_not_sent: int
    last_accepted_at: dt.datetime | None
    last_accepted_message_id: UUID | None

    @classmethod
    def of(cls, tenant: Tenant, unsent: Unsent) -> StopOut:
        """Show a stop."""
        if tenant.stopped_at is None or tenant.stopped_because is None:
            msg = "the tenant is not stopped"
            raise ValueError(msg)
        return cls(
            stopped_at=tenant.stopped_at,
            stopped_because=tenant.stopped_because,
            messages_not_sent=unsent.messages,
            last_accepted_at=unsent.last_accepted_at,
            last_accepted_message_id=unsent.last_accepted_message_id,
        )


class KeyCreate(Input):
    """A new key."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "erp nightly push", "scopes": ["read", "ledger:write", "receipts:write"], "expires_at": None}]}
    )

    name: Text
    scopes: Annotated[list[Annotated[str, Field(max_length=40)]], Field(min_length=1, max_length=20)]
    expires_at: AwareDatetime | None = None
    person_id: Annotated[UUID | None, Field(description="The person for whom the key always acts; null: the company's own software.")] = None


class KeyRotate(Input):
    """How long both keys work."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_hours": 24}]})

    overlap_hours: Annotated[int, Field(ge=0, le=720)] = 24


class KeyOut(Output):
    """A key without its secret."""

    key_id: UUID
    name: str
    scopes: list[str]
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None
    last_used_at: dt.datetime | None
    rotated_from: UUID | None
    person_id: UUID | None

    @classmethod
    def of(cls, key: Key) -> KeyOut:
        """Show a key."""
        return cls(
            key_id=key.key_id,
            name=key.name,
            scopes=list(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
            rotated_from=key.rotated_from,
            person_id=key.person_id,
        )


class KeyCreated(KeyOut):
    """A new key with its text, shown this once."""

    api_key: str

    @classmethod
    def made(cls, key: Key, text: str) -> KeyCreated:
        """Show a new key."""
        return cls(**KeyOut.of(key).model_dump(), api_key=text)
