"""Amounts, dates and words as each language writes them, and the choice of a message's language."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal

import pytest
from babel.dates import format_date
from babel.numbers import format_currency
from hypothesis import given
from hypothesis import strategies as st

from dunning.kit.money import CURRENCIES, Money, exponent_of
from dunning.messages.language import (
    LanguageMissing,
    amount,
    amounts,
    choose_language,
    day_count,
    due_status,
    join_words,
    kind_word,
    long_date,
    short_date,
    words_of,
)
from dunning.messages.words import SUPPORTED_LANGUAGES

LOCALES = {"en": "en_GB", "es": "es_ES", "it": "it_IT", "fr": "fr_FR"}
NBSP, THIN = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("language", "minor", "currency", "written"),
    [
        ("en", 123_450, "EUR", "€1,234.50"),
        ("en", -5, "EUR", "-€0.05"),
        ("en", 100, "CHF", f"CHF{NBSP}1.00"),
        ("en", 1_234, "JPY", "JP¥1,234"),
        ("it", 123_450, "EUR", f"1.234,50{NBSP}€"),
        ("it", 5_125, "KWD", f"5,125{NBSP}KWD"),
        ("es", -123_450_00, "EUR", f"-123.450,00{NBSP}€"),
        ("fr", 123_450, "EUR", f"1{THIN}234,50{NBSP}€"),
        ("fr", 0, "EUR", f"0,00{NBSP}€"),
    ],
)
def test_an_amount_is_written_as_its_language_does(language: str, minor: int, currency: str, written: str) -> None:
    """C-21."""
    assert amount(minor, currency, language) == written


@given(st.integers(-(10**15), 10**15), st.sampled_from(["EUR", "USD", "GBP", "JPY", "KWD", "CHF", "PLN"]), st.sampled_from(SUPPORTED_LANGUAGES))
def test_every_digit_is_the_one_babel_writes_for_the_exact_decimal(minor: int, currency: str, language: str) -> None:
    quantised = Money(minor, currency).decimal.quantize(Decimal(1).scaleb(-exponent_of(currency)))
    expected = format_currency(quantised, currency, locale=LOCALES[language])
    assert amount(minor, currency, language).replace(NBSP, "") == expected.replace(NBSP, "")


def test_an_amount_never_rounds_as_babel_does_by_itself() -> None:
    """The control: babel given an unquantised value of a currency without decimals rounds half to even."""
    assert format_currency(Decimal("1234.5"), "JPY", locale="en_GB") == "JP¥1,234"
    assert amount(12345, "JPY", "en") == "JP¥12,345"


def test_every_currency_can_be_written_in_every_language() -> None:
    for currency in sorted(CURRENCIES):
        for language in SUPPORTED_LANGUAGES:
            written = amount(1234567, currency, language)
            assert [sign for sign in written if sign.isdigit()] == list("1234567"), (currency, language, written)


def test_amounts_of_two_currencies_are_listed_and_never_added() -> None:
    """C-21."""
    assert amounts([(4_000, "EUR"), (7_000, "USD")], "en") == "€40.00 and US$70.00"
    assert amounts([(4_000, "EUR"), (7_000, "USD"), (1, "GBP")], "es") == f"40,00{NBSP}€, 70,00{NBSP}US$ y 0,01{NBSP}GBP"


@given(st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)), st.sampled_from(SUPPORTED_LANGUAGES))
def test_a_date_names_its_month_so_that_no_reader_takes_day_for_month(day: dt.date, language: str) -> None:
    expected = format_date(day, "long", locale=LOCALES[language])
    if language == "fr" and day.day == 1:
        expected = "1er" + expected[1:]
    assert long_date(day, language) == expected
    assert not short_date(day, language).replace(" ", "").isdigit()
    assert str(day.year) in short_date(day, language)


@pytest.mark.parametrize(
    ("language", "days", "part_paid", "written"),
    [
        ("en", 1, False, "1 day overdue"),
        ("en", 2, True, "part paid, 2 days overdue"),
        ("en", 0, False, "due today"),
        ("en", -1, False, "due in 1 day"),
        ("it", 9, False, "scaduto da 9 giorni"),
        ("it", -3, False, "scade tra 3 giorni"),
        ("es", 1, False, "vencido hace 1 día"),
        ("fr", 9, True, "réglé en partie, en retard de 9 jours"),
    ],
)
def test_a_status_counts_days_below_at_and_above_the_due_date(language: str, days: int, part_paid: bool, written: str) -> None:
    assert due_status(days, language, part_paid=part_paid) == written


def test_day_counts_follow_each_languages_plural() -> None:
    assert [day_count(n, "en") for n in (0, 1, 2)] == ["0 days", "1 day", "2 days"]
    assert [day_count(n, "fr") for n in (0, 1, 2)] == ["0 jour", "1 jour", "2 jours"]


def test_every_language_has_every_word_and_none_is_left_in_english() -> None:
    """B-22, C-13: the sets are complete, and a copied English phrase would show."""
    names = [field.name for field in dataclasses.fields(words_of("en"))]
    may_coincide = {"colon", "document", "subtotal"}
    for language in SUPPORTED_LANGUAGES:
        words, english = words_of(language), words_of("en")
        assert all(getattr(words, name) for name in names)
        if language != "en":
            same = {name for name in names if getattr(words, name) == getattr(english, name)} - may_coincide
            assert not same, (language, same)


def test_a_kind_without_a_word_of_its_own_is_a_document() -> None:
    assert kind_word("credit_note", "it") == "Nota di credito"
    assert kind_word("something_new", "fr") == "Document"


def test_lists_read_as_the_language_lists_things() -> None:
    assert [join_words(list("abc")[:n], "it") for n in range(4)] == ["", "a", "a e b", "a, b e c"]


@pytest.mark.parametrize(
    ("contact", "customer", "ledger", "chosen"),
    [
        ("fr", "it", "en", "fr"),
        ("de", "it", "en", "it"),
        (None, "it", "en", "it"),
        (None, None, "en", "en"),
        ("de", None, "en", "en"),
        ("it-CH", None, "en", "it"),
        ("IT_it", None, None, "it"),
    ],
)
def test_the_language_is_the_contacts_then_the_customers_then_the_ledgers(contact: str | None, customer: str | None, ledger: str | None, chosen: str) -> None:
    """C-13, B-22."""
    assert choose_language({"en", "it", "fr"}, contact=contact, customer=customer, ledger=ledger) == chosen


def test_a_language_nobody_asked_for_is_never_taken() -> None:
    """C-13: never silent English."""
    with pytest.raises(LanguageMissing, match="asked for: de, es") as refused:
        choose_language({"en"}, contact="de", customer="de", ledger="es")
    assert refused.value.facts == {"wished": ["de", "es"], "available": ["en"]}
    with pytest.raises(LanguageMissing, match="set the ledger's language"):
        choose_language({"en"}, contact=None, customer="", ledger=None)
    with pytest.raises(LanguageMissing, match="supported: en, es, it, fr"):
        words_of("xx")
