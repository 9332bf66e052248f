"""Shapes of actions that people make: what is told or asked, after which pattern, and what follows."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, EmailStr, Field, model_validator

from dunning.collection.patterns import Source
from dunning.collection.replacing import Succession
from dunning.collection.specific_rules import TITLE_CAP, Content
from dunning.kit.ids import ActionId, ModelId, ScenarioId
from dunning.messages.personal import SUBJECT_CAP, TEXT_CAP
from dunning_api.schemas.base import Input, LongText

Code = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
RoleName = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[a-z][a-z0-9_]*$", examples=["billing"])]
ChannelName = Literal["email", "pec", "sms", "letter", "registered_letter", "call", "counsel"]
ContentModeName = Literal["full", "link_only"]
TaskName = Literal["call", "letter", "pec", "counsel", "checkpoint", "other"]
ModeName = Literal["automatic", "approve", "manual"]
Title = Annotated[str, Field(min_length=1, max_length=TITLE_CAP, description="A few words that stand in lists.", examples=["Call about invoice 1001"])]
ItemIds = Annotated[list[UUID], Field(min_length=1, max_length=1000, description="Open items of one customer.")]

WORDS = "Placeholders may stand in it, as `#items_amount_selected` or `{{items_amount_selected}}`."
Subject = Annotated[str, Field(min_length=1, max_length=SUBJECT_CAP, description=f"Your own subject instead of the template's. {WORDS}")]
OwnText = Annotated[str, Field(min_length=1, max_length=TEXT_CAP, description=f"Your own text, which stands where the template has `personal_text`. {WORDS}")]


OVERRIDE = "Whether it may go beyond the ledger's contact budget. Needs the scope `budget:override`."
ContactIds = Annotated[list[UUID], Field(max_length=50, description="Contacts of the customer, instead of roles.")]


class Wording(Input):
    """A message to whoever has a role: with which template, and your own words in it."""

    template: Code | None = Field(None, description="Code of a published template; missing: `specific_action`, or `internal-request` to colleagues.")
    content_mode: ContentModeName = Field("full", description="`link_only` shows neither amounts nor documents.")
    subject: Subject | None = None
    text: OwnText | None = None
    to_roles: Annotated[list[RoleName], Field(max_length=20, description="The first role that anybody has is told; missing: dunning, billing.")] = Field(
        default_factory=list
    )
    copy_roles: Annotated[list[RoleName], Field(max_length=20, description="Colleagues who get a copy.")] = Field(default_factory=list)
    deadline_days: (
        Annotated[
            int,
            Field(
                ge=0, le=365, description="Days of the payment term that is stated. Of an action that replaces another one, missing: those of the replaced one."
            ),
        ]
        | None
    ) = None


class ModelContent(Wording):
    """What an action tells whom (`notice`), or what somebody has to do (`task`), about any customer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "task", "task_kind": "call", "task_text": "Ask when it will be paid."}]})

    kind: Literal["notice", "task"] = "notice"
    channel: ChannelName = Field("email", description="Anything but e-mail becomes a task for somebody, with the claim ready.")
    audience: Literal["customer", "internal"] = Field("customer", description="`internal`: colleagues only; the mail leads to a page to take charge and reply.")
    to_emails: Annotated[list[EmailStr], Field(max_length=20, description="Colleagues by address, in the company's own domains; internal only.")] = Field(
        default_factory=list
    )
    task_kind: TaskName | None = None
    task_text: LongText | None = None


class ActionContent(ModelContent):
    """What an action tells whom (`notice`), or what somebody has to do (`task`)."""

    contact_ids: ContactIds = Field(default_factory=list)


def stated(body: Input) -> dict[str, Any]:
    """Return the fields of a content that were given, as they are stored."""
    return {name: [str(one) for one in value] if isinstance(value, list) else value for name, value in body.given().items()}


