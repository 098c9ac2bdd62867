"""Logs that are only fields (JSON, CSV, ``name=value``), each read by a row of a table.

A row describes the lines, the fields with the time, the sides, the name and the decision, and the
kinds of records. Here are the reader of the rows and three resolvers;
`netwatch.logs.gateway_products` and `netwatch.logs.firewall_products` have the others.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from netwatch.core.addresses import parse_mac
from netwatch.core.errors import RecordError
from netwatch.core.flow import Sent
from netwatch.core.message import DnsInfo, Evidence
from netwatch.core.names import normalise_name, raw_name
from netwatch.logs.dns_values import (
    answer_info,
    carried_time,
    listed,
    query_info,
    record_type,
    response_code,
    unescaped,
    with_aliases,
)
from netwatch.logs.fields import (
    MAX_ANSWERS,
    Sides,
    address,
    columns,
    csv_row,
    host_name,
    json_object,
    number,
    octets,
    port,
    sides,
    text,
)
from netwatch.logs.records import (
    NOWHERE,
    Carried,
    Endpoint,
    Lack,
    LogEntry,
    LogFlow,
    LogName,
    ReaderContext,
    RecordReader,
    Sample,
)
from netwatch.logs.times import SECOND, LocalTimes, rfc3339

Values = Mapping[str, object]
"""The fields of a record by their names."""

Shown = tuple[Evidence, str, int]
"""What a record shows: the kind of evidence as in packets, the name, and the server's port if no
field of its own has it."""


UNITS = {10: SECOND, 13: 1_000_000, 16: 1_000, 19: 1}
"""Nanoseconds in the unit of a numeric time, by its number of digits."""


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
    """One kind of records of a product: `is_of` tells whether a record belongs to it, `needs` is a
    field without which it is cut off.

    The first of the fields in `action` that matches the product's `denied` blocked the contact; an
    HTTP `status` means that the server was reached. `flow` are the fields that together identify a
    flow, the session last. `shows` returns what a record shows, None if nothing. A kind with `dns`
    is a lookup, one without `shows` a flow: `lasted` are fields with its duration, each with the
    nanoseconds of its unit; the first that is not 0 counts.
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
    """A row of the table. `time` is the field with the time (RFC 3339, or a number whose digits
    show the unit), or a function that reads it. `lines` reads a line, given the header from an
    earlier line, which it may replace. `denied` is searched for in decisions. Lines belong to this
    product if one of `looks` is in them, JSON objects if `is_object` says so, if given. The other
    fields are as in `netwatch.logs.registry.LogFormat`."""

    title: str
    time: str | Callable[[Values, LocalTimes, Carried], tuple[int, int]]
    denied: re.Pattern[str]
    kinds: tuple[Kind, ...]
    lines: Callable[[bytes, list[str]], Values] = lambda record, _: json_object(
        record, "json-not-object"
    )
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
        """A reader of one log."""
        return ProductReader(self, context)


