"""Scenarios: drafts, checking, publishing, versions, and scenarios as code."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Response

from dunning.collection.places import places_in_scenario
from dunning.kit.ids import ScenarioId
from dunning.messages.template_service import PublishedTemplates
from dunning.scenarios import service as scenarios
from dunning.scenarios.ports import Ports
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.etags import IfMatch, expected_revision, tag
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.scenarios import Code, FindingsOut, PublicationOut, ScenarioCreate, ScenarioOut, ScenarioUpdate, ScenarioVersionOut

router = Router(tags=["scenarios"])
PORTS = Ports(templates=PublishedTemplates(), places=places_in_scenario)

Version = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of a published version.")]
ShippedCode = Annotated[
    str, Path(max_length=63, description="`claims` (six phases), `reminder` (one repeated reminder) or `recovery` (up to counsel).", examples=["claims"])
]


@router.post("/scenarios", status_code=201, summary="Create a scenario", responses=problems(409))
async def create_scenario(body: ScenarioCreate, work: Annotated[Work, writes("scenarios:write", repeatable=True)], response: Response) -> ScenarioOut:
    """Store a scenario as a draft. Nothing uses it until it is published and assigned to a ledger, customer group, customer or item. All wrong places are listed at once."""
    stored = await scenarios.create_scenario(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, content=body.content())
    tag(response, stored.draft_revision)
    return ScenarioOut.of(stored)


@router.get("/scenarios", summary="List scenarios", responses=problems())
async def list_scenarios(
    work: Annotated[Work, reads()],
    code: Annotated[Code | None, Query(description="Only the scenario of this code.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[ScenarioOut]:
    """List scenarios in the order of their creation."""
    after = paging.unseal(work.keyring, "scenarios", cursor, 1)
    found = await scenarios.scenarios_after(work.session, tenant_id=work.tenant_id, code=code, after=UUID(after[0]) if after else None, limit=limit + 1)
    more = paging.seal(work.keyring, "scenarios", found[limit - 1].scenario_id) if len(found) > limit else None
    return Page(data=[ScenarioOut.of(stored) for stored in found[:limit]], next_cursor=more)


@router.get("/scenarios/{scenario_id}", summary="Read a scenario", responses=problems(404))
async def get_scenario(scenario_id: UUID, work: Annotated[Work, reads()], response: Response) -> ScenarioOut:
    """Return a scenario with its draft. The `ETag` is the draft's revision."""
    stored = await scenarios.scenario_of(work.session, tenant_id=work.tenant_id, scenario_id=ScenarioId(scenario_id))
    tag(response, stored.draft_revision)
    return ScenarioOut.of(stored)


@router.patch("/scenarios/{scenario_id}", summary="Change a draft", responses=problems(404, 412, 428))
async def update_scenario(
    scenario_id: UUID, body: ScenarioUpdate, work: Annotated[Work, writes("scenarios:write")], response: Response, if_match: IfMatch = None
) -> ScenarioOut:
    """Change the draft. The published version, and what it sends, stays as it is until the draft is published. The code cannot change."""
    stored = await scenarios.update_scenario(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        scenario_id=ScenarioId(scenario_id),
        expected_revision=expected_revision(if_match),
        changes=body.content(),
    )
    tag(response, stored.draft_revision)
    return ScenarioOut.of(stored)


@router.post("/scenarios/{scenario_id}/lint", summary="Check a draft", responses=problems(404))
async def lint_scenario(scenario_id: UUID, work: Annotated[Work, reads()]) -> FindingsOut:
    """Check the draft against the published templates in all languages of the tenant, without publishing it."""
    return FindingsOut.of(await scenarios.lint_scenario(work.session, PORTS.templates, tenant_id=work.tenant_id, scenario_id=ScenarioId(scenario_id)))


@router.post("/scenarios/{scenario_id}/publish", summary="Publish a draft", responses=problems(404))
async def publish_scenario(scenario_id: UUID, work: Annotated[Work, writes("scenarios:write")]) -> PublicationOut:
    """Publish the draft as the next version, frozen with the versions of its templates. Errors are listed all at once (422). The answer says which open items are concerned. Publishing an unchanged draft makes no new version."""
    made = await scenarios.publish_scenario(work.session, work.clock, PORTS, tenant_id=work.tenant_id, actor=work.actor, scenario_id=ScenarioId(scenario_id))
    return PublicationOut.of(made)


@router.get("/scenarios/{scenario_id}/versions", summary="List published versions", responses=problems(404))
async def list_scenario_versions(
    scenario_id: UUID, work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None
) -> Page[ScenarioVersionOut]:
    """List the published versions of a scenario, the newest first."""
    name = f"scenario_versions.{scenario_id}"
    below = paging.unseal(work.keyring, name, cursor, 1)
    found = await scenarios.versions_below(
        work.session, tenant_id=work.tenant_id, scenario_id=ScenarioId(scenario_id), below=int(below[0]) if below else None, limit=limit + 1
    )
    more = paging.seal(work.keyring, name, found[limit - 1].version) if len(found) > limit else None
    return Page(data=[ScenarioVersionOut.of(stored) for stored in found[:limit]], next_cursor=more)


@router.get("/scenarios/{scenario_id}/versions/{version}", summary="Read a published version", responses=problems(404))
async def get_scenario_version(scenario_id: UUID, version: Version, work: Annotated[Work, reads()]) -> ScenarioVersionOut:
    """Return one published version as it was published."""
    return ScenarioVersionOut.of(await scenarios.version_of(work.session, tenant_id=work.tenant_id, scenario_id=ScenarioId(scenario_id), version=version))


@router.get("/scenarios/{scenario_id}/content", summary="Export a scenario as code", responses=problems(404))
async def export_scenario(
    scenario_id: UUID,
    work: Annotated[Work, reads()],
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="A published version; left out: the draft.")] = None,
) -> dict[str, Any]:
    """Return the scenario's content with every setting, to keep in version control. `POST /scenarios` takes it as it is, under another code or in another tenant."""
    return await scenarios.content_of(work.session, tenant_id=work.tenant_id, scenario_id=ScenarioId(scenario_id), version=version)


@router.post(
    "/scenarios/shipped/{code}",
    status_code=201,
    summary="Install a shipped scenario",
    responses={200: {"model": ScenarioOut, "description": "It was there already and was left as it is."}, **problems(404)},
)
async def install_shipped_scenario(code: ShippedCode, work: Annotated[Work, writes("scenarios:write")], response: Response) -> ScenarioOut:
    """Create a copy of a scenario that comes with the product, with its templates in the tenant's languages, and publish it. A scenario or template of the same code is left as it is (200)."""
    stored, is_new = await scenarios.install_shipped_scenario(work.session, work.clock, PORTS, tenant_id=work.tenant_id, actor=work.actor, code=code)
    response.status_code = 201 if is_new else 200
    tag(response, stored.draft_revision)
    return ScenarioOut.of(stored)
