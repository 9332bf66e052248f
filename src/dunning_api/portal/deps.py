"""What a route of the customer's page is given: whose link it is, the form that was posted, and an open transaction of that tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl

import structlog
from fastapi import Depends, Request

from dunning.collection.claims import claim_data
from dunning.evidence import readings, tokens, trace
from dunning.kit.bell import Bell
from dunning.kit.clock import Clock
from dunning.kit.database import AWAY, Database, Session
from dunning.kit.errors import DunningError, NotFound
from dunning.kit.ids import LinkId, ReadingId, TenantId
from dunning.kit.signing import Keyring
from dunning.tenancy import service as tenancy

log = structlog.get_logger()

FORM_BYTES = 24_576
"""A reply of a colleague, every letter of it written as percent signs."""
FORM_FIELDS = 20
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One request to a link whose token is right."""

    keyring: Keyring
    tenant_id: TenantId
    link_id: LinkId
    trace: trace.Trace
    language: str | None
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest(Caller):
    """One that has an open transaction, which is committed before the answer leaves, and may have posted a form."""

    session: Session
    clock: Clock
    form: Mapping[str, str]


def caller(request: Request, token: str) -> Caller | None:
    """Tell whose link a token is, or None when any part of it is not right."""
    keyring: Keyring = request.app.state.keyring
    ids = tokens.read_token(keyring, token)
    if ids is None:
        return None
    came = trace.trace_of(request.method, request.client.host if request.client else None, request.headers.get("user-agent", ""))
    language = request.query_params.get("lang") if request.scope["query_string"] else None
    return Caller(keyring=keyring, tenant_id=ids[0], link_id=ids[1], trace=came, language=language, request=request)


async def posted_form(request: Request) -> Mapping[str, str]:
    """Read the form of a request; anything that is not a small form is an empty one."""
    if request.method != "POST" or request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return {}
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            return {}
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FORM_FIELDS, errors="replace"))
    except ValueError:
        return {}


async def guest(request: Request, token: str, form: Annotated[Mapping[str, str], Depends(posted_form)]) -> AsyncIterator[Guest | None]:
    """Give the route its guest, or None for a token that is not right. The form is read before the transaction is opened."""
    state = request.app.state
    coming = caller(request, token)
    if coming is None:
        yield None
        return
    database: Database = state.database
    async with database.transaction(coming.tenant_id) as session:
        clock = await _clock(session, coming.tenant_id)
        if clock is None:
            yield None
            return
        yield Guest(
            session=session,
            clock=clock,
            keyring=coming.keyring,
            tenant_id=coming.tenant_id,
            link_id=coming.link_id,
            trace=coming.trace,
            form=form,
            language=form.get("lang") or coming.language,
            request=request,
        )
    bell: Bell = state.bell
    await bell.ring(session.rung)


async def _clock(session: Session, tenant_id: TenantId) -> Clock | None:
    try:
        return tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
    except NotFound:
        return None


async def confirm_sent(request: Request, tenant_id: TenantId, link_id: LinkId, opened_id: ReadingId) -> None:
    """Record, in a transaction of its own, that a page has left whole. Failing leaves the weaker grade, and the page is shown all the same."""
    state = request.app.state
    try:
        async with state.database.transaction(tenant_id) as session:
            clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant_id))
            await readings.confirm_read(session, clock, claim_data, tenant_id=tenant_id, link_id=link_id, opened_id=opened_id, proved_by="sent")
        await state.bell.ring(session.rung)
    except (*AWAY, DunningError) as error:
        log.warning("reading.unconfirmed", link_id=str(link_id), error=type(error).__name__)
