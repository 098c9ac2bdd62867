import json
import re
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator
from support.made_records import ALERT, BLOCKED, FULL_ALERT, ITEM
from support.siem import hostile_records, one_line, shown

from netwatch.formats import eve, jsonl

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
TEXTS = {"type": "array", "minItems": 1, "items": TEXT}


def closed(**properties):
    return {"type": "object", "additionalProperties": False, "properties": properties}


RULES = Draft202012Validator(
    closed(
        timestamp={
            "type": "string",
            "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d+[+\-]\d+$",
        },
        event_type=TEXT,
        host=TEXT,
        vlan={"type": "array", "minItems": 1, "items": {"type": "number"}},
        src_ip=TEXT,
        dest_ip=TEXT,
        dest_port=NUMBER,
        proto=TEXT,
        ip_v=NUMBER,
        app_proto=TEXT,
        ether=closed(src_mac=TEXT),
        community_id=TEXT,
        tls=closed(sni=TEXT, subjectaltname={"type": "array", "items": TEXT}),
        quic=closed(sni=TEXT),
        http=closed(hostname=TEXT),
        dns=closed(
            version=NUMBER,
            type=TEXT,
            queries={"type": "array", "minItems": 1, "items": closed(rrname=TEXT)},
        )
        | {"required": ["version"]},
        flow=closed(start=TEXT, bytes_toserver=NUMBER, bytes_toclient=NUMBER),
        alert=closed(
            action=TEXT,
            gid=NUMBER,
            signature_id=NUMBER,
            rev=NUMBER,
            signature=TEXT,
            category=TEXT,
            severity=NUMBER,
            metadata={"type": "object", "additionalProperties": TEXTS},
        ),
    )
    | {"required": ["event_type", "timestamp"]}
)
"""What OISF's schema of EVE (Suricata 8, etc/schema.json) says of the keys that are used:
root and `alert` are closed, all of `metadata` here are lists of texts as its own are."""


def event_of(alert):
    event = json.loads(one_line(eve.render(jsonl.alert_record(alert))))
    RULES.validate(event)
    return event


def test_an_alert_in_full() -> None:
    event = event_of(FULL_ALERT)
    alert = event.pop("alert")
    metadata = alert.pop("metadata")
    assert event == {
        "timestamp": "2023-03-10T00:01:40.123456+0000",
        "event_type": "alert",
        "host": "sensor-1",
        "vlan": [30],
        "src_ip": "10.20.0.7",
        "dest_ip": "192.0.2.80",
        "dest_port": 443,
        "proto": "TCP",
        "ip_v": 4,
        "app_proto": "tls",
        "ether": {"src_mac": "02:00:00:00:00:ab"},
        "community_id": "1:abc",
        "tls": {"sni": "v16-webapp.tiktok.com"},
        "flow": {
            "start": "2023-03-10T00:00:00.123456+0000",
            "bytes_toserver": 4000,
            "bytes_toclient": 90000,
        },
    }
    assert alert == {
        "action": "allowed",
        "gid": 7100,
        "signature_id": eve.signature_id("tiktok", "be-fed-tiktok-2023"),
        "rev": 1,
        "signature": "netwatch: Banned app contacted under an exemption: TikTok, "
        "be-fed-tiktok-2023",
        "category": "Potential Corporate Privacy Violation",
        "severity": 3,
    }
    expected = {
        "verdict": ["exempt"],
        "severity": ["high"],
        "signature_severity": ["informational"],
        "confidence": ["confirmed"],
        "status": ["closed"],
        "id": ["3f1c"],
        "first_seen": ["2023-03-10T00:00:00.123456Z"],
        "names": ["tiktok.com", "v16-webapp.tiktok.com"],
        "evidence": ["tls-sni=v16-webapp.tiktok.com", "dns-query=tiktok.com"],
        "evidence_seen": ["server=false,directions=client,checksum=unknown"] * 2,
        "evidence_place": ["office.pcap#21", "office.pcap#17"],
        "destinations": ["192.0.2.80:443", "[2001:db8::80]:443"],
        "exemption_approved_by": ["CISO"],
        "exemption_apps": ["capcut", "tiktok"],
        "device_owner": ["R. Doe"],
        "ban_from": ["2023-03-10"],
        "counts_bytes_in": ["90000"],
        "sightings": ["5"],
        "network_vlan": ["30"],
        "kind_value": ["background"],
        "kind_reasons": ["3 handshakes in 1 h 40 min.", "4,000 bytes were sent"],
        "outcome": ["reached"],
        "blocked_by": ["NXDOMAIN", "10.20.0.80"],
        "confidence_reasons": ["v16-webapp.tiktok.com is called by the app alone."],
        "counts_outcomes_unknown": ["2"],
    }
    assert {key: metadata.get(key) for key in expected} == expected


