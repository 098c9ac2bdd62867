"""The examples of the guide to queries, on a store of the sample captures."""

import re
import shlex
from pathlib import Path

import pytest
from support.asked_stores import AskedStore, filled_store, run
from support.paths import PCAPS, ROOT

PAGE = (ROOT / "docs/guides/query.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^netwatch store ([^#\n]+)", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> AskedStore:
    """A store whose configuration has the network and the device that examples name."""
    folder = tmp_path_factory.mktemp("store")
    filled = filled_store(folder, str(folder / "kept"), "", [PCAPS])
    path, inventory = Path(filled.config), folder / "devices.csv"
    guests = "networks:\n  - {name: guests, cidrs: [10.99.0.0/16], class: guest}\n"
    path.write_text(path.read_text().replace("networks:\n", guests))
    inventory.write_text(f"{inventory.read_text()}lab-07,10.20.9.7,,,,service\n")
    return filled


def test_there_are_examples() -> None:
    assert len(QUERIES) >= 12
    assert len(COMMANDS) >= 10


@pytest.mark.parametrize("query", QUERIES)
def test_queries_find_something(store: AskedStore, query: str) -> None:
    assert store.sql(query)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_work(
    store: AskedStore, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = store.ask(*shlex.split(command))
    assert ran.status == 0, ran.errors


@pytest.mark.parametrize("command", ["store", "store sql", "store query"])
def test_examples_of_the_help_work(
    store: AskedStore, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = run(*command.split(), "--help").output.partition("examples:")[2]
    examples = re.findall(r"^  netwatch store ((?:[^\n]|\n {10,})+)", text, re.MULTILINE)
    assert len(examples) >= 5
    for example in examples:
        if example.startswith(("erase", "prune")) or " --url " in example:
            continue  # what these need has tests of its own
        words = shlex.split(re.split(r"  +(?=[a-z])", example)[0])
        ran = store.ask(*words)
        assert ran.status == 0, (example, ran.errors)
