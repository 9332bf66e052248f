"""The assignment rules of a ledger, as people state and change them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg

from dunning.collection import assignment_rule_store
from dunning.collection.assignment_rule_store import RuleValues, StoredRule
from dunning.collection.assignment_rules import ACCOUNT_MANAGER, COLLECTOR, NEEDS, Candidate, Conditions, Rule, Shared, share_out
from dunning.events import service as events
from dunning.kit.clock import Clock
from dunning.kit.database import ReadSession, Session
from dunning.kit.errors import Conflict, Malformed, NotFound, PreconditionFailed
from dunning.kit.ids import LedgerId, PersonId, RuleId, TenantId, new_id
from dunning.kit.money import format_minor, parse_minor
from dunning.ledger import ledgers
from dunning.ledger.ledger_store import Ledger
from dunning.tenancy import people, people_store
from dunning.tenancy.people_store import Person

LISTS = ("countries", "subdivisions", "territories", "groups", "external_ids", "tags")


class RankTaken(Conflict):
    """Two active rules of a role cannot have one rank: it says which is asked first."""

    code = "rank_taken"


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


@dataclass(frozen=True, slots=True)
class InForce:
    """The active rules of a ledger by role, what they are called, and who of the people they name works here."""

    rules: Mapping[str, Sequence[Rule]]
    names: Mapping[UUID, str]
    active: Mapping[PersonId, Person]

    def named(self, role: str) -> list[UUID]:
        """Return whom the rules of a role name."""
        return sorted({person_id for rule in self.rules[role] for person_id in rule.person_ids}, key=str)

    def share_out(self, role: str, customers: Iterable[Candidate], loads: Mapping[UUID, int], *, keep_by_hand: bool = True) -> Shared:
        """Decide by the rules of a role who gets whom."""
        return share_out(self.rules[role], customers, loads, self.active, keep_by_hand=keep_by_hand)


async def in_force(session: ReadSession, *, tenant_id: TenantId, ledger: Ledger) -> InForce:
    """Return the rules by which customers of a ledger are given to somebody; one statement where there are none."""
    stored = await assignment_rule_store.active_rules(session, tenant_id, ledger.ledger_id)
    if not stored:
        return InForce({}, {}, {})
    rules: dict[str, list[Rule]] = {}
    for one in stored:
        rules.setdefault(one.role, []).append(Rule(one.rule_id, one.rank, tuple(one.person_ids), conditions_of(one.conditions, ledger.currency)))
    active = await people_store.active_people(session, tenant_id, {person_id for one in stored for person_id in one.person_ids})
    return InForce(rules, {one.rule_id: one.name for one in stored}, active)


def conditions_of(stored: Mapping[str, Any], currency: str) -> Conditions:
    """Read stored conditions; amounts are decimal text of the ledger's currency."""
    low, high = stored.get("min_open_amount"), stored.get("max_open_amount")
    return Conditions(
        **{name: frozenset(stored.get(name, ())) for name in LISTS},
        min_open_minor=None if low is None else parse_minor(low, currency),
        max_open_minor=None if high is None else parse_minor(high, currency),
    )


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
        people.may_work((await people.active_ones(session, tenant_id=tenant_id, person_ids=set(values.person_ids))).values(), NEEDS[values.role])


def _rank_taken(values: RuleValues) -> RankTaken:
    return RankTaken(f"rank: another active rule of this ledger for the role {values.role} has rank {values.rank}. Choose another, or change that one.")


def _unknown() -> NotFound:
    return NotFound("assignment rule")


async def _record(session: Session, clock: Clock, tenant_id: TenantId, actor: str, kind: str, rule_id: RuleId, ledger_id: LedgerId) -> None:
    data = {"ledger_id": str(ledger_id)}
    await events.record(session, clock, tenant_id=tenant_id, kind=kind, subject_kind="assignment_rule", subject_id=rule_id, actor=actor, data=data)
