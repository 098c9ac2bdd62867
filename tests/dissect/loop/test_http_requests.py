"""HTTP requests that the packet loop reads: rows for their hosts, or a count."""

from types import ModuleType

import pytest
from support.captures import block, rows, timed
from support.filling import hold_to_parsers
from support.frames import tcp
from support.interpreted import all_interpreted

from netwatch.dissect.loop.loop import Loop

RAW = 101
HOST = "www.example.org"
OTHER = "www.example.com"
KIND = 4
SYN = tcp(flags="S", seq=1000)


@pytest.fixture(scope="module")
def source() -> ModuleType:
    return all_interpreted("netwatch.engine.observe")["netwatch.engine.observe"]


def request(host: str | None = HOST, more: str = "", line: str = "GET / HTTP/1.1") -> bytes:
    field = "" if host is None else f"Host: {host}\r\n"
    return f"{line}\r\nUser-Agent: a b\r\n{field}{more}\r\n".encode()


# Rows without domains of interest, and names that are counted where OTHER is the only one.
REQUESTS = {
    "plain": (request(), 1, 1),
    "upper case": (request("WWW.Example.ORG").replace(b"Host", b"hOST"), 1, 1),
    "a port": (request("www.example.org:8080"), 1, 1),
    "a colon": (request("www.example.org:"), 1, 1),
    "white space": (request("  \twww.example.org \t"), 1, 1),
    "no white space": (request().replace(b"Host: ", b"Host:"), 1, 1),
    "a user": (request("a@www.example.org"), 1, 1),
    "one label": (request("intranet"), 1, 1),
    "other fields": (request(more=f"X-Host: {OTHER}\r\nHosts: b\r\nno colon\r\n"), 1, 1),
    "a carriage return": (request().replace(b"a b", f"a\rHost: {OTHER}".encode()), 1, 1),
    "a body to come": (request(more="Content-Length: 12\r\n"), 1, 1),
    "another method": (request(line="PROPFIND /a HTTP/1.1"), 1, 1),
    "an asterisk": (request(line="OPTIONS * HTTP/1.1"), 1, 1),
    "no authority": (request(line="GET http:///a HTTP/1.1"), 1, 1),
    "of interest": (request(OTHER), 1, 0),
    "below, with a port": (request(f"a.{OTHER}:443"), 1, 0),
    "a dot at its end": (request("www.example.org."), 1, 0),
    "a dot and a port": (request("www.example.org.:80"), 1, 0),
    "an address": (request("192.0.2.1"), 1, 0),
    "an address and a port": (request("192.0.2.1:80"), 1, 0),
    "digits": (request("8080"), 1, 0),
    "255 bytes": (request("a" * 255), 1, 0),
    "absolute form": (request(line="GET http://www.example.org/a?b HTTP/1.1"), 1, 0),
    "absolute form for another host": (request(line="GET HTTP://b.test:8443 HTTP/1.0"), 2, 0),
    "absolute form without Host": (request(None, line="GET http://a@b.test?q HTTP/1.1"), 1, 0),
    "another scheme": (request(line=f"GET ftp://{OTHER}/ HTTP/1.1"), 2, 0),
    "CONNECT": (request(f"{HOST}:443", line=f"CONNECT {HOST}:443 HTTP/1.1"), 1, 0),
    "CONNECT without Host": (request(None, line="CONNECT b.test:443 HTTP/1.0"), 1, 0),
    "CONNECT for another host": (request(line="CONNECT b.test:443 HTTP/1.1"), 2, 0),
    "no host": (request(None), 0, 0),
    "an empty host": (request(""), 0, 0),
    "only a port": (request(":80"), 0, 0),
    "two hosts": (request(more=f"host: {OTHER}\r\n"), 0, 0),
    "an address of IPv6": (request("[2001:db8::1]:80"), 0, 0),
    "an address of IPv6 without brackets": (request("2001:db8::1"), 0, 0),
    "a name in UTF-8": (request("www.exämple.org"), 0, 0),
    "odd letters": (request("www.ex%61mple.org"), 0, 0),
    "256 bytes": (request("a" * 255 + "."), 0, 0),
    "space before the colon": (request().replace(b"Host:", b"Host :"), 0, 0),
    "a folded field": (request(more=f" {OTHER}\r\n"), 0, 0),
    "a bare line feed": (request().replace(b"a b\r\n", b"a b\n"), 0, 0),
    "an odd version": (request(line="GET / HTTP/1.10"), 0, 0),
    "two requests": (request() + request(OTHER), 0, 0),
    "a body": (request(more="Content-Length: 2\r\n") + b"ab", 0, 0),
    "a head that goes on": (request()[:-2], 0, 0),
}


@pytest.mark.parametrize(("payload", "read", "counted"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_becomes_rows_or_a_count(
    payload: bytes, read: int, counted: int, source: ModuleType
) -> None:
    capture = [block(timed([SYN, tcp(payload, seq=1001)]), RAW)]
    assert hold_to_parsers(capture) == read
    assert hold_to_parsers(capture, module=source) == read
    by = Loop(64, domains=[OTHER.encode()])
    assert len(rows(by, timed([tcp(payload)]), RAW)) == 1 - counted
    assert by.prefilter.names() == ({"http-host": counted} if counted else {})


def test_where_flows_are_recorded_the_parser_reads_all() -> None:
    packets = [tcp(payload) for payload, _, _ in REQUESTS.values()]
    assert hold_to_parsers([block(timed(packets), RAW)], record_flows=True) == 0


def test_only_the_first_request_of_a_side_has_rows_and_once() -> None:
    first, second = request(), request("b.test")
    at = 1001 + len(first)
    again = [SYN, tcp(first, seq=1001), tcp(first, seq=1001), tcp(second, seq=at)]
    again += [tcp(first, seq=1001), tcp(request("c.test"), seq=at + len(second))]
    assert hold_to_parsers([block(timed(again), RAW)]) == 1
    early = [SYN, tcp(second, seq=at), tcp(first, seq=1001)]
    assert hold_to_parsers([block(timed(early), RAW)]) == 0


def test_requests_of_one_connection_are_each_counted_once() -> None:
    first, second = request(), request("b.example.org")
    packets = [SYN, tcp(first, seq=1001), tcp(first, seq=1001), tcp(second, seq=1001 + len(first))]
    by = Loop(64, domains=[OTHER.encode()])
    assert rows(by, timed(packets), RAW) == []
    assert by.prefilter.names() == {"http-host": 2}
    assert by.anomalies() == {"tcp-retransmission": 1}


def test_what_others_wait_for_is_not_taken_from_them() -> None:
    head = request()
    behind = [
        # Bytes of the head before it, which goes on in this one.
        (tcp(head[:30], seq=1000), tcp(head, seq=1030)),
        # What was sent before it came later, or not at all.
        (SYN, tcp(head, seq=1101)),
        (tcp(head, seq=1100), tcp(head, seq=1000)),
    ]
    for packets in behind:
        found = rows(Loop(64, domains=[OTHER.encode()]), timed(packets), RAW)
        assert [row[0] for row in found][-1:] == [KIND]


def test_a_head_that_the_capture_cut_is_not_believed() -> None:
    packet = tcp(request() + b"behind")
    by = Loop(64, domains=[OTHER.encode()])
    assert len(list(by.walk(block(timed([packet]), RAW, snap=len(packet) - 6)))) == 1
    assert by.prefilter.names() == {}
