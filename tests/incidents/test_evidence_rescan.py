"""The packets that prove an incident, scanned alone, give the same incident."""

import random
from itertools import pairwise
from pathlib import Path

import handshakes
import messages
import pytest
from craft import Conversation, Host, Wire
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from leases import Segment
from support.captures import pcap, timed
from support.evidence import read_anew, rescan, scan_alerts, write_evidence
from support.examples import examples, some_of
from support.frames import CLIENT, CLIENT6, LINKS, SERVER, SERVER6, tcp, udp
from support.handshake_samples import http2_frame, http2_requests
from support.office import (
    CONFIG,
    DURING,
    FAR,
    RESOLVER,
    SERVICE,
    TIKTOK,
    capture,
    configured,
    hello,
    lookup,
    one_hello,
)
from support.paths import PCAPS
from support.wrappings import CARRIERS, WRAPPINGS, Wrapped

from netwatch.config import Config, load
from netwatch.core.alert import Alert
from netwatch.incidents.evidence_folder import EvidenceFolder

RNG = random.Random(3)
HELLO = handshakes.records(handshakes.client_hello(TIKTOK, RNG, post_quantum=True))
REQUEST = messages.request("GET", "/", TIKTOK, "Cookie: " + "c" * 300)
INITIALS = handshakes.quic_hello(handshakes.QUIC_V1, TIKTOK, RNG, post_quantum=True)
QUERY = messages.query(5, TIKTOK, "AAAA")
LOOKUP = len(QUERY).to_bytes(2, "big") + QUERY


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return load(configured(tmp_path_factory.mktemp("site")))


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Config:
    text = CONFIG.replace("severity: high", "severity: high\n    min_confidence: possible")
    return load(configured(tmp_path_factory.mktemp("lenient"), text))


def proven(
    site: Config, path: str | Path, folder: Path, *, results: str = "shown", **options: object
) -> list[Alert]:
    """The alerts of a capture, which each file of proof gives again, and no other; the readers of
    others see in each file what it says."""
    alerts = scan_alerts(site, path, keep_frames=True, **options)
    files = write_evidence(EvidenceFolder(folder, print), alerts)
    assert rescan(site, files) == {alert.id: [alert.id] for alert in alerts}
    for file in files.values():
        assert {finding.result for finding in read_anew(file)} <= {*results.split()}
    for alert in alerts:
        (read,) = scan_alerts(site, files[alert.id])
        assert (read.confidence, read.first_seen) == (alert.confidence, alert.first_seen)
        assert (read.names, read.device, read.network) == (alert.names, alert.device, alert.network)
        reported = [(item.time, item.type, item.name) for item in alert.evidence]
        assert [(item.time, item.type, item.name) for item in read.evidence] == reported
    return alerts


