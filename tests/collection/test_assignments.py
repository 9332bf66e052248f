"""People look after customers: by rules while importing, by hand, handed over, and in somebody's stead (S2-01, S2-13, S2-16)."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from dunning.collection import assignments
from dunning.kit.database import statement_log
from dunning.kit.ids import new_id
from dunning_api.acting import HEADER
from dunning_worker.jobs import imports
from tests.collection.stage import Stage, scenario, step

LIVE = "('awaiting_approval', 'scheduled', 'executed', 'waiting')"
TASK = {"mode": "manual", "notices": [], "task": {"kind": "call", "text": "Call them."}}


async def ask(stage: Stage, method: str, path: str, body: Any = None, *, status: int = 200, who: str | None = None) -> Any:
    """Call the API, for a person where one is named, and insist on a status."""
    headers = {"Idempotency-Key": str(new_id()), "If-Match": "*"} | ({HEADER: who} if who else {})
    answer = await stage.api.request(method, f"/v1{path}", json=body, headers=headers)
    assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json()


async def person(stage: Stage, name: str, role: str = "collector", **stated: Any) -> str:
    body = {"name": name.title(), "email": f"{name}@acme.example", "role": role, **stated}
    return str((await ask(stage, "POST", "/people", body, status=201))["person_id"])


async def rule(stage: Stage, rank: int, *people: str, role: str = "collector", **conditions: Any) -> str:
    body = {"rank": rank, "name": f"Rule {rank}", "role": role, "person_ids": people, "conditions": conditions}
    return str((await ask(stage, "POST", f"/ledgers/{stage.ledger_id}/assignment-rules", body, status=201))["rule_id"])


async def import_rows(stage: Stage, *rows: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Import a mixed file and return how it ended."""
    answer = await stage.api.post(
        f"/v1/ledgers/{stage.ledger_id}/imports",
        params={"kind": "mixed", "format": "ndjson", **options},
        content="\n".join(json.dumps(row) for row in rows).encode(),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 202, answer.text
    await imports.work_on_imports(stage.world, stage.tenant_id)
    return dict(await ask(stage, "GET", f"/imports/{answer.json()['import_id']}"))


def customer_row(external_id: str, **stated: Any) -> dict[str, Any]:
    return {"kind": "customer", "external_id": external_id, "name": f"Customer {external_id}", **stated}


def invoice_row(external_id: str, customer: str, amount: str) -> dict[str, Any]:
    return {
        "kind": "document", "external_id": external_id, "customer_external_id": customer, "number": external_id, "document_on": "2026-01-15",
        "due_on": "2026-02-20", "total": {"amount": amount, "currency": "EUR"},
    }  # fmt: skip


async def leads(stage: Stage) -> dict[str, str]:
    """Return the name of each customer's lead collector by external id."""
    rows = await stage.tenant.rows(
        """select c.external_id, p.name from assignment a join customer c using (tenant_id, customer_id) join person p using (tenant_id, person_id)
            where a.tenant_id = $1 and a.role = 'collector' and a.lead and a.ended_on is null""",
        stage.tenant_id,
    )
    return {str(row["external_id"]): str(row["name"]) for row in rows}


@pytest.fixture
async def desk(stage: Stage) -> Stage:
    """A company whose one step is a call, which stays to be done."""
    return await stage.open(scenario(step(1, "01", 1, **TASK)))


FILE = (
    customer_row("IT1", country="IT", territory="north", tags=["key"]),
    customer_row("IT2", country="IT"),
    customer_row("FR1", country="FR"),
    customer_row("FR2", country="FR"),
    customer_row("FR3", country="FR"),
    customer_row("ES1", country="ES"),
    invoice_row("I1", "IT2", "20000.00"),
    invoice_row("I2", "IT1", "10.00"),
)


async def test_customers_get_their_collectors_while_they_are_imported_and_the_answer_counts_them(desk: Stage) -> None:
    """S2-01, S2-16: territory, amount, round robin; who is left over is listed and told once."""
    anna, bruno, carla = [await person(desk, name) for name in ("anna", "bruno", "carla")]
    await rule(desk, 10, anna, countries=["IT"], min_open_amount="10000.00")
    await rule(desk, 20, bruno, countries=["IT"], territories=["north"], tags=["key", "vip"])
    await rule(desk, 30, bruno, carla, countries=["FR"])
    done = await import_rows(desk, *FILE)
    got = await leads(desk)
    assert {name: got[name] for name in ("IT1", "IT2")} == {"IT1": "Bruno", "IT2": "Anna"}
    assert sorted(got[name] for name in ("FR1", "FR2", "FR3")) in (["Bruno", "Bruno", "Carla"], ["Bruno", "Carla", "Carla"])
    assert (done["assigned"], done["unassigned"]) == (5, 1)
    left = await ask(desk, "GET", f"/ledgers/{desk.ledger_id}/unassigned")
    assert [(row["external_id"], row["because"]) for row in left["data"]] == [("ES1", "no_rule_fits")]
    told = await desk.tenant.rows("select data from event where tenant_id = $1 and kind = 'customers.unassigned'", desk.tenant_id)
    assert [row["data"] for row in told] == [{"role": "collector", "customers": 1, "because": {"no_rule_fits": 1}}]
    again = await import_rows(desk, *FILE)
    assert (again["assigned"], again["unassigned"]) == (0, 1)


async def test_the_list_of_customers_without_somebody_says_why(desk: Stage) -> None:
    """S2-01: no rules at all, a rule that fits and was not applied, one whose people left, and none that fits; once somebody has it, it is off the list."""
    path = f"/ledgers/{desk.ledger_id}/unassigned"

    async def because() -> dict[str, str]:
        return {row["external_id"]: row["because"] for row in (await ask(desk, "GET", path))["data"]}

    await import_rows(desk, customer_row("IT1", country="IT"), customer_row("FR1", country="FR"))
    assert await because() == {"IT1": "no_rules", "FR1": "no_rules"}
    anna = await person(desk, "anna")
    await rule(desk, 10, anna, countries=["IT"])
    assert await because() == {"IT1": "not_applied", "FR1": "no_rule_fits"}
    await ask(desk, "PATCH", f"/people/{anna}", {"active": False})
    assert await because() == {"IT1": "nobody_active", "FR1": "no_rule_fits"}
    await ask(desk, "PATCH", f"/people/{anna}", {"active": True})
    await ask(desk, "POST", f"/ledgers/{desk.ledger_id}/assignments/apply", {})
    assert await because() == {"FR1": "no_rule_fits"}


async def test_a_dry_run_of_an_import_says_who_would_be_assigned_and_assigns_nobody(desk: Stage) -> None:
    await rule(desk, 10, await person(desk, "anna"), countries=["IT"])
    done = await import_rows(desk, *FILE, dry_run="true")
    assert (done["assigned"], done["unassigned"]) == (2, 4)
    assert await leads(desk) == {}


async def test_without_rules_an_import_assigns_nobody_and_tells_nothing(desk: Stage) -> None:
    done = await import_rows(desk, *FILE)
    assert (done["assigned"], done["unassigned"]) == (0, None)
    assert await desk.tenant.rows("select 1 from event where tenant_id = $1 and kind = 'customers.unassigned'", desk.tenant_id) == []


async def test_rules_made_later_are_applied_on_request_first_as_a_dry_run(desk: Stage) -> None:
    """Whoever has somebody is left alone; a second run finds nothing to do."""
    await import_rows(desk, *FILE)
    anna = await person(desk, "anna")
    await rule(desk, 10, anna, countries=["FR", "ES"])
    path = f"/ledgers/{desk.ledger_id}/assignments/apply"
    tried = await ask(desk, "POST", path, {"dry_run": True})
    assert (tried["assigned"], tried["by_person"], tried["left"]) == (4, [{"person_id": anna, "customers": 4, "lost": 0}], {"no_rule_fits": 2})
    assert await leads(desk) == {}
    done = await ask(desk, "POST", path, {})
    assert {**done, "dry_run": True} == tried
    assert set(await leads(desk)) == {"FR1", "FR2", "FR3", "ES1"}
    assert (await ask(desk, "POST", path, {}))["assigned"] == 0


async def test_one_customer_stated_alone_gets_its_collector_too(desk: Stage) -> None:
    anna = await person(desk, "anna")
    await rule(desk, 10, anna, territories=["north"])
    for external_id, territory in (("N", "north"), ("S", "south")):
        await ask(
            desk, "PUT", f"/ledgers/{desk.ledger_id}/customers/{external_id}", {"name": external_id, "territory": territory, "tags": ["a", "b"]}, status=201
        )
    assert await leads(desk) == {"N": "Anna"}
    found = (await ask(desk, "GET", f"/ledgers/{desk.ledger_id}/customers?external_id=N"))["data"][0]
    assert (found["territory"], found["tags"]) == ("north", ["a", "b"])


async def test_what_a_run_makes_is_for_the_lead_collector_of_its_customer(desk: Stage) -> None:
    customer_id = await desk.customer()
    await desk.customer("C2")
    anna = await person(desk, "anna")
    await ask(desk, "PUT", f"/customers/{customer_id}/collectors", {"lead_id": anna})
    await desk.invoice(customer="C1")
    await desk.invoice(customer="C2")
    await desk.remind()
    rows = await desk.tenant.rows(
        "select c.external_id, a.person_id from action a join customer c using (tenant_id, customer_id) where a.tenant_id = $1", desk.tenant_id
    )
    assert {str(row["external_id"]): row["person_id"] and str(row["person_id"]) for row in rows} == {"C1": anna, "C2": None}


async def test_another_collector_takes_the_open_work_and_history_keeps_the_old_name(desk: Stage) -> None:
    """S2-13; the law: what is planned stays planned, only for somebody else."""
    customer_id = await desk.customer()
    anna, bruno = [await person(desk, name) for name in ("anna", "bruno")]
    path = f"/customers/{customer_id}/collectors"
    await ask(desk, "PUT", path, {"lead_id": anna})
    await desk.invoice()
    await desk.remind()
    before = await live(desk)
    assert [row["person"] for row in before.values()] == [anna]
    shown = await ask(desk, "PUT", path, {"lead_id": bruno, "other_ids": [anna], "reason": "Speaks their language."})
    assert [(a["person_name"], a["lead"], a["reason"]) for a in shown["assignments"]] == [
        ("Bruno", True, "Speaks their language."),
        ("Anna", False, "Speaks their language."),
    ]
    assert [row["person"] for row in (await live(desk)).values()] == [anna], "who stays keeps the work"
    await ask(desk, "PUT", path, {"lead_id": bruno})
    assert [row["person"] for row in (await live(desk)).values()] == [bruno]
    assert strip(await live(desk)) == strip(before)
    history = await ask(desk, "GET", f"{path}?history=true")
    assert sorted((a["person_name"], a["lead"], a["ended_on"] is None) for a in history["assignments"]) == [
        ("Anna", False, False),
        ("Anna", True, False),
        ("Bruno", True, True),
    ]
    count = await desk.tenant.value("select count(*) from event where tenant_id = $1", desk.tenant_id)
    assert (await ask(desk, "PUT", path, {"lead_id": bruno}))["lead_id"] == bruno
    assert await desk.tenant.value("select count(*) from event where tenant_id = $1", desk.tenant_id) == count, "the same again changes nothing"


async def live(stage: Stage) -> dict[str, dict[str, Any]]:
    rows = await stage.tenant.rows(
        f"select action_id::text, state, scheduled_on, step_code, person_id::text as person, customer_id::text from action where tenant_id = $1 and state in {LIVE}",
        stage.tenant_id,
    )
    return {str(row["action_id"]): row for row in rows}


def strip(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {action: {name: value for name, value in row.items() if name != "person"} for action, row in rows.items()}


@pytest.mark.parametrize("seed", range(3))
async def test_law_nothing_planned_is_lost_however_often_collectors_change(desk: Stage, seed: int) -> None:
    """Random changes of leads and others, and people handing over: the live actions stay the same, and each is the lead's or a collector's of its customer."""
    chance = random.Random(seed)
    people = [await person(desk, f"p{n}") for n in range(4)]
    customers = [str(await desk.customer(f"C{n}")) for n in range(4)]
    for n in range(4):
        await desk.invoice(customer=f"C{n}")
    await desk.remind()
    before = strip(await live(desk))
    assert len(before) == 4
    for _ in range(12):
        lead, *others = chance.sample(people, k=chance.randint(1, len(people)))
        await ask(desk, "PUT", f"/customers/{chance.choice(customers)}/collectors", {"lead_id": lead, "other_ids": others})
        if chance.random() < 0.15 and len(people) > 2:
            leaver = people.pop()
            await ask(desk, "POST", f"/people/{leaver}/hand-over", {"to": people})
    after = await live(desk)
    assert strip(after) == before
    held = await desk.tenant.rows(
        "select customer_id::text, person_id::text from assignment where tenant_id = $1 and role = 'collector' and ended_on is null", desk.tenant_id
    )
    of_customer: dict[str, set[str]] = {}
    for row in held:
        of_customer.setdefault(str(row["customer_id"]), set()).add(str(row["person_id"]))
    assert all(row["person"] in of_customer.get(str(row["customer_id"]), {None}) for row in after.values())


async def test_somebody_who_leaves_hands_over_everything_in_one_step(desk: Stage) -> None:
    """All customers and open work, shared out by the fewest customers; a helper takes the lead; the number of statements does not grow with them."""
    anna, bruno, carla = [await person(desk, name) for name in ("anna", "bruno", "carla")]
    for n in range(6):
        customer_id = await desk.customer(f"C{n}")
        others = [bruno] if n == 0 else []
        await ask(desk, "PUT", f"/customers/{customer_id}/collectors", {"lead_id": anna, "other_ids": others})
        await desk.invoice(customer=f"C{n}")
    await ask(desk, "PUT", f"/customers/{customer_id}/account-manager", {"person_id": anna})
    await rule(desk, 10, anna, carla)
    await desk.remind()
    before = strip(await live(desk))
    refused = await ask(desk, "PATCH", f"/people/{anna}", {"active": False}, status=409)
    assert (refused["code"], refused["customers"], refused["actions"]) == ("still_responsible", 7, 6)
    await ask(desk, "POST", f"/people/{anna}/hand-over", {"to": []}, status=409)
    log: list[str] = []
    statement_log.set(log)
    done = await ask(desk, "POST", f"/people/{anna}/hand-over", {"to": [bruno, carla], "reason": "Leaves."})
    statement_log.set(None)
    assert len(log) <= 24, log
    assert (done["customers"], done["actions"], done["person"]["active"], len(done["assignment_rule_ids"])) == (6, 6, False, 1)
    assert sorted((share["customers"], share["actions"]) for share in done["to"]) == [(3, 3), (3, 3)]
    assert strip(await live(desk)) == before
    assert {row["person"] for row in (await live(desk)).values()} == {bruno, carla}
    held = await desk.tenant.rows(
        "select role, lead, count(*)::int as n from assignment where tenant_id = $1 and ended_on is null group by role, lead order by role, lead",
        desk.tenant_id,
    )
    assert [(row["role"], row["lead"], row["n"]) for row in held][-1] == ("collector", True, 6)
    assert await desk.tenant.value("select count(*) from assignment where tenant_id = $1 and person_id = $2 and ended_on is null", desk.tenant_id, anna) == 0
    again = await ask(desk, "POST", f"/people/{anna}/hand-over", {"to": [bruno]})
    assert (again["customers"], again["actions"]) == (0, 0)
    assert (await ask(desk, "PUT", f"/customers/{customer_id}/collectors", {"lead_id": anna}, status=409))["code"] == "conflict"


async def test_people_are_told_apart_by_mail_and_only_an_admin_makes_an_admin(desk: Stage) -> None:
    manager = await person(desk, "manager", "manager")
    taken = await ask(desk, "POST", "/people", {"name": "X", "email": "MANAGER@acme.example", "role": "viewer"}, status=409)
    assert taken["code"] == "email_taken"
    body = {"name": "Y", "email": "y@acme.example", "role": "admin"}
    await ask(desk, "POST", "/people", body, status=403, who=manager)
    admin = (await ask(desk, "POST", "/people", body, status=201))["person_id"]
    await ask(desk, "PATCH", f"/people/{admin}", {"role": "viewer"}, status=403, who=manager)
    await ask(desk, "PATCH", f"/people/{manager}", {"role": "admin"}, status=403, who=manager)
    await ask(desk, "POST", "/people", body | {"email": "z@acme.example", "sees": "own"}, status=422)
    changed = await ask(desk, "PATCH", f"/people/{manager}", {"role": "collector"}, who=admin)
    assert (changed["role"], changed["sees"]) == ("collector", "team")


async def test_two_active_rules_never_have_one_rank_and_amounts_must_leave_room(desk: Stage) -> None:
    anna = await person(desk, "anna")
    first = await rule(desk, 10, anna)
    path = f"/ledgers/{desk.ledger_id}/assignment-rules"
    body = {"rank": 10, "name": "Second", "person_ids": [anna]}
    assert (await ask(desk, "POST", path, body, status=409))["code"] == "rank_taken"
    await ask(desk, "PATCH", f"/assignment-rules/{first}", {"active": False})
    second = await ask(desk, "POST", path, body, status=201)
    assert (await ask(desk, "PATCH", f"/assignment-rules/{first}", {"active": True}, status=409))["code"] == "rank_taken"
    await ask(desk, "PATCH", f"/assignment-rules/{second['rule_id']}", {"conditions": {"min_open_amount": "5.00", "max_open_amount": "4.99"}}, status=422)


async def test_a_notice_to_the_account_manager_reaches_the_person_unless_the_customer_names_a_colleague(stage: Stage) -> None:
    """S0: the role of a notice to colleagues is resolved by who looks after the customer."""
    told = {"code": "inside", "channel": "email", "audience": "internal", "primary": False, "to_roles": ["account_manager"], "template": "claim-01"}
    main = {"code": "main", "channel": "email", "to_roles": ["dunning"], "template": "claim-01", "primary": True, "fallback": ["letter"]}
    await stage.open(scenario(step(1, "01", 1) | {"notices": [main, told]}))
    paolo = await person(stage, "paolo", "account_manager")
    luca = {"external_id": "am", "name": "Luca", "email": "luca@acme.example", "roles": ["account_manager"], "internal": True}
    ap = {"external_id": "ap", "name": "AP", "email": "ap@c.example", "roles": ["dunning"]}
    for external_id, contacts in (("C1", [ap]), ("C2", [ap, luca])):
        customer_id = await stage.customer(external_id, contacts=contacts)
        await ask(stage, "PUT", f"/customers/{customer_id}/account-manager", {"person_id": paolo})
        await stage.invoice(customer=external_id)
    await stage.remind()
    rows = await stage.tenant.rows(
        """select c.external_id, d.to_email, m.contact_id from message m join message_address d using (tenant_id, message_id)
             join customer c on c.tenant_id = m.tenant_id and c.customer_id = m.customer_id where m.tenant_id = $1 and m.notice = 'inside'""",
        stage.tenant_id,
    )
    assert {str(row["external_id"]): str(row["to_email"]) for row in rows} == {"C1": "paolo@acme.example", "C2": "luca@acme.example"}
    assert [row["contact_id"] for row in rows if row["external_id"] == "C1"] == [None]


@pytest.mark.parametrize("path", ["/people", "/teams", "/absences", "/ledgers/{ledger}/assignment-rules", "/ledgers/{ledger}/unassigned"])
async def test_a_list_asks_as_many_statements_for_many_rows_as_for_one(desk: Stage, path: str) -> None:
    path = path.replace("{ledger}", str(desk.ledger_id))
    counts = []
    for round_no in range(2):
        for n in range(1 + 3 * round_no):
            name = f"p{round_no}{n}"
            made = await person(desk, name)
            await ask(desk, "POST", "/teams", {"code": name, "name": name}, status=201)
            await ask(desk, "POST", f"/people/{made}/absences", {"from_on": "2026-03-03", "until_on": "2026-03-04"}, status=201)
            await rule(desk, 1 + n + 100 * round_no, made)
            await import_rows(desk, customer_row(f"{name}X", country="DE")) if path.endswith("unassigned") else None
        log: list[str] = []
        statement_log.set(log)
        found = await ask(desk, "GET", path)
        statement_log.set(None)
        assert found["data"] or path.endswith("unassigned")
        counts.append(len(log))
    assert counts[0] == counts[1] <= 7


async def test_a_collector_passes_an_own_customer_to_a_colleague_and_nobody_elses(desk: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its open work goes along. What a teammate has is seen, and is the teammate's or a manager's to move; what is out of sight is unknown."""
    team = (await ask(desk, "POST", "/teams", {"code": "north", "name": "North"}, status=201))["team_id"]
    anna, bruno, carla = [await person(desk, name, team_id=team) for name in ("anna", "bruno", "carla")]
    dora = await person(desk, "dora")
    customer = await desk.customer("C1")
    await desk.invoice(days_overdue=3)
    await desk.remind()
    path = f"/customers/{customer}/collectors"
    await ask(desk, "PUT", path, {"lead_id": anna})
    (call,) = await desk.actions()
    await ask(desk, "PUT", path, {"lead_id": bruno}, status=403, who=carla)
    await ask(desk, "PUT", path, {"lead_id": dora}, status=404, who=dora)
    await ask(desk, "PUT", path, {"lead_id": None}, status=403, who=anna)
    passed = await ask(desk, "PUT", path, {"lead_id": dora, "reason": "Speaks Italian"}, who=anna)
    assert [(one["person_name"], one["lead"]) for one in passed["assignments"]] == [("Dora", True)]
    assert (await desk.action(call["action_id"]))["person_id"] == dora
    await ask(desk, "GET", path, status=404, who=anna)

    # Whoever stands in for somebody who is away does that too.
    today = await desk.today()
    await ask(desk, "POST", f"/people/{dora}/absences", {"from_on": str(today), "until_on": str(today), "substitute_id": bruno}, status=201)
    await ask(desk, "PUT", path, {"lead_id": anna}, who=bruno)

    # The check, blind: a teammate takes what is Anna's.
    async def everybody(*_: Any, **__: Any) -> bool:
        return True

    monkeypatch.setattr(assignments, "collects_from", everybody)
    await ask(desk, "PUT", path, {"lead_id": carla}, who=carla)


async def test_nobody_is_given_customers_whose_role_does_not_work_with_them(desk: Stage) -> None:
    """A viewer could do nothing about what stands on the agenda."""
    anna, viewer, counsel = await person(desk, "anna"), await person(desk, "viewer", "viewer"), await person(desk, "counsel", "counsel")
    customer = await desk.customer("C1")
    await ask(desk, "PUT", f"/customers/{customer}/collectors", {"lead_id": anna})
    ways = (
        ("PUT", f"/customers/{customer}/collectors", {"lead_id": viewer}),
        ("PUT", f"/customers/{customer}/account-manager", {"person_id": viewer}),
        ("POST", "/customers/bulk", {"act": "assign", "customer_ids": [str(customer)], "person_id": viewer, "dry_run": True}),
        ("POST", f"/people/{anna}/hand-over", {"to": [counsel]}),
        ("POST", f"/ledgers/{desk.ledger_id}/assignment-rules", {"rank": 1, "name": "All", "role": "collector", "person_ids": [viewer], "conditions": {}}),
    )
    for method, path, body in ways:
        refused = await ask(desk, method, path, body, status=409)
        assert refused["code"] == "role_does_not_fit", path
        assert "manager" in refused["detail"]
    assert await leads(desk) == {"C1": "Anna"}
    # Beside the lead they may stand: it lets them see the customer.
    await ask(desk, "PUT", f"/customers/{customer}/collectors", {"lead_id": anna, "other_ids": [counsel]})
    refused = await ask(desk, "PUT", f"/customers/{customer}/collectors", {"lead_id": counsel, "other_ids": [anna]}, status=409)
    assert refused["code"] == "role_does_not_fit"
