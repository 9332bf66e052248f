"""The frozen record of what an action tells a customer: rows and sums per currency, payment details, deadline. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from dunning.scenarios.rules import Action
from dunning.scenarios.steps import Step

REFERENCE_CAP = 140
"""Characters of a SEPA remittance text; more would be cut by the bank, in the middle of a number."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Hold what stands above the rows of a claim."""

    claim_no: int
    issued_on: dt.date
    deadline_on: dt.date | None
    content_mode: str
    language: str
    step: Step
    ledger: Mapping[str, Any]
    customer: Mapping[str, Any]
    counts: bool = True
    """Whether it is one more reminder."""
    by_steps: bool = True
    """Whether its rows say which step they have reached; those of an action outside the scenario have reached none by it."""


def number_text(claim_no: int) -> str:
    """Write a claim's number as customers see it."""
    return f"C-{claim_no:06d}"


def freeze(heading: Heading, action: Action, items: Mapping[str, Any], info_net_minor: Mapping[str, int]) -> dict[str, Any]:
    """Return the claim as JSON-able data. `items` are the rows as they are now, by id.

    One block a currency, never added. Rows are shown gross, credits are listed; the total is what is asked for after netting: that of the
    candidate rows and of the overdue rows beside them. Rows not yet due that only stand there for information are outside the total.
    """
    asked = _asked_for(action, items)
    return {
        "claim_no": number_text(heading.claim_no),
        "issued_on": heading.issued_on.isoformat(),
        "reminder_no": heading.counts + max(items[str(row.item_id)]["reminders"] for row in action.rows),
        "deadline_on": None if heading.deadline_on is None else heading.deadline_on.isoformat(),
        "consequence": consequence_in(heading.step, heading.language),
        "content_mode": heading.content_mode,
        "language": heading.language,
        "step": {"code": heading.step.code, "name": heading.step.name, "rank": heading.step.rank},
        "ledger": dict(heading.ledger),
        "customer": dict(heading.customer),
        "blocks": _blocks(heading, action, items, asked, info_net_minor),
        "payment_reference": _reference([item["reference"] for item in asked]),
    }


def consequence_in(step: Step, language: str) -> str | None:
    """Return what the step says follows, in a language; a text of one language only is said in every language."""
    if step.consequence is None or isinstance(step.consequence, str):
        return step.consequence
    return step.consequence.get(language)


def _blocks(heading: Heading, action: Action, items: Mapping[str, Any], asked: Sequence[Any], info_net_minor: Mapping[str, int]) -> list[dict[str, Any]]:
    steps = {str(row.item_id): row.step_code for row in action.rows}
    totals = dict(action.totals)
    blocks: dict[str, dict[str, Any]] = {}
    shown: list[tuple[Any, str | None]] = [(item, None) for item in asked]
    shown += [(items[str(item_id)], "not_due") for item_id in action.not_due]
    shown += [(items[str(item_id)], "credit") for item_id in action.credits]
    for item, beside in shown:
        item_id, currency = str(item["item_id"]), item["currency"]
        step_code = steps.get(item_id)
        section = beside or ("info" if step_code is None else "candidate")
        block = blocks.setdefault(
            currency,
            {"currency": currency, "rows": [], "overdue_minor": 0, "not_due_minor": 0, "credit_minor": 0, "total_minor": 0},
        )
        days_overdue = (heading.issued_on - item["due_on"]).days
        block["rows"].append(_row(item, item_id, section, days_overdue, step_code if heading.by_steps else None))
        sum_name = "credit_minor" if section == "credit" else "overdue_minor" if days_overdue > 0 else "not_due_minor"
        block[sum_name] += item["open_minor"]
    for currency, block in blocks.items():
        block["payment_reference"] = _reference([item["reference"] for item in asked if item["currency"] == currency])
        block["total_minor"] = totals.get(currency, 0) + info_net_minor.get(currency, 0)
    return [blocks[currency] for currency in sorted(blocks)]


def _asked_for(action: Action, items: Mapping[str, Any]) -> list[Any]:
    """Return what the claim asks to be paid, candidate rows and overdue rows beside them, the oldest first."""
    asked = [items[str(item_id)] for item_id in (*[row.item_id for row in action.rows], *action.info)]
    return sorted(asked, key=itemgetter("due_on", "document_on", "number"))


def _row(item: Any, item_id: str, section: str, days_overdue: int, step_code: str | None) -> dict[str, Any]:
    part_paid = item["open_minor"] < item["amount_minor"]
    status = "credit" if section == "credit" else "part_paid" if part_paid else "overdue" if days_overdue > 0 else "not_due"
    return {
        "item_id": item_id,
        "document_id": None if item["document_id"] is None else str(item["document_id"]),
        "number": item["number"],
        "kind": item["kind"],
        "section": section,
        "document_on": item["document_on"].isoformat(),
        "due_on": item["due_on"].isoformat(),
        "days_overdue": days_overdue,
        "original_minor": item["amount_minor"],
        "open_minor": item["open_minor"],
        "status": status,
        "step_code": step_code,
    }


def _reference(references: Sequence[str | None]) -> str:
    """Join references as long as whole ones fit."""
    text = ""
    for reference in dict.fromkeys(filter(None, references)):
        longer = f"{text} {reference}".strip()
        if len(longer) > REFERENCE_CAP:
            break
        text = longer
    return text
