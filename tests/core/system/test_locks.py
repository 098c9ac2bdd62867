"""Locks on open files."""

import os
from pathlib import Path

import pytest

from netwatch.core.system.locks import lock


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def test_a_lock_is_shared_or_exclusive_until_its_file_is_closed(tmp_path: Path) -> None:
    one, two, three = (opened(tmp_path / "lock") for _ in range(3))
    try:
        lock(one, exclusive=False)
        lock(two, exclusive=False)
        with pytest.raises(BlockingIOError):
            lock(three, exclusive=True)
        os.close(two)
        two = opened(tmp_path / "lock")
        os.close(one)
        one = opened(tmp_path / "lock")
        lock(three, exclusive=True, wait=True)
        with pytest.raises(BlockingIOError):
            lock(one, exclusive=False)
    finally:
        for each in (one, two, three):
            os.close(each)
