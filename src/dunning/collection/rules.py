"""What may happen to an action, and in which states. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from enum import StrEnum
from typing import Any, Protocol, TypeVar


class ActionEvent(StrEnum):
    """What may happen to an action."""

    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    RESCHEDULED = "rescheduled"
    COMPLETED = "completed"
    RETRIED = "retried"
    SKIPPED = "skipped"
    CHANGED = "changed"
    REPLACED = "replaced"
    RUN_NOW = "run_now"
    REASSIGNED = "reassigned"
    ROUTED = "routed"


ALLOWED_FROM: dict[ActionEvent, frozenset[str]] = {
    ActionEvent.APPROVED: frozenset({"awaiting_approval"}),
    ActionEvent.REJECTED: frozenset({"awaiting_approval"}),
    ActionEvent.CANCELLED: frozenset({"awaiting_approval", "scheduled", "executed", "waiting"}),
    ActionEvent.RESCHEDULED: frozenset({"awaiting_approval", "scheduled", "waiting"}),
    ActionEvent.COMPLETED: frozenset({"waiting"}),
    ActionEvent.RETRIED: frozenset({"waiting"}),
    ActionEvent.SKIPPED: frozenset({"awaiting_approval", "scheduled", "waiting"}),
    ActionEvent.CHANGED: frozenset({"awaiting_approval", "scheduled", "waiting"}),
    ActionEvent.REPLACED: frozenset({"awaiting_approval", "scheduled", "executed", "waiting"}),
    ActionEvent.RUN_NOW: frozenset({"awaiting_approval", "scheduled"}),
    ActionEvent.REASSIGNED: frozenset({"awaiting_approval", "scheduled", "executed", "waiting"}),
    ActionEvent.ROUTED: frozenset({"awaiting_approval", "scheduled", "waiting"}),
}
"""The states in which each event may meet an action."""


class _OfCustomer(Protocol):
    def __getitem__(self, name: str, /) -> Any: ...


Row = TypeVar("Row", bound=_OfCustomer)


def one_a_customer(actions: Iterable[Row]) -> list[list[Row]]:
    """Return actions in turns with at most one of a customer in each, every customer's in the order given.

    What is done to different customers is done in one statement; two actions of one customer may be about the same item or credit, so that the second is
    looked at on what the first has left.
    """
    turns: list[dict[Hashable, Row]] = []
    for action in actions:
        turn = next((turn for turn in turns if action["customer_id"] not in turn), None)
        if turn is None:
            turns.append(turn := {})
        turn[action["customer_id"]] = action
    return [list(turn.values()) for turn in turns]


def may(event: ActionEvent, state: str, *, manual: bool = False) -> bool:
    """Tell whether an action in a state takes an event. A manual notice waits for a person, who sends it by approving it or running it now."""
    return state in ALLOWED_FROM[event] or (event in {ActionEvent.APPROVED, ActionEvent.RUN_NOW} and manual and state == "waiting")
