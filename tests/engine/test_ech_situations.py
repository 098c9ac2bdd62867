"""Situations of ECH with known answers, by every way that gives alerts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.captures import pcap
from support.office import CONFIG, configured
from support.situations.ech import APP, BLOG, PAGE, SITUATIONS
from support.situations.situation import Situation

from netwatch.cli import main

BY_ID = {each.id: each for each in SITUATIONS}
ALL = CONFIG.replace("severity: high", "severity: high\n    min_confidence: possible")
"""Of weak evidence there are alerts too, so that a test sees it."""

Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def _run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    return _run


def written(folder: Path, situation: Situation) -> str:
    path = folder / "capture.pcap"
    path.write_bytes(pcap(situation.frames()))
    return str(path)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.id)
def test_a_situation_has_its_answer(situation: Situation, tmp_path: Path, run: Run) -> None:
    capture, config = written(tmp_path, situation), configured(tmp_path)
    expected = situation.expected
    coverage = tmp_path / "coverage.json"
    lines = run(
        *("scan", "-q", "-c", config, "--format", "jsonl", capture, "--coverage", str(coverage))
    )
    alerts = [json.loads(line) for line in lines.splitlines()]
    assert [each["confidence"] for each in alerts] == [expected.confidence] * len(alerts)
    assert len(alerts) == (expected.confidence is not None)
    for alert in alerts:
        assert expected.kind in (None, alert["kind"]["value"])
        assert expected.outcome in (None, alert["outcome"])
        assert alert["names"] == list(expected.names)
