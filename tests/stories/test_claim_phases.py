"""Claim phases: who is in which, what each does, and what is launched, sent and kept."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import httpx

from tests.stories.desk import BANK, Desk, notice, scenario, step


async def test_phases_are_free_in_number_and_order_and_come_back_in_their_order(desk: Desk) -> None:
    """S0-01: seven phases stated in any order are read in rank order; two of one rank are refused with both places named."""
    await desk.ask("PATCH", "/tenant", {"languages": ["en"]})
    await desk.template("letter", en=("{{step_name}}", "{{items_list}}"))
    phases = [step(f"{n:02}", 7 * n - 7) | {"rank": n} for n in (3, 0, 6, 1, 5, 2, 4)]
    made = await desk.post("/scenarios", scenario(*phases))
    published = await desk.post(f"/scenarios/{made['scenario_id']}/publish")
    stored = await desk.get(f"/scenarios/{made['scenario_id']}")
    for content in (stored["draft"], published["version"]["content"], await desk.get(f"/scenarios/{made['scenario_id']}/content")):
        assert [one["rank"] for one in content["steps"]] == [0, 1, 2, 3, 4, 5, 6]
    refused = await desk.post("/scenarios", scenario(step("a", 1) | {"rank": 1}, step("b", 2) | {"rank": 1}), status=422)
    assert refused["errors"] == [{"field": "steps[1].rank", "message": "1 is already the rank of steps[0]"}]


async def test_a_phase_without_a_usable_template_is_refused_when_it_is_published(desk: Desk) -> None:
    """S0-02, C-13: a template that is missing, or is not written in a language of the tenant's customers, is named with what to do."""
    await desk.ask("PATCH", "/tenant", {"languages": ["en", "it"]})
    made = await desk.post("/scenarios", scenario(step("01", 1)))
    missing = await desk.post(f"/scenarios/{made['scenario_id']}/publish", status=422)
    assert [(e["field"], e["code"]) for e in missing["errors"] if e["severity"] == "error"] == [("steps[0].notices[0].template", "missing_template")]
    await desk.template("letter", en=("Reminder", "{{items_list}}"))
    half = await desk.post(f"/scenarios/{made['scenario_id']}/publish", status=422)
    assert "Template letter is not written in it. Add the texts." in half["detail"]
    await desk.ask("PATCH", "/tenant", {"languages": ["en"]})
    assert (await desk.post(f"/scenarios/{made['scenario_id']}/publish"))["is_new"]


async def test_each_debt_is_in_the_phase_of_its_age(desk: Desk) -> None:
    """S0-04, S0-05, C-19: due in 1 to 7 days is phase 00, 1 to 7 days overdue with anything open is 01, 8 days is 02; paid or credited is none."""
    await desk.open("claims")
    ages = {8: None, 7: "00", 1: "00", 0: None, -1: "01", -7: "01", -8: "02"}
    for n, due in enumerate(ages):
        await desk.invoice(f"A{n}", due=due, customer=f"A{n}")
    await desk.invoice("P1", due=-3, customer="PART")
    await desk.pay("99.99", "P1", customer="PART")
    await desk.invoice("P2", due=-3, customer="PAID")
    await desk.pay("100.00", "P2", customer="PAID")
    await desk.invoice("P3", due=7, customer="EARLY")
    await desk.pay("100.00", "P3", customer="EARLY")
    await desk.remind()
    reached = {action["customer_id"]: action["step_code"] for action in await desk.actions()}
    assert {n: reached.get(desk.customers[f"A{n}"]) for n in range(len(ages))} == dict(enumerate(ages.values()))
    assert [reached.get(desk.customers[name]) for name in ("PART", "PAID", "EARLY")] == ["01", None, None]
    assert desk.mail.subjects_to("ap@part.example") == ["Payment reminder: €0.01 to Acme S.p.A."]


async def test_the_second_request_says_how_to_pay_by_transfer_in_each_currency(desk: Desk) -> None:
    """S0-06, C-21: beneficiary, IBAN, reference and amount for each currency, each account with its own; nothing is added across currencies."""
    sterling = {"beneficiary": "Acme Ltd", "iban": "GB29NWBK60161331926819", "bic": None, "bank_name": None, "currency": "GBP"}
    await desk.open("claims", bank_accounts=[*BANK, sterling])
    await desk.invoice("1001", "100.00", due=-9)
    await desk.invoice("1002", "70.00", due=-9, currency="GBP")
    await desk.remind()
    (letter,) = desk.mail.to("ap@c1.example")
    assert "Second request" in letter.subject
    assert "€100.00 and £70.00" in letter.subject
    euro, sterling_text = letter.text.split("Acme Ltd")
    assert "IT60 X054 2811 1010 0000 0123 456" in euro
    assert "INV 1001" in euro
    assert "GB29 NWBK 6016 1331 9268 19" in sterling_text
    assert "INV 1002" in sterling_text
    assert "INV 1001" not in sterling_text
    assert "170" not in letter.text