@pytest.mark.parametrize("outcome", ["reached", "attempted", "blocked", "unknown"])
def test_action_says_whether_the_contact_was_blocked(outcome) -> None:
    alert = event_of(replace(BLOCKED, outcome=outcome))["alert"]
    assert alert["action"] == ("blocked" if outcome == "blocked" else "allowed")
    assert alert["metadata"]["outcome"] == [outcome]


def test_severities() -> None:
    severities = ("low", "medium", "high", "critical")
    found = [event_of(replace(ALERT, severity=each))["alert"]["severity"] for each in severities]
    assert found == [3, 2, 1, 1]


def test_signature_ids_are_local_and_stable() -> None:
    assert eve.signature_id("tiktok", "be-fed-tiktok-2023") == 1319206
    found = {eve.signature_id(app, ban) for app in ("a", "b", "ab") for ban in ("", "b", "bb")}
    assert len(found) == 9
    assert all(1_000_000 <= number < 2_000_000 for number in found)


@pytest.mark.parametrize(
    ("kind", "shows", "proto"),
    [
        (
            "dns-query",
            {"dns": {"version": 3, "type": "request", "queries": [{"rrname": ITEM.name}]}},
            None,
        ),
        (
            "dns-answer",
            {"dns": {"version": 3, "type": "response", "queries": [{"rrname": ITEM.name}]}},
            None,
        ),
        ("dns-cname", {}, None),
        ("quic-sni", {"quic": {"sni": ITEM.name}}, "UDP"),
        ("dtls-sni", {"tls": {"sni": ITEM.name}}, "UDP"),
        ("http-host", {"http": {"hostname": ITEM.name}}, "TCP"),
        ("tls-cert", {"tls": {"subjectaltname": [ITEM.name]}}, "TCP"),
        ("socks-host", {}, "TCP"),
        ("ip-from-dns", {}, None),
    ],
)
def test_name_is_in_the_field_of_its_protocol(kind, shows, proto) -> None:
    event = event_of(replace(ALERT, evidence=(replace(ITEM, type=kind),)))
    assert {key: event[key] for key in ("dns", "tls", "quic", "http") if key in event} == shows
    assert event.get("proto") == proto


def test_unknown_values_are_omitted() -> None:
    event = event_of(ALERT)
    assert {"vlan", "dest_ip", "community_id", "ether", "tls", "proto"} & set(event) == set()
    assert not any(re.match("exemption|names", key) for key in event["alert"]["metadata"])


@cache
def full_event():
    """What the event of every example is compared with, made once."""
    return event_of(FULL_ALERT)


@given(hostile_records(FULL_ALERT))
def test_hostile_text_cannot_break_an_event_or_forge_a_field(record) -> None:
    event = json.loads(one_line(eve.render(record)))
    RULES.validate(event)
    like = full_event()
    assert list(event) == list(like)
    assert list(event["alert"]["metadata"]) == list(like["alert"]["metadata"])
    assert event["alert"]["severity"] == 3
    assert event["tls"]["sni"] == shown(record["evidence"][0]["name"])
    assert event["alert"]["metadata"]["names"] == [shown(name) for name in record["names"]]
