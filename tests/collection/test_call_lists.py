"""The phone list (rows S1-10, S2-18, S3-07..10, B-41; idea D-19): who is called, in which order, and what comes of it in one request."""

from __future__ import annotations

import csv
import datetime as dt
import io
from dataclasses import fields
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dunning.collection.priority import Facts, Weight, Weights, parts_of, score_of
from dunning.kit.database import statement_log
from dunning.kit.ids import new_id
from dunning_api.schemas.ledgers import PartName
from tests.collection.agreements import dispute, eur, promise, statuses, told
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_agenda import call_task, leads, person

DAY = dt.date(2026, 3, 2)
PARTS = [part.name for part in fields(Weights)]
PHONE: Any = [{"external_id": "p0", "name": "Anna Rossi", "phone": "+39 06 1234567", "email": "ap@c1.example", "roles": ["dunning"], "internal": False}]


def facts(**values: Any) -> Facts:
    """Return facts of a customer of whom nothing is known; values win."""
    return Facts(**({"overdue": [], "oldest_due_on": None, "broken_promises": 0, "last_contact_on": DAY, "steps": 0} | values))


def test_a_score_is_the_sum_of_its_named_parts() -> None:
    """D-19: nothing but the parts makes the score."""
    parts = parts_of(facts(overdue=[("EUR", 2_500_00)], oldest_due_on=DAY - dt.timedelta(days=40), broken_promises=1, steps=2), Weights(), DAY)
    assert {part.name: part.points for part in parts} == {"amount": 25, "age": 40, "broken_promises": 30, "silence": 0, "steps": 20}
    assert score_of(parts) == 115


def test_the_api_names_the_parts_that_there_are() -> None:
    assert list(get_args(PartName)) == PARTS


@pytest.mark.parametrize(("measure", "points"), [(99, 0), (100, 2), (199, 2), (200, 4), (2500, 50), (10_000, 50)])
def test_points_are_given_for_each_whole_unit_up_to_the_most(measure: int, points: int) -> None:
    assert Weight(2, 100, 25).of(measure) == points


def test_amounts_of_several_currencies_are_never_added_the_one_with_most_points_counts() -> None:
    (amount, *_) = parts_of(facts(overdue=[("EUR", 500_00), ("JPY", 90_000)]), Weights(), DAY)
    assert (amount.measure, amount.unit) == (90_000, "JPY")


def test_nobody_ever_spoken_with_counts_as_a_year_of_silence_and_yesterday_as_a_day() -> None:
    silence = {on: parts_of(facts(last_contact_on=on), Weights(), DAY)[3].measure for on in (None, DAY - dt.timedelta(days=1))}
    assert silence == {None: 365, DAY - dt.timedelta(days=1): 1}


def more(contacts: Any) -> dict[str, Any]:
    """Return contacts as what is stated of a customer, nothing where there are none."""
    return {"contacts": contacts} if contacts else {}


@pytest.fixture
async def calls(stage: Stage) -> dict[str, Any]:
    """Three customers with calls of today: a small young debt, a large one, an old one."""
    await stage.open(scenario(step(10, "first", 90)))
    ids: dict[str, Any] = {"anna": await person(stage, "anna")}
    for code, amount, days, contacts in (("C1", "100.00", 5, PHONE), ("C2", "9000.00", 5, None), ("C3", "100.00", 60, None)):
        ids[code] = await stage.customer(code, **more(contacts))
        ids[f"item {code}"] = await stage.invoice(amount, customer=code, days_overdue=days)
        ids[f"call {code}"] = await call_task(stage, ids[code], ids[f"item {code}"])
    await leads(stage, ids["C1"], ids["anna"])
    return ids


async def names(stage: Stage, on: dt.date, **params: Any) -> list[str]:
    """Return who is on a day's list, in order."""
    return [row["external_id"] for row in (await stage.get(f"/call-lists/{on}", **params))["data"]]


