"""Whom a set would have accused, asked of the store before the set is installed.

The store is judged in a process of its own (`netwatch.rejudge.newly_accused`), which yields to a
capture, and is killed if it takes too long.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from netwatch.updates.set_format import SetError

DAYS = 30
"""Days of the store that are judged with a set."""

WEIGH_SECONDS = 900
"""Seconds that this may take."""

MAX_SHOWN_APPS = 5
"""Apps of which it is said how many devices a set accuses of them."""

_WORKER = [sys.executable, "-P", "-m", "netwatch.rejudge.newly_accused"]


@dataclass(frozen=True, slots=True)
class Weighed:
    """How many devices a set would have accused that the one in use did not, and by app."""

    devices: int
    apps: Mapping[str, int]

    def describe(self) -> str:
        """The apps with most devices, in words."""
        ranked = sorted(self.apps.items(), key=lambda each: (-each[1], each[0]))
        return ", ".join(f"{app}: {count:,}" for app, count in ranked[:MAX_SHOWN_APPS])


_ANYWAY = "netwatch signatures update --yes installs it"

Weigh = Callable[[Path, int], Weighed]
"""Weighs the set in a folder; so many devices may be accused. Raises `SetError`."""


def weigh(configuration: str | None, folder: Path, most: int, anyway: str = _ANYWAY) -> Weighed:
    """Weigh the set in `folder` with the store of the configuration at a path. Raises `SetError`
    where the store cannot be asked; `anyway` says what uses the set without asking."""
    command = [*_WORKER, configuration or "", str(folder), str(DAYS), str(most)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=WEIGH_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise _unasked(f"it took more than {WEIGH_SECONDS} s", anyway) from None
    except OSError as error:
        raise _unasked(error.strerror or "no process could be started", anyway) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise _unasked(said or f"status {done.returncode}", anyway)
    content = json.loads(done.stdout)
    return Weighed(content["devices"], content["apps"])


def _unasked(reason: str, anyway: str) -> SetError:
    return SetError(
        f"the store cannot be asked whom the set would have accused: {reason}; {anyway} without"
        " asking"
    )
