"""The writer of every format in which a record is one line rendered from its JSON record."""

from typing import TextIO

from netwatch.core.alert import Alert, AlertRecord, RecordKind
from netwatch.core.observation_batch import ObservationBatch
from netwatch.coverage.counts import CoverageReport
from netwatch.formats import jsonl
from netwatch.formats.base import ObservationRenderer, Renderer
from netwatch.formats.observation_record import observation_record


class LineWriter:
    """Writes one line a record. `observation` is None for formats that express alerts only."""

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
