"""D1 and D2: workers killed, paused and stopped at every crash point, against a relay of twelve behaviours.

The short form kills once a point with two mails a behaviour; `DUNNING_FAULTS=full` runs 12 points x 12 behaviours x 80 mails with many kills.
"""

from __future__ import annotations

import os
import random
from uuid import UUID

import pytest

from dunning.kit.database import Database
from dunning.kit.faults import FAULT_POINTS
from dunning_cli.embedded import EmbeddedPostgres
from dunning_worker.jobs.dispatch import dispatch_tenant
from tests.conftest import TenantWorld, make_tenant
from tests.fakes.behaviours import by_local_part, first_times
from tests.fakes.relay import Relay
from tests.faults.checker import Verdict, check
from tests.faults.child import Orders, ended, paused_or_ended, start, start_queueing, wake
from tests.messages.rows import SimplePorts, lay_ground, queue, states
from tests.messages.workbench import smtp_to, world_with

FULL = os.environ.get("DUNNING_FAULTS") == "full"
pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600 if FULL else 300)]
SEED = int(os.environ.get("DUNNING_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
BEHAVIOURS = (
    "ok",
    "greylist",
    "rcpt-unknown",
    "mailbox-full",
    "data-554",
    "dot-452",
    "dot-554",
    "drop-at-data",
    "drop-mid-body",
    "drop-after-dot",
    "accept-then-drop",
    "accept-then-stall",
)
REPLY_LOST = {"drop-at-data", "drop-mid-body", "drop-after-dot", "accept-then-drop", "accept-then-stall"}
PAST_FENCE = ("fence_committed", "data_answered", "body_written", "dot_written", "reply_read", "before_result")
MAILS = 80 if FULL else 2
KILLS = 12 if FULL else 1
MOST_HITS = {"connected": 3, "before_result": 2, "result_recorded": 2, "reply_read": 4, "claimed": 2, "evidence_searched": 1}
"""How often, at least, a point is passed by two mails of each behaviour: a fault that never comes up proves nothing."""


async def shared_relay_anew(database: Database) -> None:
    async with database.across_tenants() as session:
        await session.execute("delete from relay_circuit where relay = 'smtp'")


async def queue_all(tenant: TenantWorld, mails: int, rng: random.Random) -> dict[UUID, str]:
    """Queue mails of every behaviour in a random order; return their behaviours."""
    kinds = [b for b in BEHAVIOURS for _ in range(mails)]
    rng.shuffle(kinds)
    async with tenant.database.transaction(tenant.tenant_id) as session:
        ground = await lay_ground(session, tenant.tenant_id)
        ids = await queue(session, ground, [f"{kind}.{n}@d{n % 7}.example" for n, kind in enumerate(kinds)], relay="smtp")
    return dict(zip(ids, kinds, strict=True))


async def let_time_pass(tenant: TenantWorld, *, naive: bool = False) -> None:
    """Let leases end, retries come due and the time to look for evidence be over. The naive control takes an ended lease for unsent."""
    async with tenant.database.transaction(tenant.tenant_id) as session:
        if naive:
            await session.execute(
                "update message set state = 'ready', lease_until = null, retry_at = null where tenant_id = $1 and state in ('committing', 'uncertain')",
                tenant.tenant_id,
            )
        await session.execute(
            "update message set lease_until = now() - interval '1 second' where tenant_id = $1 and state in ('leased', 'committing')", tenant.tenant_id
        )
        await session.execute("update message set retry_at = now() where tenant_id = $1 and state = 'retry_wait'", tenant.tenant_id)
        await session.execute(
            "update message set uncertain_at = now() - interval '2 hours', retry_at = now() where tenant_id = $1 and state = 'uncertain'", tenant.tenant_id
        )


async def settle(tenant: TenantWorld, relay: Relay, *, naive: bool = False) -> None:
    """Run a sound worker until every message has come to an end."""
    world = world_with(tenant.database, SimplePorts(), smtp_to(relay.port, reply_seconds=0.3), evidence_window_seconds=1800)
    for _ in range(20):
        await let_time_pass(tenant, naive=naive)
        while await dispatch_tenant(world, tenant.tenant_id):
            pass
        open_states = {"ready", "leased", "committing", "retry_wait", "uncertain"}
        if not open_states & set((await states(tenant.database, tenant.tenant_id)).values()):
            break
    for transport in world.transports.values():
        await transport.close()


async def committing_in(tenant: TenantWorld) -> set[UUID]:
    return {message_id for message_id, state in (await states(tenant.database, tenant.tenant_id)).items() if state == "committing"}


async def crash_run(database: Database, postgres: EmbeddedPostgres, point: str, seed: int, *, action: str = "kill", naive: bool = False) -> Verdict:
    """Queue mails, let workers die or pause at one point, let a sound one finish, and compare."""
    rng = random.Random(f"{seed}.{point}.{action}")
    await shared_relay_anew(database)
    tenant = await make_tenant(database, mode="live")
    in_flight: set[UUID] = set()
    hits = 0
    async with Relay(first_times(by_local_part, 1), stall_seconds=0.8, keep_content=False) as relay:
        kinds = await queue_all(tenant, MAILS, rng)
        for _ in range(KILLS):
            most = MOST_HITS.get(point, 8) * (MAILS // 2 if point not in {"connected", "claimed", "evidence_searched"} else 1)
            hit = rng.randint(1, max(1, most // (KILLS if FULL else 1)))
            waits = point == "evidence_searched"
            orders = Orders(
                url=postgres.app_url(),
                tenant_id=tenant.tenant_id,
                relay_port=relay.port,
                plan=f"{point}={action}@{hit}",
                wait_for_uncertain=waits,
                evidence_window_seconds=1 if waits else 1800,
                lease_seconds=2.0,
            )
            process = start(orders)
            if action == "stop":
                if await paused_or_ended(process):
                    hits += 1
                    await settle(tenant, relay, naive=naive)
                    wake(process)
                await ended(process)
            elif await ended(process) == -9:
                hits += 1
            found = await committing_in(tenant)
            if action == "kill" and hits and not FULL:
                assert len(found) == (1 if point in PAST_FENCE else 0), "a crash leaves at most the message in hand"
            in_flight |= found
            if FULL:
                await let_time_pass(tenant, naive=naive)
        await settle(tenant, relay, naive=naive)
        undecidable = {message_id for message_id, kind in kinds.items() if kind in REPLY_LOST} | in_flight
        ends = await states(database, tenant.tenant_id)
        if action == "stop":
            # A paused worker that comes back may still read its reply, which decides what was held.
            undecidable -= {m for m in undecidable if ends[m] == "accepted"}
        verdict = check(kinds, ends, relay.accepted, undecidable)
        verdict.hits = hits
        verdict.seed = seed
        return verdict


@pytest.mark.parametrize("point", [p for p in FAULT_POINTS if p != "messages_queued"])
async def test_a_worker_killed_at_any_point_sends_nothing_twice_and_loses_nothing(database: Database, postgres: EmbeddedPostgres, point: str):
    """D1, D2: held are exactly the messages past their fence whose reply nobody read."""
    verdict = await crash_run(database, postgres, point, SEED)
    print(verdict.line(f"kill at {point}"))
    assert verdict.hits >= 1, "a fault that never came up proves nothing"
    assert verdict.spotless, verdict.notes


async def test_the_control_that_takes_an_ended_lease_for_unsent_sends_twice(database: Database, postgres: EmbeddedPostgres):
    """The positive control of D1: the usual design, measured on the same runs, duplicates."""
    total = Verdict(seed=SEED)
    for point in ("dot_written", "before_result"):
        total.add(await crash_run(database, postgres, point, SEED, naive=True))
    print(total.line("naive control"))
    assert total.duplicates > 0


@pytest.mark.parametrize("point", ["claimed", "rcpt_answered", "fence_committed", "dot_written", "before_result"])
async def test_a_worker_that_was_paused_past_its_lease_does_no_harm_when_it_wakes(database: Database, postgres: EmbeddedPostgres, point: str):
    """D1: a zombie. Another worker has finished everything before it goes on."""
    verdict = await crash_run(database, postgres, point, SEED, action="stop")
    print(verdict.line(f"pause at {point}"))
    assert verdict.hits >= 1
    assert verdict.spotless, verdict.notes


async def test_a_planner_killed_after_its_insert_leaves_no_half_plan(database: Database, postgres: EmbeddedPostgres):
    """Crash point 1: what was not committed was never queued, and planning again queues it once."""
    tenant = await make_tenant(database, mode="live")
    addresses = [f"ok.{n}@d.example" for n in range(5)]
    orders = Orders(url=postgres.app_url(), tenant_id=tenant.tenant_id, relay_port=1, plan="messages_queued=kill@1")
    assert await ended(start_queueing(orders, addresses)) == -9
    assert await states(database, tenant.tenant_id) == {}
    assert await ended(start_queueing(Orders(url=postgres.app_url(), tenant_id=tenant.tenant_id, relay_port=1), addresses)) == 0
    assert len(await states(database, tenant.tenant_id)) == 5
