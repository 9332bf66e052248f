"""Shapes of templates: drafts, published versions, faults, previews, and the placeholders they may use."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from dunning.kit.ids import ActionId, ClaimId, CustomerId, LedgerId
from dunning.ledger.rows import Email
from dunning.messages.grammar import Problem
from dunning.messages.placeholders import BLOCK_FIELDS, ITEM_FIELDS, PLACEHOLDERS
from dunning.messages.preview import Preview, Subject
from dunning.messages.template_service import StoredTemplate, StoredTemplateVersion, TemplatePublication
from dunning.messages.template_tests import Shown
from dunning.messages.templates import Inspection
from dunning_api.schemas.base import Input, Language, Output, Text
from dunning_api.schemas.scenarios import Code

Source = Annotated[str, Field(max_length=65_536)]


class PartsIn(Input):
    """One language of a template. A subject and a text, HTML, or both; a missing text is made from the HTML."""

    subject: Annotated[str | None, Field(max_length=500)] = None
    text: Source | None = None
    html: Source | None = None


Languages = Annotated[dict[Language, PartsIn], Field(max_length=4, description="Texts by language: en, es, it, fr.")]


class TemplateCreate(Input):
    """A template draft. Placeholders are listed by `GET /templates/placeholders`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "reminder-mild",
                    "name": "Mild reminder",
                    "contents": {
                        "en": {
                            "subject": "Payment reminder: {{items_amount}}",
                            "text": (
                                "Dear {{addressee}},\n\nplease look at these documents:\n\n{{items_list}}\n\n"
                                "{% if link_url %}\nSee them online and answer:\n{{link_url}}\n\n{% endif %}\n"
                                "If you have already paid, please disregard this message.\n"
                            ),
                        }
                    },
                }
            ]
        }
    )

    code: Code
    name: Text
    contents: Languages

    def parts(self) -> dict[str, dict[str, str | None]]:
        """Return the texts."""
        return {language: parts.model_dump() for language, parts in self.contents.items()}


class TemplateUpdate(Input):
    """What changes in the draft: languages left out stay, a language that is null goes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Mild reminder, once a month"}]})

    name: Text | None = None
    contents: Annotated[dict[Language, PartsIn | None] | None, Field(max_length=4)] = None

    def parts(self) -> dict[str, dict[str, str | None] | None] | None:
        """Return the changed texts."""
        if self.contents is None:
            return None
        return {language: parts.model_dump() if parts else None for language, parts in self.contents.items()}


class TemplateOut(Output):
    """A template with its draft."""

    template_id: UUID
    code: str
    name: str
    draft: dict[str, dict[str, str | None]]
    draft_revision: int
    published_version: int | None
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, stored: StoredTemplate) -> TemplateOut:
        """Show a template."""
        return cls.model_validate(stored)


class TemplateVersionOut(Output):
    """A published version, which never changes."""

    template_id: UUID
    version: int
    contents: dict[str, dict[str, str | None]]
    content_sha256: str
    published_by: str
    published_at: dt.datetime

    @classmethod
    def of(cls, stored: StoredTemplateVersion) -> TemplateVersionOut:
        """Show a version."""
        return cls(
            template_id=stored.template_id,
            version=stored.version,
            contents=stored.contents,
            content_sha256=stored.content_sha256.hex(),
            published_by=stored.published_by,
            published_at=stored.published_at,
        )


class TemplateProblemOut(Output):
    """A fault or a warning, and where it stands."""

    language: str
    part: str
    line: int
    message: str

    @classmethod
    def of(cls, problem: Problem) -> TemplateProblemOut:
        """Show a fault."""
        return cls(language=problem.language, part=problem.part, line=problem.line, message=problem.message)


class InspectionOut(Output):
    """What is wrong with a draft, and what its writer should look at though it can be published."""

    publishable: bool
    errors: list[TemplateProblemOut]
    warnings: list[TemplateProblemOut]

    @classmethod
    def of(cls, found: Inspection) -> InspectionOut:
        """Show an inspection."""
        return cls(
            publishable=not found.problems,
            errors=[TemplateProblemOut.of(one) for one in found.problems],
            warnings=[TemplateProblemOut.of(one) for one in found.warnings],
        )


class TemplatePublicationOut(Output):
    """What publishing did. Scenarios in `scenarios_to_publish` go on with an older version until they are published again."""

    version: TemplateVersionOut
    is_new: bool
    warnings: list[TemplateProblemOut]
    languages_missing: list[str]
    scenarios_to_publish: list[str]

    @classmethod
    def of(cls, made: TemplatePublication) -> TemplatePublicationOut:
        """Show a publication."""
        return cls(
            version=TemplateVersionOut.of(made.version),
            is_new=made.is_new,
            warnings=[TemplateProblemOut.of(one) for one in made.warnings],
            languages_missing=list(made.languages_missing),
            scenarios_to_publish=list(made.scenarios_to_publish),
        )


class PreviewCreate(Input):
    """What to show the template with: a claim, a customer as it stands now, or (neither) a sample."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"language": "en"}]})

    version: Annotated[int | None, Field(ge=1, le=2**31 - 1, description="A published version; null: the draft.")] = None
    language: Language | None = None
    claim_id: UUID | None = None
    customer_id: UUID | None = None
    content_mode: Literal["full", "link_only"] | None = None

    @model_validator(mode="after")
    def _one_subject(self) -> PreviewCreate:
        if self.claim_id is not None and self.customer_id is not None:
            msg = "give claim_id or customer_id, not both"
            raise ValueError(msg)
        return self

    @property
    def subject(self) -> Subject:
        """What the template is shown with."""
        return Subject(
            claim_id=None if self.claim_id is None else ClaimId(self.claim_id),
            customer_id=None if self.customer_id is None else CustomerId(self.customer_id),
        )


