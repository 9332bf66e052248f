"""Assignment rules: stated by people, applied to customers whom nobody looks after, while they are imported and whenever asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import assignment_rule_store, assignment_store
from dunning.collection.assignment_rule_store import RuleValues, StoredRule
from dunning.collection.assignment_rules import ACCOUNT_MANAGER, COLLECTOR, Conditions, Rule, Shared, share_out
from dunning.collection.assignment_store import Page
from dunning.events import service as events
from dunning.events.service import NewEvent
from dunning.kit.clock import Clock, local_date
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound, PreconditionFailed
from dunning.kit.ids import CustomerId, LedgerId, PersonId, RuleId, TenantId, new_id
from dunning.kit.money import format_minor, parse_minor
from dunning.ledger import ledgers
from dunning.ledger.customer_state import lock_customers
from dunning.ledger.ledger_store import Ledger
from dunning.tenancy import people, people_store

PAGE = 500
PAGES = 20
"""Pages of customers in one transaction."""
LISTS = ("countries", "subdivisions", "territories", "groups", "external_ids", "tags")


class RankTaken(Conflict):
    """Two active rules of a role cannot have one rank: it says which is asked first."""

    code = "rank_taken"


@dataclass(slots=True)
class Applied:
    """What applying rules came to: customers given to each person, and those left over by reason."""

    assigned: dict[PersonId, int] = field(default_factory=dict)
    by_rule: dict[RuleId, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
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
        for person_id, count in other.assigned.items():
            self.assigned[person_id] = self.assigned.get(person_id, 0) + count
        for rule_id, count in other.by_rule.items():
            self.by_rule[rule_id] = self.by_rule.get(rule_id, 0) + count
        for why, count in other.left.items():
            self.left[why] = self.left.get(why, 0) + count

    def add(self, shared: Shared, kept: Sequence[tuple[UUID, UUID]]) -> None:
        """Add the outcome of one page; `kept` are person and rule of those that were stored."""
        for person_id, rule_id in kept:
            self.assigned[PersonId(person_id)] = self.assigned.get(PersonId(person_id), 0) + 1
            self.by_rule[RuleId(rule_id)] = self.by_rule.get(RuleId(rule_id), 0) + 1
        for why in shared.left.values():
            self.left[why] = self.left.get(why, 0) + 1


async def create_rule(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger_id: LedgerId, values: RuleValues) -> StoredRule:
    """Create a rule; it serves customers who come, and those there are once it is applied. Raises `RankTaken`, `NotFound`, `Malformed`."""
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    await _check(session, tenant_id, ledger, values)
    rule_id = RuleId(new_id())
    try:
        async with session.savepoint():
            await assignment_rule_store.insert_rule(session, tenant_id, ledger_id, rule_id, values)
    except asyncpg.UniqueViolationError:
        raise _rank_taken(values) from None
    await _record(session, clock, tenant_id, actor, "assignment_rule.created", rule_id, ledger_id)
    return await rule_of(session, tenant_id=tenant_id, rule_id=rule_id)


async def update_rule(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, rule_id: RuleId, changes: Mapping[str, Any], expected_version: int | None
) -> StoredRule:
    """Change what is given about a rule; assignments that it made stay. Raises as `create_rule`, and `PreconditionFailed` for an outdated version."""
    rule = await assignment_rule_store.rule_for_change(session, tenant_id, rule_id)
    if rule is None:
        raise _unknown()
    if expected_version is not None and rule.version != expected_version:
        msg = "Somebody changed this rule since you read it. Read it again and repeat your change."
        raise PreconditionFailed(msg)
    changed = replace(rule, **changes)
    if changed == rule:
        return rule
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=rule.ledger_id)
    await _check(session, tenant_id, ledger, changed)
    try:
        async with session.savepoint():
            await assignment_rule_store.update_rule(session, tenant_id, rule_id, changed)
    except asyncpg.UniqueViolationError:
        raise _rank_taken(changed) from None
    await _record(session, clock, tenant_id, actor, "assignment_rule.changed", rule_id, rule.ledger_id)
    return await rule_of(session, tenant_id=tenant_id, rule_id=rule_id)


async def rule_of(session: ReadSession, *, tenant_id: TenantId, rule_id: RuleId) -> StoredRule:
    """Return one rule; raise `NotFound`."""
    rule = await assignment_rule_store.rule_of(session, tenant_id, rule_id)
    if rule is None:
        raise _unknown()
    return rule


async def rules_after(session: ReadSession, *, tenant_id: TenantId, ledger_id: LedgerId, after: UUID | None, limit: int) -> list[StoredRule]:
    """Return the rules of a ledger in the order of their creation; `rank` is the order in which they are asked."""
    await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    return await assignment_rule_store.rules_after(session, tenant_id, ledger_id, after, limit)


async def unassigned_after(
    session: ReadSession, *, tenant_id: TenantId, ledger_id: LedgerId, role: str, after: UUID | None, limit: int
) -> list[asyncpg.Record]:
    """Return the customers of a ledger for whom nobody leads in a role."""
    await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    return await assignment_store.unassigned_after(session, tenant_id, ledger_id, role, after, limit)


async def apply_to_new(session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger: Ledger, customer_ids: Sequence[CustomerId]) -> Applied:
    """Give customers who were just created to somebody, as far as their own data tell: what asks for amounts waits for their documents.

    The caller's transaction created them, so nobody else can hold them. One statement where the ledger has no rules.
    """
    applied = Applied()
    rules = await assignment_rule_store.active_rules(session, tenant_id, ledger.ledger_id) if customer_ids else []
    for role in dict.fromkeys(rule.role for rule in rules):
        page = Page(ledger.ledger_id, role, len(customer_ids), customer_ids=list(customer_ids))
        await _share_page(session, clock, tenant_id, actor, ledger, rules, page, None, applied)
    return applied


async def apply(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger_id: LedgerId, role: str, after: UUID | None = None, pages: int = PAGES
) -> tuple[Applied, UUID | None]:
    """Give the customers of a ledger for whom nobody leads in a role to somebody, by all rules; return what came of it, and where to go on.

    At most `pages` pages of customers past `after`, in the order of their ids, which is that of locks; without a place to go on, all were looked
    at. Harmless when repeated: whoever has somebody is left alone.
    """
    ledger = await ledgers.ledger_of(session, tenant_id=tenant_id, ledger_id=ledger_id)
    rules = [rule for rule in await assignment_rule_store.active_rules(session, tenant_id, ledger_id) if rule.role == role]
    applied = Applied()
    place = after
    for _ in range(pages if rules else 0):
        place = await _share_page(session, clock, tenant_id, actor, ledger, rules, Page(ledger_id, role, PAGE, after=place), ledger.currency, applied)
        if place is None:
            break
    return applied, place if rules else None


class _Undo(Exception):  # not an error: the end of a rehearsal
    """Ends what is only tried out."""


async def apply_when_asked(
    session: Session, clock: Clock, *, tenant_id: TenantId, actor: str, ledger_id: LedgerId, role: str, after: UUID | None, dry_run: bool
) -> tuple[Applied, UUID | None]:
    """Apply the rules because a person asked, as `apply`; tell at the end who is left over. With `dry_run` the answer is the same and nothing is kept."""
    done: tuple[Applied, UUID | None] = (Applied(), None)
    try:
        async with session.savepoint():
            done = await apply(session, clock, tenant_id=tenant_id, actor=actor, ledger_id=ledger_id, role=role, after=after)
            if done[1] is None:
                await tell_unassigned(session, clock, tenant_id=tenant_id, actor=actor, ledger_id=ledger_id, role=role, applied=done[0])
            if dry_run:
                raise _Undo  # noqa: TRY301  # the savepoint undoes what was written by being left with an exception
    except _Undo:
        pass
    return done


async def _share_page(
    session: Session,
    clock: Clock,
    tenant_id: TenantId,
    actor: str,
    ledger: Ledger,
    rules: Sequence[StoredRule],
    page: Page,
    currency: str | None,
    applied: Applied,
) -> UUID | None:
    applied.has_rules = True
    asked = [_rule(rule, ledger.currency) for rule in rules if rule.role == page.role]
    found = await assignment_store.candidates(session, tenant_id, page, currency)
    if not found:
        return None
    named = sorted({person_id for rule in asked for person_id in rule.person_ids}, key=str)
    active = await people_store.active_people(session, tenant_id, named)
    loads = await assignment_store.loads_of(session, tenant_id, named, page.role)
    shared = share_out(asked, found, loads, set(active))
    kept = []
    if shared.given:
        await lock_customers(session, tenant_id, [CustomerId(g.customer_id) for g in shared.given])
        today = local_date(clock.now(), ledger.time_zone)
        kept = await assignment_store.insert_given(session, tenant_id, ledger.ledger_id, page.role, shared.given, today, actor)
        made = [
            NewEvent(
                "customer.assigned",
                "customer",
                row["customer_id"],
                CustomerId(row["customer_id"]),
                {"role": page.role, "lead_id": str(row["person_id"]), "rule_id": str(row["rule_id"])},
            )
            for row in kept
        ]
        await events.record_many(session, clock, tenant_id=tenant_id, actor=actor, events=made)
    applied.add(shared, [(row["person_id"], row["rule_id"]) for row in kept])
    return found[-1].customer_id if len(found) == page.limit else None


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


def conditions_of(stored: Mapping[str, Any], currency: str) -> Conditions:
    """Read stored conditions; amounts are decimal text of the ledger's currency."""
    low, high = stored.get("min_open_amount"), stored.get("max_open_amount")
    return Conditions(
        **{name: frozenset(stored.get(name, ())) for name in LISTS},
        min_open_minor=None if low is None else parse_minor(low, currency),
        max_open_minor=None if high is None else parse_minor(high, currency),
    )


