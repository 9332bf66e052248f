"""Templates as drafts, their checking and publishing, and the shipped ones.

A published version is never changed. Scenarios freeze the version of each template when they are published themselves, so a new version of a template
reaches customers when the scenario that names it is published again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session, encode_json
from dunning.kit.errors import Conflict, Malformed, NotFound, PreconditionFailed
from dunning.kit.ids import TemplateId, TenantId, new_id
from dunning.messages import template_store as store
from dunning.messages.grammar import Problem
from dunning.messages.shipped import shipped_templates
from dunning.messages.template_store import Contents
from dunning.messages.templates import PARTS, Inspection, check, facts_of, inspect
from dunning.scenarios.ports import PublishedTemplate
from dunning.tenancy import service as tenancy

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class TemplateCodeTaken(Conflict):
    """Another template of the tenant has this code."""

    code = "template_code_taken"
    title = "The code is taken"


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """A template with its draft. `draft_revision` counts changes; `published_version` is the version in force, None before the first."""

    template_id: TemplateId
    code: str
    name: str
    draft: Contents
    draft_revision: int
    published_version: int | None
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class StoredTemplateVersion:
    """A published version of a template."""

    template_id: TemplateId
    version: int
    contents: Contents
    content_sha256: bytes
    published_by: str
    published_at: dt.datetime


@dataclass(frozen=True, slots=True)
class TemplatePublication:
    """What publishing did. `is_new` is False when the draft equals the version in force.

    `languages_missing` are languages of the tenant that the template lacks: scenarios that name it cannot be published until it has them.
    `scenarios_to_publish` are the codes of those whose version in force still uses an older version of it.
    """

    version: StoredTemplateVersion
    is_new: bool
    warnings: tuple[Problem, ...]
    languages_missing: tuple[str, ...]
    scenarios_to_publish: tuple[str, ...]


def _template(row: asyncpg.Record) -> StoredTemplate:
    return StoredTemplate(
        template_id=TemplateId(row["template_id"]),
        code=row["code"],
        name=row["name"],
        draft=row["draft"],
        draft_revision=row["draft_revision"],
        published_version=row["published_version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _version(row: asyncpg.Record) -> StoredTemplateVersion:
    return StoredTemplateVersion(
        template_id=TemplateId(row["template_id"]),
        version=row["version"],
        contents=row["contents"],
        content_sha256=row["content_sha256"],
        published_by=row["published_by"],
        published_at=row["published_at"],
    )


def _whole(contents: Mapping[str, Mapping[str, str | None]]) -> Contents:
    """Return contents with every part of every language, None where it is left out, so that equal drafts compare equal."""
    return {language: {part: parts.get(part) for part in PARTS} for language, parts in sorted(contents.items())}


async def create_template(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, code: str, name: str, contents: Mapping[str, Mapping[str, str | None]]
) -> StoredTemplate:
    """Store a draft, faults and all; raise `TemplateCodeTaken` for a code in use. Publishing checks it."""
    if _CODE.fullmatch(code) is None:
        msg = "code: expected at most 63 letters, digits, '.', '_' or '-'"
        raise Malformed(msg, [{"field": "code", "message": msg}])
    template_id = TemplateId(new_id())
    if not await store.insert_template(session, tenant_id, template_id, code, name, _whole(contents)):
        msg = f"There is a template {code} already. Change that one, or take another code."
        raise TemplateCodeTaken(msg)
    await _record(session, clock, tenant_id, actor, "template.created", template_id, {"code": code})
    return await template_of(session, tenant_id=tenant_id, template_id=template_id)


async def update_template(
    session: Session,
    clock: Clock,
    *,
    tenant_id: TenantId,
    actor: str,
    template_id: TemplateId,
    expected_revision: int | None,
    name: str | None,
    contents: Mapping[str, Mapping[str, str | None] | None] | None,
) -> StoredTemplate:
    """Change name or languages of a draft; None leaves the name, a language left out stays, a language that is None goes.

    Raise `PreconditionFailed` when the draft's revision is another than `expected_revision` (None: whatever it is). Unchanged content keeps its revision.
    """
    stored = await _locked(session, tenant_id, template_id)
    if expected_revision is not None and expected_revision != stored.draft_revision:
        msg = f"The draft has revision {stored.draft_revision}, not {expected_revision}. Read it again and repeat your change on it."
        raise PreconditionFailed(msg)
    merged = {language: parts for language, parts in {**stored.draft, **(contents or {})}.items() if parts is not None}
    draft, new_name = _whole(merged), name or stored.name
    if (draft, new_name) != (stored.draft, stored.name):
        await store.update_draft(session, tenant_id, template_id, new_name, draft)
        await _record(session, clock, tenant_id, actor, "template.changed", template_id, {"revision": stored.draft_revision + 1})
    return await template_of(session, tenant_id=tenant_id, template_id=template_id)


async def inspect_template(session: ReadSession, *, tenant_id: TenantId, template_id: TemplateId) -> Inspection:
    """Check a draft without publishing it: every fault, and what its writer should look at."""
    stored = await template_of(session, tenant_id=tenant_id, template_id=template_id)
    return inspect(stored.draft, code=stored.code)


async def publish_template(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, template_id: TemplateId) -> TemplatePublication:
    """Publish a draft as the next version; raise `TemplateRefused` with every fault, each with language, part and line.

    A draft that equals the version in force makes no new version.
    """
    stored = await _locked(session, tenant_id, template_id)
    found = check(stored.draft, code=stored.code)
    digest = hashlib.sha256(encode_json(stored.draft).encode()).digest()
    number = stored.published_version or 0
    in_force = await store.version_row(session, tenant_id, template_id, number)
    is_new = in_force is None or in_force["content_sha256"] != digest
    if is_new:
        number += 1
        await store.insert_version(session, tenant_id, template_id, number, stored.draft, digest, actor)
        await store.set_published(session, tenant_id, template_id, number)
        await _record(session, clock, tenant_id, actor, "template.published", template_id, {"version": number})
    tenant = await tenancy.tenant_of(session, tenant_id)
    return TemplatePublication(
        version=await version_of(session, tenant_id=tenant_id, template_id=template_id, version=number),
        is_new=is_new,
        warnings=found.warnings,
        languages_missing=tuple(sorted(set(tenant.languages) - found.facts.languages)),
        scenarios_to_publish=tuple(await store.scenarios_on_older_version(session, tenant_id, stored.code, number)),
    )


async def template_of(session: ReadSession, *, tenant_id: TenantId, template_id: TemplateId) -> StoredTemplate:
    """Return one template; raise `NotFound`."""
    return _template(_found(await store.template_row(session, tenant_id, template_id)))


async def templates_after(session: ReadSession, *, tenant_id: TenantId, code: str | None, after: UUID | None, limit: int) -> list[StoredTemplate]:
    """Return templates in the order of their creation, all or the one of a code."""
    return [_template(row) for row in await store.template_rows(session, tenant_id, code, after, limit)]


async def version_of(session: ReadSession, *, tenant_id: TenantId, template_id: TemplateId, version: int) -> StoredTemplateVersion:
    """Return one published version; raise `NotFound`."""
    return _version(_found(await store.version_row(session, tenant_id, template_id, version), "template version"))


async def versions_below(session: ReadSession, *, tenant_id: TenantId, template_id: TemplateId, below: int | None, limit: int) -> list[StoredTemplateVersion]:
    """Return published versions of a template, the newest first; raise `NotFound` when there is no such template."""
    await template_of(session, tenant_id=tenant_id, template_id=template_id)
    return [_version(row) for row in await store.version_rows(session, tenant_id, template_id, below, limit)]


class PublishedTemplates:
    """The tenant's templates as publishing a scenario asks for them."""

    async def published(self, session: ReadSession, tenant_id: TenantId, codes: Collection[str]) -> dict[str, PublishedTemplate]:
        """Return the templates in force by code; codes without one are missing."""
        found = await store.published_versions(session, tenant_id, codes)
        return {code: PublishedTemplate(template_id, version, facts_of(contents, code=code)) for code, (template_id, version, contents) in found.items()}

    async def install(self, session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, codes: Collection[str], languages: Collection[str]) -> None:
        """Publish the shipped template of each code that the tenant has none for; one that it has, published or not, is left as it is."""
        shipped = shipped_templates()
        for code in sorted(set(codes) & set(shipped)):
            if await store.template_rows(session, tenant_id, code, None, 1):
                continue
            contents = {language: parts for language, parts in shipped[code].items() if language in languages}
            made = await create_template(session, clock, tenant_id=tenant_id, actor=actor, code=code, name=code, contents=contents)
            await publish_template(session, clock, tenant_id=tenant_id, actor=actor, template_id=made.template_id)


