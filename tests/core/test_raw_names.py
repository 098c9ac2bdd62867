"""Names in the letters of the packet, beside their normal spelling."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import protocol_samples as samples
from support.examples import examples

from netwatch.core.message import Message
from netwatch.core.names import normalise_name, raw_name
from netwatch.protocols import dns, http, socks


def query(*labels: bytes) -> bytes:
    name = b"".join(samples.vector(1, label) for label in labels) + b"\0"
    return b"\0\1\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1"


def request(host: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"


def connect(host: bytes) -> bytes:
    return b"\5\1\0\3" + samples.vector(1, host) + b"\1\xbb"


@pytest.mark.parametrize(
    ("message", "parse", "name", "raw"),
    [
        (query(b"www", b"tiktok", b"com"), dns.parse, "www.tiktok.com", ""),
        (query(b"wWw", b"TikTok", b"com"), dns.parse, "www.tiktok.com", "wWw.TikTok.com"),
        (query(b"A.b", b"com"), dns.parse, "a\\.b.com", "A\\.b.com"),
        (request(b"www.tiktok.com"), http.parse, "www.tiktok.com", ""),
        (request(b"WWW.tiktok.com.:80"), http.parse, "www.tiktok.com", "WWW.tiktok.com."),
        (
            request("MÜNCHEN.example".encode()),
            http.parse,
            "xn--mnchen-3ya.example",
            "M\\195\\156NCHEN.example",
        ),
        (connect(b"TikTok.com"), lambda data: socks.parse(data), "tiktok.com", "TikTok.com"),
    ],
)
def test_a_message_has_the_letters_of_the_packet_where_they_differ(
    message: bytes, parse: Callable[[bytes], Message], name: str, raw: str
) -> None:
    (shown,) = parse(message).names
    assert (shown.name, shown.raw) == (name, raw)


@examples(300)
@given(st.binary(min_size=1, max_size=80))
def test_a_raw_name_is_printable_and_reads_back(raw: bytes) -> None:
    name = normalise_name(raw)
    text = raw_name(raw, name) or name
    assert text.isascii()
    assert text.isprintable()
    if text != name:
        decoded = bytearray()
        at = 0
        while at < len(text):
            if text[at] != "\\":
                decoded.append(ord(text[at]))
                at += 1
            elif text[at + 1] == "\\":
                decoded.append(0x5C)
                at += 2
            else:
                decoded.append(int(text[at + 1 : at + 4]))
                at += 4
        assert bytes(decoded) == raw
