"""Run migrations as the owner role: one transaction each, with timeouts, and an advisory lock so that two deploys cannot migrate at once."""

from __future__ import annotations

import asyncio

from alembic import context
from sqlalchemy import pool, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from dunning.schema import metadata

LOCK = 7_221_905_113


def run_with(connection: Connection) -> None:
    """Migrate on one connection."""
    connection.execute(text("set lock_timeout = '5s'"))
    connection.execute(text("set statement_timeout = '15min'"))
    connection.execute(text("select pg_advisory_lock(:key)"), {"key": LOCK})
    connection.commit()
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.execute(text("select pg_advisory_unlock(:key)"), {"key": LOCK})
    connection.commit()


async def run_online(url: str) -> None:
    """Connect as the owner and migrate."""
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run_with)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    run_with(given)
else:
    asyncio.run(run_online(context.config.attributes["url"]))
