"""What a service manager hears (sd_notify(3))."""

import os
import socket
from pathlib import Path

import pytest

from netwatch.live.sd_notify import Notify


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    end.bind(str(tmp_path / "notify"))
    end.settimeout(5)
    return end


def test_all_that_is_told(manager: socket.socket) -> None:
    notify = Notify({"NOTIFY_SOCKET": manager.getsockname()})
    notify.ready("capturing on eth1")
    notify.reloading()
    notify.alive()
    notify.status("busy")
    notify.stopping()
    heard = [manager.recv(1000).decode().split("\n") for _ in range(5)]
    manager.close()
    assert heard[0] == ["READY=1", "STATUS=capturing on eth1"]
    assert heard[1][0] == "RELOADING=1"
    assert int(heard[1][1].removeprefix("MONOTONIC_USEC=")) > 0
    assert heard[2:] == [["WATCHDOG=1"], ["STATUS=busy"], ["STOPPING=1"]]


def test_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        name = f"netwatch-{os.getpid()}"
        end.bind(f"\0{name}")
        end.settimeout(5)
        Notify({"NOTIFY_SOCKET": f"@{name}"}).alive()
        assert end.recv(100) == b"WATCHDOG=1"


def test_nobody_asked_and_a_manager_that_is_gone(tmp_path: Path) -> None:
    Notify({}).ready("alone")
    Notify({"NOTIFY_SOCKET": str(tmp_path / "none")}).ready("alone")


@pytest.mark.parametrize(
    ("environ", "period"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_half_of_what_the_watchdog_waits(environ: dict[str, str], period: float | None) -> None:
    assert Notify(environ).period == period
