"""Statements on templates and their published versions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

import asyncpg

from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ClaimId, TemplateId, TenantId

Contents = dict[str, dict[str, str | None]]
"""The texts of a template, by language and part."""

_TEMPLATE = "template_id, code, name, draft, draft_revision, published_version, created_at, updated_at"
_VERSION = "template_id, version, contents, content_sha256, published_by, published_at"


async def published_versions(session: ReadSession, tenant_id: TenantId, codes: Collection[str]) -> dict[str, tuple[TemplateId, int, Contents]]:
    """Return the version in force of each template that is published, by code; other codes are missing from the answer."""
    rows = await session.rows(
        """select t.code, t.template_id, v.version, v.contents
             from template t join template_version v
               on v.tenant_id = t.tenant_id and v.template_id = t.template_id and v.version = t.published_version
            where t.tenant_id = $1 and t.code = any ($2::text[])""",
        tenant_id,
        list(codes),
    )
    return {row["code"]: (TemplateId(row["template_id"]), row["version"], row["contents"]) for row in rows}


async def contents_of(session: ReadSession, tenant_id: TenantId, pairs: Collection[tuple[TemplateId, int]]) -> dict[tuple[TemplateId, int], Contents]:
    """Return the contents of published versions by template and version; versions that do not exist are missing from the answer."""
    rows = await session.rows(
        """select v.template_id, v.version, v.contents
             from unnest($2::uuid[], $3::int[]) as wanted(template_id, version)
             join template_version v on v.tenant_id = $1 and v.template_id = wanted.template_id and v.version = wanted.version""",
        tenant_id,
        [template_id for template_id, _ in pairs],
        [version for _, version in pairs],
    )
    return {(TemplateId(row["template_id"]), row["version"]): row["contents"] for row in rows}


async def insert_template(session: Session, tenant_id: TenantId, template_id: TemplateId, code: str, name: str, draft: Contents) -> bool:
    """Insert a template without a published version; False when the code is taken."""
    return bool(
        await session.execute(
            "insert into template (tenant_id, template_id, code, name, draft) values ($1, $2, $3, $4, $5) on conflict (tenant_id, code) do nothing",
            tenant_id,
            template_id,
            code,
            name,
            draft,
        )
    )


async def template_row(session: ReadSession, tenant_id: TenantId, template_id: TemplateId) -> asyncpg.Record | None:
    """Return a template."""
    return await session.row(f"select {_TEMPLATE} from template where tenant_id = $1 and template_id = $2", tenant_id, template_id)


async def template_row_for_update(session: Session, tenant_id: TenantId, template_id: TemplateId) -> asyncpg.Record | None:
    """Lock and return a template."""
    return await session.row(f"select {_TEMPLATE} from template where tenant_id = $1 and template_id = $2 for update", tenant_id, template_id)


async def template_rows(session: ReadSession, tenant_id: TenantId, code: str | None, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Return templates by id, all or the one of a code."""
    return await session.rows(
        f"""select {_TEMPLATE} from template
             where tenant_id = $1 and ($2::text is null or code = $2) and ($3::uuid is null or template_id > $3)
             order by template_id limit $4""",
        tenant_id,
        code,
        after,
        limit,
    )


async def update_draft(session: Session, tenant_id: TenantId, template_id: TemplateId, name: str, draft: Contents) -> None:
    """Store a changed draft under the next revision."""
    await session.execute(
        """update template set name = $3, draft = $4, draft_revision = draft_revision + 1, updated_at = clock_timestamp()
            where tenant_id = $1 and template_id = $2""",
        tenant_id,
        template_id,
        name,
        draft,
    )


async def insert_version(
    session: Session,
    tenant_id: TenantId,
    template_id: TemplateId,
    version: int,
    contents: Contents,
    content_sha256: bytes,
    actor: str,
) -> None:
    """Insert a published version, which is never changed."""
    await session.execute(
        """insert into template_version (tenant_id, template_id, version, contents, content_sha256, published_by)
           values ($1, $2, $3, $4, $5, $6)""",
        tenant_id,
        template_id,
        version,
        contents,
        content_sha256,
        actor,
    )


async def set_published(session: Session, tenant_id: TenantId, template_id: TemplateId, version: int) -> None:
    """Put a version in force."""
    await session.execute(
        "update template set published_version = $3, updated_at = clock_timestamp() where tenant_id = $1 and template_id = $2",
        tenant_id,
        template_id,
        version,
    )


async def version_row(session: ReadSession, tenant_id: TenantId, template_id: TemplateId, version: int) -> asyncpg.Record | None:
    """Return a published version."""
    return await session.row(
        f"select {_VERSION} from template_version where tenant_id = $1 and template_id = $2 and version = $3", tenant_id, template_id, version
    )


async def version_rows(session: ReadSession, tenant_id: TenantId, template_id: TemplateId, below: int | None, limit: int) -> list[asyncpg.Record]:
    """Return published versions, the newest first."""
    return await session.rows(
        f"""select {_VERSION} from template_version
             where tenant_id = $1 and template_id = $2 and ($3::int is null or version < $3) order by version desc limit $4""",
        tenant_id,
        template_id,
        below,
        limit,
    )


async def scenarios_on_older_version(session: ReadSession, tenant_id: TenantId, code: str, version: int) -> list[str]:
    """Return the codes of scenarios whose version in force uses an older version of a template."""
    rows: list[Any] = await session.rows(
        """select s.code from scenario s join scenario_version v
             on v.tenant_id = s.tenant_id and v.scenario_id = s.scenario_id and v.version = s.published_version
            where s.tenant_id = $1 and s.archived_at is null and (v.template_versions -> $2 ->> 1)::int < $3
            order by s.code""",
        tenant_id,
        code,
        version,
    )
    return [row["code"] for row in rows]


async def primary_message_of_claim(session: ReadSession, tenant_id: TenantId, claim_id: ClaimId) -> asyncpg.Record | None:
    """Return the first primary message to the customer about a claim, with the name it is addressed to."""
    return await session.row(
        """select m.message_id, m.language, m.content_mode, a.to_name
             from message m left join message_address a on a.tenant_id = m.tenant_id and a.message_id = m.message_id
            where m.tenant_id = $1 and m.claim_id = $2 and m.is_primary and m.audience = 'customer'
            order by m.message_id limit 1""",
        tenant_id,
        claim_id,
    )
