"""Text cells of CSV exports that a spreadsheet program will not run as formulas."""

from __future__ import annotations

import re
import unicodedata

_STARTS_FORMULA = frozenset("=+-@|%")
_PLAIN_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_CONTROLS = frozenset({"Cc", "Cf", "Zl", "Zp"})
_UNSEEN = _CONTROLS | {"Zs", "Mn"}
_BREAK = re.compile("[\r\n\t;\x0b\x0c\x85\u2028\u2029]")


def safe_cell(text: str) -> str:
    """Return text that a spreadsheet shows as text.

    One that could begin a formula, or hides its beginning, gets an apostrophe before it.

    Follows OWASP's CSV injection rule (`= + - @`, tab, carriage return), reads through leading white space and unseen
    characters, and takes the full-width forms that programs fold to the same signs. Plain numbers (`-12.50`) stay
    numbers; NUL is dropped. A second call changes nothing.
    """
    text = text.replace("\x00", "")
    if not text or _PLAIN_NUMBER.fullmatch(text):
        return text
    # Some programs take a cell apart at line ends or at their own separator: a formula must not begin there either.
    if any(_begins_formula(part) for part in _BREAK.split(text)[1:]):
        text = _BREAK.sub(" ", text)
    return f"'{text}" if unicodedata.category(text[0]) in _CONTROLS or _begins_formula(text) else text


def _begins_formula(text: str) -> bool:
    first = next((sign for sign in text if unicodedata.category(sign) not in _UNSEEN), "")
    return unicodedata.normalize("NFKC", first)[:1] in _STARTS_FORMULA
