"""What happens at a claim's door: answers are judged, the page that was shown is recorded, receipt is acknowledged.

Every function takes what must be serialised first: the link's row. Concurrent visitors of one link wait for each other, so that a
grade never falls and no more answers are tried than are allowed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dunning.events import service as events
from dunning.evidence import store
from dunning.evidence.challenge import Challenge, is_right
from dunning.evidence.landings import CLOSED_FOR_GOOD, GRADES_BELOW, record_refusals, what_happened_to
from dunning.evidence.live import Live
from dunning.evidence.rules import FRESH_LOCK, RISES, Act, Door, Grade, Lock, NotAllowedYet, after, after_wrong_answer
from dunning.evidence.trace import Trace
from dunning.evidence.visits import Visit, visit_of
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import LinkId, ReadingId, TenantId, new_id
from dunning.kit.signing import random_secret, sha256
from dunning.messages.ports import ClaimData


class Verdict(StrEnum):
    """What came of an answer."""

    RIGHT = "right"
    WRONG = "wrong"
    LOCKED = "locked"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Reader:
    """Who says to have read, as typed or as the extranet knows them."""

    name: str
    role: str
    contact: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on an answer, and the lock after it."""

    verdict: Verdict
    lock: Lock


async def judge_answer(
    session: Session,
    clock: Clock,
    claim_data: ClaimData,
    *,
    tenant_id: TenantId,
    link_id: LinkId,
    answer: str,
    trace: Trace,
) -> tuple[Visit, Judged] | None:
    """Judge what a visitor answered; None when there is no such link. Five wrong answers shut the door for an hour (promises 6.2).

    Answers to one link are judged one after another. A right answer records nothing yet: `record_page` does, with the page's digest.
    """
    if not await store.lock_link(session, tenant_id, link_id):
        return None
    visit = await visit_of(session, clock, claim_data, tenant_id=tenant_id, link_id=link_id)
    if visit is None:
        return None
    lock = visit.link.lock
    if visit.door is Door.LOCKED:
        return visit, Judged(Verdict.LOCKED, lock)
    if visit.door is not Door.OPEN:
        await record_refusals(session, clock, [(visit, trace)])
        return visit, Judged(Verdict.CLOSED, lock)
    if is_right(visit.asks, answer, visit.known):
        if lock != FRESH_LOCK:
            await store.set_lock(session, tenant_id, link_id, FRESH_LOCK.tries_left, None)
        return visit, Judged(Verdict.RIGHT, FRESH_LOCK)
    return visit, await _record_wrong(session, clock, visit, trace)


async def _record_wrong(session: Session, clock: Clock, visit: Visit, trace: Trace) -> Judged:
    lock = after_wrong_answer(visit.link.lock, visit.at)
    await store.set_lock(session, visit.tenant_id, visit.link.link_id, lock.tries_left, lock.locked_until)
    await _raise(session, clock, visit, Act.WRONG_ANSWER)
    await _append(session, clock, visit, Act.WRONG_ANSWER, trace.as_data() | {"asked": visit.asks.value, "tries_left": lock.tries_left})
    if lock.locked_until is None:
        return Judged(Verdict.WRONG, lock)
    await events.record(
        session, clock, tenant_id=visit.tenant_id, kind="link.locked", subject_kind="link", subject_id=visit.link.link_id,
        actor=_actor(visit), customer_id=visit.link.customer_id,
    )  # fmt: skip
    return Judged(Verdict.LOCKED, lock)


async def record_page(
    session: Session,
    clock: Clock,
    visit: Visit,
    *,
    opened_id: ReadingId,
    page: bytes,
    language: str,
    live: Live | None,
    trace: Trace,
) -> None:
    """Record the page made for a visitor who pressed or answered: grade `opened`, with the digest of its exact bytes.

    The caller makes `opened_id`, because the page itself names it. It becomes `read_confirmed` only when it has left whole (`confirm_read`).
    """
    data = trace.as_data() | {
        "asked": visit.asks.value,
        "answer_in_mail": visit.answer_in_mail,
        "claim_revision": visit.claim.revision,
        "language": language,
        "page_bytes": len(page),
        "live": _amounts(live),
    }
    await _raise(session, clock, visit, Act.OPENED)
    await _append(session, clock, visit, Act.OPENED, data, page_sha256=hashlib.sha256(page).digest(), reading_id=opened_id)


def _amounts(live: Live | None) -> dict[str, Any] | None:
    if live is None:
        return None
    sums = [{"currency": b.currency, "claim_minor": b.claim_minor, "open_minor": b.open_minor} for b in live.blocks]
    return {"settled": live.settled, "amounts": sums}


async def confirm_read(
    session: Session,
    clock: Clock,
    claim_data: ClaimData,
    *,
    tenant_id: TenantId,
    link_id: LinkId,
    opened_id: ReadingId,
    proved_by: str,
) -> bool:
    """Record that a page shown after a right answer left whole; False when it proves no more than `opened`. A second call changes nothing.

    `proved_by` is `sent` (all bytes were handed over and the connection stood) or `acknowledgement` (its form came back).
    """
    if not await store.lock_link(session, tenant_id, link_id):
        return False
    visit = await visit_of(session, clock, claim_data, tenant_id=tenant_id, link_id=link_id)
    opened = {row["reading_id"]: row["data"] for row in await store.readings_of_link(session, tenant_id, link_id, Act.OPENED)}.get(opened_id)
    if visit is None or opened is None or opened["asked"] == Challenge.BUTTON:
        return False
    done = await store.readings_of_link(session, tenant_id, link_id, Act.READ_CONFIRMED)
    if all(row["data"]["opened"] != str(opened_id) for row in done):
        await _raise(session, clock, visit, Act.READ_CONFIRMED)
        data = {"opened": str(opened_id), "proved_by": proved_by} | {key: opened[key] for key in ("asked", "answer_in_mail", "page_bytes")}
        await _append(session, clock, visit, Act.READ_CONFIRMED, data)
    return True


