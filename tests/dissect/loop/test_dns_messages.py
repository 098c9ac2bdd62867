"""DNS messages whose rows the packet loop writes, and those that are read alone."""

from collections.abc import Iterable
from ipaddress import ip_address
from itertools import pairwise
from types import ModuleType

import messages
import pytest
from support import protocol_samples as samples
from support.captures import block, timed
from support.filling import hold_to_parsers, read
from support.frames import CLIENT, CLIENT6, SERVER, SERVER6, udp
from support.interpreted import all_interpreted

from netwatch.core.protocol_numbers import RCODES, TYPES

RAW = 101
NAME = "www.example.org"
CDN = "cdn.example.net"
EDGE = "edge.example.net"
FOUR = ip_address(SERVER).packed
SIX = ip_address(SERVER6).packed

IN = b"\0\1"
POINTER = b"\xc0\x0c"


def labels(name: str) -> bytes:
    parts = name.split(".") if name else []
    return b"".join(samples.vector(1, part.encode("latin-1")) for part in parts) + b"\0"


def question(name: str = NAME, kind: int = 1) -> bytes:
    return labels(name) + kind.to_bytes(2) + IN


def record(kind: int, data: bytes, owner: bytes = POINTER, ttl: int = 60, klass: int = 1) -> bytes:
    return owner + kind.to_bytes(2) + klass.to_bytes(2) + ttl.to_bytes(4) + samples.vector(2, data)


def a(address: bytes = FOUR, owner: bytes = POINTER, ttl: int = 60) -> bytes:
    return record(1, address, owner, ttl)


def alias(target: bytes, owner: bytes = POINTER) -> bytes:
    return record(5, target, owner)


def service(
    target: bytes, parameters: bytes = b"", priority: int = 1, owner: bytes = POINTER
) -> bytes:
    return record(65, priority.to_bytes(2) + target + parameters, owner)


def parameter(key: int, value: bytes) -> bytes:
    return key.to_bytes(2) + samples.vector(2, value)


def configuration(name: bytes) -> bytes:
    key = b"\7\0\x20" + samples.vector(2, bytes(32)) + samples.vector(2, b"\0\1\0\1") + b"\0"
    return b"\xfe\x0d" + samples.vector(2, key + samples.vector(1, name) + b"\0\0")


def ech(*configurations: bytes) -> bytes:
    return parameter(5, samples.vector(2, b"".join(configurations)))


def response(
    *records: bytes,
    flags: int = 0x8180,
    asked: bytes | None = None,
    further: bytes = b"",
    counts: tuple[int, int] = (0, 0),
) -> bytes:
    head = b"\0\1" + flags.to_bytes(2) + b"\0\1" + len(records).to_bytes(2)
    head += counts[0].to_bytes(2) + counts[1].to_bytes(2)
    return head + (question() if asked is None else asked) + b"".join(records) + further


def opt(ttl: int = 0) -> bytes:
    return b"\0" + (41).to_bytes(2) + (1232).to_bytes(2) + ttl.to_bytes(4) + b"\0\0"


def datagram(payload: bytes, six: bool = False) -> bytes:
    client, server = (CLIENT6, SERVER6) if six else (CLIENT, SERVER)
    if len(payload) > 2 and payload[2] & 0x80:
        return udp(payload, src=server, sport=53, dst=client, dport=50000)
    return udp(payload, src=client, dst=server)


def held(payloads: Iterable[bytes], module: ModuleType | None = None) -> int:
    """Whether the rows are those of messages read alone; how many names the loop has read."""
    frames = [datagram(each, number % 2 == 1) for number, each in enumerate(payloads)]
    options = {} if module is None else {"module": module}
    return hold_to_parsers([block(timed(frames), RAW)], **options)


