"""The checker of whole runs: the relay's journal and the client's acknowledgements against what the service says (promises 1: D1 to D5)."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from tests.fakes.journal import Accepted
from tests.faults.checker import Verdict, check
from tests.faults.keepers import Kill

RECORD_GRACE_SECONDS = 15.0
"""For how long after its message was taken for lost a worker may still be offering the reply to a database that comes back."""


@dataclass(frozen=True, slots=True)
class Told:
    """One message as the service shows it. `fenced_at` and `lost_at` are when it last passed its fence, and when its reply was given up after that."""

    message_id: UUID
    to: str
    state: str
    fenced_at: dt.datetime | None = None
    lost_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known at the end. `owing` are the addresses that must be reminded once; `paid_at` those that paid, with the instant of the answer."""

    owing: frozenset[str]
    paid_at: Mapping[str, dt.datetime]
    messages: Sequence[Told]
    journal: Sequence[Accepted]
    kills: Sequence[Kill]
    connections: int
    acknowledged: frozenset[tuple[str, str]]
    readable: Mapping[tuple[str, str], int]
    unsound: Sequence[str] = ()


@dataclass
class WholeVerdict:
    """What a whole run has done wrong. `mails` is the verdict of the relay's journal against the message table."""

    mails: Verdict
    planned: dict[str, int] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=dict)
    customers: int = 0
    unreminded: int = 0
    reminded_twice: int = 0
    reminded_after_payment: int = 0
    strays: int = 0
    writes_acknowledged: int = 0
    writes_lost: int = 0
    writes_doubled: int = 0
    resolved: int = 0
    left_after_resolving: int = 0
    unsound: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    observed: dict[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def lost(self) -> int:
        return self.mails.lost + self.unreminded + self.writes_lost

    @property
    def duplicates(self) -> int:
        return self.mails.duplicates + self.reminded_twice + self.writes_doubled

    @property
    def false(self) -> int:
        return self.mails.false

    @property
    def missed(self) -> dict[str, int]:
        """Kills that were planned and never met a running process at work, a target."""
        return {name: count - self.hits.get(name, 0) for name, count in self.planned.items() if count > self.hits.get(name, 0)}

    @property
    def spotless(self) -> bool:
        own = self.lost or self.duplicates or self.false or self.reminded_after_payment or self.strays or self.left_after_resolving or self.unsound
        return not own and self.mails.spotless and not self.missed

    def line(self) -> str:
        hits = ", ".join(f"{name} {self.hits.get(name, 0)}/{count}" for name, count in self.planned.items())
        return (
            f"whole run: trials {self.mails.trials}, faults hit {sum(self.hits.values())} ({hits}), customers {self.customers}, messages {self.mails.mails}, "
            f"lost {self.lost}, duplicate {self.duplicates}, false {self.false}, held {self.mails.held} (wrongly {self.mails.wrongly_held}), "
            f"reminded after payment {self.reminded_after_payment}, writes acknowledged {self.writes_acknowledged}, seed {self.seed}"
        )

    def figures(self) -> dict[str, Any]:
        """Return everything as JSON."""
        mine = asdict(self)
        return mine | {
            "trials": self.mails.trials,
            "faults_hit": sum(self.hits.values()),
            "lost": self.lost,
            "duplicate": self.duplicates,
            "false": self.false,
            "held": self.mails.held,
            "spotless": self.spotless,
        }


def judge(seen: Seen) -> WholeVerdict:
    """Compare what happened with what must have happened, before anybody has decided about what is held."""
    undecidable = _undecidable(seen)
    states = {told.message_id: told.state for told in seen.messages}
    verdict = WholeVerdict(check(states, states, seen.journal, undecidable))
    verdict.customers = len(seen.owing | set(seen.paid_at))
    verdict.unsound += seen.unsound
    _judge_customers(verdict, seen)
    _judge_writes(verdict, seen)
    verdict.notes += verdict.mails.notes
    return verdict


def judge_resolved(verdict: WholeVerdict, seen: Seen) -> None:
    """After a person has decided every held message by the relay's log, each owing customer has exactly one mail, and no payer got one too many."""
    mails = _mails_by_address(seen.journal)
    for address in sorted(seen.owing):
        if mails[address] != 1:
            verdict.left_after_resolving += 1
            verdict.notes.append(f"{address} has {mails[address]} mails after everything was resolved")
    for address in sorted(set(mails) - seen.owing):
        if mails[address] > 1:
            verdict.left_after_resolving += 1
            verdict.notes.append(f"{address} paid and has {mails[address]} mails")
    open_states = {told.state for told in seen.messages} - {"accepted", "cancelled", "closed_unknown"}
    if open_states:
        verdict.left_after_resolving += 1
        verdict.notes.append(f"messages are left in {sorted(open_states)}")


def _undecidable(seen: Seen) -> set[UUID]:
    """Return the messages past their fence when their worker was killed: nobody can know their end.

    One connection has at most one of them, so that more than the connections for one kill are not excused by it.
    """
    excused: set[UUID] = set()
    deaths: Counter[int] = Counter()
    workers = [kill for kill in seen.kills if kill.target == "worker"]
    for told in sorted((t for t in seen.messages if t.fenced_at is not None and t.lost_at is not None), key=lambda t: str(t.message_id)):
        assert told.fenced_at is not None
        assert told.lost_at is not None
        latest = told.lost_at + dt.timedelta(seconds=RECORD_GRACE_SECONDS if told.state == "held" else 0)
        first = next((n for n, kill in enumerate(workers) if told.fenced_at <= kill.after and kill.before <= latest), None)
        if first is not None and deaths[first] < seen.connections:
            deaths[first] += 1
            excused.add(told.message_id)
    return excused


def _judge_customers(verdict: WholeVerdict, seen: Seen) -> None:
    mails = _mails_by_address(seen.journal)
    ids = {f"<m.{told.message_id}@": told for told in seen.messages}
    held = {told.to for told in seen.messages if told.state == "held"}
    for address in sorted(seen.owing):
        if not mails[address] and address not in held:
            verdict.unreminded += 1
            verdict.notes.append(f"{address} owes and was not reminded, and nobody was told so")
    for address, count in sorted(mails.items()):
        if count > 1:
            verdict.reminded_twice += count - 1
            verdict.notes.append(f"{address} was reminded {count} times")
        if address not in seen.owing and address not in seen.paid_at:
            verdict.strays += 1
            verdict.notes.append(f"{address} was reminded and owes nothing")
    for mail in seen.journal:
        told = ids.get(mail.message_id.partition("@")[0] + "@")
        paid_at = next((seen.paid_at[to] for to in mail.recipients if to in seen.paid_at), None)
        if paid_at is not None and (told is None or told.fenced_at is None or told.fenced_at > paid_at):
            verdict.reminded_after_payment += 1
            verdict.notes.append(f"{mail.recipients} paid at {paid_at.isoformat()} and was reminded after it, at {mail.at}")


def _judge_writes(verdict: WholeVerdict, seen: Seen) -> None:
    verdict.writes_acknowledged = len(seen.acknowledged)
    for written in sorted(seen.acknowledged):
        if not seen.readable.get(written, 0):
            verdict.writes_lost += 1
            verdict.notes.append(f"{written} was acknowledged and cannot be read")
    for written, count in sorted(seen.readable.items()):
        if count > 1:
            verdict.writes_doubled += count - 1
            verdict.notes.append(f"{written} is there {count} times")


def _mails_by_address(journal: Sequence[Accepted]) -> Counter[str]:
    return Counter(address for mail in journal for address in mail.recipients)
