"""What speaks against contacts is the same however a capture is read, and if it is judged again."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.captures import pcap
from support.situations.forgery import APP, PAGE, behind_a_router, frames, second_hello

from netwatch.incidents.scan import ScanIncidents

Run = Callable[..., str]

CONFIG = """version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service, authority: Example}
  - {name: resolvers, cidrs: [10.20.0.53/32], class: infrastructure}
bans:
  - {id: rule, authority: Example, apps: [tiktok], forbids: [service], timezone: UTC,
     legal_basis: none, min_confidence: possible, severity: high}
devices: {learn: [dhcp, arp]}
"""


@pytest.fixture
def office(tmp_path: Path) -> str:
    """The configuration; the path of it."""
    path = tmp_path / "netwatch.yaml"
    path.write_text(CONFIG)
    return str(path)


def captures(folder: Path, *clients: range) -> str:
    """Captures of a device whose packets come with another MAC, which sends those of these clients
    too, and of a connection with two names."""
    folder.mkdir()
    for number, others in enumerate(clients):
        made = frames(behind_a_router(others), seed=number)()
        (folder / f"{number}.pcap").write_bytes(pcap(sorted(made)))
    for name, others in (("names", (PAGE, APP)), ("late", (APP, PAGE))):
        made = frames(second_hello(*others), seed=77)()
        (folder / f"{name}.pcap").write_bytes(pcap(sorted(made)))
    return str(folder)


@pytest.mark.parametrize(
    ("clients", "types"),
    [
        ((range(2),), {"mac-not-bound", "two-names"}),
        # Two captures show together what neither shows: the MAC is a router's.
        ((range(2), range(2, 4)), {"two-names"}),
    ],
    ids=["forged", "router"],
)
def test_all_ways_to_read_a_capture_find_the_same(
    run: Run, office: str, tmp_path: Path, clients: tuple[range, ...], types: set[str]
) -> None:
    folder = captures(tmp_path / "captures", *clients)
    common = ("-q", "-c", office, "--format", "jsonl")
    store = ("--store-path", str(tmp_path / "store"))
    alerts = run("scan", *common, folder)
    (alert,) = map(json.loads, alerts.splitlines())
    assert {each["type"] for each in alert["contradictions"]} == types
    assert alert["confidence"] == ("confirmed" if types == {"two-names"} else "probable")
    for options in (("--jobs", "2"), ("--ledger", str(tmp_path / "ledger"), "--jobs", "2"), store):
        assert run("scan", *common, *options, folder) == alerts, options
    assert run("rejudge", *common, *store, "--all") == alerts
    assert run("rejudge", *common, *store) == ""
    pieces = run("scan", *common, "--continuous", folder)
    assert run("scan", *common, "--continuous", "--jobs", "2", folder) == pieces


def test_incidents_on_disk_know_of_routers_too(
    run: Run, office: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = captures(tmp_path / "captures", range(2), range(2, 4))
    common = ("-q", "-c", office, "--format", "jsonl")
    alerts = run("scan", *common, folder)
    defaults = ScanIncidents.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "limit", 1)
    assert run("scan", *common, folder) == alerts
    assert '"confidence":"confirmed"' in alerts
