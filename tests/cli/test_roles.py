"""The database roles: made twice without harm, and missed with a sentence that says what to run (T2)."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from dunning.kit.settings import Settings
from dunning_cli import migrate, roles
from tests.databases import run_sql, scratch_database

APP = "made_app"


@pytest.fixture
def no_roles(postgres: Any) -> Any:
    """Take the roles of these tests away before and after."""
    drop = [f"drop role if exists {name}" for name in (APP, f"{APP}_limited")]
    run_sql(postgres.superuser_url(), *drop)
    yield
    run_sql(postgres.superuser_url(), *drop)


async def make(postgres: Any) -> list[str]:
    return await roles.create(Settings(owner_database_url=postgres.superuser_url(), app_role=APP), "owner", "app")


async def test_roles_are_made_once_and_made_good_again(postgres: Any, no_roles: Any) -> None:
    first = await make(postgres)
    assert f"role {APP}_limited created" in first
    connection = await asyncpg.connect(postgres.superuser_url())
    await connection.execute(f"grant {APP}_limited to {APP} with inherit true")
    second = await make(postgres)
    assert f"role {APP}_limited updated" in second
    rights = await connection.fetchrow(
        """select pg_has_role($1, $2, 'set') as may_become, pg_has_role($1, $2, 'usage') as inherits,
                  (select rolcanlogin from pg_roles where rolname = $2) as may_log_in""",
        APP,
        f"{APP}_limited",
    )
    await connection.close()
    assert rights is not None
    assert dict(rights) == {"may_become": True, "inherits": False, "may_log_in": False}


def test_the_statements_that_are_printed_name_all_three_roles() -> None:
    text = "; ".join(roles.sql_for(APP))
    assert f"create role {APP}_limited nologin" in text
    assert f"grant {APP}_limited to {APP} with inherit false, set true" in text


def test_a_migration_without_the_limited_role_says_what_to_run(postgres: Any, no_roles: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation older than the role is told, and nothing is left half done."""
    run_sql(postgres.superuser_url(), f"create role {APP} login")
    monkeypatch.setenv("DUNNING_APP_ROLE", APP)
    with scratch_database(postgres, "scratch_roles", migrated=False) as name:
        with pytest.raises(RuntimeError, match=f"The role {APP}_limited is missing") as refused:
            migrate.upgrade(postgres.owner_url(name))
        assert "dunning roles" in str(refused.value)
        run_sql(postgres.superuser_url(), f"create role {APP}_limited nologin", f"grant {APP}_limited to {APP} with inherit false, set true")
        migrate.upgrade(postgres.owner_url(name))
        found = run_sql(postgres.superuser_url(name), "select count(*) as n from pg_policies where policyname = 'sight'")
        assert found[0]["n"] > 50
        run_sql(postgres.superuser_url(name), f"drop owned by {APP}, {APP}_limited")
