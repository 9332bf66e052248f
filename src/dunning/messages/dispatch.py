"""The steps of sending that happen in the database: claim, fence, result. Each is one short transaction of the caller; the network is between them.

Who drives them is the worker's dispatcher. A step that answers "lost" means that the message has gone on without this worker: it stops at
once, because another may already be sending it.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import asyncpg

from dunning.events import due_work
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import Session
from dunning.kit.ids import MessageId, TenantId
from dunning.ledger.customer_state import lock_customers, lock_free_customers
from dunning.messages import delivery_store, relay_store, store, suppressions
from dunning.messages.compose import Facts, Mail, facts_for, outgoing
from dunning.messages.delivery_store import Accepted, Passing
from dunning.messages.ports import Outcome, Ports, Send
from dunning.messages.relays import Reply
from dunning.messages.rules import (
    OUTCOME_OF,
    POLICY_REFUSALS_THAT_STOP,
    POLICY_REFUSALS_WITHIN_SECONDS,
    Event,
    RetryDecision,
)
from dunning.messages.store import Change, Pace
from dunning.messages.template_test_fence import fence_of_test
from dunning.messages.windows import SendWindow, next_opening
from dunning.tenancy import service as tenancy
from dunning.tenancy.service import Tenant

WORKER = "worker"
"""The actor of what the dispatcher does by itself."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of one tenant leased together, with what they are written from. `full` says that there may be more."""

    tenant_id: TenantId
    clock: Clock
    rows: Sequence[asyncpg.Record]
    facts: Facts
    full: bool
    relay_had_failures: bool
    claimed_at: float


def relay_of(tenant: Tenant) -> str:
    """Return the relay a tenant's mails go to: those of test mode never leave the sink."""
    return "sink" if tenant.mode == "test" else "smtp"


def own_relay(relay: str, tenant_id: TenantId) -> str:
    """Return the name under which one tenant's queue at a relay is stopped without stopping the others'."""
    return f"{relay}:{tenant_id}"


async def claim_batch(session: Session, ports: Ports, *, tenant_id: TenantId, relay: str, limit: int, lease_seconds: float, pace: Pace) -> Batch | None:
    """Lease due messages of a tenant and read what they are written from; None when nothing can go now.

    Nothing is claimed for a relay that rests or is suspended, for a tenant that may not send, or for another kind of relay than the tenant's.
    Messages outside their reader's window wait for its opening. Whatever is leased has a due-work row at the end of its lease, so that a
    worker that dies is noticed.
    """
    await due_work.take(session, tenant_id, "dispatch")
    tenant = await tenancy.tenant_of(session, tenant_id)
    circuits = await relay_store.circuits_of(session, [relay, own_relay(relay, tenant_id)])
    if tenant.stopped_at is not None or relay_of(tenant) != relay or any(c["suspended"] or c["resting"] for c in circuits):
        return None
    clock = tenancy.clock_of(tenant)
    now = clock.now()
    claimed_at = time.monotonic()
    # What is sent to one's own people to look at may leave while sending is off.
    leased = await store.claim_due(
        session, tenant_id, relay, now=now, limit=limit, lease_seconds=lease_seconds, pace=pace, actor=WORKER, tests_only=not tenant.sending_enabled
    )
    if not leased:
        return None
    full = len(leased) == limit
    await due_work.ring(session, tenant_id, "dispatch", None if full else await _lease_end(session, lease_seconds))
    rows = await _inside_window(session, now, leased)
    facts = await facts_for(session, tenant_id, ports, rows) if rows else Facts({}, {}, {})
    return Batch(tenant_id, clock, rows, facts, full, any(c["failures"] for c in circuits), claimed_at)


async def _lease_end(session: Session, lease_seconds: float) -> dt.datetime:
    at: dt.datetime = await session.value("select now() + make_interval(secs => $1)", lease_seconds)
    return at


