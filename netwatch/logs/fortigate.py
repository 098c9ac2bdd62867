"""Logs of FortiGate firewalls: ``name=value`` lines of FortiOS 5 to 7, or CEF, mostly in syslog.

The "FortiOS Log Message Reference" of Fortinet describes the fields. Read are the UTM logs that
name a host (DNS filter, web filter, application control, SSL) and forwarded traffic with its
volume. `srcip` is the address before the firewall itself translates it (`transip` is that behind
it), so that it is the device, unless another translation stands before the firewall.

With ``set format cef`` fields have other names. "FortiOS to CEF log field mapping" of Fortinet says
which field has a key of CEF; all others keep their name behind ``FTNTFGT``. Values are not quoted:
one ends where the next key begins.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from netwatch.core.addresses import parse_mac
from netwatch.core.flow import Sent
from netwatch.core.message import DnsInfo, Evidence
from netwatch.core.protocol_numbers import RCODES, rcode_text
from netwatch.logs.dns_values import lookup
from netwatch.logs.fields import MAX_ANSWERS, address, contact, host_of_url, number, octets, port
from netwatch.logs.reading import Carried, ReaderContext, RecordError, Sample
from netwatch.logs.records import Endpoint, LogEntry, LogFlow, LogName
from netwatch.logs.times import SECOND, LocalTimes
from netwatch.logs.timestamps import rfc3339

BEGIN = b"CEF:0|Fortinet|Fortigate|"
"""How each record begins."""

_PREFIX = "FTNTFGT"
_KEY = re.compile(r"(?:^|\s)([A-Za-z]\w*)=", re.ASCII)
_ESCAPED = re.compile(r"\\(.)")
_NAMES: Mapping[str, str] = {
    "src": "srcip",
    "spt": "srcport",
    "dst": "dstip",
    "dpt": "dstport",
    "smac": "srcmac",
    "dhost": "hostname",
    "request": "url",
    "app": "service",
    "proto": "proto",
    "act": "action",
    "externalId": "sessionid",
    "deviceExternalId": "devid",
    "out": "sentbyte",
    "in": "rcvdbyte",
}
"""The names of fields by their keys in CEF."""

Fields = Mapping[str, str]

_PAIR = re.compile(rb'([A-Za-z_]\w*)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_FORTIGATE = re.compile(
    rb'\blogid="?\d{8,12}"?[\s,].*?\bsubtype="?[a-z]|\bdevid="?F[GW][^\s"]*"?.*\btype='
)
_UNITS = {10: SECOND, 13: 1_000_000, 16: 1_000, 19: 1}
"""Nanoseconds in the unit of `eventtime`, by its digits: seconds until FortiOS 6.0, nanoseconds
since 6.2."""

_PROTOCOLS: dict[str, str] = {"6": "tcp", "17": "udp"}
_DENIED = ("block", "deny", "drop", "reset", "redirect")
_INTERIM = ("0020", "0021")
"""The ends of `logid` of reports on sessions that last, whose end is reported with the total."""


def cef_fields(record: bytes) -> dict[str, str]:
    """The fields of a record by the names that they have in other formats. ``cat`` is type and
    subtype in one."""
    text = record.decode("utf-8", "surrogateescape")
    extension = text.split("|", 7)[-1] if text.count("|") >= 7 else ""
    keys = list(_KEY.finditer(extension))
    found: dict[str, str] = {}
    for at, key in enumerate(keys):
        end = keys[at + 1].start() if at + 1 < len(keys) else len(extension)
        value = re.sub(_ESCAPED.pattern, r"\1", extension[key.end() : end].strip())
        name = key[1]
        known = _NAMES.get(name)
        if known is None and name.startswith(_PREFIX):
            known = name.removeprefix(_PREFIX)
        elif name == "cat":
            kind, _, sub = value.partition(":")
            found["type"] = kind
            found.setdefault("subtype", sub)
            continue
        if known is not None:
            found.setdefault(known, value)
    return found


def recognise(sample: Sample) -> int:
    """The number of lines of a FortiGate."""
    return sum(BEGIN in line or _FORTIGATE.search(line) is not None for line in sample.lines)


class Reader:
    """Reads the records of one log."""

    def __init__(self, context: ReaderContext) -> None:
        self._times = context.times

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a record shows. Raises `RecordError`."""
        begin = record.find(BEGIN)
        if begin >= 0:
            values: Fields = cef_fields(record[begin:])
        elif b"type=" in record:
            values = _fields(record)
        else:
            return ()
        kind, sub = values.get("type", ""), values.get("subtype", "")
        if kind == "traffic":
            return self._flow(values, carried) if sub in ("forward", "sniffer") else ()
        if kind == "dns" or (kind == "utm" and sub == "dns"):
            return self._lookup(values, carried)
        if kind == "utm" and sub in ("webfilter", "app-ctrl", "ssl"):
            return self._contact(values, carried)
        return ()

    def flush(self) -> Iterable[LogEntry]:
        """Nothing: no record waits for another."""
        return ()

    def _template(self, values: Fields, carried: Carried) -> LogName:
        time, digits = _time(values, self._times, carried)
        action = values.get("action", "")
        blocked = any(each in action for each in _DENIED)
        client = address(values.get("srcip"))
        return LogName(
            time=time,
            time_digits=digits,
            evidence="dns-query",
            name="",
            client=Endpoint(client, port(values.get("srcport"))),
            client_mac=parse_mac(values.get("srcmac", "")),
            server=Endpoint(address(values.get("dstip")), port(values.get("dstport"))),
            transport="tcp" if values.get("proto") == "6" else "udp",
            flow=_flow_of(values),
            outcome="blocked" if blocked else None,
            blocked_by=action if blocked else "",
            lacks=() if client else ("client",),
        )

    def _lookup(self, values: Fields, carried: Carried) -> Iterable[LogEntry]:
        name = values.get("qname", "").strip("[]")
        if not name:
            return ()  # the root
        answered = values.get("eventtype", values.get("subtype", "")) == "dns-response"
        template = self._template(values, carried)
        return lookup(octets(name), _dns(values, answered), replace(template, flow=""))

    def _contact(self, values: Fields, carried: Carried) -> Iterable[LogEntry]:
        url = values.get("url", "")
        host = values.get("sni") or values.get("hostname") or ""
        if not host and "://" in url[:12]:
            host = url
        host = host_of_url(host)[0]
        if not host:
            return ()  # an application that shows no name
        return contact(_evidence(values), host, self._template(values, carried))

    def _flow(self, values: Fields, carried: Carried) -> Iterable[LogEntry]:
        transport = _PROTOCOLS.get(values.get("proto", ""))
        action = values.get("action", "")
        if (
            transport is None
            or values.get("logid", "").endswith(_INTERIM)
            or action
            in (
                "deny",
                "ip-conn",
            )
        ):
            return ()
        client, server = address(values.get("srcip")), address(values.get("dstip"))
        if client is None or server is None:
            raise RecordError("address-invalid")
        time, _ = _time(values, self._times, carried)
        out, received = number(values.get("sentbyte")), number(values.get("rcvdbyte"))
        return (
            LogFlow(
                first=time - number(values.get("duration")) * SECOND,
                last=time,
                transport="tcp" if transport == "tcp" else "udp",
                client=Endpoint(client, port(values.get("srcport"))),
                server=Endpoint(server, port(values.get("dstport"))),
                bytes_out=out,
                bytes_in=received,
                flow=_flow_of(values),
                client_sent="payload" if out else "nothing",
                server_sent=_server_sent(action, received, number(values.get("rcvdpkt"))),
                client_mac=parse_mac(values.get("srcmac", "")),
            ),
        )