async def test_entering_a_phase_carries_out_each_of_its_operations_once(desk: Desk) -> None:
    """S0-03: what a machine can do is done at its moment, what it cannot is listed for a person, and nothing happens twice."""
    operations = [
        {"kind": "record_activity", "when": "executed", "params": {"type": "claim_sent"}},
        {"kind": "notify_insurer", "when": "executed", "params": {"manual": True}},
        {"kind": "create_call_task", "when": "completed", "params": {"text": "Ask when they pay."}},
        {"kind": "webhook", "when": "completed"},
        {"kind": "block_account", "params": {"release_when": "settled"}},
    ]
    await desk.open(scenario(step("01", 1, operations=operations)))
    await desk.invoice()
    await desk.run(commit_at_once=True)
    action = await desk.action(kind="notice")
    assert [(o["kind"], o["state"], o["due_on"]) for o in action["operations"]] == [
        ("record_activity", "done", None), ("notify_insurer", "waiting", "2026-03-02"), ("create_call_task", "waiting", None), ("webhook", "waiting", None),
        ("block_account", "waiting", None),
    ]  # fmt: skip
    await desk.work()
    await desk.remind()
    await desk.days(2)
    action = await desk.action(kind="notice")
    assert [(o["kind"], o["state"]) for o in action["operations"]][2:] == [("create_call_task", "done"), ("webhook", "done"), ("block_account", "done")]
    assert len((await desk.get("/account-blocks", state="active"))["data"]) == 1
    assert [a["task_text"] for a in await desk.actions(task_kind="call")] == ["Ask when they pay."]
    assert [a["task_text"] for a in await desk.actions(task_kind="notify_insurer")] == ["Notify the credit insurer"]
    assert len((await desk.get("/activities", kind="claim_sent"))["data"]) == 1
    done = await desk.post(f"/actions/{action['action_id']}/operations/2/done", {"note": "Reported as D-88."})
    assert (done[1]["state"], done[1]["note"]) == ("done", "Reported as D-88.")


async def test_a_launched_run_lists_its_actions_messages_and_what_it_left_out(desk: Desk) -> None:
    """S0-10, B-02, B-01: 202 at once; the proposal names actions and why and until when each other item is left out; nothing is stored yet."""
    await desk.open("claims")
    owed = await desk.invoice("1001", due=-2)
    early = await desk.invoice("1002", due=20, customer="C2")
    run = await desk.run(filter={"customer_external_ids": ["C1", "C2"]})
    assert (run["state"], run["counts"]["actions"], run["counts"]["by_step"], run["reasons"]) == ("proposed", 1, {"01": 1}, {"NOT_YET": 1})
    assert (await desk.post(f"/ledgers/{desk.ledger_id}/runs", {}, status=409))["run_id"] == run["run_id"]
    found = {one["external_id"]: one for one in (await desk.get(f"/runs/{run['run_id']}/customers"))["data"]}
    assert [row["item_id"] for row in found["C1"]["actions"][0]["rows"]] == [owed]
    assert found["C2"]["reasons"] == [{"item_id": early, "reasons": ["NOT_YET"], "first_day": "2026-03-15"}]
    assert await desk.actions() == []
    await desk.post(f"/runs/{run['run_id']}/commit", status=202)
    await desk.work()
    action = await desk.action(run=run["run_id"])
    assert [(m["to_email"], m["state"]) for m in action["messages"]] == [("ap@c1.example", "accepted")]


async def test_a_full_mail_has_a_row_for_each_instalment_with_its_status(desk: Desk) -> None:
    """S0-11, C-22, C-42: document, due date, original, open and status, each row its own."""
    await desk.open("claims")
    await desk.invoice("1001", "250.00", due=-6)
    await desk.invoice("1002", "80.00", due=-2)
    await desk.pay("100.00", "1001")
    await desk.remind()
    rows = [line for line in desk.mail.last("ap@c1.example").text.splitlines() if line.startswith("Invoice ")]
    assert [row.split() for row in rows] == [
        ["Invoice", "1001", "24", "Feb", "2026", "€250.00", "€150.00", "part", "paid,", "6", "days", "overdue"],
        ["Invoice", "1002", "28", "Feb", "2026", "€80.00", "€80.00", "2", "days", "overdue"],
    ]


