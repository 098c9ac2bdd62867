import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.text import is_sensor_name
from netwatch.fleet import envelope as envelopes
from netwatch.fleet.access import MAX_PAYLOAD
from netwatch.fleet.envelope import (
    ASSEMBLY_BYTES,
    MAX_HEADER,
    MAX_WAITING,
    PART_BYTES,
    Assembler,
    Envelope,
    EnvelopeError,
    UnknownSchemaError,
    cut,
    decode,
)

ALERTS = Envelope(
    sensor="brussels-1", kind="alerts", sequence=7, sent=1_700_000_000_000_000_000,
    version="0.9", id="abc", body=[{"id": "a", "text": "é\ud800"}], fields={"run": 3},
)  # fmt: skip
FACTS = replace(ALERTS, kind="facts", body=None, payload=b"PAR1\n\0\xff", id="def")


def changed(message, **changes):
    line, _, content = message.partition(b"\n")
    header = {**json.loads(line), **changes}
    kept = {name: value for name, value in header.items() if value is not None}
    return json.dumps(kept).encode() + b"\n" + content


@pytest.mark.parametrize("sent", [FACTS, replace(ALERTS, body=[{"a": "é"}])])
def test_envelope_is_read_as_it_was_written(sent):
    assert decode(sent.encode(), sent.sensor, sent.kind) == sent


def test_text_that_is_not_unicode_does_not_stop_a_message():
    found = decode(ALERTS.encode(), "brussels-1", "alerts")
    assert found.body[0]["id"] == "a"


def test_later_minor_version_with_further_fields_is_read():
    message = changed(FACTS.encode(), schema="netwatch.fleet/1.12", mood={"of": ["sensor"]})
    found = decode(message, "brussels-1", "facts")
    assert (found.payload, found.fields["mood"]) == (FACTS.payload, {"of": ["sensor"]})


def test_another_major_version_is_named():
    message = changed(FACTS.encode(), schema="netwatch.fleet/2", version="3.1", sequence=None)
    with pytest.raises(UnknownSchemaError, match="the schema netwatch") as caught:
        decode(message, "brussels-1", "facts")
    assert caught.value.version == "3.1"


@pytest.mark.parametrize(
    "changes",
    [
        {"sensor": "ghent-1"},
        {"kind": "coverage"},
        {"schema": "suricata/1"},
        {"schema": None},
        {"sequence": -1},
        {"sequence": True},
        {"sequence": 1 << 63},
        {"sent": "now"},
        {"id": ""},
        {"id": "x" * 201},
        {"version": 1},
        {"part": 2},
        {"part": 0},
        {"parts": 65, "part": 1},
        {"more": "x" * MAX_HEADER},
    ],
)
def test_forged_envelope_is_refused(changes):
    with pytest.raises(EnvelopeError):
        decode(changed(FACTS.encode(), **changes), "brussels-1", "facts")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_by_name(data):
    for message in (data, data + b"\n", FACTS.encode().partition(b"\n")[0] + data):
        try:
            decode(message, "brussels-1", "facts")
        except EnvelopeError:
            continue
            # White space may end the line of the envelope, and any content may follow.
            assert data.lstrip(b" \t\r").startswith(b"\n")


@pytest.mark.parametrize("content", ["[" * 100_000, "null", "", "{"])
def test_content_that_is_no_json_is_refused(content):
    message = changed(ALERTS.encode()).partition(b"\n")[0] + b"\n" + content.encode()
    with pytest.raises(EnvelopeError):
        decode(message, "brussels-1", "alerts")


@pytest.mark.parametrize("whole", [replace(FACTS, payload=bytes(range(256)) * 8192),
                                   replace(ALERTS, body=["é" * PART_BYTES])])  # fmt: skip
def test_large_content_is_cut_and_joined_in_any_order(whole):
    messages = cut(whole)
    assert len(messages) > 1
    assert max(map(len, messages)) < MAX_PAYLOAD
    assembler = Assembler()
    parts = [decode(each, whole.sensor, whole.kind) for each in messages]
    found = [assembler.add(each) for each in (*parts[::-1], parts[0])]
    assert [each for each in found if each] == [whole]
    assert found[-1] is None


def test_parts_that_never_become_whole_are_dropped_of_their_sensor_alone():
    assembler = Assembler()
    other = replace(FACTS, sensor="ghent-1", payload=bytes(PART_BYTES + 1), id="g")
    first, last = (decode(each, "ghent-1", "facts") for each in cut(other))
    assert assembler.add(first) is None
    for number in range(10_500):
        part = replace(FACTS, payload=b"x", part=1, parts=2, id=f"id{number}")
        assert assembler.add(part) is None
    assert len(assembler.dropped) == 10_500 - MAX_WAITING
    assert {sensor for sensor, _, _ in assembler.dropped} == {"brussels-1"}
    assert assembler.add(last).payload == other.payload


def test_the_bytes_of_parts_that_wait_are_bounded():
    assembler = Assembler()
    whole = replace(FACTS, payload=bytes(PART_BYTES + 1))
    for number in range(40):
        part = decode(cut(replace(whole, id=f"id{number}"))[0], "brussels-1", "facts")
        assert assembler.add(part) is None
    assert assembler.waiting("brussels-1")[1] <= ASSEMBLY_BYTES
    assert len(assembler.dropped) >= 5


def test_parts_that_do_not_fit_together_are_refused():
    assembler = Assembler()
    assembler.add(decode(changed(FACTS.encode(), parts=2), "brussels-1", "facts"))
    with pytest.raises(EnvelopeError, match="fit together"):
        assembler.add(decode(changed(FACTS.encode(), parts=3, part=2), "brussels-1", "facts"))


def test_too_large_content_is_refused_at_the_sender(monkeypatch):
    monkeypatch.setattr(envelopes, "MAX_PARTS", 2)
    with pytest.raises(EnvelopeError, match="too large"):
        cut(replace(FACTS, payload=bytes(3 * PART_BYTES)))
    with pytest.raises(EnvelopeError):
        replace(FACTS, fields={"more": "x" * MAX_HEADER}).encode()


@pytest.mark.parametrize("name", ["", "Brussels", "a.b", "a*", ">", "-a", "a-", "x" * 64, "é"])
def test_what_cannot_name_a_sensor(name):
    assert is_sensor_name("brussels-1")
    assert not is_sensor_name(name)
