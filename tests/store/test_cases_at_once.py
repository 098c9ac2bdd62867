"""Several processes store alerts in PostgreSQL at once, and the cases are those of one."""

import random
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.examples import only_long
from support.fleet_alerts import GAP, MINUTE, fleet_alert
from support.postgres_server import new_database

from netwatch.store import cases
from netwatch.store.cases import SensorAlert, WordLocks, keep_alerts
from netwatch.store.catalogue import Catalogue
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

SENSORS = ("brussels", "ghent", "liege", "mons")


@pytest.fixture
def options(tmp_path: Path, postgres_server: str) -> StoreOptions:
    return StoreOptions(str(tmp_path / "store"), new_database(postgres_server))


def made(seed: int, count: int) -> dict[str, list[SensorAlert]]:
    """Alerts of each sensor, of few devices that several of them see, by one name or another."""
    chance = random.Random(seed)
    found: dict[str, list[SensorAlert]] = {name: [] for name in SENSORS}
    for number in range(count):
        for place, sensor in enumerate(SENSORS):
            device = chance.randrange(6)
            # Sensors with the same microsecond would have the same id for an incident.
            first = chance.randrange(0, 12 * GAP, MINUTE) + place * 1000
            named = chance.random()
            values: dict[str, Any] = {
                "device": f"dev-{device}" if named < 0.5 else f"10.0.0.{device}",
                "ip": f"10.0.0.{device}" if named < 0.8 else None,
                "hostname": f"host-{device}" if chance.random() < 0.4 else None,
                "flows": (f"1:{device}-{first // (2 * MINUTE)}",) if chance.random() < 0.5 else (),
                "app": chance.choice(("tiktok", "wechat")),
                "is_listed": named < 0.5,
                "count": number + 1,
            }
            found[sensor].append(fleet_alert(sensor, first, status="open", **values))
            if chance.random() < 0.7:
                last = first + chance.randrange(0, GAP, MINUTE)
                found[sensor].append(fleet_alert(sensor, first, last, **values))
    return found


def state(options: StoreOptions) -> list[list[tuple[Any, ...]]]:
    """Cases, who belongs to them, by which words they are found, and all counts."""
    statements = (
        "SELECT id, record FROM fleet_case ORDER BY id",
        'SELECT sensor, incident, "case", first_seen, last_seen FROM fleet_case_incident'
        " ORDER BY sensor, incident",
        "SELECT word, sensor, incident, first_seen, last_seen FROM fleet_case_word"
        " ORDER BY word, sensor, incident",
        # Until when they were seen is a bound, which depends on the order of states.
        "SELECT day, verdict, confidence, kind, outcome, status, app, ban, network, incidents"
        " FROM incident_day ORDER BY day, verdict, confidence, kind, outcome, status, app, ban,"
        " network",
        "SELECT * FROM incident_device ORDER BY device, network",
        "SELECT * FROM incident_device_word ORDER BY word, device, network, sensor, ip, mac",
        "SELECT * FROM incident_name ORDER BY number",
        "SELECT number, named.first_seen, sensor, incident.id FROM incident_named named"
        " JOIN incident ON incident.run = named.run AND incident.position = named.position"
        " JOIN run ON run.id = incident.run ORDER BY number, named.first_seen, sensor, incident.id",
        "SELECT run.sensor, incident.id, record FROM incident JOIN run ON run.id = incident.run"
        " ORDER BY run.sensor, incident.id",
        "SELECT id, sum(shown) FROM incident GROUP BY id ORDER BY id",
    )
    with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:
        return [[tuple(row) for row in connection.exec_driver_sql(each)] for each in statements]


def store_at_once(options: StoreOptions, alerts: dict[str, list[SensorAlert]], size: int) -> None:
    """Store the alerts of each sensor in a thread with a connection of its own."""
    problems: list[BaseException] = []
    begin = threading.Barrier(len(alerts))

    def work(mine: Sequence[SensorAlert]) -> None:
        try:
            with open_catalogue(options, create=True) as catalogue:
                begin.wait()
                for at in range(0, len(mine), size):
                    keep_alerts(catalogue, mine[at : at + size], GAP, beside_others=True)
        except BaseException as error:
            problems.append(error)
            begin.abort()

    open_catalogue(options, create=True).close()
    threads = [threading.Thread(target=work, args=(mine,)) for mine in alerts.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


@pytest.mark.parametrize(("seed", "size"), [only_long(1, 3), only_long(2, 10), (3, 1)])
def test_cases_are_those_of_one_process(
    options: StoreOptions, tmp_path: Path, seed: int, size: int
) -> None:
    alerts = made(seed, 25)
    store_at_once(options, alerts, size)
    alone = StoreOptions(str(tmp_path / "alone"))
    with open_catalogue(alone, create=True) as catalogue:
        keep_alerts(catalogue, [each for mine in alerts.values() for each in mine], GAP)
    assert state(options) == state(alone)


def test_more_words_than_are_locked_are_stored_alone(
    options: StoreOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "MAX_LOCKS", 5)
    alerts = made(7, 10)
    store_at_once(options, alerts, 4)
    alone = StoreOptions(str(tmp_path / "alone"))
    with open_catalogue(alone, create=True) as catalogue:
        keep_alerts(catalogue, [each for mine in alerts.values() for each in mine], GAP)
    assert state(options) == state(alone)


def test_a_deadlock_is_noticed_and_the_alerts_are_stored(
    options: StoreOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two transactions take what the other one has."""
    met = threading.Barrier(2)
    take = WordLocks.take
    words = {"one": "0" * 32, "other": "f" * 32}
    crossed_by: list[str] = []
    conflicts = []

    def crossed(locks: WordLocks, wanted: Any) -> bool:
        mine = threading.current_thread().name
        if mine in crossed_by:
            return take(locks, wanted)
        crossed_by.append(mine)
        take(locks, [words[mine]])
        met.wait(20)
        theirs = words["other" if mine == "one" else "one"]
        try:
            return take(locks, [theirs])
        except Exception:
            conflicts.append(mine)
            raise

    def store(catalogue: Catalogue, alert: SensorAlert) -> None:
        assert keep_alerts(catalogue, [alert], GAP, beside_others=True) == 1

    alerts = {name: fleet_alert(name, 0) for name in words}
    with open_catalogue(options, create=True) as one, open_catalogue(options) as other:
        cases._add_runs(one, [*alerts.values()])
        monkeypatch.setattr(WordLocks, "take", crossed)
        threads = [
            threading.Thread(target=store, args=(catalogue, alerts[name]), name=name)
            for catalogue, name in ((one, "one"), (other, "other"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(conflicts) == 1
        with one.database.reading() as connection:
            count = connection.exec_driver_sql("SELECT count(*) FROM fleet_case_incident").scalar()
    assert count == 2
