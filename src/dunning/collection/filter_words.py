"""Words by which customers and activities are looked for: one that nothing can have is a slip of the pen, and an empty list would hide it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

from dunning.collection import activity_store, step_store
from dunning.collection.activity_store import SPOKEN_KINDS
from dunning.collection.done_store import CONTACT_KINDS, WRITTEN_BY_SOFTWARE
from dunning.kit.database import ReadSession
from dunning.kit.errors import Malformed
from dunning.kit.ids import TenantId
from dunning.ledger import status_store
from dunning.scenarios.steps import Channel, TaskKind

ACTIVITY_KINDS = frozenset({*SPOKEN_KINDS, *CONTACT_KINDS, *WRITTEN_BY_SOFTWARE, "note", "claim_for_non_payment"})
"""Kinds that the product knows; a tenant's own come to them with the first such activity, or with the step that records it."""
_WAYS = frozenset({*(kind.value for kind in TaskKind), *(channel.value for channel in Channel)})
SHOWN = 50
"""So many of the known words are named."""


async def check_activity_kind(session: ReadSession, tenant_id: TenantId, kind: str) -> None:
    """Raise `Malformed` for a kind that no activity has and no step records."""
    if kind not in ACTIVITY_KINDS and not await activity_store.is_kind(session, tenant_id, kind):
        _refuse("kind", kind, {*ACTIVITY_KINDS, *await activity_store.kinds(session, tenant_id)})


async def check_action_type(session: ReadSession, tenant_id: TenantId, word: str) -> None:
    """Raise `Malformed` for what is neither a kind of activity or task, nor a channel, nor the code of a step."""
    known = {*ACTIVITY_KINDS, *_WAYS}
    if word in known:
        return
    known |= {*await step_store.codes(session, tenant_id)}
    if word not in known and not await activity_store.is_kind(session, tenant_id, word):
        _refuse("action_type", word, {*known, *await activity_store.kinds(session, tenant_id)})


async def check_status(session: ReadSession, tenant_id: TenantId, code: str) -> None:
    """Raise `Malformed` for a status that the tenant does not have."""
    if await status_store.status_of(session, tenant_id, code) is None:
        _refuse("status", code, {status.code for status in await status_store.statuses_after(session, tenant_id, None, 10_000)})


async def check_step(session: ReadSession, tenant_id: TenantId, code: str) -> None:
    """Raise `Malformed` for the code of a step that no scenario has or had, nor any customer of its own."""
    known = await step_store.codes(session, tenant_id)
    if code not in known:
        _refuse("step", code, known)


def _refuse(field: str, word: str, known: Collection[str]) -> NoReturn:
    shown = ", ".join(sorted(known)[:SHOWN]) + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")
    msg = f"{field}: nothing has {word}. Known are {shown}." if known else f"{field}: nothing has {word}, and there is none yet."
    raise Malformed(msg, [{"field": field, "message": f"expected one of {shown}" if known else "there is none yet"}])
