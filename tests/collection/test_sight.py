"""Whose customers somebody sees, from one request to the next, and that the work on them is whole (S2-01, S2-13)."""

from __future__ import annotations

import datetime as dt

import httpx

from dunning.kit.ids import new_id
from dunning_api.acting import HEADER
from tests.collection.stage import Stage
from tests.collection.test_assignments import ask, desk, person

__all__ = ["desk"]


async def test_sight_follows_the_assignment_from_one_request_to_the_next(desk: Stage) -> None:
    """A collector sees the own customers and those of the team; given away, a customer is gone at once; a viewer of all sees all."""
    north, south = [(await ask(desk, "POST", "/teams", {"code": code, "name": code}, status=201))["team_id"] for code in ("north", "south")]
    anna = await person(desk, "anna", team_id=north)
    mate = await person(desk, "mate", team_id=north)
    alone = await person(desk, "alone", team_id=north, sees="own")
    bruno = await person(desk, "bruno", team_id=south)
    customer_id = await desk.customer()
    await desk.invoice()

    async def who_sees() -> set[str]:
        seen = set()
        for name, one in (("anna", anna), ("mate", mate), ("alone", alone), ("bruno", bruno)):
            answer: httpx.Response = await desk.api.get(f"/v1/ledgers/{desk.ledger_id}/items", headers={HEADER: one})
            by_id = await desk.api.get(f"/v1/customers/{customer_id}", headers={HEADER: one})
            assert (by_id.status_code == 200) is bool(answer.json()["data"]), name
            seen |= {name} if by_id.status_code == 200 else set()
        return seen

    path = f"/customers/{customer_id}/collectors"
    assert await who_sees() == set()
    await ask(desk, "PUT", path, {"lead_id": anna})
    assert await who_sees() == {"anna", "mate"}
    await ask(desk, "PUT", path, {"lead_id": bruno})
    assert await who_sees() == {"bruno"}
    await ask(desk, "PUT", path, {"lead_id": bruno, "other_ids": [alone]})
    assert await who_sees() == {"alone", "anna", "bruno", "mate"}, "the whole team sees what one of it helps with"


async def test_a_manager_of_one_team_gives_a_customer_away_and_is_told_how_it_stands(desk: Stage) -> None:
    """The last thing seen of a customer is who has it now; what the database then refuses is 404 like anything unknown."""
    north = (await ask(desk, "POST", "/teams", {"code": "north", "name": "North"}, status=201))["team_id"]
    manager = await person(desk, "manager", "manager", team_id=north, sees="team")
    anna = await person(desk, "anna", team_id=north)
    bruno = await person(desk, "bruno")
    customer_id = await desk.customer()
    path = f"/customers/{customer_id}/collectors"
    await ask(desk, "PUT", path, {"lead_id": bruno}, who=manager, status=404)
    await ask(desk, "PUT", path, {"lead_id": anna})
    shown = await ask(desk, "PUT", path, {"lead_id": bruno}, who=manager)
    assert shown["lead_id"] == bruno
    assert [a["author"] for a in shown["assignments"]] == ["Manager"]
    await ask(desk, "GET", path, who=manager, status=404)
    refused = await ask(desk, "PUT", f"/ledgers/{desk.ledger_id}/assignment-rules", {}, who=manager, status=405)
    assert refused["code"] == "method_not_allowed"
    await ask(desk, "POST", f"/people/{bruno}/hand-over", {"to": [anna]}, who=manager, status=403)


async def test_a_substitute_sees_the_customers_of_who_is_away_and_only_then(desk: Stage) -> None:
    """From the first day to the last, both included, by the local day of the ledger; a cancelled absence gives nothing."""
    anna, bruno = [await person(desk, name, sees="own") for name in ("anna", "bruno")]
    customer_id = await desk.customer()
    await ask(desk, "PUT", f"/customers/{customer_id}/collectors", {"lead_id": anna})
    noted = await ask(desk, "POST", f"/people/{anna}/absences", {"substitute_id": bruno, "from_on": "2026-03-03", "until_on": "2026-03-04"}, status=201)

    async def seen_at(at: str) -> bool:
        await desk.tenant.set_clock(dt.datetime.fromisoformat(at))
        answer = await desk.api.get(f"/v1/customers/{customer_id}", headers={HEADER: bruno})
        return answer.status_code == 200

    # Rome is an hour ahead of UTC in winter.
    assert [await seen_at(at) for at in ("2026-03-02T22:59:00+00:00", "2026-03-02T23:00:00+00:00", "2026-03-04T22:59:00+00:00")] == [False, True, True]
    assert [row["substitute_name"] for row in (await ask(desk, "GET", "/absences?on=2026-03-03"))["data"]] == ["Bruno"]
    await ask(desk, "DELETE", f"/absences/{noted['absence_id']}")
    assert not await seen_at("2026-03-04T22:59:30+00:00")
    await ask(desk, "POST", f"/people/{anna}/absences", {"substitute_id": anna, "from_on": "2026-03-03", "until_on": "2026-03-04"}, status=422)
    await ask(desk, "POST", f"/people/{anna}/absences", {"from_on": "2026-03-05", "until_on": "2026-03-04"}, status=422)


