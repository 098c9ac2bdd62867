from dataclasses import replace

from hypothesis import given
from support.made_records import ALERT, BLOCKED, FULL_ALERT
from support.siem import hostile_records, one_line, read_leef, unescaped, whole

from netwatch.formats import jsonl, leef

PREDEFINED = {
    *("cat", "devTime", "dst", "dstBytes", "dstPort", "identHostName", "identMAC", "identSrc"),
    *("policy", "proto", "sev", "src", "srcBytes", "srcMAC"),
}
"""Keys that QRadar knows (IBM, Predefined LEEF event attributes) that are used."""


def read(alert):
    return read_leef(one_line(leef.render(jsonl.alert_record(alert))))


def test_header() -> None:
    header, _ = read(FULL_ALERT)
    assert header == ["LEEF:2.0", "netwatch", "netwatch", "0.1.0", "ban-exempt", "^"]


def test_attributes_in_full() -> None:
    _, found = read(FULL_ALERT)
    assert found == {
        "devTime": "1678406500123",
        "cat": "tiktok",
        "sev": "1",
        "src": "10.20.0.7",
        "identSrc": "10.20.0.7",
        "srcMAC": "02:00:00:00:00:ab",
        "identMAC": "02:00:00:00:00:ab",
        "identHostName": "lab07",
        "proto": "TCP",
        "srcBytes": "4000",
        "dstBytes": "90000",
        "policy": "be-fed-tiktok-2023",
        "dst": "192.0.2.80",
        "dstPort": "443",
        "nwDestinationAsn": "64496",
        "nwDestinationOrganisation": "Example",
        "nwDestinationCountry": "BE",
        "nwMessage": "lab-07 contacted TikTok, exempt from ban be-fed-tiktok-2023 "
        "(confirmed: tls-sni v16-webapp.tiktok.com); "
        "this looks like an installed app that keeps in touch",
        "nwKind": "background",
        "nwOutcome": "reached",
        "nwBlockedBy": "NXDOMAIN 10.20.0.80",
        "nwKindReasons": "3 handshakes in 1 h 40 min. 4,000 bytes were sent.",
        "nwConfidenceReasons": "v16-webapp.tiktok.com is called by the app alone.",
        "nwContradictions": "The same connection shows another name as well: www.tiktok.com.",
        "nwAlertId": "3f1c",
        "nwStatus": "closed",
        "nwVersions": "netwatch=0.1.0 signatures=5e1a bans=ba25 configuration=c0ff set=12"
        " set_hash=0a1b2c3d4e5f",
        "nwVerdict": "exempt",
        "nwSeverity": "high",
        "nwConfidence": "confirmed",
        "nwFirstSeen": "2023-03-10T00:00:00.123456Z",
        "nwLastSeen": "2023-03-10T00:01:40.123456Z",
        "nwCount": "5",
        "nwApp": "TikTok",
        "nwVendor": "bytedance",
        "nwAuthority": "BE-FED",
        "nwLegalBasis": "Decision 2023/12 art. 3",
        "nwBanFrom": "2023-03-10",
        "nwDevice": "lab-07",
        "nwDeviceClass": "service",
        "nwOwner": "R. Doe",
        "nwNetwork": "hq",
        "nwVlan": "30",
        "nwNames": "tiktok.com v16-webapp.tiktok.com",
        "nwEvidence": "dns-query tls-sni",
        "nwCommunityIds": "1:abc 1:def",
        "nwName": "v16-webapp.tiktok.com",
        "nwRule": "suffix tiktok.com",
        "nwRole": "exclusive",
        "nwSeenServer": "false",
        "nwSeenDirections": "client",
        "nwSeenChecksum": "unknown",
        "nwSource": "office.pcap",
        "nwPacket": "21",
        "nwExemption": "forensic research",
        "nwApprovedBy": "CISO",
        "nwSensor": "sensor-1",
    }


def test_keys_are_predefined_or_prefixed() -> None:
    for alert in (ALERT, FULL_ALERT):
        assert {key for key in read(alert)[1] if not key.startswith("nw")} <= PREDEFINED


def test_a_blocked_attempt_says_so() -> None:
    _, found = read(BLOCKED)
    assert (found["nwKind"], found["nwOutcome"]) == ("lookup", "blocked")
    assert found["nwBlockedBy"] == "NXDOMAIN"
    assert found["sev"] == "5"
    assert found["nwMessage"].endswith("blocked (NXDOMAIN), the app is probably still installed")


def test_severity_is_that_of_the_record_unless_exempt() -> None:
    severities = {
        severity: read(replace(ALERT, severity=severity))[1]["sev"]
        for severity in ("low", "medium", "high", "critical")
    }
    assert severities == {"low": "3", "medium": "5", "high": "8", "critical": "10"}


@given(hostile_records(FULL_ALERT))
def test_hostile_text_cannot_break_a_record_or_forge_a_field(record) -> None:
    header, found = read_leef(one_line(leef.render(record)))
    assert set(found) == set(read(FULL_ALERT)[1])
    assert header[4:] == ["ban-exempt", "^"]
    assert found["src"] == "10.20.0.7"
    assert unescaped(found["nwDevice"]) == whole(record["device"]["id"])
    assert unescaped(found["nwName"]) == whole(record["evidence"][0]["name"])
    assert unescaped(found["nwAuthority"]) == whole(record["ban"]["authority"])
    names = [unescaped(word) for word in found["nwNames"].split(" ")]
    assert names == [whole(name) for name in record["names"]]
