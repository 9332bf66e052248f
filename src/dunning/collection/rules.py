"""When a run may go out by itself, and when it waits for a person. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

USUAL_AFTER_RUNS = 10
"""Finished runs of a ledger before "usual" means anything."""
FAR_ABOVE = 3
"""Times the median that stop a run."""
SMALL_RUN = 10
"""Planned actions that never stop a run: three times nearly nothing is still nearly nothing."""


class HeldBecause(StrEnum):
    """Name why a run stays a proposal although it was asked to go out."""

    EMERGENCY_STOP = "emergency_stop"
    SENDING_OFF = "sending_off"
    FIRST_RUN = "first_run"
    LEDGER_RUN_MODE = "ledger_run_mode"
    STALE_DATA = "stale_data"
    FAR_ABOVE_USUAL = "far_above_usual"


@dataclass(frozen=True, slots=True)
class Gate:
    """Hold what decides whether a planned run goes out by itself."""

    stopped: bool
    sending_enabled: bool
    first_run_approved: bool
    run_mode: str
    freshness_limit_hours: int | None
    complete_as_of: dt.datetime | None
    planned: int
    usual: Sequence[int]
    """Planned actions of the ledger's finished runs of the last 30 days."""


def why_held(gate: Gate, now: dt.datetime) -> HeldBecause | None:
    """Return the first thing that keeps a run from going out by itself, or None: it may.

    The strictest wins: a stop, sending switched off, a ledger whose first run nobody has approved, a ledger that only proposes, data that is not
    known to be fresh, and far more planned actions than usual.
    """
    if gate.stopped:
        return HeldBecause.EMERGENCY_STOP
    if not gate.sending_enabled:
        return HeldBecause.SENDING_OFF
    if not gate.first_run_approved:
        return HeldBecause.FIRST_RUN
    if gate.run_mode != "automatic":
        return HeldBecause.LEDGER_RUN_MODE
    if is_stale(gate.freshness_limit_hours, gate.complete_as_of, now):
        return HeldBecause.STALE_DATA
    if is_far_above_usual(gate.planned, gate.usual):
        return HeldBecause.FAR_ABOVE_USUAL
    return None


def is_stale(limit_hours: int | None, complete_as_of: dt.datetime | None, now: dt.datetime) -> bool:
    """Tell whether a ledger's data is older than its limit; without a limit it never is, with one and no statement it always is."""
    if limit_hours is None:
        return False
    return complete_as_of is None or now - complete_as_of > dt.timedelta(hours=limit_hours)


def is_far_above_usual(planned: int, usual: Sequence[int]) -> bool:
    """Tell whether a run plans far more than its ledger's runs of the last weeks did; before ten runs nothing is usual."""
    if len(usual) < USUAL_AFTER_RUNS or planned <= SMALL_RUN:
        return False
    return planned > FAR_ABOVE * median(usual)


class ActionEvent(StrEnum):
    """What may happen to an action."""

    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    RESCHEDULED = "rescheduled"
    COMPLETED = "completed"
    RETRIED = "retried"
    SKIPPED = "skipped"


ALLOWED_FROM: dict[ActionEvent, frozenset[str]] = {
    ActionEvent.APPROVED: frozenset({"awaiting_approval"}),
    ActionEvent.REJECTED: frozenset({"awaiting_approval"}),
    ActionEvent.CANCELLED: frozenset({"awaiting_approval", "scheduled", "executed", "waiting"}),
    ActionEvent.RESCHEDULED: frozenset({"awaiting_approval", "scheduled", "waiting"}),
    ActionEvent.COMPLETED: frozenset({"waiting"}),
    ActionEvent.RETRIED: frozenset({"waiting"}),
    ActionEvent.SKIPPED: frozenset({"awaiting_approval", "scheduled", "waiting"}),
}
"""The states in which each event may meet an action."""


def may(event: ActionEvent, state: str, *, manual: bool = False) -> bool:
    """Tell whether an action in a state takes an event. A manual notice waits for a person, whose approval sends it."""
    return state in ALLOWED_FROM[event] or (event is ActionEvent.APPROVED and manual and state == "waiting")
