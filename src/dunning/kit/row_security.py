"""What every tenant table gets beside its columns: forced row level security, grants for the app role, append-only guards.

Migrations call these with the names of their tables; the start-up check (`unsafe_parts`) walks the catalogue and names what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dunning.kit.errors import Unavailable

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
        statements.append(f'create trigger append_only before update or delete on "{table}" for each row execute function refuse_change()')
    return statements


REFUSE_CHANGE = """
create or replace function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'rows of % are never changed or deleted', tg_table_name using errcode = 'restrict_violation';
end $$
"""

_CATALOGUE_FAULTS = r"""
with relation as (
  select c.oid, c.relname, c.relkind, c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relname <> all ($1) as of_tenants
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where n.nspname = 'public'
), policy as (
  select polrelid, polcmd, polpermissive, polroles,
         regexp_replace(pg_get_expr(polqual, polrelid), '\s|[()]|::text|AS current_setting', '', 'g') as using_text,
         regexp_replace(pg_get_expr(polwithcheck, polrelid), '\s|[()]|::text|AS current_setting', '', 'g') as check_text
    from pg_policy
)
select 'role ' || current_user || ' is or may become the superuser ' || rolname as fault
  from pg_roles where rolsuper and pg_has_role(current_user, oid, 'member')
union all
select 'role ' || current_user || ' bypasses row level security as ' || rolname
  from pg_roles where rolbypassrls and not rolsuper and pg_has_role(current_user, oid, 'member')
union all
select 'role ' || current_user || ' owns or may come to own table ' || relname
  from relation where relkind in ('r', 'p') and pg_has_role(current_user, relowner, 'member')
union all
select 'role ' || current_user || ' may truncate table ' || relname
  from relation where relkind in ('r', 'p') and of_tenants and has_table_privilege(current_user, oid, 'truncate')
union all
select 'table ' || relname || ' does not force row level security'
  from relation where relkind in ('r', 'p') and of_tenants and not (relrowsecurity and relforcerowsecurity)
union all
select 'table ' || r.relname || ' has no tenant policy for reading and writing, or a second policy beside it'
  from relation r
 where r.relkind in ('r', 'p') and r.of_tenants
   and (not exists (select 1 from policy p where p.polrelid = r.oid and p.polcmd = '*' and p.polpermissive and p.polroles = array[0::oid]
                     and p.using_text = $2 and p.check_text = $2)
        or (select count(*) from policy p where p.polrelid = r.oid) > 1)
union all
select 'constraint ' || k.conname || ' of ' || r.relname || ' does not begin with tenant_id'
  from pg_constraint k join relation r on r.oid = k.conrelid
 where r.of_tenants and k.contype in ('p', 'u', 'f')
   and ((select a.attname from pg_attribute a where a.attrelid = k.conrelid and a.attnum = k.conkey[1]) <> 'tenant_id'
        or (k.contype = 'f'
            and (select a.attname from pg_attribute a where a.attrelid = k.confrelid and a.attnum = k.confkey[1]) <> 'tenant_id'))
union all
select 'unique index ' || i.relname || ' of ' || r.relname || ' does not begin with tenant_id'
  from pg_index x join pg_class i on i.oid = x.indexrelid join relation r on r.oid = x.indrelid
 where r.of_tenants and x.indisunique
   and coalesce((select a.attname from pg_attribute a where a.attrelid = r.oid and a.attnum = x.indkey[0]), '') <> 'tenant_id'
union all
select 'view ' || relname || ' runs with the rights of its owner'
  from relation where relkind = 'v' and not coalesce('security_invoker=true' = any (reloptions), false)
union all
select 'materialized view ' || relname || ' knows no row level security' from relation where relkind = 'm'
union all
select 'function ' || p.proname || ' runs with the rights of its owner'
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'public' and p.prosecdef
"""

_EXPECTED_POLICY = "tenant_id=SELECTcurrent_setting'dunning.tenant'::uuid"
"""The policy as the catalogue shows it, without white space, parentheses and what PostgreSQL adds."""

TABLES_WITHOUT_TENANT: Sequence[str] = ("due_work", "relay_circuit", "relay_rate", "alembic_version")
"""Tables without row level security; none holds business content."""


async def unsafe_parts(connection: Any) -> list[str]:
    """Return, for the role of an asyncpg connection, a sentence for each guard that is missing; empty means safe to serve."""
    return [row["fault"] for row in await connection.fetch(_CATALOGUE_FAULTS, list(TABLES_WITHOUT_TENANT), _EXPECTED_POLICY)]


async def refuse_unsafe(connection: Any) -> None:
    """Raise `Unavailable` naming every missing guard: no process may serve with a role or table that lets one tenant see another's rows."""
    faults = await unsafe_parts(connection)
    if faults:
        msg = "Refusing to serve: " + "; ".join(faults) + ". Run `migrate` as the owner, and serve as a role that owns nothing (`roles` makes both)."
        raise Unavailable(msg)
