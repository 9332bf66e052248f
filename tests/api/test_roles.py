"""Rights and sight of people, on every operation of the API (rows S2-01, S2-13).

Generated from the OpenAPI document: a counsel, a viewer and a collector of another team ask every operation with the ids of a customer they do not look
after, and with ids that nobody has. Either they lack the scope (403), or both answers are the same (404, or an empty list); no answer shows anything of
the customer, and no row of it is touched. What a caller without a person, and the customer's own collector, can do with the same requests is the control.
"""

import inspect
import json
import re
from pathlib import Path
from typing import Annotated
from uuid import UUID

import pytest

import dunning_api.routes
from dunning.kit.bell import NullBell
from dunning.kit.errors import NotFound
from dunning.kit.ids import new_id
from dunning.schema import TENANT_TABLES, metadata
from dunning.tenancy.rules import RIGHTS, SCOPES, scopes_of
from dunning_api import openapi_file
from dunning_api.acting import HEADER
from dunning_api.app import create_app
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from tests.api.contract import Slot, operations
from tests.api.test_cross_tenant import NOUN_OF, ROW_BY_ROW, UUID_TEXT, Generator, rows_digest, told, unlike_any
from tests.api.twins import make_twin
from tests.conftest import KEYRING, client_of

SHARED = {
    "ledger", "scenario", "template", "team", "person", "heir", "absence", "key", "walk", "tenant", "suppression", "group", "model", "folder", "status",
}  # fmt: skip
"""Nouns that belong to the whole tenant. Every other one, also of operations to come, belongs to a customer, or to all of them, and must be out of sight."""
OF_CUSTOMERS = {table for table in TENANT_TABLES if "customer_id" in metadata.tables[table].c and table not in {"event", "message"}}
"""Tables about customers; events of the tenant and test messages are about none."""
WORDS = ("Rossi Costruzioni", "ap@rossi.example", "INV-118", "C-1001")
"""Words of the customer that no answer may show."""


@pytest.fixture(scope="module")
def document():
    return json.loads(openapi_file.openapi_text())


@pytest.fixture(scope="module")
async def twin(app, database, settings):
    made = await make_twin(app, database, settings)
    made.ids["tenant"] = str(made.tenant.tenant_id)
    other = await made.ask("POST", "/teams", {"code": "south", "name": "South"})
    for name, stated in {
        "counsel": {"role": "counsel"},
        "viewer": {"role": "viewer", "sees": "own"},
        "whole viewer": {"role": "viewer"},
        "collector": {"role": "collector", "team_id": other["team_id"]},
        "blind manager": {"role": "manager", "sees": "own"},
        "blind operator": {"role": "operator", "sees": "own"},
    }.items():
        person = await made.ask("POST", "/people", {"name": name, "email": f"{name.replace(' ', '.')}@acme.example", **stated})
        made.ids[f"stranger {name}"] = person["person_id"]
    yield made
    await made.api.aclose()


def hidden_ids(twin):
    return {value for noun, value in twin.ids.items() if noun not in SHARED and not noun.startswith("stranger")}


async def as_person(client, person_id, method, path, options):
    headers = {**options.get("headers", {}), HEADER: person_id}
    return await client.request(method, path, **{**options, "headers": headers})


