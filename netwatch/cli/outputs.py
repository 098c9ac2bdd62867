"""``netwatch outputs``: what waits for which receiver, whether each can be reached, and
dead letters once more.

The outbox is looked at as it is on disk; ``netwatch live`` may be running on it.
"""

import argparse
import json
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from netwatch.cli.group import Group
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.delivery import dead_letters as deadletters
from netwatch.delivery.outbox import Spool, Status
from netwatch.formats.values import escaped, rfc3339
from netwatch.sinks.base import Outbox, Output, Record

_GROUP = """examples:
  netwatch outputs status               queued, sent, failed, dead, for each output
  netwatch outputs test                 send a marked test alert to each, and tell the answers
  netwatch outputs test siem            to one of them
  netwatch outputs replay siem          send its dead letters again
"""
_STATUS = """exit status: 0 all deliver; 1 one is paused, tries again, or has dead letters
"""
_TEST = """exit status: 0 all took the test alert; 1 one did not
"""
_REPLAY = """They are put into the outbox again: `netwatch live`, or the next `netwatch scan
--deliver`, sends them.
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group; `parents` hold the common options."""
    group = Group(
        groups,
        parents,
        "outputs",
        help="where alerts are delivered to: status, test, replay",
        description="Where alerts are delivered to.",
        epilog=_GROUP,
    )
    status = "what is queued, sent and dead, for each output"
    test = "send a marked test alert and tell what the receiver answers"
    for parser in (
        group.command("status", _status, status, _STATUS),
        group.command("test", _test, test, _TEST),
        group.command("replay", _replay, "send dead letters again", _REPLAY, table=False),
    ):
        parser.add_argument("names", metavar="NAME", nargs="*", help="an output (else all)")


def _chosen(args: argparse.Namespace) -> tuple[list[Output], Outbox]:
    from netwatch.config import load_outputs

    outputs, outbox = load_outputs(args.config)
    names = [output.name for output in outputs]
    for name in args.names:
        if name not in names:
            known = ", ".join(names) or "none"
            raise NetwatchError(f"no output is '{name}', there are: {known}")
    if not outputs:
        raise NetwatchError("the configuration has no outputs")
    return [output for output in outputs if not args.names or output.name in args.names], outbox


def _status(args: argparse.Namespace) -> int:
    outputs, outbox = _chosen(args)
    spool = Spool(outbox, sync=False)
    try:
        known = {each.name: each for each in spool.status()}
    except sqlite3.Error as error:
        raise NetwatchError(f"the outbox in {outbox.folder}: {error}") from None
    finally:
        spool.close()
    now = time.time()
    fine = True
    records = []
    for output in outputs:
        each = known.get(output.name)
        waiting = deadletters.waiting(outbox.folder, output.name)
        fine = fine and not waiting and (each is None or each.state == "idle")
        records.append(_record(output, each, waiting, now))
    if args.format == "jsonl":
        for record in records:
            print(json.dumps(record, separators=(",", ":")))
    else:
        for line in _table(records):
            print(line)
    return 0 if fine else 1


def _record(output: Output, status: Status | None, letters: int, now: float) -> dict[str, Any]:
    record: dict[str, Any] = {"name": output.name, "type": output.type, "format": output.format}
    if status is None:
        return {**record, "state": "new", "queued": 0, "dead_letters": letters}
    told = asdict(status)
    oldest, sent = told.pop("oldest"), told.pop("last_sent")
    del told["configured"], told["type"], told["format"], told["name"]
    told["oldest_seconds"] = None if oldest is None else round(max(0, now - oldest), 1)
    told["last_sent"] = None if sent is None else rfc3339(int(sent * 1000) * 1_000_000, 3)
    return {**record, **told, "dead_letters": letters}


_COLUMNS = ("name", "type", "format", "state", "queued", "oldest", "sent", "failed", "dead")


def _table(records: Sequence[Record]) -> Iterator[str]:
    rows = [list(_COLUMNS)]
    for one in records:
        oldest = one.get("oldest_seconds")
        rows.append(
            [
                one["name"],
                one["type"],
                one["format"] or "-",
                one["state"],
                f"{one['queued']:,}",
                "-" if oldest is None else _age(oldest),
                f"{one.get('sent', 0):,}",
                f"{one.get('retried', 0):,}",
                f"{one['dead_letters']:,}",
            ]
        )
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    for number, row in enumerate(rows):
        yield "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        told = records[number - 1] if number else {}
        if told.get("reason"):
            yield f"    {escaped(told['reason'])}"
        if told.get("dropped"):
            yield f"    {told['dropped']:,} dropped: too old, or the outbox was full"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f}{unit}"
    return f"{seconds:.0f}s"


def _test(args: argparse.Namespace) -> int:
    import socket

    from netwatch import __version__
    from netwatch.delivery import probe

    outputs, _ = _chosen(args)
    wrong = [problem for output in outputs for problem in output.problems()]
    if wrong:
        raise ConfigError(wrong)
    fine = True
    for output in outputs:
        now = time.time()
        record = probe.record(now, socket.gethostname(), __version__)
        try:
            result = probe.send(output, record, now)
        except NetwatchError as error:
            took, said = False, str(error)
        else:
            took = bool(result.arrived)
            reasons = [reason for _, reason in result.refused.values()]
            said = result.answer or result.reason or " ".join(reasons)
        fine = fine and took
        if args.format == "jsonl":
            told = {"name": output.name, "id": record["id"], "delivered": took, "answer": said}
            print(json.dumps(told, separators=(",", ":")))
        else:
            print(f"{'ok  ' if took else 'FAIL'}  {output.name}: {escaped(said)}")
    return 0 if fine else 1


def _replay(args: argparse.Namespace) -> int:
    outputs, outbox = _chosen(args)
    spool = Spool(outbox)
    try:
        for output in outputs:

            def put(records: list[Record], name: str = output.name) -> None:
                spool.put(records, time.time(), name)

            count, bad = deadletters.replay(outbox.folder, output.name, put)
            print(f"{output.name}: {count:,} put into the outbox again", file=sys.stderr)
            if bad:
                kept = deadletters.path_of(outbox.folder, output.name).with_suffix(".unread")
                print(
                    f"{output.name}: {bad:,} lines could not be read, see {kept}", file=sys.stderr
                )
    except sqlite3.Error as error:
        raise NetwatchError(f"the outbox in {outbox.folder}: {error}") from None
    finally:
        spool.close()
    return 0
