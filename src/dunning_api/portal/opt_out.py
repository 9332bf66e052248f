"""The page behind the one-click address of mails before the due date (RFC 8058). It needs no login and shows nothing of any claim.

A mail program posts to the address without showing anything; a person sees a page with one button. Looking at the page opts nobody out, because
scanners look too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from dunning.kit.bell import Bell
from dunning.kit.clock import Clock
from dunning.kit.database import Database, Session
from dunning.kit.errors import NotFound
from dunning.kit.ids import MessageId, TenantId
from dunning.messages import opt_out_links
from dunning.tenancy import service as tenancy
from dunning_api.portal import pages
from dunning_api.portal.deps import posted_form
from dunning_api.portal.response import PageResponse
from dunning_api.portal.routes import PageRoute

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Recipient:
    """One request to an opt-out whose token is right, inside a transaction that is committed before the answer leaves."""

    session: Session
    clock: Clock
    tenant_id: TenantId
    message_id: MessageId
    language: str | None


async def recipient(request: Request, token: str, form: Annotated[Mapping[str, str], Depends(posted_form)]) -> AsyncIterator[Recipient | None]:
    """Give the route its recipient, or None for a token that is not right. The form is read before the transaction is opened."""
    state = request.app.state
    ids = opt_out_links.read_opt_out(state.keyring, token)
    if ids is None:
        yield None
        return
    tenant_id, message_id = ids
    database: Database = state.database
    async with database.transaction(tenant_id) as session:
        try:
            clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
        except NotFound:
            yield None
            return
        yield Recipient(session, clock, tenant_id, message_id, form.get("lang") or request.query_params.get("lang"))
    bell: Bell = state.bell
    await bell.ring(session.rung)


Coming = Annotated[Recipient | None, Depends(recipient, scope="function")]


@router.api_route("/o/{token}", methods=["GET", "HEAD"])
async def ask(request: Request, coming: Coming) -> Response:
    """Show the button. Nothing is changed by looking."""
    own = None if coming is None else await opt_out_links.language_of_message(coming.session, tenant_id=coming.tenant_id, message_id=coming.message_id)
    if coming is None or own is None:
        return _gone(request)
    language = pages.language_of(coming.language, own)
    return PageResponse(pages.opt_out_asked(language), language=language)


@router.post("/o/{token}")  # noqa: FAST003  # the dependency reads the token
async def opt_out(request: Request, coming: Coming) -> Response:
    """Record the opt-out: a mail program's one click, or the button of the page. Doing it again changes nothing and is answered alike."""
    if coming is None or not await opt_out_links.opt_out_by_message(coming.session, coming.clock, tenant_id=coming.tenant_id, message_id=coming.message_id):
        return _gone(request)
    own = await opt_out_links.language_of_message(coming.session, tenant_id=coming.tenant_id, message_id=coming.message_id)
    language = pages.language_of(coming.language, own or "en")
    return PageResponse(pages.opt_out_done(language), language=language)


def _gone(request: Request) -> Response:
    language = pages.language_of(request.headers.get("accept-language", "")[:2].lower(), "en")
    return PageResponse(pages.gone(language), 404, language=language)
