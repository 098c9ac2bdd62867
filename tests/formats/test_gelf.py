import json
import re
from dataclasses import replace
from functools import cache

from hypothesis import given
from support.made_records import ALERT, FULL_ALERT, ITEM
from support.siem import hostile_records, one_line, shown

from netwatch.formats import gelf, jsonl


def check(message) -> None:
    """The rules of GELF 1.1, and what the index behind it takes as one term."""
    assert message["version"] == "1.1"
    assert message["host"]
    assert message["short_message"]
    assert isinstance(message["timestamp"], float)
    assert 0 <= message["level"] <= 7
    for key, value in message.items():
        if key not in ("version", "host", "short_message", "timestamp", "level"):
            assert re.fullmatch(r"_[\w.-]+", key)
            assert key != "_id"
            assert type(value) in (int, float, str)
            assert value != ""
        assert len(str(value).encode()) <= 32766


def message_of(alert):
    message = json.loads(one_line(gelf.render(jsonl.alert_record(alert))))
    check(message)
    return message


def test_an_alert_in_full() -> None:
    message = message_of(FULL_ALERT)
    assert message["host"] == "sensor-1"
    assert message["timestamp"] == 1678406500.123
    assert message["level"] == 6
    assert message["_source_mac"] == "02:00:00:00:00:ab"
    assert message["_destination_port"] == 443
    assert message["_destination_hostname"] == "v16-webapp.tiktok.com"
    assert message["_vlan_id"] == 30
    assert message["_vendor_event_action"] == "exempt-closed"
    assert message["_netwatch_id"] == "3f1c"
    assert message["_netwatch_names"] == "tiktok.com v16-webapp.tiktok.com"
    assert message["_netwatch_destinations"] == "192.0.2.80:443 [2001:db8::80]:443"
    assert message["_netwatch_evidence"] == "tls-sni=v16-webapp.tiktok.com dns-query=tiktok.com"
    assert message["_netwatch_exemption_approved_by"] == "CISO"
    assert message["_netwatch_sightings"] == 5
    assert message["_netwatch_packet"] == 21
    assert message["_netwatch_versions"].endswith(
        "bans=ba25 configuration=c0ff set=12 set_hash=0a1b2c3d4e5f"
    )
    assert message["_netwatch_kind_value"] == "background"
    reasons = "3 handshakes in 1 h 40 min. 4,000 bytes were sent."
    assert message["_netwatch_kind_reasons"] == reasons
    reasons = "v16-webapp.tiktok.com is called by the app alone."
    assert message["_netwatch_confidence_reasons"] == reasons
    assert message["_netwatch_outcome"] == message["_vendor_event_outcome"] == "reached"
    assert message["_netwatch_blocked_by"] == "NXDOMAIN 10.20.0.80"
    assert message["_netwatch_counts_outcomes_unknown"] == 2


def test_unknown_values_are_omitted() -> None:
    message = message_of(ALERT)
    absent = {
        "_source_mac",
        "_destination_ip",
        "_vlan_id",
        "_netwatch_exemption",
        "_netwatch_names",
    }
    assert absent & set(message) == set()
    assert message["_netwatch_counts_flows"] == 0


def test_levels() -> None:
    severities = ("low", "medium", "high", "critical")
    assert [message_of(replace(ALERT, severity=each))["level"] for each in severities] == [
        5,
        4,
        3,
        2,
    ]


def test_texts_are_limited_to_the_length_of_a_term() -> None:
    names = tuple(f"{number:03d}\N{FULLWIDTH LATIN SMALL LETTER N}" * 60 for number in range(256))
    items = tuple(replace(ITEM, name=name) for name in names)
    message = message_of(replace(FULL_ALERT, names=names, evidence=items))
    assert message["_netwatch_names"].startswith(f"{names[0]} {names[1]} ")
    assert re.search(r" \+\d+$", message["_netwatch_names"])


@cache
def full_message():
    """What the message of every example is compared with, made once."""
    return message_of(FULL_ALERT)


@given(hostile_records(FULL_ALERT))
def test_hostile_text_cannot_break_a_message_or_forge_a_field(record) -> None:
    message = json.loads(one_line(gelf.render(record)))
    check(message)
    assert list(message) == list(full_message())
    assert message["_alert_category"] == "exempt"
    assert message["_netwatch_device_id"] == shown(record["device"]["id"])
    assert message["_netwatch_name"] == shown(record["evidence"][0]["name"])