async def acknowledge(
    session: Session,
    clock: Clock,
    claim_data: ClaimData,
    *,
    tenant_id: TenantId,
    link_id: LinkId,
    opened_id: ReadingId,
    reader: Reader,
    statement: str,
    trace: Trace,
) -> Visit | NotAllowedYet | None:
    """Record that a reader says to have received the claim, with name and role as typed; None when there is no such link.

    Needs `read_confirmed`: the form stands at the end of the page, so its coming back proves that the page arrived. A door that was
    closed meanwhile is returned as it is and nothing is recorded but the visit. The same name and role again change nothing.
    """
    if not await store.lock_link(session, tenant_id, link_id):
        return None
    visit = await visit_of(session, clock, claim_data, tenant_id=tenant_id, link_id=link_id)
    if visit is None:
        return None
    if visit.door in CLOSED_FOR_GOOD:
        await record_refusals(session, clock, [(visit, trace)])
        return visit
    if not await confirm_read(
        session,
        clock,
        claim_data,
        tenant_id=tenant_id,
        link_id=link_id,
        opened_id=opened_id,
        proved_by="acknowledgement",
    ):
        return NotAllowedYet(Grade.READ_CONFIRMED)
    data = trace.as_data() | {"opened": str(opened_id)}
    await _acknowledge(session, clock, visit, reader=reader, statement=statement, data=data, actor=_actor(visit))
    return visit


async def vouch(
    session: Session,
    clock: Clock,
    visit: Visit,
    *,
    actor: str,
    reader: Reader,
    shown_sha256: bytes,
    statement: str | None,
) -> Grade:
    """Record that the company's own extranet showed the claim to a reader it knows, and with a `statement` that the reader acknowledged it.

    The visit must be of an open door. Returns the link's grade after it.
    """
    await store.lock_link(session, visit.tenant_id, visit.link.link_id)
    await _raise(session, clock, visit, Act.VOUCHED, actor)
    data = {"vouched_by": actor, "claim_revision": visit.claim.revision}
    await _append_with_reader(session, clock, visit, Act.VOUCHED, data=data, reader=reader, page_sha256=shown_sha256)
    if statement is not None:
        await _acknowledge(session, clock, visit, reader=reader, statement=statement, data={"vouched_by": actor}, actor=actor)
    row = await store.link_row(session, visit.tenant_id, visit.link.link_id)
    return visit.link.grade if row is None else Grade(row["grade"])


async def _acknowledge(session: Session, clock: Clock, visit: Visit, *, reader: Reader, statement: str, data: dict[str, Any], actor: str) -> None:
    if not await store.has_acknowledged(session, visit.tenant_id, visit.link.link_id, reader.name, reader.role):
        await _raise(session, clock, visit, Act.ACKNOWLEDGED, actor)
        await _append_with_reader(session, clock, visit, Act.ACKNOWLEDGED, data=data | {"statement": statement}, reader=reader)


async def _append_with_reader(
    session: Session, clock: Clock, visit: Visit, act: Act, *, data: Mapping[str, Any], reader: Reader, page_sha256: bytes | None = None
) -> None:
    # Who it was can be erased; the salted digest in the reading then still proves what a kept copy says, and tells nothing by itself.
    salt = random_secret()
    digest = sha256("\0".join((salt, reader.name, reader.role, reader.contact or ""))).hex()
    reading_id = await _append(session, clock, visit, act, {**data, "reader_sha256": digest}, page_sha256=page_sha256)
    await store.insert_reader(session, visit.tenant_id, reading_id, reader, salt)


async def _raise(session: Session, clock: Clock, visit: Visit, act: Act, actor: str | None = None) -> None:
    grade = await store.grade_of(session, visit.tenant_id, visit.link.link_id)
    raised = after(Grade(grade), act)
    if isinstance(raised, NotAllowedYet):
        msg = f"{act} needs {raised.needs}"
        raise RuntimeError(msg)  # noqa: TRY004  # a fault of the caller, not of an argument's type
    if raised != grade and await store.raise_grade(session, visit.tenant_id, visit.link.link_id, raised, GRADES_BELOW[raised]):
        await _tell(session, clock, visit, Act.READ_CONFIRMED if act is Act.VOUCHED else act, actor)


async def _append(
    session: Session,
    clock: Clock,
    visit: Visit,
    act: Act,
    data: Mapping[str, Any],
    *,
    page_sha256: bytes | None = None,
    reading_id: ReadingId | None = None,
) -> ReadingId:
    reading_id = reading_id or ReadingId(new_id())
    await store.insert_reading(
        session,
        visit.tenant_id,
        reading_id,
        visit.link.link_id,
        kind=act,
        grade=RISES[act].to,
        data=data,
        page_sha256=page_sha256,
        business_at=clock.now(),
    )
    return reading_id


async def _tell(session: Session, clock: Clock, visit: Visit, act: Act, actor: str | None = None) -> None:
    kind = Act.FETCHED if act is Act.WRONG_ANSWER else act
    await events.record(
        session, clock, tenant_id=visit.tenant_id, kind=f"link.{kind}", subject_kind="link", subject_id=visit.link.link_id,
        actor=actor or _actor(visit), customer_id=visit.link.customer_id, data=what_happened_to(visit),
    )  # fmt: skip


def _actor(visit: Visit) -> str:
    return f"link:{visit.link.link_id}"