class ProductReader(RecordReader):
    """Reads the records of one log of a product."""

    def __init__(self, product: Product, context: ReaderContext) -> None:
        super().__init__(context)
        self._product = product
        self._header: list[str] = []

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a record shows. Raises `RecordError`."""
        values = self._product.lines(record, self._header)
        if "" in values:  # the name of every field that a product lacks
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
    """The client."""
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
        # Written ``Rdata`` in logs, ``rdata`` in some exports.
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


_COREDNS = re.compile(
    rb"\A(?:(?P<time>\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?) )?"
    rb"(?:\[INFO\] )?(?:[a-z]{1,16}/)?"
    rb"\[?(?P<client>[0-9a-fA-F.:]+(?:%\S{1,32}?)?)\]?:(?P<client_port>\d{1,5}) - "
    rb'(?:\d{1,5} )"(?P<type>[A-Z0-9]{1,16}) [A-Z0-9]{1,8} (?P<name>\S+)'
    rb" (?P<protocol>udp|tcp|tcp-tls|https|quic|grpc) "
    rb'\d+ (?:true|false) \d+" (?P<rcode>\S+) \S+ \d+ \S+(?: "?\d+"?)?\Z'
)


def _coredns_line(record: bytes, header: list[str]) -> Values:
    """The fields of a line; empty for other messages, and for a lookup of the root."""
    found = _COREDNS.match(record)
    if found is None:
        if b" - " in record and b" IN " in record and b'" ' in record:
            raise RecordError("line-invalid")
        return {}
    values = {
        key: (unescaped(value) if key == "name" else value).decode("utf-8", "surrogateescape")
        for key, value in found.groupdict(b"").items()
    }
    values["client"] = values["client"].partition("%")[0]
    if address(values["client"]) is None:
        raise RecordError("address-invalid")
    if int(values["client_port"]) > 65535:
        raise RecordError("port-invalid")
    return {} if values["name"] == "." else values


def _coredns_time(values: Values, times: LocalTimes, carried: Carried) -> tuple[int, int]:
    """A time of CoreDNS 1.3 to 1.5 (RFC 3339), or of earlier versions, as Go packages write it."""
    moment = text(values["time"])
    if not moment:
        return carried_time(carried)
    return rfc3339(moment if moment[4] == "-" else moment[:19].replace("/", "-"), times)


def _coredns_dns(values: Values) -> DnsInfo:
    kind, rcode = (str(values[key]).encode("utf-8", "surrogateescape") for key in ("type", "rcode"))
    return query_info(kind) if rcode == b"-" else answer_info(kind, rcode)


_BLOCKY = columns("time client names duration reason name answer rcode outcome type instance")
_BLOCKY_LINE = re.compile(
    rb"\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\t[0-9a-fA-F.:]{2,45}\t[^\t]*\t\d{1,9}\t"
    rb"(?:[^\t]*\t){3}[A-Z0-9]{2,16}\t[A-Z]{4,16}\t[A-Z0-9]{1,16}(?:\t|\Z)"
)
_BLOCKY_ANSWER = re.compile(r"(?:\A|, )(?:A|AAAA|CNAME) \(([^()\s]{1,255})\)")


def _blocky_line(record: bytes, header: list[str]) -> Values:
    """The fields of a line of tab-separated values. Older versions have no column of the
    instance."""
    row = csv_row(record, "\t")
    if len(row) < len(_BLOCKY) - 1:
        raise RecordError("columns-unknown")
    values = dict(zip(_BLOCKY, row, strict=False))
    if address(values["client"]) is None:
        raise RecordError("address-invalid")
    return values


def _blocky_dns(values: Values) -> DnsInfo:
    found = _BLOCKY_ANSWER.findall(text(values.get("answer")))[:MAX_ANSWERS]
    kind, rcode = record_type(text(values["type"])), response_code(text(values["rcode"]))
    return listed(kind, rcode, ((data.removesuffix("."), 0) for data in found))


PRODUCTS: dict[str, Product] = {
    # The query log of type ``csv`` or ``csv-client`` (https://0xerr0r.github.io/blocky/): a line
    # for each lookup that was answered, with the local time of the host. Answers are written as
    # ``CNAME (a.example.), A (192.0.2.1)``.
    "blocky": Product(
        title="blocky, query log as CSV",
        lacks=("client-port", "server"),
        looks=(_BLOCKY_LINE,),
        lines=_blocky_line,
        time=lambda values, times, _: rfc3339(text(values["time"]), times),
        denied=re.compile(r"\A(?:BLOCKED|FILTERED)\b"),
        kinds=(
            Kind(
                is_of=has("name"),
                ends=Ends("client", "", "", "", tcp=lambda _: False),
                action="reason outcome",
                shows=named("name"),
                dns=_blocky_dns,
            ),
        ),
    ),
    # A line is ``ADDRESS:PORT - ID "TYPE CLASS NAME PROTOCOL SIZE DO BUFSIZE" RCODE FLAGS SIZE
    # DURATION`` (https://coredns.io/plugins/log/); the combined format adds the opcode. It is
    # written when the answer has been sent, with no time of its own since 1.6; the time is then
    # that of the log of the container or service. In a cluster, the client is the address of a pod.
    "coredns": Product(
        title="CoreDNS, plugin log",
        lacks=("server", "answer"),
        looks=(_COREDNS,),
        lines=_coredns_line,
        time=_coredns_time,
        denied=re.compile(r"(?!)"),
        kinds=(
            Kind(
                is_of=has("name"),
                ends=Ends(
                    *("client", "client_port", "", ""),
                    tcp=lambda values: values["protocol"] not in ("udp", "quic"),
                ),
                shows=lambda values: ("dns-query", str(values["name"]), 0),
                dns=_coredns_dns,
            ),
        ),
    ),
    # "Values that appear in VPC Resolver query logs" (Route 53 Developer Guide). `srcaddr` is the
    # instance in the VPC that asked; for lookups through an inbound endpoint it is whatever
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
