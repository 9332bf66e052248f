"""The worker process as a whole: its loops, its ear, its health, and how it stops (B-52, D-21; architecture 1, 6)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from dunning.kit import faults, logs
from dunning.kit.bell import ArqBell
from dunning.kit.errors import Unavailable
from dunning.kit.faults import FAULT_POINTS, InjectedFault, faultpoint
from dunning.kit.settings import Settings
from dunning_cli.embedded import EmbeddedPostgres
from dunning_cli.embedded_valkey import EmbeddedValkey
from dunning_worker import health, main
from tests.conftest import MONDAY, TenantWorld
from tests.messages.rows import lay_ground, queue, states

KEYS = "t1:" + "11" * 32


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def until(condition, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if await condition():
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_worker_process_sends_what_is_queued_tells_its_health_and_stops_on_sigterm(tenant: TenantWorld, postgres: EmbeddedPostgres, tmp_path: Path):
    """The product's own doors and all loops; the sink takes the mail; the bell makes it quick."""
    port = free_port()
    with EmbeddedValkey(tmp_path / "v") as valkey:
        environment = os.environ | {
            "DUNNING_DATABASE_URL": postgres.app_url(),
            "DUNNING_LINK_KEYS": KEYS,
            "DUNNING_REDIS_URL": valkey.url(),
            "DUNNING_WORKER_PORT": str(port),
            "DUNNING_POLL_SECONDS": "10",
        }
        log_path = tmp_path / "log"
        with log_path.open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "dunning_worker"], env=environment, stderr=log)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

                async def ready() -> bool:
                    with contextlib.suppress(httpx.TransportError):
                        return (await client.get("/readyz")).status_code == 200
                    return False

                assert await until(ready, 40), log_path.read_text()
                assert (await client.get("/readyz")).json()["doorbell"] == "answers"
                async with tenant.database.transaction(tenant.tenant_id) as session:
                    ground = await lay_ground(session, tenant.tenant_id, contents={"en": {"subject": "Hello", "text": "Please pay.", "html": None}})
                    await queue(session, ground, ["ok.1@acme.example"])
                bell = ArqBell(valkey.url())
                await bell.ring(session.rung)

                async def ended() -> bool:
                    return set((await states(tenant.database, tenant.tenant_id)).values()) <= {"accepted", "cancelled"}

                assert await until(ended), log_path.read_text()
                numbers = (await client.get("/metrics")).text
                assert "dunning_messages_total" in numbers
                assert 'dunning_relay_open{relay="sink"} 1.0' in numbers
                await bell.close()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 20) == 0, log_path.read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        lines = [json.loads(line) for line in log_path.read_text().splitlines()]
        assert [line["event"] for line in lines if line["event"].startswith("worker.")] == ["worker.started", "worker.stopping", "worker.stopped"]
        assert "acme.example" not in log_path.read_text(), "no address in a log"


async def test_many_tenants_with_nothing_to_do_do_not_keep_one_with_work_waiting_for_the_poll(database):
    """Thirty are due before it; the poll interval is far longer than the test."""
    from dunning.events import due_work
    from dunning.kit.ids import TenantId, new_id
    from dunning_worker.loops import Loop

    tenants = [TenantId(new_id()) for _ in range(31)]
    async with database.across_tenants() as session:
        for tenant_id in tenants:
            await due_work.ring(session, tenant_id, "walk", None if tenant_id == tenants[-1] else MONDAY)
            session.rung.clear()
    seen: list[TenantId] = []
    stopping = asyncio.Event()

    async def nothing(tenant_id: TenantId) -> int:
        seen.append(tenant_id)
        return 0

    loop = Loop("walk", nothing, database, stopping, poll_seconds=60)
    running = asyncio.create_task(loop.run())

    async def found() -> bool:
        return tenants[-1] in seen

    assert await until(found, 10)
    assert len(seen) < 62, "each about once"
    stopping.set()
    await running
    async with database.across_tenants() as session:
        await session.execute("delete from due_work where tenant_id = any ($1::uuid[])", tenants)


