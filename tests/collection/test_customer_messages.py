"""One message to one customer: what looking at it shows and what sending it does, and that both refuse the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from dunning.collection import customer_messages
from dunning.kit.ids import new_id
from tests.collection.stage import Stage
from tests.collection.test_specific_actions import LADDER, mail, mails, make, opened, said


async def test_one_message_to_a_customer_is_looked_at_first_and_stands_beside_the_scenario(stage: Stage) -> None:
    """S3-08: preview and message say the same; the scenario goes on as if nothing had been sent."""
    customer_id, items = await opened(stage)
    await stage.hold(item_id=items[2])
    body = {"text": "Still open: {{items_amount_selected}}."}
    shown = await stage.post(f"/customers/{customer_id}/messages/preview", body)
    assert (shown["items"], shown["recipients"], shown["left_out"]) == (2, 1, {str(items[2]): "held"})
    assert await stage.actions() == []
    made = await stage.post(f"/customers/{customer_id}/messages", body, status=201)
    assert made["origin"] == "ad_hoc"
    await stage.settle()
    sent = await said(stage, made)
    assert sent["subject"] == shown["subject"]
    assert "Still open: €300.00." in shown["text"]
    assert "Still open: €300.00." in sent["text"]
    await stage.remind()
    assert (await mails(stage))[1:] == ["10000 20000"]
    chosen = await stage.post(f"/customers/{customer_id}/messages/preview", {**body, "item_ids": [str(items[2])]}, status=409)
    assert (chosen["code"], chosen["reason"]) == ("nothing_to_tell", "held")


async def refused_both_ways(stage: Stage, customer_id: UUID, body: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Return what looking at a message and sending it answer."""
    answers = []
    for path in ("messages/preview", "messages"):
        answer = await stage.api.post(f"/v1/customers/{customer_id}/{path}", json=body, headers={"Idempotency-Key": str(new_id())})
        answers.append((answer.status_code, dict(answer.json())))
    return answers


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"text": "Open: #items_amount_selectd"}, "malformed", "text"),
        ({"text": "{% if x %}a{% endif %}"}, "malformed", "text"),
        ({"text": "Before {{deadline}}."}, "message_cannot_be_rendered", "text"),
        ({"subject": "Before {{deadline}}"}, "message_cannot_be_rendered", "subject"),
        ({"subject": "{{items_list}}"}, "malformed", "subject"),
        ({"text": "hello", "template": "claim-01"}, "malformed", "text"),
        ({"text": "#items_amount", "content_mode": "link_only"}, "malformed", "text"),
        ({"text": "hello", "content_mode": "link_only"}, "malformed", "text"),
        ({"content_mode": "short"}, "malformed", "content_mode"),
        ({"deadline_days": 400}, "malformed", "deadline_days"),
        ({"to_emails": ["a@b.example"]}, "malformed", "to_emails"),
        ({"item_ids": []}, "malformed", "item_ids"),
        ({"item_ids": ["unknown"]}, "not_found", None),
        ({"item_ids": ["settled", "open"]}, "item_not_open", None),
        ({"item_ids": ["held"]}, "nothing_to_tell", None),
        ({"contact_ids": ["unknown"]}, "not_found", None),
        ({"contact_ids": ["colleague"]}, "malformed", "contact_ids"),
        ({"template": "no-such"}, "template_not_published", None),
        ({"counts_as_step": "99"}, "no_such_step", None),
        ({"counts_as_step": "01", "item_ids": ["reached"]}, "step_reached", None),
    ],
)
async def test_looking_at_a_message_refuses_what_sending_it_refuses_with_the_same_problem(
    stage: Stage, body: dict[str, Any], code: str, field: str | None
) -> None:
    """S3-08: whoever has seen a preview can send it."""
    customer_id, named = await with_one_of_each(stage)
    before = await stage.actions()
    asked = {name: [str(named[one]) for one in value] if name in {"item_ids", "contact_ids"} else value for name, value in body.items()}
    (looked, shown), (sent, told) = await refused_both_ways(stage, customer_id, asked)
    assert (looked, shown) == (sent, told)
    assert (looked in {404, 409, 422}, shown["code"]) == (True, code), shown
    assert [error["field"].removeprefix("body.") for error in shown.get("errors", ())][:1] == ([field] if field else [])
    assert await stage.actions() == before


async def with_one_of_each(stage: Stage) -> tuple[UUID, dict[str, UUID]]:
    """Open a company with items and contacts of one customer in every state that a message can meet."""
    customer_id, items = await opened(stage, invoices=4)
    named = {"open": items[0], "settled": items[1], "held": items[2], "reached": items[3], "unknown": UUID(str(new_id()))}
    await stage.pay("200.00", named["settled"])
    await stage.hold(item_id=named["held"])
    await make(stage, customer_id, mail(named["reached"], origin="ad_hoc", counts_as_step="01"))
    await stage.settle()
    people = [
        {"external_id": "p0", "name": "Anna", "email": "anna@c1.example", "roles": ["dunning"], "internal": False},
        {"external_id": "p1", "name": "Ada", "email": "ada@acme.example", "roles": ["sales"], "internal": True},
    ]
    await stage.customer(contacts=people)
    contacts = (await stage.get(f"/customers/{customer_id}"))["contacts"]
    named["colleague"] = UUID(next(one["contact_id"] for one in contacts if one["internal"]))
    return customer_id, named


async def test_a_preview_that_looked_at_less_than_sending_would_be_seen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A positive control of the comparison: without its look at the step, the preview shows what sending refuses."""

    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(customer_messages, "reaching", SimpleNamespace(check_completion=nothing))
    customer_id, _ = await opened(stage)
    (looked, _), (sent, _) = await refused_both_ways(stage, customer_id, {"counts_as_step": "99"})
    assert (looked, sent) == (200, 409)


async def test_a_message_to_somebody_whom_no_mail_reaches_is_a_task_and_its_preview_says_that_nobody_is_reached(stage: Stage) -> None:
    """S3-08: what cannot be mailed is not refused, somebody tells it."""
    await stage.open(LADDER)
    customer_id = await stage.customer(emails=[])
    await stage.invoice("100.00")
    assert (await stage.post(f"/customers/{customer_id}/messages/preview", {"text": "Kindly."}))["recipients"] == 0
    made = await stage.post(f"/customers/{customer_id}/messages", {"text": "Kindly."}, status=201)
    assert (made["state"], made["reason"]) == ("waiting", "no_address")