class CopyFrom(Input):
    """What the action is copied from: one of a model, an action, or a step. What you state beside it wins; the source is not changed."""

    model_id: UUID | None = None
    action_id: UUID | None = None
    scenario_id: UUID | None = None
    step_code: Annotated[str, Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = [self.model_id is not None, self.action_id is not None, self.scenario_id is not None]
        if sum(kinds) != 1 or (self.scenario_id is None) != (self.step_code is None):
            msg = "name one source: model_id, or action_id, or scenario_id with step_code"
            raise ValueError(msg)
        return self

    def source(self) -> Source:
        """Return the source."""
        return Source(
            model_id=None if self.model_id is None else ModelId(self.model_id),
            action_id=None if self.action_id is None else ActionId(self.action_id),
            scenario_id=None if self.scenario_id is None else ScenarioId(self.scenario_id),
            step_code=self.step_code,
        )


class ActionTerms(Input):
    """What an action is made of, how it goes, and what follows; all of it may come from what it is copied from."""

    copy_from: CopyFrom | None = None
    title: Title | None = None
    content: ActionContent | None = None
    mode: ModeName | None = Field(
        None,
        description="`automatic` goes by itself at its date (a task never does), `approve` waits for approval, `manual` never goes by itself. Missing: as what "
        "it is copied from, but `approve` where that is `automatic`, so that no copy goes by itself unasked; copied from nothing, `manual`.",
    )
    scheduled_on: dt.date | None = Field(None, description="Its day; missing: now.")
    afterwards: Literal["resume", "step"] | None = Field(
        None, description="Once it has ended, its items follow the scenario from where they were, or from a step."
    )
    afterwards_step_code: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    counts_as_step: Annotated[str, Field(min_length=1, max_length=100, description="A step that its items complete with it; missing: none.")] | None = None
    person_id: UUID | None = Field(
        None,
        description="Who does it, and looks after the customer too from then on; missing: the lead collector. Somebody whose role or sight cannot do it is 409.",
    )
    override_contact_budget: bool = Field(default=False, description=OVERRIDE)

    def source(self) -> Source | None:
        """Return what it is copied from."""
        return None if self.copy_from is None else self.copy_from.source()

    def terms(self) -> dict[str, Any]:
        """Return what was given of title, mode, day and what follows."""
        given = {name: value for name, value in self.given().items() if value is not None and name in _TERMS}
        return given | {"beyond_budget": True} if self.override_contact_budget else given

    def stated_content(self) -> dict[str, Any]:
        """Return what was given of the content."""
        return {} if self.content is None else stated(self.content)


_TERMS = frozenset({"title", "mode", "scheduled_on", "afterwards", "afterwards_step_code", "counts_as_step", "person_id"})


class ActionCreate(ActionTerms):
    """An action outside the scenario."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "item_ids": ["01946a5e-0000-7000-8000-000000000001"],
                    "title": "Call about the invoices of January",
                    "mode": "manual",
                    "content": {"kind": "task", "task_kind": "call", "task_text": "Ask when they will be paid."},
                }
            ]
        }
    )

    item_ids: ItemIds
    origin: Literal["specific", "ad_hoc"] = Field(
        "specific", description="`specific` takes its items out of the scenario until it ends; `ad_hoc` stands beside the scenario."
    )


class ActionReplace(ActionTerms):
    """The action that takes the place of another one, over its items that are still open."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"title": "Write instead of calling", "mode": "approve", "content": {"kind": "notice"}, "reason": "Nobody answers."}]}
    )

    completes_steps: bool = Field(
        default=True,
        description="Whether it completes the steps that the replaced one would have completed; where `counts_as_step` names one, it is that step.",
    )
    carries_out_operations: bool | None = Field(
        None,
        description="Whether it also carries out, each once, the operations of the steps that it completes (account block, call task, notice to the insurer), "
        "as far as the replaced one has not: those of `executed` when it is carried out, those of `completed` when it is completed. Missing: where it "
        "completes steps. Without a step to complete there are none.",
    )
    reason: LongText

    @model_validator(mode="after")
    def _of_steps(self) -> Self:
        if self.carries_out_operations and not self.completes_steps and self.counts_as_step is None:
            msg = "carries_out_operations needs a step that is completed: leave it out, set completes_steps, or name the step in counts_as_step"
            raise ValueError(msg)
        return self

    def succession(self) -> Succession:
        """Return what it takes over from the replaced one."""
        return Succession(
            completes_steps=self.completes_steps, counts_as_step=self.counts_as_step, carries_out_operations=self.carries_out_operations is not False
        )


