"""Statements on a batch of rows cost what the batch costs, also for a tenant of which the planner's statistics know nothing yet.

Measured on the real plans, in a database of its own whose statistics were taken before the tenant had rows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from uuid import UUID

import pytest

from dunning.collection import fact_store
from dunning.kit.columns import UNSEEN_TENANT
from dunning.kit.database import Database, Session
from dunning.kit.ids import new_id
from dunning.messages import store
from dunning_cli.embedded import EmbeddedPostgres
from tests.conftest import MONDAY, TenantWorld, make_tenant
from tests.databases import run_sql, scratch_database
from tests.messages.rows import Ground, lay_ground, queue

OLD, YOUNG, BATCH = 1000, 1000, 50
A_FEW_TABLES_ONCE = 5 * (OLD + YOUNG)
A_TABLE_FOR_EACH = YOUNG * BATCH // 2
NAME = "scratch_young"


class _Undone(Exception):
    """Ends a transaction whose work is only looked at."""


@pytest.fixture(scope="module")
def server(postgres: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """A server with the database in which statistics are taken when this test says so."""
    with scratch_database(postgres, NAME):
        yield postgres


@pytest.fixture
async def young(server: EmbeddedPostgres) -> AsyncIterator[tuple[TenantWorld, Ground]]:
    """A tenant that has come after the last look at the tables, beside one that was there."""
    database = await Database.connect(server.app_url(NAME), size=2, name="young")
    try:
        old = await make_tenant(database)
        await filled(old, OLD)
        await asyncio.to_thread(run_sql, server.superuser_url(NAME), "analyze")
        tenant = await make_tenant(database)
        yield tenant, await filled(tenant, YOUNG)
    finally:
        await database.close()


async def filled(tenant: TenantWorld, count: int) -> Ground:
    """Queue so many messages, each to a customer of its own with an action of its own."""
    async with tenant.database.transaction(tenant.tenant_id) as session:
        ground = await lay_ground(session, tenant.tenant_id)
        await queue(session, ground, [f"ap@k{n}.example" for n in range(count)])
    return ground


async def passed_over(tenant: TenantWorld, sql: str, *values: Any) -> int:
    """Return how many rows the statement reads in vain; what it does is undone."""
    try:
        async with tenant.database.transaction(tenant.tenant_id) as session:
            raise _Undone(await _passed_over(session, sql, *values))
    except _Undone as undone:
        count: int = undone.args[0]
        return count


async def _passed_over(session: Session, sql: str, *values: Any) -> int:
    await session.execute("set local plan_cache_mode = force_custom_plan")
    (found,) = await session.rows(f"explain (analyze, timing off, format json) {sql}", *values)
    return _in_vain(json.loads(found[0])[0]["Plan"] if isinstance(found[0], str) else found[0][0]["Plan"])


def _in_vain(node: Mapping[str, Any]) -> int:
    own = (node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Join Filter", 0)) * node["Actual Loops"]
    return int(own) + sum(_in_vain(part) for part in node.get("Plans", ()))


def claiming(tenant: TenantWorld) -> list[Any]:
    """Return the values with which a batch of messages is claimed."""
    return [tenant.tenant_id, "sink", MONDAY, BATCH, 60.0, 0, 60.0, 1.0, "test", [new_id() for _ in range(BATCH)], False]


def looking(tenant: TenantWorld, ground: Ground) -> list[Any]:
    """Return the values with which the facts about a batch of customers are read."""
    customers: list[UUID] = ground.customers[:BATCH]
    return [tenant.tenant_id, MONDAY.date(), customers, [None] * BATCH]


async def test_a_batch_of_a_young_tenant_reads_no_table_again_for_each_of_its_rows(young: tuple[TenantWorld, Ground]) -> None:
    """S0-10: neither the claim of messages nor the facts of customers go through all rows of the tenant for each of the batch."""
    tenant, ground = young
    assert await passed_over(tenant, store._CLAIM, *claiming(tenant)) < A_FEW_TABLES_ONCE
    assert await passed_over(tenant, fact_store._GIVEN, *looking(tenant, ground)) < A_FEW_TABLES_ONCE


async def test_statements_that_show_the_planner_their_tenant_would(young: tuple[TenantWorld, Ground]) -> None:
    """The control: the same statements, told the tenant itself, read all of its rows for each of the batch."""
    tenant, ground = young
    assert await passed_over(tenant, store._CLAIM.replace(UNSEEN_TENANT, "$1"), *claiming(tenant)) > A_TABLE_FOR_EACH
    assert await passed_over(tenant, fact_store._GIVEN.replace(UNSEEN_TENANT, "$1"), *looking(tenant, ground)) > A_TABLE_FOR_EACH
