"""The worker process: one function runs it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from dunning.events.due_work import Kind
from dunning.kit import faults, logs
from dunning.kit.bell import open_bell
from dunning.kit.database import Database
from dunning.kit.errors import Unavailable
from dunning.kit.ids import TenantId
from dunning.kit.row_security import refuse_unsafe
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning.messages import relay_store
from dunning.messages.sender_domain import listed
from dunning_worker import health, metrics
from dunning_worker.dispatcher import Dispatcher
from dunning_worker.hearing import WorkerSettings, hear
from dunning_worker.jobs import actions, dispatch, imports, nightly, runs, sequence, walk, watch
from dunning_worker.loops import Loop, every
from dunning_worker.world import World, world_of

__all__ = ["WorkerSettings", "run", "serve"]

GRACE_SECONDS = 720
"""How long a stopping worker lets a mail past its fence finish: the relay may take ten minutes for its last reply."""
HOUSEKEEPING_SECONDS = 60.0
COUNTS_KEPT_SECONDS = 600.0
SENDER_DOMAINS_SECONDS = 900.0
"""How often domains are looked through for those whose findings have become old."""

log = logs.logger("worker")


async def open_world(settings: Settings) -> World:
    """Open database and bell and build the product's world; raise `Unavailable` with what to set."""
    if settings.database_url is None:
        raise Unavailable("The worker needs DUNNING_DATABASE_URL. `./run serve` starts an embedded database and sets it.")
    if settings.link_keys is None:
        raise Unavailable("The worker needs DUNNING_LINK_KEYS, the same as the API's. `./run serve` makes a key and sets it.")
    keyring = Keyring.parse(settings.link_keys.get_secret_value())
    database = await Database.connect(settings.database_url, size=settings.database_pool, name="dunning worker")
    async with database.across_tenants() as session:
        await refuse_unsafe(session.connection)
    world = world_of(database, settings, keyring, open_bell(settings.redis_url))
    world.count = metrics.count
    return world


def loops_of(world: World, dispatcher: Dispatcher, stopping: asyncio.Event) -> dict[str, Loop]:
    """Return the loops of a worker, by kind of work."""
    jobs: dict[Kind, Callable[[TenantId], Awaitable[int]]] = {
        "import": partial(imports.work_on_imports, world),
        "run": partial(runs.work_on_runs, world),
        "schedule": partial(nightly.run_due_nights, world),
        "action": partial(actions.carry_out_due, world),
        "walk": partial(walk.work_on_walks, world),
        "watch": partial(watch.watch_agreements, world),
        "dispatch": partial(dispatch.dispatch_tenant, world, dispatcher=dispatcher),
        "sequence": partial(sequence.number_events, world),
    }
    return {kind: Loop(kind, job, world.database, stopping, world.settings.poll_seconds) for kind, job in jobs.items()}


async def serve(settings: Settings, *, stopping: asyncio.Event | None = None, world: World | None = None) -> None:
    """Run a worker until SIGTERM or SIGINT, or until `stopping` is set; then claim nothing more and let what is under way finish.

    A second signal does not hurry it: a mail past its fence that is cut off becomes a question for a person.
    """
    faults.set_plan(settings.test_faults)
    stopping = stopping or asyncio.Event()
    world = world or await open_world(settings)
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError, RuntimeError):
            loop.add_signal_handler(wanted, stopping.set)
    dispatcher = Dispatcher(world, stopping)
    loops = loops_of(world, dispatcher, stopping)
    world.database.committed = partial(_wake, loops)
    sock = health.listen(settings.host, settings.worker_port)
    log.info("worker.started", worker=world.name, health_port=sock.getsockname()[1], relays=sorted(world.transports))
    tasks = [asyncio.create_task(each.run()) for each in loops.values()]
    tasks.append(asyncio.create_task(every(HOUSEKEEPING_SECONDS, partial(_tidy, world), stopping)))
    if any(transport.dns_checks != "off" for transport in world.transports.values()):
        for domain in listed(settings.smtp_sender_domains):
            world.sender_domains.look(domain.lower())
        tasks.append(asyncio.create_task(every(SENDER_DOMAINS_SECONDS, world.sender_domains.look_again, stopping)))
    tasks.append(asyncio.create_task(health.serve_health(health.app_of(world, loops, stopping), sock, stopping)))
    if settings.redis_url:
        tasks.append(asyncio.create_task(hear(settings.redis_url, loops, stopping)))
    try:
        await stopping.wait()
        log.info("worker.stopping", worker=world.name)
        _, unfinished = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
        if unfinished:
            log.error("worker.stopped_unfinished", worker=world.name, tasks=len(unfinished))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await world.close()
    log.info("worker.stopped", worker=world.name)


def _wake(loops: dict[str, Loop], made_due: set[str]) -> None:
    """Go on at once with what this process has just made due. Numbering events can wait: it is asked for with every mail."""
    for kind in made_due - {"sequence"}:
        if kind in loops:
            loops[kind].woken.set()


async def _tidy(world: World) -> None:
    async with world.database.across_tenants() as session:
        await relay_store.forget_old_counts(session, COUNTS_KEPT_SECONDS)


def run() -> None:
    """Run a worker by the settings in the environment, on uvloop where there is one."""
    settings = Settings()
    logs.set_up(settings.log_level)
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(settings))
    else:
        uvloop.run(serve(settings))
