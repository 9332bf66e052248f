"""Who gets which letter: how debts are grouped, in which language, at which hour and on which days."""

from __future__ import annotations

import datetime as dt

import httpx

from dunning.kit.database import Database
from dunning_worker.world import World
from tests.conftest import client_of, make_tenant
from tests.stories.desk import Desk, notice, scenario, step
from tests.stories.mailbox import Mailbox

TWO_STEPS = (step("01", 1, "First", until=7), step("02", 8, "Second"))


async def test_all_debts_of_a_customer_stand_in_one_mail(desk: Desk) -> None:
    """C-11, C-22, B-12: five invoices, one mail, each row with its own amount, one total."""
    await desk.open(scenario(*TWO_STEPS))
    amounts = {"1001": "10.00", "1002": "20.00", "1003": "30.00", "1004": "40.00", "1005": "50.00"}
    for number, amount in amounts.items():
        await desk.invoice(number, amount, due=-2)
    await desk.remind()
    (letter,) = desk.mail.letters
    for number, amount in amounts.items():
        (row,) = [line for line in letter.text.splitlines() if f"Invoice {number}" in line]
        assert row.count(f"€{amount}") == 2
    assert "Total to pay: €150.00" in letter.text


async def test_a_document_may_have_a_mail_of_its_own(desk: Desk) -> None:
    """B-12: grouping by document is a choice, and then each mail lists its document only."""
    await desk.open(scenario(*TWO_STEPS, grouping="document"))
    await desk.invoice("1001", due=-2)
    await desk.invoice("1002", due=-9)
    await desk.remind()
    assert sorted(desk.mail.subjects()) == ["ap@c1.example First: 1001", "ap@c1.example Second: 1002"]
    assert all(letter.text.count("Invoice ") == 1 for letter in desk.mail.letters)


async def test_the_highest_phase_carries_the_text_and_each_debt_goes_its_own_way(desk: Desk) -> None:
    """C-12, B-12: one mail in the words of the second step; both rows show their step; each advances to its own and none further."""
    await desk.template(
        "letter",
        en=("{{step_name}}", "{% for item in items %}{{item.number}} is in {% if item.step_code %}{{item.step_code}}{% else %}none{% endif %}.\n{% endfor %}"),
    )
    await desk.open(scenario(*TWO_STEPS, step("03", 15, "Third")))
    young, old = await desk.invoice("1001", due=0), await desk.invoice("1002", due=-7)
    await desk.days(1)
    (letter,) = desk.mail.letters
    assert letter.subject == "Second"
    assert letter.text.split() == ["1002", "is", "in", "02.", "1001", "is", "in", "01."]
    assert (await desk.steps_of(young), await desk.steps_of(old)) == (["01"], ["02"])
    await desk.days(7)
    assert (await desk.steps_of(young), await desk.steps_of(old)) == (["01", "02"], ["02", "03"])


async def test_a_mail_is_wholly_in_the_readers_language(desk: Desk) -> None:
    """C-13, B-22: the contact's language before the customer's before the ledger's; text, dates, amounts and table all in the one chosen."""
    await desk.open("claims", languages=("en", "es", "it", "fr"), language="fr")
    person = {"external_id": "a", "name": "A", "roles": ["dunning"]}
    await desk.push_customer("ITA", language="es", contacts=[person | {"email": "a@ita.example", "language": "it"}])
    await desk.push_customer("ESP", language="es", contacts=[person | {"email": "a@esp.example"}])
    await desk.push_customer("FRA", contacts=[person | {"email": "a@fra.example"}])
    for n, name in enumerate(("ITA", "ESP", "FRA")):
        await desk.invoice(f"100{n}", "1234.50", due=-2, customer=name)
    await desk.remind()
    words = {
        "a@ita.example": ("Promemoria di pagamento", "9 marzo 2026", "1.234,50 €"),
        "a@esp.example": ("Recordatorio de pago", "9 de marzo de 2026", "1.234,50 €"),
        "a@fra.example": ("Rappel de paiement", "9 mars 2026", "1 234,50 €"),
    }
    for address, (title, day, amount) in words.items():
        letter = desk.mail.last(address)
        text = letter.text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")
        assert title.lower() in (letter.subject + text).lower(), text
        assert amount in text, text
        assert day in text, text
        others = [other for where, other in words.items() if where != address]
        assert not any(other[0].lower() in (letter.subject + text).lower() for other in others)
        assert "Payment reminder" not in text


async def test_each_step_writes_to_the_role_it_names(desk: Desk) -> None:
    """C-14: reminders go to accounts payable, the escalation to the director; who only gets invoices gets none of them."""
    await desk.open(
        scenario(
            step("01", 1, "First", notice={"to_roles": ["accounts_payable"]}), step("02", 8, "Second", notice={"to_roles": ["director", "accounts_payable"]})
        )
    )
    people = [
        {"external_id": "b", "name": "B", "email": "billing@c1.example", "roles": ["billing"]},
        {"external_id": "a", "name": "A", "email": "payable@c1.example", "roles": ["accounts_payable"]},
        {"external_id": "d", "name": "D", "email": "director@c1.example", "roles": ["director"]},
    ]
    await desk.push_customer("C1", contacts=people)
    await desk.invoice("1001", due=0)
    await desk.days(8)
    assert desk.mail.subjects() == ["payable@c1.example First: 1001", "director@c1.example Second: 1001"]


