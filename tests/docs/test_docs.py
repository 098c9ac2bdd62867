"""What the documents say of commands, configuration and records is what the code does."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from support.documents import README, REFERENCE, ROOT, Rows, blocks, rows, section, words

from netwatch.cli import build_parser
from netwatch.cli import main as netwatch
from netwatch.config import load as load_config
from netwatch.core.message import HANDSHAKES, LOOKUPS, Evidence
from netwatch.core.user_yaml import Fields, Problems, parse_yaml
from netwatch.core.verdict import CONFIDENCE_RANK, Network, Role
from netwatch.coverage.counts import Coverage
from netwatch.coverage.readings import DNS_PORT, DOH_PORTS, READINGS, VPN_PORTS
from netwatch.formats.coverage import report_record
from netwatch.formats.csv import ALERT_COLUMNS, OBSERVATION_COLUMNS
from netwatch.rules.bans import load_pack, pack_ids
from netwatch.rules.load import BUILTIN, load_signatures
from netwatch.rules.policy import confidence
from netwatch.rules.signature import read_signature

DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "pcaps" / "README.md"]
)

# links


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


# the README


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The example configuration as a file, with the inventory that it names."""
    example, _ = blocks("yaml")
    (tmp_path / "netwatch.yaml").write_text(example, encoding="utf-8")
    shutil.copy(ROOT / "pcaps" / "devices.csv", tmp_path)
    return tmp_path / "netwatch.yaml"


