"""Who gets whom by rule, and what changes when somebody else shall look after a customer (S2-01, S2-13)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dunning.collection.assignment_rules import Candidate, Conditions, Lead, Present, Rule, WhyNobody, change_to, fits, share_out

ANNA, BRUNO, CARLA = (UUID(int=n) for n in (1, 2, 3))


def customer(number: int = 100, **facts: Any) -> Candidate:
    stated: dict[str, Any] = {
        "external_id": f"C-{number}", "country": "IT", "subdivision": "MI", "territory": "north", "group_code": "public", "tags": frozenset({"key"}),
        "open_minor": 0,
    } | facts  # fmt: skip
    return Candidate(customer_id=UUID(int=number), **stated)


def rule(rank: int, *people: UUID, **conditions: Any) -> Rule:
    return Rule(UUID(int=1000 + rank), rank, people, Conditions(**conditions))


@pytest.mark.parametrize(
    ("condition", "fact", "other"),
    [
        ({"countries": {"IT", "FR"}}, {"country": "FR"}, {"country": "ES"}),
        ({"subdivisions": {"MI"}}, {"subdivision": "MI"}, {"subdivision": None}),
        ({"territories": {"north"}}, {"territory": "north"}, {"territory": "south"}),
        ({"groups": {"public"}}, {"group_code": "public"}, {"group_code": None}),
        ({"external_ids": {"C-7"}}, {"external_id": "C-7"}, {"external_id": "C-8"}),
        ({"tags": {"key", "vip"}}, {"tags": frozenset({"vip", "old"})}, {"tags": frozenset({"old"})}),
    ],
)
def test_each_condition_holds_for_one_of_its_values_only(condition: Any, fact: Any, other: Any) -> None:
    asked: dict[str, Any] = {name: frozenset(values) for name, values in condition.items()}
    stated = Conditions(**asked)
    assert fits(stated, customer(**fact)) is True
    assert fits(stated, customer(**other)) is False


@pytest.mark.parametrize(("minor", "fit"), [(99, False), (100, True), (150, True), (200, True), (201, False)])
def test_amounts_are_included_at_both_ends(minor: int, fit: bool) -> None:
    assert fits(Conditions(min_open_minor=100, max_open_minor=200), customer(open_minor=minor)) is fit


def test_all_conditions_must_hold() -> None:
    stated = Conditions(countries=frozenset({"IT"}), min_open_minor=100)
    assert fits(stated, customer(country="IT", open_minor=100)) is True
    assert fits(stated, customer(country="IT", open_minor=99)) is False
    assert fits(stated, customer(country="FR", open_minor=100)) is False


def test_a_lower_rule_does_not_take_whom_a_higher_one_may_claim_once_the_amount_is_known() -> None:
    rules = [rule(1, ANNA, countries=frozenset({"IT"}), min_open_minor=100), rule(2, BRUNO)]
    shared = share_out(rules, [customer(1, open_minor=None), customer(2, open_minor=None, country="FR")], {}, {ANNA, BRUNO})
    assert shared.left == {UUID(int=1): WhyNobody.AMOUNT_NOT_KNOWN}
    assert [(g.customer_id, g.person_id) for g in shared.given] == [(UUID(int=2), BRUNO)]


def test_a_rule_whose_people_left_is_passed_over_and_named_when_no_other_fits() -> None:
    rules = [rule(1, ANNA), rule(2, BRUNO)]
    assert [g.person_id for g in share_out(rules, [customer()], {}, {BRUNO}).given] == [BRUNO]
    assert share_out(rules, [customer()], {}, set()).left == {customer().customer_id: WhyNobody.NOBODY_ACTIVE}
    assert share_out([rule(1, ANNA, countries=frozenset({"FR"}))], [customer()], {}, {ANNA}).left == {customer().customer_id: WhyNobody.NO_RULE_FITS}


def test_who_has_the_fewest_customers_is_next_and_of_equals_the_one_named_first() -> None:
    given = share_out([rule(1, ANNA, BRUNO)], [customer(n) for n in range(10, 14)], {ANNA: 2}, {ANNA, BRUNO}).given
    assert [g.person_id for g in given] == [BRUNO, BRUNO, ANNA, BRUNO]


people = st.sampled_from([ANNA, BRUNO, CARLA])
rules = st.lists(
    st.builds(
        lambda rank, who, countries, low: Rule(UUID(int=1000 + rank), rank, tuple(who), Conditions(countries=frozenset(countries), min_open_minor=low)),
        st.integers(1, 9), st.lists(people, min_size=1, max_size=3, unique=True), st.lists(st.sampled_from(["IT", "FR"]), max_size=2),
        st.none() | st.integers(0, 300),
    ),
    max_size=5, unique_by=lambda r: r.rank,
)  # fmt: skip
customers = st.lists(
    st.builds(
        lambda n, country, minor: customer(n, country=country, open_minor=minor),
        st.integers(1, 500),
        st.sampled_from(["IT", "FR", None]),
        st.none() | st.integers(0, 400),
    ),
    max_size=20,
    unique_by=lambda c: c.customer_id,
)


@given(rules, customers, st.sets(people))
def test_law_every_customer_gets_one_active_person_by_the_first_rule_that_fits_or_a_reason(
    stated: list[Rule], found: list[Candidate], active: set[UUID]
) -> None:
    shared = share_out(stated, found, {}, active)
    got = {g.customer_id: g for g in shared.given}
    assert len(got) == len(shared.given)
    assert set(got) | set(shared.left) == {c.customer_id for c in found}
    assert not set(got) & set(shared.left)
    for one in found:
        fitting = [r for r in sorted(stated, key=lambda r: r.rank) if fits(r.conditions, one) is not False]
        if one.customer_id in got:
            usable = [r for r in fitting if any(p in active for p in r.person_ids)]
            assert got[one.customer_id].rule_id == usable[0].rule_id
            assert got[one.customer_id].person_id in active
        else:
            assert all(fits(r.conditions, one) is None or not set(r.person_ids) & active for r in fitting[:1])


@given(rules, customers, st.sets(people, min_size=1), st.lists(st.none() | st.tuples(people, st.booleans()), min_size=20, max_size=20), st.booleans())
def test_law_only_whom_the_first_fitting_rule_does_not_name_moves_and_a_second_time_nobody(
    stated: list[Rule], found: list[Candidate], active: set[UUID], held: list[tuple[UUID, bool] | None], keep_by_hand: bool
) -> None:
    """S2-13: nobody moves without a rule that says so, nobody whom a person put elsewhere unless asked, and applying again changes nothing."""
    had = [replace(one, lead=None if lead is None else Lead(*lead)) for one, lead in zip(found, held, strict=False)]
    shared = share_out(stated, had, {}, active, keep_by_hand=keep_by_hand)
    moved = {g.customer_id: g for g in shared.given}
    for one in had:
        fitting = [r for r in sorted(stated, key=lambda r: r.rank) if fits(r.conditions, one) and set(r.person_ids) & active]
        if one.lead is not None and one.customer_id in moved:
            assert moved[one.customer_id].former_id == one.lead.person_id not in {p for p in fitting[0].person_ids if p in active}
            assert not (keep_by_hand and one.lead.by_hand)
        if one.lead is not None and one.customer_id in shared.kept_by_hand:
            assert keep_by_hand
            assert one.lead.by_hand
            assert one.lead.person_id not in {p for p in fitting[0].person_ids if p in active}
        assert one.lead is None or one.customer_id not in shared.left
    after = [replace(one, lead=Lead(moved[one.customer_id].person_id, by_hand=False)) if one.customer_id in moved else one for one in had]
    assert share_out(stated, after, {}, active, keep_by_hand=keep_by_hand).given == []


@given(st.integers(0, 40), st.permutations([ANNA, BRUNO, CARLA]))
def test_law_shares_of_one_rule_differ_by_one_at_most(count: int, who: list[UUID]) -> None:
    given_ = share_out([Rule(UUID(int=1), 1, tuple(who), Conditions())], [customer(n) for n in range(1, count + 1)], {}, set(who)).given
    shares = Counter(g.person_id for g in given_)
    assert sum(shares.values()) == count
    assert max((shares[p] for p in who), default=0) - min((shares[p] for p in who), default=0) <= 1


@given(st.lists(people, max_size=3, unique=True), st.none() | people, st.lists(people, max_size=3, unique=True))
def test_law_a_change_leads_to_exactly_the_wanted_people_and_a_second_one_is_none(before: list[UUID], lead: UUID | None, others: list[UUID]) -> None:
    others = [p for p in others if p != lead] if lead else []
    present = [Present(UUID(int=50 + n), person, n == 0) for n, person in enumerate(before)]
    change = change_to(present, lead, others)
    kept = [p for p in present if p.assignment_id not in change.ended]
    after = [*((p.person_id, p.lead) for p in kept), *change.added]
    assert sorted(after) == sorted([*([(lead, True)] if lead else []), *((p, False) for p in others)])
    assert set(change.removed) == set(before) - {person for person, _ in after}
    again = change_to([Present(UUID(int=90 + n), person, is_lead) for n, (person, is_lead) in enumerate(after)], lead, others)
    assert again.is_none
