"""Records as CSV (RFC 4180) for spreadsheets: one header, then one flat row per record.

Cells are written by `netwatch.core.tabular`; unknown values are empty.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from netwatch.core import tabular
from netwatch.core.alert import Alert, AlertRecord, RecordKind, sentences
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import ORDERED_COLUMNS
from netwatch.core.tabular import cell, csv_line
from netwatch.coverage.counts import CoverageReport
from netwatch.formats import jsonl
from netwatch.formats.alert_summary import contradiction_texts, seen_words
from netwatch.formats.values import endpoint, epoch_ns, period_texts

if TYPE_CHECKING:
    from netwatch.formats.observation_lines import ObservationLines

OBSERVATION_COLUMNS: tuple[str, ...] = tuple(column.name for column in ORDERED_COLUMNS)
"""The columns of an observation: the keys of its JSON record, nested ones joined by ``_``."""

ALERT_COLUMNS: tuple[str, ...] = (
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
    "binding_source",
    "binding_from",
    "binding_until",
    "ban_basis",
    "ban_periods",
    "versions_netwatch",
    "versions_signatures",
    "versions_bans",
    "versions_configuration",
    "versions_set_version",
    "versions_set_hash",
    "versions_set_expires",
    "kind_value",
    "kind_reasons",
    "outcome",
    "blocked_by",
    "confidence_reasons",
    "counts_outcomes_reached",
    "counts_outcomes_attempted",
    "counts_outcomes_blocked",
    "counts_outcomes_unknown",
    "device_reason",
    "device_randomised_mac",
    "binding_file",
    "binding_line",
    "duration",
    "first_log_format",
    "first_log_line",
    "first_log_lacks",
    "contradictions",
    "candidates",
    "evidence_seen",
    "unheard_since",
    "unheard_status",
    "clients",
    "triage_state",
    "triage_by",
    "triage_at",
)
"""The columns of an alert: the keys of its JSON record, nested ones joined by ``_``. Exceptions are
`destinations` (``address:port``), `evidence` (``type=name``), `candidates` (``name|name``),
`evidence_count` (how many sightings there were in total), `first_source` and `first_packet` (for a
log `first_log_format`, `first_log_line` and `first_log_lacks`), which locate the first of them,
`ban_periods` (``first day/last day``), `contradictions` (their sentences), and `evidence_seen`
(``server=true,directions=both,checksum=right`` for each of `evidence`)."""

CASE_COLUMNS: tuple[str, ...] = (*ALERT_COLUMNS, "joined_by", "seen_by")
"""The columns of a case: those of an alert, the evidence that its sensors saw one incident, and
`seen_by` (``sensor=incident``)."""


def alert_row(record: AlertRecord) -> list[str]:
    """The cells of an alert's record, in the order of `ALERT_COLUMNS`."""
    flat = _flat(record)
    evidence = record["evidence"]
    flat["destinations"] = [
        endpoint(server["ip"], server["port"]) for server in record["destinations"]
    ]
    flat["ban_periods"] = period_texts(record["ban"])
    flat["evidence"] = [f"{item['type']}={item['name']}" for item in evidence]
    flat["kind_reasons"] = sentences(flat.get("kind_reasons") or ())
    flat["confidence_reasons"] = sentences(flat.get("confidence_reasons") or ())
    flat["contradictions"] = contradiction_texts(record)
    flat["candidates"] = ["|".join(each["names"]) for each in record.get("candidates") or ()]
    flat["evidence_seen"] = seen_words(record)
    flat["evidence_count"] = sum(item["count"] for item in evidence)
    if evidence:
        first = min(evidence, key=lambda item: epoch_ns(item["time"]))
        flat["first_source"] = first["source"]
        flat["first_packet"] = first.get("packet")
        for key, value in (first.get("log") or {}).items():
            flat[f"first_log_{key}"] = value
    return _row(ALERT_COLUMNS, flat)


def case_row(record: Mapping[str, Any]) -> list[str]:
    """The cells of the record of a case, in the order of `CASE_COLUMNS`."""
    seen_by = [f"{each['sensor']}={each['incident']}" for each in record["seen_by"]]
    return [*alert_row(record), cell(record["joined_by"]), cell(seen_by)]


def render(record: AlertRecord) -> str:
    """Render an alert's record as one row, without a header and without a line terminator."""
    return csv_line(alert_row(record))


def _flat(record: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{path}{key}_")
        else:
            flat[f"{path}{key}"] = value
    return flat


def _row(columns: Iterable[str], flat: dict[str, Any]) -> list[str]:
    return [cell(flat.get(column)) for column in columns]


class CsvWriter:
    """Writes a header and one row per record. A stream contains records of one kind only."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._writer = tabular.CsvWriter(stream)
        self._lines: ObservationLines | None = None
        self._columns: tuple[str, ...] = ()

    def begin(self, records: RecordKind) -> None:
        """Write the header for this kind of records."""
        self._write_header(OBSERVATION_COLUMNS if records == "observations" else ALERT_COLUMNS)

    def observations(self, batch: ObservationBatch) -> None:
        """Write all observations of a batch."""
        self._write_header(OBSERVATION_COLUMNS)
        if self._lines is None:
            from netwatch.formats.observation_lines import ObservationLines
            from netwatch.formats.quoted_texts import CSV

            self._lines = ObservationLines(CSV)
        self._lines.write(batch, self._stream.write)

    def alert(self, alert: Alert) -> None:
        """Write one alert."""
        self.alert_record(jsonl.alert_record(alert))

    def alert_record(self, record: AlertRecord) -> None:
        """Write one alert by its record."""
        self._write_header(ALERT_COLUMNS)
        self._writer.row(alert_row(record))

    def coverage(self, report: CoverageReport, everything: bool) -> bool:
        """Write nothing: the rows of the report would not match the header."""
        return False

    def end(self) -> None:
        """Write nothing: nothing follows the last row."""

    def _write_header(self, columns: tuple[str, ...]) -> None:
        if not self._columns:
            self._columns = columns
            self._writer.row(columns)
        elif self._columns is not columns:
            raise ValueError("observations and alerts cannot share a CSV stream")
