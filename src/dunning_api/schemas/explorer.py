"""Shapes of the customer explorer and of acting on many customers."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Annotated, Literal, Self
from uuid import UUID

import asyncpg
from pydantic import ConfigDict, Field, model_validator

from dunning.collection.call_tasks import TITLE, Calls
from dunning.collection.customer_bulk import AT_ONCE, Act, CustomerBulk, Results
from dunning.collection.explorer import Search
from dunning.collection.explorer_store import CustomerFilter
from dunning.collection.specific_rules import Content, NewSpecific
from dunning.kit.ids import PersonId, TeamId
from dunning.ledger.rules import search_form
from dunning_api.schemas.action_content import ModelContent, Title, Wording, stated
from dunning_api.schemas.base import Input, LongText, MoneyIn, MoneyOut, Output


class OwedOut(Output):
    """What a customer owes in one currency. `disputed` is a part of the two others."""

    currency: str
    overdue: MoneyOut
    not_due: MoneyOut
    disputed: MoneyOut


class LastAction(Output):
    """What was done last: an activity, or an action that was carried out."""

    kind: Literal["activity", "action"]
    id: UUID
    what: str
    at: dt.datetime | None
    url: str


class NextAction(Output):
    """The live action that comes first."""

    action_id: UUID
    kind: str
    task_kind: str | None
    step_code: str | None
    title: str | None
    state: str
    scheduled_on: dt.date
    url: str


class ExplorerRow(Output):
    """A customer with what it owes, where it stands, and who looks after it."""

    customer_id: UUID
    ledger_id: UUID
    external_id: str
    name: str
    country: str | None
    territory: str | None
    tags: list[str]
    group_code: str | None
    owed: list[OwedOut]
    open_items: int
    oldest_due_on: dt.date | None
    days_overdue: int
    step_code: str | None
    statuses: list[str]
    block_degree: str | None
    collector_id: UUID | None
    collector_name: str | None
    last_action: LastAction | None
    next_action: NextAction | None
    url: str
    items_url: Annotated[str, Field(description="The open items that the sums are made of.")]

    @classmethod
    def of(cls, row: asyncpg.Record) -> ExplorerRow:
        """Show a customer."""
        plain = ("customer_id", "ledger_id", "external_id", "name", "country", "territory", "tags", "group_code", "oldest_due_on", "step_code", "statuses")
        owed = [
            OwedOut(
                currency=currency, overdue=MoneyOut.of(overdue or 0, currency), not_due=MoneyOut.of(not_due or 0, currency),
                disputed=MoneyOut.of(disputed or 0, currency),
            )
            for currency, overdue, not_due, disputed in row["sums"]
        ]  # fmt: skip
        last = following = None
        if row["last_id"] is not None:
            noun = "activities" if row["last_kind"] == "activity" else "actions"
            last = LastAction(kind=row["last_kind"], id=row["last_id"], what=row["last_what"], at=row["last_at"], url=f"/v1/{noun}/{row['last_id']}")
        if row["next_id"] is not None:
            following = NextAction(
                action_id=row["next_id"], kind=row["next_kind"], task_kind=row["next_task_kind"], step_code=row["next_step_code"], title=row["next_title"],
                state=row["next_state"], scheduled_on=row["next_on"], url=f"/v1/actions/{row['next_id']}",
            )  # fmt: skip
        oldest = row["oldest_due_on"]
        return cls(
            **{name: row[name] for name in plain}, owed=owed, open_items=row["items"],
            days_overdue=0 if oldest is None else max(0, (row["today"] - oldest).days), block_degree=row["block_degree"], collector_id=row["person_id"],
            collector_name=row["person_name"], last_action=last, next_action=following, url=f"/v1/customers/{row['customer_id']}",
            items_url=f"/v1/ledgers/{row['ledger_id']}/items?customer={row['customer_id']}&state=open&direction=debit",
        )  # fmt: skip


class ExplorerFilter(Input):
    """Which customers; the same conditions as the list's."""

    ledger_id: UUID | None = None
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    overdue_days_gte: Annotated[int, Field(ge=0, le=36_500)] | None = None
    overdue_amount_gte: MoneyIn | None = None
    without_action_since: dt.date | None = None
    action_type: Annotated[str, Field(max_length=60)] | None = None
    step: Annotated[str, Field(max_length=100)] | None = None
    status: Annotated[str, Field(max_length=60)] | None = None
    collector: UUID | None = None
    team: UUID | None = None
    unassigned: bool = False
    group: Annotated[str, Field(max_length=200)] | None = None
    tag: Annotated[str, Field(max_length=200)] | None = None
    blocked: bool | None = None
    next_action_before: dt.date | None = None

    @model_validator(mode="after")
    def _not_all(self) -> Self:
        if not self.model_fields_set:
            msg = "state at least one condition; to act on everybody, name the ledger"
            raise ValueError(msg)
        return self

    def search(self) -> Search:
        """Return it as the collection takes it."""
        money = None if self.overdue_amount_gte is None else self.overdue_amount_gte.money
        where = CustomerFilter(
            name_prefix=None if self.name is None else search_form(self.name), overdue_days=self.overdue_days_gte,
            overdue_minor=None if money is None else money.minor, currency=None if money is None else money.currency,
            without_action_since=self.without_action_since, action_type=self.action_type, step_code=self.step, status_code=self.status,
            unassigned=self.unassigned, group_code=self.group, tag=self.tag, blocked=self.blocked, next_action_before=self.next_action_before,
        )  # fmt: skip
        return Search(
            where=where, ledger_id=self.ledger_id, person_id=None if self.collector is None else PersonId(self.collector),
            team_id=None if self.team is None else TeamId(self.team),
        )  # fmt: skip


