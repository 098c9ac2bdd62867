"""An observation batch gives back what was put in, as long as it is not cleared."""

import pickle
from collections.abc import Iterator
from dataclasses import fields, replace
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.filling import flat
from support.frames import CLIENT, SERVER, SERVER6
from support.interpreted import all_interpreted

from netwatch.core import observation_batch as compiled
from netwatch.core.addresses import ip_text, parse_ip
from netwatch.core.flow import Frame, LogInfo
from netwatch.core.message import (
    DnsInfo,
    Message,
    Observation,
    Packet,
    QuicInfo,
    ShownName,
    TlsInfo,
)
from netwatch.core.observation_columns import (
    WORD_CLIENT_PORT,
    WORD_LOG_LACKS,
    WORD_LOG_LINE,
    WORD_PACKET,
)

BATCH = "netwatch.core.observation_batch"
SOURCES = ["first.pcap", "eth0"]


@pytest.fixture(scope="module", params=["compiled", "interpreted"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    return compiled if request.param == "compiled" else all_interpreted(BATCH)[BATCH]


def packed(text: str) -> bytes:
    address = parse_ip(text)
    assert address is not None
    return address


PACKET = Packet(
    source=SOURCES[1],
    number=7,
    time=1_679_302_800_123_456_000,
    time_digits=6,
    transport="udp",
    src=packed(CLIENT),
    sport=50000,
    dst=packed(SERVER),
    dport=53,
    src_mac=b"\2\0\0\0\0\1",
    dst_mac=None,
    vlan=12,
    flow_id=(1 << 62) + 5,
)
QUERY = Message((ShownName("dns-query", "www.example.org"),), 33, DnsInfo("A"))
ANSWER = Message(
    (
        ShownName("dns-answer", "www.example.org", True),
        ShownName("dns-cname", "cdn.example.net", True),
    ),
    90,
    DnsInfo(
        "HTTPS",
        "NOERROR",
        ((SERVER, 60), (SERVER6, 0x7FFFFFFF)),
        ("cdn.example.net",),
        ("public.example",),
        ("edge.example.net", "edge.example.org"),
        ("public.example/0/0011223344556677/60", "public.example/255/8899aabbccddeeff/0"),
    ),
)
HELLO = Message(
    (ShownName("quic-sni", "www.example.org"),),
    300,
    tls=TlsInfo("1.3", ("h3", "h2"), "grease", lambda: "q13d0310h3_55b375c5d22e_cd85d2d88918", 0),
    quic=QuicInfo("1"),
)
MESSAGES = {
    "query": QUERY,
    "answer": ANSWER,
    "hello": HELLO,
    "hello without extensions": Message((ShownName("tls-sni", "a.test"),), 60, tls=TlsInfo("1.0")),
    "request": Message((ShownName("http-host", "192.0.2.1"), ShownName("http-host", "b.test")), 40),
    "escaped": Message((ShownName("socks-host", "a\\032b\\\\c"),), 9),
    "capitals": Message(
        (
            ShownName("dns-answer", "www.example.org", True, "wWw.ExAmPlE.oRg"),
            ShownName("dns-cname", "cdn.example.net", True, "", "www.example.org"),
        ),
        60,
        DnsInfo("A", "NOERROR"),
    ),
    "nothing": Message((), 40, DnsInfo("A", "NOERROR", ((SERVER, 1),))),
}


def expected(packet: Packet, message: Message, fingerprint: bool) -> Iterator[Observation]:
    """What a message shows, by the meaning of the fields of a packet and a shown name."""
    for shown in message.names:
        to_client = shown.client_is_destination
        tls = message.tls
        yield Observation(
            time=packet.time,
            time_digits=packet.time_digits,
            evidence=shown.evidence,
            name=shown.name,
            client_ip=packet.dst if to_client else packet.src,
            client_port=packet.dport if to_client else packet.sport,
            client_mac=packet.dst_mac if to_client else packet.src_mac,
            server_ip=packet.src if to_client else packet.dst,
            server_port=packet.sport if to_client else packet.dport,
            transport=packet.transport,
            vlan=packet.vlan,
            source=packet.source,
            packet=packet.number,
            flow_id=packet.flow_id,
            dns=message.dns,
            tls=tls if tls is None or fingerprint else replace(tls, compute_ja4=None),
            quic=message.quic,
            raw=shown.raw,
            asked=shown.asked,
            frames=packet.frames,
        )


def appended(batch: Any, packet: Packet, message: Message, fingerprint: bool = True) -> range:
    source = SOURCES.index(packet.source)
    return range(*batch.append(packet, message, source, fingerprint))


def values(observations: Any) -> list[tuple[object, ...]]:
    return [(flat(each), each.frames) for each in observations]


@pytest.mark.parametrize("fingerprint", [True, False])
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_what_was_appended_comes_back(
    module: ModuleType, message: Message, fingerprint: bool
) -> None:
    batch = module.ObservationBatch(SOURCES)
    for packet in (
        PACKET,
        replace(PACKET, transport="tcp", src=packed(SERVER6), dst=bytes(16), vlan=None),
        replace(PACKET, src_mac=None, dst_mac=bytes(6), source=SOURCES[0], vlan=0, time=-1),
    ):
        rows = appended(batch, packet, message, fingerprint)
        assert len(rows) == len(message.names)
        found = [batch.observation(row) for row in rows]
        assert values(found) == values(expected(packet, message, fingerprint))
        assert rows.stop == batch.count


LOG = LogInfo("zeek-tsv", ("client-port", "year"), "blocked", "TCP_DENIED")


@pytest.mark.parametrize("log", [LOG, LogInfo("dnsmasq")], ids=["all", "least"])
def test_what_a_log_shows_comes_back(module: ModuleType, log: LogInfo) -> None:
    """A log may lack what packets always have."""
    batch = module.ObservationBatch(SOURCES)
    for packet, host in (
        (PACKET, ""),
        (replace(PACKET, src=b"", dst=b"", sport=0, dport=0, src_mac=None), "pc-7"),
    ):
        source = SOURCES.index(packet.source)
        (row, _) = batch.append(packet, ANSWER, source, True, log, host)
        (shown, *_) = expected(packet, ANSWER, True)
        found = batch.observation(row)
        assert values([found]) == values([replace(shown, log=log, client_host=host)])
        assert batch.word(row, WORD_PACKET) == 0
        assert batch.word(row, WORD_LOG_LINE) == packet.number
        assert (batch.word(row, WORD_CLIENT_PORT) == -1) == (found.client_port == 0)
        again = pickle.loads(pickle.dumps(batch)) if module is compiled else batch
        assert values([again.observation(row)]) == values([found])


def test_rows_that_lack_the_same_have_the_same_words(module: ModuleType) -> None:
    batch = module.ObservationBatch(SOURCES)
    rows = [batch.append(PACKET, QUERY, 0, True, log)[0] for log in (LOG, LOG, LogInfo("squid"))]
    words = [batch.word(row, WORD_LOG_LACKS) for row in rows]
    assert words[0] == words[1] != words[2] == 0


def test_all_fields_of_an_observation_are_compared() -> None:
    """A field that is added has to be part of these tests, too."""
    assert len(fields(Observation)) == 23
    assert [each.name for each in fields(DnsInfo)] == [
        "type",
        "rcode",
        "answers",
        "chain",
        "ech_public_names",
        "service_targets",
        "ech_configs",
    ]


TEXTS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=80)
NAMES = st.lists(TEXTS, max_size=4).map(tuple)
ANSWERS = st.lists(
    st.tuples(st.ip_addresses().map(lambda ip: ip_text(ip.packed)), st.integers(0, 0x7FFFFFFF)),
    max_size=5,
).map(tuple)
SHOWN = st.builds(
    ShownName, st.sampled_from(["dns-query", "dns-answer", "tls-sni"]), TEXTS, st.booleans()
)
ANY_MESSAGE = st.builds(
    Message,
    st.lists(SHOWN, max_size=3).map(tuple),
    st.just(1),
    st.none() | st.builds(DnsInfo, TEXTS, st.none() | TEXTS, ANSWERS, NAMES, NAMES, NAMES),
    st.none() | st.builds(TlsInfo, TEXTS, NAMES, st.none() | TEXTS),
    st.none() | st.builds(QuicInfo, TEXTS),
)
PORTS = st.integers(0, 65535)
ANY_PACKET = st.builds(
    replace,
    st.just(PACKET),
    number=st.integers(1, 1 << 39),
    time=st.integers(-(1 << 62), 1 << 62),
    src=st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16),
    sport=PORTS,
    dport=PORTS,
    src_mac=st.none() | st.binary(min_size=6, max_size=6),
    vlan=st.none() | st.integers(0, 4095),
)


