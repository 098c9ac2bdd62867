import io
import json
from dataclasses import replace
from datetime import date, datetime

import pytest
from support.made_records import ALERT, BARE, EARLIER, FULL, FULL_ALERT, HOSTILE
from support.observing import batch_of, record_of

from netwatch.core.community_id import community_id
from netwatch.core.message import DnsInfo, TlsInfo
from netwatch.core.verdict import BanPeriod
from netwatch.formats import csv, jsonl


def test_observation_omits_unknown_values():
    assert record_of(BARE) == {
        "time": "2023-03-10T00:00:00.123456Z",
        "evidence": "dns-query",
        "name": "tiktok.com",
        "client": {"ip": "10.20.0.7", "port": 53124},
        "server": {"ip": "192.0.2.53", "port": 53},
        "transport": "udp",
        "community_id": community_id(BARE.client_ip, BARE.server_ip, 53124, 53, 17),
        "source": "office.pcap",
        "packet": 17,
    }


def test_observation_in_full():
    assert record_of(FULL) == {
        "time": "2023-03-10T00:00:00.123456Z",
        "evidence": "dns-answer",
        "name": "tiktok.com",
        "raw": "TikTok.com",
        "client": {"ip": "2001:db8:20::7", "port": 53124, "mac": "02:00:00:00:00:ab"},
        "server": {"ip": "2001:db8::53", "port": 53},
        "transport": "udp",
        "vlan": 30,
        "community_id": community_id(FULL.client_ip, FULL.server_ip, 53124, 53, 17),
        "source": "office.pcap",
        "packet": 17,
        "dns": {
            "type": "A",
            "rcode": "NOERROR",
            "answers": ["192.0.2.1", "192.0.2.2"],
            "chain": ["a.example", "b.example"],
            "asked": "www.example.org",
            "ech": ["public.example"],
            "service_targets": ["service.example"],
            "ech_configs": ["public.example/42/0011223344556677/300"],
        },
        "tls": {
            "version": "1.3",
            "alpn": ["h2", "http/1.1"],
            "ja4": "t13d1516h2_8daaf6152771_e5627efa2ab1",
            "ech": "outer",
            "ech_config_id": "42",
        },
        "quic": {"version": "1"},
    }


def test_observation_omits_unknown_protocol_details():
    record = record_of(replace(BARE, dns=DnsInfo("A"), tls=TlsInfo("1.2"), vlan=0))
    assert record["dns"] == {"type": "A"}
    assert record["tls"] == {"version": "1.2"}
    assert record["vlan"] == 0


def test_alert_has_every_key_in_order():
    record = jsonl.alert_record(ALERT)
    assert list(record) == [
        "schema",
        "id",
        "status",
        "verdict",
        "severity",
        "confidence",
        "kind",
        "outcome",
        "blocked_by",
        "confidence_reasons",
        "contradictions",
        "candidates",
        "first_seen",
        "last_seen",
        "duration",
        "app",
        "ban",
        "exemption",
        "device",
        "network",
        "destinations",
        "names",
        "evidence",
        "counts",
        "community_ids",
        "sensor",
        "versions",
        "binding",
    ]
    assert record["schema"] == "netwatch.alert/1"
    assert record["exemption"] is None
    assert record["ban"]["until"] is None
    assert record["device"]["mac"] is None
    assert record["network"]["vlan"] is None


def test_an_alert_in_full():
    record = jsonl.alert_record(FULL_ALERT)
    assert record["first_seen"] == "2023-03-10T00:00:00.123456Z"
    assert record["last_seen"] == "2023-03-10T00:01:40.123456Z"
    assert record["app"] == {"id": "tiktok", "name": "TikTok", "vendor": "bytedance"}
    assert record["ban"] == {
        "id": "be-fed-tiktok-2023",
        "authority": "BE-FED",
        "legal_basis": "Decision 2023/12 art. 3",
        "from": "2023-03-10",
        "until": None,
        "review": "2023-09-01",
        "basis": "Circular 7",
    }
    assert record["exemption"] == {
        "ban": "be-fed-tiktok-2023",
        "device": "lab-07",
        "apps": ["capcut", "tiktok"],
        "from": None,
        "until": "2023-06-30",
        "reason": "forensic research",
        "approved_by": "CISO",
    }
    assert record["device"] == {
        "id": "lab-07",
        "ip": "10.20.0.7",
        "mac": "02:00:00:00:00:ab",
        "hostname": "lab07",
        "owner": "R. Doe",
        "class": "service",
        "reason": "the inventory has its MAC: class of the entry",
        "randomised_mac": False,
    }
    assert record["network"] == {
        "name": "hq",
        "class": "service",
        "authority": "BE-FED",
        "vlan": 30,
    }
    assert record["destinations"] == [
        {"ip": "192.0.2.80", "port": 443, "asn": 64496, "as_org": "Example", "country": "BE"},
        {"ip": "2001:db8::80", "port": 443, "asn": None, "as_org": None, "country": None},
    ]
    assert record["names"] == ["tiktok.com", "v16-webapp.tiktok.com"]
    assert record["evidence"][1] == {
        "time": "2023-03-10T00:00:00.123456Z",
        "type": "dns-query",
        "name": "tiktok.com",
        "rule": {
            "text": "suffix tiktok.com",
            "file": "signatures/apps/tiktok.yaml",
            "line": 21,
            "sources": ["nextdns", "v2fly"],
        },
        "role": "exclusive",
        "source": "office.pcap",
        "packet": 17,
        "count": 2,
        "app_only": False,
        "raw": "tiktok.com",
        "chain": [],
        "answer": None,
        "tls": None,
        "seen": {"server": False, "directions": "client", "checksum": "unknown"},
    }
    assert record["evidence"][0]["raw"] == "V16-webapp.TikTok.com"
    assert record["evidence"][0]["answer"] == {
        "address": "192.0.2.80",
        "ttl": 300,
        "rcode": "NOERROR",
    }
    assert record["evidence"][0]["tls"] == {"ja4": "t13d1516h2_8daaf6152771_e5627efa2ab1"}
    assert record["duration"] == 101.5
    assert record["counts"] == {
        "lookups": 2,
        "handshakes": 3,
        "flows": 1,
        "bytes_out": 4000,
        "bytes_in": 90000,
        "outcomes": {"reached": 3, "attempted": 1, "blocked": 1, "unknown": 2},
    }
    assert record["kind"] == {
        "value": "background",
        "reasons": ["3 handshakes in 1 h 40 min.", "4,000 bytes were sent"],
    }
    assert (record["outcome"], record["blocked_by"]) == ("reached", ["NXDOMAIN", "10.20.0.80"])
    assert record["confidence_reasons"] == ["v16-webapp.tiktok.com is called by the app alone."]
    names = ["m.tiktok.com", "www.tiktok.com"]
    assert record["candidates"] == [
        {"names": names, "count": 3, "why": "Its key was given for these."}
    ]
    assert record["community_ids"] == ["1:abc", "1:def"]
    assert record["sensor"] == {
        "name": "sensor-1",
        "version": "0.1.0",
        "signatures": "5e1a",
        "policy": "c0ff",
    }
    assert record["versions"] == {
        "netwatch": "0.1.0",
        "signatures": "5e1a",
        "bans": "ba25",
        "configuration": "c0ff",
        "set": {"version": 12, "hash": "0a1b2c3d4e5f", "expires": "2023-06-01T00:00:00Z"},
    }
    assert jsonl.alert_record(ALERT)["versions"] == {**record["versions"], "set": None}


