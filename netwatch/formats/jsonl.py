# cython: language_level=3
"""Records as JSON lines: the definition of the records of observations and alerts.

Each record is one line of compact UTF-8. Characters that could break a line or control a terminal
are written as ``\\uXXXX``, so a hostile name is one word of one line and still reads back
unchanged. The only exception are bytes of a file name that are not UTF-8.
"""

from dataclasses import fields
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

from netwatch.core.alert import (
    ALERT_SCHEMA,
    Alert,
    AlertRecord,
    EvidenceItem,
    RecordKind,
    Sensor,
)
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.verdict import Ban, BindingPeriod, Exemption
from netwatch.coverage.counts import CoverageReport
from netwatch.formats.coverage import report_record
from netwatch.formats.values import json_line, rfc3339

if TYPE_CHECKING:
    from netwatch.formats.observation_lines import ObservationLines


def alert_record(alert: Alert) -> dict[str, Any]:
    """The record of an alert. Every documented key is present, with None if its value is not known.
    Keys of `Alert.extra` follow at the end and never replace a documented one."""
    record: dict[str, Any] = {
        "schema": ALERT_SCHEMA,
        "id": alert.id,
        "status": alert.status,
        "verdict": alert.verdict,
        "severity": alert.severity,
        "confidence": alert.confidence,
        "kind": _part(alert.kind),
        "outcome": alert.outcome,
        "blocked_by": list(alert.blocked_by),
        "confidence_reasons": list(alert.confidence_reasons),
        "contradictions": [_part(item) for item in alert.contradictions],
        "candidates": [_part(candidates) for candidates in alert.candidates],
        "first_seen": rfc3339(alert.first_seen, alert.time_digits),
        "last_seen": rfc3339(alert.last_seen, alert.time_digits),
        "duration": alert.duration // 1000 / 1_000_000,
        "app": {"id": alert.app.id, "name": alert.app.name, "vendor": alert.app.vendor},
        "ban": _ban(alert.ban, alert.first_seen),
        "exemption": _exemption(alert.exemption),
        "device": {
            "id": alert.device.id,
            "ip": alert.device.address,
            "mac": alert.device.mac,
            "hostname": alert.device.hostname,
            "owner": alert.device.owner,
            "class": alert.device.device_class,
            "reason": alert.device.reason,
            "randomised_mac": alert.device.randomised_mac,
        },
        "network": {
            "name": alert.network.name,
            "class": alert.network.device_class,
            "authority": alert.network.authority,
            "vlan": alert.vlan,
        },
        "destinations": [_part(server) for server in alert.destinations],
        "names": list(alert.names),
        "evidence": [_evidence(item) for item in alert.evidence],
        "counts": {
            "lookups": alert.counts.lookups,
            "handshakes": alert.counts.handshakes,
            "flows": alert.counts.flows,
            "bytes_out": alert.counts.bytes_out,
            "bytes_in": alert.counts.bytes_in,
            "outcomes": {
                "reached": alert.counts.reached,
                "attempted": alert.counts.attempted,
                "blocked": alert.counts.blocked,
                "unknown": alert.counts.unknown,
            },
        },
        "community_ids": list(alert.community_ids),
        "sensor": {
            "name": alert.sensor.name,
            "version": alert.sensor.version,
            "signatures": alert.sensor.signatures,
            "policy": alert.sensor.policy,
        },
        "versions": _versions(alert.sensor),
        "binding": _binding(alert.device.binding, alert.time_digits),
    }
    for key, value in alert.extra.items():
        record.setdefault(key, value)
    return record


def _part(part: Any) -> dict[str, Any]:
    """The record of a part whose attributes are its keys."""
    record: dict[str, Any] = {}
    cls: Any = type(part)
    for name in _names(cls):
        value = getattr(part, name)
        if name == "time":
            value = rfc3339(value, part.time_digits)
        elif type(value) is tuple:
            value = [each if type(each) is str else _part(each) for each in value]
        record[name] = value
    return record


@cache
def _names(cls: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(cls) if each.name != "time_digits")


