"""Records of logs as values, for tests of their formats."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
from hypothesis import strategies as st

from netwatch.core.addresses import ip_text
from netwatch.core.errors import RecordError
from netwatch.logs.records import (
    PLAIN,
    Carried,
    LogClaim,
    LogEntry,
    LogFlow,
    LogFlows,
    LogName,
    ReaderContext,
    Sample,
)
from netwatch.logs.registry import LOG_FORMATS, LogFormat
from netwatch.logs.times import LocalTimes

SAMPLES = Path(__file__).parents[1] / "logs" / "samples"
"""A small sample of each format, in a folder of its name."""


def sample_of(lines: Iterable[bytes]) -> Sample:
    """The head of a file of these lines, which nothing carried."""
    found = tuple(lines)
    return Sample(
        b"\n".join(found),
        found,
        tuple(PLAIN for _ in found),
        tuple(_object(each) for each in found),
    )


def sample_lines(path: Path) -> list[bytes]:
    """The lines of a sample."""
    return path.read_bytes().splitlines()


def _format(of: ModuleType | LogFormat) -> LogFormat:
    """A format, or the one whose reader is in a module."""
    if isinstance(of, LogFormat):
        return of
    return next(row for row in LOG_FORMATS.values() if row.reader.__module__ == of.__name__)


@st.composite
def damaged(draw: st.DrawFn, lines: Sequence[bytes]) -> list[bytes]:
    """Lines of anything, and a real one in which some bytes are others, or missing."""
    line = bytearray(draw(st.sampled_from(lines)))
    at = draw(st.integers(0, len(line) - 1))
    line[at : at + draw(st.integers(0, 9))] = draw(st.binary(max_size=9))
    return [*draw(st.lists(st.binary(max_size=200), max_size=4)), bytes(line)]


def read(
    module: ModuleType | LogFormat, lines: Iterable[bytes], carried: Carried = PLAIN, **zone: Any
) -> list[LogEntry]:
    """What the lines of a log say. Raises `RecordError` for the first that cannot be read."""
    context = ReaderContext(LocalTimes(**zone))
    reader = _format(module).reader(context)
    entries = [entry for line in lines for entry in reader.read(line, carried)]
    return [*entries, *reader.flush()]


def read_any(module: ModuleType | LogFormat, lines: Iterable[bytes]) -> list[LogEntry]:
    """The same of lines of which some cannot be read: nothing else than that may be raised. The
    entries have what the engine relies on."""
    reader = _format(module).reader(ReaderContext(LocalTimes()))
    found: list[LogEntry] = []
    reasons = set()
    for line in lines:
        try:
            found.extend(reader.read(line, PLAIN))
        except RecordError as error:
            reasons.add(str(error))
    found.extend(reader.flush())
    assert all(each.replace("-", "").isalpha() for each in reasons)
    for entry in found:
        if isinstance(entry, LogName):
            assert entry.name
            assert entry.name.isascii()
            assert entry.name.isprintable()
            assert entry.client.ip is None or len(entry.client.ip) in (4, 16)
            assert 0 <= entry.client.port < 65536
            assert 0 <= entry.server.port < 65536
            assert 0 <= entry.time_digits <= 9
        else:
            assert isinstance(entry, LogFlow | LogFlows | LogClaim)
    return found


def short(entry: LogEntry) -> tuple[object, ...]:
    """An entry in a few words: evidence, name, client, server, what came of it."""
    if isinstance(entry, LogName):
        came = entry.dns.rcode if entry.dns else entry.outcome
        return entry.evidence, entry.name, _side(entry.client), _side(entry.server), came
    assert isinstance(entry, LogFlow)
    sides = _side(entry.client), _side(entry.server)
    return "flow", entry.transport, *sides, entry.bytes_out, entry.bytes_in


def _side(side: tuple[bytes | None, int]) -> str:
    return f"{ip_text(side[0]) if side[0] else '-'}:{side[1]}"


def _object(line: bytes) -> dict[str, object] | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
