"""Contacts that hide are found, and decoys hide nothing (`support.situations.evasion`)."""

from pathlib import Path

import pytest
from support.captures import pcap
from support.situations.evasion import BOTH, DECOY, SITUATIONS
from support.situations.situation import Situation

import netwatch

CONFIG = """version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service}
bans:
  - {id: rule, authority: Example, apps: [tiktok], forbids: [service], timezone: UTC,
     legal_basis: none, min_confidence: possible, severity: high}
"""


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.id)
def test_what_a_contact_that_hides_shows(situation: Situation, tmp_path: Path) -> None:
    capture, config = tmp_path / "hidden.pcap", tmp_path / "netwatch.yaml"
    capture.write_bytes(pcap(situation.frames()))
    config.write_text(CONFIG)
    expected = situation.expected
    names = [observation.name for observation in netwatch.names(capture)]
    assert len(names) == len(set(names))
    assert set(expected.names) <= set(names)
    assert (DECOY in names) == (expected is BOTH or "decoy" in situation.id)
    with netwatch.scan(capture, config, coverage=True) as result:
        alerts = [incident.record() for incident in result]
        assert result.coverage is not None
        blind = [reason for reason, flows in result.coverage.unnamed.items() if flows]
    assert blind == ([expected.blind] if expected.blind else [])
    assert [(alert["confidence"], alert["outcome"]) for alert in alerts] == (
        [(expected.confidence, expected.outcome)] if expected.confidence else []
    )