async def test_a_missing_setting_is_named():
    with pytest.raises(Unavailable, match="DUNNING_DATABASE_URL"):
        await main.open_world(Settings(database_url=None))


def test_a_taken_port_is_named_with_its_setting():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Unavailable, match="DUNNING_WORKER_PORT"):
            health.listen("127.0.0.1", taken.getsockname()[1])


async def test_a_fault_point_does_nothing_without_a_plan_and_what_the_plan_says_with_one():
    """Promises 2.6."""
    faults.set_plan(None)
    for name in FAULT_POINTS:
        await faultpoint(name)
    assert faults.hits() == {}
    faults.set_plan("claimed=raise@2, connected=delay:0.01")
    try:
        await faultpoint("claimed")
        await faultpoint("connected")
        with pytest.raises(InjectedFault):
            await faultpoint("claimed")
        assert faults.hits() == {"claimed": 2, "connected": 1}
        with pytest.raises(ValueError, match="names no action"):
            faults.set_plan("claimed=explode")
    finally:
        faults.set_plan(None)


def test_logs_hide_addresses_tokens_and_whatever_is_named_like_personal_data(capfd: pytest.CaptureFixture[str]):
    """Style 31."""
    script = (
        "from dunning.kit import logs; logs.set_up('info'); import logging\n"
        "logs.logger('x').info('message.parked', to_email='a@b.example', detail='550 <ap@customer.example> see https://p.example/c/k1.abc.def', amount_minor=5)\n"
        "logging.getLogger('lib').warning('mail to %s', 'ap@customer.example')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, second = (json.loads(line) for line in done.stderr.splitlines())
    assert first["event"] == "message.parked"
    assert "example" not in first["detail"].replace("p.example", "")
    assert "k1.abc.def" not in done.stderr
    assert "customer.example" not in done.stderr
    assert first["amount_minor"] == "<hidden>"
    assert second["event"] == "mail to <address>"
    assert logs.logger("x") is not None


IDS, MAC = "AaIBJ17hdxSVqk86UKXl3QGiASgjcncdrI-pIaQmXwM", "QqvByaifzDZGlAoUkffX0RHn1Ic"
SECRETS = {
    "link": (f"k1.{IDS}.{MAC}", MAC),
    "encoded link": (f"k1%2E{IDS}%2E{MAC}", MAC),
    "API key": (f"ar_live_{IDS}.wJKHNreqYa2xKJHxXa4wxR1oA5h48KhG_4JbUTbbK6w.CUOm4g", "wJKHNreqYa2xKJHxXa4wxR1oA5h48KhG_4JbUTbbK6w"),
    "address": ("ap@customer.example", "customer.example"),
}
"""What must not be in a line, and the part of it by which it would be known there."""
WAYS = """
import logging, sys, httpx
from dunning.kit import logs
if sys.argv[1] == "control":
    logs._SHARED.remove(logs._keep_private)
logs.set_up("info")
secret, log = sys.argv[2], logs.logger("dispatch")
log.info("relay.answered", said=f"see https://p.example/x?t={secret}")
log.info("relay.answered", link=httpx.URL(f"https://p.example/c/{secret}"), seen=[secret], kept={"at": secret})
logging.getLogger("uvicorn.access").warning('%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", f"/c/{secret}", "1.1", 200)
try:
    raise ValueError(secret)
except ValueError:
    log.exception("message.reaction_failed", message_id=1)
    logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
"""


@pytest.mark.parametrize(("secret", "part"), SECRETS.values(), ids=SECRETS)
def test_no_way_into_the_logs_carries_a_secret(secret: str, part: str):
    """A line of ours, an object, a list, the access log and both kinds of traceback; without the mask every one of them shows it, which is the control."""

    def lines(how: str) -> list[str]:
        done = subprocess.run([sys.executable, "-c", WAYS, how, secret], capture_output=True, text=True, check=True)
        return done.stderr.splitlines()

    shown, masked = lines("control"), lines("masked")
    assert len(shown) == len(masked) == 5
    assert all(part in line for line in shown)
    assert not [line for line in masked if part in line]
    assert all(json.loads(line)["event"] for line in masked)
