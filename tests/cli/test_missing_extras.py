"""Each command without an extra that it needs says which, and how it is installed; none ends with a
traceback. `tests/packaging/test_extras.py` runs what they print."""

import argparse
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.extras import CASES, LIBRARIES, prepare
from support.paths import PCAPS, ROOT

from netwatch.cli import build_parser
from netwatch.core.installing import install_command

PROGRAM = """
import contextlib, io, json, sys, traceback
sys.modules.update(dict.fromkeys(json.loads(sys.argv[1])))
from netwatch.cli import main
for words in json.loads(sys.argv[2]):
    found = io.StringIO()
    with contextlib.redirect_stderr(found), contextlib.redirect_stdout(found):
        try:
            status = main(words)
        except SystemExit as ended:
            status = ended.code
        except BaseException:
            status = -1
            traceback.print_exc()
    print(json.dumps([status, found.getvalue()]))
"""

WITHOUT = {
    *("bans list", "bans review", "bans show", "completion", "demo", "doctor", "help", "init"),
    *("inventory refresh", "ledger prune", "ledger status", "live", "outputs replay"),
    *("outputs status", "policy check", "policy document", "policy explain", "schema"),
    *("signatures drift", "signatures export", "signatures import", "signatures lint"),
    *("signatures list", "signatures match", "signatures show", "signatures test"),
    *("store key", "verify"),
}
"""The commands that need no extra unless the configuration or an argument is of one."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("extras"))


def test_all_extras_are_here() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = set(tomllib.loads(text)["project"]["optional-dependencies"])
    # What gunzips faster is missed by nobody.
    assert set(LIBRARIES) == extras - {"docs", "fuzz", "isal", "release", "test"}
    assert {each.extra for each in CASES} == set(LIBRARIES)


def leaves(parser: argparse.ArgumentParser, name: tuple[str, ...] = ()) -> Iterator[str]:
    """The commands of a parser, and those of their groups."""
    groups = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if not groups:
        yield " ".join(name)
    for group in groups:
        for word, below in group.choices.items():
            yield from leaves(below, (*name, word))


def test_all_commands_are_here() -> None:
    found = set(leaves(build_parser()))
    tried = {name for name in found for each in CASES if f"{each.words} ".startswith(f"{name} ")}
    assert found == tried | WITHOUT
    assert not tried & WITHOUT


@pytest.mark.parametrize("present", sorted({each.present for each in CASES}), ids="-".join)
def test_the_extra_is_named(present: tuple[str, ...], folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    cases = [each for each in CASES if each.present == present]
    kept = {name for extra in present for name in LIBRARIES[extra]}
    hidden = sorted({name for names in LIBRARIES.values() for name in names} - kept)
    words = [each.words.split() for each in cases]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(hidden), json.dumps(words)],
        cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    wrong = [
        f"{case.words}: {status}, {message}"
        for case, line in zip(cases, done.stdout.splitlines(), strict=True)
        for status, message in [json.loads(line)]
        if f": {install_command(case.extra)}" not in message
        or status != case.status
        or "Traceback" in message
    ]
    assert not wrong, "\n".join(wrong)


def test_a_store_needs_no_console(folder: Path, tmp_path: Path) -> None:
    """Reports and erasure write into the audit of the console, without the extra that serves it."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    shutil.copy(PCAPS / "office-day.pcap", tmp_path / "a.pcap")
    words = (
        "scan a.pcap --store",
        "report --from 2023-03-20 --to 2023-03-20 --devices -o r.json",
        "store erase --device 10.20.7.7 --yes",
        "store query incidents",
        "store verify",
        "rejudge",
        "backup kept",
    )
    hidden = sorted({*LIBRARIES["web"]} - {*LIBRARIES["report"]})
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(hidden), json.dumps([*map(str.split, words)])],
        cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [status for status, _ in answers] == [0] * len(words), answers
