"""Faults between an output and its receiver, with counts of the alerts sent and received.

The tests require that no alert is lost; `report.py` writes the counts into the documentation.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from support.crashing_delivery import STEPS_WITHOUT_DEAD_LETTERS, may_not_be_reached
from support.faulty_proxy import Fault, Proxy
from support.made_alerts import output, record, records
from support.made_deliveries import Certificates, Deliveries
from support.paths import SUPPORT
from support.receiver_harness import Receiver
from support.receiver_harness_tenzir import Tenzir, normalize_times
from support.receivers import TIMEOUT
from support.waiting import wait_until

from netwatch.delivery.delivery import Delivery
from netwatch.delivery.output import OutboxOptions
from netwatch.delivery.worker import RetryTiming
from netwatch.formats.registry import FORMATS, RENDERERS
from netwatch.sinks import templates

SOME = 300
"""Alerts of a scenario with a fault: more than most sinks send in one batch."""

SCALE = 1000
"""The factor by which ten minutes, and all delays between attempts, are shortened in the tests."""

TEN_MINUTES = 600.0


@dataclass(frozen=True)
class Outcome:
    """Alerts put into the outbox, distinct ones of them that were received as they were sent,
    duplicates, lines received that are none of them, and dead letters."""

    put: int
    received: int
    duplicates: int
    unexpected: int
    dead: int = 0

    @property
    def lost(self) -> int:
        return self.put - self.received - self.dead


def canonical(line: str, form: str, receiver: Receiver) -> str:
    """A line in the form in which lines are compared: JSON by value, anything else as text."""
    if not form or not FORMATS[form].json:
        return line
    value = json.loads(line)
    if form != "ecs":
        value.pop("@timestamp", None)
    if isinstance(receiver, Tenzir):
        value = normalize_times(value)
    return json.dumps(value, sort_keys=True)


def rendered(alert: dict[str, Any], form: str) -> str:
    """An alert as it is sent. Mail has a form of its own."""
    return RENDERERS[form](alert) if form else templates.digest_line(alert)


def count_received(sent: Sequence[dict[str, Any]], form: str, receiver: Receiver) -> Outcome:
    """Compare what the receiver has with the alerts that were sent."""
    expected = {canonical(rendered(each, form), form, receiver) for each in sent}
    assert len(expected) == len(sent)
    got: Counter[str] = Counter()
    unexpected = 0
    for line in receiver.lines():
        try:
            got[canonical(line, form, receiver)] += 1
        except ValueError:
            unexpected += 1
    unexpected += sum(count for text, count in got.items() if text not in expected)
    received = sum(1 for text in got if text in expected)
    duplicates = sum(count - 1 for text, count in got.items() if text in expected)
    return Outcome(len(sent), received, duplicates, unexpected)


def drain_completely(delivery: Delivery, timeout: float = TIMEOUT) -> None:
    """Wait until everything is delivered, even by an output that is paused for a while."""
    deadline = time.monotonic() + timeout
    while undelivered := delivery.drain(1):
        assert time.monotonic() < deadline, (undelivered, delivery.status())
        threading.Event().wait(0.02)


def wait_until_received(
    receiver: Receiver, sent: Sequence[dict[str, Any]], form: str, dead: int = 0
) -> Outcome:
    """Wait until the receiver has written all alerts that are not dead letters."""
    found: list[Outcome] = []

    def all_there() -> bool:
        found.append(count_received(sent, form, receiver))
        return found[-1].lost <= dead

    wait_until(all_there, f"{receiver.name} has all alerts")
    return replace(found[-1], dead=dead)


@dataclass(frozen=True)
class Run:
    """A receiver and everything that a scenario needs to deliver to it."""

    receiver: Receiver
    deliver: Deliveries
    folder: Path
    certificates: Certificates
    form: str = "jsonl"

    def output_keys(self, port: int | None = None, **keys: Any) -> dict[str, Any]:
        """The keys of an output for the receiver."""
        own = self.receiver.keys(self.receiver.port if port is None else port)
        return {**own, **({"format": self.form} if self.form else {}), **keys}

    def delivery(
        self, port: int | None = None, timing: RetryTiming | None = None, **keys: Any
    ) -> Delivery:
        made = output(self.folder, **self.output_keys(port, **keys))
        return self.deliver(made, timing=timing) if timing else self.deliver(made)


def no_fault(run: Run, count: int = SOME) -> Outcome:
    """Deliver without any fault."""
    run.receiver.start()
    sent = records(count)
    delivery = run.delivery()
    delivery.put(*sent)
    drain_completely(delivery)
    return wait_until_received(run.receiver, sent, run.form)


def all_formats(run: Run, forms: Sequence[str], count: int) -> dict[str, str]:
    """Deliver so many alerts of their own in each of these formats to one receiver, all at a time;
    what is wrong by format. Of a line that is none of them, the format is empty."""
    run.receiver.start()
    deliveries, expected = [], {}
    for place, form in enumerate(forms):
        sent = [record(number) for number in range(place * count, (place + 1) * count)]
        expected[form] = {canonical(rendered(each, form), form, run.receiver) for each in sent}
        assert len(expected[form]) == count
        made = output(run.folder, **replace(run, form=form).output_keys())
        deliveries.append(run.deliver(made, outbox=OutboxOptions(run.folder / f"spool-{form}")))
        deliveries[-1].put(*sent)
        if run.receiver.name.endswith("UDP"):  # it loses what comes faster than it reads
            drain_completely(deliveries[-1])
    for delivery in deliveries:
        drain_completely(delivery)

    def received() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {form: [] for form in ("", *forms)}
        for line in run.receiver.lines():
            for form in forms:
                with suppress(ValueError):
                    if (text := canonical(line, form, run.receiver)) in expected[form]:
                        found[form].append(text)
                        break
            else:
                found[""].append(line)
        return found

    wait_until(
        lambda: sum(map(len, received().values())) >= count * len(forms),
        f"{run.receiver.name} has as many lines as were sent",
    )
    found = received()
    wrong = {form: f"{len({*found[form]})} of {count} were received, {len(found[form])} times"
             for form in forms if sorted(found[form]) != sorted(expected[form])}  # fmt: skip
    return wrong | ({"": repr(found[""][:3])} if found[""] else {})


def down(run: Run, scale: float = SCALE) -> Outcome:
    """The receiver is down for ten minutes when alerts are put, and comes back. All times are
    shortened by the factor `scale`."""
    run.receiver.start()
    run.receiver.stop()
    sent = records(SOME)
    usual = RetryTiming()
    timing = RetryTiming(
        usual.first_delay / scale,
        usual.max_delay / scale,
        usual.paused_delay / scale,
        max(0.01, usual.poll_interval / scale),
    )
    back = time.monotonic() + TEN_MINUTES / scale
    delivery = run.delivery(timing=timing)
    delivery.put(*sent)
    delivery.drain(0.1)
    # An attempt of librdkafka is several ones, and ends at the limit of a batch.
    attempts = 1 if run.receiver.name.startswith("Kafka") else 3
    wait_until(lambda: delivery.status()[0].retried >= attempts, "several attempts failed")
    threading.Event().wait(max(0, back - time.monotonic()))
    run.receiver.start()
    drain_completely(delivery, TIMEOUT + 1.5 * timing.max_delay)
    return wait_until_received(run.receiver, sent, run.form)


def restarted(run: Run, how: signal.Signals = signal.SIGTERM) -> Outcome:
    """The receiver is restarted while alerts are put."""
    run.receiver.start()
    sent = records(SOME)
    delivery = run.delivery()
    for at in range(0, SOME, 10):
        delivery.put(*sent[at : at + 10])
        if at in (100, 200):
            delivery.drain(0.5)
            wait_until(lambda at=at: delivery.status()[0].sent >= at // 2, "some alerts are sent")
            run.receiver.stop(how)
            run.receiver.start()
    drain_completely(delivery)
    return wait_until_received(run.receiver, sent, run.form)


def _with_connection_fault(run: Run, fault: Fault) -> Outcome:
    own = getattr(run.receiver, "apply_fault", None)
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
        keys = {"timeout": "1s"} if fault.black_hole else {}
        delivery = run.delivery(port=None if proxy is None else proxy.port, **keys)
        delivery.put(*sent)
        if proxy is None and fault.black_hole:
            wait_until(lambda: delivery.status()[0].retried >= 1, "an attempt failed")
            run.receiver.recover()
        drain_completely(delivery, 2 * TIMEOUT)
        if proxy is not None:
            assert proxy.faults_applied >= min(fault.connections, 3)
        else:
            run.receiver.recover()
        return wait_until_received(run.receiver, sent, run.form)
    finally:
        if proxy is not None:
            proxy.end()


def reset(run: Run) -> Outcome:
    """The connection is reset in the middle of a message, three times."""
    return _with_connection_fault(run, Fault(reset_after=2500, connections=3))


def black_hole(run: Run) -> Outcome:
    """The receiver accepts connections but reads and answers nothing, twice."""
    return _with_connection_fault(run, Fault(black_hole=True, connections=2))


def slow(run: Run) -> Outcome:
    """The receiver reads four KiB every few milliseconds."""
    return _with_connection_fault(run, Fault(read_delay=0.005, connections=1))


def _with_certificate(run: Run, names: Sequence[str], days: int, why: str) -> Outcome:
    receiver: Any = run.receiver
    good = getattr(receiver, "pair", None) or run.certificates.issue("127.0.0.1")
    receiver.set_certificate(run.certificates.issue(*names, days=days))
    receiver.start()
    sent = records(SOME)
    delivery = run.delivery()
    delivery.put(*sent)
    delivery.drain(0.1)
    attempts = 1 if receiver.name.startswith("Kafka") else 2
    wait_until(lambda: delivery.status()[0].retried >= attempts, "attempts failed")
    assert why in delivery.status()[0].reason, delivery.status()
    assert delivery.status()[0].sent == 0
    receiver.stop()
    receiver.set_certificate(good)
    receiver.start()
    drain_completely(delivery)
    return wait_until_received(receiver, sent, run.form)


def expired(run: Run) -> Outcome:
    """The receiver's certificate has expired, and is renewed."""
    return _with_certificate(run, ("127.0.0.1", "siem.example"), -1, "expired")