@examples(100)
@given(st.lists(st.tuples(ANY_PACKET, ANY_MESSAGE), max_size=8), st.integers(0, 8))
def test_any_messages_come_back(
    module: ModuleType, found: list[tuple[Packet, Message]], cleared: int
) -> None:
    batch = module.ObservationBatch(SOURCES)
    kept: list[Observation] = []
    for number, (packet, message) in enumerate(found):
        if number == cleared:
            batch.clear()
            kept = []
        rows = appended(batch, packet, message)
        batch.add_span(rows.start, rows.stop)
        kept += expected(packet, message, True)
    assert values(batch.observations()) == values(kept)
    again = pickle.loads(pickle.dumps(batch)) if module is compiled else batch
    assert values(again.observations()) == values(kept)


def test_a_batch_grows_with_what_is_put_in(module: ModuleType) -> None:
    batch = module.ObservationBatch(SOURCES)
    rows = batch.capacity + 1000
    for number in range(rows):
        name = f"{number}.example.org"
        message = Message(
            (ShownName("dns-answer", name, True),),
            1,
            DnsInfo(
                "A", "NOERROR", tuple((f"10.0.{i}.{number % 250}", i) for i in range(3)), (name,)
            ),
        )
        appended(batch, replace(PACKET, number=number + 1), message)
    assert batch.count == rows <= batch.capacity
    # Names, addresses, the two ends, type and response code; number 0 is no text.
    assert batch.texts == 1 + rows + 3 * 250 + 2 + 2
    for number in (0, 1, 4095, 4096, rows - 1):
        found = batch.observation(number)
        assert (found.name, found.packet) == (f"{number}.example.org", number + 1)
        assert found.dns.answers[2] == (f"10.0.2.{number % 250}", 2)
        assert found.dns.chain == (found.name,)


