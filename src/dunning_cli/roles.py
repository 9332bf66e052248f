"""The database roles: an owner that migrates, an app role that serves and owns nothing, and one that it takes for callers of limited sight."""

from __future__ import annotations

import asyncpg

from dunning.kit.row_security import limited_role
from dunning.kit.settings import Settings
from dunning_cli.installation import NotConfigured

_LIMITED = "nologin nosuperuser nocreatedb nocreaterole nobypassrls"
DATABASE = "dunning"
OWNER = "dunning_owner"


def sql_for(app_role: str) -> list[str]:
    """Return the statements an administrator runs once, without passwords."""
    return [
        f"create role {OWNER} login nosuperuser nocreatedb nocreaterole nobypassrls",
        f"create role {app_role} login nosuperuser nocreatedb nocreaterole nobypassrls",
        f"create role {limited_role(app_role)} {_LIMITED}",
        grant_of(app_role),
        f"create database {DATABASE} owner {OWNER}",
    ]


def grant_of(app_role: str) -> str:
    """Return the statement that lets the app role take the limited one for a transaction without inheriting its limits (PostgreSQL 16 and later)."""
    return f"grant {limited_role(app_role)} to {app_role} with inherit false, set true"


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
        limited = limited_role(settings.app_role)
        exists = await connection.fetchval("select exists (select 1 from pg_roles where rolname = $1)", limited)
        await connection.execute(f"{'alter' if exists else 'create'} role {limited} {_LIMITED}")
        await connection.execute(grant_of(settings.app_role))
        done.append(f"role {limited} {'updated' if exists else 'created'}")
        if not await connection.fetchval("select exists (select 1 from pg_database where datname = $1)", DATABASE):
            await connection.execute(f"grant {OWNER} to current_user")
            await connection.execute(f"create database {DATABASE} owner {OWNER}")
            done.append(f"database {DATABASE} created")
    finally:
        await connection.close()
    return done
