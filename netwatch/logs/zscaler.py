"""Feeds of Zscaler Internet Access (NSS and Cloud NSS): web, DNS and firewall logs.

What is in a line is up to whoever set up the feed. Read are the default formats of Zscaler: JSON
with ``sourcetype`` and ``event``, ``name=value`` separated by tabs (Splunk), and quoted CSV in the
order of the default format. Names of fields are those of these, or of the specifiers of a feed
(``%s{ehost}``). Times have the time zone of the feed, which is rarely written.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from netwatch.core.message import DnsInfo
from netwatch.core.protocol_numbers import RCODES
from netwatch.logs.dns_values import lookup
from netwatch.logs.fields import (
    Sides,
    address,
    columns,
    contact,
    csv_row,
    host_name,
    host_of_url,
    json_object,
    number,
    octets,
    port,
    sides,
)
from netwatch.logs.reading import Carried, ReaderContext, RecordError, Sample
from netwatch.logs.records import Endpoint, LogEntry, LogFlow, LogName
from netwatch.logs.times import SECOND, LocalTimes
from netwatch.logs.timestamps import epoch, rfc3339

Fields = Mapping[str, str]

_WEB = columns(
    "time login proto eurl action appname appclass reqsize respsize stime ctime urlclass"
    " urlsupercat urlcat malwarecat threatname riskscore dlpeng dlpdict location dept cip sip"
    " reqmethod respcode ua ereferer ruletype rulelabel contenttype unscannabletype deviceowner"
    " devicehostname"
)
_DNS = columns(
    "time login dept location reqaction resaction reqrulelabel resrulelabel reqtype req res sport"
    " durationms cip sip domcat respipcategory deviceowner devicehostname"
)
_FIREWALL = columns(
    "time login dept location cdport csport sdport ssport csip cdip ssip sdip tsip tunsport tuntype"
    " action dnat stateful aggregate nwsvc nwapp proto ipcat destcountry avgduration rulelabel"
    " inbytes outbytes duration durationms"
)
"""The columns of the default formats in CSV."""

_SAME = {
    "datetime": "time",
    "protocol": "proto",
    "url": "eurl",
    "requestsize": "reqsize",
    "responsesize": "respsize",
    "serverip": "sip",
    "srv_dip": "sip",
    "srv_dport": "sport",
    "clientip": "cip",
    "clt_sip": "cip",
    "clientpublicip": "cintip",
    "requestmethod": "reqmethod",
    "status": "respcode",
    "hostname": "ehost",
    "host": "ehost",
    "dns_req": "req",
    "dns_reqtype": "reqtype",
    "dns_resp": "res",
}
"""Names in Zscaler's formats, and the specifier that stands for the same."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIME = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})", re.ASCII
)
_PAIRS = re.compile(rb"\t(?:product=NSS|vendor=Zscaler|dns_req=|clt_sip=|urlcategory=|csip=)")
_CSV = re.compile(
    rb'"[A-Z][a-z]{2} [A-Z][a-z]{2} +\d{1,2} [\d:]{8} \d{4}","[^"]*",(?:"(?:HTTP|SSL|FTP|DNS|TUN)'
    rb'|"[^"]*","[^"]*","(?i:REQ_)?(?i:Allow|Block)|"[^"]*","[^"]*","\d+","\d+","\d+","\d+","[\da-f.:]+")'
)
_NONE = ("", "none", "na", "n/a", "unknown", "-")


def recognise(sample: Sample) -> int:
    """The number of lines of a feed in one of its default formats."""
    found = 0
    for line, values in zip(sample.lines, sample.objects, strict=True):
        if values is not None:
            found += str(values.get("sourcetype")).startswith("zscalernss")
        else:
            found += _PAIRS.search(line) is not None or _CSV.match(line) is not None
    return found


