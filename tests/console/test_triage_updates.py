"""Decisions reach the outputs that the configuration names."""

import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import pytest
from support.consoles import Visitor, copied, make_sample_store
from support.paths import PCAPS
from support.programs_of_api import program
from support.waiting import wait_until

from netwatch.config import Config, load
from netwatch.console.console import Console
from netwatch.console.triage import Change, Changed
from netwatch.console.triage_updates import TriageService
from netwatch.core.errors import ConfigError
from netwatch.formats.registry import schema_text
from netwatch.store.incident_pages import IncidentFilter, IncidentRow, incident_page
from netwatch.store.options import StoreOptions

OUTPUTS = """
outputs:
  - {type: file, name: siem, path: siem.jsonl}
  - {type: file, name: other, path: other.jsonl}
  - {type: email, name: people, host: "127.0.0.1", from: a@example.org, to: [b@example.org]}
spool: {path: spool}
console: {triage_outputs: [NAMES]}
"""


def configuration(folder: Path, names: str) -> str:
    text = (PCAPS / "netwatch.yaml").read_text(encoding="utf-8")
    shutil.copy(PCAPS / "devices.csv", folder)
    path = folder / "netwatch.yaml"
    path.write_text(text + OUTPUTS.replace("NAMES", names), encoding="utf-8")
    return str(path)


@pytest.fixture
def telling(sample_store: Path, tmp_path: Path) -> Iterator[Console]:
    """A console whose decisions go to the output `siem`."""
    config = load(configuration(tmp_path, "siem"))
    store = copied(sample_store, tmp_path)
    with Console(config, store) as console, TriageService(console, pytest.fail):
        yield console


def test_another_state_is_sent_with_the_record(telling: Console, tmp_path: Path) -> None:
    asking = program(telling, "analyst")
    records = asking.records("incidents")
    place = f"incidents/{records[0]['id']}"
    assert asking.patch(place, {"state": "in-work", "note": "a word"}).status_code == 200
    assert asking.patch(place, {"note": "more", "assignee": "ben"}).status_code == 200
    assert asking.patch(place, {"state": "false", "reason": "a secret"}).status_code == 200
    lines = tmp_path / "siem.jsonl"
    wait_until(lambda: lines.exists() and len(lines.read_text().splitlines()) == 2)
    first, second = map(json.loads, lines.read_text().splitlines())
    assert [each["triage"]["state"] for each in (first, second)] == ["in-work", "false"]
    for each in (first, second):
        assert {name: value for name, value in each.items() if name != "triage"} == records[0]
        jsonschema.Draft202012Validator(json.loads(schema_text("alert"))).validate(each)
    text = lines.read_text()
    for left_out in ("a secret", "a word", "ben", "token:"):
        assert left_out not in text
    assert not (tmp_path / "other.jsonl").exists()


def all_told(console: Console) -> bool:
    """Whether nothing is untold; it stays as it is."""
    untold = list[str]()
    console.triage.tell(lambda incident, _: untold.append(incident) is not None)
    return not untold


