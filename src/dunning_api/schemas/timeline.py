"""Shapes of the timeline and of attachments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from pydantic import ConfigDict, Field, SkipValidation

from dunning.ledger.rows import Line
from dunning_api.schemas.base import Input, MoneyOut, Output, Page

EntryKind = Literal[
    "action", "activity", "message", "comment", "receipt", "payment_return", "reading", "dispute", "promise", "block", "step_override", "assignment",
    "attachment", "hold_set", "hold_released", "step_set", "block_lifted", "payment_plan", "promise_moved", "promise_cancelled", "payment_plan_cancelled",
]  # fmt: skip
SubjectKind = Literal["customer", "item", "document", "action", "activity", "dispute", "promise"]
_URLS = {
    "action": "/v1/actions/", "activity": "/v1/activities/", "message": "/v1/messages/", "receipt": "/v1/receipts/", "dispute": "/v1/disputes/",
    "promise": "/v1/promises/", "block": "/v1/account-blocks/", "payment_plan": "/v1/payment-plans/",
}  # fmt: skip
_URLS_OF_TURNS = {
    "hold_set": ("/v1/holds/", "hold_id"), "hold_released": ("/v1/holds/", "hold_id"), "step_set": ("/v1/items/", "item_id"),
    "block_lifted": ("/v1/account-blocks/", "block_id"), "promise_moved": ("/v1/promises/", "promise_id"),
    "promise_cancelled": ("/v1/promises/", "promise_id"), "payment_plan_cancelled": ("/v1/payment-plans/", "plan_id"),
}  # fmt: skip
# No user name or password stands before the host: whoever reads the timeline reads them too.
_ADDRESS = r"^https://[^\s\x00-\x1f\x7f\x22<>\\@/?#]+([/?#][^\s\x00-\x1f\x7f\x22<>\\]*)?$"


class TimelineEntry(Output):
    """One thing that was recorded about a customer: `kind` says what `data` holds, `author` who did it where somebody did, `url` where it can be read.

    `on` is the day of it; of a message that has not left, the day on which it was to leave. Beside each person in `data` stands the name.
    """

    id: UUID
    kind: EntryKind
    on: dt.date | None
    recorded_at: dt.datetime
    action_id: UUID | None
    actor: str | None
    author: str | None
    url: str | None
    data: Annotated[dict[str, Any], SkipValidation]


def timeline_page(rows: Sequence[asyncpg.Record], next_cursor: str | None) -> Page[TimelineEntry]:
    """Show a page of the timeline; amounts become decimal text. It is checked as a whole, which takes half the time of entry by entry."""
    return Page[TimelineEntry].model_validate({"data": [_entry(row) for row in rows], "next_cursor": next_cursor})


def _entry(row: asyncpg.Record) -> dict[str, Any]:
    id_, kind, recorded_at, on, action_id, actor, recorded, author = row
    data = dict(recorded)
    if "amount_minor" in data:
        data["amount"] = MoneyOut.of(data.pop("amount_minor"), data.pop("currency"))
    if "totals" in data:
        data["totals"] = [MoneyOut.of(minor, currency) for currency, minor in data["totals"]]
    if kind in _URLS_OF_TURNS:
        base, name = _URLS_OF_TURNS[kind]
        url = base + data[name]
    else:
        url = f"{_URLS[kind]}{id_}" if kind in _URLS else None
    return {
        "id": id_, "kind": kind, "on": on, "recorded_at": recorded_at, "action_id": action_id, "actor": actor,
        "author": author, "url": url, "data": data,
    }  # fmt: skip


class AttachmentCreate(Input):
    """Where a file lies, and what it belongs to."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject_kind": "customer", "subject_id": "0198c0de-0000-7000-8000-000000000001", "url": "https://files.acme.example/rossi/frame.pdf",
                    "name": "Frame agreement", "media_type": "application/pdf",
                }
            ]
        }
    )  # fmt: skip

    subject_kind: SubjectKind
    subject_id: UUID
    url: Annotated[str, Field(max_length=2000, pattern=_ADDRESS, description="An https address, without a user name or password.")]
    name: Line
    media_type: Annotated[str, Field(pattern=r"^[a-z]+/[a-zA-Z0-9.+-]{1,100}$")] | None = None


class AttachmentOut(Output):
    """A file that was registered; it lies where `url` says."""

    attachment_id: UUID
    ledger_id: UUID
    customer_id: UUID
    subject_kind: str
    subject_id: UUID
    url: str
    name: str
    media_type: str | None
    actor: str
    author: str
    created_at: dt.datetime

    @classmethod
    def of(cls, row: asyncpg.Record, names: dict[str, str]) -> AttachmentOut:
        """Show an attachment."""
        return cls(**{name: row[name] for name in cls.model_fields if name != "author"}, author=names.get(row["actor"], row["actor"]))
