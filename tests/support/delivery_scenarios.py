"""What goes wrong between an output and its receiver, counted: alerts in, alerts out.

The tests hold each count to "none lost"; `report.py` writes them into the tables of the
documentation.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from support.crashing_delivery import AT, ends
from support.faulty_proxy import Fault, Proxy
from support.made_alerts import output, record, records
from support.made_deliveries import Certificates, Deliveries
from support.paths import SUPPORT
from support.receiver_harness import Receiver
from support.receiver_harness_tenzir import Tenzir, timed
from support.receivers import PATIENCE, until

from netwatch.delivery.delivery import Delivery
from netwatch.delivery.worker import Timing
from netwatch.formats.registry import RENDERERS
from netwatch.sinks import mail
from netwatch.sinks.base import JSON_FORMATS

SOME = 300
"""Alerts of a scenario with a fault: more than most sinks send at once."""

SCALE = 1000
"""Ten minutes are so many times shorter in the tests: backoff and all."""

TEN_MINUTES = 600.0


@dataclass(frozen=True)
class Outcome:
    """Alerts put, different ones of them that arrived as they were sent, repetitions, lines
    that are none of them, and dead letters."""

    put: int
    arrived: int
    repeated: int
    strange: int
    dead: int = 0

    @property
    def lost(self) -> int:
        return self.put - self.arrived - self.dead


def canonical(line: str, form: str, receiver: Receiver) -> str:
    """A line as it is compared: JSON by its value, all else by its letters."""
    if form not in JSON_FORMATS:
        return line
    value = json.loads(line)
    if form != "ecs":
        value.pop("@timestamp", None)
    if isinstance(receiver, Tenzir):
        value = timed(value)
    return json.dumps(value, sort_keys=True)


def told(alert: dict[str, Any], form: str) -> str:
    """An alert as it is sent; a mail has a form of its own."""
    return RENDERERS[form](alert) if form else mail.line(alert)


def counted(sent: Sequence[dict[str, Any]], form: str, receiver: Receiver) -> Outcome:
    """What arrived of the alerts that were sent."""
    expected = {canonical(told(each, form), form, receiver) for each in sent}
    assert len(expected) == len(sent)
    got: Counter[str] = Counter()
    strange = 0
    for line in receiver.lines():
        try:
            got[canonical(line, form, receiver)] += 1
        except ValueError:
            strange += 1
    strange += sum(count for text, count in got.items() if text not in expected)
    arrived = sum(1 for text in got if text in expected)
    repeated = sum(count - 1 for text, count in got.items() if text in expected)
    return Outcome(len(sent), arrived, repeated, strange)


def drained(delivery: Delivery, patience: float = PATIENCE) -> None:
    """Wait until nothing is left, not even with an output that was paused for a while."""
    deadline = time.monotonic() + patience
    while left := delivery.drain(1):
        assert time.monotonic() < deadline, (left, delivery.status())
        threading.Event().wait(0.02)


def settled(
    receiver: Receiver, sent: Sequence[dict[str, Any]], form: str, dead: int = 0
) -> Outcome:
    """What the receiver has when it has written all."""
    found: list[Outcome] = []

    def all_there() -> bool:
        found.append(counted(sent, form, receiver))
        return found[-1].lost <= dead

    until(all_there, f"{receiver.name} has all")
    return replace(found[-1], dead=dead)


@dataclass(frozen=True)
class Run:
    """A receiver, and how to deliver to it."""

    receiver: Receiver
    deliver: Deliveries
    folder: Path
    certificates: Certificates
    form: str = "jsonl"

    def made(self, port: int | None = None, **keys: Any) -> dict[str, Any]:
        """The keys of an output for the receiver."""
        own = self.receiver.keys(self.receiver.port if port is None else port)
        return {**own, **({"format": self.form} if self.form else {}), **keys}

    def delivery(
        self, port: int | None = None, timing: Timing | None = None, **keys: Any
    ) -> Delivery:
        made = output(self.folder, **self.made(port, **keys))
        return self.deliver(made, timing=timing) if timing else self.deliver(made)


def nothing(run: Run, count: int = SOME) -> Outcome:
    """All is well."""
    run.receiver.start()
    sent = records(count)
    delivery = run.delivery()
    delivery.put(*sent)
    drained(delivery)
    return settled(run.receiver, sent, run.form)


def down(run: Run, scale: float = SCALE) -> Outcome:
    """The receiver is down for ten minutes when alerts come, and comes back; with all times
    of the courier so many times shorter, or as they are."""
    run.receiver.start()
    run.receiver.stop()
    sent = records(SOME)
    usual = Timing()
    timing = Timing(
        usual.first / scale, usual.cap / scale, usual.pause / scale, max(0.01, usual.poll / scale)
    )
    back = time.monotonic() + TEN_MINUTES / scale
    delivery = run.delivery(timing=timing)
    delivery.put(*sent)
    delivery.drain(0.1)
    until(lambda: delivery.status()[0].retried >= 3, "it was tried again and again")
    threading.Event().wait(max(0, back - time.monotonic()))
    run.receiver.start()
    drained(delivery, PATIENCE + 1.5 * timing.cap)
    return settled(run.receiver, sent, run.form)


def restarted(run: Run, how: signal.Signals = signal.SIGTERM) -> Outcome:
    """The receiver is restarted while alerts come."""
    run.receiver.start()
    sent = records(SOME)
    delivery = run.delivery()
    for at in range(0, SOME, 10):
        delivery.put(*sent[at : at + 10])
        if at in (100, 200):
            delivery.drain(0.5)
            until(lambda at=at: delivery.status()[0].sent >= at // 2, "some are sent")
            run.receiver.stop(how)
            run.receiver.start()
    drained(delivery)
    return settled(run.receiver, sent, run.form)


def _through(run: Run, fault: Fault) -> Outcome:
    own = getattr(run.receiver, "misbehave", None)
    proxy = None
    if own is None:
        proxy = Proxy(run.receiver.port)
        if hasattr(run.receiver, "advertised"):
            run.receiver.advertised = proxy.port
    run.receiver.start()
    try:
        if proxy is not None:
            proxy.fault = replace(fault)
        else:
            own(fault)
        sent = records(SOME)
        delivery = run.delivery(port=None if proxy is None else proxy.port)
        delivery.put(*sent)
        if proxy is None and fault.hole:
            until(lambda: delivery.status()[0].retried >= 1, "it was waited for in vain")
            run.receiver.settle()
        drained(delivery, 2 * PATIENCE)
        if proxy is not None:
            assert proxy.met >= min(fault.connections, 3)
        else:
            run.receiver.settle()
        return settled(run.receiver, sent, run.form)
    finally:
        if proxy is not None:
            proxy.end()


def reset(run: Run) -> Outcome:
    """The connection is reset in the middle of a message, three times."""
    return _through(run, Fault(reset_after=2500, connections=3))


def hole(run: Run) -> Outcome:
    """Connections are taken and nothing is read or answered, twice."""
    return _through(run, Fault(hole=True, connections=2))


def slow(run: Run) -> Outcome:
    """The receiver reads four KiB every few milliseconds."""
    return _through(run, Fault(pause=0.005, connections=1))


def _certified(run: Run, names: Sequence[str], days: int, why: str) -> Outcome:
    receiver: Any = run.receiver
    good = getattr(receiver, "pair", None) or run.certificates.issue("127.0.0.1")
    receiver.secure(run.certificates.issue(*names, days=days))
    receiver.start()
    sent = records(SOME)
    delivery = run.delivery()
    delivery.put(*sent)
    delivery.drain(0.1)
    until(lambda: delivery.status()[0].retried >= 2, "it was refused")
    assert why in delivery.status()[0].reason, delivery.status()
    assert delivery.status()[0].sent == 0
    receiver.stop()
    receiver.secure(good)
    receiver.start()
    drained(delivery)
    return settled(receiver, sent, run.form)


def expired(run: Run) -> Outcome:
    """The receiver's certificate has expired, and is renewed."""
    return _certified(run, ("127.0.0.1", "siem.example"), -1, "expired")


