"""Errors have one form everywhere, say what to do, and keep to themselves what is nobody's business."""

import asyncio
from typing import Annotated

import asyncpg
import pytest

from dunning.kit.bell import NullBell
from dunning.kit.money import Money
from dunning_api.app import create_app
from dunning_api.deps import Work, reads, writes
from dunning_api.idempotency import Router
from tests.conftest import KEYRING, client_of

PARTS = {"type", "title", "status", "code", "detail"}


@pytest.fixture
async def client(database, settings, tenant):
    router = Router()

    @router.get("/failing")
    async def fail() -> None:
        msg = "password=hunter2"
        raise RuntimeError(msg)

    @router.get("/money")
    async def money() -> None:
        Money.parse("1,50", "EUR")

    @router.get("/away")
    async def away() -> None:
        raise ConnectionRefusedError

    @router.post("/rule")
    async def rule(work: Annotated[Work, writes("ledger:write")]) -> None:
        await work.session.execute("update tenant set clock_at = null")

    @router.post("/contended")
    async def contended(work: Annotated[Work, writes("ledger:write")]) -> None:
        await work.session.execute("set local lock_timeout = '50ms'")
        await work.session.execute("update tenant set name = 'second'")

    @router.post("/gone")
    async def gone(work: Annotated[Work, reads()]) -> None:
        raise asyncpg.ConnectionDoesNotExistError

    app = create_app(database, settings, KEYRING, NullBell())
    app.include_router(router)
    async with client_of(app, tenant.api_key) as opened:
        yield opened


def checked(answer, status, code):
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body = answer.json()
    assert PARTS <= set(body)
    assert (body["status"], body["code"], body["type"]) == (status, code, f"urn:dunning:problem:{code}")
    assert len(body["detail"]) > 10
    assert answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"
    return body


async def test_an_unexpected_error_is_logged_and_tells_nothing(client):
    body = checked(await client.get("/failing"), 500, "internal")
    assert "hunter2" not in str(body)


async def test_an_unknown_path_and_an_unknown_method_are_problems_too(client):
    checked(await client.get("/v1/nothing"), 404, "not_found")
    answer = await client.put("/v1/scenarios")
    checked(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"
    assert (await client.request("PUT", "/v1/tenant")).headers["allow"] == "GET, PATCH"
    assert (await client.request("PUT", "/v1/templates/placeholders")).headers["allow"] == "GET"


async def test_wrong_money_is_malformed(client):
    assert "1,50" in checked(await client.get("/money"), 422, "malformed")["detail"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/away"), ("POST", "/gone")])
async def test_a_database_that_is_away_says_that_repeating_is_safe(client, method, path):
    answer = await client.request(method, path)
    assert "repeat it" in checked(answer, 503, "unavailable")["detail"]
    assert answer.headers["retry-after"]


async def test_a_rule_of_the_database_is_named(client):
    assert "only_test_mode_sets_the_clock" in checked(await client.post("/rule"), 409, "rule_of_the_database")["detail"]


async def test_a_lock_that_is_not_to_be_had_in_time_asks_to_repeat(client, tenant):
    async with tenant.transaction() as session:
        await session.execute("update tenant set name = 'first'")
        answer = await client.post("/contended")
    checked(answer, 409, "busy")
    assert answer.headers["retry-after"]


@pytest.mark.parametrize(
    "content", [b"{", b"\xff\xfe", b'"text"', b"[]", b"null", b'{"name": "\\u0000"}', b'{"name": "\\ud800"}', b'{"name": 1e999}', b"[" * 5000]
)
async def test_a_body_that_cannot_be_read_is_malformed_and_names_its_place(client, content):
    answer = await client.patch("/v1/tenant", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}, answer.text
    assert PARTS <= set(answer.json())


async def test_a_body_that_is_too_large_is_refused(client, settings):
    answer = await client.patch("/v1/tenant", content=b'{"name": "' + b"x" * settings.max_body_bytes + b'"}', headers={"Content-Type": "application/json"})
    checked(answer, 413, "too_large")


@pytest.mark.parametrize("given", ["my-request-1", "x" * 80])
async def test_a_request_id_is_taken_over(client, given):
    assert (await client.get("/v1/tenant", headers={"X-Request-Id": given})).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 81, "two words", 'a"b'])
async def test_a_request_id_that_is_none_is_replaced(client, given):
    assert (await client.get("/v1/tenant", headers={"X-Request-Id": given})).headers["x-request-id"] != given


async def test_a_client_that_goes_away_leaves_nothing_behind(client, tenant):
    task = asyncio.create_task(client.post("/v1/scenarios", json={"code": "x", "name": "x", "steps": []}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.1)
    assert (await client.get("/v1/tenant")).status_code == 200


@pytest.mark.parametrize("path", ["/v1/customers?overdue_day_gte=30", "/v1/tenant?fields=name", "/v1/customers?limit=5&%22=1"])
async def test_a_mistyped_query_parameter_is_refused_and_the_known_ones_are_named(client, path):
    problem = checked(await client.get(path), 422, "malformed")
    assert problem["errors"][0]["field"].startswith("query.")
    assert ("overdue_days_gte" in problem["detail"]) == ("customers" in path)


@pytest.mark.parametrize("path", ["/v1/people?email=a%00b", "/v1/ledgers?external_id=a&external_id=b"])
async def test_a_query_parameter_that_no_text_can_be_or_that_comes_twice_is_refused(client, path):
    problem = checked(await client.get(path), 422, "malformed")
    assert [error["field"] for error in problem["errors"]] == [f"query.{path.split('?')[1].split('=')[0]}"]


async def test_a_wrong_value_is_named_by_its_place_in_the_request_alone(client):
    problem = checked(await client.get("/v1/activities?since=yesterday"), 422, "malformed")
    assert {error["field"] for error in problem["errors"]} == {"query.since"}
    assert "function" not in problem["detail"]


async def test_a_missing_key_is_told_before_an_unknown_parameter(client):
    checked(await client.get("/v1/customers?overdue_day_gte=30", headers={"Authorization": ""}), 401, "unauthenticated")
