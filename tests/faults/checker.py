"""One checker for all fault runs: the relay's journal against the database (promises 1: D1, D2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from tests.fakes.journal import Accepted

NOT_SENT = {"ready", "retry_wait", "leased", "parked", "rejected", "suppressed", "expired", "cancelled"}
ENDS = {"accepted", "held", "parked", "rejected", "suppressed", "expired", "cancelled", "closed_unknown"}


@dataclass
class Verdict:
    """What a run has done wrong. `held` counts messages whose end nobody can know; that is no fault, unless others are held."""

    trials: int = 0
    hits: int = 0
    mails: int = 0
    duplicates: int = 0
    lost: int = 0
    false_accepted: int = 0
    false_not_sent: int = 0
    held: int = 0
    wrongly_held: int = 0
    missed_held: int = 0
    seed: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def false(self) -> int:
        return self.false_accepted + self.false_not_sent

    def add(self, other: Verdict) -> None:
        for name in ("trials", "hits", "mails", "duplicates", "lost", "false_accepted", "false_not_sent", "held", "wrongly_held", "missed_held"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.notes += other.notes

    def line(self, what: str) -> str:
        return (
            f"{what}: trials {self.trials}, faults hit {self.hits}, mails {self.mails}, lost {self.lost}, duplicate {self.duplicates}, "
            f"false {self.false}, held {self.held} (wrongly {self.wrongly_held}, missed {self.missed_held}), seed {self.seed}"
        )

    @property
    def spotless(self) -> bool:
        return not (self.duplicates or self.lost or self.false or self.wrongly_held or self.missed_held)


def check(queued: Iterable[UUID], states: Mapping[UUID, str], accepted: Iterable[Accepted], undecidable: Collection[UUID]) -> Verdict:
    """Compare what was queued, what the database says and what the relay took; `undecidable` are the messages whose reply was never read."""
    taken = Counter(message_of(mail) for mail in accepted)
    verdict = Verdict(trials=1)
    for message_id in queued:
        verdict.mails += 1
        state = states.get(message_id)
        count = taken[message_id]
        if count > 1:
            verdict.duplicates += count - 1
            verdict.notes.append(f"{message_id} was taken {count} times")
        if state not in ENDS:
            verdict.lost += 1
            verdict.notes.append(f"{message_id} ended nowhere: {state}")
        if state == "accepted" and count == 0:
            verdict.false_accepted += 1
            verdict.notes.append(f"{message_id} is said to be accepted and was not taken")
        if state in NOT_SENT and count:
            verdict.false_not_sent += 1
            verdict.notes.append(f"{message_id} is said to be {state} and was taken")
        if state == "held":
            verdict.held += 1
            if message_id not in undecidable:
                verdict.wrongly_held += 1
                verdict.notes.append(f"{message_id} is held, though its reply was read or its fence not passed")
        elif message_id in undecidable:
            verdict.missed_held += 1
            verdict.notes.append(f"{message_id} is {state}, though nobody can know")
    return verdict


def message_of(mail: Accepted) -> UUID:
    """Return the message whose Message-ID a mail has."""
    return UUID(mail.message_id.removeprefix("<m.").partition("@")[0])
