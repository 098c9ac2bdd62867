"""What goes to the outputs when people have decided something of an incident: its record once more,
with the state; and what keeps the triage as long as its incidents.
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack

from netwatch.console.console import Console
from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.delivery.delivery import Delivery

DRAIN_SECONDS = 5.0
"""How long the end of a console waits for its outputs; what is left is sent by the next one."""

INTERVAL = 3600.0
"""Seconds after which incidents that are gone are looked for again."""


class TriageService:
    """Sends the decisions of a console to its outputs, and forgets those of incidents that are
    gone; a context. `report` is told what went wrong. Raises `ConfigError` where an output cannot
    be used."""

    def __init__(
        self,
        console: Console,
        report: Callable[[str], None],
        interval: float = INTERVAL,
    ) -> None:
        self._console = console
        self._report = report
        self._interval = interval
        self._names = console.options.triage_outputs
        # The outbox is shared with a live capture: each has to know all outputs.
        config = console.config
        self._delivery = Delivery(config.outputs, config.outbox, report) if self._names else None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="triage", daemon=True)

    def __enter__(self) -> "TriageService":
        with ExitStack() as stack:
            if self._delivery is not None:
                self._delivery.start()
                stack.callback(self._delivery.stop)
                stack.callback(self._delivery.drain, DRAIN_SECONDS)
            self._thread.start()
            self._stack = stack.pop_all()
        self._console.tell_triage = self._tell
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._stack.close()

    def _tell(self, record: AlertRecord) -> None:
        if self._delivery is not None:
            self._delivery.put(record, only=self._names)

    def _run(self) -> None:
        while True:
            try:
                self._console.triage.forget_missing(self._console.catalogue)
            except NetwatchError as error:
                self._report(str(error))
            if self._end.wait(self._interval):
                return
