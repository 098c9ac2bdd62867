import re
from dataclasses import replace

import pytest
from hypothesis import given
from support.made_records import ALERT, BLOCKED, FULL_ALERT, HOSTILE, ITEM
from support.siem import hostile_records, one_line, read_cef, unescaped, whole

from netwatch.formats import cef, jsonl
from netwatch.formats.cef import MAX_LENGTHS

DICTIONARY = {
    *("act", "app", "c6a2", "c6a2Label", "c6a3", "c6a3Label", "cat", "cn1", "cn1Label", "cn2"),
    *("cn2Label", "cn3", "cn3Label", "cnt", "cs1", "cs1Label", "cs2", "cs2Label", "cs3"),
    *("cs3Label", "cs4", "cs4Label", "cs5", "cs5Label", "cs6", "cs6Label", "deviceCustomDate1"),
    *("deviceCustomDate1Label", "deviceCustomDate2", "deviceCustomDate2Label", "dhost", "dpt"),
    *("dst", "dvchost", "end", "externalId", "flexString1", "flexString1Label", "flexString2"),
    *(
        "flexString2Label",
        "in",
        "msg",
        "out",
        "outcome",
        "proto",
        "reason",
        "rt",
        "shost",
        "smac",
        "src",
    ),
    "start",
}
"""Keys of the standard that are used."""


def read(alert):
    return read_cef(one_line(cef.render(jsonl.alert_record(alert))))


def test_header() -> None:
    header, _ = read(FULL_ALERT)
    assert header == [
        "CEF:0",
        "netwatch",
        "netwatch",
        "0.1.0",
        "ban-exempt",
        "Banned app contacted under an exemption",
        "1",
    ]
    assert read(ALERT)[0][4:] == ["ban-violation", "Banned app contacted", "8"]


def test_extension_in_full() -> None:
    _, found = read(FULL_ALERT)
    assert found == {
        "rt": "1678406500123",
        "start": "1678406400123",
        "end": "1678406500123",
        "externalId": "3f1c",
        "cnt": "5",
        "cat": "tiktok",
        "msg": "lab-07 contacted TikTok, exempt from ban be-fed-tiktok-2023 "
        "(confirmed: tls-sni v16-webapp.tiktok.com); "
        "this looks like an installed app that keeps in touch",
        "act": "allowed",
        "outcome": "success",
        "dvchost": "sensor-1",
        "src": "10.20.0.7",
        "smac": "02:00:00:00:00:ab",
        "shost": "lab07",
        "dst": "192.0.2.80",
        "dpt": "443",
        "cn3": "64496",
        "cn3Label": "Destination ASN",
        "netwatchDestinationCountry": "BE",
        "netwatchDestinationOrganisation": "Example",
        "dhost": "v16-webapp.tiktok.com",
        "proto": "TCP",
        "app": "tls",
        "out": "4000",
        "in": "90000",
        "reason": "Decision 2023/12 art. 3",
        "cs1": "be-fed-tiktok-2023",
        "cs1Label": "Ban",
        "cs2": "dns-query tls-sni",
        "cs2Label": "Evidence",
        "cs3": "suffix tiktok.com",
        "cs3Label": "Rule",
        "cs4": "1:abc 1:def",
        "cs4Label": "Community ID",
        "cs5": "TikTok",
        "cs5Label": "App",
        "cs6": "BE-FED",
        "cs6Label": "Authority",
        "flexString1": "exempt",
        "flexString1Label": "Verdict",
        "flexString2": "hq",
        "flexString2Label": "Network",
        "cn2": "30",
        "cn2Label": "VLAN",
        "deviceCustomDate1": "1678406400000",
        "deviceCustomDate1Label": "Ban From",
        "netwatchStatus": "closed",
        "netwatchVersions": "netwatch=0.1.0 signatures=5e1a bans=ba25 configuration=c0ff set=12"
        " set_hash=0a1b2c3d4e5f",
        "netwatchConfidence": "confirmed",
        "netwatchSeverity": "high",
        "netwatchKind": "background",
        "netwatchOutcome": "reached",
        "netwatchBlockedBy": "NXDOMAIN 10.20.0.80",
        "netwatchKindReasons": "3 handshakes in 1 h 40 min. 4,000 bytes were sent.",
        "netwatchConfidenceReasons": "v16-webapp.tiktok.com is called by the app alone.",
        "netwatchContradictions": "The same connection shows another name as well: www.tiktok.com.",
        "netwatchDevice": "lab-07",
        "netwatchDeviceClass": "service",
        "netwatchOwner": "R. Doe",
        "netwatchNames": "tiktok.com v16-webapp.tiktok.com",
        "netwatchSeenServer": "false",
        "netwatchSeenDirections": "client",
        "netwatchSeenChecksum": "unknown",
        "netwatchSource": "office.pcap",
        "netwatchPacket": "21",
        "netwatchExemption": "forensic research",
        "netwatchApprovedBy": "CISO",
    }