FAR = labels("far.example.com")
PLAIN = {
    "query": (b"\0\1\1\0\0\1\0\0\0\0\0\0" + question(), 1),
    "query with EDNS": (messages.query(1, NAME, "AAAA"), 1),
    "upper case": (messages.query(1, "WWW.Example.ORG", "A"), 1),
    "upper case in the aliases": (
        response(
            alias(labels("CDN.example.NET")),
            alias(b"\4Edge" + b"\xc0\x10", labels("cdn.example.net")),
            a(owner=labels("edge.example.org")),
            asked=labels("wWw.eXaMpLe.OrG") + b"\0\1" + IN,
        ),
        3,
    ),
    "one target in two spellings": (
        response(
            alias(labels("b.test"), labels("x.test")),
            alias(labels("A.test"), labels("b.test")),
            alias(labels("B.test")),
            alias(labels("a.TEST")),
        ),
        3,
    ),
    "one label": (messages.query(1, "localhost", "A"), 1),
    "one letter": (messages.query(1, "x", "A"), 1),
    "long labels": (messages.query(1, ".".join(["a" * 63] * 3 + ["b" * 61]), "A"), 1),
    "labels of every size": (messages.query(1, ".".join("x" * n for n in range(1, 20)), "A"), 1),
    "many labels": (messages.query(1, ".".join("a" * 127), "A"), 1),
    "underscores": (messages.query(1, "_dns.resolver.arpa", "SVCB"), 1),
    "an address": (response(a()), 1),
    "two addresses": (response(a(), a(b"\1\2\3\4")), 1),
    "an address twice": (response(a(ttl=60), a(ttl=70)), 1),
    "an address of IPv6": (response(record(28, SIX)), 1),
    "an address of IPv4 in one of IPv6": (
        response(a(), record(28, bytes(10) + b"\xff\xff" + FOUR)),
        1,
    ),
    "a TTL of 32 bits": (response(a(ttl=0xFFFFFFFF), a(b"\1\2\3\4", ttl=0x7FFFFFFF)), 1),
    "no records": (response(), 1),
    "no such name": (response(flags=0x8183), 1),
    "refused with EDNS": (response(flags=0x8185, further=opt(), counts=(0, 1)), 1),
    "bad cookie": (response(flags=0x8187, further=opt(1 << 24), counts=(0, 1)), 1),
    "an OPT record that is cut": (response(further=opt()[:-1], counts=(0, 1)), 1),
    "authority and EDNS": (response(flags=0x8183, further=opt(1 << 24), counts=(1, 1)), 1),
    "a chain": (
        messages.answer(
            1,
            NAME,
            "A",
            [(NAME, "CNAME", 60, CDN), (CDN, "CNAME", 60, EDGE), (EDGE, "A", 60, SERVER)],
        ),
        3,
    ),
    "a chain backwards": (
        messages.answer(
            1,
            NAME,
            "A",
            [(EDGE, "A", 60, SERVER), (CDN, "CNAME", 60, EDGE), (NAME, "CNAME", 60, CDN)],
        ),
        3,
    ),
    "a loop of aliases": (
        messages.answer(1, NAME, "A", [(NAME, "CNAME", 60, CDN), (CDN, "CNAME", 60, NAME)]),
        2,
    ),
    "two aliases of one name": (
        response(alias(FAR), alias(labels(CDN)), alias(labels(EDGE), FAR), a(owner=FAR)),
        4,
    ),
    "addresses of others": (response(a(owner=FAR), a(b"\1\2\3\4"), a(owner=labels(CDN))), 1),
    "aliases of others": (response(alias(labels(CDN), FAR), a(owner=labels(CDN))), 1),
    "another class": (response(record(1, FOUR, klass=3), a(b"\1\2\3\4")), 1),
    "the cache flush bit": (response(record(1, FOUR, klass=0x8001)), 1),
    "an alias by DNAME": (
        response(record(39, labels("example.net"), labels("example.org")), alias(labels(CDN))),
        2,
    ),
    "texts": (response(record(16, b"\3abc"), asked=question(kind=16)), 1),
    "HTTPS of itself": (
        response(service(b"\0", parameter(1, b"\2h3")), asked=question(kind=65)),
        1,
    ),
    "hints": (
        response(
            service(b"\0", parameter(4, FOUR * 2) + parameter(6, SIX)), asked=question(kind=65)
        ),
        1,
    ),
    "hints of a target": (
        response(service(labels(CDN), parameter(4, FOUR)), service(labels(EDGE)), a(b"\1\2\3\4")),
        1,
    ),
    "services of two owners": (
        response(
            alias(labels(CDN)),
            service(FAR),
            service(labels(EDGE), owner=labels(CDN)),
            service(labels("x.test"), owner=labels("other.test")),
            service(labels("y.test")),
            service(FAR),
            service(labels(NAME)),
            a(owner=labels("y.test")),
            a(b"\1\2\3\4", owner=labels("x.test")),
        ),
        2,
    ),
    "alias mode": (
        response(service(labels(CDN), parameter(4, FOUR), priority=0), asked=question(kind=65)),
        2,
    ),
    "alias mode without a service": (response(service(b"\0", priority=0)), 1),
    "records that are not read": (
        response(record(2, b"\xff" * 9), record(43, b""), record(99, b"x"), a()),
        1,
    ),
    "bytes behind it": (response(a(), further=b"more"), 1),
    "LLMNR": (response(a(), flags=0x8500), 1),
}

