"""The fuzz target of logs: any bytes as a log of a format, which the first byte chooses."""

from contextlib import suppress

from support.logs import check_entry, sample_files

from netwatch.core.errors import RecordError
from netwatch.logs.carriers import Carriers
from netwatch.logs.prefilter import LineFilter
from netwatch.logs.recognise import recognise_head
from netwatch.logs.records import ReaderContext
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.times import LocalTimes

SEED_BYTES = 1024
"""Bytes of each sample that the fuzzer starts from."""

_NAMES = tuple(LOG_FORMATS)
_CARRIED = (
    b"<30>Nov 20 10:04:31 gw app[1]: text",
    b'<30>1 2026-11-20T10:04:31Z gw app 7 - [a b="c"] text',
    b'{"log":"text\\n","stream":"stderr","time":"2026-11-20T10:04:31Z"}',
    b'{"__REALTIME_TIMESTAMP":"1795169071000000","MESSAGE":[116]}',
    b"2026-11-20T10:04:31Z stdout P te\n2026-11-20T10:04:31Z stdout F xt",
)


def read_log(data: bytes) -> None:
    """Recognise bytes as a log, filter them, and read them as the format of the first byte."""
    chosen, text = data[:1], data[1:]
    recognise_head(text)
    lines = LineFilter((b"tiktok.com",), (b'"flow"',), labels=bool(chosen > b"\x7f"), around=4)
    buffer, at = bytearray(text), 0
    while at < len(buffer):
        at = lines.find(buffer, at, len(buffer))
    times = LocalTimes()
    carriers = Carriers(times)
    number = chosen[0] % max(1, len(_NAMES)) if chosen else 0
    for name in _NAMES[number : number + 1]:
        reader = LOG_FORMATS[name].reader(ReaderContext(times))
        for line in text.split(b"\n"):
            with suppress(RecordError):
                taken = carriers.take_off(line)
                for entry in reader.read(*taken) if taken is not None else ():
                    check_entry(entry)
        for entry in reader.flush():
            check_entry(entry)


def seeds() -> list[bytes]:
    """The head of each sample behind the byte of its format, and what carriers write."""
    found = [bytes([0]) + line for line in _CARRIED]
    for number, name in enumerate(_NAMES):
        heads = (path.read_bytes()[:SEED_BYTES] for path in sample_files(name))
        found.extend(bytes([number]) + head for head in heads)
    return found
