"""What a template may say.

Every placeholder with its meaning and an example, as data that the API documentation prints.

Standard library only. Names are the users'; `tags` are the same placeholders written with a hash
(`#items_amount_selected`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Kind(Enum):
    """What a placeholder's value is, which decides where it may stand."""

    TEXT = "text"
    PARAGRAPH = "paragraph"
    URL = "url"
    READY_MADE = "ready_made"


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One documented placeholder.

    `optional` ones can be missing, and belong inside `{% if name %}`; `full_only` ones show amounts, documents or rows,
    and cannot be used where a mail holds only text and a link (S0-12).
    """

    name: str
    meaning: str
    example: str
    kind: Kind = Kind.TEXT
    optional: bool = False
    full_only: bool = False
    tags: tuple[str, ...] = ()

    @property
    def substance(self) -> bool:
        """Tell whether a text without it says something else: true of amounts, deadlines, links, not of names in a greeting."""
        return self.full_only or self.kind is not Kind.TEXT or self.name == "deadline"

    @property
    def modes(self) -> tuple[str, ...]:
        """The content modes in which the placeholder has a value."""
        return ("full",) if self.full_only else ("full", "link_only")


@dataclass(frozen=True, slots=True)
class Field:
    """One documented part of `item` or `block`; a `condition` can be asked with `if` but not printed."""

    name: str
    meaning: str
    example: str
    optional: bool = False
    condition: bool = False


_TABLE = (
    Placeholder("customer_name", "Name of the customer", "Rossi Forniture S.r.l."),
    Placeholder("customer_number", "The customer's number in your own system", "C1042"),
    Placeholder("contact_name", "Name of the person written to", "Anna Rossi", optional=True),
    Placeholder("addressee", "The contact's name, or the customer's where no contact is named", "Anna Rossi"),
    Placeholder("creditor_name", "Name of the creditor: the ledger", "Acme S.p.A.", tags=("company_name",)),
    Placeholder("sender_name", "Name that signs the message", "Acme S.p.A. Accounts Receivable"),
    Placeholder("sender_email", "Address to answer to", "ar@acme.example"),
    Placeholder("claim_number", "Number of this claim", "C-000123"),
    Placeholder("issued_on", "Day on which the claim was issued", "2 March 2026"),
    Placeholder("reminder_number", "How many reminders the customer has had with this one", "2"),
    Placeholder("deadline", "Last day of the payment term this message states", "9 March 2026", optional=True),
    Placeholder(
        "consequence",
        "What follows if the deadline passes",
        "Deliveries will be suspended.",
        Kind.PARAGRAPH,
        optional=True,
    ),
    Placeholder(
        "personal_text",
        "What somebody wrote for this one message; placeholders in it are filled in",
        "As agreed on the phone, please find below the two invoices of January.",
        Kind.READY_MADE,
        optional=True,
    ),
    Placeholder("step_name", "Name of the step in the scenario", "Second reminder"),
    Placeholder("step_code", "Code of the step in the scenario", "02"),
    Placeholder(
        "link_url",
        "Personal link to the customer's page",
        "https://dunning.example/l/…",
        Kind.URL,
        optional=True,
        tags=("link",),
    ),
    Placeholder(
        "crm_url",
        "Link into your own system, for internal notices",
        "https://crm.example/c/C1042",
        Kind.URL,
        optional=True,
    ),
    Placeholder(
        "opt_out_url",
        "Link that stops courtesy notices before the due date",
        "https://dunning.example/o/…",
        Kind.URL,
        optional=True,
    ),
    Placeholder("items_count", "Number of documents asked for", "3", full_only=True),
    Placeholder(
        "items_amount",
        "Total to pay, one amount a currency",
        "€1,234.50 and US$70.00",
        full_only=True,
        tags=("total_amount",),
    ),
    Placeholder(
        "items_amount_selected",
        "Open amount of the documents this claim asks for, one a currency",
        "€1,204.50",
        full_only=True,
    ),
    Placeholder("overdue_amount", "Open amount that is overdue, one a currency", "€1,204.50", full_only=True),
    Placeholder("not_due_amount", "Open amount not yet due, one a currency", "€30.00", full_only=True),
    Placeholder(
        "oldest_due_on",
        "Earliest due date among the documents asked for",
        "21 February 2026",
        optional=True,
        full_only=True,
    ),
    Placeholder("longest_overdue", "Longest delay among the documents asked for", "9 days", optional=True, full_only=True),
    Placeholder("document_numbers", "Numbers of the documents asked for", "1001 and 1002", full_only=True),
    Placeholder("payment_reference", "Reference to put on the bank transfer", "1001 1002", optional=True, full_only=True),
    Placeholder(
        "items_list",
        "Table of all rows a currency: overdue, not yet due, credits, subtotals and total",
        "(table)",
        Kind.READY_MADE,
        full_only=True,
    ),
    Placeholder(
        "items_list_selected",
        "The same table, only of the documents this claim asks for",
        "(table)",
        Kind.READY_MADE,
        full_only=True,
    ),
    Placeholder(
        "payment_details",
        "Beneficiary, bank, IBAN, BIC, amount and reference a currency",
        "(table)",
        Kind.READY_MADE,
        optional=True,
        full_only=True,
    ),
)

PLACEHOLDERS = MappingProxyType({entry.name: entry for entry in _TABLE})

ITEM_FIELDS = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            Field("number", "Number of the document", "1001"),
            Field("kind", "What the document is", "Invoice"),
            Field("document_on", "Date of the document", "21 Jan 2026", optional=True),
            Field("due_on", "Due date", "21 Feb 2026"),
            Field("days_overdue", "Days since the due date; negative before it", "9"),
            Field("original", "Original amount", "€100.00"),
            Field("open", "Amount still open", "€40.00"),
            Field("status", "Where it stands", "part paid, 9 days overdue"),
            Field("currency", "Currency code", "EUR"),
            Field("step_code", "Code of the step this document has reached", "01", optional=True),
            Field("is_overdue", "True for a document past its due date", "", condition=True),
            Field("is_not_due", "True for a document not yet due", "", condition=True),
            Field("is_credit", "True for a credit", "", condition=True),
        )
    }
)

BLOCK_FIELDS = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            Field("currency", "Currency code", "EUR"),
            Field("overdue", "Open amount that is overdue", "€1,204.50"),
            Field("not_due", "Open amount not yet due", "€30.00"),
            Field("credit", "Credits", "-€10.00"),
            Field("total", "Total to pay", "€1,224.50"),
            Field("has_not_due", "True when there are documents not yet due", "", condition=True),
            Field("has_credit", "True when there are credits", "", condition=True),
        )
    }
)

_TAGS = {name: name for name in PLACEHOLDERS} | {tag: entry.name for entry in _TABLE for tag in entry.tags}
# A hash inside a word, an address or a character reference (`&#39;`) is no tag.
_TAG = re.compile(r"(?<![\w&#/.=])#([a-z][a-z0-9_]*[a-z0-9])(?![\w-])")
_STYLE = re.compile(r"(<style\b.*?</style\s*>)", re.IGNORECASE | re.DOTALL)


def translate_tags(source: str) -> str:
    """Write hash tags (`#items_amount_selected`) as placeholders in braces.

    Lines stay as they are, and so do other words after a hash.

    The content of `<style>` is left alone: there a hash begins a colour or a selector.
    """

    def braces(found: re.Match[str]) -> str:
        name = _TAGS.get(found[1])
        return f"{{{{{name}}}}}" if name else found[0]

    return "".join(part if part[:6].lower() == "<style" else _TAG.sub(braces, part) for part in _STYLE.split(source))


def suspicious_tags(source: str) -> list[tuple[int, str]]:
    """Return line and name of each hash tag that looks like a placeholder but is none.

    Near to one, or made of words joined by `_`.
    """
    found: list[tuple[int, str]] = []
    line = 1
    for part in _STYLE.split(source):
        if part[:6].lower() != "<style":
            for match in _TAG.finditer(part):
                name = match[1]
                if name not in _TAGS and ("_" in name or nearest(name, _TAGS, cutoff=0.85)):
                    found.append((line + part.count("\n", 0, match.start()), name))
        line += part.count("\n")
    return found


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known name most like a mistyped one, or None when none is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return close[0] if close else None
