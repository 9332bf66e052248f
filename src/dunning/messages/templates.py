"""Templates of messages: reading, checking and compiling the users' own texts, languages side by side.

Contents are `{"it": {"subject": "…", "text": "…", "html": "…"}, …}`; every language has a subject and a text or HTML.
Where there is no text, it is made from the HTML when the message is rendered; where there is no HTML, the mail is plain
text.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import Template

from dunning.kit.errors import Malformed
from dunning.messages.grammar import HTML_ENVIRONMENT, TEXT_ENVIRONMENT, Problem, Reading, read_part
from dunning.messages.html_rules import inline_styles
from dunning.messages.placeholders import PLACEHOLDERS, nearest, translate_tags
from dunning.messages.words import SUPPORTED_LANGUAGES

PARTS = ("subject", "text", "html")
SUBJECT_CAP = 500
_CACHE_SIZE = 512

Contents = Mapping[str, Mapping[str, str | None]]


class TemplateRefused(Malformed):
    """The template breaks the template language; `errors` lists language, part, line and message of each fault."""

    code = "template_refused"
    title = "The template cannot be published"

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(
            f"{len(problems)} fault(s) in the template. First: {problems[0]}",
            [{"language": one.language, "part": one.part, "line": one.line, "message": one.message} for one in problems],
        )
        self.problems = problems


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """What a scenario's linter needs to know of a template.

    `unknown` are placeholders that do not exist; `unguarded` ones can be missing and are printed without an `if`, so
    that a step that never has them (a deadline, say) must not use the template; `full_only` ones may not go into a mail
    of text and link only.
    """

    code: str
    languages: frozenset[str]
    placeholders: frozenset[str]
    has_item_rows: bool
    unknown: frozenset[str]
    unguarded: frozenset[str] = frozenset()
    full_only: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Inspection:
    """The facts of a template, its faults, and what its writer should look at though it can be published."""

    facts: TemplateFacts
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def inspect(contents: Mapping[str, Any], *, code: str = "") -> Inspection:
    """Read a template whole, all languages and parts, without raising, and return its facts, faults and warnings."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    per_language: dict[str, Reading] = {}
    if not contents:
        problems.append(Problem("", "", 0, f"a template needs at least one language; supported are {', '.join(SUPPORTED_LANGUAGES)}"))
    for language, parts in contents.items():
        if language not in SUPPORTED_LANGUAGES:
            close = nearest(language, SUPPORTED_LANGUAGES)
            hint = f"did you mean {close}? " if close else ""
            problems.append(Problem(language, "", 0, f"no such language; {hint}supported are {', '.join(SUPPORTED_LANGUAGES)}"))
            continue
        shape = _shape_problems(language, parts)
        problems += shape
        if shape:
            continue
        reading = per_language[language] = _read_language(language, parts)
        problems += reading.problems
        warnings += [
            Problem(
                language,
                "",
                0,
                f"{{{{{name}}}}} can be missing and stands outside {{% if {name} %}}: a message without it will not be sent",
            )
            for name in sorted(reading.unguarded)
        ]
    everywhere = {name for reading in per_language.values() for name in reading.printed if PLACEHOLDERS[name].substance}
    warnings += [
        Problem(language, "", 0, f"does not print {{{{{name}}}}}, which another language of this template does")
        for language, reading in per_language.items()
        for name in sorted(everywhere - reading.printed)
    ]
    readings = list(per_language.values())
    used = frozenset().union(*(reading.used for reading in readings))
    facts = TemplateFacts(
        code,
        frozenset(per_language),
        used,
        any(reading.has_item_rows for reading in readings),
        frozenset().union(*(reading.unknown for reading in readings)),
        frozenset().union(*(reading.unguarded for reading in readings)),
        frozenset(name for name in used if PLACEHOLDERS[name].full_only),
    )
    return Inspection(facts, tuple(problems), tuple(warnings))


def facts_of(contents: Mapping[str, Any], *, code: str = "") -> TemplateFacts:
    """Return what a linter needs to know of a template, faulty or not."""
    return inspect(contents, code=code).facts


def check(contents: Mapping[str, Any], *, code: str = "") -> Inspection:
    """Check a template before it is published.

    Raise `TemplateRefused` with every fault, else return facts and warnings.
    """
    found = inspect(contents, code=code)
    if found.problems:
        raise TemplateRefused(list(found.problems))
    return found


def _shape_problems(language: str, parts: object) -> list[Problem]:
    if not isinstance(parts, Mapping):
        return [Problem(language, "", 0, "expected an object with subject, text and html")]
    found = [Problem(language, str(part), 0, f"no such part; a language has {', '.join(PARTS)}") for part in parts if part not in PARTS]
    found += [Problem(language, part, 0, "expected a text") for part in PARTS if not isinstance(parts.get(part) or "", str)]
    if found:
        return found
    subject = (parts.get("subject") or "").strip()
    if not subject:
        found.append(Problem(language, "subject", 1, "is missing: a message needs a subject"))
    elif len(subject) > SUBJECT_CAP or len(subject.splitlines()) > 1:
        found.append(Problem(language, "subject", 1, f"must be one line of at most {SUBJECT_CAP} characters"))
    if not (parts.get("text") or "").strip() and not (parts.get("html") or "").strip():
        found.append(Problem(language, "text", 1, "is missing: a message needs a text, HTML, or both"))
    return found


