"""Blocks in, messages out: however a message is cut, it comes once, with its addresses."""

import itertools
import random
import ssl
from dataclasses import dataclass

import handshakes
import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import Frames, block, dissector, observed, timed
from support.examples import examples
from support.frames import CLIENT, CLIENT6, LINKS, SERVER, SERVER6, Link, tcp, udp
from support.observing import observe
from support.traffic import mixed, shown

from netwatch.core.addresses import ip_text
from netwatch.core.flow import FlowProgress
from netwatch.core.message import Observation

NAME = "www.example.org"
RAW = 101


def real_hello(name: str) -> bytes:
    """The first flight of OpenSSL, from the ssl module."""
    sent = ssl.MemoryBIO()
    context = ssl.create_default_context()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


RNG = random.Random(11)
HELLOS = {
    "openssl": real_hello(NAME),
    "browser": handshakes.records(handshakes.client_hello(NAME, RNG)),
    "post-quantum": handshakes.records(handshakes.client_hello(NAME, RNG, post_quantum=True)),
    "records": handshakes.records(handshakes.client_hello(NAME, RNG), 150),
}
REQUESTS = {
    "get": messages.request("GET", "/a/b?c=d", NAME, "Accept: */*", "Cookie: a=b; c=d"),
    "connect": messages.request("CONNECT", f"{NAME}:443", f"{NAME}:443"),
    "other": messages.request("PROPFIND", "/dav/", NAME, "Depth: 1"),
}
QUERY = messages.query(9, NAME, "A")
LOOKUP = len(QUERY).to_bytes(2, "big") + QUERY


@dataclass
class Cut:
    """A message in segments: frames of one link type, the client and server, and the port."""

    link: Link
    frames: list[bytes]
    client: str
    server: str
    port: int


@st.composite
def cut(draw: st.DrawFn, data: bytes, port: int, *, syn: bool | None = None) -> Cut:
    """`data` cut anywhere, shuffled, with retransmissions, with or without the SYN (as `syn`
    says, if it is given), on any link type, from any sequence number."""
    link = draw(st.sampled_from(LINKS))
    version = draw(st.sampled_from(sorted(link.before)))
    client, server = (CLIENT, SERVER) if version == 4 else (CLIENT6, SERVER6)
    seq = draw(st.one_of(st.integers(0, 2**32 - 1), st.integers(2**32 - 3000, 2**32 - 1)))
    edges = [0, *sorted(draw(st.sets(st.integers(1, len(data) - 1), max_size=6))), len(data)]
    spans = list(itertools.pairwise(edges))
    spans += draw(st.lists(st.sampled_from(spans), max_size=3))
    ends = {"src": client, "dst": server, "dport": port}
    frames = [
        tcp(data[low:high], seq=seq + low, **ends) for low, high in draw(st.permutations(spans))
    ]
    if syn or (syn is None and draw(st.booleans())):
        opening = tcp(flags="S", seq=seq - 1, **ends)
        frames[:0] = [opening] * draw(st.integers(1, 2))
    return Cut(link, [link.frame(frame) for frame in frames], client, server, port)


def check(drawn: Cut, evidence: str) -> None:
    (found,) = observed(timed(drawn.frames), drawn.link.number)
    assert (found.evidence, found.name) == (evidence, NAME)
    assert (ip_text(found.client_ip), found.client_port) == (drawn.client, 50000)
    assert (ip_text(found.server_ip), found.server_port) == (drawn.server, drawn.port)
    assert found.vlan == drawn.link.vlan


@examples(300)
@given(st.sampled_from(sorted(HELLOS)).flatmap(lambda name: cut(HELLOS[name], 8443)))
def test_a_hello_however_cut_comes_once(drawn: Cut) -> None:
    check(drawn, "tls-sni")


@examples(200)
@given(st.sampled_from(sorted(REQUESTS)).flatmap(lambda name: cut(REQUESTS[name], 8080)))
def test_a_request_however_cut_comes_once(drawn: Cut) -> None:
    check(drawn, "http-host")


