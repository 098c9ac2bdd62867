"""Temporary files as a run that was killed leaves them."""

from pathlib import Path

from netwatch.core.private_files import LOCK, MARK


def leave_temporary(place: Path) -> Path:
    """A folder in `place` with a file that names a client, of a process that was killed."""
    left = place / "netwatch-1-00000001"
    left.mkdir(0o700)
    (left / LOCK).write_bytes(MARK)
    (left / "below").mkdir()
    (left / "below" / "file").write_text("10.0.0.7")
    return left
