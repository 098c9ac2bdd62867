"""Stores with incidents and coverage that a test writes down, and an office for them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from netwatch.config import Config, load
from netwatch.coverage.flow_visibility import VISIBILITIES
from netwatch.coverage.judged import HOUR, QUARTER, HourCounts
from netwatch.rules.bans import ban_contents
from netwatch.store.catalogue import Catalogue, SourceFile
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import VersionHashes

CONFIGURATION = """
version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service, authority: City}
  - {name: byod, cidrs: [10.30.0.0/16], class: personal, authority: City}
bans:
  - id: city
    authority: City of Example
    apps: [tiktok]
    forbids: [service]
    advises: [personal]
    timezone: Europe/Brussels
    review: 2023-09-01
    legal_basis: Decision 2023/12
    periods:
      - {from: 2023-03-10, until: 2023-09-16, basis: decision of 10 March}
      - {from: 2023-09-26, basis: decision of 25 September}
exemptions:
  - {ban: city, device: lab-07, until: 2023-03-20, reason: research, approved_by: CISO}
  - {ban: city, device: lab-08, reason: press, approved_by: CISO}
"""

HOSTILE = "<script>alert(1)</script>\"'&\u202e\x1b[31m"


def ns(text: str) -> int:
    """A time as ns since the epoch; in UTC where it has no offset."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000


def rfc(time: int) -> str:
    return datetime.fromtimestamp(time // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Office:
    """A store that is filled, with the configuration that goes with it."""

    folder: Path
    config: Config
    catalogue: Catalogue
    bans_version: str = "b" * 12
    is_judged: bool = True

    def run(self, command: str = "scan") -> int:
        version = VersionHashes("1.0", "s" * 12, self.bans_version, "c" * 12)
        contents = ban_contents(self.config.policy.bans, self.config.catalog)
        number = self.catalogue.version_id(version, contents if self.is_judged else {})
        return self.catalogue.begin_run(command, "sensor-1", number)

    def capture(self, run: int, first: str, last: str, **how: Any) -> None:
        source = SourceFile(how.pop("path", "office.pcap"), 1000, "a" * 64)
        number = self.catalogue.begin_capture(run, how.pop("position", 0), [source])
        self.catalogue.end_capture(number, how.pop("state", "complete"), ns(first), ns(last), **how)
        self.heard(run, first, last)

    def heard(self, run: int, first: str, last: str) -> None:
        """There were packets at all times."""
        quarters = {*range(ns(first) // QUARTER, -(-ns(last) // QUARTER))}
        counts = HourCounts(quarters, quarters)
        self.catalogue.add_hours(run, {0: counts})

    def coverage(
        self,
        run: int,
        first: str,
        last: str,
        networks: Mapping[str, Mapping[str, int]],
        part: int = 0,
        packets: Mapping[str, Any] | None = None,
        devices: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None,
    ) -> None:
        """Flows by network and reason, where ``named`` are those with a name; of `devices` by
        network and id."""
        rows = [
            {
                "name": name,
                "class": "service" if name != "byod" else "personal",
                "flows": sum(flows.values()),
                "named": flows.get("named", 0),
                "unnamed": {key: count for key, count in flows.items() if key != "named"},
                "devices": [
                    {
                        "id": device,
                        "flows": sum(of_device.values()),
                        "named": of_device.get("named", 0),
                        "unnamed": {k: n for k, n in of_device.items() if k != "named"},
                    }
                    for device, of_device in (devices or {}).get(name, {}).items()
                ],
                "rest": {"flows": 0, "named": 0, "unnamed": {}},
            }
            for name, flows in networks.items()
        ]
        record = {
            "schema": "netwatch.coverage/1",
            "flows": 0,
            "named": 0,
            "unnamed": {},
            "packets": {"seen": 1000, "cut": 0, "dropped": 0, "unreadable": {}}
            | {**(packets or {})},
            "networks": rows,
            "outside": {"flows": 5, "named": 5, "unnamed": {}, "missed": {}},
        }
        text = json.dumps(record, separators=(",", ":"))
        self.catalogue.add_coverage(run, part, ns(first), ns(last), text)
        self.flows(run, first, last, networks)

    def flows(
        self, run: int, first: str, last: str, networks: Mapping[str, Mapping[str, int]]
    ) -> None:
        """These flows at noon (UTC) of every day, or in the first hour if it is not a day. Those
        for a reason that there is not are counted as ``no-hello``."""
        begin, end = ns(first) // HOUR, -(-ns(last) // HOUR)
        hours = [at for at in range(begin, end) if at % 24 == 12]
        counts = HourCounts()
        for name, flows in networks.items():
            for hour in hours or [begin]:
                found = counts.see((name, "service" if name != "byod" else "personal"), hour)
                for reason, count in flows.items():
                    known = reason if reason in VISIBILITIES else "no-hello"
                    found[VISIBILITIES.index(known)] += count
        self.catalogue.add_hours(run, {0: counts})

    def incident(self, run: int, first: str, **what: Any) -> None:
        record = incident_record(first, bans_version=self.bans_version, **what)
        self.catalogue.add_incidents(run, [(record, json.dumps(record))])

    def whole(self, **networks: Mapping[str, int]) -> int:
        """A live run that captured all of March to October 2023, and read nearly all names."""
        run = self.run()
        self.capture(run, "2023-02-01", "2023-11-01")
        flows = networks or {"hq": {"named": 990, "ech": 10}}
        self.coverage(run, "2023-02-01", "2023-11-01", flows)
        return run


def incident_record(
    first: str,
    *,
    identity: str = "",
    device: str = "ws-1",
    network: str = "hq",
    verdict: str = "violation",
    confidence: str = "confirmed",
    kind: str = "session",
    outcome: str = "reached",
    app: str = "TikTok",
    ban: str = "city",
    seconds: int = 60,
    exemption: Mapping[str, Any] | None = None,
    bans_version: str = "",
) -> dict[str, Any]:
    """The record of an incident, as far as a store and a report read it."""
    begin = ns(first)
    identity = identity or f"{abs(hash((first, device, app, verdict, kind))):032x}"[:32]
    return {
        "id": identity,
        "status": "closed",
        "verdict": verdict,
        "severity": "medium",
        "confidence": confidence,
        "counts": {"lookups": 1, "handshakes": 1},
        "kind": {"value": kind, "reasons": []},
        "outcome": outcome,
        "first_seen": rfc(begin),
        "last_seen": rfc(begin + seconds * 1_000_000_000),
        "app": {"id": app.lower(), "name": app, "vendor": "bytedance"},
        "ban": {"id": ban},
        "exemption": exemption,
        "device": {
            "id": device,
            "ip": "10.20.1.1",
            "mac": None,
            "hostname": None,
            "owner": "Jane Doe",
            "class": "service" if network != "byod" else "personal",
        },
        "network": {"name": network, "class": "service", "authority": "City", "vlan": None},
        "names": ["www.tiktok.com"],
        "versions": {"bans": bans_version},
    }


def make_office(folder: Path, configuration: str = CONFIGURATION) -> Office:
    """An empty store with the configuration of an office."""
    path = folder / "netwatch.yaml"
    path.write_text(configuration)
    config = load(str(path))
    catalogue = open_catalogue(StoreOptions(str(folder / "store")), create=True)
    return Office(folder, config, catalogue, config.bans_version)
