"""Positions and plans as canonical bytes: stored with a run, hashed, and read back to plan the same again.

Canonical is compact JSON with sorted keys, in which rows that have no order of their own are sorted. Each snapshot is written by one call of the
encoder: thousands are made in a run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from operator import itemgetter
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
    named = set(map(_VERSION_OF_ITEM, position.items))
    named.update(map(_VERSION_OF_PROGRESS, position.progress))
    return Inputs(position, tuple(sorted(named & scenarios.keys(), key=_text)), today)


def encode_inputs(inputs: Inputs) -> bytes:
    """Write inputs as canonical bytes: the same for every order of items, credits, contacts, facts and history rows."""
    position, defaults = inputs.position, inputs.position.defaults
    closed_weekdays, holidays = _closed(position.calendar)
    return _bytes(
        {
            "already_today": sorted(position.already_today, key=_IN_ORDER),
            "closed_weekdays": closed_weekdays,
            "contact_budget": [defaults.contact_budget, defaults.contact_budget_days],
            "contacts": sorted(position.contacts),
            "counted": sorted(position.counted),
            "facts": sorted(position.facts, key=_IN_ORDER),
            "format": FORMAT,
            "grace_days": defaults.grace_days,
            "holidays": holidays,
            "items": sorted(position.items, key=_id_text),
            "min_customer": dict(defaults.min_customer),
            "min_item": dict(defaults.min_item),
            "overrides": sorted(position.overrides),
            "progress": sorted(position.progress, key=_IN_ORDER),
            "reachable": sorted(position.reachable),
            "spacing_days": defaults.spacing_days,
            "tags": sorted(position.tags),
            "today": inputs.today,
            "versions": inputs.versions,
        }
    )


@lru_cache(maxsize=64)
def _closed(calendar: Calendar) -> tuple[list[int], list[Day]]:
    """Return the sorted weekdays and holidays of a calendar, which thousands of customers share."""
    return sorted(calendar.closed_weekdays), sorted(calendar.holidays)


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
        defaults=Defaults(content["spacing_days"], content["grace_days"], content["min_item"], content["min_customer"], *content["contact_budget"]),
        tags=frozenset(content["tags"]),
        overrides=tuple((scenario_id, kind, code, text) for scenario_id, kind, code, text in content["overrides"]),
        counted=tuple(content["counted"]),
        reachable=tuple((role, day) for role, day in content["reachable"]),
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


def plan_content_bytes(content: Mapping[str, Any]) -> bytes:
    """Write what JSON readers made of an encoded plan as the bytes it was: `plan_content_bytes(json.loads(data)) == data`."""
    return _bytes(content)


def decode_plan(data: bytes | str) -> Plan:
    """Read what `encode_plan` wrote: `decode_plan(encode_plan(plan)) == plan`. Raises UnknownFormat for anything else."""
    return plan_of(_content(data))


def plan_of(content: Mapping[str, Any]) -> Plan:
    """Read what JSON readers made of an encoded plan."""
    return Plan(
        actions=tuple(_action(row) for row in content["actions"]),
        skips=tuple(Skip._make([*row[:-1], SkipReason(row[-1])]) for row in content["skips"]),
        reasons=tuple(Blocked(item_id, tuple(Reason(code) for code in codes), first_day) for item_id, codes, first_day in content["reasons"]),
        review_on=content["review_on"],
    )


def _action(row: list[Any]) -> Action:
    read = Action._make(row)
    return read._replace(
        rows=tuple(Row._make(one) for one in read.rows),
        info=tuple(read.info),
        not_due=tuple(read.not_due),
        credits=tuple(read.credits),
        totals=tuple((currency, minor) for currency, minor in read.totals),
    )


def _content(data: bytes | str) -> dict[str, Any]:
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

_VERSION_OF_ITEM = itemgetter(Item._fields.index("scenario_id"), Item._fields.index("version"))
_VERSION_OF_PROGRESS = itemgetter(Progress._fields.index("scenario_id"), Progress._fields.index("version"))
_IN_ORDER = tuple.__repr__
"""Sorts rows that have no order of their own, whatever they hold: numbers and nothing cannot be compared, what is written of them can."""


def _id_text(item: Item) -> str:
    return str(item.id)
