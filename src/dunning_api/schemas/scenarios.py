"""Shapes of scenarios: their content as code, drafts, published versions, findings."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, EmailStr, Field

from dunning.scenarios.linter import Finding, Severity
from dunning.scenarios.service import Publication, StoredScenario, StoredVersion
from dunning.scenarios.steps import (
    Audience,
    Channel,
    ContentMode,
    Grouping,
    Ladder,
    LateEntry,
    Mode,
    Netting,
    OperationKind,
    OperationWhen,
    ResetPolicy,
    Shift,
    TaskKind,
    TriggerKind,
)
from dunning_api.schemas.base import Input, MoneyIn, Output, Text

Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", examples=["claims"])]
Days = Annotated[int, Field(ge=0, le=3650)]
Offset = Annotated[int, Field(ge=-3650, le=3650)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
Minimums = Annotated[list[MoneyIn], Field(max_length=50, description="At most one amount a currency. Less than that is not reminded of.")]

_STEP: dict[str, Any] = {
    "rank": 10,
    "code": "01",
    "name": "Payment reminder",
    "mode": "automatic",
    "trigger": {"kind": "due_date", "offset_days": 1},
    "deadline_days": 7,
    "notices": [{"code": "main", "channel": "email", "template": "reminder-mild", "to_roles": ["dunning", "billing"]}],
}


class TriggerIn(Input):
    """From when a step may come, and until when."""

    kind: TriggerKind
    offset_days: Offset = 0
    until_days: Annotated[int | None, Field(ge=-3650, le=3650, description="Last day of the step's window, counted from the due date, inclusive.")] = None
    business_days: bool = False


class NoticeIn(Input):
    """Whom a step tells, how, and with which template."""

    code: Code
    channel: Channel = Channel.EMAIL
    template: Code
    to_roles: Annotated[list[Code], Field(min_length=1, max_length=20, description="Roles of contacts; the first that has an address is written to.")]
    audience: Audience = Audience.CUSTOMER
    content_mode: ContentMode = ContentMode.FULL
    primary: Annotated[bool, Field(description="Whether its acceptance completes the step; exactly one notice of a step is primary.")] = True
    copy_roles: Annotated[list[Code], Field(max_length=20, description="Own people who get a copy without the customer's link.")] = Field(default=[])
    fallback: Annotated[list[Channel], Field(max_length=10)] = Field(default=[])
    sender_name: Annotated[Text | None, Field(description="Who writes this step, instead of the ledger's sender; of the primary notice only.")] = None
    reply_to: Annotated[EmailStr | None, Field(description="Where answers to this step go, instead of the ledger's address.")] = None
    template_when_covered: Annotated[Code | None, Field(description="The template for customers whom a credit insurer covers; null: the same as for all.")] = (
        None
    )


class OperationIn(Input):
    """What a step does besides telling."""

    kind: OperationKind
    when: Annotated[
        OperationWhen | None,
        Field(
            description="`before_notice`: a person records it first, and only then the step's notice leaves. Left out: `completed` for block_account, else"
            " `executed`."
        ),
    ] = None
    params: Annotated[
        dict[str, Any],
        Field(
            description="`manual`: a person does it; `text`: what there is to do; `only_when_covered`: not for customers whom no credit insurer covers that day;"
            " further ones by kind. block_account: `degree`, `reason`, `release_when` (`settled`, `overdue_settled`, `by_hand`), and `when_returned`: whether"
            " it comes back when the payment that lifted it is returned, `block` (also when left out) or `leave`."
        ),
    ] = Field(default={})


class TaskIn(Input):
    """What a person must do."""

    kind: TaskKind
    text: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"\S")]


class ConditionsIn(Input):
    """What else must hold of the customer before the step comes. Counts and ages are those of the scenario's overdue items that may be shown."""

    min_overdue_items: Annotated[int | None, Field(ge=1, le=3650, description="At least so many overdue items.")] = None
    min_oldest_days: Annotated[int | None, Field(ge=1, le=3650, description="The oldest is overdue by at least so many days.")] = None
    tags_any: Annotated[list[Code], Field(max_length=20, description="The customer has at least one of these tags.")] = Field(default=[])
    tags_none: Annotated[list[Code], Field(max_length=20, description="The customer has none of these tags.")] = Field(default=[])


class StepIn(Input):
    """One step. Its code is stable over versions, its rank orders it."""

    rank: Annotated[int, Field(ge=0, le=10_000)]
    code: Code
    name: Name
    mode: Mode = Mode.AUTOMATIC
    trigger: TriggerIn
    grace_days: Days | None = None
    min_days_after_delivery: Days | None = None
    min_days_between_steps: Days | None = None
    repeat_every_days: Annotated[int | None, Field(ge=1, le=3650)] = None
    max_repeats: Annotated[int | None, Field(ge=1, le=366)] = None
    min_item: Minimums = Field(default=[])
    min_customer: Minimums = Field(default=[])
    deadline_days: Annotated[int | None, Field(ge=0, le=3650, description="The payment term the notice states: day of issue + n.")] = None
    consequence: Annotated[str | dict[str, str] | None, Field(description="What follows after the deadline: a text, or one for each language.")] = None
    show_not_due: bool = False
    notices: Annotated[list[NoticeIn], Field(max_length=20)] = Field(default=[])
    operations: Annotated[list[OperationIn], Field(max_length=20)] = Field(default=[])
    task: TaskIn | None = None
    conditions: ConditionsIn | None = None


