"""Captures scanned with their proof, and the proof scanned again."""

from pathlib import Path

from netwatch.capture.files import find
from netwatch.config import Config
from netwatch.core.alert import Alert, Sensor
from netwatch.core.statistics import RunStatistics
from netwatch.engine import jobs
from netwatch.engine.observe import captures
from netwatch.incidents.evidence_folder import EvidenceFolder

SENSOR = Sensor("here", "0")


def scanned(
    config: Config,
    *paths: str | Path,
    keep_frames: bool = False,
    continuous: bool = False,
    workers: int = 1,
) -> list[Alert]:
    """The alerts of captures."""
    statistics = RunStatistics()
    given = list(captures(find([str(path) for path in paths]), continuous))
    found = jobs.scan(given, config, statistics, workers, keep_frames=keep_frames)
    assert statistics.unread == statistics.notes == []
    return found.alerts(None, SENSOR)


def kept(evidence: EvidenceFolder, alerts: list[Alert]) -> dict[str, str]:
    """The files that were written, by the id of their alert."""
    told = [evidence.write(alert) for alert in alerts]
    return {alert.id: alert.extra["evidence_file"] for alert in told}


def again(config: Config, files: dict[str, str]) -> dict[str, list[str]]:
    """The ids that a scan of each file gives."""
    return {key: [alert.id for alert in scanned(config, path)] for key, path in files.items()}
