"""Response policy zones (draft-vixie-dnsop-dns-rpz), which BIND, Unbound, Knot and PowerDNS read.

The zone answers NXDOMAIN for a name (``CNAME .``); a wildcard is for all names below one. Its
serial number is the moment of the export in seconds, so that secondaries take a newer one.
"""

from netwatch.exports.blocklist import Blocklist, blocklist
from netwatch.exports.export_format import Export, ExportFormat
from netwatch.exports.heading import comments, joined
from netwatch.exports.resolver_hosts import LOOKUP
from netwatch.rules.signature import Rule

MAX_NAME = 190
"""The longest name of a rule: with that of the zone behind it, it has to fit into 253 letters."""

_STOP, _PASS = ".", "rpz-passthru."

_USE = (
    'BIND: options { response-policy { zone "netwatch.rpz"; }; };',
    'Unbound: server: module-config: "respip validator iterator"; rpz: name: "netwatch.rpz"',
)


def _write(export: Export, rules: tuple[Rule, ...]) -> str:
    serial = int(export.time.timestamp()) % (1 << 32)
    head = [
        "$TTL 300",
        f"@ IN SOA localhost. root.localhost. {serial} 3600 600 604800 300",
        "@ IN NS localhost.",
    ]
    entries = (f"{owner} CNAME {action}" for owner, action in _records(export, rules).items())
    return joined([*comments(export, RPZ, *_USE), *head, *entries])


def _records(export: Export, rules: tuple[Rule, ...]) -> dict[str, str]:
    """What is done with each owner name."""
    records: dict[str, str] = {}
    for rule in rules:
        records[rule.name] = _STOP
        if rule.kind == "suffix":
            records[f"*.{rule.name}"] = _STOP
    spared = RPZ.spared(export)
    # A wildcard is not for names below one that exists (RFC 4592 section 3.3.1). So a name that
    # passes needs records beside it, and so do the names between it and the domain.
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


def _read(text: str) -> Blocklist:
    rows = [line.partition(";")[0].split() for line in text.splitlines()]

    def owners(action: str, *, below: bool) -> list[str]:
        found = (row[0].lower() for row in rows if row[1:] == ["CNAME", action])
        return [each.removeprefix("*.") for each in found if each.startswith("*.") == below]

    spared = blocklist(owners(_PASS, below=False), owners(_PASS, below=True))
    stopped = owners(_STOP, below=False), owners(_STOP, below=True)
    return blocklist(*stopped, spared=spared, longest=True)


RPZ = ExportFormat(
    "response policy zones of BIND, Unbound, Knot Resolver and PowerDNS",
    _write,
    _read,
    {"host": "exact", "suffix": "exact", "glob": "none"},
    LOOKUP,
    "a resolver stops only the lookups that it gets, not those of encrypted DNS elsewhere",
    comment=";",
    is_resolver=True,
    max_name=MAX_NAME,
    spares=frozenset({"host", "suffix"}),
)
