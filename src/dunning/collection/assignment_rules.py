"""Who is to look after a customer, decided by the ledger's rules; and what changes when somebody else is. Pure.

Rules are asked in the order of their rank. A rule fits when each condition that it states holds; a list of values holds when one of them does.
Among several people of a rule, the one with the fewest customers is next, and of equals the one named first. Whoever has a customer keeps it as long
as the rule that fits names them: shares are evened out by who comes next, never by taking away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

COLLECTOR, ACCOUNT_MANAGER = "collector", "account_manager"
NEEDS = {COLLECTOR: "collection:write", ACCOUNT_MANAGER: "notes:write"}
"""What the role of whoever leads in looking after a customer must allow."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a rule asks of a customer; what is empty or None asks nothing. Amounts are open debit in minor units of the ledger's currency, both ends included."""

    countries: frozenset[str] = frozenset()
    subdivisions: frozenset[str] = frozenset()
    territories: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    external_ids: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    min_open_minor: int | None = None
    max_open_minor: int | None = None

    @property
    def ask_for_amount(self) -> bool:
        """Whether what is owed matters."""
        return self.min_open_minor is not None or self.max_open_minor is not None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule with the people among whom it shares out customers."""

    rule_id: UUID
    rank: int
    person_ids: tuple[UUID, ...]
    conditions: Conditions


@dataclass(frozen=True, slots=True)
class Lead:
    """Who looks after a customer now, by rule or by hand."""

    person_id: UUID
    by_hand: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A customer with who leads, None: nobody. `open_minor` None: what is owed is not yet known, because its documents are still to come."""

    customer_id: UUID
    external_id: str
    country: str | None
    subdivision: str | None
    territory: str | None
    group_code: str | None
    tags: frozenset[str]
    open_minor: int | None
    lead: Lead | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """A customer given to somebody by a rule; `former_id` is who had it, None: nobody."""

    customer_id: UUID
    person_id: UUID
    rule_id: UUID
    former_id: UUID | None = None


class WhyNobody(StrEnum):
    """Why a customer stays without somebody."""

    NO_RULE_FITS = "no_rule_fits"
    NOBODY_ACTIVE = "nobody_active"
    """A rule fits, but all of its people have left."""
    AMOUNT_NOT_KNOWN = "amount_not_known"


@dataclass(frozen=True, slots=True)
class Shared:
    """Who got whom, and who stays without somebody, and why; `kept_by_hand` are those whom a person put where no rule would."""

    given: list[Given] = field(default_factory=list)
    left: dict[UUID, WhyNobody] = field(default_factory=dict)
    kept_by_hand: list[UUID] = field(default_factory=list)


def fits(conditions: Conditions, customer: Candidate) -> bool | None:
    """Tell whether a customer fulfils all conditions; None when only the amount could tell and is not known."""
    asked: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
        (conditions.countries, _one(customer.country)),
        (conditions.subdivisions, _one(customer.subdivision)),
        (conditions.territories, _one(customer.territory)),
        (conditions.groups, _one(customer.group_code)),
        (conditions.external_ids, _one(customer.external_id)),
        (conditions.tags, customer.tags),
    )
    if any(wanted and not wanted & has for wanted, has in asked):
        return False
    if not conditions.ask_for_amount:
        return True
    if customer.open_minor is None:
        return None
    low, high = conditions.min_open_minor, conditions.max_open_minor
    return (low is None or customer.open_minor >= low) and (high is None or customer.open_minor <= high)


def share_out(
    rules: Iterable[Rule], customers: Iterable[Candidate], loads: Mapping[UUID, int], active: Collection[UUID], *, keep_by_hand: bool = True
) -> Shared:
    """Give each customer to somebody by the first rule that fits and has somebody active. `loads` are the customers that each has before.

    A customer who has somebody moves only where that rule names others; where no rule fits it stays, and with `keep_by_hand` also where a person put it.
    """
    ordered = sorted(rules, key=lambda rule: rule.rank)
    load = dict(loads)
    shared = Shared()
    for customer in customers:
        found = _first_rule(ordered, customer, active)
        lead = customer.lead
        if isinstance(found, WhyNobody):
            if lead is None:
                shared.left[customer.customer_id] = found
            continue
        people = [person_id for person_id in found.person_ids if person_id in active]
        if lead is not None and lead.person_id in people:
            continue
        if lead is not None and lead.by_hand and keep_by_hand:
            shared.kept_by_hand.append(customer.customer_id)
            continue
        person_id = next_of(people, load)
        load[person_id] = load.get(person_id, 0) + 1
        if lead is not None:
            load[lead.person_id] = load.get(lead.person_id, 0) - 1
        shared.given.append(Given(customer.customer_id, person_id, found.rule_id, None if lead is None else lead.person_id))
    return shared


def next_of(person_ids: Sequence[UUID], load: Mapping[UUID, int]) -> UUID:
    """Return who has the fewest, and of equals the one named first."""
    return min(person_ids, key=lambda person_id: load.get(person_id, 0))


def _first_rule(rules: Iterable[Rule], customer: Candidate, active: Collection[UUID]) -> Rule | WhyNobody:
    why = WhyNobody.NO_RULE_FITS
    for rule in rules:
        fit = fits(rule.conditions, customer)
        if fit is None:
            # A lower rule must not take what a higher one may claim once the amount is known.
            return WhyNobody.AMOUNT_NOT_KNOWN
        if fit and any(person_id in active for person_id in rule.person_ids):
            return rule
        if fit:
            why = WhyNobody.NOBODY_ACTIVE
    return why


def _one(value: str | None) -> frozenset[str]:
    return frozenset() if value is None else frozenset({value})


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody who looks after a customer now."""

    assignment_id: UUID
    person_id: UUID
    lead: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What must change so that the wanted people look after a customer: rows to end, rows to add as (person, lead), people who no longer do."""

    ended: tuple[UUID, ...]
    added: tuple[tuple[UUID, bool], ...]
    removed: tuple[UUID, ...]

    @property
    def is_none(self) -> bool:
        """Whether everything is so already."""
        return not self.ended and not self.added


def change_to(present: Sequence[Present], lead: UUID | None, others: Sequence[UUID]) -> Change:
    """Return the change from those who look after a customer to those who shall. Who changes between lead and other ends and begins anew, for history."""
    wanted = dict.fromkeys(others, False)
    if lead is not None:
        wanted[lead] = True
    has = {p.person_id: p.lead for p in present}
    return Change(
        ended=tuple(p.assignment_id for p in present if wanted.get(p.person_id) is not p.lead),
        added=tuple((person_id, is_lead) for person_id, is_lead in wanted.items() if has.get(person_id) is not is_lead),
        removed=tuple(person_id for person_id in has if person_id not in wanted),
    )
