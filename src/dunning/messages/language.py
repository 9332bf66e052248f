"""Amounts, dates and day counts as a language writes them, and which language a message is written in.

Amounts never pass through a float or a rounding: whole minor units are split into digits, and only the signs around
them (symbol, separators, their places) come from CLDR by way of babel.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

from babel import Locale
from babel.dates import format_date
from babel.numbers import get_currency_symbol, get_decimal_symbol, get_group_symbol

from dunning.kit.errors import Malformed
from dunning.kit.money import exponent_of
from dunning.messages.words import SUPPORTED_LANGUAGES, WORDS, Words

NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
_LOCALES = {"en": "en_GB", "es": "es_ES", "it": "it_IT", "fr": "fr_FR"}


class LanguageMissing(Malformed):
    """None of the languages a recipient could be written to in is one the template has."""

    code = "language_missing"
    title = "The template has no usable language"


def base_language(tag: str | None) -> str | None:
    """Return the language of a tag such as `it-CH`, `it_IT` or `IT`; None for an empty one."""
    base = (tag or "").strip().replace("_", "-").split("-", 1)[0].lower()
    return base or None


def choose_language(available: Collection[str], *, contact: str | None, customer: str | None, ledger: str | None) -> str:
    """Choose the language of a message.

    The contact's, then the customer's, then the ledger's, among those the template has.

    Never falls to a language nobody asked for: raises `LanguageMissing`, which lists the wishes and what the template
    has (C-13).
    """
    wishes = [wish for wish in map(base_language, (contact, customer, ledger)) if wish is not None]
    for wish in wishes:
        if wish in available:
            return wish
    asked = ", ".join(dict.fromkeys(wishes)) or "none (set the ledger's language)"
    has = ", ".join(sorted(available)) or "no language"
    detail = f"The template is written in {has}; asked for: {asked}. Add that language to the template."
    raise LanguageMissing(detail, wished=list(dict.fromkeys(wishes)), available=sorted(available))


def words_of(language: str) -> Words:
    """Return the product's words in a supported language; raise `LanguageMissing` for another."""
    words = WORDS.get(language)
    if words is None:
        detail = f"Messages cannot be written in {language!r}; supported: {', '.join(SUPPORTED_LANGUAGES)}."
        raise LanguageMissing(detail, wished=[language], available=list(SUPPORTED_LANGUAGES))
    return words


@dataclass(frozen=True, slots=True)
class _AmountForm:
    prefix: str
    suffix: str
    minus_prefix: str
    minus_suffix: str
    group: str
    decimal: str
    exponent: int


@lru_cache(maxsize=1024)
def _amount_form(language: str, currency: str) -> _AmountForm:
    words_of(language)
    locale = Locale.parse(_LOCALES[language])
    symbol = get_currency_symbol(currency, locale=locale)
    pattern = locale.currency_formats["standard"]

    def placed(affix: str, *, before: bool) -> str:
        # A symbol made of letters would run into the digits ("CHF1.00"): CLDR asks for a space, which babel leaves out.
        shown = symbol
        if before and affix.endswith("¤") and symbol[-1].isalpha():
            shown += NO_BREAK_SPACE
        return affix.replace("¤", shown)

    return _AmountForm(
        placed(pattern.prefix[0], before=True),
        placed(pattern.suffix[0], before=False),
        placed(pattern.prefix[1], before=True),
        placed(pattern.suffix[1], before=False),
        get_group_symbol(locale),
        get_decimal_symbol(locale),
        exponent_of(currency),
    )


@lru_cache(maxsize=65_536)
def amount(minor: int, currency: str, language: str) -> str:
    """Write an exact amount with its currency.

    `€1,234.50`, `1.234,50 €`, with the decimals ISO 4217 gives the currency.
    """
    form = _amount_form(language, currency)
    digits = str(abs(minor)).rjust(form.exponent + 1, "0")
    cut = len(digits) - form.exponent
    number = f"{int(digits[:cut]):,}".replace(",", form.group)
    if form.exponent:
        number = f"{number}{form.decimal}{digits[cut:]}"
    return f"{form.minus_prefix}{number}{form.minus_suffix}" if minor < 0 else f"{form.prefix}{number}{form.suffix}"


def amounts(per_currency: Iterable[tuple[int, str]], language: str) -> str:
    """Write one amount a currency as a list that reads: `€40.00 and US$70.00`. Currencies are never added (C-21)."""
    return join_words([amount(minor, currency, language) for minor, currency in per_currency], language)


@lru_cache(maxsize=16_384)
def long_date(day: dt.date, language: str) -> str:
    """Write a day for a sentence: `2 March 2026`."""
    words_of(language)
    return _first_of_month(day, language, format_date(day, "long", locale=_LOCALES[language]))


@lru_cache(maxsize=16_384)
def short_date(day: dt.date, language: str) -> str:
    """Write a day for a table, with the month as a word, so that no reader takes day for month: `2 Mar 2026`."""
    words_of(language)
    return _first_of_month(day, language, format_date(day, "d MMM y", locale=_LOCALES[language]))


def _first_of_month(day: dt.date, language: str, text: str) -> str:
    # French writes the first of a month as an ordinal; CLDR's patterns do not know that.
    return f"1er{text[1:]}" if language == "fr" and day.day == 1 else text


def _counted(forms: tuple[str, str], n: int, language: str) -> str:
    # French takes the singular for zero, the others the plural.
    single = n == 1 or (n == 0 and language == "fr")
    return forms[0 if single else 1].replace("{n}", str(n))


def day_count(days: int, language: str) -> str:
    """Write a number of days: `1 day`, `9 days`."""
    return _counted(words_of(language).days, days, language)


def more_rows(n: int, sum_text: str, language: str) -> str:
    """Write that a table goes on: `and 12 more documents, €40.00`."""
    return _counted(words_of(language).more_rows, n, language).replace("{amount}", sum_text)


@lru_cache(maxsize=16_384)
def due_status(days_overdue: int, language: str, *, part_paid: bool) -> str:
    """Write where an item stands against its due date: `9 days overdue`, `due today`, `part paid, due in 3 days`."""
    words = words_of(language)
    if days_overdue > 0:
        text = _counted(words.days_overdue, days_overdue, language)
    elif days_overdue == 0:
        text = words.due_today
    else:
        text = _counted(words.due_in, -days_overdue, language)
    return f"{words.part_paid}, {text}" if part_paid else text


def kind_word(kind: str, language: str) -> str:
    """Return what an item kind is called; a kind without a word of its own is a document."""
    kinds = words_of(language).kinds
    return kinds.get(kind) or kinds["other"]


def join_words(parts: list[str], language: str) -> str:
    """Join texts as a language lists things: `a, b and c`."""
    comma, last = words_of(language).join
    return comma.join(parts[:-1]) + last + parts[-1] if len(parts) > 1 else "".join(parts)
