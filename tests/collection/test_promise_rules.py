"""The rule of promises, sentence by sentence: value dates, what is set apart, days that do not count, and whose money it is (B-36)."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import pytest

from dunning.collection.promise_rules import (
    Agreement,
    Apart,
    Instalment,
    Judgement,
    Payment,
    PromisedItem,
    Reason,
    State,
    every,
    judge,
    judge_all,
    monthly,
    running_totals,
)

GIVEN = dt.date(2026, 3, 2)
DAY = dt.date(2026, 3, 10)
ITEM, OTHER = UUID(int=1), UUID(int=2)


def at(day: int) -> dt.date:
    """Return a day of March."""
    return dt.date(2026, 3, day)


def recorded(day: int) -> dt.datetime:
    """Return an instant of a day of March."""
    return dt.datetime(2026, 3, day, 12, tzinfo=dt.UTC)


def paid(minor: int, value_on: dt.date, *, item: UUID | None = ITEM, number: int = 1, booked: int = 3, returned_on: dt.date | None = None) -> Payment:
    """Return money that came in."""
    return Payment(UUID(int=100 + number), item, "EUR", value_on, recorded(booked), minor, returned_on)


def promised(
    *items: PromisedItem, minor: int = 10_000, tolerance: int = 0, grace: int = 0, on: dt.date = DAY, number: int = 1, given: int = 2,
    kept_with: int | None = None, anew: bool = False,
) -> Agreement:  # fmt: skip
    """Return a promise of 100.00, on one item of 100.00 where none is named."""
    terms = Instalment(UUID(int=1000 + number), minor, minor, tolerance, on, grace, at(given), kept_with)
    return Agreement(UUID(int=1000 + number), "EUR", recorded(given), items or (PromisedItem(ITEM, 10_000),), (terms,), anew)


def judged(agreement: Agreement, today: dt.date, *payments: Payment) -> Judgement:
    """Return what the only promise of an agreement is."""
    (found,) = judge(agreement, payments, today).values()
    return found


@pytest.mark.parametrize(
    ("minor", "tolerance", "grace", "days_after", "state"),
    [
        (9_999, 0, 0, 0, State.OPEN),
        (10_000, 0, 0, 0, State.KEPT),
        (10_001, 0, 0, 0, State.KEPT),
        (9_999, 0, 0, 1, State.BROKEN),
        (9_500, 5, 0, 1, State.KEPT),
        (9_499, 5, 0, 0, State.OPEN),
        (0, 0, 2, 2, State.OPEN),
        (0, 0, 2, 3, State.BROKEN),
        (10_000, 0, 0, 30, State.KEPT),
    ],
)
def test_a_promise_is_judged_by_what_came_in_and_by_its_last_day(minor: int, tolerance: int, grace: int, days_after: int, state: State) -> None:
    """Below, at and above the amount; on, and after, the last day."""
    one = promised(PromisedItem(ITEM, max(0, 10_000 - minor)), tolerance=tolerance, grace=grace)
    money = [paid(minor, at(5))] if minor else []
    assert judged(one, DAY + dt.timedelta(days=days_after), *money).state is state


@pytest.mark.parametrize(("value_on", "state"), [(at(9), State.KEPT), (DAY, State.KEPT), (at(11), State.BROKEN)])
def test_money_counts_by_its_value_date_however_late_it_is_booked(value_on: dt.date, state: State) -> None:
    """Before, on and after the last day; booked ten days later."""
    found = judged(promised(PromisedItem(ITEM, 0)), at(20), paid(10_000, value_on, booked=20))
    assert found.state is state
    assert (found.paid_on, found.broken_on) == ((value_on, None) if state is State.KEPT else (None, at(11)))


@pytest.mark.parametrize(("today", "state", "reason"), [(DAY, State.OPEN, None), (at(11), State.BROKEN, Reason.PAYMENT_RETURNED)])
def test_a_returned_payment_opens_a_promise_until_its_last_day_and_breaks_it_after(today: dt.date, state: State, reason: Reason | None) -> None:
    found = judged(promised(), today, paid(10_000, at(4), returned_on=at(6)))
    assert (found.state, found.reason) == (state, reason)
    assert found.broken_on == (None if state is State.OPEN else at(11))
    late = judged(promised(), at(20), paid(10_000, at(4), returned_on=at(18)))
    assert late.broken_on == at(18), "what was returned later breaks it later"
    assert judged(promised(), at(11), paid(9_999, at(4), returned_on=at(6))).reason is Reason.NOT_PAID, "it would not have been kept anyway"


def test_each_cent_on_account_counts_for_one_promise_the_oldest_first() -> None:
    """Two promises of 100.00 each and 150.00 on account: the first is kept, the second has half."""
    first = promised(given=2, number=1)
    second = promised(PromisedItem(OTHER, 10_000), given=3, number=2)
    money = [paid(15_000, at(5), item=None, booked=5)]
    found = judge_all([second, first], money, at(6))
    assert [(found[one.agreement_id].state, found[one.agreement_id].received_minor) for one in (first, second)] == [(State.KEPT, 10_000), (State.OPEN, 5_000)]


def test_money_on_account_from_before_the_promise_or_in_another_currency_does_not_count() -> None:
    before = paid(10_000, at(1), item=None, booked=1)
    foreign = Payment(UUID(int=7), None, "USD", at(5), recorded(5), 10_000)
    assert [one.received_minor for one in judge_all([promised()], [before, foreign], DAY).values()] == [0]


def test_a_broken_promise_takes_no_money_from_the_next_one() -> None:
    """50.00 turn up that are dated in time for the first, too little to mend it: they count for the second."""
    first, second = promised(number=1, on=at(4)), promised(PromisedItem(OTHER, 5_000), minor=5_000, number=2, given=6, on=at(12))
    found = judge_all([first, second], [paid(5_000, at(4), item=None, booked=7)], at(8))
    assert [found[one.agreement_id].state for one in (first, second)] == [State.BROKEN, State.KEPT]


def test_what_is_disputed_on_the_last_day_is_not_owed() -> None:
    """The verdict is about the rest, whatever becomes of the dispute later; one that is over by then leaves it owed."""
    disputed = PromisedItem(OTHER, 4_000, (Apart(at(5), at(15), None, Reason.DISPUTED),))
    rest = (PromisedItem(ITEM, 0), disputed)
    assert judged(promised(*rest), at(9), paid(6_000, at(6))).state is State.OPEN, "it may still be asked for"
    found = judged(promised(*rest), at(20), paid(6_000, at(6)))
    assert (found.state, found.reason, found.last_on) == (State.KEPT, Reason.REST_PAID, DAY)
    assert judged(promised(PromisedItem(ITEM, 6_000), disputed), at(20)).reason is Reason.NOT_PAID
    over = PromisedItem(OTHER, 4_000, (Apart(at(5), at(9), None, Reason.DISPUTED),))
    assert judged(promised(PromisedItem(ITEM, 0), over), at(11), paid(6_000, at(6))).state is State.BROKEN
    part = PromisedItem(ITEM, 4_000, (Apart(at(5), None, 4_000, Reason.DISPUTED),))
    assert judged(promised(part), at(11), paid(6_000, at(6))).reason is Reason.REST_PAID


def test_a_promise_all_of_which_is_disputed_waits_and_each_such_day_is_added() -> None:
    """Disputed from the 5th: open without an end. Resolved on the 20th: 16 days later than the 10th."""
    endless = promised(PromisedItem(ITEM, 10_000, (Apart(at(5), None, None, Reason.DISPUTED),)))
    found = judged(endless, at(25))
    assert (found.state, found.reason, found.last_on, found.look_on) == (State.OPEN, Reason.DISPUTED, None, None)
    over = promised(PromisedItem(ITEM, 10_000, (Apart(at(5), at(20), None, Reason.DISPUTED),)))
    found = judged(over, at(21))
    assert (found.state, found.reason, found.last_on, found.look_on) == (State.OPEN, None, at(26), at(27))
    assert judged(over, at(27)).state is State.BROKEN
    assert judged(promised(PromisedItem(ITEM, 0, (Apart(at(5), at(20), None, Reason.DISPUTED),))), at(27), paid(10_000, at(26))).state is State.KEPT


def test_what_is_set_apart_on_one_side_only_or_after_the_last_day_puts_nothing_off() -> None:
    held = Apart(at(5), at(8), None, Reason.HELD)
    both = promised(PromisedItem(ITEM, 5_000, (held,)), PromisedItem(OTHER, 5_000, (Apart(at(7), at(9), None, Reason.HELD),)))
    assert judged(both, at(9)).last_on == at(12), "the 7th and the 8th"
    assert judged(promised(PromisedItem(ITEM, 5_000, (held,)), PromisedItem(OTHER, 5_000)), at(9)).last_on == DAY
    late = promised(PromisedItem(ITEM, 10_000, (Apart(at(11), None, None, Reason.DISPUTED),)))
    assert judged(late, at(15)).state is State.BROKEN
    coming = judged(promised(PromisedItem(ITEM, 10_000, (Apart(at(8), at(9), None, Reason.HELD),))), at(3))
    assert (coming.last_on, coming.look_on, coming.reason) == (at(12), at(8), None), "looked at again when it begins"
    same_day = promised(PromisedItem(ITEM, 10_000, (Apart(at(2), at(2), None, Reason.DISPUTED),)))
    assert judged(same_day, at(3)).last_on == DAY, "over on the day of the agreement, which knew of it"


def test_what_credit_notes_have_settled_is_not_owed_and_nothing_at_all_is_no_promise() -> None:
    """60.00 paid, 40.00 credited: kept. All credited, or taken back: there is nothing left to promise."""
    assert judged(promised(PromisedItem(ITEM, 0)), at(4), paid(6_000, at(3))).reason is Reason.REST_PAID
    gone = judged(promised(PromisedItem(ITEM, 0)), at(4))
    assert (gone.state, gone.reason) == (State.CANCELLED, Reason.NOTHING_OWED)


def test_a_kept_promise_is_broken_later_only_by_money_that_went_away() -> None:
    """A credit note that is taken back after the last day is the creditor's doing."""
    with_credit = promised(PromisedItem(ITEM, 4_000), kept_with=6_000)
    assert judged(with_credit, at(20), paid(6_000, at(6))).state is State.KEPT
    assert judged(with_credit, at(20), paid(5_000, at(6))).state is State.BROKEN


