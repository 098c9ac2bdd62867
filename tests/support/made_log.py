"""A format of logs for tests of what all formats share: ``TIME CLIENT NAME [ADDRESS]`` a line."""

from contextlib import contextmanager

from netwatch.core.addresses import parse_ip
from netwatch.core.errors import RecordError
from netwatch.core.message import DnsInfo
from netwatch.logs.dns_values import shown
from netwatch.logs.records import Endpoint, LogFlow, RecordReader
from netwatch.logs.registry import LOG_FORMATS, LogFormat
from netwatch.logs.times import epoch


def recognise(sample):
    return sum(line.startswith(b"made ") for line in sample.lines)


class Reader(RecordReader):
    def __init__(self, context):
        super().__init__(context)
        self.context = context

    def read(self, record, carried):
        words = record.decode().removeprefix("made ").split(" ")
        if words == ["note"]:
            return
        if len(words) < 3:
            raise RecordError("field-missing")
        time, digits = (carried.time, carried.time_digits) if words[0] == "-" else epoch(words[0])
        client = Endpoint(parse_ip(words[1]))
        if words[2] == "flow":
            server = Endpoint(parse_ip(words[3]), 443)
            yield LogFlow(time, time, "tcp", client, server, 10, 20, flow=words[4])
            return
        answers = tuple((word, 60) for word in words[3:])
        info = DnsInfo("A", "NOERROR" if answers else None, answers)
        yield from shown(words[2].encode(), info, (time, digits), client)

    def flush(self):
        return ()


@contextmanager
def made_formats(**changes):
    """Have the format ``made``, with other columns of its row, and others by its name."""
    rows = {"made": LogFormat("Made", recognise, Reader, **changes)}
    LOG_FORMATS.update(rows)
    try:
        yield LOG_FORMATS
    finally:
        for name in rows:
            del LOG_FORMATS[name]
