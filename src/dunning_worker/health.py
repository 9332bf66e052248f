"""Health and metrics of a worker over HTTP."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dunning.events import due_work
from dunning.kit.database import AWAY
from dunning.kit.errors import Unavailable
from dunning.messages import relay_store
from dunning_worker import metrics
from dunning_worker.loops import Loop
from dunning_worker.world import World

STUCK_AFTER_POLLS = 6


class _Server(uvicorn.Server):
    """Leaves signals to the worker, which owns the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def app_of(world: World, loops: Mapping[str, Loop], stopping: asyncio.Event) -> Starlette:
    """Build the small application: `/livez`, `/readyz`, `/metrics`."""

    async def livez(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        if stopping.is_set():
            return JSONResponse({"status": "stopping"}, status_code=503)
        late = [kind for kind, loop in loops.items() if time.monotonic() - loop.looked_at > STUCK_AFTER_POLLS * max(world.settings.poll_seconds, 1)]
        try:
            async with world.database.across_tenants() as session:
                lag = await due_work.oldest_seconds(session)
        except AWAY as error:
            return JSONResponse({"status": "not ready", "database": type(error).__name__}, status_code=503)
        doorbell = "answers" if await world.bell.answers() else "away"
        status = {"status": "not ready" if late else "ready", "stuck_loops": late, "doorbell": doorbell, "oldest_due_seconds": lag}
        return JSONResponse(status, status_code=503 if late else 200)

    async def numbers(_request: Request) -> Response:
        try:
            async with world.database.across_tenants() as session:
                lag = await due_work.oldest_seconds(session)
                circuits = {row["relay"]: row for row in await relay_store.circuits_of(session, list(world.transports))}
        except AWAY:
            pass
        else:
            for kind in loops:
                metrics.OLDEST_DUE_SECONDS.labels(kind).set(lag.get(kind, 0.0))
            for relay in world.transports:
                circuit = circuits.get(relay)
                metrics.RELAY_OPEN.labels(relay).set(0 if circuit is not None and (circuit["resting"] or circuit["suspended"]) else 1)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", numbers)])


def listen(host: str, port: int) -> socket.socket:
    """Take the port; raise `Unavailable` that names the setting when it is taken."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        msg = f"The worker cannot listen on {host}:{port}: {error.strerror}. Set DUNNING_WORKER_PORT to a free port, or to 0."
        raise Unavailable(msg) from error
    return sock


async def serve_health(app: Starlette, sock: socket.socket, stopping: asyncio.Event) -> None:
    """Serve until stopping is set."""
    server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    await asyncio.wait({serving, asyncio.create_task(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
