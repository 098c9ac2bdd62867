"""Incidents of a store: their records, the files that contain their packets, and these packets, cut
out of the captures that were read.

If no evidence capture was written, the captures may still be where they were. A packet is only
taken from one if the whole file has the SHA-256 in the store: the number of a packet means nothing
in another file, and a path in a record must not open any other file.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sqlalchemy import select

from netwatch.capture.block import CAPTURED, FIELDS, INTERFACE, OFFSET, TIME, VLAN, WIRE
from netwatch.capture.files import open_source
from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.core.flow import Frame
from netwatch.core.text import escaped
from netwatch.coverage.bypass import PAST_DAYS
from netwatch.coverage.missing import spans_of
from netwatch.explain.sources import Found, chosen
from netwatch.explain.steps import CaptureFile, Explanation, HiddenDay
from netwatch.formats.bypass import codes
from netwatch.formats.values import epoch_ns, rfc3339
from netwatch.incidents.evidence_folder import packets_file
from netwatch.store import catalogue_tables as tables
from netwatch.store.bypass_days import DAY
from netwatch.store.bypass_rows import kept_records
from netwatch.store.catalogue import Catalogue
from netwatch.store.judged_coverage import judged_coverage
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.views import shown_incidents

MAX_IDS = 100_000
"""Ids to compare with an unknown one."""

MAX_SPANS = 3
"""Times with losses that a page names."""

MAX_BYTES = 1 << 30
"""Bytes of the captures to read for one incident."""

MAX_SECONDS = 10.0
"""Seconds that this may take."""

_PIECE = 1 << 20

Named = Mapping[int, list[str]]
"""Packets of a capture by their number, each with what it shows."""


def from_store(options: StoreOptions, wanted: str) -> Found:
    """The incident of a store whose id begins like this. If several runs found it, the newest is
    taken. Raises `ConfigError` if there is none, and `NetwatchError` if the store cannot be
    read."""
    incident = tables.incident.c
    with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:
        shown = shown_incidents()
        ids = shown.with_only_columns(incident.id).order_by(None).distinct().limit(MAX_IDS)
        fitting = ids.where(incident.id.startswith(wanted, autoescape=True))
        known = list(connection.execute(fitting).scalars()) or list(
            connection.execute(ids).scalars()
        )
        found = chosen(sorted(known), wanted, f"the store {options.shown}")
        row = connection.execute(
            shown.where(incident.id == found).with_only_columns(incident.run, incident.record)
        ).first()
        assert row is not None
        record: AlertRecord = json.loads(row.record)
        captures = connection.execute(
            select(tables.capture.c.sources).where(tables.capture.c.run == row.run)
        ).scalars()
        files = capture_files(captures)
        hidden, notes = hidden_days(catalogue, record), tuple(missing(catalogue, record))
    origin = f"the store {options.shown}, run {row.run}"
    return Found(record, origin, files, notes, hidden)


def missing(catalogue: Catalogue, record: AlertRecord) -> Iterator[str]:
    """A sentence on the times of an incident at which the store lacks part of what happened in its
    network. Raises `NetwatchError`."""
    since, last = (epoch_ns(record[key]) for key in ("first_seen", "last_seen"))
    coverage = judged_coverage(catalogue, since, last + 1)
    network = record["network"]["name"]
    lost = coverage.lost(network) & coverage.quarters_of(since, last + 1)
    spans = [f"{rfc3339(begin, 0)} to {rfc3339(end, 0)}" for begin, end in spans_of(coverage, lost)]
    if spans:
        more = f" and {len(spans) - MAX_SPANS} more times" if len(spans) > MAX_SPANS else ""
        yield (
            f"The store lacks part of what happened in {network} ({', '.join(spans[:MAX_SPANS])}"
            f"{more}): something was lost, or only a sample of the packets was looked at."
        )


def hidden_days(catalogue: Catalogue, record: AlertRecord) -> tuple[HiddenDay, ...]:
    """The days on which the device of an incident hid its lookups, from `PAST_DAYS` before it up to
    its last one. Raises `NetwatchError`."""
    device, network = record["device"], record["network"]["name"]
    first, last = (epoch_ns(record[key]) // DAY for key in ("first_seen", "last_seen"))
    names = {device[key] for key in ("id", "mac", "ip") if device.get(key)}
    found = kept_records(catalogue, first - PAST_DAYS, last + 1, devices=names, networks={network})
    return tuple(
        HiddenDay(each["day"], each["contacts"], each["untold"], tuple(codes(each)))
        for each in found
    )


def capture_files(captures: Iterable[str]) -> Mapping[str, CaptureFile]:
    """The files of captures by their paths, from their lists in the catalogue."""
    files: dict[str, CaptureFile] = {}
    for text in captures:
        for source in json.loads(text):
            files[source["path"]] = CaptureFile(
                source["path"], source.get("size"), source.get("sha256") or None
            )
    return files


def original_captures(incident: Explanation) -> Mapping[str, CaptureFile]:
    """The captures with packets of an incident that are where they were and have their original
    size, by source; empty if one is missing, or they are too large. Their hash is compared when
    packets are cut out."""
    found: dict[str, CaptureFile] = {}
    for source in _named(incident):
        file = next(
            contact.packet.file for contact in incident.contacts if contact.packet.source == source
        )
        if file is None or not file.sha256 or _size(file.path) != file.size:
            return {}
        found[source] = file
    total = sum(file.size or 0 for file in found.values())
    return found if total <= MAX_BYTES else {}


def cut_packets(incident: Explanation) -> bytes:
    """The packets that the evidence of an incident names, as a pcapng file, each with what it shows
    as its comment. Raises `NetwatchError` if a capture is not the one that was read, or cannot
    be read in time."""
    deadline = time.monotonic() + MAX_SECONDS
    named, files = _named(incident), original_captures(incident)
    if not files:
        raise NetwatchError("the captures that it was read from were moved or deleted")
    frames: list[tuple[Frame, list[str]]] = []
    for source, file in files.items():
        try:
            before = Path(file.path).stat()
            _check(file, deadline)
            frames += _frames(file.path, source, named[source], deadline)
            after = Path(file.path).stat()
        except OSError as error:
            raise NetwatchError(f"{file.path}: cannot be read: {error.strerror}") from None
        if (before.st_ino, before.st_mtime_ns) != (after.st_ino, after.st_mtime_ns):
            raise NetwatchError(f"{file.path}: was changed while it was read")
    if not frames:
        raise NetwatchError("the captures do not have the packets that the evidence names")
    return _file(incident, sorted(frames, key=lambda pair: (pair[0].time, pair[0].number)))


def _named(incident: Explanation) -> dict[str, dict[int, list[str]]]:
    """The packets that the evidence names, by source."""
    found: dict[str, dict[int, list[str]]] = {}
    for contact in incident.contacts:
        if contact.log is None:
            numbers = found.setdefault(contact.packet.source, {})
            numbers.setdefault(contact.packet.number, []).append(
                f"{contact.evidence} {contact.name}"
            )
    return found


def _size(path: str) -> int | None:
    """The size of a regular file that can be read; None for anything else."""
    try:
        status = Path(path).lstat()
    except (OSError, ValueError):
        return None
    is_file = stat.S_ISREG(status.st_mode) and os.access(path, os.R_OK)
    return status.st_size if is_file else None


def _check(file: CaptureFile, deadline: float) -> None:
    """Raise `NetwatchError` for a file whose content differs from what was read."""
    digest = hashlib.sha256()
    with Path(file.path).open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
            _in_time(file.path, deadline)
    if digest.hexdigest() != file.sha256:
        raise NetwatchError(f"{file.path}: has changed since it was read: its SHA-256 differs")


def _frames(
    path: str, source: str, named: Named, deadline: float
) -> Iterator[tuple[Frame, list[str]]]:
    """The packets of a capture with these numbers."""
    capture = open_source(path)
    try:
        last = max(named)
        for block in capture.blocks():
            for number in sorted(n for n in named if block.first <= n < block.first + block.count):
                at = (number - block.first) * FIELDS
                record = block.records[at : at + FIELDS]
                begin = record[OFFSET]
                where = block.interfaces[record[INTERFACE]]
                frame = Frame(
                    source,
                    number,
                    record[TIME],
                    where.time_digits,
                    where.link_type,
                    where.name or "",
                    record[WIRE],
                    record[VLAN],
                    bytes(block.data[begin : begin + record[CAPTURED]]),
                )
                yield frame, named[number]
            _in_time(path, deadline)
            if block.first + block.count > last:
                break
    finally:
        capture.close()


def _in_time(path: str, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise NetwatchError(f"{path}: reading it takes too long")


def _file(incident: Explanation, frames: list[tuple[Frame, list[str]]]) -> bytes:
    title = (
        f"incident {incident.id}: the packets that its evidence names, cut out of the captures"
        " that were read"
    )
    return packets_file(title, [(frame, _comments(frame, shown)) for frame, shown in frames])


def _comments(frame: Frame, shown: list[str]) -> list[str]:
    place = f"packet {escaped(frame.source)}#{frame.number}"
    return [f"{escaped(text)}, {place}" for text in shown]
