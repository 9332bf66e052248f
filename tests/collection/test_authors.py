"""Who did something: told in one form wherever it is told, and with the name where people read it (S4-09)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from dunning_api.schemas.assignments import AssignmentOut
from tests.collection.stage import Stage
from tests.collection.test_assignments import ask, person
from tests.collection.test_specific_actions import make, opened, task

ACTOR = re.compile(r"person:[0-9a-f-]{36}|key:.+")
NAME_OF = {"actor": "author", "ended_by": "ended_by_name", "created_by": "created_by_name", "released_by": "released_by_name"}


async def done_by(stage: Stage, who: str | None) -> dict[str, list[dict[str, Any]]]:
    """Do, as somebody or with the bare key, what is told with its author; return what is listed of it afterwards."""
    customer, (item, other, *_) = await opened(stage)
    anna = await person(stage, "anna", "manager")
    who = anna if who == "anna" else None
    action = (await make(stage, customer, task(item)))["action_id"]
    await ask(stage, "POST", f"/items/{item}/comments", {"text": "They have the goods."}, status=201, who=who)
    await ask(stage, "POST", f"/actions/{action}/notes", {"text": "Asked Bruno."}, status=201, who=who)
    hold = await ask(stage, "POST", "/holds", {"scope": "item", "object_id": str(other), "reason": "talks"}, status=201, who=who)
    in_force = await ask(stage, "GET", f"/customers/{customer}?expand=terms", who=who)
    await ask(stage, "DELETE", f"/holds/{hold['hold_id']}", who=who)
    await ask(stage, "PUT", f"/customers/{customer}/collectors", {"lead_id": anna}, who=who)
    await ask(stage, "PUT", f"/customers/{customer}/collectors", {"lead_id": None, "reason": "Nobody yet."}, who=who)
    await ask(stage, "POST", f"/people/{anna}/absences", {"from_on": "2026-03-09", "until_on": "2026-03-10"}, status=201, who=who)
    return {
        "comments": (await stage.get(f"/items/{item}/comments"))["data"],
        "notes": (await stage.action(action))["activities"],
        "holds": (await stage.get("/holds"))["data"],
        "holds of the record": in_force["terms"]["holds"],
        "activities": (await stage.get("/activities", customer=str(customer)))["data"],
        "timeline": [one for one in (await stage.get(f"/customers/{customer}/timeline"))["data"] if one["kind"] in {"comment", "hold_set", "hold_released"}],
        "assignments": (await stage.get(f"/customers/{customer}/collectors", history=True))["assignments"],
        "absences": (await stage.get("/absences"))["data"],
    }


def told(listed: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[str, str, str]]:
    """Yield of each row where it stands, who did it as it is recorded, and the name beside."""
    for place, rows in listed.items():
        assert rows, f"nothing is listed of {place}"
        for row in rows:
            yield from ((f"{place}: {field}", row[field], row[name]) for field, name in NAME_OF.items() if row.get(field) is not None)


@pytest.mark.parametrize("who", ["anna", None])
async def test_who_did_something_is_told_in_one_form_with_the_name_beside_it(stage: Stage, who: str | None) -> None:
    """A person by id and name, a key by what it is called; comments, notes, holds, activities, the timeline, assignments and absences alike."""
    found = list(told(await done_by(stage, who)))
    assert {place.split(":")[0] for place, *_ in found} == {
        "comments", "notes", "holds", "holds of the record", "activities", "timeline", "assignments", "absences"
    }  # fmt: skip
    assert [place for place, actor, _ in found if not ACTOR.fullmatch(actor)] == []
    assert {(actor.split(":")[0], name) for _, actor, name in found} == {("person", "Anna") if who else ("key", "key:all")}
    audit = await stage.tenant.rows("select distinct actor from event where tenant_id = $1 and kind in ('item.commented', 'hold.set')", stage.tenant_id)
    assert [row["actor"] for row in audit] == sorted({actor for place, actor, _ in found if place.startswith("comments")})


async def test_a_name_in_the_place_of_who_did_it_would_be_seen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A positive control of the test above: one answer that tells the name for the person."""
    shown = AssignmentOut.of
    monkeypatch.setattr(AssignmentOut, "of", lambda one, names: shown(one, names).model_copy(update={"actor": names[one.actor]}))
    assert {place for place, actor, _ in told(await done_by(stage, "anna")) if not ACTOR.fullmatch(actor)} == {"assignments: actor"}
