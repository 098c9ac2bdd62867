"""Devices learned from the traffic, in the whole pipeline: which device is charged, and in how
many incidents."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from craft import Conversation, Host, Wire
from leases import Segment
from support.captures import pcap
from support.office import CONFIG, FAR, FAR6, OURS, RESOLVER, capture, configured, hello, lookup
from support.recorded_events import replay_all  # noqa: F401

from netwatch import config
from netwatch.capture.files import find_captures
from netwatch.config import Config
from netwatch.core.alert import Alert, Sensor
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine import jobs, pipeline
from netwatch.engine.capture_files import group_files
from netwatch.incidents.scan import ScanIncidents

ONE = Host("10.20.6.20", "02:00:00:20:06:a1")
TWO = replace(ONE, mac="02:00:00:20:06:b2")
SIX = replace(ONE, ip="2001:db8:20:6::a1")
ROUTED = replace(ONE, mac=FAR.mac)
START = "2023-04-03T10:00:00+02:00"
LEARN = "  inventory: devices.csv\n"

Scan = Callable[..., list[Alert]]


def loaded(folder: Path, learn: str = "dhcp, mdns, arp", **replaced: str) -> Config:
    text = CONFIG.replace(LEARN, f"{LEARN}  learn: [{learn}]\n" if learn else LEARN)
    for old, new in replaced.items():
        text = text.replace(old, new)
    return config.load(configured(folder, text))


@pytest.fixture
def link() -> Segment:
    return Segment(Wire(START, 3), Host("10.20.6.1", FAR.mac))


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    def _scan(
        link: Segment,
        *,
        learn: str = "dhcp, mdns, arp",
        statistics: RunStatistics | None = None,
        coverage: Coverage | None = None,
    ) -> list[Alert]:
        office = loaded(tmp_path, learn)
        path = capture(tmp_path / "one.pcap", link.wire)
        found = find_captures([path])
        statistics = statistics or RunStatistics()
        incidents = ScanIncidents(office.quiet_gap)
        pipeline.scan(found, office, statistics, incidents, coverage=coverage)
        return list(incidents.result(office.geo, Sensor("test", "0")).alerts)

    return _scan


def devices(alerts: list[Alert]) -> list[tuple[str, str | None, int]]:
    return [(each.device.id, each.device.hostname, each.counts.handshakes) for each in alerts]


def test_the_device_with_the_lease_is_charged(scan: Scan, link: Segment) -> None:
    link.obtain(ONE, "alice-pc")
    hello(link.wire, ROUTED, FAR)
    (alert,) = scan(link)
    assert (alert.device.id, alert.device.mac) == (ONE.mac, ONE.mac)
    assert (alert.device.ip, alert.device.hostname) == (ONE.ip, "alice-pc")
    assert (alert.verdict, alert.device.device_class) == ("violation", "service")


def test_without_learning_a_device_is_its_address(scan: Scan, link: Segment) -> None:
    link.obtain(ONE, "alice-pc")
    link.announce(ONE, "alice-pc")
    hello(link.wire, ROUTED, FAR)
    assert devices(scan(link, learn="")) == [(ONE.ip, None, 1)]


@pytest.mark.parametrize(
    ("learn", "hostname"),
    [("dhcp", "alice-pc"), ("mdns", "alices-mac"), ("arp", None), ("dhcp, mdns", "alice-pc")],
)
def test_each_source_of_learning_separately(
    scan: Scan, link: Segment, learn: str, hostname: str | None
) -> None:
    link.obtain(ONE, "alice-pc")
    link.announce(ONE, "alices-mac")
    hello(link.wire, ONE, FAR)
    assert devices(scan(link, learn=learn)) == [(ONE.mac, hostname, 1)]


@pytest.mark.parametrize("released", [True, False])
def test_when_a_lease_moves_each_device_is_charged_with_its_own_contacts(
    scan: Scan, link: Segment, released: bool
) -> None:
    link.obtain(ONE, "alice-pc")
    hello(link.wire, ONE, FAR)
    if released:
        link.release(ONE)
    link.wire.wait(60)
    link.obtain(TWO, "bob-pc")
    hello(link.wire, TWO, FAR)
    hello(link.wire, replace(TWO, mac=FAR.mac), FAR)
    assert devices(scan(link)) == [(ONE.mac, "alice-pc", 1), (TWO.mac, "bob-pc", 2)]


def test_after_a_lease_expired_its_device_is_no_longer_charged(scan: Scan, link: Segment) -> None:
    link.lease = 60
    link.obtain(ONE, "alice-pc")
    hello(link.wire, ROUTED, FAR)
    link.wire.wait(120)
    hello(link.wire, ROUTED, FAR)
    assert devices(scan(link, learn="dhcp")) == [(ONE.mac, "alice-pc", 1), (ONE.ip, None, 1)]


def test_both_addresses_of_a_device_are_one_incident(scan: Scan, link: Segment) -> None:
    link.obtain(ONE, "alice-pc")
    link.advertise(SIX)
    hello(link.wire, ONE, FAR)
    hello(link.wire, SIX, FAR6)
    assert devices(scan(link)) == [(ONE.mac, "alice-pc", 2)]


def test_dhcpv6_leases_and_releases(scan: Scan, link: Segment) -> None:
    link.obtain6(SIX, "alice-pc")
    hello(link.wire, SIX, FAR6)
    link.release6(SIX)
    other = replace(SIX, mac=TWO.mac)
    link.obtain6(other, "bob-pc")
    hello(link.wire, other, FAR6)
    assert devices(scan(link, learn="dhcp")) == [(ONE.mac, "alice-pc", 1), (TWO.mac, "bob-pc", 1)]


@pytest.mark.parametrize("frame", [ONE, ROUTED], ids=["on-link", "routed"])
def test_a_device_that_is_learned_later_makes_one_incident(
    scan: Scan, link: Segment, frame: Host
) -> None:
    hello(link.wire, frame, FAR)
    link.renew(ONE, "alice-pc")
    hello(link.wire, frame, FAR)
    link.wire.wait(1200)
    hello(link.wire, frame, FAR)
    link.wire.wait(1900)
    hello(link.wire, frame, FAR)
    first, second = scan(link)
    assert devices([first, second]) == [(ONE.ip, "alice-pc", 3), (ONE.mac, "alice-pc", 1)]
    assert first.device.mac == ONE.mac


def test_a_device_learned_after_an_unknown_one_is_another(scan: Scan, link: Segment) -> None:
    hello(link.wire, ROUTED, FAR)
    link.obtain(TWO, "bob-pc")
    hello(link.wire, replace(TWO, mac=FAR.mac), FAR)
    assert devices(scan(link)) == [(ONE.ip, None, 1), (TWO.mac, "bob-pc", 1)]


def test_the_inventory_takes_precedence_over_what_is_learned(scan: Scan, link: Segment) -> None:
    fleet = Host("10.30.6.9", "02:00:00:30:00:12", (30,))
    link.obtain(fleet, "android-1")
    hello(link.wire, replace(fleet, mac=FAR.mac), FAR)
    (alert,) = scan(link)
    assert (alert.device.id, alert.device.hostname) == ("phone-12", "phone-12")
    assert (alert.verdict, alert.device.owner) == ("violation", "Fleet")


def test_an_inventory_entry_that_is_recognised_later_makes_one_incident(
    scan: Scan, link: Segment
) -> None:
    fleet = Host("10.20.6.9", "02:00:00:30:00:12")
    hello(link.wire, replace(fleet, mac=FAR.mac), FAR)
    link.renew(fleet, "android-1")
    hello(link.wire, replace(fleet, mac=FAR.mac), FAR)
    (alert,) = scan(link)
    assert (alert.device.id, alert.counts.handshakes) == ("10.20.6.9", 2)
    assert (alert.device.hostname, alert.device.owner) == ("phone-12", "Fleet")


def test_two_devices_that_share_an_address_are_unknown(scan: Scan, link: Segment) -> None:
    for host in (ONE, TWO):
        link.arp(host, RESOLVER.ip)
    statistics = RunStatistics()
    hello(link.wire, ONE, FAR)
    assert scan(link, statistics=statistics) == []
    assert statistics.anomalies["device-address-shared"] == 1
    assert list(statistics.without_verdict) == [
        "ban 'our-rule' does not apply to devices whose class is unknown: two devices have its"
        " address at this time"
    ]


def test_two_devices_that_share_a_mac_are_unknown(scan: Scan, link: Segment) -> None:
    link.obtain(ONE, "alice-pc")
    link.obtain(replace(ONE, ip="10.20.6.21"), "bob-pc")
    statistics = RunStatistics()
    hello(link.wire, ONE, FAR)
    assert scan(link, statistics=statistics) == []
    assert statistics.anomalies["device-mac-shared"] == 1


def test_a_flow_is_identified_by_an_address_that_its_own_device_resolved(
    scan: Scan, link: Segment
) -> None:
    link.obtain(ONE, "alice-pc")
    lookup(link.wire, ONE)
    nameless(link.wire, ONE)
    link.release(ONE)
    link.obtain(TWO, "bob-pc")
    nameless(link.wire, TWO)
    (alert,) = scan(link)
    assert alert.device.hostname == "alice-pc"
    assert [(each.type, each.count) for each in alert.evidence if each.type == "ip-from-dns"] == [
        ("ip-from-dns", 1)
    ]


def nameless(wire: Wire, client: Host) -> None:
    talk = Conversation(wire, client, FAR, 443)
    talk.say(b"SSH-2.0-x\r\n")
    talk.reply(bytes(40))
    talk.close()


def test_flows_count_for_their_device_even_before_it_is_learned(scan: Scan, link: Segment) -> None:
    coverage = Coverage()
    hello(link.wire, ROUTED, FAR, "www.example.org")
    link.renew(ONE, "alice-pc")
    hello(link.wire, ROUTED, FAR, "www.example.org")
    link.release(ONE)
    link.obtain(TWO, "bob-pc")
    hello(link.wire, ROUTED, FAR, "www.example.org")
    scan(link, coverage=coverage)
    (network,) = (each for each in coverage.report(1, {}).networks if each.name == "hq")
    named = {id: counts.named for id, counts in network.devices if counts.named}
    assert named == {ONE.mac: 2, TWO.mac: 1}


def test_learning_does_not_change_names_and_flows(link: Segment, tmp_path: Path) -> None:
    link.obtain(ONE, "alice-pc")
    link.obtain6(SIX, "alice-pc")
    for _ in range(3):
        link.announce(ONE, "alice-pc")
        lookup(link.wire, ONE, OURS, "www.example.org")
    path = capture(tmp_path / "one.pcap", link.wire)
    counted = []
    for learn in ("", "dhcp, mdns, arp"):
        statistics, coverage = RunStatistics(), Coverage()
        office = loaded(tmp_path, learn)
        incidents = ScanIncidents(office.quiet_gap)
        pipeline.scan(find_captures([path]), office, statistics, incidents, coverage=coverage)
        counted.append(
            (statistics.observations, statistics.anomalies, coverage.report(1, {}).total)
        )
    assert counted[0] == counted[1]


# several captures


def cut(link: Segment, folder: Path) -> list[str]:
    """A lease in one file, a contact in the next."""
    link.obtain(ONE, "alice-pc")
    leased = len(link.wire.frames)
    hello(link.wire, ROUTED, FAR)
    paths = [folder / "a.pcap", folder / "b.pcap"]
    paths[0].write_bytes(pcap(link.wire.frames[:leased]))
    paths[1].write_bytes(pcap(link.wire.frames[leased:]))
    return [str(path) for path in paths]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("continuous", "device"), [(True, ONE.mac), (False, ONE.ip)])
def test_what_is_learned_is_valid_in_its_capture_only(
    link: Segment, tmp_path: Path, continuous: bool, device: str, workers: int
) -> None:
    captures = list(group_files(find_captures(cut(link, tmp_path)), continuous))
    office = loaded(tmp_path)
    incidents = ScanIncidents(office.quiet_gap)
    jobs.scan(captures, office, RunStatistics(), incidents, workers=workers)
    (alert,) = incidents.result(office.geo, Sensor("test", "0")).alerts
    assert alert.device.id == device


def test_the_same_packets_give_the_same_ids(scan: Scan, link: Segment) -> None:
    hello(link.wire, ROUTED, FAR)
    link.renew(ONE, "alice-pc")
    hello(link.wire, ROUTED, FAR)
    assert scan(link) == scan(link)


Teach = Callable[[Segment], None]
SOURCES: dict[str, tuple[Teach, str, int]] = {
    "dhcp": (lambda link: link.obtain(ONE, "alice-pc"), "dhcp", 3600),
    "dhcpv6": (lambda link: link.obtain6(SIX, "alice-pc"), "dhcp", 3600),
    "mdns": (lambda link: link.announce(ONE, "alice-pc"), "announcement", 4 * 3600),
    "arp": (lambda link: link.arp(ONE, RESOLVER.ip), "announcement", 4 * 3600),
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_binding_says_from_where_and_for_how_long(scan: Scan, link: Segment, name: str) -> None:
    teach, source, seconds = SOURCES[name]
    teach(link)
    client = SIX if name == "dhcpv6" else ONE
    hello(link.wire, replace(client, mac=FAR.mac), FAR6 if client is SIX else FAR)
    (alert,) = scan(link)
    binding = alert.device.binding
    assert binding is not None
    assert (binding.source, binding.file, binding.line) == (source, "", 0)
    assert binding.since is not None
    assert binding.until is not None
    assert binding.since < alert.first_seen < binding.until
    assert binding.until - binding.since <= (seconds + 60) * 10**9
    assert alert.device.reason.startswith("not in the inventory; its MAC was learned")
    assert alert.device.randomised_mac


def test_a_row_that_is_valid_counts_for_what_was_learned(
    scan: Scan, link: Segment, tmp_path: Path
) -> None:
    """The lease says which MAC had the address, the inventory which device has the MAC."""
    link.obtain(ONE, "alice-pc")
    hello(link.wire, ROUTED, FAR)
    for until, device in (("2023-04-03", "alice"), ("2023-04-02", ONE.mac)):
        rows = f"id,mac,until\nalice,{ONE.mac},{until}\n"
        office = loaded(tmp_path)
        (tmp_path / "devices.csv").write_text(rows)
        office = config.load(office.path)
        incidents = ScanIncidents(office.quiet_gap)
        path = capture(tmp_path / "one.pcap", link.wire)
        pipeline.scan(find_captures([path]), office, RunStatistics(), incidents)
        (alert,) = incidents.result(office.geo, Sensor("test", "0")).alerts
        assert alert.device.id == device
        assert alert.device.binding is not None
        assert alert.device.binding.source == "dhcp"
        assert alert.device.randomised_mac == (device == ONE.mac)
