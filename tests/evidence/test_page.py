"""The customer's page: what a link alone shows, what an answer opens, and what is recorded of it."""

from __future__ import annotations

import datetime as dt
import hashlib
import re

import httpx
import pytest

from tests.conftest import MONDAY, TenantWorld
from tests.evidence.conftest import answer, fields_of, post
from tests.evidence.rows import LAST_FOUR, SECRETS, Told, make_told


def secrets_in(text: str) -> list[str]:
    """Return what of the claim stands in a text."""
    return [secret for secret in SECRETS if secret in text]


async def test_the_landing_page_holds_nothing_of_the_claim(anonymous: httpx.AsyncClient, told: Told) -> None:
    """L1: whoever has only the link, a scanner above all, learns neither name nor amount."""
    page = await anonymous.get(told.path)
    assert page.status_code == 200
    assert secrets_in(page.text) == []
    shown = await answer(anonymous, told, LAST_FOUR)
    assert len(secrets_in(shown.text)) > 5, "the control: the same words are found where they may stand"


async def test_the_headers_let_nothing_leak_or_load(anonymous: httpx.AsyncClient, told: Told) -> None:
    """Promises 6.2 rule 3."""
    for page in (await anonymous.get(told.path), await answer(anonymous, told, LAST_FOUR), await anonymous.get("/c/unknown")):
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; form-action 'self'; frame-ancestors 'none'")
        assert "script-src" not in policy
        assert "unsafe" not in policy
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-robots-tag"] == "noindex, nofollow"
        assert "set-cookie" not in page.headers
        assert "<script" not in page.text
        assert not re.findall(r'(?:src|@import|url\()[="]', page.text)


async def test_an_answer_shows_the_frozen_claim_and_its_bank_details(anonymous: httpx.AsyncClient, told: Told) -> None:
    """S0-06: beneficiary, IBAN in groups of four, reference and amount per currency; rows with their state."""
    page = await answer(anonymous, told, LAST_FOUR)
    assert page.status_code == 200
    for text in ("C-000123", "Ferramenta Verdi S.r.l.", "9 March 2026", "Deliveries stop after that day.", "IT60 X054 2811 1010 0000 0123 456",
                 "BPPIITRRXXX", "1001 1002", "€1,224.50", "9 days overdue", "due in 18 days", "-€10.00"):  # fmt: skip
        assert text in page.text, text
    assert "Phase 02" not in page.text, "the name of a step is the creditor's own word"
    assert await told.grade() == "read_confirmed"
    assert await told.kinds() == ["fetched", "opened", "read_confirmed"]


@pytest.mark.parametrize("given", ["7890", " 78-90 ", "it01234567890", "01234567890"])
async def test_the_tax_number_may_be_given_whole_or_by_its_last_four(anonymous: httpx.AsyncClient, told: Told, given: str) -> None:
    """People type what is on their letterhead."""
    assert (await answer(anonymous, told, given)).status_code == 200


@pytest.mark.parametrize("given", ["", "890", "7891", "0", "....", "x" * 5000, "IT", "1001"])
async def test_anything_else_is_wrong_and_counts_as_no_more_than_a_fetch(anonymous: httpx.AsyncClient, told: Told, given: str) -> None:
    """Promises 6.3: a wrong answer stays at `fetched`."""
    page = await answer(anonymous, told, given)
    assert page.status_code == 403
    assert secrets_in(page.text) == []
    assert "4 tries left" in page.text
    assert await told.grade() == "fetched"


async def test_the_digest_recorded_is_of_the_exact_bytes_shown(anonymous: httpx.AsyncClient, told: Told) -> None:
    """Promises 6.2 rule 6: sha256 of the exact bytes, the claim's revision, the amounts at that moment."""
    page = await answer(anonymous, told, LAST_FOUR)
    opened = (await told.readings())[1]
    assert opened["page_sha256"] == hashlib.sha256(page.content).digest()
    assert opened["data"]["page_bytes"] == len(page.content)
    assert opened["data"]["claim_revision"] == 1
    assert opened["data"]["live"] == {"settled": False, "amounts": [{"currency": "EUR", "claim_minor": 122_450, "open_minor": 122_450}]}
    assert opened["business_at"] == MONDAY


