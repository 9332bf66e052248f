"""The same done to many customers: as if it were done singly, foretold by the dry run, in statements that do not grow (S3-17; issue text: bulk acts)."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from dunning.collection import assignments, customer_bulk, customer_messages, first_look, specific_for_many
from dunning.collection.specific_rules import FirstStanding
from dunning.kit.database import Database, statement_log
from dunning.kit.ids import new_id
from dunning.ledger import holds
from dunning.ledger.addresses import address_digest
from dunning.messages import suppressions
from dunning_api.acting import HEADER
from dunning_worker.world import World
from tests.collection.agreements import dispute, promise
from tests.collection.stage import Stage, scenario, step
from tests.collection.test_agenda import leads, person
from tests.conftest import client_of, make_tenant

MAIL = {"template": "claim-01", "deadline_days": 10}
ACTS: dict[str, dict[str, Any]] = {
    "ad hoc mail": {"act": "send_template", "message": MAIL},
    "specific mail": {"act": "send_template", "message": MAIL, "origin": "specific"},
    "task": {"act": "create_action", "action": {"title": "Visit", "content": {"kind": "task", "task_text": "Go there", "deadline_days": 5}}},
    "mail to approve": {"act": "create_action", "action": {"title": "Last words", "mode": "approve", "content": {"template": "claim-01"}}},
    "letter": {"act": "create_action", "action": {"title": "Letter", "mode": "automatic", "content": {"template": "claim-01", "channel": "letter"}}},
    "hold": {"act": "hold", "reason": "talks", "until_on": "2026-03-20"},
    "assign": {"act": "assign", "reason": "New team"},
}


NOTHING_FREE = {"owes-nothing": "item_not_open", "paid": "item_not_open", "disputed": "disputed", "tied": "item_in_specific_action"}
"""Why there is nothing to choose from, where a single request would name no item."""


@asynccontextmanager
async def stages(database: Database, app: object, world: World, count: int) -> AsyncIterator[list[Stage]]:
    """Open some companies that know nothing of each other."""
    async with AsyncExitStack() as stack:
        tenants = [await make_tenant(database) for _ in range(count)]
        yield [Stage(tenant, world, await stack.enter_async_context(client_of(app, tenant.api_key))) for tenant in tenants]


async def village(stage: Stage) -> dict[str, Any]:
    """Fill a company with customers of every sort that an act may treat in its own way, and return their ids."""
    await stage.open(scenario(step(10, "first", 40)), contact_budget=1, contact_budget_days=7)
    ids: dict[str, Any] = {"anna": await person(stage, "anna"), "bruno": await person(stage, "bruno")}
    codes = (
        "plain", "several", "owes-nothing", "paid", "held", "part-held", "disputed", "excluded", "promised", "tied", "part-tied", "no-address", "suppressed",
        "part-suppressed", "contacted", "direct-debit", "led",
    )  # fmt: skip
    for code in codes:
        emails = {"no-address": [], "part-suppressed": ["gone@part.example", "here@part.example"]}.get(code)
        terms = {"collection_method": "automatic"} if code == "direct-debit" else {}
        ids[code] = await stage.customer(code, emails=emails, **terms)
        if code != "owes-nothing":
            ids[f"item {code}"] = await stage.invoice("100.00", customer=code, days_overdue=10)
        if code in {"several", "part-held", "part-tied"}:
            ids[f"second {code}"] = await stage.invoice("70.00", customer=code, days_overdue=-3, currency="USD")
    await stage.pay("100.00", ids["item paid"], customer="paid")
    await stage.hold(customer_id=ids["held"])
    await stage.hold(item_id=ids["item part-held"])
    await dispute(stage, ids["item disputed"])
    await stage.post(
        f"/customers/{ids['excluded']}/item-updates", {"item_ids": [str(ids["item excluded"])], "status_code": "litigation", "notify": "none"}, status=201
    )
    await promise(stage, ids["promised"], "100.00", ids["item promised"])
    task = {"title": "Ask", "content": {"kind": "task"}}
    for code in ("tied", "part-tied", "led"):
        origin = "ad_hoc" if code == "led" else "specific"
        await stage.post(f"/customers/{ids[code]}/actions", task | {"item_ids": [str(ids[f"item {code}"])], "origin": origin}, status=201)
    await leads(stage, ids["led"], ids["anna"])
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        for email in ("ap@suppressed.example", "gone@part.example"):
            await suppressions.suppress(session, stage.tenant_id, channel="email", address_sha256=address_digest(email), cause="bounced", message_id=None)
    mail = {"title": "Before", "mode": "automatic", "content": {"template": "claim-01"}, "item_ids": [str(ids["item contacted"])]}
    await stage.post(f"/customers/{ids['contacted']}/actions", mail, status=201)
    await stage.settle()
    return ids


_PICTURE = """
select c.external_id as who,
  (select jsonb_agg(jsonb_build_object(
            'origin', a.origin, 'kind', a.kind, 'mode', a.mode, 'title', a.title, 'state', a.state, 'reason', a.reason, 'task', a.task_kind || ': ' || a.task_text,
            'on', a.scheduled_on, 'deadline', a.deadline_on, 'totals', a.totals, 'content', a.content - 'template_id', 'afterwards', a.afterwards,
            'person', p.name,
            'items', (select jsonb_agg(jsonb_build_array(i.number, t.state, t.reason, t.open_minor, t.episode) order by i.number)
                        from action_item t join item i using (tenant_id, item_id) where t.tenant_id = $1 and t.action_id = a.action_id),
            'mails', (select jsonb_agg(jsonb_build_array(d.to_email, m.state, m.language, m.content_mode) order by d.to_email)
                        from message m join message_address d using (tenant_id, message_id) where m.tenant_id = $1 and m.action_id = a.action_id),
            'claims', (select jsonb_agg(jsonb_build_array(k.state, k.deadline_on, k.data -> 'totals') order by k.claim_no) from claim k
                        where k.tenant_id = $1 and k.action_id = a.action_id)) order by a.title, a.origin)
     from action a left join person p using (tenant_id, person_id)
    where a.tenant_id = $1 and a.customer_id = c.customer_id) as actions,
  (select jsonb_agg(jsonb_build_array(h.scope, h.reason, h.from_on, h.until_on, h.origin) order by h.hold_id) from hold h
    where h.tenant_id = $1 and h.customer_id = c.customer_id) as holds,
  (select jsonb_agg(jsonb_build_array(p.name, s.role, s.lead, s.from_on, s.ended_on, s.reason, s.origin) order by p.name, s.ended_on) from assignment s
     join person p using (tenant_id, person_id) where s.tenant_id = $1 and s.customer_id = c.customer_id) as people,
  (select jsonb_object_agg(kind, n) from (select kind, count(*) as n from event e where e.tenant_id = $1 and e.customer_id = c.customer_id group by kind) x)
    as events,
  (select jsonb_build_array(s.review_on, s.watched) from customer_state s where s.tenant_id = $1 and s.customer_id = c.customer_id) as state
  from customer c where c.tenant_id = $1 order by c.external_id
