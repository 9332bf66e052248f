"""How tables are declared: one metadata, named constraints, and the tenant first in every key.

`tenant_table` is the only way to declare a table that holds a tenant's rows. It puts `tenant_id` first in the primary key, and
`refers_to` builds composite foreign keys, so that a row of one tenant can never point at another's.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_1_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

TENANT_TABLES: list[str] = []
"""Names of all tables under row level security, in the order of their declaration."""

APPEND_ONLY_TABLES: list[str] = []
"""Names of the tables in which the app role may only insert and read."""


def tenant_table(name: str, *parts: Any, key: tuple[str, ...], append_only: bool = False, **options: Any) -> Table:
    """Declare a table of tenant rows whose primary key is `(tenant_id, *key)`."""
    TENANT_TABLES.append(name)
    if append_only:
        APPEND_ONLY_TABLES.append(name)
    tenant = Column("tenant_id", Uuid, nullable=False)
    return Table(name, metadata, tenant, *parts, PrimaryKeyConstraint("tenant_id", *key), **options)


def refers_to(target: str, column: str, target_column: str | None = None) -> ForeignKeyConstraint:
    """Build the foreign key `(tenant_id, column)` to another tenant table."""
    return ForeignKeyConstraint(["tenant_id", column], [f"{target}.tenant_id", f"{target}.{target_column or column}"])


def one_of(column: str, *values: str) -> CheckConstraint:
    """Build the check that a text column holds one of the named values."""
    quoted = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({quoted})", name=f"{column}_known")


def uuid_column(name: str, *, null: bool = False) -> Column[Any]:
    """Declare an id column."""
    return Column(name, Uuid, nullable=null)


def text_column(name: str, *, null: bool = False, default: str | None = None) -> Column[Any]:
    """Declare a text column, with a literal server default where one is given."""
    return Column(name, Text, nullable=null, server_default=None if default is None else text(f"'{default}'"))


def minor_column(name: str, *, null: bool = False, default: int | None = None) -> Column[Any]:
    """Declare an amount in minor units."""
    return Column(name, BigInteger, nullable=null, server_default=None if default is None else text(str(default)))


def instant_column(name: str, *, null: bool = False, now: bool = False) -> Column[Any]:
    """Declare an instant in UTC; with `now`, the database's clock fills it."""
    default = text("clock_timestamp()") if now else None
    return Column(name, DateTime(timezone=True), nullable=null, server_default=default)


def json_column(name: str, *, null: bool = False, default: str | None = None) -> Column[Any]:
    """Declare a JSONB column."""
    return Column(name, JSONB, nullable=null, server_default=None if default is None else text(f"'{default}'::jsonb"))
