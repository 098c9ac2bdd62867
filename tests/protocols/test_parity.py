"""Compiled and interpreted, the parsers read the same in the same bytes."""

import importlib.machinery
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.handshake_samples import dtls_hello, dtls_record, fragment
from support.interpreted import SOURCES, all_interpreted
from support.protocol_samples import (
    crypto,
    extension,
    hello,
    real_hello,
    records,
    sealed,
    server_name,
)

from netwatch import protocols
from netwatch.protocols import quic

_GREASE = extension(0x5A5A, b"")
_NAME = server_name(b"www.example.com")
_MORE = extension(16, b"\0\x0c\2h2\x08http/1.1") + extension(43, b"\4\x1a\x1a\3\4")
_HELLO = hello(_GREASE + _NAME + _MORE + extension(13, b"\0\4\4\3\x08\4"), (0x0A0A, 0x1301))
_QUESTION = b"\3WWW\7example\3com\0\0\1\0\1"
_ANSWERED = (
    bytes.fromhex("123481800001000300000000")
    + _QUESTION
    + b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\6\3cdn\xc0\x10"
    + b"\xc0\x2d\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
    + b"\xc0\x0c\0\x41\0\1\0\0\0\x3c\0\x0b\0\1\0\0\4\0\4\xc0\0\2\2"
)
SAMPLES = {
    protocols.DNS: [bytes.fromhex("123401000001000000000000") + _QUESTION, _ANSWERED],
    protocols.DNS_TCP: [len(_ANSWERED).to_bytes(2) + _ANSWERED],
    protocols.TLS: [records(_HELLO), records(_HELLO, 40), real_hello()],
    protocols.QUIC: [
        sealed(crypto(0, _HELLO), b"12345678", pad_to=300),
        sealed(b"\1" + crypto(9, _HELLO[9:]), b"12345678", 1, number_size=2)
        + sealed(b"\2\5\0\1\0\3\2" + crypto(0, _HELLO[:20]), b"12345678", 2, number_size=4),
    ],
    protocols.DTLS: [
        dtls_record(fragment(dtls_hello(_HELLO), 0, len(dtls_hello(_HELLO)))),
    ],
}


class Source:
    """The parsers, interpreted."""

    def __init__(self) -> None:
        self.modules = all_interpreted("netwatch.protocols")

    def reading(self, kind: int, data: bytes) -> str:
        return reading(self.modules["netwatch.protocols"].PROTOCOLS[kind], data)


@pytest.fixture(scope="module")
def source() -> Source:
    return Source()


def reading(parser: Any, data: bytes) -> str:
    """What a parser says of these bytes, in words."""

    def said(read: Callable[[], Any]) -> str:
        try:
            found = read()
        except Exception as error:
            reported = getattr(error, "anomaly", getattr(error, "bytes_needed", error))
            return f"{type(error).__name__} {reported}"
        ja4 = found.tls.ja4 if found is not None and found.tls is not None else None
        return f"{found!r} {ja4}"

    if parser.parse_datagram is not None:
        return said(lambda: parser.parse_datagram(data))
    if parser.parse_stream is not None:
        return said(lambda: parser.parse_stream(data, False)) + said(
            lambda: parser.parse_stream(data, True)
        )
    connection = parser.new_handshake(None)
    return said(lambda: connection.feed(data)) + said(connection.finish)


def test_the_source_is_interpreted(source: Source) -> None:
    extension_module = importlib.machinery.ExtensionFileLoader
    if not isinstance(quic.__loader__, extension_module):
        pytest.skip("nothing was compiled")
    assert not isinstance(source.modules[quic.__name__].__loader__, extension_module)
    assert {"netwatch.core.message", "netwatch.protocols.tls", quic.__name__} <= set(SOURCES)


@pytest.mark.parametrize("kind", SAMPLES)
def test_valid_messages(source: Source, kind: int) -> None:
    for data in SAMPLES[kind]:
        mine = reading(protocols.PROTOCOLS[kind], data)
        assert mine == source.reading(kind, data)
        assert "example" in mine


@pytest.mark.parametrize("kind", SAMPLES)
@given(data=st.data())
def test_messages_with_bytes_changed_and_truncated(source: Source, kind: int, data: Any) -> None:
    sound = bytearray(data.draw(st.sampled_from(SAMPLES[kind])))
    places = st.tuples(st.integers(0, len(sound) - 1), st.integers(0, 255))
    for at, value in data.draw(st.lists(places, max_size=4)):
        sound[at] = value
    part = bytes(sound[: data.draw(st.integers(0, len(sound)))])
    for given_ in (bytes(sound), part):
        mine = reading(protocols.PROTOCOLS[kind], given_)
        assert mine == source.reading(kind, given_)
