"""Why the modules that are to be compiled are not, and what to do about it."""

from pathlib import Path

from netwatch.core.text import escaped

REMEDY = (
    "install a C compiler and the headers of C and Python (Debian: gcc libc6-dev python3-dev;"
    " Fedora: gcc glibc-devel python3-devel), then reinstall netwatch"
)
"""What a user has to do, as an instruction."""

_CAUSE = Path(__file__).parents[1] / "not-compiled.txt"
_MAX_CAUSE = 300


def why_interpreted() -> str:
    """What the C compiler said when netwatch was installed, in one line; empty if it was not
    asked, as for the wheel of plain Python."""
    try:
        with _CAUSE.open(encoding="utf-8", errors="replace") as file:
            return escaped(file.read(_MAX_CAUSE).strip())
    except OSError:
        return ""
