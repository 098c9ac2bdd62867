"""What processes may take."""

import os
import subprocess
import sys

import pytest

from netwatch.core.system import kernel

PROGRAM = """
from netwatch.core.system.kernel import limit_memory, limit_seconds
limit_seconds(1)
limit_memory(1 << 30)
{rest}
"""


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


def test_a_sandbox_that_keeps_the_niceness_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the units of systemd do, under which a capture with a store did not start."""

    def refuse(_: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "nice", refuse, raising=False)
    kernel.yield_to_others(10)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told")
def test_freed_memory_is_not_cleared_again_by_the_system() -> None:
    program = (
        "import resource; from netwatch.core.system import kernel\n"
        "{0}\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "before = faults()\n"
        "for _ in range(100): [bytes(3 << 20) for _ in range(4)]\n"
        "print(faults() - before)"
    )
    # Dask leaves such a setting in the environment of a process that starts workers.
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith("MALLOC_")
    }
    calls = ("kernel.keep_freed_memory()", "pass")
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", program.format(call)], capture_output=True,
                           check=True, env=environment).stdout)
        for call in calls
    )  # fmt: skip
    assert kept < given_back / 3