async def test_the_frozen_part_stays_and_the_live_part_follows_a_part_payment(anonymous: httpx.AsyncClient, told: Told) -> None:
    """S0-12: the link opens live data, beside what was told."""
    await told.pay("1001", 40_000)
    page = (await answer(anonymous, told, LAST_FOUR)).text
    told_part, today = page.split('id="today"')
    assert "€1,000.00" in told_part
    assert "part paid, 9 days overdue" in today
    assert "€600.00" in today
    assert today.count("€824.50") == 2, "what is open of the claim, and the amount to transfer"
    assert "€1,224.50" not in today


async def test_after_payment_the_page_says_settled_and_asks_for_nothing(anonymous: httpx.AsyncClient, told: Told) -> None:
    """Architecture 6: after payment the page says settled."""
    assert "There is nothing left to do" not in (await answer(anonymous, told, LAST_FOUR)).text
    await told.settle("1001", "1002")
    page = (await answer(anonymous, told, LAST_FOUR)).text
    assert "There is nothing left to do" in page
    assert "IBAN" not in page
    assert "C-000123" in page


async def test_what_else_is_open_is_shown_beside_the_claim(anonymous: httpx.AsyncClient, told: Told) -> None:
    """B-34: a live statement, in which the claim's documents are told from the others."""
    await told.owe("1099", 5000)
    page = (await answer(anonymous, told, LAST_FOUR)).text
    assert page.count("not part of this reminder") == 1
    assert "Open in all" in page


async def test_a_document_opens_at_its_own_address_unless_that_is_no_web_address(anonymous: httpx.AsyncClient, told: Told) -> None:
    """I1: an address from outside is a link only when it is http or https."""
    page = (await answer(anonymous, told, LAST_FOUR)).text
    assert 'href="https://files.acme.example/1001.pdf"' in page
    assert "javascript:" not in page


async def test_where_no_tax_number_is_known_a_document_number_is_asked(anonymous: httpx.AsyncClient, tenant: TenantWorld) -> None:
    """The default question falls back to what both sides know."""
    told = await make_told(tenant, tax_number=None)
    assert "number of one of your documents" in (await anonymous.get(told.path)).text
    assert (await answer(anonymous, told, "9999")).status_code == 403
    assert (await answer(anonymous, told, "nc 7")).status_code == 200
    assert await told.grade() == "read_confirmed"


async def test_with_the_question_switched_off_the_button_proves_no_more_than_opened(anonymous: httpx.AsyncClient, tenant: TenantWorld) -> None:
    """Promises 6.2 rule 4: the grade drops with the challenge, and nothing can be acknowledged on it."""
    told = await make_told(tenant, challenge="button")
    page = await answer(anonymous, told, "")
    assert page.status_code == 200
    assert "C-000123" in page.text
    assert 'value="acknowledge"' not in page.text
    assert await told.grade() == "opened"


async def test_receipt_is_acknowledged_with_name_and_role(anonymous: httpx.AsyncClient, told: Told) -> None:
    """Promises 6.3: the text shown and the values typed are recorded; who it was lies in a row that can be erased."""
    page = await answer(anonymous, told, LAST_FOUR, lang="it")
    form = fields_of(page.text, "acknowledge")
    thanks = await post(anonymous, told, {**form, "name": "Anna {role} Rossi", "role": "contabilità"})
    assert thanks.status_code == 200
    assert "Anna {role} Rossi (contabilità) ha confermato il 2 marzo 2026" in thanks.text
    assert await told.grade() == "acknowledged"
    reading = (await told.readings())[-1]
    assert reading["data"]["statement"] == "Confermo di aver ricevuto questo sollecito."
    reader = (await told.world.rows("select * from reader"))[0]
    assert (reader["reading_id"], reader["name"], reader["role"]) == (reading["reading_id"], "Anna {role} Rossi", "contabilità")
    assert "Rossi" not in str(reading["data"])
    digest = hashlib.sha256("\0".join((str(reader["salt"]), "Anna {role} Rossi", "contabilità", "")).encode()).hexdigest()
    assert reading["data"]["reader_sha256"] == digest


