"""Named fault points: a no-op in production, and in tests the places where a process raises, waits, dies or is paused.

A plan is text: `name=action`, separated by commas. Actions are `raise`, `delay:SECONDS`, `kill` (SIGKILL to this process) and `stop`
(SIGSTOP). `@N` lets the point pass N-1 times first and act once; without it the point acts each time: `fence_committed=kill@3`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass

FAULT_POINTS = (
    "messages_queued",
    "claimed",
    "connected",
    "rcpt_answered",
    "fence_committed",
    "data_answered",
    "body_written",
    "dot_written",
    "reply_read",
    "before_result",
    "result_recorded",
    "evidence_searched",
)
"""The crash points of dispatch, in the order in which a message passes them; other code names its own."""


class InjectedFault(Exception):  # the sentence it stands for
    """Raised by a fault point whose plan says so."""


@dataclass(frozen=True, slots=True)
class _Fault:
    action: str
    seconds: float
    at_hit: int | None


def _read(plan: str) -> dict[str, _Fault]:
    faults: dict[str, _Fault] = {}
    for part in filter(None, (p.strip() for p in plan.split(","))):
        name, _, what = part.partition("=")
        what, _, hit = what.partition("@")
        action, _, seconds = what.partition(":")
        if action not in {"raise", "delay", "kill", "stop"}:
            msg = f"fault plan: {part!r} names no action; expected raise, delay:SECONDS, kill or stop"
            raise ValueError(msg)
        faults[name] = _Fault(action, float(seconds or 0), int(hit) if hit else None)
    return faults


_plan: dict[str, _Fault] = {}
_hits: Counter[str] = Counter()


def set_plan(plan: str | None) -> None:
    """Put a plan in force and forget the hits of the last one; None or empty takes all faults away."""
    _plan.clear()
    _hits.clear()
    _plan.update(_read(plan or ""))


def hits() -> dict[str, int]:
    """Return how often each point was passed under the plan in force; nothing is counted without a plan."""
    return dict(_hits)


async def faultpoint(name: str) -> None:
    """Do what the plan says about this point; without a plan, nothing."""
    if _plan:
        await _act(name)


async def _act(name: str) -> None:
    _hits[name] += 1
    fault = _plan.get(name)
    if fault is None or (fault.at_hit is not None and fault.at_hit != _hits[name]):
        return
    if fault.action == "raise":
        raise InjectedFault(name)
    if fault.action == "delay":
        await asyncio.sleep(fault.seconds)
    else:
        os.kill(os.getpid(), signal.SIGKILL if fault.action == "kill" else signal.SIGSTOP)
