"""What will happen to a customer if nothing else does: the rule itself, walked from one day it names to the next."""

from __future__ import annotations

from typing import NamedTuple

from dunning.scenarios.compiled import Scenarios
from dunning.scenarios.position import Action, Day, Position, Skip
from dunning.scenarios.recording import record
from dunning.scenarios.rules import plan


class AgendaEntry(NamedTuple):
    """Hold one future action with its day, and the steps that it passes over."""

    on: Day
    action: Action
    skips: tuple[Skip, ...]


def agenda(position: Position, scenarios: Scenarios, today: Day, until: Day) -> list[AgendaEntry]:
    """List the actions from today up to `until`, inclusive, in order.

    Each action is taken to be completed on its day, also where a person must approve it or do it, and no fact is taken
    to change. Waiting actions stay waiting, so their items are not in it.
    """
    entries: list[AgendaEntry] = []
    day: Day | None = today
    while day is not None and day <= until:
        decided = plan(position, scenarios, day)
        if decided.actions:
            for action in decided.actions:
                ids = {row.item_id for row in action.rows}
                skips = tuple(skip for skip in decided.skips if skip.item_id in ids)
                entries.append(AgendaEntry(day, action, skips))
            position = record(position, decided, scenarios, day)
            decided = plan(position, scenarios, day)
        day = decided.review_on
    return entries
