"""Logs for tests: samples of all formats, and what their records say."""

from pathlib import Path

from support.paths import ROOT

from netwatch.capture.files import CaptureFile
from netwatch.core.statistics import RunStatistics
from netwatch.logs.log_files import Log, LogItem, LogOptions, items
from netwatch.logs.records import LogClaim, LogEntry, LogFlow, LogFlows, LogLoss, LogName

SAMPLES = ROOT / "tests" / "logs" / "samples"
"""A folder for each format, with a file for each version or way of writing it."""

NO_OPTIONS = LogOptions()


def sample_files(name: str) -> list[Path]:
    """The samples of a format."""
    return sorted(path for path in (SAMPLES / name).glob("*") if path.is_file())


def items_of(
    path: Path | str,
    name: str,
    *,
    statistics: RunStatistics | None = None,
    zones: tuple[bytes, ...] | None = None,
    options: LogOptions = NO_OPTIONS,
) -> list[LogItem]:
    """What the records of one file say."""
    log = Log((CaptureFile(str(path)),), (name,))
    return list(items(log, options, statistics or RunStatistics(), zones=zones))


def check_entry(entry: LogEntry) -> None:
    """Fail where an entry is not what its type promises."""
    if isinstance(entry, LogFlows):
        assert entry.conversations
        for flow in entry.flows():
            check_entry(flow)
        return
    if isinstance(entry, LogFlow):
        assert 0 <= entry.bytes_out < 1 << 63
        assert 0 <= entry.bytes_in < 1 << 63
        assert entry.first <= entry.last
        ends = (entry.client, entry.server)
        assert 1 <= entry.sampling <= 1 << 24
        assert entry.vlan is None or entry.vlan < 1 << 12
    elif isinstance(entry, LogLoss):
        ends = ()
        assert entry.count >= 0
    elif isinstance(entry, LogClaim):
        ends = ()
        assert all(len(address) in (4, 16) for address in entry.claim.addresses)
    else:
        assert isinstance(entry, LogName)
        assert entry.name
        for text in (entry.name, entry.raw, entry.asked):
            assert text.isascii()
            assert text.isprintable()
            assert " " not in text
        assert 0 <= entry.time_digits <= 9
        ends = (entry.client, entry.server)
    for end in ends:
        assert end.ip is None or len(end.ip) in (4, 16)
        assert 0 <= end.port < 1 << 16
