"""Test sends: a template as a real mail to one's own people, of which no customer is told anything (B-28, S1-04, S1-05, C-44)."""

from __future__ import annotations

from typing import Any

import httpx

from dunning.kit.ids import new_id
from tests.conftest import TenantWorld
from tests.stories.desk import SUBJECT, TEXT, Desk, scenario, step

OWN = "ar@acme.example"


async def opened(desk: Desk, **ledger: Any) -> str:
    """Open a ledger with one reminder in two languages and return its template."""
    await desk.ask("PATCH", "/tenant", {"internal_domains": ["acme.example"]})
    await desk.open(scenario(step("a", 1, "First", deadline_days=7)), languages=("en", "it"), **ledger)
    return str((await desk.get("/templates", code="letter"))["data"][0]["template_id"])


async def send(desk: Desk, template_id: str, *, status: int = 202, **body: Any) -> Any:
    """Ask for a test and let the worker send."""
    answer = await desk.post(f"/templates/{template_id}/test-send", {"to": OWN, **body}, status=status)
    await desk.work()
    return answer


async def rows_about_customers(desk: Desk) -> dict[str, object]:
    """Count what a reminder would leave behind."""
    tables = ("action", "claim", "link", "reading", "item_progress", "item_dunning", "activity")
    return {table: await desk.tenant.value(f"select count(*) from {table}") for table in tables}  # noqa: S608  # fixed words


async def test_a_test_is_a_real_mail_to_a_colleague_and_nothing_else(desk: Desk) -> None:
    """B-28: the mail of the customer's own documents arrives, marked and with a dead link; no action, claim, link, progress or contact comes of it."""
    template_id = await opened(desk)
    await desk.invoice("1001", "120.00", due=-9)
    before = await rows_about_customers(desk)
    made = await send(desk, template_id, customer_id=desk.customers["C1"])
    (letter,) = desk.mail.letters
    assert (letter.to, letter.subject) == (OWN, "[TEST] Preview: 1001")
    assert "€120.00" in letter.text
    assert letter.link == "https://link.invalid/test-message"
    assert await rows_about_customers(desk) == before
    (message,) = await desk.messages(kind="test")
    assert message["message_id"] == made["message_ids"][0]
    assert (message["state"], message["subject"], message["to"]["email"]) == ("accepted", "[TEST] Preview: 1001", OWN)
    assert [message[name] for name in ("customer_id", "action_id", "claim_id", "template_version")] == [None] * 4
    body = await desk.get(f"/messages/{message['message_id']}/body")
    assert (body["verified"], body["text"]) == (True, letter.text.replace("\r\n", "\n"))
    assert "message.test_queued" in await desk.events()


async def test_control_a_reminder_of_the_same_company_leaves_all_of_it(desk: Desk) -> None:
    """The control: the tables that a test leaves alone are those that a reminder writes."""
    await opened(desk)
    await desk.invoice("1001", due=-9)
    before = await rows_about_customers(desk)
    await desk.remind()
    after = await rows_about_customers(desk)
    assert {table for table in after if after[table] != before[table]} >= {"action", "claim", "link", "item_progress", "item_dunning", "activity"}
    (message,) = await desk.messages(kind="notice")
    assert message["customer_id"] == desk.customers["C1"]


async def test_a_test_changes_nothing_of_when_the_customer_is_reminded(desk: Desk) -> None:
    """C-01: after a test the reminder goes out as it would have, its spacing and number untouched."""
    template_id = await opened(desk)
    await desk.invoice("1001", due=-9)
    await send(desk, template_id, customer_id=desk.customers["C1"])
    await desk.remind()
    assert desk.mail.subjects() == [f"{OWN} [TEST] Preview: 1001", "ap@c1.example First: 1001"]


async def test_sending_switched_off_lets_tests_through_and_the_emergency_stop_does_not(desk: Desk) -> None:
    """B-28: one looks before one switches on; a stop is a stop."""
    template_id = await opened(desk)
    await desk.invoice("1001", due=-9)
    await desk.ask("PUT", "/tenant/sending", {"enabled": False})
    await send(desk, template_id, customer_id=desk.customers["C1"])
    assert desk.mail.subjects() == [f"{OWN} [TEST] Preview: 1001"]
    await desk.post("/tenant/emergency-stop", {"reason": "A wrong price list."})
    refused = await send(desk, template_id, customer_id=desk.customers["C1"], status=409)
    assert (refused["code"], len(desk.mail.letters)) == ("emergency_stop", 1)


async def test_a_stop_that_comes_after_the_asking_keeps_the_test_back(desk: Desk) -> None:
    """Promises 2.3: the fence of a test looks at the stop; without it the mail would leave."""
    template_id = await opened(desk)
    made = await desk.post(f"/templates/{template_id}/test-send", {"to": OWN, "ledger_id": desk.ledger_id}, status=202)
    await desk.post("/tenant/emergency-stop", {"reason": "Stop."})
    await desk.work()
    message = await desk.get(f"/messages/{made['message_ids'][0]}")
    assert (message["state"], message["reason"], desk.mail.letters) == ("cancelled", "stopped", [])


