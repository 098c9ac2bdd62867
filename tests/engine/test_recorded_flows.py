"""Flow records of exporters: counted in passing, and judged one by one where that matters."""

import json
import random
import re
from pathlib import Path

import pytest
from support.flow_messages import FLOW, SECONDS, flow, ipfix, set_of, template

from netwatch import config
from netwatch.cli import main
from netwatch.core.flow import BYPASS_CATEGORIES
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine import recorded_flows
from netwatch.engine.log_events import LogEvents
from netwatch.engine.log_scan import LiveLogs
from netwatch.engine.recorded_flows import one_by_one
from netwatch.incidents.scan import ScanIncidents
from netwatch.logs import LogOptions
from netwatch.logs.log_reader import LogReader
from netwatch.logs.records import Carried

CONFIG = """version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service, authority: BE-FED}
  - {name: guest, cidrs: [10.30.0.0/16], vlans: [30], class: guest}
devices: {inventory: devices.csv, learn: [dhcp]}
bans:
  - {id: our-rule, authority: City of Example, apps: [tiktok], forbids: [service],
     from: 2023-11-01, timezone: UTC, legal_basis: Decision 1}
"""
DEVICES = """id,mac,ip,hostname,owner,class,from
lab-1,,10.20.6.21,,,,
lab-2,,10.20.6.22,,,,2023-11-14T22:00:00Z
"""
# 1,700,000,000 s since the epoch is 22:13:20.
DNS = """\
Nov 14 22:10:58 gw dnsmasq[900]: 11 10.20.6.20/40001 query[A] www.tiktok.com from 10.20.6.20
Nov 14 22:10:58 gw dnsmasq[900]: 11 10.20.6.20/40001 reply www.tiktok.com is 192.0.2.81
Nov 14 22:11:58 gw dnsmasq[900]: 12 10.20.6.21/40001 query[A] www.tiktok.com from 10.20.6.21
Nov 14 22:11:58 gw dnsmasq[900]: 12 10.20.6.21/40001 reply www.tiktok.com is 192.0.2.81
Nov 14 22:12:20 gw dnsmasq-dhcp[900]: DHCPACK(eth0) 10.20.6.23 02:00:5e:00:53:23 tablet
Nov 14 22:12:30 gw dnsmasq[900]: 13 10.20.6.22/40001 query[A] www.example.org from 10.20.6.22
Nov 14 22:12:30 gw dnsmasq[900]: 13 10.20.6.22/40001 reply www.example.org is 192.0.2.82
Nov 14 22:13:10 gw dnsmasq-dhcp[900]: DHCPACK(eth0) 10.20.6.23 02:00:5e:00:53:24 phone
"""
TAGGED = (*FLOW, (58, 2), (56, 6))
CLIENTS = [bytes([10, 20, 6, last]) for last in range(20, 25)]
CLIENTS += [bytes([10, 30, 1, 1]), bytes([10, 30, 1, 2]), bytes([198, 51, 100, 1])]
SERVERS = [bytes([192, 0, 2, last]) for last in range(80, 86)]


def records(count: int) -> list[bytes]:
    """Records of all kinds, most of them of both directions."""
    rng, made = random.Random(7), list[bytes]()
    catalog = config.load(None).catalog
    hiding = [
        address
        for address, app in catalog.apps_by_address().items()
        if app.category in BYPASS_CATEGORIES and len(address) == 4
    ]
    for _ in range(count):
        client, server = rng.choice(CLIENTS), rng.choice([*SERVERS, rng.choice(hiding)])
        last = SECONDS * 1000 - rng.randrange(200_000)
        times = {"first": last - rng.randrange(30_000), "last": last}
        port = rng.choice((443, 443, 443, 53, 853, 8443, 51820, 1194, 9999))
        protocol, octets = rng.choice((6, 17, 1)), rng.choice((0, 60, 90_000))
        own, counted = rng.randrange(30_000, 30_040), {"octets": octets, "protocol": protocol}
        more = rng.choice((0, 0, 30)).to_bytes(2) + rng.choice((bytes(6), b"\2\0\x5e\0\x53\x23"))
        made.append(flow(client, server, own, port, **counted, **times) + more)
        if rng.random() < 0.8:
            back = flow(server, client, port, own, **counted, **times)
            made.insert(rng.randrange(max(0, len(made) - 20), len(made) + 1), back + more)
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "netwatch.yaml").write_text(CONFIG)
    (tmp_path / "devices.csv").write_text(DEVICES)
    (tmp_path / "dnsmasq.log").write_text(DNS)
    return tmp_path


