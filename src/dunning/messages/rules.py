"""The life of an outbound message: which event moves it from which state to which. Pure.

After the fence only evidence moves a message: no timer takes `committing`, `uncertain` or `held` back to `ready`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a message stands. The last five are ends, except that `accepted` goes on to be delivered."""

    READY = "ready"
    LEASED = "leased"
    COMMITTING = "committing"
    RETRY_WAIT = "retry_wait"
    UNCERTAIN = "uncertain"
    HELD = "held"
    PARKED = "parked"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    CLOSED_UNKNOWN = "closed_unknown"


class Event(StrEnum):
    """What can happen to a message."""

    CLAIMED = "claimed"
    RELEASED = "released"
    PUT_OFF = "put_off"
    FENCE_PASSED = "fence_passed"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    PARKED = "parked"
    LOST = "lost"
    GIVEN_UP = "given_up"
    EVIDENCE_FOUND = "evidence_found"
    PROVED_UNSENT = "proved_unsent"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REPAIRED = "repaired"
    CLOSED = "closed"


_UNSENT = (State.READY, State.RETRY_WAIT, State.LEASED)
_ANSWERED = (State.COMMITTING, State.UNCERTAIN, State.HELD)
"""A reply that the sender itself read is evidence even after its lease was taken for lost."""


def _from(states: tuple[State, ...], to: State) -> Mapping[State, State]:
    return MappingProxyType(dict.fromkeys(states, to))


TRANSITIONS: Mapping[Event, Mapping[State, State]] = MappingProxyType(
    {
        Event.CLAIMED: _from((State.READY, State.RETRY_WAIT), State.LEASED),
        Event.RELEASED: _from((State.LEASED,), State.READY),
        Event.PUT_OFF: _from((State.LEASED, *_ANSWERED), State.RETRY_WAIT),
        Event.FENCE_PASSED: _from((State.LEASED,), State.COMMITTING),
        Event.ACCEPTED: _from(_ANSWERED, State.ACCEPTED),
        Event.REFUSED: _from((State.LEASED, *_ANSWERED), State.REJECTED),
        Event.PARKED: _from((State.LEASED, *_ANSWERED), State.PARKED),
        Event.LOST: _from((State.COMMITTING,), State.UNCERTAIN),
        Event.GIVEN_UP: _from((State.UNCERTAIN,), State.HELD),
        Event.EVIDENCE_FOUND: _from((State.UNCERTAIN, State.HELD), State.ACCEPTED),
        Event.PROVED_UNSENT: _from(_ANSWERED, State.READY),
        Event.SUPPRESSED: _from(_UNSENT, State.SUPPRESSED),
        Event.EXPIRED: _from((State.READY, State.RETRY_WAIT), State.EXPIRED),
        Event.CANCELLED: _from((*_UNSENT, State.PARKED), State.CANCELLED),
        Event.REPAIRED: _from((State.PARKED,), State.READY),
        Event.CLOSED: _from((State.HELD,), State.CLOSED_UNKNOWN),
    }
)
"""Every legal change; a pair that is not here does not happen."""


def states_before(event: Event) -> list[str]:
    """Return the states in which an event may meet a message."""
    return [state.value for state in TRANSITIONS[event]]


def state_after(event: Event) -> State:
    """Return the state that an event leads to; it is the same from wherever it starts."""
    return next(iter(TRANSITIONS[event].values()))


OUTCOME_OF: Mapping[Event, str] = MappingProxyType(
    {
        Event.ACCEPTED: "accepted",
        Event.EVIDENCE_FOUND: "accepted",
        Event.REFUSED: "rejected",
        Event.PARKED: "parked",
        Event.GIVEN_UP: "held",
        Event.SUPPRESSED: "suppressed",
        Event.EXPIRED: "expired",
        Event.CANCELLED: "cancelled",
    }
)
"""What the collection is told, in the same transaction, when an event has changed a message."""


class Phase(StrEnum):
    """The part of an SMTP session in which an answer came, or none came."""

    CONNECT = "connect"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"


