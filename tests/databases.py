"""Databases of their own for tests that change the schema or the guards."""

import asyncio
from contextlib import contextmanager

import asyncpg

from dunning_cli import migrate


def run_sql(url, *statements):
    """Run statements one after the other on a connection of their own and return the rows of the last."""

    async def run():
        connection = await asyncpg.connect(url)
        try:
            rows = []
            for statement in statements:
                rows = await connection.fetch(statement)
            return rows
        finally:
            await connection.close()

    return asyncio.run(run())


@contextmanager
def scratch_database(postgres, name, *, migrated=True):
    """Make an empty database with the schema in it, and drop it at the end."""
    run_sql(postgres.superuser_url(), f"drop database if exists {name} with (force)", f"create database {name} owner dunning_owner")
    run_sql(postgres.superuser_url(name), "alter schema public owner to dunning_owner")
    if migrated:
        migrate.upgrade(postgres.owner_url(name))
    yield name
    run_sql(postgres.superuser_url(), f"drop database if exists {name} with (force)")