async def test_acknowledging_twice_is_one_acknowledgement_and_another_person_is_another(anonymous: httpx.AsyncClient, told: Told) -> None:
    """A double click changes nothing."""
    form = fields_of((await answer(anonymous, told, LAST_FOUR)).text, "acknowledge")
    for name in ("Anna", "Anna", "Bruno"):
        assert (await post(anonymous, told, {**form, "name": name, "role": "accounting"})).status_code == 200
    assert (await told.kinds()).count("acknowledged") == 2


async def test_an_acknowledgement_without_a_name_says_what_is_missing(anonymous: httpx.AsyncClient, told: Told) -> None:
    """The error summary leads to the field; nothing is recorded."""
    form = fields_of((await answer(anonymous, told, LAST_FOUR)).text, "acknowledge")
    page = await post(anonymous, told, {**form, "name": " ", "role": "accounting"})
    assert page.status_code == 422
    assert '<a href="#name">Type your name.</a>' in page.text
    assert await told.grade() == "read_confirmed"
    again = await post(anonymous, told, {**fields_of(page.text, "acknowledge"), "name": "Anna", "role": "accounting"})
    assert again.status_code == 200


async def test_an_acknowledgement_needs_the_shown_page(anonymous: httpx.AsyncClient, told: Told) -> None:
    """The nonce of the question does not pass for that of the claim."""
    landing = await anonymous.get(told.path)
    forged = {**fields_of(landing.text), "form": "acknowledge", "name": "Bot", "role": "bot"}
    assert (await post(anonymous, told, forged)).status_code == 400
    assert await told.grade() == "fetched"


async def test_repeated_visits_are_counted_not_multiplied(anonymous: httpx.AsyncClient, told: Told) -> None:
    """Promises 6.3: one reading, then a counter."""
    for _ in range(7):
        await anonymous.get(told.path)
    await anonymous.head(told.path)
    assert (await told.link())["fetches"] == 8
    assert await told.kinds() == ["fetched"]
    events = await told.world.rows("select kind from event where subject_kind = 'link'")
    assert [event["kind"] for event in events] == ["link.fetched"]


async def test_a_head_request_gets_no_body_and_counts_as_a_fetch(anonymous: httpx.AsyncClient, told: Told) -> None:
    """Scanners ask by HEAD first."""
    page = await anonymous.head(told.path)
    assert page.status_code == 200
    assert await told.grade() == "fetched"


async def test_a_revoked_an_expired_and_an_unknown_link_look_the_same(
    anonymous: httpx.AsyncClient,
    api: httpx.AsyncClient,
    told: Told,
) -> None:
    """Promises 6.2 rule 2: a neutral page, and the visit is still recorded."""
    unknown = await anonymous.get("/c/t1.AAAA.BBBB")
    expired = await make_told(told.world, expires_in_days=1)
    await told.world.set_clock(MONDAY + dt.timedelta(days=1))
    revoked = await api.post(f"/v1/links/{told.link_id}/revoke", json={"reason": "Sent to the wrong person."})
    assert revoked.status_code == 200, revoked.text
    pages = [unknown, await anonymous.get(told.path), await anonymous.get(expired.path)]
    assert [page.status_code for page in pages] == [404, 410, 410]
    assert len({page.content for page in pages}) == 1
    await anonymous.get(told.path)
    assert await told.kinds() == ["refused"]
    assert await expired.kinds() == ["refused"]
    assert (await told.link())["fetches"] == 2
    assert await told.grade() == "none"


@pytest.mark.parametrize(("days", "status"), [(89, 200), (90, 410), (91, 410)])
async def test_a_link_lives_by_the_tenants_clock(anonymous: httpx.AsyncClient, told: Told, days: int, status: int) -> None:
    """The last instant of its life is over when its day has come."""
    await told.world.set_clock(MONDAY + dt.timedelta(days=days))
    assert (await anonymous.get(told.path)).status_code == status


