"""What the packet loop counts without a parser shows nothing but names of no interest."""

import random
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from itertools import product

import handshakes
import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import protocol_samples as samples
from support.captures import rows, timed
from support.examples import examples
from support.frames import CLIENT, SERVER, tcp, udp
from support.interpreted import interpreted

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message
from netwatch.dissect.loop.loop import Loop
from netwatch.protocols import dns, tls

RAW = 101
IDLE = ("www.example.org", "cdn.example.net", "edge.example.net", "a-b_c.example.com")
OTHER = "www.example.com"
RNG = random.Random(3)


def query(name: str, kind: str = "A") -> bytes:
    return messages.query(1, name, kind)


def answer(name: str, *targets: str, kind: str = "CNAME", priority: int = 0) -> bytes:
    owners = (name, *targets)
    prefix = "" if kind == "CNAME" else f"{priority} "
    records = [
        (owner, kind, 60, prefix + target) for owner, target in zip(owners, targets, strict=False)
    ]
    records.append((owners[-1], "A", 60, SERVER))
    return messages.answer(1, name, "A", records)


def https(parameters: bytes) -> bytes:
    plain = messages.answer(1, IDLE[0], "HTTPS", [(IDLE[0], "HTTPS", 60, "1 .")])
    size = 3 + 4 + len(b"\2h3\2h2")
    assert int.from_bytes(plain[-size - 2 : -size]) == size
    return plain[: -size - 2] + (size + len(parameters)).to_bytes(2) + plain[-size:] + parameters


def hello(name: str | None, **options: bool) -> bytes:
    return handshakes.records(handshakes.client_hello(name, RNG, **options))


def new_loop(*zones: str) -> Loop:
    return Loop(64, domains=[zone.encode() for zone in zones or (OTHER,)])


def within(name: str) -> bool:
    return name == OTHER or name.endswith(f".{OTHER}")


def datagram(payload: bytes) -> bytes:
    if len(payload) > 2 and payload[2] & 0x80:
        return udp(payload, src=SERVER, sport=53, dst=CLIENT, dport=50000)
    return udp(payload)


def read(payload: bytes, parse: Callable[[bytes], Message]) -> Message | None:
    try:
        return parse(payload)
    except (ParseError, Incomplete):
        return None


KEY = b"\7\0\x20" + samples.vector(2, bytes(32)) + samples.vector(2, b"\0\1\0\1") + b"\0"
KEYS = samples.vector(
    2, b"\xfe\x0d" + samples.vector(2, KEY + b"\x0epublic.example\0\0") + b"\xfe\x0a\0\0"
)


DATAGRAMS = {
    "query": (query("www.example.org"), {"dns-query": 1}),
    "upper": (query("WWW.Example.ORG"), {"dns-query": 1}),
    "answer": (answer("www.example.org"), {"dns-answer": 1}),
    "alias": (answer("www.example.org", "cdn.example.net"), {"dns-answer": 1, "dns-cname": 1}),
    "chain": (
        answer("www.example.org", "cdn.example.net", "edge.example.net"),
        {"dns-answer": 1, "dns-cname": 2},
    ),
    "https": (
        answer("www.example.org", "cdn.example.net", kind="HTTPS"),
        {"dns-answer": 1, "dns-cname": 1},
    ),
    "service": (
        answer("www.example.org", "cdn.example.net", kind="HTTPS", priority=1),
        {"dns-answer": 1},
    ),
    "service of interest": (
        answer("_dns.resolver.arpa", OTHER, kind="SVCB", priority=1),
        {"dns-answer": 1},
    ),
    "above": (query("example.com"), {"dns-query": 1}),
    "beside": (query("wwww.example.com"), {"dns-query": 1}),
    "in front": (query("www.example.com.example.org"), {"dns-query": 1}),
    "many labels": (query("1." * 31 + "a"), {"dns-query": 1}),
    "parameters": (
        https(b"\0\4\0\4" + ip_address(SERVER).packed),
        {"dns-answer": 1},
    ),
    "https-self": (
        messages.answer(1, IDLE[0], "HTTPS", [(IDLE[0], "HTTPS", 60, "1 .")]),
        {"dns-answer": 1},
    ),
}


@pytest.mark.parametrize(("payload", "shown"), DATAGRAMS.values(), ids=DATAGRAMS.keys())
def test_idle_names_are_counted_as_the_parser_would(payload: bytes, shown: dict[str, int]) -> None:
    by = new_loop()
    assert rows(by, timed([datagram(payload)]), RAW) == []
    assert by.prefilter.names() == shown
    assert Counter(each.evidence for each in dns.parse(payload).names) == shown