async def test_the_list_is_ordered_by_parts_that_it_shows_with_phones_amounts_and_calls(stage: Stage, calls: dict[str, Any]) -> None:
    """S2-18, B-41."""
    today = await stage.today()
    page = await stage.get(f"/call-lists/{today}")
    assert [row["external_id"] for row in page["data"]] == ["C2", "C3", "C1"]
    assert page["customers"] == 3
    for row in page["data"]:
        assert row["priority"] == sum(part["points"] for part in row["parts"])
    assert [row["priority"] for row in page["data"]] == sorted((row["priority"] for row in page["data"]), reverse=True)
    (first,) = [row for row in page["data"] if row["external_id"] == "C1"]
    assert [(phone["name"], phone["phone"]) for phone in first["phones"]] == [("Anna Rossi", "+39 06 1234567")]
    assert first["overdue"] == [eur("100.00")]
    assert [call["action_id"] for call in first["calls"]] == [calls["call C1"]]
    assert first["last_contact"] is None
    assert first["person_name"] == "anna"


async def test_a_mail_that_left_and_a_call_that_was_taken_are_contacts_and_a_call_that_nobody_took_is_none(stage: Stage, calls: dict[str, Any]) -> None:
    """D-19: silence is counted from the last contact, whoever made it; the explorer's last action is the same mail."""
    await stage.post(f"/customers/{calls['C2']}/messages", {"template": "claim-01", "item_ids": [str(calls["item C2"])]}, status=201)
    await stage.settle()
    mailed_on = await stage.today()
    await stage.advance(days=4)
    await stage.post(f"/customers/{calls['C1']}/activities", {"kind": "call", "outcome": "no_answer"}, status=201)
    await stage.post(f"/customers/{calls['C3']}/activities", {"kind": "call", "outcome": "reached"}, status=201)
    rows = {row["external_id"]: row for row in (await stage.get(f"/call-lists/{await stage.today()}"))["data"]}
    assert {code: next(part["measure"] for part in row["parts"] if part["name"] == "silence") for code, row in rows.items()} == {"C1": 365, "C2": 4, "C3": 0}
    assert rows["C1"]["last_contact"] is None
    assert rows["C2"]["last_contact"]["at"][:10] == str(mailed_on)
    assert (await stage.api.get(f"/v1/actions/{rows['C2']['last_contact']['action_id']}")).status_code == 200
    (explored,) = (await stage.get("/customers", name="customer c2"))["data"]
    assert explored["last_action"]["id"] == rows["C2"]["last_contact"]["action_id"]


