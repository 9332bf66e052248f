"""Published scenario versions as planning and sending use them, kept in memory: a version never changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg

from dunning.collection.override_store import StoredOverride
from dunning.kit.database import ReadSession
from dunning.kit.ids import TenantId
from dunning.scenarios import definition
from dunning.scenarios.overrides import Override, applied
from dunning.scenarios.rules import Compiled, Id, compile_scenario
from dunning.scenarios.steps import Step

KEPT = 2000
"""Versions kept by one process, over all tenants."""


class MissingVersion(LookupError):
    """Progress names a scenario version that does not exist; the database's keys make that impossible while it is whole."""


@dataclass(frozen=True, slots=True)
class Published:
    """Hold one published version: the rules' form, its steps by code, and the template versions frozen with it."""

    compiled: Compiled
    steps: Mapping[str, Step]
    template_versions: Mapping[str, tuple[UUID, int]]

    @property
    def uses_calendar(self) -> bool:
        """Tell whether any day of this scenario depends on closed days."""
        return self.compiled.shifts or any(step.business_days for step in (*self.compiled.ladder, *self.compiled.by_fact))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Hold the versions that some positions name."""

    versions: Mapping[tuple[Id, int], Published]

    @property
    def compiled(self) -> dict[tuple[Id, int], Compiled]:
        """The versions as the planning rules take them."""
        return {key: published.compiled for key, published in self.versions.items()}

    def uses_calendar(self, keys: Iterable[tuple[Id, int]]) -> bool:
        """Tell whether any of these versions depends on closed days."""
        return any(self.versions[key].uses_calendar for key in keys)

    def varied_by(self, overrides: Sequence[StoredOverride]) -> Catalogue:
        """Return the versions as they are for one customer: with its own steps in each scenario that it changed, told by the templates frozen with them."""
        if not overrides:
            return self
        made = self.with_own_steps([(str(one.scenario_id), Override(one.kind, one.step_code, one.content)) for one in overrides])
        templates: dict[Id, dict[str, tuple[UUID, int]]] = {}
        for one in overrides:
            found = {code: (UUID(str(frozen[0])), int(frozen[1])) for code, frozen in one.template_versions.items()}
            templates.setdefault(str(one.scenario_id), {}).update(found)
        return Catalogue(
            {
                key: replace(published, template_versions={**published.template_versions, **templates[key[0]]}) if templates.get(key[0]) else published
                for key, published in made.versions.items()
            }
        )

    def with_own_steps(self, overrides: Sequence[tuple[Id, Override]]) -> Catalogue:
        """Return the versions with overrides applied, each to its scenario."""
        changed: dict[Id, list[Override]] = {}
        for scenario_id, override in overrides:
            changed.setdefault(scenario_id, []).append(override)
        if not changed:
            return self
        return Catalogue({key: _variant(published, changed[key[0]]) if key[0] in changed else published for key, published in self.versions.items()})

    def __getitem__(self, key: tuple[Id, int]) -> Published:
        return self.versions[key]


_kept: dict[tuple[UUID, Id, int], Published] = {}


async def load(session: ReadSession, tenant_id: TenantId, keys: Collection[tuple[Id, int]]) -> Catalogue:
    """Return published versions by scenario id (as text) and version, reading only those this process has not seen."""
    found = {key: kept for key in keys if (kept := _kept.get((tenant_id, *key))) is not None}
    missing = [key for key in keys if key not in found]
    if missing:
        read = await _read(session, tenant_id, missing)
        if len(_kept) + len(read) > KEPT:
            _kept.clear()
        _kept.update({(tenant_id, *key): published for key, published in read.items()})
        found |= read
    lost = [key for key in keys if key not in found]
    if lost:
        msg = f"scenario version not found: {lost[0]}"
        raise MissingVersion(msg)
    return Catalogue(found)


async def _read(session: ReadSession, tenant_id: TenantId, keys: list[tuple[Id, int]]) -> dict[tuple[Id, int], Published]:
    rows = await session.rows(
        """select v.scenario_id, v.version, v.content, v.template_versions
             from unnest($2::uuid[], $3::int[]) as wanted(scenario_id, version)
             join scenario_version v on v.tenant_id = $1 and v.scenario_id = wanted.scenario_id and v.version = wanted.version""",
        tenant_id,
        [UUID(str(scenario_id)) for scenario_id, _ in keys],
        [version for _, version in keys],
    )
    return {(str(row["scenario_id"]), row["version"]): _published(row) for row in rows}


def _published(row: asyncpg.Record) -> Published:
    scenario = definition.parse(row["content"])
    templates = {code: (UUID(str(found[0])), int(found[1])) for code, found in row["template_versions"].items()}
    return Published(compile_scenario(scenario), {step.code: step for step in scenario.steps}, templates)


def _variant(published: Published, overrides: Sequence[Override]) -> Published:
    """Return a version with overrides applied; one that a newer version leaves no room for is passed over."""
    made, _ = applied(published.compiled.scenario, overrides)
    return Published(compile_scenario(made), {step.code: step for step in made.steps}, published.template_versions)
