"""Statements on who looks after customers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from dunning.collection.assignment_rules import Candidate, Given, Lead, Present
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
    """A page of a ledger's customers in one role: those without a lead, or all; only those with some ids or external ids, where they are given. Past `after`."""

    ledger_id: LedgerId
    role: str
    limit: int
    customer_ids: Sequence[UUID] | None = None
    external_ids: Sequence[str] | None = None
    after: UUID | None = None
    with_lead: bool = False


async def candidates(session: ReadSession, tenant_id: TenantId, page: Page, currency: str | None) -> list[Candidate]:
    """Return customers by id, with what rules ask for and who leads; the open debit in a currency, None for what cannot be known yet."""
    rows = await session.rows(
        """select c.customer_id, c.external_id, c.country, c.subdivision, c.territory, g.code as group_code, c.tags, a.person_id, a.origin,
                  case when $6::text is not null then
                    (select coalesce(sum(i.amount_minor - i.allocated_minor), 0)::int8 from item i
                      where i.tenant_id = $1 and i.customer_id = c.customer_id and i.direction = 'debit' and i.currency = $6
                        and i.state = 'posted' and i.allocated_minor < i.amount_minor) end as open_minor
             from customer c left join customer_group g on g.tenant_id = c.tenant_id and g.customer_group_id = c.customer_group_id
             left join assignment a on a.tenant_id = $1 and a.customer_id = c.customer_id and a.role = $3 and a.lead and a.ended_on is null
            where c.tenant_id = $1 and c.ledger_id = $2 and ($4::uuid[] is null or c.customer_id = any ($4)) and ($5::uuid is null or c.customer_id > $5)
              and ($8::text[] is null or c.external_id = any ($8)) and ($9 or a.assignment_id is null)
            order by c.customer_id limit $7""",
        tenant_id, page.ledger_id, page.role, page.customer_ids, page.after, currency, page.limit, page.external_ids, page.with_lead,
    )  # fmt: skip
    return [
        Candidate(
            row["customer_id"], row["external_id"], row["country"], row["subdivision"], row["territory"], row["group_code"], frozenset(row["tags"]),
            row["open_minor"], None if row["person_id"] is None else Lead(row["person_id"], by_hand=row["origin"] == "hand"),
        )
        for row in rows
    ]  # fmt: skip


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


async def lock_shares(session: Session, tenant_id: TenantId) -> None:
    """Keep others of the tenant from sharing out customers until the transaction ends, so that each counts what those before it gave.

    Customers are locked before, never after: whoever shares out waits for nobody else's customers.
    """
    await session.execute("select pg_advisory_xact_lock(hashtextextended('dunning.shares.' || $1::text, 0))", str(tenant_id))


async def give(
    session: Session, tenant_id: TenantId, ledger_id: LedgerId, role: str, given: Sequence[Given], from_on: dt.date, actor: str
) -> list[asyncpg.Record]:
    """Give customers to whom rules gave them, and return those that moved, each with how many open actions went with it.

    The former lead ends; one who helped already takes the lead. A collector's open actions and disputes move, and actions that nobody has. A customer
    whose lead has become another one meanwhile is passed over.
    """
    return await session.rows(
        f"""with wanted as (
              select g.* from unnest($6::uuid[], $7::uuid[], $8::uuid[], $9::uuid[], $10::uuid[]) as g (assignment_id, customer_id, person_id, rule_id, former_id)
                left join assignment a on a.tenant_id = $1 and a.customer_id = g.customer_id and a.role = $3 and a.lead and a.ended_on is null
               where a.person_id is not distinct from g.former_id
            ), ended as (
              update assignment a set ended_on = greatest($4, a.from_on), ended_by = $5 from wanted w
               where a.tenant_id = $1 and a.customer_id = w.customer_id and a.role = $3 and a.ended_on is null and (a.lead or a.person_id = w.person_id)
              returning 1
            ), made as (
              insert into assignment (tenant_id, ledger_id, role, lead, origin, from_on, actor, assignment_id, customer_id, person_id, rule_id)
              select $1, $2, $3, true, 'rule', $4, $5, w.assignment_id, w.customer_id, w.person_id, w.rule_id from wanted w
               where (select count(*) from ended) >= 0
                  on conflict do nothing returning customer_id, person_id, rule_id
            ), moved as (
              select m.*, w.former_id from made m join wanted w on w.customer_id = m.customer_id
            ), acted as (
              update action a set person_id = m.person_id, updated_at = clock_timestamp() from moved m
               where a.tenant_id = $1 and a.customer_id = m.customer_id and a.state in {_LIVE} and (a.person_id is null or a.person_id = m.former_id)
                 and $3 = 'collector' returning a.customer_id
            ), owned as (
              update dispute d set owner_id = m.person_id, version = d.version + 1, updated_at = clock_timestamp() from moved m
               where d.tenant_id = $1 and d.customer_id = m.customer_id and d.state = 'open' and d.owner_id = m.former_id and $3 = 'collector'
            )
            select m.customer_id, m.person_id, m.rule_id, m.former_id, coalesce(n.actions, 0) as actions from moved m
              left join (select customer_id, count(*)::int as actions from acted group by customer_id) n on n.customer_id = m.customer_id""",  # fixed words
        tenant_id, ledger_id, role, from_on, actor,
        [new_id() for _ in given], [g.customer_id for g in given], [g.person_id for g in given], [g.rule_id for g in given], [g.former_id for g in given],
    )  # fmt: skip


