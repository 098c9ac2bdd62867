"""Which incident is meant, and where its record comes from."""

import json

import pytest

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.explain.sources import chosen, from_alerts, incident_id, packet_places, read_alerts

IDS = ["6a10b1daae3f5b238e691360caf39bae", "6a77b1daae3f5b238e691360caf39bae", "e26d92a7"]


def test_a_beginning_that_only_one_id_has_names_the_incident() -> None:
    assert chosen(IDS, "6a1", "alerts.jsonl") == IDS[0]
    assert chosen(IDS, IDS[2], "alerts.jsonl") == IDS[2]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("6a", "begins the ids of 2 incidents"),
        ("6a20b1da", f"near ones are {IDS[0]}"),
        ("", "no incident ''"),
        ("zzzz", "it has 3"),
    ],
)
def test_any_other_names_none_and_says_which_are_near(wanted: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen(IDS, wanted, "alerts.jsonl")
    assert says in str(caught.value.problems[0])


def test_a_source_without_incidents_says_so() -> None:
    with pytest.raises(ConfigError) as caught:
        from_alerts(["\n"], "alerts.jsonl", "6a")
    assert "it has no incidents" in str(caught.value.problems[0])


def test_of_several_records_of_an_incident_the_last_counts() -> None:
    lines = [
        json.dumps({"schema": "netwatch.alert/1", "id": "6a", "status": status})
        for status in ("open", "update", "closed")
    ]
    lines.insert(1, json.dumps({"flows": 3}))
    assert read_alerts(lines, "x") == {
        "6a": {"schema": "netwatch.alert/1", "id": "6a", "status": "closed"}
    }


def test_what_is_no_record_is_an_error_with_its_line() -> None:
    with pytest.raises(NetwatchError, match=r"a\.jsonl:2: expected a record"):
        read_alerts(["{}", "TIME  CLIENT"], "a.jsonl")


@pytest.mark.parametrize("size", range(0, 64, 3))
def test_a_damaged_evidence_capture_says_nothing(size: int) -> None:
    data = bytes([0x0A, 0x0D, 0x0D, 0x0A, 28, 0, 0, 0, 0x4D, 0x3C, 0x2B, 0x1A]) + bytes(size)
    assert packet_places(data) == []
    assert incident_id(data) == ("", "")
