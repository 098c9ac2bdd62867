"""Generated captures on disk: made once, made again when the scripts that make them changed."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import ROOT

BENCH = Path(__file__).parent
MAKERS = ("flows", "population", "stock", "traffic", "wire")


@dataclass(frozen=True, slots=True)
class Traffic:
    """What `traffic.py` is asked for; what is None is its own choice."""

    kind: str
    packets: int
    seed: int = 1
    names: int | None = None
    active: int | None = None

    def command(self) -> list[str]:
        """The call that writes it to standard output, and its manifest to standard error."""
        options = {"packets": self.packets, "seed": self.seed}
        options |= {"names": self.names} if self.names is not None else {}
        options |= {"active": self.active} if self.active is not None else {}
        parts = [part for key, value in options.items() for part in (f"--{key}", str(value))]
        return [sys.executable, str(BENCH / "traffic.py"), self.kind, *parts]

    @property
    def stem(self) -> str:
        """What its files are called."""
        given = (self.kind, self.packets, self.seed, self.names, self.active)
        return "-".join(str(each) for each in given if each is not None)


def capture(traffic: Traffic, work: Path) -> tuple[Path, dict[str, Any]]:
    """The capture and its manifest, generated or left by an earlier call."""
    path, notes = work / f"{traffic.stem}.pcap", work / f"{traffic.stem}.json"
    scripts = [*(BENCH / f"{name}.py" for name in MAKERS), *(ROOT / "pcaps").glob("*.py")]
    changed = max(script.stat().st_mtime for script in scripts)
    if not notes.exists() or notes.stat().st_mtime < changed:
        # In a process of its own, so that this one stays small.
        notes.unlink(missing_ok=True)
        command = [*traffic.command(), "-o", str(path)]
        done = subprocess.run(command, check=True, stderr=subprocess.PIPE)
        notes.write_bytes(done.stderr)
    # Once through, so that the first reader does not pay for a cold page cache.
    with path.open("rb") as file:
        while file.read(1 << 22):
            pass
    return path, json.loads(notes.read_text(encoding="ascii"))


def forget(traffic: Traffic, work: Path) -> None:
    """Remove the capture and its manifest."""
    for ending in ("pcap", "json"):
        (work / f"{traffic.stem}.{ending}").unlink(missing_ok=True)


def empty(work: Path) -> Path:
    """A capture without a packet."""
    path = work / "empty.pcap"
    path.write_bytes(capture(Traffic("office", 1), work)[0].read_bytes()[:24])
    return path
