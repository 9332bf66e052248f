"""The narrow row that every writer of facts about a customer locks first, and by which the planner knows that facts moved.

One order for all: first these rows, sorted by id, then everything else. That keeps writers from deadlocking, and it is what the fence
of a send waits for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from dunning.kit.database import Session
from dunning.kit.ids import CustomerId, LedgerId, TenantId


async def lock_customers(session: Session, tenant_id: TenantId, customer_ids: Collection[CustomerId]) -> dict[CustomerId, int]:
    """Lock the state rows of some customers in id order, before anything else is locked or written, and return their facts versions by id.

    Waits for other writers and for sends that have passed their fence. A second call in the same transaction costs one statement and changes
    nothing; a call for further customers after other locks were taken can deadlock, so name all of them at once.
    """
    if not customer_ids:
        return {}
    rows = await session.rows(
        """select customer_id, facts_version from customer_state where tenant_id = $1 and customer_id = any ($2::uuid[])
           order by customer_id for no key update""",
        tenant_id,
        list(customer_ids),
    )
    return {CustomerId(row["customer_id"]): row["facts_version"] for row in rows}


async def lock_free_customers(session: Session, tenant_id: TenantId, customer_ids: Collection[CustomerId]) -> dict[CustomerId, int]:
    """Lock those of some customers whose state rows nobody else holds, and return their facts versions by id; it waits for nobody.

    What the caller reads in its next statement is what was committed before. A customer missing from the answer is being changed right now.
    """
    rows = await session.rows(
        """select customer_id, facts_version from customer_state where tenant_id = $1 and customer_id = any ($2::uuid[])
           order by customer_id for no key update skip locked""",
        tenant_id,
        list(customer_ids),
    )
    return {CustomerId(row["customer_id"]): row["facts_version"] for row in rows}


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
    """Raise the facts version of some customers and have them planned again today. Each call raises it once more.

    Where one of them is watched (a promise, a block or a specific action waits for its facts) the watching is rung, in the same statement:
    this stands in the transaction of every payment and every mail.
    """
    if not customer_ids:
        return
    rung = await session.execute(
        """with touched as (
             update customer_state set facts_version = facts_version + 1, review_on = $3
              where tenant_id = $1 and customer_id = any ($2::uuid[]) returning watched)
           insert into due_work (tenant_id, kind, due_at) select $1, 'watch', now() where exists (select from touched where watched)""",
        tenant_id,
        list(customer_ids),
        today,
    )
    if rung:
        session.rung.add("watch")


async def watch(session: Session, tenant_id: TenantId, customer_ids: Collection[CustomerId]) -> None:
    """Have some customers watched from their next change of facts on. A second call changes nothing."""
    if customer_ids:
        await session.execute(
            "update customer_state set watched = true where tenant_id = $1 and customer_id = any ($2::uuid[]) and not watched", tenant_id, list(customer_ids)
        )


async def bump_ledger(session: Session, tenant_id: TenantId, ledger_id: LedgerId) -> None:
    """Raise the ledger's revision: something that all of its customers share changed, so all are planned again."""
    await session.execute("update ledger set revision = revision + 1 where tenant_id = $1 and ledger_id = $2", tenant_id, ledger_id)
