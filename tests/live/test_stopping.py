"""What a capture says while it ends."""

import socket
from pathlib import Path

import pytest

from netwatch.live.events import Event, Note
from netwatch.live.loss_reports import INTERVAL, LossReports
from netwatch.live.sd_notify import ServiceManager
from netwatch.live.stopping import EXTEND_INTERVAL, EXTENSION, LOG_INTERVAL, Stopping
from netwatch.watch.snapshot import StoreStatus


def test_progress_extends_the_time_and_is_logged_now_and_then(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.setblocking(False)
        now, logged = 100.0, list[Event]()
        manager = ServiceManager({"NOTIFY_SOCKET": end.getsockname()})
        stopping = Stopping(manager, logged.append, lambda: now)
        stopping.progress("1 of 3")
        asked = end.recv(1000).decode().split("\n")
        assert asked == [f"EXTEND_TIMEOUT_USEC={int(EXTENSION * 1e6)}", "STATUS=stopping: 1 of 3"]
        now += EXTEND_INTERVAL / 2
        stopping.progress("2 of 3")
        assert logged == []
        now += LOG_INTERVAL
        stopping.progress("3 of 3")
        assert end.recv(1000).startswith(b"EXTEND_TIMEOUT_USEC=")
        assert logged == [Note("stopping: 3 of 3", warning=False)]
        with pytest.raises(BlockingIOError):
            end.recv(1000)


def test_losses_are_said_once_a_minute() -> None:
    said = list[str]()
    reports = LossReports("the store", said.append)
    reports.look_at(StoreStatus(), 0.0)
    reports.look_at(StoreStatus(skipped=9_848), 1.0)
    reports.look_at(StoreStatus(skipped=9_900, lost=1), 2.0)
    assert said == ["the store does not have all that was seen: 9,848 packets not recorded"]
    reports.look_at(StoreStatus(skipped=9_900, lost=1, decisions_lost=2), 1.0 + INTERVAL)
    assert said[1:] == [
        "the store does not have all that was seen: 52 packets not recorded (9,900 in total),"
        " 1 row lost, 2 records lost"
    ]
    reports.look_at(StoreStatus(skipped=9_900, lost=1, decisions_lost=2), 1.0 + 3 * INTERVAL)
    assert len(said) == 2