"""


async def picture(stage: Stage) -> dict[str, dict[str, Any]]:
    """Return all that an act may leave behind, by customer."""
    return {str(row["who"]): row for row in await stage.tenant.rows(_PICTURE, stage.tenant_id)}


async def in_bulk(stage: Stage, ids: dict[str, Any], name: str, **more: Any) -> dict[str, Any]:
    """Act on everybody at once, and return the answer."""
    body = ACTS[name] | ({"person_id": ids["bruno"]} if name == "assign" else {}) | more
    return dict(await stage.post("/customers/bulk", {"filter": {"ledger_id": str(stage.ledger_id)}} | body))


async def singly(stage: Stage, ids: dict[str, Any], name: str) -> dict[str, tuple[str, str | None]]:
    """Do the same to one customer after the other, and return outcome and code of each as a bulk act words them."""
    names = {str(row["customer_id"]): row["external_id"] for row in (await stage.get("/customers", ledger=str(stage.ledger_id)))["data"]}
    told: dict[str, tuple[str, str | None]] = {}
    for customer_id, who in names.items():
        body, path, method = ACTS[name], f"/v1/customers/{customer_id}/actions", "POST"
        free = [
            str(row["item_id"])
            for row in await stage.tenant.rows(
                """select item_id from item i where tenant_id = $1 and customer_id = $2 and allocated_minor < amount_minor and not exists (
                     select 1 from action_item t where t.tenant_id = $1 and t.item_id = i.item_id and t.state = 'attached')""",
                stage.tenant_id, ids[str(who)],
            )
        ]  # fmt: skip
        if name == "hold":
            path, body = "/v1/holds", {"scope": "customer", "object_id": customer_id, "reason": body["reason"], "until_on": body["until_on"]}
        elif name == "assign":
            method, path, body = "PUT", f"/v1/customers/{customer_id}/collectors", {"lead_id": ids["bruno"], "reason": body["reason"]}
        elif name == "ad hoc mail":
            path, body = f"/v1/customers/{customer_id}/messages", MAIL
        elif name == "specific mail":
            body = {"title": "Message to the customer", "mode": "automatic", "content": MAIL, "item_ids": free}
        else:
            body = body["action"] | {"item_ids": free}
        if "item_ids" in body and not free:
            told[str(who)] = ("refused", NOTHING_FREE[str(who)])
            continue
        answer = await stage.api.request(method, path, json=body, headers={"Idempotency-Key": str(new_id())})
        assert answer.status_code in {200, 201, 409}, answer.text
        told[str(who)] = ("done", None) if answer.status_code != 409 else ("refused", answer.json().get("reason") or answer.json()["code"])
        if "action_id" in answer.json():
            await stage.settle()
            action = await stage.action(answer.json()["action_id"])
            if action["state"] == "cancelled":
                told[str(who)] = ("refused", action["reason"])
            elif action["reason"] in {"no_address", "no_language", "message_suppressed"}:
                told[str(who)] = ("by_hand", action["reason"])
    return told


def without_the_cancelled(seen: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Leave out what is cancelled as soon as it is made: a single request notes it so, a bulk act refuses it in its row and makes nothing."""
    left = {}
    for who, row in seen.items():
        gone = [action for action in row["actions"] or () if action["state"] == "cancelled"]
        kept = [action for action in row["actions"] or () if action["state"] != "cancelled"]
        left[who] = row | {"actions": kept} | ({"events": None, "state": None} if gone else {})
    return left


