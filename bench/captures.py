"""Generated captures on disk. They are generated again when the generator changed."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import ROOT

BENCH = Path(__file__).parent
VARIED = ("names", "active", "clients", "banned")
"""Options that a section varies."""
MAKERS = ("flows", "population", "stock", "traffic", "wire")


@dataclass(frozen=True, slots=True)
class Traffic:
    """The options of `traffic.py`; None means its default."""

    kind: str
    packets: int
    seed: int = 1
    names: int | None = None
    active: int | None = None
    clients: int | None = None
    banned: float | None = None

    def command(self) -> list[str]:
        """The command that writes it to standard output, and its manifest to standard error."""
        options: dict[str, float] = {"packets": self.packets, "seed": self.seed}
        for key in VARIED:
            if (value := getattr(self, key)) is not None:
                options[key] = value
        parts = [part for key, value in options.items() for part in (f"--{key}", str(value))]
        return [sys.executable, str(BENCH / "traffic.py"), self.kind, *parts]

    @property
    def stem(self) -> str:
        """The name of its files without the suffix."""
        given = [self.kind, str(self.packets), str(self.seed)]
        varied = ((key, getattr(self, key)) for key in VARIED)
        return "-".join(given + [f"{key}{value}" for key, value in varied if value is not None])


def capture(traffic: Traffic, work: Path) -> tuple[Path, dict[str, Any]]:
    """The capture and its manifest, generated now or by an earlier run."""
    path, notes = work / f"{traffic.stem}.pcap", work / f"{traffic.stem}.json"
    scripts = [*(BENCH / f"{name}.py" for name in MAKERS), *(ROOT / "pcaps").glob("*.py")]
    changed = max(script.stat().st_mtime for script in scripts)
    if not notes.exists() or notes.stat().st_mtime < changed:
        # In a separate process, so that this one stays small.
        notes.unlink(missing_ok=True)
        command = [*traffic.command(), "-o", str(path)]
        done = subprocess.run(command, check=True, stderr=subprocess.PIPE)
        notes.write_bytes(done.stderr)
    # Read it once, so that the first reader does not pay for a cold page cache.
    with path.open("rb") as file:
        while file.read(1 << 22):
            pass
    return path, json.loads(notes.read_text(encoding="ascii"))


def remove(traffic: Traffic, work: Path) -> None:
    """Delete the capture and its manifest."""
    for ending in ("pcap", "json"):
        (work / f"{traffic.stem}.{ending}").unlink(missing_ok=True)


def empty(work: Path) -> Path:
    """A capture without packets."""
    path = work / "empty.pcap"
    path.write_bytes(capture(Traffic("office", 1), work)[0].read_bytes()[:24])
    return path
