"""T1: no operation shows, changes or even betrays another tenant's object.

Generated from the OpenAPI document: for each operation and each id in path, query and body, a tenant asks with its twin's id and with an id that nobody has.
Both answers must be the same, and the twin's rows must be untouched. An operation with an id that is not declared here fails, so that it cannot be forgotten.
"""

import hashlib
import json
import re
import uuid
from copy import deepcopy
from typing import Annotated
from uuid import UUID

import pytest

from dunning.kit.bell import NullBell
from dunning.kit.errors import Forbidden, NotFound
from dunning.kit.ids import CustomerId, new_id
from dunning.schema import TENANT_TABLES
from dunning_api import openapi_file
from dunning_api.app import create_app
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from tests.api.contract import Slot, body_slots, example_of, is_id, operations
from tests.api.twins import CUSTOMER, DOCUMENT, GROUP, RECEIPT, make_twin
from tests.conftest import KEYRING, client_of

NOUN_OF = {
    "ledger_id": "ledger", "ledger": "ledger",
    "customer_id": "customer", "customer": "customer", "customer_ids": "customer", "object_id": "item",
    "document_id": "document", "item_id": "item", "item": "item",
    "receipt_id": "receipt", "receipt_inbox_id": "receipt_inbox", "allocation_id": "allocation",
    "hold_id": "hold", "import_id": "import", "key_id": "key", "walk_id": "walk",
    "scenario_id": "scenario", "template_id": "template",
    "run_id": "run", "run": "run", "bulk_id": "bulk", "bulk": "bulk", "action_id": "action", "action": "action", "claim_id": "claim", "claim": "claim",
    "message_id": "message", "link_id": "link", "token": "token", "key": "suppression", "opt_out_key": "opt_out",
    "person_id": "person", "person_ids": "person", "lead_id": "person", "other_ids": "heir", "substitute_id": "heir", "to": "heir",
    "model_id": "model", "contact_ids": "contact", "action_ids": "action", "person": "person",
    "team_id": "team", "rule_id": "rule", "absence_id": "absence",
    "activity_id": "activity", "activity_ids": "activity", "subject_id": "customer", "collector": "person", "team": "team", "contact_id": "contact",
    "dispute_id": "dispute", "override_id": "override", "promise_id": "promise", "plan_id": "plan", "block_id": "block", "owner_id": "person", "owner": "person", "plan": "plan", "item_ids": "item",
}  # fmt: skip
"""What each name of an id stands for. A new id of the API is declared here, and made in `twins.py`."""

PATH_TEXTS = {
    "customers/{external_id}": CUSTOMER, "documents/{external_id}": DOCUMENT, "receipts/{external_id}": RECEIPT, "customer-groups/{code}": GROUP,
    "versions/{version}": "1", "scenarios/shipped/{code}": "claims", "templates/shipped/{code}": "reminder", "operations/{operation_no}": "1",
    "relays/{name}": "sink", "item-statuses/{code}": "litigation", "folders/{code}": "litigation", "call-lists/{date}": "2026-03-02",
}  # fmt: skip
"""Path parts that are no ids of a tenant: they mean something only below an id, or to every tenant the same."""

