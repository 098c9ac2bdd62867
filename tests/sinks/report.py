"""Runs every receiver that is there through every format and every fault, and writes what
arrived into the tables of ``docs/siem/README.md``.

    python tests/sinks/report.py                # all; needs what `.ci/run` installs
    python tests/sinks/report.py nats bulk      # some, to look at: nothing is written
    python tests/sinks/report.py --ten-minutes  # all at once, down for ten real minutes
"""

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import trustme
from support.delivery_scenarios import FAULTS, SOME, Outcome, Run, applies, down, forms, nothing
from support.made_deliveries import Certificates, Deliveries
from support.paths import ROOT
from support.receiver_harness import RECEIVERS

from netwatch.formats.registry import RENDERERS
from netwatch.sinks.base import Outbox

PAGE = ROOT / "docs" / "siem" / "README.md"
MARKS = "<!-- written by tests/sinks/report.py -->", "<!-- to here -->"
SLOW_MARKS = "<!-- written by tests/sinks/report.py --ten-minutes -->", "<!-- to here, too -->"
THOUSAND, FEW = 1000, 64
TABLES = (
    ("down for 10 minutes", "restarted", "reset", "black hole", "slow reader", "kill -9"),
    (
        *("expired certificate", "wrong host name", "busy (429)", "error (500)", "answer lost"),
        *("credentials refused", "one alert refused", "half-failed bulk"),
    ),
)
"""The faults of each table, by the heads of their columns."""


def attempt(receiver: str, scenario: Callable[[Run], Outcome], form: str) -> tuple[str, str]:
    """The receiver's name, and alerts in and out, with repetitions and losses where there
    are any."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "certificates").mkdir()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "certificates" / "ca.pem"))
        certificates = Certificates(
            authority, folder / "certificates" / "ca.pem", folder / "certificates"
        )
        there = RECEIVERS[receiver](folder, certificates)
        deliver = Deliveries(Outbox(folder / "spool"), [], [])
        try:
            outcome = scenario(Run(there, deliver, folder, certificates, form))
        finally:
            for delivery in deliver.made:
                delivery.stop(60)
            getattr(there, "end", there.stop)()
    return there.name, told(outcome)


def told(outcome: Outcome) -> str:
    """``300 → 300``, with what was repeated, refused or strange behind."""
    text = f"{outcome.put:,} → {outcome.arrived:,}"
    if outcome.dead:
        text += f", {outcome.dead:,} dead"
    if outcome.repeated:
        text += f", {outcome.repeated:,} twice"
    return text + (f", {outcome.strange:,} strange" if outcome.strange else "")


def rows(receivers: Sequence[str]) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """For each receiver its name, the cells of its formats, and those of its faults."""
    for receiver in receivers:
        first = forms(receiver)[0]
        try:
            name, thousand = attempt(receiver, lambda run: nothing(run, THOUSAND), first)
        except pytest.skip.Exception as reason:
            print(f"{receiver}: {reason}", file=sys.stderr)
            continue
        cells = [thousand]
        for form in list(RENDERERS)[1:]:
            takes = form in forms(receiver)
            some = attempt(receiver, lambda run: nothing(run, FEW), form)[1] if takes else "-"
            cells.append(some)
        faults = {
            fault: attempt(receiver, FAULTS[fault], first)[1] if applies(receiver, fault) else "-"
            for columns in TABLES
            for fault in columns
        }
        print(name, *cells, *faults.values(), sep=" | ", file=sys.stderr, flush=True)
        yield name, cells, faults


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def ten_minutes() -> str:
    """A table of what arrived behind ten minutes, by the usual times between attempts."""
    found: dict[str, tuple[str, str]] = {}

    def one(receiver: str) -> None:
        try:
            found[receiver] = attempt(receiver, lambda run: down(run, 1), forms(receiver)[0])
        except pytest.skip.Exception as reason:
            print(f"{receiver}: {reason}", file=sys.stderr)

    those = [each for each in RECEIVERS if applies(each, "down for 10 minutes")]
    threads = [threading.Thread(target=one, args=(each,)) for each in those]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(those), set(those) - set(found)
    return table(["receiver", f"down for 600 s, {SOME} alerts"], [found[each] for each in those])


def write(marks: tuple[str, str], text: str) -> None:
    """Put a text between two marks of the page."""
    before, there, rest = PAGE.read_text(encoding="utf-8").partition(marks[0])
    _, end, after = rest.partition(marks[1])
    assert there, marks
    assert end, marks
    written = f"{before}{marks[0]}\n\n{text}\n{marks[1]}{after}"
    PAGE.write_text(written, encoding="utf-8")


def main(receivers: Sequence[str]) -> None:
    """Run, and write where all were run."""
    os.environ["HEC_TOKEN"] = "secret-of-the-collector"
    if receivers == ["--ten-minutes"]:
        slow = ten_minutes()
        print(slow)
        write(SLOW_MARKS, slow)
        return
    found = list(rows(receivers or list(RECEIVERS)))
    tables = [table(["receiver", *RENDERERS], [[name, *cells] for name, cells, _ in found])]
    for columns in TABLES:
        body = [[name, *(faults[each] for each in columns)] for name, _, faults in found]
        met = [line for line in body if set(line[1:]) != {"-"}]
        tables.append(table(["receiver", *columns], met))
    if receivers:
        print("\n".join(tables))
    else:
        write(MARKS, "\n".join(tables))


if __name__ == "__main__":
    main(sys.argv[1:])
