"""Scenarios as drafts, their checking and publishing, and the shipped ones.

A published version is never changed: it freezes its content and the version of each template it names, so that editing either later does not
rewrite what was sent, and reaches customers only by publishing again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg

from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session, encode_json
from dunning.kit.errors import Conflict, Malformed, NotFound, PreconditionFailed
from dunning.kit.ids import ScenarioId, TenantId, new_id
from dunning.scenarios import definition, store
from dunning.scenarios.compiled import compile_scenario
from dunning.scenarios.linter import Finding, Severity, lint
from dunning.scenarios.ports import Ports, PublishedTemplate, Templates
from dunning.scenarios.publishing import Concern, concerns
from dunning.scenarios.shipped import shipped_scenarios
from dunning.scenarios.steps import Scenario
from dunning.scenarios.store import Content
from dunning.tenancy import service as tenancy

NAMED_ITEMS = 100
"""Items named for each kind of concern; all are counted."""


class ScenarioMalformed(Malformed):
    """The content is not that of a scenario."""

    code = "scenario_malformed"
    title = "The scenario cannot be read"


class ScenarioRefused(Malformed):
    """The scenario has errors that forbid publishing; `errors` lists every finding."""

    code = "scenario_refused"
    title = "The scenario cannot be published"


class ScenarioCodeTaken(Conflict):
    """Another scenario of the tenant has this code."""

    code = "scenario_code_taken"
    title = "The code is taken"


@dataclass(frozen=True, slots=True)
class StoredScenario:
    """A scenario with its draft. `draft_revision` counts changes; `published_version` is the version in force, None before the first."""

    scenario_id: ScenarioId
    code: str
    name: str
    draft: Content
    draft_revision: int
    published_version: int | None
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A published version: its content and, by template code, the template's id and version frozen with it."""

    scenario_id: ScenarioId
    version: int
    content: Content
    template_versions: Mapping[str, tuple[UUID, int]]
    content_sha256: bytes
    published_by: str
    published_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Publication:
    """What publishing did. `is_new` is False when nothing had changed since the version in force."""

    version: StoredVersion
    is_new: bool
    warnings: tuple[Finding, ...]
    concerned: tuple[Concern, ...]
    open_items: int
    ledgers_planned_again: int


