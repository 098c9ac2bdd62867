"""What captures and logs say of the same traffic, and a table of what differs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from netwatch import config
from netwatch.capture.files import find_captures
from netwatch.core.addresses import ip_text
from netwatch.core.alert import Alert, Sensor
from netwatch.core.statistics import RunStatistics
from netwatch.engine import jobs
from netwatch.engine.capture_files import LogUnit, group_files
from netwatch.engine.log_scan import names_of_log
from netwatch.formats.line_writer import observation_record
from netwatch.incidents.scan import ScanIncidents
from netwatch.logs.log_files import LogOptions, divide

_MINUTE = 60_000_000_000
_START = datetime(1970, 1, 1)

Key = tuple[str, str, str, str]
"""Evidence, name, client and server."""


def units(paths: Iterable[Path], options: LogOptions | None = None) -> list[LogUnit]:
    """The logs at these paths, each recognised by its content or named by `options`."""
    chosen = options or LogOptions()
    captures, logs = divide(list(find_captures([str(path) for path in paths])), chosen)
    assert not captures, captures
    return [LogUnit(log, chosen, True) for log in logs]


def alerts(
    configuration: Path,
    *,
    captures: Sequence[Path] = (),
    logs: Sequence[Path] = (),
    options: LogOptions | None = None,
    statistics: RunStatistics | None = None,
) -> list[Alert]:
    """The alerts of a scan of captures and logs."""
    site = config.load(configuration)
    counts = RunStatistics() if statistics is None else statistics
    files = list(group_files(find_captures([str(path) for path in captures]), continuous=False))
    with ScanIncidents(site.quiet_gap) as incidents:
        jobs.scan(
            files if captures else [],
            site,
            counts,
            incidents,
            logs=units(logs, options) if logs else (),
            workers=1,
        )
        found = list(incidents.result(None, Sensor("test", "0")).alerts)
    assert not counts.unread, counts.unread
    return found


def records_of_logs(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """What logs say, as ``netwatch names --format jsonl`` has it."""
    return [
        observation_record(batch, row)
        for unit in units(paths)
        for batch in names_of_log(unit, RunStatistics())
        for row in range(batch.count)
    ]


def names_of_logs(paths: Iterable[Path]) -> Counter[Key]:
    """How often logs show a name of a client at a server."""
    found: Counter[Key] = Counter()
    for unit in units(paths):
        for batch in names_of_log(unit, RunStatistics()):
            for row in range(batch.count):
                shown = batch.observation(row)
                found[
                    shown.evidence,
                    shown.name,
                    _side(shown.client_ip, shown.client_port),
                    _side(shown.server_ip, shown.server_port),
                ] += 1
    return found


def _side(ip: bytes, port: int) -> str:
    return f"{ip_text(ip) if ip else '-'} {port}"


COMPARED = ("verdict", "confidence", "kind", "outcome", "lookups", "handshakes", "flows", "names")


def _values(alert: Alert) -> dict[str, str]:
    counts = alert.counts
    return {
        "verdict": alert.verdict,
        "confidence": alert.confidence,
        "kind": alert.kind.value,
        "outcome": alert.outcome,
        "lookups": str(counts.lookups),
        "handshakes": str(counts.handshakes),
        "flows": str(counts.flows),
        "names": " ".join(sorted(alert.names)),
    }


def differences(wire: Iterable[Alert], log: Iterable[Alert]) -> Iterator[tuple[str, ...]]:
    """What differs between the alerts of packets and of a log: the incident, the field, and its
    value on both sides; ``-`` for an incident of one side only."""
    first, second = _by_incident(wire), _by_incident(log)
    for key in sorted(first.keys() | second.keys()):
        if key not in first or key not in second:
            sides = [each.verdict if each else "-" for each in (first.get(key), second.get(key))]
            yield (*key, "incident", *sides)
            continue
        one, other = _values(first[key]), _values(second[key])
        for field in COMPARED:
            if one[field] != other[field]:
                yield (*key, field, one[field], other[field])


def _by_incident(found: Iterable[Alert]) -> dict[tuple[str, str, str], Alert]:
    """Alerts by device, app and the minute in which the incident began."""
    return {
        (
            each.device.id,
            each.app.id,
            f"{_START + timedelta(minutes=each.first_seen // _MINUTE):%F %R}",
        ): each
        for each in found
    }
