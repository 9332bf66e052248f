"""People and their teams: who works here, in which role, and how far each sees. Nobody is ever deleted, because history names them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg

from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Forbidden, Malformed, NotFound, PreconditionFailed
from dunning.kit.ids import PersonId, TeamId, TenantId, new_id
from dunning.tenancy import people_store
from dunning.tenancy.people_store import Person, PersonFilter, PersonValues, Team
from dunning.tenancy.rules import RIGHTS, SEES_ALL

PREFIX = "person:"
"""How an actor begins who is a person; what follows is the id."""


class EmailTaken(Conflict):
    """Two people cannot have one e-mail address: it names who is meant."""

    code = "email_taken"


class NameTaken(Conflict):
    """The external id or code belongs to another."""

    code = "name_taken"


class RoleDoesNotFit(Conflict):
    """The role of somebody does not allow the work that would be theirs."""

    code = "role_does_not_fit"
    title = "The role does not allow this work"


def actor_of(person_id: PersonId) -> str:
    """Return a person as the actor of what is recorded."""
    return f"{PREFIX}{person_id}"


def _known_sight(values: PersonValues) -> None:
    if values.role in SEES_ALL and values.sees != "all":
        msg = f"sees: a person with the role {values.role} sees everything; leave it out, or choose another role."
        raise Malformed(msg)


def may_state(values: PersonValues, *, by_admin: bool) -> None:
    """Raise `Forbidden` where somebody who manages people would make, or change, one who may do more than that."""
    if values.role == "admin" and not by_admin:
        msg = "role: only an admin can make, change or unmake an admin. Use a key, or act for a person, with the scope `admin`."
        raise Forbidden(msg, scope="admin")


async def create_person(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, values: PersonValues, by_admin: bool) -> Person:
    """Create a person; raise `EmailTaken`, `NameTaken`, `NotFound` for an unknown team, `Forbidden` for an admin made by anybody else."""
    may_state(values, by_admin=by_admin)
    _known_sight(values)
    await _known_team(session, tenant_id, values.team_id)
    person_id = PersonId(new_id())
    try:
        async with session.savepoint():
            await people_store.insert_person(session, tenant_id, person_id, values)
    except asyncpg.UniqueViolationError as taken:
        raise _taken(taken) from None
    await _record(session, clock, tenant_id, actor, "person.created", person_id, {"role": values.role, "sees": values.sees})
    return await person_of(session, tenant_id=tenant_id, person_id=person_id)


async def update_person(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    person_id: PersonId,
    changes: dict[str, Any],
    expected_version: int | None,
    by_admin: bool,
) -> Person:
    """Change what is given about a person; raise `PreconditionFailed` when somebody changed it since. The same again changes nothing.

    Whoever deactivates somebody sees to it first that nothing is left to hand over (`assignments`).
    """
    person = await people_store.person_for_change(session, tenant_id, person_id)
    if person is None:
        raise _unknown()
    if expected_version is not None and person.version != expected_version:
        msg = "Somebody changed this person since you read it. Read it again and repeat your change."
        raise PreconditionFailed(msg)
    changed = replace(person, **changes)
    may_state(person, by_admin=by_admin)
    may_state(changed, by_admin=by_admin)
    if changed == person:
        return person
    _known_sight(changed)
    if changed.team_id != person.team_id:
        await _known_team(session, tenant_id, changed.team_id)
    try:
        async with session.savepoint():
            await people_store.update_person(session, tenant_id, person_id, changed)
    except asyncpg.UniqueViolationError as taken:
        raise _taken(taken) from None
    told = sorted(name for name in changes if getattr(changed, name) != getattr(person, name))
    kind = "person.deactivated" if person.active and not changed.active else "person.changed"
    await _record(session, clock, tenant_id, actor, kind, person_id, {"changed": told, "role": changed.role, "sees": changed.sees})
    return await person_of(session, tenant_id=tenant_id, person_id=person_id)


async def deactivate(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, person_id: PersonId) -> None:
    """End what a person may do, at once; history keeps the name. A second call changes nothing."""
    if await people_store.deactivate(session, tenant_id, person_id):
        await _record(session, clock, tenant_id, actor, "person.deactivated", person_id, {})


async def person_of(session: ReadSession, *, tenant_id: TenantId, person_id: PersonId) -> Person:
    """Return one person, active or not; raise `NotFound`."""
    person = await people_store.person_of(session, tenant_id, person_id)
    if person is None:
        raise _unknown()
    return person


async def active_ones(session: ReadSession, *, tenant_id: TenantId, person_ids: Collection[UUID]) -> dict[PersonId, Person]:
    """Return some people by id; raise `NotFound` where one is unknown, and `Conflict` where one is not active any more."""
    found = await people_store.active_people(session, tenant_id, person_ids)
    missing = set(person_ids) - set(found)
    if missing:
        names = await people_store.names_of(session, tenant_id, missing)
        if len(names) < len(missing):
            raise _unknown()
        msg = f"{', '.join(sorted(names.values()))} does not work here any more: name somebody who is active."
        raise Conflict(msg)
    return found


def may_work(given: Iterable[Person], scope: str) -> None:
    """Raise `RoleDoesNotFit`, naming them, where the roles of some people do not give a scope that their work needs."""
    unfit = [person for person in given if scope not in RIGHTS[person.role].scopes]
    if unfit:
        named = ", ".join(sorted(f"{person.name} is {person.role}" for person in unfit))
        fit = ", ".join(role for role, rights in RIGHTS.items() if scope in rights.scopes)
        msg = f"{named}: this role does not allow the work. Name somebody who is one of {fit}, or give them such a role first."
        raise RoleDoesNotFit(msg, people=[str(person.person_id) for person in unfit])


async def people_after(session: ReadSession, *, tenant_id: TenantId, where: PersonFilter, after: UUID | None, limit: int) -> list[Person]:
    """Return people in the order of their creation."""
    return await people_store.people_after(session, tenant_id, where, after, limit)


async def names_of(session: ReadSession, *, tenant_id: TenantId, actors: Iterable[str]) -> dict[str, str]:
    """Return what to show for actors as they are recorded: the name of a person, and any other as it stands. One statement, none where none is a person."""
    texts = set(actors)
    ids: dict[str, UUID] = {}
    for text in texts:
        if text.startswith(PREFIX):
            try:
                ids[text] = UUID(text.removeprefix(PREFIX))
            except ValueError:
                continue
    names = await people_store.names_of(session, tenant_id, set(ids.values())) if ids else {}
    return {text: names.get(PersonId(ids[text]), text) if text in ids else text for text in texts}


async def create_team(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, code: str, name: str) -> Team:
    """Create a team; raise `NameTaken` for a code that exists."""
    team_id = TeamId(new_id())
    try:
        async with session.savepoint():
            await people_store.insert_team(session, tenant_id, team_id, code, name)
    except asyncpg.UniqueViolationError as taken:
        raise _taken(taken) from None
    await _record(session, clock, tenant_id, actor, "team.created", team_id, {"code": code}, noun="team")
    return await team_of(session, tenant_id=tenant_id, team_id=team_id)


async def rename_team(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, team_id: TeamId, name: str) -> Team:
    """Give a team another name; its code stays. The same again changes nothing."""
    team = await team_of(session, tenant_id=tenant_id, team_id=team_id)
    if team.name == name:
        return team
    await people_store.rename_team(session, tenant_id, team_id, name)
    await _record(session, clock, tenant_id, actor, "team.changed", team_id, {"code": team.code}, noun="team")
    return await team_of(session, tenant_id=tenant_id, team_id=team_id)


async def team_of(session: ReadSession, *, tenant_id: TenantId, team_id: TeamId) -> Team:
    """Return one team; raise `NotFound`."""
    team = await people_store.team_of(session, tenant_id, team_id)
    if team is None:
        noun = "team"
        raise NotFound(noun)
    return team


async def teams_after(session: ReadSession, *, tenant_id: TenantId, after: UUID | None, limit: int) -> Sequence[Team]:
    """Return teams in the order of their creation."""
    return await people_store.teams_after(session, tenant_id, after, limit)


def _unknown() -> NotFound:
    return NotFound("person")


async def _known_team(session: ReadSession, tenant_id: TenantId, team_id: TeamId | None) -> None:
    if team_id is not None:
        await team_of(session, tenant_id=tenant_id, team_id=team_id)


def _taken(taken: asyncpg.UniqueViolationError) -> Conflict:
    if taken.constraint_name == "person_email_key":
        return EmailTaken("email: another person has this address. Look it up with `GET /v1/people?email=`.")
    if taken.constraint_name == "person_external_id_key":
        return NameTaken("external_id: another person has it.")
    return NameTaken("code: another team has it.")


async def _record(
    session: Session, clock: Clock, tenant_id: TenantId, actor: str, kind: str, subject_id: UUID, data: dict[str, Any], *, noun: str = "person"
) -> None:
    await events.record(session, clock, tenant_id=tenant_id, kind=kind, subject_kind=noun, subject_id=subject_id, actor=actor, data=data)
