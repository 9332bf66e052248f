"""Shapes of who looks after a customer, and of the rules that decide it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from pydantic import ConfigDict, Field

from dunning.collection.assignment_rule_store import RuleValues, StoredRule
from dunning.collection.assignment_store import Assignment
from dunning.collection.sharing import Applied
from dunning.ledger.rows import CountryCode, ExternalId, Line, Tag, Words
from dunning_api.schemas.base import Input, Output

AssignedRole = Literal["collector", "account_manager"]
AmountText = Annotated[str, Field(pattern=r"^\d{1,15}(\.\d{1,4})?$", description="Decimal text in the ledger's currency.", examples=["10000.00"])]
SOMEBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


class Conditions(Input):
    """What a customer must fulfil, all of it; of a list, one value is enough. Empty: every customer."""

    countries: list[CountryCode] = Field(default_factory=list, max_length=300)
    subdivisions: list[Annotated[str, Field(pattern=r"^[A-Z0-9]{1,3}$")]] = Field(default_factory=list, max_length=300)
    territories: list[Line] = Field(default_factory=list, max_length=1000)
    groups: list[ExternalId] = Field(default_factory=list, max_length=1000, description="Codes of customer groups.")
    external_ids: list[ExternalId] = Field(default_factory=list, max_length=10_000, description="Your own ids of customers.")
    tags: list[Tag] = Field(default_factory=list, max_length=100)
    min_open_amount: Annotated[AmountText | None, Field(description="At least so much open debit in the ledger's currency.")] = None
    max_open_amount: Annotated[AmountText | None, Field(description="At most so much.")] = None


class RuleCreate(Input):
    """A rule that gives customers to somebody."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"rank": 10, "name": "Large customers in Italy", "person_ids": [SOMEBODY], "conditions": {"countries": ["IT"], "min_open_amount": "10000.00"}}
            ]
        }
    )

    rank: Annotated[int, Field(ge=1, le=1_000_000, description="Rules are asked from the lowest to the highest; the first that fits decides.")]
    name: Line
    role: AssignedRole = "collector"
    person_ids: Annotated[list[UUID], Field(min_length=1, max_length=100, description="Several share out customers: who has the fewest is next.")]
    conditions: Conditions = Conditions()
    active: bool = True

    def values(self) -> RuleValues:
        """Return it as the service takes it."""
        return RuleValues(
            rank=self.rank,
            name=self.name,
            role=self.role,
            person_ids=list(dict.fromkeys(self.person_ids)),
            conditions=self.conditions.model_dump(exclude_defaults=True),
            active=self.active,
        )


class RuleUpdate(Input):
    """What may be changed; fields left out stay. `conditions` are replaced as a whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rank": 20, "active": True}]})

    rank: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    name: Line | None = None
    person_ids: Annotated[list[UUID] | None, Field(min_length=1, max_length=100)] = None
    conditions: Conditions | None = None
    active: bool | None = None

    def changes(self) -> dict[str, Any]:
        """Return what is to be changed, by name."""
        given: dict[str, Any] = {name: value for name, value in self.given().items() if value is not None}
        if self.person_ids is not None:
            given["person_ids"] = list(dict.fromkeys(self.person_ids))
        if self.conditions is not None:
            given["conditions"] = self.conditions.model_dump(exclude_defaults=True)
        return given


class ConditionsOut(Output):
    """What a customer must fulfil."""

    countries: list[str]
    subdivisions: list[str]
    territories: list[str]
    groups: list[str]
    external_ids: list[str]
    tags: list[str]
    min_open_amount: str | None
    max_open_amount: str | None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> ConditionsOut:
        """Show conditions."""
        return cls(**Conditions.model_validate(dict(stored)).model_dump())


class RuleOut(Output):
    """A rule."""

    rule_id: UUID
    ledger_id: UUID
    rank: int
    name: str
    role: str
    person_ids: list[UUID]
    conditions: ConditionsOut
    active: bool
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, rule: StoredRule) -> RuleOut:
        """Show a rule."""
        shown = {name: getattr(rule, name) for name in cls.model_fields if name != "conditions"}
        return cls(**shown, conditions=ConditionsOut.of(rule.conditions))


class AssignmentsApply(Input):
    """Whether to keep what the rules give, and where to go on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "collector", "dry_run": True}]})

    role: AssignedRole = "collector"
    dry_run: Annotated[bool, Field(description="Answer who would get whom, and keep nothing.")] = False
    cursor: Annotated[str | None, Field(max_length=600, description="`next_cursor` of the answer before.")] = None