def wrong_host_name(run: Run) -> Outcome:
    """The receiver's certificate is for another name, and is replaced."""
    return _with_certificate(run, ("other.example",), 30, "not valid for")


def _with_answers(kind: str) -> Callable[[Run], Outcome]:
    def scenario(run: Run) -> Outcome:
        receiver: Any = run.receiver
        receiver.start()
        receiver.answer_with(kind)
        sent = records(SOME)
        delivery = run.delivery()
        delivery.put(*sent)
        if kind == "busy" and receiver.name.startswith("NATS"):
            wait_until(lambda: delivery.status()[0].retried >= 2, "two attempts failed")
            receiver.recover()
        drain_completely(delivery)
        status = delivery.status()[0]
        if kind != "poison" and not receiver.name.startswith("Kafka"):
            assert status.retried >= 1
        if kind == "denied":
            assert any("PAUSED" in line for line in run.deliver.log)
        return wait_until_received(receiver, sent, run.form, status.dead)

    scenario.__doc__ = f"The receiver answers as `{kind}` for a while."
    return scenario


def killed(run: Run, steps: Sequence[str] = STEPS_WITHOUT_DEAD_LETTERS) -> Outcome:
    """netwatch is killed (SIGKILL) at these steps of a delivery and finally started once more."""
    run.receiver.start()
    stored: list[int] = []
    script = SUPPORT / "crashing_delivery.py"
    keys = json.dumps(run.output_keys())
    for number, step in enumerate([*steps, "none"]):
        last = step == "none"
        words = [str(run.folder), keys, str(number * 20), "0" if last else "20", step, "1", "after"]
        done = subprocess.run(
            [sys.executable, str(script), *words],
            capture_output=True,
            text=True,
            timeout=4 * TIMEOUT,
        )
        expected = 0 if last else -signal.SIGKILL
        assert done.returncode == expected or may_not_be_reached(step), (
            step,
            done.returncode,
            done.stderr,
        )
        stored += [int(word) for word in done.stdout.split()]
    sent = [record(number) for number in range(len(steps) * 20)]
    wait_until(
        lambda: (
            {canonical(rendered(record(n), run.form), run.form, run.receiver) for n in stored}
            <= {canonical(line, run.form, run.receiver) for line in run.receiver.lines()}
        ),
        "all alerts that were stored are received",
    )
    found = count_received(sent, run.form, run.receiver)
    # An alert may be received although its number was not printed yet.
    return replace(found, put=len(stored), received=min(found.received, len(stored)))


