"""Money: exact, whole minor units, one currency at a time."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dunning.kit.money import (
    CURRENCIES,
    MINOR_MAX,
    CurrencyMismatch,
    Money,
    MoneyError,
    exponent_of,
    format_minor,
    parse_minor,
    split_by_weights,
)

currencies = st.sampled_from(sorted(CURRENCIES))
minors = st.integers(-MINOR_MAX, MINOR_MAX)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("1234.50", "EUR", 123450),
        ("1234.5", "EUR", 123450),
        ("1234", "EUR", 123400),
        ("-0.01", "EUR", -1),
        ("-0", "EUR", 0),
        ("1234", "JPY", 1234),
        ("1234.0", "JPY", 1234),
        ("1.234", "KWD", 1234),
        ("1.2345", "CLF", 12345),
        ("0.1000", "EUR", 10),
        ("10000000000000.00", "EUR", MINOR_MAX),
    ],
)
def test_decimal_text_is_read_exactly(amount, currency, minor):
    assert parse_minor(amount, currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("", "EUR"), ("1,50", "EUR"), ("1.234,50", "EUR"), ("1e3", "EUR"), (" 1", "EUR"), ("1 ", "EUR"), ("+1", "EUR"), (".5", "EUR"), ("1.", "EUR"),
        ("NaN", "EUR"), ("Infinity", "EUR"), ("0x10", "EUR"), ("1_000", "EUR"), ("١", "EUR"), ("1.001", "EUR"), ("0.5", "JPY"), ("1.00001", "CLF"),
        ("10000000000000.01", "EUR"), ("1000000000000000", "EUR"), ("1", "eur"), ("1", "XXX"), ("1", ""), (1, "EUR"), (1.5, "EUR"), (None, "EUR"), (Decimal(1), "EUR"),
    ],
)  # fmt: skip
def test_what_is_no_amount_of_the_currency_is_refused(amount, currency):
    with pytest.raises(MoneyError):
        parse_minor(amount, currency)


def test_below_at_and_above_the_largest_amount():
    assert parse_minor("9999999999999.99", "EUR") == MINOR_MAX - 1
    assert parse_minor("10000000000000.00", "EUR") == MINOR_MAX
    with pytest.raises(MoneyError, match="larger"):
        parse_minor("10000000000000.01", "EUR")


def test_the_message_names_the_currency_and_its_decimals():
    with pytest.raises(MoneyError, match=r"more decimals than JPY has \(0\)"):
        parse_minor("0.5", "JPY")
    with pytest.raises(MoneyError, match="unknown currency 'EURO'"):
        exponent_of("EURO")


@given(minors, currencies)
def test_writing_and_reading_again_gives_the_same_amount(minor, currency):
    assert parse_minor(format_minor(minor, currency), currency) == minor


@given(minors, currencies)
def test_the_text_equals_the_decimal_value(minor, currency):
    assert Decimal(format_minor(minor, currency)) == Money(minor, currency).decimal


@pytest.mark.parametrize("minor", [1.0, True, "1", Decimal(1), None])
def test_money_counts_whole_minor_units_only(minor):
    with pytest.raises(MoneyError):
        Money(minor, "EUR")


def test_two_currencies_are_never_added_or_compared():
    euro, dollar = Money(1, "EUR"), Money(1, "USD")
    for attempt in (lambda: euro + dollar, lambda: euro - dollar, lambda: euro < dollar, lambda: euro <= dollar):
        with pytest.raises(CurrencyMismatch):
            attempt()
    assert euro != dollar


@pytest.mark.parametrize("other", [1, 1.5, Decimal(1), "1", None])
def test_money_does_not_mix_with_numbers(other):
    with pytest.raises((MoneyError, TypeError)):
        Money(1, "EUR") + other
    with pytest.raises((MoneyError, TypeError)):
        other + Money(1, "EUR")


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_a_split_sums_to_the_whole_and_no_part_is_off_by_a_unit(total, weights):
    assume(sum(weights) > 0)
    parts = split_by_weights(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        exact = total * weight / Decimal(sum(weights))
        assert abs(part - exact) < 1
        assert weight or not part


@pytest.mark.parametrize(("total", "weights"), [(1, []), (1, [0]), (1, [-1, 2]), (-1, [1])])
def test_a_split_without_weights_is_refused(total, weights):
    with pytest.raises((MoneyError, ValueError)):
        split_by_weights(total, weights)


@given(minors, minors, currencies)
def test_adding_and_taking_away_gives_the_amount_back(a, b, currency):
    one, other = Money(a, currency), Money(b, currency)
    assert one + other - other == one
    assert -(-one) == one
