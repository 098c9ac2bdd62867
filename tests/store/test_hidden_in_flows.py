"""A site without a mirror port: flow records of a router and a resolver's log tell which device
has stopped asking, by the command and from another folder."""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.asking_office import RESOLVER, Answer, Event, Office, Talk, Way, events, switched

from netwatch.core.addresses import ip_text

CONFIGURATION = """version: 1
networks:
  - {name: hq, cidrs: [10.20.1.0/24], class: service, authority: City}
  - {name: resolvers, cidrs: [10.20.0.0/24], class: infrastructure}
bans:
  - {id: city, authority: City, apps: [tiktok], forbids: [service], timezone: UTC}
store: {path: store}
"""
OFFICE = replace(Office(), devices=6, days=4, visits=20, names=60, quirks=0.0, idle=0.0)
HEADER = "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n"


def lookups(found: Iterable[Event]) -> str:
    """The answers as lines of Zeek's dns.log."""
    return "".join(
        json.dumps(
            {
                "ts": event.time / 1e9,
                "uid": f"C{place}",
                "id.orig_h": ip_text(event.ip),
                "id.orig_p": 40_000,
                "id.resp_h": ip_text(RESOLVER),
                "id.resp_p": 53,
                "proto": "udp",
                "query": event.name,
                "qtype_name": "A",
                "rcode_name": "NOERROR",
                "answers": [ip_text(address) for address, _ in event.addresses],
                "TTLs": [float(ttl) for _, ttl in event.addresses],
            }
        )
        + "\n"
        for place, event in enumerate(found)
        if isinstance(event, Answer)
    )


def flow_records(found: Iterable[Event]) -> str:
    """Both directions of each conversation, as nfdump writes them."""
    lines = [HEADER]
    for event in found:
        if isinstance(event, Talk):
            first = datetime.fromtimestamp(event.time / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
            protocol = 17 if event.transport == "udp" else 6
            head = f"{first[:-3]},{(event.last - event.time) / 1e9:.3f},{protocol}"
            device = f"{ip_text(event.ip)},{event.port}"
            server = f"{ip_text(event.server)},{event.server_port}"
            lines += [f"{head},{device},{server},8,900,1\n", f"{head},{server},{device},8,9000,1\n"]
    return "".join(lines)


def netwatch(folder: Path, *words: str) -> str:
    """What the command prints, run in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "netwatch", *words], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def bypasses(folder: Path, office: Office) -> list[dict[str, Any]]:
    """The findings of a store into which the records and the log of an office were scanned."""
    found = events(office, 1)
    (folder / "netwatch.yaml").write_text(CONFIGURATION)
    (folder / "dns.log").write_text(lookups(found))
    (folder / "router.csv").write_text(flow_records(found))
    netwatch(folder, "scan", "-q", "--store", "--timezone", "UTC", "dns.log", "router.csv")
    query = ("store", "query", "bypasses", "--since", "2023-03-01", "--format", "jsonl")
    return [json.loads(line) for line in netwatch(folder, *query).splitlines()]


@pytest.mark.parametrize("way", ["doh", "brings-along"])
def test_the_device_that_hides_its_lookups_is_found_and_no_other(tmp_path: Path, way: Way) -> None:
    found = bypasses(tmp_path, switched(OFFICE, 2, 2, way))
    days = {(each["day"], each["device"]["id"]) for each in found}
    assert days == {("2023-03-03", "10.20.1.12"), ("2023-03-04", "10.20.1.12")}
    for each in found:
        # Records of flows show no name and no lookup.
        assert each["named"] == 0
        assert 0 < each["untold"] <= each["contacts"]
        assert each["past"]["days"] == 2
        codes = [reason["code"] for reason in each["reasons"]]
        assert codes[:2] == ["share-above-past", "share-above-others"]


def test_an_office_in_which_all_ask_has_no_finding(tmp_path: Path) -> None:
    assert bypasses(tmp_path, OFFICE) == []
