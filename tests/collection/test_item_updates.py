"""What a collector says about selected items in one go, and what a colleague does who is asked about them."""

from __future__ import annotations

import html
import re
from typing import Any
from uuid import UUID

import httpx
import pytest

from dunning.evidence.tokens import token_of
from tests.collection.stage import Stage
from tests.collection.test_specific_actions import mails, make, opened, task
from tests.conftest import KEYRING, client_of


async def update(stage: Stage, customer_id: UUID, *items: UUID, status: int = 201, **body: Any) -> dict[str, Any]:
    return dict(await stage.post(f"/customers/{customer_id}/item-updates", {"item_ids": [str(item) for item in items], **body}, status=status))


async def comments(stage: Stage, item: UUID) -> list[str]:
    rows = await stage.tenant.rows("select text from item_comment where tenant_id = $1 and item_id = $2 order by item_comment_id", stage.tenant_id, item)
    return [str(row["text"]) for row in rows]


async def test_the_three_steps_in_one_call_or_none_of_them(stage: Stage) -> None:
    """S4-08, S4-09, S4-10, S4-12: status and comment, a mail to the customer, a specific action; a fault in the last leaves nothing of the first."""
    customer_id, (first, second, _) = await opened(stage)
    done = await update(
        stage, customer_id, first, second, status_code="litigation", comment="Passed on.", notify="none", next={"title": "Dossier", **_task()}
    )  # fmt: skip
    assert len(done["comment_ids"]) == 2
    assert (done["action"]["origin"], done["action"]["state"]) == ("specific", "waiting")
    assert done["message"] is None
    assert await comments(stage, first) == ["Passed on."]
    refused = await update(stage, customer_id, first, comment="Never.", next={"title": "Twice", **_task()}, status=409)
    assert refused["code"] == "item_in_specific_action"
    assert await comments(stage, first) == ["Passed on."]
    unknown = await update(stage, customer_id, first, status_code="no-such", status=404)
    assert unknown["code"] == "not_found"
    nothing = await update(stage, customer_id, second)
    assert nothing == {"comment_ids": [], "message": None, "action": None, "left_action_ids": []}


async def test_a_mail_to_the_customer_now_is_about_the_items_as_they_stand_after_the_first_step(stage: Stage) -> None:
    """S4-10: an item that has just got an excluding status is not written about."""
    customer_id, (first, second, _) = await opened(stage)
    done = await update(stage, customer_id, first, comment="Promised a copy.", notify="customer", message={"text": "Please see #document_numbers."})
    assert (done["message"]["origin"], done["message"]["state"]) == ("ad_hoc", "executed")
    excluded = await update(stage, customer_id, second, status_code="litigation", notify="customer")
    assert (excluded["message"]["state"], excluded["message"]["reason"]) == ("cancelled", "excluded_status")
    await stage.settle()
    assert await mails(stage) == ["10000"]


@pytest.mark.parametrize("then", ["task", "mail"])
async def test_a_mail_now_and_a_specific_action_later_are_both_done(stage: Stage, then: str) -> None:
    """S4-10, S4-12: the action keeps the items from the scenario and from other mails, not from the mail of the same call."""
    customer_id, (first, *_) = await opened(stage)
    later = {
        "title": "Later",
        "scheduled_on": "2026-03-05",
        **(_task() if then == "task" else {"mode": "automatic", "content": {"text": "Again: #document_numbers."}}),
    }
    done = await update(stage, customer_id, first, comment="Called.", notify="customer", message={"text": "As we said: #document_numbers."}, next=later)
    await stage.settle()
    assert [(await stage.action(done[name]["action_id"]))["state"] for name in ("message", "action")] == [
        "completed",
        "waiting" if then == "task" else "scheduled",
    ]
    assert await mails(stage) == ["10000"]
    other = await stage.post(f"/customers/{customer_id}/messages", {"text": "And this?", "item_ids": [str(first)]}, status=409)
    assert other["reason"] == "specific_action"
    await stage.remind()
    assert await mails(stage) == ["10000", "20000 30000"]


async def test_following_the_scenario_takes_items_out_of_their_specific_action(stage: Stage) -> None:
    """S4-12: an action that is left without items ends; another goes on with the rest."""
    customer_id, (first, second, _) = await opened(stage)
    made = await make(stage, customer_id, task(first, second))
    left = await update(stage, customer_id, first, next="follow_scenario")
    assert left["left_action_ids"] == [made["action_id"]]
    assert (await stage.action(made["action_id"]))["state"] == "waiting"
    await update(stage, customer_id, second, next="follow_scenario")
    ended = await stage.action(made["action_id"])
    assert (ended["state"], ended["reason"]) == ("cancelled", "follow_scenario")
    await stage.remind()
    assert await mails(stage) == ["10000 20000 30000"]


