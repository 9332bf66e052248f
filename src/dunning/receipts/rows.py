"""What a caller may state about a receipt: the same shape for a PUT body and for a row of an imported file."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from dunning.ledger.rows import Amount, Code, ExternalId, Line, Row, Words


class Target(Row):
    """What a part of a receipt pays: one item, or a document from its oldest instalment on."""

    item_id: UUID | None = None
    item_external_id: ExternalId | None = None
    document_external_id: ExternalId | None = None
    amount: Amount

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if sum(t is not None for t in (self.item_id, self.item_external_id, self.document_external_id)) != 1:
            msg = "name exactly one of item_id, item_external_id and document_external_id"
            raise ValueError(msg)
        if self.amount.minor <= 0:
            msg = "amount: must be above zero"
            raise ValueError(msg)
        return self

    @property
    def key(self) -> tuple[str, str]:
        """How the target is looked up: by what, and its name."""
        if self.item_id is not None:
            return "id", str(self.item_id)
        return ("item", self.item_external_id) if self.item_external_id is not None else ("document", self.document_external_id or "")


How = Annotated[
    Literal["oldest_first", "none"] | Annotated[list[Target], Field(min_length=1, max_length=500)],
    Field(
        description="`oldest_first` pays by due date, document date, number; a list pays what it names; `none` leaves all unapplied."
        " What is not allocated stays visible as unapplied credit."
    ),
]


class Instrument(Row):
    """What a cheque, bill or direct debit carries with it."""

    number: Line | None = None
    bank: Line | None = None
    mandate: Line | None = None
    matures_on: dt.date | None = None


class ReceiptContent(Row):
    """All that is stated about a receipt. It never changes: a mistake is reversed and stated again under another external id."""

    customer_external_id: ExternalId
    amount: Amount
    received_on: Annotated[dt.date, Field(description="Value date.")]
    method: Literal["transfer", "direct_debit", "card", "cheque", "bill", "cash", "other"] = "transfer"
    reference: Annotated[Line | None, Field(description="Remittance text or bank reference.")] = None
    final_on: Annotated[dt.date | None, Field(description="From when it can no longer be returned, where known.")] = None
    instrument: Instrument | None = None
    allocation: How = "oldest_first"

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.amount.minor <= 0:
            msg = "amount: a receipt is above zero; money that left again is a payment return"
            raise ValueError(msg)
        if isinstance(self.allocation, list):
            if any(t.amount.currency != self.amount.currency for t in self.allocation):
                msg = "allocation: all amounts are in the receipt's currency; another currency needs a receipt of its own"
                raise ValueError(msg)
            if sum(t.amount.minor for t in self.allocation) > self.amount.minor:
                msg = "allocation: the parts are more than the receipt"
                raise ValueError(msg)
        return self


class ReceiptRow(ReceiptContent):
    """A receipt in a file."""

    kind: Literal["receipt"] = "receipt"
    external_id: ExternalId


class ReturnContent(Row):
    """A payment that failed after it was booked."""

    receipt_id: UUID
    returned_on: dt.date
    reason: Code
    charges: Annotated[Amount | None, Field(description="The bank's charges, claimed from the customer as a fee item.")] = None
    comment: Words | None = None
