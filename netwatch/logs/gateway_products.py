"""Web gateways whose logs are only fields: Cisco Umbrella, Zscaler and Cloudflare Gateway, each a
row of `PRODUCTS` (`netwatch.logs.products`).

Cisco describes the columns in "DNS Log Formats" and "Web Log Formats". The content of a Zscaler
line depends on the configuration of the feed (NSS or Cloud NSS); the default formats are read.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from netwatch.core.errors import RecordError
from netwatch.core.message import DnsInfo, Evidence
from netwatch.core.protocol_numbers import RCODES, rcode_text, type_text
from netwatch.logs.fields import (
    MAX_ANSWERS,
    address,
    columns,
    csv_row,
    host_name,
    host_of_url,
    json_object,
    number,
    renamed,
    text,
    texts,
)
from netwatch.logs.products import (
    Ends,
    Kind,
    Product,
    Shown,
    Values,
    answers_of,
    has,
    named,
    one_of,
)
from netwatch.logs.records import Carried
from netwatch.logs.times import MONTHS, SECOND, LocalTimes, epoch, rfc3339

# Cisco Umbrella: CSV, since version 11 with an optional header. Newer versions add columns at the
# end, so that one order fits all of them.

_UMBRELLA_DNS = columns(
    "timestamp identity identities internalip externalip action querytype responsecode domain"
    " categories identitytype identitytypes"
)
_UMBRELLA_WEB = columns(
    "timestamp identity internalip externalip destinationip contenttype action url referer"
    " useragent statuscode requestsize responsesize bodysize sha categories av pua ampdisposition"
    " ampname ampscore identitytype blockedcategories identities identitytypes method"
)
_UMBRELLA_NAMES = renamed(
    "time=timestamp date=timestamp policyidentity=identity policyidentitylabel=identity"
    " mostgranularidentity=identity policyidentities=identities internalclientip=internalip"
    " externalclientip=externalip verdict=action dnsaction=action recordtype=querytype"
    " dnsquerytype=querytype returncode=responsecode dnsreturncode=responsecode"
    " policyidentitytype=identitytype mostgranularidentitytype=identitytype"
    " requestmethod=method"
)
"""Other names of the columns in headers, in lower case and without spaces."""

_ROAMING = ("roaming computer", "roaming computers", "anyconnect roaming client", "mobile devices")
"""Types of identities whose device may be anywhere, so that its internal address belongs to some
other network."""

_UMBRELLA_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: UTC)?", re.ASCII)
_UMBRELLA_TYPE = re.compile(r"\d{1,5} \(([A-Z0-9]{1,10})\)", re.ASCII)
_UMBRELLA_LINE = re.compile(
    rb'\A\s*"?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"?,.{0,400}?(?:"(?:Allowed|Blocked|Proxied)", ?"'
    rb'(?:\d{1,5} \([A-Z0-9]+\)|Other)",|"(?:ALLOWED|BLOCKED|PROXIED)", ?"+<?https?://)'
)
_UMBRELLA_HEADER = re.compile(rb'\A"?(?:Timestamp|Time)"?,.{0,60}Identit', re.IGNORECASE)


def _umbrella_row(record: bytes, header: list[str]) -> Values:
    """A row of a DNS or web log, with ``device`` for the name of a roaming computer; empty for
    headers, and for rows of the firewall, the IP layer and audit logs."""
    line = record.strip()
    row = [each.strip() for each in csv_row(line)]
    if not row:
        return {}
    if _UMBRELLA_HEADER.match(line):
        plain = ("".join(filter(str.isalnum, title.lower())) for title in row)
        header[:] = [_UMBRELLA_NAMES.get(each, each) for each in plain]
        return {}
    if not _UMBRELLA_TIME.fullmatch(row[0]):
        if len(row) > 1 and _UMBRELLA_TIME.fullmatch(row[1]):
            return {}  # an audit log begins with the number of the event
        raise RecordError("time-invalid")
    values = dict(zip(header or _umbrella_order(row), row, strict=False))
    if "timestamp" not in values:
        return {}
    if computer := _computer(values):
        values |= {"device": computer, "internalip": "", "externalip": ""}
    return values


def _umbrella_order(row: Sequence[str]) -> list[str]:
    """The columns of a row without a header: the words for the decision differ by log."""
    if len(row) >= 9 and row[5] in ("Allowed", "Blocked", "Proxied"):
        return _UMBRELLA_DNS
    if len(row) >= 11 and row[6] in ("ALLOWED", "BLOCKED", "PROXIED"):
        return _UMBRELLA_WEB
    return []


def _computer(values: Mapping[str, str]) -> str:
    """The name of the roaming computer among the identities. The identities are in the order of
    their types, counted from the end, since a user's name may contain commas."""
    if values.get("identitytype", "").lower() in _ROAMING:
        return values.get("identity", "")
    types = [each.strip().lower() for each in values.get("identitytypes", "").split(",")]
    names = [each.strip() for each in values.get("identities", "").split(",")]
    for back in range(1, min(len(types), len(names)) + 1):
        if types[-back] in _ROAMING:
            return names[-back]
    return ""


