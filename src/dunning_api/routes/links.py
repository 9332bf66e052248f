"""Links: seen, revoked, and resolved for a company's own extranet."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from dunning.collection.claims import claim_data
from dunning.evidence import extranet, links
from dunning.evidence.readings import Reader
from dunning.kit.errors import Gone
from dunning.kit.ids import LinkId
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from dunning_api.problems import problem, problems
from dunning_api.schemas.links import LinkOut, LinkResolve, LinkResolved, LinkRevoke

router = Router(tags=["evidence"])


@router.get("/links/{link_id}", summary="Get a link", responses=problems(404))
async def get_link(link_id: UUID, work: Annotated[Work, reads()]) -> LinkOut:
    """Return a link with its grade in words, how often it was fetched, and whether it is locked, expired or revoked."""
    return LinkOut.of(await links.link_of(work.session, tenant_id=work.tenant_id, link_id=LinkId(link_id)))


@router.post("/links/{link_id}/revoke", summary="Revoke a link", responses=problems(404))
async def revoke_link(link_id: UUID, body: LinkRevoke, work: Annotated[Work, writes("collection:write")]) -> LinkOut:
    """Make a link lead to a neutral page from now on. Visits are still recorded. Revoking again keeps the first reason."""
    revoked = await links.revoke_link(
        work.session,
        work.clock,
        tenant_id=work.tenant_id,
        actor=work.actor,
        link_id=LinkId(link_id),
        reason=body.reason,
    )
    return LinkOut.of(revoked)


@router.post("/links/resolve", summary="Resolve a link for your own extranet", response_model=LinkResolved, responses=problems(404, 410))
async def resolve_link(body: LinkResolve, work: Annotated[Work, writes("links:resolve")]) -> LinkResolved | Response:
    """Exchange the token that a customer brought to your own extranet for the claim, and record who read it.

    Call it from your server when a signed-in reader opens the page, never for a visitor you do not know: the reading is recorded as
    vouched for by this API key. The claim is frozen as it was told; `open_now`, `settled` and `also_open` are the state of today.
    The example needs a live token, from a mail of yours, in the place of its own. A token that is not one of your customers' links is 404; a revoked or expired link is 410, and the visit is recorded.
    """
    resolved = await extranet.resolve_link(
        work.session,
        work.clock,
        claim_data,
        keyring=work.keyring,
        tenant_id=work.tenant_id,
        actor=work.actor,
        token=body.token,
        reader=Reader(body.reader.name, body.reader.role, body.reader.contact),
        acknowledged=body.act == "acknowledge",
        statement=body.statement,
    )
    if isinstance(resolved, extranet.Closed):
        # Answered, not raised: the visit to the closed link is kept.
        return problem(410, Gone.code, Gone.title, f"This link is {resolved.door}. Ask the customer to use the newest mail.", state=resolved.door)
    return LinkResolved.of(resolved.visit, resolved.live, resolved.grade, work.actor)