OF_INTEREST = {
    "ech-keys": https(b"\0\5" + samples.vector(2, KEYS)),
    "query": query(OTHER),
    "answer": answer(OTHER),
    "alias": answer("www.example.org", OTHER),
    "end of a chain": answer("www.example.org", "cdn.example.net", OTHER),
    "https": answer("www.example.org", OTHER, kind="HTTPS"),
    "upper": query(OTHER.upper()),
    "below": query(f"x.{OTHER}"),
    "far below": query("1." * 20 + OTHER),
    "too many labels": query("1." * 32 + "a"),
    "parameters that run out": https(b"\0\2\0\4\2h3"),
    "a hint of a wrong size": https(b"\0\4\0\3\1\2\3"),
    "address of a wrong size": answer("www.example.org")[:-6] + b"\0\3\1\2\3",
    "truncated": b"\0\1\x83\x80" + answer("www.example.org")[4:],
    "cut": answer("www.example.org", "cdn.example.net")[:-20],
    "dot in a label": query("www.example.org").replace(b"\3www\7example", b"\x0bwww.example"),
}


@pytest.mark.parametrize("payload", OF_INTEREST.values(), ids=OF_INTEREST.keys())
def test_all_else_goes_to_the_parser(payload: bytes) -> None:
    by = new_loop()
    assert len(rows(by, timed([datagram(payload)]), RAW)) == 1
    assert by.prefilter.names() == {}


@pytest.mark.parametrize("large", [False, True])
def test_a_hello_with_an_idle_name_is_counted_and_another_is_not(large: bool) -> None:
    by = new_loop()
    assert rows(by, timed([tcp(hello(IDLE[0], post_quantum=large))]), RAW) == []
    assert by.prefilter.names() == {"tls-sni": 1}
    for name in (OTHER, None):
        packets = timed([tcp(hello(name, post_quantum=large), sport=50001)])
        assert len(rows(by, packets, RAW)) == 1
        by = new_loop()


def test_a_repeated_hello_is_counted_once() -> None:
    by = new_loop()
    assert rows(by, timed([tcp(hello(IDLE[0]))] * 3), RAW) == []
    assert by.prefilter.names() == {"tls-sni": 1}
    assert by.anomalies() == {"tcp-retransmission": 2}


def test_nothing_is_held_back_without_zones_and_they_can_change() -> None:
    packets = timed([datagram(query(IDLE[0])), tcp(hello(IDLE[0]))])
    assert len(rows(Loop(64), packets, RAW)) == 2
    for zones in (None, [b"example.org"], [b"org"]):
        changed = new_loop()
        changed.prefilter.domains.replace(zones)
        assert len(rows(changed, packets, RAW)) == 2
    assert rows(Loop(64, domains=[]), packets, RAW) == []


def test_many_zones_are_never_mixed_up() -> None:
    by = new_loop(*(f"n{number}.example.org" for number in range(80_000)))
    # Of each length a query is made, of which the others differ by the number.
    made = {size: datagram(query(f"a.n{'0' * size}.example.org")) for size in range(1, 6)}

    def named(letter: bytes, number: int) -> bytes:
        size = len(str(number))
        return made[size].replace(b"n" + b"0" * size, letter + str(number).encode())

    inside = [named(b"n", number) for number in range(0, 80_000, 27)]
    assert len(rows(by, timed(inside), RAW)) == len(inside)
    outside = [named(b"m", number) for number in range(3000)]
    assert rows(by, timed(outside), RAW) == []


@pytest.mark.parametrize("source", [False, True], ids=["compiled", "interpreted"])
def test_zones_of_any_depth_match_themselves_and_what_is_below(source: bool) -> None:
    """The last two labels are looked up first, and a zone may have fewer or more."""
    names = ("test", "a.test", "b.a.test", "c.b.a.test", "other.test", "b.other.test", "other")
    packets = timed([datagram(query(name)) for name in names])
    for zones in (["test"], ["a.test"], ["b.a.test"], ["b.a.test", "other"], ["x.b.a.test"], []):
        loop = (interpreted().Loop if source else Loop)(64, domains=[z.encode() for z in zones])
        found = rows(loop, packets, RAW)
        expected = [n for n in names if any(n == z or n.endswith(f".{z}") for z in zones)]
        assert len(found) == len(expected), zones


