"""The keys of QUIC Initials, as the packet loop computes them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.interpreted import interpreted
from support.protocol_samples import SALTS, initial_keys

from netwatch.dissect.quic.versions import VERSIONS

NUMBERS = list(VERSIONS)
V1, V2, DRAFT_29 = 1, 0x6B3343CF, 0xFF00001D


@pytest.fixture(scope="module")
def keys() -> Any:
    """The interpreted form; the compiled one opens the same packets in test_initial_packets.py."""
    return interpreted().Loop(8).quic_hellos.packets.keys


def words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 4]) for at in range(0, len(data), 4)]


def derived(keys: Any, dcid: bytes, version: int) -> tuple[bytes, bytes, bytes]:
    keys.derive(dcid, 0, len(dcid), NUMBERS.index(version))
    made = b"".join(word.to_bytes(4) for word in keys.made)
    return made[:16], made[16:28], made[28:]


@pytest.mark.parametrize(
    ("version", "key", "iv", "hp"),
    [  # RFC 9001 A.1, RFC 9369 A.1, draft-ietf-quic-tls-29 A.1
        (
            V1,
            "1f369613dd76d5467730efcbe3b1a22d",
            "fa044b2f42a3fd3b46fb255c",
            "9f50449e04a0e810283a1e9933adedd2",
        ),
        (
            V2,
            "8b1a0bc121284290a29e0971b5cd045d",
            "91f73e2351d8fa91660e909f",
            "45b95e15235d6f45a6b19cbcb0294ba9",
        ),
        (
            DRAFT_29,
            "175257a31eb09dea9366d8bb79ad80ba",
            "6b26114b9cba2b63a9e8dd4f",
            "9ddd12c994c0698b89374a9c077a3077",
        ),
    ],
)
def test_keys_of_the_rfcs(keys: Any, version: int, key: str, iv: str, hp: str) -> None:
    found = derived(keys, bytes.fromhex("8394c8f03e515708"), version)
    assert [each.hex() for each in found] == [key, iv, hp]


@given(st.binary(max_size=20), st.sampled_from(sorted(SALTS)))
def test_keys_are_those_of_cryptography(keys: Any, dcid: bytes, version: int) -> None:
    assert derived(keys, dcid, version) == initial_keys(dcid, version)
