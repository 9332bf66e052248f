"""A worker in a process of its own, to be killed, paused and stopped. Forked from a server that has imported everything, so that one costs little."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dunning.kit import faults
from dunning.kit.database import Database
from dunning.kit.ids import TenantId
from dunning_worker.dispatcher import Dispatcher
from dunning_worker.jobs.dispatch import dispatch_tenant
from tests.messages.rows import SimplePorts, lay_ground, queue
from tests.messages.workbench import smtp_to, world_with

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["pytest", "tests.faults.child"])


@dataclass(frozen=True)
class Orders:
    """What a child does."""

    url: str
    tenant_id: TenantId
    relay_port: int
    plan: str = ""
    reply_seconds: float = 0.3
    lease_seconds: float = 5.0
    evidence_window_seconds: int = 1800
    wait_for_uncertain: bool = False
    until_stopped: bool = False
    rate: int = 0
    window_seconds: float = 60.0


def start(orders: Orders) -> ForkServerProcess:
    """Start a worker."""
    process = _SERVER.Process(target=_work, args=(orders,), daemon=True)
    process.start()
    return process


def start_queueing(orders: Orders, addresses: list[str]) -> ForkServerProcess:
    """Start a process that queues messages."""
    process = _SERVER.Process(target=_queue, args=(orders, addresses), daemon=True)
    process.start()
    return process


async def ended(process: ForkServerProcess, seconds: float = 60) -> int:
    """Wait for the end of a child and return its exit code; -9 is a kill."""
    await asyncio.to_thread(process.join, seconds)
    if process.exitcode is None:
        process.kill()
        msg = "the child did not end in time"
        raise TimeoutError(msg)
    return process.exitcode


async def paused_or_ended(process: ForkServerProcess, seconds: float = 60) -> bool:
    """Wait until a child has stopped itself (True) or has ended (False)."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.exitcode is not None:
            return False
        try:
            state = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            state = "?"
        if state == "T":
            return True
        await asyncio.sleep(0.01)
    msg = "the child neither paused nor ended"
    raise TimeoutError(msg)


def wake(process: ForkServerProcess) -> None:
    """Let a paused child go on."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGCONT)


def _work(orders: Orders) -> None:
    asyncio.run(_dispatch(orders))


async def _dispatch(orders: Orders) -> None:
    faults.set_plan(orders.plan)
    database = await Database.connect(orders.url, size=4, name="child")
    settings: dict[str, Any] = {"lease_seconds": orders.lease_seconds, "evidence_window_seconds": orders.evidence_window_seconds}
    world = world_with(
        database,
        SimplePorts(),
        smtp_to(orders.relay_port, reply_seconds=orders.reply_seconds, rate=orders.rate, window_seconds=orders.window_seconds),
        **settings,
    )
    dispatcher = Dispatcher(world)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, dispatcher.stopping.set)
    while not dispatcher.stopping.is_set():
        done = await dispatch_tenant(world, orders.tenant_id, dispatcher)
        if not done and not orders.until_stopped and not await _open(database, orders):
            break
        await asyncio.sleep(0 if done else 0.02)
    await world.close()


async def _open(database: Database, orders: Orders) -> int:
    states = ["ready", "leased", "committing", *(["uncertain"] if orders.wait_for_uncertain else [])]
    async with database.reading(orders.tenant_id) as session:
        return await session.value("select count(*) from message where tenant_id = $1 and state = any ($2::text[])", orders.tenant_id, states)


def _queue(orders: Orders, addresses: list[str]) -> None:
    async def do() -> None:
        faults.set_plan(orders.plan)
        database = await Database.connect(orders.url, size=2, name="child")
        async with database.transaction(orders.tenant_id) as session:
            ground = await lay_ground(session, orders.tenant_id)
            await queue(session, ground, addresses, relay="smtp")
        await database.close()

    asyncio.run(do())
