"""Statements on who looks after customers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.collection.assignment_rules import Candidate, Given
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, LedgerId, PersonId, TenantId, new_id

_LIVE = "('awaiting_approval', 'scheduled', 'executed', 'waiting')"
_SELECT = """select a.assignment_id, a.ledger_id, a.customer_id, a.person_id, p.name as person_name, p.email as person_email, p.active as person_active,
       a.role, a.lead, a.origin, a.rule_id, a.reason, a.from_on, a.ended_on, a.actor, a.ended_by, a.created_at
  from assignment a join person p on p.tenant_id = a.tenant_id and p.person_id = a.person_id"""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One person who looks, or looked, after a customer."""

    assignment_id: UUID
    ledger_id: LedgerId
    customer_id: CustomerId
    person_id: PersonId
    person_name: str
    person_email: str
    person_active: bool
    role: str
    lead: bool
    origin: str
    rule_id: UUID | None
    reason: str | None
    from_on: dt.date
    ended_on: dt.date | None
    actor: str
    ended_by: str | None
    created_at: dt.datetime


async def assignments_of(session: ReadSession, tenant_id: TenantId, customer_id: CustomerId, *, history: bool) -> list[Assignment]:
    """Return who looks after a customer, the leads first; with `history` also who did, the latest first."""
    rows = await session.rows(
        f"""{_SELECT} where a.tenant_id = $1 and a.customer_id = $2 and ($3 or a.ended_on is null)
             order by a.ended_on is not null, not a.lead, a.role desc, a.assignment_id desc""",
        tenant_id,
        customer_id,
        history,
    )
    return [Assignment(**dict(row)) for row in rows]


async def leads_of(session: ReadSession, tenant_id: TenantId, customer_ids: Collection[UUID], role: str) -> dict[CustomerId, PersonId]:
    """Return who leads in a role for some customers."""
    rows = await session.rows(
        """select customer_id, person_id from assignment
            where tenant_id = $1 and customer_id = any ($2::uuid[]) and role = $3 and lead and ended_on is null""",
        tenant_id,
        list(customer_ids),
        role,
    )
    return {CustomerId(row["customer_id"]): PersonId(row["person_id"]) for row in rows}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of customers without a lead of one role; None as ids: all of the ledger. Past `after`."""

    ledger_id: LedgerId
    role: str
    limit: int
    customer_ids: Sequence[UUID] | None = None
    after: UUID | None = None


async def candidates(session: ReadSession, tenant_id: TenantId, page: Page, currency: str | None) -> list[Candidate]:
    """Return customers without a lead of a role by id, with what rules ask for; the open debit in a currency, None for what cannot be known yet."""
    rows = await session.rows(
        """select c.customer_id, c.external_id, c.country, c.subdivision, c.territory, g.code as group_code, c.tags,
                  case when $6::text is not null then
                    (select coalesce(sum(i.amount_minor - i.allocated_minor), 0)::int8 from item i
                      where i.tenant_id = $1 and i.customer_id = c.customer_id and i.direction = 'debit' and i.currency = $6
                        and i.state = 'posted' and i.allocated_minor < i.amount_minor) end as open_minor
             from customer c left join customer_group g on g.tenant_id = c.tenant_id and g.customer_group_id = c.customer_group_id
            where c.tenant_id = $1 and c.ledger_id = $2 and ($4::uuid[] is null or c.customer_id = any ($4)) and ($5::uuid is null or c.customer_id > $5)
              and not exists (select 1 from assignment a where a.tenant_id = $1 and a.customer_id = c.customer_id and a.role = $3 and a.lead and a.ended_on is null)
            order by c.customer_id limit $7""",
        tenant_id, page.ledger_id, page.role, page.customer_ids, page.after, currency, page.limit,
    )  # fmt: skip
    return [Candidate(**{**dict(row), "tags": frozenset(row["tags"])}) for row in rows]


async def unassigned_after(session: ReadSession, tenant_id: TenantId, ledger_id: LedgerId, role: str, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return customers of a ledger without a lead of a role, past an id, by id."""
    return await session.rows(
        """select c.customer_id, c.external_id, c.name, c.country, c.subdivision, c.territory, c.created_at from customer c
            where c.tenant_id = $1 and c.ledger_id = $2 and ($4::uuid is null or c.customer_id > $4)
              and not exists (select 1 from assignment a where a.tenant_id = $1 and a.customer_id = c.customer_id and a.role = $3 and a.lead and a.ended_on is null)
            order by c.customer_id limit $5""",
        tenant_id, ledger_id, role, after, limit,
    )  # fmt: skip


