"""Relays as people see them: taking mail, resting after failures, or suspended until somebody has mended something."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from dunning.events import due_work
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import NotFound
from dunning.kit.ids import TenantId
from dunning.messages import relay_store
from dunning.messages.dispatch import own_relay

RELAYS = ("smtp", "sink")

_ADVICE = {
    "login_refused": "The relay refused the login. Correct DUNNING_SMTP_USERNAME and DUNNING_SMTP_PASSWORD, restart the worker, then resume the relay.",
    "refused_by_policy": (
        "The relay refused three of this tenant's mails by policy within ten minutes. Look at the parked messages' replies: sender address, "
        "SPF and DKIM of its domain, or the text. Then resume the relay and retry the parked messages."
    ),
}
_RESTS = "The relay did not answer or turned the connection away; it is tried again by itself. Check DUNNING_SMTP_HOST, DUNNING_SMTP_PORT and the network."


@dataclass(frozen=True, slots=True)
class RelayState:
    """One relay as it stands for a tenant. `until` is set while it rests; `advice` says what to do where a person must act."""

    name: str
    state: Literal["open", "resting", "suspended"]
    own_queue_stopped: bool
    reason: str | None
    advice: str | None
    failures: int
    until: dt.datetime | None


async def relays_of(session: ReadSession, *, tenant_id: TenantId) -> list[RelayState]:
    """Return all relays with their state: `smtp` for live tenants, `sink` for test mode."""
    own = {name: own_relay(name, tenant_id) for name in RELAYS}
    circuits = {row["relay"]: row for row in await relay_store.circuits_of(session, [*RELAYS, *own.values()])}
    states = []
    for name in RELAYS:
        shared, mine = circuits.get(name), circuits.get(own[name])
        stopped = mine is not None and mine["suspended"]
        suspended = shared is not None and shared["suspended"]
        resting = shared is not None and shared["resting"]
        speaking = shared if suspended else mine if stopped else shared if resting else None
        reason: str | None = speaking["reason"] if speaking is not None else None
        states.append(
            RelayState(
                name=name,
                state="suspended" if suspended or stopped else "resting" if resting else "open",
                own_queue_stopped=stopped,
                reason=reason,
                advice=None if reason is None else _ADVICE.get(reason.partition(":")[0], _RESTS),
                failures=shared["failures"] if shared is not None else 0,
                until=shared["closed_until"] if shared is not None and resting else None,
            )
        )
    return states


async def resume_relay(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, name: str) -> RelayState:
    """Take suspension and rest away and have the tenant's queue looked at now; a relay that is open stays open. Raises `NotFound`."""
    if name not in RELAYS:
        noun = "relay"
        raise NotFound(noun)
    if await relay_store.resume(session, [name, own_relay(name, tenant_id)]):
        await events.record(
            session, clock, tenant_id=tenant_id, kind="relay.resumed", subject_kind="tenant", subject_id=tenant_id, actor=actor, data={"relay": name}
        )
    await due_work.ring(session, tenant_id, "dispatch")
    return next(state for state in await relays_of(session, tenant_id=tenant_id) if state.name == name)
