"""Statements about customers whose agreements are watched: promises, blocks, disputes, actions outside the scenario."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, LedgerId, TenantId


async def ledgers_watched(session: ReadSession, tenant_id: TenantId) -> list[LedgerId]:
    """Return the ledgers in which some customer is watched."""
    rows = await session.rows("select distinct ledger_id from customer_state where tenant_id = $1 and watched order by ledger_id", tenant_id)
    return [LedgerId(row["ledger_id"]) for row in rows]


async def customers_to_look_at(
    session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, today: dt.date, without: Collection[CustomerId], limit: int
) -> list[CustomerId]:
    """Return watched customers of a ledger whose facts have moved since they were looked at, and those with a promise or dispute that the day may change.

    Those in `without` are left out.
    """
    rows = await session.rows(
        """(select customer_id from customer_state
             where tenant_id = $1 and ledger_id = $2 and watched and watched_version <> facts_version
               and customer_id <> all ($5::uuid[]) order by customer_id limit $4)
           union
           (select customer_id from promise
             where tenant_id = $1 and ledger_id = $2 and state = 'open' and look_on <= $3
               and customer_id <> all ($5::uuid[]) order by look_on limit $4)
           union
           (select customer_id from dispute
             where tenant_id = $1 and ledger_id = $2 and state = 'open' and deadline_on < $3 and overdue_on is null
               and customer_id <> all ($5::uuid[]) order by deadline_on limit $4)
           order by customer_id limit $4""",
        tenant_id,
        ledger_id,
        today,
        limit,
        list(without),
    )
    return [CustomerId(row["customer_id"]) for row in rows]


async def note_looked_at(session: Session, tenant_id: TenantId, customer_ids: Sequence[CustomerId], since: dt.date) -> None:
    """Note that customers were looked at on their facts as they are, and watch only those with something left to wait for.

    What was decided, or lifted, on or after `since` may still be changed by a later entry.
    """
    await session.execute(
        """update customer_state s
              set watched_version = facts_version,
                  watched = exists (select from promise p where p.tenant_id = $1 and p.customer_id = s.customer_id
                                     and (p.state = 'open' or (p.state in ('kept', 'broken') and coalesce(p.last_on, p.decided_on) >= $3)))
                         or exists (select from dispute d where d.tenant_id = $1 and d.customer_id = s.customer_id and (d.state = 'open' or d.credit_awaited))
                         or exists (select from account_block b where b.tenant_id = $1 and b.customer_id = s.customer_id and b.lifts_when_settled
                                     and (b.state = 'active' or (b.renewable and b.lifted_because = 'settled' and b.lifted_on >= $3)))
                         or exists (select from action a join action_item t on t.tenant_id = $1 and t.action_id = a.action_id
                                     where a.tenant_id = $1 and a.customer_id = s.customer_id and a.origin <> 'scenario'
                                       and a.state in ('awaiting_approval', 'scheduled', 'executed', 'waiting') and t.state in ('attached', 'listed'))
            where s.tenant_id = $1 and s.customer_id = any ($2::uuid[])""",
        tenant_id,
        list(customer_ids),
        since,
    )


async def next_day(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId) -> dt.date | None:
    """Return the next day that may by itself change a promise or a dispute of a ledger."""
    found: dt.date | None = await session.value(
        """select least((select min(look_on) from promise where tenant_id = $1 and ledger_id = $2 and state = 'open'),
                        (select min(deadline_on) + 1 from dispute where tenant_id = $1 and ledger_id = $2 and state = 'open' and overdue_on is null))""",
        tenant_id,
        ledger_id,
    )
    return found


async def ring_once(session: Session, tenant_id: TenantId, due_at: dt.datetime) -> None:
    """Have the tenant's agreements looked at at an instant, unless that is asked for already."""
    await session.execute(
        """insert into due_work (tenant_id, kind, due_at) select $1, 'watch', $2
            where not exists (select from due_work where tenant_id = $1 and kind = 'watch' and due_at = $2)""",
        tenant_id,
        due_at,
    )