async def loads_of(session: ReadSession, tenant_id: TenantId, person_ids: Collection[UUID], role: str) -> dict[UUID, int]:
    """Return for how many customers each of some people leads in a role."""
    rows = await session.rows(
        """select person_id, count(*)::int as customers from assignment
            where tenant_id = $1 and person_id = any ($2::uuid[]) and role = $3 and lead and ended_on is null group by person_id""",
        tenant_id,
        list(person_ids),
        role,
    )
    return {row["person_id"]: row["customers"] for row in rows}


async def insert_given(
    session: Session, tenant_id: TenantId, ledger_id: LedgerId, role: str, given: Sequence[Given], from_on: dt.date, actor: str
) -> list[asyncpg.Record]:
    """Insert what rules gave, give open collector's work that nobody has to its new collector, and return what was inserted.

    A customer whom somebody else was given to meanwhile is passed over.
    """
    return await session.rows(
        f"""with made as (
              insert into assignment (tenant_id, ledger_id, role, lead, origin, from_on, actor, assignment_id, customer_id, person_id, rule_id)
              select $1, $2, $3, true, 'rule', $4, $5, g.* from unnest($6::uuid[], $7::uuid[], $8::uuid[], $9::uuid[]) as g
              on conflict do nothing returning customer_id, person_id, rule_id
            ), moved as (
              update action set person_id = made.person_id, updated_at = clock_timestamp() from made
               where action.tenant_id = $1 and action.customer_id = made.customer_id and action.state in {_LIVE} and action.person_id is null
                 and $3 = 'collector'
            )
            select customer_id, person_id, rule_id from made""",  # fixed words
        tenant_id, ledger_id, role, from_on, actor,
        [new_id() for _ in given], [g.customer_id for g in given], [g.person_id for g in given], [g.rule_id for g in given],
    )  # fmt: skip


async def move_actions(session: Session, tenant_id: TenantId, customer_id: CustomerId, removed: Collection[UUID], to: PersonId | None) -> int:
    """Give the open actions of a customer that nobody, or somebody who no longer looks after it, has to the lead; return how many."""
    return await session.execute(
        f"""update action set person_id = $4, updated_at = clock_timestamp()
             where tenant_id = $1 and customer_id = $2 and state in {_LIVE} and (person_id is null or person_id = any ($3::uuid[]))
               and person_id is distinct from $4""",
        tenant_id,
        customer_id,
        list(removed),
        to,
    )


@dataclass(frozen=True, slots=True)
class ByHand:
    """What a person changes about who looks after a customer in one role."""

    ledger_id: LedgerId
    customer_id: CustomerId
    role: str
    ended: Sequence[UUID]
    added: Sequence[tuple[UUID, bool]]
    reason: str | None


async def change(session: Session, tenant_id: TenantId, what: ByHand, on: dt.date, actor: str) -> list[Assignment]:
    """End and begin assignments of one customer and return who looks after it then, the leads first.

    One statement, because whoever gives a customer away sees it no longer in the next one.
    """
    rows = await session.rows(
        """with ended as (
             update assignment set ended_on = greatest($5, from_on), ended_by = $6
              where tenant_id = $1 and assignment_id = any ($8::uuid[]) and ended_on is null returning 1
           ), made as (
             insert into assignment (tenant_id, ledger_id, customer_id, role, from_on, actor, reason, origin, assignment_id, person_id, lead)
             select $1, $2, $3, $4, $5, $6, $7, 'hand', g.* from unnest($9::uuid[], $10::uuid[], $11::boolean[]) as g
              where (select count(*) from ended) >= 0
             returning *
           )
           select a.assignment_id, a.ledger_id, a.customer_id, a.person_id, p.name as person_name, p.email as person_email, p.active as person_active,
                  a.role, a.lead, a.origin, a.rule_id, a.reason, a.from_on, a.ended_on, a.actor, a.ended_by, a.created_at
             from (select * from made
                   union all
                   select * from assignment k
                    where k.tenant_id = $1 and k.customer_id = $3 and k.ended_on is null and not k.assignment_id = any ($8::uuid[])) a
             join person p on p.tenant_id = a.tenant_id and p.person_id = a.person_id
            order by not a.lead, a.role desc, a.assignment_id desc""",
        tenant_id, what.ledger_id, what.customer_id, what.role, on, actor, what.reason, list(what.ended),
        [new_id() for _ in what.added], [person_id for person_id, _ in what.added], [lead for _, lead in what.added],
    )  # fmt: skip
    return [Assignment(**dict(row)) for row in rows]


async def duties_of(session: ReadSession, tenant_id: TenantId, person_id: PersonId) -> asyncpg.Record:
    """Return how many customers somebody looks after, and how many actions and open disputes are theirs."""
    row = await session.row(
        f"""select (select count(*) from assignment where tenant_id = $1 and person_id = $2 and ended_on is null)::int as customers,
                   (select count(*) from action where tenant_id = $1 and person_id = $2 and state in {_LIVE})::int as actions,
                   (select count(*) from dispute where tenant_id = $1 and owner_id = $2 and state = 'open')::int as disputes""",  # fixed words
        tenant_id,
        person_id,
    )
    assert row is not None, "a select without from always has a row"  # noqa: S101  # tells the type checker
    return row


