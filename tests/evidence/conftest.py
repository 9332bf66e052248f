"""A told claim for each test, and the forms of its page as a visitor finds them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
import uvicorn

from tests.conftest import TenantWorld
from tests.evidence.rows import Told, make_told


@pytest.fixture
async def told(tenant: TenantWorld) -> Told:
    """A claim told on Monday 2 March 2026, whose link asks for the tax number."""
    return await make_told(tenant)


def fields_of(page: str, form: str = "answer") -> dict[str, str]:
    """Return the hidden fields of a form of a page, as a browser would send them."""
    part = next(part for part in page.split("<form ")[1:] if f'name="form" value="{form}"' in part)
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', part))


async def answer(client: httpx.AsyncClient, told: Told, text: str, **extra: str) -> httpx.Response:
    """Open the landing page and answer its question."""
    landing = await client.get(told.path, params=extra)
    if 'name="nonce"' not in landing.text:
        return landing
    return await post(client, told, {**fields_of(landing.text), "answer": text})


async def post(client: httpx.AsyncClient, told: Told, fields: Mapping[str, str]) -> httpx.Response:
    """Send a form."""
    return await client.post(told.path, data=dict(fields))


@pytest.fixture(scope="session")
async def served(app: object) -> AsyncIterator[str]:
    """The API behind a real server on a free port of this machine, with its access log on."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_config=None, access_log=True)  # type: ignore[arg-type]  # an ASGI application
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the test run keeps its own
    running = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await running
