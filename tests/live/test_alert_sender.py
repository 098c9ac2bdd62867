"""Alerts go wherever they have to: at the end many of them, in batches."""

import io
from pathlib import Path
from typing import Any

import pytest
from support.snapshots import OPEN

from netwatch.live import alert_sender, record_output
from netwatch.live.alert_sender import AlertSender
from netwatch.live.events import AlertSent, Event
from netwatch.live.record_output import RecordOutput


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
    monkeypatch.setattr(alert_sender, "BATCH", 4)
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