ODD = {
    "empty": b"",
    "a header": b"\0\1\1\0\0\1\0\0\0\0\0\0",
    "the root": messages.query(1, "", "A"),
    "type 0": b"\0\1\1\0\0\1\0\0\0\0\0\0" + question(kind=0),
    "a type without a row": b"\0\1\1\0\0\1\0\0\0\0\0\0" + question(kind=40000),
    "two questions": b"\0\1\1\0\0\2\0\0\0\0\0\0" + question() + question(CDN),
    "no question": b"\0\1\x81\x80\0\0\0\1\0\0\0\0" + a(owner=labels(NAME)),
    "an update": b"\0\1\x28\0\0\1\0\0\0\0\0\0" + question(),
    "a truncated answer": response(a(), flags=0x8380),
    "a question that is cut": (b"\0\1\1\0\0\1\0\0\0\0\0\0" + question())[:-3],
    "a record that is cut": response(a(), a())[:-1],
    "fewer records than counted": response(a(), a()[:9]),
    "a space": messages.query(1, "www example.org", "A"),
    "a byte of UTF-8": b"\0\1\1\0\0\1\0\0\0\0\0\0" + question("caf\xe9.example"),
    "a dot in a label": b"\0\1\1\0\0\1\0\0\0\0\0\0\3a.b\0" + b"\0\1" + IN,
    "a backslash": messages.query(1, "a\\b.example", "A"),
    "a name of 255 bytes": messages.query(1, ".".join(["a" * 63] * 3 + ["b" * 62]), "A"),
    "a pointer to itself": b"\0\1\1\0\0\1\0\0\0\0\0\0\3www\xc0\x0c\0\1" + IN,
    "a label type of 64": b"\0\1\1\0\0\1\0\0\0\0\0\0\x41" + b"a" * 65 + b"\0\0\1" + IN,
    "an address of a wrong size": response(record(1, b"\1\2\3")),
    "an address of IPv6 of a wrong size": response(record(28, FOUR)),
    "an alias with bytes behind it": response(alias(labels(CDN) + b"x")),
    "an alias that points ahead": response(alias(b"\xc0\xff")),
    "an alias to the root": response(alias(b"\0"), a()),
    "an alias with odd bytes": response(alias(b"\3a b\0"), a(owner=b"\3a b\0")),
    "an owner with odd bytes": response(a(owner=b"\3a b\0"), a()),
    "an owner that is the root": response(a(owner=b"\0"), a()),
    "many records": response(*[a(bytes([1, 2, 3, n])) for n in range(33)]),
    "many addresses": response(service(b"\0", parameter(4, bytes(range(130)) * 2))),
    "a hint of a wrong size": response(service(b"\0", parameter(4, b"\1\2\3"))),
    "parameters that run out": response(service(b"\0", b"\0\1\0\4\2h3")),
    "no parameters but a byte": response(service(b"\0", b"\0")),
    "no target": response(record(65, b"\0\1")),
    "ECH": response(
        service(
            b"\0",
            ech(configuration(b"Public.Example."), configuration(b""), b"\xfe\x0a\0\0")
            + ech(configuration(b"public.example"), configuration(b"second.example")),
        ),
        asked=question(kind=65),
    ),
    "a public name with odd bytes": response(service(b"\0", ech(configuration(b"a b")))),
    "a configuration that is cut": response(service(b"\0", ech(configuration(b"a")[:-4]))),
    "many public names": response(
        service(b"\0", ech(*[configuration(b"p%d.example" % n) for n in range(17)]))
    ),
    "an unknown response code": response(flags=0x8180, further=opt(0xF << 24), counts=(0, 1)),
}