def test_extra_keys_follow_and_replace_none():
    record = jsonl.alert_record(replace(ALERT, extra={"site": "north", "id": "forged"}))
    assert list(record)[-1] == "site"
    assert record["id"] == ALERT.id


def lines(records, write):
    out = io.StringIO()
    writer = jsonl.JsonlWriter(out)
    for record in records:
        getattr(writer, write)(batch_of(record) if write == "observations" else record)
    writer.end()
    text = out.getvalue()
    assert text.endswith("\n")
    assert len(text.splitlines()) == len(records)
    text.encode("utf-8")
    return text.splitlines()


def test_each_record_is_one_compact_line():
    first, second = lines([BARE, FULL], "observations")
    assert first.startswith('{"time":"2023-03-10T00:00:00.123456Z","evidence":"dns-query",')
    assert json.loads(second) == record_of(FULL)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_read_back_from_one_line(text):
    decoded = text.replace("\udcff", "\\udcff")  # strict readers refuse half a surrogate pair
    name = text if text and text.isascii() else BARE.name
    (line,) = lines([replace(BARE, name=name, source=text)], "observations")
    record = json.loads(line)
    assert (record["name"], record["source"]) == (name, decoded)
    hostile = replace(
        FULL_ALERT,
        names=(text,),
        evidence=(replace(EARLIER, name=text),),
        device=replace(FULL_ALERT.device, hostname=text),
    )
    (line,) = lines([hostile], "alert")
    record = json.loads(line)
    assert record["names"] == [decoded]
    assert record["evidence"][0]["name"] == record["device"]["hostname"] == decoded


FIRST = BanPeriod(date(2022, 9, 1), date(2023, 3, 9), "the decision")
LATER = BanPeriod(date(2023, 3, 10), date(2023, 9, 9), "its extension")
LAST = BanPeriod(date(2024, 1, 1), None, "a new decision")


@pytest.mark.parametrize(
    ("moment", "in_force"),
    [
        ("2023-03-09T22:59:59", FIRST),
        ("2023-03-09T23:00:00", LATER),
        ("2023-09-09T21:59:59", LATER),
        ("2024-06-01T00:00:00", LAST),
    ],
)
def test_the_period_of_a_record_is_the_one_in_force_at_the_first_contact(moment, in_force):
    time = int(datetime.fromisoformat(f"{moment}+00:00").timestamp()) * 10**9
    ban = replace(ALERT.ban, periods=(FIRST, LATER, LAST))
    alert = replace(ALERT, ban=ban, first_seen=time, last_seen=time + 400 * 86400 * 10**9)
    found = jsonl.alert_record(alert)["ban"]
    assert found["from"] == in_force.start.isoformat()
    assert found["until"] == (in_force.end and in_force.end.isoformat())
    assert found["basis"] == in_force.basis
    assert found["legal_basis"] == ALERT.ban.legal_basis
    assert found["periods"] == [
        {"from": "2022-09-01", "until": "2023-03-09", "basis": "the decision", "kind": "ban"},
        {"from": "2023-03-10", "until": "2023-09-09", "basis": "its extension", "kind": "ban"},
        {"from": "2024-01-01", "until": None, "basis": "a new decision", "kind": "ban"},
    ]
    cells = dict(zip(csv.ALERT_COLUMNS, csv.alert_row(jsonl.alert_record(alert)), strict=True))
    assert cells["ban_periods"] == ("2022-09-01/2023-03-09 2023-03-10/2023-09-09 2024-01-01/..")


def test_a_single_period_is_not_listed():
    ban = replace(ALERT.ban, periods=(LATER,))
    found = jsonl.alert_record(replace(ALERT, ban=ban))["ban"]
    assert "periods" not in found
    assert (found["until"], found["basis"]) == ("2023-09-09", "its extension")


def test_letters_of_every_script_are_readable():
    (line,) = lines([replace(BARE, source="B\u00fcro.pcap")], "observations")
    assert "B\u00fcro.pcap" in line
