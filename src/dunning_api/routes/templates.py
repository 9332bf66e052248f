"""Templates: drafts, checking, publishing, versions, previews, and what they may say."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response

from dunning.collection.claims import claim_data, told_by
from dunning.collection.customer_claim import creditor_of, customer_claim, ledger_of_customer
from dunning.evidence.links import link_urls
from dunning.kit.ids import TemplateId
from dunning.messages import preview, template_tests
from dunning.messages import template_service as templates
from dunning_api import paging
from dunning_api.deps import Work, reads, writes
from dunning_api.etags import IfMatch, expected_revision, tag
from dunning_api.idempotency import Router
from dunning_api.problems import problems
from dunning_api.schemas.base import Page
from dunning_api.schemas.scenarios import Code
from dunning_api.schemas.templates import (
    InspectionOut,
    PlaceholdersOut,
    PreviewCreate,
    PreviewOut,
    TemplateCreate,
    TemplateOut,
    TemplatePublicationOut,
    TemplateUpdate,
    TemplateVersionOut,
    TestSendCreate,
    TestSendOut,
)

router = Router(tags=["templates"])

Version = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of a published version.")]
ShippedCode = Annotated[str, Path(max_length=63, description="Code of a template that comes with the product, such as `reminder`.", examples=["reminder"])]


@router.get("/templates/placeholders", summary="What a template may say", responses=problems())
async def list_placeholders(_work: Annotated[Work, reads()]) -> PlaceholdersOut:
    """Return every placeholder, and every part of `item` and `block` in loops, with meaning and example."""
    return PlaceholdersOut.all()


@router.post("/templates", status_code=201, summary="Create a template", responses=problems(409))
async def create_template(body: TemplateCreate, work: Annotated[Work, writes("scenarios:write", repeatable=True)], response: Response) -> TemplateOut:
    """Store a template as a draft, languages side by side. Faults are reported when it is published, or by `check`."""
    stored = await templates.create_template(
        work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, code=body.code, name=body.name, contents=body.parts()
    )
    tag(response, stored.draft_revision)
    return TemplateOut.of(stored)


@router.get("/templates", summary="List templates", responses=problems())
async def list_templates(
    work: Annotated[Work, reads()],
    code: Annotated[Code | None, Query(description="Only the template of this code.")] = None,
    limit: paging.Limit = 100,
    cursor: paging.Cursor = None,
) -> Page[TemplateOut]:
    """List templates in the order of their creation."""
    after = paging.unseal(work.keyring, "templates", cursor, 1)
    found = await templates.templates_after(work.session, tenant_id=work.tenant_id, code=code, after=UUID(after[0]) if after else None, limit=limit + 1)
    more = paging.seal(work.keyring, "templates", found[limit - 1].template_id) if len(found) > limit else None
    return Page(data=[TemplateOut.of(stored) for stored in found[:limit]], next_cursor=more)


@router.get("/templates/{template_id}", summary="Read a template", responses=problems(404))
async def get_template(template_id: UUID, work: Annotated[Work, reads()], response: Response) -> TemplateOut:
    """Return a template with its draft. The `ETag` is the draft's revision."""
    stored = await templates.template_of(work.session, tenant_id=work.tenant_id, template_id=TemplateId(template_id))
    tag(response, stored.draft_revision)
    return TemplateOut.of(stored)


@router.patch("/templates/{template_id}", summary="Change a draft", responses=problems(404, 412, 428))
async def update_template(
    template_id: UUID, body: TemplateUpdate, work: Annotated[Work, writes("scenarios:write")], response: Response, if_match: IfMatch = None
) -> TemplateOut:
    """Change name or languages of the draft. What is published stays as it is. The code cannot change."""
    stored = await templates.update_template(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        template_id=TemplateId(template_id),
        expected_revision=expected_revision(if_match),
        name=body.name,
        contents=body.parts(),
    )
    tag(response, stored.draft_revision)
    return TemplateOut.of(stored)


@router.post("/templates/{template_id}/check", summary="Check a draft", responses=problems(404))
async def check_template(template_id: UUID, work: Annotated[Work, reads()]) -> InspectionOut:
    """Report every fault of the draft with language, part and line, without publishing it."""
    return InspectionOut.of(await templates.inspect_template(work.session, tenant_id=work.tenant_id, template_id=TemplateId(template_id)))


