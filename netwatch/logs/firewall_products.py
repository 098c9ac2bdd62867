"""Firewalls whose logs are only fields, mostly sent by syslog: FortiGate and Palo Alto Networks,
each a row of `PRODUCTS` (`netwatch.logs.products`).

The "FortiOS Log Message Reference" describes the fields of FortiGate. The UTM logs that name a host
(DNS filter, web filter, application control, SSL) and forwarded traffic with its volume are read;
for PAN-OS, traffic, URL and DNS threat logs. The source is the address before the firewall's own
translation, so it is the device, unless there is another NAT in front of the firewall.
"""

import re

from netwatch.core.errors import RecordError
from netwatch.core.flow import Sent
from netwatch.core.message import DnsInfo
from netwatch.core.protocol_numbers import RCODES, rcode_text
from netwatch.logs.fields import (
    MAX_ANSWERS,
    columns,
    csv_row,
    host_of_url,
    number,
    port,
    renamed,
    text,
)
from netwatch.logs.products import UNITS, Ends, Kind, Product, Shown, Values, answers_of, one_of
from netwatch.logs.records import Carried
from netwatch.logs.times import SECOND, LocalTimes, rfc3339

# FortiGate: ``name=value`` of FortiOS 5 to 7, or CEF. Fortinet's "FortiOS to CEF log field mapping"
# lists the fields with a CEF key; all others keep their name after ``FTNTFGT``. Values are not
# quoted in CEF: one ends where the next key begins.

_FORTIGATE_CEF = b"CEF:0|Fortinet|Fortigate|"
"""How each record in CEF begins."""

_CEF_KEY = re.compile(r"(?:^|\s)([A-Za-z]\w*)=", re.ASCII)
_CEF_NAMES = renamed(
    "src=srcip spt=srcport dst=dstip dpt=dstport smac=srcmac dhost=hostname request=url"
    " app=service proto=proto act=action externalId=sessionid deviceExternalId=devid"
    " out=sentbyte in=rcvdbyte"
)
_FORTIGATE_PAIR = re.compile(rb'([A-Za-z_]\w*)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')


def _fortigate_line(record: bytes, header: list[str]) -> Values:
    """The fields of a line; empty for one that has no type."""
    begin = record.find(_FORTIGATE_CEF)
    if begin >= 0:
        return _cef_fields(record[begin:].decode("utf-8", "surrogateescape"))
    found: dict[str, str] = {}
    if b"type=" in record:
        for name, quoted, plain in _FORTIGATE_PAIR.findall(record):
            value = (quoted or plain).decode("utf-8", "surrogateescape")
            # If a name comes twice, its own value is first: ``eventtime`` of FortiOS 6.0.
            found.setdefault(name.decode("ascii"), value.replace('\\"', '"'))
    return found


def _cef_fields(line: str) -> dict[str, str]:
    """The fields of a record by the names that they have in other formats. ``cat`` is type and
    subtype in one."""
    extension = line.split("|", 7)[-1] if line.count("|") >= 7 else ""
    keys = list(_CEF_KEY.finditer(extension))
    found: dict[str, str] = {}
    for key, following in zip(keys, [*keys[1:], None], strict=False):
        end = len(extension) if following is None else following.start()
        value = re.sub(r"\\(.)", r"\1", extension[key.end() : end].strip())
        name = key[1]
        if name == "cat":
            found["type"], _, sub = value.partition(":")
            found.setdefault("subtype", sub)
        elif name in _CEF_NAMES or name.startswith("FTNTFGT"):
            found.setdefault(_CEF_NAMES.get(name, name.removeprefix("FTNTFGT")), value)
    return found


def _fortigate_time(values: Values, times: LocalTimes, carried: Carried) -> tuple[int, int]:
    """The time of the event: `eventtime`, which is exact and in UTC, otherwise `date` and `time`
    with `tz`, otherwise the carrier's. It has seconds until FortiOS 6.0, nanoseconds since 6.2."""
    event = text(values.get("eventtime"))
    unit = UNITS.get(len(event)) if event.isascii() and event.isdigit() else None
    if unit is not None:
        return int(event) * unit, len(event) - 10
    if "date" in values and "time" in values:
        zone = text(values.get("tz"))
        return rfc3339(f"{values['date']}T{values['time']}{zone}", times)
    if carried.time is not None:
        return carried.time, carried.time_digits
    raise RecordError("time-missing")


def _fortigate_lookup(values: Values) -> Shown | None:
    """The name in a lookup; empty for the root."""
    name = text(values.get("qname")).strip("[]")
    return ("dns-query", name, 0) if name else None