COMPANIONS = {"scenario_id": {"policy": "scenario"}, "object_id": {"scope": "item"}}
"""What must stand beside an id in a body for it to be looked at."""
INSTEAD_OF = {"item_id": ("document_external_id", "item_external_id")}
ONE_OF = {"POST /v1/templates/{template_id}/test-send": ("customer_id", "action_id", "ledger_id")}
"""Bodies that take one of several ids; the others give way to the one that is asked at."""
STATE_FIRST = {
    # Acting on many answers each action by itself, and a filter finds nothing of another tenant.
    **{
        ("POST /v1/actions/bulk", way): 200
        for way in ("person_id", "action_ids.0", "filter.ledger_id", "filter.customer_id", "filter.run_id", "filter.person_id")
    },
    # The twin's action is complete, so that nothing about it is changed or replaced any more.
    **{
        (f"{name} /v1/actions/{{action_id}}{path}", way): 409
        for name, path in (("PATCH", ""), ("POST", "/replace"))
        for way in ("person_id", "contact_ids.0", "content.contact_ids.0")
    },
    ("POST /v1/customers/bulk", "customer_ids.0"): 200,
    **{("POST /v1/call-tasks", way): 200 for way in ("customer_ids.0", "activity_ids.0")},
    # The twin's action is complete already.
    ("POST /v1/actions/{action_id}/complete", "facts.item_ids.0"): 409,
    # The twin's action is no call that waits.
    **{
        ("POST /v1/actions/{action_id}/call-outcome", way): 409
        for way in ("contact_id", "person_id", "promise.item_ids.0", "dispute.item_ids.0", "dispute.owner_id")
    },
    ("GET /v1/attachments", "subject_id"): 422,
    ("PATCH /v1/runs/{run_id}/customers/{customer_id}", "customer_id"): 409,
    ("PATCH /v1/disputes/{dispute_id}", "owner_id"): 409,
}
"""Places where the state of an own object refuses before the id is looked up; the answers must still be the same."""
ROW_BY_ROW = {"POST /v1/actions/bulk", "POST /v1/customers/bulk", "POST /v1/call-tasks"}
"""Operations whose lists of ids are answered one by one: a stranger's id has its own result and stops no other."""
UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Generator:
    """Builds the requests of one document, as one tenant would send them."""

    def __init__(self, document, mine, texts=PATH_TEXTS):
        self.document = document
        self.mine = mine
        self.texts = texts

    def slots(self, operation):
        """Return every place of an id in an operation; an undeclared one raises."""
        found = []
        for parameter in operation.parameters:
            name = parameter["name"]
            if parameter["in"] == "path" and name not in NOUN_OF:
                part = operation.path.split("{" + name + "}")[0].rstrip("/").rsplit("/", 2)
                assert any(operation.path.find(known) >= 0 for known in PATH_TEXTS if known.endswith("{" + name + "}")), (
                    f"{operation.name}: declare the path part {name} (after {part[-1]}) in NOUN_OF or PATH_TEXTS"
                )
            elif parameter["in"] in {"path", "query"} and (name in NOUN_OF and parameter["in"] == "path" or is_id(self.document, parameter["schema"])):
                assert name in NOUN_OF, f"{operation.name}: declare the id {name} in NOUN_OF"
                found.append(Slot(parameter["in"], name))
        if operation.body_schema is not None:
            for way, name, _ in body_slots(self.document, operation.body_schema):
                assert name in NOUN_OF, f"{operation.name}: declare the id {name} in NOUN_OF"
                found.append(Slot("body", name, way))
            if "token" in (example_of(self.document, operation) or {}):
                found.append(Slot("body", "token", ("token",)))
        return found

    def request(self, operation, slot=None, value=None):
        """Return method, path and options of a call with own ids, one of them replaced."""
        path = operation.path
        for text, own in self.texts.items():
            if text in path:
                # A receipt that is booked already is compared with what is booked, and nothing in its new body is looked up.
                fresh = f"{own}-{new_id().hex[-6:]}" if slot is not None and slot.place == "body" and text.startswith("receipts") else own
                path = path.replace(text, text.split("{")[0] + fresh)
        params = {}
        for parameter in operation.parameters:
            name, here = parameter["name"], slot is not None and slot.place == parameter["in"] and slot.name == parameter["name"]
            if parameter["in"] == "path" and "{" + name + "}" in path:
                path = path.replace("{" + name + "}", str(value if here else self.mine[NOUN_OF[name]]))
            elif parameter["in"] == "query" and here:
                params[name] = str(value)
            elif parameter["in"] == "query" and parameter.get("required"):
                params[name] = self.any_value(parameter)
        options = {"params": params, "headers": {"Idempotency-Key": str(new_id()), "If-Match": "*"}}
        body = self.body(operation, slot, value)
        if body is not None:
            options["json"] = body
        elif operation.other_body is not None:
            options["params"] |= {"kind": "customers", "format": "ndjson"}
            options["content"] = b'{"kind": "customer", "external_id": "C-3", "name": "Third"}\n'
            options["headers"]["Content-Type"] = "application/x-ndjson"
        return operation.method.upper(), path, options

    def any_value(self, parameter):
        """Return a value of a required query parameter."""
        schema = parameter["schema"]
        if schema.get("format") == "date-time":
            return "2026-01-01T00:00:00Z"
        return (parameter.get("examples") or schema.get("enum") or schema.get("examples") or ["x"])[0]

    def body(self, operation, slot, value):
        """Return the example body with own ids, one of them replaced."""
        body = example_of(self.document, operation)
        if body is None:
            return None
        for way, name, _ in body_slots(self.document, operation.body_schema):
            if at(body, way) is not None:
                put(body, way, self.mine[NOUN_OF[name]])
        if "token" in body:
            body["token"] = self.mine["token"]
        if slot is not None and slot.place == "body":
            if "next" in slot.way and "copy_from" not in slot.way:
                body["next"] = {"title": "Something"}
            if slot.way[0] == "message":
                body["notify"] = "customer"
            if slot.way[0] in {"action_ids", "customer_ids"}:
                body.pop("filter", None)
            if slot.way[0] == "activity_ids":
                body.pop("customer_ids", None)
            if slot.way[0] == "promise":
                body["promise"] = {"amount": {"amount": "1.00", "currency": "EUR"}, "promised_on": "2026-03-13"}
            if slot.way[0] == "dispute":
                body["dispute"] = {"reason": "price", "item_ids": [self.mine["item"]]}
            if slot.way[0] == "action" and operation.path.endswith("/bulk"):
                body |= {"act": "create_action", "action": {"title": "Something", "content": {"kind": "task"}}}
            parent = put(body, slot.way, str(value))
            if "copy_from" in slot.way:
                if slot.name == "scenario_id":
                    parent["step_code"] = "01"
                return body
            if isinstance(parent, dict) and not operation.path.endswith("/step-overrides"):
                parent.update(COMPANIONS.get(slot.name, {}))
            for other in (*INSTEAD_OF.get(slot.name, ()), *(name for name in ONE_OF.get(operation.name, ()) if name != slot.name)):
                parent.pop(other, None)
        elif "object_id" in body:
            body["scope"] = "item"
        return body


