"""Opt-outs from notices before the due date: one click without a login, and later steps still go (promises 9, RFC 8058)."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from urllib.parse import urlsplit

import httpx
import pytest

from dunning.kit.database import Database
from dunning.kit.settings import Settings
from dunning_worker.world import World, world_of
from tests.conftest import KEYRING, TenantWorld
from tests.stories import mailbox
from tests.stories.desk import Desk, scenario, step
from tests.stories.mailbox import Mailbox

WAY = (step("before", -5, "Coming due", until=-1), step("after", 1, "Overdue", until=30))


@pytest.fixture
def world(database: Database, settings: Settings, mail: Mailbox) -> World:
    """A worker whose service is reached by https, as one-click addresses must be."""
    made = world_of(database, settings.model_copy(update={"public_url": "https://testserver"}), KEYRING)
    made.transports = {"sink": mail}
    return made


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EmailMessage]]:
    """Whole mails as they arrive, with their headers."""
    kept: list[EmailMessage] = []
    read = mailbox.letter_of

    def keep(recipient: str, mime: bytes) -> mailbox.Letter:
        kept.append(email.message_from_bytes(mime, policy=email.policy.SMTP))
        return read(recipient, mime)

    monkeypatch.setattr(mailbox, "letter_of", keep)
    yield kept


def path_of(mail: EmailMessage) -> str:
    """Return the path of a mail's one-click address."""
    header = str(mail["List-Unsubscribe"])
    assert header.startswith("<https://")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    return urlsplit(header.strip("<>")).path


async def test_only_mails_before_the_due_date_offer_the_one_click(desk: Desk, mails: list[EmailMessage]) -> None:
    """Promises 9: courtesy notices carry the header, reminders do not; the address is https in the header wherever the service is reached by https."""
    await desk.open(scenario(*WAY))
    await desk.invoice("1001", due=4)
    await desk.remind()
    await desk.days(7)
    before, after = mails
    assert before["List-Unsubscribe"] is not None
    assert after["List-Unsubscribe"] is None
    assert desk.mail.subjects() == ["ap@c1.example Coming due: 1001", "ap@c1.example Overdue: 1001"]