class _Settings(Input):
    late_entry: LateEntry = LateEntry.FIRST_STEP
    grouping: Grouping = Grouping.CUSTOMER
    netting: Netting = Netting.NET
    spacing_days: Annotated[int | None, Field(ge=0, le=3650, description="Days between two contacts of a customer; null leaves it to the ledger.")] = None
    grace_days: Annotated[int | None, Field(ge=0, le=3650, description="Days past due that count as not late; null leaves it to the ledger.")] = None
    reset_policy: ResetPolicy = ResetPolicy.RESUME
    shift: Shift = Shift.NONE
    ladder: Annotated[
        Ladder,
        Field(
            description="`item`: each item climbs by its own dates. `lead_item`: the customer's oldest overdue item leads, the others take its step with it."
        ),
    ] = Ladder.ITEM
    min_item: Minimums = Field(default=[])
    min_customer: Minimums = Field(default=[])

    def content(self) -> dict[str, Any]:
        """Return what was given, as the scenario's own reader takes it."""
        return self.model_dump(mode="json", exclude_unset=True)


class ScenarioCreate(_Settings):
    """A scenario as code: what `GET /scenarios/{scenario_id}/content` answers can be sent here as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "mild", "name": "Mild reminders", "late_entry": "first_step", "steps": [_STEP]}]})

    code: Code
    name: Name
    steps: Annotated[list[StepIn], Field(max_length=100)]


class ScenarioUpdate(_Settings):
    """Top-level parts of the draft to replace; what is left out stays. Steps are replaced as a whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Mild reminders, two steps", "spacing_days": 3}]})

    name: Name | None = None
    steps: Annotated[list[StepIn] | None, Field(max_length=100)] = None

    def content(self) -> dict[str, Any]:
        """Return what was given; null is as good as left out for what cannot be null."""
        given = super().content()
        return {key: value for key, value in given.items() if value is not None or key in {"spacing_days", "grace_days"}}


class ScenarioOut(Output):
    """A scenario with its draft."""

    scenario_id: UUID
    code: str
    name: str
    draft: dict[str, Any]
    draft_revision: int
    published_version: int | None
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, stored: StoredScenario) -> ScenarioOut:
        """Show a scenario."""
        return cls.model_validate(stored)


class ScenarioVersionOut(Output):
    """A published version, which never changes. `template_versions` names the template versions its notices use."""

    scenario_id: UUID
    version: int
    content: dict[str, Any]
    template_versions: dict[str, TemplateVersionRef]
    content_sha256: str
    published_by: str
    published_at: dt.datetime

    @classmethod
    def of(cls, stored: StoredVersion) -> ScenarioVersionOut:
        """Show a version."""
        return cls(
            scenario_id=stored.scenario_id,
            version=stored.version,
            content=stored.content,
            template_versions={
                code: TemplateVersionRef(template_id=template_id, version=version) for code, (template_id, version) in stored.template_versions.items()
            },
            content_sha256=stored.content_sha256.hex(),
            published_by=stored.published_by,
            published_at=stored.published_at,
        )


class TemplateVersionRef(Output):
    """One version of a template."""

    template_id: UUID
    version: int


class FindingOut(Output):
    """Something to change: an `error` forbids publishing, a `warning` does not."""

    severity: Severity
    code: str
    path: str
    message: str

    @classmethod
    def of(cls, finding: Finding) -> FindingOut:
        """Show a finding."""
        return cls(severity=finding.severity, code=finding.code, path=finding.path, message=finding.message)


class FindingsOut(Output):
    """All findings, errors first."""

    publishable: bool
    findings: list[FindingOut]

    @classmethod
    def of(cls, findings: list[Finding]) -> FindingsOut:
        """Show findings."""
        return cls(publishable=all(f.severity is not Severity.ERROR for f in findings), findings=[FindingOut.of(f) for f in findings])


class ConcernOut(Output):
    """Open items for which the new version changes where they stand.

    `code_gone`: the step they reached is gone, they count as having reached `counts_as` (null: as new). `steps_added`: `steps` are new below their place
    and will be skipped. `item_ids` names the first 100 of `count`.
    """

    kind: str
    reached: str
    counts_as: str | None
    steps: list[str]
    count: int
    item_ids: list[UUID]


class PublicationOut(Output):
    """What publishing did. `is_new` is false when nothing had changed since the version in force."""

    version: ScenarioVersionOut
    is_new: bool
    warnings: list[FindingOut]
    open_items: int
    concerned: list[ConcernOut]
    ledgers_planned_again: int

    @classmethod
    def of(cls, made: Publication) -> PublicationOut:
        """Show a publication."""
        return cls(
            version=ScenarioVersionOut.of(made.version),
            is_new=made.is_new,
            warnings=[FindingOut.of(finding) for finding in made.warnings],
            open_items=made.open_items,
            concerned=[
                ConcernOut(
                    kind=c.kind, reached=c.reached, counts_as=c.counts_as, steps=list(c.steps), count=c.count, item_ids=[UUID(i) for i in c.item_ids[:100]]
                )
                for c in made.concerned
            ],
            ledgers_planned_again=made.ledgers_planned_again,
        )