def _fortigate_dns(values: Values) -> DnsInfo:
    """The question of a lookup, and its answer. FortiOS logs nothing if there was no error."""
    kind = text(values.get("qtype"))
    if values.get("eventtype", values.get("subtype")) != "dns-response":
        return DnsInfo(kind)
    code = text(values.get("rcode"))
    rcode = rcode_text(int(code)) if code.isascii() and code.isdigit() and len(code) < 5 else code
    return DnsInfo(
        kind,
        rcode.upper() if rcode.upper() in RCODES.values() else "NOERROR",
        answers_of([each.strip() for each in text(values.get("ipaddr")).split(",", MAX_ANSWERS)]),
    )


def _fortigate_contact(values: Values) -> Shown | None:
    """The host of a request or a handshake; an application may show none."""
    url = text(values.get("url"))
    host = text(values.get("sni")) or text(values.get("hostname"))
    host = host_of_url(host or (url if "://" in url[:12] else ""))[0]
    if not host:
        return None
    if values.get("proto") == "17":
        return "quic-sni", host, 0
    is_secure = text(values.get("service")).upper() in ("HTTPS", "SSL", "TLS")
    return "tls-sni" if is_secure or values.get("subtype") == "ssl" else "http-host", host, 0


def _fortigate_server_sent(values: Values) -> Sent:
    """The traffic from the server. Bytes are counted in packets with their headers: a session that
    was reset at once has some."""
    packets, received = number(values.get("rcvdpkt")), number(values.get("rcvdbyte"))
    if values.get("action") == "server-rst" and packets <= 1:
        return "refusal"
    if values.get("action") == "timeout" and packets == 0:
        return "nothing"
    return "payload" if received > 60 * max(packets, 1) else "headers" if received else "nothing"


# Palo Alto Networks: CSV in the order of "Syslog Field Descriptions" of each PAN-OS version, to
# which versions from 6 to 11 have added fields at the end only.

_PAN_OS = (
    "future receive_time serial type subtype config generate_time src dst natsrc natdst rule"
    " srcuser dstuser app vsys from to inbound outbound logset future sessionid repeat sport dport"
    " natsport natdport flags proto action"
)
_TRAFFIC = columns(f"{_PAN_OS} bytes bytes_sent bytes_received packets start elapsed")
_THREAT = columns(f"{_PAN_OS} url threat")
_PRECISE_FROM = 60
"""The first column that may have the precise time, in all versions."""

_PRECISE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)", re.ASCII)
_OLD_TIME = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2}|\d{4}) (\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)
_DOMAIN = re.compile(r"[(:\s]([\w-]+(?:\.[\w-]+)+)\.?\)?\s*\(\d+\)", re.ASCII)


def _palo_alto_row(record: bytes, header: list[str]) -> Values:
    """A row of a traffic log at the end of a session, or of a threat log, with ``precise`` for the
    time with its zone; empty for others. A threat found in an answer is reversed."""
    is_traffic = b",TRAFFIC,end," in record
    if not is_traffic and b",THREAT," not in record:
        return {}
    row = [each.strip() for each in csv_row(record)]
    is_traffic = is_traffic and row[3:5] == ["TRAFFIC", "end"]
    values = dict(zip(_TRAFFIC if is_traffic else _THREAT, row, strict=False))
    if not is_traffic and values.get("type") != "THREAT":
        return {}
    values["precise"] = next(filter(_PRECISE.fullmatch, row[_PRECISE_FROM:]), "")
    if values.get("sessionid") == "0":
        values["sessionid"] = ""
    is_answer = port(values.get("sport")) == 53 and port(values.get("dport")) != 53
    if is_answer and _palo_alto_is_lookup(values):
        for one, other in (("src", "dst"), ("sport", "dport")):
            values[one], values[other] = values[other], values[one]
    return values


def _palo_alto_is_lookup(values: Values) -> bool:
    is_dns = values.get("subtype") in ("spyware", "dns")
    return is_dns and text(values.get("app")).startswith("dns")


def _palo_alto_time(values: Values, times: LocalTimes, carried: Carried) -> tuple[int, int]:
    """The time with its zone, which PAN-OS 10 and later write, otherwise the firewall's local
    one."""
    if precise := values["precise"]:
        return rfc3339(text(precise))
    moment = text(values.get("generate_time")) or text(values.get("receive_time"))
    old = _OLD_TIME.fullmatch(moment)
    if old is None:
        return rfc3339(moment.replace("/", "-"), times)
    # Month first, as spreadsheets of the United States write it.
    month, day, year, hour, minute, second = (number(each or "0") for each in old.groups())
    date = f"{year if year > 99 else 2000 + year:04}-{month:02}-{day:02}"
    return rfc3339(f"{date}T{hour:02}:{minute:02}:{second:02}", times)


def _palo_alto_url(values: Values) -> Shown:
    host, _ = host_of_url(text(values["url"]))
    if values["proto"] == "udp":
        return "quic-sni", host, 0
    is_plain = values["app"] == "web-browsing" or values["dport"] == "80"
    return "http-host" if is_plain else "tls-sni", host, 0


