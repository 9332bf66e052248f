"""House style 28: no read asks more statements for many rows than for one.

Generated from the OpenAPI document: every read whose answer holds lists, files included. One with a `limit` is asked for one row and for all; one without is
asked about a ledger with one of everything and about a ledger with many. A list of which the larger ledger holds too little proves nothing and fails, so that
a new list is covered by itself, made in `crowds.py`, or named here with its reason.
"""

import json
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from dunning.collection.customer_record import PARTS
from dunning.kit.database import statement_log
from dunning_api import openapi_file, paging
from dunning_api.csv_files import CSV
from dunning_api.deps import Work, reads
from dunning_api.idempotency import Router
from dunning_api.schemas.base import Output, Page
from tests.api.contract import operations, resolved
from tests.api.crowds import MOST, make_crowd
from tests.api.test_cross_tenant import PATH_TEXTS, Generator
from tests.api.twins import make_twin
from tests.conftest import client_of

MANY = 3
"""So many rows has a list at least that proves something."""
LINES = ("lines",)
"""Where the rows of a file stand."""
_YEAR = {"from": "2026-01-01", "to": "2026-12-31"}
_ANY_HABIT = {**_YEAR, "days": "30", "at_least": "1", "share_gte": "1"}
WIDEST = {"everybody": "true", "history": "true", "expand": ",".join(PARTS)}
"""Parameters, by name, with which a read tells all that it can."""
ASKED = {
    f"GET /v1/reports/{name}{form}": params
    for name, params in {
        "paid-before-escalation": _ANY_HABIT, "customers-without-action": {"without_action_since": "2027-01-01"}, "activity-register": _YEAR,
        "collector-activity": _YEAR,
    }.items()
    for form in ("", ".csv")
}  # fmt: skip
"""What a report is asked for, so that it finds something."""

_CONCLUDED = "the rule concludes it from the item's facts; no row is read for it"
_CONSTANT = "a catalogue of the program"
FEW = {
    ("GET /v1/health/invariants", "violations"): "whatever stood here would be a fault of the program; the ledgers that are looked through are more",
    ("GET /v1/messages/{message_id}", "history"): "a mail that leaves at once passes the same four states each time",
    ("GET /v1/payment-plans/{plan_id}", "history"): "a plan is agreed once and ends once",
    ("GET /v1/items/{item_id}/explain", "conditions"): _CONCLUDED,
    ("GET /v1/items/{item_id}/explain", "changes"): _CONCLUDED,
    ("GET /v1/items/{item_id}/explain", "passed_over"): _CONCLUDED,
    ("GET /v1/customers/{customer_id}/explain", "items.*.passed_over"): _CONCLUDED,
    ("GET /v1/relays", "data"): "the relays that the installation is given, not rows",
    ("GET /v1/templates/placeholders", "placeholders"): _CONSTANT,
    ("GET /v1/templates/placeholders", "item_fields"): _CONSTANT,
    ("GET /v1/templates/placeholders", "block_fields"): _CONSTANT,
}
"""Lists, by read and place, that do not grow with the crowd, and why."""
MORE_ONCE = {"GET /v1/reports/activity-register": "the names of all authors are read by one statement, where a person is among them"}
"""Reads with a `limit` that ask one statement more once there is something of a kind, and what for: not one row but nearly all are compared with all."""


@dataclass(frozen=True)
class Measured:
    """What a read cost, and how many rows stood at each place of a list in its answer."""

    statements: int
    rows: Counter

    def __str__(self):
        """Say it in words."""
        return f"{self.statements} statements for " + ", ".join(f"{number} {'.'.join(way) or 'rows'}" for way, number in sorted(self.rows.items()))


def lists_of(document, operation):
    """Return the places of lists of things in what a read answers, as ways of names with `*` for each of a list; none where it answers with no list."""
    answers = operation.spec["responses"].get("200", {}).get("content", {})
    if "text/csv" in answers:
        return {LINES}
    return set(_lists(document, answers.get("application/json", {}).get("schema", {}), (), ()))


