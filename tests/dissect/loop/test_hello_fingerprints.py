"""JA4 in the packet loop: the same text as `netwatch.protocols.ja4`."""

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
from netwatch.protocols.client_hello import client_hello
from netwatch.protocols.ja4 import ja4

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


def made(
    ciphers: Sequence[int], kinds: Sequence[int], signatures: Sequence[int], alpn: Sequence[str]
) -> bytes:
    protocols = vector(2, b"".join(vector(1, each.encode()) for each in alpn))
    words = b"".join(each.to_bytes(2) for each in signatures)
    bodies = {0: server_name(b"www.example.com")[4:], 16: protocols, 13: vector(2, words)}
    own = [kind for kind in dict.fromkeys(kinds) if kind not in (0, 43, 0xFE0D)]
    raw = b"".join(extension(kind, bodies.get(kind, b"")) for kind in [*own, 0])
    return hello(raw, tuple(ciphers))


@examples(500)
@given(LISTS, st.lists(NUMBERS | st.sampled_from([13, 16]), max_size=60), LISTS, PROTOCOLS)
def test_the_same_as_by_the_parser(
    ciphers: list[int], kinds: list[int], signatures: list[int], alpn: list[str]
) -> None:
    raw = made(ciphers, kinds, signatures, alpn)
    by = Loop(64, filling=True, fingerprints=True)
    # The second time the hashes are known.
    assert [told(by, raw, port) for port in (1024, 1025)] == [ja4(client_hello(raw), "t")] * 2


@examples(20)
@given(LISTS, st.lists(NUMBERS | st.sampled_from([13, 16]), max_size=60), LISTS, PROTOCOLS)
def test_the_same_interpreted(
    ciphers: list[int], kinds: list[int], signatures: list[int], alpn: list[str]
) -> None:
    raw = made(ciphers, kinds, signatures, alpn)
    by = interpreted().Loop(64, filling=True, fingerprints=True)
    assert [told(by, raw, port) for port in (1024, 1025)] == [ja4(client_hello(raw), "t")] * 2


def test_hashes_that_share_a_place_are_told_apart() -> None:
    by = Loop(64, filling=True, fingerprints=True)
    for turn in range(2):
        for cipher in range(1000):
            raw = made([cipher], [13], [cipher, 7], [])
            assert told(by, raw, 2000 + 1000 * turn + cipher) == ja4(client_hello(raw), "t")


def test_messages_of_any_number_of_blocks_are_hashed() -> None:
    for count in range(200):
        by = Loop(64, filling=True, fingerprints=True)
        raw = made(range(0x2000, 0x2000 + count), [13], range(count), [])
        assert told(by, raw, 1024) == ja4(client_hello(raw), "t")


def test_more_numbers_than_are_read_here_go_to_the_parser() -> None:
    by = Loop(64, filling=True, fingerprints=True)
    assert told(by, made(range(0x2000, 0x2000 + 256), [], [], []), 1024)
    assert told(by, made(range(0x2000, 0x2000 + 257), [], [], []), 1025) is None
    assert told(by, made([1], [13], range(254), []), 1026)
    assert told(by, made([1], [13], range(255), []), 1027) is None
