"""What a route is given: who calls, an open transaction of the caller's tenant, and its clock. The only place of the API that commits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from dunning.kit.bell import Bell
from dunning.kit.clock import Clock
from dunning.kit.database import Database, ReadSession, Session
from dunning.kit.errors import Forbidden, Unauthenticated
from dunning.kit.ids import KeyId, PersonId, TenantId
from dunning.kit.settings import Settings
from dunning.kit.signing import Keyring, sha256
from dunning.tenancy import service as tenancy
from dunning.tenancy import store as tenancy_store
from dunning.tenancy.rules import KeyText, read_key
from dunning.tenancy.service import Tenant
from dunning_api import idempotency
from dunning_api.acting import HEADER, Acting, acting

KEY_CACHE_SECONDS = 0.5
"""How long a live key's verification is reused; a revocation works within a second."""
KEY_CACHE_SIZE = 10_000

_bearer = HTTPBearer(
    auto_error=False,
    description=(
        "API key: `ar_live_…` or `ar_test_…`.\n\nA key acts for a person when it was made for that person, or when it has the scope `act_for` and the request"
        f" names somebody in the header `{HEADER}: <person id or e-mail address>`. It then may do what both the key and the person's role allow, sees the"
        " customers that the person sees, and everything is recorded under the person's name."
    ),
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant and key behind a request."""

    tenant: Tenant
    key_id: KeyId
    acting: Acting

    @property
    def scopes(self) -> frozenset[str]:
        """What the caller may do."""
        return self.acting.scopes

    @property
    def actor(self) -> str:
        """Under which name it is recorded."""
        return self.acting.actor

    def require(self, scope: str) -> None:
        """Raise `Forbidden` where a scope is missing."""
        if scope not in self.acting.scopes:
            if self.acting.role is None:
                msg = f"This API key lacks the scope `{scope}`. An admin key can create one that has it."
            else:
                msg = f"This needs the scope `{scope}`, which the key, or the role {self.acting.role} of the person it acts for, does not have."
            raise Forbidden(msg, scope=scope)


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
    caller: Caller

    @property
    def scopes(self) -> frozenset[str]:
        """What the caller may do."""
        return self.caller.scopes

    @property
    def person_id(self) -> PersonId | None:
        """The person for whom the key acts, if it does."""
        return self.caller.acting.person_id

    @property
    def sight(self) -> tuple[PersonId, ...] | None:
        """Whose customers the caller sees; None is everybody's."""
        return self.caller.acting.sight

    @property
    def tenant_id(self) -> TenantId:
        """The caller's tenant."""
        return self.tenant.tenant_id

    def require(self, scope: str) -> None:
        """Ask for a further scope that only some requests of a route need; raise `Forbidden`."""
        self.caller.require(scope)

    def require_whole_sight(self) -> None:
        """Raise `Forbidden` where the caller sees only some customers and asks for what concerns all of them."""
        if self.sight is not None:
            msg = "This concerns all customers, and the person for whom the key acts sees only some of them."
            raise Forbidden(msg)

    def reading_again(self) -> AbstractAsyncContextManager[ReadSession]:
        """Open a further reading transaction with the caller's sight, for what is streamed after the route's own has ended."""
        database: Database = self.request.app.state.database
        return database.reading(self.tenant_id, sight=self.sight)


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
    return await caller_of(request, credentials.credentials if credentials else "")


def presented_key(authorization: str | None) -> str:
    """Return the key in an `Authorization` header as the framework reads it; nothing where there is none or it is of another scheme."""
    scheme, text = get_authorization_scheme_param(authorization)
    return text if scheme.lower() == "bearer" else ""


async def caller_of(request: Request, text: str) -> Caller:
    """Tell whose key a text is and for whom it acts, or raise `Unauthenticated` or `Forbidden`."""
    cache: KeyCache = request.app.state.key_cache
    named = request.headers.get(HEADER)
    digest = sha256(text if named is None else f"{text} {named}")
    known = cache.get(digest)
    if known is not None:
        return known
    presented = read_key(text)
    if presented is None:
        msg = "Send the header `Authorization: Bearer ar_…` with an API key of this service."
        raise Unauthenticated(msg)
    verify = partial(_verify, request.app.state.database, presented, named, cache, digest)
    # The clock of a test tenant may have moved since another request began to read it.
    return await (verify() if presented.mode == "test" else cache.verified(digest, verify))


async def _verify(database: Database, presented: KeyText, named: str | None, cache: KeyCache, digest: bytes) -> Caller:
    async with database.transaction(presented.tenant_id) as session:
        found = await tenancy.authenticate(session, presented)
        if found is None:
            msg = "This API key is unknown, expired or revoked."
            raise Unauthenticated(msg)
        tenant, key = found
        await tenancy_store.note_use(session, presented.tenant_id, presented.key_id)
        who = await acting(session, tenancy.clock_of(tenant), tenant_id=tenant.tenant_id, key=key, named=named)
    caller = Caller(tenant, key.key_id, who)
    cache.put(digest, caller)
    return caller


def work_of(request: Request, caller: Caller, session: ReadSession) -> Work:
    """Put together what a route's function is given."""
    state = request.app.state
    return Work(
        session=session,  # type: ignore[arg-type]  # a read session has no writing methods; Work names the wider type so that routes have one shape
        clock=tenancy.clock_of(caller.tenant),
        tenant=caller.tenant,
        actor=caller.actor,
        key_id=caller.key_id,
        settings=state.settings,
        keyring=state.keyring,
        request=request,
        caller=caller,
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reading dependency asks of the caller, and whether its route reads one row with one statement."""

    scope: str
    one_row: bool

    @asynccontextmanager
    async def work(self, request: Request, caller: Caller) -> AsyncIterator[Work]:
        """Give the route its work, inside the transaction it reads in; raise `Forbidden`."""
        caller.require(self.scope)
        database: Database = request.app.state.database
        sight = caller.acting.sight
        if self.one_row and sight is None:
            yield work_of(request, caller, database.looking(caller.tenant.tenant_id))
        else:
            async with database.reading(caller.tenant.tenant_id, sight=sight) as session:
                yield work_of(request, caller, session)


READINGS: dict[Callable[..., Any] | None, Reading] = {}
"""The reading dependencies that were made, for routes that are answered in place (`direct`)."""


def reads(scope: str = "read", *, one_row: bool = False) -> Any:
    """Depend on a read-only transaction on one snapshot.

    With `one_row` the route's one statement returns at most one row and is a transaction of its own, in one round trip; a second one raises.
    """
    reading = Reading(scope, one_row)

    async def open_reading(request: Request, caller: Annotated[Caller, Depends(calling)]) -> AsyncIterator[Work]:
        async with reading.work(request, caller) as work:
            yield work

    READINGS[open_reading] = reading
    return Depends(open_reading, scope="function")


def writes(scope: str, *, idempotent: bool = False, repeatable: bool = False, planned_once: bool = False) -> Any:
    """Depend on a writing transaction that is committed before the response leaves, and then rings the worker's bell.

    With `idempotent` the request must carry an `Idempotency-Key`; the answer is stored in the same transaction as the effect. With `repeatable` it may
    carry one, to the same effect; without one each repeat is a request of its own. With `planned_once` its statements, which find their rows by keys, are
    planned once a connection (`Database.transaction`).
    """

    @asynccontextmanager
    async def writing(request: Request, caller: Caller, key: str | None) -> AsyncIterator[Work]:
        caller.require(scope)
        state = request.app.state
        async with state.database.transaction(caller.tenant.tenant_id, sight=caller.acting.sight, planned_once=planned_once) as session:
            work = work_of(request, caller, session)
            if key is not None:
                await idempotency.begin(work)
            yield work
        bell: Bell = state.bell
        await bell.ring(session.rung)

    async def open_writing(request: Request, caller: Annotated[Caller, Depends(calling)]) -> AsyncIterator[Work]:
        async with writing(request, caller, None) as work:
            yield work

    async def open_idempotent(request: Request, caller: Annotated[Caller, Depends(calling)], key: str = idempotency.HEADER) -> AsyncIterator[Work]:
        async with writing(request, caller, key) as work:
            yield work

    async def open_repeatable(
        request: Request, caller: Annotated[Caller, Depends(calling)], key: str | None = idempotency.OPTIONAL_HEADER
    ) -> AsyncIterator[Work]:
        async with writing(request, caller, key) as work:
            yield work

    return Depends(open_idempotent if idempotent else open_repeatable if repeatable else open_writing, scope="function")
