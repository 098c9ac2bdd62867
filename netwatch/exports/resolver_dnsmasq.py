"""dnsmasq: ``local=`` answers NXDOMAIN for a domain and all below it, ``host-record=`` gives one
name the unspecified address, and ``server=…#`` excepts a domain. Pi-hole reads
the same lines from /etc/dnsmasq.d."""

from netwatch.exports.blocklist import Blocklist, blocklist
from netwatch.exports.export_format import Export, ExportFormat
from netwatch.exports.heading import comments, joined
from netwatch.exports.resolver_hosts import LOOKUP
from netwatch.rules.signature import Rule


def _write(export: Export, rules: tuple[Rule, ...]) -> str:
    entries = [
        f"local=/{rule.name}/" if rule.kind == "suffix" else f"host-record={rule.name},0.0.0.0,::"
        for rule in rules
    ]
    spared = [f"server=/{rule.name}/#" for rule in DNSMASQ.spared(export)]
    return joined([*comments(export, DNSMASQ), *entries, *spared])


def _read(text: str) -> Blocklist:
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
    _write,
    _read,
    {"host": "exact", "suffix": "exact", "glob": "none"},
    LOOKUP,
    "a resolver stops only the lookups that it gets, not those of encrypted DNS elsewhere; targets"
    " of aliases pass, and lookups of single hosts for anything but addresses",
    comment="#",
    is_resolver=True,
    spares=frozenset({"host", "suffix"}),
)
