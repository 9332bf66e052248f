"""Evidence and links through the API: graded words, the extranet that vouches, two tenants in every test."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator

import httpx
import pytest

from dunning.evidence.links import link_urls, mint_links, revoke_links_of_claims, revoke_links_of_messages
from dunning.kit import logs
from dunning.kit.database import statement_log
from dunning.kit.ids import new_id
from dunning.tenancy import service as tenancy
from tests.conftest import KEYRING, TenantWorld, client_of
from tests.evidence.conftest import answer, fields_of, post
from tests.evidence.rows import LAST_FOUR, Told, make_told

READER = {"name": "Anna Rossi", "role": "accounting", "contact": "anna@verdi.example"}


def resolving(told: Told, act: str = "view", **more: object) -> dict[str, object]:
    """Return a body for the extranet's call."""
    return {"token": told.token, "reader": READER, "act": act, **more}


async def test_the_evidence_of_a_message_is_dated_and_graded_in_words(anonymous: httpx.AsyncClient, api: httpx.AsyncClient, told: Told) -> None:
    """S0-14, D-05: sending and reading are two axes, each entry with its weakness."""
    await anonymous.get(told.path)
    body = (await api.get(f"/v1/messages/{told.message_id}/evidence")).json()
    assert body["sending"]["code"] == "accepted"
    assert "not reading" in body["sending"]["weakness"]
    assert body["reading"]["words"] == "Fetched, possibly by a machine"
    assert body["counts_as_customer_reading"] is False
    assert "not a qualified" in body["statement"]
    form = fields_of((await answer(anonymous, told, LAST_FOUR)).text, "acknowledge")
    await post(anonymous, told, {**form, "name": "Anna Rossi", "role": "accounting"})
    body = (await api.get(f"/v1/messages/{told.message_id}/evidence")).json()
    assert [(entry["about"], entry["kind"]) for entry in body["events"]] == [
        ("sending", "ready"), ("sending", "committing"), ("sending", "accepted"),
        ("reading", "fetched"), ("reading", "opened"), ("reading", "read_confirmed"), ("reading", "acknowledged"),
    ]  # fmt: skip
    assert all(entry["words"] and entry["weakness"] and entry["recorded_at"] for entry in body["events"])
    assert body["events"][3]["details"]["fetches"] == 2
    assert body["events"][-1]["details"]["reader"] == {"name": "Anna Rossi", "role": "accounting", "contact": None}
    assert body["reading"]["code"] == "acknowledged"
    assert body["counts_as_customer_reading"] is True
    assert told.token not in str(body)


async def test_the_evidence_says_when_the_answer_stood_in_the_mail(anonymous: httpx.AsyncClient, api: httpx.AsyncClient, tenant: TenantWorld) -> None:
    """A document number proves less when the mail shows all rows."""
    told = await make_told(tenant, challenge="document_number", content_mode="full")
    await answer(anonymous, told, "1001")
    body = (await api.get(f"/v1/messages/{told.message_id}/evidence")).json()
    assert "also stands in the mail" in body["reading"]["weakness"]


