"""Logs of Cloudflare Gateway (Zero Trust), as Logpush writes them: DNS, HTTP and network sessions.

The fields are those of the data sets ``gateway_dns``, ``gateway_http`` and ``gateway_network`` in
Cloudflare's documentation; a job may leave out any of them. `SrcIP` and `SourceIP` are addresses
after translation unless a tunnel carries the addresses of the site; a device with the WARP client
is known by `DeviceName`.
"""

from collections.abc import Iterable
from dataclasses import replace

from netwatch.core.message import DnsInfo
from netwatch.core.protocol_numbers import rcode_text, type_text
from netwatch.logs.dns_values import lookup
from netwatch.logs.fields import (
    MAX_ANSWERS,
    address,
    contact,
    host_name,
    host_of_url,
    json_object,
    number,
    octets,
    port,
    sides,
    text,
    texts,
)
from netwatch.logs.reading import Carried, ReaderContext, RecordError, Sample
from netwatch.logs.records import Endpoint, LogEntry, LogName
from netwatch.logs.timestamps import rfc3339

_KEYS = (
    ("QueryName", ("ResolverDecision", "ColoCode", "SrcIP")),
    ("HTTPHost", ("SourceIP", "DestinationIP", "UntrustedCertificateAction")),
    ("SNI", ("SourceIP", "SessionID", "OverrideIP")),
)
"""For each data set a field that is in all its records of concern, and some of which one is."""

_UNITS = {10: 1_000_000_000, 13: 1_000_000, 16: 1_000, 19: 1}
"""Nanoseconds in the unit of a time that is a number, by its digits."""


def recognise(sample: Sample) -> int:
    """The number of lines with the fields of a data set."""
    return sum(each is not None and _kind(each) is not None for each in sample.objects)


class Reader:
    """Reads the records of one log."""

    def __init__(self, context: ReaderContext) -> None:
        self._times = context.times

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a record shows. Raises `RecordError`."""
        values = json_object(record)
        kind = _kind(values)
        if kind is None:
            return ()
        time, digits = _time(values.get("Datetime"))
        decision = text(values.get("ResolverDecision" if kind == "QueryName" else "Action"))
        blocked = decision.lower().startswith("block")
        side = sides(
            address(values.get("SourceInternalIP")) or address(values.get("InternalSourceIP")),
            address(values.get("SrcIP" if kind == "QueryName" else "SourceIP")),
            text(values.get("DeviceName")),
            port(values.get("SrcPort" if kind == "QueryName" else "SourcePort")),
        )
        template = LogName(
            time=time,
            time_digits=digits,
            evidence="dns-query",
            name="",
            client=side.client,
            client_host=side.host,
            server=_server(values, kind),
            transport="tcp" if _over_tcp(values, kind) else "udp",
            outcome="blocked" if blocked else None,
            blocked_by=decision if blocked else "",
            lacks=side.lacks,
        )
        if kind == "QueryName":
            return lookup(octets(text(values["QueryName"])), _dns(values), template)
        return _session(values, kind, template)

    def flush(self) -> Iterable[LogEntry]:
        """Nothing: no record waits for another."""
        return ()


def _kind(values: dict[str, object]) -> str | None:
    for key, others in _KEYS:
        if key in values and any(each in values for each in others):
            return key
    return None


def _time(value: object) -> tuple[int, int]:
    """A time in one of the three forms that a job may choose: RFC 3339, or a number of seconds or
    nanoseconds."""
    if not isinstance(value, int):
        return rfc3339(text(value))
    unit = _UNITS.get(len(str(value)))
    if unit is None:
        raise RecordError("time-invalid")
    return value * unit, 9 if unit == 1 else 0


def _server(values: dict[str, object], kind: str) -> Endpoint:
    ip, at = ("DstIP", "DstPort") if kind == "QueryName" else ("DestinationIP", "DestinationPort")
    return Endpoint(address(values.get(ip)), port(values.get(at)))


def _over_tcp(values: dict[str, object], kind: str) -> bool:
    if kind == "QueryName":
        # ``https`` and ``tls`` are DoH and DoT.
        return text(values.get("Protocol")).lower() in ("tcp", "https", "tls")
    if kind == "SNI":
        return text(values.get("Transport")).lower() != "udp"
    return text(values.get("HTTPVersion")).upper() != "HTTP/3"


def _dns(values: dict[str, object]) -> DnsInfo:
    rcode = values.get("RCode")
    kind = text(values.get("QueryTypeName")) or type_text(number(values.get("QueryType")))
    return DnsInfo(
        kind,
        rcode_text(rcode) if isinstance(rcode, int) and 0 <= rcode < 65536 else None,
        tuple(
            (each, 0)
            for each in texts(values.get("ResolvedIPs"))[:MAX_ANSWERS]
            if address(each) is not None
        ),
        tuple(host_name(each) for each in texts(values.get("CNAMEs"))[:MAX_ANSWERS]),
    )


def _session(values: dict[str, object], kind: str, template: LogName) -> Iterable[LogName]:
    if kind == "SNI":
        name = text(values["SNI"])
        if not name:  # a session of another protocol
            return ()
        return contact("tls-sni" if template.transport == "tcp" else "quic-sni", name, template)
    host = text(values["HTTPHost"]) or host_of_url(text(values.get("URL")))[0]
    status = number(values.get("HTTPStatusCode"))
    if template.outcome is None and 100 <= status < 600:
        template = replace(template, outcome="reached")
    return contact("http-host", host_of_url(host)[0], template)