def write(path: Path, made: list[bytes], described: tuple[tuple[int, int], ...] = TAGGED) -> None:
    """An IPFIX file of records."""
    with path.open("wb") as file:
        file.write(ipfix(set_of(2, template(300, *described))))
        for at in range(0, len(made), 15):
            file.write(ipfix(set_of(300, *made[at : at + 15]), sequence=at))


def scan(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """The records of a scan of the folder, and what it says."""
    options = ["--format", "jsonl", "--year", "2023", "--timezone", "UTC", "-v", "--coverage"]
    assert main(["scan", *options, "dnsmasq.log", "router.ipfix"]) == 0
    told = capsys.readouterr()
    said = re.sub(r" in \d+\.\d+ s ", " ", told.err)
    return [*map(json.loads, told.out.splitlines()), {"said": said}]


def test_flows_are_judged_as_if_each_were_by_itself(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "router.ipfix", records(1500))
    found = scan(capsys)
    assert "ip-from-dns" in json.dumps(found)
    (coverage,) = (each for each in found if each.get("schema") == "netwatch.coverage/1")
    assert str(coverage["flows"]) == "860"
    monkeypatch.setattr(recorded_flows, "MAX_CLIENTS", 3)
    assert scan(capsys) == found
    events = LogEvents.events
    monkeypatch.setattr(LogEvents, "events", lambda self, items: one_by_one(events(self, items)))
    assert scan(capsys) == found


def test_flows_of_a_feed_are_in_the_coverage_once_it_is_told(folder: Path) -> None:
    site = config.load(Path("netwatch.yaml"))
    coverage, reader = Coverage(), LogReader("udp://:2055", "ipfix", LogOptions())
    messages = [
        ipfix(set_of(2, template(300, *TAGGED))),
        ipfix(set_of(300, *records(9)), sequence=0),
        ipfix(set_of(300, *records(9)), sequence=9),
    ]
    with ScanIncidents(site.quiet_gap) as incidents:
        live = LiveLogs(site, RunStatistics(), incidents, coverage, keep_records=False)
        live.judge(reader.read_flows(enumerate(messages, 1), Carried(SECONDS * 10**9)))
        # What waits is counted by the configuration under which it came.
        live.reload(site)
        before = coverage.total().flows
        live.judge(map(reader.item, reader.flush()))
        live.update_statistics()
    assert 0 < before < coverage.total().flows


@pytest.mark.parametrize(
    ("lie", "anomaly"),
    [
        ({"first": 0, "last": 1000}, "flow-time-impossible"),
        ({"first": 4_102_444_800_000, "last": 4_102_444_801_000}, "flow-time-impossible"),
        ({"first": 2**64 - 1, "last": 2**64 - 1}, "flow-time-impossible"),
        ({"octets": 2**64 - 1, "packets": 2**64 - 1}, "flow-number-impossible"),
    ],
    ids=["1970", "2100", "never", "counters"],
)
def test_an_exporter_that_lies_accuses_nobody_for_sure(
    folder: Path, capsys: pytest.CaptureFixture[str], lie: dict[str, int], anomaly: str
) -> None:
    now = SECONDS * 1000
    usual = {"first": now - 5000, "last": now - 1000}
    lying = [flow(CLIENTS[0], SERVERS[1], 40000 + at, **(usual | lie)) for at in range(40)]
    write(folder / "router.ipfix", lying, FLOW)
    *found, told = scan(capsys)
    assert anomaly in str(told["said"])
    # That a device asked for the name is known from the resolver, which nobody doubts.
    assert "ip-from-dns" not in json.dumps(found)
    write(folder / "router.ipfix", [flow(CLIENTS[0], SERVERS[1], **usual)], FLOW)
    assert "ip-from-dns" in json.dumps(scan(capsys))
