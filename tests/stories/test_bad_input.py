"""What goes wrong from outside: each time a clear message that says what to do, nothing half done, nothing lost."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from dunning.kit.bell import ArqBell, NullBell
from dunning.kit.database import Database
from dunning.kit.settings import Settings
from dunning.messages import relay_service
from dunning_api.app import create_app
from dunning_cli.embedded import EmbeddedPostgres
from tests.conftest import KEYRING, TenantWorld, client_of
from tests.fakes.proxy import Direction, FaultProxy
from tests.fakes.relay import Relay
from tests.messages.workbench import smtp_to
from tests.stories.desk import Desk, scenario, step

DOCUMENT = {"kind": "document", "customer_external_id": "C1", "number": "1", "document_on": "2026-01-10", "due_on": "2026-02-10"}
EURO = {"amount": "10.00", "currency": "EUR"}


async def test_a_wrong_row_is_named_and_the_others_are_taken(desk: Desk) -> None:
    """S2-16: row, field and what is expected; a row that refers to something unknown waits for it; the faults come as a file too."""
    await desk.open("reminder")
    await desk.push_customer("C1")
    done = await desk.import_rows(
        DOCUMENT | {"external_id": "D1", "total": EURO},
        DOCUMENT | {"external_id": "D2", "total": {"amount": 10.0, "currency": "EUR"}},
        DOCUMENT | {"external_id": "D3", "total": EURO, "due_on": "31/02/2026"},
        DOCUMENT | {"external_id": "D4", "total": EURO, "customer_external_id": "C9"},
        DOCUMENT | {"external_id": "D5", "total": EURO, "colour": "red"},
        {"kind": "invoice", "external_id": "D6"},
    )
    assert (done["state"], done["counts"]["created"], done["counts"]["rejected"], done["counts"]["parked"]) == ("done", 1, 4, 1)
    rows = {row["row_no"]: row for row in (await desk.get(f"/imports/{done['import_id']}/rows"))["data"]}
    assert (rows[2]["field"], 'an amount is text such as "1234.50", never a number' in rows[2]["message"]) == ("total.amount", True)
    assert rows[3]["field"] == "due_on"
    assert (rows[4]["outcome"], "C9" in rows[4]["message"]) == ("parked", True)
    assert rows[5]["field"] == "colour"
    assert "expected one of customer, document" in rows[6]["message"]
    faults = (await desk.api.get(f"/v1/imports/{done['import_id']}/errors.csv")).text
    assert faults.count("\r\n") == 6
    await desk.import_rows({"kind": "customer", "external_id": "C9", "name": "Nine"})
    assert (await desk.get(f"/imports/{done['import_id']}"))["counts"]["parked"] == 0
    assert len((await desk.get(f"/ledgers/{desk.ledger_id}/items"))["data"]) == 2


@pytest.mark.parametrize(
    ("text", "params", "hint"),
    [
        ("a;b\n1;2\n", {"kind": "documents", "format": "csv"}, "repeat with delimiter=;"),
        ("external_id,amout\nD1,3\n", {"kind": "documents", "format": "csv"}, "unknown columns amout"),
        ("%PDF-1.7 not a list of anything", {"kind": "documents", "format": "ndjson"}, "The file is not NDJSON of this kind"),
        ('[{"kind": "document"}]', {"kind": "mixed", "format": "ndjson"}, "a JSON object a line"),
        ("\n\n", {"kind": "customers", "format": "ndjson"}, "The file is empty"),
    ],
)
async def test_a_file_of_the_wrong_shape_changes_nothing_and_is_told_what_is_expected(desk: Desk, text: str, params: dict[str, str], hint: str) -> None:
    """S2-16, C-39: one sentence with the remedy, and nothing imported."""
    await desk.open("reminder")
    done = await desk.import_file(text, **params)
    assert (done["state"], hint in done["error"]) == ("failed", True), done["error"]
    assert (await desk.get(f"/ledgers/{desk.ledger_id}/documents"))["data"] == []


async def test_a_snapshot_that_was_cut_short_closes_nothing(desk: Desk) -> None:
    """Architecture 6: the control total is missed, or a row cannot be read, or too much would be closed: nothing is closed until a person says so."""
    await desk.open("reminder", balance_source="erp_open_items")
    await desk.push_customer("C1")
    rows = [DOCUMENT | {"external_id": f"D{n}", "number": f"{n}", "total": EURO, "open_amount": EURO} for n in range(10)]
    whole = {"kind": "documents", "mode": "snapshot", "scope": "ledger"}
    assert (await desk.import_rows(*rows, **whole, control_total="EUR:100.00"))["counts"]["created"] == 10

    async def still_open() -> int:
        return len((await desk.get(f"/ledgers/{desk.ledger_id}/items", state="open"))["data"])

    cut = await desk.import_rows(*rows[:6], **whole, control_total="EUR:100.00")
    assert cut["state"] == "failed"
    assert "the file says 60.00, the control total 100.00" in cut["error"]
    assert "may be cut short" in cut["error"]
    missing = await desk.import_file("{}", kind="documents", mode="snapshot", status=422)
    assert "needs control_total" in missing["detail"]
    assert await still_open() == 10
    much = await desk.import_rows(*rows[:6], **whole, control_total="EUR:60.00")
    assert (much["state"], await still_open()) == ("parked", 10)
    assert "would close 4 of 10 items, 40.00 of 100.00 EUR" in much["error"]
    await desk.post(f"/imports/{much['import_id']}/cancel")
    few = await desk.import_rows(*rows[:8], **whole, control_total="EUR:80.00")
    assert (few["state"], few["counts"]["closed"], await still_open()) == ("done", 2, 8)


async def test_an_empty_scenario_is_refused_when_it_is_published(desk: Desk) -> None:
    """S0-01, D-13: no steps, or a step that does nothing, is named with its place and what to do; the draft stays."""
    made = await desk.post("/scenarios", scenario())
    refused = await desk.post(f"/scenarios/{made['scenario_id']}/publish", status=422)
    assert refused["errors"][0] == {"field": "steps", "message": "The scenario has no steps. Add at least one.", "code": "no_steps", "severity": "error"}
    hollow = await desk.post("/scenarios", scenario(step("a", 1, notices=[])))
    assert "Step a does nothing" in (await desk.post(f"/scenarios/{hollow['scenario_id']}/publish", status=422))["detail"]
    assert (await desk.get(f"/scenarios/{made['scenario_id']}"))["published_version"] is None


async def test_a_ledger_whose_scenario_is_not_published_reminds_nobody_and_says_why(desk: Desk) -> None:
    """B-03: until it is published there is no scenario, and every item says so; after that the next night goes out."""
    await desk.open("reminder")
    draft = await desk.post("/scenarios", scenario(step("a", 1, "First")))
    await desk.change_ledger(policy="scenario", scenario_id=draft["scenario_id"])
    item = await desk.invoice("1001")
    run = await desk.remind()
    assert (run["reasons"], desk.mail.letters) == ({"NO_SCENARIO": 1}, [])
    assert (await desk.explain(item))["blockers"] == ["NO_SCENARIO"]
    await desk.template("letter", en=("{{step_name}}", "{{items_list}}"))
    await desk.post(f"/scenarios/{draft['scenario_id']}/publish")
    await desk.days(1)
    assert desk.mail.subjects() == ["ap@c1.example First"]


async def test_an_unknown_placeholder_is_refused_with_its_place_and_the_likely_one(desk: Desk) -> None:
    """S1-12: language, part and line; nothing is published, so that no mail ever has a blank."""
    contents = {"en": {"subject": "Reminder", "text": "Dear {{addresse}},\n\n{{items_list}}\n\n{{salutation}}"}}
    made = await desk.post("/templates", {"code": "letter", "name": "Letter", "contents": contents})
    refused = await desk.post(f"/templates/{made['template_id']}/publish", status=422)
    first, second = refused["errors"]
    assert (first["language"], first["part"], first["line"]) == ("en", "text", 1)
    assert "addressee" in first["message"]
    assert second["line"] == 5
    assert (await desk.get(f"/templates/{made['template_id']}"))["published_version"] is None


async def test_a_value_that_never_comes_is_refused_before_it_leaves_a_blank(desk: Desk) -> None:
    """S1-12: a template that always prints a deadline cannot be used by a step without one."""
    await desk.ask("PATCH", "/tenant", {"languages": ["en"]})
    await desk.template("letter", en=("Reminder", "Pay by {{deadline}}. {{items_list}}"))
    made = await desk.post("/scenarios", scenario(step("a", 1)))
    refused = await desk.post(f"/scenarios/{made['scenario_id']}/publish", status=422)
    assert "the step has no deadline_days. Set it, or put the placeholder inside an if." in refused["detail"]


async def test_a_link_that_is_forged_expired_or_revoked_shows_nothing_and_tells_nothing(desk: Desk, anonymous: httpx.AsyncClient) -> None:
    """S0-22, promises 6: the same page says that there is nothing; the extranet is told why; the visit is recorded."""
    await desk.open(scenario(step("a", 1, "First")))
    await desk.invoice("1001")
    await desk.invoice("2001", customer="C2")
    await desk.remind()
    good, other = desk.mail.last("ap@c1.example"), desk.mail.last("ap@c2.example")
    forged = good.link[:-4] + ("AAAA" if good.link[-4:] != "AAAA" else "BBBB")
    pages = [await anonymous.get(forged), await anonymous.get("http://testserver/c/x")]
    (message,) = await desk.messages(to="ap@c2.example")
    link_id = await desk.tenant.value("select link_id from link where message_id = $1", message["message_id"])
    await desk.post(f"/links/{link_id}/revoke", {"reason": "Sent to the wrong person."})
    pages.append(await anonymous.get(other.link))
    await desk.machine_off(91)
    pages.append(await anonymous.get(good.link))
    assert [page.status_code for page in pages] == [404, 404, 410, 410]
    assert len({page.text for page in pages}) == 1
    assert "1001" not in pages[0].text
    reader = {"reader": {"name": "A", "role": "B", "contact": None}, "act": "view", "statement": None}
    for token, status, word in ((forged.rpartition("/")[2], 404, "link"), (other.token, 410, "revoked"), (good.token, 410, "expired")):
        assert word in (await desk.post("/links/resolve", {"token": token} | reader, status=status))["detail"]


async def test_what_cannot_be_meant_is_refused_field_by_field(desk: Desk) -> None:
    """C-10, C-39: dates, amounts, addresses and accounts that cannot be right; each names its field, and nothing is kept."""
    await desk.open("reminder")
    path = f"/ledgers/{desk.ledger_id}/documents/D1"
    good = {"customer_external_id": "C1", "number": "1", "document_on": "2026-01-01", "due_on": "2026-02-01", "total": EURO}
    await desk.push_customer("C1")
    for wrong, field in (
        ({"total": {"amount": "10.001", "currency": "EUR"}}, "total"),
        ({"total": {"amount": "10.00", "currency": "XYZ"}}, "total"),
        ({"due_on": "2026-02-30"}, "due_on"),
        ({"due_on": None}, "due_on"),
        ({"number": "1\u0000"}, "number"),
        ({"instalments": [{"due_on": "2026-02-01", "amount": {"amount": "9.00", "currency": "EUR"}}], "due_on": None}, "instalments"),
    ):
        refused = await desk.ask("PUT", path, good | wrong, status=422)
        assert field in refused["detail"], refused["detail"]
    unknown = await desk.ask("PUT", path, good | {"customer_external_id": "C9"}, status=404)
    assert unknown["detail"].startswith("No such customer. Check the id")
    assert (await desk.get(f"/ledgers/{desk.ledger_id}/documents"))["data"] == []
    version = (await desk.get(f"/ledgers/{desk.ledger_id}"))["version"]
    account = {"beneficiary": "A", "iban": "IT60X0542811101000000123457", "currency": "EUR"}
    answer = await desk.api.patch(f"/v1/ledgers/{desk.ledger_id}", json={"bank_accounts": [account]}, headers={"If-Match": f'"{version}"'})
    assert (answer.status_code, "check it for a typing mistake" in answer.json()["detail"]) == (422, True)
    keyless = await desk.api.post(f"/v1/ledgers/{desk.ledger_id}/runs", json={})
    assert (keyless.status_code, "Idempotency-Key" in keyless.text) == (422, True)


@asynccontextmanager
async def behind_a_proxy(
    postgres: EmbeddedPostgres, folder: Path, settings: Settings, tenant: TenantWorld
) -> AsyncIterator[tuple[httpx.AsyncClient, FaultProxy]]:
    """A client of an API whose database can be taken away."""
    folder.mkdir(mode=0o700)
    real = Path(postgres.app_url().partition("host=")[2].partition("&")[0].replace("%2F", "/")) / ".s.PGSQL.5432"
    async with FaultProxy(real, folder / ".s.PGSQL.5432") as proxy:
        database = await Database.connect(f"postgresql://dunning_app@/dunning?host={folder}&port=5432", size=2, name="away")
        try:
            async with client_of(create_app(database, settings, KEYRING, NullBell()), tenant.api_key) as client:
                yield client, proxy
        finally:
            await database.close()


async def test_while_the_database_is_away_nothing_is_half_done(
    desk: Desk, postgres: EmbeddedPostgres, tmp_path: Path, settings: Settings, tenant: TenantWorld
) -> None:
    """Style 14: 503 with what to do; a request cut before its commit has left nothing, one cut after it is done whole; repeating is right in both."""
    await desk.open("reminder")
    await desk.push_customer("C1")
    parts = [{"due_on": f"2026-0{n}-01", "amount": {"amount": "5.00", "currency": "EUR"}} for n in (2, 3)]
    body = {"customer_external_id": "C1", "number": "1", "document_on": "2026-01-01", "total": EURO, "instalments": parts}

    async def stored() -> tuple[int, int]:
        documents, items = [(await desk.get(f"/ledgers/{desk.ledger_id}/{noun}"))["data"] for noun in ("documents", "items")]
        return len(documents), len(items)

    async with behind_a_proxy(postgres, tmp_path / "s", settings, tenant) as (client, proxy):
        path = f"/v1/ledgers/{desk.ledger_id}/documents/D1"
        proxy.refuse()
        proxy.cut()
        away = await client.put(path, json=body)
        assert (away.status_code, away.headers["content-type"], away.json()["code"]) == (503, "application/problem+json", "unavailable")
        assert "repeat it with the same ids or Idempotency-Key" in away.json()["detail"]
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200
        proxy.accept()
        wrote = False

        def at_its_commit(to: Direction, sent: bytes) -> bool:
            nonlocal wrote
            wrote = wrote or (to is Direction.TO_SERVER and b"insert into document" in sent)
            return wrote and to is Direction.TO_SERVER and b"commit" in sent

        proxy.cut_after(at_its_commit, forward=False)
        assert (await client.put(path, json=body)).status_code == 503
        assert (wrote, await stored()) == (True, (0, 0))
        wrote = False
        proxy.cut_after(at_its_commit, forward=True)
        assert (await client.put(path, json=body)).status_code == 503
        assert (wrote, await stored()) == (True, (1, 2))
        proxy.cut_after(None)
        assert (await client.put(path, json=body)).status_code == 200
        assert await stored() == (1, 2)


async def test_without_redis_everything_is_taken_and_done(desk: Desk, database: Database, settings: Settings, tenant: TenantWorld) -> None:
    """Architecture 1: the doorbell is away: requests are answered as ever, the work is found by looking, and readiness says so."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bell = ArqBell(f"redis://127.0.0.1:{port}")
    async with client_of(create_app(database, settings, KEYRING, bell), tenant.api_key) as client:
        desk.api = client
        await desk.open(scenario(step("a", 1, "First")))
        await desk.invoice("1001")
        await desk.remind()
        ready = await client.get("/readyz")
    await bell.close()
    assert desk.mail.subjects() == ["ap@c1.example First: 1001"]
    assert (ready.status_code, ready.json()["doorbell"]) == (200, "away")


