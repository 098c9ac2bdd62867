"""Recognises evidence captures that netwatch wrote, by their name and their first block, and the
files of lines of logs beside them.

A user's own captures are never deleted, whatever they are called and wherever they are.
"""

import re
from pathlib import Path

NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{32}\.(pcapng|lines)")
"""The names that `netwatch.incidents.evidence_folder` gives."""

_SECTION = b"\x0a\x0d\x0d\x0a"
_APPLICATION = b"netwatch "
_LINES = b"# netwatch "


def is_evidence_capture(path: Path) -> bool:
    """Whether a file is an evidence capture of netwatch, or has lines of logs as evidence: a
    regular file with such a name, whose section header (draft-ietf-opsawg-pcapng section 4.1) or
    first lines say that netwatch wrote it for the incident that it is named after."""
    if not NAME.fullmatch(path.name) or path.is_symlink() or not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
            if path.suffix == ".lines":
                text = head + stream.read(1 << 16)
                return text.startswith(_LINES) and path.stem.partition("-")[2].encode() in text
            if not head.startswith(_SECTION):
                return False
            order = "little" if head[8:12] == b"\x4d\x3c\x2b\x1a" else "big"
            length = int.from_bytes(head[4:8], order)  # type: ignore[arg-type]
            block = stream.read(min(length, 1 << 16))
    except OSError:
        return False
    incident = path.stem.partition("-")[2]
    return _APPLICATION in block and incident.encode() in block


def delete_evidence(path: Path, left: list[str]) -> int | None:
    """Delete the evidence of an incident: the number of files, None where the file is there and
    cannot be deleted. Sentences on what is not deleted are added to `left`."""
    if not is_evidence_capture(path):
        if path.exists():
            left.append(f"{path}: is not a file that netwatch wrote, and was left")
        return 0
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        left.append(f"{path}: {error.strerror}")
        return None
    return 1
