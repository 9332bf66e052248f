"""Where work across tenants is found: rows that say "this tenant has work of this kind from this moment on", and nothing else.

Writers only ever insert, in the transaction that makes the work, so that they never wait for one another. A worker takes what is due,
deletes it in the transaction in which it looks at the tenant's real rows, and inserts one row for what remains.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from dunning.kit.database import Session
from dunning.kit.ids import TenantId

Kind = Literal["import", "run", "dispatch", "schedule", "sequence", "walk", "watch", "action"]


async def ring(session: Session, tenant_id: TenantId, kind: Kind, due_at: dt.datetime | None = None) -> None:
    """Say that a tenant has work of a kind, now or from an instant on. A second call in one transaction for "now" adds nothing."""
    if due_at is None and not is_news(session, kind):
        return
    await session.execute("insert into due_work (tenant_id, kind, due_at) values ($1, $2, coalesce($3, now()))", tenant_id, kind, due_at)


def is_news(session: Session, kind: Kind) -> bool:
    """Note that a kind of work is rung for "now" in this transaction; False when it was before. Who gets True inserts the row."""
    if kind in session.rung:
        return False
    session.rung.add(kind)
    return True


async def tenants_due(session: Session, kind: Kind, limit: int = 100) -> list[TenantId]:
    """Return tenants that have work of a kind, the longest waiting first."""
    rows = await session.rows(
        "select tenant_id from due_work where kind = $1 and due_at <= now() group by tenant_id order by min(due_at) limit $2", kind, limit
    )
    return [TenantId(row["tenant_id"]) for row in rows]


async def take(session: Session, tenant_id: TenantId, kind: Kind) -> int:
    """Delete what is due for one tenant and return how many rows there were.

    Call it first in the transaction that looks at the tenant's rows: what is inserted later stays, and a crash brings everything back.
    Rows that another worker is taking are left to it.
    """
    return await session.execute(
        "delete from due_work where due_work_id in (select due_work_id from due_work"
        " where kind = $1 and tenant_id = $2 and due_at <= now() for update skip locked)",
        kind,
        tenant_id,
    )


async def oldest_seconds(session: Session) -> dict[str, float]:
    """Return, a kind, for how many seconds its oldest due row has been waiting: the queue's lag as a metric."""
    rows = await session.rows("select kind, extract(epoch from now() - min(due_at))::float8 as seconds from due_work where due_at <= now() group by kind")
    return {row["kind"]: row["seconds"] for row in rows}
