"""A customer's position a currency: what is overdue, not due, disputed, unapplied; today, or as of a day as known on a day."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession
from dunning.kit.errors import Malformed
from dunning.kit.ids import CustomerId, TenantId
from dunning.ledger import customers, ledgers, position_store
from dunning.ledger.position_store import CurrencyPosition


@dataclass(frozen=True, slots=True)
class Position:
    """The sums of one customer on a day; currencies are never added."""

    customer_id: CustomerId
    as_of: dt.date
    known_on: dt.date
    currencies: list[CurrencyPosition]


async def position_of(
    session: ReadSession, clock: Clock, *, tenant_id: TenantId, customer_id: CustomerId, as_of: dt.date | None = None, known_on: dt.date | None = None
) -> Position:
    """Return the position at the end of a day (`as_of`, by value date) with what had been recorded by a day (`known_on`, by record date).

    Both default to the ledger's today. Raises `NotFound`, and `Malformed` for a day in the future: payments to come are not known.
    """
    customer = await customers.customer_of(session, tenant_id=tenant_id, customer_id=customer_id)
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=customer.ledger_id)
    today = local_date(clock.now(), ledger.time_zone)
    day, known = as_of or today, known_on or today
    for name, asked in (("as_of", day), ("known_on", known)):
        if asked > today:
            msg = f"{name}: {asked} lies in the future; today is {today} in the ledger's time zone."
            raise Malformed(msg, errors=[{"field": name, "message": "lies in the future"}])
    if as_of is None and known_on is None:
        return await position_on(session, tenant_id=tenant_id, customer_id=customer_id, today=today)
    return Position(customer_id, day, known, await position_store.position_as_of(session, tenant_id, customer_id, day, known))


async def position_on(session: ReadSession, *, tenant_id: TenantId, customer_id: CustomerId, today: dt.date) -> Position:
    """Return the position of a customer that the caller has read, on the day it is in its ledger."""
    return Position(customer_id, today, today, await position_store.position_today(session, tenant_id, customer_id, today))
