"""PowerDNS: the Recursor with ``quiet=no``, and ``LogAction`` and ``LogResponseAction`` of dnsdist.

The Recursor logs a question, then its answer. From 5.0 these are structured lines (``msg="Question"
… qname="www.example.com" qtype="A" remote="192.0.2.1:5353"``, or JSON), before that sentences, and
the sentence of an answer does not name the client. A question answered from the packet cache has
only one line; before 5.0 it has no name. dnsdist writes ``Packet from ADDRESS:PORT for NAME TYPE
with id ID``, and ``Answer to …`` with the text of the response code.
"""

import re
from collections.abc import Iterable

from netwatch.core.errors import RecordError
from netwatch.core.limited_dict import LimitedDict
from netwatch.core.message import DnsInfo
from netwatch.logs.dns_values import (
    address,
    answer_info,
    carried_time,
    port,
    query_info,
    shown,
    unescaped,
)
from netwatch.logs.fields import json_object
from netwatch.logs.records import (
    NOWHERE,
    Carried,
    Endpoint,
    LogEntry,
    Place,
    ReaderContext,
    RecordReader,
    Sample,
)
from netwatch.logs.times import epoch

MAX_QUESTIONS = 4096
"""Maximum number of questions of the Recursor waiting for their answer; the oldest is forgotten."""

_PAIR = re.compile(rb'([a-z][A-Za-z-]{0,31})="((?:[^"\\]|\\.)*+)"')
_SENTENCE = re.compile(
    rb"(\d+ \[\d+/\d+\]) (?:(question for|answer to question) '(\S+)\|([A-Z0-9]{1,16})'"
    rb"(?: from (\S+?)(?: .*)?|: \d+ answers.* rcode=(\d+).*))"
)
_DNSDIST = re.compile(
    rb"(?:\[(\d{9,11}\.\d{1,9})\] )?(?:Packet from|Answer to) (\S+) for (\S+) ([A-Z0-9]{1,16})"
    rb"(?: \(([A-Za-z ,-]{1,64})\))? with id \d{1,5}"
)
_RCODES = {
    b"No Error": b"NOERROR",
    b"Form Error": b"FORMERR",
    b"Server Failure": b"SERVFAIL",
    b"Non-Existent domain": b"NXDOMAIN",
    b"Not Implemented": b"NOTIMP",
    b"Query Refused": b"REFUSED",
    b"Name Exists when it should not": b"YXDOMAIN",
    b"RR Set Exists when it should not": b"YXRRSET",
    b"RR Set that should exist does not": b"NXRRSET",
    b"Server Not Authoritative for zone / Not Authorized": b"NOTAUTH",
    b"Name not contained in zone": b"NOTZONE",
}
_QUESTIONS = ("Question", "Question answered from packet cache")


def recognise(sample: Sample) -> int:
    """The number of lines of the sample that only PowerDNS writes."""
    found = 0
    for line, json in zip(sample.lines, sample.objects, strict=True):
        if json is not None:
            found += json.keys() >= {"msg", "qname", "qtype", "remote"}
        else:
            found += (
                (line.startswith(b'msg="') and b' qname="' in line and b' remote="' in line)
                or _SENTENCE.fullmatch(line) is not None
                or _DNSDIST.fullmatch(line) is not None
            )
    return found


class PowerDnsReader(RecordReader):
    """Reads the records of one log of the Recursor or of dnsdist."""

    def __init__(self, context: ReaderContext) -> None:
        super().__init__(context)
        # The clients of questions and where these are, by the Recursor's thread and task, name and
        # type.
        self._questions: LimitedDict[tuple[bytes, bytes, bytes], tuple[Endpoint, Place | None]] = (
            LimitedDict(MAX_QUESTIONS)
        )

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a line."""
        if record.startswith(b'msg="'):
            pairs = _PAIR.findall(record)
            fields = {key.decode("ascii"): _unquoted(value) for key, value in pairs}
            return self._structured(fields, carried)
        if record.startswith(b"{"):
            return self._structured(_json(record), carried)
        if found := _DNSDIST.fullmatch(record):
            return self._dnsdist(found, carried)
        if found := _SENTENCE.fullmatch(record):
            return self._sentence(found, carried)
        return ()

    def _structured(self, fields: dict[str, bytes], carried: Carried) -> Iterable[LogEntry]:
        message = fields.get("msg", b"").decode("latin-1").removeprefix("TCP ").capitalize()
        if message not in (*_QUESTIONS, "Answer"):
            return ()
        name, kind, remote = (fields.get(key) for key in ("qname", "qtype", "remote"))
        if name is None or kind is None or remote is None:
            raise RecordError("field-missing")
        info = query_info(kind)
        if message == "Answer":
            info = answer_info(kind, fields.get("rcode", b""))
        moment = fields.get("ts", b"").decode("latin-1")
        return shown(
            unescaped(name),
            info,
            epoch(moment) if moment[:1].isdigit() else carried_time(carried),
            _endpoint(remote),
            NOWHERE,
            "tcp" if fields.get("proto") == b"tcp" else "udp",
        )

    def _sentence(self, found: re.Match[bytes], carried: Carried) -> Iterable[LogEntry]:
        task, what, name, kind, source, rcode = found.groups()
        key = task, name, kind
        if what == b"question for" and source is not None:
            client, when = _endpoint(source), carried_time(carried)
            self._questions[key] = client, self._current.place(*when)
            return shown(unescaped(name), query_info(kind), when, client)
        asked_by = self._questions.pop(key, None)
        if asked_by is None or rcode is None:
            return ()
        info: DnsInfo = answer_info(kind, rcode)
        client, place = asked_by
        parts = () if place is None else (place,)
        return shown(unescaped(name), info, carried_time(carried), client, parts=parts)

    def _dnsdist(self, found: re.Match[bytes], carried: Carried) -> Iterable[LogEntry]:
        moment, source, name, kind, text = found.groups()
        when = epoch(moment.decode("ascii")) if moment else carried_time(carried)
        if text is None:
            return shown(unescaped(name), query_info(kind), when, _endpoint(source))
        rcode = _RCODES.get(text)
        if rcode is None:
            raise RecordError("response-code-invalid")
        return shown(unescaped(name), answer_info(kind, rcode), when, _endpoint(source))


def _endpoint(text: bytes) -> Endpoint:
    """An address with its port, as ``192.0.2.1:53`` or ``[2001:db8::1]:53``."""
    host, _, number = text.rpartition(b":")
    return Endpoint(address(host.strip(b"[]")), port(number))


def _unquoted(value: bytes) -> bytes:
    """A value in a structured line with its quotes and backslashes unescaped."""
    return re.sub(rb"\\(.)", rb"\1", value) if b"\\" in value else value


def _json(record: bytes) -> dict[str, bytes]:
    return {
        key: value.encode("utf-8", "surrogatepass")
        for key, value in json_object(record).items()
        if isinstance(value, str)
    }
