"""Tenants and their first keys, made where the database is: there is no way to make a tenant over the network."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from dunning.kit.database import Database
from dunning.kit.ids import TenantId, new_id
from dunning.tenancy import service as tenancy
from dunning.tenancy.rules import SCOPES, Mode


async def create_tenant(database_url: str, *, name: str, mode: Mode, languages: Sequence[str], clock_at: dt.datetime | None = None) -> tuple[TenantId, str]:
    """Create a tenant with sending off and return its id and an admin key with all scopes, shown this once."""
    database = await Database.connect(database_url, size=2)
    try:
        tenant_id = TenantId(new_id())
        async with database.transaction(tenant_id) as session:
            tenant = await tenancy.create_tenant(session, tenant_id=tenant_id, name=name, mode=mode, clock_at=clock_at, languages=languages)
            clock = tenancy.clock_of(tenant)
            _, text = await tenancy.create_key(session, clock, tenant_id=tenant_id, actor="command line", name="administrator", scopes=list(SCOPES))
        return tenant_id, text
    finally:
        await database.close()


async def create_key(database_url: str, *, tenant_id: TenantId, name: str, scopes: Sequence[str]) -> str:
    """Create a key of an existing tenant and return its text."""
    database = await Database.connect(database_url, size=2)
    try:
        async with database.transaction(tenant_id) as session:
            clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
            _, text = await tenancy.create_key(session, clock, tenant_id=tenant_id, actor="command line", name=name, scopes=list(scopes))
        return text
    finally:
        await database.close()