def at(body, way):
    """Return what stands at a place of a body, None where there is nothing."""
    for part in way:
        if isinstance(body, list) and isinstance(part, int) and part < len(body):
            body = body[part]
        elif isinstance(body, dict) and part in body:
            body = body[part]
        else:
            return None
    return body


def put(body, way, value):
    """Put a value at a place of a body, making the way there, and return what holds it."""
    for part, following in zip(way, way[1:], strict=False):
        empty = [] if isinstance(following, int) else {}
        if isinstance(body, list):
            body.extend([deepcopy(empty)] if len(body) <= part else [])
            body = body[part]
        else:
            if not isinstance(body.get(part), list | dict):
                body[part] = empty
            body = body[part]
    last = way[-1]
    if isinstance(body, list) and isinstance(last, int):
        body[last:last + 1] = [value]  # fmt: skip
    else:
        body[last] = value
    return body


def unlike_any(noun, mine):
    """Return an id of the noun's form that nobody has."""
    if noun == "token":
        return KEYRING.sign("link", uuid.UUID(mine["tenant"]), new_id())
    return hashlib.sha256(new_id().bytes).hexdigest() if noun in {"suppression", "opt_out"} else str(new_id())


def told(answer, value):
    """Return what an answer says, without the id that was asked for and without ids and instants that are new each time."""
    text = UUID_TEXT.sub("<id>", answer.text.replace(str(value), "<asked>"))
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|\+00:00)", "<instant>", text)
    headers = {name: v for name, v in answer.headers.items() if name not in {"content-length", "x-request-id"}}
    return answer.status_code, re.sub(r"<asked>", "<id>", text), sorted(headers)


async def rows_digest(tenant):
    """Return a digest of every row of a tenant, by table."""
    digests = {}
    for table in TENANT_TABLES:
        column = "tenant_id, key_id, name, scopes, expires_at, revoked_at" if table == "api_key" else "*"
        digests[table] = await tenant.value(
            f"select count(*) || ' ' || coalesce(md5(string_agg(r::text, '|' order by r::text)), '') from (select {column} from \"{table}\") r"
        )
    return digests


@pytest.fixture(scope="module")
def document():
    return json.loads(openapi_file.openapi_text())


@pytest.fixture(scope="module")
async def twins(app, database, settings):
    pair = [await make_twin(app, database, settings) for _ in range(2)]
    for twin in pair:
        twin.ids["tenant"] = str(twin.tenant.tenant_id)
    yield pair
    for twin in pair:
        await twin.api.aclose()