def _lists(document, schema, way, above):
    reference = schema.get("$ref")
    if reference in above:
        return
    above = (*above, reference) if reference else above
    schema = resolved(document, schema)
    for part in (*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])):
        yield from _lists(document, part, way, above)
    if schema.get("type") == "array":
        if way in {(), ("data",)} or _is_thing(document, schema.get("items", {})):
            yield way
        yield from _lists(document, schema.get("items", {}), (*way, "*"), above)
    for name, part in schema.get("properties", {}).items():
        yield from _lists(document, part, (*way, name), above)


def _is_thing(document, schema):
    """Tell a thing of its own from a plain value, such as a tag or an id, that stands in a column of its row."""
    schema = resolved(document, schema)
    return "properties" in schema or any(_is_thing(document, part) for part in (*schema.get("anyOf", []), *schema.get("oneOf", [])))


def number_at(body, way):
    """Return how many rows stand at a place, those of all lists there together."""
    if body is None:
        return 0
    if not way:
        return len(body)
    return sum(number_at(one, way[1:]) for one in body) if way[0] == "*" else number_at(body.get(way[0]), way[1:])


def has_limit(operation):
    """Tell whether a read gives pages."""
    return any(parameter["name"] == "limit" for parameter in operation.parameters)


class Reads:
    """The reads of a document that answer with lists, and what those without a `limit` cost where there is one of everything."""

    def __init__(self, document, api):
        self.document = document
        self.api = api
        self.chosen = [operation for operation in operations(document) if operation.method == "get" and lists_of(document, operation)]
        self.of_one = {}

    async def measured(self, crowd, operation, **params):
        """Ask a read as widely as it goes and return what that cost."""
        texts = {**PATH_TEXTS, "call-lists/{date}": crowd.ids["date"]}
        method, path, options = Generator(self.document, crowd.ids, texts).request(operation)
        named = {parameter["name"] for parameter in operation.parameters}
        wide = {name: value for name, value in WIDEST.items() if name in named}
        log = []
        token = statement_log.set(log)
        answer = await self.api.request(method, path, **options | {"params": {**options["params"], **wide, **ASKED.get(operation.name, {}), **params}})
        statement_log.reset(token)
        assert answer.status_code == 200, f"{operation.name}: {answer.status_code} {answer.text[:300]}"
        places = lists_of(self.document, operation)
        rows = {LINES: len(answer.text.splitlines()) - 1} if places == {LINES} else {way: number_at(answer.json(), way) for way in places}
        return Measured(len(log), Counter(rows))

    async def look_at_one(self, small):
        """Measure the reads without a `limit` where there is one of everything. What a process keeps from its first request on is read before."""
        for operation in self.chosen:
            if not has_limit(operation):
                await self.measured(small, operation)
                self.of_one[operation.name] = await self.measured(small, operation)

    async def faults(self, large):
        """Return what is wrong: reads that ask more statements for more rows, and lists with too few rows to tell."""
        found = []
        for operation in self.chosen:
            rows = (await self.measured(large, operation)).rows
            limit = 1 if operation.name not in MORE_ONCE else rows["data",] - 2
            few = await self.measured(large, operation, limit=limit) if has_limit(operation) else self.of_one[operation.name]
            many = await self.measured(large, operation)
            if many.statements != few.statements:
                found.append(f"{operation.name}: {few}; {many}")
            for way, number in many.rows.items():
                place, proves = ".".join(way), number >= MANY and number > few.rows[way]
                if proves == ((operation.name, place) in FEW):
                    what_to_do = "it grows: take it out of FEW" if proves else "make more in crowds.py, or say in FEW why not"
                    found.append(f"{operation.name}: {few.rows[way]} and {number} at {place or 'the top'}: {what_to_do}")
        return found


class Somebody(Output):
    """A customer by name."""

    name: str


class Book(Output):
    """A ledger's customers, where there are any."""

    customers: list[Somebody] | None