async def test_a_page_opened_before_the_revocation_can_do_nothing_after_it(anonymous: httpx.AsyncClient, api: httpx.AsyncClient, told: Told) -> None:
    """The forms of an open page lose their force with the link."""
    landing = fields_of((await anonymous.get(told.path)).text)
    shown = fields_of((await answer(anonymous, told, LAST_FOUR)).text, "acknowledge")
    await api.post(f"/v1/links/{told.link_id}/revoke", json={"reason": "Wrong person."})
    assert (await post(anonymous, told, {**landing, "answer": LAST_FOUR})).status_code == 410
    assert (await post(anonymous, told, {**shown, "name": "Anna", "role": "cfo"})).status_code == 410
    assert await told.grade() == "read_confirmed"


async def test_the_link_of_a_void_claim_is_closed(anonymous: httpx.AsyncClient, told: Told) -> None:
    """A claim that the fence stopped was never told."""
    async with told.world.database.transaction(told.world.tenant_id) as session:
        await session.execute("update claim set state = 'void', void_reason = 'amounts_changed' where claim_id = $1", told.claim_id)
    assert (await anonymous.get(told.path)).status_code == 410


async def test_a_colleagues_link_points_to_the_companys_own_system_and_counts_for_nothing(
    anonymous: httpx.AsyncClient,
    api: httpx.AsyncClient,
    tenant: TenantWorld,
) -> None:
    """S0-13, C-32: a CRM pointer, never the customer's page; internal users never count as the customer's reading."""
    told = await make_told(tenant, audience="internal")
    landing = await anonymous.get(told.path)
    assert secrets_in(landing.text) == []
    page = await post(anonymous, told, fields_of(landing.text))
    assert 'href="https://crm.acme.example/customers/C1042"' in page.text
    assert "IBAN" not in page.text
    assert "€" not in page.text
    assert "acknowledge" not in page.text.split("</style>")[1]
    assert await told.grade() == "opened"
    evidence = (await api.get(f"/v1/messages/{told.message_id}/evidence")).json()
    assert evidence["audience"] == "internal"
    assert evidence["counts_as_customer_reading"] is False


@pytest.mark.parametrize(("language", "words"), [("en", "How to pay"), ("es", "Cómo pagar"), ("it", "Come pagare"), ("fr", "Comment régler")])
async def test_the_page_speaks_four_languages(anonymous: httpx.AsyncClient, tenant: TenantWorld, language: str, words: str) -> None:
    """The message's language first; the visitor may choose another."""
    told = await make_told(tenant, language=language)
    page = await answer(anonymous, told, LAST_FOUR)
    assert words in page.text
    assert f'<html lang="{language}">' in page.text
    assert page.headers["content-language"] == language
    assert "{" not in page.text.split("</style>")[1]
    assert f'<html lang="{"it" if language == "en" else "en"}">' in (await anonymous.get(told.path, params={"lang": "it" if language == "en" else "en"})).text


async def test_hostile_names_change_nothing_but_text(anonymous: httpx.AsyncClient, told: Told) -> None:
    """I1: what comes from other systems is text on the page."""
    hostile = '"><script>alert(1)</script>{{ 7*7 }}\u202e'
    async with told.world.database.transaction(told.world.tenant_id) as session:
        await session.execute(
            "update claim set data = jsonb_set(data, '{customer,name}', $2) where claim_id = $1",
            told.claim_id,
            hostile,
        )
        await session.execute("update ledger set sender_name = $2 where ledger_id = $1", told.ledger_id, hostile)
        await session.execute("update item set number = $2 where item_id = $1", told.items["1001"], hostile)
    for page in (await anonymous.get(told.path), await answer(anonymous, told, LAST_FOUR)):
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "&lt;script&gt;" in page.text
        assert "{{ 7*7 }}" in page.text
        assert "\u202e" not in page.text