def _rule(stored: StoredRule, currency: str) -> Rule:
    return Rule(stored.rule_id, stored.rank, tuple(stored.person_ids), conditions_of(stored.conditions, currency))


async def _check(session: Session, tenant_id: TenantId, ledger: Ledger, values: RuleValues) -> None:
    if values.role not in (COLLECTOR, ACCOUNT_MANAGER):
        msg = "role: expected collector or account_manager."
        raise Malformed(msg)
    found = conditions_of(values.conditions, ledger.currency)
    low, high = found.min_open_minor, found.max_open_minor
    if low is not None and high is not None and low > high:
        msg = f"min_open_amount {format_minor(low, ledger.currency)} is more than max_open_amount {format_minor(high, ledger.currency)}: no customer can fit."
        raise Malformed(msg)
    if values.active:
        await people.active_ones(session, tenant_id=tenant_id, person_ids=set(values.person_ids))


def _rank_taken(values: RuleValues) -> RankTaken:
    return RankTaken(f"rank: another active rule of this ledger for the role {values.role} has rank {values.rank}. Choose another, or change that one.")


def _unknown() -> NotFound:
    return NotFound("assignment rule")


async def _record(session: Session, clock: Clock, tenant_id: TenantId, actor: str, kind: str, rule_id: RuleId, ledger_id: LedgerId) -> None:
    data = {"ledger_id": str(ledger_id)}
    await events.record(session, clock, tenant_id=tenant_id, kind=kind, subject_kind="assignment_rule", subject_id=rule_id, actor=actor, data=data)
