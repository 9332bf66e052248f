"""Relays as people see them: taking mail, resting after failures, or suspended until somebody has mended something."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import asyncpg

from dunning.events import due_work
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, NotFound
from dunning.kit.ids import TenantId
from dunning.messages import relay_store
from dunning.messages.dispatch import own_relay

RELAYS = ("smtp", "sink")

_ADVICE = {
    "login_refused": "The relay refused the login. Correct DUNNING_SMTP_USERNAME and DUNNING_SMTP_PASSWORD, restart the worker, then run `dunning relays resume smtp`.",
    "refused_by_policy": (
        "The relay refused three of this tenant's mails by policy within ten minutes. Look at the parked messages' replies: sender address, "
        "SPF and DKIM of its domain, or the text. Then resume the relay and retry the parked messages."
    ),
}
_RESTS = "The relay did not answer or turned the connection away; it is tried again by itself. Check DUNNING_SMTP_HOST, DUNNING_SMTP_PORT and the network."


class RelayOfOperator(Conflict):
    """The relay is suspended for all tenants; only its operator can resume it."""

    code = "relay_of_operator"
    title = "The relay is its operator's to resume"


@dataclass(frozen=True, slots=True)
class Circuit:
    """A relay as its operator sees it. `name` is the relay's, or relay, colon and tenant id for one tenant's stopped queue."""

    name: str
    state: Literal["open", "resting", "suspended"]
    reason: str | None
    advice: str | None
    failures: int
    until: dt.datetime | None


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


async def resume_own_queue(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, name: str) -> RelayState:
    """Let the tenant's own queue at a relay go again and have it looked at now; a queue that is not stopped stays as it is.

    The relay itself serves all tenants, so what its operator must mend is not the tenant's to resume: raises `RelayOfOperator` while the relay is
    suspended for all, `NotFound` for an unknown one.
    """
    if name not in RELAYS:
        noun = "relay"
        raise NotFound(noun)
    if any(row["suspended"] for row in await relay_store.circuits_of(session, [name])):
        msg = f"The relay {name} is suspended for everybody. Its operator mends it and runs `dunning relays resume {name}`; your queue goes on by itself then."
        raise RelayOfOperator(msg)
    if await relay_store.resume(session, [own_relay(name, tenant_id)]):
        await events.record(
            session, clock, tenant_id=tenant_id, kind="relay.resumed", subject_kind="tenant", subject_id=tenant_id, actor=actor, data={"relay": name}
        )
    await due_work.ring(session, tenant_id, "dispatch")
    return next(state for state in await relays_of(session, tenant_id=tenant_id) if state.name == name)


async def circuits(session: ReadSession) -> list[Circuit]:
    """Return how every relay stands for all tenants, and each tenant's own queue that was stopped, for the operator."""
    rows = {row["relay"]: row for row in await relay_store.all_circuits(session)}
    names = [*RELAYS, *sorted(name for name in rows if name not in RELAYS)]
    return [_circuit(name, rows.get(name)) for name in names if name in RELAYS or rows[name]["suspended"]]


def _circuit(name: str, row: asyncpg.Record | None) -> Circuit:
    if row is None:
        return Circuit(name, "open", None, None, 0, None)
    state: Literal["open", "resting", "suspended"] = "suspended" if row["suspended"] else "resting" if row["resting"] else "open"
    reason: str | None = row["reason"] if state != "open" else None
    advice = None if reason is None else _ADVICE.get(reason.partition(":")[0], _RESTS)
    return Circuit(name, state, reason, advice, row["failures"], row["closed_until"] if state == "resting" else None)


async def resume_circuit(session: Session, *, name: str) -> bool:
    """Take suspension and rest of a relay, or of one tenant's queue at it, away; False when there was none. Raises `NotFound` for an unknown name.

    Waiting mail is looked at within a minute, because workers visit the queues of a suspended relay once a minute.
    """
    if name.partition(":")[0] not in RELAYS:
        noun = "relay"
        raise NotFound(noun)
    return bool(await relay_store.resume(session, [name]))
