"""What speaks against contacts: the situations of forgery, in one process and in many."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from craft import Wire
from support.captures import pcap
from support.office import SERVICE
from support.situations.forgery import (
    APP,
    FORGER,
    SITUATIONS,
    claimed,
    conversation,
    frames,
    hello_alone,
)
from support.situations.situation import Situation

import netwatch
from netwatch.privacy import write_new_key

USUAL = """version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16, "2001:db8:20::/48"], class: service, authority: Example}
  - {name: resolvers, cidrs: [10.20.0.53/32], class: infrastructure}
bans:
  - {id: rule, authority: Example, apps: [tiktok], forbids: [service], timezone: UTC,
     legal_basis: none, min_confidence: possible, severity: high}
"""


def written(situation: Situation, folder: Path, extra: str = "") -> tuple[str, str]:
    """The capture and the configuration of a situation; their paths."""
    capture, config = folder / "a.pcap", folder / "netwatch.yaml"
    capture.write_bytes(pcap(sorted(situation.frames(), key=lambda frame: frame[0])))
    config.write_text(f"{USUAL}{extra or situation.configuration}\n")
    return str(capture), str(config)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.id)
def test_netwatch_says_what_the_situation_expects(situation: Situation, tmp_path: Path) -> None:
    capture, config = written(situation, tmp_path)
    with netwatch.scan(capture, config, coverage=True) as result:
        alerts = [incident.record() for incident in result]
        unnamed = dict(result.coverage.unnamed)
    blind = situation.expected.blind
    assert set(unnamed) == ({blind} if blind else set())
    if situation.expected.confidence is None:
        assert alerts == []
        return
    (alert,) = alerts
    assert alert["confidence"] == situation.expected.confidence, alert["confidence_reasons"]
    types = tuple(dict.fromkeys(each["type"] for each in alert["contradictions"]))
    assert types == situation.expected.contradictions


INVENTORY = "id,mac,ip,hostname,owner,class\nws-014,02:00:00:20:01:07,10.20.1.7,,,service\n"
LISTED = "devices: {inventory: devices.csv, learn: [dhcp, arp]}"
ROUTER = "core-1,02:00:00:66:66:66,,,,infrastructure\n"


def scanned(
    build: Callable[[Wire], object], folder: Path, extra: str, inventory: str = INVENTORY
) -> dict[str, Any]:
    """The only alert of what is on a wire, with an inventory."""
    (folder / "devices.csv").write_text(inventory)
    capture, config = folder / "a.pcap", folder / "netwatch.yaml"
    capture.write_bytes(pcap(sorted(frames(build)())))
    config.write_text(f"{USUAL}{extra}\n")
    with netwatch.scan(capture, config) as result:
        (alert,) = [incident.record() for incident in result]
        counted = result.summary.anomalies
    types = {each["type"]: each["count"] for each in alert["contradictions"]}
    assert {name: counted.get(name, 0) for name in types} == types
    return alert


def test_a_claimed_address_speaks_against_the_device_that_the_inventory_has(tmp_path: Path) -> None:
    alert = scanned(claimed(FORGER.mac), tmp_path, LISTED)
    assert (alert["device"]["id"], alert["confidence"]) == ("ws-014", "probable")
    (found,) = alert["contradictions"]
    assert found["type"] == "address-claimed-twice"
    assert {SERVICE.mac, FORGER.mac} <= set(found["text"].removesuffix(".").split())
    assert any(found["text"] in reason for reason in alert["confidence_reasons"])


def test_the_frame_has_its_mac_beside_that_of_the_inventory(tmp_path: Path) -> None:
    alert = scanned(hello_alone, tmp_path, "devices: {inventory: devices.csv}")
    assert (alert["device"]["mac"], alert["confidence"]) == (SERVICE.mac, "probable")
    (found,) = alert["contradictions"]
    assert FORGER.mac in found["text"]
    assert SERVICE.mac in found["text"]
    (evidence,) = found["evidence"]
    assert (evidence["type"], evidence["name"], evidence["packet"]) == ("tls-sni", APP, 3)


def test_a_router_of_the_inventory_may_send_for_others(tmp_path: Path) -> None:
    alert = scanned(conversation(FORGER), tmp_path, LISTED, INVENTORY + ROUTER)
    assert (alert["contradictions"], alert["confidence"]) == ([], "confirmed")


def test_what_is_genuine_is_as_strong_as_before(tmp_path: Path) -> None:
    def both(on: Wire) -> None:
        hello_alone(on)
        conversation(SERVICE)(on)

    alert = scanned(both, tmp_path, LISTED)
    assert [each["type"] for each in alert["contradictions"]] == ["mac-not-bound"]
    assert alert["confidence"] == "confirmed"


@pytest.mark.parametrize("build", [hello_alone, claimed(FORGER.mac)], ids=["mac", "claim"])
def test_a_pseudonym_hides_addresses_in_contradictions_too(
    build: Callable[[Wire], object], tmp_path: Path
) -> None:
    write_new_key(tmp_path / "key")
    extra = f"{LISTED}\nprivacy: {{pseudonyms: [service], key: {{file: key}}}}"
    alert = scanned(build, tmp_path, extra)
    assert len(alert["contradictions"]) == 1
    text = json.dumps(alert)
    for word in (SERVICE.ip, SERVICE.mac, FORGER.mac, "ws-014"):
        assert word not in text
