"""What the HTML of a template may contain, and its way into a mail.

Styles moved onto the elements, nothing loaded from elsewhere.

Placeholders are checked by where they stand: between elements anything goes, since values are escaped; inside an
element only a link placeholder as the whole of `href`. The check runs again on what the inliner's HTML5 parser made of
the source, so that a spelling that one parser reads otherwise than another gains nothing.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

import css_inline
from jinja2 import TemplateSyntaxError

from dunning.messages.grammar import HTML_ENVIRONMENT, Problem
from dunning.messages.placeholders import PLACEHOLDERS, Kind

_ELEMENTS = frozenset(
    word
    for line in (
        "html head title meta style body div span p br hr a b strong i em u s small sub sup h1 h2 h3 h4 h5 h6",
        "ul ol li dl dt dd table thead tbody tfoot tr th td caption colgroup col img blockquote pre code center font",
        "address abbr section article header footer main bdi bdo wbr",
    )
    for word in line.split()
)
_LINK = re.compile(r"(?i)(https?://|mailto:|tel:|#)")
_PICTURE = re.compile(r"(?i)data:image/(png|gif|jpeg);base64,[a-z0-9+/=\s]*")
_LOADING_STYLE = re.compile(r"(?i)url\s*\(|@import|expression\s*\(|\\|behavior\s*:|-moz-binding")
_LOADING_ATTRIBUTES = frozenset(
    {
        "srcset",
        "background",
        "action",
        "formaction",
        "ping",
        "poster",
        "data",
        "codebase",
        "longdesc",
        "lowsrc",
        "dynsrc",
    }
)
_MARK = re.compile(r"xzjmark(\d+)zx")
_TAG_MARK = re.compile(r"<!--xzjmark(\d+)zx-->")
_OPENING_HTML = re.compile(r"<html(?![^>]*\blang\s*=)", re.IGNORECASE)
_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True, keep_link_tags=False)


def inline_styles(source: str, *, language: str) -> tuple[str, list[Problem]]:
    """Return the HTML as it will be mailed, with styles inlined and the language named, and what is wrong with it.

    Template tags are set aside as marks while HTML parsers look at the page, and put back where they stood.
    """
    marked, tags, problems = _set_aside(source, language)
    if problems:
        return source, problems
    problems = _check(marked, tags, language)
    if problems:
        return source, problems
    try:
        inlined = _INLINER.inline(marked)
    except (css_inline.InlineError, ValueError) as error:
        return source, [Problem(language, "html", 1, f"the styles cannot be read: {error}")]
    problems = _check(inlined, tags, language)
    if len(_TAG_MARK.findall(inlined)) != sum(tag.startswith("{%") for tag in tags) or len(_MARK.findall(inlined)) != len(tags):
        problems.append(Problem(language, "html", 1, "a tag stands where HTML takes none, such as inside <title>; move it"))
    if problems:
        return source, problems
    named = _OPENING_HTML.sub(f'<html lang="{language}"', inlined, count=1)
    put_back = _TAG_MARK.sub(lambda found: tags[int(found[1])], named)
    return _MARK.sub(lambda found: tags[int(found[1])], put_back), []


def _set_aside(source: str, language: str) -> tuple[str, list[str], list[Problem]]:
    """Replace each template tag by a mark.

    A comment for `{% %}`, which may stand between table rows, and a word for `{{ }}`.
    """
    if "xzjmark" in source:
        return source, [], [Problem(language, "html", 1, "the word xzjmark is reserved")]
    out: list[str] = []
    tags: list[str] = []
    tag: list[str] = []
    try:
        for line, lexeme, text in HTML_ENVIRONMENT.lex(source):
            if lexeme.startswith("raw"):
                return source, [], [Problem(language, "html", line, "{% raw %} is not allowed")]
            if lexeme in {"variable_begin", "block_begin"}:
                tag = [text]
            elif lexeme in {"variable_end", "block_end"}:
                # The lexer hands back the line end that trim_blocks eats; it stays outside the mark.
                closing = text.rstrip()
                out.append(f"<!--xzjmark{len(tags)}zx-->" if lexeme == "block_end" else f"xzjmark{len(tags)}zx")
                out.append(text[len(closing) :])
                tags.append("".join([*tag, closing]))
                tag = []
            elif tag:
                tag.append(text)
            elif lexeme == "data":
                out.append(text)
    except TemplateSyntaxError as error:
        return source, [], [Problem(language, "html", error.lineno, error.message or "cannot be read")]
    return "".join(out), tags, []


def _check(marked: str, tags: list[str], language: str) -> list[Problem]:
    checker = _Checker(tags, language)
    checker.feed(marked)
    checker.close()
    return checker.problems


class _Checker(HTMLParser):
    def __init__(self, tags: list[str], language: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags = tags
        self.language = language
        self.problems: list[Problem] = []

    def refuse(self, message: str) -> None:
        self.problems.append(Problem(self.language, "html", self.getpos()[0], message))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _ELEMENTS:
            self.refuse(f"<{_plain(tag)}> is not allowed in a mail")
            return
        for name, value in attrs:
            self.attribute(tag, name, value or "")

    def attribute(self, tag: str, name: str, value: str) -> None:
        marks = _MARK.findall(name + value)
        if marks:
            placeholder = self.tags[int(marks[0])].strip("{} \n-+")
            entry = PLACEHOLDERS.get(placeholder)
            if name != "href" or not _MARK.fullmatch(value) or entry is None or entry.kind is not Kind.URL:
                self.refuse(f'inside <{tag}> only a link placeholder may stand, as href="{{{{link_url}}}}"; found {self.tags[int(marks[0])]}')
        elif name.startswith("on") or name in _LOADING_ATTRIBUTES or ":" in name:
            self.refuse(f"the attribute {name} is not allowed in a mail")
        elif name == "href" and not (tag == "a" and _LINK.match(value.strip())):
            self.refuse("a link must begin with https://, http://, mailto: or tel:")
        elif name == "src" and not _PICTURE.fullmatch(value.strip()):
            self.refuse("pictures must not be loaded from elsewhere: readers' programs block them, and they tell who reads")
        elif name == "style" and _LOADING_STYLE.search(value):
            self.refuse("styles must not load anything (url, @import) nor hold backslashes")
        elif tag == "meta" and name == "http-equiv" and value.strip().lower() not in {"content-type", "x-ua-compatible"}:
            self.refuse("<meta http-equiv> may only name the content type")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            if _MARK.search(data):
                self.refuse("placeholders cannot stand inside <style>")
            elif _LOADING_STYLE.search(data):
                self.refuse("styles must not load anything (url, @import) nor hold backslashes")

    def handle_comment(self, data: str) -> None:
        if _MARK.search(data) and not _MARK.fullmatch(data):
            self.refuse("placeholders cannot stand inside comments")

    def unknown_decl(self, data: str) -> None:  # noqa: ARG002  the parser's signature
        self.refuse("<![…]> is not allowed in a mail")

    def handle_pi(self, data: str) -> None:  # noqa: ARG002  the parser's signature
        self.refuse("<?…> is not allowed in a mail")


def _plain(tag: str) -> str:
    return _MARK.sub("…", tag)
