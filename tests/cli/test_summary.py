"""Notes of a run: the same note on many files is shortened, unless all are asked for."""

import argparse

import pytest

from netwatch.cli.summary import Summary
from netwatch.core.statistics import RunStatistics

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
