"""Sends an alert wherever it has to go: evidence capture, records, outputs, listeners."""

from typing import Protocol

from netwatch.core.alert import Alert, AlertRecord
from netwatch.formats import jsonl
from netwatch.live.events import AlertSent, Listener
from netwatch.live.record_output import ReaderGoneError, RecordOutput

BATCH = 500
"""Alerts that are put into the outbox together at the end: each time it is written to the disk."""


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
        self._batch: list[AlertRecord] | None = None

    def expect_end(self) -> None:
        """The capture has ended, and many alerts may follow: from now on they are put into the
        outbox in batches, and the reader of the records is waited for. `flush` ends a batch."""
        self._batch = []
        self.output.may_wait = True

    def send(self, alert: Alert) -> None:
        """Send one alert."""
        if self._evidence is not None:
            alert = self._evidence.write(alert)
        try:
            self.output.write(alert)
        except ReaderGoneError:
            self.reader_gone = True
        if self._delivery is not None:
            self._deliver(jsonl.alert_record(alert))
        self._emit(AlertSent(alert))

    def _deliver(self, record: AlertRecord) -> None:
        assert self._delivery is not None
        if self._batch is None:
            self._delivery.put(record)
            return
        self._batch.append(record)
        if len(self._batch) >= BATCH:
            self._put_batch()

    def _put_batch(self) -> None:
        if self._batch and self._delivery is not None:
            self._delivery.put(*self._batch)
            self._batch = []

    def flush(self) -> None:
        """Write buffered records, as far as that does not block."""
        self._put_batch()
        try:
            self.output.flush()
        except ReaderGoneError:
            self.reader_gone = True

    def reopen(self) -> None:
        """Reopen the files that a log rotation has moved away."""
        self.output.reopen()
        if self._delivery is not None:
            self._delivery.reopen()