def test_keys_are_standard_or_prefixed() -> None:
    for alert in (ALERT, FULL_ALERT):
        ours = {key for key in read(alert)[1] if key.startswith("netwatch")}
        assert set(read(alert)[1]) - ours <= DICTIONARY


@pytest.mark.parametrize(
    ("outcome", "action", "result"),
    [
        ("reached", "allowed", "success"),
        ("blocked", "blocked", "failure"),
        ("attempted", None, "unknown"),
        ("unknown", None, "unknown"),
    ],
)
def test_outcome_in_the_words_of_the_dictionary(outcome, action, result: str) -> None:
    header, found = read(replace(BLOCKED, outcome=outcome))
    assert (found.get("act"), found["outcome"]) == (action, result)
    assert (found["netwatchOutcome"], found["netwatchKind"]) == (outcome, "lookup")
    blocked = header[5] == "Contact with a banned app blocked"
    assert blocked is (outcome == "blocked")


def test_ipv6_goes_into_the_custom_addresses() -> None:
    device = replace(FULL_ALERT.device, ip="2001:db8:20::7")
    (_, found) = read(replace(FULL_ALERT, device=device, destinations=FULL_ALERT.destinations[1:]))
    assert "src" not in found
    assert "dst" not in found
    assert (found["c6a2"], found["c6a2Label"]) == ("2001:db8:20::7", "Source IPv6 Address")
    assert (found["c6a3"], found["c6a3Label"]) == ("2001:db8::80", "Destination IPv6 Address")


@pytest.mark.parametrize("key", ["msg", "dvchost", "dhost", "reason", "shost"])
def test_texts_are_truncated_to_their_limits(key: str) -> None:
    long = "y" * 5000
    alert = replace(
        FULL_ALERT,
        device=replace(FULL_ALERT.device, hostname=long),
        ban=replace(FULL_ALERT.ban, legal_basis=long),
        evidence=(replace(ITEM, name=long),),
        sensor=replace(FULL_ALERT.sensor, name=long, version=long),
    )
    header, found = read(alert)
    assert len(found[key]) == MAX_LENGTHS[key]
    assert found[key].endswith("...")
    assert len(header[3]) == 31


def test_lists_are_limited_and_count_omitted_words() -> None:
    names = tuple(f"{number:03d}.{'n' * 250}" for number in range(256))
    _, found = read(replace(FULL_ALERT, names=names))
    *words, omitted = found["netwatchNames"].split(" ")
    assert tuple(words) == names[: len(words)]
    assert omitted == f"+{256 - len(words)}"
    assert 3700 < len(found["netwatchNames"]) <= 4000


@pytest.mark.parametrize("text", [text for text in HOSTILE if text])
def test_no_bare_pipe_in_the_extension(text: str) -> None:
    line = cef.render(jsonl.alert_record(replace(FULL_ALERT, names=(text,))))
    assert len(re.findall(r"\|", line)) == 7


@given(hostile_records(FULL_ALERT))
def test_hostile_text_cannot_break_a_record_or_forge_a_field(record) -> None:
    header, found = read_cef(one_line(cef.render(record)))
    assert set(found) == set(read(FULL_ALERT)[1])
    assert header[:3] + header[4:] == ["CEF:0", "netwatch", "netwatch", *read(FULL_ALERT)[0][4:]]
    assert found["src"] == "10.20.0.7"
    assert not any(";" in text for key, text in found.items() if key.startswith("netwatch"))
    assert unescaped(found["netwatchDevice"]) == whole(record["device"]["id"])
    assert unescaped(found["shost"]) == whole(record["device"]["hostname"])
    assert unescaped(found["dhost"]) == whole(record["evidence"][0]["name"])
    assert unescaped(found["cs5"]) == whole(record["app"]["name"])
    names = [unescaped(word) for word in found["netwatchNames"].split(" ")]
    assert names == [whole(name) for name in record["names"]]
