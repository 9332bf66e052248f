"""Statements on scenarios and their published versions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ScenarioId, TenantId

Content = dict[str, Any]
"""A scenario as JSON-able data."""

_SCENARIO = "scenario_id, code, name, draft, draft_revision, published_version, archived_at, created_at, updated_at"
_VERSION = "scenario_id, version, content, template_versions, content_sha256, published_by, published_at"


async def insert_scenario(session: Session, tenant_id: TenantId, scenario_id: ScenarioId, code: str, name: str, draft: Content) -> bool:
    """Insert a scenario without a published version; False when the code is taken."""
    return bool(
        await session.execute(
            "insert into scenario (tenant_id, scenario_id, code, name, draft) values ($1, $2, $3, $4, $5) on conflict (tenant_id, code) do nothing",
            tenant_id,
            scenario_id,
            code,
            name,
            draft,
        )
    )


async def scenario_row(session: ReadSession, tenant_id: TenantId, scenario_id: ScenarioId) -> asyncpg.Record | None:
    """Return a scenario."""
    return await session.row(f"select {_SCENARIO} from scenario where tenant_id = $1 and scenario_id = $2", tenant_id, scenario_id)


async def scenario_row_for_update(session: Session, tenant_id: TenantId, scenario_id: ScenarioId) -> asyncpg.Record | None:
    """Lock and return a scenario."""
    return await session.row(f"select {_SCENARIO} from scenario where tenant_id = $1 and scenario_id = $2 for update", tenant_id, scenario_id)


async def scenario_rows(session: ReadSession, tenant_id: TenantId, code: str | None, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return scenarios by id, all or the one of a code."""
    return await session.rows(
        f"""select {_SCENARIO} from scenario
             where tenant_id = $1 and ($2::text is null or code = $2) and ($3::uuid is null or scenario_id > $3)
             order by scenario_id limit $4""",
        tenant_id,
        code,
        after,
        limit,
    )


async def update_draft(session: Session, tenant_id: TenantId, scenario_id: ScenarioId, name: str, draft: Content) -> None:
    """Store a changed draft under the next revision."""
    await session.execute(
        """update scenario set name = $3, draft = $4, draft_revision = draft_revision + 1, updated_at = clock_timestamp()
            where tenant_id = $1 and scenario_id = $2""",
        tenant_id,
        scenario_id,
        name,
        draft,
    )


async def insert_version(
    session: Session,
    tenant_id: TenantId,
    scenario_id: ScenarioId,
    version: int,
    content: Content,
    template_versions: dict[str, list[Any]],
    content_sha256: bytes,
    actor: str,
) -> None:
    """Insert a published version, which is never changed."""
    await session.execute(
        """insert into scenario_version (tenant_id, scenario_id, version, content, template_versions, content_sha256, published_by)
           values ($1, $2, $3, $4, $5, $6, $7)""",
        tenant_id,
        scenario_id,
        version,
        content,
        template_versions,
        content_sha256,
        actor,
    )


async def set_published(session: Session, tenant_id: TenantId, scenario_id: ScenarioId, version: int) -> None:
    """Put a version in force."""
    await session.execute(
        "update scenario set published_version = $3, updated_at = clock_timestamp() where tenant_id = $1 and scenario_id = $2",
        tenant_id,
        scenario_id,
        version,
    )


async def version_row(session: ReadSession, tenant_id: TenantId, scenario_id: ScenarioId, version: int) -> asyncpg.Record | None:
    """Return a published version."""
    return await session.row(
        f"select {_VERSION} from scenario_version where tenant_id = $1 and scenario_id = $2 and version = $3", tenant_id, scenario_id, version
    )


async def version_rows(session: ReadSession, tenant_id: TenantId, scenario_id: ScenarioId, below: int | None, limit: int) -> list[asyncpg.Record]:
    """Return published versions, the newest first."""
    return await session.rows(
        f"""select {_VERSION} from scenario_version
             where tenant_id = $1 and scenario_id = $2 and ($3::int is null or version < $3) order by version desc limit $4""",
        tenant_id,
        scenario_id,
        below,
        limit,
    )


async def contents_of_versions(session: ReadSession, tenant_id: TenantId, scenario_id: ScenarioId, versions: Collection[int]) -> dict[int, Content]:
    """Return the contents of some versions by their number."""
    rows = await session.rows(
        "select version, content from scenario_version where tenant_id = $1 and scenario_id = $2 and version = any ($3::int[])",
        tenant_id,
        scenario_id,
        list(versions),
    )
    return {row["version"]: row["content"] for row in rows}


async def bump_ledgers_using(session: Session, tenant_id: TenantId, scenario_id: ScenarioId) -> int:
    """Raise the revision of every ledger in which the scenario is assigned to the ledger, a group, a customer or an item."""
    return await session.execute(
        """update ledger set revision = revision + 1
            where tenant_id = $1 and ledger_id in (
                  select ledger_id from (
                    (select ledger_id from ledger where tenant_id = $1 and scenario_id = $2)
                    union (select ledger_id from customer_group where tenant_id = $1 and scenario_id = $2)
                    union (select ledger_id from customer where tenant_id = $1 and scenario_id = $2)
                    union (select ledger_id from item where tenant_id = $1 and scenario_id = $2)) users)""",
        tenant_id,
        scenario_id,
    )
