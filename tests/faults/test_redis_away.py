"""D3: Redis may lose everything at any time; it costs one poll interval and nothing else."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import statistics
import time
from pathlib import Path

import pytest

from dunning.kit.bell import ArqBell
from dunning.kit.database import Database
from dunning_cli.embedded_valkey import EmbeddedValkey
from dunning_worker.dispatcher import Dispatcher
from dunning_worker.hearing import hear
from dunning_worker.jobs.dispatch import dispatch_tenant
from dunning_worker.loops import Loop
from tests.conftest import TenantWorld
from tests.fakes.relay import Relay
from tests.faults.checker import check
from tests.messages.rows import SimplePorts, lay_ground, queue, states
from tests.messages.workbench import smtp_to, world_with

FULL = os.environ.get("DUNNING_FAULTS") == "full"
pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600 if FULL else 300)]
POLL_SECONDS = 10.0 if FULL else 1.0
MESSAGES = 1000 if FULL else 90
SLACK_SECONDS = 1.5


class Running:
    """A worker's dispatch loop and its ear, in this process."""

    def __init__(self, tenant: TenantWorld, relay: Relay, url: str | None, poll_seconds: float) -> None:
        self.stopping = asyncio.Event()
        world = world_with(tenant.database, SimplePorts(), smtp_to(relay.port, name="sink", connections=2))
        dispatcher = Dispatcher(world, self.stopping)
        loop = Loop("dispatch", lambda tenant_id: dispatch_tenant(world, tenant_id, dispatcher), tenant.database, self.stopping, poll_seconds)
        self.tasks = [asyncio.create_task(loop.run())]
        if url:
            self.tasks.append(asyncio.create_task(hear(url, {"dispatch": loop}, self.stopping)))

    async def stop(self) -> None:
        self.stopping.set()
        await asyncio.gather(*self.tasks)


async def waits_of(tenant: TenantWorld) -> list[float]:
    """Return for how many seconds each accepted message waited, by the database's clock."""
    rows = await tenant.rows("select extract(epoch from updated_at - created_at)::float8 as seconds from message where state = 'accepted'")
    return [row["seconds"] for row in rows]


async def all_accepted(tenant: TenantWorld, count: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if list((await states(tenant.database, tenant.tenant_id)).values()).count("accepted") == count:
            return
        await asyncio.sleep(0.05)


async def test_the_bell_makes_a_message_leave_long_before_the_poll(tenant: TenantWorld, tmp_path: Path):
    """The control of the next test: without a bell a message waits for the poll."""
    with EmbeddedValkey(tmp_path / "v") as valkey:
        waits = {}
        for url in (valkey.url(), None):
            async with Relay() as relay:
                worker = Running(tenant, relay, url, poll_seconds=10.0)
                await asyncio.sleep(1.0)
                bell = ArqBell(valkey.url())
                async with tenant.database.transaction(tenant.tenant_id) as session:
                    (message_id,) = await queue(session, await lay_ground(session, tenant.tenant_id), [f"ok.{bool(url)}@d.example"])
                began = time.monotonic()
                await bell.ring(session.rung)
                while (await states(tenant.database, tenant.tenant_id))[message_id] != "accepted" and time.monotonic() - began < 10:
                    await asyncio.sleep(0.02)
                waits[url is not None] = time.monotonic() - began
                await bell.close()
                await worker.stop()
    print(f"with the bell {waits[True]:.2f} s, without {waits[False]:.2f} s")
    assert waits[True] < 5.0 < waits[False]


async def test_redis_stopped_and_emptied_costs_at_most_a_poll_interval(tenant: TenantWorld, tmp_path: Path):
    """D3: flushed, stopped and restarted empty while messages come in: all accepted, none twice, none later than one poll."""
    seed = random.SystemRandom().randrange(1_000_000)
    rng = random.Random(seed)
    valkey = EmbeddedValkey(tmp_path / "v")
    valkey.start()
    try:
        async with Relay() as relay:
            bell = ArqBell(valkey.url())
            worker = Running(tenant, relay, valkey.url(), POLL_SECONDS)
            async with tenant.database.transaction(tenant.tenant_id) as session:
                ground = await lay_ground(session, tenant.tenant_id)
            ids = []
            moments = dict.fromkeys(rng.sample(range(5, MESSAGES - 5), 4 if not FULL else 60))
            away_until = 0.0
            faults = 0
            for n in range(MESSAGES):
                if n in moments:
                    kind = ("flush", "stop", "empty")[faults % 3]
                    faults += 1
                    if kind == "flush" and valkey.pid:
                        await bell._redis.flushall()
                    elif kind == "stop":
                        await asyncio.to_thread(valkey.stop)
                        away_until = time.monotonic() + (60 if FULL else 1.0)
                    else:
                        await asyncio.to_thread(valkey.stop)
                        shutil.rmtree(tmp_path / "v" / "appendonlydir", ignore_errors=True)
                        await asyncio.to_thread(valkey.start)
                        away_until = 0.0
                if valkey.pid is None and time.monotonic() > away_until:
                    await asyncio.to_thread(valkey.start)
                async with tenant.database.transaction(tenant.tenant_id) as session:
                    ids += await queue(session, ground, [f"ok.{n}@d.example"])
                await bell.ring(session.rung)
                await asyncio.sleep(rng.random() * 0.06)
            await all_accepted(tenant, MESSAGES, POLL_SECONDS + 10)
            verdict = check(ids, await states(tenant.database, tenant.tenant_id), relay.accepted, ())
            verdict.hits, verdict.seed = faults, seed
            waits = await waits_of(tenant)
            print(verdict.line("redis"), f"median wait {statistics.median(waits):.2f} s, longest {max(waits):.2f} s")
            await worker.stop()
            await bell.close()
            assert verdict.spotless, verdict.notes
            assert max(waits) <= POLL_SECONDS + SLACK_SECONDS
    finally:
        valkey.stop()


async def test_a_bell_whose_server_is_away_never_raises_and_never_delays(tmp_path: Path):
    """D3: an API request commits and answers, whatever Redis does."""
    bell = ArqBell(f"unix://{tmp_path}/nobody.sock")
    began = time.monotonic()
    for _ in range(50):
        await bell.ring({"dispatch", "sequence"})
    assert not await bell.answers()
    await bell.close()
    assert time.monotonic() - began < 2.0


async def test_the_queue_carries_kinds_of_work_as_json_and_nothing_else(tenant: TenantWorld, database: Database, tmp_path: Path):
    """Architecture 6: ids only, never pickle: whoever can write to Redis must not run code in the worker."""
    import json

    with EmbeddedValkey(tmp_path / "v") as valkey:
        bell = ArqBell(valkey.url())
        await bell.ring({"dispatch"})
        (key,) = [k for k in await bell._redis.keys("arq:job:*")]
        job = json.loads(await bell._redis.get(key))
        assert (job["f"], job["a"], job["k"]) == ("wake", ["dispatch"], {})
        await bell.close()
