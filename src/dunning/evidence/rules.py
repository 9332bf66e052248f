"""How strong a proof a link has given: grades, what raises them, and whether its door is open. Grades only rise.

The grade says what happened, not who was there: a mail program or a scanner also opens addresses, which is why a visit alone is
never more than `fetched`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

MAX_TRIES = 5
LOCK = dt.timedelta(hours=1)


class Grade(StrEnum):
    """How strong the proof is, weakest first."""

    NONE = "none"
    FETCHED = "fetched"
    OPENED = "opened"
    READ_CONFIRMED = "read_confirmed"
    ACKNOWLEDGED = "acknowledged"


LADDER: tuple[Grade, ...] = tuple(Grade)


class Act(StrEnum):
    """What a visitor, or the company's own extranet for its visitor, did; the kinds of reading that can count."""

    FETCHED = "fetched"
    WRONG_ANSWER = "wrong_answer"
    OPENED = "opened"
    READ_CONFIRMED = "read_confirmed"
    ACKNOWLEDGED = "acknowledged"
    VOUCHED = "vouched"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Rise:
    """What an act is worth: the grade it gives, and the grade it needs first."""

    to: Grade
    needs: Grade = Grade.NONE


RISES: Mapping[Act, Rise] = MappingProxyType(
    {
        Act.FETCHED: Rise(Grade.FETCHED),
        Act.WRONG_ANSWER: Rise(Grade.FETCHED),
        Act.OPENED: Rise(Grade.OPENED),
        Act.READ_CONFIRMED: Rise(Grade.READ_CONFIRMED, needs=Grade.OPENED),
        Act.ACKNOWLEDGED: Rise(Grade.ACKNOWLEDGED, needs=Grade.READ_CONFIRMED),
        Act.VOUCHED: Rise(Grade.READ_CONFIRMED),
        Act.REFUSED: Rise(Grade.NONE),
    }
)


@dataclass(frozen=True, slots=True)
class NotAllowedYet:
    """The act needs a grade that the link has not reached."""

    needs: Grade


def after(grade: Grade, act: Act) -> Grade | NotAllowedYet:
    """Return the grade after an act: the higher of the two, or what it needs first."""
    rise = RISES[act]
    if LADDER.index(grade) < LADDER.index(rise.needs):
        return NotAllowedYet(rise.needs)
    return max(grade, rise.to, key=LADDER.index)


class Door(StrEnum):
    """Whether a link may be used now."""

    OPEN = "open"
    LOCKED = "locked"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Lock:
    """How many answers may still be tried, and until when none may (by the database's clock)."""

    tries_left: int
    locked_until: dt.datetime | None

    def is_shut(self, at: dt.datetime) -> bool:
        """Tell whether no answer is taken at an instant."""
        return self.locked_until is not None and at < self.locked_until


def door_of(*, expires_at: dt.datetime, revoked_at: dt.datetime | None, lock: Lock, business_at: dt.datetime, at: dt.datetime) -> Door:
    """Tell whether a link may be used: its life runs by the tenant's clock, its lock by the database's."""
    if revoked_at is not None:
        return Door.REVOKED
    if business_at >= expires_at:
        return Door.EXPIRED
    return Door.LOCKED if lock.is_shut(at) else Door.OPEN


def after_wrong_answer(lock: Lock, at: dt.datetime) -> Lock:
    """Return the lock after a wrong answer at a time when answers are taken: five tries, then an hour."""
    left = (MAX_TRIES if lock.locked_until is not None else lock.tries_left) - 1
    return Lock(left, None) if left > 0 else Lock(0, at + LOCK)


FRESH_LOCK = Lock(MAX_TRIES, None)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A grade in words, with what it does not prove: the two are never shown apart."""

    words: str
    weakness: str


MEANINGS: Mapping[Grade, Meaning] = MappingProxyType(
    {
        Grade.NONE: Meaning("Nobody has opened the link", "The mail may have been read without opening the link."),
        Grade.FETCHED: Meaning(
            "Fetched, possibly by a machine",
            "Mail scanners and previews open links too; nothing of the claim was shown. This is no proof of reading.",
        ),
        Grade.OPENED: Meaning(
            "Opened by an action on the page, possibly by a machine",
            "A button was pressed or the page was not received whole; programs that check links press buttons too.",
        ),
        Grade.READ_CONFIRMED: Meaning(
            "Shown to someone who gave the answer that the page asked for",
            "Whoever knows the answer can give it; the person was not identified.",
        ),
        Grade.ACKNOWLEDGED: Meaning(
            "Receipt acknowledged by someone who typed a name and a role",
            "Name and role are as typed; no identity document was checked.",
        ),
    }
)
VOUCHED = Meaning(
    "Shown to a reader for whom the company's own extranet vouches",
    "The proof is as strong as the extranet's own login; this service did not see the reader.",
)
ANSWER_IN_THE_MAIL = "The answer asked for, a document number, also stands in the mail."
"""Said beside `read_confirmed` when a mail with all rows went out with the document-number question."""


def meaning_of(grade: Grade, *, vouched: bool = False, answer_in_mail: bool = False) -> Meaning:
    """Return a grade in words with its weakness."""
    if vouched and grade is Grade.READ_CONFIRMED:
        return VOUCHED
    meaning = MEANINGS[grade]
    if answer_in_mail and grade is Grade.READ_CONFIRMED:
        return Meaning(meaning.words, f"{meaning.weakness} {ANSWER_IN_THE_MAIL}")
    return meaning