async def work_moving(session: ReadSession, tenant_id: TenantId, role: str, given: Sequence[Given]) -> dict[UUID, asyncpg.Record]:
    """Return of customers who move what they are called, and how many open actions and disputes go with each."""
    rows = await session.rows(
        f"""select c.customer_id, c.external_id, c.name,
                   (select count(*)::int from action a where a.tenant_id = $1 and a.customer_id = c.customer_id and a.state in {_LIVE}
                       and (a.person_id is null or a.person_id = g.former_id) and $4 = 'collector') as actions,
                   (select count(*)::int from dispute d where d.tenant_id = $1 and d.customer_id = c.customer_id and d.state = 'open'
                       and d.owner_id = g.former_id and $4 = 'collector') as disputes
              from unnest($2::uuid[], $3::uuid[]) as g (customer_id, former_id)
              join customer c on c.tenant_id = $1 and c.customer_id = g.customer_id""",  # fixed words
        tenant_id, [g.customer_id for g in given], [g.former_id for g in given], role,
    )  # fmt: skip
    return {row["customer_id"]: row for row in rows}


@dataclass(frozen=True, slots=True)
class Standing:
    """A customer with its ledger and the ledger's zone, and who looks after it in one role."""

    customer_id: CustomerId
    ledger_id: LedgerId
    time_zone: str
    present: tuple[Present, ...]


async def standings_of(session: ReadSession, tenant_id: TenantId, customer_ids: Collection[CustomerId], role: str) -> list[Standing]:
    """Return those of some customers that exist, with who looks after each in a role."""
    rows = await session.rows(
        """select c.customer_id, c.ledger_id, l.time_zone, array_remove(array_agg(a.assignment_id), null) as assignment_ids,
                  array_remove(array_agg(a.person_id), null) as person_ids, array_remove(array_agg(a.lead), null) as leads
             from customer c join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id
             left join assignment a on a.tenant_id = $1 and a.customer_id = c.customer_id and a.role = $3 and a.ended_on is null
            where c.tenant_id = $1 and c.customer_id = any ($2::uuid[]) group by c.customer_id, c.ledger_id, l.time_zone order by c.customer_id""",
        tenant_id,
        list(customer_ids),
        role,
    )
    return [
        Standing(
            CustomerId(row["customer_id"]), LedgerId(row["ledger_id"]), row["time_zone"],
            tuple(map(Present, row["assignment_ids"], row["person_ids"], row["leads"])),
        )
        for row in rows
    ]  # fmt: skip


async def move_work(session: Session, tenant_id: TenantId, removed: Mapping[CustomerId, Collection[UUID]], to: PersonId | None) -> dict[CustomerId, int]:
    """Give the open actions and disputes of customers that somebody who no longer looks after them has to the lead, and actions that nobody has.

    `removed` names, by customer, who no longer does. Returns how many actions of each customer moved.
    """
    pairs = [(customer_id, person_id) for customer_id, people in removed.items() for person_id in people]
    rows = await session.rows(
        f"""with moved as (
              update action a set person_id = $3, updated_at = clock_timestamp()
               where a.tenant_id = $1 and a.customer_id = any ($2::uuid[]) and a.state in {_LIVE} and a.person_id is distinct from $3
                 and (a.person_id is null or (a.customer_id, a.person_id) in (select * from unnest($4::uuid[], $5::uuid[])))
              returning a.customer_id
            ), owned as (
              update dispute d set owner_id = $3, version = d.version + 1, updated_at = clock_timestamp()
               where d.tenant_id = $1 and d.customer_id = any ($2::uuid[]) and d.state = 'open'
                 and (d.customer_id, d.owner_id) in (select * from unnest($4::uuid[], $5::uuid[])))
            select customer_id, count(*)::int as moved from moved group by customer_id""",  # fixed words
        tenant_id, list(removed), to, [customer_id for customer_id, _ in pairs], [person_id for _, person_id in pairs],
    )  # fmt: skip
    return {CustomerId(row["customer_id"]): row["moved"] for row in rows}


