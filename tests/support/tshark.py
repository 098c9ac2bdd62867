"""tshark as a second reader of captures."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.programs import needs

needed = needs("tshark")
"""Skips where tshark is missing or does not work."""


def fields(
    path: Path,
    names: Sequence[str],
    *,
    display_filter: str = "",
    aggregator: str = ",",
    options: Sequence[str] = (),
) -> list[list[str]]:
    """The fields by these names of every packet that passes the filter. Where a packet has a
    field several times, `aggregator` separates the values."""
    command = ["tshark", "-n", "-r", str(path), "-o", "tcp.reassemble_out_of_order:TRUE", *options]
    command += ["-Y", display_filter] if display_filter else []
    command += ["-T", "fields", "-E", "separator=/t", "-E", f"aggregator={aggregator}"]
    command += [word for name in names for word in ("-e", name)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return [line.split("\t") for line in done.stdout.splitlines()]


def words(rows: Sequence[Sequence[str]], *columns: int) -> set[str]:
    """All values of some columns in lower case; a field's values are separated by ``;``."""
    return {word for row in rows for at in columns for word in row[at].lower().split(";") if word}