def _fields(record: bytes) -> Fields:
    found: dict[str, str] = {}
    for name, quoted, plain in _PAIR.findall(record):
        value = (quoted or plain).decode("utf-8", "surrogateescape")
        # A name that comes twice has its own value first: ``eventtime`` of FortiOS 6.0.
        found.setdefault(name.decode("ascii"), value.replace('\\"', '"'))
    return found


def _time(values: Fields, times: LocalTimes, carried: Carried) -> tuple[int, int]:
    """The time of the event: `eventtime`, which is exact and in UTC, else `date` and `time` with
    `tz`, else that of the carrier."""
    event = values.get("eventtime", "")
    unit = _UNITS.get(len(event)) if event.isascii() and event.isdigit() else None
    if unit is not None:
        return int(event) * unit, {SECOND: 0, 1_000_000: 3, 1_000: 6, 1: 9}[unit]
    if "date" in values and "time" in values:
        return rfc3339(f"{values['date']}T{values['time']}{values.get('tz', '')}", times)
    if carried.time is not None:
        return carried.time, carried.time_digits
    raise RecordError("time-missing")


def _flow_of(values: Fields) -> str:
    session = values.get("sessionid", "")
    return f"{values.get('devid', '')}/{values.get('vd', '')}/{session}" if session else ""


def _evidence(values: Fields) -> Evidence:
    """The kind of evidence that packets would have shown: a request, or a handshake."""
    if values.get("proto") == "17":
        return "quic-sni"
    secure = values.get("service", "").upper() in ("HTTPS", "SSL", "TLS")
    return "tls-sni" if secure or values.get("subtype") == "ssl" else "http-host"


def _dns(values: Fields, answered: bool) -> DnsInfo:
    kind = values.get("qtype", "")
    if not answered:
        return DnsInfo(kind)
    code = values.get("rcode", "")
    # FortiOS says nothing where there was no error.
    rcode = rcode_text(int(code)) if code.isascii() and code.isdigit() and len(code) < 5 else code
    addresses = [each.strip() for each in values.get("ipaddr", "").split(",", MAX_ANSWERS)]
    return DnsInfo(
        kind,
        rcode.upper() if rcode.upper() in RCODES.values() else "NOERROR",
        tuple((each, 0) for each in addresses[:MAX_ANSWERS] if address(each) is not None),
    )


def _server_sent(action: str, received: int, packets: int) -> Sent:
    # Bytes are those of packets with their headers: a session that was reset at once has some.
    if action == "server-rst" and packets <= 1:
        return "refusal"
    if action == "timeout" and packets == 0:
        return "nothing"
    return "payload" if received > 60 * max(packets, 1) else "headers" if received else "nothing"
