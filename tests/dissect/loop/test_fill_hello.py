"""Rows that the packet loop writes for hellos: the same that their parsers give, in the same
order."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

import handshakes
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import START, Frames, block, timed
from support.examples import examples
from support.filling import FlowReader, flat
from support.frames import CLIENT, SERVER, tcp, udp
from support.interpreted import all_interpreted
from support.made_hellos import SECOND, V1, V2, conversations, cut, datagrams, quic, record
from support.observing import observations
from support.protocol_samples import crypto, sealed

from netwatch.core.flow import Flow
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.statistics import RunStatistics
from netwatch.dissect.consumer import DissectorOptions
from netwatch.dissect.flows.accounting import FlowOptions
from netwatch.engine.observe import Observer

RAW = 101
NAME = "www.example.org"


class Told:
    """All that comes of a capture: its observations in order, what was counted, and how many
    packets went to the parsers."""

    def __init__(
        self, parse_all: bool, observer: type = Observer, *, record_flows: bool = False
    ) -> None:
        self.statistics = RunStatistics()
        consumer = FlowReader()
        options = DissectorOptions(
            flows=FlowOptions(slots_ended=consumer.slots_ended) if record_flows else None,
            parse_all=parse_all,
            knows_bypasses=False,
            fingerprints=True,
        )
        self._observer = observer(consumer, self.statistics, options, seed=3)
        self.flows = consumer.flows
        self.found: list[Any] = []
        self.parsed = 0
        reader = self._observer.dissector._readers[0]
        read = reader.read

        def counted(*args: Any) -> Any:
            self.parsed += 1
            return read(*args)

        reader.read = counted

    def read(
        self, frames: Frames, parts: Sequence[int] = (), link: int = RAW, **options: Any
    ) -> Any:
        """What comes of a capture that is read in blocks of so many packets."""
        first = 0
        for size in (*parts, len(frames)):
            some = frames[first : first + size]
            if some:
                batches = self._observer.batches(
                    block(some, link, first=first + 1, **options), "test"
                )
                self._add(batches)
            first += size
        self._add(self._observer.flush())
        self._observer.close()
        counted = self.statistics.observations, self.statistics.anomalies
        return self.found, list(map(without_sight, self.flows)), *counted

    def _add(self, batches: Iterable[ObservationBatch]) -> None:
        # A JA4 is a text of its batch, which is soon cleared.
        self.found += map(flat, observations(batches))


def without_sight(flow: Flow) -> Flow:
    """A flow without how it was seen: checksums are looked at of packets that have a row, and what
    is parsed in any case has more of them."""
    return replace(
        flow,
        client_acknowledged=None,
        server_acknowledged=None,
        client_checksums="unknown",
        server_checksums="unknown",
    )


def same(
    frames: Frames,
    parts: Sequence[int] = (),
    link: int = RAW,
    *,
    plain: bool = False,
    **options: Any,
) -> int:
    """Hold that a capture gives the same as if all were parsed; how many packets were parsed. Of
    `plain` ones none is, and as many are counted as may carry a name."""
    for record_flows in (True, False):
        told = Told(False, record_flows=record_flows)
        expected = Told(True, record_flows=record_flows)
        found = told.read(frames, parts, link, **options)
        assert found == expected.read(frames, parts, link, **options)
        if plain:
            assert told.parsed == 0
            assert told.statistics.candidates == expected.statistics.candidates > 0
    return told.parsed


# what is filled


def test_a_hello_in_one_segment_needs_no_parser() -> None:
    told = Told(False)
    told.read(timed(cut(record(NAME))))
    ((time, _, evidence, name, _, _, client, server, transport, place, _, tls, _),) = told.found
    assert (time, evidence, name, place[0]) == (START + 1_000_000, "tls-sni", NAME, 2)
    assert (client[1], server[1], transport[0]) == (50000, 443, "tcp")
    assert tls[:3] == ("1.3", ("h2", "http/1.1"), None)
    assert tls[3].startswith("t13d")
    assert told.parsed == 0
    same(timed(cut(record(NAME))), plain=True)


@pytest.mark.parametrize("version", [V1, V2])
def test_a_hello_of_quic_needs_no_parser(version: int) -> None:
    hello = quic(NAME, version=version)
    sent = datagrams(hello, [(0, 100), (100, len(hello))], version=version)
    told = Told(False)
    told.read(timed([udp(each, dport=443) for each in sent]))
    ((_, _, evidence, name, _, _, _, _, _, place, _, tls, found),) = told.found
    assert (evidence, name, place[0], found) == ("quic-sni", NAME, 2, "1" if version == V1 else "2")
    assert tls[3].startswith("q13d")
    assert told.parsed == 0
    same(timed([udp(each, dport=443) for each in sent]), plain=True)


def test_a_hello_that_comes_again_after_a_version_negotiation_is_told_again() -> None:
    drafts = {"draft-29": 0xFF00001D, "draft-27": 0xFF00001B}
    first, second = (
        udp(sealed(crypto(0, hello), b"\7" * 8, version=draft), dport=443)
        for draft in drafts.values()
        for hello in [handshakes.client_hello(NAME, random.Random(draft), quic=V1)]
    )
    negotiation = b"\x80\0\0\0\0\0\x08" + b"\7" * 8 + drafts["draft-27"].to_bytes(4)
    answer = udp(negotiation, src=SERVER, sport=443, dst=CLIENT, dport=50000)
    frames = timed([first, answer, second])
    told = Told(False)
    told.read(frames)
    assert [each[-1] for each in told.found] == list(drafts)
    same(frames)


def test_a_hello_without_a_name_needs_no_parser() -> None:
    same(timed(cut(record(None))), plain=True)
    same(timed(cut(record(None), 500)), plain=True)


def test_a_hello_that_is_cut_at_any_byte_needs_no_parser() -> None:
    # A connection for each place; none begins before the one before it is whole.
    data = record(NAME, large=False)
    cuts = {at: cut(data, at, sport=2000 + at) for at in range(1, len(data))}
    same(timed([packet for at in cuts if at >= 9 for packet in cuts[at]]), plain=True)
    same(timed([packet for at in cuts if at < 9 for packet in cuts[at]]))


def test_segments_in_any_order_need_no_parser() -> None:
    data = record(NAME)
    cuts = [cut(data, at, sport=2000 + at) for at in range(10, len(data), 97)]
    same(timed([packet for syn, a, b in cuts for packet in (syn, b, a)]), plain=True)
    same(timed([packet for _, a, b in cuts for packet in (b, a)]))
    same(timed([packet for syn, a, b in cuts for packet in (syn, a, a, b, b, a)]))
    same(timed([packet for syn, a, b in cuts for packet in (a, syn, b)]))


# and what is not


def _extension(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2) + len(body).to_bytes(2) + body


def _hello(*extensions: bytes, version: int = 0x303, ciphers: bytes = b"\x13\x01") -> bytes:
    block_ = b"".join(extensions)
    body = version.to_bytes(2) + bytes(32) + b"\0" + len(ciphers).to_bytes(2) + ciphers
    body += b"\1\0" + len(block_).to_bytes(2) + block_
    return b"\1" + len(body).to_bytes(3) + body


def _server_name(*names: bytes, kind: int = 0) -> bytes:
    entries = b"".join(bytes([kind]) + len(each).to_bytes(2) + each for each in names)
    return _extension(0, len(entries).to_bytes(2) + entries)


def _alpn(*protocols: bytes) -> bytes:
    names = b"".join(bytes([len(each)]) + each for each in protocols)
    return _extension(16, len(names).to_bytes(2) + names)


def _ech(key: int, payload: int, *, kdf: int = 1, aead: int = 1, kind: int = 0) -> bytes:
    body = bytes([kind]) + kdf.to_bytes(2) + aead.to_bytes(2) + b"\7"
    body += key.to_bytes(2) + bytes(key) + payload.to_bytes(2) + bytes(payload)
    return _extension(0xFE0D, body)


SNI = _server_name(NAME.encode())
ALPS = _extension(17513, b"\0\3\2h2")
GREASED = b"\x1a\x1a\x13\x01\x13\x02"

PLAIN = {
    "nothing else": _hello(SNI),
    "SSL 3.0": _hello(SNI, version=0x300),
    "TLS 1.0": _hello(SNI, version=0x301),
    "upper case": _hello(_server_name(b"WWW.Example.ORG")),
    "underscores": _hello(_server_name(b"_a-b.c_d")),
    "dots": _hello(_server_name(b".a..b")),
    "one byte": _hello(_server_name(b"x")),
    "255 bytes": _hello(_server_name(b"a" * 255)),
    "versions": _hello(SNI, _extension(43, b"\5\x7a\x7a\3\2\3")),
    "GREASE alone": _hello(SNI, _extension(43, b"\2\x7a\x7a")),
    "no versions": _hello(SNI, _extension(43, b"\0")),
    "odd versions": _hello(SNI, _extension(43, b"\3\3\4\3")),
    "odd ciphers": _hello(SNI, ciphers=b"\x13\x01\x13"),
    "no ciphers": _hello(SNI, ALPS, _ech(32, 144), ciphers=b""),
    "ALPN": _hello(SNI, _alpn(b"h2", b"http/1.1")),
    "no ALPN": _hello(SNI, _alpn()),
    "an empty ALPN": _hello(SNI, _alpn(b"", b"h2")),
    "an ALPN of one": _hello(SNI, _alpn(b"x")),
    "an ALPN with a dash": _hello(SNI, _alpn(b"-x-")),
    "signatures": _hello(SNI, _extension(13, b"\0\6\4\3\x0a\x0a\5\3")),
    "signatures alone": _hello(_server_name(b"x"), _alpn(b"h2"), _extension(13, b"\0\2\4\3")),
    "ECH": _hello(SNI, _ech(32, 144)),
    "ECH of GREASE": _hello(SNI, _ech(32, 144), ciphers=GREASED),
    "ECH of GREASE by ALPS": _hello(SNI, ALPS, _ech(32, 240, aead=3)),
    "ECH of a size": _hello(SNI, _ech(32, 145), ciphers=GREASED),
    "ECH of a key": _hello(SNI, _ech(31, 144), ciphers=GREASED),
    "ECH of a suite": _hello(SNI, _ech(32, 144, aead=2), ciphers=GREASED),
    "a public name": _hello(_server_name(b"cloudflare-ECH.com"), _ech(32, 144), ciphers=GREASED),
    "another public name": _hello(_server_name(b"public.tls-ech.dev"), _ech(32, 144)),
    "many extensions": _hello(SNI, *(_extension(100 + i, b"") for i in range(300))),
    "no extensions": b"\1\0\0\x29\3\3" + bytes(32) + b"\0\0\2\x13\1\1\0",
    "an empty name": _hello(_server_name(b"")),
    "an ALPN of nothing": _hello(SNI, _extension(16, b"")),
    "ECH without a key": _hello(SNI, _ech(0, 144), ciphers=GREASED),
    "many ciphers": _hello(SNI, ciphers=bytes(range(200)) + bytes(range(1, 201))),
}

ODD = {
    "a dot at the end": _hello(_server_name(b"a.b.")),
    "a dot": _hello(_server_name(b".")),
    "two names": _hello(_server_name(b"a", b"b")),
    "no host_name": _hello(_server_name(b"a", kind=1)),
    "256 bytes": _hello(_server_name(b"a" * 256)),
    "a space": _hello(_server_name(b"a b")),
    "UTF-8": _hello(_server_name("bücher.example".encode())),
    "two of them": _hello(SNI, SNI),
    "a repeated one": _hello(SNI, ALPS, ALPS),
    "a byte behind": _hello(SNI, b"\0"),
    "a draft": _hello(SNI, _extension(43, b"\2\x7f\x1c")),
    "an unknown version": _hello(SNI, version=0x2FF),
    "an ALPN with a backslash": _hello(SNI, _alpn(b"a\\b")),
    "an ALPN of bytes": _hello(SNI, _alpn(b"\xab\xcd")),
    "ALPN that is cut": _hello(SNI, _extension(16, b"\0\3\2h")),
    "many ALPN": _hello(SNI, _alpn(*(b"%d" % i for i in range(20)))),
    "signatures that are cut": _hello(SNI, _extension(13, b"\0\6\4\3")),
    "versions that are cut": _hello(SNI, _extension(43, b"\5\3\4")),
    "ECH without a payload": _hello(SNI, _ech(32, 0)),
    "an inner hello": _hello(SNI, _ech(32, 144, kind=1)),
}


@pytest.mark.parametrize("hello", PLAIN.values(), ids=PLAIN.keys())
def test_a_plain_hello_needs_no_parser(hello: bytes) -> None:
    data = handshakes.records(hello)
    same(timed(cut(data)), plain=True)
    same(timed(cut(data, 30)), plain=True)
    (sent,) = datagrams(hello, [(0, len(hello))])
    same(timed([udp(sent, dport=443)]), plain=True)


@pytest.mark.parametrize("hello", ODD.values(), ids=ODD.keys())
def test_an_odd_hello_goes_to_its_parser(hello: bytes) -> None:
    data = handshakes.records(hello)
    assert same(timed(cut(data))) == 1
    assert same(timed(cut(data, 30))) == 2
    (sent,) = datagrams(hello, [(0, len(hello))])
    assert same(timed([udp(sent, dport=443)])) == 1


BEHIND = {
    "another record": b"\x14\3\3\0\1\1",
    "a second hello": record("www.example.net"),
    "a request": b"GET / HTTP/1.1\r\nHost: www.example.net\r\n\r\n",
    "a byte": b"\0",
}


@pytest.mark.parametrize("more", BEHIND.values(), ids=BEHIND.keys())
def test_what_is_behind_a_hello_is_read_as_by_its_parser(more: bytes) -> None:
    data = record(NAME)
    assert same(timed(cut(data + more))) > 0
    same(timed(cut(data + more, 700)))
    same(timed(cut(data + more, len(data))))
    same(timed(cut(data + more, len(data) - 1, len(data) + 1)))


def test_segments_of_a_hello_that_come_again_are_counted_alike() -> None:
    data = record(NAME)
    syn, whole = cut(data)
    inside = tcp(data, seq=1001 + 77)
    second = tcp(record("www.example.net"), seq=1001 + len(data))
    request = tcp(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", seq=1001 + 50)
    same(timed([syn, whole, whole]))
    same(timed([syn, whole, inside]))
    same(timed([syn, whole, request]))
    same(timed([syn, whole, second, whole, second]))
    same(timed([syn, whole, second, inside]))
    same(timed([whole, second, syn, whole]))
    _, *pieces = cut(data, 600)
    same(timed([syn, *pieces, inside, *pieces, whole]))
    same(timed([syn, *pieces, second, *pieces, request]))
    again = [tcp(flags="S", seq=1000), whole]
    same(timed([syn, whole, *again, tcp(flags="R", seq=9), whole]))


def test_a_cut_packet_goes_to_its_parser() -> None:
    packets = timed(cut(record(NAME)))
    for snap in range(60, 600, 41):
        same(packets, snap=snap)


def test_what_never_becomes_whole_is_told_when_and_where_it_was() -> None:
    # The name is in the first segment; the rest never comes.
    data = handshakes.records(_hello(SNI, _extension(21, bytes(900))))
    for pauses in ([], [1], [3], [70], [3, 70], [70, 70], [61, 1, 61]):
        frames = [*timed(cut(data, 300)[:2])]
        now = START
        for number, pause in enumerate(pauses):
            now += pause * SECOND
            port = 2000 + number
            frames += timed(cut(data, 300, sport=port)[:2], now)
            frames += timed(cut(record(NAME), sport=3000 + number), now + SECOND // 2)
            sent = datagrams(quic(NAME), [(0, 100)], dcid=bytes([number] * 8))
            frames += timed([udp(sent[0], sport=port, dport=443)], now + SECOND * 2 // 3)
        for parts in ((), (2, 3), (1, 1, 1, 1, 1, 1)):
            same(frames, parts)


def test_what_never_becomes_whole_is_told_in_the_order_of_its_last_packets() -> None:
    # The first one is buffered, the second, whose hello is in two records, is not.
    whole = _hello(SNI, _extension(21, bytes(900)))
    other = _hello(_server_name(b"www.example.net"), _extension(21, bytes(900)))
    parts = b"".join(
        b"\x16\3\1" + len(each).to_bytes(2) + each for each in (other[:400], other[400:])
    )
    first = cut(handshakes.records(whole), 300, sport=2000)[:2]
    second = cut(parts, 600, sport=2001)[:2]
    third = cut(handshakes.records(whole), 300, sport=2002)[:2]
    for frames in (timed([*first, *second, *third]), timed([*third, *second, *first])):
        for blocks in ((), (2, 2), (1, 1, 1)):
            same(frames, blocks)
            later = timed(cut(record(NAME), sport=3000), START + 70 * SECOND)
            same([*frames, *later], blocks)


def test_a_hello_behind_a_proxy_or_another_message_is_read_alike() -> None:
    data = record(NAME)
    for before in (
        b"CONNECT www.example.net:443 HTTP/1.1\r\nHost: www.example.net\r\n\r\n",
        b"\5\1\0",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"EHLO client\r\n",
        b"GET / HTTP/1.1\r\n",
    ):
        syn = tcp(flags="S", seq=1000)
        first = tcp(before, seq=1001)
        same(timed([syn, first, tcp(data, seq=1001 + len(before))]))
        same(timed([syn, tcp(before + data, seq=1001)]))
        same(timed([syn, tcp(data, seq=1001 + len(before)), first]))
        same(timed([first, tcp(data, seq=1001 + len(before))]))


def test_both_sides_may_send_a_hello() -> None:
    data = record(NAME)
    back = {"src": SERVER, "sport": 443, "dst": CLIENT, "dport": 50000}
    other = [tcp(flags="SA", seq=5000, **back), tcp(record("a.example"), seq=5001, **back)]
    same(timed([*cut(data), *other]))
    same(timed([*cut(data)[:1], *other, *cut(data)[1:]]))


def test_more_hellos_than_are_buffered_are_told_alike() -> None:
    data = record(NAME)
    begun = [packet for n in range(150) for packet in cut(data, 600, sport=2000 + n)[:2]]
    ended = [packet for n in range(150) for packet in cut(data, 600, sport=2000 + n)[2:]]
    same(timed([*begun, *ended]))
    same(timed([*begun, *ended[::-1]]))
    same(timed(begun))


def test_a_batch_that_grows_keeps_its_rows() -> None:
    hellos = [record(NAME, seed) for seed in range(7)]
    packets = [each for n in range(5000) for each in cut(hellos[n % 7], sport=2000 + n)]
    same(timed(packets), plain=True)


@examples(300)
@given(conversations())
def test_the_same_is_told_in_the_same_order(case: tuple[int, Frames, list[int]]) -> None:
    link, frames, parts = case
    same(frames, parts, link)


@examples(60)
@given(conversations(fragments=True))
def test_the_same_is_told_of_fragments(case: tuple[int, Frames, list[int]]) -> None:
    link, frames, parts = case
    found = [Told(parse_all).read(frames, parts, link) for parse_all in (False, True)]
    names = [sorted(each[2:4] for each in seen) for seen, *_ in found]
    assert names[0] == names[1]


@examples(500)
@given(
    st.sampled_from([*PLAIN.values(), handshakes.client_hello(NAME, random.Random(1))]),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=2)), max_size=4),
    st.lists(st.integers(1, 1 << 16), max_size=2),
)
def test_changed_bytes_are_read_alike(
    hello: bytes, changes: list[tuple[int, bytes]], places: list[int]
) -> None:
    data = bytearray(hello)
    for place, octets in changes:
        at = place % len(data)
        data[at : at + len(octets)] = octets
    whole = handshakes.records(bytes(data))
    segments = cut(whole, *sorted({1 + place % (len(whole) - 1) for place in places}))
    (sent,) = datagrams(bytes(data), [(0, len(data))])
    same(timed([*segments, udp(sent, dport=443)]))


@cache
def interpreted_modules() -> dict[str, ModuleType]:
    modules = all_interpreted("netwatch.engine.observe")
    assert not modules["netwatch.dissect.loop.loop"].COMPILED
    return modules


@examples(15)
@given(conversations())
def test_both_forms_fill_the_same(case: tuple[int, Frames, list[int]]) -> None:
    link, frames, parts = case
    modules = interpreted_modules()
    expected = Told(False).read(frames, parts, link)
    told = Told(False, modules["netwatch.engine.observe"].Observer).read(frames, parts, link)
    assert told == expected