def test_texts_are_stored_once(module: ModuleType) -> None:
    batch = module.ObservationBatch(SOURCES)
    for _ in range(50):
        appended(batch, PACKET, ANSWER)
    assert batch.count == 100
    texts = {
        "HTTPS",
        "NOERROR",
        "www.example.org",
        "cdn.example.net",
        "public.example",
        "edge.example.net",
        "edge.example.org",
        *ANSWER.dns.ech_configs,
    }
    # The address of the server is in the answer, too.
    assert batch.texts == 1 + len(texts) + len({CLIENT, SERVER, SERVER6})


def test_texts_of_every_size_are_told_apart(module: ModuleType) -> None:
    batch = module.ObservationBatch(SOURCES)
    texts = [letter * size + end for letter in "ab" for size in range(1, 40) for end in "xy"]
    texts += [text[::-1] for text in texts]
    names = tuple(ShownName("dns-query", text) for text in texts)
    rows = appended(batch, PACKET, Message(names, 1))
    assert [batch.observation(row).name for row in rows] == texts
    assert batch.texts == 1 + len(set(texts)) + 2


def test_texts_that_share_a_place_are_told_apart(module: ModuleType) -> None:
    """The hash table is at most half full, so a quarter of many texts meets another one there."""
    batch = module.ObservationBatch(SOURCES)
    texts = [f"host-{number}.example" for number in range(6000)]
    for _ in range(2):
        rows = appended(
            batch, PACKET, Message(tuple(ShownName("tls-sni", each) for each in texts), 1)
        )
        assert [batch.observation(row).name for row in rows] == texts
        assert batch.texts == 1 + len(texts) + 2
    batch.clear()
    rows = appended(batch, PACKET, QUERY)
    assert (batch.texts, batch.observation(rows[0]).name) == (5, "www.example.org")