class BulkAction(Input):
    """The action that each customer gets over all of its open items that no specific action has."""

    title: Title
    content: ModelContent
    mode: Literal["automatic", "approve", "manual"] = "manual"
    origin: Literal["specific", "ad_hoc"] = "specific"
    scheduled_on: dt.date | None = None
    person_id: UUID | None = None

    def new(self) -> NewSpecific:
        """Return it as the collection takes it."""
        return NewSpecific(
            title=self.title, content=Content.read(stated(self.content)), mode=self.mode, origin=self.origin, scheduled_on=self.scheduled_on,
            person_id=self.person_id,
        )  # fmt: skip


class CustomersBulk(Input):
    """What is done to which customers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"act": "call_task", "filter": {"overdue_days_gte": 30, "action_type": "call", "without_action_since": "2026-02-01"}, "dry_run": True}]
        }
    )

    act: Act
    customer_ids: Annotated[list[UUID], Field(min_length=1, max_length=AT_ONCE, description="The customers; or give a filter.")] | None = None
    filter: ExplorerFilter | None = Field(None, description=f"The customers that it finds, by name, at most {AT_ONCE:,} a request; go on with `cursor`.")
    cursor: Annotated[str, Field(max_length=600, description="`next_cursor` of the request before, with the same filter.")] | None = None
    message: Wording | None = Field(None, description="Of `send_template`: its template and your own words.")
    origin: Literal["ad_hoc", "specific"] = Field(
        "ad_hoc",
        description="Of `send_template`: `ad_hoc` stands beside the scenario; `specific` takes the items out of it until it ends and counts as a contact.",
    )
    action: BulkAction | None = Field(None, description="Of `create_action`.")
    person_id: UUID | None = Field(None, description="Of `assign`: the lead collector; null: nobody. Of `call_task`: who calls.")
    reason: LongText | None = Field(None, description="Of `hold` and `assign`.")
    until_on: dt.date | None = Field(None, description="Last day of `hold`; missing: until it is released.")
    scheduled_on: dt.date | None = Field(None, description="Of `call_task`; missing: today.")
    text: LongText | None = Field(None, description="Of `call_task`: what about.")
    dry_run: bool = Field(default=False, description="Write nothing: only say what would become of each, and show the first of them.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.customer_ids is None) == (self.filter is None):
            msg = "give either customer_ids or filter"
            raise ValueError(msg)
        if self.cursor is not None and self.filter is None:
            msg = "cursor: goes with filter"
            raise ValueError(msg)
        needed = {"send_template": ("message", self.message), "create_action": ("action", self.action), "hold": ("reason", self.reason)}
        name, given = needed.get(self.act, ("", self.act))
        if given is None:
            msg = f"{name}: {self.act} asks for it"
            raise ValueError(msg)
        if self.act == "assign" and "person_id" not in self.model_fields_set:
            msg = "person_id: name the lead collector, or null"
            raise ValueError(msg)
        return self

    @property
    def sends(self) -> bool:
        """Whether a message may leave by it."""
        return self.act == "send_template" or (self.action is not None and self.action.new().sends)

    def bulk(self, after: tuple[str, UUID] | None) -> CustomerBulk:
        """Return it as the collection takes it, past the place that its cursor names."""
        person_id = None if self.person_id is None else PersonId(self.person_id)
        return CustomerBulk(
            act=self.act, customer_ids=self.customer_ids, search=None if self.filter is None else self.filter.search(), after=after,
            content=None if self.message is None else Content.read(stated(self.message)), origin=self.origin, new=None if self.action is None else self.action.new(),
            calls=Calls(scheduled_on=self.scheduled_on, person_id=person_id, title=TITLE, text=self.text), person_id=person_id, reason=self.reason,
            until_on=self.until_on, dry_run=self.dry_run,
        )  # fmt: skip


class CustomerBulkResult(Output):
    """What became of one customer: `done`, in a dry run `ready`; all others say why in `code`.

    `by_hand`: its action is made, but nobody can be told by mail, so that it becomes a task. `exists`: the call waits already, or the same hold is in force. `refused`: nothing was done.
    """

    customer_id: UUID
    outcome: Literal["done", "ready", "by_hand", "exists", "refused", "unknown"]
    action_id: UUID | None
    code: str | None
    detail: str | None


class CustomersBulkOut(Output):
    """What became of each, counted by outcome and by code. A dry run counts what the act would do as things stand, and shows the first customers.

    What is sent is carried out by the worker after this answer: `GET /v1/customers/bulk/{bulk_id}` tells how far it is. `next_cursor` goes on with the filter.
    """

    act: str
    dry_run: bool
    bulk_id: UUID | None
    counts: dict[str, int]
    codes: dict[str, int]
    next_cursor: str | None
    first: list[ExplorerRow]
    data: list[CustomerBulkResult]

    @classmethod
    def of(cls, body: CustomersBulk, done: Results, next_cursor: str | None) -> CustomersBulkOut:
        """Show the results."""
        return cls(
            act=body.act, dry_run=body.dry_run, bulk_id=done.bulk_id, counts=Counter(one.outcome for one in done.results),
            codes=Counter(one.code for one in done.results if one.code is not None), next_cursor=next_cursor,
            first=[ExplorerRow.of(row) for row in done.first], data=[CustomerBulkResult.model_validate(one) for one in done.results],
        )  # fmt: skip


class CustomersBulkProgress(Output):
    """How far what an act on many customers has made has come: its actions by state, why they stand as they do, and its messages by state.

    `under_way` are those that have yet to be carried out or to hear what became of their mail; with none left, the act is `finished`.
    """

    bulk_id: UUID
    title: str
    origin: str
    created_at: dt.datetime
    actions: int
    states: dict[str, int]
    reasons: dict[str, int]
    messages: dict[str, int]
    under_way: int
    finished: bool

    @classmethod
    def of(cls, bulk_id: UUID, row: asyncpg.Record) -> CustomersBulkProgress:
        """Show the progress."""
        under_way = sum(row["states"].get(state, 0) for state in ("scheduled", "executed"))
        return cls(bulk_id=bulk_id, under_way=under_way, finished=under_way == 0, **dict(row))
