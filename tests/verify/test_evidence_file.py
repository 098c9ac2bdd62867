"""Hostile and damaged evidence captures end as errors with a reason, never as tracebacks."""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from support.examples import examples
from support.frames import udp

from netwatch.core.errors import NetwatchError
from netwatch.core.flow import Frame
from netwatch.incidents.evidence_selection import interface, packet, section
from netwatch.verify.check import check
from netwatch.verify.dpkt_reader import DpktReader
from netwatch.verify.evidence_file import MAX_OPTIONS, claims_of, read_evidence_file
from netwatch.verify.flows import Flows
from netwatch.verify.scapy_reader import ScapyReader

ID = "0123456789abcdef" * 2
KINDS = (
    *("dns-query", "dns-answer", "dns-cname", "tls-sni", "quic-sni", "dtls-sni", "http-host"),
    *("socks-host", "tls-cert", "ip-from-dns", "ip-asn", "nonsense"),
)


def said(kind: str, name: str = "www.tiktok.com", part: bool = False) -> str:
    return f"{'part of ' * part}{kind} {name}, incident {ID}, packet a.pcap#1"


def made(path: Path, packets: list[tuple[int, bytes, list[str]]]) -> Path:
    blocks = [section("netwatch", f"incident {ID}: violation")]
    links = sorted({link for link, _, _ in packets})
    blocks += [interface(link, "eth1", "a.pcap", 0) for link in links]
    for at, (link, data, comments) in enumerate(packets):
        frame = Frame("a.pcap", at + 1, at, 9, link, "eth1", len(data), -1, data)
        blocks.append(packet(frame, links.index(link), comments))
    path.write_bytes(b"".join(blocks))
    return path


def checked(path: Path) -> list[str]:
    """The results, or the reason why there are none; anything else is raised."""
    try:
        file = read_evidence_file(path)
        flows = [Flows(reader, file.packets) for reader in (ScapyReader(), DpktReader())]
        return [each.result for each in check(file, claims_of(path.name, file), flows)]
    except NetwatchError as error:
        return [str(error)]


@examples(300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    packets=st.lists(
        st.tuples(
            st.sampled_from((0, 1, 9, 12, 101, 105, 113, 127, 228, 229, 276, 147)),
            st.binary(max_size=200),
            st.lists(st.builds(said, st.sampled_from(KINDS), part=st.booleans()), max_size=3),
        ),
        max_size=4,
    )
)
def test_packets_of_any_bytes(packets, tmp_path: Path) -> None:
    path = made(tmp_path / "a.pcapng", packets)
    assert set(checked(path)) & {"shown"} <= ({"shown"} if "ip-asn" in str(packets) else set())


@examples(300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(KINDS), payload=st.binary(max_size=300), port=st.integers(0, 65535))
def test_payloads_of_any_bytes(kind: str, payload: bytes, port: int, tmp_path: Path) -> None:
    packets = [
        (101, bytes(udp(payload, dport=port)), [said(kind)]),
        (101, bytes(udp(payload, dport=53)), [said("dns-query")]),
    ]
    assert checked(made(tmp_path / "a.pcapng", packets))[1:] == ["differs"]


@examples(300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 600), flip=st.integers(0, 600), by=st.integers(0, 255))
def test_files_of_any_damage(cut: int, flip: int, by: int, tmp_path: Path) -> None:
    path = made(tmp_path / "a.pcapng", [(101, bytes(udp(b"x" * 40)), [said("dns-query")])])
    data = bytearray(path.read_bytes())
    data[flip % len(data)] ^= by
    path.write_bytes(data[: len(data) - cut % len(data)])
    assert all(isinstance(text, str) for text in checked(path))


@given(data=st.binary(max_size=400))
def test_any_bytes(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "a.pcapng"
    for start in (b"", b"\x0a\x0d\x0d\x0a", section("", "")):
        path.write_bytes(start + data)
        (reason,) = checked(path)
        assert reason.startswith("cannot be read: ")


def test_many_options(tmp_path: Path) -> None:
    options = struct.pack("<HH", 1, 0) * (MAX_OPTIONS + 1) + bytes(4)
    body = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options
    size = struct.pack("<I", len(body) + 12)
    path = tmp_path / "a.pcapng"
    path.write_bytes(struct.pack("<I", 0x0A0D0D0A) + size + body + size)
    assert checked(path) == [f"cannot be read: expected at most {MAX_OPTIONS} options in a block"]


def test_no_evidence_capture(tmp_path: Path) -> None:
    path = made(tmp_path / "a.pcapng", [(101, bytes(udp(b"x")), ["seen"])])
    assert checked(path) == [
        "cannot be read: expected a capture of `scan --evidence`, found no comment of it"
    ]
    path.write_bytes(b"\xd4\xc3\xb2\xa1" + bytes(20))
    assert checked(path) == ["cannot be read: expected an evidence capture (pcapng)"]
    assert checked(tmp_path / "none.pcapng") == ["cannot be read: No such file or directory"]


def test_a_flow_of_very_many_segments_is_bounded(tmp_path: Path) -> None:
    from support.frames import tcp

    frames = [
        (101, bytes(tcp(b"\x16\x03\x01", seq=1001 + 7 * at)), [said("tls-sni")] * 8)
        for at in range(900)
    ]
    (reason,) = checked(made(tmp_path / "a.pcapng", frames))
    assert reason == "cannot be checked: expected fewer segments in its streams"
