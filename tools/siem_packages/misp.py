"""A feed that MISP subscribes to: an event for each app of the shipped signatures, with its names
as attributes.

A name with all below it has the type ``domain``, a single one ``hostname``, and a pattern, for
which MISP has no type of its own, is a regular expression of the type ``pattern-in-traffic``. Only
names that the app has for itself go to detection (``to_ids``): others call the rest, too.

Ids follow from app and rule, so a newer feed updates the same events.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid5

from netwatch.exports.export_format import glob_pattern
from netwatch.exports.sensors import NAMESPACE
from netwatch.rules.load import BUILTIN, load_signatures
from netwatch.rules.signature import Asn, Rule, Signature
from siem_packages.archive import Files
from siem_packages.tables import ROOT, shipped

_TYPES = {"suffix": "domain", "host": "hostname", "glob": "pattern-in-traffic"}
_ORGANISATION = {"name": "netwatch", "uuid": str(uuid5(NAMESPACE, "misp organisation"))}
_IN_MANIFEST = ("info", "date", "analysis", "threat_level_id", "timestamp", "Orgc", "Tag")


def files(moment: int) -> Files:
    """The package, by paths below its folder. `moment` is the time of all events, in seconds since
    1970: MISP fetches an event again if it is newer than the one there."""
    signatures = load_signatures([BUILTIN], ROOT).signatures
    events = [_event(each, moment) for _, each in sorted(signatures.items())]
    manifest = {event["uuid"]: {key: event[key] for key in _IN_MANIFEST} for event in events}
    return {
        "README.md": shipped("misp.md"),
        "feed/manifest.json": _text(manifest),
        "feed/hashes.csv": "".join(_hashes(events)),
        **{f"feed/{event['uuid']}.json": _text({"Event": event}) for event in events},
    }


def _event(signature: Signature, moment: int) -> dict[str, Any]:
    app = signature.app
    attributes = [_name(rule) for rule in signature.rules]
    attributes += [_system(app.id, asn) for asn in signature.asns]
    return {
        "uuid": str(uuid5(NAMESPACE, f"misp feed {app.id}")),
        "info": f"netwatch: {app.name} ({app.vendor}), names of the app",
        "date": datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d"),
        "timestamp": str(moment),
        "publish_timestamp": str(moment),
        "published": True,
        "analysis": "2",
        "threat_level_id": "4",
        "Orgc": _ORGANISATION,
        "Tag": [
            _tag("tlp:clear", "#ffffff"),
            _tag(f'netwatch:app="{app.id}"'),
            _tag(f'netwatch:category="{app.category}"'),
        ],
        "Attribute": [{**each, "timestamp": str(moment)} for each in attributes],
    }


def _name(rule: Rule) -> dict[str, Any]:
    grade = rule.grade.value
    value = glob_pattern(rule.name) if rule.kind == "glob" else rule.name
    return {
        "uuid": str(uuid5(NAMESPACE, f"misp feed {rule.app.id} {rule.text}")),
        "type": _TYPES[rule.kind],
        "category": "Network activity",
        "value": value,
        "to_ids": rule.role == "exclusive" and rule.kind != "glob",
        "disable_correlation": rule.kind == "glob",
        "comment": f"{rule.app.name}: {rule.text}",
        "Tag": [_tag(f'netwatch:role="{rule.role}"'), _tag(f'netwatch:confidence="{grade}"')],
    }


def _system(app: str, asn: Asn) -> dict[str, Any]:
    """An autonomous system of the app. It proves nothing without a name."""
    return {
        "uuid": str(uuid5(NAMESPACE, f"misp feed {app} AS{asn.number}")),
        "type": "AS",
        "category": "Network activity",
        "value": f"AS{asn.number}",
        "to_ids": False,
        "disable_correlation": True,
        "comment": asn.name,
    }


def _tag(name: str, colour: str = "#5a5a5a") -> dict[str, str]:
    return {"name": name, "colour": colour}


def _hashes(events: list[dict[str, Any]]) -> Iterator[str]:
    """The lines by which MISP finds, without the events, in which of them a value is."""
    for event in events:
        for attribute in event["Attribute"]:
            value = attribute["value"].encode()
            yield f"{hashlib.md5(value, usedforsecurity=False).hexdigest()},{event['uuid']}\n"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