async def faults_of(document, twin, client, person_id, chosen):
    """Ask every chosen operation for somebody; return what was wrong, and how many answers were 403, 404 or empty."""
    generator = Generator(document, twin.ids)
    hidden = hidden_ids(twin)
    faults, counts = [], {"forbidden": 0, "unknown": 0, "empty": 0, "other": 0}

    def look(where, answer, asked=()):
        shown = (set(UUID_TEXT.findall(answer.text)) & hidden) - set(asked)
        if shown or any(word in answer.text for word in WORDS if word not in asked):
            faults.append(f"{where}: shows {sorted(shown) or answer.text[:300]}")
        if answer.status_code >= 500:
            faults.append(f"{where}: {answer.status_code} {answer.text[:200]}")

    for operation in chosen:
        if operation.method == "get":
            method, path, options = generator.request(operation)
            answer = await as_person(client, person_id, method, path, options)
            look(operation.name, answer, [part for part in path.split("/") if part])
        for slot in generator.slots(operation):
            noun = NOUN_OF[slot.name]
            if noun in SHARED:
                continue
            answers = []
            for value in (twin.ids[noun], unlike_any(noun, twin.ids)):
                method, path, options = generator.request(operation, slot, value)
                answer = await as_person(client, person_id, method, path, options)
                where = f"{operation.name} {slot.place} {'.'.join(map(str, slot.way)) or slot.name}"
                look(where, answer, [str(value), *path.split("/")])
                answers.append((answer, told(answer, value)))
            (seen, first), (_, second) = answers
            if seen.status_code == 403:
                counts["forbidden"] += 1
                if first != second:
                    faults.append(f"{where}: is forbidden for an own id and answers {second} for an unknown one")
            elif first != second:
                faults.append(f"{where}: out of sight answers {first}, unknown {second}")
            elif seen.status_code == 404:
                counts["unknown"] += 1
            elif seen.status_code == 200 and not seen.json().get("data", [1]):
                counts["empty"] += 1
            else:
                # Refused for another reason before the id is looked up, and for both alike. That it is looked up at all, T1 insists on.
                counts["other"] += 1
                # What is answered row by row says of this row that it is unknown.
                if not 400 <= seen.status_code < 500 and operation.name not in ROW_BY_ROW:
                    faults.append(f"{where}: answers {seen.status_code} {seen.text[:200]}")
    return faults, counts


@pytest.mark.parametrize("who", ["counsel", "viewer", "collector", "blind manager", "blind operator"])
async def test_who_does_not_look_after_a_customer_finds_nothing_of_it_anywhere(document, twin, who, capsys):
    """S2-01, S2-13: sight is kept on every operation; also by roles whose sight is usually whole."""
    before = await rows_digest(twin.tenant)
    faults, counts = await faults_of(document, twin, twin.api, twin.ids[f"stranger {who}"], operations(document))
    changed = {table for table, digest in (await rows_digest(twin.tenant)).items() if digest != before[table]}
    with capsys.disabled():
        print(f"\nroles: {who}: {counts}, {len(faults)} faults", end="")
    assert faults == [], "\n".join(faults)
    assert changed & OF_CUSTOMERS == set()
    assert counts["unknown"] + counts["empty"] >= 20


async def test_every_list_of_a_customer_is_unknown_to_who_may_not_see_the_customer(document, twin):
    """S2-01: the same answer on each list. The control is the customer's own collector, whom each of them answers."""
    generator = Generator(document, twin.ids)
    answers = {"stranger counsel": {}, "stranger collector": {}, "person": {}}
    for operation in operations(document):
        if operation.method == "get" and any(p["in"] == "query" and p["name"] == "customer" for p in operation.parameters):
            method, path, options = generator.request(operation, Slot("query", "customer"), twin.ids["customer"])
            for who, told_to in answers.items():
                answer = await as_person(twin.api, twin.ids[who], method, path, options)
                told_to.setdefault(answer.status_code, []).append(operation.name)
    assert [set(answers[who]) for who in answers] == [{404}, {404}, {200}], answers
    assert len(answers["person"][200]) >= 14


async def test_a_viewer_reads_everything_and_writes_nothing(document, twin):
    """The role gives `read` only: each operation that is no reading is refused for the scope, whatever the key may do."""
    generator = Generator(document, twin.ids)
    before = await rows_digest(twin.tenant)
    faults = []
    for operation in operations(document):
        method, path, options = generator.request(operation)
        answer = await as_person(twin.api, twin.ids["stranger whole viewer"], method, path, options)
        if operation.method != "get" and answer.status_code != 403 and not _reads(operation):
            faults.append(f"{operation.name}: {answer.status_code}")
        if operation.method == "get" and answer.status_code not in {200, 307, 403}:
            faults.append(f"{operation.name}: {answer.status_code} {answer.text[:100]}")
    assert faults == []
    after = await rows_digest(twin.tenant)
    assert {table for table in TENANT_TABLES if before[table] != after[table]} <= {"idempotency_key"}


def _reads(operation):
    """Tell whether an operation answers a question though its method is POST: what it would write is only asked for."""
    return operation.path.endswith(("/check", "/lint", "/preview", "/verify"))