def _umbrella_time(values: Values, times: LocalTimes, carried: Carried) -> tuple[int, int]:
    return rfc3339(text(values["timestamp"]).removesuffix(" UTC") + "Z")


def _umbrella_dns(values: Values) -> DnsInfo:
    kind = _UMBRELLA_TYPE.fullmatch(text(values.get("querytype")))
    return DnsInfo(kind[1] if kind else "", text(values.get("responsecode")).upper() or None)


def _umbrella_request(values: Values) -> Shown:
    """The host of a request, which is a whole URL."""
    url = text(values["url"]).strip('"<> ')
    host, at = host_of_url(url)
    if not host or "://" not in url[:12]:
        raise RecordError("url-invalid")
    return "http-host", host, at or (443 if url.lower().startswith("https:") else 80)


# Zscaler: JSON with ``sourcetype`` and ``event``, ``name=value`` between tabs (Splunk), and quoted
# CSV in the order of the default format. Field names are the specifiers of a feed (``%s{ehost}``).
# Times are in the time zone of the feed, which is rarely written.

_ZSCALER_WEB = columns(
    "time login proto eurl action appname appclass reqsize respsize stime ctime urlclass"
    " urlsupercat urlcat malwarecat threatname riskscore dlpeng dlpdict location dept cip sip"
    " reqmethod respcode ua ereferer ruletype rulelabel contenttype unscannabletype deviceowner"
    " devicehostname"
)
_ZSCALER_DNS = columns(
    "time login dept location reqaction resaction reqrulelabel resrulelabel reqtype req res sport"
    " durationms cip sip domcat respipcategory deviceowner devicehostname"
)
_ZSCALER_FIREWALL = columns(
    "time login dept location cdport csport sdport ssport csip cdip ssip sdip tsip tunsport tuntype"
    " action dnat stateful aggregate nwsvc nwapp proto ipcat destcountry avgduration rulelabel"
    " inbytes outbytes duration durationms"
)
_ZSCALER_NAMES = renamed(
    "datetime=time protocol=proto url=eurl requestsize=reqsize responsesize=respsize"
    " serverip=sip srv_dip=sip srv_dport=sport clientip=cip clt_sip=cip clientpublicip=cintip"
    " requestmethod=reqmethod status=respcode hostname=ehost host=ehost dns_req=req"
    " dns_reqtype=reqtype dns_resp=res"
)
"""Names in Zscaler's formats, and the equivalent specifiers."""

_ZSCALER_TIME = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})", re.ASCII
)
_ZSCALER_PAIRS = re.compile(
    rb"\t(?:product=NSS|vendor=Zscaler|dns_req=|clt_sip=|urlcategory=|csip=)"
)
_ZSCALER_CSV = re.compile(
    rb'\A"[A-Z][a-z]{2} [A-Z][a-z]{2} +\d{1,2} [\d:]{8} \d{4}","[^"]*",(?:"(?:HTTP|SSL|FTP|DNS|TUN)'
    rb'|"[^"]*","[^"]*","(?i:REQ_)?(?i:Allow|Block)|"[^"]*","[^"]*","\d+","\d+","\d+","\d+","[\da-f.:]+")'
)
_NONE = ("", "none", "na", "n/a", "unknown", "-")
_ZSCALER_DENIED = re.compile(r"block|drop|deny", re.IGNORECASE)


def _zscaler_line(record: bytes, header: list[str]) -> Values:
    """A line of a feed; empty for flows of other protocols, and for denied ones."""
    values = _zscaler_values(record.strip())
    if values.get("devicehostname", "").lower() in _NONE:
        values["devicehostname"] = ""
    values.setdefault("cintip", values.get("cip", ""))
    if values.get("reqmethod", "").upper() == "CONNECT":
        values["respcode"] = ""  # the proxy itself answers
    if "csip" in values and "cdip" in values:
        is_read = values.get("proto", "").lower() in ("tcp", "udp")
        return {} if not is_read or _ZSCALER_DENIED.search(values.get("action", "")) else values
    return values