def expected(operation, slot):
    """Return what the id of another tenant answers at a place: 404, where nothing refuses before."""
    found = STATE_FIRST.get((operation.name, ".".join(map(str, slot.way))))
    return found or STATE_FIRST.get((operation.name, slot.name), 404)


def finds_nothing(answer):
    """Tell whether a list has no row, or a file nothing but its header."""
    if answer.headers["content-type"].startswith("text/csv"):
        return len(answer.text.splitlines()) == 1
    return not answer.json().get("data")


async def faults_of(generator, ask, mine, theirs, chosen):
    """Ask every chosen operation at every place of an id; return what differs, and how many places were asked at."""
    faults, asked = [], 0
    their_ids = set(theirs.values())
    for operation in chosen:
        for slot in generator.slots(operation):
            noun = NOUN_OF[slot.name]
            asked += 1
            answers = []
            for value in (theirs[noun], unlike_any(noun, mine)):
                method, path, options = generator.request(operation, slot, value)
                answer = await ask(method, path, options)
                answers.append((answer, told(answer, value)))
                betrayed = {i for i in UUID_TEXT.findall(answer.text) if i in their_ids and i != value}
                if betrayed:
                    faults.append(f"{operation.name} {slot.place} {slot.name}: shows the other tenant's ids")
            (foreign, first), (_, second) = answers
            where = f"{operation.name} {slot.place} {'.'.join(map(str, slot.way)) or slot.name}"
            if first != second:
                faults.append(f"{where}: another's id answers {first}, an unknown one {second}")
            elif foreign.status_code != expected(operation, slot) and not (slot.place == "query" and foreign.status_code == 200 and finds_nothing(foreign)):
                faults.append(f"{where}: answers {foreign.status_code} {foreign.text[:200]}")
    return faults, asked


async def test_another_tenants_id_answers_as_an_unknown_one_everywhere(document, twins, capsys):
    mine, theirs = twins
    before = await rows_digest(theirs.tenant)
    generator = Generator(document, mine.ids)

    async def ask(method, path, options):
        return await mine.api.request(method, path, **options)

    chosen = operations(document)
    faults, asked = await faults_of(generator, ask, mine.ids, theirs.ids, chosen)
    changed = [table for table, digest in (await rows_digest(theirs.tenant)).items() if digest != before[table]]
    with capsys.disabled():
        print(f"\nT1: {len(chosen)} operations, {asked} places of ids, {2 * asked} requests, {len(faults)} faults", end="")
    assert faults == [], "\n".join(faults)
    assert changed == [], "the other tenant's rows were touched"
    assert asked >= 100


async def test_no_read_shows_anything_of_the_twin(document, twins):
    """Lists, feeds and searches by text: the twin has the same external ids, names and codes."""
    mine, theirs = twins
    generator = Generator(document, mine.ids)
    their_ids = {value for noun, value in theirs.ids.items()}
    texts = {"external_id": CUSTOMER, "code": "mild", "name": "rossi", "to": "paolo@rossi.example", "step": "01"}
    faults = []
    for operation in operations(document):
        if operation.method != "get":
            continue
        method, path, options = generator.request(operation)
        wanted = [{}] + [
            {p["name"]: texts[p["name"]]} for p in operation.parameters if p["in"] == "query" and p["name"] in texts and "date" not in json.dumps(p["schema"])
        ]
        for params in wanted:
            answer = await mine.api.request(method, path, **{**options, "params": {**options["params"], **params}})
            if answer.status_code >= 400:
                faults.append(f"{operation.name} {params}: own ids answer {answer.status_code} {answer.text[:200]}")
            if their_ids & set(UUID_TEXT.findall(answer.text)):
                faults.append(f"{operation.name} {params}: shows the twin's ids")
    assert faults == [], "\n".join(faults)


