"""Shapes of who looks after a customer, and of the rules that decide it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from pydantic import ConfigDict, Field

from dunning.collection.assignment_rule_store import RuleValues, StoredRule
from dunning.collection.assignment_store import Assignment
from dunning.collection.sharing import Answer, Asked, Move, Reached, WhyUnassigned
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
    """Whom the rules may move, whether to keep it, and where to go on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "collector", "mode": "reassign", "dry_run": True}]})

    role: AssignedRole = "collector"
    mode: Annotated[
        Literal["fill_gaps", "reassign"],
        Field(
            description="`fill_gaps`: only customers whom nobody looks after. `reassign`: also those who are with somebody whom the first rule that fits"
            " does not name; where no rule fits, a customer stays."
        ),
    ] = "fill_gaps"
    keep_by_hand: Annotated[bool, Field(description="With `reassign`: customers whom a person, not a rule, gave to somebody stay there.")] = True
    dry_run: Annotated[bool, Field(description="Answer who would move from whom to whom, and keep nothing.")] = False
    cursor: Annotated[str | None, Field(max_length=20_000, description="`next_cursor` of the answer before; ask otherwise the same.")] = None

    def asked(self) -> Asked:
        """Return it as the collection takes it."""
        return Asked(role=self.role, reassign=self.mode == "reassign", keep_by_hand=self.keep_by_hand, dry_run=self.dry_run)

    @property
    def list_name(self) -> str:
        """What its cursor belongs to: a page of one request is no page of another."""
        return f"apply_{self.role}_{self.mode}_{self.keep_by_hand}_{self.dry_run}"


def key_of(reached: Reached) -> tuple[str, str, str]:
    """Write how far a request came as the parts of a cursor."""
    return str(reached.after), json.dumps({str(person_id): count for person_id, count in reached.shares.items()}), json.dumps(dict(reached.left))


def reached_of(key: Sequence[str]) -> Reached:
    """Read the parts of a cursor."""
    after, shares, left = key
    return Reached(UUID(after), {UUID(person_id): count for person_id, count in json.loads(shares).items()}, json.loads(left))


class GotOut(Output):
    """How many customers a person got and lost."""

    person_id: UUID
    customers: int
    lost: int


class MoveOut(Output):
    """A customer that a rule gives to somebody; without `from_person_id` nobody had it. The open actions and disputes of whoever had it move along."""

    customer_id: UUID
    external_id: str
    name: str
    from_person_id: UUID | None
    from_person_name: str | None
    to_person_id: UUID
    to_person_name: str
    rule_id: UUID
    rule_name: str
    open_actions: int
    open_disputes: int
    url: str

    @classmethod
    def of(cls, move: Move) -> MoveOut:
        """Show a move."""
        return cls(
            customer_id=move.customer_id, external_id=move.external_id, name=move.name, from_person_id=move.from_id, from_person_name=move.from_name,
            to_person_id=move.to_id, to_person_name=move.to_name, rule_id=move.rule_id, rule_name=move.rule_name, open_actions=move.actions,
            open_disputes=move.disputes, url=f"/v1/customers/{move.customer_id}",
        )  # fmt: skip


class AppliedOut(Output):
    """What applying the rules came to. With a `next_cursor` there are more customers to look at: ask again with it.

    `assigned` counts all who got somebody, `left` those for whom nobody was found, by reason; `kept_by_hand` those who stay although a rule names
    others, because a person gave them to somebody.
    """

    dry_run: bool
    mode: str
    assigned: int
    by_person: list[GotOut]
    left: dict[str, int]
    kept_by_hand: int
    moves: list[MoveOut]
    next_cursor: str | None

    @classmethod
    def of(cls, asked: AssignmentsApply, answer: Answer, *, next_cursor: str | None) -> AppliedOut:
        """Show what came of it."""
        applied = answer.applied
        return cls(
            dry_run=asked.dry_run,
            mode=asked.mode,
            assigned=applied.assigned_count,
            by_person=[
                GotOut(person_id=person_id, customers=applied.assigned.get(person_id, 0), lost=applied.lost.get(person_id, 0))
                for person_id in sorted(applied.assigned.keys() | applied.lost.keys())
            ],
            left={str(why): count for why, count in sorted(applied.left.items())},
            kept_by_hand=applied.kept_by_hand,
            moves=[MoveOut.of(move) for move in answer.moves],
            next_cursor=next_cursor,
        )


class UnassignedOut(Output):
    """A customer for whom nobody leads, and why.

    `no_rules`: the ledger has none for the role; `no_rule_fits`; `nobody_active`: a rule fits, but all of its people have left; `not_applied`: a rule
    fits and gives the customer to somebody in the next night, or when rules are applied. Null for whoever sees only some customers, and so no rules.
    """

    customer_id: UUID
    external_id: str
    name: str
    country: str | None
    subdivision: str | None
    territory: str | None
    created_at: dt.datetime
    because: WhyUnassigned | None

    @classmethod
    def of(cls, row: asyncpg.Record, because: WhyUnassigned | None) -> UnassignedOut:
        """Show a customer."""
        return cls(**dict(row), because=because)


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
    """A person who looks, or looked, after a customer; `rule_id` names the rule that decided it. `author` is the name behind `actor`, who made it so."""

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
    author: str
    ended_by: str | None
    ended_by_name: str | None

    @classmethod
    def of(cls, assignment: Assignment, names: Mapping[str, str]) -> AssignmentOut:
        """Show an assignment with the names of those who made and ended it."""
        shown = {name: getattr(assignment, name) for name in cls.model_fields if name not in {"author", "ended_by_name"}}
        ended_by = assignment.ended_by
        return cls(**shown, author=names.get(assignment.actor, assignment.actor), ended_by_name=ended_by and names.get(ended_by, ended_by))


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
