"""``scan --deliver``: deliver the alerts of a run and report what could not be delivered."""

import time
from collections.abc import Iterable, Sequence

from netwatch.cli.printing import print_message
from netwatch.config import Config
from netwatch.core.alert import Alert
from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.text import quantity
from netwatch.delivery.delivery import Delivery, Undelivered
from netwatch.delivery.queue_values import OutputStatus
from netwatch.formats import jsonl

_OPEN_TIMEOUT = 3.0
_OPEN_POLL = 0.1


class RunDelivery:
    """Delivery of the alerts of one run; with `once`, outputs leave out those that they have
    delivered before. It opens outputs and outbox before the first capture is read, so that problems
    with them are reported immediately. Raises `ConfigError` and `NetwatchError`."""

    def __init__(self, config: Config, *, once: bool) -> None:
        if not config.outputs:
            problem = "--deliver needs 'outputs', the list of receivers of alerts"
            raise ConfigError([Problem(config.path or "netwatch.yaml", 0, 0, problem)])
        self._once = once
        self._delivery = Delivery(config.outputs, config.outbox, self._log)
        # Another process may be creating the outbox.
        deadline = time.monotonic() + _OPEN_TIMEOUT
        while not self._delivery.open():
            if time.monotonic() > deadline:
                problem = self._delivery.problem
                self._delivery.stop()
                raise NetwatchError(f"the outbox in {config.outbox.folder}: {problem}")
            time.sleep(_OPEN_POLL)

    def _log(self, text: str) -> None:
        print_message(f"netwatch: {text}")

    def deliver(self, alerts: Iterable[Alert], timeout: float, *, quiet: bool) -> bool:
        """Put all alerts into the outbox and wait until it is empty, at most `timeout` s. Returns
        whether alerts are undelivered or were refused, which is reported; unless `quiet` is set, it
        is also reported how many were delivered before."""
        before = self._delivery.status()
        self._delivery.start()
        try:
            records = [jsonl.alert_record(alert) for alert in alerts]
            self._delivery.put(*records, once=self._once)
            undelivered = self._delivery.drain(timeout)
            after = self._delivery.status()
        finally:
            self._delivery.stop()
        if not quiet:
            self._report_repeats(before, after)
        self._report_undelivered(undelivered)
        return bool(undelivered or _failed(after) - _failed(before))

    def _report_repeats(
        self, before: Sequence[OutputStatus], after: Sequence[OutputStatus]
    ) -> None:
        for old, new in zip(before, after, strict=True):
            if repeated := new.repeated - old.repeated:
                text = f"{quantity(repeated, 'alert')} sent again, delivered before"
                self._log(f"output {new.name}: {text}; --once sends each only once")
            if skipped := new.skipped - old.skipped:
                text = f"{quantity(skipped, 'alert')} not sent again, delivered before"
                self._log(f"output {new.name}: {text}")

    def _report_undelivered(self, undelivered: Undelivered) -> None:
        for name, queued in undelivered.queued.items():
            if queued:
                self._log(f"output {name}: {quantity(queued, 'alert')} left in the outbox")
        if undelivered.unwritten:
            lost = quantity(undelivered.unwritten, "alert")
            self._log(f"{lost} lost: the outbox could not be written")
        if undelivered.unread:
            self._log(
                f"alerts may be left in the outbox: it could not be read: {undelivered.unread}"
            )


def _failed(status: Sequence[OutputStatus]) -> int:
    return sum(each.dead + each.dropped for each in status)
