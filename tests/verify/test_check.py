"""What scapy and dpkt see in evidence captures, and in captures that were altered."""

import random
from dataclasses import replace
from pathlib import Path

import handshakes
import messages
import pytest
from craft import Host, Wire
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from support import made_ech
from support.altered import Alter, altered, at_another_time, swapped, with_data, without
from support.captures import pcap, timed
from support.evidence import read_anew, scan_alerts, write_evidence
from support.examples import examples
from support.frames import tcp, udp
from support.office import (
    DURING,
    FAR,
    RESOLVER,
    SERVICE,
    SERVICE6,
    TIKTOK,
    capture,
    configured,
    hello,
    lookup,
)
from support.paths import PCAPS

from netwatch.config import load
from netwatch.incidents.evidence_folder import EvidenceFolder
from netwatch.verify.evidence_file import CapturedPacket

RNG = random.Random(5)
OTHER = "www.toktik.com"


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The evidence captures of all sample captures."""
    folder = tmp_path_factory.mktemp("proofs")
    alerts = scan_alerts(load(str(PCAPS / "netwatch.yaml")), PCAPS, keep_frames=True)
    return sorted(write_evidence(EvidenceFolder(folder, print), alerts).values())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An evidence capture for each type of evidence, by that type."""
    folder = tmp_path_factory.mktemp("made")
    site = load(configured(folder))
    quic = handshakes.quic_hello(handshakes.QUIC_V1, TIKTOK, RNG, post_quantum=True)
    record = handshakes.records(handshakes.client_hello(TIKTOK, RNG, post_quantum=True))
    request = messages.request("GET", "/", TIKTOK)
    frames = {
        "tls-sni": [
            tcp(flags="S", seq=1000),
            tcp(record[:900]),
            tcp(record[900:], seq=1901),
        ],
        "quic-sni": [udp(each, dport=443) for each in quic],
        "http-host": [tcp(flags="S", seq=1000, dport=80), tcp(request, dport=80)],
        "dns-query": [udp(messages.query(7, TIKTOK, "A"), dport=53)],
    }
    out = {}
    for kind, packets in frames.items():
        path = folder / f"{kind}.pcap"
        path.write_bytes(pcap(timed(packets), 101))
        (alert,) = scan_alerts(site, path, keep_frames=True)
        ((_, out[kind]),) = write_evidence(EvidenceFolder(folder / kind, print), [alert]).items()
    return out


def test_every_piece_of_the_samples_is_seen_by_both(proofs: list[str]) -> None:
    findings = [finding for path in proofs for finding in read_anew(path)]
    assert {finding.result for finding in findings} == {"shown"}
    assert all(finding.readers == {"scapy": "shown", "dpkt": "shown"} for finding in findings)
    kinds = {finding.contact.type for finding in findings}
    assert kinds == {"dns-query", "dns-answer", "dns-cname", "tls-sni", "quic-sni", "http-host"}
    assert any(finding.bindings for finding in findings), "frames that show who had an address"


def results(path: Path) -> set[str]:
    return {finding.result for finding in read_anew(path)}


def last_packet(path: str) -> int:
    return max(finding.frame for finding in read_anew(path) if finding.frame is not None)


@pytest.mark.parametrize("kind", ["tls-sni", "http-host", "dns-query"])
def test_another_name(kind: str, made: dict[str, str], tmp_path: Path) -> None:
    def rename(packets: list[CapturedPacket]) -> list[CapturedPacket]:
        return [replace(each, data=each.data.replace(b"tiktok", b"toktik")) for each in packets]

    changed = altered(made[kind], tmp_path, rename, honest=True)
    (finding,) = read_anew(changed)
    assert (finding.result, OTHER in finding.found) == ("differs", True)


def first_of(path: str, kind: str) -> int:
    return next(
        finding.frame
        for finding in read_anew(path)
        if finding.contact.type == kind and finding.frame is not None
    )