def test_a_missing_instalment_breaks_the_plan_and_value_dates_mend_it() -> None:
    terms = [Instalment(UUID(int=n), 5_000, 5_000 * n, 0, at(3 + 5 * n), 0, GIVEN) for n in (1, 2, 3)]
    plan = Agreement(UUID(int=9), "EUR", recorded(2), (PromisedItem(ITEM, 15_000),), tuple(terms))
    assert [one.state for one in judge(plan, [], at(9)).values()] == [State.BROKEN, State.CANCELLED, State.CANCELLED]
    mended = Agreement(UUID(int=9), "EUR", recorded(2), (PromisedItem(ITEM, 10_000),), tuple(terms))
    assert [one.state for one in judge(mended, [paid(5_000, at(8))], at(9)).values()] == [State.KEPT, State.OPEN, State.OPEN]


def test_days_and_sums_of_instalments() -> None:
    """The 31st is the last day of shorter months; totals run up."""
    assert monthly(dt.date(2026, 1, 31), 3) == [dt.date(2026, 1, 31), dt.date(2026, 2, 28), dt.date(2026, 3, 31)]
    assert every(dt.date(2026, 3, 2), 3, 14)[-1] == dt.date(2026, 3, 30)
    assert running_totals([34, 33, 33]) == [34, 67, 100]


@pytest.mark.parametrize(("minor", "state"), [(0, State.OPEN), (1, State.KEPT)])
def test_nothing_keeps_no_promise_whatever_its_tolerance(minor: int, state: State) -> None:
    """One that was given when all of it could be missing is kept by the first cent."""
    one = promised(PromisedItem(ITEM, 10_000 - minor), tolerance=100)
    assert judged(one, DAY, *([paid(minor, GIVEN)] if minor else [])).state is state


def test_a_promise_for_which_nothing_came_in_is_broken_whatever_its_tolerance() -> None:
    assert judged(promised(tolerance=100), DAY + dt.timedelta(days=1)).state is State.BROKEN
