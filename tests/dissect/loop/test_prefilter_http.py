"""HTTP/1 requests for hosts of no interest are counted in the packet loop, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import block, rows, timed
from support.examples import examples
from support.frames import tcp

from netwatch.core.errors import Incomplete, ParseError
from netwatch.dissect.loop.loop import Loop
from netwatch.protocols import http

RAW = 101
OTHER = "www.example.com"
KIND = 4


def new_loop() -> Loop:
    return Loop(64, domains=[OTHER.encode()])


def request(host: str = "www.example.org", more: str = "", line: str = "GET / HTTP/1.1") -> bytes:
    return f"{line}\r\nUser-Agent: a b\r\nHost: {host}\r\n{more}\r\n".encode()


IDLE = {
    "plain": request(),
    "upper": request("WWW.Example.ORG").replace(b"Host", b"hOST"),
    "port": request("www.example.org:8080"),
    "no port": request("www.example.org:"),
    "spaces": request("  \twww.example.org"),
    "no space": request().replace(b"Host: ", b"Host:"),
    "path": request(line="POST /a?b=%20&c=HTTP/1.1 HTTP/1.0"),
    "other fields": request(more="X-Host: www.example.com\r\nHosts: a\r\nAccept: */*\r\n"),
    "body to come": request(more="Content-Length: 12\r\n"),
    "one label": request("intranet"),
    "digits": request("4.pool.example.org"),
}


@pytest.mark.parametrize("payload", IDLE.values(), ids=IDLE.keys())
def test_idle_hosts_are_counted_as_the_parser_would(payload: bytes) -> None:
    by = new_loop()
    assert rows(by, timed([tcp(payload)]), RAW) == []
    assert by.prefilter.names() == {"http-host": 1}
    message = http.parse(payload)
    assert [shown.evidence for shown in message.names] == ["http-host"]
    assert message.anomalies == ()


ELSEWHERE = {
    "of interest": request(OTHER),
    "below": request(f"a.{OTHER}"),
    "of interest, with a port": request(f"{OTHER}:443"),
    "address": request("192.0.2.1"),
    "address and port": request("192.0.2.1:80"),
    "address of six": request("[2001:db8::1]"),
    "user": request("a@www.example.org"),
    "root dot": request("www.example.org."),
    "empty": request(""),
    "spaces behind": request("www.example.org "),
    "strange letters": request("www.ex%61mple.org"),
    "other letters": request("www.exämple.org"),
    "no host": request().replace(b"Host", b"Hose"),
    "two hosts": request(more=f"host: {OTHER}\r\n"),
    "space before the colon": request().replace(b"Host:", b"Host :"),
    "folded": request(more=f" {OTHER}\r\n"),
    "bare line feed": request().replace(b"a b\r\n", b"a b\n"),
    "bare carriage return": request().replace(b"a b", b"a\rHost: c"),
    "no colon": request(more="nothing\r\n"),
    "absolute": request(line=f"GET http://{OTHER}/ HTTP/1.1"),
    "tunnel": request(line=f"CONNECT {OTHER}:443 HTTP/1.1"),
    "strange tunnel": request(line="CONNECT /a HTTP/1.1"),
    "asterisk": request(line="OPTIONS * HTTP/1.1"),
    "two spaces": request(line="GET  / HTTP/1.1"),
    "version": request(line="GET / HTTP/1.x"),
    "two requests": request() + request(OTHER),
    "body": request(more="Content-Length: 1\r\n") + b"a",
    "not whole": request()[:-2],
}


@pytest.mark.parametrize("payload", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_all_else_goes_to_the_parser(payload: bytes) -> None:
    by = new_loop()
    assert len(rows(by, timed([tcp(payload)]), RAW)) == 1
    assert by.prefilter.names() == {}


def test_without_zones_all_goes_to_the_parser() -> None:
    assert len(rows(Loop(64), timed([tcp(request())]), RAW)) == 1


OUT = {"sport": 50000, "dport": 80}


def test_requests_of_one_connection_are_each_counted_once() -> None:
    first, second = request(), request("b.example.org")
    packets = [
        tcp(flags="S", seq=999, **OUT),
        tcp(first, seq=1000, **OUT),
        tcp(first, seq=1000, **OUT),
        tcp(second, seq=1000 + len(first), **OUT),
    ]
    by = new_loop()
    assert rows(by, timed(packets), RAW) == []
    assert by.prefilter.names() == {"http-host": 2}
    assert by.anomalies() == {"tcp-retransmission": 1}


def test_what_others_wait_for_is_not_taken_from_them() -> None:
    head = request()
    behind = [
        # Bytes of the head before it, which goes on in this one.
        (tcp(head[:30], seq=1000, **OUT), tcp(head, seq=1030, **OUT)),
        # What was sent before it came later, or not at all.
        (tcp(flags="S", seq=999, **OUT), tcp(head, seq=1100, **OUT)),
        (tcp(head, seq=1100, **OUT), tcp(head, seq=1000, **OUT)),
    ]
    for packets in behind:
        found = rows(new_loop(), timed(packets), RAW)
        assert [row[0] for row in found][-1:] == [KIND]


def test_a_head_that_the_capture_cut_is_not_believed() -> None:
    packet = tcp(request() + b"behind")
    by = new_loop()
    assert len(list(by.walk(block(timed([packet]), RAW, snap=len(packet) - 6)))) == 1
    assert by.prefilter.names() == {}


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from([*IDLE.values(), *ELSEWHERE.values()])))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from("sdi")):
            case "s":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=2))
            case "d":
                del data[at : at + draw(st.integers(1, 6))]
            case "i":
                piece = [b"\r\n", b"\n", b" ", b":", b".", b"1", b"\r\nhost: ", OTHER.encode()]
                data[at:at] = draw(st.sampled_from(piece))
    return bytes(data)


@examples(1000)
@given(mangled())
def test_whatever_the_request_the_parser_agrees(payload: bytes) -> None:
    by = new_loop()
    if not rows(by, timed([tcp(payload)]), RAW) and by.prefilter.names():
        try:
            message = http.parse(payload)
        except (Incomplete, ParseError):
            message = None
        assert message is not None
        assert [shown.evidence for shown in message.names] == ["http-host"]
        assert not f".{message.names[0].name}".endswith(f".{OTHER}")
        assert message.anomalies == ()
        assert by.prefilter.names() == {"http-host": 1}
