"""Shapes of receipts, allocations, payment returns and the inbox."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from dunning.ledger.rows import ExternalId
from dunning.receipts.rows import ReceiptContent, ReceiptRow, ReturnContent, Target
from dunning.receipts.store import Allocation, Parked, PaymentReturn, Receipt
from dunning_api.schemas.base import Input, LongText, MoneyOut, Output

EXAMPLE: dict[str, Any] = {
    "customer_external_id": "C-1001",
    "amount": {"amount": "610.00", "currency": "EUR"},
    "received_on": "2026-02-20",
    "method": "transfer",
    "reference": "Invoice 2026/118, first part",
    "allocation": [{"document_external_id": "INV-118", "amount": {"amount": "610.00", "currency": "EUR"}}],
}


class ReceiptPut(ReceiptContent):
    """A receipt under an id of yours. The same again changes nothing; other content under the same id is parked."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    def row(self, external_id: str) -> ReceiptRow:
        """Return it as the service takes it."""
        return ReceiptRow.model_construct(self.model_fields_set | {"external_id"}, external_id=external_id, **dict(self))


class ReceiptCreate(ReceiptPut):
    """A receipt; where you have no id for it one is made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**EXAMPLE, "external_id": "R-2026-0042"}]})

    external_id: ExternalId | None = None

    def row(self, external_id: str) -> ReceiptRow:
        """Return it as the service takes it, under its own id or the given one."""
        content = {name: value for name, value in self if name != "external_id"}
        return ReceiptRow.model_construct(self.model_fields_set | {"external_id"}, external_id=self.external_id or external_id, **content)


class AllocationCreate(Input):
    """What the rest of a receipt pays."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"allocation": [{"document_external_id": "INV-118", "amount": {"amount": "10.00", "currency": "EUR"}}]}]}
    )

    allocation: Literal["oldest_first"] | Annotated[list[Target], Field(min_length=1, max_length=500)]


class Because(Input):
    """Why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Booked on the wrong customer."}]})

    reason: LongText


class ReturnCreate(ReturnContent):
    """A payment that failed after it was booked."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "receipt_id": "0198c0de-0000-7000-8000-000000000002",
                    "returned_on": "2026-03-01",
                    "reason": "insufficient_funds",
                    "charges": {"amount": "7.50", "currency": "EUR"},
                }
            ]
        }
    )


class AllocationOut(Output):
    """One entry of the book. `reverses_id` names the entry it undoes; `reversed` says that it was undone."""

    allocation_id: UUID
    kind: str
    receipt_id: UUID | None
    credit_item_id: UUID | None
    item_id: UUID
    item_external_id: str
    episode: int
    amount: MoneyOut
    reverses_id: UUID | None
    reversed: bool
    reason: str | None
    value_on: dt.date
    recorded_on: dt.date
    actor: str

    @classmethod
    def of(cls, entry: Allocation) -> AllocationOut:
        """Show an entry."""
        shown = {name: getattr(entry, name) for name in cls.model_fields if name != "amount"}
        return cls(amount=MoneyOut.of(entry.amount_minor, entry.currency), **shown)


class ReceiptOut(Output):
    """A receipt and what is left of it."""

    receipt_id: UUID
    ledger_id: UUID
    customer_id: UUID
    external_id: str
    amount: MoneyOut
    allocated: MoneyOut
    returned: MoneyOut
    unapplied: MoneyOut
    state: str
    method: str
    reference: str | None
    received_on: dt.date
    final_on: dt.date | None
    recorded_on: dt.date
    ended_on: dt.date | None
    ended_because: str | None
    instrument: dict[str, Any]

    @classmethod
    def of(cls, receipt: Receipt) -> ReceiptOut:
        """Show a receipt."""
        amounts = {"amount": receipt.amount_minor, "allocated": receipt.allocated_minor, "returned": receipt.returned_minor}
        amounts["unapplied"] = receipt.unapplied_minor
        shown = {name: getattr(receipt, name) for name in ReceiptOut.model_fields if name not in amounts}
        return cls(**{name: MoneyOut.of(minor, receipt.currency) for name, minor in amounts.items()}, **shown)


class ReceiptRecord(ReceiptOut):
    """A receipt with its allocations, undone ones too."""

    allocations: list[AllocationOut]

    @classmethod
    def with_allocations(cls, receipt: Receipt, entries: list[Allocation]) -> ReceiptRecord:
        """Show a receipt with its allocations."""
        return cls(**ReceiptOut.of(receipt).model_dump(), allocations=[AllocationOut.of(entry) for entry in entries])


class ReturnOut(Output):
    """A payment return and the items that owe again."""

    payment_return_id: UUID
    receipt_id: UUID
    ledger_id: UUID
    customer_id: UUID
    returned_on: dt.date
    reason: str
    charges: MoneyOut
    recorded_at: dt.datetime
    reopened_item_ids: list[UUID]

    @classmethod
    def of(cls, made: PaymentReturn, item_ids: list[UUID], currency: str) -> ReturnOut:
        """Show a return."""
        shown = {name: getattr(made, name) for name in cls.model_fields if name not in {"charges", "reopened_item_ids"}}
        return cls(charges=MoneyOut.of(made.charges_minor, currency), reopened_item_ids=item_ids, **shown)


class ParkedOut(Output):
    """A stated receipt that waits for a person, as it was stated."""

    receipt_inbox_id: UUID
    ledger_id: UUID
    source: str
    external_id: str
    content: dict[str, Any]
    state: str
    reason: str
    recorded_at: dt.datetime
    resolved_at: dt.datetime | None
    resolved_by: str | None

    @classmethod
    def of(cls, parked: Parked) -> ParkedOut:
        """Show a parked receipt."""
        return cls.model_validate(parked)


class ParkedBook(Input):
    """Under which free id a parked receipt is booked after all."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"external_id": "R-2026-0042-b"}]})

    external_id: ExternalId
