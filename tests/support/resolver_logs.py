"""Reads records of the logs of resolvers as netwatch does, without files."""

import contextlib
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from pathlib import Path

from hypothesis import strategies as st

from netwatch.core.addresses import ip_text
from netwatch.logs.carriers import Carriers
from netwatch.logs.reading import ReaderContext, RecordError
from netwatch.logs.records import Endpoint, LogEntry, LogName
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


def some_lines(name: str, others: Sequence[bytes] = ()) -> st.SearchStrategy[list[bytes]]:
    """Lines of a log: any bytes, real lines, and real lines of which a part was replaced."""
    real = [line for line in (*all_lines(name), *others) if line]
    damaged = st.builds(
        lambda line, at, size, new: line[: at % len(line)] + new + line[at % len(line) + size :],
        st.sampled_from(real),
        st.integers(0, 500),
        st.integers(0, 12),
        st.one_of(st.binary(max_size=12), st.sampled_from([b"\0", b'"', b"\\", b"%", b"999999"])),
    )
    return st.lists(st.one_of(st.binary(max_size=200), st.sampled_from(real), damaged), max_size=6)


def read_any(name: str, lines: Iterable[bytes]) -> list[LogEntry]:
    """What arbitrary lines say, where those that cannot be read raise nothing but
    `RecordError`, whose argument is a reason as it is counted."""
    times = LocalTimes(None, None, WRITTEN)
    carriers = Carriers(times)
    reader = LOG_FORMATS[name].reader(ReaderContext(times))
    found: list[LogEntry] = []
    reasons: set[str] = set()
    for line in lines:
        try:
            taken = carriers.take_off(line)
            if taken is not None:
                found += reader.read(*taken)
        except RecordError as error:
            reasons.add(str(error))
    with contextlib.suppress(RecordError):
        found += reader.flush()
    assert all(reason.replace("-", "").isalpha() for reason in reasons)
    return found