@pytest.mark.parametrize("path", sorted(PCAPS.glob("*.pcap")), ids=lambda path: path.stem)
def test_every_sample(path: Path, tmp_path: Path) -> None:
    assert proven(load(str(PCAPS / "netwatch.yaml")), path, tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_all_samples_at_once(workers: int, tmp_path: Path) -> None:
    assert len(proven(load(str(PCAPS / "netwatch.yaml")), PCAPS, tmp_path, workers=workers)) == 24


@pytest.mark.parametrize("carrier", some_of(CARRIERS, 5), ids=lambda carrier: carrier.name)
def test_every_link(carrier, site: Config, tmp_path: Path) -> None:
    check_wrapped(Wrapped(carrier, ()), site, tmp_path)


@pytest.mark.parametrize("wrapping", some_of(WRAPPINGS, 5), ids=lambda wrapping: wrapping.name)
def test_every_wrapping(wrapping, site: Config, tmp_path: Path) -> None:
    """One after the other whole and in fragments, which are put together before it is read."""
    cuts = (9, 40) if WRAPPINGS.index(wrapping) % 2 else ()
    check_wrapped(Wrapped(CARRIERS[0], (wrapping,)), site, tmp_path, cuts)


def check_wrapped(wrapped: Wrapped, site: Config, folder: Path, cuts: tuple = ()) -> None:
    """A hello in two segments, the second first, among other traffic."""
    six = wrapped.carrier.takes == (0x86DD,)
    ends = {"src": CLIENT6, "dst": SERVER6} if six else {}
    other = handshakes.records(handshakes.client_hello("www.example.org", RNG))
    packets = [
        tcp(flags="S", seq=1000, **ends),
        udp(QUERY, dport=5353, **ends),
        tcp(HELLO[1000:], seq=2001, **ends),
        tcp(other, sport=50001, **ends),
        tcp(HELLO[:1000], **ends),
        tcp(b"\x17\x03\x03\0\x40" + bytes(64), seq=1001 + len(HELLO), **ends),
    ]
    packets[1:2] = [udp(messages.query(6, "www.example.org", "A"), **ends)]
    frames = []
    for ident, packet in enumerate(packets):
        frames += wrapped.frames(packet, cuts={0: cuts} if cuts else {}, ident=ident)
    path = folder / "a.pcap"
    path.write_bytes(pcap(timed(frames), wrapped.carrier.number))
    # Neither scapy nor dpkt reads every wrapping.
    (alert,) = proven(site, path, folder / "proof", results="shown unread")
    assert [item.type for item in alert.evidence] == ["tls-sni"]


@examples(150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_message_however_cut(data: st.DataObject, site: Config, tmp_path_factory) -> None:
    link = data.draw(st.sampled_from(LINKS))
    version = data.draw(st.sampled_from(sorted(link.before)))
    ends = {"src": CLIENT, "dst": SERVER} if version == 4 else {"src": CLIENT6, "dst": SERVER6}
    kind = data.draw(st.sampled_from(("tls", "http", "dns", "quic")))
    if kind == "quic":
        packets = data.draw(st.permutations([udp(each, dport=443, **ends) for each in INITIALS]))
    else:
        message = {"tls": HELLO, "http": REQUEST, "dns": LOOKUP}[kind]
        ends["dport"] = 53 if kind == "dns" else 8080
        cuts = sorted(data.draw(st.sets(st.integers(1, len(message) - 1), max_size=20)))
        edges = [0, *cuts, len(message)]
        spans = list(pairwise(edges))
        spans += data.draw(st.lists(st.sampled_from(spans), max_size=3))
        packets = (
            [tcp(flags="S", seq=1000, **ends)] if data.draw(st.booleans()) or kind == "dns" else []
        )
        shuffled = data.draw(st.permutations(spans))
        packets += [tcp(message[low:high], seq=1001 + low, **ends) for low, high in shuffled]
    folder = tmp_path_factory.mktemp("cut")
    path = folder / "a.pcap"
    path.write_bytes(pcap(timed(map(link.frame, packets)), link.number))
    proven(site, path, folder / "proof")


def test_a_hello_that_never_ends(site: Config, tmp_path: Path) -> None:
    there = HELLO.index(TIKTOK.encode()) + len(TIKTOK)
    path = tmp_path / "a.pcap"
    cut = [tcp(HELLO[:100]), tcp(HELLO[100:there], seq=1101)]
    path.write_bytes(pcap(timed(cut), 101))
    assert len(proven(site, path, tmp_path / "proof")) == 1


def http2_talk(between: int, gap: int) -> list[tuple[int, bytes]]:
    """A connection in clear that asks for the app at last, behind so many segments and a
    pause in ns."""
    first = http2_requests("www.example.org")
    parts = [first, *[http2_frame(0, bytes(9), 0, 1)] * between]
    parts.append(http2_requests("www.example.org", TIKTOK)[len(first) :])
    frames, seq = [tcp(flags="S", seq=1000)], 1001
    for part in parts:
        frames.append(tcp(part, seq=seq))
        seq += len(part)
    made = timed(frames)
    return [*made[:-1], (made[-1][0] + gap, made[-1][1])]


@pytest.mark.parametrize(("between", "gap"), [(100, 0), (3, 3600 * 10**9)])
def test_a_later_request_of_http2_with_all_that_came_before(
    site: Config, tmp_path: Path, between: int, gap: int
) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(http2_talk(between, gap), 101))
    (alert,) = proven(site, path, tmp_path / "proof")
    assert [item.type for item in alert.evidence] == ["http-host"]


def test_a_contact_without_all_its_packets_has_no_evidence(site: Config, tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(http2_talk(300, 0), 101))
    (alert,) = scan_alerts(site, path, keep_frames=True)
    assert [item.type for item in alert.evidence] == ["http-host"]
    assert alert.evidence_frames == ()


def test_a_datagram_that_never_becomes_whole(site: Config, tmp_path: Path) -> None:
    frames = Wrapped(CARRIERS[0], ()).frames(tcp(HELLO[:900]), cuts={0: (40, 80)})
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(timed(frames[:2])))
    alerts = scan_alerts(site, path, keep_frames=True)
    files = write_evidence(EvidenceFolder(tmp_path / "proof", print), alerts)
    assert rescan(site, files) == {alert.id: [alert.id] for alert in alerts}