async def test_weights_are_data_of_the_ledger(stage: Stage, calls: dict[str, Any]) -> None:
    """D-19: with amount left out the oldest debt comes first; the default order is the control."""
    today = await stage.today()
    assert (await names(stage, today))[0] == "C2"
    path = f"/v1/ledgers/{stage.ledger_id}"
    answer = await stage.api.patch(path, json={"priority_weights": {"amount": 0}}, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    weights = (await stage.api.get(f"{path}/call-priorities")).json()
    assert (weights["amount"]["points"], weights["age"]["points"]) == (0, 1)
    assert (await names(stage, today))[0] == "C3"


async def test_a_weight_that_no_part_has_is_refused_and_the_parts_are_named(stage: Stage, calls: dict[str, Any]) -> None:
    """D-19: a misspelt name changes nothing in silence."""
    path = f"/v1/ledgers/{stage.ledger_id}"
    answer = await stage.api.patch(path, json={"priority_weights": {"amout": 0}}, headers={"If-Match": "*"})
    assert answer.status_code == 422
    assert [name for name in PARTS if f"'{name}'" not in answer.text] == []
    assert (await stage.api.get(path)).json()["priority_weights"] == {}


@given(
    overdue=st.lists(st.tuples(st.sampled_from(["EUR", "JPY"]), st.integers(0, 10**12)), max_size=2),
    days=st.integers(-5, 4000), broken=st.integers(0, 9), silent=st.none() | st.integers(-1, 900), steps=st.integers(0, 12),
    points=st.dictionaries(st.sampled_from(PARTS), st.integers(0, 1000)),
)  # fmt: skip
def test_law_the_parts_are_all_of_the_score_and_each_is_its_weight_of_its_measure(
    overdue: Any, days: int, broken: int, silent: int | None, steps: int, points: dict[str, int]
) -> None:
    """D-19: what is shown explains the score to the point, whatever the facts and the weights."""
    weights = Weights.read(points)
    oldest = DAY - dt.timedelta(days=days) if overdue else None
    contact = None if silent is None else DAY - dt.timedelta(days=silent)
    parts = parts_of(facts(overdue=overdue, oldest_due_on=oldest, broken_promises=broken, last_contact_on=contact, steps=steps), weights, DAY)
    assert [part.name for part in parts] == PARTS
    assert score_of(parts) == sum(part.points for part in parts)
    for part in parts:
        weight = getattr(weights, part.name)
        assert part.points == points.get(part.name, getattr(Weights(), part.name).points) * min(weight.most, part.measure // weight.per)


async def test_a_call_of_tomorrow_is_on_tomorrows_list_and_one_of_today_on_both(stage: Stage, calls: dict[str, Any]) -> None:
    today = await stage.today()
    await stage.customer("C4")
    item = await stage.invoice(customer="C4")
    customer = (await stage.get(f"/ledgers/{stage.ledger_id}/customers", external_id="C4"))["data"][0]["customer_id"]
    await call_task(stage, customer, item, days=1)
    assert "C4" not in await names(stage, today)
    assert {"C1", "C4"} <= set(await names(stage, today + dt.timedelta(days=1)))
    assert await names(stage, today, person=calls["anna"]) == ["C1"]


async def test_logging_an_outcome_ends_the_call_and_the_customer_leaves_the_not_called_list_in_the_next_request(stage: Stage, calls: dict[str, Any]) -> None:
    """S3-08..10, S2-19: read your own write."""
    today = await stage.today()
    body = {"outcome": "reached", "text": "Will pay on Friday.", "person_id": calls["anna"]}
    made = await stage.post(f"/actions/{calls['call C1']}/call-outcome", body, status=201)
    assert (made["kind"], made["outcome"], made["action_id"], made["person_id"]) == ("call", "reached", calls["call C1"], calls["anna"])
    assert made["action"]["state"] == "completed"
    assert await names(stage, today) == ["C2", "C3"]
    timeline = (await stage.get(f"/customers/{calls['C1']}/timeline"))["data"]
    assert [entry["id"] for entry in timeline if entry["kind"] == "activity"] == [made["activity_id"]]
    again = await stage.post(f"/actions/{calls['call C1']}/call-outcome", body, status=409)
    assert again["code"] == "not_a_call"


async def test_a_call_back_puts_the_same_call_off_and_shows_who_spoke_last(stage: Stage, calls: dict[str, Any]) -> None:
    today = await stage.today()
    later = today + dt.timedelta(days=2)
    made = await stage.post(
        f"/actions/{calls['call C1']}/call-outcome", {"outcome": "call_back", "text": "In a meeting.", "call_back_on": later.isoformat()}, status=201
    )
    assert (made["action"]["state"], made["action"]["scheduled_on"]) == ("waiting", later.isoformat())
    assert "C1" not in await names(stage, today)
    rows = {row["external_id"]: row for row in (await stage.get(f"/call-lists/{later}"))["data"]}
    assert rows["C1"]["last_contact"]["text"] == "In a meeting."
    assert len(await stage.actions(customer=str(calls["C1"]))) == 1


async def test_nobody_reached_is_no_contact(stage: Stage, calls: dict[str, Any]) -> None:
    """The silence goes on; a call that was taken is the control."""
    today = await stage.today()
    for code, outcome in (("C1", "no_answer"), ("C2", "reached")):
        await stage.post(f"/customers/{calls[code]}/activities", {"kind": "call", "outcome": outcome}, status=201)
    silence = {
        row["external_id"]: next(part["measure"] for part in row["parts"] if part["name"] == "silence")
        for row in (await stage.get(f"/call-lists/{today}"))["data"]
    }
    assert (silence["C1"], silence["C2"]) == (365, 0)


@pytest.mark.parametrize(("outcome", "needed"), [("promised", "promise"), ("disputed", "dispute"), ("call_back", "call_back_on")])
async def test_an_outcome_that_says_nothing_of_what_was_agreed_is_refused(stage: Stage, calls: dict[str, Any], outcome: str, needed: str) -> None:
    """S3-09: otherwise the call would be done and nothing follow from it."""
    refused = await stage.post(f"/actions/{calls['call C1']}/call-outcome", {"outcome": outcome, "text": "We spoke."}, status=422)
    assert f"`{needed}`" in refused["errors"][0]["message"]
    assert (await stage.action(calls["call C1"]))["state"] == "waiting"


async def test_a_promise_and_a_dispute_come_with_the_call_in_one_request(stage: Stage, calls: dict[str, Any]) -> None:
    """The call's own items are free for both, because it is done first; when one cannot be, nothing is written."""
    other = await stage.invoice("50.00", customer="C1", days_overdue=3)
    friday = ((await stage.today()) + dt.timedelta(days=4)).isoformat()
    promise = {"amount": eur("100.00"), "promised_on": friday, "item_ids": [str(calls["item C1"])]}
    path = f"/actions/{calls['call C1']}/call-outcome"
    refused = await stage.post(path, {"outcome": "promised", "promise": promise | {"amount": eur("900.00")}}, status=409)
    assert refused["code"] == "promise_above_open"
    assert (await stage.action(calls["call C1"]))["state"] == "waiting"
    assert (await stage.get("/activities", customer=str(calls["C1"])))["data"] == []
    made = await stage.post(path, {"outcome": "promised", "promise": promise, "dispute": {"item_ids": [str(other)], "reason": "price"}}, status=201)
    assert made["promise"]["amount"] == eur("100.00")
    assert made["data"] == {"promise_id": made["promise"]["promise_id"], "dispute_id": made["dispute"]["dispute_id"]}
    assert await statuses(stage, [calls["item C1"], other]) == ["promised", "disputed"]


async def test_a_dispute_about_another_customers_item_is_refused(stage: Stage, calls: dict[str, Any]) -> None:
    body = {"kind": "call", "outcome": "disputed", "dispute": {"item_ids": [str(calls["item C2"])], "reason": "price"}}
    await stage.post(f"/customers/{calls['C1']}/activities", body, status=404)
    assert await statuses(stage, [calls["item C2"]]) == [None]


async def test_an_activity_with_a_day_to_call_again_puts_a_call_on_that_days_list(stage: Stage, calls: dict[str, Any]) -> None:
    later = (await stage.today()) + dt.timedelta(days=3)
    customer = await stage.customer("C9")
    await stage.invoice(customer="C9")
    made = await stage.post(f"/customers/{customer}/activities", {"kind": "visit", "text": "Nobody there.", "call_back_on": later.isoformat()}, status=201)
    assert made["data"]["call_back_action_id"] == made["action"]["action_id"]
    assert "C9" in await names(stage, later)


async def test_call_tasks_from_a_selection_answer_a_result_a_row_and_a_second_call_adds_nothing(stage: Stage, calls: dict[str, Any]) -> None:
    """S1-10: from customers or from activities, such as the claims that were registered."""
    fresh, idle = await stage.customer("C7"), await stage.customer("C8")
    await stage.invoice("70.00", customer="C7")
    claim = await stage.post(f"/customers/{fresh}/activities", {"kind": "claim_for_non_payment"}, status=201)
    unknown = str(new_id())
    listed = (await stage.get("/activities", kind="claim_for_non_payment"))["data"]
    assert [one["activity_id"] for one in listed] == [claim["activity_id"]]
    body = {"activity_ids": [claim["activity_id"], unknown], "customer_ids": [str(idle), str(calls["C1"]), unknown]}
    dry = await stage.post("/call-tasks", {**body, "dry_run": True})
    assert dry["counts"] == {"refused": 1, "exists": 1, "unknown": 2, "ready": 1}
    assert len(await stage.actions(customer=str(fresh))) == 0
    made = await stage.post("/call-tasks", body)
    assert made["counts"] == {"refused": 1, "exists": 1, "unknown": 2, "created": 1}
    by_customer = {row["customer_id"]: row for row in made["data"] if row["customer_id"]}
    assert by_customer[str(calls["C1"])]["action_id"] == calls["call C1"]
    action = await stage.action(by_customer[str(fresh)]["action_id"])
    assert (action["origin"], action["state"], action["task_kind"], action["totals"]) == ("ad_hoc", "waiting", "call", [eur("70.00")])
    assert "C7" in await names(stage, await stage.today())
    assert (await stage.post("/call-tasks", body))["counts"] == {"refused": 1, "exists": 2, "unknown": 2}


@pytest.mark.parametrize("path", ["/call-tasks", "/customers/bulk"])
async def test_a_call_of_a_later_day_does_not_keep_a_customer_off_the_list_of_an_earlier_one(stage: Stage, calls: dict[str, Any], path: str) -> None:
    """S2-18: the list of a day shows the calls up to that day. The control is a call of that day or before, which counts."""
    customer, today = await stage.customer("C7"), await stage.today()
    later = await call_task(stage, customer, await stage.invoice("70.00", customer="C7"), days=20)
    act = {"act": "call_task"} if path == "/customers/bulk" else {}

    async def asked(days: int, *, dry_run: bool = False) -> tuple[str, str | None]:
        body = {"customer_ids": [str(customer)], "scheduled_on": str(today + dt.timedelta(days=days)), "dry_run": dry_run}
        (row,) = (await stage.post(path, act | body))["data"]
        return row["outcome"].replace("done", "created"), row["action_id"]

    assert "C7" not in await names(stage, today)
    assert [await asked(days, dry_run=True) for days in (0, 19, 20, 21)] == [("ready", None), ("ready", None), ("exists", later), ("exists", later)]
    outcome, made = await asked(0)
    assert outcome == "created"
    assert "C7" in await names(stage, today)
    assert [await asked(days) for days in (0, 19, 20)] == [("exists", made)] * 3
    assert {one["action_id"] for one in await stage.actions(customer=str(customer))} == {later, made}


async def keep_back(stage: Stage, customer: object, item: UUID, cause: str) -> None:
    """Let something keep an item from being asked for."""
    if cause == "disputed":
        await dispute(stage, item)
    elif cause == "excluded_status":
        await stage.post(f"/customers/{customer}/item-updates", {"item_ids": [str(item)], "status_code": "litigation", "notify": "none"}, status=201)
    elif cause == "folder":
        await stage.post("/folders/litigation/items", {"item_ids": [str(item)], "reason": "To counsel"})
    elif cause == "specific_action":
        task = {"title": "Visit", "content": {"kind": "task", "task_kind": "other"}, "item_ids": [str(item)], "origin": "specific"}
        await stage.post(f"/customers/{customer}/actions", task, status=201)
    elif cause == "promised":
        await promise(stage, UUID(str(customer)), "30.00", item)
    else:
        await stage.hold(item_id=item)


CAUSES = ["disputed", "excluded_status", "folder", "specific_action"]
NO_CAUSES = ["promised", "held"]
"""What stops reminding, but may be just what one calls about."""
ACTS: dict[str, dict[str, Any]] = {"/call-tasks": {}, "/customers/bulk": {"act": "call_task"}}


async def put_on_list(stage: Stage, customer: object, path: str, *, dry_run: bool = False) -> tuple[str, str | None, str | None]:
    """Ask for a call, and return what came of it: outcome, code, and the call."""
    (row,) = (await stage.post(path, ACTS[path] | {"customer_ids": [str(customer)], "dry_run": dry_run}))["data"]
    return row["outcome"].replace("done", "created"), row["code"], row["action_id"]


def listed(action: dict[str, Any]) -> set[str]:
    """Return the items that an action is about."""
    return {item["item_id"] for item in action["items"] if item["state"] == "listed"}


@pytest.mark.parametrize("path", ACTS)
@pytest.mark.parametrize("cause", CAUSES + NO_CAUSES)
async def test_a_call_is_about_what_may_be_asked_for(stage: Stage, calls: dict[str, Any], cause: str, path: str) -> None:
    """S4-02, S4-04: the controls are a promise and a hold, which do not keep anything out of a call."""
    customer = await stage.customer("C7")
    item, other = [await stage.invoice(amount, customer="C7") for amount in ("70.00", "30.00")]
    await keep_back(stage, customer, item, cause)
    outcome, _, call = await put_on_list(stage, customer, path)
    assert outcome == "created"
    made = await stage.action(str(call))
    expected = ({str(other)}, [eur("30.00")]) if cause in CAUSES else ({str(item), str(other)}, [eur("100.00")])
    assert (listed(made), made["totals"]) == expected


@pytest.mark.parametrize("path", ACTS)
@pytest.mark.parametrize("cause", CAUSES + NO_CAUSES)
async def test_nobody_is_called_about_what_is_all_kept_back(stage: Stage, calls: dict[str, Any], cause: str, path: str) -> None:
    """S4-02, S4-04: it is refused with the cause, and the dry run says so too."""
    customer = await stage.customer("C7")
    await keep_back(stage, customer, await stage.invoice("70.00", customer="C7"), cause)
    code = {"folder": "excluded_status", "specific_action": "item_in_specific_action"}.get(cause, cause)
    for dry_run in (True, False):
        outcome, why, call = await put_on_list(stage, customer, path, dry_run=dry_run)
        if cause in CAUSES:
            assert (outcome, why, call) == ("refused", code, None)
        else:
            assert outcome == ("ready" if dry_run else "created")


@pytest.mark.parametrize("cause", CAUSES + NO_CAUSES)
async def test_what_is_not_to_be_asked_for_any_more_leaves_the_calls_that_wait_about_all(stage: Stage, calls: dict[str, Any], cause: str) -> None:
    """S4-02, S4-04: the last one takes the call along. The controls are a promise, a hold, and a call that somebody made about the same items."""
    customer = await stage.customer("C7")
    item, other = [await stage.invoice(amount, customer="C7") for amount in ("70.00", "30.00")]
    _, _, call = await put_on_list(stage, customer, "/call-tasks")
    chosen = await call_task(stage, customer, item)
    for done, kept_back in enumerate((item, other)):
        await keep_back(stage, customer, kept_back, cause)
        about_all = await stage.action(str(call))
        assert listed(await stage.action(chosen)) == {str(item)}
        if cause in NO_CAUSES:
            assert (about_all["state"], listed(about_all)) == ("waiting", {str(item), str(other)})
        elif done == 0:
            assert (about_all["state"], listed(about_all), about_all["totals"]) == ("waiting", {str(other)}, [eur("30.00")])
            reason = "excluded_status" if cause == "folder" else cause
            (left,) = [one["data"] for one in await told(stage, "action.items_left") if str(one["subject_id"]) == call]
            assert left == {"reason": reason, "item_ids": [str(item)]}
        else:
            assert (about_all["state"], about_all["reason"], listed(about_all)) == ("cancelled", reason, set())
    assert (await stage.action(chosen))["state"] == "waiting"


async def test_what_many_customers_owe_leaves_their_calls_with_a_specific_action_of_all(stage: Stage, calls: dict[str, Any]) -> None:
    ids = []
    for code in ("C7", "C8"):
        ids.append(str(await stage.customer(code)))
        await stage.invoice(customer=code)
    await stage.post("/call-tasks", {"customer_ids": ids})
    task = {"act": "create_action", "action": {"title": "Visit", "content": {"kind": "task"}}, "customer_ids": ids}
    assert (await stage.post("/customers/bulk", task))["counts"] == {"done": 2}
    found = [(one["state"], one["reason"]) for customer in ids for one in await stage.actions(customer=customer) if one["task_kind"] == "call"]
    assert found == [("cancelled", "specific_action")] * 2


async def test_a_copy_of_a_call_about_all_is_about_the_items_that_somebody_chose(stage: Stage, calls: dict[str, Any]) -> None:
    customer = await stage.customer("C7")
    item = await stage.invoice(customer="C7")
    _, _, call = await put_on_list(stage, customer, "/call-tasks")
    copied = {"title": "Again", "copy_from": {"action_id": call}, "item_ids": [str(item)], "origin": "ad_hoc"}
    copy = (await stage.post(f"/customers/{customer}/actions", copied, status=201))["action_id"]
    await dispute(stage, item)
    assert [(await stage.action(str(one)))["state"] for one in (call, copy)] == ["cancelled", "waiting"]


async def test_many_call_tasks_take_as_many_statements_as_few(stage: Stage, calls: dict[str, Any]) -> None:
    counts = set()
    for number in (1, 6):
        chosen = []
        for n in range(number):
            chosen.append(str(await stage.customer(f"X{number}{n}")))
            await stage.invoice(customer=f"X{number}{n}")
        log: list[str] = []
        token = statement_log.set(log)
        made = await stage.post("/call-tasks", {"customer_ids": chosen})
        statement_log.reset(token)
        assert made["counts"] == {"created": number}
        counts.add(len(log))
    assert len(counts) == 1


async def test_the_list_as_csv_is_safe_to_open_and_holds_every_row_in_order(stage: Stage, calls: dict[str, Any]) -> None:
    await stage.customer("C2", name="=HYPERLINK(evil)")
    today = await stage.today()
    answer = await stage.api.get(f"/v1/call-lists/{today}/export.csv")
    assert answer.status_code == 200, answer.text
    lines = answer.text.splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == await names(stage, today)
    assert "'=HYPERLINK(evil)" in lines[1]
    assert "+39 06 1234567" in answer.text


async def test_pages_follow_one_another_and_take_the_same_statements_for_one_row_as_for_many(stage: Stage, calls: dict[str, Any]) -> None:
    today = await stage.today()
    for row, customer in calls.items():
        if row.startswith("C"):
            await stage.post(f"/customers/{customer}/activities", {"kind": "call", "outcome": "reached"}, status=201)
    counts, seen, cursor = set(), [], None
    while True:
        log: list[str] = []
        token = statement_log.set(log)
        page = await stage.get(f"/call-lists/{today}", limit=1, **({"cursor": cursor} if cursor else {}))
        statement_log.reset(token)
        counts.add(len(log))
        seen += [row["external_id"] for row in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    log = []
    token = statement_log.set(log)
    whole = await names(stage, today)
    statement_log.reset(token)
    assert seen == whole
    assert counts == {len(log)}


async def test_a_call_tells_whose_it_is_and_the_row_who_leads(stage: Stage, calls: dict[str, Any]) -> None:
    """S2-18: a call may be another one's; a row is a person's where all of its calls are."""
    today = await stage.today()
    bruno = await person(stage, "bruno")
    await call_task(stage, calls["C1"], calls["item C1"], person_id=bruno)
    rows = {row["external_id"]: row for row in (await stage.get(f"/call-lists/{today}"))["data"]}
    assert [(call["person_id"], call["person_name"]) for call in rows["C1"]["calls"]] == [(calls["anna"], "anna"), (bruno, "bruno")]
    assert (rows["C1"]["collector_id"], rows["C1"]["collector_name"]) == (calls["anna"], "anna")
    assert (rows["C1"]["person_id"], rows["C1"]["person_name"]) == (None, None)
    assert [rows["C2"][name] for name in ("collector_id", "collector_name", "person_id", "person_name")] == [None] * 4
    (row,) = (await stage.get(f"/call-lists/{today}", person=bruno))["data"]
    assert (row["collector_name"], row["person_id"], row["person_name"]) == ("anna", bruno, "bruno")
    lines = list(csv.DictReader(io.StringIO((await stage.api.get(f"/v1/call-lists/{today}/export.csv")).text)))
    assert {line["external_id"]: (line["collector"], line["callers"]) for line in lines} == {"C1": ("anna", "anna, bruno"), "C2": ("", ""), "C3": ("", "")}


async def test_the_file_of_a_list_has_a_line_a_currency_with_plain_amounts(stage: Stage, calls: dict[str, Any]) -> None:
    """B-41: as in every other file; where nothing is overdue there is one line."""
    await stage.invoice("50.00", customer="C2", days_overdue=3, currency="USD")
    await stage.customer("C4")
    await call_task(
        stage, (await stage.get("/customers", name="customer c4"))["data"][0]["customer_id"], await stage.invoice("5.00", customer="C4", days_overdue=-5)
    )
    lines = list(csv.DictReader(io.StringIO((await stage.api.get(f"/v1/call-lists/{await stage.today()}/export.csv")).text)))
    assert [(line["external_id"], line["currency"], line["overdue"]) for line in lines] == [
        ("C2", "EUR", "9000.00"), ("C2", "USD", "50.00"), ("C3", "EUR", "100.00"), ("C1", "EUR", "100.00"), ("C4", "", ""),
    ]  # fmt: skip
    assert len({(line["priority"], line["name"]) for line in lines if line["external_id"] == "C2"}) == 1


async def done_with(stage: Stage, code: str) -> list[tuple[str, str, str, bool]]:
    """Return what was done with a customer, the last first: noun, day, outcome, and whether it was a contact."""
    rows = {row["external_id"]: row for row in (await stage.get("/reports/action-control"))["data"]}
    shown = rows[code]["last_action"]
    assert (shown and shown["id"]) == (rows[code]["done"][0]["id"] if rows[code]["done"] else None)
    return [(one["kind"], one["on"], one["outcome"] or "", one["contact"]) for one in rows[code]["done"]]


async def without_action(stage: Stage, since: dt.date) -> set[str]:
    """Return the customers with whom nothing was done since a day."""
    return {row["external_id"] for row in (await stage.get("/reports/customers-without-action", without_action_since=str(since)))["data"]}


@pytest.mark.parametrize("days_ago", [0, 3, 5, 6])
async def test_a_call_entered_later_is_done_on_its_day_and_once(stage: Stage, calls: dict[str, Any], days_ago: int) -> None:
    """S3-07, S3-10, S3-11: the task was made five days ago; a call before that completes it on that day, and itself stands on its own."""
    made_on = await stage.today()
    await stage.advance(days=5)
    at = (await stage.tenant.clock()).now() - dt.timedelta(days=days_ago)
    made = await stage.post(f"/actions/{calls['call C1']}/call-outcome", {"outcome": "reached", "at": at.isoformat()}, status=201)
    on = at.date()
    assert made["action"]["completed_on"] == str(max(on, made_on))
    assert made["data"] == ({"completed_on": str(made_on)} if on < made_on else {})
    assert await done_with(stage, "C1") == [("activity", str(on), "reached", True)]
    assert "C1" not in await without_action(stage, on)
    assert "C1" in await without_action(stage, on + dt.timedelta(days=1))


async def test_a_call_that_is_still_to_come_ends_no_task(stage: Stage, calls: dict[str, Any]) -> None:
    at = (await stage.tenant.clock()).now() + dt.timedelta(days=1)
    refused = await stage.post(f"/actions/{calls['call C1']}/call-outcome", {"outcome": "reached", "at": at.isoformat()}, status=422)
    assert refused["errors"][0]["field"] == "at"
    assert (await stage.action(calls["call C1"]))["state"] == "waiting"


async def test_only_a_try_on_the_day_of_its_completion_tells_whether_a_call_was_a_contact(stage: Stage, calls: dict[str, Any]) -> None:
    """S3-11: nobody answered on the first day; on the second the call is done. Done on the same day, the try stands for it."""
    first = await stage.today()
    second = first + dt.timedelta(days=1)
    for code, again_on in (("C1", second), ("C2", first)):
        body = {"outcome": "no_answer", "call_back_on": str(again_on)}
        await stage.post(f"/actions/{calls[f'call {code}']}/call-outcome", body, status=201)
    await stage.post(f"/actions/{calls['call C2']}/complete", {})
    await stage.advance(days=1)
    await stage.post(f"/actions/{calls['call C1']}/complete", {})
    assert await done_with(stage, "C1") == [("action", str(second), "", True), ("activity", str(first), "no_answer", False)]
    assert await done_with(stage, "C2") == [("activity", str(first), "no_answer", False)]


@pytest.mark.parametrize("days_ago", [0, 1])
async def test_what_was_done_stands_in_the_order_in_which_it_was(stage: Stage, calls: dict[str, Any], days_ago: int) -> None:
    """S3-06, S3-11: a task that is completed is done at that moment; one whose day alone is known at the end of it."""
    if days_ago:
        await stage.advance(days=days_ago)
    day = await stage.today() - dt.timedelta(days=days_ago)
    at = (await stage.tenant.clock()).now() - dt.timedelta(days=days_ago)
    path = f"/customers/{calls['C1']}/activities"
    before = (await stage.post(path, {"kind": "visit", "at": (at - dt.timedelta(minutes=5)).isoformat()}, status=201))["activity_id"]
    done = await stage.post(f"/actions/{calls['call C1']}/complete", {"completed_on": str(day)} if days_ago else {})
    assert (done["executed_at"] is None) == (days_ago > 0)
    (row,) = [row for row in (await stage.get("/reports/action-control"))["data"] if row["external_id"] == "C1"]
    assert [one["id"] for one in row["done"]] == [calls["call C1"], before]
    assert row["last_action"]["id"] == calls["call C1"]
    assert (dt.datetime.fromisoformat(row["last_action"]["at"]) == at) == (days_ago == 0)
    await stage.advance(days=1)
    after = (await stage.post(path, {"kind": "visit"}, status=201))["activity_id"]
    (row,) = [row for row in (await stage.get("/reports/action-control"))["data"] if row["external_id"] == "C1"]
    assert [one["id"] for one in row["done"]] == [after, calls["call C1"], before]
