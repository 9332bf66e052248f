"""Absences with their substitutes: who sees and does the work of somebody who is away."""

from __future__ import annotations

import datetime as dt
from typing import Literal
from uuid import UUID

from dunning.collection import absence_store
from dunning.collection.absence_store import Absence
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Malformed, NotFound
from dunning.kit.ids import AbsenceId, PersonId, TenantId, new_id
from dunning.tenancy import people

Verb = Literal["created", "cancelled"]


async def create_absence(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    person_id: PersonId,
    substitute_id: PersonId | None,
    from_on: dt.date,
    until_on: dt.date,
    note: str | None,
) -> Absence:
    """Note that somebody is away from one day to another, both included, and who stands in.

    Raises `NotFound` for unknown people, `Conflict` for a substitute who does not work here any more, `Malformed` for days in the wrong order.
    """
    if until_on < from_on:
        msg = "until_on: the last day lies before from_on."
        raise Malformed(msg)
    if substitute_id == person_id:
        msg = "substitute_id: nobody stands in for themselves; name somebody else or leave it out."
        raise Malformed(msg)
    await people.person_of(session, tenant_id=tenant_id, person_id=person_id)
    if substitute_id is not None:
        await people.active_ones(session, tenant_id=tenant_id, person_ids={substitute_id})
    absence_id = AbsenceId(new_id())
    await absence_store.insert_absence(session, tenant_id, absence_id, person_id, substitute_id, from_on, until_on, note, actor)
    await _record(session, clock, tenant_id, actor, absence_id, person_id, "created")
    return await absence_of(session, tenant_id=tenant_id, absence_id=absence_id)


async def cancel_absence(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, absence_id: AbsenceId) -> Absence:
    """Cancel an absence; the substitute sees no longer. Cancelling again changes nothing."""
    absence = await absence_of(session, tenant_id=tenant_id, absence_id=absence_id)
    if await absence_store.cancel(session, tenant_id, absence_id):
        await _record(session, clock, tenant_id, actor, absence_id, absence.person_id, "cancelled")
    return await absence_of(session, tenant_id=tenant_id, absence_id=absence_id)


async def absence_of(session: ReadSession, *, tenant_id: TenantId, absence_id: AbsenceId) -> Absence:
    """Return one absence; raise `NotFound`."""
    absence = await absence_store.absence_of(session, tenant_id, absence_id)
    if absence is None:
        noun = "absence"
        raise NotFound(noun)
    return absence


async def absences_after(
    session: ReadSession, *, tenant_id: TenantId, person_id: UUID | None, on: dt.date | None, after: UUID | None, limit: int
) -> list[Absence]:
    """Return absences that were not cancelled, in the order in which they were noted. Raises `NotFound` for an unknown person."""
    if person_id is not None:
        await people.person_of(session, tenant_id=tenant_id, person_id=PersonId(person_id))
    return await absence_store.absences_after(session, tenant_id, person_id, on, after, limit)


async def stands_in_for(session: ReadSession, tenant_id: TenantId, person_id: PersonId, on: dt.date) -> list[PersonId]:
    """Return those whose substitute a person is on a day."""
    return await absence_store.absent_behind(session, tenant_id, person_id, on)


async def _record(session: Session, clock: Clock, tenant_id: TenantId, actor: str, absence_id: AbsenceId, person_id: PersonId, verb: Verb) -> None:
    await events.record(
        session,
        clock,
        tenant_id=tenant_id,
        kind=f"absence.{verb}",
        subject_kind="absence",
        subject_id=absence_id,
        actor=actor,
        data={"person_id": str(person_id)},
    )
