"""A device that hid its lookups, in each format, read back by second readers."""

import csv
import json
from typing import Any

import jsonschema
import pytest
from support.siem import one_line, read_cef, read_leef

from netwatch.coverage.bypass import (
    Address,
    Bypass,
    DeviceDay,
    DeviceKey,
    Finding,
    Others,
    Past,
    wilson,
)
from netwatch.formats.bypass import bypass_record
from netwatch.formats.csv import ALERT_COLUMNS
from netwatch.formats.registry import RENDERERS, schema_text
from netwatch.sinks.base import severity_rank
from netwatch.sinks.templates import digest_line, digest_title

MAC = "02:00:00:00:00:07"


def record_of(device: str, sensor: str = "ghent-1") -> dict[str, Any]:
    own = DeviceDay(DeviceKey("hq", sensor, device), 19_419, 63, 61, named=50, lookups=2)
    past = Past(5, 400, 4, wilson(4, 400), 0.05, 2, 300)
    reasons = ("share-above-past", "names-shown")
    found = Bypass(own, wilson(61, 63), past, Others(7, 0.01), reasons)
    return bypass_record(Finding(found, "personal", (Address("198.51.100.7", 443, "tcp", 9),)))


def test_the_record_has_the_schema_and_an_id_of_its_own() -> None:
    schema = json.loads(schema_text("bypass"))
    records = [record_of(MAC), record_of("10.20.1.7"), record_of(MAC, "")]
    for record in records:
        jsonschema.validate(record, schema)
    assert len({record["id"] for record in records}) == len(records)
    assert record_of(MAC)["id"] == records[0]["id"]
    assert (records[0]["first_seen"], records[0]["last_seen"]) == (
        "2023-03-03T00:00:00Z", "2023-03-03T23:59:59Z"
    )  # fmt: skip
    assert severity_rank(records[0]) == 1  # so that an output for what is high leaves it out


@pytest.mark.parametrize("name", RENDERERS)
@pytest.mark.parametrize("device", [MAC, "10.20.1.7", "2001:db8::7", "p3f9a-k7q2m5xw4n6b3c2d"])
def test_every_format_says_which_device_and_day(name: str, device: str) -> None:
    line = one_line(RENDERERS[name](record_of(device)))
    assert device in line.replace("\\", "")
    assert "2023-03-03" in line
    assert "violation" not in line
    ip, mac = ("", MAC) if device == MAC else (device if "p3" not in device else "", "")
    if name == "cef":
        header, fields = read_cef(line)
        assert header[4:] == ["lookups-hidden", "Lookups hidden", "6"]
        assert (fields["netwatchDevice"], fields["flexString2"]) == (device, "hq")
        assert (fields.get("smac", ""), fields["dvchost"]) == (mac, "ghent-1")
        assert fields.get("src", "") == ("" if ":" in ip else ip)
        assert fields["netwatchReasons"] == "share-above-past names-shown"
    elif name == "leef":
        header, fields = read_leef(line)
        assert header[4] == "lookups-hidden"
        assert (fields["nwDevice"], fields["nwNetwork"], fields["nwUntold"]) == (device, "hq", "61")
        assert (fields.get("src", ""), fields.get("srcMAC", "")) == (ip, mac)
    elif name == "csv":
        (row,) = csv.reader([line])
        cells = dict(zip(ALERT_COLUMNS, row, strict=True))
        assert (cells["schema"], cells["device_id"]) == ("netwatch.bypass/1", device)
        assert (cells["verdict"], cells["app_id"], cells["network_name"]) == ("", "", "hq")
    else:
        check_json(name, json.loads(line), device, ip)


def check_json(name: str, found: dict[str, Any], device: str, ip: str) -> None:
    if name == "ecs":
        assert (found["event"]["dataset"], found["device"]["id"]) == ("netwatch.bypass", device)
        assert found["netwatch"]["untold"] == 61
        assert found.get("source", {}).get("ip", "") == ip
    elif name == "ocsf":
        assert (found["class_uid"], found["device"]["uid"]) == (2004, device)
        assert found["finding_info"]["types"] == ["lookups-hidden"]
        assert found["device"]["is_personal"] is True
    elif name == "eve":
        assert found["alert"]["metadata"]["device"] == [device]
        assert found.get("src_ip", "") == ip
    elif name == "gelf":
        assert (found["_netwatch_device_id"], found["_netwatch_untold"]) == (device, 61)
        assert found["_netwatch_reasons"] == "share-above-past names-shown"
    else:
        assert found == record_of(device)


def test_a_digest_has_the_sentence() -> None:
    record = record_of(MAC)
    assert digest_title([record, record]) == "2 bypass"
    assert digest_line(record) == (
        "2023-03-03T00:00:00Z  medium, closed: on 2023-03-03, 61 of 63 contacts of"
        f" {MAC} (hq) went to addresses that no visible lookup had named; {record['id']}"
    )
