"""Notes of a run: the same note on many files is shortened, unless all are asked for."""

import argparse
from collections import Counter
from typing import Any

import pytest
from support.log_records import SAMPLES

from netwatch.cli import main
from netwatch.cli.summary import Summary
from netwatch.core.statistics import RunStatistics
from netwatch.live.open_incidents import OpenIncidents

ZONE = "times without a zone were read as UTC"


def shown(
    capsys: pytest.CaptureFixture[str], notes: list[str], *, verbose: bool = False
) -> list[str]:
    args = argparse.Namespace(quiet=False, verbose=verbose)
    Summary(RunStatistics(notes=notes), 1.0).show(args)
    lines = capsys.readouterr().err.splitlines()
    return [line.removeprefix("netwatch: ") for line in lines if line.startswith("netwatch: ")]


def test_the_same_note_on_many_files_is_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    notes = [f"{number}.log: {ZONE}" for number in range(6)]
    others = ["2.log: is truncated", "a sentence", "another sentence"]
    listed = shown(capsys, [*notes, *others])
    assert listed == [*notes[:3], f"3 more files: {ZONE}", *others]
    assert shown(capsys, notes[:4]) == [*notes[:3], f"1 more file: {ZONE}"]
    assert shown(capsys, notes[:3]) == notes[:3]


def test_all_notes_are_listed_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    notes = [f"{number}.log: {ZONE}" for number in range(6)]
    assert shown(capsys, notes, verbose=True) == notes


def lines(capsys: pytest.CaptureFixture[str], summary: Summary) -> dict[str, str]:
    """The lines of a summary by their label."""
    summary.show(argparse.Namespace(quiet=False, verbose=False))
    said = capsys.readouterr().err.splitlines()
    return {line[:13].strip(): line[14:] for line in said if not line.startswith("netwatch: ")}


def test_of_what_could_not_be_read_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    unread = RunStatistics(unread=["gone.pcap: no such file or folder"])
    found = lines(capsys, Summary(unread, 1.0, incidents=OpenIncidents(1, None, print)))
    assert found.keys() == {"read", "not read"}
    assert found["read"].startswith("nothing in 1.00 s")
    assert found["not read"] == "1 file (listed above)"


@pytest.mark.parametrize(
    "read", [{"files": 1}, {"packets": 3}, {"records": 2}, {"logs": Counter({"squid": 1})}]
)
def test_of_what_was_read_it_is(capsys: pytest.CaptureFixture[str], read: dict[str, Any]) -> None:
    statistics = RunStatistics(unread=["gone.pcap: no such file or folder"], **read)
    found = lines(capsys, Summary(statistics, 1.0, incidents=OpenIncidents(1, None, print)))
    assert found["incidents"] == found["anomalies"] == "none"
    assert found["not read"] == "1 file (listed above)"


def test_incidents_that_an_earlier_run_left_open_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    incidents = OpenIncidents(1, None, print)
    two = Counter({"violation": 2})
    found = lines(capsys, Summary(RunStatistics(), 1.0, incidents=incidents, restored=two))
    assert found["incidents"] == "none new; violation 2 left open by an earlier run"
    incidents.reported["advisory"] = 1
    found = lines(capsys, Summary(RunStatistics(), 1.0, incidents=incidents, restored=two))
    assert found["incidents"] == "advisory 1; violation 2 left open by an earlier run"


def test_logs_are_no_captures(capsys: pytest.CaptureFixture[str]) -> None:
    of_one = RunStatistics(logs=Counter({"squid": 1}), records=7)
    for statistics, read in (
        (RunStatistics(), "no log, 0 records in "),
        (of_one, "1 log file (squid 1), 7 records in "),
    ):
        found = lines(capsys, Summary(statistics, 1.0, of_logs=True))
        assert found["read"].startswith(read)


@pytest.mark.parametrize("is_counted", [False, True])
def test_flows_of_logs_are_counted_on_demand(
    capsys: pytest.CaptureFixture[str], is_counted: bool
) -> None:
    """Who does not ask for the coverage is not told that there are none."""
    main(["scan", *["--coverage"][:is_counted], str(SAMPLES / "ipfix" / "router.ipfix")])
    lines = capsys.readouterr().err.splitlines()
    (found,) = [line[14:] for line in lines if line.startswith("blind spots")]
    named = "flows 4: named 0 (0 %), flow-record 4"
    assert found == (named if is_counted else "flows of logs are counted with --coverage")