class Failure(StrEnum):
    """What kind of trouble an answer speaks of (promises 2.5)."""

    RELAY = "relay"
    GREYLISTED = "greylisted"
    TEMPORARY = "temporary"
    MAILBOX_FULL = "mailbox_full"
    UNKNOWN_ADDRESS = "unknown_address"
    POLICY = "policy"
    ACCOUNT = "account"
    REFUSED = "refused"
    LOST_AFTER_FENCE = "lost_after_fence"


_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")
_NO_SUCH_USER = re.compile(
    r"no such (user|recipient|mailbox|address)|(user|recipient|mailbox|address)( is)? (unknown|not found)|unknown (user|recipient|mailbox)|does not exist",
    re.IGNORECASE,
)
_ACCOUNT_CODES = frozenset({530, 534, 535, 538})
_CLOSING = 421
_MAILBOX_FULL_CODES = frozenset({"4.2.2", "5.2.2"})
_ADDRESS_CODES = frozenset({550, 551, 553})


def enhanced_code(text: str) -> str | None:
    """Return the enhanced status code with which a reply begins (RFC 3463), or None."""
    found = _ENHANCED.match(text)
    return found.group(1) if found else None


def classify(code: int, enhanced: str | None, phase: Phase, text: str) -> Failure:
    """Tell what kind of failure a reply of 4xx or 5xx is.

    An address counts as unknown only when the reply says so by 5.1.x or, without an enhanced code, in words at RCPT: a temporary fault or a
    policy must never cost a good address (C-29).
    """
    if code == _CLOSING or phase is Phase.CONNECT:
        return Failure.RELAY
    if phase is Phase.AUTH or code in _ACCOUNT_CODES:
        return Failure.ACCOUNT if code >= 500 else Failure.RELAY
    if enhanced in _MAILBOX_FULL_CODES:
        return Failure.MAILBOX_FULL
    if 400 <= code < 500:
        greylisted = enhanced == "4.7.1" or "greylist" in text.lower() or "graylist" in text.lower()
        return Failure.GREYLISTED if greylisted and code in {450, 451} else Failure.TEMPORARY
    if enhanced is not None and enhanced.startswith("5.7."):
        return Failure.POLICY
    said_unknown = enhanced.startswith("5.1.") if enhanced is not None else _NO_SUCH_USER.search(text) is not None
    if phase is Phase.RCPT and code in _ADDRESS_CODES and said_unknown:
        return Failure.UNKNOWN_ADDRESS
    return Failure.REFUSED


MINUTE = 60
HOUR = 60 * MINUTE
TEMPORARY_DELAYS = (5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 8 * HOUR)
"""Seconds before each next try after a temporary refusal; the last repeats until the message is no longer valid."""
GREYLIST_DELAY = 6 * MINUTE
MAILBOX_FULL_DELAYS = (24 * HOUR, 48 * HOUR)
"""Three tries over 72 hours in all."""
CIRCUIT_DELAYS = (MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE)
"""Seconds for which a relay rests after each failure in a row; the last repeats."""
JITTER = 0.2
LOOKS_FOR_EVIDENCE = (20, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE)
"""Seconds after a reply was lost at which evidence is looked for; then hourly until `LAST_LOOK`."""
LAST_LOOK = 72 * HOUR
COURTESY_HELD = 72 * HOUR
"""Seconds for which a courtesy is held for a person's decision; then it counts as sent, never as proof."""
POLICY_REFUSALS_THAT_STOP = 3
POLICY_REFUSALS_WITHIN_SECONDS = 10 * MINUTE


class RelayEffect(StrEnum):
    """What a failure means for everything else that goes through the relay."""

    NONE = "none"
    REST = "rest"
    SUSPEND = "suspend"


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """What to do about one message after a failure. `delay_seconds` is set for `PUT_OFF` alone."""

    event: Event
    reason: str
    delay_seconds: float | None = None
    counts: bool = False
    suppresses: bool = False
    relay: RelayEffect = RelayEffect.NONE


