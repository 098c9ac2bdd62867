"""Notifications to the service manager (sd_notify(3)). What a capture says while it ends."""

import os
import socket
from pathlib import Path

import pytest

from netwatch.live.events import Event, Note
from netwatch.live.live_store import INTERVAL, LossReports
from netwatch.live.service import EXTEND_INTERVAL, EXTENSION, LOG_INTERVAL, ServiceManager, Stopping
from netwatch.watch.snapshot import StoreStatus


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    end.bind(str(tmp_path / "notify"))
    end.settimeout(5)
    return end


def test_every_notification(manager: socket.socket) -> None:
    service_manager = ServiceManager({"NOTIFY_SOCKET": manager.getsockname()})
    service_manager.ready("capturing on eth1")
    service_manager.reloading()
    service_manager.watchdog()
    service_manager.stopping()
    service_manager.extend(90.0, "stopping")
    received = [manager.recv(1000).decode().split("\n") for _ in range(5)]
    manager.close()
    assert received[0] == ["READY=1", "STATUS=capturing on eth1"]
    assert received[1][0] == "RELOADING=1"
    assert int(received[1][1].removeprefix("MONOTONIC_USEC=")) > 0
    assert received[2:4] == [["WATCHDOG=1"], ["STOPPING=1"]]
    assert received[4] == ["EXTEND_TIMEOUT_USEC=90000000", "STATUS=stopping"]


def test_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        name = f"netwatch-{os.getpid()}"
        end.bind(f"\0{name}")
        end.settimeout(5)
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).watchdog()
        assert end.recv(100) == b"WATCHDOG=1"


def test_without_a_service_manager_nothing_is_sent(tmp_path: Path) -> None:
    ServiceManager({}).ready("alone")
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "none")}).ready("alone")


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_interval_is_half_of_its_timeout(
    environ: dict[str, str], interval: float | None
) -> None:
    assert ServiceManager(environ).watchdog_interval == interval


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
