"""Traffic, URL and DNS threat logs of Palo Alto Networks firewalls: CSV lines, mostly in syslog.

The order of the fields is in "Syslog Field Descriptions" of each PAN-OS version; versions from 6
to 11 have added fields at the end only. The source address is that before the firewall translates
it. Times are local to the firewall, without a zone; PAN-OS 10 and later also write a precise time
with its zone, which is then taken.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from netwatch.core.message import DnsInfo, Evidence
from netwatch.logs.dns_values import lookup
from netwatch.logs.fields import address, contact, csv_row, field, host_of_url, number, octets, port
from netwatch.logs.reading import Carried, ReaderContext, RecordError, Sample
from netwatch.logs.records import Endpoint, LogEntry, LogFlow, LogName
from netwatch.logs.times import SECOND, LocalTimes
from netwatch.logs.timestamps import rfc3339

_SERIAL, _TYPE, _SUBTYPE, _GENERATED = 2, 3, 4, 6
_SOURCE, _DESTINATION, _APPLICATION = 7, 8, 14
_SESSION, _SOURCE_PORT, _DESTINATION_PORT, _PROTOCOL, _ACTION = 22, 24, 25, 29, 30
_BYTES_SENT, _BYTES_RECEIVED, _ELAPSED = 32, 33, 36
_URL, _THREAT = 31, 32
"""Places of fields in a line. From `_URL` on, they differ between traffic and threat logs."""

_PRECISE_FROM = 60
"""The first place at which the precise time may be, in all versions."""

_LINE = re.compile(
    rb"[^,]*,\d{1,4}[/-]\d{1,2}[/-]\d{1,4} [\d:]{4,8},[^,]*,(?:TRAFFIC|THREAT|SYSTEM|CONFIG|USERID"
    rb"|GLOBALPROTECT|HIPMATCH|DECRYPTION|AUTHENTICATION|CORRELATION|USER-ID|TUNNEL|IPTAG),"
)
_PRECISE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)", re.ASCII)
_OLD_TIME = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2}|\d{4}) (\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)
_DOMAIN = re.compile(r"[(:\s]([\w-]+(?:\.[\w-]+)+)\.?\)?\s*\(\d+\)", re.ASCII)
_REFUSED = ("block", "deny", "drop", "reset", "sinkhole")


def recognise(sample: Sample) -> int:
    """The number of lines of PAN-OS, of whatever type."""
    return sum(_LINE.match(line) is not None for line in sample.lines)


class Reader:
    """Reads the records of one log."""

    def __init__(self, context: ReaderContext) -> None:
        self._times = context.times

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a record shows. Raises `RecordError`."""
        if b",TRAFFIC,end," not in record and b",THREAT," not in record:
            return ()
        row = csv_row(record)
        kind, sub = field(row, _TYPE), field(row, _SUBTYPE)
        if kind == "TRAFFIC" and sub == "end":
            return self._flow(row)
        if kind != "THREAT":
            return ()
        if sub == "url":
            return self._url(row)
        if sub in ("spyware", "dns") and field(row, _APPLICATION).startswith("dns"):
            return self._lookup(row)
        return ()

    def flush(self) -> Iterable[LogEntry]:
        """Nothing: no record waits for another."""
        return ()

    def _template(self, row: Sequence[str]) -> LogName:
        if len(row) <= _THREAT:
            raise RecordError("fields-missing")
        time, digits = _time(row, self._times)
        action = field(row, _ACTION)
        refused = any(each in action for each in _REFUSED)
        client = address(field(row, _SOURCE))
        return LogName(
            time=time,
            time_digits=digits,
            evidence="dns-query",
            name="",
            client=Endpoint(client, port(field(row, _SOURCE_PORT))),
            server=Endpoint(address(field(row, _DESTINATION)), port(field(row, _DESTINATION_PORT))),
            transport="tcp" if field(row, _PROTOCOL) == "tcp" else "udp",
            flow=_flow_of(row),
            outcome="blocked" if refused else None,
            blocked_by=action if refused else "",
            lacks=() if client else ("client",),
        )

    def _url(self, row: Sequence[str]) -> Iterable[LogEntry]:
        template = self._template(row)
        host, _ = host_of_url(field(row, _URL))
        return contact(_evidence(row), host, template)

    def _lookup(self, row: Sequence[str]) -> Iterable[LogEntry]:
        template = replace(self._template(row), flow="")
        if template.client.port == 53 and template.server.port != 53:
            # The threat was found in the answer.
            template = replace(template, client=template.server, server=template.client)
        name = field(row, _URL)
        if "." not in name or " " in name or "/" in name:
            found = _DOMAIN.search(field(row, _THREAT))
            if found is None:
                return ()  # a threat in DNS that is known by no name
            name = found[1]
        lacks = ("answer", "query-type", *template.lacks)
        return lookup(octets(name), DnsInfo(""), replace(template, lacks=lacks))

    def _flow(self, row: Sequence[str]) -> Iterable[LogEntry]:
        transport = field(row, _PROTOCOL)
        if transport not in ("tcp", "udp"):
            return ()
        if len(row) <= _ELAPSED:
            raise RecordError("fields-missing")
        client, server = address(field(row, _SOURCE)), address(field(row, _DESTINATION))
        if client is None or server is None:
            raise RecordError("address-invalid")
        last, _ = _time(row, self._times)
        received = number(field(row, _BYTES_RECEIVED))
        sent = number(field(row, _BYTES_SENT))
        return (
            LogFlow(
                first=last - number(field(row, _ELAPSED)) * SECOND,
                last=last,
                transport="tcp" if transport == "tcp" else "udp",
                client=Endpoint(client, port(field(row, _SOURCE_PORT))),
                server=Endpoint(server, port(field(row, _DESTINATION_PORT))),
                bytes_out=sent,
                bytes_in=received,
                flow=_flow_of(row),
                client_sent="payload" if sent else "nothing",
                # Applications of sessions without payload are ``incomplete``.
                server_sent="nothing"
                if not received
                else "headers"
                if field(row, _APPLICATION) == "incomplete"
                else "payload",
            ),
        )


def _flow_of(row: Sequence[str]) -> str:
    session = field(row, _SESSION)
    return f"{field(row, _SERIAL)}/{session}" if session not in ("", "0") else ""


def _evidence(row: Sequence[str]) -> Evidence:
    """The kind of evidence that packets would have shown: a request, or a handshake."""
    if field(row, _PROTOCOL) == "udp":
        return "quic-sni"
    if field(row, _APPLICATION) == "web-browsing" or field(row, _DESTINATION_PORT) == "80":
        return "http-host"
    return "tls-sni"


def _time(row: Sequence[str], times: LocalTimes) -> tuple[int, int]:
    for each in row[_PRECISE_FROM:]:
        if _PRECISE.fullmatch(each):
            return rfc3339(each)
    text = field(row, _GENERATED) or field(row, 1)
    old = _OLD_TIME.fullmatch(text)
    if old is None:
        return rfc3339(text.replace("/", "-"), times)
    # Month first, as spreadsheets of the United States write it.
    month, day, year, hour, minute, second = (number(each or "0") for each in old.groups())
    date = f"{year if year > 99 else 2000 + year:04}-{month:02}-{day:02}"
    return rfc3339(f"{date}T{hour:02}:{minute:02}:{second:02}", times)
