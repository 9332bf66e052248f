"""Shapes of customers, contacts, groups and positions."""

from __future__ import annotations

import datetime as dt
from typing import Any, Self
from uuid import UUID

from pydantic import ConfigDict, model_validator

from dunning.ledger.contact_store import StoredContact
from dunning.ledger.customer_store import Customer, Group
from dunning.ledger.positions import Position
from dunning.ledger.rows import CustomerContent, CustomerRow, Line, Policy
from dunning_api.schemas.base import Input, MoneyOut, Output

EXAMPLE: dict[str, Any] = {
    "name": "Rossi Costruzioni S.p.A.",
    "language": "it",
    "country": "IT",
    "tax_number": "IT01234567890",
    "contacts": [
        {"external_id": "ap", "name": "Anna Rossi", "email": "ap@rossi.example", "language": "it", "roles": ["accounts_payable"]},
        {"external_id": "am", "name": "Luca Bianchi", "email": "luca@acme.example", "roles": ["account_manager"], "internal": True},
    ],
}


class CustomerPut(CustomerContent):
    """All that is stated about a customer. Fields left out take their defaults; contacts left out stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    def row(self, external_id: str) -> CustomerRow:
        """Return it as the service takes it."""
        return CustomerRow.model_construct(self.model_fields_set | {"external_id"}, external_id=external_id, **dict(self))


class GroupPut(Input):
    """Customers that share a policy."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Public administration", "policy": "never"}]})

    name: Line
    policy: Policy = "inherit"
    scenario_id: UUID | None = None

    @model_validator(mode="after")
    def _policy_names_its_scenario(self) -> Self:
        if (self.policy == "scenario") != (self.scenario_id is not None):
            msg = "scenario_id goes with policy `scenario`, and only with it"
            raise ValueError(msg)
        return self


class GroupOut(Output):
    """A customer group."""

    customer_group_id: UUID
    ledger_id: UUID
    code: str
    name: str
    policy: str
    scenario_id: UUID | None
    created_at: dt.datetime

    @classmethod
    def of(cls, group: Group) -> GroupOut:
        """Show a group."""
        return cls.model_validate(group)


class ContactOut(Output):
    """A person or mailbox; `internal` is a colleague."""

    contact_id: UUID
    external_id: str
    name: str | None
    email: str | None
    phone: str | None
    pec: str | None
    postal_address: dict[str, Any] | None
    language: str | None
    roles: list[str]
    internal: bool

    @classmethod
    def of(cls, contact: StoredContact) -> ContactOut:
        """Show a contact."""
        return cls(**{name: getattr(contact, name) for name in cls.model_fields})


class InsuranceCoverOut(Output):
    """Whether a credit insurer covers what the customer owes, and until when."""

    state: str
    until_on: dt.date | None
    reference: str | None


class CustomerOut(Output):
    """A customer."""

    customer_id: UUID
    ledger_id: UUID
    external_id: str
    name: str
    language: str | None
    country: str | None
    subdivision: str | None
    time_zone: str | None
    tax_number: str | None
    group_code: str | None
    policy: str
    scenario_id: UUID | None
    collection_method: str
    step_reached: str | None
    last_reminded_on: dt.date | None
    crm_url: str | None
    insurance_cover: InsuranceCoverOut
    territory: str | None
    tags: list[str]
    custom: dict[str, Any]
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, customer: Customer) -> CustomerOut:
        """Show a customer."""
        return cls(**customer_fields(customer))


def customer_fields(customer: Customer) -> dict[str, Any]:
    """Return what every shape of a customer shows."""
    shown = {name: getattr(customer, name) for name in CustomerOut.model_fields if name != "insurance_cover"}
    cover = InsuranceCoverOut(state=customer.insurance_cover, until_on=customer.insurance_cover_until, reference=customer.insurance_cover_reference)
    return shown | {"insurance_cover": cover}


class CustomerRecord(CustomerOut):
    """A customer with its contacts."""

    contacts: list[ContactOut]

    @classmethod
    def with_contacts(cls, customer: Customer, contacts: list[StoredContact]) -> CustomerRecord:
        """Show a customer with its contacts."""
        return cls(**customer_fields(customer), contacts=[ContactOut.of(contact) for contact in contacts])


class CurrencyPositionOut(Output):
    """The sums of one currency. `disputed` is a part of overdue and not due; and so is `promised`: what open promises still let expect."""

    currency: str
    overdue: MoneyOut
    not_due: MoneyOut
    disputed: MoneyOut
    promised: MoneyOut
    open_credit: MoneyOut
    unapplied_receipts: MoneyOut
    net: MoneyOut


class PositionOut(Output):
    """What a customer owes, a currency at a time."""

    customer_id: UUID
    as_of: dt.date
    known_on: dt.date
    currencies: list[CurrencyPositionOut]

    @classmethod
    def of(cls, position: Position) -> PositionOut:
        """Show a position."""
        return cls(
            customer_id=position.customer_id,
            as_of=position.as_of,
            known_on=position.known_on,
            currencies=[
                CurrencyPositionOut(
                    currency=c.currency,
                    overdue=MoneyOut.of(c.overdue_minor, c.currency),
                    not_due=MoneyOut.of(c.not_due_minor, c.currency),
                    disputed=MoneyOut.of(c.disputed_minor, c.currency),
                    promised=MoneyOut.of(c.promised_minor, c.currency),
                    open_credit=MoneyOut.of(c.open_credit_minor, c.currency),
                    unapplied_receipts=MoneyOut.of(c.unapplied_receipts_minor, c.currency),
                    net=MoneyOut.of(c.net_minor, c.currency),
                )
                for c in position.currencies
            ],
        )
