"""The users' template grammar, held on Jinja's syntax tree: what is not on the list here does not get published.

Allowed: `{{placeholder}}`, `{% if placeholder %} … {% elif %} … {% else %} … {% endif %}` (also `if not`), `{% for item
in items %}`, `{% for block in blocks %}` with `{% for item in block.items %}` inside, and `{{item.…}}`, `{{block.…}}`
within those loops. No calls, filters, sums, comparisons, assignments, imports. Jinja's sandbox stands behind this list;
it bounds neither time nor memory, the list does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dunning.messages.placeholders import BLOCK_FIELDS, ITEM_FIELDS, PLACEHOLDERS, Field, Kind, nearest, suspicious_tags

TEMPLATE_CAP_BYTES = 64 * 1024
NESTING_CAP = 8
TAGS_CAP = 500
ALLOWED = "allowed are {{placeholder}}, {% if placeholder %} … {% else %} … {% endif %} and {% for item in items %} … {% endfor %}"

_FIELDS = {"item": ITEM_FIELDS, "block": BLOCK_FIELDS}
_WHY_NOT: dict[type[nodes.Node], str] = {
    nodes.Filter: "filters (a name after |) are not allowed: amounts and dates come as the language writes them",
    nodes.Call: "calls are not allowed",
    nodes.Const: "put fixed text outside the braces",
    nodes.TemplateData: "put fixed text outside the braces",
    nodes.Compare: "comparisons are not allowed: ask only whether a placeholder has a value",
    nodes.And: "put one {% if %} inside the other instead of 'and'",
    nodes.Or: "use {% if %} and {% elif %} instead of 'or'",
    nodes.CondExpr: "write {% if placeholder %} … {% else %} … {% endif %}",
    nodes.Getitem: "square brackets are not allowed",
    nodes.BinExpr: "calculations are not allowed: amounts are exact and come ready",
    nodes.UnaryExpr: "calculations are not allowed: amounts are exact and come ready",
    nodes.Concat: "write the placeholders one after the other",
    nodes.Macro: "macros are not allowed",
    nodes.Include: "including other templates is not allowed",
    nodes.Import: "imports are not allowed",
    nodes.FromImport: "imports are not allowed",
    nodes.Extends: "extending other templates is not allowed",
    nodes.Block: "blocks are not allowed",
    nodes.Assign: "setting variables is not allowed",
    nodes.AssignBlock: "setting variables is not allowed",
}


def environment(*, html: bool) -> ImmutableSandboxedEnvironment:
    """Return a Jinja environment without filters, tests or globals; undefined names raise, HTML is escaped."""
    made = ImmutableSandboxedEnvironment(
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=0,
        extensions=(),
    )
    made.filters.clear()
    made.tests.clear()
    made.globals.clear()
    return made


TEXT_ENVIRONMENT = environment(html=False)
HTML_ENVIRONMENT = environment(html=True)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a template, where, and what would be right."""

    language: str
    part: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.language}, {self.part}, line {self.line}: {self.message}"


@dataclass(slots=True)
class Reading:
    """What a part of a template uses, found while its tree was walked."""

    problems: list[Problem] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    printed: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    unguarded: set[str] = field(default_factory=set)
    has_item_rows: bool = False


def read_part(source: str, *, language: str, part: str) -> Reading:
    """Walk one part of a template, subject, text or html, and return what it uses and what is wrong.

    Hash tags must have been translated.
    """
    reading = Reading()
    walker = _Walker(reading, language, part)
    if len(source.encode(errors="replace")) > TEMPLATE_CAP_BYTES:
        walker.refuse(1, f"longer than {TEMPLATE_CAP_BYTES // 1024} kB; shorten it")
        return reading
    if source.count("{%") > TAGS_CAP:
        walker.refuse(1, f"more than {TAGS_CAP} tags; simplify it")
        return reading
    for line, name in suspicious_tags(source):
        walker.unknown(line, name, PLACEHOLDERS, shown=f"#{name}")
    try:
        tree = (HTML_ENVIRONMENT if part == "html" else TEXT_ENVIRONMENT).parse(source)
    except TemplateSyntaxError as error:
        walker.refuse(error.lineno, f"cannot be read ({(error.message or 'syntax error').rstrip('.')}); {ALLOWED}")
        return reading
    except RecursionError:
        walker.refuse(1, f"nested too deeply; {ALLOWED}")
        return reading
    walker.body(tree.body, frozenset(), frozenset(), 0)
    return reading


