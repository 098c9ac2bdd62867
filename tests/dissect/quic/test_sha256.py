"""SHA-256 as the packet loop computes it: by instructions of the processor, without them, and
interpreted."""

import hashlib
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.interpreted import interpreted

from netwatch.dissect.quic.sha256 import Sha256


def by_words() -> Any:
    sha = Sha256(3, 2)
    sha.native = False
    return sha


FORMS = {
    "as it is": Sha256(3, 2),
    "without instructions": by_words(),
    "interpreted": type(interpreted().Loop(8).quic_hellos.packets.keys.sha)(3, 2),
}


@pytest.fixture(params=FORMS.values(), ids=FORMS.keys(), scope="module")
def sha(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize(
    ("message", "digest"),
    [  # FIPS 180-4's examples, and none
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ],
)
def test_examples_of_the_standard(sha: Any, message: bytes, digest: str) -> None:
    assert hashed(sha, message).hex() == digest


@given(st.binary(max_size=200))
def test_the_hash_is_that_of_openssl(sha: Any, message: bytes) -> None:
    assert hashed(sha, message) == hashlib.sha256(message).digest()


def hashed(sha: Any, message: bytes) -> bytes:
    padded = message + b"\x80" + bytes(-(len(message) + 9) % 64) + (8 * len(message)).to_bytes(8)
    spare, start = 2, 0
    for at in range(0, len(padded), 64):
        block = padded[at : at + 64]
        sha.blocks[16:32] = array("I", [int.from_bytes(block[i : i + 4]) for i in range(0, 64, 4)])
        sha.compress(1, start, spare)
        start = spare
    return b"".join(word.to_bytes(4) for word in sha.states[8 * spare : 8 * spare + 8])