@examples(200)
@given(cut(LOOKUP, 53, syn=True))
def test_a_lookup_over_tcp_however_cut_comes_once(drawn: Cut) -> None:
    check(drawn, "dns-query")


@pytest.mark.parametrize("hello", HELLOS.values(), ids=HELLOS.keys())
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("syn", [False, True])
def test_a_hello_cut_in_two_at_every_byte(hello: bytes, swapped: bool, syn: bool) -> None:
    packets = []
    for at in range(1, len(hello)):
        port = 20000 + at
        pieces = [tcp(hello[:at], sport=port), tcp(hello[at:], seq=1001 + at, sport=port)]
        opening = [tcp(flags="S", seq=1000, sport=port)] if syn else []
        packets += opening + pieces[:: -1 if swapped else 1]
    found = observed(timed(packets), RAW)
    ports = range(20001, 20000 + len(hello))
    assert [(each.name, each.client_port) for each in found] == [(NAME, port) for port in ports]


def test_a_hello_byte_by_byte() -> None:
    hello = HELLOS["browser"]
    pieces = [tcp(hello[at : at + 1], seq=1001 + at) for at in range(len(hello))]
    assert [each.name for each in observed(timed(pieces), RAW)] == [NAME]


@pytest.mark.parametrize("order", [(1, 0, 2), (1, 2, 0), (2, 1, 0)])
def test_a_byte_of_a_hello_is_not_mistaken_for_the_start_of_one(order: tuple[int, ...]) -> None:
    hello = HELLOS["post-quantum"]
    at = hello.index(b"\x16", 100)
    cuts = (0, at, at + 1, len(hello))
    pieces = [tcp(hello[cuts[n] : cuts[n + 1]], seq=1001 + cuts[n]) for n in order]
    found = observed(timed([tcp(flags="S", seq=1000), *pieces]), RAW)
    assert [each.name for each in found] == [NAME]


SECOND = 1_000_000_000
START = 1_680_508_800 * SECOND


def lookup_segments(*segments: tuple[int, bytes, int]) -> Frames:
    """Segments of a client to a resolver: sequence number, payload, and seconds since the SYN."""
    port = {"sport": 50000, "dport": 53}
    frames = [(START, tcp(flags="S", seq=999, **port))]
    frames += [(START + at * SECOND, tcp(data, seq=seq, **port)) for seq, data, at in segments]
    return frames


def lookup(name: str) -> bytes:
    query = messages.query(9, name, "A")
    return len(query).to_bytes(2) + query


SECOND_LOOKUP = lookup("second.example.org")
END = 1000 + len(LOOKUP)


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 13, 20])
@pytest.mark.parametrize("others", [False, True])
def test_a_lookup_over_tcp_after_a_silence_is_found(cut: int, others: bool) -> None:
    frames = lookup_segments(
        (1000, LOOKUP, 1),
        (END, SECOND_LOOKUP[:cut], 1000),
        (END + cut, SECOND_LOOKUP[cut:], 1000),
    )
    if others:
        request = REQUESTS["get"].replace(NAME.encode(), b"other.example.org")
        frames[2:2] = [(START + 500 * SECOND, tcp(request, sport=50001, dport=80))]
    by = dissector()
    names = [each.name for each in observed(frames, RAW, by=by)]
    assert [name for name in names if not name.startswith("other")] == [NAME, "second.example.org"]
    assert by.anomalies() == {}


@pytest.mark.parametrize("silence", [0, 1000])
@pytest.mark.parametrize("missing", [1, 40, 2000])
def test_a_lookup_over_tcp_behind_missing_bytes_is_found(missing: int, silence: int) -> None:
    """Of what is missing nothing is known; the length of the message comes alone."""
    at = END + missing
    frames = lookup_segments(
        (1000, LOOKUP, 1),
        (at, SECOND_LOOKUP[:2], 2 + silence),
        (at + 2, SECOND_LOOKUP[2:], 2 + silence),
        (at + len(SECOND_LOOKUP), lookup("third.example.org"), 3 + silence),
    )
    by = dissector()
    found = observed(frames, RAW, by=by)
    assert [each.name for each in found] == [NAME, "second.example.org", "third.example.org"]
    assert by.anomalies() == {"tcp-gap": 1}


