"""D4: PostgreSQL may restart at any time, and a connection may break just after COMMIT was sent."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest

from dunning.kit.database import AWAY, Database
from dunning_cli import migrate
from dunning_cli.embedded import EmbeddedPostgres
from dunning_worker.dispatcher import Dispatcher
from dunning_worker.jobs.dispatch import dispatch_tenant
from dunning_worker.loops import Loop
from tests.conftest import TenantWorld, make_tenant
from tests.fakes.proxy import Direction, FaultProxy
from tests.fakes.relay import Relay
from tests.faults.checker import check
from tests.messages.rows import Ground, SimplePorts, lay_ground, queue, states
from tests.messages.workbench import smtp_to, world_with

FULL = os.environ.get("DUNNING_FAULTS") == "full"
pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600 if FULL else 300)]
RESTARTS = 200 if FULL else 4
CUTS = 500 if FULL else 25
SEED = int(os.environ.get("DUNNING_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory):
    """A server of its own, that writes through to the disk: it is going to be killed."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("d4"))
    server.start()
    migrate.upgrade(server.owner_url())
    yield server
    server.stop("immediate")


async def ready_tenant(server: EmbeddedPostgres) -> tuple[Database, TenantWorld, Ground]:
    database = await Database.connect(server.app_url(), size=6, name="d4")
    tenant = await make_tenant(database)
    async with database.transaction(tenant.tenant_id) as session:
        return database, tenant, await lay_ground(session, tenant.tenant_id)


async def queue_until_told(database: Database, ground: Ground, address: str) -> list:
    """Queue one message as a client does that repeats what was not acknowledged; return the ids that were acknowledged."""
    while True:
        try:
            async with database.transaction(ground.tenant_id) as session:
                ids = await queue(session, ground, [address])
        except (*AWAY, ConnectionError):
            await asyncio.sleep(0.02)
        else:
            return ids


async def finish(database: Database, tenant: TenantWorld, seconds: float) -> dict:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            found = await states(database, tenant.tenant_id)
        except AWAY:
            found = {}
        if found and not {"ready", "leased", "committing", "retry_wait", "uncertain"} & set(found.values()):
            return found
        await asyncio.sleep(0.1)
    return await states(database, tenant.tenant_id)


async def test_immediate_restarts_lose_no_acknowledged_message_and_double_none(own_server: EmbeddedPostgres):
    """D4: the server is killed at random moments while messages are queued and sent; every reply that was read is recorded in the end."""
    rng = random.Random(SEED)
    database, tenant, ground = await ready_tenant(own_server)
    stopping = asyncio.Event()
    async with Relay(delay_seconds=0.005) as relay:
        world = world_with(database, SimplePorts(), smtp_to(relay.port, name="sink", connections=2), lease_seconds=3)
        dispatcher = Dispatcher(world, stopping)
        loop = Loop("dispatch", lambda tenant_id: dispatch_tenant(world, tenant_id, dispatcher), database, stopping, 0.1)
        working = asyncio.create_task(loop.run())
        acknowledged: list = []
        done = asyncio.Event()

        async def feed() -> None:
            n = 0
            while not done.is_set():
                acknowledged.extend(await queue_until_told(database, ground, f"ok.{n}@d{n % 5}.example"))
                n += 1
                await asyncio.sleep(0.005)

        feeding = asyncio.create_task(feed())
        for _ in range(RESTARTS):
            await asyncio.sleep(0.2 + rng.random() * 0.5)
            await asyncio.to_thread(own_server.stop, "immediate")
            await asyncio.to_thread(own_server.start)
        done.set()
        await feeding
        ends = await finish(database, tenant, 30)
        stopping.set()
        await working
        verdict = check(acknowledged, ends, relay.accepted, ())
        verdict.hits, verdict.seed = RESTARTS, SEED
        print(verdict.line("postgres restarts"))
        assert verdict.mails > 20
        assert verdict.spotless, verdict.notes
        unacknowledged = check(ends, ends, relay.accepted, ())
        assert not (unacknowledged.duplicates or unacknowledged.false), unacknowledged.notes
    await database.close()


async def test_connections_cut_just_after_commit_was_sent_double_nothing(own_server: EmbeddedPostgres, tmp_path: Path):
    """D4: the answer to a commit is lost; whether it happened is found out, not guessed."""
    rng = random.Random(SEED)
    database, tenant, ground = await ready_tenant(own_server)
    sockets = tmp_path / "s"
    sockets.mkdir(mode=0o700)
    server_socket = Path(own_server.app_url().partition("host=")[2].partition("&")[0].replace("%2F", "/")) / ".s.PGSQL.5432"
    cuts = 0

    def sometimes(direction: Direction, sent: bytes) -> bool:
        nonlocal cuts
        if direction is Direction.TO_SERVER and b"commit" in sent and cuts < CUTS and rng.random() < 0.15:
            cuts += 1
            return True
        return False

    stopping = asyncio.Event()
    async with FaultProxy(server_socket, sockets / ".s.PGSQL.5432") as proxy, Relay() as relay:
        shaky = await Database.connect(f"postgresql://dunning_app@/dunning?host={sockets}&port=5432", size=6, name="d4 shaky")
        world = world_with(shaky, SimplePorts(), smtp_to(relay.port, name="sink", connections=2), lease_seconds=3)
        dispatcher = Dispatcher(world, stopping)
        loop = Loop("dispatch", lambda tenant_id: dispatch_tenant(world, tenant_id, dispatcher), shaky, stopping, 0.1)
        working = asyncio.create_task(loop.run())
        proxy.cut_after(sometimes)
        ids: list = []
        for n in range(60 if not FULL else 1500):
            async with database.transaction(tenant.tenant_id) as session:
                ids += await queue(session, ground, [f"ok.{n}@d{n % 5}.example"])
            await asyncio.sleep(0.01)
        ends = await finish(database, tenant, 60)
        proxy.cut_after(None)
        stopping.set()
        await working
        verdict = check(ids, ends, relay.accepted, ())
        verdict.hits, verdict.seed = cuts, SEED
        print(verdict.line("commit answers lost"))
        assert cuts >= 10
        assert verdict.spotless, verdict.notes
        await shaky.close()
    await database.close()