def _scenario(row: asyncpg.Record) -> StoredScenario:
    return StoredScenario(
        scenario_id=ScenarioId(row["scenario_id"]),
        code=row["code"],
        name=row["name"],
        draft=row["draft"],
        draft_revision=row["draft_revision"],
        published_version=row["published_version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _version(row: asyncpg.Record) -> StoredVersion:
    return StoredVersion(
        scenario_id=ScenarioId(row["scenario_id"]),
        version=row["version"],
        content=row["content"],
        template_versions={code: (UUID(found[0]), found[1]) for code, found in row["template_versions"].items()},
        content_sha256=row["content_sha256"],
        published_by=row["published_by"],
        published_at=row["published_at"],
    )


def _read(content: object) -> Scenario:
    """Read content with its steps in rank order, in which they are stored and shown; raise `ScenarioMalformed`."""
    try:
        scenario = definition.parse(content)
    except definition.InvalidDefinition as error:
        wrong = [{"field": path, "message": message} for path, message in error.problems]
        msg = f"{len(wrong)} place(s) of the scenario are wrong. First: {wrong[0]['field']}: {wrong[0]['message']}."
        raise ScenarioMalformed(msg, wrong) from None
    return replace(scenario, steps=tuple(sorted(scenario.steps, key=lambda step: step.rank)))


async def create_scenario(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, content: object) -> StoredScenario:
    """Store a scenario's content as a draft; raise `ScenarioMalformed` with every wrong place, `ScenarioCodeTaken` for a code in use."""
    scenario = _read(content)
    scenario_id = ScenarioId(new_id())
    if not await store.insert_scenario(session, tenant_id, scenario_id, scenario.code, scenario.name, definition.to_content(scenario)):
        msg = f"There is a scenario {scenario.code} already. Change that one, or take another code."
        raise ScenarioCodeTaken(msg)
    await _record(session, clock, tenant_id, actor, "scenario.created", scenario_id, {"code": scenario.code})
    return await scenario_of(session, tenant_id=tenant_id, scenario_id=scenario_id)


async def update_scenario(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, scenario_id: ScenarioId, expected_revision: int | None, changes: Mapping[str, Any]
) -> StoredScenario:
    """Change top-level parts of a draft, steps as a whole; the published version stays as it is.

    Raise `PreconditionFailed` when the draft's revision is another than `expected_revision` (None: whatever it is). Unchanged content keeps its revision.
    """
    stored = await _locked(session, tenant_id, scenario_id)
    if expected_revision is not None and expected_revision != stored.draft_revision:
        msg = f"The draft has revision {stored.draft_revision}, not {expected_revision}. Read it again and repeat your change on it."
        raise PreconditionFailed(msg)
    scenario = _read({**stored.draft, **changes, "code": stored.code})
    content = definition.to_content(scenario)
    if content != stored.draft:
        await store.update_draft(session, tenant_id, scenario_id, scenario.name, content)
        await _record(session, clock, tenant_id, actor, "scenario.changed", scenario_id, {"revision": stored.draft_revision + 1})
    return await scenario_of(session, tenant_id=tenant_id, scenario_id=scenario_id)


async def lint_scenario(session: ReadSession, templates: Templates, *, tenant_id: TenantId, scenario_id: ScenarioId) -> list[Finding]:
    """Check a draft with the templates in force, in all languages of the tenant; errors first."""
    stored = await scenario_of(session, tenant_id=tenant_id, scenario_id=scenario_id)
    scenario = _read(stored.draft)
    used = await templates.published(session, tenant_id, _template_codes(scenario))
    return await _findings(session, tenant_id, scenario, used)


async def publish_scenario(session: Session, clock: Clock, ports: Ports, *, tenant_id: TenantId, actor: str, scenario_id: ScenarioId) -> Publication:
    """Publish a draft as the next version and have everybody who follows it planned again.

    Raise `ScenarioRefused` with all findings when the draft has errors. A draft that equals the version in force, templates included, makes no new version.
    """
    stored = await _locked(session, tenant_id, scenario_id)
    scenario = _read(stored.draft)
    used = await ports.templates.published(session, tenant_id, _template_codes(scenario))
    findings = await _findings(session, tenant_id, scenario, used)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        msg = f"{len(errors)} error(s) in the scenario. First: {errors[0].path}: {errors[0].message}"
        raise ScenarioRefused(msg, [{"field": f.path, "message": f.message, "code": f.code, "severity": f.severity.value} for f in findings])
    template_versions = {code: [str(template.template_id), template.version] for code, template in sorted(used.items())}
    digest = hashlib.sha256(encode_json([stored.draft, template_versions]).encode()).digest()
    in_force = await _in_force(session, tenant_id, stored)
    places = await ports.places(session, tenant_id, scenario_id, named=NAMED_ITEMS)
    open_items = sum(place.count for place in places)
    if in_force is not None and in_force.content_sha256 == digest:
        return Publication(in_force, is_new=False, warnings=tuple(findings), concerned=(), open_items=open_items, ledgers_planned_again=0)
    versions = await store.contents_of_versions(session, tenant_id, scenario_id, {version for place in places for version, _ in place.reached})
    compiled = {version: compile_scenario(definition.parse(content)) for version, content in versions.items()}
    number = (stored.published_version or 0) + 1
    await store.insert_version(session, tenant_id, scenario_id, number, stored.draft, template_versions, digest, actor)
    await store.set_published(session, tenant_id, scenario_id, number)
    ledgers = await store.bump_ledgers_using(session, tenant_id, scenario_id)
    await _record(session, clock, tenant_id, actor, "scenario.published", scenario_id, {"version": number})
    published = await version_of(session, tenant_id=tenant_id, scenario_id=scenario_id, version=number)
    return Publication(
        published,
        is_new=True,
        warnings=tuple(findings),
        concerned=tuple(concerns(places, compile_scenario(scenario), compiled)),
        open_items=open_items,
        ledgers_planned_again=ledgers,
    )


async def install_shipped_scenario(session: Session, clock: Clock, ports: Ports, *, tenant_id: TenantId, actor: str, code: str) -> tuple[StoredScenario, bool]:
    """Create and publish a shipped scenario with its templates in the tenant's languages; tell whether it is new.

    A scenario or template of the same code that the tenant already has is left as it is. Raise `NotFound` for a code that is not shipped.
    """
    content = shipped_scenarios().get(code)
    if content is None:
        noun = "shipped scenario"
        raise NotFound(noun)
    present = await store.scenario_rows(session, tenant_id, code, None, 1)
    if present:
        return _scenario(present[0]), False
    tenant = await tenancy.tenant_of(session, tenant_id)
    await ports.templates.install(
        session, clock, tenant_id=tenant_id, actor=actor, codes=_template_codes(definition.parse(content)), languages=tenant.languages
    )
    made = await create_scenario(session, clock, tenant_id=tenant_id, actor=actor, content=content)
    await publish_scenario(session, clock, ports, tenant_id=tenant_id, actor=actor, scenario_id=made.scenario_id)
    return await scenario_of(session, tenant_id=tenant_id, scenario_id=made.scenario_id), True


async def scenario_of(session: ReadSession, *, tenant_id: TenantId, scenario_id: ScenarioId) -> StoredScenario:
    """Return one scenario; raise `NotFound`."""
    return _scenario(_found(await store.scenario_row(session, tenant_id, scenario_id)))


async def scenarios_after(session: ReadSession, *, tenant_id: TenantId, code: str | None, after: UUID | None, limit: int) -> list[StoredScenario]:
    """Return scenarios in the order of their creation, all or the one of a code."""
    return [_scenario(row) for row in await store.scenario_rows(session, tenant_id, code, after, limit)]


async def version_of(session: ReadSession, *, tenant_id: TenantId, scenario_id: ScenarioId, version: int) -> StoredVersion:
    """Return one published version; raise `NotFound`."""
    return _version(_found(await store.version_row(session, tenant_id, scenario_id, version), "scenario version"))


async def versions_below(session: ReadSession, *, tenant_id: TenantId, scenario_id: ScenarioId, below: int | None, limit: int) -> list[StoredVersion]:
    """Return published versions of a scenario, the newest first; raise `NotFound` when there is no such scenario."""
    await scenario_of(session, tenant_id=tenant_id, scenario_id=scenario_id)
    return [_version(row) for row in await store.version_rows(session, tenant_id, scenario_id, below, limit)]


async def content_of(session: ReadSession, *, tenant_id: TenantId, scenario_id: ScenarioId, version: int | None) -> Content:
    """Return the draft's content, or a published version's, as a file to keep or to create a scenario from."""
    if version is None:
        return (await scenario_of(session, tenant_id=tenant_id, scenario_id=scenario_id)).draft
    return (await version_of(session, tenant_id=tenant_id, scenario_id=scenario_id, version=version)).content


async def _findings(session: ReadSession, tenant_id: TenantId, scenario: Scenario, used: Mapping[str, PublishedTemplate]) -> list[Finding]:
    tenant = await tenancy.tenant_of(session, tenant_id)
    return lint(scenario, {code: template.facts for code, template in used.items()}, tenant.languages)


async def _in_force(session: ReadSession, tenant_id: TenantId, stored: StoredScenario) -> StoredVersion | None:
    if stored.published_version is None:
        return None
    return await version_of(session, tenant_id=tenant_id, scenario_id=stored.scenario_id, version=stored.published_version)


async def _locked(session: Session, tenant_id: TenantId, scenario_id: ScenarioId) -> StoredScenario:
    return _scenario(_found(await store.scenario_row_for_update(session, tenant_id, scenario_id)))


def _found(row: asyncpg.Record | None, noun: str = "scenario") -> asyncpg.Record:
    if row is None:
        raise NotFound(noun)
    return row


def _template_codes(scenario: Scenario) -> list[str]:
    return sorted({code for step in scenario.steps for notice in step.notices for code in notice.templates})


async def _record(session: Session, clock: Clock, tenant_id: TenantId, actor: str, kind: str, scenario_id: ScenarioId, data: Mapping[str, Any]) -> None:
    await events.record(session, clock, tenant_id=tenant_id, kind=kind, subject_kind="scenario", subject_id=scenario_id, actor=actor, data=data)