async def install_shipped_template(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, code: str) -> tuple[StoredTemplate, bool]:
    """Create and publish a shipped template in the tenant's languages; tell whether it is new. One of the same code is left as it is."""
    if code not in shipped_templates():
        noun = "shipped template"
        raise NotFound(noun)
    present = await store.template_rows(session, tenant_id, code, None, 1)
    if not present:
        tenant = await tenancy.tenant_of(session, tenant_id)
        await PublishedTemplates().install(session, clock, tenant_id=tenant_id, actor=actor, codes=[code], languages=tenant.languages)
    found = await store.template_rows(session, tenant_id, code, None, 1)
    return _template(found[0]), not present


async def _locked(session: Session, tenant_id: TenantId, template_id: TemplateId) -> StoredTemplate:
    return _template(_found(await store.template_row_for_update(session, tenant_id, template_id)))


def _found(row: asyncpg.Record | None, noun: str = "template") -> asyncpg.Record:
    if row is None:
        raise NotFound(noun)
    return row


async def _record(session: Session, clock: Clock, tenant_id: TenantId, actor: str, kind: str, template_id: TemplateId, data: Mapping[str, Any]) -> None:
    await events.record(session, clock, tenant_id=tenant_id, kind=kind, subject_kind="template", subject_id=template_id, actor=actor, data=data)
