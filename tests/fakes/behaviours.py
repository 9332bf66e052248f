"""What a relay may do to a message, and how a test says which message meets what."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """The moment of an SMTP session at which a behaviour shows."""

    CONNECT = "connect"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"


class Behaviour(StrEnum):
    """What the relay does to one message."""

    OK = "ok"
    CONNECT_421 = "connect-421"
    MAIL_451 = "mail-451"
    GREYLIST = "greylist"
    RCPT_UNKNOWN = "rcpt-unknown"
    RCPT_POLICY = "rcpt-policy"
    MAILBOX_FULL = "mailbox-full"
    DATA_554 = "data-554"
    DROP_AT_DATA = "drop-at-data"
    DROP_MID_BODY = "drop-mid-body"
    DROP_AFTER_DOT = "drop-after-dot"
    DOT_452 = "dot-452"
    DOT_554 = "dot-554"
    ACCEPT_THEN_DROP = "accept-then-drop"
    ACCEPT_THEN_STALL = "accept-then-stall"


STAGE_OF: Mapping[Behaviour, Stage] = {
    Behaviour.CONNECT_421: Stage.CONNECT,
    Behaviour.MAIL_451: Stage.MAIL,
    Behaviour.GREYLIST: Stage.RCPT,
    Behaviour.RCPT_UNKNOWN: Stage.RCPT,
    Behaviour.RCPT_POLICY: Stage.RCPT,
    Behaviour.MAILBOX_FULL: Stage.RCPT,
    Behaviour.DATA_554: Stage.DATA,
    Behaviour.DROP_AT_DATA: Stage.DATA,
    Behaviour.DROP_MID_BODY: Stage.BODY,
    Behaviour.DROP_AFTER_DOT: Stage.DOT,
    Behaviour.DOT_452: Stage.DOT,
    Behaviour.DOT_554: Stage.DOT,
    Behaviour.ACCEPT_THEN_DROP: Stage.DOT,
    Behaviour.ACCEPT_THEN_STALL: Stage.DOT,
}

REPLIES: Mapping[Behaviour, str] = {
    Behaviour.CONNECT_421: "421 4.3.2 relay.test is closing, try again later",
    Behaviour.MAIL_451: "451 4.3.0 the queue is not available",
    Behaviour.GREYLIST: "451 4.7.1 greylisted, please try again in 300 seconds",
    Behaviour.RCPT_UNKNOWN: "550 5.1.1 no such user here",
    Behaviour.RCPT_POLICY: "550 5.7.1 refused by policy",
    Behaviour.MAILBOX_FULL: "552 5.2.2 the mailbox is full",
    Behaviour.DATA_554: "554 5.5.1 no valid recipients",
    Behaviour.DOT_452: "452 4.3.1 insufficient system storage",
    Behaviour.DOT_554: "554 5.6.0 the message was refused",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the relay knows at a stage; what has not been said yet is None. `message_id` is known from the dot on."""

    stage: Stage
    connection_no: int
    transaction_no: int
    sender: str | None = None
    recipient: str | None = None
    message_id: str | None = None


Chooser = Callable[[Facts], Behaviour]


def always(behaviour: Behaviour) -> Chooser:
    """Give every message the same."""
    return lambda _facts: behaviour


def by_recipient(chosen: Mapping[str, Behaviour], otherwise: Behaviour = Behaviour.OK) -> Chooser:
    """Choose by address, in lower case. Before RCPT the relay knows none, so MAIL_451 and CONNECT_421 need another chooser."""
    return lambda facts: chosen.get((facts.recipient or "").lower(), otherwise)


def by_message_id(chosen: Mapping[str, Behaviour], otherwise: Behaviour = Behaviour.OK) -> Chooser:
    """Choose by Message-ID, which the relay reads with the body: only behaviours after the dot can be chosen so."""
    return lambda facts: chosen.get(facts.message_id or "", otherwise)


_NAMED = re.compile("|".join(sorted((re.escape(b.value) for b in Behaviour), key=len, reverse=True)))


def by_local_part(facts: Facts) -> Behaviour:
    """Choose by the name that the recipient's local part begins with: `greylist.17@…`, `dot-452.3@…`; anything else is accepted."""
    named = _NAMED.match((facts.recipient or "").lower())
    return Behaviour(named.group()) if named else Behaviour.OK


def seeded(seed: int, behaviours: Iterable[Behaviour]) -> Chooser:
    """Spread behaviours over messages by a hash of the seed and the recipient; those before RCPT go by connection and transaction."""
    pool = sorted(set(behaviours))
    early = {stage: [b for b in pool if STAGE_OF.get(b) == stage] for stage in (Stage.CONNECT, Stage.MAIL)}
    late = [b for b in pool if STAGE_OF.get(b) not in early] or [Behaviour.OK]

    def draw(*key: object) -> int:
        return int.from_bytes(hashlib.sha256(repr((seed, *key)).encode()).digest()[:8])

    def choose(facts: Facts) -> Behaviour:
        if facts.stage in early:
            hit = draw(facts.stage, facts.connection_no, facts.transaction_no) % len(pool)
            return pool[hit] if pool[hit] in early[facts.stage] else Behaviour.OK
        return late[draw(facts.recipient) % len(late)]

    return choose


def first_times(chooser: Chooser, times: int) -> Chooser:
    """Let a fault meet one recipient `times` times (connections and senders: as often in all), and then let the message through.

    Counted when the fault's own stage comes, so that a message is not thought faulty before the relay has done anything to it.
    """
    met: Counter[tuple[Behaviour, str | None]] = Counter()

    def choose(facts: Facts) -> Behaviour:
        behaviour = chooser(facts)
        if STAGE_OF.get(behaviour) != facts.stage:
            return behaviour
        key = (behaviour, facts.recipient)
        met[key] += 1
        return behaviour if met[key] <= times else Behaviour.OK

    return choose
