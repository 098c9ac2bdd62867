"""An update in a process that is killed at one of its calls that change the disk."""

import os
import shutil
import signal
from collections.abc import Callable
from typing import Any

CALLS = (
    *((os, name) for name in ("fsync", "replace", "rename", "mkdir", "chmod")),
    (shutil, "rmtree"),
)
"""The calls, after which something is different on disk."""


def survives(action: Callable[[], object], fatal: int) -> bool:
    """Run `action` in a child that is killed (SIGKILL) at call number `fatal` of `CALLS`; whether
    there were fewer. An action that fails is an `AssertionError`."""
    child = os.fork()
    if child == 0:
        _run(action, fatal)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def _run(action: Callable[[], object], fatal: int) -> None:
    remaining = fatal

    def patched(original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal remaining
            if remaining == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            remaining -= 1
            return original(*args, **kwargs)

        return call

    status = 1
    try:
        for module, name in CALLS:
            setattr(module, name, patched(getattr(module, name)))
        action()
        status = 0
    finally:
        os._exit(status)