async def test_a_list_of_own_and_foreign_ids_is_refused_whole(document, twins):
    mine, theirs = twins
    generator = Generator(document, mine.ids)
    found = []
    before = await rows_digest(mine.tenant)
    for operation in operations(document):
        if operation.body_schema is None:
            continue
        for way, name, in_list in body_slots(document, operation.body_schema):
            if not in_list or operation.name in ROW_BY_ROW:
                continue
            found.append(operation.name)
            statuses = []
            for stranger in (theirs.ids[NOUN_OF[name]], str(new_id())):
                method, path, options = generator.request(operation, Slot("body", name, way), mine.ids[NOUN_OF[name]])
                at(options["json"], way[:-1]).append(stranger)
                answer = await mine.api.request(method, path, **options)
                statuses.append(told(answer, stranger))
                after = await rows_digest(mine.tenant)
                assert {t for t in before if before[t] != after[t]} <= {"idempotency_key"}, operation.name
                before = after
            assert statuses[0] == statuses[1], operation.name
            assert statuses[0][0] == expected(operation, Slot("body", name, way)), (operation.name, statuses[0])
    assert found, "no operation takes a list of ids any more: take this test away with the last"


async def test_with_own_ids_nothing_is_unknown(app, document, database, settings):
    """The control of the requests themselves: were the others' parts wrong, every answer above would be 404 for that reason."""
    twin = await make_twin(app, database, settings)
    generator = Generator(document, {**twin.ids, "tenant": str(twin.tenant.tenant_id)})
    faults = []
    order = {"get": 0, "put": 1, "patch": 2, "post": 3, "delete": 4}
    for operation in sorted(operations(document), key=lambda o: (order[o.method], "revoke" in o.path or "emergency" in o.path or "cancel" in o.path)):
        method, path, options = generator.request(operation)
        answer = await twin.api.request(method, path, **options)
        if answer.status_code in {404, 500} and "operations/{operation_no}" not in operation.path and not operation.path.endswith("/file"):
            faults.append(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
    await twin.api.aclose()
    assert faults == [], "\n".join(faults)


def broken_router(known):
    """Three broken routes: one tells whether an object exists elsewhere, one writes on its way to the refusal, one serves from a cache without a tenant."""
    router = Router(prefix="/v1")

    @router.get("/broken/{customer_id}")
    async def tells_existence(customer_id: UUID, work: Annotated[Work, reads()]) -> dict[str, str]:
        if str(customer_id) in known:
            raise Forbidden("This customer belongs to somebody else.")
        noun = "customer"
        raise NotFound(noun)

    @router.post("/broken/{customer_id}/touch")
    async def writes_elsewhere(customer_id: UUID, work: Annotated[Work, writes("ledger:write")]) -> dict[str, str]:
        other = known.get(str(customer_id))
        if other is not None:
            async with work.request.app.state.database.transaction(other) as session:
                await session.execute("update customer set name = 'touched' where customer_id = $1", CustomerId(customer_id))
        noun = "customer"
        raise NotFound(noun)

    @router.get("/broken-cache")
    async def serves_from_a_cache(work: Annotated[Work, reads()], customer: UUID | None = None) -> dict[str, list[str]]:
        return {"data": [str(customer)] if str(customer) in known else []}

    return router


async def test_control_planted_broken_routes_are_found(database, settings, twins):
    mine, theirs = twins
    app = create_app(database, settings, KEYRING, NullBell())
    app.include_router(broken_router({theirs.ids["customer"]: theirs.tenant.tenant_id}))
    document = json.loads(json.dumps(app.openapi()))
    generator = Generator(document, mine.ids)
    before = await rows_digest(theirs.tenant)
    async with client_of(app, mine.tenant.api_key) as client:

        async def ask(method, path, options):
            return await client.request(method, path, **options)

        chosen = [operation for operation in operations(document) if "broken" in operation.path]
        faults, asked = await faults_of(generator, ask, mine.ids, theirs.ids, chosen)
    assert asked == 3
    assert sorted({fault.split(" ")[1] for fault in faults}) == ["/v1/broken-cache", "/v1/broken/{customer_id}"]
    assert (await rows_digest(theirs.tenant))["customer"] != before["customer"], "the write is found by the rows' digest"


def test_control_an_operation_with_an_undeclared_id_fails(database, settings, document):
    router = Router(prefix="/v1")

    @router.get("/wombats/{wombat_id}")
    async def get_wombat(wombat_id: UUID) -> None: ...

    @router.get("/wombats")
    async def list_wombats(burrow: UUID | None = None) -> None: ...

    app = create_app(None, settings, KEYRING, NullBell())
    app.include_router(router)
    planted = json.loads(json.dumps(app.openapi()))
    generator = Generator(planted, {})
    for operation in operations(planted):
        if "wombat" in operation.path:
            with pytest.raises(AssertionError, match="declare the (id|path part)"):
                generator.slots(operation)
