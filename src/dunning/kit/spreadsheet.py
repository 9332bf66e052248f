"""Text cells of CSV exports that a spreadsheet program will not run as formulas."""

from __future__ import annotations

import re
import unicodedata

_STARTS_FORMULA = frozenset("=+-@|%")
_PLAIN_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp", "Mn"})


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
    if unicodedata.category(text[0]) in {"Cc", "Cf", "Zl", "Zp"}:
        return f"'{text}"
    first = next((sign for sign in text if unicodedata.category(sign) not in _UNSEEN), "")
    if unicodedata.normalize("NFKC", first)[:1] in _STARTS_FORMULA:
        return f"'{text}"
    # Some programs take a cell apart at line ends or at their own separator: a formula must not begin there either.
    if any(part.lstrip()[:1] in _STARTS_FORMULA for part in re.split(r"[\r\n;\t]", text)[1:]):
        return f"'{text.translate(_FLAT)}"
    return text


_FLAT = {ord("\r"): " ", ord("\n"): " ", ord("\t"): " ", ord(";"): ","}
