"""Alerts of sensors are checked before they are stored."""

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from support.examples import examples
from support.fleet_alerts import GAP, fleet_alert

from netwatch.fleet.sensor_records import BadAlertError, check_alert, read_record
from netwatch.formats.registry import RENDERERS
from netwatch.store.cases import keep_alerts
from netwatch.store.catalogue import Catalogue
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    place = tmp_path_factory.mktemp("alerts") / "store"
    with open_catalogue(StoreOptions(str(place)), create=True) as opened:
        yield opened


def test_reads_what_a_scan_wrote(catalogue: Catalogue, capsys: pytest.CaptureFixture[str]) -> None:
    from netwatch.cli import main

    assert main(["scan", "-q", "--format", "jsonl", "-c", "pcaps/netwatch.yaml", "pcaps"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    alerts = [read_record("ghent", json.loads(line)) for line in lines]
    assert [each.line for each in alerts] == lines
    assert keep_alerts(catalogue, alerts, GAP) == len(lines)


def test_a_field_of_another_version_is_kept() -> None:
    record = dict(fleet_alert("a", 0).record) | {"new": 1}
    assert read_record("a", record).record["new"] == 1


EVIDENCE = fleet_alert("a", 0).record["evidence"][0]
NETWORK = fleet_alert("a", 0).record["network"]
DEVICE = fleet_alert("a", 0).record["device"]
SERVER = fleet_alert("a", 0).record["destinations"][0]
AGAINST = {"type": "overlap", "text": "Something.", "count": 1, "evidence": []}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"schema": "netwatch.alert/2"}, "schema: expected netwatch.alert/1"),
        ({"id": ""}, "id is missing or empty"),
        (
            {"verdict": "guilty"},
            "verdict: expected violation or .*, found 'guilty'",
        ),
        ({"first_seen": "yesterday"}, "first_seen: expected .*, found 'yesterday'"),
        ({"last_seen": "2001-01-01T00:00:00Z"}, "first_seen is after last_seen"),
        ({"counts": {}}, "counts.lookups: expected this key"),
        ({"device": None}, "device: expected an object, found None"),
        ({"names": ["x" * 600]}, "names: expected at most 512 characters"),
        ({"names": ["x"] * 5000}, "at most 4096"),
        (
            {"device": DEVICE | {"id": "a\0b"}},
            "device.id: expected at most 512",
        ),
        ({"contradictions": {}}, "contradictions: expected a list"),
        (
            {"contradictions": [AGAINST | {"type": "guilty"}]},
            "type: expected .*, found 'guilty'",
        ),
        ({"contradictions": [AGAINST | {"text": None}]}, "contradictions.text: expected text"),
        (
            {"contradictions": [AGAINST | {"text": "x" * 600}]},
            "text: expected at most 512",
        ),
        (
            {"contradictions": [AGAINST | {"count": -1}]},
            r"count: expected a number from 1 ",
        ),
        (
            {"contradictions": [AGAINST | {"evidence": None}]},
            "contradictions.evidence: expected a list",
        ),
        ({"contradictions": [AGAINST | {"evidence": [{}]}]}, "evidence.time: expected this key"),
        (
            {"evidence": [EVIDENCE | {"seen": "both"}]},
            "seen: expected an object or null, found 'both'",
        ),
        ({"evidence": [EVIDENCE | {"chain": "a"}]}, "evidence.chain: expected a list"),
        ({"kind": {"value": "session", "reasons": 1}}, "kind.reasons: expected a list"),
        ({"blocked_by": [7]}, "blocked_by: expected text, found 7"),
        ({"network": {}}, "network.name: expected this key"),
        ({"sensor": {"name": "a", "version": 3}}, "sensor.version: expected text"),
        (
            {"evidence": [EVIDENCE | {"packet": 10**16}]},
            r"expected a number from 0 to 10\^15",
        ),
        ({"left_out": {"names": "1"}}, "left_out: expected numbers"),
        ({"left_out": []}, "left_out: expected an object"),
        ({"evidence": [{**EVIDENCE, "packet": None}]}, "without a packet or a log"),
        ({"network": NETWORK | {"vlan": 4096}}, "network.vlan: expected a number from 0 to 4095"),
        ({"destinations": [SERVER | {"port": 1 << 16}]}, "port: expected a number from 0 to 65535"),
        ({"versions": None}, "versions is missing or empty"),
    ],
)
def test_refuses_with_the_reason(change: dict[str, Any], expected: str) -> None:
    record = dict(fleet_alert("a", 0).record) | change
    with pytest.raises(BadAlertError, match=expected):
        read_record("a", record)


def test_refuses_what_is_no_record() -> None:
    for record in ([], 1, None, "x", {}, RECORD | {"more": "x" * (2 << 20)}):
        with pytest.raises(BadAlertError):
            read_record("a", record)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        children = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in children:
            yield from places(child, (*path, key))


RECORD = json.loads(fleet_alert("a", 0, flows=("1:x",)).line)
PLACES = [path for path in places(RECORD) if path]


@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), VALUES)
def test_whatever_a_sensor_sends_is_refused_or_stored(
    catalogue: Catalogue, path: tuple[Any, ...], value: Any
) -> None:
    record = json.loads(json.dumps(RECORD))
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    try:
        alert = read_record("forger", record)
    except BadAlertError:
        return
    keep_alerts(catalogue, [alert], GAP)


def values(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values inside of a record."""
    parts = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        parts = enumerate(value[:1])
    for key, part in parts:
        yield (*path, key)
        yield from values(part, (*path, key))


@pytest.mark.parametrize("other", ["zz", None, -1, 1.5, True, [], {}, ["x"], {"a": 1}])
def test_what_is_accepted_is_written_in_every_format(other: Any) -> None:
    """No sensor breaks an output or a page for others by a value that nobody expects."""
    record = orjson.dumps(dict(fleet_alert("a", 0).record))
    is_refused = set()
    for place in values(orjson.loads(record)):
        changed = orjson.loads(record)
        inside: Any = changed
        for key in place[:-1]:
            inside = inside[key]
        inside[place[-1]] = other
        try:
            check_alert(changed)
        except BadAlertError:
            is_refused.add(True)
            continue
        is_refused.add(False)
        for render in RENDERERS.values():
            render(changed)
    assert is_refused == {True, False}
