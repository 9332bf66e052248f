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

FORM_BYTES = 8_192
FORM_FIELDS = 20
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Guest:
    """One request to a link whose token is right, inside a transaction that is committed before the answer leaves."""

    session: Session
    clock: Clock
    keyring: Keyring
    tenant_id: TenantId
    link_id: LinkId
    trace: trace.Trace
    form: Mapping[str, str]
    language: str | None
    request: Request


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
    ids = tokens.read_token(state.keyring, token)
    if ids is None:
        yield None
        return
    tenant_id, link_id = ids
    database: Database = state.database
    async with database.transaction(tenant_id) as session:
        clock = await _clock(session, tenant_id)
        if clock is None:
            yield None
            return
        yield Guest(
            session=session,
            clock=clock,
            keyring=state.keyring,
            tenant_id=tenant_id,
            link_id=link_id,
            trace=trace.trace_of(request.method, request.client.host if request.client else None, request.headers.get("user-agent", "")),
            form=form,
            language=form.get("lang") or request.query_params.get("lang"),
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