async def test_who_sees_only_some_customers_works_on_them_as_everybody_does(desk: Stage) -> None:
    """Foreign keys, deferred counters, append-only tables, events, the idempotency of repeats and the worker's bell serve the limited role too."""
    anna = await person(desk, "anna", sees="own")
    clerk = await person(desk, "clerk", "operator", sees="own")
    mine, other = await desk.customer("C1"), await desk.customer("C2")
    await ask(desk, "PUT", f"/customers/{mine}/collectors", {"lead_id": anna, "other_ids": [clerk]})
    item = await desk.invoice(customer="C1")
    foreign = await desk.invoice(customer="C2")
    await desk.remind()
    action = (await ask(desk, "GET", "/actions", who=anna))["data"]
    assert [row["customer_id"] for row in action] == [str(mine)]
    held = await ask(desk, "POST", "/holds", {"scope": "item", "object_id": str(item), "reason": "talks"}, status=201, who=anna)
    assert held["created_by"] == f"person:{anna}"
    await ask(desk, "DELETE", f"/holds/{held['hold_id']}", who=anna)
    await ask(desk, "POST", "/holds", {"scope": "item", "object_id": str(foreign), "reason": "talks"}, status=404, who=anna)
    refused = await ask(desk, "POST", "/holds", {"scope": "ledger", "object_id": str(desk.ledger_id), "reason": "talks"}, status=403, who=anna)
    assert refused["code"] == "out_of_sight"
    eur = {"amount": "40.00", "currency": "EUR"}
    paid = {"customer_external_id": "C1", "amount": eur, "received_on": "2026-03-01", "allocation": "oldest_first"}
    await ask(desk, "PUT", f"/ledgers/{desk.ledger_id}/receipts/R1", paid, status=201, who=clerk)
    shown = (await ask(desk, "GET", f"/ledgers/{desk.ledger_id}/items", who=clerk))["data"]
    assert [(row["item_id"], row["open_amount"]["amount"]) for row in shown] == [(str(item), "60.00")]
    hidden = await desk.api.put(
        f"/v1/ledgers/{desk.ledger_id}/receipts/R2",
        json=paid | {"customer_external_id": "C2"},
        headers={HEADER: clerk, "Idempotency-Key": str(new_id())},
    )
    unknown = await desk.api.put(
        f"/v1/ledgers/{desk.ledger_id}/receipts/R2",
        json=paid | {"customer_external_id": "C9"},
        headers={HEADER: clerk, "Idempotency-Key": str(new_id())},
    )
    assert (hidden.status_code, hidden.json()["code"]) == (unknown.status_code, unknown.json()["code"])
    assert hidden.status_code in {404, 409, 422}
    assert await desk.tenant.value("select count(*) from receipt where tenant_id = $1 and customer_id = $2", desk.tenant_id, other) == 0
    taken = await desk.api.put(f"/v1/ledgers/{desk.ledger_id}/customers/C2", json={"name": "Taken"}, headers={HEADER: clerk})
    fresh = await desk.api.put(f"/v1/ledgers/{desk.ledger_id}/customers/C3", json={"name": "Fresh"}, headers={HEADER: clerk})
    assert {(answer.status_code, answer.json()["code"]) for answer in (taken, fresh)} == {(403, "out_of_sight")}, "existing and new are not told apart"
    rung = await desk.tenant.value("select count(*) from due_work where tenant_id = $1", desk.tenant_id)
    assert isinstance(rung, int)
    assert rung > 0
