"""Statements on what the contact budget counts: of a customer, and of a person across the customers of a ledger."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import NamedTuple

from dunning.collection.activity_store import NOT_REACHED, SPOKEN_KINDS
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ActionId, CustomerId, LedgerId, TenantId
from dunning.scenarios.steps import CONTACT_TASKS

_SPOKEN = f"n.kind in {SPOKEN_KINDS} and (n.outcome is null or n.outcome not in {NOT_REACHED})"
_DAY = "case when a.state = 'completed' then a.completed_on else a.scheduled_on end"
_TASKS = tuple(sorted(kind.value for kind in CONTACT_TASKS))
_COUNTS = f"""a.state in ('completed', 'awaiting_approval', 'scheduled', 'executed', 'waiting')
   and case when a.origin = 'ad_hoc' then a.task_kind = 'call'
            else a.kind <> 'operations' and (a.kind <> 'task' or coalesce(a.task_kind, a.content ->> 'task_kind', 'call') in {_TASKS})
                 and coalesce(a.content ->> 'audience', 'customer') <> 'internal' end"""


def counted(*, customer: str, zone: str, after: str, but_for: str, where: str = "true", tenant: str = "$1") -> str:
    """Return a query of the days after one on which a customer was or will be contacted, one row a contact, and whether it was made.

    What counts are actions of a scenario and specific ones that tell or ask the customer something, calls of whatever origin, and what was spoken
    beside them. The arguments are SQL.
    """
    return f"""
   select {_DAY} as on_day, a.state in ('executed', 'completed') as made from action a
    where a.tenant_id = {tenant} and a.customer_id = {customer} and {_COUNTS} and {_DAY} > {after} and a.action_id is distinct from {but_for} and {where}
   union all
   select (n.business_at at time zone {zone})::date, true from activity n
    where n.tenant_id = {tenant} and n.customer_id = {customer} and {_SPOKEN} and n.business_at >= ({after} + 1)::timestamp at time zone {zone} and {where}
      and not exists (select from action a where a.tenant_id = {tenant} and a.action_id = n.action_id and {_COUNTS} and a.state = 'completed'
                       and a.completed_on = (n.business_at at time zone {zone})::date)"""


async def contact_days(
    session: ReadSession, tenant_id: TenantId, customer_ids: Collection[CustomerId], after: dt.date, *, but_for: ActionId | None
) -> dict[CustomerId, list[dt.date]]:
    """Return by customer the days after one on which it was or will be contacted, one for each contact, as if one action did not exist."""
    rows = await session.rows(
        f"""select c.customer_id, array_agg(d.on_day) as days from unnest($2::uuid[]) as w (customer_id)
             join customer c on c.tenant_id = $1 and c.customer_id = w.customer_id
             join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id
            cross join lateral ({counted(customer="c.customer_id", zone="l.time_zone", after="$3::date", but_for="$4::uuid")}) d
            group by c.customer_id""",
        tenant_id,
        list(customer_ids),
        after,
        but_for,
    )
    return {CustomerId(row["customer_id"]): row["days"] for row in rows}


class Told(NamedTuple):
    """One contact of a person: its day, and whether it was made."""

    on_day: dt.date
    made: bool


async def contacts_of_addresses(session: ReadSession, ledger_id: LedgerId, digests: Collection[bytes], after: dt.date) -> dict[bytes, list[Told]]:
    """Return by digest the contacts after a day of people of the session's tenant in a ledger, also where the caller does not see the customer."""
    found: dict[bytes, list[Told]] = {}
    for row in await session.rows("select * from contacts_of_addresses($1, $2, $3)", ledger_id, sorted(digests), after) if digests else ():
        found.setdefault(row["address_sha256"], []).append(Told(row["on_day"], row["made"]))
    return found


async def lock_addresses(session: Session, tenant_id: TenantId, digests: Sequence[bytes]) -> None:
    """Keep others of the tenant from writing to the same people until the transaction ends. In one order; customers are locked before, never after."""
    await session.execute(
        """select pg_advisory_xact_lock(x.key) from (
             select distinct hashtextextended('dunning.person.' || $1::text || encode(d, 'hex'), 0) as key from unnest($2::bytea[]) as d order by 1) x""",
        str(tenant_id),
        list(digests),
    )
