"""The MISP feed: PyMISP reads it and makes the same feed of what it read, and each shipped rule is
an attribute of the type that MISP has for it."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pymisp
import pytest
from pymisp import MISPEvent
from siem_packages import misp
from support.paths import ROOT

from netwatch.rules.load import BUILTIN, load_signatures
from netwatch.rules.signature import Rule

MOMENT = 1_700_000_000
FILES = misp.files(MOMENT)
MANIFEST = json.loads(FILES["feed/manifest.json"])
SIGNATURES = load_signatures([BUILTIN], ROOT).signatures

_SCHEMA = json.loads((Path(pymisp.__file__).parent / "data" / "schema.json").read_text())
SCHEMA = jsonschema.validators.validator_for(_SCHEMA)(_SCHEMA)

DOMAIN = re.compile(r"[a-z0-9.\-_]+\.[a-z0-9\-]{2,}")
"""What MISP accepts as a domain or a host name."""


def read(uuid: str) -> MISPEvent:
    event = MISPEvent()
    event.load(FILES[f"feed/{uuid}.json"])
    return event


EVENTS = {uuid: read(uuid) for uuid in MANIFEST}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def as_sent(value: Any) -> Any:
    """A value without what PyMISP writes differently: numbers as texts, lists in another order,
    keys without a text or a choice that is the default."""
    if isinstance(value, dict):
        return {key: as_sent(each) for key, each in value.items() if each not in ("", None, False)}
    if isinstance(value, list):
        return sorted((as_sent(each) for each in value), key=_text)
    return str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else value


def test_the_manifest_is_what_pymisp_makes_of_the_events() -> None:
    assert {f"feed/{uuid}.json" for uuid in MANIFEST} == {
        name for name in FILES if name.endswith(".json") and "manifest" not in name
    }
    made: dict[str, Any] = {}
    for event in EVENTS.values():
        made |= event.manifest
    assert as_sent(made) == as_sent(MANIFEST)


def test_the_hashes_are_those_of_pymisp() -> None:
    made = [f"{hash},{uuid}" for uuid, event in EVENTS.items()
            for hash in event.attributes_hashes("md5")]  # fmt: skip
    assert sorted(FILES["feed/hashes.csv"].splitlines()) == sorted(made)


def test_pymisp_makes_the_same_feed_of_what_it_read() -> None:
    for uuid, event in EVENTS.items():
        shipped = json.loads(FILES[f"feed/{uuid}.json"])
        SCHEMA.validate(shipped)
        assert as_sent(event.to_feed()) == as_sent(shipped)


def test_each_app_is_an_event_and_each_rule_an_attribute() -> None:
    by_tag = {
        tag.name: event for event in EVENTS.values() for tag in event.tags if ":app=" in tag.name
    }
    assert set(by_tag) == {f'netwatch:app="{app}"' for app in SIGNATURES}
    for app, signature in SIGNATURES.items():
        attributes = by_tag[f'netwatch:app="{app}"'].attributes
        comments = [each.comment for each in attributes if each.type != "AS"]
        assert comments == [f"{rule.app.name}: {rule.text}" for rule in signature.rules]
        systems = [each.value for each in attributes if each.type == "AS"]
        assert systems == [f"AS{asn.number}" for asn in signature.asns]


@pytest.fixture(scope="module")
def attributes() -> dict[str, Any]:
    return {each.comment: each for event in EVENTS.values() for each in event.attributes}


RULES = [rule for signature in SIGNATURES.values() for rule in signature.rules]


def found(attributes: dict[str, Any], rule: Rule) -> Any:
    return attributes[f"{rule.app.name}: {rule.text}"]


def test_names_have_the_types_of_misp(attributes: dict[str, Any]) -> None:
    for rule in RULES:
        made = found(attributes, rule)
        if rule.kind == "glob":
            assert made.type == "pattern-in-traffic"
            assert re.fullmatch(made.value, rule.name.replace("*", "x1"))
            assert not re.fullmatch(made.value, rule.name.replace("*", "x.1"))
        else:
            assert made.type == {"suffix": "domain", "host": "hostname"}[rule.kind]
            assert made.value == rule.name
            assert DOMAIN.fullmatch(made.value)


def test_only_names_of_one_app_go_to_detection(attributes: dict[str, Any]) -> None:
    for rule in RULES:
        own = rule.role == "exclusive" and rule.kind != "glob"
        assert found(attributes, rule).to_ids is own


def test_ids_are_unique_and_stay_when_time_passes() -> None:
    later = misp.files(MOMENT + 86_400 * 40)
    assert set(later) == set(FILES)
    one, other = (json.loads(each["feed/manifest.json"]) for each in (FILES, later))
    (newer,) = {event["timestamp"] for event in other.values()}
    assert int(newer) == MOMENT + 86_400 * 40
    assert {event["date"] for event in one.values()} == {date(2023, 11, 14).isoformat()}
    ids = [each.uuid for event in EVENTS.values() for each in event.attributes]
    assert len(set(ids)) == len(ids)
