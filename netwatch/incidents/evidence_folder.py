"""A folder with one small capture for each incident: the packets that prove it.

A file is written when its incident is told, and again each time that more is told of it;
always whole, under another name first, so that whoever reads it finds a sound file. What it
holds is bounded by packets, bytes and age, and so is the folder; what that keeps out is
counted, and no alert waits for it or fails with it.
"""

import contextlib
import os
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from netwatch import __version__
from netwatch.core.alert import Alert
from netwatch.core.errors import NetwatchError
from netwatch.core.frame import Frame
from netwatch.formats.values import escaped
from netwatch.incidents.evidence_pcapng import interface, packet, section
from netwatch.incidents.evidence_selection import Limits, choose

MAX_FILES = 10_000
"""Captures in the folder."""

MAX_FOLDER_BYTES = 4 << 30
"""Bytes of all captures in the folder."""

MODE = 0o640
"""Permissions of a capture: traffic of people, for the owner and the group to read."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OURS = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{32}\.pcapng")


class Evidence:
    """Writes the packets of incidents into `folder`, which is made where it is not there.

    With `resuming`, an incident whose file is there from an earlier process goes on in it:
    packets are added behind those that it has; without, it is written anew. Raises
    `NetwatchError` where the folder cannot be used. `left_out` counts by reason what limits
    kept out, `files` and `octets` what was written, `notes` are sentences on what went
    wrong.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        resuming: bool = False,
        limits: Limits | None = None,
        max_files: int = MAX_FILES,
        max_bytes: int = MAX_FOLDER_BYTES,
    ) -> None:
        self._folder = Path(folder)
        self._resuming = resuming
        self._limits = limits or Limits()
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._before: dict[str, bytes] = {}
        self.files = 0
        self.octets = 0
        self.left_out: Counter[str] = Counter()
        self.notes: list[str] = []
        try:
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._sizes = {
                entry.name: entry.stat().st_size
                for entry in os.scandir(self._folder)
                if _OURS.fullmatch(entry.name)
            }
        except OSError as error:
            raise NetwatchError(f"{folder}: cannot be used: {error.strerror}") from None
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise NetwatchError(f"{folder}: cannot be written to")
        self._total = sum(self._sizes.values())
        self._fresh = set(self._sizes)
        self._names = {_id_in(name): name for name in self._sizes}

    def keep(self, alert: Alert) -> Alert:
        """Write the packets of an alert; the alert without them, and with the path of their
        file as ``evidence_file`` where there is one."""
        name = self._names.get(alert.id) or file_name(alert)
        chosen, left_out = choose(alert, self._limits)
        self.left_out.update(left_out)
        there = bool(chosen) and self._write(name, alert, chosen)
        extra = dict(alert.extra)
        if there or name in self._sizes:
            extra["evidence_file"] = str(self._folder / name)
        if alert.status == "closed":
            self._before.pop(name, None)
        return replace(alert, proof=(), extra=extra)

    def _write(self, name: str, alert: Alert, chosen: list[tuple[Frame, list[str]]]) -> bool:
        data = self._earlier(name) + capture(alert, chosen)
        known = self._sizes.get(name)
        if known is None and len(self._sizes) >= self._max_files:
            self.left_out["evidence-files"] += 1
            return False
        if self._total - (known or 0) + len(data) > self._max_bytes:
            self.left_out["evidence-folder-bytes"] += 1
            return False
        path, part = self._folder / name, self._folder / f".{name}.part"
        try:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, MODE)
            with open(handle, "wb") as stream:  # noqa: PTH123 - a handle
                os.fchmod(handle, MODE)
                stream.write(data)
            part.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            self.left_out["evidence-not-written"] += 1
            note = f"{path.parent}: evidence cannot be written: {error.strerror}"
            if note not in self.notes:
                self.notes.append(note)
            return False
        self.files += known is None or name in self._fresh
        self._fresh.discard(name)
        self.octets += len(data)
        self._total += len(data) - (known or 0)
        self._sizes[name] = len(data)
        self._names[alert.id] = name
        return True

    def _earlier(self, name: str) -> bytes:
        """What an earlier process wrote of the incident, where it goes on."""
        if not self._resuming or name not in self._fresh:
            return self._before.get(name, b"")
        try:
            self._before[name] = (self._folder / name).read_bytes()
        except OSError:
            self._before[name] = b""
        return self._before[name]


def _id_in(name: str) -> str:
    return name.partition("-")[2].removesuffix(".pcapng")


def file_name(alert: Alert) -> str:
    """When an incident began, by the second, and its id; it sorts by time."""
    began = _EPOCH + timedelta(seconds=alert.first_seen // 1_000_000_000)
    return f"{began:%Y%m%dT%H%M%SZ}-{alert.id}.pcapng"


def capture(alert: Alert, chosen: list[tuple[Frame, list[str]]]) -> bytes:
    """A pcapng file of packets in the order given, each with its comments."""
    ban, who = alert.ban, alert.device
    out = [
        section(
            f"netwatch {__version__}",
            escaped(
                f"incident {alert.id}: {alert.verdict}, {alert.app.name} by {who.id} ({who.ip}),"
                f" ban {ban.id} of {ban.authority}"
            ),
        )
    ]
    longest = max((len(frame.data) + 4 for frame, _ in chosen), default=0)
    interfaces: dict[tuple[int, str, str], int] = {}
    for frame, _ in chosen:
        key = frame.link_type, frame.interface, frame.source
        if key not in interfaces:
            interfaces[key] = len(interfaces)
            name, source = escaped(frame.interface), escaped(frame.source)
            out.append(interface(frame.link_type, name, source, longest))
    for frame, comments in chosen:
        on = interfaces[frame.link_type, frame.interface, frame.source]
        out.append(packet(frame, on, comments))
    return b"".join(out)
