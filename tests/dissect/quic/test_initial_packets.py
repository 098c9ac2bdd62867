"""QUIC Initials, opened with keys that follow from their own connection id."""

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

from netwatch.dissect.loop import loop as compiled

RAW = 101
V1, V2 = 1, 0x6B3343CF
NOTHING, INITIAL, OTHER, BROKEN = range(4)
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
    assert OPENS.open(datagram, 0, len(datagram)) < 0


@given(st.binary(max_size=100))
def test_any_bytes_are_opened_or_not(data: bytes) -> None:
    assert OPENS.open(data, 0, len(data)) < 0
    initial = b"\xc0\0\0\0\1" + data
    assert OPENS.open(initial, 0, len(initial)) < 0


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


@pytest.mark.parametrize("form", FORMS, ids=["compiled", "tables", "interpreted"])
def test_long_packets_and_tokens(form: Any) -> None:
    for token, padded in ((600, 0), (0, 2049), (3000, 9000)):
        sent = sealed(crypto(0, HELLO), b"\7" * 8, token=bytes(token), pad_to=padded)
        assert names(form, sent) == ({"quic-sni": 1}, 0)


def test_frames_that_are_no_handshake_are_passed() -> None:
    ack = b"\2\5\0\1\0\3\2"
    ecn = b"\3\5\0\0\0\1\2\3"
    close = b"\x1c\0\0\2no"
    for frames in (ack, ecn, close, b"\0\1" + ack + close):
        for sent in (frames + crypto(0, HELLO), crypto(0, HELLO) + frames):
            for form in FORMS:
                assert names(form, sealed(sent, b"\7" * 8)) == ({"quic-sni": 1}, 0)


@pytest.mark.parametrize(
    "frames", [b"\x08\0", b"\2\5", b"\x1c\0\0\x09no", b"\x40", b"\6\0\x44\0x", b"\6\xff"]
)
def test_frames_that_are_odd_go_to_the_parser(frames: bytes) -> None:
    for form in FORMS:
        assert names(form, sealed(crypto(0, HELLO) + frames, b"\7" * 8)) == ({}, 1)


@pytest.mark.parametrize(
    ("datagram", "found"),
    [
        (b"\x40" + bytes(30), NOTHING),
        (b"\xc0\0\0\0\1\0", NOTHING),
        (b"\xc0\0\0\0\0\x08" + bytes(30), NOTHING),  # Version Negotiation
        (b"\xc0\x1a\x2a\x3a\x4a\x08" + bytes(30), INITIAL),  # one that is reserved
        (b"\xc0\x1a\x2b\x3b\x4a\x08" + bytes(30), NOTHING),  # one that nobody knows
        (b"\xc0\0\0\0\1\x15" + bytes(60), NOTHING),  # an ID of 21 bytes
        (b"\xe0\0\0\0\1\x08" + bytes(60), OTHER),  # a Handshake packet
        (b"\xf0\0\0\0\1\x08" + bytes(60), NOTHING),  # a Retry
        (b"\xc0\x6b\x33\x43\xcf\x08" + bytes(60), NOTHING),  # a Retry of version 2
        (b"\xd0\x6b\x33\x43\xcf\x08" + bytes(60), INITIAL),
        (b"\x80\0\0\0\1\x08" + bytes(60), INITIAL),  # without the Fixed Bit
        (b"\xc0\0\0\0\1\x09" + bytes(9), BROKEN),
        (b"\xc0\0\0\0\1\0\x09" + bytes(8), BROKEN),
        (b"\xc0\0\0\0\1\0\0\x09" + bytes(8), BROKEN),  # a token
        (b"\xc0\0\0\0\1\0\0\0\x09" + bytes(8), BROKEN),
        (b"\xc0\0\0\0\1\0\0\0\x08" + bytes(8), INITIAL),
    ],
)
def test_headers(datagram: bytes, found: int) -> None:
    for packets in (OPENS, compiled.Loop(8).quic_hellos.packets):
        assert packets.packet(datagram, 0, len(datagram)) == found
