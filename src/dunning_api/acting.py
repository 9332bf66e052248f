"""Acting for a person: an API key that is bound to somebody, or one that names somebody in a header, has that person's rights, sight and name.

A key without either is the company's own software: it does what its scopes allow and sees everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from dunning.collection import absences
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession
from dunning.kit.errors import Forbidden, Unauthenticated
from dunning.kit.ids import PersonId, TenantId
from dunning.tenancy import people, people_store
from dunning.tenancy.people_store import Person
from dunning.tenancy.rules import Role, scopes_of, with_implied
from dunning.tenancy.service import Key

HEADER = "Dunning-Person"
LONGEST = 254
"""Characters of an e-mail address."""


class PersonLeft(Forbidden):
    """The person does not work here any more."""

    code = "person_inactive"
    title = "The person is not active"


class KeyOfALeaver(Unauthenticated):
    """The person to whom the key belongs does not work here any more."""

    code = "person_inactive"
    title = "The person of this key is not active"


class UnknownPerson(Forbidden):
    """Nobody here has this id or address."""

    code = "unknown_person"
    title = "Nobody of this name works here"


@dataclass(frozen=True, slots=True)
class Acting:
    """What a key may do in a request, as whom, and whose customers it sees: None is everybody's."""

    actor: str
    scopes: frozenset[str]
    person_id: PersonId | None = None
    role: Role | None = None
    sight: tuple[PersonId, ...] | None = None


async def acting(session: ReadSession, clock: Clock, *, tenant_id: TenantId, key: Key, named: str | None) -> Acting:
    """Return as whom a key acts, where a request names somebody by id or e-mail address, or the key belongs to somebody; else as itself.

    Raises `PersonLeft` or `KeyOfALeaver` for somebody who is not active, `UnknownPerson`, and `Forbidden` where the key may not act for anybody, or
    only for another.
    """
    if named is None and key.person_id is None:
        return Acting(f"key:{key.name}", with_implied(key.scopes))
    person = await _person(session, tenant_id, key, named)
    if not person.active:
        msg = f"{person.name} does not work here any more."
        raise KeyOfALeaver(f"{msg} The key has ended with it.") if key.person_id is not None else PersonLeft(f"{msg} Name somebody who is active.")
    sight = None if person.sees == "all" else await _sight(session, clock, tenant_id, person)
    return Acting(people.actor_of(person.person_id), scopes_of(person.role, key.scopes), person.person_id, person.role, sight)


async def _person(session: ReadSession, tenant_id: TenantId, key: Key, named: str | None) -> Person:
    if named is None:
        assert key.person_id is not None, "one of the two is given"  # noqa: S101  # tells the type checker
        return await people.person_of(session, tenant_id=tenant_id, person_id=key.person_id)
    if key.person_id is None and "act_for" not in key.scopes:
        msg = f"This API key may not act for a person: leave out the header `{HEADER}`, or use a key with the scope `act_for`."
        raise Forbidden(msg, scope="act_for")
    found = await _named(session, tenant_id, named)
    if found is None:
        msg = f"The header `{HEADER}` names nobody of this tenant. Send the id or the e-mail address of a person; `GET /v1/people` lists them."
        raise UnknownPerson(msg)
    if key.person_id is not None and key.person_id != found.person_id:
        msg = f"This API key belongs to another person and acts for nobody else: leave out the header `{HEADER}`."
        raise Forbidden(msg)
    return found


async def _named(session: ReadSession, tenant_id: TenantId, named: str) -> Person | None:
    if len(named) > LONGEST:
        return None
    if "@" in named:
        return await people_store.person_with_mail(session, tenant_id, named)
    try:
        person_id = PersonId(UUID(named))
    except ValueError:
        return None
    return await people_store.person_of(session, tenant_id, person_id)


async def _sight(session: ReadSession, clock: Clock, tenant_id: TenantId, person: Person) -> tuple[PersonId, ...]:
    """Return whose customers somebody sees: their own, their team's where they see that, and those of whom they stand in for today."""
    if person.sees == "nothing":
        return ()
    mates = await people_store.members_of(session, tenant_id, person.team_id) if person.sees == "team" and person.team_id is not None else []
    absent = await absences.stands_in_for_now(session, clock, tenant_id=tenant_id, person_id=person.person_id)
    return tuple(dict.fromkeys([person.person_id, *mates, *absent]))