def test_clear_forgets_all(module: ModuleType) -> None:
    batch = module.ObservationBatch(SOURCES)
    frame = Frame("eth0", 7, 1, 9, 1, "eth0", 60, -1, b"frame")
    rows = appended(batch, replace(PACKET, frames=(frame,)), ANSWER)
    batch.add_span(rows.start, rows.stop)
    assert [each.frames for each in batch.observations()] == [(frame,), (frame,)]
    cleared = batch.cleared
    batch.clear()
    assert (batch.count, batch.texts, batch.used, batch.list_words) == (0, 1, 0, 0)
    assert not batch.spans
    assert not [*batch.observations()]
    assert batch.cleared == cleared + 1
    appended(batch, PACKET, QUERY)
    assert batch.observation(0).frames == ()


def test_spans_that_touch_become_one(module: ModuleType) -> None:
    batch = module.ObservationBatch(SOURCES)
    for start, stop in ((0, 2), (2, 3), (3, 3), (7, 8), (3, 5), (5, 7)):
        batch.add_span(start, stop)
    assert batch.spans == [(0, 3), (7, 8), (3, 7)]


def test_rows_come_in_the_order_of_spans(module: ModuleType) -> None:
    batch = module.ObservationBatch(SOURCES)
    for number in range(4):
        appended(batch, replace(PACKET, number=number + 1), QUERY)
    batch.add_span(3, 4)
    batch.add_span(0, 2)
    assert [each.packet for each in batch.observations()] == [4, 1, 2]


def test_a_row_that_is_not_there(module: ModuleType) -> None:
    batch = module.ObservationBatch(SOURCES)
    appended(batch, PACKET, QUERY)
    for row in (-1, 1, 1 << 40):
        with pytest.raises(IndexError):
            batch.observation(row)
        with pytest.raises(IndexError):
            batch.word(row, 0)


def test_a_batch_that_is_sent_to_another_process(module: ModuleType) -> None:
    batch = module.ObservationBatch(SOURCES)
    for message in MESSAGES.values():
        rows = appended(batch, PACKET, message)
        batch.add_span(rows.start, rows.stop)
    rebuild, state = batch.__reduce__()
    again = rebuild(*state)
    assert (again.sources, again.spans) == (SOURCES, batch.spans)
    assert values(again.observations()) == values(batch.observations())
    # Its texts are found again.
    texts = again.texts
    appended(again, PACKET, ANSWER)
    assert again.texts == texts


def test_the_loop_stops_before_there_is_no_room(module: ModuleType) -> None:
    batch = module.ObservationBatch(SOURCES)
    assert batch.has_room()
    long = tuple(ShownName("dns-query", f"{number}." + "x" * 200) for number in range(40))
    before = batch.capacity
    number = 0
    while batch.has_room():
        number += 1
        names = tuple(replace(each, name=f"{number}-{each.name}") for each in long)
        appended(batch, PACKET, Message(names, 1))
    assert batch.capacity == before
    count = batch.count
    batch.reserve()
    assert batch.has_room()
    assert batch.count == count
    assert batch.observation(0).name == f"1-0.{'x' * 200}"
