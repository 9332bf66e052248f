"""A mail server that keeps what it is given, in this process: the stories read their mails as the customers would."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from dunning.messages.relays import Connection, DnsChecks, Pace, RelayRefused, Reply, pace_of
from dunning.messages.rules import Phase

_LINK = re.compile(r"https?://\S+")


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail as it arrived."""

    to: str
    sender: str
    subject: str
    text: str
    html: str
    reply_to: str | None
    message_id: str

    @property
    def link(self) -> str:
        """The first address in the text."""
        found = _LINK.search(self.text)
        assert found, f"no link in {self.text}"
        return found[0]

    @property
    def token(self) -> str:
        """The token of the customer's own link."""
        return self.link.rpartition("/")[2]


def letter_of(recipient: str, mime: bytes) -> Letter:
    """Read a mail."""
    mail = email.message_from_bytes(mime, policy=email.policy.SMTP)
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    return Letter(
        recipient, str(mail["From"]), str(mail["Subject"]), plain.get_content() if plain else "", html.get_content() if html else "", mail["Reply-To"],
        str(mail["Message-ID"]),
    )  # fmt: skip


@dataclass
class Mailbox:
    """The relay of test-mode tenants. `refusals` says what it answers to RCPT for an address: the code and text of the reply."""

    name: str = "sink"
    pace: Pace = field(default_factory=lambda: pace_of(0))
    lanes: int = 1
    per_domain: int = 0
    bounce_domain: str | None = None
    dns_checks: DnsChecks = "off"
    letters: list[Letter] = field(default_factory=list)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """Lend a connection that puts mails into the box."""
        yield _Slot(self)

    async def close(self) -> None:
        """Do nothing: there is no socket."""

    def to(self, address: str) -> list[Letter]:
        """Return the mails to an address, in the order in which they came."""
        return [letter for letter in self.letters if letter.to == address]

    def last(self, address: str) -> Letter:
        """Return the newest mail to an address."""
        return self.to(address)[-1]

    def subjects_to(self, address: str) -> list[str]:
        """Return the subjects of the mails to an address."""
        return [letter.subject for letter in self.to(address)]

    def subjects(self) -> list[str]:
        """Return recipient and subject of every mail."""
        return [f"{letter.to} {letter.subject}" for letter in self.letters]


class _Slot:
    usable = True
    reused = False

    def __init__(self, box: Mailbox) -> None:
        self._box, self._recipient = box, ""

    def cut(self) -> None:
        """Do nothing."""

    async def offer(self, sender: str, recipient: str) -> None:
        """Take the addresses, or refuse the recipient."""
        if recipient in self._box.refusals:
            raise RelayRefused(Phase.RCPT, *self._box.refusals[recipient])
        self._recipient = recipient

    async def deliver(self, mime: bytes) -> Reply:
        """Put the mail into the box."""
        self._box.letters.append(letter_of(self._recipient, mime))
        return Reply(250, f"2.0.0 kept as number {len(self._box.letters)}")

    async def withdraw(self) -> None:
        """Forget the addresses."""
