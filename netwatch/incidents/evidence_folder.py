"""A folder with one evidence capture for each incident: the packets that prove it. Log records that
do are in a text file next to it (`netwatch.incidents.evidence_selection`).

A file is written when its incident is first reported, and again with each update, always as a
whole: under a temporary name that is then renamed, so that readers never see half a file. Each file
is limited in packets, bytes and age, and the folder in files and bytes. What exceeds a limit is
counted. A failure to write never delays or loses an alert: it is reported at once, and the capture
is kept in memory and tried again.
"""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from netwatch import __version__
from netwatch.core.alert import Alert, sentences
from netwatch.core.errors import NetwatchError
from netwatch.core.flow import LOG_LINE, Frame
from netwatch.core.private_files import FOLDER_MODE, MODE, restrict
from netwatch.core.system.files import O_CLOEXEC, O_NOFOLLOW
from netwatch.core.text import escaped, quantity
from netwatch.incidents.evidence_selection import (
    Limits,
    choose,
    interface,
    lines_text,
    packet,
    section,
)

MAX_FILES = 10_000
"""Evidence captures in the folder."""

MAX_FOLDER_BYTES = 4 << 30
"""Bytes of all evidence captures in the folder."""

MAX_UNWRITTEN = 64 << 20
"""Bytes of evidence captures to keep in memory while they cannot be written."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FILE_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{32}\.(pcapng|lines)")

Chosen = list[tuple[Frame, list[str]]]


class EvidenceFolder:
    """Writes the packets of incidents into `folder`, which is created if it does not exist.

    `warn` takes sentences about problems. With `resuming`, packets are appended to the file of an
    incident that an earlier process wrote; otherwise such a file is replaced. Raises
    `NetwatchError` if the folder cannot be used. `files` and `octets` count the files and bytes
    written, `left_out` counts what a limit or an error kept out, by reason. `problem` says why
    captures cannot be written now, empty if they can.
    """

    def __init__(
        self,
        folder: str | Path,
        warn: Callable[[str], None],
        *,
        resuming: bool = False,
        limits: Limits | None = None,
        max_files: int = MAX_FILES,
        max_bytes: int = MAX_FOLDER_BYTES,
    ) -> None:
        self._folder = Path(folder)
        self._warn = warn
        self._resuming = resuming
        self._limits = limits or Limits()
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._earlier_data: dict[str, bytes] = {}
        self.files = 0
        self.octets = 0
        self.left_out: Counter[str] = Counter()
        self.problem = ""
        self._unwritten: dict[str, bytes] = {}
        try:
            self._folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self._sizes = {
                entry.name: entry.stat().st_size
                for entry in os.scandir(self._folder)
                if _FILE_NAME.fullmatch(entry.name)
            }
        except OSError as error:
            raise NetwatchError(
                f"{folder}: cannot be used as the evidence folder: {error.strerror}"
            ) from None
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise NetwatchError(f"{folder}: cannot be written to")
        self._total = sum(self._sizes.values())
        self._from_earlier_process = set(self._sizes)
        self._stems = {_id_in(name): name.partition(".")[0] for name in self._sizes}

    def write(self, alert: Alert) -> Alert:
        """Write the packets and the log records of an alert. Returns the alert without them, and
        with the paths of their files as ``evidence_file`` and ``evidence_lines`` if there are
        any."""
        stem = self._stems.get(alert.id) or file_stem(alert)
        chosen, left_out = choose(alert, self._limits)
        self.left_out.update(left_out)
        extra = dict(alert.extra)
        lines = [each for each in chosen if each[0].link_type == LOG_LINE]
        packets = [each for each in chosen if each[0].link_type != LOG_LINE]
        for key, suffix, found, make in (
            ("evidence_file", "pcapng", packets, _packets_of),
            ("evidence_lines", "lines", lines, _lines_of),
        ):
            name = f"{stem}.{suffix}"
            if found:
                self._write_file(name, alert, self._earlier(name) + make(alert, found))
            if name in self._sizes:
                extra[key] = str(self._folder / name)
            if alert.status == "closed":
                self._earlier_data.pop(name, None)
        return replace(alert, evidence_frames=(), extra=extra)

    def retry(self) -> None:
        """Retry what could not be written."""
        for name, data in list(self._unwritten.items()):
            if not self._try_to_write(name, data):
                return

    def close(self) -> None:
        """Retry for the last time; what still cannot be written is counted and reported."""
        self.retry()
        self.left_out["evidence-not-written"] += len(self._unwritten)
        self._unwritten.clear()
        if self.missing:
            captures = quantity(self.missing, "evidence capture")
            self._warn(f"{self._folder}: {captures} could not be written")
        self.left_out = +self.left_out

    @property
    def missing(self) -> int:
        """The captures that are lost, because they could not be written."""
        return self.left_out["evidence-not-written"]

    def _write_file(self, name: str, alert: Alert, data: bytes) -> None:
        self._unwritten.pop(name, None)
        waiting = sum(map(len, self._unwritten.values()))
        others = len(self._sizes.keys() | self._unwritten.keys() if waiting else self._sizes)
        known = self._sizes.get(name)
        if known is None and others >= self._max_files:
            self.left_out["evidence-files"] += 1
            return
        if self._total - (known or 0) + waiting + len(data) > self._max_bytes:
            self.left_out["evidence-folder-bytes"] += 1
            return
        self._stems[alert.id] = name.partition(".")[0]
        if self._try_to_write(name, data):
            return
        if waiting + len(data) > MAX_UNWRITTEN:
            self.left_out["evidence-not-written"] += 1
        else:
            self._unwritten[name] = data

    def _try_to_write(self, name: str, data: bytes) -> bool:
        """Write a whole file; False if that is impossible now, which is reported once."""
        path = self._folder / name
        try:
            _replace(path, data)
        except OSError as error:
            if not self.problem:
                self._warn(f"{path}: evidence cannot be written: {error.strerror}")
            self.problem = f"{path}: {error.strerror}"
            return False
        known = self._sizes.get(name)
        self.files += known is None or name in self._from_earlier_process
        self._from_earlier_process.discard(name)
        self.octets += len(data)
        self._total += len(data) - (known or 0)
        self._sizes[name] = len(data)
        self._unwritten.pop(name, None)
        if self.problem and not self._unwritten:
            self.problem = ""
            self._warn(f"{self._folder}: evidence is written again")
        return True

    def _earlier(self, name: str) -> bytes:
        """The bytes that an earlier process wrote for this incident, if it is resumed."""
        if not self._resuming or name not in self._from_earlier_process:
            return self._earlier_data.get(name, b"")
        try:
            self._earlier_data[name] = (self._folder / name).read_bytes()
        except OSError:
            self._earlier_data[name] = b""
        return self._earlier_data[name]


def _replace(path: Path, data: bytes) -> None:
    """Write a file as a whole, readable for its owner and group only. Raises `OSError`."""
    temporary = path.with_name(f".{path.name}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | O_NOFOLLOW | O_CLOEXEC
    try:
        handle = os.open(temporary, flags, MODE)
        with open(handle, "wb") as stream:  # noqa: PTH123 - a handle
            restrict(handle)
            stream.write(data)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _id_in(name: str) -> str:
    return name.partition("-")[2].partition(".")[0]


def file_stem(alert: Alert) -> str:
    """The prefix of an incident's file names: the second in which it began, and its id. Names sort
    by time."""
    began = _EPOCH + timedelta(seconds=alert.first_seen // 1_000_000_000)
    return f"{began:%Y%m%dT%H%M%SZ}-{alert.id}"


def _title(alert: Alert) -> str:
    ban, device = alert.ban, alert.device
    who = device.id if device.address is None else f"{device.id} ({device.address})"
    named = f" Sensor {alert.sensor.name}." if alert.sensor.is_named else ""
    return escaped(
        f"incident {alert.id}: {alert.verdict}, {alert.app.name} by {who},"
        f" ban {ban.id} of {ban.authority}; {alert.kind.value},"
        f" {alert.outcome} ({alert.status}). {sentences(alert.kind.reasons)}".rstrip()
        + named
    )


def _packets_of(alert: Alert, chosen: Chosen) -> bytes:
    return packets_file(_title(alert), chosen)


def _lines_of(alert: Alert, chosen: Chosen) -> bytes:
    return lines_text(_title(alert), chosen)


def packets_file(title: str, chosen: Chosen) -> bytes:
    """A pcapng file of packets in the order given, each with its comments."""
    blocks = [section(f"netwatch {__version__}", title)]
    longest = max((len(frame.data) + 4 for frame, _ in chosen), default=0)
    interfaces: dict[tuple[int, str, str], int] = {}
    for frame, _ in chosen:
        key = frame.link_type, frame.interface, frame.source
        if key not in interfaces:
            interfaces[key] = len(interfaces)
            name, source = escaped(frame.interface), escaped(frame.source)
            blocks.append(interface(frame.link_type, name, source, longest))
    for frame, comments in chosen:
        number = interfaces[frame.link_type, frame.interface, frame.source]
        blocks.append(packet(frame, number, comments))
    return b"".join(blocks)
