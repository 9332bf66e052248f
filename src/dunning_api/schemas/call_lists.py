"""Shapes of call lists, of how they are ordered, and of putting customers on them."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from dunning.collection.call_lists import CallRow
from dunning.collection.call_tasks import AT_ONCE, TITLE, Calls, Result
from dunning.kit.ids import PersonId
from dunning_api.schemas.action_content import OVERRIDE, Title
from dunning_api.schemas.base import Input, LongText, MoneyOut, Output

_ID = "0198c0de-0000-7000-8000-000000000001"


class WeightOut(Output):
    """What a fact gives: `points` for each whole `per` of it, of which at most `most` count."""

    points: int
    per: int
    most: int


class PrioritiesOut(Output):
    """The weights by which calls are ordered."""

    amount: WeightOut
    age: WeightOut
    broken_promises: WeightOut
    silence: WeightOut
    steps: WeightOut


class PartOut(Output):
    """One part of a priority: the fact in its unit, and the points it gives."""

    name: str
    measure: int
    unit: str
    points: int


class PhoneOut(Output):
    """A number of one of the customer's contacts; `not_before` is the day from which the budget of that person allows a call, where it does not now."""

    contact_id: UUID
    name: str | None
    phone: str
    roles: list[str]
    language: str | None
    not_before: dt.date | None


class CallOut(Output):
    """A call that waits, and whose it is."""

    action_id: UUID
    origin: str
    step_code: str | None
    title: str | None
    text: str | None
    scheduled_on: dt.date
    person_id: UUID | None
    person_name: str | None


class LastContact(Output):
    """The last call, visit or meeting in which somebody was reached, letter, or mail, with the customer: the activity, or the action that told it."""

    activity_id: UUID | None
    action_id: UUID | None
    kind: str
    outcome: str | None
    text: str | None
    at: dt.datetime
    by: str | None


class CallListRow(Output):
    """A customer to call. `priority` is the sum of the points of its parts.

    With `not_before` the customer is not to be called until that day: `CONTACT_BUDGET`, it was contacted as often as the ledger allows. A call that is
    made all the same is logged like any other.

    `collector_id` is who leads the customer; `person_id` whose all of `calls` are, null where they are several people's or nobody's.
    """

    customer_id: UUID
    ledger_id: UUID
    external_id: str
    name: str
    language: str | None
    time_zone: str | None
    collector_id: UUID | None
    collector_name: str | None
    person_id: UUID | None
    person_name: str | None
    not_before: dt.date | None
    because: Literal["CONTACT_BUDGET"] | None
    priority: int
    parts: list[PartOut]
    overdue: list[MoneyOut]
    oldest_due_on: dt.date | None
    phones: list[PhoneOut]
    calls: list[CallOut]
    last_contact: LastContact | None
    url: str

    @classmethod
    def of(cls, one: CallRow) -> CallListRow:
        """Show a row."""
        row, ranked = one.row, one.ranked
        contact = None
        if row["contact_id"] is not None:
            contact = LastContact(
                activity_id=row["contact_id"] if row["contact_noun"] == "activity" else None,
                action_id=row["contact_id"] if row["contact_noun"] == "action" else None, kind=row["contact_kind"], outcome=row["contact_outcome"], text=row["contact_text"], at=row["contact_at"],
                by=one.contact_by or row["contact_actor"],
            )  # fmt: skip
        plain = {name: row[name] for name in ("customer_id", "ledger_id", "external_id", "name", "language", "time_zone", "collector_id", "collector_name")}
        calls = [CallOut.model_validate(call) for call in row["actions"]]
        whose = {(call.person_id, call.person_name) for call in calls}
        person_id, person_name = whose.pop() if len(whose) == 1 else (None, None)
        return cls(
            **plain, person_id=person_id, person_name=person_name, not_before=ranked.not_before, because="CONTACT_BUDGET" if ranked.not_before else None, priority=ranked.score, parts=[PartOut.model_validate(part) for part in ranked.parts],
            overdue=[MoneyOut.of(minor, currency) for currency, minor in ranked.facts.overdue], oldest_due_on=ranked.facts.oldest_due_on,
            phones=[
                PhoneOut(**{name: phone[name] for name in PhoneOut.model_fields if name != "not_before"}, not_before=one.phones_from.get(phone["contact_id"]))
                for phone in row["phones"]
            ],
            calls=calls,
            last_contact=contact, url=f"/v1/customers/{row['customer_id']}",
        )  # fmt: skip


class CallListPage(Output):
    """A page of a call list; `customers` is how many are on all of it, `not_yet` how many of them are not to be called on the day."""

    on: dt.date
    customers: int
    not_yet: int
    data: list[CallListRow]
    next_cursor: str | None


class CallTasksCreate(Input):
    """Whom to put on the phone list: customers, or those of chosen activities."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_ids": [_ID], "scheduled_on": None, "text": "Ask about the open invoices of March."}]})

    customer_ids: Annotated[list[UUID], Field(min_length=1, max_length=AT_ONCE)] | None = None
    activity_ids: Annotated[list[UUID], Field(min_length=1, max_length=AT_ONCE)] | None = None
    scheduled_on: dt.date | None = Field(None, description="Missing: today.")
    person_id: UUID | None = Field(None, description="Who calls, and looks after the customers too from then on; missing: the lead collector of each.")
    title: Title = TITLE
    text: LongText | None = None
    dry_run: bool = Field(default=False, description="Only say what would become of each.")
    override_contact_budget: bool = Field(default=False, description=OVERRIDE)

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.customer_ids is None and self.activity_ids is None:
            msg = "give customer_ids or activity_ids"
            raise ValueError(msg)
        return self

    def calls(self) -> Calls:
        """Return it as the collection takes it."""
        return Calls(
            customer_ids=self.customer_ids or [], activity_ids=self.activity_ids or [], scheduled_on=self.scheduled_on,
            person_id=None if self.person_id is None else PersonId(self.person_id), title=self.title, text=self.text, dry_run=self.dry_run,
            beyond_budget=self.override_contact_budget,
        )  # fmt: skip


class CallTaskResult(Output):
    """What became of one customer. `exists`: a call waits already for the day asked for or one before it, and `action_id` is that one; `ready` stands for created in a dry run."""

    customer_id: UUID | None
    activity_id: UUID | None
    outcome: Literal["created", "ready", "exists", "refused", "unknown"]
    action_id: UUID | None
    code: str | None
    detail: str | None


class CallTasksOut(Output):
    """What became of each."""

    dry_run: bool
    counts: dict[str, int]
    data: list[CallTaskResult]

    @classmethod
    def of(cls, results: list[Result], *, dry_run: bool) -> CallTasksOut:
        """Show the results."""
        counts: dict[str, int] = {}
        for one in results:
            counts[one.outcome] = counts.get(one.outcome, 0) + 1
        return cls(dry_run=dry_run, counts=counts, data=[CallTaskResult.model_validate(one) for one in results])
