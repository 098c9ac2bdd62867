"""Sealed values: what comes back, and that nothing else does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.errors import NetwatchError
from netwatch.privacy.keys import Keyring, PseudonymKey
from netwatch.privacy.options import (
    MAGIC,
    ClientIdentity,
    SealedError,
    Sealing,
    is_sealed,
    key_id_of,
)

OLD, NEW = PseudonymKey.of("o" * 32), PseudonymKey.of("n" * 32)
SEALING = Sealing(Keyring(NEW))
CLAIM = json.dumps({"src": "10.30.0.9", "mac": "02:00:00:00:00:09", "host": "janes-phone"}).encode()


@given(st.text(), st.ip_addresses().map(str), st.none() | st.text())
def test_a_client_comes_back(network: str, ip: str, mac: str | None) -> None:
    sealed = SEALING.seal_client(network, ip, mac)
    assert SEALING.unseal_client(sealed.sealed) == ClientIdentity(network, ip, mac)
    assert is_sealed(sealed.sealed)


def test_nothing_of_a_client_is_readable() -> None:
    sealed = SEALING.seal_client("byod", "10.30.0.9", "02:00:00:00:00:09")
    for text in (b"10.30.0.9", b"02:00", b"byod"):
        assert text not in sealed.sealed
        assert text not in sealed.pseudonym.encode()


def test_the_same_client_seals_to_the_same_bytes_and_another_does_not() -> None:
    one = SEALING.seal_client("byod", "10.30.0.9", "02:00:00:00:00:09")
    assert one == SEALING.seal_client("byod", "10.30.0.9", "02:00:00:00:00:09")
    other_mac = SEALING.seal_client("byod", "10.30.0.9", "02:00:00:00:00:0a")
    assert other_mac.sealed != one.sealed
    assert other_mac.pseudonym == one.pseudonym
    assert SEALING.seal_client("guests", "10.30.0.9", None).pseudonym != one.pseudonym
    assert Sealing(Keyring(OLD)).seal_client("byod", "10.30.0.9", None).pseudonym != one.pseudonym


def test_a_previous_key_reads_what_it_sealed_and_the_new_one_seals() -> None:
    old = Sealing(Keyring(OLD)).seal_client("byod", "10.30.0.9", None)
    both = Sealing(Keyring(NEW, (OLD,)))
    assert both.unseal_client(old.sealed).ip == "10.30.0.9"
    assert key_id_of(both.seal_claim(CLAIM)) == NEW.id
    with pytest.raises(SealedError, match=rf"the key {OLD.id}, which is not in the configuration"):
        SEALING.unseal_client(old.sealed)


@given(st.binary())
def test_a_claim_comes_back(content: bytes) -> None:
    sealed = SEALING.seal_claim(content)
    assert SEALING.unseal_claim(sealed) == content


def test_a_claim_that_is_not_sealed_is_read_as_it_is() -> None:
    assert SEALING.unseal_claim(CLAIM) == CLAIM
    assert b"janes-phone" not in SEALING.seal_claim(CLAIM)


def test_a_value_of_one_kind_is_none_of_another() -> None:
    with pytest.raises(SealedError, match="not readable"):
        SEALING.unseal_client(SEALING.seal_claim(CLAIM))
    client = SEALING.seal_client("byod", "10.30.0.9", None).sealed
    with pytest.raises(SealedError, match="not readable"):
        SEALING.unseal_claim(client)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    sealed = bytearray(SEALING.seal_claim(CLAIM))
    at = place % len(sealed)
    sealed[at] ^= change
    if at < len(MAGIC):
        assert not is_sealed(bytes(sealed))
    else:
        with pytest.raises(SealedError):
            SEALING.unseal_claim(bytes(sealed))


@given(st.binary().map(lambda tail: MAGIC + tail))
def test_any_bytes_are_refused(damaged: bytes) -> None:
    with pytest.raises(SealedError):
        SEALING.unseal_claim(damaged)


def test_the_sealing_shows_no_key() -> None:
    for key in (OLD, NEW):
        assert repr(key) == f"PseudonymKey(id='{key.id}')"
    with pytest.raises(NetwatchError, match="at least 32 bytes, found 31"):
        PseudonymKey.of("x" * 31)