@st.composite
def mangled(draw: st.DrawFn, payloads: list[bytes]) -> bytes:
    data = bytearray(draw(st.sampled_from(payloads)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from("sdi")):
            case "s":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=2))
            case "d":
                del data[at : at + draw(st.integers(1, 6))]
            case "i":
                data[at:at] = draw(st.sampled_from([b"\0", b"\xc0\x0c", b".", b"\5other", b"\1"]))
    return bytes(data)


MESSAGES = [payload for payload, _ in DATAGRAMS.values()] + list(OF_INTEREST.values())


@examples(500)
@given(mangled(MESSAGES), st.binary(max_size=3))
def test_whatever_the_datagram_the_parser_agrees(payload: bytes, behind: bytes) -> None:
    by = new_loop()
    held = not rows(by, timed([datagram(payload + behind)]), RAW)
    if held and payload + behind:
        message = read(payload + behind, dns.parse)
        assert message is not None
        assert not any(within(shown.name) for shown in message.names)
        assert message.anomalies == ()
        # Of an alias whose owner cannot be read the parser says nothing.
        assert Counter(shown.evidence for shown in message.names) <= Counter(by.prefilter.names())
    else:
        assert by.prefilter.names() == {}


def with_ech(
    size: int, first: int = 0x2A2A, key: int = 32, more: int = 0, suite: tuple[int, int] = (1, 1)
) -> bytes:
    """A hello with an encrypted_client_hello of this KDF and AEAD whose payload has this size, and
    with another extension of type `more`."""
    kdf, aead = (number.to_bytes(2) for number in suite)
    body = b"\0" + kdf + aead + b"\7" + samples.vector(2, bytes(key))
    body += samples.vector(2, bytes(size))
    parts = samples.server_name(IDLE[0].encode()) + samples.extension(0xFE0D, body)
    parts += samples.extension(more, b"\0\3\2h3") if more else b""
    return samples.records(samples.hello(parts, (first, 0x1301)))


PAYLOAD_SIZES = (0, 1, 143, 144, 145, 176, 207, 208, 239, 240, 272)


@pytest.mark.parametrize("first", [0x2A2A, 0x2A3A, 0x1A2B, 0x1301])
@pytest.mark.parametrize("more", [0, 17513, 17613, 17514])
@pytest.mark.parametrize("suite", [(1, 1), (1, 3), (1, 2), (0, 1), (2, 3), (257, 1), (1, 513)])
def test_a_dummy_is_idle_and_what_stands_for_another_is_not(
    first: int, more: int, suite: tuple[int, int]
) -> None:
    made = new_loop().prefilter.messages
    for size, key in product(PAYLOAD_SIZES, (0, 31, 32, 33)):
        payload = with_ech(size, first, key, more, suite)
        message = tls.parse(payload)
        assert message.tls is not None
        known = message.tls.ech != "outer" and message.anomalies == ()
        assert made.uninteresting(2, payload) is known, (size, key)


def test_a_hello_whose_suite_is_not_one_of_grease_goes_to_the_parser() -> None:
    for suite, held in (((1, 1), True), ((0, 1), False)):
        payload = with_ech(176, suite=suite)
        assert (rows(new_loop(), timed([tcp(payload)]), RAW) == []) is held
        message = tls.parse(payload)
        assert message.tls is not None
        assert message.tls.ech == ("grease" if held else "outer")


HELLOS = [hello(name, post_quantum=large) for name in (IDLE[0], OTHER) for large in (False, True)]
HELLOS += [with_ech(176), with_ech(207), with_ech(207, 0x1301), with_ech(176, 0x1301, 0)]
HELLOS += [with_ech(176, suite=(1, 3)), with_ech(176, key=33), with_ech(144, 0x1301, 32, 17613)]


NOT_HELLOS = {
    "another handshake message": (0, 5, b"\2"),
    "another content type": (1, 0, b"\x17"),
    "another major version": (1, 1, b"\2"),
}


@pytest.mark.parametrize(("first", "at", "octet"), NOT_HELLOS.values(), ids=NOT_HELLOS.keys())
def test_what_the_first_segment_was_too_short_to_rule_out_is_not_a_hello(
    first: int, at: int, octet: bytes
) -> None:
    payload = hello(IDLE[0])
    other = payload[:at] + octet + payload[at + 1 :]
    with pytest.raises(ParseError):
        tls.parse(other)
    made = new_loop().prefilter.messages
    assert made.uninteresting(2, payload)
    assert not made.uninteresting(2, other)
    assert not made.uninteresting(3, other[5:]) or first


