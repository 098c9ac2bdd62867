"""The silence of a sensor, read back by second readers of each format."""

import csv
import json
import re

import jsonschema
import pytest
from support.siem import one_line, read_cef, read_leef

from netwatch.formats.csv import ALERT_COLUMNS
from netwatch.formats.registry import RENDERERS, schema_text
from netwatch.formats.silence import silence_record
from netwatch.sinks.templates import digest_line

NS = 1_000_000_000
SINCE = 1_700_000_000 * NS

OPEN = silence_record("ghent-1", "0.9.0", SINCE, SINCE + 61 * NS)
CLOSED = silence_record("ghent-1", "0.9.0", SINCE, SINCE + 7300 * NS, ended="present")


def test_both_records_of_a_silence_have_its_id_and_the_schema() -> None:
    schema = json.loads(schema_text("silence"))
    other = silence_record("ghent-1", "", SINCE + NS, SINCE + 90 * NS, ended="stopped")
    for record in (OPEN, CLOSED, other):
        jsonschema.validate(record, schema)
    assert OPEN["id"] == CLOSED["id"] != other["id"]
    assert (OPEN["status"], CLOSED["status"]) == ("open", "closed")
    assert OPEN["message"] == "sensor ghent-1 has given no sign of life for 61 seconds"
    assert CLOSED["message"] == "sensor ghent-1 gives signs of life again, after 2 hours"
    assert other["message"].startswith("sensor ghent-1 was stopped")
    assert (OPEN["first_seen"], OPEN["last_seen"]) == (
        "2023-11-14T22:13:20.000Z", "2023-11-14T22:14:21.000Z"
    )  # fmt: skip


@pytest.mark.parametrize("name", RENDERERS)
@pytest.mark.parametrize("record", [OPEN, CLOSED])
def test_every_format_says_which_sensor_and_since_when(name: str, record: dict) -> None:
    line = one_line(RENDERERS[name](record))
    assert "ghent-1" in line
    assert re.search(r"silen", line)
    if name == "cef":
        header, fields = read_cef(line)
        assert header[5:] == ["Sensor silent", "8"]
        assert (fields["dvchost"], fields["start"]) == ("ghent-1", "1700000000000")
    elif name == "leef":
        header, fields = read_leef(line)
        assert (fields["nwSensor"], fields["nwStatus"]) == ("ghent-1", record["status"])
    elif name == "csv":
        (row,) = csv.reader([line])
        cells = dict(zip(ALERT_COLUMNS, row, strict=True))
        assert (cells["schema"], cells["sensor_name"]) == ("netwatch.silence/1", "ghent-1")
        assert cells["verdict"] == ""
    else:
        found = json.loads(line)
        assert found
        if name == "ecs":
            assert found["event"]["dataset"] == "netwatch.silence"
            assert found["observer"]["name"] == "ghent-1"
        if name == "ocsf":
            assert found["finding_info"]["first_seen_time"] == 1_700_000_000_000
            assert found["class_uid"] == 2004


def test_a_digest_has_the_sentence() -> None:
    assert digest_line(OPEN) == (
        "2023-11-14T22:13:20.000Z  high, open: sensor ghent-1 has given no sign of life for 61"
        f" seconds; {OPEN['id']}"
    )
