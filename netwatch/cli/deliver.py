"""``scan --deliver``: deliver the alerts of a run and report what could not be delivered."""

from collections.abc import Iterable

from netwatch.cli.printing import print_message
from netwatch.config import Config
from netwatch.core.alert import Alert
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.text import quantity
from netwatch.delivery.delivery import Delivery
from netwatch.formats import jsonl


class RunDelivery:
    """Delivery of the alerts of one run. It opens outputs and outbox before the first capture is
    read, so that problems with them are reported immediately. Raises `ConfigError` and
    `NetwatchError`."""

    def __init__(self, config: Config) -> None:
        if not config.outputs:
            problem = "--deliver needs 'outputs', the list of receivers of alerts"
            raise ConfigError([Problem(config.path or "netwatch.yaml", 0, 0, problem)])
        self._delivery = Delivery(config.outputs, config.outbox, self._log)

    def _log(self, text: str) -> None:
        print_message(f"netwatch: {text}")

    def deliver(self, alerts: Iterable[Alert], timeout: float) -> bool:
        """Put all alerts into the outbox and wait until it is empty, at most `timeout` s. Returns
        whether alerts are undelivered or were refused, which is reported too."""
        failed_before = self._failed()
        self._delivery.start()
        try:
            self._delivery.put(*(jsonl.alert_record(alert) for alert in alerts))
            undelivered = self._delivery.drain(timeout)
            failed = self._failed() - failed_before
        finally:
            self._delivery.stop()
        for name, queued in undelivered.queued.items():
            if queued:
                left = quantity(queued, "alert")
                print_message(f"netwatch: output {name}: {left} left in the outbox")
        if undelivered.unwritten:
            lost = quantity(undelivered.unwritten, "alert")
            print_message(f"netwatch: {lost} lost: the outbox could not be written")
        return bool(undelivered or failed)

    def _failed(self) -> int:
        return sum(status.dead + status.dropped for status in self._delivery.status())
