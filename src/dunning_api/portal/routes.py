"""The customer's page behind a link of a mail: it asks, shows the claim, and takes the confirmation of receipt. No cookie, no script."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from dunning.collection.claims import claim_data, claim_faces
from dunning.evidence import readings
from dunning.evidence.challenge import Challenge
from dunning.evidence.landings import record_landing
from dunning.evidence.readings import Judged, Reader, Verdict
from dunning.evidence.rules import Door, NotAllowedYet
from dunning.evidence.visits import Arrival, Visit, live_now, present
from dunning.kit.database import AWAY
from dunning.kit.errors import Unavailable
from dunning.kit.ids import ReadingId, new_id
from dunning.messages.clean_text import clean_line
from dunning_api.portal import nonces, pages, requests
from dunning_api.portal.deps import Caller, Guest, caller, confirm_sent, guest
from dunning_api.portal.response import PageResponse, WatchedPage
from dunning_api.portal.words import page_words

log = structlog.get_logger()
Coming = Annotated[Guest | None, Depends(guest, scope="function")]
TYPED_CAP = 120


class PageRoute(APIRoute):
    """A route that answers with a page even when the database is away: its reader is a person."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(request)
            except (*AWAY, Unavailable) as error:
                return _busy(error)

        return handle


def _busy(error: Exception) -> Response:
    log.warning("page.unavailable", error=type(error).__name__)
    return PageResponse(pages.busy(), 503, headers={"Retry-After": "10"})


router = APIRouter(route_class=PageRoute, include_in_schema=False)


async def land(request: Request) -> Response:
    """Count the visit and show the question. Scanners come here too: nothing of the claim is on this page."""
    coming = caller(request, request.path_params["token"])
    if coming is None:
        return _gone(404, request)
    try:
        visit = await request.app.state.landings.land(coming.tenant_id, coming.link_id, coming.trace)
    except (*AWAY, Unavailable) as error:
        return _busy(error)
    return _gone(404, request) if visit is None else _landing(coming, visit)


