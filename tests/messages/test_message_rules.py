"""The tables of promises 2.4 and 2.5 as data: legal changes, classes of answers, waits at, below and above each boundary."""

from __future__ import annotations

import datetime as dt

import pytest

from dunning.messages.relays import pace_of
from dunning.messages.rules import (
    OUTCOME_OF,
    TEMPORARY_DELAYS,
    TRANSITIONS,
    Event,
    Failure,
    Phase,
    RelayEffect,
    State,
    classify,
    decide_retry,
    enhanced_code,
    next_look,
    state_after,
    states_before,
    temporary_delay,
)
from dunning.messages.tables import MESSAGE_STATES
from dunning.messages.windows import SendWindow, next_opening, worth_sending_until

TIMERS = {Event.RELEASED, Event.EXPIRED, Event.CLAIMED, Event.CANCELLED, Event.SUPPRESSED}


def test_the_states_in_code_are_the_states_of_the_database():
    assert [state.value for state in State] == list(dict.fromkeys(state.value for state in State))
    assert set(MESSAGE_STATES) == {state.value for state in State}


def test_an_event_leads_to_one_state_from_wherever_it_starts():
    for event in Event:
        assert len(set(TRANSITIONS[event].values())) == 1
        assert state_after(event).value not in states_before(event)


def test_no_timer_takes_a_message_past_its_fence_back():
    """Promises 2.3 rule 6: after the fence only evidence moves the state."""
    for event in TIMERS:
        assert not {"committing", "uncertain", "held"} & set(states_before(event)), event
    back = {event for event in Event if {"uncertain", "held"} & set(states_before(event)) and state_after(event) in {State.READY, State.RETRY_WAIT}}
    assert back == {Event.PUT_OFF, Event.PROVED_UNSENT}, "the relay's own refusal, or a proof"


def test_ends_have_no_way_out():
    for end in (State.REJECTED, State.SUPPRESSED, State.EXPIRED, State.CANCELLED, State.CLOSED_UNKNOWN, State.ACCEPTED):
        assert not [event for event in Event if end in TRANSITIONS[event]]


def test_every_end_tells_the_collection():
    """C-30: every action ends in a terminal state, so every end of a message is told; a closed one is told by what the person decided."""
    told = {state_after(event) for event in OUTCOME_OF}
    assert told == {State.ACCEPTED, State.REJECTED, State.PARKED, State.HELD, State.SUPPRESSED, State.EXPIRED, State.CANCELLED}


CASES = [
    (421, "4.3.2 closing", Phase.RCPT, Failure.RELAY),
    (421, "4.3.2 closing", Phase.DOT, Failure.RELAY),
    (554, "no service", Phase.CONNECT, Failure.RELAY),
    (450, "4.7.1 try later", Phase.RCPT, Failure.GREYLISTED),
    (451, "Greylisted, come back", Phase.RCPT, Failure.GREYLISTED),
    (452, "4.7.1 too fast", Phase.RCPT, Failure.TEMPORARY),
    (451, "4.3.0 queue full", Phase.MAIL, Failure.TEMPORARY),
    (452, "4.2.2 over quota", Phase.RCPT, Failure.MAILBOX_FULL),
    (552, "5.2.2 mailbox full", Phase.RCPT, Failure.MAILBOX_FULL),
    (552, "5.3.4 too big", Phase.DOT, Failure.REFUSED),
    (550, "5.1.1 no such user", Phase.RCPT, Failure.UNKNOWN_ADDRESS),
    (551, "5.1.6 moved", Phase.RCPT, Failure.UNKNOWN_ADDRESS),
    (553, "5.1.2 bad domain", Phase.RCPT, Failure.UNKNOWN_ADDRESS),
    (550, "5.1.8 bad sender", Phase.MAIL, Failure.REFUSED),
    (550, "No such user here", Phase.RCPT, Failure.UNKNOWN_ADDRESS),
    (550, "mailbox unavailable", Phase.RCPT, Failure.REFUSED),
    (550, "5.2.1 no such user is active", Phase.RCPT, Failure.REFUSED),
    (550, "5.7.1 spam", Phase.RCPT, Failure.POLICY),
    (554, "5.7.9 DMARC", Phase.DOT, Failure.POLICY),
    (554, "refused", Phase.DOT, Failure.REFUSED),
    (530, "5.7.0 log in first", Phase.MAIL, Failure.ACCOUNT),
    (535, "5.7.8 wrong", Phase.AUTH, Failure.ACCOUNT),
    (454, "4.7.0 try later", Phase.AUTH, Failure.RELAY),
]


@pytest.mark.parametrize(("code", "text", "phase", "failure"), CASES)
def test_an_answer_is_classed_by_code_enhanced_code_phase_and_words(code: int, text: str, phase: Phase, failure: Failure):
    """Promises 2.5; C-29: a temporary fault or a policy never costs an address."""
    assert classify(code, enhanced_code(text), phase, text) is failure


def decide(failure: Failure, phase: Phase = Phase.RCPT, *, failures: int = 0, mailbox_full: int = 0, chance: float = 0.5):
    return decide_retry(failure, phase, failures=failures, mailbox_full=mailbox_full, chance=lambda: chance)