async def differences(one: Stage, other: Stage, name: str, results: dict[str, Any]) -> list[str]:
    """Do an act singly in one company and in bulk in its twin, and return what differs afterwards."""
    ids = [await village(stage) for stage in (one, other)]
    told = await singly(one, ids[0], name)
    dry = await in_bulk(other, ids[1], name, dry_run=True)
    done = await in_bulk(other, ids[1], name)
    results |= {"dry": dry, "done": done}
    for stage in (one, other):
        await stage.settle()
    names = {str(customer_id): who for who, customer_id in ids[1].items()}
    rows = {names[row["customer_id"]]: (row["outcome"], row["code"]) for row in done["data"]}
    found = [f"{who}: {told[who]} singly, {rows.get(who)} in bulk" for who in told if told[who] != rows.get(who)]
    alone, together = without_the_cancelled(await picture(one)), without_the_cancelled(await picture(other))
    for who, row in alone.items():
        quiet = {"events", "state"} if row["state"] is None else set()
        found += [f"{who} {part}: {row[part]} singly, {together[who][part]} in bulk" for part in row.keys() - quiet if row[part] != together[who][part]]
    return found


async def _nothing(*_: Any, **__: Any) -> dict[Any, Any]:
    return {}


async def _all_but_one(session: Any, clock: Any, *, customer_ids: list[Any], **terms: Any) -> None:
    await _set_leads(session, clock, customer_ids=customer_ids[:-1], **terms)


async def _for_ever(session: Any, clock: Any, **terms: Any) -> Any:
    return await _hold_customers(session, clock, **terms | {"until_on": None})