async def test_the_content_chosen_at_launch_wins_and_the_link_opens_live_data(desk: Desk, anonymous: httpx.AsyncClient) -> None:
    """S0-12, S0-21: with text and link only, neither amount nor document number is in the mail; behind the link is the state of the moment."""
    await desk.open("claims", challenge="document_number")
    await desk.invoice("77001", "123.45", due=-2)
    refused = await desk.post(f"/ledgers/{desk.ledger_id}/runs", {"content_mode": "link_only"}, status=409)
    assert "Publish a template with the code claim-link first" in refused["detail"]
    await desk.post("/templates/shipped/claim-link")
    await desk.remind(content_mode="link_only")
    letter = desk.mail.last("ap@c1.example")
    whole = letter.subject + letter.text.replace(letter.link, "") + letter.html.replace(letter.link, "")
    assert "123" not in whole
    assert "77001" not in whole
    assert (await desk.action())["claims"][0]["data"]["blocks"][0]["total_minor"] == 12345, "the control: the claim itself knows both"
    await desk.pay("23.45", "77001")
    page = await open_link(anonymous, letter.link, "77001")
    assert "€123.45" in page
    assert "€100.00" in page


async def open_link(browser: httpx.AsyncClient, link: str, answer: str) -> str:
    """Open a mail's link as its customer does, with the answer that the page asks for; return what it shows."""
    nonce = (await browser.get(link)).text.partition('name="nonce" value="')[2].partition('"')[0]
    shown = await browser.post(link, data={"form": "answer", "nonce": nonce, "answer": answer})
    assert shown.status_code == 200, shown.text
    return shown.text


async def test_customer_and_colleagues_get_their_own_door(desk: Desk, anonymous: httpx.AsyncClient) -> None:
    """S0-13, S1-06, C-14: by role; the colleague's mail leads to the CRM; the customer's token is in one mail only, and a copy's own link proves nothing."""
    internal = notice(code="inside", audience="internal", to_roles=["account_manager"], template="internal-notice", primary=False, fallback=[])
    await desk.post("/templates/shipped/internal-notice")
    phases = scenario(step("01", 1, "First reminder", notices=[notice(copy_roles=["collections_manager"]), internal]))
    await desk.open(phases)
    people = [
        {"external_id": "b", "name": "Invoices", "email": "invoices@c1.example", "roles": ["billing"]},
        {"external_id": "d", "name": "Dora", "email": "dora@c1.example", "roles": ["dunning"]},
        {"external_id": "m", "name": "Max", "email": "max@acme.example", "roles": ["account_manager"], "internal": True},
        {"external_id": "c", "name": "Cleo", "email": "cleo@acme.example", "roles": ["collections_manager"], "internal": True},
    ]
    await desk.push_customer("C1", contacts=people, crm_url="https://crm.example/c/C1")
    await desk.invoice()
    await desk.remind()
    assert sorted(letter.to for letter in desk.mail.letters) == ["cleo@acme.example", "dora@c1.example", "max@acme.example"]
    dora, cleo, max_ = (desk.mail.last(address) for address in ("dora@c1.example", "cleo@acme.example", "max@acme.example"))
    assert dora.link.startswith("http://testserver/c/")
    assert max_.link == "https://crm.example/c/C1"
    assert dora.token not in cleo.text + cleo.html + max_.text + max_.html
    inside = await anonymous.get(cleo.link)
    assert "1001" not in inside.text
    (told,) = await desk.messages(to="dora@c1.example")
    assert (await desk.get(f"/messages/{told['message_id']}/evidence"))["fetches"] == 0
    (log,) = await desk.messages(to="dora@c1.example")
    assert log["cc"] == ["cleo@acme.example"]


async def test_reading_is_graded_and_fetching_the_page_is_not_reading(desk: Desk, anonymous: httpx.AsyncClient) -> None:
    """S0-14, C-32: dated events with a grade each; a scanner's visit stays `fetched`, an answer is a reading, a confirmation an acknowledgement."""
    await desk.open("claims", challenge="document_number")
    await desk.invoice("77001", due=-2)
    await desk.remind()
    (message,) = await desk.messages()
    link = desk.mail.last("ap@c1.example").link

    async def grade() -> tuple[str, bool]:
        found = await desk.get(f"/messages/{message['message_id']}/evidence")
        assert all(event["recorded_at"] for event in found["events"])
        return found["reading"]["code"], found["counts_as_customer_reading"]

    assert await grade() == ("none", False)
    await anonymous.head(link)
    assert (await anonymous.get(link)).status_code == 200
    assert await grade() == ("fetched", False)
    page = await open_link(anonymous, link, "77001")
    assert await grade() == ("read_confirmed", True)
    nonce = page.rpartition('name="nonce" value="')[2].partition('"')[0]
    confirmed = await anonymous.post(link, data={"form": "acknowledge", "nonce": nonce, "name": "Anna", "role": "Accounts"})
    assert confirmed.status_code == 200
    assert await grade() == ("acknowledged", True)


