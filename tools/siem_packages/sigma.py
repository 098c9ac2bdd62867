"""Sigma rules: those that docs/siem ships, and one for each kind of violation."""

from typing import Any
from uuid import uuid5

import yaml

from netwatch.exports.sensors import NAMESPACE
from siem_packages.archive import Files
from siem_packages.tables import KINDS, MEANING, SIEM, level, shipped

_REFERENCE = "https://github.com/netwatch/netwatch/tree/main/docs/siem"
_DATE = "2026-12-02"
_FIELDS = ("device.id", "app.name", "ban.id", "confidence", "outcome", "names")


def files() -> Files:
    """The rules and the pipelines that map their fields, by their paths."""
    there = {
        str(path.relative_to(SIEM / "sigma")): path.read_text(encoding="utf-8")
        for path in sorted((SIEM / "sigma").rglob("*.yml"))
    }
    there |= {
        f"kinds/{kind}.yml": yaml.safe_dump(rule(kind), sort_keys=False, width=1000)
        for kind in KINDS
    }
    return {**there, "README.md": shipped("sigma.md")}


def rule(kind: str) -> dict[str, Any]:
    """The rule for violations of a kind that no block stopped, and that are no mere possibility."""
    return {
        "title": f"Banned App Contacted, Kind {kind.capitalize()}",
        "id": str(uuid5(NAMESPACE, f"sigma violation of kind {kind}")),
        "status": "stable",
        "description": f"A device contacted a banned app; the traffic suggests: {MEANING[kind]}.",
        "references": [_REFERENCE],
        "author": "netwatch",
        "date": _DATE,
        "logsource": {"product": "netwatch", "service": "alert"},
        "detection": {
            "selection": {
                "verdict": "violation",
                "kind.value": kind,
                "confidence": ["confirmed", "probable"],
            },
            "blocked": {"outcome": "blocked"},
            "condition": "selection and not blocked",
        },
        "fields": list(_FIELDS),
        "falsepositives": ["An exemption that is not registered"],
        "level": level(kind),
    }
