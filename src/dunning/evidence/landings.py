"""Visits to the landing page, many links at once: they are counted, and the first of a link makes it `fetched`.

Mail scanners open every link of every mail within seconds. What their visits leave is the same few statements for one link or for a hundred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.evidence import store
from dunning.evidence.rules import LADDER, RISES, Act, Door, Grade
from dunning.evidence.trace import Trace
from dunning.evidence.visits import Arrival, ClaimFaces, arrivals_of
from dunning.kit.clock import Clock
from dunning.kit.database import Session
from dunning.kit.ids import LinkId, ReadingId, TenantId, new_id

GRADES_BELOW: Mapping[Grade, tuple[str, ...]] = {grade: tuple(LADDER[: LADDER.index(grade)]) for grade in LADDER}
CLOSED_FOR_GOOD = frozenset({Door.REVOKED, Door.EXPIRED})


async def record_landings(
    session: Session, clock: Clock, claim_faces: ClaimFaces, *, tenant_id: TenantId, comings: Mapping[LinkId, Sequence[Trace]], waits: bool
) -> dict[LinkId, Arrival | None]:
    """Count visits to the landing pages of some links and return what their visitors find; unknown links are left out, None is one without its claim.

    The first visit of a link makes a reading `fetched`, repeats only count. One to a door that is closed for good is recorded once per reason.
    Without `waits`, links that another transaction holds at the moment are left out too, uncounted: take them again by themselves.
    """
    counted = await store.count_fetches(session, tenant_id, {link_id: len(traces) for link_id, traces in comings.items()}, waits=waits)
    visits = await arrivals_of(session, clock, claim_faces, tenant_id=tenant_id, rows=counted.values())
    firsts = {link_id: comings[link_id][0] for link_id in visits}
    await record_refusals(session, clock, [(visit, firsts[link_id]) for link_id, visit in visits.items() if visit.door in CLOSED_FOR_GOOD])
    fresh = [link_id for link_id, visit in visits.items() if visit.door not in CLOSED_FOR_GOOD and visit.link.grade is Grade.NONE]
    if fresh:
        rose = await store.raise_grades(session, tenant_id, fresh, Grade.FETCHED, GRADES_BELOW[Grade.FETCHED])
        await _append(session, clock, Act.FETCHED, tenant_id, [(link_id, firsts[link_id].as_data()) for link_id in fresh if link_id in rose])
        await events.record_many(session, clock, tenant_id=tenant_id, actor="link", events=[_fetched(visits[link_id]) for link_id in fresh if link_id in rose])
    return {link_id: visits.get(link_id) for link_id in counted}


async def record_landing(session: Session, clock: Clock, claim_faces: ClaimFaces, *, tenant_id: TenantId, link_id: LinkId, trace: Trace) -> Arrival | None:
    """Count one visit to a landing page and return what the visitor finds; None when there is no such link. Waits for other visitors of it."""
    visits = await record_landings(session, clock, claim_faces, tenant_id=tenant_id, comings={link_id: [trace]}, waits=True)
    return visits.get(link_id)


async def record_refusals(session: Session, clock: Clock, visits: Sequence[tuple[Arrival, Trace]]) -> None:
    """Record that someone came to doors that are closed for good; once per link and reason, since the visits themselves are counted."""
    if not visits:
        return
    tenant_id = visits[0][0].tenant_id
    before = await store.reasons_of_refusals(session, tenant_id, [visit.link.link_id for visit, _ in visits])
    new = [(visit, trace) for visit, trace in visits if (visit.link.link_id, visit.door.value) not in before]
    await _append(session, clock, Act.REFUSED, tenant_id, [(visit.link.link_id, trace.as_data() | {"reason": visit.door.value}) for visit, trace in new])


async def _append(session: Session, clock: Clock, act: Act, tenant_id: TenantId, visits: Sequence[tuple[LinkId, Mapping[str, str]]]) -> None:
    if visits:
        made = [(ReadingId(new_id()), link_id, data) for link_id, data in visits]
        await store.insert_visits(session, tenant_id, made, kind=act, grade=RISES[act].to, business_at=clock.now())


def _fetched(visit: Arrival) -> NewEvent:
    return NewEvent(f"link.{Act.FETCHED}", "link", visit.link.link_id, visit.link.customer_id, what_happened_to(visit), actor=f"link:{visit.link.link_id}")


def what_happened_to(visit: Arrival) -> dict[str, str]:
    """Return what every event of a link tells beside its kind."""
    return {"audience": visit.link.audience, "message_id": str(visit.link.message_id), "claim_id": str(visit.link.claim_id)}
