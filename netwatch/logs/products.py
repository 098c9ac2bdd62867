"""Logs that are only fields (JSON, CSV, ``name=value``) are read by a row of a table each.

A row says how the lines look, in which fields the time, the sides, the name and the decision are,
and which kinds of records there are. Here are the reader of the rows and the products that write
JSON alone; `netwatch.logs.gateway_products` and `netwatch.logs.firewall_products` have the others.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from netwatch.core.addresses import parse_mac
from netwatch.core.flow import Sent
from netwatch.core.message import DnsInfo, Evidence
from netwatch.core.names import normalise_name, raw_name
from netwatch.core.protocol_numbers import rcode_text, type_text
from netwatch.logs.dns_values import with_aliases
from netwatch.logs.fields import (
    MAX_ANSWERS,
    Sides,
    address,
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
from netwatch.logs.records import NOWHERE, Endpoint, Lack, LogEntry, LogFlow, LogName
from netwatch.logs.times import SECOND, LocalTimes
from netwatch.logs.timestamps import rfc3339

Values = Mapping[str, object]
"""The fields of a record by their names."""

Shown = tuple[Evidence, str, int]
"""What a record shows: the kind of evidence that packets would have shown, the name, and the port
of the server where no field of its own has it."""


UNITS = {10: SECOND, 13: 1_000_000, 16: 1_000, 19: 1}
"""Nanoseconds in the unit of a time that is a number, by its digits."""


class Ends(NamedTuple):
    """The fields with the two ends of a contact, empty if a product has none: the device's own
    address and its port, the server's, the address after translation, the host name and the MAC
    address of the device. `client` may be several fields with a blank between them, of which the
    first valid address counts. `tcp` says whether the contact was over TCP."""

    client: str
    client_port: str
    server: str
    server_port: str
    outer: str = ""
    device: str = ""
    mac: str = ""
    tcp: Callable[[Values], bool] = lambda _: True


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of records of a product: `is_of` says whether a record is of it, `needs` is a field
    without which it is cut off.

    Of the fields in `action`, the first that the product's `denied` matches blocked the contact; a
    `status` of HTTP says that the server was reached. `flow` are the fields that together identify
    a flow, the session last. `shows` gives what a record shows, None if that is nothing. A kind
    with `dns` is a lookup, one without `shows` a flow: `lasted` are fields with its duration, each
    with the nanoseconds of its unit, of which the first that is not 0 counts.
    """

    is_of: Callable[[Values], bool]
    ends: Ends
    needs: str = ""
    flow: str = ""
    action: str = ""
    status: str = ""
    lacks: tuple[Lack, ...] = ()
    shows: Callable[[Values], Shown | None] | None = None
    dns: Callable[[Values], DnsInfo] | None = None
    lasted: tuple[tuple[str, int], ...] = ()
    sent: str = ""
    received: str = ""
    server_sent: Callable[[Values], Sent] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A row of the table. `time` is the field with the time (RFC 3339, or a number of which the
    digits show the unit), or what reads it. `lines` reads a line, given the header that an earlier
    one was, which it may replace. `denied` is searched for in decisions. Lines are of this product
    if one of `looks` is in them, JSON objects if `is_object` says so, if that is given. The
    other fields are those of `netwatch.logs.registry.LogFormat`."""

    title: str
    time: str | Callable[[Values, LocalTimes, Carried], tuple[int, int]]
    denied: re.Pattern[str]
    kinds: tuple[Kind, ...]
    lines: Callable[[bytes, list[str]], Values] = lambda record, _: json_object(record)
    looks: tuple[re.Pattern[bytes], ...] = ()
    is_object: Callable[[Values], bool] | None = None
    lacks: tuple[Lack, ...] = ()
    always: tuple[bytes, ...] = ()
    flows: tuple[bytes, ...] = ()

    def recognise(self, sample: Sample) -> int:
        """The number of lines of this product."""
        found = 0
        for line, values in zip(sample.lines, sample.objects, strict=True):
            if values is not None and self.is_object is not None:
                found += self.is_object(values)
            else:
                found += any(look.search(line) is not None for look in self.looks)
        return found

    def reader(self, context: ReaderContext) -> "ProductReader":
        """What reads one log of it."""
        return ProductReader(self, context)


class ProductReader:
    """Reads the records of one log of a product."""

    def __init__(self, product: Product, context: ReaderContext) -> None:
        self._product = product
        self._times = context.times
        self._header: list[str] = []

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a record shows. Raises `RecordError`."""
        values = self._product.lines(record, self._header)
        if "" in values:  # the name of every field that a product does not have
            values = {name: value for name, value in values.items() if name}
        for kind in self._product.kinds:
            if kind.is_of(values):
                break
        else:
            return ()
        if kind.needs and kind.needs not in values:
            raise RecordError("fields-missing")
        if kind.shows is None:
            return (self._flow(kind, values, carried),)
        shown = kind.shows(values)
        return () if shown is None else self._names(kind, values, shown, carried)

    def flush(self) -> Iterable[LogEntry]:
        """Nothing: no record waits for another."""
        return ()

    def _names(
        self, kind: Kind, values: Values, shown: Shown, carried: Carried
    ) -> Iterable[LogName]:
        evidence, host, server_port = shown
        ends = kind.ends
        time, digits = self._time(values, carried)
        dns = None if kind.dns is None else kind.dns(values)
        # An address is in brackets in a URL.
        asked = octets(host if dns is not None else host.strip("[]"))
        name = normalise_name(asked)
        if not name:
            raise RecordError("name-missing")
        if dns is not None and dns.rcode is not None:
            evidence = "dns-answer"
        side = _side(ends, values)
        actions = (text(values.get(field)) for field in kind.action.split())
        blocked_by = next(filter(self._product.denied.search, actions), "")
        reached = kind.status and not blocked_by and 100 <= number(values.get(kind.status)) < 600
        server = NOWHERE
        if ends.server:
            at = server_port or port(values.get(ends.server_port))
            server = Endpoint(address(values.get(ends.server)), at)
        first = LogName(
            time,
            digits,
            evidence,
            name,
            side.client,
            server,
            "tcp" if ends.tcp(values) else "udp",
            side.host,
            parse_mac(text(values.get(ends.mac))) if ends.mac else None,
            flow=_flow_of(kind, values),
            dns=dns,
            raw=raw_name(asked, name),
            outcome="blocked" if blocked_by else "reached" if reached else None,
            blocked_by=blocked_by,
            lacks=kind.lacks + side.lacks,
        )
        return with_aliases(first)

    def _flow(self, kind: Kind, values: Values, carried: Carried) -> LogFlow:
        ends = kind.ends
        client, server = address(values.get(ends.client)), address(values.get(ends.server))
        if client is None or server is None:
            raise RecordError("address-invalid")
        last, _ = self._time(values, carried)
        sent, received = number(values.get(kind.sent)), number(values.get(kind.received))
        lasted = (number(values.get(field)) * unit for field, unit in kind.lasted)
        answered: Sent = "payload" if received else "nothing"
        return LogFlow(
            first=last - next(filter(None, lasted), 0),
            last=last,
            transport="tcp" if ends.tcp(values) else "udp",
            client=Endpoint(client, port(values.get(ends.client_port))),
            server=Endpoint(server, port(values.get(ends.server_port))),
            bytes_out=sent,
            bytes_in=received,
            flow=_flow_of(kind, values),
            client_sent="payload" if sent else "nothing",
            server_sent=answered if kind.server_sent is None else kind.server_sent(values),
            client_mac=parse_mac(text(values.get(ends.mac))) if ends.mac else None,
        )

    def _time(self, values: Values, carried: Carried) -> tuple[int, int]:
        time = self._product.time
        if not isinstance(time, str):
            return time(values, self._times, carried)
        value = values.get(time)
        if not isinstance(value, int):
            return rfc3339(text(value))
        unit = UNITS.get(len(str(value)))
        if unit is None:
            raise RecordError("time-invalid")
        return value * unit, 9 if unit == 1 else 0