async def test_control_the_customers_own_collector_finds_it_with_the_same_requests(document, twin):
    """Were the requests wrong, or was nothing ever seen, the tests above would prove nothing."""
    generator = Generator(document, twin.ids)
    found = 0
    for operation in operations(document):
        if operation.method != "get":
            continue
        method, path, options = generator.request(operation)
        answer = await as_person(twin.api, twin.ids["person"], method, path, options)
        if answer.status_code == 200 and hidden_ids(twin) & set(UUID_TEXT.findall(answer.text)):
            found += 1
    assert found >= 15


def leaky_router():
    """Two holes: a route that opens a transaction of its own without the caller's sight, and one that writes in such a transaction."""
    router = Router(prefix="/v1")

    @router.get("/leaks/{customer_id}")
    async def leaks(customer_id: UUID, work: Annotated[Work, reads()]) -> dict[str, str]:
        async with work.request.app.state.database.reading(work.tenant_id) as session:
            name = await session.value("select name from customer where tenant_id = $1 and customer_id = $2", work.tenant_id, customer_id)
        if name is None:
            noun = "customer"
            raise NotFound(noun)
        return {"name": name}

    @router.post("/leaks/{customer_id}/rename")
    async def renames(customer_id: UUID, work: Annotated[Work, writes("collection:write")]) -> dict[str, str]:
        async with work.request.app.state.database.transaction(work.tenant_id) as session:
            await session.execute("update customer set name = name || ' leaked' where tenant_id = $1 and customer_id = $2", work.tenant_id, customer_id)
        noun = "customer"
        raise NotFound(noun)

    @router.get("/tight/{customer_id}")
    async def tight(customer_id: UUID, work: Annotated[Work, reads()]) -> dict[str, str]:
        name = await work.session.value("select name from customer where tenant_id = $1 and customer_id = $2", work.tenant_id, customer_id)
        if name is None:
            noun = "customer"
            raise NotFound(noun)
        return {"name": name}

    return router


async def test_control_planted_holes_are_found(database, settings, twin):
    """A route that goes around the sight is named; one that only forgets to think of it is safe by itself."""
    app = create_app(database, settings, KEYRING, NullBell())
    app.include_router(leaky_router())
    document = json.loads(json.dumps(app.openapi()))
    chosen = [operation for operation in operations(document) if "/leaks/" in operation.path or "/tight/" in operation.path]
    before = await rows_digest(twin.tenant)
    async with client_of(app, twin.tenant.api_key) as client:
        faults, _ = await faults_of(document, twin, client, twin.ids["stranger collector"], chosen)
    assert {fault.split(" ")[1].rstrip(":") for fault in faults} == {"/v1/leaks/{customer_id}"}
    assert (await rows_digest(twin.tenant))["customer"] != before["customer"], "the write is found by the rows' digest"
    async with twin.tenant.database.transaction(twin.tenant.tenant_id) as session:
        await session.execute("update customer set name = replace(name, ' leaked', '') where tenant_id = $1", twin.tenant.tenant_id)


async def test_a_key_acts_only_for_whom_it_may_and_only_for_people_who_work_here(twin, app):
    """Unknown person, inactive person, a key without the right, a key of another person: each is told apart and told why."""
    left = await twin.ask("POST", "/people", {"name": "Gone", "email": "gone@acme.example", "role": "collector"})
    await twin.ask("PATCH", f"/people/{left['person_id']}", {"active": False})
    plain = (await twin.ask("POST", "/api-keys", {"name": "plain", "scopes": ["read"]}))["api_key"]
    own = (await twin.ask("POST", "/api-keys", {"name": "bound", "scopes": list(SCOPES), "person_id": twin.ids["person"]}))["api_key"]
    person, heir = twin.ids["person"], twin.ids["heir"]

    async def ask(key, named):
        async with client_of(app, key) as client:
            answer = await client.get("/v1/me", headers={HEADER: named} if named else {})
        return answer.status_code, answer.json()

    every = twin.tenant.api_key
    for key, named, status, code in (
        (every, str(new_id()), 403, "unknown_person"),
        (every, "nobody", 403, "unknown_person"),
        (every, "nobody@acme.example", 403, "unknown_person"),
        (every, "x" * 400, 403, "unknown_person"),
        (every, left["person_id"], 403, "person_inactive"),
        (plain, person, 403, "forbidden"),
        (own, heir, 403, "forbidden"),
    ):
        answered, body = await ask(key, named)
        assert (answered, body["code"]) == (status, code), (named, body)
    for key, named in ((own, None), (own, person), (every, person), (every, "CHIARA@acme.example")):
        status, body = await ask(key, named)
        assert status == 200
        assert body["actor"] == f"person:{person}"
        assert set(body["scopes"]) == RIGHTS["collector"].scopes
        assert body["sees_all"] is False
        assert {person, heir} <= set(body["sees_customers_of"])
    status, body = await ask(every, None)
    assert (status, body["person"], body["sees_all"]) == (200, None, True)


