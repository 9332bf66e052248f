"""Making text from outside harmless as text.

Names, numbers and references come from other systems and may hold anything.

Standard library only.
"""

from __future__ import annotations

import re

# Control characters, line and paragraph separators, marks that turn the reading direction, byte order marks, lone surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")
_UNSAFE_BUT_LINE_END = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")
_ENCODED_WORD = re.compile(r"=(?=\?)")
LINE_CAP = 300


def clean_line(text: str, *, cap: int = LINE_CAP) -> str:
    """Return text as one line.

    Control characters and separators become a space, the ends are trimmed, overlong text ends in an ellipsis.
    """
    if not text.isprintable():
        text = _UNSAFE.sub(" ", text)
    text = text.strip()
    return text if len(text) <= cap else text[: cap - 1] + "…"


def clean_paragraph(text: str, *, cap: int = 4_000) -> str:
    """Return text that keeps its line ends, and is otherwise cleaned as a line is."""
    text = _UNSAFE_BUT_LINE_END.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    return text if len(text) <= cap else text[: cap - 1] + "…"


def clean_header(text: str, *, cap: int = LINE_CAP) -> str:
    """Return text fit for a mail header.

    One line, and without `=?`, which a reader's program could take for an encoded word (CVE-2024-6923).
    """
    return clean_line(_ENCODED_WORD.sub("= ", clean_line(text, cap=cap)), cap=cap)


def is_clean_header(text: str) -> bool:
    """Tell whether a header value holds no control character, separator or encoded word."""
    return _UNSAFE.search(text) is None and "=?" not in text