_set_leads, _hold_customers, _message_of = assignments.set_leads, holds.hold_customers, customer_messages.message_of
BROKEN: dict[str, tuple[object, str, object]] = {
    "ad hoc mail": (first_look, "unreached", _nothing), "specific mail": (customer_messages, "message_of", lambda content, **_: _message_of(content)),
    "task": (specific_for_many, "first_standing", lambda *_, **__: FirstStanding("awaiting_approval")),
    "mail to approve": (specific_for_many, "first_standing", lambda *_, **__: FirstStanding("scheduled")), "letter": (first_look, "kept_back", _nothing),
    "hold": (holds, "hold_customers", _for_ever), "assign": (assignments, "set_leads", _all_but_one),
}  # fmt: skip
"""For each act a bulk act that does one thing otherwise."""


@pytest.mark.parametrize("name", ACTS)
async def test_an_act_on_many_leaves_what_the_same_act_on_each_would_and_its_dry_run_counts_it(
    name: str, database: Database, app: object, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3-17: every sort of customer. The control leaves one thing out of the bulk act, and is found."""
    results: dict[str, Any] = {}
    async with stages(database, app, world, 2) as (one, other):
        assert await differences(one, other, name, results) == []
    dry, done = results["dry"], results["done"]
    assert {("done" if word == "ready" else word): n for word, n in dry["counts"].items()} == done["counts"]
    assert dry["codes"] == done["codes"]
    assert [row | {"action_id": None, "outcome": row["outcome"].replace("ready", "done")} for row in dry["data"]] == [
        row | {"action_id": None} for row in done["data"]
    ]
    print(name, done["counts"], done["codes"])
    monkeypatch.setattr(*BROKEN[name])
    async with stages(database, app, world, 2) as (one, other):
        assert await differences(one, other, name, {}) != [], "the control is found"


async def test_a_dry_run_writes_nothing(stage: Stage) -> None:
    ids = await village(stage)
    before = await picture(stage)
    for name in ACTS:
        dry = await in_bulk(stage, ids, name, dry_run=True)
        assert dry["bulk_id"] is None
        assert {row["action_id"] for row in dry["data"]} == {None}
    assert await picture(stage) == before


async def test_the_dry_run_of_calls_counts_what_the_act_then_does(stage: Stage) -> None:
    """S1-10: who is called already or owes nothing is told alike."""
    await village(stage)
    body = {"act": "call_task", "filter": {"ledger_id": str(stage.ledger_id)}}
    dry, done, again = [await stage.post("/customers/bulk", body | {"dry_run": dry_run}) for dry_run in (True, False, True)]
    assert {("done" if word == "ready" else word): n for word, n in dry["counts"].items()} == done["counts"]
    assert dry["codes"] == done["codes"]
    assert again["counts"]["exists"] == done["counts"]["done"] + done["counts"].get("exists", 0)


async def test_the_same_hold_in_force_is_not_set_again_and_the_dry_run_says_so(stage: Stage) -> None:
    """B-13: twice the same act is one hold a customer. The controls are another reason, another day, a hold on an item only, and one that is over."""
    ids = await town(stage, 3)
    body = {"act": "hold", "reason": "talks", "until_on": "2026-03-20", "customer_ids": ids}
    item = await stage.tenant.value("select item_id from item where tenant_id = $1 and customer_id = $2", stage.tenant_id, UUID(ids[0]))
    await stage.hold(item_id=item, until_on=dt.date(2026, 3, 20))

    async def held(**other: Any) -> tuple[dict[str, int], dict[str, int], int]:
        done = await stage.post("/customers/bulk", body | other)
        holds_of_customers = [one for one in (await stage.get("/holds", limit=500))["data"] if one["scope"] == "customer"]
        return done["counts"], done["codes"], len(holds_of_customers)

    assert await held(customer_ids=ids[:1]) == ({"done": 1}, {}, 1)
    assert await held(dry_run=True) == ({"exists": 1, "ready": 2}, {"hold_in_force": 1}, 1)
    assert await held() == ({"exists": 1, "done": 2}, {"hold_in_force": 1}, 3)
    assert await held() == ({"exists": 3}, {"hold_in_force": 3}, 3)
    assert await held(reason="x") == ({"done": 3}, {}, 6)
    assert await held(until_on="2026-03-21") == ({"done": 3}, {}, 9)
    assert await held(until_on=None) == ({"done": 3}, {}, 12)
    assert await held(until_on=None) == ({"exists": 3}, {"hold_in_force": 3}, 12)
    (first,) = [
        one for one in (await stage.get("/holds", customer=ids[0]))["data"]
        if (one["scope"], one["reason"], one["until_on"]) == ("customer", "talks", "2026-03-20")
    ]  # fmt: skip
    assert (await stage.api.delete(f"/v1/holds/{first['hold_id']}")).status_code == 200
    assert await held() == ({"exists": 2, "done": 1}, {"hold_in_force": 2}, 13)


async def town(stage: Stage, customers: int) -> list[str]:
    """Open a company with customers who owe 100 each, and return their ids by name."""
    await stage.open(scenario(step(10, "first", 40)), contact_budget=3, contact_budget_days=7)
    await more(stage, customers)
    return [row["customer_id"] for row in (await stage.get("/customers", ledger=str(stage.ledger_id), limit=500))["data"]]


async def more(stage: Stage, customers: int, *, first: int = 1, with_address: bool = True) -> None:
    """Add customers with one overdue invoice and one contact each, in a few statements."""
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute(_MORE, stage.tenant_id, stage.ledger_id, first, first + customers - 1, await stage.today(), with_address)


_MORE = """
with made as (
  insert into customer (tenant_id, customer_id, ledger_id, external_id, name, name_search, content_sha256)
  select $1, uuidv7(), $2, 'N' || n, 'Customer ' || lpad(n::text, 5, '0'), 'customer ' || lpad(n::text, 5, '0'), sha256(n::text::bytea)
    from generate_series($3::int, $4::int) n returning customer_id, external_id
), states as (
  insert into customer_state (tenant_id, customer_id, ledger_id, review_on) select $1, customer_id, $2, $5::date from made
), contacts as (
  insert into contact (tenant_id, contact_id, customer_id, external_id, name, email, roles)
  select $1, uuidv7(), customer_id, 'main', 'Accounts payable', 'ap@' || lower(external_id) || '.example', array['dunning'] from made where $6
), documents as (
  insert into document (tenant_id, document_id, ledger_id, customer_id, external_id, kind, number, document_on, currency, total_minor, payment_reference,
                        content_sha256, value_on)
  select $1, uuidv7(), $2, customer_id, external_id, 'invoice', external_id, $5::date - 60, 'EUR', 10000, external_id, sha256(external_id::bytea), $5::date - 60
    from made returning document_id, customer_id, external_id
)
insert into item (tenant_id, item_id, ledger_id, customer_id, document_id, external_id, kind, direction, number, document_on, due_on, currency, amount_minor,
                  value_on)
select $1, uuidv7(), $2, customer_id, document_id, external_id || '/1', 'invoice', 'debit', external_id, $5::date - 60, $5::date - 30, 'EUR', 10000, $5::date - 60
  from documents
"""


async def counted(work: Callable[[], Awaitable[Any]]) -> int:
    """Return how many statements something takes."""
    log: list[str] = []
    token = statement_log.set(log)
    try:
        await work()
    finally:
        statement_log.reset(token)
    return len(log)


async def test_an_act_takes_the_same_statements_for_few_customers_as_for_many(stage: Stage) -> None:
    """Issue text: bulk acts. Dry or not, for each act."""
    acts = {**ACTS, "call": {"act": "call_task"}}
    ids = await town(stage, 50 * len(acts))
    anna = await person(stage, "anna")
    taken = {}
    for place, (name, act) in enumerate(acts.items()):
        whom = ids[50 * place : 50 * place + 50]
        body = act | ({"person_id": anna} if name == "assign" else {})
        for dry_run in (True, False):
            # The first two pay for what a process reads once.
            warm, few, many = [
                await counted(lambda part=part: stage.post("/customers/bulk", body | {"customer_ids": part, "dry_run": dry_run}))  # type: ignore[misc]
                for part in (whom[:2], whom[2:6], whom[6:])
            ]
            assert few == many <= warm, (name, dry_run)
            taken[name, dry_run] = many
    assert max(taken.values()) <= 40
    print(taken)


async def test_a_filter_that_finds_more_than_fit_one_request_goes_on_where_it_stopped(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each customer once; the last request says that nothing is left."""
    await town(stage, 5)
    monkeypatch.setattr(customer_bulk, "AT_ONCE", 2)
    seen: list[str] = []
    body: dict[str, Any] = {"act": "hold", "reason": "talks", "filter": {"overdue_days_gte": 1}}
    for expected in (2, 2, 1):
        done = await stage.post("/customers/bulk", body)
        assert done["counts"] == {"done": expected}
        seen += [row["customer_id"] for row in done["data"]]
        body["cursor"] = done["next_cursor"]
    assert done["next_cursor"] is None
    assert len(set(seen)) == 5
    assert len((await stage.get("/holds"))["data"]) == 5
    await stage.post("/customers/bulk", {"act": "hold", "reason": "x", "customer_ids": seen[:1], "cursor": "x"}, status=422)
    await stage.post("/customers/bulk", {"act": "hold", "reason": "x", "filter": {"overdue_days_gte": 1}, "cursor": "x"}, status=422)


async def test_what_is_wrong_for_all_alike_is_refused_whole_and_dry_run_says_so(stage: Stage) -> None:
    """A day that has passed, somebody unknown, a template that there is not, words that it cannot show, sending that is off."""
    ids = await town(stage, 2)
    wrong = (
        ({"act": "hold", "reason": "x", "until_on": "2026-03-01"}, 422, "malformed"),
        ({"act": "assign", "person_id": str(new_id())}, 404, "not_found"),
        ({"act": "create_action", "action": {"title": "x", "content": {"kind": "task"}, "person_id": str(new_id())}}, 404, "not_found"),
        ({"act": "create_action", "action": {"title": "x", "content": {"kind": "task"}, "scheduled_on": "2026-03-01"}}, 422, "malformed"),
        ({"act": "send_template", "message": {"template": "no-such"}}, 409, "template_not_published"),
        ({"act": "send_template", "message": {"text": "{{nonsense}}"}}, 422, "malformed"),
    )
    for body, status, code in wrong:
        for dry_run in (True, False):
            answer = await stage.post("/customers/bulk", {"customer_ids": ids, "dry_run": dry_run, **body}, status=status)
            assert answer["code"] == code, body
    await stage.put("/tenant/sending", {"enabled": False})
    for dry_run in (True, False):
        answer = await stage.post("/customers/bulk", {"customer_ids": ids, "dry_run": dry_run, **ACTS["ad hoc mail"]}, status=409)
        assert answer["code"] == "sending_off"
    assert await stage.tenant.value("select count(*) from action where tenant_id = $1", stage.tenant_id) == 0


async def test_whoever_sees_only_some_customers_acts_on_those(stage: Stage) -> None:
    """T1: a filter finds nobody else, and another's customer is unknown by its id."""
    ids = await town(stage, 3)
    anna = await person(stage, "anna", sees="own")
    await leads(stage, ids[0], anna)

    async def act(**body: Any) -> dict[str, Any]:
        headers = {HEADER: anna, "Idempotency-Key": str(new_id())}
        answer = await stage.api.post("/v1/customers/bulk", json={**ACTS["task"], **body}, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    assert (await act(filter={"overdue_days_gte": 1}))["counts"] == {"done": 1}
    done = await act(customer_ids=ids)
    assert [(row["outcome"], row["code"]) for row in done["data"]] == [
        ("refused", "item_in_specific_action"),
        ("unknown", "not_found"),
        ("unknown", "not_found"),
    ]


async def test_whoever_reads_for_several_customers_is_told_for_one_within_the_budget_of_a_person(stage: Stage) -> None:
    """D-07: as if the customers were written to one after the other, and the dry run knows it."""
    await stage.open(scenario(step(10, "first", 40)), person_contact_budget=1, person_contact_budget_days=7)
    for code in ("C1", "C2", "C3"):
        await stage.customer(code, emails=["group@acme.example"] if code != "C3" else ["own@acme.example"])
        await stage.invoice(customer=code, days_overdue=10)
    dry, done = [
        await stage.post("/customers/bulk", {**ACTS["specific mail"], "filter": {"ledger_id": str(stage.ledger_id)}, "dry_run": dry_run})
        for dry_run in (True, False)
    ]
    assert [(row["outcome"], row["code"]) for row in dry["data"]] == [("ready", None), ("refused", "person_contact_budget"), ("ready", None)]
    assert [(row["outcome"], row["code"]) for row in done["data"]] == [("done", None), ("refused", "person_contact_budget"), ("done", None)]
    await stage.settle()
    assert (await stage.get(f"/customers/bulk/{done['bulk_id']}"))["states"] == {"completed": 2}


async def test_s3_17_a_mass_mailing_tells_each_customer_once_and_says_how_far_it_is(stage: Stage) -> None:
    """S3-17: dry run first; one message a customer however often the request is repeated; listed by its id; the fence still stops what was paid since."""
    customers = 1_500
    await town(stage, customers - 60)
    await more(stage, 40, first=customers - 59, with_address=False)
    await more(stage, 20, first=customers - 19)
    held = [
        await stage.tenant.value("select customer_id from customer where tenant_id = $1 and external_id = $2", stage.tenant_id, f"N{n}")
        for n in range(1_481, 1_501)
    ]  # type: ignore[arg-type]
    body = {"act": "hold", "reason": "talks", "customer_ids": [str(one) for one in held]}
    assert (await stage.post("/customers/bulk", body))["counts"] == {"done": 20}
    mailing = {"act": "send_template", "filter": {"overdue_days_gte": 30}, "message": {"template": "claim-01"}}
    dry = await stage.post("/customers/bulk", mailing | {"dry_run": True})
    assert (dry["counts"], dry["codes"]) == ({"ready": 1_440, "by_hand": 40, "refused": 20}, {"no_address": 40, "held": 20})
    assert (len(dry["first"]), dry["next_cursor"]) == (20, None)
    headers = {"Idempotency-Key": str(new_id())}
    first, again = [await stage.api.post("/v1/customers/bulk", json=mailing, headers=headers) for _ in range(2)]
    done = first.json()
    assert again.json() == done
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (done["counts"], done["codes"]) == ({"done": 1_440, "by_hand": 40, "refused": 20}, {"no_address": 40, "held": 20})
    path = f"/customers/bulk/{done['bulk_id']}"
    before = await stage.get(path)
    assert (before["actions"], before["under_way"], before["finished"], before["messages"]) == (1_480, 1_480, False, {})
    await stage.pay("100.00", customer="N1")
    await stage.settle()
    after = await stage.get(path)
    assert (after["states"], after["reasons"]) == ({"completed": 1_439, "waiting": 40, "cancelled": 1}, {"no_address": 40, "settled": 1})
    assert (after["messages"], after["under_way"], after["finished"]) == ({"accepted": 1_439}, 0, True)
    told = await stage.tenant.rows(
        "select customer_id, count(*)::int as n from message where tenant_id = $1 and state = 'accepted' group by customer_id", stage.tenant_id
    )
    assert {row["n"] for row in told} == {1}
    listed = await stage.get("/actions", bulk=done["bulk_id"], origin="ad_hoc", state="completed", limit=500)
    assert (len(listed["data"]), listed["next_cursor"] is not None) == (500, True)
    assert {row["bulk_id"] for row in listed["data"]} == {done["bulk_id"]}
    assert (await stage.get("/actions", bulk=str(new_id())))["data"] == []
    assert (await stage.api.get(f"/v1/customers/bulk/{new_id()}")).status_code == 404