@router.post("/templates/{template_id}/publish", summary="Publish a draft", responses=problems(404))
async def publish_template(template_id: UUID, work: Annotated[Work, writes("scenarios:write")]) -> TemplatePublicationOut:
    """Publish the draft as the next version. Every fault is listed with language, part and line (422). Scenarios use the new version once they are published again; the answer names them. Publishing an unchanged draft makes no new version."""
    made = await templates.publish_template(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, template_id=TemplateId(template_id))
    return TemplatePublicationOut.of(made)


@router.get("/templates/{template_id}/versions", summary="List published versions", responses=problems(404))
async def list_template_versions(
    template_id: UUID, work: Annotated[Work, reads()], limit: paging.Limit = 100, cursor: paging.Cursor = None
) -> Page[TemplateVersionOut]:
    """List the published versions of a template, the newest first."""
    name = f"template_versions.{template_id}"
    below = paging.unseal(work.keyring, name, cursor, 1)
    found = await templates.versions_below(
        work.session, tenant_id=work.tenant_id, template_id=TemplateId(template_id), below=int(below[0]) if below else None, limit=limit + 1
    )
    more = paging.seal(work.keyring, name, found[limit - 1].version) if len(found) > limit else None
    return Page(data=[TemplateVersionOut.of(stored) for stored in found[:limit]], next_cursor=more)


@router.get("/templates/{template_id}/versions/{version}", summary="Read a published version", responses=problems(404))
async def get_template_version(template_id: UUID, version: Version, work: Annotated[Work, reads()]) -> TemplateVersionOut:
    """Return one published version as it was published."""
    return TemplateVersionOut.of(await templates.version_of(work.session, tenant_id=work.tenant_id, template_id=TemplateId(template_id), version=version))


@router.post("/templates/{template_id}/preview", summary="Look at a mail before it goes", responses=problems(404, 409))
async def preview_template(template_id: UUID, body: PreviewCreate, work: Annotated[Work, reads()]) -> PreviewOut:
    """Render the draft or a published version with a claim, with a customer as it stands now, or with a sample. It is the rendering that sending does: `sha256` of a claim's preview equals that of the mail's subject, text and HTML. Nothing is stored or sent; the reader's link is hidden."""
    ports = preview.PreviewPorts(
        claim_data=claim_data,
        link_urls=partial(link_urls, keyring=work.keyring, public_url=work.settings.public_url),
        customer_claim=customer_claim,
    )
    made = await preview.preview_template(
        work.session,
        work.clock,
        ports,
        tenant_id=work.tenant_id,
        template_id=TemplateId(template_id),
        version=body.version,
        subject=body.subject,
        language=body.language,
        content_mode=body.content_mode,
    )
    return PreviewOut.of(made)


@router.post("/templates/{template_id}/test-send", status_code=202, summary="Send a test to a colleague", responses=problems(404, 409))
async def send_test(template_id: UUID, body: TestSendCreate, work: Annotated[Work, writes("send", idempotent=True)]) -> TestSendOut:
    """Send the draft or a published version as a real mail to an address of your own. Its subject is marked as a test, and its link is dead. No customer is told, nothing is claimed, no step is reached.

    It leaves although sending is switched off; the emergency stop keeps it back (409). The address must lie in the tenant's `internal_domains` (422).
    """
    ports = template_tests.TestPorts(
        customer_claim=customer_claim,
        ledger_of_customer=ledger_of_customer,
        told_by=told_by,
        creditor_of=creditor_of,
    )
    queued = await template_tests.send_test(
        work.session,
        work.clock,
        ports,
        tenant_id=work.tenant_id,
        actor=work.actor,
        template_id=TemplateId(template_id),
        version=body.version,
        shown=body.shown,
        language=body.language,
        content_mode=body.content_mode,
        to_email=body.to,
        valid_hours=work.settings.message_valid_hours,
    )
    return TestSendOut(message_ids=list(queued))


@router.post(
    "/templates/shipped/{code}",
    status_code=201,
    summary="Install a shipped template",
    responses={200: {"model": TemplateOut, "description": "It was there already and was left as it is."}, **problems(404)},
)
async def install_shipped_template(code: ShippedCode, work: Annotated[Work, writes("scenarios:write")], response: Response) -> TemplateOut:
    """Create a copy of a template that comes with the product in the tenant's languages, and publish it. A template of the same code is left as it is (200)."""
    stored, is_new = await templates.install_shipped_template(work.session, work.clock, tenant_id=work.tenant_id, actor=work.actor, code=code)
    response.status_code = 201 if is_new else 200
    tag(response, stored.draft_revision)
    return TemplateOut.of(stored)