class _Walker:
    def __init__(self, reading: Reading, language: str, part: str) -> None:
        self.reading = reading
        self.language = language
        self.part = part

    def refuse(self, line: int, message: str) -> None:
        self.reading.problems.append(Problem(self.language, self.part, line, message))

    def unknown(self, line: int, name: str, known: Iterable[str], *, shown: str) -> None:
        names = list(known)
        close = nearest(name, names)
        hint = f"; did you mean {shown.replace(name, close)}?" if close else f"; known are {', '.join(names)}"
        self.reading.unknown.add(name)
        self.refuse(line, f"unknown placeholder {shown}{hint}")

    def body(self, parts: Iterable[nodes.Node], loops: frozenset[str], guarded: frozenset[str], depth: int) -> None:
        for node in parts:
            if isinstance(node, nodes.Output):
                for value in node.nodes:
                    if not isinstance(value, nodes.TemplateData):
                        self.value(value, loops, guarded)
            elif isinstance(node, nodes.If):
                self.condition(node, loops, guarded, depth + 1)
            elif isinstance(node, nodes.For):
                self.loop(node, loops, guarded, depth + 1)
            else:
                self.other(node)

    def other(self, node: nodes.Node) -> None:
        why = next((text for kind, text in _WHY_NOT.items() if isinstance(node, kind)), "not part of the template language")
        self.refuse(node.lineno, f"{why}; {ALLOWED}")

    def value(self, node: nodes.Node, loops: frozenset[str], guarded: frozenset[str], *, asked: bool = False) -> str | None:
        """Check a placeholder that is printed, or asked for in a condition, and return its name."""
        if isinstance(node, nodes.Name):
            return self.name(node, loops, guarded, asked=asked)
        if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name in _FIELDS:
            return self.field(node.lineno, node.node.name, node.attr, loops, guarded, asked=asked)
        if isinstance(node, nodes.Getattr):
            self.refuse(node.lineno, f"only item.… and block.… have parts; {ALLOWED}")
            return None
        self.other(node)
        return None

    def name(self, node: nodes.Name, loops: frozenset[str], guarded: frozenset[str], *, asked: bool) -> str | None:
        name = node.name
        if name in _FIELDS or name in {"items", "blocks", "loop"}:
            one = name.removesuffix("s")
            example = f"{one}.{'number' if one == 'item' else 'total'}" if one in _FIELDS else "item.number"
            self.refuse(node.lineno, f"{name} cannot be used by itself; write for example {{{{{example}}}}} inside its loop")
            return None
        entry = PLACEHOLDERS.get(name)
        if entry is None:
            self.unknown(node.lineno, name, PLACEHOLDERS, shown=f"{{{{{name}}}}}")
            return None
        self.reading.used.add(name)
        if asked:
            return name
        self.reading.printed.add(name)
        if entry.optional and name not in guarded:
            self.reading.unguarded.add(name)
        if entry.kind is Kind.READY_MADE:
            self.reading.has_item_rows |= name not in {"payment_details", "personal_text"}
            if loops:
                self.refuse(node.lineno, f"{{{{{name}}}}} is a whole table; take it out of the loop")
        if self.part == "subject" and entry.kind in {Kind.READY_MADE, Kind.PARAGRAPH, Kind.URL}:
            self.refuse(node.lineno, f"{{{{{name}}}}} does not fit into a subject")
        return name

    def field(self, line: int, owner: str, attr: str, loops: frozenset[str], guarded: frozenset[str], *, asked: bool) -> str | None:
        fields = _FIELDS[owner]
        shown = f"{{{{{owner}.{attr}}}}}"
        if owner not in loops:
            self.refuse(line, f"{shown} stands outside {{% for {owner} in {owner}s %}} … {{% endfor %}}")
            return None
        entry: Field | None = fields.get(attr)
        if entry is None:
            self.unknown(line, attr, fields, shown=shown)
            return None
        full = f"{owner}.{attr}"
        if asked:
            return full
        if entry.condition:
            self.refuse(line, f"{shown} can only be asked: {{% if {full} %}}")
        elif entry.optional and full not in guarded:
            self.refuse(line, f"{shown} can be missing; put it inside {{% if {full} %}} … {{% endif %}}")
        return full

    def condition(self, node: nodes.If, loops: frozenset[str], guarded: frozenset[str], depth: int) -> None:
        if depth > NESTING_CAP:
            self.refuse(node.lineno, f"nested more than {NESTING_CAP} deep")
            return
        test, negated = node.test, False
        if isinstance(test, nodes.Not):
            test, negated = test.node, True
        asked = self.value(test, loops, guarded, asked=True)
        known = guarded | {asked} if asked else guarded
        self.body(node.body, loops, guarded if negated else known, depth)
        # What follows an `if not x` branch is only reached with a value of x.
        after = known if negated else guarded
        for branch in node.elif_:
            self.condition(branch, loops, after, depth)
        self.body(node.else_, loops, after, depth)

    def loop(self, node: nodes.For, loops: frozenset[str], guarded: frozenset[str], depth: int) -> None:
        if depth > NESTING_CAP:
            self.refuse(node.lineno, f"nested more than {NESTING_CAP} deep")
            return
        target = node.target.name if isinstance(node.target, nodes.Name) else ""
        over = node.iter
        whole = isinstance(over, nodes.Name) and {"item": "items", "block": "blocks"}.get(target) == over.name and not loops
        inner = (
            target == "item"
            and isinstance(over, nodes.Getattr)
            and over.attr == "items"
            and isinstance(over.node, nodes.Name)
            and over.node.name == "block"
            and loops == {"block"}
        )
        if not (whole or inner) or node.test is not None or node.recursive or node.else_:
            self.refuse(
                node.lineno,
                "only these loops are allowed: {% for item in items %}, {% for block in blocks %}, and {% for item in block.items %} inside a block loop",
            )
            return
        self.reading.has_item_rows = True
        self.body(node.body, loops | {target}, guarded, depth)
