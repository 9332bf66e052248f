"""The API process."""

from __future__ import annotations

import asyncio
import gc

import structlog
import uvicorn

from dunning.kit.bell import ArqBell, Bell, NullBell
from dunning.kit.database import Database
from dunning.kit.row_security import refuse_unsafe
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring
from dunning_api.app import create_app

log = structlog.get_logger()


async def serve(settings: Settings, database_url: str, keyring: Keyring) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in hand."""
    database = await Database.connect(database_url, size=settings.database_pool, name="dunning-api")
    async with database.across_tenants() as session:
        await refuse_unsafe(session.connection)
    bell: Bell = ArqBell(settings.redis_url) if settings.redis_url else NullBell()
    app = create_app(database, settings, keyring, bell)
    config = uvicorn.Config(
        app, host=settings.host, port=settings.port, log_config=None, access_log=False, timeout_graceful_shutdown=30, server_header=False, date_header=True
    )
    # What is here now stays to the end; a full collection that walks all of it would hold up every request for some tens of milliseconds.
    gc.collect()
    gc.freeze()
    log.info("api.serving", host=settings.host, port=settings.port)
    await uvicorn.Server(config).serve()


def run(settings: Settings, database_url: str, keyring: Keyring) -> None:
    """Run the process on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(settings, database_url, keyring))
    else:
        uvloop.run(serve(settings, database_url, keyring))
