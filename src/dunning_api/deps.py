"""What a route is given: who calls, an open transaction of the caller's tenant, and its clock. The only place of the API that commits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from dunning.kit.bell import Bell
from dunning.kit.clock import Clock, SystemClock
from dunning.kit.database import Database, Session
from dunning.kit.errors import Forbidden, Unauthenticated
from dunning.kit.ids import KeyId, TenantId
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring, sha256
from dunning.tenancy import service as tenancy
from dunning.tenancy import store as tenancy_store
from dunning.tenancy.rules import KeyText, read_key
from dunning.tenancy.service import Tenant
from dunning_api import idempotency

KEY_CACHE_SECONDS = 0.5
"""How long a live key's verification is reused; a revocation works within a second."""
KEY_CACHE_SIZE = 10_000

_bearer = HTTPBearer(auto_error=False, description="API key: `ar_live_…` or `ar_test_…`.")


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant and key behind a request."""

    tenant: Tenant
    key_id: KeyId
    scopes: frozenset[str]
    actor: str


@dataclass(slots=True)
class Work:
    """One request's transaction and everything a service function asks for."""

    session: Session
    clock: Clock
    tenant: Tenant
    actor: str
    key_id: KeyId
    settings: Settings
    keyring: Keyring
    request: Request
    scopes: frozenset[str]

    @property
    def tenant_id(self) -> TenantId:
        """The caller's tenant."""
        return self.tenant.tenant_id

    def require(self, scope: str) -> None:
        """Ask for a further scope that only some requests of a route need; raise `Forbidden`."""
        _require(self.scopes, scope)


@dataclass(slots=True)
class KeyCache:
    """Keys verified a moment ago, by the digest of their text."""

    entries: dict[bytes, tuple[float, Caller]] = field(default_factory=dict)
    under_way: dict[bytes, asyncio.Task[Caller]] = field(default_factory=dict)

    async def verified(self, digest: bytes, verify: Callable[[], Coroutine[Any, Any, Caller]]) -> Caller:
        """Verify a key once for all requests that ask at the same time: its entry ends for all of them at the same moment."""
        task = self.under_way.get(digest)
        if task is None:
            task = asyncio.create_task(verify())
            self.under_way[digest] = task
            task.add_done_callback(lambda _: self.under_way.pop(digest, None))
        return await asyncio.shield(task)

    def get(self, digest: bytes) -> Caller | None:
        """Return a caller that was verified within `KEY_CACHE_SECONDS`."""
        entry = self.entries.get(digest)
        return entry[1] if entry and entry[0] > time.monotonic() else None

    def put(self, digest: bytes, caller: Caller) -> None:
        """Keep a live caller; test tenants are read each time, because their clock moves."""
        if caller.tenant.mode == "test":
            return
        if len(self.entries) >= KEY_CACHE_SIZE:
            self.entries.clear()
        self.entries[digest] = (time.monotonic() + KEY_CACHE_SECONDS, caller)


async def calling(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> Caller:
    """Tell who calls, or raise `Unauthenticated`."""
    text = credentials.credentials if credentials else ""
    cache: KeyCache = request.app.state.key_cache
    digest = sha256(text)
    known = cache.get(digest)
    if known is not None:
        return known
    presented = read_key(text)
    if presented is None:
        msg = "Send the header `Authorization: Bearer ar_…` with an API key of this service."
        raise Unauthenticated(msg)
    verify = partial(_verify, request.app.state.database, presented, cache, digest)
    # The clock of a test tenant may have moved since another request began to read it.
    return await (verify() if presented.mode == "test" else cache.verified(digest, verify))


async def _verify(database: Database, presented: KeyText, cache: KeyCache, digest: bytes) -> Caller:
    async with database.transaction(presented.tenant_id) as session:
        found = await tenancy.authenticate(session, presented)
        if found is not None:
            await tenancy_store.note_use(session, presented.tenant_id, presented.key_id)
    if found is None:
        msg = "This API key is unknown, expired or revoked."
        raise Unauthenticated(msg)
    tenant, key = found
    caller = Caller(tenant, key.key_id, frozenset(key.scopes), f"key:{key.name}")
    cache.put(digest, caller)
    return caller


def _require(scopes: frozenset[str], scope: str) -> None:
    if scope not in scopes:
        msg = f"This API key lacks the scope `{scope}`. An admin key can create one that has it."
        raise Forbidden(msg, scope=scope)


def _work(request: Request, caller: Caller, session: Session) -> Work:
    state = request.app.state
    return Work(
        session=session,
        clock=tenancy.clock_of(caller.tenant),
        tenant=caller.tenant,
        actor=caller.actor,
        key_id=caller.key_id,
        settings=state.settings,
        keyring=state.keyring,
        request=request,
        scopes=caller.scopes,
    )


def reads(scope: str = "read") -> Any:
    """Depend on a read-only transaction on one snapshot."""

    async def open_reading(request: Request, caller: Annotated[Caller, Depends(calling)]) -> AsyncIterator[Work]:
        _require(caller.scopes, scope)
        database: Database = request.app.state.database
        async with database.reading(caller.tenant.tenant_id) as session:
            # A read session has no writing methods; Work names the wider type so that routes have one shape.
            yield _work(request, caller, session)  # type: ignore[arg-type]

    return Depends(open_reading, scope="function")


def writes(scope: str, *, idempotent: bool = False) -> Any:
    """Depend on a writing transaction that is committed before the response leaves, and then rings the worker's bell.

    With `idempotent` the request must carry an `Idempotency-Key`; the answer is stored in the same transaction as the effect.
    """

    async def open_writing(request: Request, caller: Annotated[Caller, Depends(calling)]) -> AsyncIterator[Work]:
        _require(caller.scopes, scope)
        state = request.app.state
        async with state.database.transaction(caller.tenant.tenant_id) as session:
            work = _work(request, caller, session)
            if idempotent:
                await idempotency.begin(work)
            yield work
        bell: Bell = state.bell
        await bell.ring(session.rung)

    async def open_idempotent(request: Request, caller: Annotated[Caller, Depends(calling)], _key: str = idempotency.HEADER) -> AsyncIterator[Work]:
        async for work in open_writing(request, caller):
            yield work

    return Depends(open_idempotent if idempotent else open_writing, scope="function")


def system_clock() -> Clock:
    """Return the clock of what belongs to no tenant."""
    return SystemClock()