@pytest.mark.parametrize("n", range(10))
def test_temporary_waits_follow_the_table_within_a_fifth_and_its_end_repeats(n: int):
    wait = TEMPORARY_DELAYS[min(n, 7)]
    assert temporary_delay(n, lambda: 0.0) == pytest.approx(wait * 0.8)
    assert temporary_delay(n, lambda: 0.5) == pytest.approx(wait)
    assert temporary_delay(n, lambda: 1.0) == pytest.approx(wait * 1.2)
    decision = decide(Failure.TEMPORARY, failures=n)
    assert (decision.event, decision.counts, decision.delay_seconds) == (Event.PUT_OFF, True, pytest.approx(wait))


def test_a_greylist_is_answered_after_six_minutes_never_sooner_and_then_as_any_other():
    assert decide(Failure.GREYLISTED, chance=0.0).delay_seconds == 360
    assert 360 <= decide(Failure.GREYLISTED, chance=1.0).delay_seconds <= 432
    assert decide(Failure.GREYLISTED, failures=1).delay_seconds == 900


def test_a_full_mailbox_gets_three_tries_over_72_hours_and_no_suppression():
    tries = [decide(Failure.MAILBOX_FULL, mailbox_full=n) for n in range(3)]
    assert [t.event for t in tries] == [Event.PUT_OFF, Event.PUT_OFF, Event.REFUSED]
    assert sum(t.delay_seconds or 0 for t in tries) == 72 * 3600
    assert not any(t.suppresses for t in tries)


def test_only_an_unknown_address_is_suppressed():
    suppressing = {failure for failure in Failure for phase in Phase if decide(failure, phase).suppresses}
    assert suppressing == {Failure.UNKNOWN_ADDRESS}


@pytest.mark.parametrize(
    ("phase", "event"), [(Phase.CONNECT, Event.RELEASED), (Phase.RCPT, Event.RELEASED), (Phase.DATA, Event.PUT_OFF), (Phase.DOT, Event.PUT_OFF)]
)
def test_a_failing_relay_rests_and_burns_no_try(phase: Phase, event: Event):
    decision = decide(Failure.RELAY, phase, failures=3)
    assert (decision.event, decision.counts, decision.relay) == (event, False, RelayEffect.REST)


def test_a_refused_login_suspends_the_relay():
    assert decide(Failure.ACCOUNT, Phase.AUTH).relay is RelayEffect.SUSPEND
    assert decide(Failure.ACCOUNT, Phase.MAIL).event is Event.RELEASED


@pytest.mark.parametrize(("phase", "event"), [(Phase.MAIL, Event.PARKED), (Phase.RCPT, Event.REFUSED), (Phase.DATA, Event.PARKED), (Phase.DOT, Event.REFUSED)])
def test_a_permanent_refusal_ends_the_message_or_waits_for_a_person_by_its_phase(phase: Phase, event: Event):
    assert decide(Failure.REFUSED, phase).event is event


@pytest.mark.parametrize(
    ("age", "following"),
    [
        (0, 20),
        (19.9, 20),
        (20, 120),
        (119, 120),
        (120, 600),
        (600, 1800),
        (1800, 3600),
        (3599, 3600),
        (3600, 7200),
        (72 * 3600 - 1, 72 * 3600),
        (72 * 3600, None),
    ],
)
def test_evidence_is_looked_for_after_20_seconds_2_10_30_minutes_and_hourly_for_72_hours(age: float, following: float | None):
    assert next_look(age) == following


def test_the_counters_of_a_rate_reach_back_further_than_its_window():
    """C-31: one bucket, and the time for which a claim's count stays good."""
    pace = pace_of(30)
    assert pace.window_seconds >= 60 + pace.bucket_seconds + pace.fresh_seconds


MADRID = SendWindow("Europe/Madrid", dt.time(8), dt.time(19), on_closed_days=False, country="ES", subdivision=None)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("at", "opening"),
    [
        ("2026-03-02T06:59:59", "2026-03-02T07:00:00"),
        ("2026-03-02T07:00:00", "2026-03-02T07:00:00"),
        ("2026-03-02T17:59:59", "2026-03-02T17:59:59"),
        ("2026-03-02T18:00:00", "2026-03-03T07:00:00"),
        ("2026-03-06T18:00:00", "2026-03-09T07:00:00"),
        ("2026-03-28T12:00:00", "2026-03-30T06:00:00"),
        ("2026-10-24T12:00:00", "2026-10-26T07:00:00"),
        ("2026-12-31T19:00:00", "2027-01-04T07:00:00"),
    ],
)
def test_a_window_opens_by_the_readers_clock_on_open_days_also_where_the_clock_changes(at: str, opening: str):
    """C-10: below, at and above both ends; a weekend; both changes of the clock; a public holiday."""
    assert next_opening(MADRID, utc(at)) == utc(opening)


@pytest.mark.parametrize(
    ("opening", "until"),
    [
        ("2026-03-02T07:00:00", "2026-03-04T07:00:00"),
        ("2026-03-06T07:00:00", "2026-03-09T18:00:00"),
        ("2026-03-06T16:30:00", "2026-03-09T18:00:00"),
        ("2026-12-31T07:00:00", "2027-01-04T18:00:00"),
    ],
)
def test_a_mail_that_misses_its_window_has_the_next_one(opening: str, until: str):
    """48 hours from a Friday end on a Sunday, on which nothing may leave: the mail is worth sending to the end of the Monday."""
    assert worth_sending_until(MADRID, utc(opening), 48) == utc(until)


def test_a_mail_is_never_valid_for_less_than_its_hours():
    assert worth_sending_until(MADRID, utc("2026-03-06T07:00:00"), 24 * 10) == utc("2026-03-16T07:00:00")