class Reader:
    """Reads the records of one log."""

    def __init__(self, context: ReaderContext) -> None:
        self._times = context.times

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a record shows. Raises `RecordError`."""
        line = record.strip()
        values = _fields(line)
        if "csip" in values and "cdip" in values:
            return self._flow(values)
        if "req" in values:
            return self._lookup(values)
        if "eurl" in values or "ehost" in values:
            return self._request(values)
        return ()  # alerts, tunnels, administrators

    def flush(self) -> Iterable[LogEntry]:
        """Nothing: no record waits for another."""
        return ()

    def _template(self, values: Fields, side: Sides, decided: str) -> LogName:
        time, digits = _time(values, self._times)
        blocked = any(each in decided.lower() for each in ("block", "drop", "deny"))
        return LogName(
            time=time,
            time_digits=digits,
            evidence="dns-query",
            name="",
            client=side.client,
            client_host=side.host,
            outcome="blocked" if blocked else None,
            blocked_by=decided if blocked else "",
            lacks=side.lacks,
        )

    def _lookup(self, values: Fields) -> Iterable[LogEntry]:
        asked, answered = values.get("reqaction", ""), values.get("resaction", "")
        side = sides(None, address(values.get("cip")), _device(values))
        template = self._template(values, side, asked if _denies(asked) else answered)
        server = Endpoint(address(values.get("sip")), port(values.get("sport")))
        tcp = values.get("istcp") == "1" or values.get("proto", "").upper() == "TCP"
        return lookup(
            octets(values["req"]),
            _dns(values),
            replace(template, server=server, transport="tcp" if tcp else "udp"),
        )

    def _request(self, values: Fields) -> Iterable[LogEntry]:
        url = values.get("eurl", "")
        host, at = host_of_url(url)
        named = values.get("ehost", "")
        if named.lower() not in _NONE:
            host = host_of_url(named)[0]
        if host.lower() in _NONE:
            raise RecordError("name-missing")
        side = sides(address(values.get("cip")), address(values.get("cintip")), _device(values))
        if "cintip" not in values:
            side = sides(None, address(values.get("cip")), _device(values))
        template = self._template(values, side, values.get("action", ""))
        proto = values.get("proto", "").upper()
        answered = 100 <= number(values.get("respcode")) < 600
        if values.get("reqmethod", "").upper() == "CONNECT":
            answered = False  # the proxy itself answers that
        request = replace(
            template,
            server=Endpoint(address(values.get("sip")), at or (80 if proto == "HTTP" else 443)),
            transport="tcp",
            outcome="reached" if answered and template.outcome is None else template.outcome,
        )
        # SSL is a connection that was not decrypted: its name is that of the handshake.
        return contact("tls-sni" if proto == "SSL" else "http-host", host, request)

    def _flow(self, values: Fields) -> Iterable[LogEntry]:
        transport = values.get("proto", "").lower()
        client, server = address(values["csip"]), address(values["cdip"])
        if transport not in ("tcp", "udp") or _denies(values.get("action", "")):
            return ()
        if client is None or server is None:
            raise RecordError("address-invalid")
        time, _ = _time(values, self._times)
        received = number(values.get("inbytes"))
        lasted = number(values.get("durationms")) * 1_000_000
        return (
            LogFlow(
                first=time - (lasted or number(values.get("duration")) * SECOND),
                last=time,
                transport="tcp" if transport == "tcp" else "udp",
                client=Endpoint(client, port(values.get("csport"))),
                server=Endpoint(server, port(values.get("cdport"))),
                bytes_out=number(values.get("outbytes")),
                bytes_in=received,
                client_sent="payload" if number(values.get("outbytes")) else "nothing",
                server_sent="payload" if received else "nothing",
            ),
        )


def _fields(line: bytes) -> Fields:
    """The fields of a line by the specifiers that stand for them."""
    if line.startswith(b"{"):
        values = json_object(line)
        event = values.get("event", values)
        if not isinstance(event, dict):
            raise RecordError("event-missing")
        pairs = ((str(key), str(value)) for key, value in event.items() if value is not None)
        return _named(pairs)
    if b"\t" in line:
        return _named(_pairs(line.decode("utf-8", "surrogateescape")))
    row = [each.strip() for each in csv_row(line)]
    for names, shows in ((_WEB, 3), (_DNS, 9), (_FIREWALL, 9)):
        if len(row) > shows + 4 and _is_of(names, row):
            return dict(zip(names, row, strict=False))
    raise RecordError("columns-unknown")


def _is_of(names: list[str], row: list[str]) -> bool:
    if names is _FIREWALL:
        return address(row[8]) is not None and address(row[9]) is not None
    at = names.index("cip")
    return len(row) > at and address(row[at]) is not None


def _pairs(line: str) -> Iterable[tuple[str, str]]:
    for each in line.split("\t"):
        name, equals, value = each.strip().partition("=")
        # The time comes first, without a name.
        yield (name, value.strip('"')) if equals else ("time", name.strip('"'))


def _named(pairs: Iterable[tuple[str, str]]) -> Fields:
    found: dict[str, str] = {}
    for name, value in pairs:
        plain = name.strip().lower()
        found.setdefault(_SAME.get(plain, plain), value.strip())
    return found


def _time(values: Fields, times: LocalTimes) -> tuple[int, int]:
    if values.get("epochtime"):
        return epoch(values["epochtime"])
    text = values.get("time", "")
    utc = values.get("tz", "").upper() in ("GMT", "UTC")
    found = _TIME.fullmatch(text)
    if found is None:
        return rfc3339(text + "Z" if utc else text, times)
    try:
        day, hour, minute, second = (int(found[at]) for at in (2, 3, 4, 5))
        moment = datetime(int(found[6]), _MONTHS.index(found[1]) + 1, day, hour, minute, second)
    except ValueError:
        raise RecordError("time-invalid") from None
    return (LocalTimes().local(moment) if utc else times.local(moment)), 0


def _device(values: Fields) -> str:
    name = values.get("devicehostname", "")
    return "" if name.strip().lower() in _NONE else name.strip()


def _denies(action: str) -> bool:
    return any(each in action.lower() for each in ("block", "drop", "deny"))


def _dns(values: Fields) -> DnsInfo:
    """What is known of the answer: an address, an alias, or a code. `NotFound` and the like are
    words of Zscaler for answers that are none of these."""
    kind = values.get("reqtype", "").removesuffix(" record").strip()
    answer = values.get("res", "").strip()
    if address(answer) is not None:
        return DnsInfo(kind, "NOERROR", ((answer, 0),))
    code = answer.upper().replace("_", "")
    if code in RCODES.values():
        return DnsInfo(kind, code)
    if "." in answer and " " not in answer:
        return DnsInfo(kind, "NOERROR", (), (host_name(answer),))
    return DnsInfo(kind)
