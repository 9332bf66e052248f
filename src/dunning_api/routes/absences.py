"""Absences and substitutes."""

from __future__ import annotations

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
async def create_absence(person_id: UUID, body: AbsenceCreate, work: Annotated[Work, writes("people:write")]) -> AbsenceOut:
    """Note that somebody is away. The substitute sees the customers and the agenda from the first day to the last, by the local day of the ledger."""
    work.require_whole_sight()
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
    return await _shown(work, absence)


@router.get("/absences", summary="List absences", responses=problems(404))
async def list_absences(
    work: Annotated[Work, reads()],
    person_id: Annotated[UUID | None, Query(description="Only those of this person.")] = None,
    on: Annotated[Day | None, Query(description="Only those that include this day.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[AbsenceOut]:
    """List absences that were not cancelled, in the order in which they were noted."""
    key = paging.unseal(work.keyring, "absences", cursor, 1)
    found = await absences.absences_after(
        work.session, tenant_id=work.tenant_id, person_id=person_id, on=on, after=UUID(key[0]) if key else None, limit=limit + 1
    )
    names = await people.names_of(work.session, tenant_id=work.tenant_id, actors=[absence.actor for absence in found])
    more = paging.seal(work.keyring, "absences", found[limit - 1].absence_id) if len(found) > limit else None
    return Page(data=[AbsenceOut.of(absence, names) for absence in found[:limit]], next_cursor=more)


@router.delete("/absences/{absence_id}", summary="Cancel an absence", responses=problems(404))
async def cancel_absence(absence_id: UUID, work: Annotated[Work, writes("people:write")]) -> AbsenceOut:
    """Cancel an absence; the substitute no longer sees what came with it. Cancelling again changes nothing."""
    work.require_whole_sight()
    absence = await absences.cancel_absence(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, absence_id=AbsenceId(absence_id))
    return await _shown(work, absence)


async def _shown(work: Work, absence: Absence) -> AbsenceOut:
    return AbsenceOut.of(absence, await people.names_of(work.session, tenant_id=work.tenant_id, actors=[absence.actor]))
