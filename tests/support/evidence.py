"""Captures are scanned with evidence, and the evidence captures are scanned again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netwatch.capture.files import find_captures
from netwatch.config import Config
from netwatch.core.alert import Alert, Sensor
from netwatch.core.statistics import RunStatistics
from netwatch.engine import jobs
from netwatch.engine.capture_files import group_files
from netwatch.incidents.evidence_folder import EvidenceFolder
from netwatch.incidents.scan import ScanIncidents
from netwatch.verify.against_alert import differences
from netwatch.verify.check import Finding, check
from netwatch.verify.dpkt_reader import DpktReader
from netwatch.verify.evidence_file import Claims, EvidenceFile, claims_of, read_evidence_file
from netwatch.verify.flows import Flows
from netwatch.verify.scapy_reader import ScapyReader

SENSOR = Sensor("here", "0")


def scan_alerts(
    config: Config,
    *paths: str | Path,
    keep_frames: bool = False,
    continuous: bool = False,
    workers: int = 1,
) -> list[Alert]:
    """The alerts of captures."""
    statistics = RunStatistics()
    given = list(group_files(find_captures([str(path) for path in paths]), continuous))
    incidents = ScanIncidents(config.quiet_gap)
    jobs.scan(given, config, statistics, incidents, workers=workers, keep_frames=keep_frames)
    assert statistics.unread == statistics.notes == []
    return list(incidents.result(None, SENSOR).alerts)


def write_evidence(folder: EvidenceFolder, alerts: list[Alert]) -> dict[str, str]:
    """The evidence captures that were written, by the id of their alert."""
    return {alert.id: folder.write(alert).extra["evidence_file"] for alert in alerts}


def rescan(config: Config, files: dict[str, str]) -> dict[str, list[str]]:
    """The ids of the alerts that a scan of each file gives."""
    return {key: [alert.id for alert in scan_alerts(config, path)] for key, path in files.items()}


def read_anew(path: str | Path) -> list[Finding]:
    """What the independent readers find in an evidence capture."""
    file, claims, flows = _read(path)
    return list(check(file, claims, flows))


def against(record: Mapping[str, Any], path: str | Path) -> list[Finding]:
    """What a record claims and its evidence capture does not show."""
    return list(differences(record, *_read(path)))


def _read(path: str | Path) -> tuple[EvidenceFile, Claims, list[Flows]]:
    file = read_evidence_file(Path(path))
    flows = [Flows(reader, file.packets) for reader in (ScapyReader(), DpktReader())]
    return file, claims_of(Path(path).name, file), flows
