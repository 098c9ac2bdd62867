"""QUIC Initials are opened in the packet loop as by the parser, or not at all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import rows, timed
from support.examples import examples
from support.frames import udp
from support.interpreted import interpreted
from support.protocol_samples import (
    crypto,
    extension,
    hello,
    rfc_packets,
    sealed,
    server_name,
    vector,
)

from netwatch.core.errors import ParseError
from netwatch.dissect.loop import loop as compiled
from netwatch.protocols.quic_keys import Decryptor
from netwatch.protocols.quic_packet import initials as packets

RAW = 101
V1, V2 = 1, 0x6B3343CF
HELLO = hello(
    server_name(b"www.example.org")
    + extension(16, vector(2, vector(1, b"h3")))
    + extension(43, vector(1, b"\3\4"))
)


class Tables:
    """The compiled form, as it is on a processor without instructions for AES and SHA-256."""

    @staticmethod
    def Loop(*args: Any, **keys: Any) -> Any:  # noqa: N802
        loop = compiled.Loop(*args, **keys)
        loop.quic_hellos.packets.gcm.native = False
        loop.quic_hellos.packets.keys.sha.native = False
        return loop


FORMS = [compiled, Tables, interpreted()]
OPENS = FORMS[2].Loop(8).quic_hellos.packets


def names(module: Any, datagram: bytes, zone: bytes = b"example.net") -> tuple[Any, int]:
    by = module.Loop(8, domains=[zone])
    found = rows(by, timed([udp(datagram, dport=443)]), RAW)
    return by.prefilter.names(), len(found)


@pytest.mark.parametrize("form", FORMS, ids=["compiled", "tables", "interpreted"])
@pytest.mark.parametrize("rfc", ["rfc9001", "rfc9369"])
def test_packets_of_the_rfcs(form: Any, rfc: str) -> None:
    sent = rfc_packets(rfc)
    assert names(form, sent["client"]) == ({"quic-sni": 1}, 0)
    assert names(form, sent["client"], b"example.com") == ({}, 1)
    assert names(form, sent["server"]) == ({}, 1)


@pytest.mark.parametrize("rfc", ["rfc9001", "rfc9369"])
def test_frames_of_the_rfcs(rfc: str) -> None:
    sent = rfc_packets(rfc)["client"]
    assert OPENS.open(sent, 0, len(sent)) == 1162
    assert OPENS.packet_end == 1200
    # The CRYPTO frame that both give, and padding.
    assert bytes(OPENS.plain[:12]).hex() == "060040f1010000ed0303ebf8"
    assert not any(OPENS.plain[245:1162])


@examples(60)
@given(
    st.binary(max_size=20),
    st.binary(max_size=20),
    st.binary(max_size=70),
    st.sampled_from([V1, V2]),
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.integers(0, 1500),
)
def test_what_is_sealed_elsewhere_opens_in_both_forms(
    dcid: bytes, scid: bytes, token: bytes, version: int, number: int, size: int, padded: int
) -> None:
    sent = sealed(
        crypto(0, HELLO),
        dcid,
        number % 2 ** (8 * size - 1),
        version=version,
        number_size=size,
        token=token,
        scid=scid,
        pad_to=padded,
    )
    for form in FORMS:
        assert names(form, sent) == ({"quic-sni": 1}, 0)


def test_tables_are_used_where_they_are_asked_for() -> None:
    if compiled.COMPILED:
        assert not Tables.Loop(8).quic_hellos.packets.gcm.native
    assert not OPENS.gcm.native


@given(st.data())
def test_what_is_not_as_it_was_sealed_is_not_opened(data: st.DataObject) -> None:
    sent = bytearray(sealed(crypto(0, HELLO), b"\7" * 8, token=b"\1\2", scid=b"\3"))
    at = data.draw(st.integers(0, len(sent) - 1))
    sent[at] ^= data.draw(st.integers(1, 255))
    datagram = bytes(sent)
    size = OPENS.open(datagram, 0, len(datagram))
    try:
        known = [(p, Decryptor(p.version, p.dcid).decrypt(datagram, p)) for p in packets(datagram)]
    except ParseError:
        known = []
    if size >= 0:
        # A change behind the length, or of what nothing covers, which there is not.
        assert known[0][1] == bytes(OPENS.plain[:size])
    elif known:
        assert known[0][1] is None or known[0][0].version.number not in (V1, V2)
    assert size == -1


@given(st.binary(max_size=100))
def test_any_bytes_are_opened_or_not(data: bytes) -> None:
    assert OPENS.open(data, 0, len(data)) == -1
    initial = b"\xc0\0\0\0\1" + data
    assert OPENS.open(initial, 0, len(initial)) == -1


def test_keys_are_made_once_for_a_connection() -> None:
    one, other = (sealed(crypto(0, HELLO), dcid) for dcid in (b"\7" * 8, b"\7" * 7))
    opens = FORMS[2].Loop(8).quic_hellos.packets
    made: list[bytes] = []
    derive = opens.keys.derive
    opens.keys.derive = lambda data, at, size, version: (
        made.append(data[at : at + size]),
        derive(data, at, size, version),
    )
    for sent in (one, one, other, one):
        assert opens.open(sent, 0, len(sent)) > 0
    assert made == [b"\7" * 8, b"\7" * 7, b"\7" * 8]


@pytest.mark.parametrize("size", [1152, 2047, 2048, 2049])
def test_the_longest_packet(size: int) -> None:
    # What is behind its length: the packet number, frames and tag.
    sent = sealed(crypto(0, HELLO), b"", pad_to=size + 10)
    assert (OPENS.open(sent, 0, len(sent)) > 0) == (size <= 2048)


def test_a_long_token() -> None:
    for size, opened in ((400, True), (600, False)):
        sent = sealed(crypto(0, HELLO), b"\7" * 8, token=bytes(size))
        assert (OPENS.open(sent, 0, len(sent)) > 0) == opened