class ActionUpdate(Input):
    """Changes of one action that was not carried out yet; what is left out stays, null takes away: an action of a scenario goes back to what its step says."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Call again on Monday"}]})

    scheduled_on: dt.date | None = None
    title: Title | None = None
    person_id: UUID | None = None
    channel: ChannelName | None = None
    template: Code | None = None
    content_mode: ContentModeName | None = None
    subject: Subject | None = None
    text: OwnText | None = None
    to_roles: Annotated[list[RoleName], Field(max_length=20)] | None = None
    contact_ids: Annotated[list[UUID], Field(max_length=50)] | None = None
    to_emails: Annotated[list[EmailStr], Field(max_length=20)] | None = None
    task_kind: TaskName | None = None
    task_text: LongText | None = None
    deadline_days: Annotated[int, Field(ge=0, le=365)] | None = None

    @model_validator(mode="after")
    def _present(self) -> Self:
        for name in ("scheduled_on", "title", "channel", "content_mode", "task_text"):
            if name in self.model_fields_set and getattr(self, name) is None:
                msg = f"{name} cannot be taken away; leave it out to keep it"
                raise ValueError(msg)
        return self

    def changes(self) -> dict[str, Any]:
        """Return what was given."""
        plain = {name: value for name, value in self.given().items() if name in {"scheduled_on", "title", "person_id"}}
        return plain | {name: value for name, value in stated(self).items() if name not in plain}


class CustomerMessage(Wording):
    """One message to a customer about chosen open items, or all of them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "As we said on the phone, these documents are open: #items_list_selected", "template": "specific_action"}]}
    )

    item_ids: ItemIds | None = Field(None, description="Missing: all open items that are in no specific action.")
    contact_ids: ContactIds = Field(default_factory=list)
    title: Title | None = None
    counts_as_step: Annotated[str, Field(min_length=1, max_length=100, description="A step that its items complete with it; missing: none.")] | None = None

    def message(self) -> Content:
        """Return the content of the message."""
        known = stated(self)
        return Content.read({name: value for name, value in known.items() if name not in {"item_ids", "title", "counts_as_step", "language"}})


class CustomerMessagePreview(CustomerMessage):
    """What to show."""

    language: Annotated[str, Field(pattern=r"^(en|es|it|fr)$", description="Missing: the recipient's.")] | None = None


class ItemUpdateCreate(Input):
    """What is said about selected items: first status and comment, then who is told now, then what comes next."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "item_ids": ["01946a5e-0000-7000-8000-000000000001"],
                    "comment": "The customer asks for a copy of the delivery note.",
                    "notify": "none",
                    "next": "follow_scenario",
                }
            ]
        }
    )

    item_ids: ItemIds
    status_code: Annotated[str, Field(min_length=1, max_length=63, description="A status of the tenant; missing: it stays.")] | None = None
    comment: LongText | None = None
    notify: Literal["none", "customer", "internal"] = Field("none", description="Who gets a mail about these items now.")
    message: ActionContent | None = Field(None, description="The mail; missing: the product's own template, to colleagues with the comment.")
    next: Literal["follow_scenario"] | ActionTerms | None = Field(
        None,
        description="`follow_scenario` takes the items out of their specific actions; an object makes a specific action; missing: they stay where they are, "
        "and a status that has `follow_up_days` makes a task for that day about those that get it.",
    )

    @model_validator(mode="after")
    def _message_has_a_reader(self) -> Self:
        if self.message is not None and self.notify == "none":
            msg = "message: say in notify who gets it"
            raise ValueError(msg)
        if self.message is not None and self.message.kind != "notice":
            msg = "message: expected a notice; a task is made in next"
            raise ValueError(msg)
        return self

    def mail(self) -> Content | None:
        """Return the mail that goes out now; its audience is the one of `notify`."""
        if self.message is None:
            return None
        audience = "internal" if self.notify == "internal" else "customer"
        return Content.read({"audience": audience, **stated(self.message)})


class ActionModelCreate(Input):
    """A model to save."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "friendly-call",
                    "name": "Friendly call",
                    "content": {"kind": "task", "task_kind": "call", "task_text": "Ask whether the invoice has arrived."},
                    "mode": "manual",
                }
            ]
        }
    )

    code: Code
    name: Title
    title: Title | None = None
    content: ModelContent
    mode: ModeName | None = None
    afterwards: Literal["resume", "step"] | None = None
    afterwards_step_code: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    counts_as_step: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class ActionModelUpdate(Input):
    """Changes of a model: a pattern that is given replaces the old one whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Friendly call after a week"}]})

    name: Title | None = None
    title: Title | None = None
    content: ModelContent | None = None
    mode: ModeName | None = None
    afterwards: Literal["resume", "step"] | None = None
    afterwards_step_code: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    counts_as_step: Annotated[str, Field(min_length=1, max_length=100)] | None = None
