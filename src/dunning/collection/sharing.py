"""Customers are given to somebody by the rules of their ledger: while they are imported, each night, and when a person asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

import asyncpg

from dunning.collection import assignment_store, rulebook
from dunning.collection.assignment_rules import Candidate, Given, Shared, WhyNobody
from dunning.collection.assignment_store import Page
from dunning.collection.rulebook import InForce
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.ids import CustomerId, LedgerId, PersonId, TenantId
from dunning.ledger import ledgers
from dunning.ledger.customer_state import lock_customers
from dunning.ledger.ledger_store import Ledger
from dunning.tenancy import people_store

WhyUnassigned = Literal["no_rules", "no_rule_fits", "nobody_active", "not_applied"]
"""Why nobody looks after a customer: there are no rules; none fits; one fits, but all of its people have left; one fits and was not applied since."""
PAGE = 5_000
"""Customers that a job looks at in one transaction."""
ASKED_PAGE = 1_000
"""Customers that one request looks at."""


@dataclass(slots=True)
class Applied:
    """What applying rules came to: customers that each person got and lost, those left over by reason, and those whom a person had put elsewhere."""

    assigned: dict[PersonId, int] = field(default_factory=dict)
    lost: dict[PersonId, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    kept_by_hand: int = 0
    has_rules: bool = False

    @property
    def assigned_count(self) -> int:
        """How many customers somebody got."""
        return sum(self.assigned.values())

    @property
    def left_count(self) -> int:
        """How many customers nobody got."""
        return sum(self.left.values())

    def include(self, other: Applied) -> None:
        """Add what came of another part of the same run."""
        self.has_rules = self.has_rules or other.has_rules
        self.kept_by_hand += other.kept_by_hand
        for mine, theirs in ((self.assigned, other.assigned), (self.lost, other.lost)):
            for person_id, count in theirs.items():
                mine[person_id] = mine.get(person_id, 0) + count
        for why, count in other.left.items():
            self.left[why] = self.left.get(why, 0) + count

    def add(self, shared: Shared, moved: Iterable[tuple[UUID, UUID | None]]) -> None:
        """Add the outcome of one page; `moved` are the new and the former person of each customer that moved."""
        for to, former in moved:
            self.assigned[PersonId(to)] = self.assigned.get(PersonId(to), 0) + 1
            if former is not None:
                self.lost[PersonId(former)] = self.lost.get(PersonId(former), 0) + 1
        for why in shared.left.values():
            self.left[why] = self.left.get(why, 0) + 1
        self.kept_by_hand += len(shared.kept_by_hand)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks for: to fill the gaps of a role, or to move also those whom the rules put elsewhere, by hand or not; or only to say what would happen."""

    role: str
    reassign: bool = False
    keep_by_hand: bool = True
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a request came: the last customer, how the pages up to it changed the shares, as far as that is not written, and who was left, by reason."""

    after: UUID
    shares: Mapping[UUID, int]
    left: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Move:
    """A customer that a rule gives to somebody, from somebody or nobody, with the open work that goes along."""

    customer_id: UUID
    external_id: str
    name: str
    from_id: UUID | None
    from_name: str | None
    to_id: UUID
    to_name: str
    rule_id: UUID
    rule_name: str
    actions: int
    disputes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request, and where the next one goes on; None: all customers were looked at."""

    applied: Applied
    moves: Sequence[Move]
    reached: Reached | None


async def unassigned_after(
    session: ReadSession, *, tenant_id: TenantId, ledger_id: LedgerId, role: str, after: UUID | None, limit: int
) -> list[tuple[asyncpg.Record, WhyUnassigned]]:
    """Return the customers of a ledger for whom nobody leads in a role, each with why."""
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    rows = await assignment_store.unassigned_after(session, tenant_id, ledger_id, role, after, limit)
    rules = await rulebook.in_force(session, tenant_id=tenant_id, ledger=ledger)
    if role not in rules.rules or not rows:
        return [(row, "no_rules") for row in rows]
    page = Page(ledger_id, role, limit, customer_ids=[row["customer_id"] for row in rows])
    left = rules.share_out(role, await assignment_store.candidates(session, tenant_id, page, ledger.currency), {}).left
    return [(row, _why(left.get(row["customer_id"]))) for row in rows]


