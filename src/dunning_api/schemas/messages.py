"""Shapes of messages, suppressed addresses and relays."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from pydantic import ConfigDict, Field

from dunning.messages.relay_service import RelayState
from dunning.messages.service import Body
from dunning.messages.suppressions import Suppression
from dunning_api.schemas.base import Input, LongText, Output

MessageState = Literal[
    "ready",
    "leased",
    "committing",
    "retry_wait",
    "uncertain",
    "held",
    "parked",
    "accepted",
    "rejected",
    "suppressed",
    "expired",
    "cancelled",
    "closed_unknown",
]
MessageKind = Literal["notice", "test"]
Delivery = Literal["none", "delayed", "delivered", "failed"]


class AddresseeOut(Output):
    """Whom a message is for; null fields were erased or never known."""

    email: str | None
    name: str | None


class MessageOut(Output):
    """One message to one recipient. `cc` are the recipients of copies, which are messages of their own; nothing is ever sent in blind copy.

    A `test` belongs to no customer, action or claim; its `template_version` is null where the draft was sent.
    """

    message_id: UUID
    kind: MessageKind
    ledger_id: UUID
    customer_id: UUID | None
    action_id: UUID | None
    claim_id: UUID | None
    notice: str
    channel: str
    audience: str
    is_primary: bool
    is_copy: bool
    to: AddresseeOut
    cc: list[str]
    bcc: list[str]
    subject: str | None
    language: str
    template_id: UUID
    template_version: int | None
    content_mode: str
    relay: str
    state: MessageState
    reason: str | None
    delivery: Delivery
    attempts: int
    reply: str | None
    provider_id: str | None
    header_message_id: str
    resend_of: UUID | None
    not_before: dt.datetime
    valid_until: dt.datetime
    retry_at: dt.datetime | None
    sent_at: dt.datetime | None
    accepted_at: dt.datetime | None
    accepted_on: dt.date | None
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, row: asyncpg.Record) -> MessageOut:
        """Show a message."""
        return cls(**_fields(row))


def _fields(row: asyncpg.Record) -> dict[str, Any]:
    same = set(MessageOut.model_fields) - {"to", "cc", "bcc", "attempts"}
    return {
        **{name: row[name] for name in same},
        "to": AddresseeOut(email=row["to_email"], name=row["to_name"]),
        "cc": row["copies"],
        "bcc": [],
        "attempts": row["attempt"],
    }


class MessageChangeOut(Output):
    """One change of a message's state."""

    from_state: str | None
    to_state: str
    reason: str | None
    actor: str
    author: Annotated[str, Field(description="The name behind `actor`.")]
    details: dict[str, Any]
    recorded_at: dt.datetime


class MessageWithHistory(MessageOut):
    """A message and everything that happened to it, oldest first."""

    history: list[MessageChangeOut]

    @classmethod
    def told(cls, row: asyncpg.Record, history: list[asyncpg.Record]) -> MessageWithHistory:
        """Show a message with its history."""
        changes = [
            MessageChangeOut(
                from_state=h["from_state"],
                to_state=h["to_state"],
                reason=h["reason"],
                actor=h["actor"],
                author=h["author"],
                details=h["data"],
                recorded_at=h["recorded_at"],
            )
            for h in history
        ]
        return cls(**_fields(row), history=changes)


class MessageBody(Output):
    """What a message says, written again from its frozen claim, with its link masked.

    `verified` is true when writing it again gave the very bytes that were sent, by their SHA-256, and null while it was not sent.
    """

    subject: str
    text: str
    html: str | None
    language: str
    sha256: str
    sent_sha256: str | None
    verified: bool | None

    @classmethod
    def of(cls, body: Body) -> MessageBody:
        """Show a body."""
        return cls.model_validate(body)


class MessageReason(Input):
    """Why a person does this; it stands in the history."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "The customer called: the transfer is on its way."}]})

    reason: LongText


class MessageResolve(Input):
    """What a person decides about a message whose end nobody knows."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"decision": "treat_as_sent", "reason": "The customer answered this mail by phone."}]})

    decision: Annotated[
        Literal["resend", "treat_as_sent", "not_sent"],
        Field(
            description=(
                "`resend`: send it again as a new message, knowing that it may arrive twice. `treat_as_sent`: go on as if it had been accepted, "
                "without proof. `not_sent`: the relay's log proves that it never took it; the same message goes again."
            )
        ),
    ]
    reason: LongText


class SuppressionOut(Output):
    """An address to which nothing is sent, as its digest."""

    key: str
    channel: str
    cause: str
    message_id: UUID | None
    created_at: dt.datetime
    expires_at: dt.datetime | None

    @classmethod
    def of(cls, suppression: Suppression) -> SuppressionOut:
        """Show a suppressed address."""
        return cls.model_validate(suppression)


class RelayOut(Output):
    """A relay as it stands: open, resting after failures, or suspended until a person resumes it."""

    name: str
    state: Literal["open", "resting", "suspended"]
    own_queue_stopped: bool
    reason: str | None
    advice: str | None
    failures: int
    until: dt.datetime | None

    @classmethod
    def of(cls, relay: RelayState) -> RelayOut:
        """Show a relay."""
        return cls.model_validate(relay)


class RelayList(Output):
    """All relays."""

    data: list[RelayOut]
