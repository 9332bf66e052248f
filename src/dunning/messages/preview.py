"""A look at a mail before it goes: the same rendering that dispatch does, over a sample, a frozen claim, or a customer as it stands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import escape

from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession
from dunning.kit.errors import Malformed, NotFound
from dunning.kit.ids import ClaimId, CustomerId, TemplateId, TenantId
from dunning.messages import template_service as templates
from dunning.messages import template_store as store
from dunning.messages.language import choose_language
from dunning.messages.ports import ClaimData, LinkUrls
from dunning.messages.rendering import CannotRender, Rendered, render
from dunning.messages.sample_claim import CONTACT_NAME, CRM_URL, sample_claim
from dunning.messages.template_store import Contents
from dunning.messages.templates import CompiledTemplate, check

HIDDEN_LINK = "https://link.invalid/hidden-in-previews"
"""Stands in for a customer's own link: who reads a preview must not be able to read in the customer's name."""

CustomerClaim = Callable[[ReadSession, Clock, TenantId, CustomerId], Awaitable[Mapping[str, Any]]]
"""What a claim would say about a customer's open items now."""


class PreviewRefused(Malformed):
    """The template cannot be rendered with this claim; the mail would not be sent either."""

    code = CannotRender.code
    title = CannotRender.title


@dataclass(frozen=True, slots=True)
class PreviewPorts:
    """What a preview asks of the floors above."""

    claim_data: ClaimData
    link_urls: LinkUrls
    customer_claim: CustomerClaim


@dataclass(frozen=True, slots=True)
class Subject:
    """What a template is shown with: at most one of a claim and a customer; neither means the sample."""

    claim_id: ClaimId | None = None
    customer_id: CustomerId | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """A rendered mail with its link hidden. `sha256` is that of the rendering with the link as it is sent."""

    rendered: Rendered
    sha256: str
    version: int | None


def rendering_sha256(rendered: Rendered) -> str:
    """Return the hex SHA-256 of the JSON array `[subject, text, html]` without spaces, in UTF-8: equal when and only when the mails say the same."""
    parts = [rendered.subject, rendered.text, rendered.html]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


async def preview_template(
    session: ReadSession,
    clock: Clock,
    ports: PreviewPorts,
    *,
    tenant_id: TenantId,
    template_id: TemplateId,
    version: int | None,
    subject: Subject,
    language: str | None,
    content_mode: Literal["full", "link_only"] | None,
) -> Preview:
    """Render a template as dispatch would: the draft, or a published version.

    With a claim, its primary message gives name, language and link, so that the rendering equals the one that is sent. Raise `TemplateRefused` for a
    draft with faults, `PreviewRefused` where a value is missing, `NotFound` for an unknown template, version, claim or customer.
    """
    contents = await contents_to_show(session, tenant_id=tenant_id, template_id=template_id, version=version)
    if subject.claim_id is not None:
        return await _of_claim(session, ports, tenant_id, template_id, contents, version, subject.claim_id, language, content_mode)
    if subject.customer_id is not None:
        claim = await ports.customer_claim(session, clock, tenant_id, subject.customer_id)
        contact_name = None
    else:
        claim, contact_name = sample_claim(clock.now().date()), CONTACT_NAME
    chosen = choose_language(contents, contact=language, customer=claim["language"], ledger=next(iter(contents), None))
    return _render(template_id, version, contents, claim, chosen, contact_name, HIDDEN_LINK, CRM_URL, content_mode)


async def contents_to_show(session: ReadSession, *, tenant_id: TenantId, template_id: TemplateId, version: int | None) -> Contents:
    """Return the texts of a version, or of the draft (None) once it is without fault; raise `TemplateRefused` or `NotFound`."""
    stored = await templates.template_of(session, tenant_id=tenant_id, template_id=template_id)
    if version is not None:
        return (await templates.version_of(session, tenant_id=tenant_id, template_id=template_id, version=version)).contents
    check(stored.draft, code=stored.code)
    return stored.draft


async def _of_claim(
    session: ReadSession,
    ports: PreviewPorts,
    tenant_id: TenantId,
    template_id: TemplateId,
    contents: Contents,
    version: int | None,
    claim_id: ClaimId,
    language: str | None,
    content_mode: Literal["full", "link_only"] | None,
) -> Preview:
    found = (await ports.claim_data(session, tenant_id, [claim_id])).get(claim_id)
    if found is None:
        noun = "claim"
        raise NotFound(noun)
    message = await store.primary_message_of_claim(session, tenant_id, claim_id)
    links: Mapping[Any, str] = {} if message is None else await ports.link_urls(session, tenant_id, [message["message_id"]])
    return _render(
        template_id,
        version,
        contents,
        found.data,
        language or (message["language"] if message else found.data["language"]),
        message["to_name"] if message else None,
        links.get(message["message_id"]) if message else HIDDEN_LINK,
        None,
        content_mode or (message["content_mode"] if message else None),
    )


def _render(
    template_id: TemplateId,
    version: int | None,
    contents: Contents,
    claim: Mapping[str, Any],
    language: str,
    contact_name: str | None,
    link_url: str | None,
    crm_url: str | None,
    content_mode: Literal["full", "link_only"] | None,
) -> Preview:
    # A draft changes under the same number, so it never enters the cache of compiled versions.
    compiled = CompiledTemplate(str(template_id), version or 0, contents)
    try:
        rendered = render(compiled, claim, language, contact_name=contact_name, link_url=link_url, crm_url=crm_url, content_mode=content_mode)
    except CannotRender as error:
        raise PreviewRefused(error.detail, language=error.facts.get("language"), placeholder=error.facts.get("placeholder")) from None
    return Preview(_without_link(rendered, [link_url] if link_url else []), rendering_sha256(rendered), version)


def _without_link(rendered: Rendered, links: Sequence[str]) -> Rendered:
    text, html = rendered.text, rendered.html
    for link in links:
        text = text.replace(link, HIDDEN_LINK)
        html = html.replace(str(escape(link)), HIDDEN_LINK).replace(link, HIDDEN_LINK) if html else html
    return Rendered(rendered.language, rendered.subject, text, html)