class GotOut(Output):
    """How many customers a person got."""

    person_id: UUID
    customers: int


class AppliedOut(Output):
    """What applying the rules came to. With a `next_cursor` there are more customers to look at: ask again with it."""

    dry_run: bool
    assigned: int
    by_person: list[GotOut]
    left: dict[str, int]
    next_cursor: str | None

    @classmethod
    def of(cls, applied: Applied, *, dry_run: bool, next_cursor: str | None) -> AppliedOut:
        """Show what came of it."""
        return cls(
            dry_run=dry_run,
            assigned=applied.assigned_count,
            by_person=[GotOut(person_id=person_id, customers=count) for person_id, count in sorted(applied.assigned.items())],
            left={str(why): count for why, count in sorted(applied.left.items())},
            next_cursor=next_cursor,
        )


class UnassignedOut(Output):
    """A customer for whom nobody leads."""

    customer_id: UUID
    external_id: str
    name: str
    country: str | None
    subdivision: str | None
    territory: str | None
    created_at: dt.datetime

    @classmethod
    def of(cls, row: asyncpg.Record) -> UnassignedOut:
        """Show a customer."""
        return cls(**dict(row))


class CollectorsPut(Input):
    """Who collects from a customer. Nobody: `lead_id` null and no others."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"lead_id": SOMEBODY, "other_ids": [], "reason": "Knows the family."}]})

    lead_id: UUID | None
    other_ids: list[UUID] = Field(default_factory=list, max_length=20)
    reason: Words | None = None


class AccountManagerPut(Input):
    """Who manages a customer's account; null: nobody."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"person_id": SOMEBODY, "reason": None}]})

    person_id: UUID | None
    reason: Words | None = None


class AssignmentOut(Output):
    """A person who looks, or looked, after a customer; `rule_id` names the rule that decided it."""

    assignment_id: UUID
    person_id: UUID
    person_name: str
    person_email: str
    person_active: bool
    role: str
    lead: bool
    origin: str
    rule_id: UUID | None
    reason: str | None
    from_on: dt.date
    ended_on: dt.date | None
    actor: str
    ended_by: str | None

    @classmethod
    def of(cls, assignment: Assignment, names: Mapping[str, str]) -> AssignmentOut:
        """Show an assignment with the names of those who made and ended it."""
        shown = {name: getattr(assignment, name) for name in cls.model_fields}
        ended_by = assignment.ended_by
        return cls(**shown | {"actor": names.get(assignment.actor, assignment.actor), "ended_by": ended_by and names.get(ended_by, ended_by)})


class CollectorsOut(Output):
    """Who looks after a customer: the lead collector, the account manager, all rows."""

    customer_id: UUID
    lead_id: UUID | None
    account_manager_id: UUID | None
    assignments: list[AssignmentOut]

    @classmethod
    def of(cls, customer_id: UUID, found: list[Assignment], names: Mapping[str, str]) -> CollectorsOut:
        """Show assignments."""
        leads = {a.role: a.person_id for a in found if a.lead and a.ended_on is None}
        return cls(
            customer_id=customer_id,
            lead_id=leads.get("collector"),
            account_manager_id=leads.get("account_manager"),
            assignments=[AssignmentOut.of(assignment, names) for assignment in found],
        )
