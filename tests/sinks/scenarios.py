"""What goes wrong between an output and its receiver, counted: alerts in, alerts out.

The tests hold each count to "none lost"; `report.py` writes them into the table of the
documentation.
"""

import json
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Receiver
from made_alerts import output, records
from made_deliveries import Deliveries
from proxy import Fault, Proxy
from receivers import PATIENCE, until

from netwatch.formats import RENDERERS
from netwatch.sinks.base import JSON_FORMATS
from netwatch.sinks.delivery import Delivery

SOME = 300
"""Alerts of a scenario with a fault: more than most sinks send at once."""


@dataclass(frozen=True)
class Outcome:
    """Alerts put, different ones of them that arrived as they were sent, repetitions, and
    lines that are none of them."""

    put: int
    arrived: int
    repeated: int
    strange: int

    @property
    def lost(self) -> int:
        return self.put - self.arrived


def canonical(line: str, form: str) -> str:
    """A line as it is compared: JSON by its value, all else by its letters."""
    if form not in JSON_FORMATS:
        return line
    value = json.loads(line)
    if form != "ecs":
        value.pop("@timestamp", None)
    return json.dumps(value, sort_keys=True)


def counted(sent: Sequence[dict[str, Any]], form: str, lines: Sequence[str]) -> Outcome:
    """What arrived of the alerts that were sent."""
    expected = {canonical(RENDERERS[form](each), form) for each in sent}
    assert len(expected) == len(sent)
    got: Counter[str] = Counter()
    strange = 0
    for line in lines:
        try:
            got[canonical(line, form)] += 1
        except ValueError:
            strange += 1
    strange += sum(count for text, count in got.items() if text not in expected)
    arrived = sum(1 for text in got if text in expected)
    repeated = sum(count - 1 for text, count in got.items() if text in expected)
    return Outcome(len(sent), arrived, repeated, strange)


def drained(delivery: Delivery) -> None:
    left = delivery.drain(PATIENCE)
    assert not left, (left, delivery.status())


def settled(receiver: Receiver, sent: Sequence[dict[str, Any]], form: str) -> Outcome:
    """What the receiver has when it has written all, or nothing more for a while."""
    until(lambda: counted(sent, form, receiver.lines()).lost == 0, f"{receiver.name} has all")
    return counted(sent, form, receiver.lines())


@dataclass(frozen=True)
class Run:
    """A receiver, and how to deliver to it."""

    receiver: Receiver
    deliver: Deliveries
    folder: Path
    form: str = "jsonl"

    def delivery(self, port: int | None = None, **keys: Any) -> Delivery:
        own = self.receiver.keys(self.receiver.port if port is None else port)
        return self.deliver(output(self.folder, **{**own, "format": self.form, **keys}))


def nothing(run: Run, count: int = SOME) -> Outcome:
    """All is well."""
    run.receiver.start()
    sent = records(count)
    delivery = run.delivery()
    delivery.put(*sent)
    drained(delivery)
    return settled(run.receiver, sent, run.form)


def down(run: Run) -> Outcome:
    """The receiver is down when alerts come, and comes back."""
    run.receiver.start()
    run.receiver.stop()
    sent = records(SOME)
    delivery = run.delivery()
    delivery.put(*sent)
    until(lambda: delivery.status()[0].retried >= 3, "it was tried again and again")
    run.receiver.start()
    drained(delivery)
    return settled(run.receiver, sent, run.form)


def restarted(run: Run, how: signal.Signals = signal.SIGTERM) -> Outcome:
    """The receiver is restarted while alerts come."""
    run.receiver.start()
    sent = records(SOME)
    delivery = run.delivery()
    for at in range(0, SOME, 10):
        delivery.put(*sent[at : at + 10])
        if at in (100, 200):
            until(lambda at=at: delivery.status()[0].sent >= at // 2, "some are sent")
            run.receiver.stop(how)
            run.receiver.start()
    drained(delivery)
    return settled(run.receiver, sent, run.form)


def _through(run: Run, fault: Fault, meet: int = 1) -> Outcome:
    run.receiver.start()
    proxy = Proxy(run.receiver.port)
    try:
        proxy.fault = fault
        sent = records(SOME)
        delivery = run.delivery(port=proxy.port)
        delivery.put(*sent)
        drained(delivery)
        assert proxy.met >= meet
        return settled(run.receiver, sent, run.form)
    finally:
        proxy.end()


def reset(run: Run) -> Outcome:
    """The connection is reset in the middle of a message, three times."""
    return _through(run, Fault(reset_after=2500, connections=3), 3)


def hole(run: Run) -> Outcome:
    """Connections are taken and nothing is read or answered, twice."""
    return _through(run, Fault(hole=True, connections=2), 2)


def slow(run: Run) -> Outcome:
    """The receiver reads four KiB every few milliseconds."""
    return _through(run, Fault(pause=0.005))


FAULTS: dict[str, Callable[[Run], Outcome]] = {
    "none": nothing,
    "down and back": down,
    "restarted": restarted,
    "reset": reset,
    "black hole": hole,
    "slow reader": slow,
}
"""By the head of the table's column."""


def applies(receiver: str, fault: str) -> bool:
    """Whether a receiver can meet a fault. UDP promises nothing to a receiver that restarts;
    the mock cluster keeps nothing over its own end, and a file is not reached by a network."""
    if receiver == "file":
        return fault == "none"
    if receiver == "kafka":
        return fault == "none"
    if receiver == "rsyslog-udp":
        return fault in ("none", "down and back")
    return True
