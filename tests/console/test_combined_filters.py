"""Filters by sensor, and several at once: the report, the console with its files, the API,
`store query` and SQL give the same incidents and the same cases."""

import contextlib
import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trustme
from support.asked_answers import BAN, SINCE, UNTIL, Answers
from support.console_server import served
from support.consoles import copied, records
from support.fleets import fill_fleet

from netwatch.config import load
from netwatch.config.console_section import ConsoleOptions
from netwatch.console.console import Console
from netwatch.console.database import open_console
from netwatch.console.tokens import Tokens
from netwatch.core.filter_words import EXCLUDES
from netwatch.store.cases import is_centre
from netwatch.store.options import StoreOptions

OTHER = "annex"
"""A sensor that saw devices of its own, which had the contacts of those of the first one."""

Words = Mapping[str, Sequence[str]]
"""The values of each filter."""

INCIDENTS: Sequence[Words] = (
    {"sensor": [OTHER]},
    {"not-sensor": [OTHER]},
    {"app": ["tiktok"], "network": ["hq"], "sensor": [OTHER], "ban": [BAN],
     "verdict": ["violation"]},
    {"app": ["tiktok"], "network": ["hq"], "not-sensor": [OTHER], "ban": [BAN],
     "verdict": ["violation", "advisory"], "not-kind": ["lookup"]},
    {"network": ["hq", "byod"], "sensor": [OTHER], "not-verdict": ["violation"]},
    {"not-app": ["wechat"], "sensor": [OTHER], "not-confidence": ["probable"]},
    {"not-network": ["byod"], "not-device": ["annex-ws-021", "ws-021"], "outcome": ["reached"],
     "not-severity": ["low"], "not-state": ["open"], "not-outcome": ["blocked"]},
    {"device": ["annex-ws-021"], "sensor": [OTHER], "severity": ["medium", "high"],
     "state": ["closed"], "confidence": ["probable"]},
)  # fmt: skip
"""Questions that some incidents are the answer to, and some not."""

CASES: Sequence[Words] = (
    {"sensor": ["liege"]},
    {"sensor": ["liege", "namur"]},
    {"not-sensor": ["liege"]},
    {"app": ["tiktok"], "network": ["hq"], "sensor": ["ghent"], "ban": ["default"],
     "verdict": ["violation"], "not-device": ["kiosk-3"]},
    {"not-app": ["tiktok"], "sensor": ["ghent"], "not-network": ["byod"]},
)  # fmt: skip
"""The same of cases."""


@pytest.fixture(scope="module")
def store(sample_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """The store of the sample captures, some of which another sensor saw, and of a fleet."""
    folder = tmp_path_factory.mktemp("filtered")
    options = copied(sample_store, folder)
    answers = Answers(folder, Path(options.path))
    console = Console(load(str(answers.config)), options, ConsoleOptions())
    seen = [_seen_there(each) for each in records(console)]
    run = console.catalogue.begin_run("scan", OTHER)
    console.catalogue.add_incidents(run, [(each, json.dumps(each)) for each in seen])
    console.catalogue.end_run(run)
    answers.meet(console)
    assert answers.report  # Before there are cases, of which it would be.
    fill_fleet(console.catalogue, console.now())
    assert is_centre(console.catalogue)
    yield answers
    console.close()


def _seen_there(record: dict[str, Any]) -> Any:
    device = {**record["device"], "id": f"{OTHER}-{record['device']['id']}", "ip": None}
    sensor = {**record["sensor"], "name": OTHER}
    return {**record, "id": record["id"][::-1], "device": device, "sensor": sensor}


def ids(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(each["id"] for each in found)


def options_of(words: Words) -> list[str]:
    return [each for name in words for word in words[name] for each in (f"--{name}", word)]


def address(place: str, words: Words) -> str:
    query = urlencode({"from": SINCE, "to": UNTIL, **words}, doseq=True)
    return f"{place}?{query}"


def rows(store: Answers, role: str, place: str, words: Words) -> list[dict[str, str]]:
    """The rows of a list of the console as CSV."""
    answer = store.visitor(role).open(address(f"{place}.csv", words))
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))


def lines(store: Answers, place: str, words: Words) -> list[dict[str, Any]]:
    """The same as JSON lines."""
    answer = store.visitor("analyst").open(address(f"{place}.jsonl", words))
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def total(store: Answers, place: str, words: Words) -> int:
    """The number that a page of the console says."""
    text = store.visitor("analyst").open(address(place, words)).text
    found = re.search(r'<p class="total" role="status">(\d+) ', text)
    assert found is not None
    return int(found[1])


