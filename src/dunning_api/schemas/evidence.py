"""Shapes of evidence: readings and the dated record of a message."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from dunning.evidence.proof import Happening, MessageEvidence, Reading
from dunning.evidence.rules import Meaning
from dunning_api.schemas.base import Output


class ReaderOut(Output):
    """Who a reading says it was by."""

    name: str
    role: str
    contact: str | None


class ReadingOut(Output):
    """One act at a link: a grade in words with its weakness."""

    reading_id: UUID
    link_id: UUID
    message_id: UUID
    audience: str
    kind: str
    grade: str
    words: str
    weakness: str
    counts_as_customer_reading: bool
    reader: ReaderOut | None
    page_sha256: str | None
    details: dict[str, Any]
    business_at: dt.datetime
    recorded_at: dt.datetime

    @classmethod
    def of(cls, message_id: UUID, audience: str, reading: Reading) -> ReadingOut:
        """Show a reading."""
        return cls(
            reading_id=reading.reading_id,
            link_id=reading.link_id,
            message_id=message_id,
            audience=audience,
            kind=reading.kind,
            grade=reading.grade,
            words=reading.meaning.words,
            weakness=reading.meaning.weakness,
            counts_as_customer_reading=audience == "customer" and reading.grade in {"read_confirmed", "acknowledged"},
            reader=None if reading.reader is None else ReaderOut.model_validate(reading.reader),
            page_sha256=None if reading.page_sha256 is None else reading.page_sha256.hex(),
            details=dict(reading.details),
            business_at=reading.business_at,
            recorded_at=reading.recorded_at,
        )


class MeaningOut(Output):
    """A state or grade in words, with what it does not prove."""

    code: str
    words: str
    weakness: str

    @classmethod
    def of(cls, code: str, meaning: Meaning) -> MeaningOut:
        """Show a meaning."""
        return cls(code=code, words=meaning.words, weakness=meaning.weakness)


class HappeningOut(Output):
    """One dated entry: about `sending` or `reading`. `business_at` is null where only the database's clock was asked."""

    about: str
    kind: str
    grade: str
    words: str
    weakness: str
    business_at: dt.datetime | None
    recorded_at: dt.datetime
    details: dict[str, Any]

    @classmethod
    def of(cls, happening: Happening) -> HappeningOut:
        """Show an entry."""
        return cls(
            about=happening.about,
            kind=happening.kind,
            grade=happening.grade,
            words=happening.meaning.words,
            weakness=happening.meaning.weakness,
            business_at=happening.business_at,
            recorded_at=happening.recorded_at,
            details=dict(happening.details),
        )


class MessageEvidenceOut(Output):
    """What is known of a message, each entry dated and graded, and what all of it together does not claim to be."""

    message_id: UUID
    claim_id: UUID
    customer_id: UUID
    channel: str
    audience: str
    is_copy: bool
    sending: MeaningOut
    delivery: MeaningOut
    reading: MeaningOut
    fetches: int
    counts_as_customer_reading: bool
    header_message_id: str
    provider_id: str | None
    mime_sha256: str | None
    template_id: UUID
    template_version: int
    accepted_at: dt.datetime | None
    events: list[HappeningOut]
    statement: str

    @classmethod
    def of(cls, evidence: MessageEvidence) -> MessageEvidenceOut:
        """Show the evidence."""
        return cls(
            message_id=evidence.message_id,
            claim_id=evidence.claim_id,
            customer_id=evidence.customer_id,
            channel=evidence.channel,
            audience=evidence.audience,
            is_copy=evidence.is_copy,
            sending=MeaningOut.of(evidence.state, evidence.sending),
            delivery=MeaningOut.of(evidence.delivery, evidence.delivered),
            reading=MeaningOut.of(evidence.grade, evidence.reading),
            fetches=evidence.fetches,
            counts_as_customer_reading=evidence.counts_as_customer_reading,
            header_message_id=evidence.header_message_id,
            provider_id=evidence.provider_id,
            mime_sha256=None if evidence.mime_sha256 is None else evidence.mime_sha256.hex(),
            template_id=evidence.template_id,
            template_version=evidence.template_version,
            accepted_at=evidence.accepted_at,
            events=[HappeningOut.of(happening) for happening in evidence.happenings],
            statement=evidence.statement,
        )