def _versions(sensor: Sensor) -> dict[str, Any]:
    installed = sensor.installed_set
    return {
        "netwatch": sensor.version,
        "signatures": sensor.signatures,
        "bans": sensor.bans,
        "configuration": sensor.policy,
        "set": None if installed is None else _part(installed),
    }


def _binding(binding: BindingPeriod | None, digits: int) -> dict[str, Any] | None:
    if binding is None:
        return None
    return {
        "source": binding.source,
        "from": None if binding.since is None else rfc3339(binding.since, digits),
        "until": None if binding.until is None else rfc3339(binding.until, digits),
        "file": binding.file or None,
        "line": binding.line or None,
    }


def _ban(ban: Ban, first_seen: int) -> dict[str, Any]:
    """A ban with the period that was in force at the first contact, and with all if there are
    several."""
    in_force = ban.period_at(first_seen) or ban.periods[0]
    record: dict[str, Any] = {
        "id": ban.id,
        "authority": ban.authority,
        "legal_basis": ban.legal_basis,
        "from": _day(in_force.start),
        "until": _day(in_force.end),
        "review": _day(ban.review),
        "basis": in_force.basis,
    }
    if len(ban.periods) > 1:
        record["periods"] = [
            {
                "from": _day(period.start),
                "until": _day(period.end),
                "basis": period.basis,
                "kind": "advice" if period.advice else "ban",
            }
            for period in ban.periods
        ]
    return record


def _exemption(exemption: Exemption | None) -> dict[str, Any] | None:
    if exemption is None:
        return None
    return {
        "ban": exemption.ban,
        "device": exemption.device,
        "apps": sorted(exemption.apps),
        "from": _day(exemption.start),
        "until": _day(exemption.end),
        "reason": exemption.reason,
        "approved_by": exemption.approved_by,
    }


def _evidence(item: EvidenceItem) -> dict[str, Any]:
    return {
        "time": rfc3339(item.time, item.time_digits),
        "type": item.type,
        "name": item.name,
        "rule": {
            "text": item.rule,
            "file": item.place.file,
            "line": item.place.line,
            "sources": list(item.place.sources),
        },
        "role": item.role,
        "source": item.source,
        **_place(item),
        "count": item.count,
        "app_only": item.app_only,
        "raw": item.raw,
        "chain": list(item.chain),
        "answer": None if item.answer is None else _part(item.answer),
        "tls": None if item.ja4 is None else {"ja4": item.ja4},
        "seen": _part(item.seen),
    }


def _place(item: EvidenceItem) -> dict[str, Any]:
    """The packet, or the log record."""
    if item.log is None:
        sampling = {"sampling": item.sampling} if item.sampling > 1 else {}
        return {"packet": item.packet, **sampling}
    log: dict[str, Any] = {
        "format": item.log.format,
        "line": item.packet,
        "lacks": list(item.log.lacks),
    }
    if item.log.sampling > 1:
        log["sampling"] = item.log.sampling
    return {"log": log}


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


class JsonlWriter:
    """Writes one JSON object per line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: ObservationLines | None = None

    def begin(self, records: RecordKind) -> None:
        """Write nothing: the format has no header."""

    def observations(self, batch: ObservationBatch) -> None:
        """Write all observations of a batch."""
        if self._lines is None:
            from netwatch.formats.observation_lines import ObservationLines
            from netwatch.formats.quoted_texts import JSON

            self._lines = ObservationLines(JSON)
        self._lines.write(batch, self._stream.write)

    def alert(self, alert: Alert) -> None:
        """Write one alert."""
        self.alert_record(alert_record(alert))

    def alert_record(self, record: AlertRecord) -> None:
        """Write one alert by its record."""
        self._stream.write(json_line(record) + "\n")

    def coverage(self, report: CoverageReport, everything: bool) -> bool:
        """Write the complete report, whatever `everything` is."""
        self._stream.write(json_line(report_record(report)) + "\n")
        return True

    def end(self) -> None:
        """Write nothing: nothing follows the last line."""
