"""What a visitor is asked before the claim is shown: something the link alone does not tell.

A link leaks (scanners, forwards, logs); whoever also knows the company's tax number or one of its documents is hardly a machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

TAX_CHARACTERS = 4
_WHOLE_TAX_NUMBER = 8
_NOT_COUNTED = re.compile(r"[\W_]+")
ANSWER_CAP = 100


class Challenge(StrEnum):
    """What is asked. `button` asks nothing, and what it proves is less."""

    TAX_NUMBER = "tax_number"
    DOCUMENT_NUMBER = "document_number"
    BUTTON = "button"


@dataclass(frozen=True, slots=True)
class Known:
    """What the creditor knows that an answer is compared with."""

    tax_number: str | None
    document_numbers: tuple[str, ...]

    @classmethod
    def of(cls, tax_number: str | None, document_numbers: Iterable[str]) -> Known:
        """Bring what is known into the form in which answers are compared; what has nothing left is not known."""
        tax = comparable(tax_number or "")
        numbers = dict.fromkeys(comparable(number) for number in document_numbers)
        return cls(tax if len(tax) >= TAX_CHARACTERS else None, tuple(number for number in numbers if number))


def comparable(text: str) -> str:
    """Return only letters and digits, in one case: people leave out dashes, spaces and leading signs."""
    return _NOT_COUNTED.sub("", text[:ANSWER_CAP]).casefold()


def asked(wanted: Challenge, known: Known) -> Challenge:
    """Return what is asked for: what the ledger wants; a document number where no tax number is known; a button where nothing is."""
    if wanted is Challenge.TAX_NUMBER and known.tax_number is not None:
        return Challenge.TAX_NUMBER
    if wanted is not Challenge.BUTTON and known.document_numbers:
        return Challenge.DOCUMENT_NUMBER
    return Challenge.BUTTON


def is_right(challenge: Challenge, answer: str, known: Known) -> bool:
    """Tell whether an answer is right: the last four characters of the tax number, or more of it; or any document number of the claim."""
    given = comparable(answer)
    if challenge is Challenge.BUTTON:
        return True
    if challenge is Challenge.DOCUMENT_NUMBER:
        return bool(given) and given in known.document_numbers
    tax = known.tax_number or ""
    if len(given) < TAX_CHARACTERS or len(tax) < TAX_CHARACTERS:
        return False
    # The whole number with its country's letters also counts when it is stored without them.
    return tax.endswith(given) or (len(tax) >= _WHOLE_TAX_NUMBER and given.endswith(tax))
