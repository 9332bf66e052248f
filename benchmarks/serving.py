"""The API under load from 32 connections: reading, writing, and a customer's visit to a link."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import urlsplit

import asyncpg

from benchmarks import evaluation
from benchmarks.ground import KEYRING, KEYRING_TEXT, Company, Ground
from benchmarks.http_load import CONNECTIONS, load, request
from benchmarks.results import Line, Result
from dunning.evidence.links import link_urls
from dunning.kit.clock import SystemClock
from dunning_cli.child_process import spawn, stop_child
from dunning_cli.processes import Process
from dunning_cli.stack import free_port
from dunning_worker.world import world_of

CONSTANT = "a constant dictionary from FastAPI and uvicorn alone"
ONE_ROW = "one row inserted and committed, again and again, on one connection"
READS = Line("GET an item by id", "requests/s", 0.30, 0.10, CONSTANT)
SPREAD = Line("p99 of that GET", "ms", 1 / 3, 1 / 5, "its p50")
WRITES = Line("PUT a changed customer", "requests/s", 0.1, None, ONE_ROW)
VISITS = Line("link hits", "requests/s", 0.4, 0.2, ONE_ROW)


@contextlib.asynccontextmanager
async def product_api(ground: Ground) -> AsyncIterator[int]:
    """Run the product's API process and give its port."""
    port = free_port(0)
    environment = {
        **os.environ, "DUNNING_DATABASE_URL": ground.postgres.app_url(), "DUNNING_LINK_KEYS": KEYRING_TEXT, "DUNNING_PORT": str(port),
        "DUNNING_HOST": "127.0.0.1", "DUNNING_DATA_DIR": str(ground.folder), "DUNNING_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }  # fmt: skip
    process = Process("API", ["api"], environment, ground.folder / "api.log", f"http://127.0.0.1:{port}/readyz")
    process.start()
    try:
        await asyncio.to_thread(process.wait_ready)
        yield port
    finally:
        await asyncio.to_thread(process.stop)


@contextlib.asynccontextmanager
async def constant_api(ground: Ground) -> AsyncIterator[int]:
    """Run the constant route and give its port."""
    port = free_port(0)
    with (ground.folder / "constant.log").open("wb") as log:
        child = spawn(
            [sys.executable, "-m", "benchmarks.constant_server", "--port", str(port)],
            log=log, environment=os.environ, working_directory=ground.top, death_signal=signal.SIGTERM, identity={},
        )  # fmt: skip
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.1)
        yield port
    finally:
        await asyncio.to_thread(stop_child, child, [(signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)])


def in_turn(requests: list[bytes]) -> Callable[[], bytes]:
    """Return a function that gives the requests one after the other, for ever."""
    turns: Iterator[bytes] = itertools.cycle(requests)
    return lambda: next(turns)


_CHANGES = itertools.count(1)


def changing(company: Company) -> Callable[[], bytes]:
    """Return a function that gives a request to change the next customer, each time to a name that it never had, also after a warm-up and in the next round."""

    def following() -> bytes:
        n = next(_CHANGES)
        body = json.dumps({"name": f"Customer {n} S.p.A.", "country": "IT", "language": "it"}).encode()
        return request("PUT", f"/v1/ledgers/{company.ledger_id}/customers/K{1 + n % 500}", key=company.api_key, body=body)

    return following


async def commits_a_second(ground: Ground, seconds: float) -> float:
    """Return how many one-row transactions one connection commits a second."""
    connection = await asyncpg.connect(ground.postgres.superuser_url("dunning"))
    try:
        await connection.execute(
            "drop schema if exists bare cascade; create schema bare; create table bare.hit (id bigint primary key, at timestamptz not null default now())"
        )
        insert = await connection.prepare("insert into bare.hit (id) values ($1)")
        began, n = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            n += 1
            await insert.fetch(n)
        return n / (time.perf_counter() - began)
    finally:
        await connection.close()


async def _links(ground: Ground, company: Company) -> list[bytes]:
    world = world_of(ground.database, ground.settings, KEYRING)
    run_id, _ = await evaluation.plan_run(world, company)
    await evaluation.carry_out(world, company, run_id)
    async with ground.database.reading(company.tenant_id) as session:
        ids = [row["message_id"] for row in await session.rows("select message_id from message where tenant_id = $1 limit 500", company.tenant_id)]
        urls = await link_urls(session, company.tenant_id, ids, keyring=KEYRING, public_url="http://127.0.0.1")
    return [request("GET", urlsplit(url).path) for url in urls.values()]


async def measure(ground: Ground) -> list[Result]:
    """Read, write and visit, each beside its limit."""
    seconds, repeats = ground.sizes.request_seconds, ground.sizes.repeats
    company = await ground.company(mode="live")
    await ground.fill(company, ground.sizes.items, 10, today=SystemClock().now().date())
    async with ground.database.reading(company.tenant_id) as session:
        ids = await session.rows("select item_id from item where tenant_id = $1 order by md5(item_id::text) limit 5000", company.tenant_id)
    items = [request("GET", f"/v1/items/{row['item_id']}", key=company.api_key) for row in ids]
    visited = await ground.company()
    await ground.fill(visited, 2_000, 5)
    visits = await _links(ground, visited)
    await ground.bare.execute("analyze")
    await ground.settle()
    reads, spread, writes, hits = [], [], [], []
    async with product_api(ground) as port, constant_api(ground) as constant_port:
        for _ in range(repeats):
            at_best = await load(constant_port, in_turn([request("GET", "/constant")]), seconds)
            served = await load(port, in_turn(items), seconds)
            reads.append((served.per_second, at_best.per_second))
            spread.append((served.percentile(0.99), served.percentile(0.5)))
            commits = await commits_a_second(ground, seconds / 2)
            writes.append(((await load(port, changing(company), seconds)).per_second, commits))
            hits.append(((await load(port, in_turn(visits), seconds)).per_second, commits))
    ground.notes.append(f"requests over {CONNECTIONS} connections, {seconds:.1f} s each")
    return [Result(READS, reads), Result(SPREAD, spread), Result(WRITES, writes), Result(VISITS, hits)]
