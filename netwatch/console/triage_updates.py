"""What goes to the outputs when people have decided something of an incident: its record once more,
with the state; and what keeps the triage as long as its incidents.

A change is noted as untold in its own transaction, and no longer once it is in the outbox. What a
console that was killed has not told, the next one does; an output gets the same update once. Of
several consoles on one database, one takes each change.
"""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from netwatch.console.console import Console
from netwatch.console.triage import Changed
from netwatch.core.alert import TRIAGE, AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.delivery.delivery import Delivery
from netwatch.formats.values import rfc3339
from netwatch.store.incident_pages import incident_row

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
        self._telling = threading.Lock()
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
        self._tell()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._stack.close()

    def _tell(self) -> None:
        """Put what is untold into the outbox."""
        if self._delivery is None:
            return
        try:
            with self._telling:
                while self._console.triage.tell(partial(self._put, self._delivery)):
                    pass
        except NetwatchError as error:
            self._report(str(error))

    def _put(self, delivery: Delivery, incident: str, changed: Changed) -> bool:
        """Put a change into the outbox. While that cannot be written, the change stays untold: an
        output leaves out what it has got already."""
        if not delivery.problem and (row := incident_row(self._console.catalogue, incident)):
            update = self._update(json.loads(row.record), changed)
            delivery.put(update, once=True, only=self._names)
        return not delivery.problem

    def _update(self, record: AlertRecord, changed: Changed) -> AlertRecord:
        key, account = self._console.pseudonym_key, f"account {changed.account}"
        by = hmac.new(key, account.encode(), hashlib.sha256).hexdigest()[:12]
        said = {"state": changed.state, "by": f"u-{by}", "at": rfc3339(changed.time, 3)}
        return {**record, TRIAGE: said}

    def _run(self) -> None:
        while True:
            try:
                self._console.triage.forget_missing(self._console.catalogue)
            except NetwatchError as error:
                self._report(str(error))
            if self._end.wait(self._interval):
                return
            self._tell()
