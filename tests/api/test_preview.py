"""C-44: what is looked at before is what is sent."""

import email
import hashlib
import json
from email import policy

import pytest

from dunning.kit.ids import new_id
from dunning.messages.relays import SinkConnection
from tests.api.twins import make_twin


@pytest.fixture
async def sent(app, database, settings, monkeypatch):
    """A twin whose reminder went out, and the mails that did."""
    mails = []
    deliver = SinkConnection.deliver

    async def keep(self, mime):
        mails.append(mime)
        return await deliver(self, mime)

    monkeypatch.setattr(SinkConnection, "deliver", keep)
    twin = await make_twin(app, database, settings)
    yield twin, mails
    await twin.api.aclose()


def rendering_sha256(mime):
    """The digest of subject, text and HTML as a reader's program takes them from the mail."""
    mail = email.message_from_bytes(mime, policy=policy.default)
    parts = {part.get_content_type(): part.get_content().replace("\r\n", "\n") for part in mail.walk() if part.get_content_maintype() == "text"}
    told = [str(mail["Subject"]), parts["text/plain"], parts.get("text/html")]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest(), told


async def test_the_preview_of_a_claim_is_the_mail_that_was_sent_but_for_its_link(sent):
    twin, mails = sent
    preview = await twin.ask("POST", f"/templates/{twin.ids['template']}/preview", {"claim_id": twin.ids["claim"], "version": 1})
    digests = [rendering_sha256(mime) for mime in mails]
    assert preview["sha256"] in [digest for digest, _ in digests]
    mail = next(told for digest, told in digests if digest == preview["sha256"])
    assert twin.ids["token"] in mail[1]
    assert twin.ids["token"] not in json.dumps(preview)
    assert preview["text"].replace("https://link.invalid/hidden-in-previews", f"http://testserver/c/{twin.ids['token']}") == mail[1]


async def test_control_a_changed_draft_has_another_digest(sent):
    twin, _ = sent
    await twin.ask("PATCH", f"/templates/{twin.ids['template']}", {"contents": {"en": {"subject": "Other", "text": "{{items_list}}"}}})
    seen = [await twin.ask("POST", f"/templates/{twin.ids['template']}/preview", {"claim_id": twin.ids["claim"], **v}) for v in ({}, {"version": 1})]
    assert seen[0]["sha256"] != seen[1]["sha256"]


async def test_a_customer_is_shown_as_it_stands_now(sent):
    twin, _ = sent
    await twin.ask("DELETE", f"/holds/{twin.ids['hold']}")
    path = f"/templates/{twin.ids['template']}/preview"
    before = await twin.ask("POST", path, {"customer_id": twin.ids["customer"]})
    assert "€560.00" in before["subject"], "610.00, less 10.00 paid, less 40.00 on account"
    await twin.ask("PUT", f"/ledgers/{twin.ids['ledger']}/receipts/R-10", {
        "customer_external_id": "C-1001", "amount": {"amount": "100.00", "currency": "EUR"}, "received_on": "2026-03-02", "allocation": "oldest_first",
    })  # fmt: skip
    after = await twin.ask("POST", path, {"customer_id": twin.ids["customer"]})
    assert "€460.00" in after["subject"]
    assert await twin.tenant.value("select count(*) from claim") == 1, "a preview leaves nothing behind"


async def test_a_customer_with_nothing_open_says_so(sent):
    twin, _ = sent
    made = await twin.ask("PUT", f"/ledgers/{twin.ids['ledger']}/customers/EMPTY", {"name": "Empty", "contacts": []})
    answer = await twin.api.post(f"/v1/templates/{twin.ids['template']}/preview", json={"customer_id": made["customer_id"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_open")


async def test_publishing_a_scenario_names_the_open_items_it_concerns(sent):
    """Plan, 13: one item has reached 01; a step new below it and a code that is gone both concern it."""
    twin, _ = sent
    path = f"/scenarios/{twin.ids['scenario']}"
    steps = (await twin.ask("GET", path))["draft"]["steps"]
    earlier = {**steps[0], "rank": 5, "code": "00", "trigger": {"kind": "due_date", "offset_days": -3, "until_days": -1}}
    await twin.ask("PATCH", path, {"steps": [earlier, *steps]})
    made = await twin.ask("POST", f"{path}/publish")
    assert made["open_items"] == 2
    assert made["ledgers_planned_again"] == 1
    assert [(c["kind"], c["reached"], c["steps"], c["count"]) for c in made["concerned"]] == [("steps_added", "01", ["00"], 1)]
    reached = await twin.tenant.value("select item_id from item_progress where step_code = '01' and state = 'completed'")
    assert made["concerned"][0]["item_ids"] == [str(reached)]
    await twin.ask("PATCH", path, {"steps": [earlier, {**steps[0], "code": "01b"}]})
    gone = await twin.ask("POST", f"{path}/publish")
    assert [(c["kind"], c["reached"], c["counts_as"]) for c in gone["concerned"]] == [("code_gone", "01", None)], (
        "in the version in which it was completed, nothing lay below"
    )


async def test_publishing_a_scenario_has_its_ledgers_planned_again(sent):
    twin, _ = sent
    ledger = f"select revision from ledger where ledger_id = '{twin.ids['ledger']}'"
    before = await twin.tenant.value(ledger)
    await twin.ask("POST", f"/scenarios/{twin.ids['scenario']}/publish")
    assert await twin.tenant.value(ledger) == before, "nothing changed, nothing to plan"
    await twin.ask("PATCH", f"/scenarios/{twin.ids['scenario']}", {"spacing_days": 2})
    await twin.ask("POST", f"/scenarios/{twin.ids['scenario']}/publish")
    assert await twin.tenant.value(ledger) == before + 1
    other = await twin.ask(
        "POST",
        "/scenarios",
        {"code": f"s{new_id().hex[-6:]}", "name": "Unused", "steps": (await twin.ask("GET", f"/scenarios/{twin.ids['scenario']}"))["draft"]["steps"]},
    )
    assert (await twin.ask("POST", f"/scenarios/{other['scenario_id']}/publish"))["ledgers_planned_again"] == 0
