"""Runs every installed receiver through every format and every fault, and writes the counts of
received alerts into the tables of ``bench/delivered.md``.

    export PYTHONPATH=tests:pcaps
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
from support.delivery_scenarios import (
    FAULTS,
    SOME,
    Outcome,
    Run,
    applies,
    down,
    formats_of,
    no_fault,
)
from support.made_deliveries import Certificates, Deliveries
from support.paths import ROOT
from support.receiver_harness import RECEIVERS

from netwatch.core.text import quantity
from netwatch.delivery.output import OutboxOptions
from netwatch.formats.registry import RENDERERS

PAGE = ROOT / "bench" / "delivered.md"
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
"""The faults of each table, by the titles of their columns."""


def run_scenario(
    receiver_id: str, scenario: Callable[[Run], Outcome], format_name: str
) -> tuple[str, str]:
    """The receiver's name and the cell of the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "certificates").mkdir()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "certificates" / "ca.pem"))
        certificates = Certificates(
            authority, folder / "certificates" / "ca.pem", folder / "certificates"
        )
        receiver = RECEIVERS[receiver_id](folder, certificates)
        deliver = Deliveries(OutboxOptions(folder / "spool"), [], [])
        try:
            outcome = scenario(Run(receiver, deliver, folder, certificates, format_name))
        finally:
            for delivery in deliver.made:
                delivery.stop(60)
            getattr(receiver, "end", receiver.stop)()
    return receiver.name, cell(outcome)


def cell(outcome: Outcome) -> str:
    """``300 → 300``, followed by dead letters, duplicates and unexpected lines if there are any."""
    text = f"{outcome.put:,} → {outcome.received:,}"
    if outcome.dead:
        text += f", {quantity(outcome.dead, 'dead letter')}"
    if outcome.duplicates:
        text += f", {quantity(outcome.duplicates, 'duplicate')}"
    return text + (f", {outcome.unexpected:,} unexpected" if outcome.unexpected else "")


def rows(receivers: Sequence[str]) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """For each receiver its name, the cells of its formats, and those of its faults."""
    for receiver in receivers:
        first_format = formats_of(receiver)[0]
        try:
            name, thousand = run_scenario(
                receiver, lambda run: no_fault(run, THOUSAND), first_format
            )
        except pytest.skip.Exception as reason:
            print(f"{receiver}: {reason}", file=sys.stderr)
            continue
        cells = [thousand]
        for format_name in list(RENDERERS)[1:]:
            text = "-"
            if format_name in formats_of(receiver):
                _, text = run_scenario(receiver, lambda run: no_fault(run, FEW), format_name)
            cells.append(text)
        faults = {}
        for fault in (fault for columns in TABLES for fault in columns):
            faults[fault] = "-"
            if applies(receiver, fault):
                _, faults[fault] = run_scenario(receiver, FAULTS[fault], first_format)
        print(name, *cells, *faults.values(), sep=" | ", file=sys.stderr, flush=True)
        yield name, cells, faults


def table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def ten_minutes() -> str:
    """A table of what was received after ten real minutes, with the default delays."""
    results: dict[str, tuple[str, str]] = {}

    def run_one(receiver: str) -> None:
        try:
            results[receiver] = run_scenario(
                receiver, lambda run: down(run, 1), formats_of(receiver)[0]
            )
        except pytest.skip.Exception as reason:
            print(f"{receiver}: {reason}", file=sys.stderr)

    receivers = [receiver for receiver in RECEIVERS if applies(receiver, "down for 10 minutes")]
    threads = [threading.Thread(target=run_one, args=(receiver,)) for receiver in receivers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(receivers), set(receivers) - set(results)
    header = ["receiver", f"down for 600 s, {SOME} alerts"]
    return table(header, [results[receiver] for receiver in receivers])


def write(marks: tuple[str, str], text: str) -> None:
    """Replace the text between two marks of the page."""
    before, start, rest = PAGE.read_text(encoding="utf-8").partition(marks[0])
    _, end, after = rest.partition(marks[1])
    assert start, marks
    assert end, marks
    PAGE.write_text(f"{before}{marks[0]}\n\n{text}\n{marks[1]}{after}", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """Run the scenarios, and write the tables if all receivers were run."""
    os.environ["HEC_TOKEN"] = "secret-of-the-collector"
    if arguments == ["--ten-minutes"]:
        slow = ten_minutes()
        print(slow)
        write(SLOW_MARKS, slow)
        return
    results = list(rows(arguments or list(RECEIVERS)))
    tables = [table(["receiver", *RENDERERS], [[name, *cells] for name, cells, _ in results])]
    for columns in TABLES:
        body = [[name, *(faults[fault] for fault in columns)] for name, _, faults in results]
        applicable = [line for line in body if set(line[1:]) != {"-"}]
        tables.append(table(["receiver", *columns], applicable))
    if arguments:
        print("\n".join(tables))
    else:
        write(MARKS, "\n".join(tables))


if __name__ == "__main__":
    main(sys.argv[1:])
