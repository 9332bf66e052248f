"""Statements on the local day of ledgers."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession
from dunning.kit.ids import TenantId


async def days_of(session: ReadSession, tenant_id: TenantId, at: dt.datetime, ledger_id: UUID | None) -> list[asyncpg.Record]:
    """Return the ledgers of a tenant, or one, with their currency and their local day at an instant."""
    return await session.rows(
        """select ledger_id, currency, ($2::timestamptz at time zone time_zone)::date as today from ledger
            where tenant_id = $1 and ($3::uuid is null or ledger_id = $3) order by ledger_id""",
        tenant_id,
        at,
        ledger_id,
    )
