"""Absences and substitutes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import Query

from dunning.collection import absences
from dunning.collection.absence_store import Absence
from dunning.kit.ids import AbsenceId, PersonId
from dunning.tenancy import people
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Day, Page
from dunning_api.schemas.people import AbsenceCreate, AbsenceOut

router = Router(tags=["people"])


@router.post("/people/{person_id}/absences", status_code=201, summary="Note an absence", responses=problems(404, 409))
async def create_absence(person_id: UUID, body: AbsenceCreate, work: Annotated[Work, writes("notes:write", repeatable=True)]) -> AbsenceOut:
    """Note that somebody is away: yourself, or, with `people:write`, anybody. Whoever stands in sees the customers and the agenda from the first day to the last, by the local day of the ledger; `stand_ins` says who that is when the substitute is away as well."""
    _own_or_managed(work, person_id)
    absence = await absences.create_absence(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        person_id=PersonId(person_id),
        substitute_id=None if body.substitute_id is None else PersonId(body.substitute_id),
        from_on=body.from_on,
        until_on=body.until_on,
        note=body.note,
    )
    return (await _shown(work, [absence]))[0]


@router.get("/absences", summary="List absences", responses=problems(404))
async def list_absences(
    work: Annotated[Work, reads()],
    person: Annotated[UUID | None, Query(description="Only those of this person.")] = None,
    on: Annotated[Day | None, Query(description="Only those that include this day.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[AbsenceOut]:
    """List absences that were not cancelled, in the order in which they were noted."""
    key = paging.unseal(work.keyring, "absences", cursor, 1)
    found = await absences.absences_after(work.session, tenant_id=work.tenant_id, person_id=person, on=on, after=UUID(key[0]) if key else None, limit=limit + 1)
    more = paging.seal(work.keyring, "absences", found[limit - 1].absence_id) if len(found) > limit else None
    return Page(data=await _shown(work, found[:limit]), next_cursor=more)


@router.delete("/absences/{absence_id}", summary="Cancel an absence", responses=problems(404))
async def cancel_absence(absence_id: UUID, work: Annotated[Work, writes("notes:write")]) -> AbsenceOut:
    """Cancel an absence: your own, or, with `people:write`, anybody's. The substitute no longer sees what came with it. Cancelling again changes nothing."""
    noted = await absences.absence_of(work.session, tenant_id=work.tenant_id, absence_id=AbsenceId(absence_id))
    _own_or_managed(work, noted.person_id)
    absence = await absences.cancel_absence(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, absence_id=AbsenceId(absence_id))
    return (await _shown(work, [absence]))[0]


def _own_or_managed(work: Work, person_id: UUID) -> None:
    """Raise `Forbidden` where somebody else is meant and the caller manages no people."""
    if person_id != work.person_id:
        work.require("people:write")
        work.require_whole_sight()


async def _shown(work: Work, found: Sequence[Absence]) -> list[AbsenceOut]:
    stand_ins = await absences.stand_ins_of(work.session, tenant_id=work.tenant_id, absences=found)
    actors = {people.actor_of(PersonId(one.person_id)) for days in stand_ins.values() for one in days if one.person_id is not None}
    names = await people.names_of(work.session, tenant_id=work.tenant_id, actors=actors.union(absence.actor for absence in found))
    return [AbsenceOut.of(absence, stand_ins[absence.absence_id], names) for absence in found]