FAULTS: dict[str, Callable[[Run], Outcome]] = {
    "none": no_fault,
    "down for 10 minutes": down,
    "restarted": restarted,
    "reset": reset,
    "black hole": black_hole,
    "slow reader": slow,
    "expired certificate": expired,
    "wrong host name": wrong_host_name,
    "busy (429)": _with_answers("busy"),
    "error (500)": _with_answers("error"),
    "answer lost": _with_answers("lost"),
    "credentials refused": _with_answers("denied"),
    "one alert refused": _with_answers("poison"),
    "half-failed bulk": _with_answers("half"),
    "kill -9": killed,
}
"""By the title of the column in the table."""

_CONNECTION = {
    "down for 10 minutes",
    "restarted",
    "reset",
    "black hole",
    "slow reader",
    "kill -9",
}
_CERTIFICATE = {"expired certificate", "wrong host name"}
_ANSWER = {
    "busy (429)",
    "error (500)",
    "answer lost",
    "credentials refused",
    "one alert refused",
}
_APPLICABLE: dict[str, set[str]] = {
    "file": {"kill -9"},
    # A loss of datagrams cannot be noticed, only a closed port.
    "rsyslog-udp": {"down for 10 minutes", "kill -9"},
    "rsyslog-tcp": _CONNECTION,
    "rsyslog-lf": _CONNECTION,
    "rsyslog-tls": _CONNECTION | _CERTIFICATE,
    "syslog-ng-tcp": _CONNECTION,
    "syslog-ng-tls": _CONNECTION | _CERTIFICATE,
    "webhook": _CONNECTION | _CERTIFICATE | _ANSWER,
    "hec": _CONNECTION | _CERTIFICATE | _ANSWER,
    "bulk": _CONNECTION | _CERTIFICATE | _ANSWER | {"half-failed bulk"},
    "mail": _CONNECTION | _CERTIFICATE | {"busy (429)", "error (500)", "one alert refused"},
    "nats": _CONNECTION | _CERTIFICATE | {"busy (429)"},
    "kafka": _CONNECTION | {"busy (429)", "error (500)", "credentials refused"},
    # It loses everything when its process ends.
    "tansu": (_CONNECTION | _CERTIFICATE) - {"restarted"},
    "tenzir-syslog": _CONNECTION,
    "tenzir-webhook": _CONNECTION | _CERTIFICATE,
    "tenzir-hec": _CONNECTION | _CERTIFICATE,
    "tenzir-bulk": _CONNECTION | _CERTIFICATE,
}


def applies(receiver: str, fault: str) -> bool:
    """Whether a fault can happen to a receiver, and can be injected."""
    return fault == "none" or fault in _APPLICABLE[receiver]


def formats_of(receiver: str) -> list[str]:
    """The formats that a receiver accepts. Mail has a form of its own, which is empty here."""
    if receiver == "mail":
        return [""]
    takes_all = receiver not in ("bulk", "tenzir-bulk")
    return [form for form in RENDERERS if takes_all or FORMATS[form].json]
