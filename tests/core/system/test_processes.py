"""How workers are made here, and what they may take."""

import subprocess
import sys

import pytest

from netwatch.core.system import processes

PROGRAM = """
from netwatch.core.system.processes import limit_memory, limit_seconds
limit_seconds(1)
limit_memory(1 << 30)
{rest}
"""


def test_workers_are_forked_on_linux_and_spawned_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert processes.context().get_start_method() == "fork"
    monkeypatch.setattr(processes, "CAN_FORK", False)
    assert processes.context().get_start_method() == "spawn"


@pytest.mark.parametrize(
    ("rest", "said"),
    [("bytearray(2 << 30)", b"MemoryError"), ("while True: pass", b"")],
    ids=["memory", "seconds"],
)
def test_limits(rest: str, said: bytes) -> None:
    words = [sys.executable, "-c", PROGRAM.format(rest=rest)]
    done = subprocess.run(words, capture_output=True, check=False)
    assert done.returncode != 0
    assert said in done.stderr
