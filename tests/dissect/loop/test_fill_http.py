"""HTTP requests that the packet loop reads give the rows that their parser gives."""

from collections.abc import Sequence
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import block, timed
from support.examples import examples
from support.filling import RECORDED, read
from support.frames import tcp
from support.interpreted import all_interpreted

RAW = 101
HOST = "www.example.org"


@pytest.fixture(scope="module")
def source() -> ModuleType:
    return all_interpreted("netwatch.engine.observe")["netwatch.engine.observe"]


def request(host: str | None = HOST, more: str = "", line: str = "GET / HTTP/1.1") -> bytes:
    field = "" if host is None else f"Host: {host}\r\n"
    return f"{line}\r\nUser-Agent: a b\r\n{field}{more}\r\n".encode()


def held(
    segments: Sequence[bytes], module: ModuleType | None = None, *, record_flows: bool = False
) -> int:
    """Hold packets to the parsers; how many names the loop has read. A request that comes again
    late is a candidate only where the parser has to recognise it."""
    options = {} if module is None else {"module": module}
    capture = [block(timed(segments), RAW)]
    for way in [{"record_flows": True}] if record_flows else [{}, RECORDED]:
        parsed = read(capture, parse_all=True, **options, **way)
        filled = read(capture, parse_all=False, **options, **way)
        assert filled.observations == parsed.observations
        assert filled.flows == parsed.flows
        assert (filled.names, filled.anomalies) == (parsed.names, parsed.anomalies)
    return filled.read_by_loop


PLAIN = {
    "plain": (request(), 1),
    "upper case": (request("WWW.Example.ORG").replace(b"Host", b"hOST"), 1),
    "a port": (request("www.example.org:8080"), 1),
    "a colon": (request("www.example.org:"), 1),
    "white space": (request("  \twww.example.org \t"), 1),
    "no white space": (request().replace(b"Host: ", b"Host:"), 1),
    "a dot at its end": (request("www.example.org."), 1),
    "a dot and a port": (request("www.example.org.:80"), 1),
    "an address": (request("192.0.2.1"), 1),
    "an address and a port": (request("192.0.2.1:80"), 1),
    "digits": (request("8080"), 1),
    "other fields": (request(more="X-Host: a\r\nHosts: b\r\nTransfer-Encoding: chunked\r\n"), 1),
    "a body to come": (request(more="Content-Length: 12\r\n"), 1),
    "absolute form": (request(line="GET http://www.example.org/a?b HTTP/1.1"), 1),
    "absolute form for another host": (request(line="GET HTTP://b.test:8443 HTTP/1.0"), 2),
    "absolute form without Host": (request(None, line="GET http://b.test?q HTTP/1.1"), 1),
    "CONNECT": (request(f"{HOST}:443", line=f"CONNECT {HOST}:443 HTTP/1.1"), 1),
    "CONNECT without Host": (request(None, line="CONNECT b.test:443 HTTP/1.0"), 1),
    "CONNECT for another host": (request(line="CONNECT b.test:443 HTTP/1.1"), 2),
    "another method": (request(line="PROPFIND /a HTTP/1.1"), 1),
    "255 bytes": (request("a" * 255), 1),
}

ODD = {
    "no host": request(None),
    "an empty host": request(""),
    "only a port": request(":80"),
    "two hosts": request(more="host: b.test\r\n"),
    "an address of IPv6": request("[2001:db8::1]:80"),
    "an address of IPv6 without brackets": request("2001:db8::1"),
    "a user": request("a@www.example.org"),
    "a user in the target": request(line="GET http://a@b.test/ HTTP/1.1"),
    "a name in UTF-8": request("www.exämple.org"),
    "odd letters": request("www.ex%61mple.org"),
    "256 bytes": request("a" * 255 + "."),
    "space before the colon": request().replace(b"Host:", b"Host :"),
    "a folded field": request(more=" b\r\n"),
    "a bare line feed": request().replace(b"a b\r\n", b"a b\n"),
    "a bare carriage return": request().replace(b"a b", b"a\rHost: c"),
    "an odd version": request(line="GET / HTTP/1.10"),
    "two spaces": request(line="GET  / HTTP/1.1"),
    "another scheme": request(line="GET ftp://b.test/ HTTP/1.1"),
    "an asterisk": request(line="OPTIONS * HTTP/1.1"),
    "no authority": request(line="GET http:///a HTTP/1.1"),
    "two requests": request() + request("b.test"),
    "a body": request(more="Content-Length: 2\r\n") + b"ab",
    "an empty line first": b"\r\n" + request(),
    "a head that goes on": request()[:-2],
}


@pytest.mark.parametrize(("payload", "names"), PLAIN.values(), ids=PLAIN)
def test_what_is_plain_is_read_in_the_loop(payload: bytes, names: int, source: ModuleType) -> None:
    packets = [tcp(flags="S", seq=1000), tcp(payload, seq=1001)]
    assert held(packets) == names
    assert held(packets, source) == names
    assert held([tcp(payload, seq=1001)]) == names


@pytest.mark.parametrize("payload", ODD.values(), ids=ODD)
def test_what_is_odd_goes_to_the_parser(payload: bytes, source: ModuleType) -> None:
    packets = [tcp(flags="S", seq=1000), tcp(payload, seq=1001)]
    assert held(packets) == 0
    assert held(packets, source) == 0


def test_where_flows_are_recorded_the_parser_reads_all() -> None:
    assert held([tcp(payload) for payload, _ in PLAIN.values()], record_flows=True) == 0


def test_a_request_that_comes_again_is_read_once() -> None:
    first, second = request(), request("b.test")
    at = 1001 + len(first)
    packets = [
        tcp(flags="S", seq=1000),
        tcp(first, seq=1001),
        tcp(first, seq=1001),
        tcp(second, seq=at),
        tcp(first, seq=1001),
        tcp(second, seq=at),
        tcp(request("c.test"), seq=at + len(second)),
        tcp(first, seq=1001),
    ]
    assert held(packets) == 1


def test_a_request_that_is_not_the_first_of_its_side_goes_to_the_parser() -> None:
    first, second = request(), request("b.test")
    early = [tcp(flags="S", seq=1000), tcp(second, seq=1001 + len(first)), tcp(first, seq=1001)]
    assert held(early) == 0


CALLS = st.sampled_from([*(payload for payload, _ in PLAIN.values()), *ODD.values()])


@examples(300)
@given(st.lists(CALLS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_connections_with_several_requests(calls: list[bytes], rng: object) -> None:
    packets, at = [tcp(flags="S", seq=1000)], 1001
    for payload in calls:
        packets.append(tcp(payload, seq=at))
        at += len(payload)
    repeated = [rng.choice(packets) for _ in range(rng.randrange(3))]  # type: ignore[attr-defined]
    held([*packets, *repeated])
    if rng.randrange(2):  # type: ignore[attr-defined]
        rng.shuffle(packets)  # type: ignore[attr-defined]
        held(packets)


@examples(300)
@given(
    CALLS, st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=3)), max_size=3)
)
def test_changed_requests(payload: bytes, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(payload)
    for at, change in changes:
        data[at % len(data) : at % len(data) + len(change)] = change
    held([tcp(flags="S", seq=1000), tcp(bytes(data), seq=1001)])