def _palo_alto_lookup(values: Values) -> Shown | None:
    """The name in which a threat was found; some DNS threats have none."""
    name = text(values["url"])
    if "." not in name or " " in name or "/" in name:
        found = _DOMAIN.search(text(values["threat"]))
        if found is None:
            return None
        name = found[1]
    return "dns-query", name, 0


def _palo_alto_server_sent(values: Values) -> Sent:
    """The traffic from the server. Applications of sessions without payload are ``incomplete``."""
    if not number(values["bytes_received"]):
        return "nothing"
    return "headers" if values["app"] == "incomplete" else "payload"


def _fortigate_is_flow(values: Values) -> bool:
    """Whether a record belongs to an ended session. The ends of `logid` mark reports on long
    sessions, whose end is reported with the total."""
    return (
        values.get("type") == "traffic"
        and values.get("subtype") in ("forward", "sniffer")
        and values.get("proto") in ("6", "17")
        and not text(values.get("logid")).endswith(("0020", "0021"))
        and values.get("action", "") not in ("deny", "ip-conn")
    )


def _fortigate_is_lookup(values: Values) -> bool:
    kind = values.get("type")
    return kind == "dns" or (kind == "utm" and values.get("subtype") == "dns")


_FORTIGATE = Ends("srcip", "srcport", "dstip", "dstport", mac="srcmac", tcp=one_of("proto", "6"))
_FORTIGATE_UTM = ("webfilter", "app-ctrl", "ssl")
_SESSION = "devid vd sessionid"
_PALO_ALTO = Ends("src", "sport", "dst", "dport", tcp=one_of("proto", "tcp"))

PRODUCTS: dict[str, Product] = {
    "fortigate": Product(
        title="FortiGate, UTM and traffic logs",
        flows=(b'type="traffic"', b"type=traffic", b"cat=traffic:"),
        looks=(
            re.compile(re.escape(_FORTIGATE_CEF)),
            re.compile(
                rb'\blogid="?\d{8,12}"?[\s,].*?\bsubtype="?[a-z]'
                rb'|\bdevid="?F[GW][^\s"]*"?.*\btype='
            ),
        ),
        lines=_fortigate_line,
        time=_fortigate_time,
        denied=re.compile(r"block|deny|drop|reset|redirect"),
        kinds=(
            Kind(
                is_of=_fortigate_is_flow,
                ends=_FORTIGATE,
                flow=_SESSION,
                lasted=(("duration", SECOND),),
                sent="sentbyte",
                received="rcvdbyte",
                server_sent=_fortigate_server_sent,
            ),
            Kind(
                is_of=_fortigate_is_lookup,
                ends=_FORTIGATE,
                action="action",
                shows=_fortigate_lookup,
                dns=_fortigate_dns,
            ),
            Kind(
                is_of=lambda values: (
                    values.get("type") == "utm" and values.get("subtype") in _FORTIGATE_UTM
                ),
                ends=_FORTIGATE,
                flow=_SESSION,
                action="action",
                shows=_fortigate_contact,
            ),
        ),
    ),
    "palo-alto": Product(
        title="Palo Alto Networks PAN-OS, URL, DNS threat and traffic logs",
        flows=(b",TRAFFIC,",),
        looks=(
            re.compile(
                rb"\A[^,]*,\d{1,4}[/-]\d{1,2}[/-]\d{1,4} [\d:]{4,8},[^,]*,(?:TRAFFIC|THREAT|SYSTEM"
                rb"|CONFIG|USERID|GLOBALPROTECT|HIPMATCH|DECRYPTION|AUTHENTICATION|CORRELATION|USER-ID"
                rb"|TUNNEL|IPTAG),"
            ),
        ),
        lines=_palo_alto_row,
        time=_palo_alto_time,
        denied=re.compile(r"block|deny|drop|reset|sinkhole"),
        kinds=(
            Kind(
                is_of=lambda values: (
                    values.get("type") == "TRAFFIC" and values.get("proto") in ("tcp", "udp")
                ),
                needs="elapsed",
                ends=_PALO_ALTO,
                flow="serial sessionid",
                lasted=(("elapsed", SECOND),),
                sent="bytes_sent",
                received="bytes_received",
                server_sent=_palo_alto_server_sent,
            ),
            Kind(
                is_of=one_of("subtype", "url"),
                needs="threat",
                ends=_PALO_ALTO,
                flow="serial sessionid",
                action="action",
                shows=_palo_alto_url,
            ),
            Kind(
                is_of=_palo_alto_is_lookup,
                needs="threat",
                ends=_PALO_ALTO,
                action="action",
                lacks=("answer", "query-type"),
                shows=_palo_alto_lookup,
                dns=lambda values: DnsInfo(""),
            ),
        ),
    ),
}
"""The products by the names of their formats."""
