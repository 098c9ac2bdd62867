"""Evidence of the rarer protocols: found by netwatch, seen anew, and missed where it is altered."""

import random
from pathlib import Path

import handshakes
import messages as wire_messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.altered import altered
from support.captures import pcap, timed
from support.evidence import read_anew, scan_alerts, write_evidence
from support.frames import CLIENT, SERVER, tcp, udp
from support.handshake_samples import (
    certificate,
    certificates,
    dtls_hello,
    dtls_record,
    fragment,
    http2_requests,
    server_hello,
)
from support.office import CONFIG, TIKTOK, configured
from support.protocol_samples import hello, server_name

from netwatch.config import Config, load
from netwatch.incidents.evidence_folder import EvidenceFolder
from netwatch.verify import messages
from netwatch.verify.evidence_file import CapturedPacket

RNG = random.Random(9)
HELLO = handshakes.client_hello(TIKTOK, RNG)
NAME = TIKTOK.encode()
SYN = tcp(flags="S", seq=1000)
SOCKS5 = b"\x05\x01\0\x03" + bytes([len(NAME)]) + NAME + b"\x01\xbb"
BACK = {"src": SERVER, "dst": CLIENT, "sport": 443, "dport": 50000}
CERTIFICATE = handshakes.records(server_hello() + certificates(certificate(None, TIKTOK)))


def _dtls() -> list[bytes]:
    body = dtls_hello(hello(server_name(NAME)))
    half = len(body) // 2
    parts = [fragment(body, 0, half), fragment(body, half, len(body))]
    return [udp(dtls_record(part), dport=4433) for part in parts]


FRAMES = {
    "socks-host": [
        tcp(flags="S", seq=1000, dport=1080),
        tcp(b"\x05\x01\0", dport=1080),
        tcp(SOCKS5, seq=1004, dport=1080),
    ],
    "http-host": [
        tcp(flags="S", seq=1000, dport=8080),
        tcp(http2_requests("www.example.org", TIKTOK), dport=8080),
    ],
    "dtls-sni": _dtls(),
    "tls-cert": [SYN, tcp(flags="SA", seq=1000, **BACK), tcp(CERTIFICATE, **BACK)],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Config:
    text = CONFIG.replace("severity: high", "severity: high\n    min_confidence: possible")
    return load(configured(tmp_path_factory.mktemp("site"), text))


@pytest.mark.parametrize("kind", FRAMES)
def test_shown_and_altered(kind: str, site: Config, tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(timed(FRAMES[kind]), 101))
    alerts = scan_alerts(site, path, keep_frames=True)
    assert [item.type for alert in alerts for item in alert.evidence] == [kind]
    ((_, proof),) = write_evidence(EvidenceFolder(tmp_path / "proof", print), alerts).items()
    (found,) = read_anew(proof)
    assert (found.result, found.readers) == ("shown", {"scapy": "shown", "dpkt": "shown"})

    def rename(packets: list[CapturedPacket]) -> list[CapturedPacket]:
        # The names of HTTP/2 are compressed, so there a whole request is another one.
        return [
            CapturedPacket(
                each.time,
                each.link_type,
                bytes(tcp(http2_requests("www.example.org", "www.example.com"), dport=8080))
                if kind == "http-host" and len(each.data) > 60
                else each.data.replace(b"tiktok", b"toktik"),
                each.wire_length,
                each.comments,
            )
            for each in packets
        ]

    (found,) = read_anew(altered(proof, tmp_path, rename, honest=True))
    assert found.result == "differs"


def test_heads_of_requests_skip_bodies() -> None:
    first = wire_messages.request(
        "POST", "/", "a.example", body=b"GET / HTTP/1.1\r\nHost: no\r\n\r\n"
    )
    chunked = (
        b"POST / HTTP/1.1\r\nHost: b.example\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1e\r\nGET / HTTP/1.1\r\nHost: never\r\n\r\r\n0\r\n\r\n"
    )
    last = b"GET / HTTP/1.1\r\nHost: c.example\r\nCook"
    heads = [head for head, _, _ in messages.request_heads(first + chunked + last)]
    assert [name in head for name, head in zip(b"abc", heads, strict=True)] == [True] * 3
    assert not any(b"Host: n" in head for head in heads)


def test_a_hello_that_was_captured_in_part() -> None:
    whole = HELLO
    for size in range(len(whole)):
        cut = messages.complete_hello(whole[:size] if size >= 4 else whole)
        assert int.from_bytes(cut[1:4]) == len(cut) - 4
    assert messages.complete_hello(whole) == whole


@given(
    st.binary(max_size=300), st.sampled_from((b"", b"\x16\x03\x01\0\x40", b"PRI * HTTP/2.0\r\n"))
)
def test_any_bytes(data: bytes, start: bytes) -> None:
    stream = start + data
    for spans in (
        messages.client_hellos,
        messages.certificates,
        messages.dns_messages,
        messages.request_heads,
        messages.socks_hosts,
    ):
        for _, low, high in spans(stream):
            assert 0 <= low < high <= len(stream)
