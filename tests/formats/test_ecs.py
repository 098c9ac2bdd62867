import json
import re
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from support.made_records import ALERT, BARE, BLOCKED, FULL, FULL_ALERT, ITEM
from support.observing import record_of
from support.siem import hostile_records, one_line, shown

from netwatch.core.message import TlsInfo
from netwatch.formats import ecs, jsonl
from netwatch.formats.alert_summary import without_empty

FIELDS = {
    "@timestamp": "date",
    "destination.as.number": "long",
    "destination.as.organization.name": "keyword",
    "destination.bytes": "long",
    "destination.domain": "keyword",
    "destination.geo.country_iso_code": "keyword",
    "destination.ip": "ip",
    "destination.port": "long",
    "device.id": "keyword",
    "dns.question.name": "keyword",
    "dns.question.type": "keyword",
    "dns.resolved_ip": "ip[]",
    "dns.response_code": "keyword",
    "dns.type": "keyword",
    "ecs.version": "keyword",
    "event.action": "keyword",
    "event.category": "keyword[]",
    "event.dataset": "keyword",
    "event.end": "date",
    "event.id": "keyword",
    "event.kind": "keyword",
    "event.module": "keyword",
    "event.outcome": "keyword",
    "event.reason": "keyword",
    "event.severity": "long",
    "event.start": "date",
    "event.type": "keyword[]",
    "message": "match_only_text",
    "network.application": "keyword",
    "network.community_id": "keyword",
    "network.name": "keyword",
    "network.protocol": "keyword",
    "network.transport": "keyword",
    "network.vlan.id": "keyword",
    "observer.name": "keyword",
    "observer.product": "keyword",
    "observer.type": "keyword",
    "observer.vendor": "keyword",
    "observer.version": "keyword",
    "related.hosts": "keyword[]",
    "related.ip": "ip[]",
    "rule.author": "keyword[]",
    "rule.category": "keyword",
    "rule.description": "keyword",
    "rule.id": "keyword",
    "rule.name": "keyword",
    "rule.ruleset": "keyword",
    "source.bytes": "long",
    "source.domain": "keyword",
    "source.ip": "ip",
    "source.mac": "keyword",
    "source.port": "long",
    "tags": "keyword[]",
    "tls.client.server_name": "keyword",
    "tls.server.x509.alternative_names": "keyword[]",
    "tls.version": "keyword",
    "url.domain": "keyword",
}
"""Fields of ECS 9.4 that are used, with their type there; [] where ECS wants a list."""

ALLOWED = {
    "event.kind": {"alert", "event"},
    "event.category": {"network", "intrusion_detection"},
    "event.type": {"info", "protocol", "allowed", "denied"},
    "event.outcome": {"success", "failure", "unknown"},
    "event.severity": {21, 47, 73, 99},
}
"""Of what ECS, and for severity Elastic Security, allows."""

FORM = {
    "date": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z",
    "ip": r"[0-9.]+|[0-9a-f:]+",
    "keyword": r"(?s).+",
    "match_only_text": r"(?s).+",
}


