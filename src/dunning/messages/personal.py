"""A person's own words in one message: a subject and a text in which placeholders may stand, as hash tags or in braces, and nothing else of a template.

Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dunning.messages.placeholders import PLACEHOLDERS, Kind, nearest, suspicious_tags, translate_tags

PERSONAL_TEXT = "personal_text"
SUBJECT_CAP = 300
TEXT_CAP = 4_000

_PLACEHOLDER = re.compile(r"\{\{\s*([a-z][a-z0-9_]*)\s*\}\}")
_LOGIC = re.compile(r"\{[%#]|\{\{|[%#]\}")


def parts_of(written: str) -> Iterator[tuple[bool, str]]:
    """Yield the parts of a written text in order: whether a part is a placeholder, and its name or the words themselves."""
    for place, part in enumerate(_PLACEHOLDER.split(translate_tags(written))):
        if part:
            yield place % 2 == 1 and part in PLACEHOLDERS, part


def named_in(written: str) -> set[str]:
    """Return the placeholders that a text asks for."""
    return {part for is_name, part in parts_of(written) if is_name}


def faults_of(written: str, *, subject: bool, link_only: bool) -> list[str]:
    """Return what is wrong with a person's own subject or text, in words that its writer can act on; empty: nothing."""
    faults = []
    translated = translate_tags(written)
    names = _PLACEHOLDER.findall(translated)
    unknown = [name for name in names if name not in PLACEHOLDERS] + [name for _, name in suspicious_tags(written)]
    for name in dict.fromkeys(unknown):
        close = nearest(name, PLACEHOLDERS)
        faults.append(f"{name} is no placeholder" + (f"; did you mean {close}?" if close else ""))
    if PERSONAL_TEXT in names:
        faults.append("personal_text cannot stand in itself")
    if _LOGIC.search(_PLACEHOLDER.sub("", translated)):
        faults.append("conditions and loops belong into a template; here only placeholders such as {{items_amount_selected}} may stand")
    known = [PLACEHOLDERS[name] for name in dict.fromkeys(names) if name in PLACEHOLDERS]
    if subject:
        faults += [f"{entry.name} cannot stand in a subject" for entry in known if entry.kind is not Kind.TEXT]
    if link_only:
        faults += [f"a message of text and link only must not show {entry.name}" for entry in known if entry.full_only]
    return faults
