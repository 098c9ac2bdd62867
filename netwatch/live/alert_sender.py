"""Sends an alert wherever it has to go: evidence capture, records, outputs, listeners."""

from typing import Protocol

from netwatch.core.alert import Alert, AlertRecord
from netwatch.formats import jsonl
from netwatch.live.events import AlertSent, Listener
from netwatch.live.record_output import ReaderGoneError, RecordOutput


class AlertDelivery(Protocol):
    """Queues records for the configured outputs, as
    `netwatch.delivery.delivery.Delivery` does."""

    def put(self, *records: AlertRecord) -> None: ...  # noqa: D102

    def reopen(self) -> None: ...  # noqa: D102


class AlertEvidence(Protocol):
    """Writes the packets of alerts, as
    `netwatch.incidents.evidence_folder.EvidenceFolder` does."""

    def write(self, alert: Alert) -> Alert: ...  # noqa: D102

    def retry(self) -> None: ...  # noqa: D102


class AlertSender:
    """Sends alerts to `output`, to `delivery` and as events to `emit`.

    `evidence` writes the packets of an alert and returns it with the path of their file.
    `reader_gone` becomes True when the reader of the records has gone away.
    """

    def __init__(
        self,
        output: RecordOutput,
        delivery: AlertDelivery | None,
        evidence: AlertEvidence | None,
        emit: Listener,
    ) -> None:
        self.output = output
        self.reader_gone = False
        self._delivery = delivery
        self._evidence = evidence
        self._emit = emit

    def send(self, alert: Alert) -> None:
        """Send one alert."""
        if self._evidence is not None:
            alert = self._evidence.write(alert)
        try:
            self.output.write(alert)
        except ReaderGoneError:
            self.reader_gone = True
        if self._delivery is not None:
            self._delivery.put(jsonl.alert_record(alert))
        self._emit(AlertSent(alert))

    def flush(self) -> None:
        """Write buffered records, as far as that does not block."""
        try:
            self.output.flush()
        except ReaderGoneError:
            self.reader_gone = True

    def reopen(self) -> None:
        """Reopen the files that a log rotation has moved away."""
        self.output.reopen()
        if self._delivery is not None:
            self._delivery.reopen()
