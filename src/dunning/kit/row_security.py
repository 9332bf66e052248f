"""What every tenant table gets beside its columns: forced row level security, grants for the app role, append-only guards, a limit to sight.

Callers who see only some customers are served as a second role, which the app role takes for one transaction and from which it inherits nothing.
A restrictive policy for that role alone stands on each tenant table (`sight`), so that every statement obeys, and the app role's plans stay as they are.

Migrations call these with the names of their tables; the start-up check (`unsafe_parts`) walks the catalogue and names what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dunning.kit.database import LIMITED_SUFFIX
from dunning.kit.errors import Unavailable

TENANT_MATCHES = "tenant_id = (select current_setting('dunning.tenant')::uuid)"
_NAME = re.compile(r"[a-z_][a-z0-9_]*")

BY_CUSTOMER = "customer_id in (select seen_customers())"
"""Sight of a table whose rows belong to a customer."""
BY_CUSTOMER_IF_ANY = f"customer_id is null or {BY_CUSTOMER}"
"""Sight of a table whose rows may also belong to nobody in particular, such as what happened to the tenant."""
EVERYBODY = "true"
"""Sight of what the whole tenant shares: settings, texts, people."""
NOBODY = "false"
"""Sight of what concerns all customers at once: runs, files, rules. Only who sees everything sees it."""


def through(table: str, parent: str, column: str, parent_column: str | None = None) -> str:
    """Return the sight of a table that belongs to rows of another: whoever sees the parent sees it."""
    return f"exists (select 1 from {parent} p where p.tenant_id = {table}.tenant_id and p.{parent_column or column} = {table}.{column})"


def limited_role(app_role: str) -> str:
    """Return the name of the role of limited sight that belongs to an app role."""
    return f"{app_role}{LIMITED_SUFFIX}"


def guard_statements(table: str, app_role: str, *, append_only: bool, sight: str | None = None) -> list[str]:
    """Return the statements that put one tenant table under guard; without `sight` the table is given one later, by `sight_statements`."""
    _check_names(table, app_role)
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
    return statements + (sight_statements(table, app_role, sight, append_only=append_only) if sight is not None else [])


def sight_statements(table: str, app_role: str, sight: str, *, append_only: bool, check: str | None = None) -> list[str]:
    """Return the statements that let the role of limited sight use a table as far as `sight` goes; `check` is what it may write, where that is less."""
    _check_names(table, app_role)
    role = limited_role(app_role)
    rights = "select, insert" if append_only else "select, insert, update, delete"
    return [
        f'create policy sight on "{table}" as restrictive to {role} using ({sight}) with check ({check or sight})',
        f'grant {rights} on "{table}" to {role}',
    ]


def _check_names(table: str, app_role: str) -> None:
    if not (_NAME.fullmatch(table) and _NAME.fullmatch(app_role)):
        msg = f"not a plain name: {table!r}, {app_role!r}"
        raise ValueError(msg)


SEEN_CUSTOMERS_BODY = """
  select a.customer_id from public.assignment a
   where a.tenant_id = (select current_setting('dunning.tenant')::uuid) and a.ended_on is null
     and a.person_id = any (string_to_array(current_setting('dunning.sight'), ',')::uuid[])
"""
SEEN_CUSTOMERS = f"""
create function seen_customers() returns setof uuid language sql stable parallel safe rows 300 security definer
  set search_path = pg_catalog, pg_temp as $${SEEN_CUSTOMERS_BODY}$$
"""
"""Who is looked after by the people whose sight a transaction has: an absent setting raises, an empty one gives none.

It runs with its owner's rights, because a policy on `assignment` that read `assignment` would ask itself without end. The owner is bound by the
tenant's policy as everybody is, and the tenant stands in the statement besides; it tells no more than the limited role may see anyway.
"""

CONTACTS_OF_ADDRESSES_BODY = """
  select m.address_sha256, coalesce(min(m.accepted_on), min((m.not_before at time zone l.time_zone)::date)), bool_or(m.accepted_on is not null)
    from public.message m
    join public.action a on a.tenant_id = m.tenant_id and a.action_id = m.action_id and a.origin in ('scenario', 'specific')
    join public.ledger l on l.tenant_id = m.tenant_id and l.ledger_id = m.ledger_id
   where m.tenant_id = (select current_setting('dunning.tenant')::uuid) and m.ledger_id = ledger and m.address_sha256 = any (addresses)
     and m.audience = 'customer' and not m.is_copy and m.resend_of is null and m.state not in ('rejected', 'suppressed', 'expired', 'cancelled')
     and (m.accepted_on is null or m.accepted_on > after)
   group by m.address_sha256, m.action_id
  union all
  select n.address_sha256, (n.business_at at time zone l.time_zone)::date, true
    from public.activity n join public.ledger l on l.tenant_id = n.tenant_id and l.ledger_id = n.ledger_id
   where n.tenant_id = (select current_setting('dunning.tenant')::uuid) and n.ledger_id = ledger and n.address_sha256 = any (addresses)
     and n.business_at >= (after + 1)::timestamp at time zone l.time_zone