class PreviewOut(Output):
    """A rendered mail. The reader's own link is hidden; `sha256` is that of `[subject, text, html]` as it is sent, link included."""

    language: str
    version: int | None
    subject: str
    text: str
    html: str | None
    sha256: str

    @classmethod
    def of(cls, preview: Preview) -> PreviewOut:
        """Show a preview."""
        mail = preview.rendered
        return cls(language=mail.language, version=preview.version, subject=mail.subject, text=mail.text, html=mail.html, sha256=preview.sha256)


class TestSendCreate(Input):
    """What to send to a colleague, and what to show the template with: a customer as it stands now, a past action, or the sample in a ledger's name."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"to": "ar@acme.example", "ledger_id": "01920000-0000-7000-8000-000000000000"}]})

    to: Annotated[Email, Field(description="An address at one of the tenant's `internal_domains`.")]
    version: Annotated[int | None, Field(ge=1, le=2**31 - 1, description="A published version; null: the draft.")] = None
    language: Annotated[
        Language | Literal["all"] | None, Field(description="`all`: a mail for each language of the template; null: the one the reader would be written to in.")
    ] = None
    content_mode: Literal["full", "link_only"] = "full"
    customer_id: Annotated[UUID | None, Field(description="Show what this customer has open now.")] = None
    action_id: Annotated[UUID | None, Field(description="Show what this past action told, as it was frozen.")] = None
    ledger_id: Annotated[UUID | None, Field(description="Show sample data, sent in the name of this ledger.")] = None

    @model_validator(mode="after")
    def _one_subject(self) -> TestSendCreate:
        if sum(one is not None for one in (self.customer_id, self.action_id, self.ledger_id)) != 1:
            msg = "give one of customer_id, action_id and ledger_id"
            raise ValueError(msg)
        return self

    @property
    def shown(self) -> Shown:
        """What the template is shown with."""
        return Shown(
            customer_id=None if self.customer_id is None else CustomerId(self.customer_id),
            action_id=None if self.action_id is None else ActionId(self.action_id),
            ledger_id=None if self.ledger_id is None else LedgerId(self.ledger_id),
        )


class TestSendOut(Output):
    """The queued tests, one a language. `GET /messages/{message_id}` says what became of each."""

    message_ids: list[UUID]


class PlaceholderOut(Output):
    """One placeholder: `modes` are the content modes in which it has a value; an `optional` one belongs inside `{% if name %}`."""

    name: str
    meaning: str
    example: str
    kind: str
    optional: bool
    modes: list[str]
    tags: list[str]


class FieldOut(Output):
    """One part of `item` or `block`; a `condition` can be asked with `if` but not printed."""

    name: str
    meaning: str
    example: str
    optional: bool
    condition: bool


class PlaceholdersOut(Output):
    """All that a template may say."""

    placeholders: list[PlaceholderOut]
    item_fields: list[FieldOut]
    block_fields: list[FieldOut]

    @classmethod
    def all(cls) -> PlaceholdersOut:
        """Show the documented tables."""
        return cls(
            placeholders=[
                PlaceholderOut(
                    name=entry.name,
                    meaning=entry.meaning,
                    example=entry.example,
                    kind=entry.kind.value,
                    optional=entry.optional,
                    modes=list(entry.modes),
                    tags=[f"#{name}" for name in (entry.name, *entry.tags)],
                )
                for entry in PLACEHOLDERS.values()
            ],
            item_fields=[FieldOut.model_validate(entry) for entry in ITEM_FIELDS.values()],
            block_fields=[FieldOut.model_validate(entry) for entry in BLOCK_FIELDS.values()],
        )
