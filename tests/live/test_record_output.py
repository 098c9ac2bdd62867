"""Records are written without blocking, whatever the reader or the disk does.

Alerts go wherever they have to: at the end many of them, in batches.
"""

import io
import json
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest
from support.contacts import GAP, SENSOR, contact
from support.snapshots import OPEN
from support.waiting import wait_until

from netwatch.core.alert import Alert
from netwatch.core.errors import NetwatchError
from netwatch.live import record_output
from netwatch.live import record_output as module
from netwatch.live.events import AlertSent, Event
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.record_output import AlertSender, ReaderGoneError, RecordOutput


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


def test_a_line_that_was_cut_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "alerts"
    path.write_text('{"id":"one"}\n{"id":"tw')
    output = RecordOutput("jsonl", str(path), io.StringIO(), print)
    output.write(alerts(1)[0])
    output.close(0)
    assert lines(path)[:2] == ['{"id":"one"}', '{"id":"tw']
    assert [json.loads(line)["status"] for line in lines(path)[2:]] == ["open"]


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
    # Each record is whole, and they are in order.
    assert len(ids) == 1000 - output.discarded
    assert ids == [alert.id for alert in sent if alert.id in set(ids)]
    output.close(0)
    os.close(reading)
    stream.close()


def test_a_reader_that_has_gone_is_an_error(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    warnings: list[str] = []
    output = RecordOutput("jsonl", None, stream, warnings.append)
    os.close(reading)

    def has_gone() -> bool:
        try:
            output.flush()
        except ReaderGoneError:
            return True
        return False

    output.write(alerts(1)[0])
    wait_until(has_gone)
    output.close(0)
    assert "could not be written" in warnings[0]
    assert output.unwritten > 0
    stream.close()


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Files of this process cannot become larger than `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_reported_once_and_nothing_is_lost(tmp_path: Path) -> None:
    warnings: list[str] = []
    path = tmp_path / "alerts"
    output = RecordOutput("jsonl", str(path), io.StringIO(), warnings.append)
    sent = alerts(4)
    with full_disk(100):
        for alert in sent[:2]:
            output.write(alert)
        assert warnings == [f"{path}: File too large; records are buffered"]
        assert output.problem == f"{path}: File too large"
    output.flush()
    assert warnings[1:] == [f"{path}: writing works again"]
    assert output.problem == ""
    for alert in sent[2:]:
        output.write(alert)
    output.close(0)
    assert [json.loads(line)["id"] for line in lines(path)] == [alert.id for alert in sent]
    assert output.unwritten == 0


def test_what_a_full_disk_refuses_until_the_end_is_counted(tmp_path: Path) -> None:
    warnings: list[str] = []
    path = tmp_path / "alerts"
    output = RecordOutput("jsonl", str(path), io.StringIO(), warnings.append)
    with full_disk(100):
        output.write(alerts(1)[0])
        output.close(0)
    assert output.unwritten > 100
    assert warnings[1] == f"{path}: {output.unwritten:,} bytes of records could not be written"


def test_a_device_that_is_full_is_reported() -> None:
    warnings: list[str] = []
    output = RecordOutput("jsonl", "/dev/full", io.StringIO(), warnings.append)
    output.write(alerts(1)[0])

    def is_reported() -> bool:
        output.flush()
        return bool(warnings)

    wait_until(is_reported)
    assert warnings == ["/dev/full: No space left on device; records are buffered"]
    output.close(0)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_file_is_readable_for_owner_and_group_only(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "alerts"
    before = os.umask(umask)
    try:
        RecordOutput("jsonl", str(path), io.StringIO(), print).close(0)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666])
def test_an_existing_file_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "alerts"
    path.touch()
    path.chmod(mode)
    RecordOutput("jsonl", str(path), io.StringIO(), print).close(0)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_file_after_a_rotation_is_readable_for_owner_and_group_only(tmp_path: Path) -> None:
    path = tmp_path / "alerts"
    output = RecordOutput("jsonl", str(path), io.StringIO(), print)
    path.rename(tmp_path / "alerts.1")
    before = os.umask(0)
    try:
        output.reopen()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    output.close(0)


def test_a_pipe_in_place_of_the_file_does_not_block(tmp_path: Path) -> None:
    warnings: list[str] = []
    path = tmp_path / "alerts"
    output = RecordOutput("jsonl", str(path), io.StringIO(), warnings.append)
    path.rename(tmp_path / "alerts.1")
    os.mkfifo(path)
    output.reopen()
    assert warnings[0].startswith(f"{path}: cannot be written: ")
    output.write(alerts(1)[0])
    output.close(0)
    assert len(lines(tmp_path / "alerts.1")) == 1


class Outbox:
    """Notes how many alerts were put into it together."""

    def __init__(self) -> None:
        self.put_together: list[int] = []

    def put(self, *records: Any) -> None:
        self.put_together.append(len(records))

    def reopen(self) -> None:
        pass


def test_at_the_end_alerts_are_put_into_the_outbox_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time the outbox is written to the disk: 100,000 times would take minutes."""
    monkeypatch.setattr(record_output, "BATCH", 4)
    outbox, events = Outbox(), list[Event]()
    output = RecordOutput("jsonl", str(tmp_path / "out"), io.StringIO(), print)
    sender = AlertSender(output, outbox, None, events.append)
    sender.send(OPEN)
    sender.expect_end()
    for _ in range(10):
        sender.send(OPEN)
    assert outbox.put_together == [1, 4, 4]
    sender.flush()
    sender.flush()
    assert outbox.put_together == [1, 4, 4, 2]
    assert events == [AlertSent(OPEN)] * 11
    output.close(0)


def test_a_full_buffer_waits_for_the_reader_once_the_capture_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as anything is read; a reader that hangs is waited for once."""
    monkeypatch.setattr(record_output, "BUFFER_LIMIT", 2000)
    monkeypatch.setattr(record_output, "WAIT", 0.05)
    output = RecordOutput("jsonl", str(tmp_path / "out"), io.StringIO(), print)
    target = Reader()
    output._target = target  # type: ignore[assignment]
    target.reads = 0
    for _ in range(3):
        output.write(OPEN)
    before = output.discarded
    assert before
    output.may_wait = True
    target.reads = 500
    for _ in range(3):
        output.write(OPEN)
    assert output.discarded == before
    target.reads = 0
    for _ in range(3):
        output.write(OPEN)
    assert output.discarded > before
    assert not output.may_wait


class Reader:
    """Where records go, of which `reads` bytes are read at a time."""

    error = None
    reads = 0

    def __init__(self) -> None:
        self.queued = 0

    def put(self, data: bytes, *, required: bool = False) -> bool:
        self.queued += len(data)
        return True

    def flush(self) -> None:
        self.queued = max(0, self.queued - self.reads)
