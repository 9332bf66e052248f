"""Words for what people agree on, spoken to the API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tests.collection.stage import Stage


def eur(amount: str) -> dict[str, str]:
    """Return an amount of euros."""
    return {"amount": amount, "currency": "EUR"}


async def dispute(stage: Stage, *items: UUID, status: int = 201, **content: Any) -> dict[str, Any]:
    """Open a dispute on items."""
    return dict(await stage.post("/disputes", {"item_ids": [str(i) for i in items], "reason": "price", **content}, status=status))


async def promise(stage: Stage, customer: UUID, amount: str, *items: UUID, days: int = 5, status: int = 201, **content: Any) -> dict[str, Any]:
    """Record a promise for a day some days from now."""
    body = {
        "customer_id": str(customer), "amount": eur(amount), "promised_on": ((await stage.today()) + dt.timedelta(days=days)).isoformat(),
        "item_ids": [str(i) for i in items] or None,
    }  # fmt: skip
    return dict(await stage.post("/promises", body | content, status=status))


async def plan(stage: Stage, customer: UUID, *, status: int = 201, **content: Any) -> dict[str, Any]:
    """Agree on a payment plan."""
    return dict(await stage.post("/payment-plans", {"customer_id": str(customer), **content}, status=status))


async def statuses(stage: Stage, items: Sequence[UUID]) -> list[str | None]:
    """Return the statuses of items."""
    return [(await stage.get(f"/items/{item}"))["status_code"] for item in items]


async def action(stage: Stage, action_id: str) -> dict[str, Any]:
    """Return the row of an action."""
    (row,) = await stage.tenant.rows("select * from action where tenant_id = $1 and action_id = $2", stage.tenant_id, UUID(action_id))
    return dict(row)


async def told(stage: Stage, *kinds: str) -> list[dict[str, Any]]:
    """Return events of some kinds in the order in which they were recorded."""
    rows = await stage.tenant.rows(
        "select kind, subject_id, data from event where tenant_id = $1 and kind = any ($2::text[]) order by event_id", stage.tenant_id, list(kinds)
    )
    return [dict(row) for row in rows]


async def sound(stage: Stage) -> None:
    """Every invariant holds."""
    answer = await stage.get("/health/invariants")
    assert answer["sound"], answer["violations"]
