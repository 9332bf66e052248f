"""The pure parts: grades, locks, questions, the state of today, what is kept of a visit."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dunning.evidence.challenge import Challenge, Known, asked, is_right
from dunning.evidence.live import ItemNow, Standing, live_of, standing_of
from dunning.evidence.rules import (
    FRESH_LOCK,
    LADDER,
    LOCK,
    MEANINGS,
    RISES,
    Act,
    Door,
    Grade,
    Lock,
    NotAllowedYet,
    after,
    after_wrong_answer,
    door_of,
    meaning_of,
)  # fmt: skip
from dunning.evidence.trace import network_of, program_of

AT = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
TODAY = dt.date(2026, 3, 2)


@given(st.sampled_from(LADDER), st.lists(st.sampled_from(list(Act)), max_size=12))
def test_a_grade_never_falls(grade: Grade, acts: list[Act]) -> None:
    """Promises 6.3: grades only rise, whatever comes in whatever order."""
    for act in acts:
        raised = after(grade, act)
        if not isinstance(raised, NotAllowedYet):
            assert LADDER.index(raised) >= LADDER.index(grade)
            grade = raised


@given(st.lists(st.sampled_from([Act.FETCHED, Act.WRONG_ANSWER, Act.REFUSED]), max_size=30))
def test_no_number_of_visits_and_wrong_answers_adds_up_to_more_than_a_fetch(acts: list[Act]) -> None:
    """L1: what a scanner can do without the answer stays at `fetched`."""
    grade = Grade.NONE
    for act in acts:
        grade = after(grade, act)  # type: ignore[assignment]  # none of these acts needs a grade
    assert LADDER.index(grade) <= LADDER.index(Grade.FETCHED)


@pytest.mark.parametrize("grade", LADDER)
def test_acknowledging_needs_a_confirmed_reading(grade: Grade) -> None:
    """Promises 6.3: only from `read_confirmed`."""
    allowed = LADDER.index(grade) >= LADDER.index(Grade.READ_CONFIRMED)
    assert (after(grade, Act.ACKNOWLEDGED) == Grade.ACKNOWLEDGED) is allowed
    assert isinstance(after(grade, Act.ACKNOWLEDGED), NotAllowedYet) is not allowed


def test_every_act_and_grade_has_its_rule_and_its_words() -> None:
    """Nothing falls through: each act rises somewhere, each grade has words and a weakness."""
    assert set(RISES) == set(Act)
    assert set(MEANINGS) == set(Grade)
    assert all(meaning.weakness for meaning in MEANINGS.values())


def test_a_fetch_is_never_called_reading() -> None:
    """S0-14: F may never be shown as read."""
    meaning = meaning_of(Grade.FETCHED)
    assert "possibly by a machine" in meaning.words
    assert "read" not in meaning.words.lower()


def test_the_weakness_says_when_the_answer_stands_in_the_mail() -> None:
    """A document number proves less when the mail shows it."""
    assert "stands in the mail" in meaning_of(Grade.READ_CONFIRMED, answer_in_mail=True).weakness
    assert "stands in the mail" not in meaning_of(Grade.READ_CONFIRMED).weakness


def test_five_wrong_answers_shut_the_door_for_an_hour_and_then_five_more_are_taken() -> None:
    """Promises 6.2 rule 4, at its boundaries."""
    lock, left = FRESH_LOCK, []
    for _ in range(5):
        assert not lock.is_shut(AT)
        lock = after_wrong_answer(lock, AT)
        left.append(lock.tries_left)
    assert left == [4, 3, 2, 1, 0]
    second = dt.timedelta(seconds=1)
    assert [lock.is_shut(AT + LOCK + shift) for shift in (-second, second * 0, second)] == [True, False, False]
    assert after_wrong_answer(lock, AT + LOCK) == Lock(4, None)


@pytest.mark.parametrize(("seconds", "door"), [(-1, Door.OPEN), (0, Door.EXPIRED), (1, Door.EXPIRED)])
def test_a_link_expires_at_its_instant(seconds: int, door: Door) -> None:
    """Below, at, above."""
    found = door_of(expires_at=AT, revoked_at=None, lock=FRESH_LOCK, business_at=AT + dt.timedelta(seconds=seconds), at=AT)
    assert found is door


def test_revoked_comes_before_everything() -> None:
    """A revoked link says nothing else about itself."""
    assert door_of(expires_at=AT, revoked_at=AT, lock=Lock(0, AT + LOCK), business_at=AT + LOCK, at=AT) is Door.REVOKED


@pytest.mark.parametrize(
    ("wanted", "tax", "numbers", "expected"),
    [
        ("tax_number", "IT01234567890", ["1001"], Challenge.TAX_NUMBER),
        ("tax_number", "12", ["1001"], Challenge.DOCUMENT_NUMBER),
        ("tax_number", None, ["1001"], Challenge.DOCUMENT_NUMBER),
        ("tax_number", None, ["--"], Challenge.BUTTON),
        ("document_number", "IT01234567890", ["1001"], Challenge.DOCUMENT_NUMBER),
        ("button", "IT01234567890", ["1001"], Challenge.BUTTON),
    ],
)
def test_what_is_asked_is_what_the_creditor_knows(wanted: str, tax: str | None, numbers: list[str], expected: Challenge) -> None:
    """The question falls back, and a question that nobody could answer is not put."""
    assert asked(Challenge(wanted), Known.of(tax, numbers)) is expected


@pytest.mark.parametrize(
    ("answer", "right"),
    [("7890", True), ("567890", True), ("IT 012.345.678-90", True), ("it01234567890", True), ("890", False), ("", False), ("1001", False), ("78907", False)],
)
def test_the_tax_number_is_compared_by_its_letters_and_digits(answer: str, right: bool) -> None:
    """Three characters are too few, four are enough."""
    assert is_right(Challenge.TAX_NUMBER, answer, Known.of("01234567890", [])) is right


def test_a_document_number_must_be_whole() -> None:
    """A part of a number would be guessed."""
    known = Known.of(None, ["FT 2026/0042"])
    assert [is_right(Challenge.DOCUMENT_NUMBER, text, known) for text in ("ft-2026-0042", "FT20260042", "0042", "")] == [True, True, False, False]


def item(**changes: object) -> ItemNow:
    """An invoice of 100.00 due yesterday."""
    plain = ItemNow(UUID(int=1), "1", "invoice", "debit", TODAY, TODAY - dt.timedelta(days=1), "EUR", 10_000, 0, is_void=False, file_url=None)
    return replace(plain, **changes)  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize(
    ("changes", "standing"),
    [
        ({}, Standing.OVERDUE),
        ({"due_on": TODAY}, Standing.NOT_DUE),
        ({"due_on": TODAY + dt.timedelta(days=1)}, Standing.NOT_DUE),
        ({"allocated_minor": 1}, Standing.PART_PAID),
        ({"allocated_minor": 9_999}, Standing.PART_PAID),
        ({"allocated_minor": 10_000}, Standing.SETTLED),
        ({"is_void": True}, Standing.WITHDRAWN),
        ({"direction": "credit"}, Standing.CREDIT),
    ],
)
def test_how_an_item_stands_today(changes: dict[str, object], standing: Standing) -> None:
    """Due today is not overdue; one cent open is not settled."""
    assert standing_of(item(**changes), TODAY) is standing


def _claim(*lines: tuple[int, str], currency: str = "EUR") -> dict[str, object]:
    return {"blocks": [{"currency": currency, "rows": [{"item_id": str(UUID(int=n)), "section": section} for n, section in lines]}]}


def test_a_claim_is_settled_when_nothing_it_asked_for_is_open() -> None:
    """What was only shown because it falls due later does not keep it open; a reopened document does, and so does what is overdue beside the rows."""
    claim = _claim((1, "candidate"), (2, "not_due"))
    shown_only = item(item_id=UUID(int=2))
    assert live_of(claim, [item(allocated_minor=10_000), shown_only], TODAY).settled
    assert live_of(claim, [item(is_void=True), shown_only], TODAY).settled
    assert not live_of(claim, [item(allocated_minor=9_999), shown_only], TODAY).settled
    assert not live_of(_claim((2, "not_due")), [shown_only], TODAY).settled
    assert not live_of(_claim((1, "candidate"), (2, "info")), [item(allocated_minor=10_000), shown_only], TODAY).settled


def test_currencies_stay_apart_and_credits_count_negative() -> None:
    """C-21: no sum across currencies."""
    credit = item(item_id=UUID(int=2), direction="credit", amount_minor=3_000)
    dollars = item(item_id=UUID(int=3), currency="USD", amount_minor=500)
    live = live_of(_claim((1, "candidate"), (2, "credit")), [item(), credit, dollars], TODAY)
    assert [(b.currency, b.asked_minor, b.claim_minor, b.open_minor) for b in live.blocks] == [("EUR", 10_000, 7_000, 7_000), ("USD", 0, 0, 500)]


def test_the_order_of_items_changes_no_sum() -> None:
    """A law of the live block."""
    items = [item(), item(item_id=UUID(int=2), allocated_minor=4_000), item(item_id=UUID(int=3), direction="credit")]
    answers = {live_of(_claim((1, "candidate")), order, TODAY) for order in itertools.permutations(items)}
    assert len({tuple((b.asked_minor, b.open_minor) for b in live.blocks) for live in answers}) == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        (None, "unknown"),
        ("x", "unknown"),
    ],
)
def test_an_address_is_cut_to_its_network(address: str | None, network: str) -> None:
    """Promises 6.2 rule 5: truncated by default."""
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0", "edge"),
        ("Mozilla/5.0 (X11; Linux) AppleWebKit/537.36 HeadlessChrome/126.0 Safari/537.36", "headless browser"),
        ("Mozilla/5.0 (compatible; bingbot/2.0)", "declared bot"),
        ("", "none given"),
        ("something", "other"),
    ],
)
def test_a_program_is_kept_by_its_family_only(agent: str, family: str) -> None:
    """Context, never proof, and no fingerprint."""
    assert program_of(agent) == family
