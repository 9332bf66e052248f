"""Shapes of ledgers."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field

from dunning.ledger.ledger_store import Ledger
from dunning.ledger.rows import Amount, CountryCode, Email, ExternalId, Line, Url
from dunning_api.schemas.base import Currency, Input, Language, MoneyOut, Output

ClockTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="Local wall-clock time, HH:MM.")]
Minutes = Annotated[int, Field(ge=0, le=3600)]

EXAMPLE: dict[str, Any] = {
    "external_id": "it-01",
    "name": "Acme Italia S.r.l.",
    "currency": "EUR",
    "time_zone": "Europe/Rome",
    "country": "IT",
    "subdivision": "MI",
    "language": "it",
    "sender_name": "Acme Italia, accounts",
    "sender_email": "accounts@acme.example",
    "reply_to": "ar@acme.example",
    "bank_accounts": [{"beneficiary": "Acme Italia S.r.l.", "iban": "IT60 X054 2811 1010 0000 0123 456", "bic": None, "bank_name": None, "currency": "EUR"}],
}


class BankAccount(Input):
    """Where customers pay, in one currency."""

    beneficiary: Line
    iban: Annotated[str, Field(max_length=42, description="With or without spaces; its check digits are verified.")]
    bic: Annotated[str | None, Field(max_length=11)] = None
    bank_name: Line | None = None
    currency: Currency


PartName = Literal["amount", "age", "broken_promises", "silence", "steps"]
"""The parts of which a call's priority is the sum."""
Weights = Annotated[
    dict[PartName, Annotated[int, Field(ge=0, le=1000)]],
    Field(description="Weights of the named parts of a call's priority; a part that is not named keeps its default.", examples=[{"amount": 2, "silence": 0}]),
]


class _Settings(Input):
    subdivision: Annotated[str | None, Field(pattern=r"^[A-Z0-9]{1,3}$", description="Subdivision whose holidays count too, such as MI.")] = None
    reply_to: Email | None = None
    bank_accounts: Annotated[list[BankAccount], Field(max_length=50, default_factory=list)]
    link_target: Annotated[str, Field(max_length=2000, description="`portal`, or the address of your own extranet with `{token}` in it, https only.")] = (
        "portal"
    )
    crm_url: Annotated[
        Url | None, Field(description="Where colleagues find a customer, https; `{external_id}` stands for your id of it. Goes into internal mails.")
    ] = None
    run_mode: Annotated[Literal["automatic", "proposal"], Field(description="`proposal`: every run waits for a person.")] = "proposal"
    nightly_at: Annotated[ClockTime, Field(description="Local time of the nightly run, HH:MM.")] = "06:00"
    send_from: Annotated[ClockTime, Field(description="Mails leave from this local time on.")] = "08:00"
    send_until: Annotated[ClockTime, Field(description="And until this one.")] = "19:00"
    send_on_closed_days: bool = False
    freshness_limit_hours: Annotated[int | None, Field(ge=1, le=8760, description="Automatic sending stops when `complete_as_of` is older; null is off.")] = (
        None
    )
    closing_limit_percent: Annotated[
        int, Field(ge=0, le=100, description="A snapshot that would close more than this share of items or amount waits for a person.")
    ] = 20
    step_change_limit_percent: Annotated[
        int,
        Field(ge=1, le=100, description="A run that would move more than this share of the owing customers to another step waits for a person; 100 is off."),
    ] = 50
    message_limit: Annotated[
        list[Amount] | None,
        Field(max_length=50, description="A run with a message that asks for more than this waits for a person: one amount a currency; null is off."),
    ] = None
    contact_budget: Annotated[
        int | None,
        Field(
            ge=1,
            le=366,
            description="A customer is contacted at most so often within `contact_budget_days`: by mail, letter, call or visit, legal steps included, in the"
            " scenario or outside; ad hoc mails do not count. Null is off.",
        ),
    ] = None
    contact_budget_days: Annotated[int | None, Field(ge=1, le=366, description="The rolling window of the contact budget.")] = None
    person_contact_budget: Annotated[
        int | None,
        Field(
            ge=1,
            le=366,
            description="A person, told apart by the mail address, is written to or called at most so often within `person_contact_budget_days`, for whichever"
            " customers of the ledger; ad hoc mails do not count. Null is off.",
        ),
    ] = None
    person_contact_budget_days: Annotated[int | None, Field(ge=1, le=366, description="The rolling window of the budget of a person.")] = None
    priority_weights: Weights = Field(default={})
    undo_seconds: Annotated[Minutes, Field(description="How long a queued mail can still be taken back, in seconds.")] = 0
    return_hold_days: Annotated[int, Field(ge=0, le=365, description="Days for which items of a returned payment are held.")] = 0
    challenge: Annotated[
        Literal["tax_number", "document_number", "button"],
        Field(description="What the customer's page asks before it shows the claim. `button` proves less."),
    ] = "tax_number"
    policy: Annotated[Literal["scenario", "never"], Field(description="What customers of the ledger follow unless told otherwise.")] = "never"
    scenario_id: UUID | None = None