"""
CONTACTS_OF_ADDRESSES = f"""
create function contacts_of_addresses(ledger uuid, addresses bytea[], after date) returns table (address_sha256 bytea, on_day date, made boolean)
  language sql stable security definer set search_path = pg_catalog, pg_temp as $${CONTACTS_OF_ADDRESSES_BODY}$$
"""
"""The days after one on which people of a ledger were mailed or called, or will be, by the digests of their addresses; one day a contact.

It runs with its owner's rights, because a person may be that of several customers of whom the caller sees one only: a budget that counted those alone
would be none. It tells days, and of whom the caller has the address already; the tenant stands in the statement, as in the policy that binds the owner.
"""


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
), limited as (
  select to_regrole(quote_ident(current_user || $3))::oid as oid
), policy as (
  select polrelid, polname, polcmd, polpermissive, polroles, not polpermissive and polroles = array[coalesce((select oid from limited), 0)] as of_sight,
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
        or (select count(*) from policy p where p.polrelid = r.oid and not p.of_sight) > 1)
union all
select 'role ' || current_user || $3 || ' is missing' from limited where oid is null
union all
select 'role ' || current_user || ' may not become ' || current_user || $3 from limited where not pg_has_role(current_user, oid, 'set')
union all
select 'role ' || current_user || ' inherits from ' || current_user || $3 || ', whose limits then bind it always'
  from limited where pg_has_role(current_user, oid, 'usage')
union all
select 'role ' || current_user || $3 || ' may ' || wish || ' table ' || r.relname || ', which ' || current_user || ' may not'
  from limited, relation r, unnest(array['select', 'insert', 'update', 'delete', 'truncate']) as wish
 where r.relkind in ('r', 'p') and has_table_privilege(limited.oid, r.oid, wish) and not has_table_privilege(current_user, r.oid, wish)
union all
select 'table ' || r.relname || ' has no limit to sight, or not the one of its customer'
  from limited, relation r
 where r.relkind in ('r', 'p') and r.of_tenants
   and not exists (select 1 from policy p where p.polrelid = r.oid and p.polname = 'sight' and p.of_sight and p.polcmd = '*'
                     and p.using_text is not null and p.check_text is not null
                     and (p.using_text in ($4, 'customer_idISNULLOR' || $4, 'false')
                          or not exists (select 1 from pg_attribute a where a.attrelid = r.oid and a.attname = 'customer_id' and not a.attisdropped)))
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
   and not (p.proconfig = array['search_path=pg_catalog, pg_temp'] and (p.proname::text, p.prosrc) in (select * from unnest($5::text[], $6::text[])))
"""

_EXPECTED_POLICY = "tenant_id=SELECTcurrent_setting'dunning.tenant'::uuid"
"""The policy as the catalogue shows it, without white space, parentheses and what PostgreSQL adds."""

_EXPECTED_SIGHT = "customer_idINSELECTseen_customersASseen_customers"
"""The sight of a table of customers, shown the same way."""

TABLES_WITHOUT_TENANT: Sequence[str] = ("due_work", "relay_circuit", "relay_rate", "alembic_version")
"""Tables without row level security; none holds business content."""


async def unsafe_parts(connection: Any) -> list[str]:
    """Return, for the role of an asyncpg connection, a sentence for each guard that is missing; empty means safe to serve."""
    with_owners_rights = {"seen_customers": SEEN_CUSTOMERS_BODY, "contacts_of_addresses": CONTACTS_OF_ADDRESSES_BODY}
    stated = (
        list(TABLES_WITHOUT_TENANT), _EXPECTED_POLICY, LIMITED_SUFFIX, _EXPECTED_SIGHT, list(with_owners_rights), list(with_owners_rights.values()),
    )  # fmt: skip
    return [row["fault"] for row in await connection.fetch(_CATALOGUE_FAULTS, *stated)]


async def refuse_unsafe(connection: Any) -> None:
    """Raise `Unavailable` naming every missing guard: no process may serve with a role or table that lets one tenant see another's rows."""
    faults = await unsafe_parts(connection)
    if faults:
        msg = (
            "Refusing to serve: "
            + "; ".join(faults)
            + ". Run `migrate` as the owner, and serve as a role that owns nothing (`roles` makes all that are needed)."
        )
        raise Unavailable(msg)
