"""The evidence of a message: everything that is known to have happened to it, dated, each with a grade in words and with its weakness."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.evidence import store
from dunning.evidence.links import Link, link_from
from dunning.evidence.rules import LADDER, Act, Grade, Meaning, meaning_of
from dunning.evidence.sending_words import DELIVERY, NOT_QUALIFIED, STATES
from dunning.kit.database import ReadSession
from dunning.kit.errors import NotFound
from dunning.kit.ids import ClaimId, CustomerId, LinkId, MessageId, ReadingId, TenantId
from dunning.messages.ports import ClaimData

_WRONG = Meaning("Someone gave a wrong answer on the page", "Nothing of the claim was shown.")
_REFUSED = Meaning("The link was opened when it was no longer valid", "Nothing of the claim was shown.")
_PUBLIC = ("method", "network", "program", "asked", "tries_left", "reason", "claim_revision", "language", "proved_by", "vouched_by", "statement")


@dataclass(frozen=True, slots=True)
class Reading:
    """One recorded act at a link, in words. `reader` is who it says it was, or None when nobody did or it was erased."""

    reading_id: ReadingId
    link_id: LinkId
    kind: Act
    grade: Grade
    meaning: Meaning
    reader: Mapping[str, str | None] | None
    page_sha256: bytes | None
    details: Mapping[str, Any]
    business_at: dt.datetime
    recorded_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Happening:
    """One dated entry of the evidence: about sending (a state) or about reading (a grade)."""

    about: str
    kind: str
    grade: str
    meaning: Meaning
    business_at: dt.datetime | None
    recorded_at: dt.datetime
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MessageEvidence:
    """What is known of one message. `grade` is the strongest reading through its links; an internal recipient's never counts as the customer's."""

    message_id: MessageId
    claim_id: ClaimId
    customer_id: CustomerId
    channel: str
    audience: str
    is_copy: bool
    state: str
    sending: Meaning
    delivery: str
    delivered: Meaning
    header_message_id: str
    provider_id: str | None
    mime_sha256: bytes | None
    template_id: UUID
    template_version: int
    accepted_at: dt.datetime | None
    grade: Grade
    reading: Meaning
    fetches: int
    counts_as_customer_reading: bool
    happenings: Sequence[Happening]
    statement: str


async def message_evidence(session: ReadSession, *, tenant_id: TenantId, message_id: MessageId) -> MessageEvidence:
    """Return the evidence of a message, oldest first by the database's clock; raise `NotFound`."""
    row = await store.message_row(session, tenant_id, message_id)
    if row is None:
        noun = "message"
        raise NotFound(noun)
    links = [link_from(link) for link in await store.links_of_message(session, tenant_id, message_id)]
    readings = [reading_from(reading) for reading in await store.readings_of_message(session, tenant_id, message_id)]
    history = await store.history_of_message(session, tenant_id, message_id)
    grade = max((link.grade for link in links), key=LADDER.index, default=Grade.NONE)
    happenings = [_queued(row), *(_sending(entry) for entry in history if entry["to_state"] != "ready" or entry["reason"])]
    happenings += [_read(reading, links) for reading in readings]
    return MessageEvidence(
        message_id=message_id,
        claim_id=ClaimId(row["claim_id"]),
        customer_id=CustomerId(row["customer_id"]),
        channel=row["channel"],
        audience=row["audience"],
        is_copy=row["is_copy"],
        state=row["state"],
        sending=STATES[row["state"]],
        delivery=row["delivery"],
        delivered=DELIVERY[row["delivery"]],
        header_message_id=row["header_message_id"],
        provider_id=row["provider_id"],
        mime_sha256=row["mime_sha256"],
        template_id=row["template_id"],
        template_version=row["template_version"],
        accepted_at=row["accepted_at"],
        grade=grade,
        reading=_strongest(grade, readings),
        fetches=sum(link.fetches for link in links),
        counts_as_customer_reading=row["audience"] == "customer" and LADDER.index(grade) >= LADDER.index(Grade.READ_CONFIRMED),
        happenings=sorted(happenings, key=lambda happening: happening.recorded_at),
        statement=NOT_QUALIFIED,
    )


async def readings_of_claim(
    session: ReadSession,
    claim_data: ClaimData,
    *,
    tenant_id: TenantId,
    claim_id: ClaimId,
    after: UUID | None,
    limit: int,
) -> list[tuple[MessageId, str, Reading]]:
    """Return a page of the readings through all links of a claim, oldest first, each with its message and its audience; raise `NotFound`."""
    if claim_id not in await claim_data(session, tenant_id, [claim_id]):
        noun = "claim"
        raise NotFound(noun)
    rows = await store.readings_of_claim(session, tenant_id, claim_id, after, limit)
    return [(MessageId(row["message_id"]), row["audience"], reading_from(row)) for row in rows]


def reading_from(row: asyncpg.Record) -> Reading:
    """Read a reading from its row and put it into words."""
    kind, grade, data = Act(row["kind"]), Grade(row["grade"]), row["data"]
    meaning = meaning_of(grade, vouched="vouched_by" in data, answer_in_mail=bool(data.get("answer_in_mail")))
    if kind is Act.WRONG_ANSWER:
        meaning = _WRONG
    elif kind is Act.REFUSED:
        meaning = _REFUSED
    reader = None if row["reader_name"] is None else {"name": row["reader_name"], "role": row["reader_role"], "contact": row["reader_contact"]}
    return Reading(
        ReadingId(row["reading_id"]),
        LinkId(row["link_id"]),
        kind,
        grade,
        meaning,
        reader,
        row["page_sha256"],
        {key: data[key] for key in _PUBLIC if key in data},
        row["business_at"],
        row["recorded_at"],
    )


def _strongest(grade: Grade, readings: Sequence[Reading]) -> Meaning:
    """Return the words of the strongest reading; of several equal ones, the one with the least weakness said."""
    same = [reading.meaning for reading in readings if reading.grade is grade and reading.kind not in {Act.WRONG_ANSWER, Act.REFUSED}]
    return min(same, key=lambda meaning: len(meaning.weakness), default=meaning_of(grade))


def _queued(row: asyncpg.Record) -> Happening:
    return Happening("sending", "ready", "queued", STATES["ready"], None, row["created_at"], {})


def _sending(entry: asyncpg.Record) -> Happening:
    grade = "accepted" if entry["to_state"] == "accepted" else "queued" if entry["to_state"] == "ready" else "none"
    details = {"reason": entry["reason"]} if entry["reason"] else {}
    return Happening("sending", entry["to_state"], grade, STATES[entry["to_state"]], None, entry["recorded_at"], details)


def _read(reading: Reading, links: Sequence[Link]) -> Happening:
    details: dict[str, Any] = dict(reading.details)
    if reading.kind is Act.FETCHED:
        details["fetches"] = next(link.fetches for link in links if link.link_id == reading.link_id)
    if reading.reader is not None:
        details["reader"] = dict(reading.reader)
    if reading.page_sha256 is not None:
        details["page_sha256"] = reading.page_sha256.hex()
    return Happening("reading", reading.kind, reading.grade, reading.meaning, reading.business_at, reading.recorded_at, details)