def test_pipelined_lookups_over_tcp(site: Config, tmp_path: Path) -> None:
    names = ["a.example.org", "b.example.org", TIKTOK, "c.example.org"]
    queries = [messages.query(number, name, "A") for number, name in enumerate(names)]
    data = b"".join(len(query).to_bytes(2, "big") + query for query in queries)
    packets = [tcp(flags="S", seq=1000, dport=53)]
    packets += [tcp(data[at : at + 20], seq=1001 + at, dport=53) for at in range(0, len(data), 20)]
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(timed(packets), 101))
    assert len(proven(site, path, tmp_path / "proof")) == 1


def nameless(wire: Wire) -> None:
    talk = Conversation(wire, SERVICE, FAR, 443)
    talk.say(b"\x17\x03\x03\0\x40" + bytes(64))
    talk.reply(b"\x17\x03\x03\1\0" + bytes(256))
    talk.close()


@pytest.mark.parametrize("days_before", [False, True])
def test_a_flow_matched_by_its_address(lenient: Config, tmp_path: Path, days_before: bool) -> None:
    """The lookup may be before the ban: then the incident begins with the flow."""
    wire = Wire("2023-03-09T23:59:59+01:00" if days_before else DURING, 1)
    lookup(wire, SERVICE)
    if days_before:
        wire.go_to("2023-03-10T00:00:00+01:00")
    nameless(wire)
    (alert,) = proven(lenient, capture(tmp_path / "a.pcap", wire), tmp_path / "proof")
    kinds = {item.type for item in alert.evidence}
    assert kinds == ({"ip-from-dns"} if days_before else {"dns-query", "dns-answer", "ip-from-dns"})


@pytest.mark.parametrize("lookups", [2, 3, 4, 20])
def test_a_flow_matched_by_a_repeated_answer(lenient: Config, tmp_path: Path, lookups: int) -> None:
    """All before the ban is in force, the first too long ago to count by itself."""
    wire = Wire("2023-03-10T00:00:00+01:00", 1)
    wire.wait(-300 * lookups + 5)
    for _ in range(lookups):
        lookup(wire, SERVICE)
        wire.wait(299)
    wire.go_to("2023-03-10T00:00:10+01:00")
    nameless(wire)
    (alert,) = proven(lenient, capture(tmp_path / "a.pcap", wire), tmp_path / "proof")
    assert {item.type for item in alert.evidence} == {"ip-from-dns"}


def test_a_flow_over_udp_matched_by_its_address(lenient: Config, tmp_path: Path) -> None:
    wire = Wire(DURING, 1)
    lookup(wire, SERVICE)
    for _ in range(3):
        wire.udp(SERVICE, 50000, FAR, 4000, b"no name in here")
    (alert,) = proven(lenient, capture(tmp_path / "a.pcap", wire), tmp_path / "proof")
    assert "ip-from-dns" in {item.type for item in alert.evidence}


