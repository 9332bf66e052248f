"""The folder of caught mails: a file with the bytes and a file with the facts for each, and an index of them in memory."""

from __future__ import annotations

import json
import os
import re
import secrets
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import structlog

from dunning.kit.clock import Clock
from dunning_cli.catcher.reading import Summary, summary_of
from dunning_cli.child_process import FolderLock

_ID = re.compile(r"\d{8,}-[0-9a-f]{6}")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CaughtMail:
    """One mail as it was handed over. `recipients` are the envelope's; `received_at` is UTC in ISO 8601; `size` is in octets."""

    id: str
    received_at: str
    envelope_sender: str
    recipients: tuple[str, ...]
    size: int
    summary: Summary

    @property
    def number(self) -> int:
        """Return its place in the order of arrival, from 1."""
        return int(self.id.partition("-")[0])


@dataclass(frozen=True, slots=True)
class Search:
    """What the mails of a list have in common; None asks for nothing. `to` is a whole address, `containing` a part of one."""

    to: str | None = None
    containing: str | None = None
    message_id: str | None = None

    def matches(self, mail: CaughtMail) -> bool:
        """Tell whether a mail is one of those; addresses are compared without regard to case."""
        if self.message_id is not None and mail.summary.message_id.strip("<>") != self.message_id.strip().strip("<>"):
            return False
        if self.to is not None and self.to.strip().casefold() not in {address.casefold() for address in mail.recipients}:
            return False
        part = (self.containing or "").strip().casefold()
        return not part or any(part in text.casefold() for text in (*mail.recipients, mail.summary.to))


@dataclass(frozen=True, slots=True)
class Page:
    """Mails, newest first, and the id after which the next page begins; None where this is the last."""

    mails: tuple[CaughtMail, ...]
    next_cursor: str | None


class MailFolder:
    """The mails of a folder. One process at a time has it; what was answered with 250 is there after a kill."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._root = folder
        self._clock = clock
        self._lock = FolderLock(folder / "lock")
        self._mails: list[CaughtMail] = []
        self._by_id: dict[str, CaughtMail] = {}
        self._copies: Counter[str] = Counter()

    def open(self) -> None:
        """Take the folder, making it if needed, and read what is in it; raises EmbeddedServerError when another process has it."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.take("the caught mails")
        self._mails, self._by_id, self._copies = [], {}, Counter()
        for leftover in self._root.glob("*.part"):
            leftover.unlink(missing_ok=True)
        for mail in sorted(self._stored(), key=lambda stored: stored.number):
            self._remember(mail)

    def close(self) -> None:
        """Let go of the folder. Twice is harmless."""
        self._lock.release()

    def add(self, *, envelope_sender: str, recipients: Sequence[str], content: bytes) -> CaughtMail:
        """Keep one mail under a new id; when this returns it is in the folder. The same mail twice is two mails: that is what one wants to see."""
        number = self._mails[-1].number + 1 if self._mails else 1
        mail = CaughtMail(
            id=f"{number:08d}-{secrets.token_hex(3)}",
            received_at=self._clock.now().isoformat(timespec="milliseconds"),
            envelope_sender=envelope_sender,
            recipients=tuple(recipients),
            size=len(content),
            summary=summary_of(content),
        )
        # The facts come last: they are what makes a mail count, so that one cut off half way was never there.
        self._write(f"{mail.id}.eml", content)
        self._write(f"{mail.id}.json", json.dumps(asdict(mail), ensure_ascii=False, indent=1).encode())
        self._remember(mail)
        return mail

    def mail_of(self, mail_id: str) -> CaughtMail | None:
        """Return the mail with this id, None where there is none."""
        return self._by_id.get(mail_id)

    def content_of(self, mail: CaughtMail) -> bytes:
        """Return the bytes as they came; raises FileNotFoundError when someone has removed the file."""
        return (self._root / f"{mail.id}.eml").read_bytes()

    def copies_of(self, mail: CaughtMail) -> int:
        """Return how many mails carry this mail's Message-ID, itself included; more than 1 means that it was sent again."""
        return self._copies[mail.summary.message_id] if mail.summary.message_id else 1

    def page(self, search: Search, *, limit: int, after: str | None = None) -> Page:
        """Return up to `limit` mails, newest first, older than the one with the id `after`; raises ValueError when that is no id."""
        found: list[CaughtMail] = []
        for mail in self._newest_first(after):
            if search.matches(mail):
                found.append(mail)
                if len(found) > limit:
                    return Page(tuple(found[:limit]), found[limit - 1].id)
        return Page(tuple(found), None)

    def count(self, search: Search) -> tuple[int, int]:
        """Return how many mails there are, and how many Message-IDs they have; a mail without one counts for itself."""
        identities = [mail.summary.message_id or mail.id for mail in self._mails if search.matches(mail)]
        return len(identities), len(set(identities))

    def _newest_first(self, after: str | None) -> Iterator[CaughtMail]:
        end = len(self._mails)
        if after is not None:
            if not _ID.fullmatch(after):
                msg = f"{after!r} is no mail id; give the next_cursor of the page before."
                raise ValueError(msg)
            end = bisect_left(self._mails, int(after.partition("-")[0]), key=lambda mail: mail.number)
        return (self._mails[place] for place in range(end - 1, -1, -1))

    def _remember(self, mail: CaughtMail) -> None:
        self._mails.append(mail)
        self._by_id[mail.id] = mail
        if mail.summary.message_id:
            self._copies[mail.summary.message_id] += 1

    def _stored(self) -> Iterator[CaughtMail]:
        for path in self._root.glob("*.json"):
            if not _ID.fullmatch(path.stem):
                continue
            try:
                facts = json.loads(path.read_bytes())
                facts["summary"] = Summary(**facts["summary"])
                mail = CaughtMail(**{**facts, "recipients": tuple(facts["recipients"])})
                yield replace(mail, id=path.stem)
            except (ValueError, TypeError, KeyError):
                _log.warning("caught_mail.unreadable", file=path.name)

    def _write(self, name: str, content: bytes) -> None:
        unfinished = self._root / f"{name}.part"
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        unfinished.rename(self._root / name)
