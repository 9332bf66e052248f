"""Item statuses of the tenant's own: what they are called, whether they stop reminding, how soon they are followed up, where their items lie.

`follow_up_days` are calendar days from the day on which a person sets the status, or a dispute does; None: nothing follows by itself.
"""

from __future__ import annotations

from typing import Any

from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound, PreconditionFailed
from dunning.kit.ids import TenantId
from dunning.ledger import status_store
from dunning.ledger.status_store import ItemStatus

ONGOING = "ongoing"
"""The status of an item that nobody has said anything about; it is stored as no status."""
PROMISED, DISPUTED, DISPUTE_RESOLVED = "promised", "disputed", "dispute_resolved"

BUILT_IN = tuple(
    ItemStatus(code, name, category=code, excludes=excludes, follow_up_days=days, folder_code=code, position=position, version=1)
    for position, (code, name, excludes, days) in enumerate(
        (
            (ONGOING, "Ongoing", False, None),
            (PROMISED, "Payment promised", False, None),
            (DISPUTED, "Disputed", True, 14),
            (DISPUTE_RESOLVED, "Dispute resolved", False, None),
            ("litigation", "In litigation", True, 30),
            ("uncollectible", "Uncollectible", True, None),
        )
    )
)
"""What every tenant begins with. They can be renamed and placed elsewhere; the first four keep what they do, because agreements set them."""
_FIXED = frozenset({ONGOING, PROMISED, DISPUTED, DISPUTE_RESOLVED})
_BUILT_IN_CODES = frozenset(status.code for status in BUILT_IN)


class StatusTaken(Conflict):
    """Another status has the code."""

    code = "status_taken"
    title = "The code is taken"


class StatusInUse(Conflict):
    """The status is needed: items have it, or the product sets it itself."""

    code = "status_in_use"
    title = "The status is in use"


class StatusFixed(Conflict):
    """What a built-in status does belongs to disputes and promises."""

    code = "status_fixed"
    title = "What this status does is fixed"


async def install_built_in(session: Session, *, tenant_id: TenantId) -> None:
    """Give a tenant the built-in folders and statuses that it lacks. A second call changes nothing."""
    codes, names = [s.code for s in BUILT_IN], [s.name for s in BUILT_IN]
    await status_store.insert_folders(session, tenant_id, codes, names, [s.position for s in BUILT_IN])
    await status_store.insert_statuses(session, tenant_id, BUILT_IN)


async def create_status(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, status: ItemStatus) -> ItemStatus:
    """Create a status and return it. Raises `StatusTaken`, or `Malformed` for an unknown folder."""
    await _known_folder(session, tenant_id, status.folder_code)
    if not await status_store.insert_statuses(session, tenant_id, [status]):
        msg = f"A status with the code {status.code} exists. Change that one with PATCH, or take another code."
        raise StatusTaken(msg)
    await _tell(session, clock, tenant_id, actor, "item_status.created", status.code, {})
    return await status_of(session, tenant_id=tenant_id, code=status.code)


async def update_status(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, code: str, expected_version: int | None, **values: Any
) -> ItemStatus:
    """Change a status; where it stops or allows reminding from now on, all customers are planned again. The same again changes nothing.

    Raises `NotFound`, `PreconditionFailed` when it is no longer at `expected_version` (None: whatever it is), `StatusFixed` for what a built-in one
    does, `Malformed` for an unknown folder.
    """
    status = await status_store.status_for_change(session, tenant_id, code)
    if status is None:
        noun = "status"
        raise NotFound(noun)
    if expected_version is not None and status.version != expected_version:
        msg = f"The status is at version {status.version}, not {expected_version}. Read it again and repeat the change on what it says now."
        raise PreconditionFailed(msg, version=status.version)
    changed = {name: value for name, value in values.items() if value != getattr(status, name)}
    if "excludes" in changed and code in _FIXED:
        msg = f"Whether {code} stops reminding is fixed, because disputes and promises set it. Create a status of your own of that category instead."
        raise StatusFixed(msg)
    if "folder_code" in changed:
        await _known_folder(session, tenant_id, changed["folder_code"])
    if not changed:
        return status
    await status_store.update_status(session, tenant_id, code, changed)
    if "excludes" in changed:
        await status_store.bump_all_ledgers(session, tenant_id)
    await _tell(session, clock, tenant_id, actor, "item_status.changed", code, {"fields": sorted(changed)})
    return await status_of(session, tenant_id=tenant_id, code=code)


async def delete_status(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, code: str) -> None:
    """Delete a status that no item has. Raises `NotFound`, also on a second call, and `StatusInUse` for one that items have or that is built in."""
    if await status_store.status_for_change(session, tenant_id, code) is None:
        noun = "status"
        raise NotFound(noun)
    if code in _BUILT_IN_CODES:
        msg = f"The status {code} is built in. It can be renamed, not deleted."
        raise StatusInUse(msg)
    count = await status_store.count_items(session, tenant_id, code)
    if count:
        msg = f"{count} items have the status {code}. Give them another status first."
        raise StatusInUse(msg, items=count)
    await status_store.delete_status(session, tenant_id, code)
    await _tell(session, clock, tenant_id, actor, "item_status.deleted", code, {})


async def status_of(session: ReadSession, *, tenant_id: TenantId, code: str) -> ItemStatus:
    """Return a status; raise `NotFound`."""
    status = await status_store.status_of(session, tenant_id, code)
    if status is None:
        noun = "status"
        raise NotFound(noun)
    return status


async def statuses_after(session: ReadSession, *, tenant_id: TenantId, after: str | None, limit: int) -> list[ItemStatus]:
    """Return statuses past a code, by code."""
    return await status_store.statuses_after(session, tenant_id, after, limit)


async def _known_folder(session: ReadSession, tenant_id: TenantId, code: str | None) -> None:
    if code is not None and await status_store.folder_of(session, tenant_id, code) is None:
        msg = f"folder_code: there is no folder {code}. GET /v1/folders lists them; PUT /v1/folders/{code} makes one."
        raise Malformed(msg, errors=[{"field": "folder_code", "message": "no such folder"}])


async def _tell(session: Session, clock: Clock, tenant_id: TenantId, actor: str, kind: str, code: str, data: dict[str, Any]) -> None:
    await events.record(
        session, clock, tenant_id=tenant_id, kind=kind, subject_kind="item_status", subject_id=tenant_id, actor=actor, data={"code": code, **data}
    )
