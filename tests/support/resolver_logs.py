"""Reads records of the logs of resolvers as netwatch does, without files."""

from collections.abc import Iterable
from datetime import tzinfo
from pathlib import Path

from netwatch.core.addresses import ip_text
from netwatch.logs.carriers import Carriers
from netwatch.logs.records import Endpoint, LogEntry, LogName, ReaderContext
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.times import LocalTimes

SAMPLES = Path(__file__).parent.parent / "logs" / "samples"

WRITTEN = 1772500000 * 10**9
"""When the samples are taken to be written: on 3 March 2026."""


def sample(name: str, file: str) -> list[bytes]:
    """The lines of a sample."""
    return (SAMPLES / name / file).read_bytes().splitlines()


def all_lines(name: str) -> list[bytes]:
    """The lines of all samples of a format, empty if there are none."""
    folder = SAMPLES / name
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [line for file in files for line in file.read_bytes().splitlines()]


def read(
    name: str, lines: Iterable[bytes], *, zone: tzinfo | None = None, written: int = WRITTEN
) -> list[LogEntry]:
    """What the lines of a log of the format say. Raises `RecordError`."""
    times = LocalTimes(zone, None, written)
    carriers = Carriers(times)
    reader = LOG_FORMATS[name].reader(ReaderContext(times, "x.log"))
    found: list[LogEntry] = []
    for line in lines:
        taken = carriers.take_off(line)
        assert taken is not None
        found += reader.read(*taken)
    return [*found, *reader.flush()]


def names(name: str, lines: Iterable[bytes], **options: tzinfo | None) -> list[LogName]:
    """The same of lines that only show names."""
    found = read(name, lines, **options)  # type: ignore[arg-type]
    assert all(isinstance(entry, LogName) for entry in found)
    return [entry for entry in found if isinstance(entry, LogName)]


def endpoint(side: Endpoint) -> str:
    """``10.0.0.12:40001``, with ``-`` for an address that is not known."""
    return f"{'-' if side.ip is None else ip_text(side.ip)}:{side.port}"


def short(entry: LogName) -> tuple[str, str, str, str, str]:
    """Evidence, name, client, type and response code of an entry."""
    dns = entry.dns
    kind, rcode = ("", "") if dns is None else (dns.type, dns.rcode or "")
    return entry.evidence, entry.name, endpoint(entry.client), kind, rcode