class LedgerCreate(_Settings):
    """A new ledger: one company's receivables."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    external_id: ExternalId
    name: Line
    currency: Annotated[Currency, Field(description="The ledger's own currency; documents may be in any.")]
    time_zone: Annotated[str, Field(max_length=60, description="IANA name such as Europe/Rome.")]
    country: Annotated[CountryCode, Field(description="Whose public holidays count, such as IT.")]
    language: Language
    sender_name: Line
    sender_email: Email
    balance_source: Annotated[
        Literal["receipts", "erp_open_items"],
        Field(description="`receipts`: open amounts follow from receipts and credits. `erp_open_items`: imports state them. Fixed once documents exist."),
    ] = "receipts"

    def fields(self) -> dict[str, Any]:
        """Return the settings as the service takes them."""
        return {**self.model_dump(), "message_limit": _limits(self.message_limit)}


class LedgerUpdate(Input):
    """What may be changed; fields left out stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"nightly_at": "05:30", "freshness_limit_hours": 36}]})

    name: Line | None = None
    time_zone: Annotated[str | None, Field(max_length=60)] = None
    country: CountryCode | None = None
    subdivision: Annotated[str | None, Field(pattern=r"^[A-Z0-9]{1,3}$")] = None
    language: Language | None = None
    sender_name: Line | None = None
    sender_email: Email | None = None
    reply_to: Email | None = None
    bank_accounts: Annotated[list[BankAccount] | None, Field(max_length=50)] = None
    link_target: Annotated[str | None, Field(max_length=2000)] = None
    crm_url: Url | None = None
    balance_source: Literal["receipts", "erp_open_items"] | None = None
    run_mode: Literal["automatic", "proposal"] | None = None
    nightly_at: ClockTime | None = None
    send_from: ClockTime | None = None
    send_until: ClockTime | None = None
    send_on_closed_days: bool | None = None
    freshness_limit_hours: Annotated[int | None, Field(ge=1, le=8760)] = None
    closing_limit_percent: Annotated[int | None, Field(ge=0, le=100)] = None
    step_change_limit_percent: Annotated[int | None, Field(ge=1, le=100)] = None
    message_limit: Annotated[list[Amount] | None, Field(max_length=50)] = None
    contact_budget: Annotated[int | None, Field(ge=1, le=366)] = None
    contact_budget_days: Annotated[int | None, Field(ge=1, le=366)] = None
    person_contact_budget: Annotated[int | None, Field(ge=1, le=366)] = None
    person_contact_budget_days: Annotated[int | None, Field(ge=1, le=366)] = None
    priority_weights: Weights | None = None
    undo_seconds: Minutes | None = None
    return_hold_days: Annotated[int | None, Field(ge=0, le=365)] = None
    challenge: Literal["tax_number", "document_number", "button"] | None = None
    policy: Literal["scenario", "never"] | None = None
    scenario_id: UUID | None = None

    def fields(self) -> dict[str, Any]:
        """Return what was given; null clears only what may be empty."""
        given = self.model_dump(exclude_unset=True)
        if "message_limit" in given:
            given["message_limit"] = _limits(self.message_limit)
        return {name: value for name, value in given.items() if value is not None or name in _MAY_BE_EMPTY}


def _limits(amounts: list[Amount] | None) -> list[dict[str, Any]]:
    return [{"currency": amount.currency, "minor": amount.minor} for amount in sorted(amounts or [], key=lambda one: one.currency)]


_MAY_BE_EMPTY = {
    "contact_budget", "contact_budget_days", "person_contact_budget", "person_contact_budget_days", "subdivision", "reply_to", "crm_url",
    "freshness_limit_hours", "scenario_id",
}  # fmt: skip


class Freshness(Input):
    """Until when everything has been given."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"complete_as_of": "2026-03-01T22:00:00Z"}]})

    complete_as_of: AwareDatetime


class BankAccountOut(Output):
    """Where customers pay."""

    beneficiary: str
    iban: str
    bic: str | None
    bank_name: str | None
    currency: str


class LedgerOut(Output):
    """A ledger with all its settings. `version` is its ETag."""

    ledger_id: UUID
    external_id: str
    name: str
    currency: str
    time_zone: str
    country: str
    subdivision: str | None
    language: str
    sender_name: str
    sender_email: str
    reply_to: str | None
    bank_accounts: list[BankAccountOut]
    link_target: str
    crm_url: str | None
    balance_source: str
    run_mode: str
    nightly_at: str
    send_from: str
    send_until: str
    send_on_closed_days: bool
    freshness_limit_hours: int | None
    complete_as_of: dt.datetime | None
    closing_limit_percent: int
    step_change_limit_percent: int
    message_limit: list[MoneyOut] | None
    contact_budget: int | None
    contact_budget_days: int | None
    person_contact_budget: int | None
    person_contact_budget_days: int | None
    priority_weights: dict[str, int]
    undo_seconds: int
    return_hold_days: int
    challenge: str
    policy: str
    scenario_id: UUID | None
    first_run_approved: bool
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, ledger: Ledger) -> LedgerOut:
        """Show a ledger."""
        accounts = [BankAccountOut(**{name: account.get(name) for name in BankAccountOut.model_fields}) for account in ledger.bank_accounts]
        limits = [MoneyOut.of(limit["minor"], limit["currency"]) for limit in ledger.message_limit] or None
        shaped = {"bank_accounts": accounts, "message_limit": limits}
        return cls(**shaped, **{name: getattr(ledger, name) for name in cls.model_fields if name not in shaped})