async def test_a_wrong_mail_password_stops_the_relay_and_says_which_setting(desk: Desk) -> None:
    """C-30, C-31: tried once and not again and again; the message waits, the relay says what to correct, and after that everything leaves once."""
    await desk.open(scenario(step("a", 1, "First")))
    await desk.invoice("1001")
    await desk.invoice("2001", customer="C2")
    async with Relay(credentials={"ar": "right"}) as relay:
        try:
            desk.world.transports = {"sink": smtp_to(relay.port, name="sink", username="ar", password="wrong")}
            await desk.remind()
            await desk.work()
            state = {found["name"]: found for found in (await desk.get("/relays"))["data"]}["sink"]
            assert state["state"] == "suspended"
            assert state["reason"].startswith("login_refused: 535")
            assert "Correct DUNNING_SMTP_USERNAME and DUNNING_SMTP_PASSWORD, restart the worker, then run `dunning relays resume smtp`." in state["advice"]
            assert [message["state"] for message in await desk.messages()] == ["ready", "ready"]
            assert relay.accepted == []
            desk.world.transports = {"sink": smtp_to(relay.port, name="sink", username="ar", password="right")}
            await desk.work()
            assert relay.accepted == [], "a person resumes it"
        finally:
            async with desk.tenant.database.across_tenants() as session:
                assert await relay_service.resume_circuit(session, name="sink")
        await desk.work()
        assert [message["state"] for message in await desk.messages()] == ["accepted", "accepted"]
        assert len(relay.accepted) == 2
