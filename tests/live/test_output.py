"""Records go out as they come, and nothing that is slow or full holds anybody up."""

import io
import json
import os
from pathlib import Path
from typing import TextIO

import pytest
from support.contacts import GAP, SENSOR, contact

from netwatch.core.alert import Alert
from netwatch.core.errors import NetwatchError
from netwatch.live import output as module
from netwatch.live.open_incidents import Ledger
from netwatch.live.output import GoneError, Output


def alerts(count: int) -> list[Alert]:
    told: list[Alert] = []
    book = Ledger(GAP, None, told.append)
    for who in range(count):
        book.add(contact(0, who=who), SENSOR, 0)
    return told


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_to_a_file_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "alerts"
    path.write_text("before\n")
    out = Output("jsonl", str(path), io.StringIO(), print)
    for alert in alerts(2):
        out.alert(alert)
    assert [json.loads(line)["status"] for line in lines(path)[1:]] == ["open", "open"]
    out.close(0)
    assert lines(path)[0] == "before"


def test_a_head_stands_once(tmp_path: Path) -> None:
    path = tmp_path / "alerts"
    for alert in alerts(2):
        out = Output("csv", str(path), io.StringIO(), print)
        out.alert(alert)
        out.close(0)
    assert [line.partition(",")[0] for line in lines(path)] == ["schema"] + 2 * ["netwatch.alert/1"]


def test_after_a_rotation_the_new_file_is_written(tmp_path: Path) -> None:
    path, old = tmp_path / "alerts", tmp_path / "alerts.1"
    out = Output("jsonl", str(path), io.StringIO(), print)
    first, second = alerts(2)
    out.alert(first)
    path.rename(old)
    out.reopen()
    out.alert(second)
    out.reopen()
    out.close(0)
    assert (len(lines(old)), len(lines(path))) == (1, 1)


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(NetwatchError, match="cannot be written"):
        Output("jsonl", str(tmp_path), io.StringIO(), print)


@pytest.fixture
def pipe() -> tuple[int, TextIO]:
    reading, writing = os.pipe()
    return reading, os.fdopen(writing, "w")


def test_a_reader_that_is_slow_holds_nobody_up(
    pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BYTES_LIMIT", 1 << 18)
    reading, stream = pipe
    out = Output("jsonl", None, stream, print)
    told = alerts(1000)
    for alert in told:
        out.alert(alert)
    assert 0 < out.left_out < 1000
    came = b""
    while came.count(b"\n") < 1000 - out.left_out:
        came += os.read(reading, 1 << 16)
        out.pump()
    ids = [json.loads(line)["id"] for line in came.splitlines()]
    assert ids == [alert.id for alert in told][: 1000 - out.left_out]
    out.close(0)
    os.close(reading)
    stream.close()


def test_a_reader_that_went_away_is_told(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    out = Output("jsonl", None, stream, print)
    os.close(reading)
    with pytest.raises(GoneError):
        out.alert(alerts(1)[0])
    said: list[str] = []
    out._tell = said.append
    out.close(0)
    assert "could not be written" in said[0]
    stream.close()


def test_a_full_disk_is_told_once_and_nothing_is_lost(tmp_path: Path) -> None:
    said: list[str] = []
    out = Output("jsonl", "/dev/full", io.StringIO(), said.append)
    first, second = alerts(2)
    out.alert(first)
    out.alert(second)
    assert said == ["/dev/full: No space left on device; records wait"]
    out._path = str(tmp_path / "alerts")
    out.reopen()
    out.pump()
    assert len(lines(tmp_path / "alerts")) == 2
    assert "written again" in said[1]
    out.close(0)
