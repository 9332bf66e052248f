"""What a caller may state about customers, documents and holds: the same shapes for a PUT body and for a row of an imported file.

Unknown fields are refused, amounts are decimal text, and every text is free of control characters where it could reach a header.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dunning.kit.money import MoneyError, parse_minor
from dunning.ledger.addresses import ascii_address

ExternalId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        pattern=r"^[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$",
        description="Your own id of the object: up to 200 characters without control characters.",
    ),
]
Line = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f\u2028\u2029]+$")]
"""One line of text: no control characters."""
Words = Annotated[str, Field(min_length=1, max_length=5000, pattern=r"^[^\x00]+$")]
"""Text of several lines."""
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$", description="A code: small letters, digits and underscores.")]
StepCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$", description="Code of a scenario's step.")]
Language = Annotated[str, Field(pattern=r"^(en|es|it|fr)$", description="Language: en, es, it or fr.")]
CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 code such as IT.")]


def _that_can_be_written_to(address: str) -> str:
    ascii_address(address)
    return address


Email = Annotated[
    str,
    Field(
        max_length=254,
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([^\s@.<>,;:()\x00-\x1f\x7f\[\]\x22\\]{1,63}\.)+[^\s@.<>,;:()\x00-\x1f\x7f\[\]\x22\\]{2,63}$",
        description="An e-mail address without a display name, of the form that mail servers take.",
    ),
    AfterValidator(_that_can_be_written_to),
]
Url = Annotated[str, Field(max_length=2000, pattern=r"^https?://[^\s\x00-\x1f\x7f\x22<>\\]+$", description="An http or https address.")]
Policy = Annotated[
    Literal["inherit", "scenario", "never"],
    Field(description="`inherit` asks the level above (item, customer, group, ledger), `scenario` names one, `never` is never reminded."),
]
Custom = Annotated[
    dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")], Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")] | bool | int | None],
    Field(max_length=50, description="Your own fields: text, whole numbers, true or false."),
]
DocumentType = Literal["invoice", "credit_note", "debit_note", "fee", "interest", "recovery_compensation"]


_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,4})?")


def _only_text(value: Any) -> Any:
    if not isinstance(value, str):
        msg = 'an amount is text such as "1234.50", never a number'
        raise ValueError(msg)  # noqa: TRY004  # pydantic reports ValueError as the error of a field
    if not _DECIMAL.fullmatch(value):
        msg = f'{value[:40]!r} is not decimal text with a point, such as "1234.50"'
        raise ValueError(msg)
    return value


class Row(BaseModel):
    """A part of what is stated: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    @cached_property
    def content_sha256(self) -> bytes:
        """The digest by which a repeated statement is told from a changed one; fields at their defaults do not count."""
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).digest()


