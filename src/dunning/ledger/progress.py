"""Where reminding stood before go-live, as stated for whole customers: what their items begin with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from dunning.kit.database import ReadSession
from dunning.kit.ids import CustomerId, LedgerId, TenantId


@dataclass(frozen=True, slots=True)
class Progress:
    """A customer and the step it had reached, where that was stated."""

    customer_id: CustomerId
    step_reached: str | None
    last_reminded_on: dt.date | None


async def progress_of_customers(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, external_ids: Sequence[str]) -> dict[str, Progress]:
    """Return the customers with these external ids and their stated progress."""
    rows = await session.rows(
        """select external_id, customer_id, step_reached, last_reminded_on from customer
            where tenant_id = $1 and ledger_id = $2 and external_id = any ($3::text[])""",
        tenant_id,
        ledger_id,
        external_ids,
    )
    return {row["external_id"]: Progress(row["customer_id"], row["step_reached"], row["last_reminded_on"]) for row in rows}
