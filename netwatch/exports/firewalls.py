"""Formats that firewalls and proxies read: nftables, domain lists and Squid.

nftables: addresses of the apps' servers, dropped where packets are forwarded.

A packet filter sees no names. The addresses are those of the apps' servers in captures, a store or
a database of autonomous systems; they change within days, and a CDN gives them to others. An
address that another name had in the same captures is left out before it comes here.

Domain lists that firewalls fetch: external dynamic lists of PAN-OS, threat feeds of FortiOS.

Both are plain text with one entry per line, and neither has a documented form for comments, so only
names are written. PAN-OS: a caret before a name is an exact match, an asterisk may only be the
whole first label, for one label or several. FortiOS: an asterisk may be anywhere in a name, also
across labels, so a pattern is a little wider there than in a signature.

Squid: access lists by the name that a client requests from the proxy, as a file for ``include``.

A name with a leading dot is a domain with all below it, without one only that name. Patterns are
POSIX regular expressions in a list of their own.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import get_args

from netwatch.core.message import HANDSHAKES, Evidence
from netwatch.exports.export_format import (
    Blocklist,
    Export,
    ExportFormat,
    blocklist,
    comments,
    glob_pattern,
    joined,
)
from netwatch.exports.resolvers import LOOKUP
from netwatch.rules.signature import Rule

_UNSAFE_NFTABLES = re.compile("[^a-z0-9]+")
_ELEMENT = re.compile(r"^\t\t\t([0-9a-f.:/]+),", re.MULTILINE)

_LOST = "a firewall sees only the lookups that pass it in the clear; its list has no room for dates"

_UNSAFE_SQUID = re.compile("[^A-Za-z0-9]+")
_USE = (
    "include this file before the first http_access that allows",
    "inside TLS that is not intercepted Squid knows only the name of CONNECT; with squid-openssl"
    " and ssl_bump peek, write ssl::server_name instead of dstdomain and terminate what matches",
)


def _write_nftables(export: Export, _: tuple[Rule, ...]) -> str:
    table = f"inet netwatch_{_UNSAFE_NFTABLES.sub('_', export.title.lower())}"
    lines = [
        *comments(export, NFTABLES, "nft -f FILE puts this table in the place of an earlier one"),
        *sorted({f"# {address.text} {address.origin}" for address in export.addresses}),
        f"table {table}",
        f"delete table {table}",
        f"table {table} {{",
    ]
    networks = [ip_network(address.text) for address in export.addresses]
    # Separate for each version, because networks of both cannot be compared.
    v4 = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    v6 = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    lines += [*_set(4, v4), *_set(6, v6)]
    lines += [
        "\tchain forward {",
        "\t\ttype filter hook forward priority filter; policy accept;",
        "\t\tip daddr @servers4 counter drop",
        "\t\tip6 daddr @servers6 counter drop",
        "\t}",
        "}",
    ]
    return joined(lines)


def _set(version: int, networks: Iterable[IPv4Network | IPv6Network]) -> list[str]:
    head = [f"\tset servers{version} {{", f"\t\ttype ipv{version}_addr", "\t\tflags interval"]
    elements = [f"\t\t\t{_element(network)}," for network in networks]
    return [*head, *(["\t\telements = {", *elements, "\t\t}"] if elements else []), "\t}"]


def _element(network: IPv4Network | IPv6Network) -> str:
    return str(network).removesuffix(f"/{network.max_prefixlen}")


def _read_nftables(text: str) -> Blocklist:
    networks = [ip_network(network) for network in _ELEMENT.findall(text)]
    spans = [
        (network.network_address.packed, network.broadcast_address.packed) for network in networks
    ]
    return Blocklist(spans=tuple(spans))


NFTABLES = ExportFormat(
    "nftables",
    _write_nftables,
    _read_nftables,
    {"host": "none", "suffix": "none", "glob": "none"},
    frozenset(evidence for evidence in get_args(Evidence) if evidence in HANDSHAKES),
    "addresses change within days, and others may have them: use names wherever you can",
    comment="#",
    needs_addresses=True,
)


def _write_palo_alto(_: Export, rules: tuple[Rule, ...]) -> str:
    lines = []
    for rule in rules:
        lines.append(f"^{rule.name}")
        if rule.kind == "suffix":
            lines.append(f"*.{rule.name}")
    return joined(dict.fromkeys(lines))


def _read_palo_alto(text: str) -> Blocklist:
    lines = text.split()
    return blocklist(
        (line[1:] for line in lines if line.startswith("^")),
        (line[2:] for line in lines if line.startswith("*.")),
    )


def _write_fortigate(_: Export, rules: tuple[Rule, ...]) -> str:
    lines = []
    for rule in rules:
        lines.append(rule.name)
        if rule.kind == "suffix":
            lines.append(f"*.{rule.name}")
    return joined(dict.fromkeys(lines))


def _read_fortigate(text: str) -> Blocklist:
    patterns = (re.escape(line).replace(r"\*", ".*") for line in text.split() if "*" in line)
    return blocklist(
        (line for line in text.split() if "*" not in line),
        (),
        (f"^{pattern}$" for pattern in patterns),
    )


EDL = ExportFormat(
    "external dynamic lists of PAN-OS",
    _write_palo_alto,
    _read_palo_alto,
    {"host": "exact", "suffix": "exact", "glob": "none"},
    LOOKUP,
    _LOST,
    is_resolver=True,
    product="Palo Alto",
    feed="palo-alto",
)

FORTIGATE = ExportFormat(
    "threat feeds of FortiOS",
    _write_fortigate,
    _read_fortigate,
    {"host": "exact", "suffix": "exact", "glob": "wider"},
    LOOKUP,
    _LOST,
    is_resolver=True,
    product="FortiGate",
    feed="fortigate",
)


def _write_squid(export: Export, rules: tuple[Rule, ...]) -> str:
    name = f"netwatch_{_UNSAFE_SQUID.sub('_', export.title)}"
    lines = comments(export, SQUID, *_USE)
    stopped, entries = _lists(name, rules)
    spared, exceptions = _lists(f"{name}_others", SQUID.spared(export))
    denied = (" ".join((name, *(f"!{other}" for other in spared))) for name in stopped)
    return joined([*lines, *entries, *exceptions, *(f"http_access deny {name}" for name in denied)])


def _lists(name: str, rules: tuple[Rule, ...]) -> tuple[list[str], list[str]]:
    """The names of the lists of some rules, and their lines."""
    names: dict[str, None] = {}
    lines = []
    for rule in rules:
        if rule.kind == "glob":
            names[f"{name}_patterns"] = None
            lines.append(f"acl {name}_patterns dstdom_regex -i {glob_pattern(rule.name)}")
        else:
            names[name] = None
            dot = "." if rule.kind == "suffix" else ""
            lines.append(f"acl {name} dstdomain {dot}{rule.name}")
    return list(names), lines


def _read_squid(text: str) -> Blocklist:
    rows = [line.split() for line in text.splitlines()]
    denied = {word for row in rows if row[:2] == ["http_access", "deny"] for word in row[2:]}
    spared = {word.removeprefix("!") for word in denied if word.startswith("!")}
    return replace(_entries(rows, denied), spared=_entries(rows, spared))


def _entries(rows: list[list[str]], lists: set[str]) -> Blocklist:
    exact: list[str] = []
    below: list[str] = []
    patterns: list[str] = []
    for row in rows:
        match row:
            case ["acl", name, "dstdomain", domain] if name in lists:
                (below if domain.startswith(".") else exact).append(domain.removeprefix("."))
            case ["acl", name, "dstdom_regex", "-i", pattern] if name in lists:
                patterns.append(pattern)
    return blocklist([*exact, *below], below, patterns)


SQUID = ExportFormat(
    "Squid",
    _write_squid,
    _read_squid,
    {"host": "exact", "suffix": "exact", "glob": "exact"},
    frozenset({"http-host", "tls-sni"}),
    "a proxy stops only what is sent through it, and no QUIC",
    comment="#",
    spares=frozenset({"host", "suffix", "glob"}),
)