def test_example_configuration_is_sound(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert netwatch(["policy", "check", "-c", str(site)]) == 0
    out = capsys.readouterr().out
    assert "\nnote " not in out
    assert all(name in out for name in ("city-rule", "be-fed-tiktok-2023", "lab-07", "guest"))


def test_example_outputs_are_sound(tmp_path: Path) -> None:
    _, example = blocks("yaml")
    file = tmp_path / "netwatch.yaml"
    file.write_text("version: 1\n" + example, encoding="utf-8")
    told = [output.name for output in load_config(str(file)).outputs]
    assert told == ["syslog", "splunk_hec", "elastic", "file"]


def shown_commands() -> list[tuple[str, list[str]]]:
    """Each command in a console block, with the output that follows it."""
    found: list[tuple[str, list[str]]] = []
    for block in blocks("console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    assert len(found) > 5
    return found


def pieces(shown: list[str]) -> list[list[str]]:
    """The lines between those that stand for what is left out."""
    found: list[list[str]] = [[]]
    for line in map(plain, shown):
        if line == "…":
            found.append([])
        else:
            found[-1].append(line)
    return found


def plain(line: str) -> str:
    return re.sub(r"in \d+\.\d\d s", "in some seconds", line.rstrip())


@pytest.mark.parametrize(("command", "shown"), shown_commands(), ids=range(len(shown_commands())))
def test_shown_output_is_what_comes(command: str, shown: list[str], tmp_path: Path) -> None:
    run = tmp_path / "netwatch"
    run.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m netwatch "$@"\n')
    run.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONIOENCODING": "utf-8",
    }
    result = subprocess.run(
        ["sh", "-c", command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
    )
    assert result.returncode == 0
    interpreted = "netwatch: the packet loop runs interpreted"
    came = [plain(line) for line in result.stdout.splitlines() if not line.startswith(interpreted)]
    at = 0
    for number, piece in enumerate(pieces(shown)):
        starts = [i for i in range(at, len(came) + 1) if came[i : i + len(piece)] == piece]
        assert starts, "\n".join(["not in the output:", *piece, "which is:", *came])
        assert number or starts[0] == 0
        at = starts[0] + len(piece)
    assert shown[-1] == "…" or at == len(came)


def test_exit_statuses_that_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = str(ROOT / "pcaps" / "vlan-mirror.pcap")
    config = ["-c", str(ROOT / "pcaps" / "netwatch.yaml")]
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("version: 2\n")
    assert netwatch(["scan", *config, capture]) == 0
    assert netwatch(["scan", *config, capture, str(tmp_path / "none.pcap")]) == 1
    assert netwatch(["scan", "-c", str(wrong), capture]) == 2
    assert netwatch(["scan", *config, capture, "--fail-on", "violation"]) == 0
    assert netwatch(["scan", *config, capture, "--fail-on", "advisory"]) == 3
    assert netwatch(["signatures", "match", "nottiktok.com"]) == 1
    capsys.readouterr()


def test_confidence_is_that_of_the_tables() -> None:
    table = rows(section("## Verdict and confidence"))
    told = {words(row[0])[0]: row[2:] for row in table if len(row) == 6}
    assert told == {
        evidence: [confidence(evidence, role) or "none" for role in get_args(Role)]
        for evidence in get_args(Evidence)
    }
    short = rows(section("## From a contact to a verdict", README))
    grades = [row[1:] for row in short if set(row[1:]) <= set(CONFIDENCE_RANK)]
    assert grades == [told["tls-sni"], told["dns-query"], told["ip-from-dns"]]
    assert all(told[evidence] == told["tls-sni"] for evidence in HANDSHAKES)
    assert all(told[evidence] == told["dns-query"] for evidence in (*LOOKUPS, "tls-cert"))


# commands


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its words."""
    (groups,) = (
        action
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    found: dict[str, argparse.ArgumentParser] = {}
    waiting = [((name,), parser) for name, parser in groups.choices.items()]
    while waiting:
        path, parser = waiting.pop()
        below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        for group in below:
            waiting += [((*path, name), each) for name, each in group.choices.items()]
        if not below:
            found[" ".join(path)] = parser
    return found


def test_every_command_has_a_section() -> None:
    told = re.findall(r"^### `netwatch ([a-z ]+)`$", REFERENCE, re.MULTILINE)
    assert sorted(told) == sorted(parsers())


@pytest.mark.parametrize(("command", "parser"), parsers().items(), ids=parsers().keys())
def test_options_are_those_of_the_parser(command: str, parser: argparse.ArgumentParser) -> None:
    text = section(f"### `netwatch {command}`")
    told: dict[str, str] = {}
    for row in rows(text):
        for spelled in words(row[0]):
            option, _, value = spelled.partition(" ")
            assert option not in told
            told[option] = value.replace("\\|", "|")
    there: dict[str, str] = {}
    for action in parser._actions:
        if not action.option_strings or "--help" in action.option_strings:
            continue
        value = str(action.metavar or "") if action.nargs != 0 else ""
        if action.choices and not action.metavar:
            value = "|".join(map(str, action.choices))
        there |= dict.fromkeys(action.option_strings, value)
    assert told == there
    for action in parser._actions:
        if not action.option_strings:
            assert f"{action.metavar}" in text


# keys, packs, records


def test_every_key_is_told(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, set[str]] = {}
    raw = Fields.value

    def noting(self: Fields, key: str, required: str = "") -> object:
        asked.setdefault(self.what, set()).add(key)
        return raw(self, key, required)

    monkeypatch.setattr(Fields, "value", noting)
    text = site.read_text(encoding="utf-8").replace("# geoip: {", "geoip: {}  # ")
    text = text.replace("# metrics: {", "metrics: {")
    site.write_text(text + "sensor: {name: north}\n", encoding="utf-8")
    config = load_config(str(site))
    assert config.sensor_name == "north"
    load_pack("default", config.catalog)
    told = {part for row in rows(REFERENCE) for word in words(row[0]) for part in word.split(".")}
    assert {"a network", "a ban", "a pack", "an exemption", "a signature", "a domain"} <= set(asked)
    assert {"version", "quiet_gap", "asn", "listen", "pack", "glob", "jurisdiction"} <= set().union(
        *asked.values()
    )
    assert {key for keys in asked.values() for key in keys if key not in told} == set()


def test_signature_example_is_sound() -> None:
    (example,) = blocks("yaml", section("## Signature files"))
    problems = Problems()
    mapping = parse_yaml(example, "tiktok.yaml", problems)
    assert mapping is not None
    assert read_signature(mapping, "tiktok.yaml", problems) is not None
    assert problems.found == []


def test_packs_are_those_that_are_shipped() -> None:
    catalog = load_signatures([BUILTIN], ROOT)
    expected: Rows = []
    for ban_id in pack_ids():
        ban = load_pack(ban_id, catalog).ban
        lists = [", ".join(sorted(part)) for part in (ban.apps, ban.forbids, ban.advises)]
        days = [str(day or "open") for day in (ban.start, ban.end)]
        expected.append([f"`{ban_id}`", ban.authority, *(part or "-" for part in lists), *days])
    assert rows(section("### Shipped packs")) == expected


def fields_of(heading: str) -> set[str]:
    """The fields of a record's table, spelled as CSV has them."""
    told = {word for row in rows(section(heading)) for word in words(row[0])}
    return {word.replace(".", "_") for word in told if "[]" not in word}


def test_columns_are_those_of_csv() -> None:
    text = section("### CSV columns").replace("\n", " ")
    first, second = re.search(r"Observations: (.*?) Alerts: (.*?) They are", text).groups()
    assert tuple(words(first)) == OBSERVATION_COLUMNS
    assert tuple(words(second)) == ALERT_COLUMNS


def test_fields_are_those_of_the_records() -> None:
    assert fields_of("### Observation") == set(OBSERVATION_COLUMNS)
    of_csv_alone = {"evidence_count", "first_source", "first_packet"}
    assert fields_of("### Alert") == set(ALERT_COLUMNS) - of_csv_alone | {
        "exemption",
        "left_out",
        "evidence_file",
        "shortened",
    }


def keys(value: object, path: str = "") -> set[str]:
    """The paths of all values in a record; those in a list have ``[]`` behind its name."""
    if isinstance(value, list):
        return set().union({path}, *(keys(item, f"{path}[]") for item in value))
    if isinstance(value, dict):
        dot = f"{path}." if path else ""
        return set().union(*(keys(item, f"{dot}{key}") for key, item in value.items()))
    return {path}


def test_fields_of_coverage_are_those_of_its_record() -> None:
    found = Coverage()
    found.add(Network("hq", "service"), "ws-1", "named")
    told = {word for row in rows(section("### Coverage")) for word in words(row[0])}
    there = keys(report_record(found.report(1, {})) | {"unnamed": 1, "outside": 1})
    below = {"networks[].devices[]", "networks[].rest"}
    there = {path for path in there if not path.startswith(tuple(f"{each}." for each in below))}
    assert told - {"networks[].rest"} == there | {"networks[].unnamed", "packets.unreadable"}


def test_readings_are_those_of_the_code() -> None:
    table = rows(section("## Blind spots"))
    assert {word for row in table for word in words(row[1])} == set(READINGS)
    ports = {int(number) for row in table for number in re.findall(r"\b\d{3,5}\b", row[2])}
    assert ports == {DNS_PORT, *DOH_PORTS, *(port for _, port in VPN_PORTS)}