def decide_and_die(place: str, folder: Path, where: str) -> None:
    """Close an incident as a console does that is killed before the outputs are told, or when they
    were but that is not noted."""
    config = load(str(folder / "netwatch.yaml"))
    with Console(config, StoreOptions(place)) as console, TriageService(console, print):

        def die(*_: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        tell = console.triage.tell

        def tell_and_die(take: Callable[[str, Changed], bool]) -> bool:
            return tell(lambda *what: take(*what) and die())  # type: ignore[func-returns-value]

        if where == "told":
            console.triage.tell = tell_and_die  # type: ignore[method-assign]
        else:
            console.tell_triage = die
        asking = program(console, "analyst")
        identity = asking.records("incidents")[0]["id"]
        asking.patch(f"incidents/{identity}", {"state": "false", "reason": "no"})


@pytest.mark.parametrize("where", ["untold", "told"])
def test_what_a_killed_console_decided_is_sent_once(
    sample_store: Path, tmp_path: Path, where: str
) -> None:
    config = load(configuration(tmp_path, "siem"))
    store = copied(sample_store, tmp_path)
    process = multiprocessing.get_context("spawn").Process(
        target=decide_and_die, args=(store.path, tmp_path, where)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    lines = tmp_path / "siem.jsonl"
    for _ in range(2):
        with Console(config, store) as console, TriageService(console, pytest.fail):
            wanted = IncidentFilter(chosen=console.triage.changed(console.catalogue))
            (identity,) = (row.id for row in incident_page(console.catalogue, wanted).rows)
            wait_until(lambda: lines.exists() and bool(lines.read_text()))
            assert all_told(console)
    (record,) = map(json.loads, lines.read_text().splitlines())
    assert (record["id"], record["triage"]["state"]) == (identity, "false")


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_store(request: pytest.FixtureRequest, tmp_path: Path) -> StoreOptions:
    if request.param == "sqlite":
        return copied(request.getfixturevalue("sample_store"), tmp_path)
    return make_sample_store(tmp_path, request.getfixturevalue("postgres_url"))


def test_of_consoles_on_one_database_one_sends_each_decision(
    shared_store: StoreOptions, sample_config: Config, tmp_path: Path
) -> None:
    with Console(sample_config, shared_store) as console:
        records = [json.loads(row.record) for row in rows_of(console)]
        for record in records:
            console.triage.change(record, Change("seen"), "ben", is_to_tell=True)
    ready = threading.Barrier(2)

    def restart(folder: Path) -> list[str]:
        with Console(load(configuration(folder, "siem")), shared_store) as console:
            ready.wait()
            with TriageService(console, pytest.fail):
                assert all_told(console)
        lines = folder / "siem.jsonl"
        return lines.read_text().splitlines() if lines.exists() else []

    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(2) as pool:
        sent = [json.loads(line)["id"] for lines in pool.map(restart, folders) for line in lines]
    assert sorted(sent) == sorted(record["id"] for record in records)


def test_what_one_console_tells_no_other_does_until_it_fails(
    postgres_url: str, sample_config: Config, tmp_path: Path
) -> None:
    store = make_sample_store(tmp_path, postgres_url)
    with Console(sample_config, store) as one, Console(sample_config, store) as other:
        first, second = (json.loads(row.record) for row in rows_of(one)[:2])
        for record in (first, second):
            one.triage.change(record, Change("seen"), "ben", is_to_tell=True)
        told = list[str]()

        def take(incident: str, _: Changed) -> bool:
            told.append(incident)
            return True

        def fail(incident: str, _: Changed) -> bool:
            assert incident == first["id"]
            assert other.triage.tell(take)
            assert not other.triage.tell(take)
            return False

        assert not one.triage.tell(fail)
        assert told == [second["id"]]
        assert other.triage.tell(take)
        assert told == [second["id"], first["id"]]
        assert all_told(one)


def rows_of(console: Console) -> tuple[IncidentRow, ...]:
    return tuple(incident_page(console.catalogue, IncidentFilter()).rows)


def test_a_console_without_outputs_has_nothing_to_tell(console: Console) -> None:
    asking = program(console, "analyst")
    identity = asking.records("incidents")[0]["id"]
    assert asking.patch(f"incidents/{identity}", {"state": "seen"}).status_code == 200
    assert all_told(console)


def test_a_selection_is_sent_too(telling: Console, tmp_path: Path) -> None:
    visitor = Visitor(telling)
    visitor.sign_in("ben")
    ids = [json.loads(each)["id"] for each in visitor.get("/incidents.jsonl").text.splitlines()[:2]]
    fields = {"incident": ids, "state": "seen", "note": "", "purpose": "case 2023/17"}
    answer = visitor.post("/triage", fields)
    assert answer.status_code == 303, answer.text[:500]
    lines = tmp_path / "siem.jsonl"
    wait_until(lambda: lines.exists() and len(lines.read_text().splitlines()) == 2)
    assert [json.loads(each)["id"] for each in lines.read_text().splitlines()] == ids


def test_what_is_gone_is_forgotten_by_the_service(
    console: Console, incident: str, visit: Callable[[str], Visitor]
) -> None:
    record = json.loads(visit("analyst").get("/incidents.jsonl").text.splitlines()[0])
    console.triage.change(record, Change("seen"), "ben")
    console.triage.change(record | {"id": "0" * 32}, Change("seen"), "ben")
    with TriageService(console, pytest.fail, interval=0.01):
        wait_until(lambda: console.triage.decided() == {record["id"]})
    assert console.options.triage_outputs == ()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sime", "expected the name of an output, found 'sime'; did you mean 'siem'?"),
        ("people", "expected an output that sends records, found 'people'"),
    ],
)
def test_a_name_of_no_such_output_is_a_mistake(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(configuration(tmp_path, name))
    assert f"'triage_outputs': {said}" in str(raised.value)
