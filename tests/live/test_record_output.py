"""Records are written without blocking, whatever the reader or the disk does."""

import io
import json
import os
from pathlib import Path
from typing import TextIO

import pytest
from support.contacts import GAP, SENSOR, contact

from netwatch.core.alert import Alert
from netwatch.core.errors import NetwatchError
from netwatch.live import record_output as module
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.record_output import ReaderGoneError, RecordOutput


def alerts(count: int) -> list[Alert]:
    sent: list[Alert] = []
    incidents = OpenIncidents(GAP, None, sent.append)
    for who in range(count):
        incidents.add(contact(0, who=who), SENSOR, 0)
    return sent


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_records_are_appended_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "alerts"
    path.write_text("before\n")
    output = RecordOutput("jsonl", str(path), io.StringIO(), print)
    for alert in alerts(2):
        output.write(alert)
    assert [json.loads(line)["status"] for line in lines(path)[1:]] == ["open", "open"]
    output.close(0)
    assert lines(path)[0] == "before"


def test_the_header_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "alerts"
    for alert in alerts(2):
        output = RecordOutput("csv", str(path), io.StringIO(), print)
        output.write(alert)
        output.close(0)
    assert [line.partition(",")[0] for line in lines(path)] == ["schema"] + 2 * ["netwatch.alert/1"]


def test_after_a_rotation_the_new_file_is_written(tmp_path: Path) -> None:
    path, old = tmp_path / "alerts", tmp_path / "alerts.1"
    output = RecordOutput("jsonl", str(path), io.StringIO(), print)
    first, second = alerts(2)
    output.write(first)
    path.rename(old)
    output.reopen()
    output.write(second)
    output.reopen()
    output.close(0)
    assert (len(lines(old)), len(lines(path))) == (1, 1)


def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NetwatchError, match="cannot be written"):
        RecordOutput("jsonl", str(tmp_path), io.StringIO(), print)


@pytest.fixture
def pipe() -> tuple[int, TextIO]:
    reading, writing = os.pipe()
    return reading, os.fdopen(writing, "w")


def test_a_slow_reader_does_not_block(
    pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUFFER_LIMIT", 1 << 18)
    reading, stream = pipe
    output = RecordOutput("jsonl", None, stream, print)
    sent = alerts(1000)
    for alert in sent:
        output.write(alert)
    assert 0 < output.discarded < 1000
    came = b""
    while came.count(b"\n") < 1000 - output.discarded:
        came += os.read(reading, 1 << 16)
        output.flush()
    ids = [json.loads(line)["id"] for line in came.splitlines()]
    assert ids == [alert.id for alert in sent][: 1000 - output.discarded]
    output.close(0)
    os.close(reading)
    stream.close()


def test_a_reader_that_has_gone_is_an_error(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    output = RecordOutput("jsonl", None, stream, print)
    os.close(reading)
    with pytest.raises(ReaderGoneError):
        output.write(alerts(1)[0])
    warnings: list[str] = []
    output._warn = warnings.append
    output.close(0)
    assert "could not be written" in warnings[0]
    stream.close()


def test_a_full_disk_is_reported_once_and_nothing_is_lost(tmp_path: Path) -> None:
    warnings: list[str] = []
    output = RecordOutput("jsonl", "/dev/full", io.StringIO(), warnings.append)
    first, second = alerts(2)
    output.write(first)
    output.write(second)
    assert warnings == ["/dev/full: No space left on device; records are buffered"]
    # Stands for a log rotation: the path leads to another file now.
    output._path = str(tmp_path / "alerts")
    output.reopen()
    output.flush()
    assert len(lines(tmp_path / "alerts")) == 2
    assert "writing works again" in warnings[1]
    output.close(0)
