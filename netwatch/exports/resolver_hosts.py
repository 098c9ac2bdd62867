"""Hosts files, which Pi-hole and operating systems read: an address and a name on each line."""

from netwatch.core.message import Evidence
from netwatch.exports.blocklist import Blocklist, blocklist
from netwatch.exports.export_format import Export, ExportFormat
from netwatch.exports.heading import comments, joined
from netwatch.rules.signature import Rule

_ADDRESSES = ("0.0.0.0", "::")
LOOKUP: frozenset[Evidence] = frozenset({"dns-query"})


def _write(export: Export, _: tuple[Rule, ...]) -> str:
    names = export.selection.names
    entries = [f"{address} {name}" for name in names for address in _ADDRESSES]
    return joined([*comments(export, HOSTS), *entries])


def _read(text: str) -> Blocklist:
    rows = (line.partition("#")[0].split() for line in text.splitlines())
    return blocklist(name for row in rows if row and row[0] in _ADDRESSES for name in row[1:])


HOSTS = ExportFormat(
    "hosts files",
    _write,
    _read,
    {"host": "exact", "suffix": "narrower", "glob": "none"},
    LOOKUP,
    "a hosts file has no wildcards: names that nobody has listed still resolve, and so do aliases",
    comment="#",
    is_resolver=True,
)
