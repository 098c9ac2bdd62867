"""What `store erase` says: a line for each capture that it leaves, and no flood."""

import argparse
from types import SimpleNamespace
from typing import Any

import pytest

from netwatch.cli.store_privacy import MAX_KEPT, _report
from netwatch.store.erasing import Erased


def erased(captures: int) -> Erased:
    counts = dict.fromkeys(
        ("rows", "files", "incidents", "clients", "evidence", "coverage", "bypasses", "journal"), 1
    )
    kept = tuple(f"/captures/{number:03}.pcap" for number in range(captures))
    return Erased(**counts, kept=kept, left=())


@pytest.mark.parametrize(
    ("captures", "last"),
    [(2, "  /captures/001.pcap"), (181, "  and 161 more; --format jsonl lists all")],
)
def test_captures_that_are_left_have_a_line_each(
    captures: int, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config: Any = SimpleNamespace(outputs=[])
    args = argparse.Namespace(format="table", device="Jane")
    assert _report(args, erased(captures), {}, [], config) == 0
    said, _, not_reached = capsys.readouterr().err.partition(
        "netwatch: not reached by an erasure:\n"
    )
    assert "backups" in not_reached
    lines = said.splitlines()
    assert lines[0].endswith("were left as they are:")
    assert lines[1] == "  /captures/000.pcap"
    assert lines[-1] == last
    assert len(lines) == 1 + min(captures, MAX_KEPT + 1)
