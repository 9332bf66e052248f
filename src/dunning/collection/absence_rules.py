"""Who stands in for somebody who is away: the named substitute, or, when that one is away as well, the substitute's substitute, and so on. Pure.

Where the last one named is away and names nobody, the work stays with that one: somebody always sees it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

NEXT_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Away:
    """Days on which somebody is away, both included. One person is away once a day."""

    person_id: UUID
    substitute_id: UUID | None
    from_on: dt.date
    until_on: dt.date

    def includes(self, day: dt.date) -> bool:
        """Tell whether it includes a day."""
        return self.from_on <= day <= self.until_on


@dataclass(frozen=True, slots=True)
class StandsIn:
    """Days on which somebody stands in, both included; `person_id` None: nobody was named."""

    person_id: UUID | None
    from_on: dt.date
    until_on: dt.date


def named_on(absences: Iterable[Away], day: dt.date) -> dict[UUID, UUID | None]:
    """Return those who are away on a day, each with whom they name."""
    return {away.person_id: away.substitute_id for away in absences if away.includes(day)}


def stand_in(named: Mapping[UUID, UUID | None], person_id: UUID) -> UUID | None:
    """Return who stands in for somebody who is away; None where nobody was named."""
    last = named.get(person_id)
    passed = {person_id}
    while last is not None and last not in passed and (following := named.get(last)) is not None:
        passed.add(last)
        last = following
    return last


def behind(named: Mapping[UUID, UUID | None], person_id: UUID) -> set[UUID]:
    """Return all those for whom somebody stands in."""
    return {away for away in named if away != person_id and stand_in(named, away) == person_id}


def circle(absences: Collection[Away], new: Away) -> tuple[dt.date, Sequence[UUID]] | None:
    """Return the first day on which people would stand in for one another in a circle if one more were away, with those people; None: no day."""
    for day in _changes(absences, new):
        named = named_on(absences, day)
        passed = [new.person_id]
        following = new.substitute_id
        while following is not None and following not in passed:
            passed.append(following)
            following = named.get(following)
        if following == new.person_id:
            return day, passed
    return None


def stand_ins(absences: Collection[Away], away: Away) -> list[StandsIn]:
    """Return who stands in on which days of an absence, in order; days on which it is the same person are one entry."""
    days = _changes(absences, away)
    found: list[StandsIn] = []
    for day, following in zip(days, [*days[1:], away.until_on + NEXT_DAY], strict=True):
        who = stand_in({**named_on(absences, day), away.person_id: away.substitute_id}, away.person_id)
        begins = found.pop().from_on if found and found[-1].person_id == who else day
        found.append(StandsIn(who, begins, following - NEXT_DAY))
    return found


def overlapping(absences: Iterable[Away], new: Away) -> Away | None:
    """Return an absence of the same person that shares a day with a new one."""
    return next((one for one in absences if one.person_id == new.person_id and one.from_on <= new.until_on and new.from_on <= one.until_on), None)


def _changes(absences: Iterable[Away], within: Away) -> list[dt.date]:
    """Return the first day of an absence, and those days in it on which somebody else leaves or comes back."""
    days = {within.from_on} | {day for one in absences for day in (one.from_on, one.until_on + NEXT_DAY) if within.includes(day)}
    return sorted(days)