def test_a_long_incident_is_not_split(site: Config, tmp_path: Path) -> None:
    """Eight hours of one name every ten minutes, and another name at the end."""
    wire = Wire(DURING, 1)
    for _ in range(48):
        hello(wire, SERVICE, FAR)
        wire.wait(600)
    hello(wire, SERVICE, FAR, "m.tiktok.com")
    (alert,) = proven(site, capture(tmp_path / "a.pcap", wire), tmp_path / "proof")
    (file,) = (tmp_path / "proof").iterdir()
    (read,) = scan_alerts(site, file)
    assert (read.last_seen, read.counts.handshakes) == (alert.last_seen, 33)


def test_a_capture_cut_in_pieces(site: Config, tmp_path: Path) -> None:
    packets = timed([tcp(flags="S", seq=1000), tcp(HELLO[:900]), tcp(HELLO[900:], seq=1901)])
    for number, packet in enumerate(packets):
        (tmp_path / f"{number}.pcap").write_bytes(pcap([packet], 101))
    alerts = scan_alerts(site, *sorted(tmp_path.glob("*.pcap")), keep_frames=True, continuous=True)
    files = write_evidence(EvidenceFolder(tmp_path / "proof", print), alerts)
    assert len(alerts) == 1
    assert rescan(site, files) == {alert.id: [alert.id] for alert in alerts}


def test_an_incident_over_several_files(site: Config, tmp_path: Path) -> None:
    moments = ["2023-04-03T10:20:00+02:00", "2023-04-03T10:00:00+02:00"]
    for number, moment in enumerate(moments):
        capture(tmp_path / f"{number}.pcap", one_hello(moment, seed=number))
    alerts = scan_alerts(site, *sorted(tmp_path.glob("*.pcap")), keep_frames=True)
    files = write_evidence(EvidenceFolder(tmp_path / "proof", print), alerts)
    assert rescan(site, files) == {alert.id: [alert.id] for alert in alerts}
    (alert,) = scan_alerts(site, *files.values())
    assert alert.counts.handshakes == 2


def test_no_packets_are_kept_by_default(site: Config, tmp_path: Path) -> None:
    wire = Wire(DURING, 1)
    lookup(wire, SERVICE, RESOLVER)
    (alert,) = scan_alerts(site, capture(tmp_path / "a.pcap", wire))
    assert alert.evidence_frames == ()
    reported = EvidenceFolder(tmp_path / "proof", print).write(alert)
    assert "evidence_file" not in reported.extra
    assert list((tmp_path / "proof").iterdir()) == []


def test_a_device_that_was_learned_is_learned_again(tmp_path: Path) -> None:
    alerts = proven(load(str(PCAPS / "netwatch.yaml")), PCAPS / "lease-moves.pcap", tmp_path)
    assert [alert.device.hostname for alert in alerts] == [
        "press-tablet",
        "meeting-room-2",
        "phone-012",
        "archive-ws",
    ]


def test_a_renewed_lease_is_proven_by_its_renewal(tmp_path: Path) -> None:
    site = load(configured(tmp_path, CONFIG.replace("devices:\n", "devices:\n  learn: [dhcp]\n")))
    host = Host("10.20.6.20", "02:00:00:20:06:14")
    link = Segment(Wire(DURING, 3), Host("10.20.6.1", FAR.mac), lease=1200)
    link.obtain(host, "ws-014")
    for _ in range(5):
        hello(link.wire, Host(host.ip, FAR.mac), FAR)
        link.wire.wait(1000)
        link.renew(host, "ws-014")
    (alert,) = proven(site, capture(tmp_path / "renewed.pcap", link.wire), tmp_path / "proof")
    assert (alert.device.id, alert.counts.handshakes) == (host.mac, 5)
