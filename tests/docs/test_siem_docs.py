"""What docs/siem/ ships loads where it can be loaded, and names fields that there are."""

import configparser
import json
import os
import re
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import duckdb
import duckdb_kql
import pytest
import yaml
from sigma.backends.elasticsearch import EqlBackend, ESQLBackend
from sigma.backends.splunk import SplunkBackend
from sigma.collection import SigmaCollection
from sigma.processing.pipeline import ProcessingPipeline
from support.made_records import FULL_ALERT, HOSTILE
from support.paths import ROOT
from support.ports import free_port, is_listening
from support.programs import Process, require_programs, search_path
from support.siem import read_cef, unescaped, whole
from support.waiting import wait_until

from netwatch.formats import ecs, jsonl
from netwatch.formats.registry import RENDERERS

SIEM = ROOT / "docs" / "siem"
RECORD = jsonl.alert_record(FULL_ALERT)
FILES = sorted(path for path in SIEM.rglob("*") if path.is_file())
SYSLOG_NG = Path("/opt/syslog-ng/usr")  # where .ci/run unpacks it: its package excludes rsyslog


def paths(value: object, path: str = "") -> set[str]:
    """The paths of all that a record holds, those below a list with ``{}``."""
    if isinstance(value, dict):
        dot = f"{path}." if path else ""
        return set().union({path}, *(paths(each, f"{dot}{key}") for key, each in value.items()))
    if isinstance(value, list):
        return {path, f"{path}{{}}"}.union(*(paths(each, f"{path}{{}}") for each in value))
    return {path}


def test_the_pages_of_receivers_name_each_file() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted(SIEM.glob("*.md")))
    linked = {target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text)}
    there = {str(path.relative_to(SIEM)) for path in FILES if path.suffix != ".md"}
    named = linked | set(re.findall(r"sigma/pipelines/\w+\.yml", text))
    assert there - named == set()


def test_outputs_that_are_shown_are_yaml_with_formats_that_there_are() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted(SIEM.glob("*.md")))
    shown = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    outputs = [output for block in shown for output in yaml.safe_load(block)["outputs"]]
    assert len(outputs) >= 7
    assert {output.get("format", "ecs") for output in outputs} <= set(RENDERERS)


# syslog


def program(name: str) -> tuple[list[str], dict[str, str]]:
    """How to start a syslog daemon; skips where it is not installed."""
    environment = dict(os.environ)
    if found := shutil.which(name, path=search_path()):
        require_programs(name)
        return [found], environment
    if name == "syslog-ng" and (SYSLOG_NG / "sbin" / name).exists():
        place = SYSLOG_NG / "lib" / "syslog-ng"
        environment["LD_LIBRARY_PATH"] = str(place)
        modules = next((path for path in place.glob("[0-9]*") if path.is_dir()), None)
        if modules is None:
            pytest.skip(f"syslog-ng has no modules in {place}")
        return [str(SYSLOG_NG / "sbin" / name), "--module-path", str(modules)], environment
    pytest.skip(f"{name} is not installed")


