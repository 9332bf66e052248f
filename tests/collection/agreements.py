"""Words for what people agree on, spoken to the API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from dunning.kit.ids import new_id
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


async def receive(stage: Stage, amount: str, *items: UUID, on: str | None = None, on_account: bool = False, customer: str = "C1") -> str:
    """Book money that came in, dated another day than today where one is named: on account, against items, or against the oldest debts; return it."""
    named = [{"item_id": str(item), "amount": eur(amount)} for item in items]
    body = {
        "customer_external_id": customer, "amount": eur(amount), "received_on": on or (await stage.today()).isoformat(),
        "allocation": "none" if on_account else named or "oldest_first",
    }  # fmt: skip
    headers = {"Idempotency-Key": str(new_id())}
    answer = await stage.api.put(f"/v1/ledgers/{stage.ledger_id}/receipts/R{new_id().hex[-12:]}", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["receipt_id"])


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
