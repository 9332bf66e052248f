"""One connection's work: the steps of one mail after another, in the order that promises what can be known about each."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

import asyncpg

from dunning.kit.database import AWAY
from dunning.kit.faults import faultpoint
from dunning.kit.ids import TenantId
from dunning.kit.logs import logger
from dunning.messages import relay_store
from dunning.messages.compose import Mail
from dunning.messages.dispatch import Taken, release
from dunning.messages.relays import Connection, RelayLost, RelayRefused, Transport
from dunning.messages.rules import CIRCUIT_DELAYS, Event, Failure, Phase, RelayEffect, RetryDecision, classify, decide_retry, envelope_sender
from dunning_worker.feed import Feed, Job
from dunning_worker.fences import Fences, Passage
from dunning_worker.results import Results
from dunning_worker.sender_domains import KEPT_AFTER_TROUBLE_SECONDS
from dunning_worker.world import World

log = logger("dispatch")


@dataclass(slots=True)
class Visit:
    """What the lanes of one visit to a tenant share."""

    world: World
    tenant_id: TenantId
    transport: Transport
    feed: Feed
    fences: Fences
    results: Results
    stopping: asyncio.Event


class Lane:
    """Sends over one connection at a time. While a result is written the next mail is offered; its fence waits for that result.

    So a lane that dies leaves at most one message behind whose end only evidence can tell.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._job: Job | None = None
        self._recording: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Send until the feed is empty, the worker stops, or the relay gives a reason to stop."""
        visit = self._visit
        try:
            while await self._has_work():
                async with visit.transport.lend() as connection:
                    await faultpoint("connected")
                    while self._job is not None and connection.usable:
                        await self._send(connection, self._job)
                    await self._settled()
        except (RelayLost, RelayRefused) as trouble:
            # Only opening a connection raises these here; what a mail meets on it is dealt with where it is met.
            visit.feed.stop()
            if self._job is not None:
                await self._affect_relay(self._decide(trouble, self._job.row), trouble)
        except BaseException:
            visit.feed.stop()
            raise
        finally:
            await self._end()

    async def _end(self) -> None:
        """Give back what was taken and not begun, and wait for the result under way."""
        job, self._job = self._job, None
        try:
            if job is not None:
                await self._give_back(job, "stopping" if self._visit.stopping.is_set() else "relay_away")
        finally:
            await self._settled()

    async def _has_work(self) -> bool:
        """Wait for the next message where the lane has none; False when there is nothing more, or the worker stops.

        No connection is held meanwhile: whoever has a place at a recipient domain might be waiting for one.
        """
        if self._visit.stopping.is_set():
            self._visit.feed.stop()
            return False
        if self._job is None:
            self._job = await self._visit.feed.take()
        return self._job is not None

    def _next(self) -> None:
        """Be done with a message and take the next one that may be begun at once."""
        if self._job is not None:
            done, self._job = self._job, None
            self._visit.feed.done(done)
        if self._visit.stopping.is_set():
            self._visit.feed.stop()
        self._job = self._visit.feed.take_now()

    async def _settled(self) -> None:
        """Wait until the last result is written."""
        recording, self._recording = self._recording, None
        if recording is not None:
            await recording

    async def _send(self, connection: Connection, job: Job) -> None:
        """Send one message and take the next. The message stays the lane's only when it can be begun again, over another connection."""
        visit, row = self._visit, job.row
        if row["suppressed_because"] is not None:
            await visit.results.suppressed(job)
            self._next()
            return
        mail = job.mail
        if mail is None:
            log.warning("message.not_composed", tenant_id=visit.tenant_id, message_id=job.message_id, detail=job.trouble)
            await visit.results.failed(job, RetryDecision(Event.PARKED, "cannot_compose"), job.trouble)
            self._next()
            return
        if await self._domain_fails(job, mail):
            self._next()
            return
        await self._keep_pace(job)
        was_reused = connection.reused
        sender = envelope_sender(job.message_id, row["channel"], mail.sender, visit.transport.bounce_domain)
        try:
            await connection.offer(sender, mail.recipient)
        except RelayLost as trouble:
            if not was_reused:
                await self._fail(job, trouble)
                self._next()
            # Else a relay may close an idle connection at any time: the message is tried again on a fresh one, and the relay is not blamed.
            return
        except RelayRefused as trouble:
            await self._fail(job, trouble)
            await connection.withdraw()
            self._next()
            return
        await self._settled()
        await faultpoint("rcpt_answered")
        await self._past_rcpt(connection, job, mail)

    async def _past_rcpt(self, connection: Connection, job: Job, mail: Mail) -> None:
        visit = self._visit
        passage = await self._fence(connection, job, mail)
        if passage is None:
            self._next()
            return
        await faultpoint("fence_committed")
        if time.monotonic() - passage.began_at > visit.world.settings.lease_seconds:
            # This process stood still for longer than its lease. DATA was not said, and what the fence saw may no longer be true.
            connection.cut()
            await visit.results.recalled(job)
            self._next()
            return
        try:
            reply = await connection.deliver(mail.mime)
        except (RelayLost, RelayRefused) as trouble:
            await self._fail(job, trouble)
            await connection.withdraw()
            self._next()
            return
        except Exception:
            # Past the fence an unknown error means an unknown end: the socket is cut, and only evidence moves the message.
            connection.cut()
            self._job = None
            await visit.results.failed(job, RetryDecision(Event.LOST, "reply_lost"), None)
            visit.feed.done(job)
            raise
        self._job = None
        self._recording = asyncio.create_task(self._record(job, Taken(job.row, reply, mail.subject)))
        self._next()

    async def _record(self, job: Job, taken: Taken) -> None:
        visit = self._visit
        await faultpoint("before_result")
        await visit.results.accepted(job, taken)
        visit.feed.done(job)
        await faultpoint("result_recorded")
        visit.world.count("messages", "accepted")
        if visit.feed.relay_had_failures:
            visit.feed.relay_had_failures = False
            async with visit.world.database.across_tenants() as session:
                await relay_store.note_success(session, visit.transport.name)

    async def _fence(self, connection: Connection, job: Job, mail: Mail) -> Passage | None:
        """Pass the fence; None when the message does not go on."""
        visit = self._visit
        try:
            passage = await visit.fences.passage(job, mail)
        except asyncpg.LockNotAvailableError:
            # Someone is changing the customer's facts right now; the message waits for what they turn out to be.
            await self._give_back(job, "facts_busy")
            await connection.withdraw()
            visit.world.count("messages", "kept_back")
            return None
        except Exception:
            # The commit may have happened without its answer. DATA was not said, so the message can be taken back, whichever way it was.
            connection.cut()
            self._job = None
            await visit.results.recalled(job)
            visit.feed.done(job)
            raise
        if passage.result.kind == "passed":
            return passage
        if passage.result.kind == "kept":
            visit.world.count("messages", "kept_back")
            await connection.withdraw()
        else:
            visit.world.count("messages", "lease_lost")
            connection.cut()
        return None

    async def _fail(self, job: Job, trouble: RelayLost | RelayRefused) -> None:
        """Record a try that failed, and stop the visit where the relay has given a reason."""
        visit = self._visit
        decision = self._decide(trouble, job.row)
        reply = f"{trouble.code} {trouble.text}" if isinstance(trouble, RelayRefused) else None
        await visit.results.failed(job, decision, reply)
        visit.world.count("messages", decision.event.value)
        log.info("message.not_accepted", tenant_id=visit.tenant_id, message_id=job.message_id, phase=trouble.phase, reason=decision.reason)
        if decision.relay is not RelayEffect.NONE:
            await self._affect_relay(decision, trouble)
            visit.feed.stop()
        elif decision.reason == "refused_by_policy":
            # It may just have stopped the tenant's queue; the next claim knows.
            visit.feed.stop()

    def _decide(self, trouble: RelayLost | RelayRefused, row: asyncpg.Record) -> RetryDecision:
        if isinstance(trouble, RelayRefused):
            failure = classify(trouble.code, trouble.enhanced, trouble.phase, trouble.text)
        else:
            failure = Failure.LOST_AFTER_FENCE if trouble.phase in {Phase.DATA, Phase.DOT} else Failure.RELAY
        return decide_retry(failure, trouble.phase, failures=row["failures"], mailbox_full=row["mailbox_full"], chance=self._visit.world.chance)

    async def _affect_relay(self, decision: RetryDecision, trouble: RelayLost | RelayRefused) -> None:
        said = f"{trouble.code} {trouble.text}" if isinstance(trouble, RelayRefused) else trouble.why
        relay = self._visit.transport.name
        async with self._visit.world.database.across_tenants() as session:
            if decision.relay is RelayEffect.SUSPEND:
                if await relay_store.suspend(session, relay, f"login_refused: {said}"[:300]):
                    log.error(
                        "relay.suspended",
                        relay=relay,
                        said=said,
                        todo="correct DUNNING_SMTP_USERNAME and DUNNING_SMTP_PASSWORD, restart the worker, then POST /v1/relays/smtp/resume",
                    )
            elif decision.relay is RelayEffect.REST:
                until = await relay_store.note_failure(session, relay, CIRCUIT_DELAYS, said[:300])
                if until is not None:
                    log.warning("relay.rests", relay=relay, said=said, until=until.isoformat())

    async def _domain_fails(self, job: Job, mail: Mail) -> bool:
        """Put a mail off whose sender's domain fails its DNS checks, where the relay's setting says so."""
        visit, domain = self._visit, mail.sender.rpartition("@")[2]
        if visit.transport.dns_checks == "off":
            return False
        if visit.transport.dns_checks == "warn":
            visit.world.sender_domains.look(domain)
            return False
        wrong = await visit.world.sender_domains.refusal(domain)
        if wrong is None:
            return False
        await visit.results.failed(job, RetryDecision(Event.PUT_OFF, "sender_domain_fails", KEPT_AFTER_TROUBLE_SECONDS), wrong[:500])
        visit.world.count("messages", "kept_back")
        return True

    async def _keep_pace(self, job: Job) -> None:
        """Count a mail whose turn comes late at the moment at which it leaves."""
        row, transport = job.row, self._visit.transport
        if row["counted_at"] is not None and time.monotonic() - job.batch.claimed_at > transport.pace.fresh_seconds:
            async with self._visit.world.database.across_tenants() as session:
                await relay_store.move_place(session, transport.name, row["recipient_domain"], row["counted_at"], transport.pace)

    async def _give_back(self, job: Job, reason: str) -> None:
        """Release a message that was not begun; where the database is away, the end of its lease does it."""
        visit = self._visit
        with suppress(*AWAY):
            async with visit.world.database.transaction(visit.tenant_id) as session:
                await release(session, visit.tenant_id, [job.row], reason)
        visit.feed.done(job)
