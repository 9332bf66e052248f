"""Absences with their substitutes: who sees and does the work of somebody who is away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from dunning.collection import absence_rules, absence_store
from dunning.collection.absence_rules import Away, StandsIn
from dunning.collection.absence_store import Absence
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound
from dunning.kit.ids import AbsenceId, PersonId, TenantId, new_id
from dunning.tenancy import people
from dunning.tenancy.people_store import Person
from dunning.tenancy.rules import may_do_the_work_of

Verb = Literal["created", "cancelled"]


class AwayAlready(Conflict):
    """The person is away on some of the days already."""

    code = "absence_overlaps"
    title = "Away already"


class SubstitutesInACircle(Conflict):
    """People who are away would stand in for one another, so nobody would."""

    code = "substitutes_in_a_circle"
    title = "Substitutes stand in for one another"


class SubstituteMayNot(Conflict):
    """The substitute's role does not allow the work."""

    code = "substitute_may_not"
    title = "The substitute may not do the work"


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

    Raises `NotFound` for unknown people, `Malformed` for days in the wrong order, `Conflict` for a substitute who does not work here any more,
    `SubstituteMayNot`, `AwayAlready`, and `SubstitutesInACircle`.
    """
    if until_on < from_on:
        msg = "until_on: the last day lies before from_on."
        raise Malformed(msg)
    if substitute_id == person_id:
        msg = "substitute_id: nobody stands in for themselves; name somebody else or leave it out."
        raise Malformed(msg)
    person = await people.person_of(session, tenant_id=tenant_id, person_id=person_id)
    if substitute_id is not None:
        found = await people.active_ones(session, tenant_id=tenant_id, person_ids={substitute_id})
        _may_stand_in(found[substitute_id], person)
    await absence_store.lock_absences(session, tenant_id)
    _fits_in(await absence_store.absences_between(session, tenant_id, from_on, until_on), Away(person_id, substitute_id, from_on, until_on), person)
    absence_id = AbsenceId(new_id())
    await absence_store.insert_absence(session, tenant_id, absence_id, person_id, substitute_id, from_on, until_on, note, actor)
    await _record(session, clock, tenant_id, actor, absence_id, person_id, "created")
    return await absence_of(session, tenant_id=tenant_id, absence_id=absence_id)


def _may_stand_in(substitute: Person, person: Person) -> None:
    if not may_do_the_work_of(substitute.role, person.role):
        msg = f"substitute_id: {substitute.name} is {substitute.role} and may not do the work of a {person.role}. Name somebody whose role allows it."
        raise SubstituteMayNot(msg, role=substitute.role, needed=person.role)


def _fits_in(noted: Sequence[Absence], new: Away, person: Person) -> None:
    """Raise where somebody would be away twice at once, or people would stand in for one another in a circle."""
    absences = [one.away for one in noted]
    twice = absence_rules.overlapping(absences, new)
    if twice is not None:
        same = next(one for one in noted if one.away == twice)
        msg = f"{person.name} is away from {twice.from_on} to {twice.until_on} already. Cancel that absence first, or state other days."
        raise AwayAlready(msg, absence_id=str(same.absence_id), from_on=twice.from_on.isoformat(), until_on=twice.until_on.isoformat())
    found = absence_rules.circle(absences, new)
    if found is not None:
        day, people_ids = found
        names: dict[UUID, str] = {**{one.person_id: one.person_name for one in noted}, person.person_id: person.name}
        chain = " for ".join(names[one] for one in [people_ids[0], *reversed(people_ids)])
        msg = f"On {day} they would stand in for one another in a circle: {chain}. Name somebody who is there, or nobody."
        raise SubstitutesInACircle(msg, on=day.isoformat(), person_ids=[str(one) for one in people_ids])


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
    """Return those for whom a person stands in on a day, also in the stead of others who are away."""
    named = absence_rules.named_on([one.away for one in await absence_store.absences_between(session, tenant_id, on, on)], on)
    return sorted(map(PersonId, absence_rules.behind(named, person_id)), key=lambda one: one.bytes)


async def stands_in_for_now(session: ReadSession, clock: Clock, *, tenant_id: TenantId, person_id: PersonId) -> list[PersonId]:
    """Return those for whom a person stands in now, by the local day of any of the tenant's ledgers."""
    days = await absence_store.named_now(session, tenant_id, clock.now())
    return sorted({PersonId(away) for named in days for away in absence_rules.behind(named, person_id)}, key=lambda one: one.bytes)


async def stand_ins_of(session: ReadSession, *, tenant_id: TenantId, absences: Sequence[Absence]) -> dict[AbsenceId, list[StandsIn]]:
    """Return who stands in on which days of some absences, as things are noted now. One statement, none for no absences."""
    if not absences:
        return {}
    noted = await absence_store.absences_between(session, tenant_id, min(one.from_on for one in absences), max(one.until_on for one in absences))
    others = [one.away for one in noted]
    return {one.absence_id: absence_rules.stand_ins([away for away in others if away.person_id != one.person_id], one.away) for one in absences}


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