def _why(left: WhyNobody | None) -> WhyUnassigned:
    match left:
        case None:
            return "not_applied"
        case WhyNobody.NOBODY_ACTIVE:
            return "nobody_active"
        case _:
            return "no_rule_fits"


async def apply_to_new(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger: Ledger, customer_ids: Sequence[CustomerId]) -> Applied:
    """Give customers who were just created to somebody, as far as their own data tell: what asks for amounts waits for their documents.

    The caller's transaction created them, so nobody else can hold them. One statement where the ledger has no rules.
    """
    applied = Applied()
    if not customer_ids:
        return applied
    rules = await rulebook.in_force(session, tenant_id=tenant_id, ledger=ledger)
    for role in rules.rules:
        page = Page(ledger.ledger_id, role, len(customer_ids), customer_ids=list(customer_ids))
        found = await assignment_store.candidates(session, tenant_id, page, None)
        applied.include(await _give(session, clock, tenant_id, actor, ledger, role, await _decide(session, tenant_id, rules, role, found)))
    return applied


async def apply(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger_id: LedgerId, role: str, after: UUID | None = None
) -> tuple[Applied, UUID | None]:
    """Give the customers of a ledger for whom nobody leads in a role to somebody, by all rules; return what came of it, and where to go on.

    At most `PAGE` customers past `after`, in the order of their ids; without a place to go on, all were looked at. Harmless when repeated: whoever
    has somebody is left alone.
    """
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    rules = await rulebook.in_force(session, tenant_id=tenant_id, ledger=ledger)
    if role not in rules.rules:
        return Applied(), None
    found = await assignment_store.candidates(session, tenant_id, Page(ledger_id, role, PAGE, after=after), ledger.currency)
    applied = await _give(session, clock, tenant_id, actor, ledger, role, await _decide(session, tenant_id, rules, role, found))
    return applied, found[-1].customer_id if len(found) == PAGE else None


async def apply_when_asked(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger_id: LedgerId, asked: Asked, reached: Reached | None
) -> Answer:
    """Apply the rules of a role because a person asked, and say who moves from whom to whom, and by which rule; tell at the end who is left over.

    A page of customers at a time. A dry run decides the same, page by page, and locks and writes nothing. Asking again moves nobody further.
    """
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    rules = await rulebook.in_force(session, tenant_id=tenant_id, ledger=ledger)
    if asked.role not in rules.rules:
        return Answer(Applied(), (), None)
    page = Page(ledger_id, asked.role, ASKED_PAGE, after=None if reached is None else reached.after, with_lead=asked.reassign)
    found = await assignment_store.candidates(session, tenant_id, page, ledger.currency)
    before = {} if reached is None else reached.shares
    shared = await _decide(session, tenant_id, rules, asked.role, found, keep_by_hand=asked.keep_by_hand, before=before, locks=not asked.dry_run)
    moves = await _moves(session, tenant_id, rules, asked.role, shared.given)
    if asked.dry_run:
        applied = Applied(has_rules=True)
        applied.add(shared, [(one.person_id, one.former_id) for one in shared.given])
    else:
        applied = await _give(session, clock, tenant_id, actor, ledger, asked.role, shared)
    left = Applied(left=dict(applied.left), has_rules=True)
    if reached is not None:
        left.include(Applied(left=dict(reached.left)))
    if len(found) == ASKED_PAGE:
        return Answer(applied, moves, Reached(found[-1].customer_id, _moved_shares(before, applied) if asked.dry_run else {}, left.left))
    if not asked.dry_run:
        await tell_unassigned(session, clock, tenant_id=tenant_id, actor=actor, ledger_id=ledger_id, role=asked.role, applied=left)
    return Answer(applied, moves, None)