async def test_the_key_of_somebody_who_left_ends_with_them(twin, app):
    """A bound key is 401 from the moment on at which its person is deactivated."""
    person = (await twin.ask("POST", "/people", {"name": "Leaver", "email": "leaver@acme.example", "role": "manager"}))["person_id"]
    key = (await twin.ask("POST", "/api-keys", {"name": "leaver", "scopes": ["read"], "person_id": person}))["api_key"]
    async with client_of(app, key) as client:
        assert (await client.get("/v1/me")).status_code == 200
        await twin.ask("PATCH", f"/people/{person}", {"active": False})
        answer = await client.get("/v1/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "person_inactive")


@pytest.mark.parametrize("role", RIGHTS)
def test_a_person_never_may_more_than_the_key_nor_more_than_the_role(role):
    """The rights of both are cut; `collection:write` brings `notes:write` along."""
    assert scopes_of(role, SCOPES) == RIGHTS[role].scopes
    assert scopes_of(role, ["read"]) == {"read"}
    assert scopes_of(role, ["collection:write"]) == {"collection:write", "notes:write"} & RIGHTS[role].scopes
    assert RIGHTS[role].scopes <= set(SCOPES)


async def test_the_same_idempotency_key_of_two_people_is_not_the_same_request(twin):
    """An answer shows what one person sees; it is not repeated to another who acts through the same key."""
    people = []
    for name in ("one", "two"):
        made = await twin.ask("POST", "/people", {"name": name, "email": f"{name}@acme.example", "role": "manager"})
        people.append(made["person_id"])
    key, path = str(new_id()), f"/v1/ledgers/{twin.ids['ledger']}/runs"
    answers = []
    for person in (people[0], people[0], people[1]):
        answers.append(await twin.api.post(path, json={"dry_run": True}, headers={"Idempotency-Key": key, HEADER: person}))
    assert [answer.status_code for answer in answers] == [202, 202, 422]
    assert answers[0].json() == answers[1].json()
    assert answers[2].json()["code"] == "idempotency_key_reused"


def test_no_route_opens_a_transaction_around_the_callers_sight():
    """What the planted hole above did: only `deps` opens transactions, and `Work.reading_again` those of what is streamed."""
    opened = re.compile(r"\.(reading|transaction|looking|one_row|across_tenants)\(")
    folder = Path(dunning_api.routes.__file__).parent
    found = [f"{path.name}: {line.strip()}" for path in folder.glob("*.py") for line in path.read_text().splitlines() if opened.search(line)]
    assert found == []
    assert opened.search(inspect.getsource(leaky_router)), "the control is found by the same words"


@pytest.mark.parametrize("who", ["counsel", "collector"])
async def test_what_the_tenant_shares_leads_to_no_customer(document, twin, who):
    """Operations that name no customer at all, such as one on a whole ledger: whatever they answer, no row about a customer changes."""
    generator = Generator(document, twin.ids)
    before = await rows_digest(twin.tenant)
    faults = []
    for operation in operations(document):
        if operation.method == "get" or any(NOUN_OF[slot.name] not in SHARED for slot in generator.slots(operation)):
            continue
        method, path, options = generator.request(operation)
        answer = await as_person(twin.api, twin.ids[f"stranger {who}"], method, path, options)
        if answer.status_code >= 500:
            faults.append(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
    assert faults == []
    changed = {table for table, digest in (await rows_digest(twin.tenant)).items() if digest != before[table]}
    assert changed & OF_CUSTOMERS == set()
