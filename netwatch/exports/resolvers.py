"""Formats that resolvers read: hosts files, response policy zones, dnsmasq, Unbound and AdGuard
Home.

Hosts files, which Pi-hole and operating systems read: an address and a name on each line.

Response policy zones (draft-vixie-dnsop-dns-rpz), which BIND, Unbound, Knot and PowerDNS read.

The zone answers NXDOMAIN for a name (``CNAME .``); a wildcard is for all names below one. Its
serial number is the moment of the export in seconds, so that secondaries take a newer one.

dnsmasq: ``local=`` answers NXDOMAIN for a domain and all below it, ``host-record=`` gives one
name the unspecified address, and ``server=…#`` excepts a domain. Pi-hole reads
the same lines from /etc/dnsmasq.d.

Unbound: local zones answer NXDOMAIN for a domain and all below it, local data gives one name the
unspecified address. The file is one for ``include:``.

AdGuard Home, and other programs that read AdGuard's DNS filter syntax: ``||name^`` is a domain with
all below it, ``|name^`` a name from its first letter to its last, and text between slashes a
regular expression. ``@@`` before an entry lets its names pass.
"""

import re
from dataclasses import replace

from netwatch.core.message import Evidence
from netwatch.exports.export_format import (
    Blocklist,
    Export,
    ExportFormat,
    blocklist,
    comments,
    glob_pattern,
    joined,
)
from netwatch.rules.signature import Rule

_ADDRESSES = ("0.0.0.0", "::")
LOOKUP: frozenset[Evidence] = frozenset({"dns-query"})

MAX_NAME = 190
"""The longest name of a rule: with the zone's name after it, it must fit into 253 letters."""

_STOP, _PASS = ".", "rpz-passthru."

_USE = (
    'BIND: options { response-policy { zone "netwatch.rpz"; }; };',
    'Unbound: server: module-config: "respip validator iterator"; rpz: name: "netwatch.rpz"',
)

_ZONE = re.compile(r'local-zone: "(.+)\." always_nxdomain')
_PASSING = re.compile(r'local-zone: "(.+)\." always_transparent')
_DATA = re.compile(r'local-data: "(\S+)\. 300 IN A(?:AAA)? \S+"')

_DOMAIN = re.compile(r"\|\|([^*^|/]+)\^")
_NAME = re.compile(r"\|([^*^|/]+)\^")
_PATTERN = re.compile(r"/(.+)/")


def _write_hosts(export: Export, _: tuple[Rule, ...]) -> str:
    names = export.selection.names
    entries = [f"{address} {name}" for name in names for address in _ADDRESSES]
    return joined([*comments(export, HOSTS), *entries])


def _read_hosts(text: str) -> Blocklist:
    rows = (line.partition("#")[0].split() for line in text.splitlines())
    return blocklist(name for row in rows if row and row[0] in _ADDRESSES for name in row[1:])


HOSTS = ExportFormat(
    "hosts files",
    _write_hosts,
    _read_hosts,
    {"host": "exact", "suffix": "narrower", "glob": "none"},
    LOOKUP,
    "a hosts file has no wildcards: names that are not listed still resolve, and so do aliases",
    comment="#",
    is_resolver=True,
)


def _write_rpz(export: Export, rules: tuple[Rule, ...]) -> str:
    serial = int(export.time.timestamp()) % (1 << 32)
    head = [
        "$TTL 300",
        f"@ IN SOA localhost. root.localhost. {serial} 3600 600 604800 300",
        "@ IN NS localhost.",
    ]
    entries = (f"{owner} CNAME {action}" for owner, action in _records(export, rules).items())
    return joined([*comments(export, RPZ, *_USE), *head, *entries])


def _records(export: Export, rules: tuple[Rule, ...]) -> dict[str, str]:
    """The action for each owner name."""
    records: dict[str, str] = {}
    for rule in rules:
        records[rule.name] = _STOP
        if rule.kind == "suffix":
            records[f"*.{rule.name}"] = _STOP
    spared = RPZ.spared(export)
    # A wildcard is not for names below one that exists (RFC 4592 section 3.3.1). So a name that
    # passes also needs records, and so do the names between it and the domain.
    for rule in spared:
        parent = rule.name
        while parent not in records:
            records[parent] = records[f"*.{parent}"] = _STOP
            parent = parent.partition(".")[2]
    for rule in spared:
        records[rule.name] = _PASS
        if rule.kind == "suffix":
            records[f"*.{rule.name}"] = _PASS
    return records


def _read_rpz(text: str) -> Blocklist:
    rows = [line.partition(";")[0].split() for line in text.splitlines()]

    def owners(action: str, *, below: bool) -> list[str]:
        found = (row[0].lower() for row in rows if row[1:] == ["CNAME", action])
        return [name.removeprefix("*.") for name in found if name.startswith("*.") == below]

    spared = blocklist(owners(_PASS, below=False), owners(_PASS, below=True))
    stopped = owners(_STOP, below=False), owners(_STOP, below=True)
    return blocklist(*stopped, spared=spared, longest=True)


