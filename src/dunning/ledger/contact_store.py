"""Statements about contacts: personal data, in a table of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ContactId, CustomerId, TenantId


@dataclass(frozen=True, slots=True)
class StoredContact:
    """A person or mailbox of a customer, or a colleague who looks after it."""

    contact_id: ContactId
    customer_id: CustomerId
    external_id: str
    name: str | None
    email: str | None
    phone: str | None
    pec: str | None
    postal_address: dict[str, Any] | None
    language: str | None
    roles: list[str]
    internal: bool


_COLUMNS = [f.name for f in fields(StoredContact)]


async def contacts_of(session: ReadSession, tenant_id: TenantId, customer_ids: Sequence[CustomerId]) -> dict[CustomerId, list[StoredContact]]:
    """Return the contacts of some customers, by external id."""
    rows = await session.rows(
        f"""select {", ".join(_COLUMNS)} from contact where tenant_id = $1 and customer_id = any ($2::uuid[])
             order by customer_id, external_id""",  # fixed words
        tenant_id,
        customer_ids,
    )
    found: dict[CustomerId, list[StoredContact]] = {customer_id: [] for customer_id in customer_ids}
    for row in rows:
        found[row["customer_id"]].append(StoredContact(**dict(row)))
    return found


async def remove_missing(session: Session, tenant_id: TenantId, customer_ids: Sequence[UUID], kept: Sequence[StoredContact]) -> None:
    """Delete the contacts of some customers that are not among those to be kept."""
    await session.execute(
        """delete from contact c where c.tenant_id = $1 and c.customer_id = any ($2::uuid[])
              and not exists (select 1 from unnest($3::uuid[], $4::text[]) as k(customer_id, external_id)
                               where k.customer_id = c.customer_id and k.external_id = c.external_id)""",
        tenant_id,
        customer_ids,
        [c.customer_id for c in kept],
        [c.external_id for c in kept],
    )


async def upsert_contacts(session: Session, tenant_id: TenantId, contacts: Sequence[StoredContact]) -> None:
    """Write contacts; one that is as it was is not touched."""
    if not contacts:
        return
    # An array of arrays must be rectangular, so each list of roles travels as one text.
    await session.execute(
        """insert into contact as c (tenant_id, contact_id, customer_id, external_id, name, email, phone, pec, postal_address, language, internal,
                                roles)
           select $1, v.contact_id, v.customer_id, v.external_id, v.name, v.email, v.phone, v.pec, v.postal_address, v.language, v.internal,
                  string_to_array(v.roles, ' ')
             from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::jsonb[], $10::text[],
                         $11::boolean[], $12::text[])
               as v(contact_id, customer_id, external_id, name, email, phone, pec, postal_address, language, internal, roles)
           on conflict (tenant_id, customer_id, external_id) do update
              set name = excluded.name, email = excluded.email, phone = excluded.phone, pec = excluded.pec,
                  postal_address = excluded.postal_address, language = excluded.language, internal = excluded.internal,
                  roles = excluded.roles, updated_at = clock_timestamp()
            where (c.name, c.email, c.phone, c.pec, c.postal_address, c.language, c.internal, c.roles) is distinct from
                  (excluded.name, excluded.email, excluded.phone, excluded.pec, excluded.postal_address, excluded.language, excluded.internal,
                   excluded.roles)""",
        tenant_id,
        [c.contact_id for c in contacts],
        [c.customer_id for c in contacts],
        [c.external_id for c in contacts],
        [c.name for c in contacts],
        [c.email for c in contacts],
        [c.phone for c in contacts],
        [c.pec for c in contacts],
        [c.postal_address for c in contacts],
        [c.language for c in contacts],
        [c.internal for c in contacts],
        [" ".join(c.roles) for c in contacts],
    )
