"""Deleting by age: what goes, what stays, and that it can be killed and run again."""

import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.examples import only_long
from support.made_store import EMPTY, write_rows
from support.paths import ROOT

from netwatch.cli import main
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import RETIRED, FactRemoval
from netwatch.store.opening import open_catalogue
from netwatch.store.options import Retention, StoreOptions
from netwatch.store.pruning import Pruned, Pruning
from netwatch.store.run_rows import ClientAddress
from netwatch.store.tables import FACTS

DAY = 86_400
NOW = datetime(2024, 3, 31, tzinfo=UTC).timestamp()
AGES = (0, 3, 6, 10, 29, 40)
"""Days before the day of `NOW` on which each client has a row."""


def row(table: str, client: int, age: int) -> dict[str, object]:
    time = int(NOW - age * DAY + 3600) * 10**9
    made: dict[str, object] = {each.name: EMPTY[each.kind] for each in FACTS[table]}
    for name in ("time", "first", "last"):
        if name in made:
            made[name] = time
    return made | {"client": client, "capture": 1}


@pytest.fixture
def facts(tmp_path: Path) -> FactRemoval:
    options = StoreOptions(str(tmp_path / "store"))
    catalogue = open_catalogue(options, create=True)
    classes = ("service", "personal", "guest")
    addresses = [ClientAddress(f"10.0.0.{n}", None, kind, kind) for n, kind in enumerate(classes)]
    numbers = catalogue.client_numbers(addresses, "sensor")
    for table in FACTS:
        rows = [row(table, number, age) for number in numbers for age in AGES]
        write_rows(catalogue, options, table, rows[::2])
        write_rows(catalogue, options, table, rows[1::2], compacted=True)
    return FactRemoval(catalogue, FactFiles(options.path))


def kept(facts: FactRemoval) -> Counter[tuple[str, str, int]]:
    """The table, class and age of each row."""
    with closing(sqlite3.connect(Path(facts.files.place) / "catalogue.sqlite")) as database:
        classes = dict(database.execute("SELECT number, class FROM client"))
    found: Counter[tuple[str, str, int]] = Counter()
    for file in facts.all_files():
        time = "first" if file.table == "flow" else "time"
        for each in facts.read(file, ["client", time]).to_pylist():
            age = round((NOW - each[time] / 10**9 + 3600) / DAY)
            found[file.table, classes[each["client"]], age] += 1
    return found


def expected(facts_days: int, personal_days: int) -> Counter[tuple[str, str, int]]:
    # A row of `age` days is of a day that ended `age - 1` days before.
    return Counter(
        (table, kind, age)
        for table in FACTS
        for kind in ("service", "personal", "guest")
        for age in AGES
        if age - 1 < (facts_days if kind == "service" else min(facts_days, personal_days))
    )


@pytest.mark.parametrize(
    ("facts_days", "personal_days"), [(30, 7), (7, 30), only_long(5, 2), only_long(100, 100)]
)
def test_days_go_and_rows_of_people_earlier(
    facts: FactRemoval, facts_days: int, personal_days: int
) -> None:
    before = sum(kept(facts).values())
    retention = Retention(observations=facts_days * DAY, personal=personal_days * DAY)
    counted = Pruning(facts, retention, NOW).prune("me", dry_run=True)
    assert sum(kept(facts).values()) == before
    pruned = Pruning(facts, retention, NOW).prune("me")
    assert kept(facts) == expected(facts_days, personal_days)
    assert pruned.rows == before - sum(kept(facts).values())
    assert counted.rows == pruned.rows
    assert counted.personal == pruned.personal
    paths = {file.path for file in facts.all_files()}
    on_disk = {path for table in FACTS for path, _ in facts.files.walk(table)}
    assert on_disk == paths
    assert Pruning(facts, retention, NOW).prune("me").is_nothing


def test_clients_of_no_fact_go(facts: FactRemoval) -> None:
    assert Pruning(facts, Retention(observations=DAY), NOW + 5 * DAY).prune("me").clients == 3
    assert list(facts.all_files()) == []


def test_new_clients_stay_while_a_run_is_storing(facts: FactRemoval) -> None:
    run = facts.catalogue.begin_run("live", "sensor")
    new = [ClientAddress("10.0.0.9", None, "service", "service")]
    numbers = facts.catalogue.client_numbers(new, "sensor")
    pruned = Pruning(facts, Retention(observations=DAY), NOW + 5 * DAY).prune("me")
    assert pruned.clients == 3
    assert facts.catalogue.client_numbers(new, "sensor") == numbers
    facts.catalogue.end_run(run)
    again = Pruning(facts, Retention(observations=DAY), NOW + 5 * DAY).prune("me")
    assert again == Pruned(clients=1)


