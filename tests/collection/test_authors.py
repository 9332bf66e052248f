"""Who did something: told in one form wherever it is told, and with the name where people read it (S4-09)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from dunning_api import openapi_file
from dunning_api.schemas.assignments import AssignmentOut
from tests.collection.agreements import eur
from tests.collection.stage import Stage
from tests.collection.test_assignments import ask, person
from tests.collection.test_specific_actions import make, opened, task

ACTOR = re.compile(r"person:[0-9a-f-]{36}|key:.+")
NAME_OF = {"actor": "author", **{f"{verb}_by": f"{verb}_by_name" for verb in (
    "created", "approved", "completed", "ended", "released", "removed", "opened", "resolved", "placed", "lifted",
)}}  # fmt: skip
AS_RECORDED = {
    ("EventOut", "actor"): "the audit trail tells what was recorded, and is never told anew",
    ("MeOut", "actor"): "it names the person beside",
    ("AllocationOut", "actor"): "whatever booked it is software, or the ERP's",
    ("ParkedOut", "resolved_by"): "read by those who run the ERP's integration",
}
"""Answers that tell who did something without the name."""


def test_every_answer_that_tells_who_did_something_has_a_place_for_the_name() -> None:
    """Over all answers of the API: a screen for people never has to look names up."""
    schemas = json.loads(openapi_file.openapi_text())["components"]["schemas"]
    shown = {(name, field) for name, one in schemas.items() if not name.endswith("In") for field in NAME_OF if field in one.get("properties", {})}
    without = {(name, field) for name, field in shown if NAME_OF[field] not in schemas[name]["properties"] and not {"Create", "Update"} & set(_words(name))}
    assert without == set(AS_RECORDED)
    assert len(shown) > 20


def _words(name: str) -> list[str]:
    return re.findall("[A-Z][a-z]+", name)


async def done_by(stage: Stage, who: str | None) -> dict[str, list[dict[str, Any]]]:
    """Do, as somebody or with the bare key, what is told with its author; return what is listed of it afterwards."""
    customer, (item, other, third, *_) = await opened(stage)
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
    given = {"customer_id": str(customer), "promised_on": "2026-03-06", "amount": eur("10.00"), "item_ids": [str(other)]}
    promise = (await ask(stage, "POST", "/promises", given, status=201, who=who))["promise_id"]
    dispute = (await ask(stage, "POST", "/disputes", {"item_ids": [str(third)], "reason": "price"}, status=201, who=who))["dispute_id"]
    await ask(stage, "POST", f"/disputes/{dispute}/resolve", {"resolution": "rejected"}, who=who)
    block = {"customer_id": str(customer), "degree": "no_deliveries", "reason": "Owes.", "item_ids": [str(other)]}
    block_id = (await ask(stage, "POST", "/account-blocks", block, status=201, who=who))["block_id"]
    await ask(stage, "POST", f"/account-blocks/{block_id}/lift", {"reason": "Paid."}, who=who)
    other_step = {"kind": "remove", "scenario_id": str(stage.scenario_id), "step_code": "02", "reason": "Agreed."}
    override = (await ask(stage, "POST", f"/customers/{customer}/step-overrides", other_step, status=201, who=who))["override_id"]
    await ask(stage, "POST", f"/step-overrides/{override}/remove", {"reason": "Over."}, who=who)
    await ask(stage, "POST", f"/ledgers/{stage.ledger_id}/runs", {"dry_run": True}, status=202, who=who)
    return {
        "promises": (await stage.get("/promises"))["data"],
        "histories of promises": (await stage.get(f"/promises/{promise}"))["history"],
        "disputes": (await stage.get("/disputes"))["data"],
        "blocks": (await stage.get("/account-blocks"))["data"],
        "overrides": (await stage.get(f"/customers/{customer}/step-overrides"))["data"],
        "runs": [one for one in (await stage.get("/runs"))["data"] if one["dry_run"]],
        "actions": [one for one in (await stage.actions()) if one["created_by"] is not None and one["action_id"] != action],
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
    """A person by id and name, a key by what it is called; wherever the collector's work is listed."""
    found = list(told(await done_by(stage, who)))
    assert {place.split(":")[0] for place, *_ in found} == {
        "promises", "histories of promises", "disputes", "blocks", "overrides", "runs", "actions", "comments", "notes", "holds", "holds of the record", "activities", "timeline", "assignments", "absences"
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
