"""``scan --deliver``: alerts of a run to the outputs, and what became of them."""

from collections.abc import Iterable

from netwatch.cli.terminal import print_message
from netwatch.config import Config
from netwatch.core.alert import Alert
from netwatch.core.errors import ConfigError, Problem
from netwatch.delivery.delivery import Delivery
from netwatch.formats import jsonl


class Delivering:
    """Opens outputs and outbox before the first capture is read, so that what is wrong with
    them is told at once. Raises `ConfigError` and `NetwatchError`."""

    def __init__(self, config: Config) -> None:
        if not config.outputs:
            told = "--deliver needs 'outputs', a list of where alerts go"
            raise ConfigError([Problem(config.path or "netwatch.yaml", 0, 0, told)])
        self._delivery = Delivery(config.outputs, config.outbox, self._tell)

    def _tell(self, text: str) -> None:
        print_message(f"netwatch: {text}")

    def deliver(self, alerts: Iterable[Alert], timeout: float) -> bool:
        """Put all alerts into the outbox and wait until it is empty, at most `timeout` s;
        whether something is left or was refused, which is told."""
        dead = self._dead()
        self._delivery.start()
        try:
            self._delivery.put(*(jsonl.alert_record(alert) for alert in alerts))
            left = self._delivery.drain(timeout)
            dead = self._dead() - dead
        finally:
            self._delivery.stop()
        for name, queued in left.queued.items():
            if queued:
                print_message(f"netwatch: output {name}: {queued:,} alerts left in the outbox")
        if left.unwritten:
            print_message(
                f"netwatch: {left.unwritten:,} alerts could not be written to the outbox: lost"
            )
        return bool(left or dead)

    def _dead(self) -> int:
        return sum(each.dead + each.dropped for each in self._delivery.status())