@pytest.mark.parametrize("kind", ["tls-sni", "quic-sni", "http-host", "dns-query"])
def test_another_address(kind: str, made: dict[str, str], tmp_path: Path) -> None:
    """The packets of another client, whose payload shows the name."""

    def move(data: bytes) -> bytes:
        return data[:12] + bytes([10, 20, 9, 9]) + data[16:]

    moved = altered(made[kind], tmp_path, with_data(last_packet(made[kind]), move), honest=True)
    (finding,) = read_anew(moved)
    assert (finding.result, "10.20.9.9" in finding.found) == ("differs", True)


@pytest.mark.parametrize("kind", ["tls-sni", "quic-sni", "http-host", "dns-query"])
@pytest.mark.parametrize("shift", [1, -1_000_000_000, 86_400_000_000_000])
def test_another_time(kind: str, shift: int, made: dict[str, str], tmp_path: Path) -> None:
    changed = altered(
        made[kind], tmp_path, at_another_time(last_packet(made[kind]), shift), honest=True
    )
    assert results(changed) == {"differs"}


@pytest.mark.parametrize("kind", ["tls-sni", "quic-sni"])
def test_swapped_packets(kind: str, made: dict[str, str], tmp_path: Path) -> None:
    last = last_packet(made[kind])
    if kind == "quic-sni":
        # Each datagram of a hello shows a part of it, so only another hello is a difference.
        change: Alter = with_data(last, lambda data: data[:60] + bytes(len(data) - 60))
    else:
        change = swapped(last, 0)
    assert results(altered(made[kind], tmp_path, change, honest=True)) == {"differs"}


@pytest.mark.parametrize("kind", ["tls-sni", "quic-sni", "http-host", "dns-query"])
def test_a_cut_packet(kind: str, made: dict[str, str], tmp_path: Path) -> None:
    change = with_data(last_packet(made[kind]), lambda data: data[:48])
    assert results(altered(made[kind], tmp_path, change, honest=True)) == {"differs"}


@pytest.mark.parametrize("kind", ["tls-sni", "quic-sni"])
def test_a_part_that_is_not_there(kind: str, made: dict[str, str], tmp_path: Path) -> None:
    last = last_packet(made[kind])
    changed = altered(made[kind], tmp_path, without(last - 1), honest=True)
    assert results(changed) & {"differs", "missing"}


def test_the_packet_itself_is_not_there(made: dict[str, str], tmp_path: Path) -> None:
    changed = altered(made["tls-sni"], tmp_path, without(2), honest=True)
    assert results(changed) == {"missing"}


def test_another_vlan_and_another_mac(proofs: list[str], tmp_path: Path) -> None:
    tagged = next(path for path in proofs if "659c4998" in path)
    at = first_of(tagged, "tls-sni")
    vlan = altered(
        tagged, tmp_path, with_data(at, lambda data: data[:15] + b"\x1f" + data[16:]), honest=True
    )
    assert "differs" in results(vlan)
    mac = altered(
        tagged, tmp_path, with_data(at, lambda data: data[:11] + b"\x99" + data[12:]), honest=True
    )
    (found,) = (each for each in read_anew(mac) if each.result == "differs")
    assert found.contact.client is not None
    assert str(found.contact.client.mac) in found.expected


def test_a_binding_of_somebody_else(proofs: list[str], tmp_path: Path) -> None:
    """ARP or DHCP that says nothing of the device."""
    path, found = next((path, each) for path in proofs for each in read_anew(path) if each.bindings)
    assert found.contact.client is not None
    at = found.bindings[0]
    changed = altered(
        path, tmp_path, with_data(at, lambda data: data[:6] + bytes(6) + data[12:14]), honest=True
    )
    (again,) = (each for each in read_anew(changed) if each.frame == found.frame)
    assert again.result == "differs"
    assert again.found == f"nothing of that in packet {at + 1}"


def test_a_name_in_the_payload_of_another_client(made: dict[str, str], tmp_path: Path) -> None:
    """The client asks for another name; the name is in a body, and in a query of somebody else."""
    body = messages.request("POST", "/", OTHER, "Content-Length: 200")
    body += messages.request("GET", "/", TIKTOK).ljust(200)
    changed = altered(
        made["http-host"],
        tmp_path,
        with_data(last_packet(made["http-host"]), lambda data: bytes(tcp(body, dport=80))),
        honest=True,
    )
    (finding,) = read_anew(changed)
    assert finding.result == "differs"


