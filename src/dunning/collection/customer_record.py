"""The full record of a customer: what was stated about it, and on request what is known beside that, in as many statements as parts are asked for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from dunning.collection import assignment_store, block_store, customer_record_store, outlook
from dunning.collection.assignment_store import Assignment
from dunning.collection.customer_record_store import DaysGranted, InsurerNotice, Policy
from dunning.collection.outlook import CustomerAgenda
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession
from dunning.kit.ids import CustomerId, TenantId
from dunning.ledger import customers, hold_store, holds, ledgers, positions
from dunning.ledger.contact_store import StoredContact
from dunning.ledger.customer_store import Customer
from dunning.ledger.hold_store import Hold
from dunning.ledger.ledger_store import Ledger
from dunning.ledger.positions import Position
from dunning.ledger.rules import covered_by_insurance
from dunning.tenancy import people

PARTS = ("contacts", "terms", "insurance", "collector", "position", "agenda")
"""What can be asked for. Contacts are stated with the customer and stand in every record."""
AHEAD_DAYS = 90
"""How far the agenda of a record looks ahead."""
SHOWN = 100
"""At most so many holds and blocks stand in a record."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a customer is collected: by which scenario, in which currency, after how many days, and what keeps reminders back today.

    `names` are of those who set the holds.
    """

    currency: str
    policy: Policy
    days_granted: DaysGranted | None
    holds: Sequence[Hold]
    blocks: Sequence[asyncpg.Record]
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Insurance:
    """Whether the credit insurer covers the customer today, and what it was told, the last first."""

    covered_today: bool
    notices: Sequence[InsurerNotice]


@dataclass(frozen=True, slots=True)
class Collectors:
    """Who looks after the customer, with the names of those who decided it."""

    assignments: list[Assignment]
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CustomerRecord:
    """A customer with its contacts; of the other parts those that were asked for, None for the rest."""

    customer: Customer
    contacts: list[StoredContact]
    terms: Terms | None = None
    insurance: Insurance | None = None
    collector: Collectors | None = None
    position: Position | None = None
    agenda: CustomerAgenda | None = None


async def record_of(session: ReadSession, clock: Clock, *, tenant_id: TenantId, customer_id: CustomerId, parts: Collection[str] = ()) -> CustomerRecord:
    """Return the record of a customer with some of `PARTS`; raise `NotFound`. The number of statements depends on the parts and on nothing else."""
    customer, contacts = await customers.record_of(session, tenant_id=tenant_id, customer_id=customer_id)
    asked = set(parts) - {"contacts"}
    if not asked:
        return CustomerRecord(customer, contacts)
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=customer.ledger_id)
    today = local_date(clock.now(), ledger.time_zone)
    return CustomerRecord(
        customer,
        contacts,
        terms=await _terms(session, tenant_id, ledger, customer_id, today) if "terms" in asked else None,
        insurance=await _insurance(session, tenant_id, customer, today) if "insurance" in asked else None,
        collector=await _collectors(session, tenant_id, customer_id) if "collector" in asked else None,
        position=await positions.position_on(session, tenant_id=tenant_id, customer_id=customer_id, today=today) if "position" in asked else None,
        agenda=await outlook.agenda_of(session, clock, tenant_id=tenant_id, customer_id=customer_id, days=AHEAD_DAYS) if "agenda" in asked else None,
    )


async def _terms(session: ReadSession, tenant_id: TenantId, ledger: Ledger, customer_id: CustomerId, today: dt.date) -> Terms:
    found = await hold_store.holds_upon(session, tenant_id, ledger.ledger_id, customer_id, today, SHOWN)
    return Terms(
        ledger.currency,
        await customer_record_store.policy_of(session, tenant_id, customer_id),
        await customer_record_store.days_granted(session, tenant_id, customer_id),
        found,
        await block_store.blocks_after(session, tenant_id, None, SHOWN, ledger_id=None, customer_id=customer_id, state="active"),
        await people.names_of(session, tenant_id=tenant_id, actors=holds.actors_of(found)),
    )


async def _insurance(session: ReadSession, tenant_id: TenantId, customer: Customer, today: dt.date) -> Insurance:
    covered = covered_by_insurance(customer.insurance_cover, customer.insurance_cover_until, today)
    return Insurance(covered, await customer_record_store.insurer_notices(session, tenant_id, customer.customer_id))


async def _collectors(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> Collectors:
    found = await assignment_store.assignments_of(session, tenant_id, customer_id, history=False)
    return Collectors(found, await people.names_of(session, tenant_id=tenant_id, actors=[one.actor for one in found]))