async def test_the_address_must_be_of_ones_own_company(desk: Desk) -> None:
    """B-28: to oneself, and the refusal says what to set."""
    template_id = await opened(desk)
    refused = await send(desk, template_id, to="ap@customer.example", ledger_id=desk.ledger_id, status=422)
    assert (refused["code"], "acme.example" in refused["detail"]) == ("address_not_internal", True)
    await desk.ask("PATCH", "/tenant", {"internal_domains": []})
    refused = await send(desk, template_id, ledger_id=desk.ledger_id, status=422)
    assert (refused["code"], "PATCH /v1/tenant" in refused["detail"]) == ("no_internal_domains", True)
    assert await desk.messages() == []


async def test_a_sample_goes_out_in_every_language_in_the_ledgers_name(desk: Desk) -> None:
    """S1-04, S1-05: without a customer there is the sample; its sender is the ledger's, its mark in each language."""
    template_id = await opened(desk)
    made = await send(desk, template_id, version=1, language="all", ledger_id=desk.ledger_id)
    assert len(made["message_ids"]) == 2
    assert sorted(letter.subject.split(" ")[0] for letter in desk.mail.letters) == ["[PROVA]", "[TEST]"]
    assert {letter.sender for letter in desk.mail.letters} == {"Acme receivables <ar@acme.example>"}
    assert {message["template_version"] for message in await desk.messages()} == {1}


async def test_a_past_action_is_shown_as_it_was_told_and_its_link_stays_closed(desk: Desk) -> None:
    """C-44: the frozen claim, not today's; nobody reads in the customer's name."""
    template_id = await opened(desk)
    await desk.invoice("1001", "120.00", due=-9)
    await desk.remind()
    told = desk.mail.letters[-1]
    await desk.pay("20.00", "1001")
    action = (await desk.actions())[-1]
    await send(desk, template_id, version=1, action_id=action["action_id"])
    letter = desk.mail.letters[-1]
    assert letter.subject == f"[TEST] {told.subject}"
    assert letter.text == told.text.replace(told.link, "https://link.invalid/test-message")
    assert told.token not in letter.text


async def test_a_task_has_told_nothing_that_could_be_shown(desk: Desk) -> None:
    template_id = await opened(desk)
    await desk.push_customer("C1", emails=[])
    await desk.invoice("1001", due=-9)
    run = await desk.run()
    assert run["counts"]["unreachable"] == 1
    answer = await send(desk, template_id, action_id=str(new_id()), status=404)
    assert answer["code"] == "not_found"


async def test_a_draft_with_faults_and_a_link_only_mail_with_amounts_are_refused(desk: Desk) -> None:
    """What could not be sent to a customer is not sent as a test either, and it is said at once."""
    template_id = await opened(desk)
    refused = await send(desk, template_id, ledger_id=desk.ledger_id, content_mode="link_only", status=422)
    assert refused["code"] == "message_cannot_be_rendered"
    await desk.ask("PATCH", f"/templates/{template_id}", {"contents": {"en": {"subject": SUBJECT, "text": TEXT + "{{nonsense}}"}}})
    refused = await send(desk, template_id, ledger_id=desk.ledger_id, status=422)
    assert "nonsense" in str(refused)
    assert (await send(desk, template_id, version=1, ledger_id=desk.ledger_id))["message_ids"], "the published version still can"


async def test_one_key_sends_one_test(desk: Desk) -> None:
    """Promises 2.3 rule 13: the same Idempotency-Key again answers the same and sends nothing more; without one it is refused."""
    template_id = await opened(desk)
    body = {"to": OWN, "ledger_id": desk.ledger_id}
    path, key = f"/v1/templates/{template_id}/test-send", {"Idempotency-Key": str(new_id())}
    answers = [await desk.api.post(path, json=body, headers=key) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert (await desk.api.post(path, json=body)).status_code == 422
    await desk.work()
    assert len(desk.mail.letters) == 1


async def test_a_refused_test_is_tried_and_ended_like_any_mail(desk: Desk) -> None:
    """C-29: it takes the way of all mails: a refusal ends it and suppresses the address; nothing of the collection reacts."""
    template_id = await opened(desk)
    desk.mail.refusals[OWN] = (550, "5.1.1 no such user")
    made = await send(desk, template_id, ledger_id=desk.ledger_id)
    message = await desk.get(f"/messages/{made['message_ids'][0]}")
    assert (message["state"], message["reason"]) == ("rejected", "unknown_address")
    assert (await desk.get("/suppressions", address=OWN))["data"]
    assert [kind for kind in await desk.events() if kind.startswith("action.")] == []


async def test_another_tenants_objects_cannot_be_shown(desk: Desk, other_api: httpx.AsyncClient, other_tenant: TenantWorld) -> None:
    """T1: template, customer, action and ledger of somebody else are unknown."""
    template_id = await opened(desk)
    await desk.invoice("1001", due=-9)
    key = {"Idempotency-Key": str(new_id())}
    await other_api.patch("/v1/tenant", json={"internal_domains": ["acme.example"], "languages": ["en"]})
    own = (await other_api.post("/v1/templates/shipped/reminder")).json()["template_id"]
    answer = await other_api.post(f"/v1/templates/{template_id}/test-send", json={"to": OWN, "ledger_id": desk.ledger_id}, headers=key)
    assert answer.status_code == 404
    for name, value in (("ledger_id", desk.ledger_id), ("customer_id", desk.customers["C1"]), ("action_id", str(new_id()))):
        answer = await other_api.post(f"/v1/templates/{own}/test-send", json={"to": OWN, name: value}, headers={"Idempotency-Key": str(new_id())})
        assert answer.status_code == 404, name
    assert await other_tenant.value("select count(*) from message") == 0