async def test_the_night_is_the_ledgers_and_the_hour_the_customers(desk: Desk) -> None:
    """C-10, B-26: decided at six in Rome; sent at eight of the morning where the customer is, or at once where that has passed; due dates stay dates."""
    await desk.open(scenario(*TWO_STEPS))
    for code, zone, country in (("ROM", "Europe/Rome", "IT"), ("NYC", "America/New_York", "US"), ("TYO", "Asia/Tokyo", "JP")):
        await desk.push_customer(code, time_zone=zone, country=country)
        await desk.invoice(f"D-{code}", due=0, customer=code)
    await desk.days(2)
    left = {message["to"]["email"][3:6]: dt.datetime.fromisoformat(message["accepted_at"]).strftime("%d %H:%M") for message in await desk.messages()}
    assert left == {"rom": "03 07:00", "nyc": "03 13:00", "tyo": "03 05:00"}
    explained = await desk.explain((await desk.get(f"/ledgers/{desk.ledger_id}/items"))["data"][0]["item_id"])
    assert explained["reached_step"] == "01"


async def test_each_night_is_run_once_on_both_days_on_which_the_clocks_change(app: object, database: Database, world: World, mail: Mailbox) -> None:
    """C-10: a night at 02:30 that does not exist in March and comes twice in October is one night, and mails leave at eight by the wall clock."""
    for start, changing, opens in (("2026-03-28T08:00:00Z", "2026-03-29", "06:00"), ("2026-10-24T08:00:00Z", "2026-10-25", "07:00")):
        tenant = await make_tenant(database, at=dt.datetime.fromisoformat(start))
        async with client_of(app, tenant.api_key) as client:
            desk = await Desk(tenant, client, world, mail).open(scenario(*TWO_STEPS), nightly_at="02:30")
            await desk.invoice("1001", due=0)
            nights = await desk.days(3)
            days = [(dt.date.fromisoformat(changing) + dt.timedelta(days=n)).isoformat() for n in range(3)]
            assert nights == days
            (message,) = await desk.messages()
            assert message["accepted_at"] == f"{changing}T{opens}:00Z"


async def test_closed_days_put_a_mail_off_and_move_no_due_date(desk: Desk) -> None:
    """C-40, B-26: a step of Saturday is sent on Monday, one of Easter Monday on Tuesday; the next step is counted from the day it was for."""
    await desk.open(scenario(step("a", 5, "First"), step("b", 12, "Second")), send_on_closed_days=False)
    item = await desk.invoice("1001", due=0)
    await desk.days(6)
    assert desk.mail.letters == []
    await desk.days(1)
    assert ((await desk.messages())[0]["accepted_at"], (await desk.get(f"/items/{item}"))["due_on"]) == ("2026-03-09T07:00:00Z", "2026-03-02")
    agenda = await desk.get(f"/customers/{desk.customers['C1']}/agenda", days=30)
    assert [(a["on"], a["step_code"]) for a in agenda["actions"]] == [("2026-03-14", "b")]
    await desk.until("2026-04-04T08:00:00Z")
    await desk.invoice("1002", due=-3, customer="EASTER")
    await desk.days(3)
    assert (await desk.messages(customer=desk.customers["EASTER"]))[0]["accepted_at"] == "2026-04-07T06:00:00Z"


async def test_the_preview_of_a_claim_is_what_was_sent_to_the_byte(desk: Desk, anonymous: httpx.AsyncClient) -> None:
    """C-44: before it leaves, the preview has the digest of the mail that then leaves; afterwards the stored body can be verified."""
    template_id = await desk.template("letter", en=("{{step_name}}: {{document_numbers}}", "{{items_list}} {{link_url}}"))
    await desk.open(scenario(step("01", 1, "First", notices=[notice()])))
    await desk.invoice("1001", due=-2)
    await desk.run(commit_at_once=True)
    claim_id = (await desk.action())["claims"][0]["claim_id"]
    before = await desk.post(f"/templates/{template_id}/preview", {"claim_id": claim_id, "version": 1})
    await desk.work()
    after = await desk.post(f"/templates/{template_id}/preview", {"claim_id": claim_id, "version": 1})
    letter = desk.mail.last("ap@c1.example")
    assert before["sha256"] == after["sha256"]
    assert before["subject"] == letter.subject
    hidden = letter.text.replace(letter.link, "https://link.invalid/hidden-in-previews").replace("\r\n", "\n")
    assert before["text"].strip() == hidden.strip()
    (message,) = await desk.messages()
    assert (await desk.get(f"/messages/{message['message_id']}/body"))["verified"] is True
    assert (await anonymous.get(before["text"].split()[-1].replace("https://link.invalid", "http://testserver"))).status_code == 404
