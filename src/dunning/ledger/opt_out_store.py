"""Statements about opt-outs: addresses of a customer that want no notices before the due date."""

from __future__ import annotations

import datetime as dt

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, MessageId, TenantId


async def insert_opt_out(
    session: Session, tenant_id: TenantId, customer_id: CustomerId, address_sha256: bytes, *, message_id: MessageId | None, recorded_by: str, at: dt.datetime
) -> bool:
    """Record an opt-out; False when the address has opted out before, which keeps its first day."""
    return bool(
        await session.execute(
            """insert into opt_out (tenant_id, customer_id, address_sha256, message_id, recorded_by, opted_out_at) values ($1, $2, $3, $4, $5, $6)
               on conflict (tenant_id, customer_id, address_sha256) do nothing""",
            tenant_id,
            customer_id,
            address_sha256,
            message_id,
            recorded_by,
            at,
        )
    )


async def delete_opt_out(session: Session, tenant_id: TenantId, customer_id: CustomerId, address_sha256: bytes) -> bool:
    """Take an opt-out back; False when there was none."""
    return bool(
        await session.execute("delete from opt_out where tenant_id = $1 and customer_id = $2 and address_sha256 = $3", tenant_id, customer_id, address_sha256)
    )


async def opt_outs_of(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> list[asyncpg.Record]:
    """Return the opt-outs of a customer, the first one first."""
    return await session.rows(
        """select address_sha256, message_id, recorded_by, opted_out_at from opt_out
            where tenant_id = $1 and customer_id = $2 order by opted_out_at, address_sha256""",
        tenant_id,
        customer_id,
    )