@pytest.fixture(scope="module")
def source() -> ModuleType:
    return all_interpreted("netwatch.engine.observe")["netwatch.engine.observe"]


@pytest.mark.parametrize(("payload", "names"), PLAIN.values(), ids=PLAIN)
def test_what_is_plain_is_read_in_the_loop(payload: bytes, names: int, source: ModuleType) -> None:
    assert held([payload]) == names
    assert held([payload], source) == names


@pytest.mark.parametrize("payload", ODD.values(), ids=ODD)
def test_what_is_odd_is_read_alone(payload: bytes, source: ModuleType) -> None:
    assert held([payload]) == 0
    assert held([payload], source) == 0


def test_rows_of_both_come_in_the_order_of_packets(source: ModuleType) -> None:
    pairs = zip(PLAIN.values(), ODD.values(), strict=False)
    mixed = [payload for (plain, _), odd in pairs for payload in (plain, odd)]
    for module in (None, source):
        assert held(mixed, module) > 20
    # More rows than a batch has room for at first.
    frames = [datagram(each) for each in mixed * 60]
    blocks = [block(timed(frames), RAW), block(timed(frames), RAW, first=1 + len(frames))]
    assert hold_to_parsers(blocks) > 4096


@pytest.mark.parametrize("kind", [*TYPES, 4, 258, 511, 512])
def test_types_have_their_texts(kind: int) -> None:
    assert held([response(asked=question(kind=kind))]) == (kind < 512)


@pytest.mark.parametrize("rcode", range(16))
def test_response_codes_have_their_texts(rcode: int) -> None:
    upper = 16 + rcode in RCODES
    assert held([response(flags=0x8180 | rcode)]) == 1
    extended = response(flags=0x8180 | rcode, further=opt(1 << 24), counts=(0, 1))
    assert held([extended]) == 1 or not upper


def test_a_message_that_was_cut_by_the_snap_length_is_read_alone() -> None:
    frames = [datagram(response(a(), a(b"\1\2\3\4")))]
    assert hold_to_parsers([block(timed(frames), RAW, snap=len(frames[0]) - 1)]) == 0


def test_only_names_of_interest_have_rows() -> None:
    of_interest = [each for each, _ in PLAIN.values()]
    frames = [datagram(each) for each in of_interest]
    for domains in ([b"example.net"], [b"example.org", b"x"], [b"nobody.invalid"]):
        hold_to_parsers([block(timed(frames), RAW)], domains=domains)
        hold_to_parsers([block(timed(frames), RAW)], domains=domains, record_flows=True)
    found = read([block(timed(frames), RAW)], parse_all=False, domains=[b"nobody.invalid"])
    plain = {b"\0\1\1\0\0\1\0\0\0\0\0\0" + question()}
    assert plain <= set(of_interest)
    assert len(found.observations) < sum(found.names.values()) / 2


def test_pointers_lead_to_what_stands_where_they_point() -> None:
    # The labels of a chain, each of which points into the one before.
    records, owner = [], POINTER
    at = 12 + len(question())
    for label in ("one", "two", "three"):
        target = labels(label)[:-1] + b"\xc0\x10"
        records.append(alias(target, owner))
        at += len(owner) + 10
        owner = (0xC000 | at).to_bytes(2)
        at += len(target)
    records.append(a(owner=owner))
    assert held([response(*records)]) == 4
    assert all(one != other for one, other in pairwise(records))