async def _serve(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one visit. Errors go to the handlers around the application's router."""
    response = await land(Request(scope, receive, send))
    await response(scope, receive, send)


class LandingRoute(Route):
    """The landing page, without the framework's dependencies: scanners come in swarms, and its visits are recorded together."""

    def __init__(self) -> None:
        super().__init__("/c/{token}", land, methods=["GET", "HEAD"], include_in_schema=False)
        self.app = _serve

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Name itself in the request's scope, as the framework's own routes do."""
        match, child_scope = super().matches(scope)
        return (match, {**child_scope, "route": self}) if match is not Match.NONE else (match, child_scope)


@router.post("/c/{token}")  # noqa: FAST003  # the dependency reads the token
async def post(request: Request, coming: Coming) -> Response:
    """Take an answer, or the confirmation of receipt: both forms come back to the page they stand on."""
    if coming is None:
        return _gone(404, request)
    if coming.form.get("form") in requests.FORMS:
        return await requests.act(coming) or await _ask_again(coming)
    return await (_acknowledge(coming) if coming.form.get("form") == "acknowledge" else _answer(coming))


async def _answer(coming: Guest) -> Response:
    at = await present(coming.session)
    if not nonces.is_ask_nonce(coming.keyring, coming.form.get("nonce", ""), coming.link_id, at):
        return await _ask_again(coming)
    judged = await readings.judge_answer(
        coming.session,
        coming.clock,
        claim_data,
        tenant_id=coming.tenant_id,
        link_id=coming.link_id,
        answer=coming.form.get("answer", ""),
        trace=coming.trace,
    )
    if judged is None:
        return _gone(404, coming.request)
    visit, outcome = judged
    language = pages.language_of(coming.language, visit.language)
    match outcome.verdict:
        case Verdict.CLOSED:
            return _gone(410, coming.request)
        case Verdict.LOCKED:
            return _locked(visit, outcome, language)
        case Verdict.WRONG:
            return _landing(coming, visit, status=403, notice=pages.wrong_notice(visit, language, outcome.lock.tries_left))
        case Verdict.RIGHT:
            return await _show(coming, visit, language)


async def _show(coming: Guest, visit: Visit, language: str) -> Response:
    opened_id = ReadingId(new_id())
    if visit.link.audience == "internal":
        live, page = None, await requests.request_page(coming, visit, language) or pages.internal(visit, language)
    else:
        live = await live_now(coming.session, visit)
        # Where nothing was asked, nothing was proved that an acknowledgement could rest on.
        nonce = None if visit.asks is Challenge.BUTTON else nonces.acknowledge_nonce(coming.keyring, coming.link_id, opened_id, visit.at)
        page = pages.claim(visit, language, live, nonce=nonce)
    await readings.record_page(
        coming.session,
        coming.clock,
        visit,
        opened_id=opened_id,
        page=page,
        language=language,
        live=live,
        trace=coming.trace,
    )
    if visit.asks is Challenge.BUTTON:
        return PageResponse(page, language=language)
    sent = partial(confirm_sent, coming.request, coming.tenant_id, coming.link_id, opened_id)
    return WatchedPage(page, coming.request, sent, language=language)


async def _acknowledge(coming: Guest) -> Response:
    nonce = coming.form.get("nonce", "")
    opened_id = nonces.opened_by(coming.keyring, nonce, coming.link_id, await present(coming.session))
    if opened_id is None:
        return await _ask_again(coming)
    name, role = (clean_line(coming.form.get(field, ""), cap=TYPED_CAP) for field in ("name", "role"))
    language = pages.language_of(coming.language, "en")
    if not name or not role:
        return PageResponse(pages.acknowledgement(language, nonce=nonce, name=name, role=role), 422, language=language)
    visit = await readings.acknowledge(
        coming.session,
        coming.clock,
        claim_data,
        tenant_id=coming.tenant_id,
        link_id=coming.link_id,
        opened_id=opened_id,
        reader=Reader(name, role),
        statement=page_words(language).statement,
        trace=coming.trace,
    )
    if visit is None:
        return _gone(404, coming.request)
    if isinstance(visit, NotAllowedYet):
        return await _ask_again(coming)
    if visit.door in {Door.REVOKED, Door.EXPIRED}:
        return _gone(410, coming.request)
    return PageResponse(pages.thanks(visit, language, name=name, role=role), language=language)


async def _ask_again(coming: Guest) -> Response:
    visit = await record_landing(
        coming.session,
        coming.clock,
        claim_faces,
        tenant_id=coming.tenant_id,
        link_id=coming.link_id,
        trace=coming.trace,
    )
    if visit is None:
        return _gone(404, coming.request)
    return _landing(coming, visit, status=400, notice=page_words(pages.language_of(coming.language, visit.language)).stale)


def _landing(coming: Caller, visit: Arrival, *, status: int = 200, notice: str | None = None) -> Response:
    language = pages.language_of(coming.language, visit.language)
    if visit.door in {Door.REVOKED, Door.EXPIRED}:
        return _gone(410, coming.request)
    if visit.door is Door.LOCKED:
        return _locked(visit, Judged(Verdict.LOCKED, visit.link.lock), language)
    nonce = nonces.ask_nonce(coming.keyring, coming.link_id, visit.at)
    return PageResponse(pages.landing(visit, language, nonce=nonce, notice=notice), status, language=language)


def _locked(visit: Arrival, judged: Judged, language: str) -> Response:
    until = judged.lock.locked_until or visit.at
    seconds = max(1, math.ceil((until - visit.at).total_seconds()))
    return PageResponse(pages.locked(visit, language, math.ceil(seconds / 60)), 429, language=language, headers={"Retry-After": str(seconds)})


def _gone(status: int, request: Request) -> Response:
    # In the visitor's language, never the message's: the page must not tell a revoked link from one that never was.
    language = pages.language_of(request.headers.get("accept-language", "")[:2].lower(), "en")
    return PageResponse(pages.gone(language), status, language=language)
