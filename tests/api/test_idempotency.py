"""Repeated requests: one effect, one answer, kept in the transaction of the effect. Routes of this test's own stand for all."""

import asyncio
import json
from typing import Annotated
from uuid import UUID

import pytest
from fastapi import Response

from dunning.events import service as events
from dunning.kit.bell import NullBell
from dunning.kit.errors import Conflict
from dunning.kit.ids import new_id
from dunning_api import idempotency, openapi_file
from dunning_api.app import create_app
from dunning_api.deps import Work, writes
from dunning_api.idempotency import Router
from dunning_api.schemas.base import Input, Output
from tests.api.contract import operations, takes_key
from tests.api.test_cross_tenant import Generator, rows_digest
from tests.api.twins import make_twin
from tests.conftest import KEYRING, client_of


class EffectIn(Input):
    text: str
    wait_seconds: int = 0
    fail: bool = False


class EffectOut(Output):
    effect_id: UUID
    text: str


def planted(began: asyncio.Event) -> Router:
    router = Router()

    @router.post("/effects", status_code=201)
    async def make_effect(body: EffectIn, work: Annotated[Work, writes("ledger:write", idempotent=True)], response: Response) -> EffectOut:
        effect_id = new_id()
        await events.record(
            work.session, work.clock, tenant_id=work.tenant_id, kind="effect.made", subject_kind="effect", subject_id=effect_id, actor=work.actor
        )
        began.set()
        await asyncio.sleep(body.wait_seconds / 1000)
        if body.fail:
            msg = "The state of things forbids it."
            raise Conflict(msg)
        response.headers["ETag"] = '"7"'
        response.headers["Location"] = f"/effects/{effect_id}"
        return EffectOut(effect_id=effect_id, text=body.text)

    @router.post("/notes", status_code=201)
    async def make_note(body: EffectIn, work: Annotated[Work, writes("ledger:write", repeatable=True)]) -> EffectOut:
        effect_id = new_id()
        await events.record(
            work.session, work.clock, tenant_id=work.tenant_id, kind="effect.made", subject_kind="effect", subject_id=effect_id, actor=work.actor
        )
        if body.fail:
            msg = "The state of things forbids it."
            raise Conflict(msg)
        return EffectOut(effect_id=effect_id, text=body.text)

    return router


@pytest.fixture
def began():
    return asyncio.Event()


@pytest.fixture
async def client(database, settings, tenant, began):
    app = create_app(database, settings, KEYRING, NullBell())
    app.include_router(planted(began))
    async with client_of(app, tenant.api_key) as opened:
        yield opened


def key(name="a-key-of-my-own"):
    return {"Idempotency-Key": name}


async def effects(tenant):
    return await tenant.value("select count(*) from event where kind = 'effect.made'")


async def test_the_same_key_gets_the_same_answer_and_one_effect(client, tenant):
    first = await client.post("/effects", json={"text": "one"}, headers=key())
    second = await client.post("/effects", json={"text": "one"}, headers=key())
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content
    for name in ("content-type", "etag", "location"):
        assert second.headers[name] == first.headers[name]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert await effects(tenant) == 1


async def test_the_same_key_with_another_body_is_refused(client, tenant):
    await client.post("/effects", json={"text": "one"}, headers=key())
    answer = await client.post("/effects", json={"text": "two"}, headers=key())
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"
    assert await effects(tenant) == 1


@pytest.mark.parametrize(
    "headers", [{}, {"Idempotency-Key": ""}, {"Idempotency-Key": "short"}, {"Idempotency-Key": "with a space"}, {"Idempotency-Key": "x" * 201}]
)
async def test_a_request_without_a_usable_key_is_refused_before_anything_happens(client, tenant, headers):
    answer = await client.post("/effects", json={"text": "one"}, headers=headers)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["detail"]
    assert await effects(tenant) == 0


async def test_a_twin_waits_for_the_first_and_gets_its_answer(client, tenant):
    first, twin = await asyncio.gather(*(client.post("/effects", json={"text": "one", "wait_seconds": 400}, headers=key()) for _ in range(2)))
    assert (first.status_code, twin.status_code) == (201, 201)
    assert first.content == twin.content
    assert await effects(tenant) == 1


