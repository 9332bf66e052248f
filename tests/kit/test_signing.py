"""Signed tokens: what was signed is read, and nothing else is."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dunning.kit.signing import Keyring, b64, checksum, random_secret, unb64

RING = Keyring.parse("n2:" + "22" * 32 + ",n1:" + "11" * 32)
OLD = Keyring.parse("n1:" + "11" * 32)
A, B = UUID(int=1), UUID(int=2**128 - 1)


def test_a_token_gives_its_ids_back():
    assert RING.verify("link", RING.sign("link", A, B)) == (A, B)


def test_the_same_ids_and_key_give_the_same_token():
    assert RING.sign("link", A, B) == RING.sign("link", A, B)
    assert RING.sign("link", A, B, key_id="n1") != RING.sign("link", A, B)


def test_the_newest_key_signs_and_older_ones_still_verify():
    assert RING.sign("link", A).startswith("n2.")
    assert RING.verify("link", OLD.sign("link", A)) == (A,)


def test_a_key_that_was_taken_away_kills_its_tokens():
    assert OLD.verify("link", RING.sign("link", A)) is None


def test_a_token_of_one_purpose_is_nothing_for_another():
    assert RING.verify("unsubscribe", RING.sign("link", A)) is None
    assert RING.unseal("cursor.customers", RING.seal("cursor.documents", b"x")) is None


def test_every_single_changed_character_is_noticed():
    token = RING.sign("link", A, B)
    for place in range(len(token)):
        for other in "A_.x":
            changed = token[:place] + other + token[place + 1 :]
            if changed != token:
                assert RING.verify("link", changed) is None, changed


@given(st.text(max_size=120))
def test_no_text_of_strangers_is_a_token(text):
    assert RING.verify("link", text) is None
    assert RING.unseal("cursor.x", text) is None


@given(st.binary(max_size=200))
def test_a_sealed_payload_comes_back_as_it_was(payload):
    assert RING.unseal("cursor.x", RING.seal("cursor.x", payload)) == payload


def test_a_payload_that_is_no_row_of_ids_is_refused_even_when_well_signed():
    assert RING.verify("link", RING.seal("link", b"short")) is None
    assert RING.verify("link", RING.seal("link", b"")) is None


@pytest.mark.parametrize("text", ["", "n1", "n1:zz", "n1:" + "11" * 31, "a key:" + "11" * 32, "toolongid1:" + "11" * 32, ":" + "11" * 32])
def test_a_ring_that_cannot_be_used_is_refused(text):
    with pytest.raises(ValueError):
        Keyring.parse(text)


def test_a_generated_ring_can_be_read():
    ring = Keyring.parse(Keyring.generate("k1"))
    assert ring.newest == "k1"
    assert ring.verify("link", ring.sign("link", A)) == (A,)
    assert Keyring.generate("k1") != Keyring.generate("k1")


@given(st.binary(max_size=60))
def test_base64_is_read_only_in_its_one_spelling(data):
    assert unb64(b64(data)) == data
    for spoiled in (b64(data) + "=", b64(data) + "\n", " " + b64(data)):
        with pytest.raises(ValueError):
            unb64(spoiled)


def test_a_second_spelling_of_the_last_character_is_refused():
    """Unpadded base64 leaves bits unused: `AB` and `AA` are the same byte for a lenient reader, and would be two tokens for one link."""
    assert unb64("AA") == b"\0"
    with pytest.raises(ValueError):
        unb64("AB")


def test_secrets_are_long_and_never_the_same():
    made = {random_secret() for _ in range(200)}
    assert len(made) == 200
    assert {len(secret) for secret in made} == {43}
    assert checksum("a") != checksum("b")
    assert len(checksum(str(uuid4()))) == 6
