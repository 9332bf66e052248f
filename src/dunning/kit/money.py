"""Money as integer minor units with an ISO 4217 currency; `Decimal` and text only at the edges.

The exponents are those of ISO 4217: two decimals unless the currency is listed with none, three or four.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

_CODES_BY_EXPONENT = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW"
        " CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF"
        " IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK"
        " MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP"
        " SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR"
        " ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_EXPONENTS = {code: exponent for exponent, codes in _CODES_BY_EXPONENT.items() for code in codes.split()}
CURRENCIES: frozenset[str] = frozenset(_EXPONENTS)

_AMOUNT = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,4})?")
MINOR_MAX = 10**15
"""Largest amount of one document or receipt, in minor units: well inside int8, so that sums stay inside it too."""


class MoneyError(ValueError):
    """An amount or currency that cannot be taken as money; the text says which and what was expected."""


class CurrencyMismatch(MoneyError):
    """An attempt to combine amounts of two currencies."""


def exponent_of(currency: str) -> int:
    """Return the number of decimals of an ISO 4217 currency; raise `MoneyError` when the code is unknown."""
    exponent = _EXPONENTS.get(currency)
    if exponent is None:
        msg = f"unknown currency {currency!r}: expected an ISO 4217 code such as EUR"
        raise MoneyError(msg)
    return exponent


def parse_minor(amount: str, currency: str) -> int:
    """Read a decimal text such as `1234.50` into minor units.

    Refuses exponents, thousands separators, more decimals than the currency has, and amounts past `MINOR_MAX`.
    """
    exponent = exponent_of(currency)
    if not isinstance(amount, str) or _AMOUNT.fullmatch(amount) is None:
        msg = f"{amount!r} is not an amount: expected digits with a decimal point, such as 1234.50"
        raise MoneyError(msg)
    whole, _, decimals = amount.partition(".")
    if len(decimals.rstrip("0")) > exponent:
        msg = f"{amount} has more decimals than {currency} has ({exponent})"
        raise MoneyError(msg)
    minor = int(whole + decimals[:exponent].ljust(exponent, "0"))
    if abs(minor) > MINOR_MAX:
        msg = f"{amount} {currency} is larger than the largest amount accepted"
        raise MoneyError(msg)
    return minor


def format_minor(minor: int, currency: str) -> str:
    """Write minor units as the decimal text of the API, with all decimals of the currency: `1234.50`."""
    exponent = exponent_of(currency)
    sign = "-" if minor < 0 else ""
    digits = str(abs(minor)).rjust(exponent + 1, "0")
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else f"{sign}{digits}"


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An exact amount of one currency. Arithmetic refuses floats and mixed currencies."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            msg = f"money counts whole minor units, not {type(self.minor).__name__}"
            raise MoneyError(msg)
        exponent_of(self.currency)

    @classmethod
    def parse(cls, amount: str, currency: str) -> Money:
        """Read the API's decimal text."""
        return cls(parse_minor(amount, currency), currency)

    @property
    def decimal(self) -> Decimal:
        """The amount in major units, for the edges."""
        return Decimal(self.minor).scaleb(-exponent_of(self.currency))

    def __str__(self) -> str:
        return f"{format_minor(self.minor, self.currency)} {self.currency}"

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._same(other)

    def _same(self, other: object) -> int:
        if not isinstance(other, Money):
            msg = f"money and {type(other).__name__} do not mix"
            raise MoneyError(msg)
        if other.currency != self.currency:
            msg = f"{self.currency} and {other.currency} are never added or compared"
            raise CurrencyMismatch(msg)
        return other.minor


def split_by_weights(total_minor: int, weights: Sequence[int]) -> list[int]:
    """Split an amount in proportion to weights by largest remainder, so that the parts sum to the whole."""
    whole = sum(weights)
    if whole <= 0 or min(weights) < 0 or total_minor < 0:
        msg = "a split needs an amount and weights that are not negative, and one weight above zero"
        raise MoneyError(msg)
    parts = [total_minor * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total_minor * weights[i] % whole), i))
    for i in by_remainder[: total_minor - sum(parts)]:
        parts[i] += 1
    return parts