def misnamed(run: Run) -> Outcome:
    """The receiver's certificate is for another name, and is replaced."""
    return _certified(run, ("other.example",), 30, "not valid for")


def _answered(kind: str) -> Callable[[Run], Outcome]:
    def scenario(run: Run) -> Outcome:
        receiver: Any = run.receiver
        receiver.start()
        receiver.trouble(kind)
        sent = records(SOME)
        delivery = run.delivery()
        delivery.put(*sent)
        if kind == "busy" and receiver.name.startswith("NATS"):
            until(lambda: delivery.status()[0].retried >= 2, "it was full")
            receiver.settle()
        drained(delivery)
        status = delivery.status()[0]
        if kind != "poison" and not receiver.name.startswith("Kafka"):
            assert status.retried >= 1
        if kind == "denied":
            assert any("PAUSED" in line for line in run.deliver.said)
        return settled(receiver, sent, run.form, status.dead)

    scenario.__doc__ = f"Answers of the kind `{kind}`, then it is as ever."
    return scenario


def killed(run: Run) -> Outcome:
    """netwatch is killed (SIGKILL) at each step of a delivery, and started again at last."""
    run.receiver.start()
    taken: list[int] = []
    script = SUPPORT / "crashing_delivery.py"
    keys = json.dumps(run.made())
    for turn, step in enumerate([*AT, "none"]):
        last = step == "none"
        words = [str(run.folder), keys, str(turn * 20), "0" if last else "20", step, "1", "behind"]
        done = subprocess.run(
            [sys.executable, str(script), *words], capture_output=True, text=True, timeout=120
        )
        expected = 0 if last else -signal.SIGKILL
        assert done.returncode == expected or ends(step), (step, done.returncode, done.stderr)
        taken += [int(word) for word in done.stdout.split()]
    sent = [record(number) for number in range(len(AT) * 20)]
    until(
        lambda: (
            {canonical(told(record(n), run.form), run.form, run.receiver) for n in taken}
            <= {canonical(line, run.form, run.receiver) for line in run.receiver.lines()}
        ),
        "all that was taken is there",
    )
    found = counted(sent, run.form, run.receiver)
    # What was not yet said to be taken may have arrived all the same.
    return replace(found, put=len(taken), arrived=min(found.arrived, len(taken)))


