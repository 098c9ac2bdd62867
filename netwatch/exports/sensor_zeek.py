"""Zeek: a file of the intelligence framework, with one name a row (``Intel::DOMAIN``)."""

from netwatch.core.text import escaped
from netwatch.exports.blocklist import Blocklist, blocklist
from netwatch.exports.export_format import EVERYWHERE, Export, ExportFormat
from netwatch.exports.heading import comments, joined
from netwatch.rules.signature import Rule

_FIELDS = "#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc"


def _write(export: Export, _: tuple[Rule, ...]) -> str:
    source = f"netwatch:{export.title}"
    authority = export.ban.authority if export.ban else "no ban"
    desc = escaped(authority).replace("\t", " ")
    rows = [f"{name}\tIntel::DOMAIN\t{source}\t{desc}" for name in export.selection.names]
    # Zeek skips lines with a hash before the one of the fields, and behind it.
    return joined([*comments(export, ZEEK_INTEL), _FIELDS, *rows])


def _read(text: str) -> Blocklist:
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return blocklist(row[0] for row in rows if row[1:2] == ["Intel::DOMAIN"])


ZEEK_INTEL = ExportFormat(
    "the intelligence framework of Zeek",
    _write,
    _read,
    {"host": "exact", "suffix": "narrower", "glob": "none"},
    EVERYWHERE,
    "Zeek compares whole names alone: a name below a domain is seen only if it is listed itself",
    comment="#",
)
