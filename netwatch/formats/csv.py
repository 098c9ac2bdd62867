"""Records as CSV (RFC 4180) for spreadsheets: one header, one flat row a record.

Lists are joined by a space. A cell that a spreadsheet would take for a formula (it starts
with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return) gets an apostrophe in front,
and characters that could break a line or steer a terminal are written as ``\\uXXXX``.
What is not known is an empty cell.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from netwatch.core.alert import Alert, Records
from netwatch.core.observation import Observation
from netwatch.coverage.counts import Report
from netwatch.formats import jsonl
from netwatch.formats.values import endpoint, epoch_ns, escaped

OBSERVATION: tuple[str, ...] = (
    "time",
    "evidence",
    "name",
    "client_ip",
    "client_port",
    "client_mac",
    "server_ip",
    "server_port",
    "transport",
    "vlan",
    "community_id",
    "source",
    "packet",
    "dns_type",
    "dns_rcode",
    "dns_answers",
    "dns_chain",
    "tls_version",
    "tls_alpn",
    "tls_ja4",
    "tls_ech",
    "quic_version",
    "dns_ech",
)
"""Columns of an observation: the keys of its JSON record, joined by an underscore."""

ALERT: tuple[str, ...] = (
    "schema",
    "id",
    "status",
    "verdict",
    "severity",
    "confidence",
    "first_seen",
    "last_seen",
    "app_id",
    "app_name",
    "app_vendor",
    "ban_id",
    "ban_authority",
    "ban_legal_basis",
    "ban_from",
    "ban_until",
    "ban_review",
    "exemption_ban",
    "exemption_device",
    "exemption_apps",
    "exemption_from",
    "exemption_until",
    "exemption_reason",
    "exemption_approved_by",
    "device_id",
    "device_ip",
    "device_mac",
    "device_hostname",
    "device_owner",
    "device_class",
    "network_name",
    "network_class",
    "network_authority",
    "network_vlan",
    "destinations",
    "names",
    "evidence",
    "evidence_count",
    "first_source",
    "first_packet",
    "counts_lookups",
    "counts_handshakes",
    "counts_flows",
    "counts_bytes_out",
    "counts_bytes_in",
    "community_ids",
    "sensor_name",
    "sensor_version",
    "sensor_signatures",
    "sensor_policy",
)
"""Columns of an alert: the keys of its JSON record, joined by an underscore, but for
`destinations` (``address:port``), `evidence` (``type=name``), `evidence_count` (how often
there was any) and the place of the first of it."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def observation(obs: Observation) -> list[str]:
    """The cells of an observation, in the order of OBSERVATION."""
    return _row(OBSERVATION, _flat(jsonl.observation(obs)))


def alert(told: Alert) -> list[str]:
    """The cells of an alert, in the order of ALERT."""
    return cells(jsonl.alert(told))


def cells(record: Mapping[str, Any]) -> list[str]:
    """The cells of an alert's record, in the order of ALERT."""
    flat = _flat(record)
    evidence = record["evidence"]
    flat["destinations"] = [endpoint(to["ip"], to["port"]) for to in record["destinations"]]
    flat["evidence"] = [f"{item['type']}={item['name']}" for item in evidence]
    flat["evidence_count"] = sum(item["count"] for item in evidence)
    if evidence:
        first = min(evidence, key=lambda item: epoch_ns(item["time"]))
        flat["first_source"] = first["source"]
        flat["first_packet"] = first["packet"]
    return _row(ALERT, flat)


def render(record: Mapping[str, Any]) -> str:
    """An alert's record as one row, without a header (`ALERT`) and the line's end."""
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(cells(record))
    return row.getvalue()


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            for below, inner in value.items():
                flat[f"{key}_{below}"] = inner
        else:
            flat[key] = value
    return flat


def _row(columns: Iterable[str], flat: dict[str, Any]) -> list[str]:
    return [cell(flat.get(column)) for column in columns]


def cell(value: Any) -> str:
    """A value as the text of one cell, safe to open in a spreadsheet."""
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    text = value if isinstance(value, str) else " ".join(map(str, value))
    guard = "'" if text.startswith(_FORMULA) else ""
    return guard + escaped(text)


class CsvWriter:
    """Writes a header, then a row each. A stream holds one kind of record."""

    def __init__(self, stream: TextIO) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")
        self._columns: tuple[str, ...] = ()

    def begin(self, records: Records) -> None:
        """Write the header of the records to come."""
        self._head(OBSERVATION if records == "observations" else ALERT)

    def observation(self, obs: Observation) -> None:
        """Write one observation."""
        self._head(OBSERVATION)
        self._writer.writerow(observation(obs))

    def alert(self, told: Alert) -> None:
        """Write one alert."""
        self._head(ALERT)
        self._writer.writerow(alert(told))

    def coverage(self, report: Report, everything: bool) -> bool:
        """Write nothing: its rows would not be those of the header."""
        return False

    def end(self) -> None:
        """Nothing follows the last row."""

    def _head(self, columns: tuple[str, ...]) -> None:
        if not self._columns:
            self._columns = columns
            self._writer.writerow(columns)
        elif self._columns is not columns:
            raise ValueError("observations and alerts do not share a CSV stream")
