"""Applying assignment rules to customers who have somebody already, and sharing out fairly at the same time (S2-01, S2-13)."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from dunning.collection import assignment_store, sharing
from dunning.kit.database import statement_log
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_assignments import TASK, ask, customer_row, import_rows, leads, live, person, rule, strip


@pytest.fixture
async def desk(stage: Stage) -> Stage:
    """A company whose one step is a call, which stays to be done."""
    return await stage.open(scenario(step(1, "01", 1, **TASK)))


async def apply(stage: Stage, **body: Any) -> dict[str, Any]:
    return dict(await ask(stage, "POST", f"/ledgers/{stage.ledger_id}/assignments/apply", {"mode": "reassign", **body}))


async def all_pages(stage: Stage, **body: Any) -> list[dict[str, Any]]:
    """Apply page by page and return all moves."""
    moves, cursor = [], None
    while True:
        page = await apply(stage, **body, cursor=cursor)
        moves += page["moves"]
        cursor = page["next_cursor"]
        if cursor is None:
            return moves


def said(move: dict[str, Any]) -> tuple[Any, ...]:
    return move["external_id"], move["from_person_name"], move["to_person_name"], move["rule_name"], move["open_actions"]


async def led(stage: Stage, external_id: str, lead: str | None, *others: str, **stated: Any) -> str:
    """State a customer with a debt and who looks after it, and return its id."""
    customer_id = str(await stage.customer(external_id, **stated))
    await stage.invoice(customer=external_id)
    if lead is not None:
        await ask(stage, "PUT", f"/customers/{customer_id}/collectors", {"lead_id": lead, "other_ids": others, "reason": "Knows them."})
    return customer_id


async def test_reassigning_says_who_moves_from_whom_to_whom_and_why_and_then_does_so(desk: Stage) -> None:
    """S2-01, S2-13: a territory changes hands; open work goes along, who did it before stays named, and whom the rules leave where it is stays."""
    anna, bruno, carla = [await person(desk, name) for name in ("anna", "bruno", "carla")]
    north = await rule(desk, 10, anna, territories=["north"])
    await rule(desk, 20, carla, territories=["south"])
    await import_rows(desk, *[customer_row(f"N{n}", territory="north") for n in range(2)], customer_row("S1", territory="south"))
    await led(desk, "N0", None, territory="north")
    await led(desk, "S1", None, territory="south")
    await led(desk, "X1", anna, territory="west")
    await desk.remind()
    await ask(desk, "PATCH", f"/assignment-rules/{north}", {"person_ids": [bruno], "name": "North is Bruno's"})
    before = await live(desk)
    tried = await apply(desk, dry_run=True)
    assert [said(move) for move in tried["moves"]] == [("N0", "Anna", "Bruno", "North is Bruno's", 1), ("N1", "Anna", "Bruno", "North is Bruno's", 0)]
    assert tried["by_person"] == sorted(
        [{"person_id": anna, "customers": 0, "lost": 2}, {"person_id": bruno, "customers": 2, "lost": 0}], key=lambda one: str(one["person_id"])
    )
    assert (await leads(desk), await live(desk)) == ({"N0": "Anna", "N1": "Anna", "S1": "Carla", "X1": "Anna"}, before)
    done = await apply(desk)
    assert done | {"dry_run": True} == tried
    assert await leads(desk) == {"N0": "Bruno", "N1": "Bruno", "S1": "Carla", "X1": "Anna"}
    after = await live(desk)
    assert strip(after) == strip(before)
    assert Counter(row["person"] for row in after.values()) == {bruno: 1, carla: 1, anna: 1}
    customer_id = done["moves"][0]["customer_id"]
    history = (await ask(desk, "GET", f"/customers/{customer_id}/collectors?history=true"))["assignments"]
    assert [(one["person_name"], one["origin"], one["rule_id"], one["ended_on"] is None) for one in history] == [
        ("Bruno", "rule", north, True), ("Anna", "rule", north, False)
    ]  # fmt: skip
    told = await desk.tenant.rows("select data from event where kind = 'customer.assigned' and subject_id = $1 order by event_id desc limit 1", customer_id)
    assert (told[0]["data"]["before"], told[0]["data"]["lead_id"], told[0]["data"]["moved_actions"]) == ([anna], bruno, 1)
    assert (await apply(desk))["moves"] == [], "a second time nobody moves"


async def test_whom_a_person_put_somewhere_stays_there_unless_it_is_asked_for(desk: Stage) -> None:
    """S2-13; the helper who takes the lead helps no longer, and a dispute goes with the work."""
    anna, bruno = [await person(desk, name) for name in ("anna", "bruno")]
    customer_id = await led(desk, "C1", anna, bruno)
    item = await desk.invoice(customer="C1")
    await ask(desk, "POST", "/disputes", {"item_ids": [str(item)], "reason": "price", "owner_id": anna}, status=201)
    await rule(desk, 10, bruno)
    kept = await apply(desk)
    assert (kept["moves"], kept["kept_by_hand"], await leads(desk)) == ([], 1, {"C1": "Anna"})
    (move,) = (await apply(desk, keep_by_hand=False))["moves"]
    assert (move["from_person_name"], move["to_person_name"], move["open_disputes"]) == ("Anna", "Bruno", 1)
    held = (await ask(desk, "GET", f"/customers/{customer_id}/collectors"))["assignments"]
    assert [(one["person_name"], one["lead"]) for one in held] == [("Bruno", True)]
    assert [one["owner_id"] for one in (await ask(desk, "GET", "/disputes"))["data"]] == [bruno]
    await ask(desk, "PUT", f"/customers/{customer_id}/collectors", {"lead_id": anna})
    assert [one["owner_id"] for one in (await ask(desk, "GET", "/disputes"))["data"]] == [anna], "by hand as well"


async def test_filling_gaps_moves_nobody_who_has_somebody(desk: Stage) -> None:
    """The default, as before; reassigning fills gaps too."""
    anna, bruno = [await person(desk, name) for name in ("anna", "bruno")]
    await led(desk, "C1", anna)
    await led(desk, "C2", None)
    await rule(desk, 10, bruno)
    (filled,) = (await apply(desk, mode="fill_gaps", dry_run=True))["moves"]
    assert said(filled)[:4] == ("C2", None, "Bruno", "Rule 10")
    assert [said(move)[:3] for move in (await apply(desk, keep_by_hand=False))["moves"]] == [("C1", "Anna", "Bruno"), ("C2", None, "Bruno")]


async def test_a_dry_run_in_pages_answers_what_the_rules_then_do_in_pages(desk: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What earlier pages would have given counts for the later ones; without it, the control, each page begins with the shares as they are."""
    monkeypatch.setattr(sharing, "ASKED_PAGE", 3)
    people = [await person(desk, f"p{n}") for n in range(3)]
    for n in range(11):
        await led(desk, f"C{n:02}", people[0] if n % 3 else None)
    await rule(desk, 10, *people[1:])
    tried = [said(move) for move in await all_pages(desk, dry_run=True, keep_by_hand=False)]
    with monkeypatch.context() as forgetful:
        forgetful.setattr(sharing, "_moved_shares", lambda before, applied: {})
        assert [said(move) for move in await all_pages(desk, dry_run=True, keep_by_hand=False)] != tried
    assert [said(move) for move in await all_pages(desk, keep_by_hand=False)] == tried
    assert len(tried) == 11
    assert sorted(Counter((await leads(desk)).values()).values()) == [5, 6]