def test_a_hello_in_a_longer_record_than_tls_allows_is_left_to_the_parser() -> None:
    made = new_loop().prefilter.messages
    for padding, known in ((16384 + 2048 - 200, True), (16384 + 2048, False)):
        parts = samples.server_name(IDLE[0].encode()) + samples.extension(21, bytes(padding))
        body = samples.hello(parts, (0x1301,))
        payload = b"\x16\3\1" + len(body).to_bytes(2) + body
        assert made.uninteresting(2, payload) is known
        assert (read(payload, tls.parse) is not None) is known


ECH = st.builds(
    lambda kind, kdf, aead, key, payload, behind: (
        bytes([kind]) + kdf.to_bytes(2) + aead.to_bytes(2) + b"\7" + key + payload + behind
    ),
    st.sampled_from([0, 0, 0, 1, 2]),
    st.sampled_from([1, 1, 0, 2, 257]),
    st.sampled_from([1, 3, 2, 0, 513]),
    st.sampled_from([0, 31, 32, 32, 32, 33]).map(lambda size: samples.vector(2, bytes(size))),
    st.sampled_from([0, 1, 143, 144, 176, 207, 208, 240]).map(
        lambda size: samples.vector(2, bytes(size))
    ),
    st.sampled_from([b"", b"", b"", b"\0"]),
)
EXTENSION = st.one_of(
    st.sampled_from([IDLE[0], IDLE[3], IDLE[1].upper(), OTHER, "a." + OTHER, "192.0.2.1", ""]).map(
        lambda name: samples.server_name(name.encode())
    ),
    st.just(samples.server_name(IDLE[0].encode(), OTHER.encode())),
    ECH.map(lambda body: samples.extension(0xFE0D, body)),
    st.builds(
        samples.extension,
        st.sampled_from([10, 13, 16, 43, 51, 17513, 17613, 0x0A0A, 0x1A1A]),
        st.one_of(
            st.binary(max_size=8),
            st.sampled_from([b"\0\3\2h3", b"\2\3\4", b"\0\2\4\3", b"\3\3\4", b"\0\4\2h3"]),
        ),
    ),
)
BUILT_HELLOS = st.builds(
    lambda extensions, ciphers, session, size: samples.records(
        samples.hello(b"".join(extensions), ciphers, legacy=session), size
    ),
    st.lists(EXTENSION, max_size=6),
    st.lists(st.sampled_from([0x1301, 0x1302, 0x0A0A, 0x2A2A, 0x1A2B]), max_size=3).map(tuple),
    st.binary(max_size=32),
    st.sampled_from([16384, 16384, 16384, 60]),
)


@examples(1000)
@given(st.one_of(mangled(HELLOS), BUILT_HELLOS))
def test_whatever_the_hello_the_parser_agrees(payload: bytes) -> None:
    by = new_loop()
    if not rows(by, timed([tcp(payload)]), RAW) and by.prefilter.names():
        message = read(payload, tls.parse)
        assert message is not None
        assert [within(shown.name) for shown in message.names] == [False]
        assert message.anomalies == ()
        assert message.tls is not None
        assert message.tls.ech != "outer"
        assert by.prefilter.names() == {"tls-sni": 1}


@pytest.mark.parametrize("post_quantum", [False, True])
def test_hellos_put_together_elsewhere_are_held_against_the_same_names(post_quantum: bool) -> None:
    loop = new_loop()
    made = loop.prefilter.messages
    for name, known in ((IDLE[0], True), (OTHER, False), (None, False)):
        plain = handshakes.client_hello(name, RNG, post_quantum=post_quantum)
        quic = handshakes.client_hello(name, RNG, post_quantum=post_quantum, quic=True)
        assert made.uninteresting(2, handshakes.records(plain)) is known
        assert made.uninteresting(3, quic) is known
        assert not made.uninteresting(2, handshakes.records(plain)[:-1])
        assert not made.uninteresting(3, quic[:-1])
        assert not made.uninteresting(4, quic)
    assert loop.prefilter.names() == {"tls-sni": 1, "quic-sni": 1}
    assert not Loop(64).prefilter.messages.uninteresting(3, quic)