def flat(value, path=""):
    """The leaves of a document, without our own corner."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if path or key != "netwatch":
                yield from flat(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


def check(document) -> None:
    for path, value in flat(document):
        kind = FIELDS[path]
        assert isinstance(value, list) or not kind.endswith("[]"), path
        several = value if isinstance(value, list) else [value]
        assert several, path
        for each in several:
            if kind == "long":
                assert type(each) is int, path
            else:
                assert re.fullmatch(FORM[kind.removesuffix("[]")], each), path
            assert each in ALLOWED.get(path, {each})


def document_of(alert):
    document = json.loads(one_line(ecs.render(jsonl.alert_record(alert))))
    check(document)
    return document


def test_an_alert_in_full() -> None:
    document = document_of(FULL_ALERT)
    own = document.pop("netwatch")
    assert document == {
        "@timestamp": "2023-03-10T00:01:40.123456Z",
        "ecs": {"version": "9.4.0"},
        "message": "lab-07 contacted TikTok, exempt from ban be-fed-tiktok-2023 "
        "(confirmed: tls-sni v16-webapp.tiktok.com); "
        "this looks like an installed app that keeps in touch",
        "tags": ["netwatch", "exempt"],
        "event": {
            "kind": "event",
            "category": ["network"],
            "type": ["info", "allowed"],
            "outcome": "success",
            "action": "exempt-closed",
            "module": "netwatch",
            "dataset": "netwatch.alert",
            "id": "3f1c",
            "severity": 21,
            "start": "2023-03-10T00:00:00.123456Z",
            "end": "2023-03-10T00:01:40.123456Z",
            "reason": "Banned app contacted under an exemption",
        },
        "rule": {
            "id": "be-fed-tiktok-2023",
            "name": "TikTok: be-fed-tiktok-2023",
            "description": "Decision 2023/12 art. 3",
            "author": ["BE-FED"],
            "category": "exempt",
            "ruleset": "netwatch bans",
        },
        "source": {
            "ip": "10.20.0.7",
            "mac": "02-00-00-00-00-AB",
            "domain": "lab07",
            "bytes": 4000,
        },
        "destination": {
            "ip": "192.0.2.80",
            "port": 443,
            "domain": "v16-webapp.tiktok.com",
            "bytes": 90000,
            "as": {"number": 64496, "organization": {"name": "Example"}},
            "geo": {"country_iso_code": "BE"},
        },
        "device": {"id": "lab-07"},
        "network": {
            "name": "hq",
            "vlan": {"id": "30"},
            "transport": "tcp",
            "protocol": "tls",
            "application": "tiktok",
            "community_id": ["1:abc", "1:def"],
        },
        "tls": {"client": {"server_name": "v16-webapp.tiktok.com"}},
        "dns": {"question": {"name": "tiktok.com"}},
        "observer": {
            "name": "sensor-1",
            "type": "sensor",
            "vendor": "netwatch",
            "product": "netwatch",
            "version": "0.1.0",
        },
        "related": {
            "ip": ["10.20.0.7", "192.0.2.80", "2001:db8::80"],
            "hosts": ["tiktok.com", "v16-webapp.tiktok.com", "lab07"],
        },
    }
    assert own["count"] == 5
    assert own["kind"] == jsonl.alert_record(FULL_ALERT)["kind"]
    assert own["outcome"] == "reached"
    assert own["counts"]["outcomes"]["unknown"] == 2
    assert own["verdict"] == "exempt"
    assert own["exemption"]["approved_by"] == "CISO"
    assert own["device"]["owner"] == "R. Doe"
    assert own["evidence"] == without_empty(jsonl.alert_record(FULL_ALERT)["evidence"])
    assert "from" not in own["exemption"]


def test_violations_and_advisories_are_alerts() -> None:
    for verdict in ("violation", "advisory"):
        document = document_of(replace(FULL_ALERT, verdict=verdict, exemption=None))
        assert document["event"]["kind"] == "alert"
        assert document["event"]["category"] == ["network", "intrusion_detection"]


@pytest.mark.parametrize(
    ("severity", "number"), [("low", 21), ("medium", 47), ("high", 73), ("critical", 99)]
)
def test_severities_are_those_that_elastic_maps(severity: str, number: int) -> None:
    assert document_of(replace(ALERT, severity=severity))["event"]["severity"] == number


@pytest.mark.parametrize(
    ("outcome", "result", "types"),
    [
        ("reached", "success", ["info", "allowed"]),
        ("blocked", "failure", ["info", "denied"]),
        ("attempted", "unknown", ["info"]),
        ("unknown", "unknown", ["info"]),
    ],
)
def test_outcome_in_the_words_of_ecs(outcome, result: str, types: list[str]) -> None:
    event = document_of(replace(BLOCKED, outcome=outcome))["event"]
    assert (event["outcome"], event["type"]) == (result, types)


def test_unknown_values_are_omitted() -> None:
    document = document_of(ALERT)
    assert "destination" not in document
    assert "mac" not in document["source"]
    assert "exemption" not in document["netwatch"]
    assert "vlan" not in document["network"]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("dns-query", "dns.question.name"),
        ("dns-answer", "dns.question.name"),
        ("tls-sni", "tls.client.server_name"),
        ("quic-sni", "tls.client.server_name"),
        ("dtls-sni", "tls.client.server_name"),
        ("http-host", "url.domain"),
        ("socks-host", "url.domain"),
        ("tls-cert", "tls.server.x509.alternative_names"),
    ],
)
def test_name_is_in_the_field_of_its_protocol(kind, path: str) -> None:
    document = document_of(replace(ALERT, evidence=(replace(ITEM, type=kind),)))
    assert dict(flat(document))[path] in (ITEM.name, [ITEM.name])


def test_alias_is_not_a_question() -> None:
    assert "dns" not in document_of(replace(ALERT, evidence=(replace(ITEM, type="dns-cname"),)))


def test_additional_keys_of_the_record_are_included() -> None:
    assert document_of(replace(ALERT, extra={"left_out": {"names": 3}}))["netwatch"][
        "left_out"
    ] == {"names": 3}


@pytest.mark.parametrize("obs", [BARE, replace(FULL, dns=None, quic=None), FULL])
def test_observations(obs) -> None:
    record = record_of(obs)
    document = json.loads(one_line(ecs.render_observation(record)))
    check(document)
    assert document["event"]["kind"] == "event"
    assert document["event"]["dataset"] == "netwatch.name"
    assert document["netwatch"] == record
    assert document["related"]["hosts"] == ["tiktok.com"]


def test_an_observation_of_a_lookup_and_of_a_hello() -> None:
    lookup = ecs.observation_document(record_of(replace(FULL, tls=None, quic=None)))
    assert lookup["dns"] == {
        "type": "answer",
        "response_code": "NOERROR",
        "resolved_ip": ["192.0.2.1", "192.0.2.2"],
        "question": {"type": "A", "name": "tiktok.com"},
    }
    assert "domain" not in lookup["destination"]
    hello = ecs.observation_document(
        record_of(replace(BARE, evidence="tls-sni", tls=TlsInfo("1.3")))
    )
    assert hello["tls"] == {"client": {"server_name": "tiktok.com"}, "version": "1.3"}
    assert hello["destination"]["domain"] == "tiktok.com"


@cache
def full_document():
    """What the document of every example is compared with, made once."""
    return document_of(FULL_ALERT)


@given(hostile_records(FULL_ALERT))
def test_hostile_text_cannot_break_a_document_or_forge_a_field(record) -> None:
    document = json.loads(one_line(ecs.render(record)))
    check(document)
    assert dict.fromkeys(dict(flat(document))) == dict.fromkeys(dict(flat(full_document())))
    assert document["event"]["kind"] == "event"
    assert document["netwatch"]["names"] == [shown(name) for name in record["names"]]
    assert document["rule"]["id"] == shown(record["ban"]["id"])
    assert document["tls"]["client"]["server_name"] == shown(record["evidence"][0]["name"])
