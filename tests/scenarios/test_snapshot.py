"""Snapshots: what a plan was made from and what it decided, in bytes that do not depend on order."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given, settings

from dunning.scenarios.rules import Defaults, plan
from dunning.scenarios.snapshot import UnknownFormat, decode_inputs, decode_plan, encode_inputs, encode_plan, inputs_of
from tests.scenarios.strategies import examples, seeds, sizes, world
from tests.scenarios.worlds import DAY_ZERO, WEEKENDS, compiled, credit, item, phases, position

S0 = {("S0", 1): compiled(phases()), ("S0", 2): compiled(phases())}


@settings(max_examples=examples(60), deadline=None, database=None, derandomize=True)
@given(seeds, sizes)
def test_what_is_read_back_plans_the_same(seed: int, size: int) -> None:
    """D-02: deterministic replay from stored bytes."""
    customer = world(seed, size)
    inputs = inputs_of(customer.position, customer.scenarios, customer.today)
    data = encode_inputs(inputs)
    again = decode_inputs(data)
    assert encode_inputs(again) == data
    assert again.today == customer.today
    needed = {key: customer.scenarios[key] for key in again.versions}
    decided = plan(customer.position, customer.scenarios, customer.today)
    replayed = plan(again.position, needed, again.today)
    assert replayed == decided
    assert decode_plan(encode_plan(decided)) == decided
    assert encode_plan(replayed) == encode_plan(decided)


@settings(max_examples=examples(60), deadline=None, database=None, derandomize=True)
@given(seeds, sizes)
def test_what_is_stored_does_not_depend_on_the_order_of_rows(seed: int, size: int) -> None:
    """D-02: items, credits and history rows in any order."""
    customer, random = world(seed, size), Random(seed)
    given_ = customer.position
    shuffled = given_._replace(
        items=tuple(random.sample(given_.items, len(given_.items))),
        progress=tuple(random.sample(given_.progress, len(given_.progress))),
        facts=tuple(random.sample(given_.facts, len(given_.facts))),
        contacts=given_.contacts[::-1],
        counted=given_.counted[::-1],
        reachable=given_.reachable[::-1],
    )
    stored, again = (encode_inputs(inputs_of(one, customer.scenarios, customer.today)) for one in (given_, shuffled))
    assert stored == again
    decided, decided_again = (encode_plan(plan(one, customer.scenarios, customer.today)) for one in (given_, shuffled))
    assert decided == decided_again


def test_every_input_changes_what_is_stored() -> None:
    """The control: bytes that left something out would pass all the rest."""
    given_ = position(item("A due -8 {01@-7}"), credit("C", 10), contacts=(-7,))
    first, history = given_.items[0], given_.progress[0]
    others = [
        given_._replace(items=(first._replace(**{name: value}), *given_.items[1:]))
        for name, value in {
            "document_id": "x", "number": "x", "document_on": 1, "due_on": 1, "currency": "USD", "open_minor": 1, "amount_minor": 1,
            "direction": "credit", "episode": 2, "scenario_id": None, "version": 2, "delivered_on": 1, "deadline_on": 1,
            "automatic_collection": True, "held": True, "held_until": 1, "excluded": True, "promise_until": 1, "specific_action": True,
            "pending_action": True, "id": "x",
        }.items()
    ]  # fmt: skip
    assert {*first._fields} == {
        "document_id", "number", "document_on", "due_on", "currency", "open_minor", "amount_minor", "direction", "episode", "scenario_id",
        "version", "delivered_on", "deadline_on", "automatic_collection", "held", "held_until", "excluded", "promise_until", "specific_action",
        "pending_action", "id",
    }  # fmt: skip
    others += [
        given_._replace(progress=()),
        given_._replace(progress=(history._replace(completed_on=1),)),
        given_._replace(contacts=()),
        given_._replace(counted=(1,)),
        given_._replace(reachable=(("dunning", 0),)),
        given_._replace(calendar=WEEKENDS),
        given_._replace(defaults=Defaults(spacing_days=1)),
        given_._replace(defaults=Defaults(min_item={"EUR": 1})),
    ]
    stored = [encode_inputs(inputs_of(one, S0, DAY_ZERO)) for one in [given_, *others]] + [encode_inputs(inputs_of(given_, S0, DAY_ZERO + 1))]
    assert len(set(stored)) == len(stored)


def test_the_versions_that_were_used_are_named() -> None:
    inputs = inputs_of(position(item("A due -8 {01@-7}", version=2), item("B due 1", scenario_id=None)), S0, DAY_ZERO)
    assert inputs.versions == (("S0", 1), ("S0", 2))


def test_the_bytes_are_compact_and_canonical_json() -> None:
    data = encode_inputs(inputs_of(position(item("A due 1")), S0, DAY_ZERO))
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"format":99}'])
def test_bytes_of_another_kind_are_refused(data: bytes) -> None:
    for read in (decode_inputs, decode_plan):
        with pytest.raises(UnknownFormat):
            read(data)