def value(record: Mapping[str, Any], name: str) -> str:
    """What a filter compares of a record."""
    found = record["status" if name == "state" else name]
    key = {"network": "name", "sensor": "name", "kind": "value"}.get(name, "id")
    return str(found[key] if isinstance(found, dict) else found)


def is_wanted(record: Mapping[str, Any], words: Words) -> bool:
    return all(
        (value(record, name.removeprefix(EXCLUDES)) in wanted) != name.startswith(EXCLUDES)
        for name, wanted in words.items()
    )


@pytest.mark.parametrize("number", range(len(INCIDENTS)))
def test_incidents_are_the_same_by_every_way(store: Answers, number: int) -> None:
    words = INCIDENTS[number]
    every = store.query("incidents")
    wanted = ids([each for each in every if is_wanted(each, words)])
    assert 0 < len(wanted) < len(every)
    assert wanted == ids(store.query("incidents", *options_of(words)))
    assert wanted == ids(store.asked("incidents", **words))
    assert wanted == ids(lines(store, "/incidents", words))
    assert wanted == ids(rows(store, "analyst", "/incidents", words))
    if not {"device", "not-device"} & {*words}:
        assert wanted == ids(rows(store, "auditor", "/incidents", words))
    assert len(wanted) == total(store, "/incidents", words)


def test_the_report_counts_what_each_sensor_saw(store: Answers) -> None:
    """Contacts that both have seen once."""
    every = {each["id"]: each for each in store.query("incidents", "--ban", BAN)}
    reported = [every[each["id"]] for each in store.ban()["incidents"]]
    assert {each["sensor"]["name"] for each in reported} >= {OTHER}
    assert len(every) - len(reported) == store.ban()["totals"]["merged"]


def test_incidents_are_the_same_by_sql(store: Answers) -> None:
    found = store.sql(
        "SELECT id FROM incident WHERE $first_seen AND app = 'tiktok' AND network = 'hq'"
        f" AND record->>'$.sensor.name' = '{OTHER}' AND ban = '{BAN}' AND verdict = 'violation'"
    )
    assert ids(found) == ids(store.query("incidents", *options_of(INCIDENTS[2])))


def test_files_of_incidents_say_who_saw_them(store: Answers) -> None:
    by_id = {each["id"]: each["sensor"]["name"] for each in store.query("incidents")}
    for role in ("analyst", "auditor"):
        found = rows(store, role, "/incidents", {})
        assert {each["id"]: each["sensor"] for each in found} == by_id


@pytest.mark.parametrize("number", range(len(CASES)))
def test_cases_are_the_same_by_every_way(store: Answers, number: int) -> None:
    words = CASES[number]
    every = store.query("cases")
    found = store.query("cases", *options_of(words))
    assert 0 < len(found) < len(every)
    assert found == store.asked("cases", **words)
    assert ids(found) == ids(lines(store, "/cases", words))
    assert ids(found) == ids(rows(store, "analyst", "/cases", words))
    assert len(found) == total(store, "/cases", words)
    if sensors := words.get("sensor"):
        assert all({*sensors} & {seen["sensor"] for seen in each["seen_by"]} for each in found)


@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
def test_the_command_asks_a_console_by_sensor(
    store: Answers, is_secure: bool, tmp_path: Path
) -> None:
    """The installed command, in a process of its own and from another folder."""
    token, path = tmp_path / "a.token", store.place[1]
    with contextlib.closing(open_console(StoreOptions(path))) as database:
        token.write_text(Tokens(database).add(f"cli-{is_secure}", "analyst", "case 2023/17"))
    authority, more = trustme.CA(), []
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    if is_secure:
        issued = authority.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(tmp_path / "c.pem")
        issued.private_key_pem.write_to_path(tmp_path / "k.pem")
        more = ["--tls-cert", str(tmp_path / "c.pem"), "--tls-key", str(tmp_path / "k.pem")]
    program = str(Path(sys.executable).with_name("netwatch"))

    def asked(*arguments: str) -> str:
        command = [program, "store", "query", *arguments, "--format", "jsonl"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with served("--store-path", path, *more) as console:
        there = ["--url", console.address, "--token-file", str(token)]
        there += ["--ca", str(tmp_path / "ca.pem")] if is_secure else []
        here = ["-c", str(store.config), *store.place]
        for records, sensor in (("incidents", OTHER), ("cases", "liege")):
            every = asked(records, *here).splitlines()
            for option in ("--sensor", "--not-sensor"):
                found = asked(records, option, sensor, *here)
                assert 0 < len(found.splitlines()) < len(every)
                assert asked(records, option, sensor, *there) == found