async def held_by(session: ReadSession, tenant_id: TenantId, person_id: PersonId) -> list[asyncpg.Record]:
    """Return all assignments somebody has, leads first, in the order of the customers."""
    return await session.rows(
        """select assignment_id, customer_id, role, lead from assignment
            where tenant_id = $1 and person_id = $2 and ended_on is null order by not lead, customer_id, role""",
        tenant_id,
        person_id,
    )


async def customers_worked_by(session: ReadSession, tenant_id: TenantId, person_id: PersonId) -> list[asyncpg.Record]:
    """Return the customers about whom somebody has open actions or disputes, each with who else leads there as collector."""
    return await session.rows(
        f"""select w.customer_id, a.person_id as lead_id
              from (select customer_id from action where tenant_id = $1 and person_id = $2 and state in {_LIVE}
                    union select customer_id from dispute where tenant_id = $1 and owner_id = $2 and state = 'open') w
              left join assignment a on a.tenant_id = $1 and a.customer_id = w.customer_id and a.role = 'collector' and a.lead and a.ended_on is null
                   and a.person_id <> $2
             order by w.customer_id""",  # fixed words
        tenant_id,
        person_id,
    )


async def hand_over(session: Session, tenant_id: TenantId, heirs: Mapping[UUID, UUID], at: dt.datetime, reason: str | None, actor: str) -> None:
    """End assignments and begin those of their heirs, from the local day of each ledger. An heir who already helped with a customer takes the lead."""
    await session.execute(
        """with moved as (
             select m.assignment_id, m.heir, m.new_id, a.customer_id, a.role, a.lead, a.ledger_id, ($3::timestamptz at time zone l.time_zone)::date as today
               from unnest($2::uuid[], $6::uuid[], $7::uuid[]) as m(assignment_id, heir, new_id)
               join assignment a on a.tenant_id = $1 and a.assignment_id = m.assignment_id and a.ended_on is null
               join ledger l on l.tenant_id = $1 and l.ledger_id = a.ledger_id
           ), helping as (
             select t.assignment_id, m.lead, m.new_id, m.today from moved m
               join assignment t on t.tenant_id = $1 and t.customer_id = m.customer_id and t.role = m.role and t.person_id = m.heir and t.ended_on is null
           ), ended as (
             update assignment a set ended_on = greatest(e.today, a.from_on), ended_by = $5
               from (select assignment_id, today from moved union select assignment_id, today from helping where lead) e
              where a.tenant_id = $1 and a.assignment_id = e.assignment_id returning 1
           )
           insert into assignment (tenant_id, ledger_id, customer_id, role, lead, from_on, person_id, origin, reason, actor, assignment_id)
           select $1, m.ledger_id, m.customer_id, m.role, m.lead, m.today, m.heir, 'hand', $4, $5, m.new_id from moved m
            where (select count(*) from ended) >= 0 and not exists (select 1 from helping h where h.new_id = m.new_id and not h.lead)""",
        tenant_id, list(heirs), at, reason, actor, list(heirs.values()), [new_id() for _ in heirs],
    )  # fmt: skip


async def hand_over_work(session: Session, tenant_id: TenantId, person_id: PersonId, heirs: Mapping[UUID, UUID]) -> asyncpg.Record:
    """Give somebody's open actions and disputes to the heirs by customer, and return by heir how many of each."""
    row = await session.row(
        f"""with heir as (select * from unnest($3::uuid[], $4::uuid[]) as h(customer_id, person_id)),
                 acted as (
                   update action a set person_id = h.person_id, updated_at = clock_timestamp() from heir h
                    where a.tenant_id = $1 and a.person_id = $2 and a.customer_id = h.customer_id and a.state in {_LIVE} returning a.person_id
                 ), owned as (
                   update dispute d set owner_id = h.person_id, version = d.version + 1, updated_at = clock_timestamp() from heir h
                    where d.tenant_id = $1 and d.owner_id = $2 and d.customer_id = h.customer_id and d.state = 'open' returning d.owner_id
                 )
            select (select coalesce(jsonb_object_agg(person_id, n), '{{}}') from (select person_id, count(*) as n from acted group by 1) x) as actions,
                   (select coalesce(jsonb_object_agg(owner_id, n), '{{}}') from (select owner_id, count(*) as n from owned group by 1) x) as disputes""",  # fixed words
        tenant_id, person_id, list(heirs), list(heirs.values()),
    )  # fmt: skip
    assert row is not None, "a select without from always has a row"  # noqa: S101  # tells the type checker
    return row