async def test_readings_of_a_claim_are_listed_in_pages(anonymous: httpx.AsyncClient, api: httpx.AsyncClient, told: Told) -> None:
    """Keyset pages over all links of the claim, oldest first."""
    await answer(anonymous, told, "0000")
    await answer(anonymous, told, LAST_FOUR)
    first = (await api.get(f"/v1/claims/{told.claim_id}/readings", params={"limit": 3})).json()
    second = (await api.get(f"/v1/claims/{told.claim_id}/readings", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [row["kind"] for row in first["data"] + second["data"]] == ["fetched", "wrong_answer", "opened", "read_confirmed"]
    assert [row["counts_as_customer_reading"] for row in first["data"] + second["data"]] == [False, False, False, True]
    assert second["next_cursor"] is None
    assert (await api.get(f"/v1/claims/{told.claim_id}/readings", params={"cursor": "t1.AA.AA"})).status_code == 422


async def test_the_list_of_readings_costs_the_same_however_many_there_are(anonymous: httpx.AsyncClient, api: httpx.AsyncClient, told: Told) -> None:
    """No statement a row."""

    async def statements() -> int:
        log: list[str] = []
        mark = statement_log.set(log)
        try:
            assert (await api.get(f"/v1/claims/{told.claim_id}/readings")).status_code == 200
        finally:
            statement_log.reset(mark)
        return len(log)

    await anonymous.get(told.path)
    few = await statements()
    for _ in range(4):
        await answer(anonymous, told, LAST_FOUR)
    assert await statements() == few


async def test_another_tenants_ids_answer_as_unknown_ones(api: httpx.AsyncClient, other_api: httpx.AsyncClient, told: Told) -> None:
    """T1: the same problem for foreign and unknown, and nothing is done."""
    paths = ("/v1/links/{}", "/v1/claims/{}/readings", "/v1/messages/{}/evidence")
    for path, own in zip(paths, (told.link_id, told.claim_id, told.message_id), strict=True):
        assert (await api.get(path.format(own))).status_code == 200
        foreign, unknown = await other_api.get(path.format(own)), await other_api.get(path.format(new_id()))
        assert (foreign.status_code, foreign.json()) == (404, unknown.json())
    assert (await other_api.post(f"/v1/links/{told.link_id}/revoke", json={"reason": "x"})).status_code == 404
    assert (await other_api.post("/v1/links/resolve", json=resolving(told))).status_code == 404
    assert (await told.link())["revoked_at"] is None
    assert await told.kinds() == []


async def test_a_link_is_shown_without_its_token_and_revoked_once(api: httpx.AsyncClient, told: Told) -> None:
    """The second reason does not replace the first."""
    shown = (await api.get(f"/v1/links/{told.link_id}")).json()
    assert shown["reading"]["grade"] == "none"
    assert told.token not in str(shown)
    for reason in ("Sent to a person who has left.", "Another."):
        body = (await api.post(f"/v1/links/{told.link_id}/revoke", json={"reason": reason})).json()
    assert body["revoked_because"] == "Sent to a person who has left."
    events = await told.world.rows("select data from event where kind = 'link.revoked'")
    assert [event["data"] for event in events] == [{"reason": "Sent to a person who has left."}]


async def test_the_extranet_gets_the_claim_and_vouches_for_its_reader(api: httpx.AsyncClient, told: Told) -> None:
    """S0-22: rows, amounts, bank details, documents and the state of today; the reading says who vouched."""
    await told.pay("1001", 40_000)
    answered = await api.post("/v1/links/resolve", json=resolving(told))
    assert answered.status_code == 200, answered.text
    body = answered.json()
    block = body["blocks"][0]
    assert body["claim_no"] == "C-000123"
    assert (block["total"], block["open_now"]) == ({"amount": "1224.50", "currency": "EUR"}, {"amount": "824.50", "currency": "EUR"})
    assert block["bank_accounts"][0]["iban"] == "IT60X0542811101000000123456"
    assert [row["file_url"] for row in block["rows"][:2]] == ["https://files.acme.example/1001.pdf", None], "an address that is none is left out"
    assert [row["standing_now"] for row in block["rows"]] == ["part_paid", "overdue", "not_due", "credit"]
    assert body["reading"]["grade"] == "read_confirmed"
    assert "extranet vouches" in body["reading"]["words"]
    assert await told.kinds() == ["vouched"]
    evidence = (await api.get(f"/v1/messages/{told.message_id}/evidence")).json()
    assert "extranet vouches" in evidence["reading"]["words"]
    assert evidence["events"][-1]["details"]["vouched_by"] == body["vouched_by"]
    assert body["vouched_by"].startswith("key:")
    assert evidence["events"][-1]["details"]["reader"] == READER


async def test_the_extranets_reader_may_acknowledge(api: httpx.AsyncClient, told: Told) -> None:
    """The grade rises to acknowledged, once a name and role."""
    for _ in range(2):
        body = (await api.post("/v1/links/resolve", json=resolving(told, "acknowledge", statement="Ho ricevuto."))).json()
    assert body["reading"]["grade"] == "acknowledged"
    assert (await told.kinds()).count("acknowledged") == 1
    assert (await told.readings())[1]["data"]["statement"] == "Ho ricevuto."


async def test_a_closed_link_is_gone_for_the_extranet_too_and_the_visit_is_kept(api: httpx.AsyncClient, told: Told) -> None:
    """410 is answered, not raised: what was recorded stays."""
    await api.post(f"/v1/links/{told.link_id}/revoke", json={"reason": "Wrong person."})
    answered = await api.post("/v1/links/resolve", json=resolving(told))
    assert (answered.status_code, answered.json()["state"]) == (410, "revoked")
    assert await told.kinds() == ["refused"]


async def test_a_colleagues_token_resolves_to_nothing(api: httpx.AsyncClient, tenant: TenantWorld) -> None:
    """S0-13: tokens are never shared between the two audiences."""
    told = await make_told(tenant, audience="internal")
    assert (await api.post("/v1/links/resolve", json=resolving(told))).status_code == 404


@pytest.fixture
async def without_scope(app: object, tenant: TenantWorld) -> AsyncIterator[httpx.AsyncClient]:
    """A key that may only read."""
    async with tenant.database.transaction(tenant.tenant_id) as session:
        clock = tenancy.clock_of(await tenancy.tenant_of(session, tenant.tenant_id))
        _, text = await tenancy.create_key(session, clock, tenant_id=tenant.tenant_id, actor="test", name="reader", scopes=["read"])
    async with client_of(app, text) as client:
        yield client


async def test_resolving_and_revoking_need_their_scopes(without_scope: httpx.AsyncClient, told: Told) -> None:
    """A leaked reading key cannot make evidence."""
    assert (await without_scope.post("/v1/links/resolve", json=resolving(told))).status_code == 403
    assert (await without_scope.post(f"/v1/links/{told.link_id}/revoke", json={"reason": "x"})).status_code == 403
    assert (await without_scope.get(f"/v1/links/{told.link_id}")).status_code == 200


async def test_addresses_for_mails_follow_the_ledgers_target_and_never_send_colleagues_there(tenant: TenantWorld) -> None:
    """S0-22, S0-13; a message without a link has no address, a second minting changes nothing."""
    target = "https://extranet.acme.example/claims/{token}"
    own, company, colleague = (
        await make_told(tenant),
        await make_told(tenant, link_target=target),
        await make_told(tenant, audience="internal", link_target=target),
    )
    ids = [own.message_id, company.message_id, colleague.message_id, new_id()]
    async with tenant.database.reading(tenant.tenant_id) as session:
        urls = await link_urls(session, tenant.tenant_id, ids, keyring=KEYRING, public_url="https://pay.acme.example")
    assert urls == {
        own.message_id: f"https://pay.acme.example/c/{own.token}",
        company.message_id: f"https://extranet.acme.example/claims/{company.token}",
        colleague.message_id: f"https://pay.acme.example/c/{colleague.token}",
    }
    async with tenant.database.transaction(tenant.tenant_id) as session:
        assert await mint_links(session, tenant.tenant_id, []) == 0


async def test_links_are_revoked_with_their_claims_and_messages(tenant: TenantWorld) -> None:
    """A claim that was replaced and an address that bounced close their doors; twice is once."""
    first, second = await make_told(tenant), await make_told(tenant)
    clock = await tenant.clock()
    async with tenant.database.transaction(tenant.tenant_id) as session:
        told = {"tenant_id": tenant.tenant_id, "actor": "collection"}
        assert await revoke_links_of_claims(session, clock, claim_ids=[first.claim_id], reason="replaced", **told) == 1  # type: ignore[arg-type]
        assert await revoke_links_of_claims(session, clock, claim_ids=[first.claim_id], reason="again", **told) == 0  # type: ignore[arg-type]
        assert await revoke_links_of_messages(session, clock, message_ids=[second.message_id], reason="bounced", **told) == 1  # type: ignore[arg-type]
    assert [(await one.link())["revoked_because"] for one in (first, second)] == ["replaced", "bounced"]


async def test_readings_are_never_changed_or_deleted(anonymous: httpx.AsyncClient, told: Told) -> None:
    """Append-only, by the database."""
    await anonymous.get(told.path)
    for statement in ("update reading set grade = 'acknowledged'", "delete from reading"):
        with pytest.raises(Exception, match="permission denied|never changed"):
            async with told.world.database.transaction(told.world.tenant_id) as session:
                await session.execute(statement)


async def test_no_log_line_of_a_real_server_holds_a_token(served: str, told: Told) -> None:
    """The access log names the path; what the product sends its lines through masks it. Through a plain handler the token is there: the control."""
    masked, plain = io.StringIO(), io.StringIO()
    handlers = [logs.handler_of(masked), logging.StreamHandler(plain)]
    loggers = [logging.getLogger(name) for name in ("uvicorn.access", "uvicorn.error", "asyncio", "dunning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        for handler in handlers:
            logger.addHandler(handler)
    try:
        async with httpx.AsyncClient(base_url=served) as client:
            await client.get(told.path)
            await answer(client, told, "0000")
            await answer(client, told, LAST_FOUR)
            await client.get(f"/c/{told.token.replace('.', '%2E')}?lang=it")
            await client.get(f"/o/{told.token}")
            await client.put(told.path)
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
            for handler in handlers:
                logger.removeHandler(handler)
    secret = told.token.rpartition(".")[2]
    assert plain.getvalue().count(secret) >= 6
    assert masked.getvalue().count("<link>") >= 6
    assert secret not in masked.getvalue()