async def test_an_address_outside_the_company_is_refused(stage: Stage) -> None:
    """S4-11."""
    customer_id, (first, *_) = await opened(stage)
    message = {"to_emails": ["bruno@acme.example"]}
    refused = await update(stage, customer_id, first, notify="internal", message=message, status=422)
    assert (refused["code"], "internal_domains" in refused["detail"]) == ("address_outside_company", True)
    await _own_domain(stage)
    refused = await update(stage, customer_id, first, notify="internal", message={"to_emails": ["ap@c1.example"]}, status=422)
    assert (refused["code"], refused["errors"][0]["field"]) == ("address_outside_company", "to_emails.0")
    nobody = await update(stage, customer_id, first, notify="internal", status=422)
    assert "to_emails" in nobody["detail"]
    assert await stage.actions() == []


async def _own_domain(stage: Stage) -> None:
    answer = await stage.api.patch("/v1/tenant", json={"internal_domains": ["acme.example"]})
    assert answer.status_code == 200, answer.text


def _task() -> dict[str, Any]:
    body = task()
    del body["item_ids"], body["title"]
    return body


class Colleague:
    """Somebody with the link of a mail and a browser that keeps nothing."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self.client, self.path = client, url.replace("http://testserver", "")
        self.page = self.raw = ""

    async def open(self) -> int:
        landing = await self.client.get(self.path)
        self.raw = self.page = landing.text
        return await self.press(form="answer")

    async def press(self, **form: str) -> int:
        wanted = form["form"]
        nonces = re.findall(r'name="form" value="(\w+)">\s*<input type="hidden" name="nonce" value="([^"]+)"', self.page)
        nonce = dict(nonces)[wanted]
        answer = await self.client.post(self.path, data={"nonce": nonce, **form})
        self.raw, self.page = answer.text, html.unescape(answer.text)
        return answer.status_code


async def asked(stage: Stage, app: object) -> tuple[UUID, UUID, dict[str, Any], Colleague]:
    """Ask a colleague about an item by mail, and return the customer, the item, the update and the colleague at the link."""
    customer_id, (item, *_) = await opened(stage)
    await _own_domain(stage)
    done = await update(
        stage, customer_id, item, comment="Did we deliver this?", notify="internal", message={"to_emails": ["bruno@acme.example"], "subject": "Delivery?"}
    )  # fmt: skip
    await stage.settle()
    action = await stage.action(done["message"]["action_id"])
    assert [(m["state"], m["to_email"], m["audience"]) for m in action["messages"]] == [("accepted", "bruno@acme.example", "internal")]
    rows = await stage.tenant.rows("select link_id, key_id from link where tenant_id = $1", stage.tenant_id)
    token = token_of(KEYRING, stage.tenant_id, rows[0]["link_id"], str(rows[0]["key_id"]))  # type: ignore[arg-type]
    return customer_id, item, action, Colleague(client_of(app, None), f"/c/{token}")


async def test_a_colleague_sees_statuses_and_comments_takes_charge_and_replies_into_the_comments(stage: Stage, app: object) -> None:
    """S4-11: by a signed link, without a login; the customer's reading is untouched and nobody is reminded."""
    customer_id, item, action, bruno = await asked(stage, app)
    landing = await bruno.client.get(bruno.path)
    assert "Did we deliver" not in landing.text, "a scanner that follows the link sees nothing"
    assert await bruno.open() == 200
    for shown in ("Customer C1", "1001", "€100.00", "Did we deliver this?", "Nobody has taken charge yet."):
        assert shown in bruno.page
    assert await bruno.press(form="take_charge") == 200
    assert "You have taken charge." in bruno.page
    assert 'value="take_charge"' not in bruno.page, "there is nothing more to press"
    assert await bruno.press(form="reply", text="Yes, on 3 January. <b>Signed</b>") == 200
    assert "&lt;b&gt;Signed&lt;/b&gt;" in bruno.raw
    assert await bruno.press(form="reply", text="  ") == 422
    assert await comments(stage, item) == ["Did we deliver this?", "Yes, on 3 January. <b>Signed</b>"]
    (said,) = await stage.tenant.rows("select * from item_comment where tenant_id = $1 and source = 'action'", stage.tenant_id)
    assert (str(said["source_id"]), "@" in str(said["actor"])) == (action["action_id"], False)
    kinds = [a["kind"] for a in (await stage.action(action["action_id"]))["activities"]]
    assert "request_taken" in kinds
    assert await stage.progress(item) == []
    assert customer_id