RPZ = ExportFormat(
    "response policy zones of BIND, Unbound, Knot Resolver and PowerDNS",
    _write_rpz,
    _read_rpz,
    {"host": "exact", "suffix": "exact", "glob": "none"},
    LOOKUP,
    "a resolver stops only the lookups that it gets, not lookups by encrypted DNS elsewhere",
    comment=";",
    is_resolver=True,
    max_name=MAX_NAME,
    spares=frozenset({"host", "suffix"}),
)


def _write_dnsmasq(export: Export, rules: tuple[Rule, ...]) -> str:
    entries = [
        f"local=/{rule.name}/" if rule.kind == "suffix" else f"host-record={rule.name},0.0.0.0,::"
        for rule in rules
    ]
    spared = [f"server=/{rule.name}/#" for rule in DNSMASQ.spared(export)]
    return joined([*comments(export, DNSMASQ), *entries, *spared])


def _read_dnsmasq(text: str) -> Blocklist:
    exact: list[str] = []
    domains: list[str] = []
    spared: list[str] = []
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "local":
            domains += value.strip("/").split("/")
        elif key == "server":
            spared.append(value.split("/")[1])
        elif key == "host-record":
            exact.append(value.partition(",")[0])
    passing = blocklist(spared, spared)
    return blocklist([*exact, *domains], domains, spared=passing, longest=True)


DNSMASQ = ExportFormat(
    "dnsmasq and Pi-hole",
    _write_dnsmasq,
    _read_dnsmasq,
    {"host": "exact", "suffix": "exact", "glob": "none"},
    LOOKUP,
    "a resolver stops only the lookups that it gets, not lookups by encrypted DNS elsewhere;"
    " targets"
    " of aliases pass, and lookups of single hosts for anything but addresses",
    comment="#",
    is_resolver=True,
    spares=frozenset({"host", "suffix"}),
)


def _write_unbound(export: Export, rules: tuple[Rule, ...]) -> str:
    entries = ["server:"]
    for rule in rules:
        if rule.kind == "suffix":
            entries.append(f'local-zone: "{rule.name}." always_nxdomain')
        else:
            entries.append(f'local-data: "{rule.name}. 300 IN A 0.0.0.0"')
            entries.append(f'local-data: "{rule.name}. 300 IN AAAA ::"')
    entries += [f'local-zone: "{rule.name}." always_transparent' for rule in UNBOUND.spared(export)]
    return joined([*comments(export, UNBOUND), *entries])


def _read_unbound(text: str) -> Blocklist:
    lines = text.splitlines()
    zones = [found[1] for line in lines if (found := _ZONE.fullmatch(line))]
    hosts = [found[1] for line in lines if (found := _DATA.fullmatch(line))]
    spared = [found[1] for line in lines if (found := _PASSING.fullmatch(line))]
    return blocklist([*zones, *hosts], zones, spared=blocklist(spared, spared), longest=True)


UNBOUND = ExportFormat(
    "Unbound",
    _write_unbound,
    _read_unbound,
    {"host": "exact", "suffix": "exact", "glob": "none"},
    LOOKUP,
    "a resolver stops only the lookups that it gets, not lookups by encrypted DNS elsewhere, and"
    " local zones do not apply to the targets of aliases",
    comment="#",
    is_resolver=True,
    spares=frozenset({"host", "suffix"}),
)


def _entry(rule: Rule) -> str:
    if rule.kind == "glob":
        return f"/{glob_pattern(rule.name)}/"
    return f"||{rule.name}^" if rule.kind == "suffix" else f"|{rule.name}^"


def _write_adguard(export: Export, rules: tuple[Rule, ...]) -> str:
    spared = (f"@@{_entry(rule)}" for rule in ADGUARD.spared(export))
    return joined([*comments(export, ADGUARD), *map(_entry, rules), *spared])


def _read_adguard(text: str) -> Blocklist:
    lines = [line for line in text.splitlines() if not line.startswith("!")]
    spared = [line.removeprefix("@@") for line in lines if line.startswith("@@")]
    return replace(_entries(lines), spared=_entries(spared))


def _entries(lines: list[str]) -> Blocklist:
    def found(form: re.Pattern[str]) -> list[str]:
        return [each[1] for line in lines if (each := form.fullmatch(line))]

    domains = found(_DOMAIN)
    return blocklist([*domains, *found(_NAME)], domains, found(_PATTERN))


ADGUARD = ExportFormat(
    "AdGuard Home and AdGuard DNS",
    _write_adguard,
    _read_adguard,
    {"host": "exact", "suffix": "exact", "glob": "exact"},
    LOOKUP,
    "a resolver stops only the lookups that it gets, not lookups by encrypted DNS elsewhere",
    comment="!",
    is_resolver=True,
    spares=frozenset({"host", "suffix", "glob"}),
)
