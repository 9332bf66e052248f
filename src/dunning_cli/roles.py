"""The two database roles: an owner that migrates and an app role that serves and owns nothing."""

from __future__ import annotations

import asyncpg

from dunning.kit.settings import Settings
from dunning_cli.installation import NotConfigured

DATABASE = "dunning"
OWNER = "dunning_owner"


def sql_for(app_role: str) -> list[str]:
    """Return the statements an administrator runs once, without passwords."""
    return [
        f"create role {OWNER} login nosuperuser nocreatedb nocreaterole nobypassrls",
        f"create role {app_role} login nosuperuser nocreatedb nocreaterole nobypassrls",
        f"create database {DATABASE} owner {OWNER}",
    ]


async def create(settings: Settings, owner_password: str, app_password: str) -> list[str]:
    """Create roles and database with an administrator's URL (`DUNNING_OWNER_DATABASE_URL`); what exists gets its password and stays. Return what was done."""
    if settings.owner_database_url is None:
        msg = "DUNNING_OWNER_DATABASE_URL is not set. For `roles --create` it must be the URL of an administrator who may create roles and databases."
        raise NotConfigured(msg)
    done = []
    connection = await asyncpg.connect(settings.owner_database_url)
    try:
        for role, password in ((OWNER, owner_password), (settings.app_role, app_password)):
            exists = await connection.fetchval("select exists (select 1 from pg_roles where rolname = $1)", role)
            # A password cannot be a parameter of this statement; the server quotes it.
            quoted = await connection.fetchval("select quote_literal($1::text)", password)
            verb = "alter" if exists else "create"
            await connection.execute(f"{verb} role {role} login nosuperuser nocreatedb nocreaterole nobypassrls password {quoted}")
            done.append(f"role {role} {'updated' if exists else 'created'}")
        if not await connection.fetchval("select exists (select 1 from pg_database where datname = $1)", DATABASE):
            await connection.execute(f"grant {OWNER} to current_user")
            await connection.execute(f"create database {DATABASE} owner {OWNER}")
            done.append(f"database {DATABASE} created")
    finally:
        await connection.close()
    return done