FAULTS: dict[str, Callable[[Run], Outcome]] = {
    "none": nothing,
    "down for 10 minutes": down,
    "restarted": restarted,
    "reset": reset,
    "black hole": hole,
    "slow reader": slow,
    "expired certificate": expired,
    "wrong host name": misnamed,
    "busy (429)": _answered("busy"),
    "error (500)": _answered("error"),
    "answer lost": _answered("lost"),
    "credentials refused": _answered("denied"),
    "one alert refused": _answered("poison"),
    "half-failed bulk": _answered("half"),
    "kill -9": killed,
}
"""By the head of the table's column."""

_WAYS = {"down for 10 minutes", "restarted", "reset", "black hole", "slow reader", "kill -9"}
_CERTIFIED = {"expired certificate", "wrong host name"}
_STATUS = {"busy (429)", "error (500)", "answer lost", "credentials refused", "one alert refused"}
_MEETS: dict[str, set[str]] = {
    "file": {"kill -9"},
    # Nobody can know what a datagram's receiver lost; a closed port is noticed.
    "rsyslog-udp": {"down for 10 minutes", "kill -9"},
    "rsyslog-tcp": _WAYS,
    "rsyslog-lf": _WAYS,
    "rsyslog-tls": _WAYS | _CERTIFIED,
    "syslog-ng-tcp": _WAYS,
    "syslog-ng-tls": _WAYS | _CERTIFIED,
    "webhook": _WAYS | _CERTIFIED | _STATUS,
    "hec": _WAYS | _CERTIFIED | _STATUS,
    "bulk": _WAYS | _CERTIFIED | _STATUS | {"half-failed bulk"},
    "mail": _WAYS | _CERTIFIED | {"busy (429)", "error (500)", "one alert refused"},
    "nats": _WAYS | _CERTIFIED | {"busy (429)"},
    "kafka": _WAYS | {"busy (429)", "error (500)", "credentials refused"},
    # It forgets with its process, so what it had must not be before its end.
    "tansu": (_WAYS | _CERTIFIED) - {"restarted"},
    "tenzir-syslog": _WAYS,
    "tenzir-webhook": _WAYS | _CERTIFIED,
    "tenzir-hec": _WAYS | _CERTIFIED,
    "tenzir-bulk": _WAYS | _CERTIFIED,
}


def applies(receiver: str, fault: str) -> bool:
    """Whether a receiver can meet a fault, and be made to."""
    return fault == "none" or fault in _MEETS[receiver]


def forms(receiver: str) -> list[str]:
    """The formats that a receiver takes; a mail has its own."""
    if receiver == "mail":
        return [""]
    takes_all = receiver not in ("bulk", "tenzir-bulk")
    return [form for form in RENDERERS if takes_all or form in JSON_FORMATS]