async def tell_unassigned(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger_id: LedgerId, role: str, applied: Applied) -> None:
    """Record, once a run, that rules left customers without somebody; nothing where there are no rules or nobody is left."""
    if applied.has_rules and applied.left:
        await events.record(
            session,
            clock,
            tenant_id=tenant_id,
            kind="customers.unassigned",
            subject_kind="ledger",
            subject_id=ledger_id,
            actor=actor,
            data={"role": role, "customers": applied.left_count, "because": {str(why): count for why, count in sorted(applied.left.items())}},
        )


async def _decide(
    session: Session,
    tenant_id: TenantId,
    rules: InForce,
    role: str,
    found: Sequence[Candidate],
    *,
    keep_by_hand: bool = True,
    before: Mapping[UUID, int] | None = None,
    locks: bool = True,
) -> Shared:
    """Return who gets whom; `before` is added to the shares that are counted.

    Who moves depends on the rules alone, to whom also on the shares. So those who move are locked, then the shares, and only then they are counted.
    """
    moving = rules.share_out(role, found, {}, keep_by_hand=keep_by_hand)
    if not moving.given:
        return moving
    ids = {one.customer_id for one in moving.given}
    if locks:
        await lock_customers(session, tenant_id, {CustomerId(customer_id) for customer_id in ids})
        await assignment_store.lock_shares(session, tenant_id)
    loads = await assignment_store.loads_of(session, tenant_id, rules.named(role), role)
    for person_id, count in (before or {}).items():
        loads[person_id] = loads.get(person_id, 0) + count
    given = rules.share_out(role, [one for one in found if one.customer_id in ids], loads, keep_by_hand=keep_by_hand).given
    return Shared(given, moving.left, moving.kept_by_hand)


async def _give(session: Session, clock: Clock, tenant_id: TenantId, actor: str, ledger: Ledger, role: str, shared: Shared) -> Applied:
    """Write who gets whom, and tell."""
    applied = Applied(has_rules=True)
    moved: Sequence[asyncpg.Record] = ()
    if shared.given:
        today = local_date(clock.now(), ledger.time_zone)
        moved = await assignment_store.give(session, tenant_id, ledger.ledger_id, role, shared.given, today, actor)
        made = [NewEvent("customer.assigned", "customer", row["customer_id"], CustomerId(row["customer_id"]), _told(role, row)) for row in moved]
        await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)
    applied.add(shared, [(row["person_id"], row["former_id"]) for row in moved])
    return applied


def _told(role: str, row: asyncpg.Record) -> dict[str, object]:
    before = [] if row["former_id"] is None else [row["former_id"]]
    return {"role": role, "lead_id": row["person_id"], "rule_id": row["rule_id"], "before": before, "moved_actions": row["actions"]}


async def _moves(session: ReadSession, tenant_id: TenantId, rules: InForce, role: str, given: Sequence[Given]) -> list[Move]:
    if not given:
        return []
    work = await assignment_store.work_moving(session, tenant_id, role, given)
    names = await people_store.names_of(session, tenant_id, {one.former_id for one in given if one.former_id is not None})
    return [
        Move(
            one.customer_id, work[one.customer_id]["external_id"], work[one.customer_id]["name"], one.former_id,
            None if one.former_id is None else names[PersonId(one.former_id)], one.person_id, rules.active[PersonId(one.person_id)].name, one.rule_id,
            rules.names[one.rule_id], work[one.customer_id]["actions"], work[one.customer_id]["disputes"],
        )
        for one in given
    ]  # fmt: skip


def _moved_shares(before: Mapping[UUID, int], applied: Applied) -> dict[UUID, int]:
    shares = dict(before)
    for person_id, count in applied.assigned.items():
        shares[person_id] = shares.get(person_id, 0) + count
    for person_id, count in applied.lost.items():
        shares[person_id] = shares.get(person_id, 0) - count
    return shares
