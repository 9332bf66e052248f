"""The shapes of the JSON view."""

from __future__ import annotations

from pydantic import BaseModel, Field


class MailOut(BaseModel):
    """One caught mail."""

    id: str
    received_at: str = Field(description="When it was taken, UTC, ISO 8601.")
    envelope_sender: str = Field(description="The MAIL FROM address; empty for a bounce.")
    recipients: list[str] = Field(description="The RCPT TO addresses.")
    sender: str = Field(description="The From header.")
    to: str = Field(description="The To header.")
    subject: str
    date: str = Field(description="The Date header as it was written.")
    message_id: str = Field(description="The Message-ID header with its angle brackets; empty where it has none.")
    size: int = Field(description="Octets.")
    copies: int = Field(description="How many caught mails carry this Message-ID; more than 1 means that it was sent again.")


class MailListOut(BaseModel):
    """A page of mails, newest first."""

    data: list[MailOut]
    next_cursor: str | None


class HeaderOut(BaseModel):
    """One header, decoded."""

    name: str
    value: str


class AttachmentOut(BaseModel):
    """One attachment; its number in `/mails/{id}/attachments/{number}` is its place in the list, from 1."""

    name: str
    media_type: str
    size: int


class MailDetailOut(MailOut):
    """One caught mail with what it says."""

    headers: list[HeaderOut]
    text: str | None
    html: str | None
    links: list[str]
    attachments: list[AttachmentOut]
    oddities: list[str] = Field(description="What is unusual about the mail, in sentences.")


class CountOut(BaseModel):
    """How many mails there are."""

    count: int
    distinct_message_ids: int = Field(description="Less than count means that mails were sent more than once.")