async def test_one_click_stops_notices_before_the_due_date_and_nothing_else(desk: Desk, mails: list[EmailMessage], anonymous: httpx.AsyncClient) -> None:
    """RFC 8058: POST without login or cookie; the next courtesy notice is passed over with its reason, the reminder comes."""
    await desk.open(scenario(*WAY))
    await desk.invoice("1001", due=4)
    await desk.remind()
    path = path_of(mails[0])
    for _ in range(2):
        clicked = await anonymous.post(path, content="List-Unsubscribe=One-Click", headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert clicked.status_code == 200
    (listed,) = (await desk.get(f"/customers/{desk.customers['C1']}/opt-outs"))["data"]
    assert (listed["recorded_by"], [c["email"] for c in listed["contacts"]]) == ("recipient", ["ap@c1.example"])
    assert listed["message_id"] == (await desk.messages())[0]["message_id"]
    assert (await desk.events()).count("contact.opted_out") == 1
    item = await desk.invoice("1002", due=5)
    await desk.days(1)
    (action,) = await desk.actions(item=item)
    assert (action["state"], action["reason"]) == ("cancelled", "opted_out")
    rows = await desk.tenant.rows("select step_code, state, reason from item_progress where item_id = $1", item)
    assert [(r["step_code"], r["state"], r["reason"]) for r in rows] == [("before", "skipped", "opted_out")]
    assert await desk.messages(action=action["action_id"]) == []
    await desk.days(7)
    assert desk.mail.subjects()[1:] == ["ap@c1.example Overdue: 1001", "ap@c1.example Overdue: 1002"]


async def test_control_without_the_click_the_second_notice_comes(desk: Desk, mails: list[EmailMessage], anonymous: httpx.AsyncClient) -> None:
    """The control: a look at the page, as scanners take, opts nobody out."""
    await desk.open(scenario(*WAY))
    await desk.invoice("1001", due=4)
    await desk.remind()
    assert (await anonymous.get(path_of(mails[0]))).status_code == 200
    await desk.invoice("1002", due=5)
    await desk.days(1)
    assert "ap@c1.example Coming due: 1002" in desk.mail.subjects()
    assert (await desk.get(f"/customers/{desk.customers['C1']}/opt-outs"))["data"] == []


async def test_the_page_shows_a_button_and_nothing_of_the_claim(desk: Desk, mails: list[EmailMessage], anonymous: httpx.AsyncClient) -> None:
    """Promises 9: neutral, in the reader's language, without company, document or amount; a wrong token says no more than that."""
    await desk.open(scenario(*WAY))
    await desk.push_customer("C1", language="en")
    await desk.invoice("1001", "4711.00", due=4)
    await desk.remind()
    path = path_of(mails[0])
    page = await anonymous.get(path)
    assert "Stop these notices" in page.text
    assert "Non ricevere" in (await anonymous.get(f"{path}?lang=it")).text
    for secret in ("4711", "4,711", "1001", "Acme", "Customer C1", "c1.example"):
        assert secret not in page.text
    assert page.headers["cache-control"] == "no-store"
    for wrong in (path[:-2] + "AA", "/o/unknown", path.replace("/o/", "/c/")):
        assert (await anonymous.get(wrong)).status_code == 404
    assert (await anonymous.post("/o/unknown")).status_code == 404


async def test_a_notice_that_waits_is_stopped_by_the_click(desk: Desk, mails: list[EmailMessage], anonymous: httpx.AsyncClient) -> None:
    """The last look: an opt-out between queueing and sending wins."""
    await desk.open(scenario(*WAY))
    await desk.invoice("1001", due=4)
    await desk.remind()
    item = await desk.invoice("1002", due=5)
    await desk.tenant.set_clock((await desk.now()).replace(hour=9, day=3))
    await desk.run(commit_at_once=True)
    (waiting,) = [m for m in await desk.messages() if m["state"] == "ready"]
    assert (await anonymous.post(path_of(mails[0]))).status_code == 200
    await desk.work()
    stopped = await desk.get(f"/messages/{waiting['message_id']}")
    assert (stopped["state"], stopped["reason"]) == ("cancelled", "opted_out")
    assert len(desk.mail.letters) == 1
    await desk.days(8)
    assert "after" in [
        row["step_code"] for row in await desk.tenant.rows("select step_code from item_progress where item_id = $1 and state = 'completed'", item)
    ]


async def test_ones_own_people_record_and_revoke_an_opt_out(desk: Desk, other_api: httpx.AsyncClient, mails: list[EmailMessage]) -> None:
    """Promises 9: recorded for somebody who phoned, listed, taken back; another tenant sees none of it (T1)."""
    await desk.open(scenario(*WAY))
    await desk.push_customer("C1", emails=["one@c1.example", "two@c1.example"])
    customer = desk.customers["C1"]
    made = await desk.post(f"/customers/{customer}/opt-outs", {"contact_external_id": "p1"}, status=201)
    assert [c["email"] for c in made["contacts"]] == ["two@c1.example"]
    await desk.invoice("1001", due=4)
    await desk.remind()
    assert desk.mail.subjects() == ["one@c1.example Coming due: 1001"], "the other contact has not opted out"
    path = f"/v1/customers/{customer}/opt-outs"
    assert (await other_api.get(path)).status_code == 404
    assert (await other_api.post(path, json={"contact_external_id": "p1"})).status_code == 404
    assert (await other_api.delete(f"{path}/{made['key']}")).status_code == 404
    assert (await desk.api.delete(f"{path}/{made['key']}")).status_code == 204
    assert (await desk.api.delete(f"{path}/{made['key']}")).status_code == 404
    assert (await desk.get(f"/customers/{customer}/opt-outs"))["data"] == []
    assert (await desk.events())[-1] == "contact.opt_out_revoked"
    await desk.invoice("1002", due=5)
    await desk.days(1)
    assert {s.split(" ")[0] for s in desk.mail.subjects()[1:]} == {"one@c1.example", "two@c1.example"}


async def test_two_contacts_with_one_mailbox_are_silenced_together(desk: Desk) -> None:
    """Whoever asks for silence means the mailbox, whichever contact stands for it; and a re-import of the contacts changes nothing."""
    await desk.open(scenario(*WAY))
    await desk.push_customer("C1", emails=["ap@c1.example", "AP@c1.example"])
    await desk.post(f"/customers/{desk.customers['C1']}/opt-outs", {"contact_external_id": "p0"}, status=201)
    await desk.push_customer("C1", contacts=[])
    await desk.push_customer("C1", emails=["ap@c1.example", "AP@c1.example"])
    await desk.invoice("1001", due=4)
    await desk.remind()
    assert desk.mail.letters == []
    (listed,) = (await desk.get(f"/customers/{desk.customers['C1']}/opt-outs"))["data"]
    assert len(listed["contacts"]) == 2


async def test_an_opt_out_needs_a_contact_with_an_address(desk: Desk, tenant: TenantWorld) -> None:
    await desk.open(scenario(*WAY))
    await desk.push_customer("C1", contacts=[{"external_id": "phone", "name": "Anna", "phone": "+39 02 123456", "roles": ["dunning"]}])
    path = f"/customers/{desk.customers['C1']}/opt-outs"
    assert (await desk.post(path, {"contact_external_id": "phone"}, status=422))["code"] == "malformed"
    assert (await desk.post(path, {"contact_external_id": "nobody"}, status=404))["code"] == "not_found"
    assert await tenant.value("select count(*) from opt_out") == 0