async def test_reassigning_many_takes_as_many_statements_as_one(desk: Stage) -> None:
    anna, bruno = [await person(desk, name) for name in ("anna", "bruno")]
    counts = []
    first = await rule(desk, 10, anna)
    for number in (1, 9):
        await import_rows(desk, *[customer_row(f"C{number}{n}") for n in range(number)])
        await ask(desk, "PATCH", f"/assignment-rules/{first}", {"person_ids": [bruno if number == 1 else anna]})
        log: list[str] = []
        token = statement_log.set(log)
        assert len((await apply(desk))["moves"]) == (1 if number == 1 else 10)
        statement_log.reset(token)
        counts.append(len(log))
    assert counts[0] == counts[1] <= 17


@pytest.mark.parametrize("alone", [True, False])
async def test_shares_stay_even_while_many_are_shared_out_at_once(desk: Stage, monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    """S2-01: whoever shares out counts what those before it gave; without that lock, the control, all count the same and give to the same person."""
    people = [await person(desk, f"p{n}") for n in range(4)]
    await rule(desk, 10, *people)
    count = assignment_store.loads_of

    async def slowly(*args: Any) -> Any:
        found = await count(*args)
        await asyncio.sleep(0.1)
        return found

    monkeypatch.setattr(assignment_store, "loads_of", slowly)
    if not alone:

        async def nothing(*_: Any) -> None:
            pass

        monkeypatch.setattr(assignment_store, "lock_shares", nothing)
    await asyncio.gather(*[ask(desk, "PUT", f"/ledgers/{desk.ledger_id}/customers/C{n}", {"name": f"C{n}"}, status=201) for n in range(8)])
    shares = Counter((await leads(desk)).values())
    assert sum(shares.values()) == 8
    assert (max(shares.values()) - min(shares[f"P{n}"] for n in range(4)) <= 1) is alone, shares


async def test_two_imports_at_once_share_out_evenly_and_neither_waits_for_ever(desk: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """S2-01: while one import gives new customers to somebody, a run of the rules over all customers does the same; customers are locked before shares."""
    people = [await person(desk, f"p{n}") for n in range(3)]
    await import_rows(desk, *[customer_row(f"OLD{n}") for n in range(30)])
    await rule(desk, 10, *people)
    async with asyncio.timeout(30):
        await asyncio.gather(import_rows(desk, *[customer_row(f"NEW{n}") for n in range(31)]), apply(desk, mode="fill_gaps"), apply(desk, keep_by_hand=False))
    assert sorted(Counter((await leads(desk)).values()).values()) in ([20, 20, 21], [20, 21, 20])