def test_an_answer_for_the_address_of_a_flow(tmp_path: Path) -> None:
    from support.office import CONFIG

    text = CONFIG.replace("severity: high", "severity: high\n    min_confidence: possible")
    site = load(configured(tmp_path, text))
    wire = Wire(DURING, 1)
    lookup(wire, SERVICE)
    for _ in range(3):
        wire.udp(SERVICE, 50000, FAR, 4000, b"no name in here")
    (alert,) = scan_alerts(site, capture(tmp_path / "a.pcap", wire), keep_frames=True)
    ((_, path),) = write_evidence(EvidenceFolder(tmp_path / "proof", print), [alert]).items()
    findings = {finding.contact.type: finding for finding in read_anew(path)}
    assert findings["ip-from-dns"].result == "shown"
    answer = first_of(path, "dns-answer")
    server, other = bytes([203, 0, 113, 10]), bytes([203, 0, 113, 99])
    changed = altered(
        path, tmp_path, with_data(answer, lambda data: data.replace(server, other)), honest=True
    )
    findings = {finding.contact.type: finding for finding in read_anew(changed)}
    assert findings["ip-from-dns"].result == "differs"
    assert "203.0.113.99" in findings["ip-from-dns"].found


def test_a_hello_with_the_key_that_an_answer_gave(tmp_path: Path) -> None:
    site = load(configured(tmp_path))
    wire = Wire(DURING, 1)
    made_ech.give(wire, SERVICE, RESOLVER, TIKTOK, FAR.ip)
    made_ech.hello(wire, SERVICE, FAR)
    (alert,) = scan_alerts(site, capture(tmp_path / "a.pcap", wire), keep_frames=True)
    ((_, path),) = write_evidence(EvidenceFolder(tmp_path / "proof", print), [alert]).items()
    findings = {finding.contact.type: finding for finding in read_anew(path)}
    assert findings["ech-from-dns"].result == "shown"
    answer = first_of(path, "dns-answer")
    front, other = made_ech.PUBLIC.encode(), b"edge.cdn-other.example"
    assert len(front) == len(other)
    changed = altered(
        path, tmp_path, with_data(answer, lambda data: data.replace(front, other)), honest=True
    )
    findings = {finding.contact.type: finding for finding in read_anew(changed)}
    assert findings["ech-from-dns"].result == "differs"
    assert made_ech.PUBLIC in findings["ech-from-dns"].found


def test_both_versions_of_ip_in_one_incident(tmp_path: Path) -> None:
    wire = Wire(DURING, 1)
    same = Host(SERVICE6.ip, SERVICE.mac)
    hello(wire, SERVICE, FAR)
    hello(wire, same, Host("2001:db8:ffff::10", FAR.mac))
    site = load(configured(tmp_path))
    alerts = scan_alerts(site, capture(tmp_path / "a.pcap", wire), keep_frames=True)
    for path in write_evidence(EvidenceFolder(tmp_path / "proof", print), alerts).values():
        assert results(Path(path)) == {"shown"}


def test_a_file_that_was_continued_has_two_sections(made: dict[str, str], tmp_path: Path) -> None:
    twice = tmp_path / Path(made["tls-sni"]).name
    twice.write_bytes(Path(made["tls-sni"]).read_bytes() * 2)
    assert [finding.result for finding in read_anew(twice)] == ["shown", "shown"]


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_byte_of_a_packet(data: st.DataObject, proofs: list[str], tmp_path: Path) -> None:
    """Whatever is altered: a digest says so, also where the name is still there."""
    path = data.draw(st.sampled_from(proofs))
    found = [finding.frame for finding in read_anew(path)]
    at = data.draw(st.sampled_from([each for each in found if each is not None]))
    place = data.draw(st.integers(0, 2000))
    flip = data.draw(st.integers(1, 255))

    def change(packet: bytes) -> bytes:
        where = place % len(packet)
        return packet[:where] + bytes([packet[where] ^ flip]) + packet[where + 1 :]

    changed = altered(path, tmp_path, with_data(at, change), honest=False)
    assert "differs" in results(changed)
