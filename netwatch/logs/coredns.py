"""CoreDNS: lines of its plugin ``log`` in the common and the combined format.

A line is ``ADDRESS:PORT - ID "TYPE CLASS NAME PROTOCOL SIZE DO BUFSIZE" RCODE FLAGS SIZE DURATION``
(https://coredns.io/plugins/log/); the combined format adds the opcode. It is written when the
answer has been sent, with no time of its own since 1.6; the time is then that of the container's or
the service's log. In a cluster, the client is the address of a pod.
"""

import re
from collections.abc import Iterable
from datetime import datetime

from netwatch.core.errors import RecordError
from netwatch.logs.dns_values import (
    address,
    answer_info,
    carried_time,
    port,
    query_info,
    shown,
    unescaped,
)
from netwatch.logs.records import (
    NOWHERE,
    Carried,
    Endpoint,
    LogEntry,
    RecordReader,
    Sample,
)
from netwatch.logs.times import rfc3339

_LINE = re.compile(
    rb"(?:(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?) )?"
    rb"(?:\[INFO\] )?(?:[a-z]{1,16}/)?\[?([0-9a-fA-F.:]+(?:%\S{1,32}?)?)\]?:(\d{1,5}) - "
    rb'(?:\d{1,5} )"([A-Z0-9]{1,16}) [A-Z0-9]{1,8} (\S+) (udp|tcp|tcp-tls|https|quic|grpc) '
    rb'\d+ (?:true|false) \d+" (\S+) (\S+) \d+ \S+(?: "?\d+"?)?'
)


def recognise(sample: Sample) -> int:
    """The number of lines of the sample that only CoreDNS writes."""
    return sum(_LINE.fullmatch(line) is not None for line in sample.lines if b" - " in line)


class CoreDnsReader(RecordReader):
    """Reads the records of one log of CoreDNS."""

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a line says."""
        found = _LINE.fullmatch(record)
        if found is None:
            if b" - " in record and b" IN " in record and b'" ' in record:
                raise RecordError("line-invalid")
            return ()
        moment, source, number, kind, name, protocol, rcode, _ = found.groups()
        when = self._time(moment) if moment else carried_time(carried)
        is_answered = rcode != b"-"
        return shown(
            unescaped(name),
            answer_info(kind, rcode) if is_answered else query_info(kind),
            when,
            Endpoint(address(source), port(number)),
            NOWHERE,
            "udp" if protocol in (b"udp", b"quic") else "tcp",
        )

    def _time(self, text: bytes) -> tuple[int, int]:
        """A time of CoreDNS 1.3 to 1.5 (RFC 3339), or of before, as packages of Go have it."""
        if text[4:5] == b"-":
            return rfc3339(text.decode("ascii"), self._times)
        try:
            moment = datetime.strptime(text[:19].decode("ascii"), "%Y/%m/%d %H:%M:%S")
        except ValueError:
            raise RecordError("time-invalid") from None
        return self._times.local(moment), 0
