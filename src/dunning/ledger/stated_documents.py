"""What a stated document writes: the values of its row and of its items."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from dunning.kit.errors import Conflict
from dunning.kit.ids import new_id
from dunning.ledger.document_store import DocumentValues, KnownDocument
from dunning.ledger.item_store import NewItem
from dunning.ledger.progress import Progress
from dunning.ledger.rows import DocumentRow, Part
from dunning.ledger.rules import direction_of

ERP = "erp_open_items"


class FixedForDocument(Conflict):
    """Customer, type and currency of a document cannot change."""

    code = "document_identity_fixed"
    title = "The document cannot change so"


class OpenAmountDiffers(Conflict):
    """A stated open amount contradicts what receipts and credits say."""

    code = "open_amount_differs"
    title = "The open amount follows from receipts"


@dataclass(frozen=True, slots=True)
class Restated:
    """A document that is stated anew, with what is stored of it."""

    row: DocumentRow
    sha: bytes
    known: KnownDocument
    corrects: UUID | None


def document_values(row: DocumentRow, sha: bytes, document_id: UUID, customer_id: UUID, corrects: UUID | None) -> DocumentValues:
    """Return what is written of a document."""
    return DocumentValues(
        document_id,
        customer_id,
        row.external_id,
        row.type,
        row.number,
        row.document_on,
        row.delivered_on,
        row.total.currency,
        row.total.minor,
        row.state,
        corrects,
        row.payment_reference,
        row.file_url,
        row.custom,
        sha,
        row.value_on or row.document_on,
    )


def new_item(row: DocumentRow, part: Part, number: int, document_id: UUID, customer: Progress, allocated_minor: int, today: dt.date) -> NewItem:
    """Return what is written of one new item; where it was stated with no progress, what was stated for its customer holds if it was due by then."""
    step, reminded_on = part.step_reached, part.last_reminded_on
    if step is None and customer.last_reminded_on is not None and part.due_on <= customer.last_reminded_on:
        step, reminded_on = customer.step_reached, customer.last_reminded_on
    return NewItem(
        new_id(),
        customer.customer_id,
        document_id,
        number,
        part.external_id,
        row.type,
        direction_of(row.type),
        row.number,
        row.document_on,
        part.due_on,
        row.delivered_on,
        row.total.currency,
        part.amount_minor,
        allocated_minor,
        part.collection_method,
        step,
        (reminded_on or today) if step else None,
        row.policy,
        row.scenario_id,
        row.value_on or row.document_on,
    )


def opening_of(row: DocumentRow, part: Part) -> int:
    """Return what of a new item is not open from the start, in minor units: all of it where the document is void."""
    if row.state == "void":
        return part.amount_minor
    return 0 if part.open_minor is None else part.amount_minor - part.open_minor
