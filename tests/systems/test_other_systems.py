"""netwatch as on Windows, macOS and FreeBSD: the same commands give the same bytes.

Each run has what typeshed says that the system has (`support.lacking`), in this process and in
spawned ones. What such a run does not show: paths with backslashes, the code page of a console,
and whether libraries that netwatch needs are there.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.lacking import SYSTEMS, as_on
from support.paths import ROOT

from netwatch.cli import COMMANDS as COMMANDS_THERE
from netwatch.cli import POSIX_COMMANDS, captures
from netwatch.core.system import LINUX_ONLY, POSIX_ONLY

SIMULATION = Path(__file__).parent / "simulation"
LOGS = ("bind", "dnsmasq", "squid", "suricata-eve", "unbound", "zeek")
CONFIG = ["-c", "pcaps/netwatch.yaml"]
DAY = ("--name", "www.tiktok.com", "--time", "2023-03-20T09:00:00Z")
COMMANDS: list[tuple[str, list[str]]] = [
    ("scan", ["scan", *CONFIG, "pcaps", "--format", "jsonl", "--evidence", "proof", "--coverage"]),
    ("table", ["scan", *CONFIG, "pcaps/office-day.pcap"]),
    ("workers", ["scan", *CONFIG, "pcaps", "--format", "jsonl", "--jobs", "2", "-q"]),
    ("one", ["scan", *CONFIG, "pcaps/office-day.pcap", "--format", "csv", "--jobs", "2", "-q"]),
    ("file", ["scan", *CONFIG, "pcaps/office-day.pcap", "-o", "alerts.jsonl", "--format", "jsonl"]),
    ("names", ["names", "pcaps", "--format", "jsonl", "-q"]),
    ("names-workers", ["names", "pcaps", "--format", "jsonl", "--jobs", "2", "-q"]),
    ("names-one", ["names", "pcaps/five-kinds.pcap", "--format", "jsonl", "--jobs", "2", "-q"]),
    ("logs", ["names", *(f"logs/{each}" for each in LOGS), "--format", "jsonl", "--year", "2023"]),
    ("match", ["signatures", "match", "www.tiktok.com", "tiktok.com.example", "--format", "jsonl"]),
    ("policy", ["policy", "check", *CONFIG]),
    ("explain-policy", ["policy", "explain", *CONFIG, "--device", "10.20.1.7", *DAY]),
    ("explain", ["explain", "ID", "--alerts", "alerts.jsonl"]),
    ("verify", ["verify", "proof"]),
    ("inventory", ["inventory", "refresh", "-c", "refresh.yaml", "--dry-run"]),
    ("bans", ["bans", "list"]),
    ("schema", ["schema", "alert"]),
    ("wrong", ["scan", "absent.pcap", "-q"]),
]  # fmt: skip
REFRESH = """\
version: 1
networks: [{name: hq, cidrs: [10.0.0.0/8], class: service}]
devices: {inventory: devices.csv, sources: [{type: csv, path: register.csv}]}
"""
STORED: list[tuple[str, list[str]]] = [
    ("kept", ["scan", *CONFIG, "pcaps", "--store-path", "store", "--format", "jsonl", "-q"]),
    ("rows", ["store", "query", "observations", "--store-path", "store", "--format", "jsonl"]),
    ("again", ["rejudge", *CONFIG, "--store-path", "store", "--format", "jsonl"]),
]
POSIX_OPTIONS = ("--store", "--deliver", "--ledger=done", "--cluster=local")
REFUSED = [
    *((f"no-{each}", [each, *words]) for each, words in {
        "live": ["-i", "lo"], "store": ["status"], "serve": [], "doctor": [], "rejudge": [],
        "outputs": ["status"], "users": ["list"], "audit": ["list"], "fleet": ["status"],
        "tokens": ["list"],
    }.items()),
    *((f"no{option[:6]}", ["scan", "pcaps", option]) for option in POSIX_OPTIONS),
]  # fmt: skip

_FREEBSD = ("scan", "names-workers", "file", "verify", "inventory", "wrong")
TRIED = {"freebsd14": [each for each in COMMANDS if each[0] in _FREEBSD]}
"""What is tried on a system, all unless given: to netwatch FreeBSD differs little from macOS."""


def run(folder: Path, commands: list[tuple[str, list[str]]], system: str | None) -> dict[str, str]:
    """What commands print and write, by the names of the files, on this system or another."""
    folder.mkdir()
    (folder / "pcaps").mkdir()
    for path in (ROOT / "pcaps").iterdir():
        if path.suffix in (".pcap", ".yaml", ".csv"):
            (folder / "pcaps" / path.name).symlink_to(path)
    (folder / "logs").symlink_to(ROOT / "tests" / "logs" / "samples")
    (folder / "refresh.yaml").write_text(REFRESH)
    (folder / "register.csv").write_text("id,mac\nws-1,02:00:00:00:00:01\n")
    (folder / "commands.json").write_text(json.dumps(commands))
    environment = os.environ | {"HOME": str(folder / "home"), "PYTHONWARNINGS": "error"}
    environment.pop("XDG_CACHE_HOME", None)
    (folder / "home").mkdir()
    if system is not None:
        environment |= as_on(system, folder)
    words = [sys.executable, str(SIMULATION / "run_commands.py"), "commands.json"]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    said = [
        path.read_text()
        for path in sorted(folder.glob("*.err"), key=lambda path: path.stat().st_mtime_ns)
    ]
    assert done.returncode == 0, (done.stderr, said[-1:])
    kept = ("*.out", "*.err", "*.status", "modules", "alerts.jsonl", "proof/*")
    return {
        str(path.relative_to(folder)): _without_times(
            path.read_bytes().decode("latin-1").replace(f"{folder}/", "")
        )
        for pattern in kept
        for path in sorted(folder.glob(pattern))
    }


def _without_times(text: str) -> str:
    text = re.sub(r"\b20\d\d-\d\d-\d\dT[\d:]+Z:", "", text)
    return re.sub(r"\b\d+(?:\.\d+)? (?:ms|s)\b.*", "", text)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return run(tmp_path_factory.mktemp("here") / "run", COMMANDS, None)


def test_the_commands_do_something(expected: dict[str, str]) -> None:
    for name, _ in COMMANDS:
        status = "1\n" if name in ("wrong", "match") else "0\n"
        assert expected[f"{name}.status"] == status, (name, expected)
        assert expected[f"{name}.out"] or expected[f"{name}.err"] or name == "file"
    assert expected["alerts.jsonl"]
    assert sum(name.startswith("proof/") for name in expected) > 3


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_output_is_the_same(tmp_path: Path, expected: dict[str, str], system: str) -> None:
    refused = REFUSED if system == "win32" else []
    tried = TRIED.get(system, COMMANDS)
    found = run(tmp_path / "run", [*tried, *refused], system)
    modules = found.pop("modules").split()
    for name, _ in refused:
        assert found.pop(f"{name}.status") == "2\n", name
        assert "Linux, macOS or FreeBSD" in found.pop(f"{name}.err"), name
        assert found.pop(f"{name}.out") == ""
    left_out = {name for name, _ in COMMANDS} - {name for name, _ in tried}
    written = {each for each in expected if each.partition(".")[0] not in left_out}
    assert found.keys() == written - {"modules"}
    for name, text in found.items():
        assert text == expected[name], name
    unwanted = LINUX_ONLY + (POSIX_ONLY if system == "win32" else ())
    assert not [each for each in modules if _is_below(each, unwanted)]


def test_a_store_is_written_by_a_spawned_process(tmp_path: Path, expected: dict[str, str]) -> None:
    found = run(tmp_path / "run", STORED, "darwin")
    assert [found[f"{name}.status"] for name, _ in STORED] == ["0\n"] * 3
    assert found["kept.out"] == expected["workers.out"]
    assert len(found["rows.out"].splitlines()) == len(expected["names.out"].splitlines())
    assert found["again.out"] == ""


def test_windows_can_have_the_names_of_all_files(expected: dict[str, str]) -> None:
    for name in expected:
        assert not re.search(r'[<>:"\\|?*]', name), name


def test_the_refused_commands_are_all_tried() -> None:
    tried = {words[0] for _, words in REFUSED}
    assert {*POSIX_COMMANDS} - tried <= {"backup", "ledger", "report", "restore"}


def test_the_guide_says_the_same() -> None:
    rows = re.findall(r"^\|(.*)\|$", (ROOT / "docs/guides/other-systems.md").read_text(), re.M)[2:]
    told = {command: row for row in rows for command in re.findall(r"`(\w+)`", row.split("|")[0])}
    assert told.keys() == COMMANDS_THERE.keys()
    assert {each for each, row in told.items() if row.split("|")[-1].strip() == "no"} == {
        *POSIX_COMMANDS
    }
    options = {f"--{each.replace('_', '-')}" for each in captures.POSIX_OPTIONS}
    assert options - {"--store-path"} == {*re.findall(r"`(--\w+)`", told["scan"])}


def _is_below(module: str, places: tuple[str, ...]) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in places)
