"""Formats read by somebody else's parsers: those of Tenzir, over a thousand hostile alerts."""

import json
import random
import re
import subprocess

import pytest
from support.delivery_scenarios import drain_completely
from support.made_alerts import output, record
from support.paths import ROOT
from support.receiver_harness_tenzir import Tenzir, command, normalize_times
from support.siem import read_cef, read_leef
from support.waiting import wait_until

from netwatch.formats.registry import RENDERERS

PIECES = [
    *(
        "|",
        "=",
        "^",
        ";",
        ":",
        ",",
        "'",
        '"',
        "`",
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        "<",
        ">",
        "%",
        "$",
    ),
    *("\\", "\\t", "\\u005e", "\n", "\r", "\t", "\0", "\u202e", "\ufeff", "\x85", " ", "é", "x"),
    *("src=192.0.2.9", " dst=192.0.2.9", "^sev=1", "CEF:0|", "LEEF:2.0|"),
]
"""What a sender may put together into a name."""


def hostile(count):
    """So many alerts, half of them with texts put together by chance, the same each time."""
    chance = random.Random(20230310)
    for number in range(count):
        made = record(number)
        if number % 2:
            for part in (made["device"], made["evidence"][0]):
                for key in {"hostname", "owner", "name", "rule"} & set(part):
                    part[key] = "n" + "".join(chance.choices(PIECES, k=chance.randint(1, 12)))
            made["names"] = [made["evidence"][0]["name"], made["device"]["owner"]]
        yield made


CEF = ("device_vendor", "device_product", "device_version", "signature_id", "name", "severity")
LEEF = ("leef_version", "vendor", "product_name", "product_version", "event_class_id")
OCSF = """
time = from_epoch(time * 1ms)
start_time = from_epoch(start_time * 1ms)
end_time = from_epoch(end_time * 1ms)
finding_info.first_seen_time = from_epoch(finding_info.first_seen_time * 1ms)
finding_info.last_seen_time = from_epoch(finding_info.last_seen_time * 1ms)
observables = observables.map(o => {
  name: o.name, type_id: o.type_id, type: o.type, value: o.value.string()
})
ocsf_cast timestamp_to_ms=true
"""
"""Numbers become the times, and addresses the texts, that the class asks for; what it does
not know, or knows as something else, is warned of."""


def read(folder, lines, reader, stages=""):
    """What a pipeline makes of lines; a warning of its fails the test."""
    path = folder / "alerts"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    pipeline = f'from_file "{path}" {{ {reader} }}\n{stages}\nwrite_ndjson\n'
    done = subprocess.run([command(), pipeline], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


@pytest.mark.parametrize(
    ("form", "reader", "stages"),
    [
        ("eve", "read_suricata", ""),
        ("ocsf", "read_ndjson", OCSF),
        ("ecs", "read_ndjson", ""),
        ("gelf", "read_ndjson", ""),
    ],
)
def test_documents_are_received_unchanged(form, reader, stages, tmp_path):
    lines = [RENDERERS[form](each) for each in list(hostile(300))]
    got = read(tmp_path, lines, reader, stages)
    assert [normalize_times(each) for each in got] == [
        normalize_times(json.loads(line)) for line in lines
    ]


@pytest.mark.parametrize(
    ("form", "parser"), [("cef", "parse_cef"), ("leef", "parse_leef"), ("jsonl", "parse_json")]
)
def test_messages_by_syslog_are_parsed_field_by_field(
    form, parser, deliver, tmp_path, certificates
):
    stage = f"message = message.{parser}(raw=true)"
    receiver = Tenzir("syslog", tmp_path, certificates, stage)
    receiver.start()
    sent = list(hostile(300))
    try:
        delivery = deliver(output(tmp_path, **receiver.keys(receiver.port), format=form))
        delivery.put(*sent)
        drain_completely(delivery)
        wait_until(lambda: len(receiver.events()) == len(sent))
        got = [each["message"] for each in receiver.events()]
    finally:
        receiver.stop()
    expected = {each["id"]: RENDERERS[form](each) for each in sent}
    if form == "jsonl":
        assert {each["id"]: normalize_times(each) for each in got} == {
            key: normalize_times(json.loads(line)) for key, line in expected.items()
        }
    elif form == "cef":
        by_id = {each["extension"]["externalId"]: each for each in got}
        assert len(by_id) == len(expected)
        for key, line in expected.items():
            header, extension = read_cef(line)
            assert [by_id[key][each] for each in CEF] == header[1:]
            assert by_id[key]["extension"] == extension
    else:
        by_id = {each["attributes"]["nwAlertId"]: each for each in got}
        assert len(by_id) == len(expected)
        for key, line in expected.items():
            header, attributes = read_leef(line)
            assert [by_id[key][each] for each in LEEF] == ["2.0", *header[1:5]]
            assert by_id[key]["attributes"] == attributes


@pytest.mark.parametrize("verdict", ["violation", "advisory"])
def test_sigma_rules_find_what_they_are_for(verdict, tmp_path):
    sent = [
        record(number, confidence=("possible", "probable", "confirmed")[number % 5 % 3])
        for number in range(1000)
    ]
    path = ROOT / "docs" / "siem" / "sigma" / f"{verdict}.yml"
    lines = [RENDERERS["jsonl"](each) for each in sent]
    found = read(tmp_path, lines, "read_ndjson", f'sigma path="{path}"')
    wanted = [
        each["id"]
        for each in sent
        if each["verdict"] == verdict
        and (verdict == "advisory" or each["confidence"] != "possible")
    ]
    assert 100 < len(wanted) < 400
    assert [re.findall(r"[0-9a-f]{8}feedface", json.dumps(each))[0] for each in found] == wanted
