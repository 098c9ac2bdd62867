"""JA4 in the packet loop."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.captures import block, timed
from support.examples import examples
from support.frames import tcp
from support.interpreted import interpreted
from support.protocol_samples import extension, hello, server_name, vector

from netwatch.dissect.loop.loop import Loop
from netwatch.protocols.tls import hello_message

NUMBERS = st.integers(0, 0xFFFF) | st.sampled_from([0x0A0A, 0xFAFA, 0x1A2A, 0x1301, 0x1302])
LISTS = st.lists(NUMBERS, max_size=70)
PROTOCOLS = st.lists(st.text("abcXYZ019-/.", max_size=9), max_size=3)


def told(by: Any, handshake: bytes, sport: int) -> str | None:
    """The JA4 that a loop gives of a hello in one segment; None where its parser has to read it."""
    record = b"\x16\3\1" + vector(2, handshake)
    packets = [tcp(flags="S", seq=0, sport=sport), tcp(record, seq=1, sport=sport)]
    rows = [row for part in by.walk(block(timed(packets), 101)) for row in part]
    if rows:
        return None
    by.batch.sources = ["test"]
    found: str | None = by.batch.observation(by.batch.count - 1).tls.ja4
    by.batch.clear()
    return found


def alone(raw: bytes) -> str | None:
    """The JA4 of a hello that is read by itself."""
    found = hello_message(raw, len(raw), "tls-sni").tls
    return found.ja4 if found else None


def made(
    ciphers: Sequence[int], kinds: Sequence[int], signatures: Sequence[int], alpn: Sequence[str]
) -> bytes:
    protocols = vector(2, b"".join(vector(1, each.encode()) for each in alpn))
    words = b"".join(each.to_bytes(2) for each in signatures)
    bodies = {0: server_name(b"www.example.com")[4:], 16: protocols, 13: vector(2, words)}
    own = [kind for kind in dict.fromkeys(kinds) if kind not in (0, 43, 0xFE0D)]
    raw = b"".join(extension(kind, bodies.get(kind, b"")) for kind in [*own, 0])
    return hello(raw, tuple(ciphers))


@examples(20)
@given(LISTS, st.lists(NUMBERS | st.sampled_from([13, 16]), max_size=60), LISTS, PROTOCOLS)
def test_the_same_interpreted(
    ciphers: list[int], kinds: list[int], signatures: list[int], alpn: list[str]
) -> None:
    raw = made(ciphers, kinds, signatures, alpn)
    by = interpreted().Loop(64, filling=True, fingerprints=True)
    assert [told(by, raw, port) for port in (1024, 1025)] == [alone(raw)] * 2


def test_hashes_that_share_a_place_are_told_apart() -> None:
    by = Loop(64, filling=True, fingerprints=True)
    for turn in range(2):
        for cipher in range(1000):
            raw = made([cipher], [13], [cipher, 7], [])
            assert told(by, raw, 2000 + 1000 * turn + cipher) == alone(raw)


def test_a_hello_of_any_number_of_offers_needs_no_parser() -> None:
    by = Loop(64, filling=True, fingerprints=True)
    for number, count in enumerate((255, 256, 257, 600)):
        raw = made(range(0x2000, 0x2000 + count), range(100, 100 + count), range(count), [])
        assert told(by, raw, 1024 + number) == alone(raw)
