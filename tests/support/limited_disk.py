"""A small file system of its own, to fill it up."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.programs import require_programs


@contextmanager
def limited_disk(path: Path, size: str) -> Iterator[Path]:
    """A file system of this size at `path`, which is created. Skips the test if none can be
    mounted."""
    require_programs("mount", "umount")
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "netwatch-test", str(path)]
    mounted = subprocess.run(command, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill_up(folder: Path) -> Path:
    """Fill the file system with a file, and return its path."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as stream, suppress(OSError):
        while stream.write(b"x" * 4096):
            pass
    return ballast