async def test_a_person_who_takes_charge_has_the_action(stage: Stage, app: object) -> None:
    """S4-11: an address that is a person's acts in the person's name."""
    person = await stage.post("/people", {"name": "Bruno Neri", "email": "bruno@acme.example", "role": "account_manager"}, status=201)
    _, _, action, bruno = await asked(stage, app)
    await bruno.open()
    await bruno.press(form="take_charge")
    assert "You have taken charge." in bruno.page
    assert (await stage.action(action["action_id"]))["person_id"] == person["person_id"]


async def test_another_colleague_sees_who_has_taken_charge_and_may_take_over(stage: Stage, app: object) -> None:
    """S4-11: whoever says so last has it; one comment on several documents is shown once, with their numbers."""
    customer_id, (first, second, _) = await opened(stage)
    await _own_domain(stage)
    message = {"to_emails": ["bruno@acme.example", "carla@acme.example"], "subject": "Delivery?"}
    await update(stage, customer_id, first, second, comment="Did we deliver these?", notify="internal", message=message)
    await stage.settle()
    links = await stage.tenant.rows(
        """select l.link_id, l.key_id, d.to_email from link l join message_address d on d.tenant_id = l.tenant_id and d.message_id = l.message_id
            where l.tenant_id = $1""",
        stage.tenant_id,
    )
    tokens = {str(row["to_email"]): token_of(KEYRING, stage.tenant_id, row["link_id"], str(row["key_id"])) for row in links}  # type: ignore[arg-type]
    bruno, carla = (Colleague(client_of(app, None), f"/c/{tokens[to]}") for to in message["to_emails"])
    await bruno.open()
    await bruno.press(form="take_charge")
    await carla.open()
    assert carla.page.count("<li>") == 1
    assert "(1001, 1002)" in carla.page
    assert "bruno@acme.example has taken charge." in carla.page
    assert "I take over" in carla.page
    await carla.press(form="take_charge")
    await bruno.open()
    assert "carla@acme.example has taken charge." in bruno.page


async def test_a_colleague_is_written_to_by_name_and_never_in_the_customers_language_for_want_of_an_own(stage: Stage) -> None:
    """S4-11, C-13: a person's own language and name, else the ledger's language and no name; the customer's stay the customer's."""
    customer_id, (first, second, _) = await opened(stage)
    await _own_domain(stage)
    async with stage.tenant.database.transaction(stage.tenant_id) as session:
        await session.execute("update tenant set languages = '{en,fr,it}' where tenant_id = $1", stage.tenant_id)
        await session.execute("update customer set language = 'fr' where tenant_id = $1", stage.tenant_id)
    await stage.post("/people", {"name": "Carla Neri", "email": "Carla@acme.example", "role": "account_manager", "language": "it"}, status=201)
    message = {"to_emails": ["bruno@acme.example", "carla@acme.example"]}
    asked = await update(stage, customer_id, first, notify="internal", message=message)
    told = await update(stage, customer_id, second, notify="customer", message={"text": "Please see #document_numbers."})
    await stage.settle()
    written = {}
    for action_id in (asked["message"]["action_id"], told["message"]["action_id"]):
        for one in (await stage.get("/messages", action=action_id))["data"]:
            written[one["to"]["email"]] = (one["language"], one["to"]["name"])
    assert written == {"bruno@acme.example": ("en", None), "carla@acme.example": ("it", "Carla Neri"), "ap@c1.example": ("fr", "Person 0")}


async def test_control_the_forms_of_a_colleague_are_worth_nothing_elsewhere(stage: Stage, app: object) -> None:
    """A form without its nonce, and a customer's link, store nothing."""
    _, item, _, bruno = await asked(stage, app)
    forged = await bruno.client.post(bruno.path, data={"form": "reply", "text": "Forged", "nonce": "x"})
    assert forged.status_code == 400
    await bruno.open()
    await stage.remind()
    link = (await stage.tenant.rows("select link_id, key_id from link where tenant_id = $1 and audience = 'customer'", stage.tenant_id))[0]
    bruno.path = f"/c/{token_of(KEYRING, stage.tenant_id, link['link_id'], str(link['key_id']))}"  # type: ignore[arg-type]
    assert await bruno.press(form="reply", text="Forged") == 400
    assert await comments(stage, item) == ["Did we deliver this?"]
