"""``netwatch outputs``: the state of the outputs, test alerts, and the replay of dead letters.

It reads the outbox on disk, possibly while ``netwatch live`` is using it. ``scan --deliver``
delivers the alerts of a run, and reports what could not be delivered.
"""

import argparse
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from netwatch.cli.group import Group
from netwatch.cli.printing import print_line, print_message, print_record
from netwatch.config import Config
from netwatch.core.alert import Alert, AlertRecord
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.tabular import aligned
from netwatch.core.text import quantity
from netwatch.core.user_yaml import did_you_mean
from netwatch.delivery import dead_letters
from netwatch.delivery.delivery import Delivery, Undelivered
from netwatch.delivery.outbox import OutboxDatabase, OutputStatus
from netwatch.delivery.outbox_file import FILE, DeliveryLock
from netwatch.delivery.output import OutboxOptions, Output
from netwatch.formats import jsonl
from netwatch.formats.values import rfc3339

_GROUP_EPILOG = """examples:
  netwatch outputs status               show queued, sent, failed and dead alerts of each output
  netwatch outputs test                 send a marked test alert to each output
  netwatch outputs test siem            send it to the output 'siem' only
  netwatch outputs replay siem          send the dead letters of 'siem' again
"""
_STATUS_EPILOG = """exit status:
  0  all outputs deliver, or nothing was to be delivered yet
  1  an output is paused, is retrying, is stopped with alerts in its queue, or has dead letters
"""
_TEST_EPILOG = """exit status:
  0  all outputs accepted the test alert
  1  an output did not
"""
_REPLAY_EPILOG = """The dead letters are put into the outbox again. `netwatch live` or the next
`netwatch scan --deliver` sends them.
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group of commands; `parents` contain the common options."""
    group = Group(
        groups,
        parents,
        "outputs",
        help="receivers of alerts: status, test, replay",
        description="Receivers of alerts.",
        epilog=_GROUP_EPILOG,
    )
    status = "show how many alerts are queued, sent and dead, for each output"
    test = "send a marked test alert and show the answer of the receiver"
    for parser in (
        group.command("status", _status, status, _STATUS_EPILOG),
        group.command("test", _test, test, _TEST_EPILOG),
        group.command("replay", _replay, "send dead letters again", _REPLAY_EPILOG, table=False),
    ):
        parser.add_argument("names", metavar="NAME", nargs="*", help="an output (default: all)")


def _selected(
    args: argparse.Namespace, *, with_centre: bool = True
) -> tuple[list[Output], OutboxOptions]:
    """The outputs named on the command line, or all, including the centre of a sensor. Raises
    `ConfigError` and `NetwatchError`."""
    from netwatch import config, fleet

    outputs, outbox_options = config.load_outputs(args.config)
    if with_centre:
        outputs = fleet.with_centre(outputs, config.load_fleet(args.config), args.config or "")
    names = [output.name for output in outputs]
    for name in args.names:
        if name not in names:
            known = did_you_mean(name, names) or f"; configured are: {', '.join(names) or 'none'}"
            message = f"expected an output of the configuration, found '{name}'{known}"
            raise ConfigError.of("netwatch outputs", message)
    if not outputs:
        raise NetwatchError("the configuration has no outputs; add some under 'outputs'")
    selected = [output for output in outputs if not args.names or output.name in args.names]
    return selected, outbox_options


def _status(args: argparse.Namespace) -> int:
    outputs, outbox_options = _selected(args)
    status_by_name = {status.name: status for status in _stored_status(outbox_options)}
    now = time.time()
    all_deliver = True
    records = []
    for output in outputs:
        status = status_by_name.get(output.name)
        letters = dead_letters.count(outbox_options.folder, output.name)
        all_deliver = all_deliver and not letters and (status is None or status.state == "idle")
        records.append(_status_record(output, status, letters, now))
    if args.format == "jsonl":
        for record in records:
            print_record(record)
    else:
        for line in _status_table(records):
            print_line(line)
    return 0 if all_deliver else 1


def _stored_status(options: OutboxOptions) -> list[OutputStatus]:
    """The outputs in the outbox; none before the first delivery. One with remaining alerts is
    stopped if no process delivers them."""
    if not _has_outbox(options):
        return []
    try:
        outbox = OutboxDatabase(options, durable=False)
        try:
            found = outbox.status()
        finally:
            outbox.close()
        is_served = not DeliveryLock(options.folder).is_free()
    except (sqlite3.Error, OSError) as error:
        raise NetwatchError(f"the outbox in {options.folder}: {error}") from None
    reason = "no netwatch process delivers from this outbox now"
    return [
        replace(status, state="stopped", reason=reason)
        if status.queued and status.state == "idle" and not is_served
        else status
        for status in found
    ]


def _has_outbox(options: OutboxOptions) -> bool:
    return os.path.lexists(options.folder / FILE)


