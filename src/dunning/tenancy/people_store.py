"""Statements on people and teams."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import PersonId, TeamId, TenantId
from dunning.tenancy.rules import Role, Sees

_PERSON = "person_id, external_id, name, email, phone, role, sees, team_id, language, active, version, created_at, updated_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonValues:
    """What is stated about a person."""

    external_id: str | None
    name: str
    email: str
    phone: str | None
    role: Role
    sees: Sees
    team_id: TeamId | None
    language: str | None
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Person(PersonValues):
    """One person as it is stored."""

    person_id: PersonId
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Team:
    """People who stand in for one another."""

    team_id: TeamId
    code: str
    name: str
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class PersonFilter:
    """Which people a list holds; None leaves a column out of account."""

    role: str | None = None
    team_id: UUID | None = None
    active: bool | None = None
    email: str | None = None
    external_id: str | None = None


async def insert_person(session: Session, tenant_id: TenantId, person_id: PersonId, values: PersonValues) -> None:
    """Insert a person; an e-mail or external id that is taken raises the unique violation."""
    v = values
    await session.execute(
        """insert into person (tenant_id, person_id, external_id, name, email, phone, role, sees, team_id, language, active)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)""",
        tenant_id, person_id, v.external_id, v.name, v.email, v.phone, v.role, v.sees, v.team_id, v.language, v.active,
    )  # fmt: skip


async def update_person(session: Session, tenant_id: TenantId, person_id: PersonId, values: PersonValues) -> None:
    """Write all that is stated about a person, as a new version."""
    v = values
    await session.execute(
        """update person set external_id = $3, name = $4, email = $5, phone = $6, role = $7, sees = $8, team_id = $9, language = $10, active = $11,
                  version = version + 1, updated_at = clock_timestamp()
            where tenant_id = $1 and person_id = $2""",
        tenant_id, person_id, v.external_id, v.name, v.email, v.phone, v.role, v.sees, v.team_id, v.language, v.active,
    )  # fmt: skip


async def deactivate(session: Session, tenant_id: TenantId, person_id: PersonId) -> int:
    """Deactivate a person who is active."""
    return await session.execute(
        """update person set active = false, version = version + 1, updated_at = clock_timestamp()
            where tenant_id = $1 and person_id = $2 and active""",
        tenant_id,
        person_id,
    )


async def person_of(session: ReadSession, tenant_id: TenantId, person_id: PersonId) -> Person | None:
    """Return one person."""
    row = await session.row(f"select {_PERSON} from person where tenant_id = $1 and person_id = $2", tenant_id, person_id)
    return None if row is None else Person(**dict(row))


async def person_for_change(session: Session, tenant_id: TenantId, person_id: PersonId) -> Person | None:
    """Return one person with the row locked."""
    row = await session.row(f"select {_PERSON} from person where tenant_id = $1 and person_id = $2 for update", tenant_id, person_id)
    return None if row is None else Person(**dict(row))


async def person_with_mail(session: ReadSession, tenant_id: TenantId, email: str) -> Person | None:
    """Return the person with an e-mail address, whatever its case."""
    row = await session.row(f"select {_PERSON} from person where tenant_id = $1 and lower(email) = lower($2)", tenant_id, email)
    return None if row is None else Person(**dict(row))


async def people_after(session: ReadSession, tenant_id: TenantId, where: PersonFilter, after: UUID | None, limit: int) -> list[Person]:
    """Return people past an id, by id."""
    rows = await session.rows(
        f"""select {_PERSON} from person
             where tenant_id = $1 and ($2::uuid is null or person_id > $2) and ($4::text is null or role = $4) and ($5::uuid is null or team_id = $5)
               and ($6::boolean is null or active = $6) and ($7::text is null or lower(email) = lower($7)) and ($8::text is null or external_id = $8)
             order by person_id limit $3""",  # fixed words
        tenant_id, after, limit, where.role, where.team_id, where.active, where.email, where.external_id,
    )  # fmt: skip
    return [Person(**dict(row)) for row in rows]


async def active_people(session: ReadSession, tenant_id: TenantId, person_ids: Collection[UUID]) -> dict[PersonId, Person]:
    """Return the active ones of some people."""
    rows = await session.rows(f"select {_PERSON} from person where tenant_id = $1 and person_id = any ($2::uuid[]) and active", tenant_id, list(person_ids))
    return {PersonId(row["person_id"]): Person(**dict(row)) for row in rows}


async def greeted_at(session: ReadSession, tenant_id: TenantId, emails: Collection[str]) -> dict[str, tuple[str, str | None]]:
    """Return the name and language of the active people who have some addresses, by the address in lower case."""
    rows = await session.rows(
        "select lower(email) as email, name, language from person where tenant_id = $1 and active and lower(email) = any ($2::text[])",
        tenant_id,
        [email.lower() for email in emails],
    )
    return {row["email"]: (row["name"], row["language"]) for row in rows}


def name_of(person_id: str) -> str:
    """Return SQL for the name of a person of the tenant $1, null where there is none. The argument is SQL."""
    return f"(select who.name from person who where who.tenant_id = $1 and who.person_id = {person_id})"


def author_of(actor: str) -> str:
    """Return SQL for the name of who is recorded as an actor in the tenant $1: a person's, or the actor as it stands. The argument is SQL."""
    person_id = f"case when starts_with({actor}, 'person:') and pg_input_is_valid(substr({actor}, 8), 'uuid') then substr({actor}, 8)::uuid end"
    return f"coalesce({name_of(person_id)}, {actor})"


async def names_of(session: ReadSession, tenant_id: TenantId, person_ids: Collection[UUID]) -> dict[PersonId, str]:
    """Return the names of some people."""
    rows = await session.rows("select person_id, name from person where tenant_id = $1 and person_id = any ($2::uuid[])", tenant_id, list(person_ids))
    return {PersonId(row["person_id"]): row["name"] for row in rows}


async def members_of(session: ReadSession, tenant_id: TenantId, team_id: TeamId) -> list[PersonId]:
    """Return all people of a team, those who left among them: their customers are the team's until they are handed over."""
    rows = await session.rows("select person_id from person where tenant_id = $1 and team_id = $2 order by person_id", tenant_id, team_id)
    return [PersonId(row["person_id"]) for row in rows]


async def insert_team(session: Session, tenant_id: TenantId, team_id: TeamId, code: str, name: str) -> None:
    """Insert a team; a code that is taken raises the unique violation."""
    await session.execute("insert into team (tenant_id, team_id, code, name) values ($1, $2, $3, $4)", tenant_id, team_id, code, name)


async def rename_team(session: Session, tenant_id: TenantId, team_id: TeamId, name: str) -> int:
    """Give a team another name."""
    return await session.execute("update team set name = $3 where tenant_id = $1 and team_id = $2", tenant_id, team_id, name)


async def team_of(session: ReadSession, tenant_id: TenantId, team_id: TeamId) -> Team | None:
    """Return one team."""
    row = await session.row("select team_id, code, name, created_at from team where tenant_id = $1 and team_id = $2", tenant_id, team_id)
    return None if row is None else Team(**dict(row))


async def teams_after(session: ReadSession, tenant_id: TenantId, after: UUID | None, limit: int) -> Sequence[Team]:
    """Return teams past an id, by id."""
    rows = await session.rows(
        "select team_id, code, name, created_at from team where tenant_id = $1 and ($2::uuid is null or team_id > $2) order by team_id limit $3",
        tenant_id,
        after,
        limit,
    )
    return [Team(**dict(row)) for row in rows]