@pytest.mark.parametrize("cut", [2, 9, 18])
def test_a_lookup_over_tcp_whose_connection_began_before_the_capture(cut: int) -> None:
    frames = lookup_segments((1000, LOOKUP[:cut], 1), (1000 + cut, LOOKUP[cut:], 2))
    by = dissector()
    assert [each.name for each in observed(frames[1:], RAW, by=by)] == [NAME]
    assert by.anomalies() == {}


def test_what_is_left_of_a_lookup_over_tcp_is_read_at_the_end() -> None:
    by = dissector()
    frames = lookup_segments((1000, LOOKUP, 1), (END, SECOND_LOOKUP[:-3], 2))
    assert [each.name for each in observed(frames, RAW, by=by)] == [NAME, "second.example.org"]
    assert by.anomalies() == {"dns-cut": 1}
    by = dissector()
    frames = lookup_segments((1000, LOOKUP, 1), (END, SECOND_LOOKUP[:2], 2))
    assert [each.name for each in observed(frames, RAW, by=by)] == [NAME]
    assert by.anomalies() == {"dns-cut": 1}


def test_pipelined_lookups_over_tcp_in_segments_of_any_size() -> None:
    names = [f"n{n}.example.org" for n in range(5)]
    queries = [messages.query(n, name, "A") for n, name in enumerate(names)]
    data = b"".join(len(query).to_bytes(2, "big") + query for query in queries)
    for size in (1, 2, 3, 40, 1000):
        packets = [tcp(flags="S", seq=1000, dport=53)]
        packets += [
            tcp(data[at : at + size], seq=1001 + at, dport=53) for at in range(0, len(data), size)
        ]
        assert [each.name for each in observed(timed(packets), RAW)] == names, size


def test_requests_on_a_persistent_connection() -> None:
    packets, seq = [tcp(flags="S", seq=1000, dport=80)], 1001
    names = [f"n{n}.example.org" for n in range(5)]
    for name in names:
        request = messages.request("GET", "/", name)
        packets += [tcp(request[:30], seq=seq, dport=80), tcp(request[30:], seq=seq + 30, dport=80)]
        seq += len(request)
        back = {"src": SERVER, "sport": 80, "dst": CLIENT, "dport": 50000}
        packets.append(tcp(messages.response(b"fine"), seq=77, **back))
    assert [each.name for each in observed(timed(packets), RAW)] == names


def test_a_hello_cut_by_the_snap_length_is_read_if_it_has_the_name() -> None:
    hello = HELLOS["browser"]
    end = hello.index(NAME.encode()) + len(NAME)
    for snap in range(40, 40 + len(hello), 7):
        found = observed(timed([tcp(hello)]), RAW, snap=snap)
        assert [each.name for each in found] == ([NAME] if snap >= 40 + end else [])


def test_an_incomplete_hello_is_read_at_the_end_of_the_capture() -> None:
    hello = HELLOS["post-quantum"]
    end = hello.index(NAME.encode()) + len(NAME)
    reader = dissector()
    first = list(reader.messages(block(timed([tcp(hello[:end])]), RAW), "test"))
    ((packet, message),) = reader.flush()
    assert first == []
    assert (packet.number, message.names[0].name) == (1, NAME)
    assert reader.anomalies() == {"tls-hello-cut": 1}


def test_a_hello_over_two_blocks() -> None:
    hello = HELLOS["post-quantum"]
    reader = dissector()
    first = block(timed([tcp(hello[:1400])]), RAW)
    second = block(timed([tcp(hello[1400:], seq=2401)]), RAW, first=2)
    assert list(reader.messages(first, "a")) == []
    ((packet, message),) = reader.messages(second, "b")
    assert (packet.source, packet.number, message.names[0].name) == ("b", 2, NAME)


