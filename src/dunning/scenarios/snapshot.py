"""Positions and plans as canonical bytes: stored with a run, hashed, and read back to plan the same again.

Canonical is compact JSON with sorted keys, in which rows that have no order of their own are sorted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from dunning.scenarios.compiled import Scenarios
from dunning.scenarios.position import (
    Action,
    Blocked,
    Calendar,
    Day,
    Defaults,
    Fact,
    Id,
    Item,
    Plan,
    Position,
    Progress,
    Reason,
    Row,
    Sent,
    Skip,
    SkipReason,
)

FORMAT = 1


class Inputs(NamedTuple):
    """Hold everything that a plan was made from; the versions name scenarios, which never change."""

    position: Position
    versions: tuple[tuple[Id, int], ...]
    today: Day


class UnknownFormat(ValueError):
    """The bytes are not a snapshot that this version of the rules can read."""


def inputs_of(position: Position, scenarios: Scenarios, today: Day) -> Inputs:
    """Gather what `plan` is given, with the versions that the position refers to."""
    named = {(item.scenario_id, item.version) for item in position.items if item.scenario_id is not None}
    named |= {(row.scenario_id, row.version) for row in position.progress}
    return Inputs(position, tuple(sorted(named & scenarios.keys(), key=_text)), today)


def encode_inputs(inputs: Inputs) -> bytes:
    """Write inputs as canonical bytes: the same for every order of items, credits, contacts, facts and history rows."""
    position, defaults = inputs.position, inputs.position.defaults
    written = {
        "already_today": _sorted(position.already_today),
        "contacts": _text(sorted(position.contacts)),
        "facts": _sorted(position.facts),
        "format": str(FORMAT),
        "grace_days": _text(defaults.grace_days),
        "items": _sorted(position.items),
        "min_customer": _text(dict(defaults.min_customer)),
        "min_item": _text(dict(defaults.min_item)),
        "progress": _sorted(position.progress),
        "spacing_days": str(defaults.spacing_days),
        "today": str(inputs.today),
        "versions": _sorted(inputs.versions),
    }
    written["closed_weekdays"], written["holidays"] = _closed(position.calendar)
    return ("{" + ",".join([f'"{name}":{written[name]}' for name in sorted(written)]) + "}").encode()


@lru_cache(maxsize=64)
def _closed(calendar: Calendar) -> tuple[str, str]:
    """Return the written weekdays and holidays of a calendar, which thousands of customers share."""
    return _text(sorted(calendar.closed_weekdays)), _text(sorted(calendar.holidays))


def decode_inputs(data: bytes) -> Inputs:
    """Read what `encode_inputs` wrote; the rows come in canonical order. Raises UnknownFormat for anything else."""
    content = _content(data)
    position = Position(
        items=tuple(Item._make(row) for row in content["items"]),
        progress=tuple(Progress._make(row) for row in content["progress"]),
        contacts=tuple(content["contacts"]),
        facts=tuple(Fact._make(row) for row in content["facts"]),
        already_today=frozenset(Sent._make(row) for row in content["already_today"]),
        calendar=Calendar(frozenset(content["closed_weekdays"]), frozenset(content["holidays"])),
        defaults=Defaults(content["spacing_days"], content["grace_days"], content["min_item"], content["min_customer"]),
    )
    return Inputs(position, tuple((scenario_id, version) for scenario_id, version in content["versions"]), content["today"])


def encode_plan(plan: Plan) -> bytes:
    """Write a plan as canonical bytes."""
    return _bytes(
        {
            "format": FORMAT,
            "actions": plan.actions,
            "skips": plan.skips,
            "reasons": plan.reasons,
            "review_on": plan.review_on,
        }
    )


def decode_plan(data: bytes) -> Plan:
    """Read what `encode_plan` wrote: `decode_plan(encode_plan(plan)) == plan`. Raises UnknownFormat for anything else."""
    content = _content(data)
    return Plan(
        actions=tuple(_action(row) for row in content["actions"]),
        skips=tuple(Skip._make([*row[:-1], SkipReason(row[-1])]) for row in content["skips"]),
        reasons=tuple(Blocked(item_id, tuple(Reason(code) for code in codes), first_day) for item_id, codes, first_day in content["reasons"]),
        review_on=content["review_on"],
    )


def inputs_hash(position: Position, scenarios: Scenarios, today: Day) -> str:
    """Return the SHA-256 of what a plan is made from, in hex."""
    return hashlib.sha256(encode_inputs(inputs_of(position, scenarios, today))).hexdigest()


def decision_hash(plan: Plan) -> str:
    """Return the SHA-256 of a plan, in hex."""
    return hashlib.sha256(encode_plan(plan)).hexdigest()


def _action(row: list[Any]) -> Action:
    read = Action._make(row)
    return read._replace(
        rows=tuple(Row._make(one) for one in read.rows),
        info=tuple(read.info),
        not_due=tuple(read.not_due),
        credits=tuple(read.credits),
        totals=tuple((currency, minor) for currency, minor in read.totals),
    )


def _content(data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise UnknownFormat("The bytes are not a snapshot: they are not JSON.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        msg = f"The bytes are not a snapshot of format {FORMAT}."
        raise UnknownFormat(msg)
    return content


def _bytes(content: object) -> bytes:
    return _text(content).encode()


_text = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def _sorted(rows: Iterable[object]) -> str:
    """Write rows that have no order of their own; each is written once, to be compared and to stand in the list."""
    return "[" + ",".join(sorted(map(_text, rows))) + "]"
