"""What an action shows when it is carried out: its chosen rows as they stand now, and the rows beside them. Pure.

`plan` chooses rows; between the choice and the sending, facts may move. Here a choice is looked at again: rows that are settled, held or
covered by now drop out, nothing is ever added to the rows, and what is shown beside them is what is open now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dunning.scenarios.compiled import Compiled
from dunning.scenarios.netting import age_of, net_amounts
from dunning.scenarios.rules import CREDIT, DEBIT, Action, Day, Id, Item, Plan, Position, Row
from dunning.scenarios.steps import Step


class Choice(NamedTuple):
    """Hold one row that was chosen: an item and the step that it is to complete."""

    item_id: Id
    episode: int
    version: int
    step_code: str
    repeat_no: int
    counted_from: Day | None


class Dropped(NamedTuple):
    """Hold a chosen row that is no longer to be asked for."""

    item_id: Id
    reason: str


class Composition(NamedTuple):
    """Hold what an action says now; `action` is None where no row is left."""

    action: Action | None
    dropped: tuple[Dropped, ...]
    info_net_minor: dict[str, int]
    """Net amount of the overdue rows beside the candidate rows, per currency."""


def step_of(compiled: Compiled, code: str) -> Step:
    """Return a step of a version by its code; raise KeyError where it has none."""
    for step in compiled.scenario.steps:
        if step.code == code:
            return step
    raise KeyError(code)


def compose(
    position: Position, compiled: Compiled, today: Day, choices: Sequence[Choice], *, scenario_id: Id, version: int, document_id: Id | None
) -> Composition:
    """Return the action that these choices make on facts as they are now.

    Rows come oldest first; the highest rank among those left gives the text. Holds, direct debits, credits and what no
    scenario is to remind any more are looked at again, days and windows are not: those belong to the decision that was made.
    """
    debits = sorted([item for item in position.items if item.direction == DEBIT and item.open_minor > 0], key=age_of)
    credits_ = sorted([item for item in position.items if item.direction == CREDIT and item.open_minor > 0], key=age_of)
    net = net_amounts(debits, credits_)
    chosen = {choice.item_id: choice for choice in choices}
    open_ids = {item.id for item in debits}
    dropped = [Dropped(choice.item_id, "settled") for choice in choices if choice.item_id not in open_ids]
    rows: list[Row] = []
    totals: dict[str, int] = {}
    top: Step | None = None
    for item in debits:
        choice = chosen.get(item.id)
        if choice is None:
            continue
        amount_minor = net[item.id] if compiled.nets else item.open_minor
        reason = _reason_to_drop(item, choice, amount_minor, today)
        if reason is not None:
            dropped.append(Dropped(item.id, reason))
            continue
        step = step_of(compiled, choice.step_code)
        if top is None or step.rank > top.rank:
            top = step
        totals[item.currency] = totals.get(item.currency, 0) + amount_minor
        rows.append(
            Row(
                item.id,
                choice.episode,
                choice.version,
                choice.step_code,
                choice.repeat_no,
                item.currency,
                amount_minor,
                item.open_minor,
                item.due_on >= today,
                choice.counted_from,
            )
        )
    if top is None:
        return Composition(None, tuple(dropped), {})
    info, not_due, info_net = _beside(debits, net if compiled.nets else None, today, scenario_id, document_id, {row.item_id for row in rows}, top)
    action = Action(
        scenario_id=scenario_id,
        version=version,
        step_code=top.code,
        rank=top.rank,
        mode=top.mode.value,
        kind=top.kind.value,
        document_id=document_id,
        rows=tuple(rows),
        info=tuple(info),
        not_due=tuple(not_due),
        credits=tuple(credit.id for credit in credits_ if credit.currency in totals),
        totals=tuple(sorted(totals.items())),
    )
    return Composition(action, tuple(dropped), info_net)


def _beside(
    debits: Sequence[Item], net: dict[Id, int] | None, today: Day, scenario_id: Id, document_id: Id | None, ids: set[Id], top: Step
) -> tuple[list[Id], list[Id], dict[str, int]]:
    info: list[Id] = []
    not_due: list[Id] = []
    info_net: dict[str, int] = {}
    for item in debits:
        if item.id in ids or item.scenario_id != scenario_id or not may_be_shown(item, today):
            continue
        if document_id is not None and item.document_id != document_id:
            continue
        if item.due_on < today:
            info.append(item.id)
            info_net[item.currency] = info_net.get(item.currency, 0) + (item.open_minor if net is None else net[item.id])
        elif top.show_not_due:
            not_due.append(item.id)
    return info, not_due, info_net


def may_be_shown(item: Item, today: Day) -> bool:
    """Tell whether an item may stand beside the candidate rows of a scenario: nothing keeps it back, and no direct debit collects it."""
    return not item.automatic_collection and kept_back(item, today) is None


def kept_back(item: Item, today: Day) -> str | None:
    """Return what keeps an item from being told to its customer, by a scenario or otherwise; None: nothing does."""
    if item.held and (item.held_until is None or item.held_until >= today):
        return "held"
    if item.excluded:
        return "excluded_status"
    if item.promise_until is not None and item.promise_until >= today:
        return "promised"
    return "specific_action" if item.specific_action else None


def _reason_to_drop(item: Item, choice: Choice, amount_minor: int, today: Day) -> str | None:
    if item.episode != choice.episode:
        return "reopened"
    if item.scenario_id is None:
        return "policy_never"
    if item.automatic_collection:
        return "automatic_collection"
    return kept_back(item, today) or (None if amount_minor > 0 else "covered_by_credit")


def choices_of(action: Action) -> list[Choice]:
    """Return the rows of a planned action as choices."""
    return [Choice(row.item_id, row.episode, row.version, row.step_code, row.repeat_no, row.counted_from) for row in action.rows]


def still_planned(action: Action, fresh: Plan) -> tuple[list[Choice], list[Dropped]]:
    """Return which rows of an action a plan on fresh facts chooses again, and why the others are left.

    Rows that only the fresh plan has wait for the next run: nobody has seen them in this one.
    """
    again = {
        (row.item_id, row.episode, row.step_code, row.repeat_no): row
        for planned in fresh.actions
        if (planned.scenario_id, planned.mode, planned.kind, planned.document_id) == (action.scenario_id, action.mode, action.kind, action.document_id)
        for row in planned.rows
    }
    why = {blocked.item_id: blocked.codes[0].value.lower() for blocked in fresh.reasons if blocked.codes}
    kept: list[Choice] = []
    left: list[Dropped] = []
    elsewhere: set[Id] = {row.item_id for planned in fresh.actions for row in planned.rows}
    for row in action.rows:
        now = again.get((row.item_id, row.episode, row.step_code, row.repeat_no))
        if now is not None:
            kept.append(Choice(now.item_id, now.episode, now.version, now.step_code, now.repeat_no, now.counted_from))
        else:
            left.append(Dropped(row.item_id, why.get(row.item_id, "step_changed" if row.item_id in elsewhere else "settled")))
    return kept, left


def cause_of(dropped: Iterable[Dropped]) -> str:
    """Return the one word for an action none of whose rows is left: the reason of all, or that facts changed."""
    reasons = {drop.reason for drop in dropped}
    return reasons.pop() if len(reasons) == 1 else "facts_changed"
