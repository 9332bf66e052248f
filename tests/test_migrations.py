"""Models equal migrations, to the letter of the catalogue; every step can be undone and done again; guards come with the tables."""

import asyncio

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from dunning.schema import APPEND_ONLY_TABLES, TENANT_TABLES, metadata
from dunning_cli import migrate
from tests.databases import run_sql, scratch_database

STRUCTURE = """
select 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
       || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') || case when a.attidentity <> '' then ' identity' else '' end as line
  from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
 where n.nspname = 'public' and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped and c.relname <> 'alembic_version'
union all
select 'constraint ' || c.relname || '.' || k.conname || ' ' || pg_get_constraintdef(k.oid)
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'public' and k.contype in ('p', 'u', 'f', 'c') and c.relname <> 'alembic_version'
union all
select 'index ' || indexdef from pg_indexes where schemaname = 'public' and tablename <> 'alembic_version'
union all
select 'options ' || c.relname || ' ' || array_to_string(c.reloptions, ',')
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind = 'r' and c.reloptions is not null
"""
GUARDS = """
select 'security ' || c.relname || ' ' || c.relrowsecurity || ' ' || c.relforcerowsecurity as line
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind = 'r' and c.relname <> 'alembic_version'
union all
select 'policy ' || tablename || '.' || policyname || ' ' || cmd || ' ' || qual || ' ' || with_check from pg_policies where schemaname = 'public'
union all
select 'trigger ' || c.relname || ' ' || pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid
  join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and not t.tgisinternal
union all
select 'function ' || p.proname || ' ' || md5(p.prosrc) from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'public'
union all
select 'grant ' || table_name || ' ' || grantee || ' ' || privilege_type from information_schema.role_table_grants
 where table_schema = 'public' and grantee in ('dunning_app', 'dunning_app_limited')
union all
select 'column grant ' || table_name || '.' || column_name || ' ' || grantee || ' ' || privilege_type from information_schema.column_privileges
 where table_schema = 'public' and grantee in ('dunning_app', 'dunning_app_limited') and table_name <> 'alembic_version'
"""


def lines(postgres, name, sql):
    return {row["line"] for row in run_sql(postgres.superuser_url(name), sql)}


@pytest.fixture(scope="module")
def migrated(postgres):
    with scratch_database(postgres, "scratch_migrated") as name:
        yield name


def test_there_is_one_line_of_migrations_with_one_end():
    scripts = ScriptDirectory.from_config(migrate.config_for("postgresql://nobody@/nothing"))
    assert len(scripts.get_heads()) == 1
    assert len(scripts.get_bases()) == 1


def test_models_equal_migrations(postgres, migrated):
    """Both ways of making the schema give the same catalogue: columns, defaults, keys, checks, indexes, fill factors."""

    async def create():
        engine = create_async_engine(postgres.owner_url("scratch_models").replace("postgresql://", "postgresql+asyncpg://", 1))
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        await engine.dispose()

    with scratch_database(postgres, "scratch_models", migrated=False) as name:
        asyncio.run(create())
        by_models = lines(postgres, name, STRUCTURE)
    by_migrations = lines(postgres, migrated, STRUCTURE)
    assert by_migrations - by_models == set(), "only in migrations"
    assert by_models - by_migrations == set(), "only in models"


def test_control_a_column_that_only_a_migration_has_is_found(postgres):
    with scratch_database(postgres, "scratch_control") as name:
        before = lines(postgres, name, STRUCTURE)
        run_sql(postgres.owner_url(name), "alter table hold add column surprise text", "alter table item drop constraint item_allocated_within_amount_check")
        after = lines(postgres, name, STRUCTURE)
    assert {line.split()[1] for line in before ^ after} == {"hold.surprise", "item.item_allocated_within_amount_check"}


def test_every_tenant_table_has_its_guards(postgres, migrated):
    guards = lines(postgres, migrated, GUARDS)
    for table in TENANT_TABLES:
        assert f"security {table} true true" in guards
        assert {line.split()[1] for line in guards if line.startswith(f"policy {table}.")} == {f"{table}.tenant_only", f"{table}.sight"}
        rights = {line.split()[-1] for line in guards if line.startswith(f"grant {table} dunning_app ")}
        assert rights == {line.split()[-1] for line in guards if line.startswith(f"grant {table} dunning_app_limited ")}, table
        allowed = {"SELECT", "INSERT"} if table in {*APPEND_ONLY_TABLES, "event"} else {"SELECT", "INSERT", "UPDATE", "DELETE"}
        assert rights == allowed, table
        assert any(line.startswith(f"trigger {table} ") and "refuse_change" in line for line in guards) == (table in APPEND_ONLY_TABLES), table


def test_every_migration_can_be_undone_and_done_again(postgres):
    scripts = ScriptDirectory.from_config(migrate.config_for("postgresql://nobody@/nothing"))
    revisions = [script.revision for script in scripts.walk_revisions()]
    with scratch_database(postgres, "scratch_steps") as name:
        config = migrate.config_for(postgres.owner_url(name))
        whole = lines(postgres, name, STRUCTURE) | lines(postgres, name, GUARDS)
        for revision in revisions:
            before = lines(postgres, name, STRUCTURE) | lines(postgres, name, GUARDS)
            command.downgrade(config, "-1")
            command.upgrade(config, revision)
            assert before ^ (lines(postgres, name, STRUCTURE) | lines(postgres, name, GUARDS)) == set(), revision
            command.downgrade(config, "-1")
        left = run_sql(postgres.superuser_url(name), "select tablename from pg_tables where schemaname = 'public' and tablename <> 'alembic_version'")
        assert left == []
        assert (
            run_sql(postgres.superuser_url(name), "select proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace where nspname = 'public'") == []
        )
        command.upgrade(config, "head")
        assert lines(postgres, name, STRUCTURE) | lines(postgres, name, GUARDS) == whole


def test_migrating_twice_changes_nothing(postgres, migrated):
    before = lines(postgres, migrated, STRUCTURE)
    migrate.upgrade(postgres.owner_url(migrated))
    assert lines(postgres, migrated, STRUCTURE) == before


def test_tenants_that_exist_get_the_built_in_statuses(postgres):
    """Whoever was there before has them as whoever comes after; a folder of their own with such a code stays as it is."""
    with scratch_database(postgres, "scratch_statuses") as name:
        config = migrate.config_for(postgres.owner_url(name))
        command.downgrade(config, "0100")
        run_sql(
            postgres.superuser_url(name),
            "insert into tenant (tenant_id, name, mode) select gen_random_uuid(), 'T' || n, 'live' from generate_series(1, 2) n",
            "insert into folder (tenant_id, code, name) select tenant_id, 'litigation', 'Our own' from tenant where name = 'T1'",
        )
        command.upgrade(config, "head")
        rows = run_sql(
            postgres.superuser_url(name), "select count(*) as n, count(distinct tenant_id) as t, bool_and(folder_code = code) as filed from item_status"
        )
        assert [tuple(row.values()) for row in rows] == [(12, 2, True)]
        names = run_sql(postgres.superuser_url(name), "select name from folder where code = 'litigation' order by name")
        assert [row["name"] for row in names] == ["In litigation", "Our own"]
