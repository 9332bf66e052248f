"""Statements that read what a claim and its messages show: customers, contacts, items, receipts on account."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.collection.recipients import Recipient, with_assigned
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, LedgerId, TenantId
from dunning.ledger.addresses import address_digest
from dunning.ledger.rules import covered_by_insurance
from dunning.scenarios.position import Id


@dataclass(frozen=True, slots=True)
class CustomerSheet:
    """Hold what messages to one customer need to know of it; country, subdivision and zone are the ledger's where it has none."""

    customer_id: CustomerId
    external_id: str
    name: str
    language: str | None
    time_zone: str
    country: str
    subdivision: str | None
    insurance_cover: str
    insurance_cover_until: dt.date | None

    def is_covered(self, on: dt.date) -> bool:
        """Tell whether a credit insurer covers the customer on a day."""
        return covered_by_insurance(self.insurance_cover, self.insurance_cover_until, on)


async def customers_of(session: ReadSession, tenant_id: TenantId, customer_ids: Collection[CustomerId]) -> dict[CustomerId, CustomerSheet]:
    """Return the sheets of some customers by id."""
    rows = await session.rows(
        """select c.customer_id, c.external_id, c.name, c.language, coalesce(c.time_zone, l.time_zone) as time_zone,
                  coalesce(c.country, l.country) as country,
                  case when c.country is null then coalesce(c.subdivision, l.subdivision) else c.subdivision end as subdivision,
                  c.insurance_cover, c.insurance_cover_until
             from customer c join ledger l on l.tenant_id = c.tenant_id and l.ledger_id = c.ledger_id
            where c.tenant_id = $1 and c.customer_id = any ($2::uuid[])""",
        tenant_id,
        list(customer_ids),
    )
    return {CustomerId(row["customer_id"]): CustomerSheet(**dict(row)) for row in rows}


async def contacts_of(session: ReadSession, tenant_id: TenantId, customer_ids: Collection[CustomerId]) -> Mapping[CustomerId, list[Recipient]]:
    """Return the contacts of some customers by customer, with who looks after it in roles for which it names no colleague; without any, an empty list."""
    rows = await session.rows(
        """select c.customer_id, c.contact_id, c.name, c.email, c.language, c.roles, c.internal, o.digests, false as assigned
             from contact c
             left join (select customer_id, array_agg(address_sha256) as digests from opt_out
                         where tenant_id = $1 and customer_id = any ($2::uuid[]) group by customer_id) o on o.customer_id = c.customer_id
            where c.tenant_id = $1 and c.customer_id = any ($2::uuid[])
           union all
           select a.customer_id, p.person_id, p.name, p.email, p.language, array[a.role], true, null, true
             from assignment a join person p on p.tenant_id = a.tenant_id and p.person_id = a.person_id
            where a.tenant_id = $1 and a.customer_id = any ($2::uuid[]) and a.lead and a.ended_on is null and p.active""",
        tenant_id,
        list(customer_ids),
    )
    found: defaultdict[CustomerId, list[Recipient]] = defaultdict(list)
    assigned: defaultdict[CustomerId, list[Recipient]] = defaultdict(list)
    for row in rows:
        (assigned if row["assigned"] else found)[CustomerId(row["customer_id"])].append(
            Recipient(
                row["contact_id"],
                row["name"],
                row["email"],
                row["language"],
                tuple(row["roles"]),
                row["internal"],
                opted_out=row["digests"] is not None and row["email"] is not None and address_digest(row["email"]) in row["digests"],
                typed=row["assigned"],
            )
        )
    for customer_id, people in assigned.items():
        found[customer_id] = with_assigned(found[customer_id], people)
    return found


async def items_of(session: ReadSession, tenant_id: TenantId, item_ids: Collection[UUID | Id]) -> dict[str, asyncpg.Record]:
    """Return what a claim shows of items and of receipts on account, by their ids as text."""
    rows = await session.rows(
        """select i.item_id, i.document_id, i.kind, i.number, i.document_on, i.due_on, i.currency, i.amount_minor,
                  i.amount_minor - i.allocated_minor as open_minor, coalesce(d.payment_reference, i.number) as reference, coalesce(n.reminders, 0) as reminders
             from unnest($2::uuid[]) as wanted(item_id)
             join item i on i.tenant_id = $1 and i.item_id = wanted.item_id
             join document d on d.tenant_id = $1 and d.document_id = i.document_id
             left join item_dunning n on n.tenant_id = $1 and n.item_id = i.item_id
           union all
           select r.receipt_id, null, 'receipt', coalesce(r.reference, r.external_id), r.received_on, r.received_on, r.currency, r.amount_minor,
                  r.amount_minor - r.allocated_minor - r.returned_minor, null, 0
             from unnest($2::uuid[]) as wanted(receipt_id)
             join receipt r on r.tenant_id = $1 and r.receipt_id = wanted.receipt_id""",
        tenant_id,
        list(item_ids),
    )
    return {str(row["item_id"]): row for row in rows}


async def take_numbers(session: Session, tenant_id: TenantId, ledger_id: LedgerId, name: str, count: int) -> int:
    """Take the next numbers of a ledger's counter and return the first; gaps may be left by what is rolled back."""
    last: int = await session.value(
        """insert into ledger_counter (tenant_id, ledger_id, name, value) values ($1, $2, $3, $4)
           on conflict (tenant_id, ledger_id, name) do update set value = ledger_counter.value + excluded.value returning value""",
        tenant_id,
        ledger_id,
        name,
        count,
    )
    return last - count + 1
