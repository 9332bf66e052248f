"""What publishing a scenario asks of the floors above it; a shell passes the answers in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import ScenarioId, TemplateId, TenantId
from dunning.scenarios.linter import TemplateFacts
from dunning.scenarios.publishing import ItemPlace


@dataclass(frozen=True, slots=True)
class PublishedTemplate:
    """The version of a template in force, and what the linter needs to know of it."""

    template_id: TemplateId
    version: int
    facts: TemplateFacts


class Templates(Protocol):
    """The tenant's templates, kept on a higher floor."""

    async def published(self, session: ReadSession, tenant_id: TenantId, codes: Collection[str]) -> Mapping[str, PublishedTemplate]:
        """Return the templates in force by code; codes without one are missing."""
        ...

    async def install(self, session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, codes: Collection[str], languages: Collection[str]) -> None:
        """Publish the shipped template of each code that the tenant has none for."""
        ...


class Places(Protocol):
    """Where open items stand in a scenario."""

    async def __call__(self, session: ReadSession, tenant_id: TenantId, scenario_id: ScenarioId, *, named: int) -> Sequence[ItemPlace]:
        """Return all open items that follow the scenario, by the way they came; at most `named` ids for each way."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All that publishing asks."""

    templates: Templates
    places: Places
