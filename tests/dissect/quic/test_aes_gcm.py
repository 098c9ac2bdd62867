"""AES-128 and GCM, as the packet loop computes them."""

from array import array
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from support.interpreted import interpreted


@pytest.fixture(scope="module")
def gcm() -> Any:
    """The interpreted form; the compiled one opens the same packets in test_initials.py."""
    return interpreted().Loop(8).quic_hellos.packets.gcm


def words(data: bytes) -> "array[int]":
    return array("I", [int.from_bytes(data[at : at + 4]) for at in range(0, len(data), 4)])


def joined(found: "array[int]") -> bytes:
    return b"".join(word.to_bytes(4) for word in found)


def block(gcm: Any, key: bytes, plain: bytes) -> bytes:
    gcm.expand(words(key), 0, 1)
    gcm.blocks[:4] = words(plain)
    gcm.encrypt(1, 1)
    return joined(gcm.blocks[:4])


def test_the_key_of_the_standard_is_expanded(gcm: Any) -> None:
    # FIPS 197 A.1: the first and the last words.
    gcm.expand(words(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")), 0, 0)
    found = joined(gcm.rounds[:44]).hex()
    assert found.startswith("2b7e151628aed2a6abf7158809cf4f3ca0fafe1788542cb123a339392a6c7605")
    assert found.endswith("d014f9a8c9ee2589e13f0cc8b6630ca6")


@pytest.mark.parametrize(
    ("key", "plain", "cipher"),
    [  # FIPS 197 B and C.1
        (
            "2b7e151628aed2a6abf7158809cf4f3c",
            "3243f6a8885a308d313198a2e0370734",
            "3925841d02dc09fbdc118597196a0b32",
        ),
        (
            "000102030405060708090a0b0c0d0e0f",
            "00112233445566778899aabbccddeeff",
            "69c4e0d86a7b0430d8cdb78070b4c55a",
        ),
    ],
)
def test_blocks_of_the_standard(gcm: Any, key: str, plain: str, cipher: str) -> None:
    assert block(gcm, bytes.fromhex(key), bytes.fromhex(plain)).hex() == cipher


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_a_block_is_that_of_openssl(gcm: Any, key: bytes, plain: bytes) -> None:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    assert block(gcm, key, plain) == encryptor.update(plain)


def opened(gcm: Any, key: bytes, nonce: bytes, cipher: bytes, more: bytes) -> tuple[bytes, bytes]:
    """The plain text, and the tag that it would have."""
    out = array("B", bytes(2048))
    gcm.expand(words(key), 0, 0)
    gcm.authenticate(0)
    assert gcm.take(more, 0, len(more))
    assert gcm.take(cipher, 0, len(cipher))
    gcm.multiply(8 * len(more), 8 * len(cipher))
    assert gcm.decrypt(0, words(nonce), cipher, 0, len(cipher), out)
    sum_ = gcm.high << 64 | gcm.low
    tag = sum_ ^ int.from_bytes(joined(gcm.blocks[:4]))
    return bytes(out[: len(cipher)]), tag.to_bytes(16)


@pytest.mark.parametrize(
    ("key", "nonce", "plain", "more", "cipher", "tag"),
    [  # Test cases 1 to 4 of the proposal of GCM to NIST (SP 800-38D)
        ("00" * 16, "00" * 12, "", "", "", "58e2fccefa7e3061367f1d57a4e7455a"),
        (
            "00" * 16,
            "00" * 12,
            "00" * 16,
            "",
            "0388dace60b6a392f328c2b971b2fe78",
            "ab6e47d42cec13bdf53a67b21257bddf",
        ),
        (
            "feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
            "",
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
            "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
            "4d5c2af327cd64a62cf35abd2ba6fab4",
        ),
        (
            "feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
            "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
            "5bc94fbc3221a5db94fae95ae7121a47",
        ),
    ],
)
def test_messages_of_the_standard(
    gcm: Any, key: str, nonce: str, plain: str, more: str, cipher: str, tag: str
) -> None:
    given_ = [bytes.fromhex(each) for each in (key, nonce, cipher, more)]
    assert [each.hex() for each in opened(gcm, *given_)] == [plain, tag]


@given(
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=12, max_size=12),
    st.binary(max_size=300),
    st.binary(max_size=60),
)
def test_a_message_is_that_of_openssl(
    gcm: Any, key: bytes, nonce: bytes, plain: bytes, more: bytes
) -> None:
    sealed = AESGCM(key).encrypt(nonce, plain, more)
    assert opened(gcm, key, nonce, sealed[:-16], more) == (plain, sealed[-16:])


def test_what_has_no_room_is_not_touched(gcm: Any) -> None:
    out = array("B", bytes(64))
    nonce = array("I", [1, 2, 3])
    long = bytes(65537)
    assert not gcm.decrypt(0, nonce, long, 0, 65537, array("B", bytes(65537)))
    assert not gcm.decrypt(0, nonce, long, 0, 65, out)
    assert not gcm.decrypt(0, nonce, long, 65530, 65540, out)
    assert not gcm.decrypt(0, nonce, long, -1, 10, out)
    assert not gcm.decrypt(0, nonce, long, 10, 9, out)
    assert not gcm.decrypt(0, nonce[:2], long, 0, 16, out)
    assert not gcm.take(long, 0, 65538)
    assert not gcm.take(long, -1, 16)
    assert bytes(out) == bytes(64)
    before = gcm.rounds[:]
    for at, key in ((-1, 0), (1, 0), (0, 2), (0, -1)):
        gcm.expand(array("I", [1, 2, 3, 4]), at, key)
    assert gcm.rounds == before
    blocks = gcm.blocks[:]
    for key, count in ((0, 4098), (2, 1), (-1, 1)):
        gcm.encrypt(key, count)
    assert gcm.blocks == blocks