def _status_record(
    output: Output, status: OutputStatus | None, letters: int, now: float
) -> dict[str, Any]:
    record: dict[str, Any] = {"name": output.name, "type": output.type, "format": output.format}
    if status is None:
        return {**record, "state": "new", "queued": 0, "dead_letters": letters}
    counts = asdict(status)
    oldest, last_sent = counts.pop("oldest"), counts.pop("last_sent")
    for key in ("configured", "type", "format", "name"):
        del counts[key]
    counts["oldest_seconds"] = None if oldest is None else round(max(0, now - oldest), 1)
    counts["last_sent"] = (
        None if last_sent is None else rfc3339(int(last_sent * 1000) * 1_000_000, 3)
    )
    return {**record, **counts, "dead_letters": letters}


_COLUMNS = ("name", "type", "format", "state", "queued", "oldest", "sent", "failed", "dead")


def _status_table(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    rows = [list(_COLUMNS)]
    for record in records:
        oldest = record.get("oldest_seconds")
        rows.append(
            [
                record["name"],
                record["type"],
                record["format"] or "-",
                record["state"],
                f"{record['queued']:,}",
                "-" if oldest is None else _age(oldest),
                f"{record.get('sent', 0):,}",
                f"{record.get('retried', 0):,}",
                f"{record['dead_letters']:,}",
            ]
        )
    for line, record in zip(aligned(rows), [{}, *records], strict=True):
        yield line.rstrip()
        if record.get("reason"):
            yield f"    {record['reason']}"
        if record.get("dropped"):
            dropped = quantity(record["dropped"], "alert")
            yield f"    {dropped} dropped: too old, too many, or lost in a damaged outbox"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f}{unit}"
    return f"{seconds:.0f}s"


def _test(args: argparse.Namespace) -> int:
    import socket

    from netwatch import __version__
    from netwatch.delivery import attempt
    from netwatch.sinks.templates import sample_alert

    # A centre would keep the test as an incident; 'netwatch doctor' asks whether it answers.
    outputs, _ = _selected(args, with_centre=False)
    problems = [problem for output in outputs for problem in output.problems()]
    if problems:
        raise ConfigError(problems)
    all_accepted = True
    for output in outputs:
        alert = sample_alert(time.time(), socket.gethostname(), __version__)
        try:
            result = attempt.send(output, alert)
        except NetwatchError as error:
            accepted, answer = False, str(error)
        else:
            accepted = bool(result.delivered)
            reasons = [reason for _, reason in result.refused.values()]
            answer = result.answer or result.reason or " ".join(reasons)
        all_accepted = all_accepted and accepted
        if args.format == "jsonl":
            record = {
                "name": output.name,
                "id": alert["id"],
                "delivered": accepted,
                "answer": answer,
            }
            print_record(record)
        else:
            print_line(f"{'ok  ' if accepted else 'FAIL'}  {output.name}: {answer}")
    return 0 if all_accepted else 1


def _replay(args: argparse.Namespace) -> int:
    outputs, options = _selected(args)
    if not _has_outbox(options) and not any(
        dead_letters.count(options.folder, output.name) for output in outputs
    ):
        for output in outputs:
            _report_replayed(output.name, 0)
        return 0
    try:
        outbox = OutboxDatabase(options)
        try:
            for output in outputs:
                _replay_output(output.name, outbox, options)
        finally:
            outbox.close()
    except sqlite3.Error as error:
        raise NetwatchError(f"the outbox in {options.folder}: {error}") from None
    return 0


def _replay_output(name: str, outbox: OutboxDatabase, options: OutboxOptions) -> None:
    def put(records: list[AlertRecord], recipients: tuple[str, ...]) -> None:
        if recipients:
            outbox.put_deferred(records, name, recipients)
        else:
            outbox.put(records, output=name)

    count, unreadable = dead_letters.replay(options.folder, name, put)
    _report_replayed(name, count)
    if unreadable:
        path = dead_letters.path_of(options.folder, name).with_suffix(".unread")
        lines = quantity(unreadable, "line")
        print_message(f"netwatch: {name}: {lines} could not be read, see {path}")


def _report_replayed(name: str, count: int) -> None:
    print_message(f"netwatch: {name}: {quantity(count, 'alert')} put into the outbox again")


_OPEN_TIMEOUT = 3.0
_OPEN_POLL = 0.1


class RunDelivery:
    """Delivery of the alerts of one run; with `once`, outputs leave out those that they have
    delivered before. It opens outputs and outbox before the first capture is read, so that problems
    with them are reported immediately. Raises `ConfigError` and `NetwatchError`."""

    def __init__(self, config: Config, *, once: bool) -> None:
        if not config.outputs:
            problem = "--deliver needs 'outputs', the list of receivers of alerts"
            raise ConfigError.of(config.path or "netwatch.yaml", problem)
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
