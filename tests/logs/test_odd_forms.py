"""The samples of all formats in forms that files of logs come in: the same is read of each."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from support.logs import items_of, sample_files

from netwatch.capture.files import CaptureFile
from netwatch.core.statistics import RunStatistics
from netwatch.logs.recognise import recognise
from netwatch.logs.registry import LOG_FORMATS

FORMS: dict[str, Callable[[bytes], bytes]] = {
    "CR and LF": lambda text: text.replace(b"\n", b"\r\n"),
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "UTF-16": lambda text: text.decode("utf-8").encode("utf-16"),
    "gzip": gzip.compress,
    "no last line feed": lambda text: text.rstrip(b"\n"),
    "empty lines": lambda text: b"\n\n" + text.replace(b"\n", b"\n\n"),
    "a first line that is too long": lambda text: b"x" * 1_500_000 + b"\n" + text,
    "a first line of 1 MB": lambda text: b"x" * 1_000_000 + b"\n" + text,
}
SAMPLES = [
    (name, path)
    for name, row in LOG_FORMATS.items()
    for path in sample_files(name)
    if row.container == "lines"
]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_same_is_read(form: Callable[[bytes], bytes], tmp_path: Path) -> None:
    for name, sample in SAMPLES:
        path = tmp_path / sample.name
        path.write_bytes(form(sample.read_bytes()))
        if not LOG_FORMATS[name].only_if_named:
            assert recognise(CaptureFile(str(path))).format == name
        found = [item.entry for item in items_of(path, name)]
        assert len(found) == len(items_of(sample, name))


@pytest.mark.parametrize("name", ["windows-dns-events", "sysmon", "unbound"])
def test_a_line_whose_beginning_or_end_was_cut_off_is_counted(name: str, tmp_path: Path) -> None:
    sample = {"unbound": "epoch.log"}.get(name, "nxlog.json")
    (text,) = [path.read_bytes() for path in sample_files(name) if path.name == sample]
    path = tmp_path / sample
    path.write_bytes(text.rstrip(b"\n")[:-9] if name == "unbound" else text[20:])
    statistics = RunStatistics()
    items_of(path, name, statistics=statistics)
    assert statistics.unread_records.total() == 1


def test_lines_that_end_with_cr_alone_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    (squid,) = [path for path in sample_files("squid") if path.name == "native.log"]
    path.write_bytes(squid.read_bytes().replace(b"\n", b"\r"))
    assert "CR only" in recognise(CaptureFile(str(path))).hint
