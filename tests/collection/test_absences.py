"""Who is away, who stands in, and who may say so (S2-13)."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dunning.collection.absence_rules import Away, behind, circle, named_on, overlapping, stand_in, stand_ins
from dunning.kit.database import statement_log
from dunning_api.acting import HEADER
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_assignments import TASK, ask, person

ANNA, BRUNO, CARLA, DARIO = (UUID(int=n) for n in range(1, 5))
MARCH = dt.date(2026, 3, 1)


def day(number: int) -> dt.date:
    return MARCH + dt.timedelta(days=number - 1)


def away(who: UUID, substitute: UUID | None, first: int, last: int) -> Away:
    return Away(who, substitute, day(first), day(last))


def test_when_the_substitute_is_away_too_the_substitutes_substitute_stands_in() -> None:
    """For as long as that is so, and for all whose work comes together there."""
    noted = [away(ANNA, BRUNO, 2, 10), away(BRUNO, CARLA, 5, 6)]
    shown = [(one.person_id, one.from_on, one.until_on) for one in stand_ins(noted[1:], noted[0])]
    assert shown == [(BRUNO, day(2), day(4)), (CARLA, day(5), day(6)), (BRUNO, day(7), day(10))]
    assert behind(named_on(noted, day(5)), CARLA) == {ANNA, BRUNO}
    assert behind(named_on(noted, day(5)), BRUNO) == set()
    assert behind(named_on(noted, day(7)), BRUNO) == {ANNA}


def test_who_is_away_and_names_nobody_keeps_what_came_from_others() -> None:
    assert stand_in(named_on([away(ANNA, BRUNO, 2, 3), away(BRUNO, None, 2, 3)], day(2)), ANNA) == BRUNO
    assert stand_ins([], away(ANNA, None, 2, 3))[0].person_id is None


def test_a_circle_is_found_on_its_first_day_and_days_beside_one_another_make_none() -> None:
    noted = [away(BRUNO, CARLA, 5, 9), away(CARLA, ANNA, 7, 8)]
    assert circle(noted, away(ANNA, BRUNO, 1, 10)) == (day(7), [ANNA, BRUNO, CARLA])
    assert circle(noted, away(ANNA, BRUNO, 1, 6)) is None
    assert circle(noted, away(ANNA, BRUNO, 9, 10)) is None


people = st.sampled_from([ANNA, BRUNO, CARLA, DARIO])
absences = st.builds(
    lambda who, substitute, first, length: away(who, None if substitute == who else substitute, first, first + length),
    people, st.none() | people, st.integers(1, 12), st.integers(0, 5),
)  # fmt: skip


@given(st.lists(absences, max_size=8))
def test_law_whatever_is_noted_each_day_of_an_absence_has_one_stand_in_who_is_never_oneself(wanted: list[Away]) -> None:
    """Absences are noted one after another, as the API takes them: no one twice at once, no circle."""
    noted: list[Away] = []
    for one in wanted:
        if overlapping(noted, one) is None and circle(noted, one) is None:
            noted.append(one)
    for one in noted:
        days = {
            found.from_on + dt.timedelta(days=n): found.person_id
            for found in stand_ins([other for other in noted if other is not one], one)
            for n in range((found.until_on - found.from_on).days + 1)
        }
        assert sorted(days) == [one.from_on + dt.timedelta(days=n) for n in range((one.until_on - one.from_on).days + 1)]
        for on, who in days.items():
            named = named_on(noted, on)
            assert who == stand_in(named, one.person_id) != one.person_id
            assert (who is None) == (one.substitute_id is None)
            if who is not None:
                assert one.person_id in behind(named, who)
                assert named.get(who) is None, "the last of the chain names nobody who could"


@pytest.fixture
async def desk(stage: Stage) -> Stage:
    """A company whose one step is a call."""
    return await stage.open(scenario(step(1, "01", 1, **TASK)))


def days_off(first: int, last: int, substitute: str | None = None) -> dict[str, Any]:
    return {"from_on": f"2026-03-{first:02}", "until_on": f"2026-03-{last:02}", "substitute_id": substitute}


async def test_somebody_notes_and_cancels_an_absence_of_their_own_and_of_nobody_else(desk: Stage) -> None:
    """A collector who sees only some customers, and an account manager; a manager for anybody; who only reads, for nobody."""
    anna, bruno = [await person(desk, name, sees="own") for name in ("anna", "bruno")]
    paolo = await person(desk, "paolo", "account_manager")
    viewer = await person(desk, "viewer", "viewer")
    manager = await person(desk, "manager", "manager")
    made = await ask(desk, "POST", f"/people/{anna}/absences", days_off(3, 5, bruno), status=201, who=anna)
    assert (made["author"], made["actor"], made["substitute_name"]) == ("Anna", f"person:{anna}", "Bruno")
    assert made["stand_ins"] == [{"person_id": bruno, "name": "Bruno", "from_on": "2026-03-03", "until_on": "2026-03-05"}]
    await ask(desk, "POST", f"/people/{paolo}/absences", days_off(3, 5), status=201, who=paolo)
    refused = await ask(desk, "POST", f"/people/{bruno}/absences", days_off(6, 7, anna), status=403, who=anna)
    assert "people:write" in refused["detail"]
    await ask(desk, "DELETE", f"/absences/{made['absence_id']}", status=403, who=bruno)
    await ask(desk, "POST", f"/people/{viewer}/absences", days_off(3, 5), status=403, who=viewer)
    assert (await ask(desk, "DELETE", f"/absences/{made['absence_id']}", who=anna))["cancelled_at"] is not None
    await ask(desk, "POST", f"/people/{anna}/absences", days_off(3, 5, bruno), status=201, who=manager)


async def test_only_who_may_do_the_work_stands_in(desk: Stage) -> None:
    """Whoever names a substitute lends sight of customers: never to somebody whose role does not go with it."""
    anna = await person(desk, "anna", sees="own")
    counsel, viewer, manager = [await person(desk, role, role) for role in ("counsel", "viewer", "manager")]
    for unfit in (counsel, viewer):
        refused = await ask(desk, "POST", f"/people/{anna}/absences", days_off(3, 5, unfit), status=409, who=anna)
        assert refused["code"] == "substitute_may_not"
    await ask(desk, "POST", f"/people/{anna}/absences", days_off(3, 5, manager), status=201, who=anna)


async def test_nobody_is_away_twice_at_once(desk: Stage) -> None:
    anna = await person(desk, "anna")
    first = await ask(desk, "POST", f"/people/{anna}/absences", days_off(3, 5), status=201)
    refused = await ask(desk, "POST", f"/people/{anna}/absences", days_off(5, 9), status=409)
    assert (refused["code"], refused["absence_id"], refused["until_on"]) == ("absence_overlaps", first["absence_id"], "2026-03-05")
    await ask(desk, "POST", f"/people/{anna}/absences", days_off(6, 9), status=201)
    await ask(desk, "DELETE", f"/absences/{first['absence_id']}")
    await ask(desk, "POST", f"/people/{anna}/absences", days_off(3, 5), status=201)


async def test_a_circle_of_substitutes_is_refused_with_the_day_and_the_names(desk: Stage) -> None:
    anna, bruno, carla = [await person(desk, name) for name in ("anna", "bruno", "carla")]
    await ask(desk, "POST", f"/people/{anna}/absences", days_off(3, 9, bruno), status=201)
    await ask(desk, "POST", f"/people/{bruno}/absences", days_off(5, 9, carla), status=201)
    refused = await ask(desk, "POST", f"/people/{carla}/absences", days_off(7, 12, anna), status=409)
    assert (refused["code"], refused["on"]) == ("substitutes_in_a_circle", "2026-03-07")
    assert "Carla for Bruno for Anna for Carla" in refused["detail"]
    shown = await ask(desk, "POST", f"/people/{carla}/absences", days_off(10, 12, anna), status=201)
    assert [one["name"] for one in shown["stand_ins"]] == ["Anna"]


async def test_two_who_note_a_circle_at_once_do_not_both_succeed(desk: Stage) -> None:
    anna, bruno = [await person(desk, name) for name in ("anna", "bruno")]
    answers = await asyncio.gather(*[desk.api.post(f"/v1/people/{who}/absences", json=days_off(3, 9, other)) for who, other in ((anna, bruno), (bruno, anna))])
    assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_the_substitutes_substitute_sees_the_customers_and_the_agenda(desk: Stage) -> None:
    """And the substitute who is away does not, until the day of coming back."""
    anna, bruno, carla = [await person(desk, name, sees="own") for name in ("anna", "bruno", "carla")]
    customer_id = await desk.customer()
    await ask(desk, "PUT", f"/customers/{customer_id}/collectors", {"lead_id": anna})
    await desk.invoice()
    await desk.remind()
    await ask(desk, "POST", f"/people/{anna}/absences", days_off(3, 9, bruno), status=201)
    shown = await ask(desk, "POST", f"/people/{bruno}/absences", days_off(3, 4, carla), status=201)
    assert [one["name"] for one in shown["stand_ins"]] == ["Carla"]
    (of_anna,) = [one for one in (await ask(desk, "GET", "/absences"))["data"] if one["person_id"] == anna]
    assert [(one["name"], one["from_on"]) for one in of_anna["stand_ins"]] == [("Carla", "2026-03-03"), ("Bruno", "2026-03-05")]
    for on, expected in (("2026-03-02", [404, 404]), ("2026-03-04", [404, 200]), ("2026-03-05", [200, 404])):
        await desk.tenant.set_clock(dt.datetime.fromisoformat(f"{on}T12:00:00+00:00"))
        answers = [await desk.api.get(f"/v1/customers/{customer_id}", headers={HEADER: who}) for who in (bruno, carla)]
        assert [answer.status_code for answer in answers] == expected, on
        for who, status in zip((bruno, carla), expected, strict=True):
            agenda = (await ask(desk, "GET", f"/agenda?person={who}", who=who))["data"]
            assert len(agenda) == (status == 200), (on, who)


async def test_a_list_of_absences_takes_as_many_statements_for_many_as_for_one(desk: Stage) -> None:
    counts = []
    before: str | None = None
    for n in range(6):
        who = await person(desk, f"p{n}")
        await ask(desk, "POST", f"/people/{who}/absences", days_off(3, 9, before), status=201)
        before = who
        log: list[str] = []
        token = statement_log.set(log)
        await ask(desk, "GET", "/absences")
        statement_log.reset(token)
        counts.append(len(log))
    assert len(set(counts[1:])) == 1, counts
    assert counts[1] - counts[0] == 1, "names are looked up where somebody is named"
