"""How an action of one's own goes and what follows it: what of that may be said, and what is taken over from what it is copied from (S4-13, S4-14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dunning.kit.errors import Malformed
from dunning.scenarios.steps import Mode, StepKind

TERMS = ("mode", "afterwards", "afterwards_step_code", "counts_as_step")


def taken_over(pattern: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the terms of a source that its copy has where nobody says otherwise: what the source sends by itself, the copy sends once it is approved."""
    terms = {name: pattern[name] for name in TERMS if pattern.get(name) is not None}
    if terms.get("mode") == Mode.AUTOMATIC:
        terms["mode"] = (Mode.MANUAL if kind == StepKind.TASK else Mode.APPROVE).value
    return terms


def refuse(kind: str, given: Mapping[str, Any], whole: Mapping[str, Any]) -> None:
    """Raise `Malformed` where what was given of the terms does not go with the kind of the action, or with the rest of the whole."""
    refuse_mode(kind, given.get("mode"))
    if given.get("afterwards_step_code") is not None and whole.get("afterwards") != "step":
        msg = "afterwards: expected step, as afterwards_step_code names one; or leave afterwards_step_code out."
        raise Malformed(msg, [{"field": "afterwards", "message": "expected step where afterwards_step_code names one"}])


def refuse_mode(kind: str, mode: str | None) -> None:
    """Raise `Malformed` where a task is to go by itself, since somebody has to do it."""
    if kind == StepKind.TASK and mode == Mode.AUTOMATIC:
        msg = "mode: a task is never automatic, since somebody does it: expected manual, or approve where it is to be approved first."
        raise Malformed(msg, [{"field": "mode", "message": "expected manual or approve for a task"}])
