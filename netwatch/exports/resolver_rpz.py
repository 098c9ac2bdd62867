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
    entries = []
    for rule in rules:
        entries.append(f"{rule.name} CNAME .")
        if rule.kind == "suffix":
            entries.append(f"*.{rule.name} CNAME .")
    return joined([*comments(export, RPZ, *_USE), *head, *entries])


def _read(text: str) -> Blocklist:
    rows = (line.partition(";")[0].split() for line in text.splitlines())
    owners = [row[0].lower() for row in rows if row[1:] == ["CNAME", "."]]
    return blocklist(
        (owner for owner in owners if not owner.startswith("*.")),
        (owner[2:] for owner in owners if owner.startswith("*.")),
    )


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
)