def planted_router():
    """Reads that ask a statement a row: a page, a part of an object, and a file; one that finds nothing; and, for comparison, one that is right."""
    router = Router(prefix="/v1/planted")

    async def names(work, ledger_id=None, limit=None):
        sql = "select customer_id from customer where tenant_id = $1 and ($2::uuid is null or ledger_id = $2) order by customer_id limit $3"
        rows = await work.session.rows(sql, work.tenant_id, ledger_id, limit)
        one = "select name from customer where tenant_id = $1 and customer_id = $2"
        return [await work.session.value(one, work.tenant_id, row["customer_id"]) for row in rows]

    @router.get("/pages")
    async def pages(work: Annotated[Work, reads()], limit: paging.Limit = 100) -> Page[Somebody]:
        return Page(data=[Somebody(name=name) for name in await names(work, limit=limit)], next_cursor=None)

    @router.get("/ledgers/{ledger_id}")
    async def part(ledger_id: UUID, work: Annotated[Work, reads()]) -> Book:
        return Book(customers=[Somebody(name=name) for name in await names(work, ledger_id)])

    @router.get("/ledgers/{ledger_id}/customers.csv", response_class=PlainTextResponse, responses=CSV)
    async def file(ledger_id: UUID, work: Annotated[Work, reads()]) -> PlainTextResponse:
        return PlainTextResponse("\n".join(["name", *await names(work, ledger_id)]), media_type="text/csv")

    @router.get("/nothing")
    async def nothing(work: Annotated[Work, reads()], limit: paging.Limit = 100) -> Page[Somebody]:
        return Page(data=[], next_cursor=None)

    @router.get("/right")
    async def right(work: Annotated[Work, reads()], limit: paging.Limit = 100) -> Page[Somebody]:
        rows = await work.session.rows("select name from customer where tenant_id = $1 order by customer_id limit $2", work.tenant_id, limit)
        return Page(data=[Somebody(name=row["name"]) for row in rows], next_cursor=None)

    return router


@pytest.fixture(scope="module")
async def measured_reads(app, database, settings):
    """The reads of the API and the planted ones, measured where there is one of everything, and the ledger with many."""
    twin = await make_twin(app, database, settings)
    scratch, router = FastAPI(), planted_router()
    scratch.state = app.state
    scratch.include_router(router)
    async with aclosing(twin.api), client_of(scratch, twin.tenant.api_key) as client:
        real = Reads(json.loads(openapi_file.openapi_text()), twin.api)
        planted = Reads(json.loads(json.dumps(scratch.openapi())), client)
        small = await make_crowd(twin, database, settings, 1)
        for some in (real, planted):
            await some.look_at_one(small)
        yield real, planted, await make_crowd(twin, database, settings, MOST)


async def test_no_read_asks_more_statements_for_many_rows_than_for_one(measured_reads, capsys):
    real, _, large = measured_reads
    faults = await real.faults(large)
    with capsys.disabled():
        print(
            f"\nQuery counts: {len(real.chosen)} reads with {sum(len(lists_of(real.document, one)) for one in real.chosen)} lists, {len(faults)} faults", end=""
        )
    assert faults == [], "\n".join(faults)


async def test_control_planted_reads_that_ask_a_statement_a_row_or_find_nothing_are_found(measured_reads):
    _, planted, large = measured_reads
    faults = await planted.faults(large)
    assert [fault.split(":", maxsplit=1)[0] for fault in faults] == [
        "GET /v1/planted/pages", "GET /v1/planted/ledgers/{ledger_id}", "GET /v1/planted/ledgers/{ledger_id}/customers.csv", "GET /v1/planted/nothing",
    ], faults  # fmt: skip
    assert [("statements" in fault, "crowds.py" in fault) for fault in faults] == [(True, False)] * 3 + [(False, True)]
    assert len(planted.chosen) == 5


def test_what_is_declared_here_is_in_the_api(measured_reads):
    real, _, _ = measured_reads
    places = {(one.name, ".".join(way)) for one in real.chosen for way in lists_of(real.document, one)}
    assert set(FEW) - places == set()
    assert {*ASKED, *MORE_ONCE} - {name for name, _ in places} == set()
