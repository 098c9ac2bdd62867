"""The documents as readers use them: links, examples, shown exit statuses."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.documents import DOCS, README, anchors, blocks, links, pages, without_code
from support.paths import ROOT

from netwatch.cli import main as netwatch
from netwatch.config import load as load_config
from netwatch.core.user_yaml import Problems
from netwatch.core.yaml_reader import parse_yaml
from netwatch.privacy import write_new_key
from netwatch.rules.signature import read_signature

GETTING_STARTED = DOCS / "getting-started.md"
README_LINES = 110


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in links(text):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text(encoding="utf-8")), target


@pytest.mark.parametrize(
    "page",
    [ROOT / "CONTRIBUTING.md", *sorted((DOCS / "internals").glob("*.md"))],
    ids=lambda path: path.name,
)
def test_files_that_pages_name_exist(page: Path) -> None:
    text = without_code(page.read_text(encoding="utf-8"))
    named = re.findall(r"`([\w.-]+(?:/[\w.-]*)+)`", text)
    placeholders = re.compile(r"\b(?:APP|ID|NAME|RUN|DIGEST)\b")
    named = [name for name in named if not placeholders.search(name)]
    assert named or page.name == "live.md"
    missing = [
        name
        for name in named
        if not (ROOT / name).exists() and not (ROOT / "netwatch" / name).exists()
    ]
    assert missing == []


def test_modules_that_the_notice_names_exist() -> None:
    named = re.findall(r"\b[\w/]+\.py\b", (ROOT / "NOTICE").read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_names_of_the_code_in_contributing_exist() -> None:
    text = without_code((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    named = {name for name in re.findall(r"`(\w+)`", text) if re.search(r"[A-Z]|_", name)}
    folders = ("netwatch", "tests", "tools", "packaging")
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    )
    known = set(re.findall(r"\w+", code))
    placeholders = {"MAX_", "_LIMIT", "KIND_", "SEED", "CORPUS", "TARGET", "OPTIONS"}
    assert named - known - placeholders == set()


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= README_LINES


OTHERS = {
    "scrape_configs": "Prometheus",
    "sinks": "Vector",
}
"""Examples that other programs read, by a key at their top."""


def examples() -> list[tuple[str, str, dict[str, Any]]]:
    """The YAML blocks of all pages: where each is from, its text and its content."""
    found = []
    for page in pages():
        for number, block in enumerate(blocks("yaml", page.read_text(encoding="utf-8")), 1):
            content = yaml.safe_load(block)
            assert isinstance(content, dict), (page, number)
            found.append((f"{page.relative_to(ROOT)}-{number}", block, content))
    return found


def configurations() -> list[tuple[str, str]]:
    """The example configurations of all pages: where each is from, and its text."""
    every = examples()
    return [(at, block) for at, block, top in every if not {"app", *OTHERS} & set(top)]


@pytest.mark.parametrize("other", OTHERS)
def test_examples_for_other_programs_are_there(other: str) -> None:
    assert any(other in content for _, _, content in examples())


def test_there_are_example_configurations() -> None:
    from_pages = {place.rpartition("-")[0] for place, _ in configurations()}
    assert {"docs/getting-started.md", "docs/siem/splunk.md"} <= from_pages
    assert len(configurations()) > 15


@pytest.mark.parametrize(("place", "example"), configurations(), ids=lambda each: each[:40])
def test_example_configurations_are_valid(place: str, example: str, tmp_path: Path) -> None:
    file = tmp_path / "netwatch.yaml"
    version = "" if "version: 1" in example else "version: 1\n"
    example = example.replace("/etc/netwatch/", f"{tmp_path}/")
    for path in re.findall(r"/var/lib/[\w/]+/[\w.-]*leases[\w.]*", example):
        (tmp_path / Path(path).name).touch()
        example = example.replace(path, Path(path).name)
    example = example.replace("/var/lib/netwatch/inventory/", "inventory/")
    (tmp_path / "assets.csv").write_text("Device Name,Ethernet MAC,Department\nlab-07,,\n")
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "devices-2023-03-01.csv").write_text("id,ip\nlab-07,10.20.7.7\n")
    file.write_text(version + example, encoding="utf-8")
    shutil.copy(ROOT / "pcaps" / "devices.csv", tmp_path)
    for name in re.findall(r"([\w-]+\.(?:pem|creds)|root\.json|[\w.-]+\.j2)", example):
        (tmp_path / name).touch()
    for name in re.findall(r"([\w-]+\.key)\}", example):
        write_new_key(tmp_path / name)
    load_config(str(file))


def test_the_long_example_uses_every_section_and_has_no_notes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = max(blocks("yaml", GETTING_STARTED.read_text(encoding="utf-8")), key=len)
    file = tmp_path / "netwatch.yaml"
    file.write_text(example, encoding="utf-8")
    shutil.copy(ROOT / "pcaps" / "devices.csv", tmp_path)
    assert netwatch(["policy", "check", "-c", str(file)]) == 0
    out = capsys.readouterr().out
    assert "\nnote " not in out
    assert all(name in out for name in ("city-rule", "be-fed-tiktok-2023", "lab-07", "guest"))


@pytest.mark.parametrize(("place", "has_periods"), [(0, False), (1, True)])
def test_example_inventories_are_valid(place: int, has_periods: bool, tmp_path: Path) -> None:
    examples = blocks("text", (DOCS / "guides" / "inventory.md").read_text(encoding="utf-8"))
    (tmp_path / "devices.csv").write_text(examples[place], encoding="utf-8")
    file = tmp_path / "netwatch.yaml"
    file.write_text("version: 1\ndevices: {inventory: devices.csv}\n", encoding="utf-8")
    entries = load_config(str(file)).devices.entries
    assert len(entries) == 3
    assert entries.has_periods == has_periods


def test_example_signatures_are_valid() -> None:
    found = [(f"{top['app']}.yaml", block) for _, block, top in examples() if "app" in top]
    assert len(found) > 1
    for name, block in found:
        problems = Problems()
        mapping = parse_yaml(block, name, problems)
        assert mapping is not None
        assert read_signature(mapping, name, problems) is not None
        assert problems.found == [], block


def test_exit_statuses_are_as_documented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_metrics_that_pages_mention_exist() -> None:
    from netwatch.fleet.centre_status import CENTRE_METRICS
    from netwatch.watch.metrics import METRICS

    known = {each.name for each in METRICS} | {each.name for each in CENTRE_METRICS}
    for page in pages():
        mentioned = re.findall(r"\bnetwatch_[a-z_]+\b", page.read_text(encoding="utf-8"))
        here = {name for name in mentioned if name.endswith(("_total", "_seconds", "_info"))}
        assert here <= known, page
