"""Runs every receiver that is there through every format and every fault, and writes what
arrived into the tables of ``docs/siem/delivery.md``.

    python tests/sinks/report.py            # all; needs what `.ci/run` installs
    python tests/sinks/report.py nats bulk  # some, to look at: nothing is written
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import trustme
from harness import RECEIVERS
from made_deliveries import Certificates, Deliveries
from scenarios import FAULTS, SOME, Outcome, Run, applies, nothing

from netwatch.formats import RENDERERS
from netwatch.sinks.base import JSON_FORMATS, Outbox

PAGE = Path(__file__).parents[2] / "docs" / "siem" / "delivery.md"
MARKS = "<!-- written by tests/sinks/report.py -->", "<!-- to here -->"
THOUSAND, FEW = 1000, 64


def attempt(receiver: str, fault: str, form: str = "jsonl", count: int = SOME) -> tuple[str, str]:
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
        run = Run(there, deliver, folder, form)
        try:
            outcome = nothing(run, count) if fault == "none" else FAULTS[fault](run)
        finally:
            for delivery in deliver.made:
                delivery.stop(60)
            there.stop()
    return there.name, told(outcome)


def told(outcome: Outcome) -> str:
    """``300 → 300``, with what was repeated or strange behind."""
    text = f"{outcome.put:,} → {outcome.arrived:,}"
    if outcome.repeated:
        text += f", {outcome.repeated:,} twice"
    return text + (f", {outcome.strange:,} strange" if outcome.strange else "")


def rows(receivers: Sequence[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """For each receiver its name, the cells of its formats, and those of its faults."""
    for receiver in receivers:
        try:
            name, thousand = attempt(receiver, "none", count=THOUSAND)
        except pytest.skip.Exception as reason:
            print(f"{receiver}: {reason}", file=sys.stderr)
            continue
        forms = [thousand]
        for form in list(RENDERERS)[1:]:
            takes = receiver != "bulk" or form in JSON_FORMATS
            forms.append(attempt(receiver, "none", form, FEW)[1] if takes else "-")
        faults = [
            attempt(receiver, fault)[1] if applies(receiver, fault) else "-"
            for fault in list(FAULTS)[1:]
        ]
        print(name, *forms, *faults, sep=" | ", file=sys.stderr, flush=True)
        yield name, forms, faults


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(receivers: Sequence[str]) -> None:
    """Run, and write where all were run."""
    os.environ["HEC_TOKEN"] = "token-of-the-report"
    found = list(rows(receivers or list(RECEIVERS)))
    formats = table(["receiver", *RENDERERS], [[name, *forms] for name, forms, _ in found])
    faults = table(
        ["receiver", *list(FAULTS)[1:]],
        [[name, *cells] for name, _, cells in found if set(cells) != {"-"}],
    )
    written = f"{MARKS[0]}\n\n{formats}\n{faults}\n{MARKS[1]}"
    if receivers:
        print(written)
        return
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    PAGE.write_text(before + written + rest.partition(MARKS[1])[2], encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