def _zscaler_values(line: bytes) -> dict[str, str]:
    if line.startswith(b"{"):
        record = json_object(line)
        event = record.get("event", record)
        if not isinstance(event, dict):
            raise RecordError("event-missing")
        return _specified((str(key), str(each)) for key, each in event.items() if each is not None)
    if b"\t" in line:
        fields = (each.strip() for each in line.decode("utf-8", "surrogateescape").split("\t"))
        pairs = (field.partition("=") for field in fields)
        # The time comes first, without a name.
        return _specified(
            (name, value.strip('"')) if equals else ("time", name.strip('"'))
            for name, equals, value in pairs
        )
    row = [each.strip() for each in csv_row(line)]
    for names, size, shows in (
        (_ZSCALER_WEB, 8, ("cip",)),
        (_ZSCALER_DNS, 14, ("cip",)),
        (_ZSCALER_FIREWALL, 14, ("csip", "cdip")),
    ):
        values = dict(zip(names, row, strict=False))
        if len(row) >= size and all(address(values.get(show)) is not None for show in shows):
            return values
    raise RecordError("columns-unknown")


def _specified(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        plain = name.strip().lower()
        found.setdefault(_ZSCALER_NAMES.get(plain, plain), value.strip())
    return found


def _zscaler_time(values: Values, times: LocalTimes, carried: Carried) -> tuple[int, int]:
    """The time of a record, in the zone of the feed unless the line has one."""
    if seconds := text(values.get("epochtime")):
        return epoch(seconds)
    moment = text(values.get("time"))
    is_utc = text(values.get("tz")).upper() in ("GMT", "UTC")
    found = _ZSCALER_TIME.fullmatch(moment)
    if found is None:
        return rfc3339(moment + "Z" if is_utc else moment, times)
    try:
        day, hour, minute, second = (int(found[at]) for at in (2, 3, 4, 5))
        at = datetime(int(found[6]), MONTHS[found[1]], day, hour, minute, second)
    except (KeyError, ValueError):
        raise RecordError("time-invalid") from None
    return (LocalTimes() if is_utc else times).local(at), 0


def _zscaler_dns(values: Values) -> DnsInfo:
    """What is known about the answer: an address, an alias, or a code. `NotFound` and the like are
    Zscaler's words for answers without any of these."""
    kind = text(values.get("reqtype")).removesuffix(" record").strip()
    answer = text(values.get("res"))
    if address(answer) is not None:
        return DnsInfo(kind, "NOERROR", ((answer, 0),))
    code = answer.upper().replace("_", "")
    if code in RCODES.values():
        return DnsInfo(kind, code)
    if "." in answer and " " not in answer:
        return DnsInfo(kind, "NOERROR", (), (host_name(answer),))
    return DnsInfo(kind)


def _zscaler_tcp(values: Values) -> bool:
    return values.get("istcp") == "1" or text(values.get("proto")).upper() == "TCP"


def _zscaler_request(values: Values) -> Shown:
    """The host of a request. SSL is a connection that was not decrypted: its name is from the
    handshake."""
    host, at = host_of_url(text(values.get("eurl")))
    named = text(values.get("ehost"))
    if named.lower() not in _NONE:
        host = host_of_url(named)[0]
    if host.lower() in _NONE:
        raise RecordError("name-missing")
    proto = text(values.get("proto")).upper()
    evidence: Evidence = "tls-sni" if proto == "SSL" else "http-host"
    return evidence, host, at or (80 if proto == "HTTP" else 443)


# Cloudflare Gateway: JSON.


def _cloudflare_dns(values: Values) -> DnsInfo:
    rcode = values.get("RCode")
    return DnsInfo(
        text(values.get("QueryTypeName")) or type_text(number(values.get("QueryType"))),
        rcode_text(rcode) if isinstance(rcode, int) and 0 <= rcode < 65536 else None,
        answers_of(texts(values.get("ResolvedIPs"))),
        tuple(host_name(each) for each in texts(values.get("CNAMEs"))[:MAX_ANSWERS]),
    )


def _cloudflare_session(values: Values) -> Shown | None:
    """The name in a handshake; sessions of other protocols show none."""
    name = text(values["SNI"])
    is_quic = text(values.get("Transport")).lower() == "udp"
    return ("quic-sni" if is_quic else "tls-sni", name, 0) if name else None


def _cloudflare_request(values: Values) -> Shown:
    host = text(values["HTTPHost"]) or host_of_url(text(values.get("URL")))[0]
    return "http-host", host_of_url(host)[0], 0


def _cloudflare_tcp(values: Values) -> bool:
    is_udp = text(values.get("Transport")).lower() == "udp"
    return not is_udp and text(values.get("HTTPVersion")).upper() != "HTTP/3"


_CLOUDFLARE_CLIENT = "SourceInternalIP InternalSourceIP"
_CLOUDFLARE = Ends(
    _CLOUDFLARE_CLIENT, "SourcePort", "DestinationIP", "DestinationPort", "SourceIP", "DeviceName",
    tcp=_cloudflare_tcp,
)  # fmt: skip
_CLOUDFLARE_KINDS = (
    Kind(
        is_of=has("QueryName", any_of=("ResolverDecision", "ColoCode", "SrcIP")),
        ends=Ends(
            *(_CLOUDFLARE_CLIENT, "SrcPort", "DstIP", "DstPort", "SrcIP", "DeviceName"),
            tcp=one_of("Protocol", "tcp", "https", "tls"),  # DoH and DoT
        ),
        action="ResolverDecision",
        shows=named("QueryName"),
        dns=_cloudflare_dns,
    ),
    Kind(
        is_of=has("HTTPHost", any_of=("SourceIP", "DestinationIP", "UntrustedCertificateAction")),
        ends=_CLOUDFLARE,
        action="Action",
        status="HTTPStatusCode",
        shows=_cloudflare_request,
    ),
    Kind(
        is_of=has("SNI", any_of=("SourceIP", "SessionID", "OverrideIP")),
        ends=_CLOUDFLARE,
        action="Action",
        shows=_cloudflare_session,
    ),
)

PRODUCTS: dict[str, Product] = {
    "umbrella": Product(
        title="Cisco Umbrella, DNS and web logs",
        lacks=("client-port",),
        always=(b"Timestamp", b"timestamp"),
        looks=(_UMBRELLA_LINE, _UMBRELLA_HEADER),
        lines=_umbrella_row,
        time=_umbrella_time,
        denied=re.compile(r"\Ablocked\Z", re.IGNORECASE),
        kinds=(
            Kind(
                is_of=has("url"),
                ends=Ends("internalip", "", "destinationip", "", "externalip", "device"),
                action="action",
                status="statuscode",
                shows=_umbrella_request,
            ),
            Kind(
                is_of=has("domain"),
                ends=Ends("internalip", "", "", "", "externalip", "device", tcp=lambda _: False),
                action="action",
                lacks=("server", "answer"),
                shows=named("domain"),
                dns=_umbrella_dns,
            ),
        ),
    ),
    "zscaler": Product(
        title="Zscaler Internet Access, web, DNS and firewall feeds",
        lacks=("client-port",),
        flows=(b"zscalernss-fw", b"csip="),
        looks=(_ZSCALER_PAIRS, _ZSCALER_CSV),
        is_object=lambda values: str(values.get("sourcetype")).startswith("zscalernss"),
        lines=_zscaler_line,
        time=_zscaler_time,
        denied=_ZSCALER_DENIED,
        kinds=(
            Kind(
                is_of=has("csip", "cdip"),
                ends=Ends("csip", "csport", "cdip", "cdport", tcp=one_of("proto", "tcp")),
                lasted=(("durationms", 1_000_000), ("duration", SECOND)),
                sent="outbytes",
                received="inbytes",
            ),
            Kind(
                is_of=has("req"),
                ends=Ends("", "", "sip", "sport", "cip", "devicehostname", tcp=_zscaler_tcp),
                action="reqaction resaction",
                shows=named("req"),
                dns=_zscaler_dns,
            ),
            Kind(
                is_of=lambda values: "eurl" in values or "ehost" in values,
                ends=Ends("cip", "", "sip", "", "cintip", "devicehostname"),
                action="action",
                status="respcode",
                shows=_zscaler_request,
            ),
        ),
    ),
    # The data sets ``gateway_dns``, ``gateway_http`` and ``gateway_network``. `SrcIP` and
    # `SourceIP` are addresses after translation unless a tunnel carries the addresses of the site;
    # a device with the WARP client is known by `DeviceName`.
    "cloudflare-gateway": Product(
        title="Cloudflare Gateway, DNS, HTTP and network logs",
        is_object=lambda values: any(kind.is_of(values) for kind in _CLOUDFLARE_KINDS),
        time="Datetime",
        denied=re.compile(r"\Ablock", re.IGNORECASE),
        kinds=_CLOUDFLARE_KINDS,
    ),
}
"""The products by the names of their formats."""
