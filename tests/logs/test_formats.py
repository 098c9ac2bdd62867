"""What holds for every format: each knows its own logs, and none fails, whatever it reads."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.logs import NO_OPTIONS, check_entry, items_of, sample_files

from netwatch.capture.files import CaptureFile
from netwatch.core.errors import RecordError
from netwatch.core.statistics import RunStatistics
from netwatch.logs.carriers import Carriers
from netwatch.logs.recognise import line_sample, recognise
from netwatch.logs.records import ReaderContext
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.times import LocalTimes

FORMATS = pytest.mark.parametrize("name", LOG_FORMATS)
FILES = [(name, path) for name in LOG_FORMATS for path in sample_files(name)]
LINES = sorted({line for _, path in FILES for line in path.read_bytes().split(b"\n")[:40]})


@FORMATS
def test_each_format_has_samples(name):
    # Windows alone writes event logs.
    assert sample_files(name) or LOG_FORMATS[name].container == "evtx"


@pytest.mark.parametrize(("name", "path"), FILES, ids=[path.name for _, path in FILES])
def test_a_sample_is_recognised_as_its_format_and_as_no_other(name, path):
    found = recognise(CaptureFile(str(path)))
    if LOG_FORMATS[name].only_if_named:
        assert found.needs_name
        assert f"--as {name}" in found.doubt
    else:
        assert (found.format, found.doubt) == (name, "")


@pytest.mark.parametrize(("name", "path"), FILES, ids=[path.name for _, path in FILES])
def test_all_records_of_a_sample_are_read_and_say_something(name, path):
    statistics = RunStatistics()
    found = items_of(path, name, statistics=statistics)
    assert found
    assert statistics.unread == []
    assert statistics.logs == {name: 1}
    for item in found:
        check_entry(item.entry)
        assert item.record in path.read_bytes() or LOG_FORMATS[name].container != "lines"


def read_all(name, lines):
    """Read lines as they come from a file; nothing but `RecordError` may be raised."""
    times = LocalTimes()
    reader, carriers = LOG_FORMATS[name].reader(ReaderContext(times)), Carriers(times)
    for line in lines:
        with suppress(RecordError):
            taken = carriers.take_off(line)
            if taken is not None:
                for entry in reader.read(*taken):
                    check_entry(entry)
    for entry in reader.flush():
        check_entry(entry)


@FORMATS
def test_the_logs_of_all_other_formats_are_read_without_failing(name):
    read_all(name, LINES)
    sample = line_sample(b"\n".join(LINES))
    assert LOG_FORMATS[name].recognise(sample) <= len(sample.lines)


BAD = st.sampled_from(
    (
        *(b"", b"\0", b"\xff", b"\\u0000", b'"', b"-1", b"9" * 30, b"{", b"[" * 20, b"1e999"),
        *(b"null", b"true", b"\t", b" ", b",", b"=", b"|", b"\r", b"x" * 300),
    )
)


@st.composite
def altered(draw):
    """A line of a sample in which bytes were replaced, or taken away."""
    line = bytearray(draw(st.sampled_from(LINES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(line)))
        line[at : at + draw(st.integers(0, 12))] = draw(BAD)
    return bytes(line)


@FORMATS
@examples(60)
@given(lines=st.lists(altered() if LINES else st.binary(), max_size=6))
def test_altered_lines_are_read_or_counted(name, lines):
    read_all(name, [*lines, *lines])
    LOG_FORMATS[name].recognise(line_sample(b"\n".join(lines)))


@FORMATS
@examples(30)
@given(lines=st.lists(st.binary(max_size=80), max_size=6))
def test_any_bytes_are_read_or_counted(name, lines):
    read_all(name, lines)
    LOG_FORMATS[name].recognise(line_sample(b"\n".join(lines)))


@pytest.mark.parametrize(("name", "path"), FILES, ids=[path.name for _, path in FILES])
def test_of_a_log_with_names_of_interest_nothing_of_them_is_lost(name, path, tmp_path):
    """What is read for some domains is what is read without any, as far as it is of them."""
    whole = items_of(path, name)
    names = sorted({item.entry.name for item in whole if hasattr(item.entry, "name")})
    for domain in names[:3]:
        found = items_of(path, name, zones=(domain.encode(),), options=NO_OPTIONS)
        assert [item for item in whole if is_in(item.entry, domain)] == [
            item for item in found if is_in(item.entry, domain)
        ]


def is_in(entry, domain):
    name = getattr(entry, "name", None)
    return name is not None and (name == domain or name.endswith(f".{domain}"))
