"""People and teams, who the caller is, and handing over when somebody leaves."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from dunning.collection import assignments
from dunning.kit.ids import PersonId, TeamId
from dunning.tenancy import people
from dunning.tenancy.people_store import PersonFilter
from dunning.tenancy.rules import Role
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.etags import IfMatch, expected_revision, tag
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.people import HandedOverOut, HandOver, MeOut, PersonCreate, PersonOut, PersonUpdate, TeamCreate, TeamOut, TeamUpdate

router = Router(tags=["people"])


@router.get("/me", summary="Who am I, and what may I do", responses=problems())
async def get_me(work: Annotated[Work, reads()]) -> MeOut:
    """Return the key, the person for whom it acts, what both together may do, and whose customers are seen."""
    person = None if work.person_id is None else await people.person_of(work.session, tenant_id=work.tenant_id, person_id=work.person_id)
    return MeOut.of(work, person)


@router.post("/people", status_code=201, summary="Create a person", responses=problems(404, 409))
async def create_person(body: PersonCreate, work: Annotated[Work, writes("people:write", repeatable=True)], response: Response) -> PersonOut:
    """Create somebody who works here. Only an `admin` creates another one."""
    work.require_whole_sight()
    person = await people.create_person(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, values=body.values(), by_admin="admin" in work.scopes
    )
    tag(response, person.version)
    return PersonOut.of(person)


@router.get("/people", summary="List people", responses=problems())
async def list_people(
    work: Annotated[Work, reads()],
    role: Annotated[Role | None, Query(description="Only people with this role.")] = None,
    team: Annotated[UUID | None, Query(description="Only people of this team.")] = None,
    active: Annotated[bool | None, Query(description="Only those who work here, or only those who left.")] = None,
    email: Annotated[str | None, Query(max_length=254, description="The e-mail address, whatever its case.")] = None,
    external_id: Annotated[str | None, Query(max_length=200, description="Your own id of the person.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[PersonOut]:
    """List people, oldest first; those who left stay, because history names them."""
    key = paging.unseal(work.keyring, "people", cursor, 1)
    where = PersonFilter(role, team, active, email, external_id)
    found = await people.people_after(work.session, tenant_id=work.tenant_id, where=where, after=UUID(key[0]) if key else None, limit=limit + 1)
    more = paging.seal(work.keyring, "people", found[limit - 1].person_id) if len(found) > limit else None
    return Page(data=[PersonOut.of(person) for person in found[:limit]], next_cursor=more)


@router.get("/people/{person_id}", summary="Get a person", responses=problems(404))
async def get_person(person_id: UUID, work: Annotated[Work, reads()], response: Response) -> PersonOut:
    """Return a person, active or not."""
    person = await people.person_of(work.session, tenant_id=work.tenant_id, person_id=PersonId(person_id))
    tag(response, person.version)
    return PersonOut.of(person)


@router.patch("/people/{person_id}", summary="Change a person", responses=problems(404, 409, 412, 428))
async def update_person(
    person_id: UUID, body: PersonUpdate, work: Annotated[Work, writes("people:write")], response: Response, if_match: IfMatch = None
) -> PersonOut:
    """Change what is given. `active: false` needs that nothing is left to hand over; a person is never deleted."""
    work.require_whole_sight()
    person = await assignments.change_person(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        person_id=PersonId(person_id),
        changes=body.changes(),
        expected_version=expected_revision(if_match),
        by_admin="admin" in work.scopes,
    )
    tag(response, person.version)
    return PersonOut.of(person)


@router.post("/people/{person_id}/hand-over", summary="Hand over everything of somebody who leaves", responses=problems(404, 409))
async def hand_over(person_id: UUID, body: HandOver, work: Annotated[Work, writes("people:write")]) -> HandedOverOut:
    """Give all customers, open actions and open disputes of a person to others and deactivate the person, in one step. Nothing that is planned is lost; history keeps the name."""
    work.require_whole_sight()
    done = await assignments.hand_over(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        person_id=PersonId(person_id),
        heir_ids=[PersonId(heir) for heir in body.to],
        reason=body.reason,
        by_admin="admin" in work.scopes,
    )
    return HandedOverOut.of(done)


@router.post("/teams", status_code=201, summary="Create a team", responses=problems(409))
async def create_team(body: TeamCreate, work: Annotated[Work, writes("people:write", repeatable=True)]) -> TeamOut:
    """Create a team; people join it by their `team_id`."""
    work.require_whole_sight()
    return TeamOut.of(await people.create_team(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, code=body.code, name=body.name))


@router.get("/teams", summary="List teams", responses=problems())
async def list_teams(work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None) -> Page[TeamOut]:
    """List teams, oldest first."""
    key = paging.unseal(work.keyring, "teams", cursor, 1)
    found = await people.teams_after(work.session, tenant_id=work.tenant_id, after=UUID(key[0]) if key else None, limit=limit + 1)
    more = paging.seal(work.keyring, "teams", found[limit - 1].team_id) if len(found) > limit else None
    return Page(data=[TeamOut.of(team) for team in found[:limit]], next_cursor=more)


@router.get("/teams/{team_id}", summary="Get a team", responses=problems(404))
async def get_team(team_id: UUID, work: Annotated[Work, reads()]) -> TeamOut:
    """Return a team; its people are those with its `team_id`."""
    return TeamOut.of(await people.team_of(work.session, tenant_id=work.tenant_id, team_id=TeamId(team_id)))


@router.patch("/teams/{team_id}", summary="Rename a team", responses=problems(404))
async def update_team(team_id: UUID, body: TeamUpdate, work: Annotated[Work, writes("people:write")]) -> TeamOut:
    """Give a team another name; its code stays."""
    work.require_whole_sight()
    team = await people.rename_team(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, team_id=TeamId(team_id), name=body.name)
    return TeamOut.of(team)