async def _inside_window(session: Session, now: dt.datetime, rows: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
    """Put back what its reader's hours keep back: a retry may come due in the night."""
    inside = []
    for row in rows:
        opening = now if row["kind"] == "test" else next_opening(_window(row), now)
        if opening <= now:
            inside.append(row)
        else:
            await store.change_states(
                session,
                row["tenant_id"],
                Event.RELEASED,
                [row["message_id"]],
                actor=WORKER,
                change=Change(reason="outside_window", not_before=opening),
                tokens=[row["lease_token"]],
            )
    return inside


def _window(row: asyncpg.Record) -> SendWindow:
    # The customer's own country decides with its own subdivision; the ledger's subdivision says nothing about another country.
    country, subdivision = (row["country"], row["subdivision"]) if row["country"] else (row["ledger_country"], row["ledger_subdivision"])
    return SendWindow(
        time_zone=row["time_zone"] or row["ledger_time_zone"],
        opens=dt.time.fromisoformat(row["send_from"]),
        closes=dt.time.fromisoformat(row["send_until"]),
        on_closed_days=row["send_on_closed_days"],
        country=country,
        subdivision=subdivision,
    )


@dataclass(frozen=True, slots=True)
class FenceResult:
    """`passed`: DATA may follow. `kept`: the message was ended, with a reason, and must be withdrawn. `lost`: it is no longer ours."""

    kind: Literal["passed", "kept", "lost"]
    reason: str | None = None


async def pass_fence(session: Session, clock: Clock, ports: Ports, row: asyncpg.Record, mail: Mail, *, lease_seconds: float) -> FenceResult:
    """Look a last time whether the message is still wanted, and make the decision to send it permanent.

    The caller commits, and only then says DATA. A payment, hold, stop or suppression that committed before wins; one that comes after waits
    for the commit.
    """
    tenant_id: TenantId = row["tenant_id"]
    if row["kind"] == "test":
        verdict = await fence_of_test(session, tenant_id)
    else:
        message = outgoing(row, claim_revision=mail.claim_revision)
        verdict = (await ports.fence(session, clock, [message], waits=True))[message.message_id]
    if not isinstance(verdict, Send):
        kept = await change(session, clock, ports, Event.CANCELLED, [row], what=Change(reason=verdict.reason), own_lease=True)
        return FenceResult("kept" if kept else "lost", verdict.reason)
    passed = await store.change_states(
        session,
        tenant_id,
        Event.FENCE_PASSED,
        [row["message_id"]],
        actor=WORKER,
        change=Change(lease_seconds=lease_seconds, sent_at=mail.dated_at, mime_sha256=mail.sha256, data={"attempt": row["attempt"]}),
        tokens=[row["lease_token"]],
    )
    if passed:
        return FenceResult("passed")
    if await store.is_suppressed(session, tenant_id, row["channel"], row["address_sha256"]) and await end_suppressed(session, clock, ports, row):
        return FenceResult("kept", "address_suppressed")
    return FenceResult("lost")


@dataclass(frozen=True, slots=True)
class Try:
    """One message whose addresses the relay has taken, with the mail written for it."""

    row: asyncpg.Record
    mail: Mail


async def pass_fences(session: Session, clock: Clock, ports: Ports, tries: Sequence[Try], *, lease_seconds: float) -> set[MessageId]:
    """Pass the fences of several messages of a tenant in one transaction, and return those that passed once the caller has committed.

    The same look as `pass_fence`, without waiting: a message that is missing from the answer is wanted no more, or somebody is changing its facts,
    or it is no longer ours. `pass_fence` finds out which, and ends it with its reason.
    """
    tenant_id: TenantId = tries[0].row["tenant_id"]
    messages = [outgoing(t.row, claim_revision=t.mail.claim_revision) for t in tries if t.row["kind"] != "test"]
    if not messages:
        return set()
    verdicts = await ports.fence(session, clock, messages, waits=False)
    wanted = [
        Passing(t.row["message_id"], t.row["lease_token"], t.row["attempt"], t.mail.dated_at, t.mail.sha256)
        for t in tries
        if isinstance(verdicts.get(t.row["message_id"]), Send)
    ]
    return await delivery_store.pass_fences(session, tenant_id, wanted, lease_seconds=lease_seconds, actor=WORKER) if wanted else set()


@dataclass(frozen=True, slots=True)
class Taken:
    """One message that a relay has taken, with its answer and the subject that was sent."""

    row: asyncpg.Record
    reply: Reply
    subject: str


async def record_acceptances(session: Session, clock: Clock, ports: Ports, taken: Sequence[Taken]) -> set[MessageId]:
    """Record that the relay took several mails of a tenant, with the collection's reactions, and return those that are recorded.

    One whose customer's facts somebody is changing at this moment is left out, so that it keeps nobody waiting; `record_acceptance` waits for it.
    """
    tenant_id: TenantId = taken[0].row["tenant_id"]
    free = await lock_free_customers(session, tenant_id, {t.row["customer_id"] for t in taken})
    now = clock.now()
    accepted = [
        Accepted(
            t.row["message_id"],
            t.row["lease_token"],
            t.reply.line,
            queue_id(t.reply.text),
            now,
            local_date(now, t.row["ledger_time_zone"]),
            t.subject,
        )
        for t in taken
        if t.row["customer_id"] in free
    ]
    if not accepted:
        return set()
    recorded = await delivery_store.accept(session, tenant_id, accepted, actor=WORKER)
    await tell(session, clock, ports, [t.row for t in taken if t.row["message_id"] in recorded], "accepted", reason=None, actor=WORKER)
    return recorded


async def record_acceptance(session: Session, clock: Clock, ports: Ports, row: asyncpg.Record, *, reply: Reply, subject: str) -> bool:
    """Record that the relay took the mail. False when it was recorded before, or a person has closed the message in the meantime."""
    now = clock.now()
    accepted = Change(
        reply=reply.line,
        provider_id=queue_id(reply.text),
        accepted_at=now,
        accepted_on=local_date(now, row["ledger_time_zone"]),
        subject=subject,
        data={"reply": reply.line},
    )
    return bool(await change(session, clock, ports, Event.ACCEPTED, [row], what=accepted, own_lease=True))


async def record_failure(
    session: Session, clock: Clock, ports: Ports, row: asyncpg.Record, *, decision: RetryDecision, reply: str | None, first_look_seconds: float
) -> bool:
    """Record what became of a try that was not taken, or whose answer never came. False when the message has gone on without this worker.

    `first_look_seconds` says when evidence about a lost reply is looked for first.
    """
    lost = decision.event is Event.LOST
    what = Change(
        reason=decision.reason,
        reply=reply,
        retry_in_seconds=first_look_seconds if lost else decision.delay_seconds,
        counts_failure=decision.counts and decision.reason != "mailbox_full",
        counts_mailbox_full=decision.counts and decision.reason == "mailbox_full",
        data={"reply": reply} if reply else None,
    )
    changed = await change(session, clock, ports, decision.event, [row], what=what, own_lease=True)
    if changed and decision.suppresses:
        await suppressions.suppress(
            session,
            row["tenant_id"],
            channel=row["channel"],
            address_sha256=row["address_sha256"],
            cause=decision.reason,
            message_id=row["message_id"],
        )
    if changed and decision.reason == "refused_by_policy":
        await _stop_queue_after_refusals(session, clock, row)
    return bool(changed)


async def _stop_queue_after_refusals(session: Session, clock: Clock, row: asyncpg.Record) -> None:
    """Stop a tenant's queue when a relay refuses mail after mail by policy: going on would ruin the sender's name with it."""
    tenant_id: TenantId = row["tenant_id"]
    refusals = await store.policy_refusals(session, tenant_id, row["relay"], POLICY_REFUSALS_WITHIN_SECONDS)
    if refusals >= POLICY_REFUSALS_THAT_STOP and await relay_store.suspend(session, own_relay(row["relay"], tenant_id), "refused_by_policy"):
        await events.record(
            session,
            clock,
            tenant_id=tenant_id,
            kind="relay.suspended",
            subject_kind="message",
            subject_id=row["message_id"],
            actor=WORKER,
            data={"relay": row["relay"], "reason": "refused_by_policy", "refusals": refusals},
        )


async def end_suppressed(session: Session, clock: Clock, ports: Ports, row: asyncpg.Record) -> bool:
    """End a leased message whose address is suppressed, before anything is said to a relay."""
    return bool(await change(session, clock, ports, Event.SUPPRESSED, [row], what=Change(reason="address_suppressed"), own_lease=True))


async def release(session: Session, tenant_id: TenantId, rows: Sequence[asyncpg.Record], reason: str) -> None:
    """Give leased messages back that were not begun, so that the next claim finds them at once."""
    await store.change_states(
        session,
        tenant_id,
        Event.RELEASED,
        [row["message_id"] for row in rows],
        actor=WORKER,
        change=Change(reason=reason),
        tokens=[row["lease_token"] for row in rows],
    )
    await due_work.ring(session, tenant_id, "dispatch")


async def recall(session: Session, row: asyncpg.Record) -> bool:
    """Take a message back whose fence may or may not have been committed, when DATA was certainly not said. False when it is no longer ours.

    The server may still be working on that commit, so the row is waited for before its state is believed.
    """
    tenant_id: TenantId = row["tenant_id"]
    state = await store.state_of_lease(session, tenant_id, row["message_id"], row["lease_token"])
    event = Event.RELEASED if state == "leased" else Event.PROVED_UNSENT
    ids: list[MessageId] = [row["message_id"]]
    taken_back = await store.change_states(session, tenant_id, event, ids, actor=WORKER, change=Change(reason="data_not_said"), tokens=[row["lease_token"]])
    if taken_back:
        await due_work.ring(session, tenant_id, "dispatch")
    return bool(taken_back)


async def change(
    session: Session,
    clock: Clock,
    ports: Ports,
    event: Event,
    rows: Sequence[asyncpg.Record],
    *,
    what: Change,
    own_lease: bool = False,
    actor: str = WORKER,
) -> list[asyncpg.Record]:
    """Apply an event to messages, tell the feed and the collection of each that changed, and return those.

    With `own_lease` a message counts only while the lease in `rows` is still the one in the database.
    """
    if not rows:
        return []
    tenant_id: TenantId = rows[0]["tenant_id"]
    outcome = OUTCOME_OF.get(event)
    if outcome is not None:
        # Reactions write facts, and whoever writes facts may cancel messages: both lock the customers first.
        await lock_customers(session, tenant_id, {row["customer_id"] for row in rows if row["kind"] != "test"})
    changed = await store.change_states(
        session,
        tenant_id,
        event,
        [row["message_id"] for row in rows],
        actor=actor,
        change=what,
        tokens=[row["lease_token"] for row in rows] if own_lease else None,
    )
    if outcome is not None:
        await tell(session, clock, ports, changed, outcome, reason=what.reason, actor=actor)
    return changed


async def tell(session: Session, clock: Clock, ports: Ports, rows: Sequence[asyncpg.Record], outcome: str, *, reason: str | None, actor: str) -> None:
    """Put an outcome on the feed and let the collection react to it, in the transaction that made it."""
    if not rows:
        return
    data: dict[str, Any] = {"reason": reason} if reason else {}
    told = [
        NewEvent(
            kind=f"message.{outcome}",
            subject_kind="message",
            subject_id=row["message_id"],
            customer_id=row["customer_id"],
            data=data | {"action_id": row["action_id"], "claim_id": row["claim_id"]},
        )
        for row in rows
    ]
    await events.record_many(session, clock, tenant_id=rows[0]["tenant_id"], actor=actor, events=told)
    # A test told nobody anything, so there is nothing to react to.
    real = [outgoing(row, reason=reason) for row in rows if row["kind"] != "test"]
    if real:
        await ports.on_outcome(session, clock, real, cast("Outcome", outcome))


def queue_id(text: str) -> str | None:
    """Return the id under which the relay queued a mail, where its reply names one in one of the usual ways."""
    words = text.replace("=", " ").replace("<", " ").replace(">", " ").split()
    for mark in ("as", "id"):
        for place, word in enumerate(words[:-1]):
            if word.lower() == mark:
                return words[place + 1].rstrip(".,;")[:200]
    return None