def test_a_client_that_was_deleted_gets_another_number(facts: FactRemoval) -> None:
    address = ClientAddress("10.0.0.0", None, "service", "service")
    (before,) = facts.catalogue.client_numbers([address], "sensor")
    Pruning(facts, Retention(observations=DAY), NOW + 5 * DAY).prune("me")
    (after,) = facts.catalogue.client_numbers([address], "sensor")
    assert before != after
    with closing(sqlite3.connect(Path(facts.files.place) / "catalogue.sqlite")) as database:
        assert list(database.execute("SELECT number FROM client")) == [(after,)]


def test_rows_of_clients_that_are_gone_go(facts: FactRemoval) -> None:
    with closing(sqlite3.connect(Path(facts.files.place) / "catalogue.sqlite")) as database:
        database.execute("DELETE FROM client WHERE class = 'guest'")
        database.commit()
    assert Pruning(facts, Retention(), NOW).prune("me").is_nothing
    facts.catalogue.add_journal("me", "erase", {})
    pruned = Pruning(facts, Retention(), NOW).prune("me")
    assert pruned.rows == len(AGES) * len(FACTS)
    assert {kind for _, kind, _ in kept(facts)} == {"service", "personal"}


def test_a_file_that_was_retired_and_not_removed_goes(facts: FactRemoval) -> None:
    file = next(facts.all_files())
    facts._retire([file.path], [])
    assert file.path not in {each.path for each in facts.all_files()}
    assert (Path(facts.files.place) / file.path).exists()
    Pruning(facts, Retention(), NOW).prune("me")
    assert not (Path(facts.files.place) / file.path).exists()
    with closing(sqlite3.connect(Path(facts.files.place) / "catalogue.sqlite")) as database:
        assert not list(database.execute('SELECT 1 FROM file WHERE "table" = ?', (RETIRED,)))


CONFIGURATION = """\
version: 1
bans: [{id: rule, authority: City, apps: [tiktok], forbids: [service]}]
store: {path: store}
retention: {incidents: 30d, evidence: 10d}
"""


def test_incidents_and_evidence_go_by_their_day_and_captures_of_users_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("netwatch.yaml").write_text(CONFIGURATION)
    shutil.copy(ROOT / "pcaps" / "office-day.pcap", "mine.pcap")
    assert main(["scan", "-q", "--store", "--coverage", "--evidence", "proof", "mine.pcap"]) == 0
    evidence = sorted(Path("proof").iterdir())
    assert evidence
    # A capture of a user that is called like one of netwatch, where the catalogue has one.
    evidence[0].write_bytes(Path("mine.pcap").read_bytes())
    capsys.readouterr()

    assert main(["store", "prune", "--now", "2023-03-25", "--format", "jsonl"]) == 0
    assert json.loads(capsys.readouterr().out)["evidence"] == 0
    assert main(["store", "prune", "--now", "2023-04-05", "--dry-run", "--format", "jsonl"]) == 0
    counted = json.loads(capsys.readouterr().out)
    assert main(["store", "prune", "--now", "2023-04-05", "--format", "jsonl"]) == 0
    pruned = json.loads(capsys.readouterr().out)
    assert counted["evidence"] == pruned["evidence"] == len(evidence) - 1
    assert sorted(Path("proof").iterdir()) == evidence[:1]
    assert Path("mine.pcap").exists()
    assert pruned["incidents"] == pruned["coverage"] == 0
    assert main(["store", "prune", "--now", "2023-04-25", "--format", "jsonl"]) == 0
    pruned = json.loads(capsys.readouterr().out)
    assert pruned["incidents"] == len(evidence)
    assert pruned["coverage"] == 1
    assert main(["store", "prune", "--now", "2023-04-25"]) == 0
    assert "nothing is older" in capsys.readouterr().out
    with closing(sqlite3.connect("store/catalogue.sqlite")) as database:
        assert [action for (action,) in database.execute("SELECT action FROM journal")] == [
            "prune",
            "prune",
        ]


def test_without_retention_there_is_nothing_to_prune(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("netwatch.yaml").write_text("version: 1\nstore: {path: store}\n")
    assert main(["store", "prune"]) == 2
    assert "no 'retention', so nothing is ever deleted; add it" in capsys.readouterr().err
