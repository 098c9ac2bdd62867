"""The writer of every format in which a record is one line rendered from its JSON record, and the
JSON record of a row of an observation batch."""

from typing import Any, TextIO

from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.alert import Alert, AlertRecord, RecordKind
from netwatch.core.community_id import community_id
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import (
    COLUMNS,
    EVIDENCE,
    TRANSPORTS,
    WORD_CLIENT_IP,
    WORD_CLIENT_PORT,
    WORD_SERVER_IP,
    WORD_SERVER_PORT,
    WORD_TIME_DIGITS,
    WORD_TRANSPORT,
    Column,
)
from netwatch.coverage.counts import CoverageReport
from netwatch.formats import jsonl
from netwatch.formats.registry import ObservationRenderer, Renderer
from netwatch.formats.values import rfc3339


def observation_record(batch: ObservationBatch, row: int) -> dict[str, Any]:
    """The record of a row, in the order of `COLUMNS`. Keys whose value is not known are omitted."""
    record: dict[str, Any] = {}
    for column in COLUMNS:
        value = _value(batch, row, column)
        if value is None:
            continue
        *groups, key = column.path
        place = record
        for group in groups:
            place = place.setdefault(group, {})
        place[key] = value
    return record


def _value(batch: ObservationBatch, row: int, column: Column) -> Any:
    """The value of a column in a row, None if there is none."""
    word = batch.word(row, column.word) if column.word >= 0 else 0
    match column.kind:
        case "time":
            return rfc3339(word, batch.word(row, WORD_TIME_DIGITS))
        case "evidence":
            return EVIDENCE[word]
        case "text":
            return batch.text(word) if word else None
        case "address":
            return ip_text(batch.packed(word)) if word else None
        case "number":
            return word
        case "optional number":
            return word if word >= 0 else None
        case "positive number":
            return word or None
        case "mac":
            return mac_text(word.to_bytes(7, "big")[1:]) if word else None
        case "transport":
            return TRANSPORTS[word]
        case "source":
            return batch.sources[word]
        case "place":
            return batch.sources[word - 1] if word else None
        case "texts":
            return list(batch.text_list(word)) or None
        case "addresses":
            return [address for address, _ in batch.answers(word)] or None
        case "community id":
            return _community_id(batch, row)


def _community_id(batch: ObservationBatch, row: int) -> str | None:
    """The Community ID of a row; None if a log lacks an address or a port."""
    client, server = batch.word(row, WORD_CLIENT_IP), batch.word(row, WORD_SERVER_IP)
    ports = batch.word(row, WORD_CLIENT_PORT), batch.word(row, WORD_SERVER_PORT)
    if not client or not server or min(ports) < 0:
        return None
    return community_id(
        # A pseudonym is longer than an address; `CommunityIds` takes an address-sized part of it.
        batch.packed(client)[:16],
        batch.packed(server),
        *ports,
        batch.word(row, WORD_TRANSPORT),
    )


class LineWriter:
    """Writes one line per record. `observation` is None for formats that only express alerts."""

    def __init__(
        self, stream: TextIO, *, alert: Renderer, observation: ObservationRenderer | None = None
    ) -> None:
        self._stream = stream
        self._render_alert = alert
        self._render_observation = observation

    def begin(self, records: RecordKind) -> None:
        """Write nothing: these formats have no header."""

    def observations(self, batch: ObservationBatch) -> None:
        """Write the observations of a batch. Raises ValueError if the format is for alerts only."""
        render = self._render_observation
        if render is None:
            raise ValueError("this format is for alerts only")
        for start, stop in batch.spans:
            for row in range(start, stop):
                self._stream.write(render(observation_record(batch, row)) + "\n")

    def alert(self, alert: Alert) -> None:
        """Write one alert."""
        self.alert_record(jsonl.alert_record(alert))

    def alert_record(self, record: AlertRecord) -> None:
        """Write one alert by its record."""
        self._stream.write(self._render_alert(record) + "\n")

    def coverage(self, report: CoverageReport, everything: bool) -> bool:
        """Write nothing: the formats for SIEMs express events, not reports."""
        return False

    def end(self) -> None:
        """Write nothing: nothing follows the last line."""
