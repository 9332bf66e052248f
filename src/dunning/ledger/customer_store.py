"""Statements about customers and their groups."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, LedgerId, ScenarioId, TenantId
from dunning.ledger.contact_store import StoredContact


@dataclass(frozen=True, slots=True)
class Customer:
    """A company that owes, in one ledger."""

    customer_id: CustomerId
    ledger_id: LedgerId
    external_id: str
    name: str
    language: str | None
    country: str | None
    subdivision: str | None
    time_zone: str | None
    tax_number: str | None
    group_code: str | None
    policy: str
    scenario_id: ScenarioId | None
    collection_method: str
    step_reached: str | None
    last_reminded_on: dt.date | None
    crm_url: str | None
    insurance_cover: str
    insurance_cover_until: dt.date | None
    insurance_cover_reference: str | None
    territory: str | None
    tags: list[str]
    custom: dict[str, Any]
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class CustomerValues:
    """What is written of a customer."""

    customer_id: UUID
    external_id: str
    name: str
    name_search: str
    language: str | None
    country: str | None
    subdivision: str | None
    time_zone: str | None
    tax_number: str | None
    customer_group_id: UUID | None
    policy: str
    scenario_id: UUID | None
    collection_method: str
    step_reached: str | None
    last_reminded_on: dt.date | None
    crm_url: str | None
    custom: dict[str, Any]
    content_sha256: bytes
    insurance_cover: str
    insurance_cover_until: dt.date | None
    insurance_cover_reference: str | None
    territory: str | None
    tags: str
    """Joined by `BETWEEN_TAGS`: an array of arrays would lose where one ends."""


@dataclass(frozen=True, slots=True)
class Group:
    """Customers that share a policy."""

    customer_group_id: UUID
    ledger_id: LedgerId
    code: str
    name: str
    policy: str
    scenario_id: ScenarioId | None
    created_at: dt.datetime


_SELECT = """select c.customer_id, c.ledger_id, c.external_id, c.name, c.language, c.country, c.subdivision, c.time_zone, c.tax_number,
       g.code as group_code, c.policy, c.scenario_id, c.collection_method, c.step_reached, c.last_reminded_on, c.crm_url, c.insurance_cover,
       c.insurance_cover_until, c.insurance_cover_reference, c.territory, c.tags, c.custom, c.version,
       c.created_at, c.updated_at
  from customer c left join customer_group g on g.tenant_id = c.tenant_id and g.customer_group_id = c.customer_group_id"""
_WRITTEN = [f.name for f in fields(CustomerValues)]
_SHOWN = [f.name for f in fields(Customer)]
_CONTACT = [f.name for f in fields(StoredContact)]
_ARRAYS = (
    "$3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::uuid[], $13::text[],"
    " $14::uuid[], $15::text[], $16::text[], $17::date[], $18::text[], $19::jsonb[], $20::bytea[], $21::text[],"
    " $22::date[], $23::text[], $24::text[], $25::text[]"
)
BETWEEN_TAGS = "\x1f"
_READ = {"tags": "string_to_array({}.tags, chr(31))"}


def _values_of(alias: str, names: Sequence[str]) -> str:
    return ", ".join(_READ[name].format(alias) if name in _READ else f"{alias}.{name}" for name in names)


def _customer(row: Any) -> Customer:
    return Customer(**dict(row))


def _columns(values: Sequence[CustomerValues]) -> list[list[Any]]:
    return [[getattr(v, name) for v in values] for name in _WRITTEN]


async def present_contents(
    session: Session, tenant_id: TenantId, ledger_id: LedgerId, external_ids: Sequence[str], hashes: Sequence[bytes]
) -> dict[str, tuple[CustomerId, bytes]]:
    """Return id and content hash of the customers with these external ids, by external id; lock those whose content is not the stated one.

    State rows are locked first, in id order. PostgreSQL reads again what it had to wait for: what comes back is the latest, and who was given the stated
    content meanwhile is unchanged like the others.
    """
    rows = await session.rows(
        """with present as (
             select c.external_id, c.customer_id, c.content_sha256, w.content_sha256 as stated_sha256
               from unnest($3::text[], $4::bytea[]) as w (external_id, content_sha256)
               join customer c on c.tenant_id = $1 and c.ledger_id = $2 and c.external_id = w.external_id
           ), moved as (
             select c.customer_id, c.content_sha256
               from present p
               join customer_state s on s.tenant_id = $1 and s.customer_id = p.customer_id
               join customer c on c.tenant_id = $1 and c.customer_id = p.customer_id and c.content_sha256 <> p.stated_sha256
              where p.content_sha256 <> p.stated_sha256 order by s.customer_id for no key update of s, c
           )
           select p.external_id, p.customer_id, coalesce(m.content_sha256, p.stated_sha256) as content_sha256
             from present p left join moved m on m.customer_id = p.customer_id""",
        tenant_id,
        ledger_id,
        external_ids,
        hashes,
    )
    return {row["external_id"]: (row["customer_id"], row["content_sha256"]) for row in rows}


async def ids_of(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, external_ids: Sequence[str]) -> dict[str, CustomerId]:
    """Return the ids of customers by their external ids."""
    if not external_ids:
        return {}
    rows = await session.rows(
        "select external_id, customer_id from customer where tenant_id = $1 and ledger_id = $2 and external_id = any ($3::text[])",
        tenant_id,
        ledger_id,
        external_ids,
    )
    return {row["external_id"]: row["customer_id"] for row in rows}


async def insert_customers(session: Session, tenant_id: TenantId, ledger_id: LedgerId, values: Sequence[CustomerValues]) -> set[UUID]:
    """Insert customers with their state rows; return the ids of those that were new, leaving out external ids that another has taken."""
    rows = await session.rows(
        f"""with made as (
              insert into customer (tenant_id, ledger_id, {", ".join(_WRITTEN)})
              select $1, $2, {_values_of("c", _WRITTEN)} from unnest({_ARRAYS}) as c({", ".join(_WRITTEN)})
              on conflict (tenant_id, ledger_id, external_id) do nothing returning customer_id
            )
            insert into customer_state (tenant_id, ledger_id, customer_id) select $1, $2, customer_id from made returning customer_id""",
        tenant_id,
        ledger_id,
        *_columns(values),
    )
    return {row["customer_id"] for row in rows}


async def change_customers(session: Session, tenant_id: TenantId, ledger_id: LedgerId, values: Sequence[CustomerValues]) -> None:
    """Keep the present content of customers as a version, and write their new one."""
    names = _WRITTEN[2:]
    await session.execute(
        f"""with kept as (
              insert into customer_version (tenant_id, customer_id, version, content, recorded_at)
              select c.tenant_id, c.customer_id, c.version, to_jsonb(c) - '{{tenant_id,content_sha256,name_search,created_at}}'::text[], c.updated_at
                from customer c where c.tenant_id = $1 and c.ledger_id = $2 and c.customer_id = any ($3::uuid[])
            )
            update customer c set ({", ".join(names)}) = row({_values_of("v", names)}),
                   version = c.version + 1, updated_at = clock_timestamp()
              from unnest({_ARRAYS}) as v({", ".join(_WRITTEN)})
             where c.tenant_id = $1 and c.ledger_id = $2 and c.customer_id = v.customer_id""",  # fixed words
        tenant_id,
        ledger_id,
        *_columns(values),
    )


async def spread_progress(session: Session, tenant_id: TenantId, customer_ids: Sequence[UUID]) -> None:
    """Give the progress stated for customers to those of their items that were due by that reminder and have none of their own."""
    await session.execute(
        """update item i set step_reached = c.step_reached, last_reminded_on = c.last_reminded_on, updated_at = clock_timestamp()
             from customer c
            where c.tenant_id = $1 and c.customer_id = any ($2::uuid[]) and c.step_reached is not null
              and i.tenant_id = c.tenant_id and i.customer_id = c.customer_id and i.step_reached is null and i.due_on <= c.last_reminded_on
              and i.state = 'posted' and i.allocated_minor < i.amount_minor""",
        tenant_id,
        customer_ids,
    )


async def customer_of(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> Customer | None:
    """Return one customer."""
    row = await session.row(f"{_SELECT} where c.tenant_id = $1 and c.customer_id = $2", tenant_id, customer_id)
    return None if row is None else _customer(row)


async def record_of(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId) -> tuple[Customer, list[StoredContact]] | None:
    """Return one customer with its contacts, by their external ids."""
    rows = await session.rows(
        f"""select q.*, {", ".join(f"k.{name} as contact_{name}" for name in _CONTACT)}
              from ({_SELECT} where c.tenant_id = $1 and c.customer_id = $2) as q
              left join contact k on k.tenant_id = $1 and k.customer_id = q.customer_id
             order by k.external_id""",  # fixed words
        tenant_id,
        customer_id,
    )
    if not rows:
        return None
    customer = Customer(**{name: rows[0][name] for name in _SHOWN})
    contacts = [StoredContact(**{name: row[f"contact_{name}"] for name in _CONTACT}) for row in rows if row["contact_contact_id"] is not None]
    return customer, contacts


async def customers_of(
    session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, after: UUID | None, limit: int, external_id: str | None
) -> list[Customer]:
    """Return customers of a ledger past an id, by id."""
    rows = await session.rows(
        f"""{_SELECT} where c.tenant_id = $1 and c.ledger_id = $2 and ($3::uuid is null or c.customer_id > $3)
               and ($5::text is null or c.external_id = $5) order by c.customer_id limit $4""",
        tenant_id,
        ledger_id,
        after,
        limit,
        external_id,
    )
    return [_customer(row) for row in rows]


async def customers_named(
    session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, prefix: str, after: tuple[str, UUID] | None, limit: int
) -> list[tuple[Customer, str]]:
    """Return customers whose normalised name begins with a prefix, by name, each with that name."""
    after_name, after_id = after or (None, None)
    # Comparisons by character, not LIKE: those may use the index under row level security.
    rows = await session.rows(
        f"""select q.*, n.name_search from (
              select c.customer_id, c.name_search from customer c
               where c.tenant_id = $1 and c.ledger_id = $2 and c.name_search ~>=~ $3 and c.name_search ~<~ ($3 || chr(1114111))
                 and ($4::text is null or c.name_search ~>~ $4 or (c.name_search = $4 and c.customer_id > $5))
               order by c.name_search using ~<~, c.customer_id limit $6) as n
            join lateral ({_SELECT} where c.tenant_id = $1 and c.customer_id = n.customer_id) as q on true
           order by n.name_search using ~<~, n.customer_id""",  # fixed words
        tenant_id,
        ledger_id,
        prefix,
        after_name,
        after_id,
        limit,
    )
    return [(Customer(**{k: v for k, v in row.items() if k != "name_search"}), row["name_search"]) for row in rows]


async def group_ids(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, codes: Sequence[str]) -> dict[str, UUID]:
    """Return the ids of groups by code."""
    if not codes:
        return {}
    rows = await session.rows(
        "select code, customer_group_id from customer_group where tenant_id = $1 and ledger_id = $2 and code = any ($3::text[])",
        tenant_id,
        ledger_id,
        codes,
    )
    return {row["code"]: row["customer_group_id"] for row in rows}


async def groups_of(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, after: str | None, limit: int) -> list[Group]:
    """Return the groups of a ledger past a code, by code."""
    rows = await session.rows(
        """select customer_group_id, ledger_id, code, name, policy, scenario_id, created_at from customer_group
            where tenant_id = $1 and ledger_id = $2 and ($3::text is null or code > $3) order by code limit $4""",
        tenant_id,
        ledger_id,
        after,
        limit,
    )
    return [Group(**dict(row)) for row in rows]


async def group_of(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, code: str) -> Group | None:
    """Return one group by code."""
    row = await session.row(
        """select customer_group_id, ledger_id, code, name, policy, scenario_id, created_at from customer_group
            where tenant_id = $1 and ledger_id = $2 and code = $3""",
        tenant_id,
        ledger_id,
        code,
    )
    return None if row is None else Group(**dict(row))


async def upsert_group(
    session: Session, tenant_id: TenantId, ledger_id: LedgerId, group_id: UUID, code: str, name: str, policy: str, scenario_id: UUID | None
) -> None:
    """Write a group; the same content again changes nothing."""
    await session.execute(
        """insert into customer_group as g (tenant_id, customer_group_id, ledger_id, code, name, policy, scenario_id)
           values ($1, $3, $2, $4, $5, $6, $7)
           on conflict (tenant_id, ledger_id, code) do update set name = $5, policy = $6, scenario_id = $7
            where (g.name, g.policy, g.scenario_id) is distinct from ($5, $6, $7)""",
        tenant_id,
        ledger_id,
        group_id,
        code,
        name,
        policy,
        scenario_id,
    )