def _side(ends: Ends, values: Values) -> Sides:
    """Which device asked."""
    at = port(values.get(ends.client_port))
    fields = ends.client.split()
    own = next((found for field in fields if (found := address(values.get(field)))), None)
    if ends.outer or ends.device:
        return sides(own, address(values.get(ends.outer)), text(values.get(ends.device)), at)
    return Sides(Endpoint(own, at), "", () if own else ("client",))


def _flow_of(kind: Kind, values: Values) -> str:
    """The identifier of the flow, empty if there is no session."""
    fields = kind.flow.split()
    if not fields or not values.get(fields[-1]):
        return ""
    return "/".join(text(values.get(field)) for field in fields)


def has(*fields: str, any_of: tuple[str, ...] = ()) -> Callable[[Values], bool]:
    """Whether a record has all of some fields, and one of others."""
    return lambda values: (
        all(field in values for field in fields)
        and (not any_of or any(field in values for field in any_of))
    )


def one_of(field: str, *words: str) -> Callable[[Values], bool]:
    """Whether a field is one of some words in lower case."""
    return lambda values: text(values.get(field)).lower() in words


def named(field: str) -> Callable[[Values], Shown]:
    """The name of a lookup in a field."""
    return lambda values: ("dns-query", text(values.get(field)), 0)


