"""What speaks against contacts: the situations of forgery, in one process and in many."""

from pathlib import Path

import pytest
from support.captures import pcap
from support.situations.forgery import SITUATIONS
from support.situations.situation import Situation

import netwatch

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
    types = tuple(each["type"] for each in alert["contradictions"])
    assert types == situation.expected.contradictions
