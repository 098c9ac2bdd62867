"""Notifications to the service manager (sd_notify(3))."""

import os
import socket
from pathlib import Path

import pytest

from netwatch.live.sd_notify import ServiceManager


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