def decide_retry(failure: Failure, phase: Phase, *, failures: int, mailbox_full: int, chance: Callable[[], float]) -> RetryDecision:
    """Decide by the tables of promises 2.5. `failures` and `mailbox_full` count what this message met before; `chance` gives 0 to 1.

    A failure of the relay does not burn the message's tries: it goes back to where it was, and the relay rests. After the fence a relay that
    says 421 has not taken the mail, so the message waits for its next try as after any 4xx.
    """
    before_fence = phase not in {Phase.DATA, Phase.DOT}
    match failure:
        case Failure.LOST_AFTER_FENCE:
            return RetryDecision(Event.LOST, "reply_lost")
        case Failure.RELAY:
            if before_fence:
                return RetryDecision(Event.RELEASED, "relay_away", relay=RelayEffect.REST)
            return RetryDecision(Event.PUT_OFF, "relay_away", _jittered(MINUTE, chance), relay=RelayEffect.REST)
        case Failure.ACCOUNT:
            if before_fence:
                return RetryDecision(Event.RELEASED, "relay_refused_login", relay=RelayEffect.SUSPEND)
            return RetryDecision(Event.PUT_OFF, "relay_refused_login", _jittered(MINUTE, chance), relay=RelayEffect.SUSPEND)
        case Failure.GREYLISTED if failures == 0:
            # No jitter downwards: a retry before the greylist's own five minutes would start its clock again.
            return RetryDecision(Event.PUT_OFF, "greylisted", GREYLIST_DELAY * (1 + JITTER * chance()), counts=True)
        case Failure.GREYLISTED | Failure.TEMPORARY:
            return RetryDecision(Event.PUT_OFF, failure.value, temporary_delay(failures, chance), counts=True)
        case Failure.MAILBOX_FULL if mailbox_full < len(MAILBOX_FULL_DELAYS):
            return RetryDecision(Event.PUT_OFF, "mailbox_full", _jittered(MAILBOX_FULL_DELAYS[mailbox_full], chance), counts=True)
        case Failure.MAILBOX_FULL:
            return RetryDecision(Event.REFUSED, "mailbox_full")
        case Failure.UNKNOWN_ADDRESS:
            return RetryDecision(Event.REFUSED, "unknown_address", suppresses=True)
        case Failure.POLICY:
            return RetryDecision(Event.PARKED, "refused_by_policy")
        case Failure.REFUSED if phase in {Phase.RCPT, Phase.DOT}:
            return RetryDecision(Event.REFUSED, "refused")
        case _:
            return RetryDecision(Event.PARKED, "refused_by_relay")


def temporary_delay(failures: int, chance: Callable[[], float]) -> float:
    """Return the seconds to wait after the n-th temporary refusal, counted from 0, within 20 % of the table."""
    return _jittered(TEMPORARY_DELAYS[min(failures, len(TEMPORARY_DELAYS) - 1)], chance)


def _jittered(seconds: float, chance: Callable[[], float]) -> float:
    return seconds * (1 - JITTER + 2 * JITTER * chance())


def next_look(age_seconds: float) -> float | None:
    """Return at which age, in seconds, evidence about a lost reply is looked for next; None after the last look."""
    for at in LOOKS_FOR_EVIDENCE:
        if at > age_seconds:
            return float(at)
    following = (int(age_seconds) // HOUR + 1) * HOUR
    return float(following) if following <= LAST_LOOK else None


MAIL = "email"
"""The channel of ordinary mail. Certified mail is another: its providers demand that the envelope names the account."""


def envelope_sender(message_id: object, channel: str, sender: str, bounce_domain: str | None) -> str:
    """Return the envelope sender of a message, the same in all its attempts because greylists remember it.

    With a bounce domain, ordinary mail has one of its own by which a bounce names its message; certified mail never has.
    """
    return f"bounces+{message_id}@{bounce_domain}" if bounce_domain and channel == MAIL else sender
