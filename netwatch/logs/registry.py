"""The table of log formats: everything that must know them reads it.

A new format is a module next to this one and a row here; one that is only fields is a row of
`netwatch.logs.products`. The command line (``--as``), recognition,
the documentation and the tests follow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from netwatch.logs import (
    adguard,
    bind,
    coredns,
    dnsmasq,
    dnstap,
    firewall_products,
    gateway_products,
    haproxy,
    knot,
    nginx,
    pihole_ftl,
    powerdns,
    products,
    squid,
    suricata_eve,
    sysmon,
    unbound,
    windows_dns,
    windows_dns_events,
    zeek,
)
from netwatch.logs.reading import ReaderContext, RecordReader, Sample
from netwatch.logs.records import Lack

Container = Literal["lines", "frame-streams", "sqlite", "evtx"]
"""How a file is divided into records: lines; frames of Frame Streams (dnstap); rows of an SQLite
database, each as a JSON object in which ``_table`` is the name of its table; records of a Windows
event log, each as a JSON object."""


@dataclass(frozen=True, slots=True)
class LogFormat:
    """A format: its `title` for people, how sure a sample is of this format, and its reader.

    `recognise` gives the number of lines of the sample (records of other containers) that no other
    format writes, 0 if it is not this format. `lacks` is what no record of it says. `labels`
    says that names are written label by label (``(3)www(6)tiktok(3)com(0)``), so that bytes are
    compared accordingly before a record is read. `encoded` says that names may be in an encoding
    (base64) that hides them from such a comparison: all records are read then. `family` is the name
    that formats share whose files belong together in a folder, because one says what another lacks
    (those of Zeek).
    `only_if_named` is a sentence that says why such a file is read only with ``--as``, empty if
    it is recognised.

    Records without a name of interest are not read, but for these: those that contain one of the
    texts in `always` (headers, claims of addresses), those with one of the texts in `flows`, which
    all records of flows have, and those that belong to a record with such a name. They have the
    same word of letters, digits and ``-_.:/``, as `joins` gives it of a record with what carried
    it, None if there is no such word; it is not needed for addresses in answers and for
    identifiers of flows. So do as many records as `around` says before and behind it, where only
    the order says what belongs together. `tables` are the tables of an SQLite database that are
    read, in this order.
    """

    title: str
    recognise: Callable[[Sample], int]
    reader: Callable[[ReaderContext], RecordReader]
    lacks: tuple[Lack, ...] = ()
    container: Container = "lines"
    labels: bool = False
    family: str = ""
    only_if_named: str = ""
    encoded: bool = False
    always: tuple[bytes, ...] = ()
    flows: tuple[bytes, ...] = ()
    joins: Callable[[bytes], bytes | None] | None = None
    around: int = 0
    tables: tuple[str, ...] = ()


PRODUCTS = gateway_products.PRODUCTS | products.PRODUCTS | firewall_products.PRODUCTS
"""The products whose logs are only fields."""

LOG_FORMATS: dict[str, LogFormat] = {
    "dnsmasq": LogFormat(
        "dnsmasq, and pihole.log of Pi-hole",
        dnsmasq.recognise,
        dnsmasq.Reader,
        ("server",),
        always=(b"DHCP",),
        joins=dnsmasq.joins,
        around=6,
    ),
    "pihole-ftl": LogFormat(
        "Pi-hole FTL, the database of queries",
        pihole_ftl.recognise,
        pihole_ftl.Reader,
        ("client-port", "server", "answer"),
        container="sqlite",
        encoded=True,
        tables=pihole_ftl.TABLES,
    ),
    "unbound": LogFormat(
        "Unbound, queries and replies",
        unbound.recognise,
        unbound.Reader,
        ("client-port", "answer"),
    ),
    "bind": LogFormat("BIND, queries, responses and policy zones", bind.recognise, bind.Reader),
    "adguard": LogFormat(
        "AdGuard Home, querylog.json",
        adguard.recognise,
        adguard.Reader,
        ("client-port", "server"),
        encoded=True,
    ),
    "windows-dns": LogFormat(
        "Windows DNS server, debug log",
        windows_dns.recognise,
        windows_dns.Reader,
        ("client-port", "server", "answer"),
        labels=True,
    ),
    "windows-dns-events": LogFormat(
        "Windows DNS server, analytical events as JSON",
        windows_dns_events.recognise,
        windows_dns_events.Reader,
        encoded=True,
    ),
    "windows-dns-evtx": LogFormat(
        "Windows DNS server, analytical events in an event log",
        windows_dns_events.recognise,
        windows_dns_events.Reader,
        container="evtx",
    ),
    "knot": LogFormat(
        "Knot Resolver, traced requests and answers",
        knot.recognise,
        knot.Reader,
        encoded=True,
    ),
    "powerdns": LogFormat(
        "PowerDNS Recursor and dnsdist",
        powerdns.recognise,
        powerdns.Reader,
        ("server", "answer"),
    ),
    "coredns": LogFormat(
        "CoreDNS, plugin log", coredns.recognise, coredns.Reader, ("server", "answer")
    ),
    "suricata-eve": LogFormat(
        "Suricata EVE",
        suricata_eve.recognise,
        suricata_eve.Reader,
        always=(b'"event_type":"dhcp"', b'"event_type": "dhcp"'),
        flows=(b'"event_type":"flow"', b'"event_type": "flow"'),
    ),
    "zeek": LogFormat(
        "Zeek",
        zeek.recognise,
        zeek.Reader,
        family="zeek",
        # Headers, and conversations of DHCP that claim an address.
        always=(b"#", b"ACK", b"NAK", b"RELEASE"),
        joins=zeek.connection,
    ),
    "dnstap": LogFormat("dnstap", dnstap.recognise, dnstap.Reader, container="frame-streams"),
    "squid": LogFormat(
        "Squid, access log",
        squid.recognise,
        squid.Reader,
        ("client-port",),
        flows=(b"CONNECT",),
    ),
    "haproxy": LogFormat(
        "HAProxy, HTTP log",
        haproxy.recognise,
        haproxy.Reader,
        ("server",),
        only_if_named=haproxy.FORWARD_PROXY,
    ),
    "nginx": LogFormat(
        "NGINX, access log",
        nginx.recognise,
        nginx.Reader,
        ("server",),
        only_if_named=nginx.FORWARD_PROXY,
    ),
    "sysmon": LogFormat(
        "Sysmon, DNS queries (event 22)",
        sysmon.recognise,
        sysmon.Reader,
        ("client-port", "server", "query-type"),
        always=(
            b"<Event",
            b"</Event>",
            b"<Provider",
            b"<TimeCreated",
            b"<Computer",
            b"<Data Name=",
        ),
    ),
    "sysmon-evtx": LogFormat(
        "Sysmon, DNS queries (event 22), as a Windows event log",
        sysmon.recognise,
        sysmon.Reader,
        ("client-port", "server", "query-type"),
        container="evtx",
    ),
} | {
    name: LogFormat(
        row.title, row.recognise, row.reader, row.lacks, always=row.always, flows=row.flows
    )
    for name, row in PRODUCTS.items()
}
"""The formats by their name, as ``--as`` and `log.format` of a record have it."""
