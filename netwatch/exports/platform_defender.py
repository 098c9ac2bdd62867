"""Microsoft Defender for Endpoint: indicators as the CSV file that its portal imports.

A ``DomainName`` is blocked with all names below it, also where the rule is a single host. The ban's
last day is ``ExpirationTime``. The portal takes `PORTAL_LIMIT` rows in a file.
"""

import csv
import io

from netwatch.core.text import escaped
from netwatch.exports.blocklist import Blocklist, blocklist
from netwatch.exports.export_format import Export, ExportFormat
from netwatch.rules.signature import Rule

PORTAL_LIMIT = 500
"""Rows that the portal imports from one file."""

COLUMNS = (
    "IndicatorType",
    "IndicatorValue",
    "ExpirationTime",
    "Action",
    "Severity",
    "Title",
    "Description",
    "RecommendedActions",
    "RbacGroups",
    "Category",
    "MitreTechniques",
    "GenerateAlert",
)
_SEVERITIES = {"low": "Low", "medium": "Medium", "high": "High", "critical": "High"}


def _write(export: Export, rules: tuple[Rule, ...]) -> str:
    ban, stream = export.ban, io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    ends = [end for _, end in export.periods]
    expires = ends[-1].strftime("%Y-%m-%dT%H:%M:%S.0Z") if ends and ends[-1] else ""
    severity = _SEVERITIES[ban.severity] if ban else "Medium"
    basis = f"; {ban.authority}; {ban.legal_basis}" if ban else ""
    for rule in rules:
        says = (
            f"{rule.text}, role {rule.role}{basis}; signatures {export.signatures}, sha256"
            f" {export.selection.digest[:16]}, netwatch {export.netwatch}"
        )
        row = ("DomainName", rule.name, expires, "Block", severity, f"netwatch {export.title}")
        writer.writerow((*row, escaped(says), "", "", "UnwantedSoftware", "", "TRUE"))
    return stream.getvalue()


def _read(text: str) -> Blocklist:
    rows = list(csv.DictReader(io.StringIO(text)))
    names = [row["IndicatorValue"] for row in rows if row["Action"] == "Block"]
    return blocklist(names, names)


DEFENDER = ExportFormat(
    "Microsoft Defender for Endpoint",
    _write,
    _read,
    {"host": "wider", "suffix": "exact", "glob": "none"},
    frozenset({"tls-sni", "http-host"}),
    f"the portal imports {PORTAL_LIMIT} rows from a file: export apps one by one where there are"
    " more; only devices with Defender are covered",
    max_rows=PORTAL_LIMIT,
)