class Amount(Row):
    """An amount as decimal text with its ISO 4217 currency."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "1234.50", "currency": "EUR"}]})

    amount: Annotated[str, BeforeValidator(_only_text), Field(pattern=r"^-?\d{1,15}(\.\d{1,4})?$", description="Decimal text with a point.")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.")]

    @model_validator(mode="after")
    def _readable(self) -> Self:
        try:
            self.minor  # noqa: B018  # reading it is the check, and keeps it
        except MoneyError as error:
            raise ValueError(str(error)) from None
        return self

    @cached_property
    def minor(self) -> int:
        """The amount in minor units of its currency."""
        return parse_minor(self.amount, self.currency)


class _WithPolicy(Row):
    policy: Policy = "inherit"
    scenario_id: Annotated[UUID | None, Field(description="The scenario, where policy is `scenario`.")] = None

    @model_validator(mode="after")
    def _policy_names_its_scenario(self) -> Self:
        if (self.policy == "scenario") != (self.scenario_id is not None):
            msg = "scenario_id goes with policy `scenario`, and only with it"
            raise ValueError(msg)
        return self


class _WithProgress(Row):
    """Where reminding stood in the system before."""

    step_reached: Annotated[StepCode | None, Field(description="Go-live: code of the last step that was sent before.")] = None
    last_reminded_on: Annotated[dt.date | None, Field(description="Go-live: day of that reminder; missing: the day of the import.")] = None

    @model_validator(mode="after")
    def _day_needs_its_step(self) -> Self:
        if self.last_reminded_on is not None and self.step_reached is None:
            msg = "last_reminded_on needs step_reached: say which step was sent on that day"
            raise ValueError(msg)
        return self


class DunningBlock(Row):
    """A block set in the system before; becomes a hold."""

    reason: Code
    until_on: Annotated[dt.date | None, Field(description="Last held day; null has no end.")] = None
    comment: Words | None = None


class PostalAddress(Row):
    """Where a letter goes."""

    lines: Annotated[list[Line], Field(min_length=1, max_length=6)]
    postal_code: Line | None = None
    city: Line | None = None
    country: CountryCode | None = None


class Contact(Row):
    """A person or mailbox that notices can reach, by role and language."""

    external_id: ExternalId
    name: Line | None = None
    email: Email | None = None
    phone: Annotated[str | None, Field(pattern=r"^[+0-9][0-9 ()./-]{2,39}$")] = None
    pec: Email | None = None
    postal_address: PostalAddress | None = None
    language: Annotated[Language | None, Field(description="Missing: the customer's language, then the ledger's.")] = None
    roles: Annotated[list[Code], Field(max_length=20, description="Such as accounts_payable, director, account_manager, collector.")] = []
    internal: Annotated[bool, Field(description="A colleague (account manager, collector), not the customer.")] = False


Tag = Annotated[str, Field(pattern=r"^[^\s,\x00-\x1f\x7f]{1,60}$", description="A word of your own by which customers are told apart.")]


class InsuranceCover(Row):
    """Whether a credit insurer covers what the customer owes. Steps may choose a template by it."""

    state: Annotated[Literal["none", "active"], Field(description="`active`: covered, until the day given, or without end.")]
    until_on: Annotated[dt.date | None, Field(description="Last covered day; null has no end.")] = None
    reference: Annotated[Line | None, Field(max_length=100, description="Policy or buyer number at the insurer.")] = None

    @model_validator(mode="after")
    def _only_a_cover_has_an_end(self) -> Self:
        if self.state == "none" and self.until_on is not None:
            msg = "until_on belongs to state `active`"
            raise ValueError(msg)
        return self


class CustomerContent(_WithPolicy, _WithProgress):
    """All that is stated about a customer; what is left out takes its default, except contacts."""

    name: Line
    language: Annotated[Language | None, Field(description="Missing: the ledger's.")] = None
    country: CountryCode | None = None
    subdivision: Annotated[str | None, Field(pattern=r"^[A-Z0-9]{1,3}$")] = None
    time_zone: Annotated[str | None, Field(max_length=60, description="IANA name; missing: the ledger's.")] = None
    tax_number: Annotated[str | None, Field(max_length=40, pattern=r"^[A-Za-z0-9 ./-]+$")] = None
    group_code: Annotated[ExternalId | None, Field(description="Code of the customer's group.")] = None
    collection_method: Literal["transfer", "automatic"] = "transfer"
    crm_url: Url | None = None
    insurance_cover: Annotated[InsuranceCover | None, Field(description="Cover by a credit insurer; left out: none.")] = None
    territory: Annotated[Line | None, Field(max_length=100, description="Sales area or the like; assignment rules may ask for it.")] = None
    tags: Annotated[list[Tag], Field(max_length=50, description="Your own words; assignment rules and filters may ask for them.")] = []
    custom: Custom = {}
    contacts: Annotated[
        list[Contact] | None,
        Field(max_length=100, description="The whole list: contacts that are missing in it are removed. Left out: the stored ones stay."),
    ] = None
    dunning_block: DunningBlock | None = None

    @model_validator(mode="after")
    def _contacts_differ(self) -> Self:
        if self.contacts is not None and len({c.external_id for c in self.contacts}) != len(self.contacts):
            msg = "contacts: two have the same external_id"
            raise ValueError(msg)
        return self


class Instalment(_WithProgress):
    """One part of a document with a due date of its own: an open item."""

    external_id: Annotated[ExternalId | None, Field(description="Missing: the document's id, a slash and the instalment's number.")] = None
    due_on: dt.date
    amount: Amount
    open_amount: Annotated[Amount | None, Field(description="Still open; see the ledger's balance_source.")] = None
    collection_method: Literal["transfer", "automatic"] | None = None
    dunning_block: DunningBlock | None = None


class DocumentContent(_WithPolicy, _WithProgress):
    """All that is stated about a document: its items are its instalments, or one item due on `due_on`."""

    customer_external_id: ExternalId
    type: DocumentType = "invoice"
    number: Annotated[Line, Field(max_length=100, description="What the customer knows it by.")]
    document_on: dt.date
    total: Annotated[Amount, Field(description="Positive for every type; a credit note's total is what it takes away.")]
    due_on: Annotated[dt.date | None, Field(description="Where there are no instalments. A credit note's default is its date.")] = None
    instalments: Annotated[list[Instalment], Field(max_length=120)] = []
    open_amount: Annotated[Amount | None, Field(description="Still open, where there are no instalments; see the ledger's balance_source.")] = None
    state: Annotated[Literal["posted", "void"], Field(description="`void` takes the document back; what was allocated is free again.")] = "posted"
    delivered_on: dt.date | None = None
    value_on: Annotated[dt.date | None, Field(description="Day from which it counts; missing: document_on.")] = None
    corrects_external_id: Annotated[ExternalId | None, Field(description="The invoice that a credit note corrects; it is set against it.")] = None
    payment_reference: Annotated[Line | None, Field(max_length=140)] = None
    file_url: Url | None = None
    collection_method: Annotated[Literal["transfer", "automatic"] | None, Field(description="Missing: the customer's.")] = None
    custom: Custom = {}
    dunning_block: DunningBlock | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        problem = self._problem()
        if problem is not None:
            raise ValueError(problem)
        return self

    def _problem(self) -> str | None:
        total, parts = self.total, self.instalments
        if total.minor < 0:
            return "total is negative: state a credit_note with a positive total instead"
        if self.corrects_external_id is not None and self.type != "credit_note":
            return "corrects_external_id belongs to a credit_note"
        if not parts:
            if self.due_on is None and self.type != "credit_note":
                return "due_on is missing (or state instalments)"
            return _open_problem("open_amount", self.open_amount, total)
        if self.due_on is not None or self.open_amount is not None:
            return "due_on and open_amount are stated in the instalments, where there are any"
        for n, part in enumerate(parts, 1):
            if part.amount.currency != total.currency or part.amount.minor < 0:
                return f"instalments.{n}.amount: must not be negative and is in {total.currency}, the currency of the total"
            problem = _open_problem(f"instalments.{n}.open_amount", part.open_amount, part.amount)
            if problem:
                return problem
        if sum(part.amount.minor for part in parts) != total.minor:
            return "the instalments do not add up to the total"
        named = [part.external_id for part in parts if part.external_id is not None]
        return "two instalments have the same external_id" if len(set(named)) != len(named) else None

    def parts(self, external_id: str) -> list[Part]:
        """Return the items of the document, each with an external id."""
        if not self.instalments:
            return [
                Part(
                    f"{external_id}/1",
                    self.due_on or self.document_on,
                    self.total.minor,
                    None if self.open_amount is None else self.open_amount.minor,
                    self.collection_method,
                    self.step_reached,
                    self.last_reminded_on,
                    self.dunning_block,
                )
            ]
        return [
            Part(
                one.external_id or f"{external_id}/{n}",
                one.due_on,
                one.amount.minor,
                None if one.open_amount is None else one.open_amount.minor,
                one.collection_method or self.collection_method,
                one.step_reached or self.step_reached,
                one.last_reminded_on if one.step_reached else self.last_reminded_on,
                one.dunning_block or self.dunning_block,
            )
            for n, one in enumerate(self.instalments, 1)
        ]


class Part(NamedTuple):
    """An item as its document states it; `open_minor` is None where nothing is said about it."""

    external_id: str
    due_on: dt.date
    amount_minor: int
    open_minor: int | None
    collection_method: str | None
    step_reached: str | None
    last_reminded_on: dt.date | None
    dunning_block: DunningBlock | None


def _open_problem(name: str, stated: Amount | None, amount: Amount) -> str | None:
    if stated is None:
        return None
    if stated.currency != amount.currency:
        return f"{name}: is in {amount.currency}, the currency of the amount"
    if not 0 <= stated.minor <= amount.minor:
        return f"{name}: lies between zero and the amount ({amount.amount})"
    return None


class HoldContent(Row):
    """A hold by the ERP's ids."""

    scope: Literal["ledger", "customer", "item"]
    customer_external_id: ExternalId | None = None
    item_external_id: ExternalId | None = None
    reason: Code
    from_on: Annotated[dt.date | None, Field(description="First held day; missing: today.")] = None
    until_on: Annotated[dt.date | None, Field(description="Last held day; null has no end.")] = None
    comment: Words | None = None

    @model_validator(mode="after")
    def _names_its_object(self) -> Self:
        wanted = {"ledger": (False, False), "customer": (True, False), "item": (False, True)}[self.scope]
        if (self.customer_external_id is not None, self.item_external_id is not None) != wanted:
            msg = "scope customer needs customer_external_id, scope item needs item_external_id, scope ledger needs neither"
            raise ValueError(msg)
        if self.from_on and self.until_on and self.until_on < self.from_on:
            msg = "until_on lies before from_on"
            raise ValueError(msg)
        return self


class CustomerRow(CustomerContent):
    """A customer in a file."""

    kind: Literal["customer"] = "customer"
    external_id: ExternalId


class DocumentRow(DocumentContent):
    """A document in a file."""

    kind: Literal["document"] = "document"
    external_id: ExternalId


class HoldRow(HoldContent):
    """A hold in a file."""

    kind: Literal["hold"] = "hold"
    external_id: ExternalId | None = None