def answers_of(found: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """The addresses among the texts of an answer."""
    return tuple((each, 0) for each in found[:MAX_ANSWERS] if address(each) is not None)


def _route53_dns(values: Values) -> DnsInfo:
    addresses, chain = [], []
    answers = values.get("answers")
    if answers is not None and not isinstance(answers, list):
        raise RecordError("answers-invalid")
    for answer in (answers or [])[:MAX_ANSWERS]:
        if not isinstance(answer, dict):
            raise RecordError("answers-invalid")
        # Written ``Rdata`` in logs, ``rdata`` in some exports of them.
        data, kind = (
            text(answer.get("Rdata", answer.get("rdata"))),
            answer.get("Type", answer.get("type")),
        )
        if kind in ("A", "AAAA") and address(data) is not None:
            addresses.append((data, 0))
        elif kind == "CNAME" and data:
            chain.append(host_name(data))
    rcode = text(values.get("rcode")).upper()
    return DnsInfo(text(values.get("query_type")), rcode or None, tuple(addresses), tuple(chain))


def _cloudflare_dns(values: Values) -> DnsInfo:
    rcode = values.get("RCode")
    return DnsInfo(
        text(values.get("QueryTypeName")) or type_text(number(values.get("QueryType"))),
        rcode_text(rcode) if isinstance(rcode, int) and 0 <= rcode < 65536 else None,
        answers_of(texts(values.get("ResolvedIPs"))),
        tuple(host_name(each) for each in texts(values.get("CNAMEs"))[:MAX_ANSWERS]),
    )


def _cloudflare_session(values: Values) -> Shown | None:
    """The name of a handshake; sessions of other protocols show none."""
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
    # "Values that appear in VPC Resolver query logs" (Route 53 Developer Guide). `srcaddr` is the
    # instance in the VPC that asked; where lookups come through an inbound endpoint it is whatever
    # forwarded them.
    "route53": Product(
        title="Amazon Route 53 Resolver query logs",
        lacks=("server",),
        is_object=has("query_name", any_of=("query_timestamp", "srcids")),
        time="query_timestamp",
        denied=re.compile(r"\Ablock\Z", re.IGNORECASE),
        kinds=(
            Kind(
                is_of=has("query_name"),
                ends=Ends("srcaddr", "srcport", "", "", tcp=one_of("transport", "tcp")),
                action="firewall_rule_action",
                shows=named("query_name"),
                dns=_route53_dns,
            ),
        ),
    ),
}
"""The products by the names of their formats."""
