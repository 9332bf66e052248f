"""What every tenant table gets beside its columns: forced row level security, grants for the app role, append-only guards.

Migrations call these with the names of their tables; the start-up check (`unsafe_parts`) walks the catalogue and names what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

TENANT_MATCHES = "tenant_id = (select current_setting('dunning.tenant')::uuid)"
_NAME = re.compile(r"[a-z_][a-z0-9_]*")


def guard_statements(table: str, app_role: str, *, append_only: bool) -> list[str]:
    """Return the statements that put one tenant table under guard."""
    if not (_NAME.fullmatch(table) and _NAME.fullmatch(app_role)):
        msg = f"not a plain name: {table!r}, {app_role!r}"
        raise ValueError(msg)
    rights = "select, insert" if append_only else "select, insert, update, delete"
    statements = [
        f'alter table "{table}" enable row level security',
        f'alter table "{table}" force row level security',
        f'create policy tenant_only on "{table}" using ({TENANT_MATCHES}) with check ({TENANT_MATCHES})',
        f'revoke all on "{table}" from {app_role}',
        f'grant {rights} on "{table}" to {app_role}',
    ]
    if append_only:
        statements.append(
            f'create trigger append_only before update or delete on "{table}" for each row execute function refuse_change()'
        )
    return statements


REFUSE_CHANGE = """
create or replace function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'rows of % are never changed or deleted', tg_table_name using errcode = 'restrict_violation';
end $$
"""

_CATALOGUE_FAULTS = """
select 'role ' || current_user || ' is a superuser' as fault from pg_roles where rolname = current_user and rolsuper
union all
select 'role ' || current_user || ' bypasses row level security' from pg_roles where rolname = current_user and rolbypassrls
union all
select 'role ' || current_user || ' owns table ' || c.relname
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'public' and c.relkind in ('r', 'p') and pg_get_userbyid(c.relowner) = current_user
union all
select 'table ' || c.relname || ' does not force row level security'
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname <> all ($1)
   and not (c.relrowsecurity and c.relforcerowsecurity)
union all
select 'table ' || c.relname || ' has no tenant policy for reading and writing'
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname <> all ($1)
   and (not exists (select 1 from pg_policy p where p.polrelid = c.oid and p.polcmd = '*'
                     and pg_get_expr(p.polqual, c.oid) like '%dunning.tenant%'
                     and pg_get_expr(p.polwithcheck, c.oid) like '%dunning.tenant%')
        or (select count(*) from pg_policy p where p.polrelid = c.oid) > 1)
union all
select 'constraint ' || k.conname || ' of ' || c.relname || ' does not begin with tenant_id'
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'public' and c.relname <> all ($1) and k.contype in ('p', 'u', 'f')
   and (select a.attname from pg_attribute a where a.attrelid = c.oid and a.attnum = k.conkey[1]) <> 'tenant_id'
union all
select 'unique index ' || i.relname || ' of ' || c.relname || ' does not begin with tenant_id'
  from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'public' and c.relname <> all ($1) and x.indisunique
   and coalesce((select a.attname from pg_attribute a where a.attrelid = c.oid and a.attnum = x.indkey[0]), '') <> 'tenant_id'
union all
select 'view ' || c.relname || ' runs with the rights of its owner'
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'public' and c.relkind = 'v' and not coalesce('security_invoker=true' = any (c.reloptions), false)
"""

TABLES_WITHOUT_TENANT: Sequence[str] = ("due_work", "relay_circuit", "relay_rate", "alembic_version")
"""Tables without row level security; none holds business content."""


async def unsafe_parts(connection: Any) -> list[str]:
    """Return, for the role of an asyncpg connection, a sentence for each guard that is missing; empty means safe to serve."""
    return [row["fault"] for row in await connection.fetch(_CATALOGUE_FAULTS, list(TABLES_WITHOUT_TENANT))]
