"""The table of log formats, which everything else reads.

A new format is a module next to this one and a row here; one that is only fields is a row of
`netwatch.logs.products`. The command line (``--as``), recognition,
the documentation and the tests follow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from netwatch.core.user_yaml import did_you_mean
from netwatch.logs import (
    bind,
    dnsmasq,
    dnstap,
    firewall_products,
    flow_logs,
    gateway_products,
    ipfix,
    knot,
    powerdns,
    products,
    proxies,
    query_logs,
    squid,
    suricata_eve,
    unbound,
    windows_dns,
    windows_events,
    zeek,
)
from netwatch.logs.records import Lack, ReaderContext, RecordReader, Sample

Container = Literal["lines", "frame-streams", "ipfix", "json-list", "sqlite", "evtx", "nfcapd"]
"""How a file is divided into records: lines; frames of Frame Streams (dnstap); messages of IPFIX;
elements of a JSON list; rows of an SQLite database, each as a JSON object in which ``_table`` is
the name of its table; records of a Windows event log, and flows of a file of nfcapd, each as a JSON
object."""


@dataclass(frozen=True, slots=True)
class LogFormat:
    """A format: its `title` for people, how sure a sample is of this format, and its reader.

    `recognise` returns the number of lines of the sample (records of other containers) that no
    other format writes, 0 if it is not this format. `lacks` is what its records never contain.
    `labels` means that names are written label by label (``(3)www(6)tiktok(3)com(0)``), so that
    bytes are compared accordingly before a record is read. `encoded` means that names may be in an
    encoding (base64) that hides them from such a comparison: all records are then read. `family` is
    a name shared by formats whose files belong together in a folder, because one has what another
    lacks (Zeek's). `only_if_named` is a sentence why such a file is only read with ``--as``, empty
    if it is recognised.

    Records without a name of interest are not read, except those that contain one of the texts in
    `always` (headers, claims of addresses) or of the `words`, in lower case, those with one of the
    texts in `flows`, which all records of flows have, and those that belong to a record with such a
    name. They share a word of letters, digits and ``-_.:/``, which `joins` returns for a record
    with its carrier, None if there is no such word; it is not needed for addresses in answers and
    for identifiers of flows. A format that `is_whole` has all about a contact in one record. If
    only the order tells what belongs together, `around` records before and after it are read too.
    `tables` are the tables of an SQLite database that are read, in this order.
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
    words: tuple[bytes, ...] = ()
    flows: tuple[bytes, ...] = ()
    joins: Callable[[bytes], bytes | None] | None = None
    is_whole: bool = False
    around: int = 0
    tables: tuple[str, ...] = ()

    def is_always_read(self, line: bytes) -> bool:
        """Whether a line has one of the texts that are always of interest, or of the words."""
        lowered = line.lower()
        return any(text in line for text in self.always) or any(
            word in lowered for word in self.words
        )


PRODUCTS = gateway_products.PRODUCTS | products.PRODUCTS | firewall_products.PRODUCTS
"""The products whose logs are only fields."""


def _of_product(row: products.Product) -> LogFormat:
    return LogFormat(
        row.title, row.recognise, row.reader, row.lacks, always=row.always, flows=row.flows
    )


LOG_FORMATS: dict[str, LogFormat] = {
    "dnsmasq": LogFormat(
        "dnsmasq, and pihole.log of Pi-hole",
        dnsmasq.recognise,
        dnsmasq.DnsmasqReader,
        ("server",),
        always=(b"DHCP",),
        joins=dnsmasq.joins,
        around=6,
    ),
    "pihole-ftl": LogFormat(
        "Pi-hole FTL, the database of queries",
        query_logs.recognise_ftl,
        query_logs.FtlReader,
        ("client-port", "server", "answer"),
        container="sqlite",
        encoded=True,
        tables=query_logs.TABLES,
    ),
    "unbound": LogFormat(
        "Unbound, queries and replies",
        unbound.recognise,
        unbound.UnboundReader,
        ("client-port", "answer"),
    ),
    "bind": LogFormat("BIND, queries, responses and policy zones", bind.recognise, bind.BindReader),
    "adguard": LogFormat(
        "AdGuard Home, querylog.json",
        query_logs.recognise_adguard,
        query_logs.AdGuardReader,
        ("client-port", "server"),
        encoded=True,
    ),
    "windows-dns": LogFormat(
        "Windows DNS server, debug log",
        windows_dns.recognise_debug_log,
        windows_dns.DebugLogReader,
        ("client-port", "server", "answer"),
        labels=True,
    ),
    "windows-dns-events": LogFormat(
        "Windows DNS server, analytical events as JSON",
        windows_dns.recognise_events,
        windows_dns.DnsEventReader,
        encoded=True,
    ),
    "windows-dns-evtx": LogFormat(
        "Windows DNS server, analytical events in an event log",
        windows_dns.recognise_events,
        windows_dns.DnsEventReader,
        container="evtx",
    ),
    "knot": LogFormat(
        "Knot Resolver, traced requests and answers",
        knot.recognise,
        knot.KnotReader,
        encoded=True,
    ),
    "powerdns": LogFormat(
        "PowerDNS Recursor and dnsdist",
        powerdns.recognise,
        powerdns.PowerDnsReader,
        ("server", "answer"),
    ),
    "coredns": _of_product(products.PRODUCTS["coredns"]),
    "suricata-eve": LogFormat(
        "Suricata EVE",
        suricata_eve.recognise,
        suricata_eve.EveReader,
        always=(b'"event_type":"dhcp"', b'"event_type": "dhcp"'),
        flows=(b'"event_type":"flow"', b'"event_type": "flow"'),
    ),
    "zeek": LogFormat(
        "Zeek",
        zeek.recognise,
        zeek.ZeekReader,
        family="zeek",
        # Headers, and conversations of DHCP that claim an address.
        always=(b"#",),
        words=(b"ack", b"nak", b"release"),
        joins=zeek.connection,
    ),
    "dnstap": LogFormat("dnstap", dnstap.recognise, dnstap.DnstapReader, container="frame-streams"),
    "squid": LogFormat(
        "Squid, access log",
        squid.recognise,
        squid.SquidReader,
        ("client-port",),
        flows=(b"CONNECT",),
        is_whole=True,
    ),
    "haproxy": LogFormat(
        "HAProxy, HTTP log",
        proxies.recognise_haproxy,
        proxies.HaproxyReader,
        ("server",),
        only_if_named="Its log is mostly of servers, whose clients are not devices of this"
        " network.",
    ),
    "nginx": LogFormat(
        "NGINX, access log",
        proxies.recognise_nginx,
        proxies.NginxReader,
        ("server",),
        only_if_named="Its log is mostly of sites, whose clients are not devices of this network.",
    ),
    "sysmon": LogFormat(
        "Sysmon, DNS queries (event 22)",
        windows_events.recognise_sysmon,
        windows_events.SysmonReader,
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
        windows_events.recognise_sysmon,
        windows_events.SysmonReader,
        ("client-port", "server", "query-type"),
        container="evtx",
    ),
    "ipfix": LogFormat(
        "IPFIX files of flow records",
        ipfix.recognise,
        ipfix.MessageReader,
        container="ipfix",
    ),
    "nfcapd": LogFormat(
        flow_logs.NFCAPD.title,
        flow_logs.NFCAPD.recognise,
        flow_logs.NFCAPD.reader,
        container="nfcapd",
    ),
    "nfdump-json": LogFormat(
        flow_logs.NFDUMP_JSON.title,
        flow_logs.NFDUMP_JSON.recognise,
        flow_logs.NFDUMP_JSON.reader,
        container="json-list",
    ),
    **{
        name: LogFormat(row.title, row.recognise, row.reader, always=row.always)
        for name, row in flow_logs.FLOW_LOGS.items()
    },
} | {name: _of_product(row) for name, row in PRODUCTS.items()}
"""The formats by their name, as ``--as`` and `log.format` of a record have it."""


def format_of(text: str) -> str:
    """The name of a log format, unchanged. Raises ValueError, which lists all, if there is no such
    format."""
    if text not in LOG_FORMATS:
        hint = did_you_mean(text, LOG_FORMATS)
        raise ValueError(f"expected one of {', '.join(sorted(LOG_FORMATS))}, found {text!r}{hint}")
    return text
