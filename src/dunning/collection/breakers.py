"""When a planned run may go out by itself, and when it waits for a person: one list of rules, looked at before anything is sent. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from dunning.kit.money import format_minor

USUAL_AFTER_RUNS = 10
"""Finished runs of a ledger before "usual" means anything."""
USUAL_AFTER_IMPORTS = 10
"""Earlier imports of a kind with which the newest is compared."""
FAR_ABOVE = 3
"""Times the median that stop a run."""
SMALL = 10
"""Planned actions, or rows of a usual import, that stop no run: a multiple or a share of nearly nothing is still nearly nothing."""


class HeldBecause(StrEnum):
    """Name why a run stays a proposal although it was asked to go out."""

    EMERGENCY_STOP = "emergency_stop"
    SENDING_OFF = "sending_off"
    FIRST_RUN = "first_run"
    LEDGER_RUN_MODE = "ledger_run_mode"
    STALE_DATA = "stale_data"
    FAR_ABOVE_USUAL = "far_above_usual"
    MANY_CHANGE_STEP = "many_change_step"
    IMPORT_VOLUME_DOWN = "import_volume_down"
    MESSAGE_ABOVE_LIMIT = "message_above_limit"


@dataclass(frozen=True, slots=True)
class ImportVolume:
    """Hold how many rows the newest import of a kind had since the last run, and how many the ones before it had, the newest first."""

    kind: str
    rows: int
    before: Sequence[int]


@dataclass(frozen=True, slots=True)
class Gate:
    """Hold what decides whether a planned run goes out by itself. Amounts are minor units by currency."""

    stopped: bool
    sending_enabled: bool
    first_run_approved: bool
    run_mode: str
    freshness_limit_hours: int | None
    complete_as_of: dt.datetime | None
    planned: int
    usual: Sequence[int]
    """Planned actions of the ledger's finished runs of the last 30 days."""
    finished_runs: int = 0
    """Finished runs of the ledger, counted up to `USUAL_AFTER_RUNS`."""
    changing_step: int = 0
    """Customers of whom an item would reach another step."""
    owing: int = 0
    """Customers of the ledger with anything open."""
    step_change_limit_percent: int = 100
    imports: Sequence[ImportVolume] = ()
    largest_minor: Mapping[str, int] = field(default_factory=dict)
    """The largest total that a planned message would ask for."""
    limit_minor: Mapping[str, int] = field(default_factory=dict)
    """The largest total that may go out by itself; a currency without one has no limit."""


@dataclass(frozen=True, slots=True)
class Held:
    """Hold one rule that keeps a run back: its code, and the numbers that a person needs to judge it."""

    code: HeldBecause
    facts: Mapping[str, int | str] = field(default_factory=dict)

    def as_data(self) -> dict[str, int | str]:
        """Return it as it is stored with the run."""
        return {"code": self.code.value, **self.facts}


def why_held(gate: Gate, now: dt.datetime) -> list[Held]:
    """Return everything that keeps a run from going out by itself, the strictest first; empty: it may.

    A stop, sending switched off, a ledger whose first run nobody has approved or that only proposes, and data that is not known to be fresh; then the
    breakers of promises 3: far more actions than usual, too many customers who change step, an import much smaller than usual, and a message
    whose total is above the ledger's limit. Those that compare with the past begin after ten runs.
    """
    return [held for rule in RULES if (held := rule(gate, now)) is not None]


def _stopped(gate: Gate, _now: dt.datetime) -> Held | None:
    return Held(HeldBecause.EMERGENCY_STOP) if gate.stopped else None


def _sending_off(gate: Gate, _now: dt.datetime) -> Held | None:
    return Held(HeldBecause.SENDING_OFF) if not gate.sending_enabled else None


def _first_run(gate: Gate, _now: dt.datetime) -> Held | None:
    return Held(HeldBecause.FIRST_RUN) if not gate.first_run_approved else None


def _run_mode(gate: Gate, _now: dt.datetime) -> Held | None:
    return Held(HeldBecause.LEDGER_RUN_MODE) if gate.run_mode != "automatic" else None


def _stale(gate: Gate, now: dt.datetime) -> Held | None:
    return Held(HeldBecause.STALE_DATA) if is_stale(gate.freshness_limit_hours, gate.complete_as_of, now) else None


def is_stale(limit_hours: int | None, complete_as_of: dt.datetime | None, now: dt.datetime) -> bool:
    """Tell whether a ledger's data is older than its limit; without a limit it never is, with one and no statement it always is."""
    if limit_hours is None:
        return False
    return complete_as_of is None or now - complete_as_of > dt.timedelta(hours=limit_hours)


def _far_above_usual(gate: Gate, _now: dt.datetime) -> Held | None:
    if not is_far_above_usual(gate.planned, gate.usual):
        return None
    return Held(HeldBecause.FAR_ABOVE_USUAL, {"planned": gate.planned, "usual": int(median(gate.usual))})


def is_far_above_usual(planned: int, usual: Sequence[int]) -> bool:
    """Tell whether a run plans far more than its ledger's runs of the last weeks did; before ten runs nothing is usual."""
    if len(usual) < USUAL_AFTER_RUNS or planned <= SMALL:
        return False
    return planned > FAR_ABOVE * median(usual)


def _many_change_step(gate: Gate, _now: dt.datetime) -> Held | None:
    if gate.finished_runs < USUAL_AFTER_RUNS or gate.changing_step <= SMALL or not gate.owing:
        return None
    if gate.changing_step * 100 <= gate.step_change_limit_percent * gate.owing:
        return None
    return Held(HeldBecause.MANY_CHANGE_STEP, {"customers": gate.changing_step, "of": gate.owing, "limit_percent": gate.step_change_limit_percent})


def _import_volume_down(gate: Gate, _now: dt.datetime) -> Held | None:
    if gate.finished_runs < USUAL_AFTER_RUNS:
        return None
    for volume in gate.imports:
        before = list(volume.before)[:USUAL_AFTER_IMPORTS]
        if len(before) < USUAL_AFTER_IMPORTS or median(before) <= SMALL:
            continue
        if volume.rows * 2 < median(before):
            return Held(HeldBecause.IMPORT_VOLUME_DOWN, {"kind": volume.kind, "rows": volume.rows, "usual": int(median(before))})
    return None


def _message_above_limit(gate: Gate, _now: dt.datetime) -> Held | None:
    for currency, limit_minor in sorted(gate.limit_minor.items()):
        largest_minor = gate.largest_minor.get(currency, 0)
        if largest_minor > limit_minor:
            largest, limit = (format_minor(minor, currency) for minor in (largest_minor, limit_minor))
            return Held(HeldBecause.MESSAGE_ABOVE_LIMIT, {"currency": currency, "largest": largest, "limit": limit})
    return None


RULES: tuple[Callable[[Gate, dt.datetime], Held | None], ...] = (
    _stopped,
    _sending_off,
    _first_run,
    _run_mode,
    _stale,
    _far_above_usual,
    _many_change_step,
    _import_volume_down,
    _message_above_limit,
)
"""Every rule, the strictest first. A new breaker is one function here and one code."""
