"""The narrow row that every writer of facts about a customer locks first, and by which the planner knows that facts moved.

One order for all: first these rows, sorted by id, then everything else. That keeps writers from deadlocking, and it is what the fence
of a send waits for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from dunning.kit.database import Session
from dunning.kit.ids import CustomerId, LedgerId, TenantId


async def lock_customers(session: Session, tenant_id: TenantId, customer_ids: Collection[CustomerId]) -> None:
    """Lock the state rows of some customers in id order, before anything else is locked or written.

    Waits for other writers and for sends that have passed their fence. A second call in the same transaction costs one statement and changes
    nothing; a call for further customers after other locks were taken can deadlock, so name all of them at once.
    """
    if customer_ids:
        await session.execute(
            """select 1 from customer_state where tenant_id = $1 and customer_id = any ($2::uuid[])
               order by customer_id for no key update""",
            tenant_id,
            list(customer_ids),
        )


async def lock_customers_named(session: Session, tenant_id: TenantId, ledger_id: LedgerId, external_ids: Collection[str]) -> None:
    """Lock the state rows of the customers of a ledger with these external ids, in the same order; unknown ones are passed over."""
    if external_ids:
        await session.execute(
            """select 1 from customer_state where tenant_id = $1 and customer_id in (
                 select customer_id from customer where tenant_id = $1 and ledger_id = $2 and external_id = any ($3::text[]))
               order by customer_id for no key update""",
            tenant_id,
            ledger_id,
            list(external_ids),
        )


async def facts_changed(session: Session, tenant_id: TenantId, customer_ids: Collection[CustomerId], today: dt.date) -> None:
    """Raise the facts version of some customers and have them planned again today. Each call raises it once more."""
    if customer_ids:
        await session.execute(
            """update customer_state set facts_version = facts_version + 1, review_on = $3
                where tenant_id = $1 and customer_id = any ($2::uuid[])""",
            tenant_id,
            list(customer_ids),
            today,
        )


async def bump_ledger(session: Session, tenant_id: TenantId, ledger_id: LedgerId) -> None:
    """Raise the ledger's revision: something that all of its customers share changed, so all are planned again."""
    await session.execute("update ledger set revision = revision + 1 where tenant_id = $1 and ledger_id = $2", tenant_id, ledger_id)