def _read_language(language: str, parts: Mapping[str, str | None]) -> Reading:
    return _read_sources(language, tuple(parts.get(part) for part in PARTS))


@lru_cache(maxsize=128)
def _read_sources(language: str, sources: tuple[str | None, ...]) -> Reading:
    """Read one language; the same texts are read again for each ledger, scenario and mail of one's own that names the template."""
    whole = Reading()
    for part, source in zip(PARTS, sources, strict=True):
        if not source or not source.strip():
            continue
        translated = translate_tags(source)
        reading = read_part(translated, language=language, part=part)
        if part == "html" and not reading.problems:
            final, problems = inline_styles(translated, language=language)
            reading.problems += problems or read_part(final, language=language, part=part).problems
        whole.problems += reading.problems
        whole.used |= reading.used
        whole.printed |= reading.printed
        whole.unknown |= reading.unknown
        whole.unguarded |= reading.unguarded
        whole.has_item_rows |= reading.has_item_rows
    return whole


@dataclass(frozen=True, slots=True)
class CompiledLanguage:
    """One language of a template, ready to render. `used` are the placeholders its parts ask for."""

    language: str
    subject: Template
    text: Template | None
    html: Template | None
    used: frozenset[str]
    has_item_rows: bool


class CompiledTemplate:
    """A template version whose languages are compiled when first written in, and kept."""

    __slots__ = ("_contents", "_languages", "template_id", "version")

    def __init__(self, template_id: str, version: int, contents: Contents) -> None:
        self.template_id = template_id
        self.version = version
        self._contents = contents
        self._languages: dict[str, CompiledLanguage] = {}

    @property
    def languages(self) -> frozenset[str]:
        """The languages the template is written in."""
        return frozenset(self._contents)

    def in_language(self, language: str) -> CompiledLanguage:
        """Return one language compiled.

        Raise `TemplateRefused` when the template lacks it or breaks the template language.
        """
        ready = self._languages.get(language)
        if ready is None:
            ready = self._languages[language] = self._compile(language)
        return ready

    def holds(self, contents: Contents) -> bool:
        """Tell whether this was compiled from just these contents."""
        return self._contents is contents or self._contents == contents

    def _compile(self, language: str) -> CompiledLanguage:
        parts = self._contents.get(language)
        problems = _shape_problems(language, parts) if parts else [Problem(language, "", 0, "the template is not written in this language")]
        if problems or not parts:
            raise TemplateRefused(problems)
        whole = Reading()
        subject = _compile_part(language, "subject", (parts.get("subject") or "").strip(), whole)
        text = _compile_part(language, "text", parts.get("text") or "", whole)
        html = _compile_part(language, "html", parts.get("html") or "", whole)
        if subject is None:
            raise TemplateRefused([Problem(language, "subject", 1, "is missing: a message needs a subject")])
        return CompiledLanguage(language, subject, text, html, frozenset(whole.used), whole.has_item_rows)


def _compile_part(language: str, part: str, source: str, whole: Reading) -> Template | None:
    """Compile one part.

    The allow-list is asked about the very text that Jinja compiles, after the inliner has been over it: an HTML parser
    turns `&#123;` into a brace.
    """
    if not source.strip():
        return None
    source = translate_tags(source)
    if part == "html":
        source, problems = inline_styles(source, language=language)
        if problems:
            raise TemplateRefused(problems)
    reading = read_part(source, language=language, part=part)
    if reading.problems:
        raise TemplateRefused(reading.problems)
    whole.used |= reading.used
    whole.has_item_rows |= reading.has_item_rows
    return (HTML_ENVIRONMENT if part == "html" else TEXT_ENVIRONMENT).from_string(source)


_cache: OrderedDict[tuple[str, int], CompiledTemplate] = OrderedDict()
_cache_lock = threading.Lock()


def compile_template(template_id: str, version: int, contents: Contents) -> CompiledTemplate:
    """Return a template version ready to render, from a cache of the last 512 used.

    A second call with the same id and version answers the same object. Other contents under the same id and version are
    compiled anew, so that two tenants whose ids should ever meet could not be sent each other's text.
    """
    key = (str(template_id), version)
    with _cache_lock:
        ready = _cache.get(key)
        if ready is not None and ready.holds(contents):
            _cache.move_to_end(key)
            return ready
    made = CompiledTemplate(key[0], version, contents)
    with _cache_lock:
        _cache[key] = made
        _cache.move_to_end(key)
        while len(_cache) > _CACHE_SIZE:
            _cache.popitem(last=False)
    return made
