"""Flow records to a network of a banned app's vendor, to which no lookup led."""

import json
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from netwatch.cli import main

CONFIG = """version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service, authority: BE-FED}
bans:
  - {id: our-rule, authority: City of Example, apps: [tiktok], forbids: [service],
     from: 2026-11-29, timezone: UTC, legal_basis: Decision 1, min_confidence: possible}
store: {path: store}
geoip: {asn: asn.mmdb}
"""
HEADER = "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n"
VENDOR, OTHER = "192.0.2.90", "203.0.113.20"


def flow(client: str, server: str, *, answered: bool = True) -> str:
    there = f"2026-11-30 10:00:00.000,1.000,6,{client},40100,{server},443,14,2480,1\n"
    back = f"2026-11-30 10:00:00.100,1.000,6,{server},443,{client},40100,40,42480,1\n"
    return there + back if answered else there


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "netwatch.yaml").write_text(CONFIG)
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-ASN")
    for network, number in (("192.0.2.0/24", 138699), ("203.0.113.0/24", 64496)):
        writer.insert_network(IPSet([network]), {"autonomous_system_number": number})
    writer.to_db_file(str(tmp_path / "asn.mmdb"))
    (tmp_path / "flows.csv").write_text(
        HEADER
        + flow("10.20.6.20", VENDOR)
        + flow("10.20.6.21", VENDOR, answered=False)
        + flow("10.20.6.22", OTHER)
        + flow("10.20.6.23", VENDOR)
        + flow("192.168.1.1", VENDOR)
    )
    # One client was told the address for a name of the app: that is more than an address.
    (tmp_path / "dnsmasq.log").write_text(
        "Nov 30 09:59:58 gw dnsmasq[900]: 11 10.20.6.23/4001 query[A] www.tiktok.com from"
        " 10.20.6.23\n"
        f"Nov 30 09:59:58 gw dnsmasq[900]: 11 10.20.6.23/4001 reply www.tiktok.com is {VENDOR}\n"
    )
    return tmp_path


def unnamed(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[dict[str, int], str]:
    """The flows of the network by the reason why they have no name, and the summary of a scan."""
    command = ["scan", "--format", "jsonl", "--year", "2026", "--timezone", "UTC", "--coverage"]
    assert main([*command, *options]) == 0
    found = capsys.readouterr()
    *alerts, coverage = map(json.loads, found.out.splitlines())
    assert {each["device"]["ip"] for each in alerts} <= {"10.20.6.23"}
    (network,) = coverage["networks"]
    return network["unnamed"], found.err


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_address_of_a_vendor_is_counted_and_accuses_nobody(
    folder: Path, capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    found, summary = unnamed(capsys, "--jobs", jobs, "flows.csv")
    assert found == {"flow-record": 2, "vendor-network": 2}
    assert "vendor-network, 3 flows: possible contacts, which raise no alert" in " ".join(
        summary.split()
    )


def test_an_address_says_less_than_a_lookup(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Others may have the address from the answer to this one, which is no alert by itself.
    (folder / "netwatch.yaml").write_text(CONFIG.replace(", min_confidence: possible", ""))
    found, _ = unnamed(capsys, "flows.csv", "dnsmasq.log")
    assert "vendor-network" not in found


@pytest.mark.parametrize(
    ("was", "now"),
    [("geoip: {asn: asn.mmdb}\n", ""), ("apps: [tiktok]", "apps: [whatsapp]")],
    ids=["no-database", "no-ban"],
)
def test_whose_network_it_is_has_to_be_known_and_to_matter(
    folder: Path, capsys: pytest.CaptureFixture[str], was: str, now: str
) -> None:
    (folder / "netwatch.yaml").write_text(CONFIG.replace(was, now))
    assert unnamed(capsys, "flows.csv")[0] == {"flow-record": 4}


def test_a_store_says_the_same_until_it_is_judged_by_another_ban(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def hours() -> dict[str, int]:
        capsys.readouterr()
        assert main(["store", "query", "coverage", "--hours", "--format", "jsonl"]) == 0
        (found,) = map(json.loads, capsys.readouterr().out.splitlines())
        assert not found["one_of_k"]
        return dict(found["unnamed"])

    unnamed(capsys, "--store", "flows.csv")
    assert hours() == {"flow-record": 2, "vendor-network": 2}
    (folder / "netwatch.yaml").write_text(CONFIG.replace("[tiktok]", "[whatsapp]"))
    assert main(["rejudge", "--record", "-q"]) == 0
    assert hours() == {"flow-record": 4}
    (folder / "netwatch.yaml").write_text(CONFIG)
    assert main(["rejudge", "--record", "-q"]) == 0
    assert hours() == {"flow-record": 2, "vendor-network": 2}
