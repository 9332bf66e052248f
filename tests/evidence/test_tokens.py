"""Tokens: derived, not to be forged, dead with their key, and kept out of logs."""

from __future__ import annotations

import string

import httpx
import pytest

from dunning.evidence.tokens import MASK, mask, read_token, token_of, url_of
from dunning.kit.ids import LinkId, TenantId, new_id
from dunning.kit.signing import Keyring
from tests.conftest import KEYRING
from tests.evidence.rows import Told

TENANT, LINK = TenantId(new_id()), LinkId(new_id())
TOKEN = token_of(KEYRING, TENANT, LINK, "t1")


def test_the_same_link_always_has_the_same_token() -> None:
    """A resend renders the same address."""
    assert token_of(KEYRING, TENANT, LINK, "t1") == TOKEN
    assert read_token(KEYRING, TOKEN) == (TENANT, LINK)


def test_a_token_changed_in_any_place_is_none() -> None:
    """No single character can be another, none can be missing or added."""
    for i, right in enumerate(TOKEN):
        for other in ("A", "_", "7"):
            if other != right:
                assert read_token(KEYRING, TOKEN[:i] + other + TOKEN[i + 1 :]) is None, i
        assert read_token(KEYRING, TOKEN[:i] + TOKEN[i + 1 :]) is None
        assert read_token(KEYRING, TOKEN[:i] + " " + TOKEN[i:]) is None


def test_a_token_of_another_purpose_or_another_number_of_ids_is_none() -> None:
    """A cursor or a nonce, signed by the same ring, opens no page."""
    assert read_token(KEYRING, KEYRING.sign("cursor", TENANT, LINK)) is None
    assert read_token(KEYRING, KEYRING.sign("link", TENANT)) is None
    assert read_token(KEYRING, KEYRING.sign("link", TENANT, LINK, LINK)) is None
    assert read_token(KEYRING, KEYRING.seal("link", TENANT.bytes)) is None


def test_keys_rotate_without_killing_links_until_the_old_key_is_removed() -> None:
    """The newest signs, all verify; a removed key's links are dead."""
    rotated = Keyring.parse("t2:" + "22" * 32 + ",t1:" + "11" * 32)
    assert read_token(rotated, TOKEN) == (TENANT, LINK)
    assert rotated.newest == "t2"
    assert read_token(Keyring.parse("t2:" + "22" * 32), TOKEN) is None
    with pytest.raises(KeyError):
        token_of(Keyring.parse("t2:" + "22" * 32), TENANT, LINK, "t1")


def test_an_address_leads_to_the_page_or_to_the_companys_own_extranet() -> None:
    """S0-22."""
    assert url_of("https://pay.acme.example/", "portal", TOKEN) == f"https://pay.acme.example/c/{TOKEN}"
    assert url_of("https://pay.acme.example", "https://extranet.acme.example/claims?t={token}", TOKEN) == f"https://extranet.acme.example/claims?t={TOKEN}"


@pytest.mark.parametrize("around", ["{}", "GET /c/{} HTTP/1.1", "https://e.example/?t={}&x=1", "<a href='{}'>", "{}\n", "a {} and {}"])
def test_a_token_is_masked_wherever_it_stands(around: str) -> None:
    """Stored bodies mask it, percent-encoded too."""
    for token in (TOKEN, TOKEN.replace(".", "%2E"), TOKEN.replace(".", "%2e")):
        masked = mask(around.replace("{}", token))
        assert TOKEN.split(".")[2] not in masked
        assert masked == around.replace("{}", MASK)


def test_other_texts_are_left_alone() -> None:
    """The control: a mask that eats everything would pass the test above."""
    for text in ("", "1.2.3", "www.example.com", "a.b.c", string.printable, str(new_id())):
        assert mask(text) == text


async def test_a_token_of_another_tenant_opens_nothing(anonymous: httpx.AsyncClient, told: Told, other_tenant: object) -> None:
    """T1: the MAC binds link and tenant; another tenant's id with this link's id finds no row."""
    tenant_id = other_tenant.tenant_id  # type: ignore[attr-defined]
    crossed = token_of(KEYRING, tenant_id, told.link_id, "t1")
    unknown = token_of(KEYRING, told.world.tenant_id, LINK, "t1")
    nobody = token_of(KEYRING, TENANT, told.link_id, "t1")
    pages = [await anonymous.get(f"/c/{token}") for token in (crossed, unknown, nobody, "rubbish")]
    assert [page.status_code for page in pages] == [404] * 4
    assert len({page.content for page in pages}) == 1
    assert await told.kinds() == []
    assert (await anonymous.get(told.path)).status_code == 200