async def test_a_hundred_twins_make_one_effect(client, tenant):
    answers = await asyncio.gather(*(client.post("/effects", json={"text": "one"}, headers=key()) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await effects(tenant) == 1


async def test_a_twin_that_waited_in_vain_is_told_to_come_back(client, tenant, monkeypatch, began):
    monkeypatch.setattr(idempotency, "TWIN_WAIT", "200ms")
    first = asyncio.create_task(client.post("/effects", json={"text": "one", "wait_seconds": 1500}, headers=key()))
    await began.wait()
    twin = await client.post("/effects", json={"text": "one", "wait_seconds": 1500}, headers=key())
    assert twin.status_code == 409
    assert twin.json()["code"] == "twin_running"
    assert (await first).status_code == 201
    assert await effects(tenant) == 1


async def test_a_refused_request_leaves_no_key_so_that_it_can_be_repeated(client, tenant):
    """Effect and answer are one transaction: what is rolled back takes its key along."""
    refused = await client.post("/effects", json={"text": "one", "fail": True}, headers=key())
    assert refused.status_code == 409
    assert await effects(tenant) == 0
    assert await tenant.value("select count(*) from idempotency_key") == 0
    repeated = await client.post("/effects", json={"text": "now it works"}, headers=key())
    assert repeated.status_code == 201


async def test_a_malformed_request_leaves_no_key(client, tenant):
    assert (await client.post("/effects", json={"text": 5}, headers=key())).status_code == 422
    assert await tenant.value("select count(*) from idempotency_key") == 0
    assert (await client.post("/effects", json={"text": "one"}, headers=key())).status_code == 201


async def test_the_answer_is_there_when_the_client_has_it(client, tenant):
    """The commit comes before the response leaves: a reader that has its 201 finds the effect."""
    for number in range(20):
        answer = await client.post("/effects", json={"text": "one"}, headers=key(f"key-number-{number}"))
        assert answer.status_code == 201
        assert await effects(tenant) == number + 1


async def test_keys_of_two_callers_do_not_meet(client, database, settings, tenant, other_tenant, began):
    app = create_app(database, settings, KEYRING, NullBell())
    app.include_router(planted(began))
    async with client_of(app, other_tenant.api_key) as other:
        mine = await client.post("/effects", json={"text": "one"}, headers=key())
        theirs = await other.post("/effects", json={"text": "two"}, headers=key())
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["effect_id"] != theirs.json()["effect_id"]


async def test_expired_answers_are_forgotten_as_new_keys_come(client, tenant):
    await client.post("/effects", json={"text": "one"}, headers=key("an-old-key"))
    async with tenant.transaction() as session:
        await session.execute("update idempotency_key set expires_at = now() - interval '1 day'")
    await client.post("/effects", json={"text": "two"}, headers=key("a-new-key"))
    assert [row["key"] for row in await tenant.rows("select key from idempotency_key")] == ["a-new-key"]
    again = await client.post("/effects", json={"text": "one"}, headers=key("an-old-key"))
    assert "idempotency-replayed" not in again.headers


async def test_where_the_key_may_be_left_out_it_is_honoured_when_it_is_given(client, tenant):
    answers = [await client.post("/notes", json={"text": "one"}, headers=key()) for _ in range(2)]
    assert [(answer.status_code, answer.headers.get("idempotency-replayed")) for answer in answers] == [(201, None), (201, "true")]
    assert answers[0].content == answers[1].content
    assert await effects(tenant) == 1
    other = await client.post("/notes", json={"text": "two"}, headers=key())
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await client.post("/notes", json={"text": "one"}, headers=key("short"))).status_code == 422
    refused = await client.post("/notes", json={"text": "one", "fail": True}, headers=key("another-key"))
    assert (refused.status_code, await effects(tenant)) == (409, 1)
    assert (await client.post("/notes", json={"text": "one"}, headers=key("another-key"))).status_code == 201
    for _ in range(2):
        assert (await client.post("/notes", json={"text": "one"})).status_code == 201
    assert await effects(tenant) == 4


async def test_whatever_takes_a_key_answers_a_repeat_with_the_first_answer_and_writes_nothing(app, database, settings):
    """S3-09: each operation that declares the header, with the example of its own documentation."""
    document = json.loads(openapi_file.openapi_text())
    twin = await make_twin(app, database, settings)
    generator = Generator(document, {**twin.ids, "tenant": str(twin.tenant.tenant_id)})
    replayed, faults = [], []
    for operation in operations(document):
        if not takes_key(operation):
            continue
        method, path, options = generator.request(operation)
        first = await twin.api.request(method, path, **options)
        if first.status_code >= 400:
            continue
        before = await rows_digest(twin.tenant)
        second = await twin.api.request(method, path, **options)
        if (second.status_code, second.content, second.headers.get("idempotency-replayed")) != (first.status_code, first.content, "true"):
            faults.append(f"{operation.name}: {second.status_code} {second.text[:100]}")
        if before != await rows_digest(twin.tenant):
            faults.append(f"{operation.name}: writes again")
        replayed.append(operation.name)
    await twin.api.aclose()
    assert faults == []
    assert {"POST /v1/customers/{customer_id}/activities", "POST /v1/items/{item_id}/comments", "POST /v1/holds", "POST /v1/attachments"} <= set(replayed)
    assert len(replayed) >= 20


async def test_control_without_the_key_every_repeat_is_an_effect_of_its_own(database, settings, tenant):
    """The same route without `idempotent` shows that these tests can fail."""
    router = Router()

    @router.post("/effects", status_code=201)
    async def make_effect(body: EffectIn, work: Annotated[Work, writes("ledger:write")]) -> EffectOut:
        effect_id = new_id()
        await events.record(
            work.session, work.clock, tenant_id=work.tenant_id, kind="effect.made", subject_kind="effect", subject_id=effect_id, actor=work.actor
        )
        return EffectOut(effect_id=effect_id, text=body.text)

    app = create_app(database, settings, KEYRING, NullBell())
    app.include_router(router)
    async with client_of(app, tenant.api_key) as client:
        for _ in range(2):
            await client.post("/effects", json={"text": "one"}, headers=key())
    assert await effects(tenant) == 2