def test_bytes_are_counted_from_the_client_whichever_address_is_greater() -> None:
    for client, server in ((CLIENT, SERVER), (SERVER, CLIENT)):
        back = {"src": server, "sport": 443, "dst": client, "dport": 50000}
        packets = [
            tcp(flags="S", seq=1000, src=client, dst=server),
            tcp(HELLOS["browser"], src=client, dst=server),
            tcp(b"\x17" * 700, seq=501, **back),
        ]
        reader = dissector()
        (found,) = observed(timed(packets, START), RAW, by=reader)
        assert reader.progress_of(found) == FlowProgress(
            len(HELLOS["browser"]), 700, START + 2_000_000, "payload", 1, "wrong"
        )


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.name)
def test_all_protocols_on_every_link(link: Link) -> None:
    wire = mixed(link=link)
    found = observed(sorted(wire.frames), link.number)
    names = [(each.evidence, ip_text(each.client_ip), each.name) for each in found]
    assert sorted(names) == sorted(shown(wire).elements())


def test_unwanted_messages_are_counted_and_dropped() -> None:
    wire = mixed()
    everything = observed(wire.frames)
    reader = dissector(lambda message: any(shown.name[:4] == "one." for shown in message.names))
    wanted = observed(wire.frames, by=reader)
    assert {each.name for each in wanted} == {"one.example.org"}
    assert [key(each) for each in everything if each in wanted] == [key(each) for each in wanted]
    assert sum(reader.names_by_evidence().values()) == len(everything)


def key(each: Observation) -> tuple[object, ...]:
    return each.evidence, each.name, each.client_ip, each.packet


PAYLOADS = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda data, at, value: data[:at] + value + data[at + len(value) :],
        st.sampled_from([*HELLOS.values(), *REQUESTS.values(), LOOKUP, QUERY]),
        st.integers(0, 400),
        st.binary(min_size=1, max_size=4),
    ),
)


@examples(300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("tu"),
            st.sampled_from([53, 80, 443, 5353, 9999]),
            st.integers(0, 900),
            st.booleans(),
            PAYLOADS,
        ),
        max_size=10,
    ),
    st.sampled_from([1 << 18, 60, 100]),
)
def test_any_payload_gives_valid_names_and_counts(
    packets: list[tuple[str, int, int, bool, bytes]], snap: int
) -> None:
    frames = []
    for kind, port, seq, back, data in packets:
        ends = (CLIENT, 50000, SERVER, port) if not back else (SERVER, port, CLIENT, 50000)
        places = dict(zip(("src", "sport", "dst", "dport"), ends, strict=True))
        frames.append(udp(data, **places) if kind == "u" else tcp(data, seq=seq, **places))
    reader = dissector()
    found = observed(timed(frames), RAW, snap=snap, by=reader)
    assert reader.loop.packets == len(frames)
    assert sum(reader.names_by_evidence().values()) == len(found)
    for each in found:
        assert each.name.isprintable()
        assert each.name.isascii()


def test_ten_thousand_incomplete_hellos_stay_within_the_limits() -> None:
    head = HELLOS["post-quantum"][:300]
    pattern = tcp(head)
    frames: Frames = timed(
        pattern[:20] + number.to_bytes(2, "big") + pattern[22:] for number in range(10_000)
    )
    reader = dissector()
    found = [
        each for pair in reader.messages(block(frames, RAW), "test") for each in observe(*pair)
    ]
    anomalies = reader.anomalies()
    assert anomalies["tcp-streams-full"] == 10_000 - 4096
    found += [each for pair in reader.flush() for each in observe(*pair)]
    assert {each.name for each in found} <= {NAME}


def test_table_usage() -> None:
    reader = dissector()
    incomplete = [tcp(HELLOS["post-quantum"][:1000], sport=50000 + number) for number in range(3)]
    assert list(reader.messages(block(list(timed(incomplete)), RAW), "test")) == []
    usage = reader.table_usage()
    assert usage["flows"] == (3, 65536, 0)
    assert usage["streams"] == (3, 4096, 0)
    assert usage["fragments"] == (0, 1024, 0)
    assert usage["handshakes"].entries == 0
    list(reader.flush())
    assert reader.table_usage()["streams"].entries == 0