async def test_the_history_is_kept_consulted_and_leads_to_the_amounts_of_its_day(desk: Desk) -> None:
    """S0-15, S0-16, S0-17: filters by customer, phase, day and channel, page by page; each entry leads to items and documents with what was open then."""
    await desk.open("claims")
    await desk.invoice("1001", "250.00", due=0)
    await desk.invoice("2001", due=-8, customer="C2")
    await desk.days(9)
    await desk.pay("200.00", "1001")
    whole = await desk.actions()
    done = sorted((a["completed_on"], a["step_code"]) for a in whole)
    assert done == [("2026-03-03", "01"), ("2026-03-03", "02"), ("2026-03-10", "02"), ("2026-03-10", "03")]
    first = await desk.action(customer=desk.customers["C1"], step="01", channel="email", **{"from": "2026-03-01", "to": "2026-03-05"})
    (row,) = [item for item in first["items"] if item["state"] == "completed"]
    assert (row["open_then"]["amount"], row["open_now"]["amount"], row["number"]) == ("250.00", "50.00", "1001")
    assert (await desk.get(f"/documents/{row['document_id']}"))["items"][0]["item_id"] == row["item_id"]
    page = await desk.get("/actions", limit=3)
    rest = await desk.get("/actions", limit=3, cursor=page["next_cursor"])
    assert [a["action_id"] for a in page["data"] + rest["data"]] == [a["action_id"] for a in reversed(whole)]
    assert rest["next_cursor"] is None


def test_no_operation_changes_or_removes_history() -> None:
    """S0-15: nothing of actions, claims, messages, activities, readings and events can be put, patched or deleted.

    But for a plan that has not been carried out, which people may change (S2-11): what it was before is kept in an event.
    """
    paths = json.loads((Path(__file__).parents[2] / "openapi" / "openapi.json").read_text())["paths"]
    kept = ("/v1/actions", "/v1/claims", "/v1/messages", "/v1/activities", "/v1/events", "/v1/runs/{run_id}/verify")
    changing = {(path, verb) for path, verbs in paths.items() if path.startswith(kept) for verb in verbs if verb in {"put", "patch", "delete"}}
    assert changing == {("/v1/actions/{action_id}", "patch")}
    assert any(verb == "patch" for verbs in paths.values() for verb in verbs), "the control: such operations would be seen"


async def test_the_message_log_shows_to_whom_what_and_when(desk: Desk) -> None:
    """S0-18: to, cc, bcc, subject, when it was sent, the relay's id, and the delivery state."""
    await desk.open("claims")
    await desk.invoice(due=-2)
    await desk.remind()
    (message,) = await desk.messages(state="accepted")
    assert message["to"] == {"email": "ap@c1.example", "name": "Person 0"}
    assert (message["cc"], message["bcc"], message["subject"]) == ([], [], "Payment reminder: €100.00 to Acme S.p.A.")
    assert dt.datetime.fromisoformat(message["sent_at"]) == dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
    assert "kept as number 1" in message["reply"]
    assert (message["state"], message["delivery"], message["header_message_id"]) == ("accepted", "none", desk.mail.last("ap@c1.example").message_id)


async def test_the_link_may_lead_to_the_companys_own_extranet(desk: Desk) -> None:
    """S0-22: the mail's link is the company's address with the token, and its server exchanges the token for the claim, vouching for the reader."""
    await desk.open("claims", link_target="https://extranet.acme.example/claims/{token}")
    await desk.invoice("1001", "100.00", due=-2)
    await desk.remind()
    link = desk.mail.last("ap@c1.example").link
    assert link.startswith("https://extranet.acme.example/claims/")
    await desk.pay("40.00", "1001")
    body = {"token": link.rpartition("/")[2], "reader": {"name": "Anna Rossi", "role": "accounting", "contact": None}, "act": "view", "statement": None}
    found = await desk.post("/links/resolve", body)
    (block,) = found["blocks"]
    assert (block["total"]["amount"], block["open_now"]["amount"], found["settled"]) == ("100.00", "60.00", False)
    assert found["reading"]["grade"] == "read_confirmed"
    (message,) = await desk.messages()
    events = (await desk.get(f"/messages/{message['message_id']}/evidence"))["events"]
    assert events[-1]["details"]["reader"]["name"] == "Anna Rossi"
