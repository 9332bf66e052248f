"""Shapes of people, teams, the caller, absences, and of handing over."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field

from dunning.collection.absence_rules import StandsIn
from dunning.collection.absence_store import Absence
from dunning.collection.assignments import HandedOver
from dunning.kit.ids import PersonId, TeamId
from dunning.ledger.rows import Code, Email, ExternalId, Line, Words
from dunning.tenancy.people import actor_of
from dunning.tenancy.people_store import Person, PersonValues, Team
from dunning.tenancy.rules import RIGHTS, Role, Sees
from dunning_api.deps import Work
from dunning_api.schemas.base import Input, Language, Output

Phone = Annotated[str, Field(pattern=r"^[+0-9][0-9 ()./-]{2,39}$")]
_SEES = (
    "`all` customers; those of the `team` (without a team: own); `own`; `nothing`. Substitutes also see those of whom they stand in for. Missing: by the role."
)
EXAMPLE: dict[str, Any] = {
    "external_id": "P-17",
    "name": "Chiara Conti",
    "email": "chiara@acme.example",
    "phone": "+39 02 1234567",
    "role": "collector",
    "language": "it",
}


class PersonCreate(Input):
    """Somebody who works here."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    external_id: ExternalId | None = None
    name: Line
    email: Annotated[Email, Field(description="Names the person in the header `Dunning-Person`; notices to colleagues go there.")]
    phone: Phone | None = None
    role: Annotated[Role, Field(description="What the person may do; see `GET /v1/me`.")]
    sees: Annotated[Sees | None, Field(description=_SEES)] = None
    team_id: UUID | None = None
    language: Language | None = None

    def values(self) -> PersonValues:
        """Return it as the service takes it."""
        stated = {name: value for name, value in dict(self).items() if name != "sees"}
        return PersonValues(**stated, sees=self.sees or RIGHTS[self.role].sees, active=True)


class PersonUpdate(Input):
    """What may be changed; fields left out stay. Another role without `sees` takes the sight of that role."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"phone": "+39 02 7654321", "sees": "own"}]})

    external_id: ExternalId | None = None
    name: Line | None = None
    email: Email | None = None
    phone: Phone | None = None
    role: Role | None = None
    sees: Annotated[Sees | None, Field(description=_SEES)] = None
    team_id: UUID | None = None
    language: Language | None = None
    active: Annotated[bool | None, Field(description="False ends what the person may do, at once; customers and work must be handed over before.")] = None

    def changes(self) -> dict[str, Any]:
        """Return what is to be changed, by name."""
        given = self.given()
        for never_null in ("name", "email", "role", "sees", "active"):
            if given.get(never_null) is None:
                given.pop(never_null, None)
        if "role" in given and "sees" not in given:
            given["sees"] = RIGHTS[self.role or "viewer"].sees
        if given.get("team_id") is not None:
            given["team_id"] = TeamId(given["team_id"])
        return given


class PersonOut(Output):
    """A person."""

    person_id: UUID
    external_id: str | None
    name: str
    email: str
    phone: str | None
    role: str
    sees: str
    team_id: UUID | None
    language: str | None
    active: bool
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, person: Person) -> PersonOut:
        """Show a person."""
        return cls(**{name: getattr(person, name) for name in PersonOut.model_fields})


class MeOut(Output):
    """The caller: the key, the person it acts for, what may be done, and whether all customers are seen."""

    key_id: UUID
    actor: str
    person: PersonOut | None
    scopes: list[str]
    sees_all: bool
    sees_customers_of: list[UUID]

    @classmethod
    def of(cls, work: Work, person: Person | None) -> MeOut:
        """Show the caller."""
        return cls(
            key_id=work.key_id,
            actor=work.actor,
            person=None if person is None else PersonOut.of(person),
            scopes=sorted(work.scopes),
            sees_all=work.sight is None,
            sees_customers_of=list(work.sight or ()),
        )


class TeamCreate(Input):
    """People who see one another's customers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "north", "name": "Collectors north"}]})

    code: Code
    name: Line


class TeamUpdate(Input):
    """Another name for a team."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Collectors north and west"}]})

    name: Line


class TeamOut(Output):
    """A team."""

    team_id: UUID
    code: str
    name: str
    created_at: dt.datetime

    @classmethod
    def of(cls, team: Team) -> TeamOut:
        """Show a team."""
        return cls.model_validate(team)


class HandOver(Input):
    """Who takes over from somebody who leaves."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"to": ["01890a5d-ac96-774b-bcce-b302099a8057"], "reason": "Leaves at the end of the month."}]})

    to: Annotated[list[UUID], Field(max_length=100, description="One or several people, shared out by the fewest customers; empty when nothing is left.")]
    reason: Words | None = None


class ShareOut(Output):
    """What one person got."""

    person_id: UUID
    name: str
    customers: int
    actions: int
    disputes: int


class HandedOverOut(Output):
    """What was handed over, and the assignment rules that still name the person; such a rule passes over whoever is not active."""

    person: PersonOut
    customers: int
    actions: int
    disputes: int
    to: list[ShareOut]
    assignment_rule_ids: list[UUID]

    @classmethod
    def of(cls, done: HandedOver) -> HandedOverOut:
        """Show what was handed over."""
        return cls(
            person=PersonOut.of(done.person),
            customers=done.customers,
            actions=done.actions,
            disputes=done.disputes,
            to=[ShareOut.model_validate(share) for share in done.shares],
            assignment_rule_ids=list(done.rules),
        )


class AbsenceCreate(Input):
    """Days on which somebody is away, and who stands in."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"substitute_id": "01890a5d-ac96-774b-bcce-b302099a8057", "from_on": "2026-08-03", "until_on": "2026-08-21", "note": "Holidays"}]
        }
    )

    substitute_id: Annotated[UUID | None, Field(description="Sees the customers and the agenda meanwhile; null: nobody.")] = None
    from_on: dt.date
    until_on: Annotated[dt.date, Field(description="Last day, included.")]
    note: Line | None = None


class StandsInOut(Output):
    """Days on which somebody stands in, both included; null: nobody was named."""

    person_id: UUID | None
    name: str | None
    from_on: dt.date
    until_on: dt.date

    @classmethod
    def of(cls, one: StandsIn, names: Mapping[str, str]) -> StandsInOut:
        """Show who stands in."""
        name = None if one.person_id is None else names[actor_of(PersonId(one.person_id))]
        return cls(person_id=one.person_id, name=name, from_on=one.from_on, until_on=one.until_on)


class AbsenceOut(Output):
    """An absence. `stand_ins` says who really stands in on which days: where the substitute is away as well, the substitute's substitute does.

    `author` is the name behind `actor`, who noted it.
    """

    absence_id: UUID
    person_id: UUID
    person_name: str
    substitute_id: UUID | None
    substitute_name: str | None
    from_on: dt.date
    until_on: dt.date
    stand_ins: list[StandsInOut]
    note: str | None
    actor: str
    author: str
    created_at: dt.datetime
    cancelled_at: dt.datetime | None

    @classmethod
    def of(cls, absence: Absence, stand_ins: Sequence[StandsIn], names: Mapping[str, str]) -> AbsenceOut:
        """Show an absence."""
        shown = {name: getattr(absence, name) for name in cls.model_fields if name not in {"stand_ins", "author"}}
        return cls(**shown, author=names.get(absence.actor, absence.actor), stand_ins=[StandsInOut.of(one, names) for one in stand_ins])
