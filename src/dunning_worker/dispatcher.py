"""Sending: claim, render, offer, fence, deliver, record. The database and the network take turns; no transaction is open while a relay is spoken to."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg

from dunning.kit.database import AWAY, Session
from dunning.kit.errors import DunningError
from dunning.kit.faults import faultpoint
from dunning.kit.ids import TenantId
from dunning.kit.logs import logger
from dunning.messages import relay_store, store
from dunning.messages.compose import Mail, compose
from dunning.messages.dispatch import Batch, FenceResult, claim_batch, end_suppressed, pass_fence, recall, record_acceptance, record_failure, release
from dunning.messages.ports import Ports
from dunning.messages.relays import Connection, RelayLost, RelayRefused, Reply, Transport
from dunning.messages.rules import (
    CIRCUIT_DELAYS,
    LOOKS_FOR_EVIDENCE,
    Event,
    Failure,
    Phase,
    RelayEffect,
    RetryDecision,
    classify,
    decide_retry,
)
from dunning_worker.world import World

CLAIM = 20
"""Messages leased at once by one connection."""
RECORD_FOR_SECONDS = 660.0
"""How long a result that was read is offered to a database that is away: the grace of a shutdown."""
TRANSIENT = (*AWAY, asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
"""What the next try may not meet."""

log = logger("dispatch")


class Dispatcher:
    """Sends for one process. `stopping` ends it between two messages; a message past its fence is always finished."""

    def __init__(self, world: World, stopping: asyncio.Event | None = None) -> None:
        self._world = world
        self.stopping = stopping or asyncio.Event()
        self.first_look_seconds = float(min(LOOKS_FOR_EVIDENCE[0], world.settings.evidence_window_seconds))

    async def send_due(self, tenant_id: TenantId, relay: str) -> int:
        """Send what is due for a tenant over one relay, on as many connections as there is work for, and return how many were begun."""
        transport = self._world.transports.get(relay)
        if transport is None:
            return 0
        first = await self._claim(tenant_id, transport)
        if first is None:
            return 0
        more = transport.lanes - 1 if first.full else 0
        lanes = [self._lane(tenant_id, transport, first), *(self._lane(tenant_id, transport, None) for _ in range(more))]
        done = await asyncio.gather(*lanes, return_exceptions=True)
        for result in done:
            if isinstance(result, BaseException):
                raise result
        return sum(result for result in done if isinstance(result, int))

    async def _lane(self, tenant_id: TenantId, transport: Transport, batch: Batch | None) -> int:
        begun = 0
        while not self.stopping.is_set():
            batch = batch or await self._claim(tenant_id, transport)
            if batch is None:
                break
            begun += len(batch.rows)
            went_well = await self._send_batch(batch, transport)
            if not (batch.full and went_well):
                break
            batch = None
        else:
            if batch is not None:
                await self._give_back(batch.tenant_id, deque(batch.rows), "stopping")
        return begun

    async def _claim(self, tenant_id: TenantId, transport: Transport) -> Batch | None:
        world = self._world
        async with world.database.transaction(tenant_id) as session:
            batch = await claim_batch(
                session,
                world.ports,
                tenant_id=tenant_id,
                relay=transport.name,
                limit=CLAIM,
                lease_seconds=world.settings.lease_seconds,
                pace=transport.pace,
            )
        if batch is not None:
            await faultpoint("claimed")
        return batch

    async def _send_batch(self, batch: Batch, transport: Transport) -> bool:
        """Send a batch in its order; False when the relay gave a reason to stop claiming."""
        hand = deque(batch.rows)
        alive = asyncio.create_task(self._keep_leases(batch, hand))
        try:
            while hand and not self.stopping.is_set():
                try:
                    async with transport.lend() as connection:
                        await faultpoint("connected")
                        if not await self._use(connection, batch, hand, transport):
                            return False
                except (RelayLost, RelayRefused) as trouble:
                    decision = self._decide(trouble, hand[0])
                    await self._affect_relay(transport, decision, trouble)
                    return False
            return True
        finally:
            alive.cancel()
            await self._give_back(batch.tenant_id, hand, "stopping" if self.stopping.is_set() else "relay_away")

    async def _use(self, connection: Connection, batch: Batch, hand: deque[asyncpg.Record], transport: Transport) -> bool:
        while hand and connection.usable and not self.stopping.is_set():
            fine = await self._send_one(connection, batch, hand, transport)
            if not fine:
                return False
        return True

    async def _send_one(self, connection: Connection, batch: Batch, hand: deque[asyncpg.Record], transport: Transport) -> bool:
        """Send the first message in hand and take it from the hand; it stays there only when it can be begun again. False stops the lane."""
        row = hand[0]
        if row["suppressed_because"] is not None:
            await self._record(batch, row, lambda: self._suppressed(batch, row))
            hand.popleft()
            return True
        try:
            mail = compose(row, batch.facts, batch.clock.now())
        except Exception as error:  # noqa: BLE001  # whatever keeps a mail from being written, a person must see it
            detail = error.detail if isinstance(error, DunningError) else type(error).__name__
            log.warning("message.not_composed", tenant_id=batch.tenant_id, message_id=row["message_id"], detail=detail)
            await self._record(batch, row, lambda: self._failure(batch, row, RetryDecision(Event.PARKED, "cannot_compose"), detail))
            hand.popleft()
            return True
        await self._keep_pace(batch, row, transport)
        was_reused = connection.reused
        try:
            await connection.offer(mail.sender, mail.recipient)
        except RelayLost as trouble:
            if was_reused:
                # A relay may close an idle connection at any time: the message is tried again on a fresh one, and the relay is not blamed.
                return True
            return await self._fail(batch, row, hand, transport, trouble)
        except RelayRefused as trouble:
            fine = await self._fail(batch, row, hand, transport, trouble)
            await connection.withdraw()
            return fine
        await faultpoint("rcpt_answered")
        return await self._past_rcpt(connection, batch, hand, transport, mail)

    async def _past_rcpt(self, connection: Connection, batch: Batch, hand: deque[asyncpg.Record], transport: Transport, mail: Mail) -> bool:
        row = hand[0]
        result = await self._fence(connection, batch, row, mail)
        if result.kind != "passed":
            hand.popleft()
            self._world.count("messages", "kept_back" if result.kind == "kept" else "lease_lost")
            if result.kind == "kept":
                await connection.withdraw()
            else:
                connection.cut()
            return True
        fenced_at = time.monotonic()
        await faultpoint("fence_committed")
        if time.monotonic() - fenced_at > self._world.settings.lease_seconds:
            # This process stood still for longer than its lease. DATA was not said, and what the fence saw may no longer be true.
            connection.cut()
            hand.popleft()
            await self._record(batch, row, lambda: self._recall(batch, row))
            return True
        try:
            reply = await connection.deliver(mail.mime)
        except (RelayLost, RelayRefused) as trouble:
            fine = await self._fail(batch, row, hand, transport, trouble)
            await connection.withdraw()
            return fine
        except Exception:
            # Past the fence an unknown error means an unknown end: the socket is cut, and only evidence moves the message.
            connection.cut()
            hand.popleft()
            await self._record(batch, row, lambda: self._failure(batch, row, RetryDecision(Event.LOST, "reply_lost"), None))
            raise
        await faultpoint("before_result")
        await self._record(batch, row, lambda: self._acceptance(batch, row, reply, mail.subject))
        hand.popleft()
        await faultpoint("result_recorded")
        self._world.count("messages", "accepted")
        if batch.relay_had_failures:
            async with self._world.database.across_tenants() as session:
                await relay_store.note_success(session, transport.name)
        return True

    async def _fence(self, connection: Connection, batch: Batch, row: asyncpg.Record, mail: Mail) -> FenceResult:
        world = self._world
        try:
            async with world.database.transaction(batch.tenant_id) as session:
                return await pass_fence(session, batch.clock, world.ports, row, mail, lease_seconds=world.settings.lease_seconds)
        except asyncpg.LockNotAvailableError:
            # Someone is changing the customer's facts right now; the message waits for what they turn out to be.
            await self._give_back(batch.tenant_id, deque([row]), "facts_busy")
            await connection.withdraw()
            return FenceResult("kept", "facts_busy")
        except Exception:
            # The commit may have happened without its answer. DATA was not said, so the message can be taken back, whichever way it was.
            connection.cut()
            await self._record(batch, row, lambda: self._recall(batch, row))
            raise

    async def _fail(self, batch: Batch, row: asyncpg.Record, hand: deque[asyncpg.Record], transport: Transport, trouble: RelayLost | RelayRefused) -> bool:
        decision = self._decide(trouble, row)
        reply = f"{trouble.code} {trouble.text}" if isinstance(trouble, RelayRefused) else None
        await self._record(batch, row, lambda: self._failure(batch, row, decision, reply))
        hand.popleft()
        self._world.count("messages", decision.event.value)
        log.info("message.not_accepted", tenant_id=batch.tenant_id, message_id=row["message_id"], phase=trouble.phase, reason=decision.reason)
        if decision.relay is not RelayEffect.NONE:
            await self._affect_relay(transport, decision, trouble)
            return False
        # A refusal by policy may just have stopped the tenant's queue; the next claim knows.
        return decision.reason != "refused_by_policy"

    def _decide(self, trouble: RelayLost | RelayRefused, row: asyncpg.Record) -> RetryDecision:
        if isinstance(trouble, RelayRefused):
            failure = classify(trouble.code, trouble.enhanced, trouble.phase, trouble.text)
        else:
            failure = Failure.LOST_AFTER_FENCE if trouble.phase in {Phase.DATA, Phase.DOT} else Failure.RELAY
        return decide_retry(failure, trouble.phase, failures=row["failures"], mailbox_full=row["mailbox_full"], chance=self._world.chance)

    async def _affect_relay(self, transport: Transport, decision: RetryDecision, trouble: RelayLost | RelayRefused) -> None:
        said = f"{trouble.code} {trouble.text}" if isinstance(trouble, RelayRefused) else trouble.why
        async with self._world.database.across_tenants() as session:
            if decision.relay is RelayEffect.SUSPEND:
                if await relay_store.suspend(session, transport.name, f"login_refused: {said}"[:300]):
                    log.error(
                        "relay.suspended",
                        relay=transport.name,
                        said=said,
                        todo="correct DUNNING_SMTP_USERNAME and DUNNING_SMTP_PASSWORD, restart the worker, then POST /v1/relays/smtp/resume",
                    )
            elif decision.relay is RelayEffect.REST:
                until = await relay_store.note_failure(session, transport.name, CIRCUIT_DELAYS, said[:300])
                if until is not None:
                    log.warning("relay.rests", relay=transport.name, said=said, until=until.isoformat())

    async def _keep_pace(self, batch: Batch, row: asyncpg.Record, transport: Transport) -> None:
        """Count a mail whose turn comes late at the moment at which it leaves."""
        if row["counted_at"] is not None and time.monotonic() - batch.claimed_at > transport.pace.fresh_seconds:
            async with self._world.database.across_tenants() as session:
                await relay_store.move_place(session, transport.name, row["recipient_domain"], row["counted_at"], transport.pace)

    async def _acceptance(self, batch: Batch, row: asyncpg.Record, reply: Reply, subject: str) -> None:
        await self._step(batch, row, lambda session, ports: record_acceptance(session, batch.clock, ports, row, reply=reply, subject=subject))

    async def _failure(self, batch: Batch, row: asyncpg.Record, decision: RetryDecision, reply: str | None) -> None:
        await self._step(
            batch,
            row,
            lambda session, ports: record_failure(session, batch.clock, ports, row, decision=decision, reply=reply, first_look_seconds=self.first_look_seconds),
        )

    async def _suppressed(self, batch: Batch, row: asyncpg.Record) -> None:
        await self._step(batch, row, lambda session, ports: end_suppressed(session, batch.clock, ports, row))

    async def _step(self, batch: Batch, row: asyncpg.Record, step: Callable[[Session, Ports], Awaitable[bool]]) -> None:
        """Record a result with the collection's reaction; when the reaction fails for a reason of its own, record the result without it."""
        world = self._world
        try:
            async with world.database.transaction(batch.tenant_id) as session:
                await step(session, world.ports)
        except TRANSIENT:
            raise
        except Exception:
            log.exception("message.reaction_failed", tenant_id=batch.tenant_id, message_id=row["message_id"])
            async with world.database.transaction(batch.tenant_id) as session:
                await step(session, world.ports.without_reaction())

    async def _recall(self, batch: Batch, row: asyncpg.Record) -> None:
        async with self._world.database.transaction(batch.tenant_id) as session:
            await recall(session, row)

    async def _record(self, batch: Batch, row: asyncpg.Record, write: Callable[[], Awaitable[None]]) -> None:
        """Write down what is known, again while the database is away: a result that was read must not become a question for a person.

        Writing twice is harmless: each writing is conditional on the lease and on the state it starts from.
        """
        give_up_at = time.monotonic() + RECORD_FOR_SECONDS
        pause = 0.1
        while True:
            try:
                await write()
            except TRANSIENT as error:
                if time.monotonic() > give_up_at:
                    raise
                log.warning("result.not_recorded_yet", tenant_id=batch.tenant_id, message_id=row["message_id"], error=type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            else:
                return

    async def _keep_leases(self, batch: Batch, hand: deque[asyncpg.Record]) -> None:
        while True:
            await asyncio.sleep(self._world.settings.lease_seconds / 3)
            rows = list(hand)
            if not rows:
                continue
            with suppress(*AWAY):
                async with self._world.database.transaction(batch.tenant_id) as session:
                    await store.extend_leases(
                        session, batch.tenant_id, [r["message_id"] for r in rows], [r["lease_token"] for r in rows], self._world.settings.lease_seconds
                    )

    async def _give_back(self, tenant_id: TenantId, hand: deque[asyncpg.Record], reason: str) -> None:
        """Release what was not begun; where the database is away, the end of the leases does it."""
        rows = list(hand)
        hand.clear()
        if not rows:
            return
        with suppress(*AWAY):
            async with self._world.database.transaction(tenant_id) as session:
                await release(session, tenant_id, rows, reason)