@dataclass(frozen=True, slots=True)
class ByHand:
    """What a person changes about who looks after one customer, from a local day on."""

    ledger_id: LedgerId
    customer_id: CustomerId
    on: dt.date
    ended: Sequence[UUID]
    added: Sequence[tuple[UUID, bool]]


async def change(session: Session, tenant_id: TenantId, role: str, changes: Sequence[ByHand], reason: str | None, actor: str) -> list[Assignment]:
    """End and begin assignments of some customers in one role and return who looks after them then, the leads first.

    One statement, because whoever gives a customer away sees it no longer in the next one.
    """
    ended = [(assignment_id, one.on) for one in changes for assignment_id in one.ended]
    added = [(new_id(), one.ledger_id, one.customer_id, one.on, person_id, lead) for one in changes for person_id, lead in one.added]
    begun: list[list[object]] = [list(column) for column in zip(*added, strict=True)] or [[] for _ in range(6)]
    rows = await session.rows(
        """with ended as (
             update assignment a set ended_on = greatest(g.on_day, a.from_on), ended_by = $4
               from unnest($6::uuid[], $7::date[]) as g (assignment_id, on_day)
              where a.tenant_id = $1 and a.assignment_id = g.assignment_id and a.ended_on is null returning 1
           ), made as (
             insert into assignment (tenant_id, role, actor, reason, origin, assignment_id, ledger_id, customer_id, from_on, person_id, lead)
             select $1, $2, $4, $5, 'hand', g.* from unnest($8::uuid[], $9::uuid[], $10::uuid[], $11::date[], $12::uuid[], $13::boolean[]) as g
              where (select count(*) from ended) >= 0
             returning *
           )
           select a.assignment_id, a.ledger_id, a.customer_id, a.person_id, p.name as person_name, p.email as person_email, p.active as person_active,
                  a.role, a.lead, a.origin, a.rule_id, a.reason, a.from_on, a.ended_on, a.actor, a.ended_by, a.created_at
             from (select * from made
                   union all
                   select * from assignment k
                    where k.tenant_id = $1 and k.customer_id = any ($3::uuid[]) and k.ended_on is null and k.assignment_id <> all ($6::uuid[])) a
             join person p on p.tenant_id = a.tenant_id and p.person_id = a.person_id
            order by not a.lead, a.role desc, a.assignment_id desc""",
        tenant_id, role, [one.customer_id for one in changes], actor, reason, [one for one, _ in ended], [on for _, on in ended], *begun,
    )  # fmt: skip
    return [Assignment(**dict(row)) for row in rows]


async def add_helper(
    session: Session, tenant_id: TenantId, person_id: PersonId, customer_ids: Collection[CustomerId], at: dt.datetime, reason: str, actor: str
) -> list[asyncpg.Record]:
    """Make a person a further collector of those of some customers whom they do not look after yet, and return these with who was collector before.

    Nothing is done for somebody who sees all customers.
    """
    return await session.rows(
        """with made as (
             insert into assignment (tenant_id, assignment_id, ledger_id, customer_id, person_id, role, lead, origin, reason, from_on, actor)
             select $1, k.assignment_id, c.ledger_id, c.customer_id, $2, 'collector', false, 'hand', $6, ($5::timestamptz at time zone l.time_zone)::date, $7
               from unnest($3::uuid[], $4::uuid[]) as k (assignment_id, customer_id)
               join customer c on c.tenant_id = $1 and c.customer_id = k.customer_id
               join ledger l on l.tenant_id = $1 and l.ledger_id = c.ledger_id
               join person p on p.tenant_id = $1 and p.person_id = $2 and p.sees <> 'all'
              where not exists (select 1 from assignment a where a.tenant_id = $1 and a.customer_id = k.customer_id and a.person_id = $2 and a.ended_on is null)
                 on conflict do nothing returning customer_id
           )
           select m.customer_id,
                  (select a.person_id from assignment a where a.tenant_id = $1 and a.customer_id = m.customer_id and a.role = 'collector' and a.lead
                      and a.ended_on is null) as lead_id,
                  array(select a.person_id from assignment a where a.tenant_id = $1 and a.customer_id = m.customer_id and a.role = 'collector' and not a.lead
                      and a.ended_on is null order by a.assignment_id) as other_ids
             from made m order by m.customer_id""",
        tenant_id, person_id, [new_id() for _ in customer_ids], list(customer_ids), at, reason, actor,
    )  # fmt: skip


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