@pytest.mark.parametrize("name", ["rsyslog", "syslog-ng"])
def test_syslog_daemons_store_alerts_as_they_were_sent(name: str, tmp_path: Path) -> None:
    command, environment = program("rsyslogd" if name == "rsyslog" else name)
    port = free_port()
    text = (SIEM / f"{name}.conf").read_text(encoding="utf-8")
    text = text.replace("/var/log/netwatch", str(tmp_path)).replace("6514", str(port))
    config = tmp_path / "netwatch.conf"
    config.write_text(text, encoding="utf-8")
    if name == "rsyslog":
        check = ["-N1", "-f", str(config)]
        run = ["-n", "-f", str(config), "-i", str(tmp_path / "pid")]
    else:
        check = ["-s", "--no-caps", "-f", str(config)]
        state = ["-p", str(tmp_path / "pid"), "-R", str(tmp_path / "state")]
        run = ["-F", "--no-caps", "-f", str(config), *state, "-c", str(tmp_path / "control")]
    checked = subprocess.run(
        [*command, *check], env=environment, capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stderr
    names = tuple(f"{number}.{'n' * 200}" for number in range(200))
    alerts = [replace(FULL_ALERT, names=(hostile,)) for hostile in HOSTILE]
    alerts.append(replace(FULL_ALERT, names=names, verdict="violation"))
    lines = [RENDERERS["jsonl"](jsonl.alert_record(alert)) for alert in alerts]
    environ = [f"{key}={value}" for key, value in environment.items() if key == "LD_LIBRARY_PATH"]
    words = ["env", *environ, *command, *run]
    daemon = Process(words, lambda: is_listening(port), tmp_path)
    try:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            for line in lines:
                message = f"<131>1 2026-01-01T00:00:00Z sensor netwatch - alert - {line}".encode()
                connection.sendall(f"{len(message)} ".encode() + message)
        stored = tmp_path / "alerts.jsonl"
        wait_until(
            lambda: stored.exists() and stored.read_bytes().count(b"\n") >= len(lines),
            "all alerts are stored",
        )
    finally:
        daemon.end()
    assert stored.read_text(encoding="utf-8").splitlines() == lines
    if name == "syslog-ng":
        violations = (tmp_path / "violations.jsonl").read_text(encoding="utf-8").splitlines()
        assert violations == lines[-1:]


# Elastic


def test_the_mappings_are_of_fields_that_there_are() -> None:
    template = json.loads((SIEM / "elastic" / "index-template.json").read_text())["template"]
    days = dict.fromkeys(RECORD["ban"], "2023-03-10")
    periods = [{"from": "2023-03-10", "until": "2023-09-10", "basis": "the decision"}]
    document = ecs.alert_document({**RECORD, "ban": {**days, "periods": periods}})
    document["netwatch"]["exemption"] = dict.fromkeys(RECORD["exemption"], "2023-03-10")
    there = {path.replace("{}", "") for path in paths(document)}

    def mapped(properties, path=""):
        for key, value in properties.items():
            if "properties" in value:
                yield from mapped(value["properties"], f"{path}{key}.")
            else:
                yield f"{path}{key}", value["type"]

    found = dict(mapped(template["mappings"]["properties"]))
    assert set(found) - there == {"event.ingested"}
    assert found["netwatch.ban.from"] == "date"
    assert template["mappings"]["date_detection"] is False


def test_the_pipeline_of_the_template_is_the_one_shipped() -> None:
    template = json.loads((SIEM / "elastic" / "index-template.json").read_text())
    page = (SIEM / "elastic.md").read_text(encoding="utf-8")
    name = template["template"]["settings"]["index.final_pipeline"]
    assert f"/_ingest/pipeline/{name}" in page
    pipeline = json.loads((SIEM / "elastic" / "pipeline.json").read_text())
    assert pipeline["processors"][0]["set"]["field"] == "event.ingested"


def test_filebeat_is_yaml_and_counts_by_fields_that_there_are() -> None:
    config = yaml.safe_load((SIEM / "filebeat.yml").read_text(encoding="utf-8"))
    (fingerprint,) = (step["fingerprint"] for step in config["processors"] if "fingerprint" in step)
    assert set(fingerprint["fields"]) <= paths(ecs.alert_document(RECORD))
    assert config["output.elasticsearch"]["index"] == "logs-netwatch.alert-default"


def test_logstash_takes_the_header_and_leaves_the_record() -> None:
    text = (SIEM / "logstash.conf").read_text(encoding="utf-8")
    pattern = re.search(r'"message" => "(.*)"', text).group(1)
    pattern = re.sub(r"%\{GREEDYDATA:[^}]*\}", "(.*)", pattern)
    pattern = pattern.replace("%{NONNEGINT}", r"\d+").replace("%{NOTSPACE}", r"\S+")
    line = RENDERERS["ecs"](RECORD)
    sent = f"<131>1 2026-01-01T00:00:00.5Z sensor netwatch - alert - {line}"
    assert re.fullmatch(pattern, sent).group(1) == line
    assert text.count("{") == text.count("}")


# Splunk


def stanzas(name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=True, delimiters=("=",))
    parser.optionxform = str
    parser.read_string((SIEM / "splunk" / name).read_text(encoding="utf-8"))
    return parser


def test_splunk_takes_fields_that_there_are() -> None:
    props = dict(stanzas("props.conf")["netwatch:alert"])
    told = {name for value in props.values() for name in re.findall(r"'([^']+)'", value)}
    there = paths(RECORD)
    assert told <= there
    assert {key for key in props if key.startswith("EVAL-")} >= {
        f"EVAL-{field}"
        for field in ("action", "category", "dest", "dvc", "ids_type", "severity", "signature")
    }
    line = RENDERERS["jsonl"](RECORD)
    start = line.index(props["TIME_PREFIX"]) + len(props["TIME_PREFIX"])
    assert line[start:].startswith(RECORD["last_seen"])


def test_splunk_tags_the_event_type_that_there_is() -> None:
    (eventtype,) = stanzas("eventtypes.conf").sections()
    tags = stanzas("tags.conf")
    assert tags.sections() == [f"eventtype={eventtype}"]
    assert dict(tags[f"eventtype={eventtype}"]) == dict.fromkeys(
        ("ids", "attack", "alert"), "enabled"
    )


# XML


def test_xmllint_takes_what_is_xml() -> None:
    require_programs("xmllint")
    for path in SIEM.rglob("*.xml"):
        subprocess.run(["xmllint", "--noout", str(path)], check=True, timeout=60)


# Sentinel


COLUMNS = {
    "externalId": "ExtID",
    "flexString1": "FlexString1",
    "flexString2": "FlexString2",
    "cat": "DeviceEventCategory",
    "reason": "Reason",
    "src": "SourceIP",
    "dst": "DestinationIP",
    "dpt": "DestinationPort",
    "smac": "SourceMACAddress",
    "shost": "SourceHostName",
    "dhost": "DestinationHostName",
    "start": "StartTime",
    "end": "EndTime",
    "out": "SentBytes",
    "in": "ReceivedBytes",
    "msg": "Message",
    "dvchost": "Computer",
    **{f"cs{number}": f"DeviceCustomString{number}" for number in range(1, 7)},
}
"""Keys of CEF and their columns in CommonSecurityLog (Microsoft, CEF field mapping)."""


def test_sentinel_reads_columns_that_cef_fills() -> None:
    text = (SIEM / "sentinel.kql").read_text(encoding="utf-8")
    _, found = read_cef(RENDERERS["cef"](RECORD))
    for key, column in COLUMNS.items():
        assert key in found
        assert re.search(rf"\b{column}\b", text), column
    own = set(re.findall(r'own\(AdditionalExtensions, "(\w+)"\)', text))
    assert {f"netwatch{key}" for key in own} <= set(found)


def test_sentinel_gives_fields_their_names_back() -> None:
    """The function runs, on columns that hold what Sentinel makes of a message."""
    hostile = [text for text in HOSTILE if text and not text.isascii()] + ["a;netwatchStatus=x"]
    alerts = [
        replace(FULL_ALERT, verdict="violation", exemption=None, names=(text, "b"))
        for text in hostile
    ]
    records = [jsonl.alert_record(alert) for alert in alerts]
    rows = []
    for record in records:
        _, found = read_cef(RENDERERS["cef"](record))
        row = {column: found.get(key) for key, column in COLUMNS.items()}
        others = [f"{key}={found[key]}" for key in found if key.startswith("netwatch")]
        row |= {"AdditionalExtensions": ";".join(others), "TimeGenerated": "2023-03-20"}
        row |= {"DeviceVendor": "netwatch", "DeviceProduct": "netwatch"}
        row |= dict.fromkeys(("DeviceCustomIPv6Address2", "DeviceCustomIPv6Address3"), "")
        rows.append(row)
    database = duckdb.connect()
    columns = list(rows[0])
    database.execute(
        f"CREATE TABLE CommonSecurityLog ({', '.join(f'{c} VARCHAR' for c in columns)})"
    )
    marks = ", ".join("?" for _ in columns)
    for row in rows:
        database.execute(
            f"INSERT INTO CommonSecurityLog VALUES ({marks})", [row[c] for c in columns]
        )
    text = (SIEM / "sentinel.kql").read_text(encoding="utf-8")
    # What this engine does not know: here there is no such column, which gives the default.
    text = text.replace('tostring(column_ifexists("ExternalID", ""))', '""')
    result = duckdb_kql.query(database, text)
    told = [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
    assert len(told) == len(records)
    for record, row in zip(records, told, strict=True):
        assert row["AlertId"] == record["id"]
        assert (row["Verdict"], row["Status"]) == ("violation", "closed")
        assert (row["Severity"], row["Confidence"]) == (record["severity"], record["confidence"])
        assert (row["Ban"], row["AppId"]) == (record["ban"]["id"], record["app"]["id"])
        assert (row["DeviceId"], row["DeviceIP"]) == ("lab-07", "10.20.0.7")
        assert (row["Kind"], row["Outcome"]) == ("background", "reached")
        assert row["KindReasons"] == "3 handshakes in 1 h 40 min. 4,000 bytes were sent."
        assert (row["Owner"], row["Packet"]) == ("R. Doe", 21)
        names = json.loads(row["Names"]) if isinstance(row["Names"], str) else list(row["Names"])
        assert [unescaped(name) for name in names] == [whole(name) for name in record["names"]]


# Sigma

RULES = sorted((SIEM / "sigma").glob("*.yml"))


def collection() -> SigmaCollection:
    return SigmaCollection.load_ruleset(list(RULES))


def test_sigma_rules_are_sound_and_take_fields_that_there_are() -> None:
    rules = collection()
    assert rules.errors == []
    assert len({UUID(str(rule.id)) for rule in rules.rules}) == len(rules.rules) == 5
    there = paths(RECORD)
    for path in RULES:
        for rule in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if "detection" in rule:
                assert rule["logsource"] == {"product": "netwatch", "service": "alert"}
                parts = {k: v for k, v in rule["detection"].items() if k != "condition"}
                assert set().union(*parts.values()) <= there
                assert set(rule.get("fields", [])) <= there
            else:
                correlation = rule["correlation"]
                assert {*correlation["group-by"], correlation["condition"]["field"]} <= there


def test_sigma_rule_of_violations_leaves_blocked_attempts_out() -> None:
    text = (SIEM / "sigma" / "pipelines" / "splunk.yml").read_text(encoding="utf-8")
    backend = SplunkBackend(ProcessingPipeline.from_yaml(text))
    paths_of = {name: SIEM / "sigma" / f"{name}.yml" for name in ("violation", "blocked")}
    queries = {
        name: backend.convert(SigmaCollection.load_ruleset([path]))
        for name, path in paths_of.items()
    }
    assert 'NOT outcome="blocked"' in queries["violation"][0]
    assert 'verdict="violation" outcome="blocked"' in queries["blocked"][0]


@pytest.mark.parametrize(
    ("backend", "pipeline", "expected"),
    [
        (SplunkBackend, "splunk", 'sourcetype="netwatch:alert" verdict="advisory"'),
        (ESQLBackend, "ecs", 'netwatch.verdict=="advisory"'),
        (EqlBackend, "ecs", 'netwatch.verdict:"advisory"'),
    ],
)
def test_sigma_rules_convert(backend, pipeline: str, expected: str) -> None:
    text = (SIEM / "sigma" / "pipelines" / f"{pipeline}.yml").read_text(encoding="utf-8")
    queries = backend(ProcessingPipeline.from_yaml(text)).convert(collection())
    assert len(queries) == 4
    assert any(expected in query for query in queries)
