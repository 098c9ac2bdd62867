"""Queries of incidents by device and name find what a look at each record finds."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from netwatch.core.addresses import mac_text, parse_mac
from netwatch.core.filter_words import SEVERITIES, SORTS
from netwatch.formats.values import epoch_ns, rfc3339
from netwatch.store import catalogue_tables as tables
from netwatch.store import incident_search
from netwatch.store.catalogue import Catalogue
from netwatch.store.incident_rows import DAY, remove_incidents
from netwatch.store.incident_search import incidents_after
from netwatch.store.incident_words import index_all, places_called
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.queries import is_known_device
from netwatch.store.statements import Filter, is_device, name_matches, name_pattern

BEGIN = epoch_ns("2023-03-20T00:00:00Z")

IDS = ("pc-1", "PC-1", "Łukasz-PC", "İstanbul", "ß/ss", "100%_\\", 'a"b', "日本 語", "10.0.0.1", "")
HOSTS = (None, "desk", "DESK", "pc-1", "ŁUKASZ-pc", "x\ny", "%", "_", "tab\tlet", "o'neil", "ǅ")
OWNERS = (None, "Mme. Über", "mme. über", "IT", "10.0.0.2", "🦉", "\\")
IPS = ("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::A")
MACS = (None, "02:00:00:00:00:01", "02:00:00:00:00:02")
NAMES = (
    "tiktok.com", "www.tiktok.com", "a.b.tiktok.com", "nottiktok.com", "tiktok.com.evil.example",
    "_dmarc.example", "x_y.example", "xzy.example", "100%.example", "a\\032b.example", "[v6].test",
    "a]b.example", "xn--bcher-kva.example", "bücher.example", "TikTok.com", "com", "", "*", "é.é",
    "nul\0.example", "\ufffd.example",
)  # fmt: skip
WORDS = (
    *IDS, *filter(None, HOSTS), *filter(None, OWNERS), *IPS, "02-00-00-00-00-01", "0200.0000.0002",
    "2001:DB8::1", "i̇stanbul", "nobody", "10.9.9.9", "SS/ß",
)  # fmt: skip
PATTERNS = (
    *NAMES, "*", "*tiktok*", "*.com", "?", "x?y.example", "[a-n]*", "*[!m]", "*%*", "*_*", "*\\*",
    "*é", "*nobody*", "*TIKTOK*", "[v6].test", "[[]v6].test", "*]*", "*\ufffd*", "tiktok.com.",
    "bücher.example", "*.*.*", "**", "x[",
)  # fmt: skip

SENSORS = {1: "ghent", 2: "liège"}
"""The sensors of runs."""


def made_alert(rng: random.Random, number: int) -> dict[str, Any]:
    # Most in one week, few in a year: spans of time are even, incidents are not.
    began = BEGIN + int(rng.random() ** rng.choice((1, 1, 20)) * 300 * DAY)
    return {
        "id": f"{number:032x}",
        "status": rng.choice(("open", "closed")),
        "verdict": rng.choice(("violation", "violation", "advisory", "exempt")),
        "severity": rng.choice(("critical", "low", "medium", "unheard-of")),
        "confidence": "confirmed",
        "counts": {"lookups": rng.randint(0, 3), "handshakes": rng.choice((0, 0, 7))},
        "kind": {"value": rng.choice(("session", "embed"))},
        "outcome": "reached",
        "app": {"id": rng.choice(("tiktok", "kaspersky"))},
        "ban": {"id": "default"},
        "device": {
            "id": rng.choice(IDS) or None,
            "ip": rng.choice(IPS),
            "mac": rng.choice(MACS),
            "hostname": rng.choice(HOSTS),
            "owner": rng.choice(OWNERS),
        },
        "network": {"name": rng.choice(("hq", "byod", None))},
        "first_seen": rfc3339(began, 6),
        "last_seen": rfc3339(began + rng.choice((0, 1, 3 * DAY)), 6),
        "names": rng.sample(NAMES, rng.choice((0, 1, 1, 2, 5))),
    }


def rows(catalogue: Catalogue) -> list[tuple[str, Any, tuple[int, ...]]]:
    """All incidents that are shown, in the order of answers: the line, the record, the place."""
    column = tables.incident.c
    place = (column.first_seen, column.run, column.position)
    with catalogue.database.reading() as connection:
        statement = select(column.record, *place).where(column.shown == 1).order_by(*place)
        found = connection.execute(statement).all()
    return [(line, json.loads(line), tuple(position)) for line, *position in found]


def scan(found: Any, wanted: Filter, after: Any) -> list[tuple[str, Any]]:
    """The wanted ones, by a look at each record."""
    fitting = []
    for line, record, position in found:
        columns = {"app": record["app"]["id"], "verdict": record["verdict"],
                   "network": record["network"]["name"] or "",
                   "severity": record["severity"], "sensor": SENSORS[position[1]]}  # fmt: skip
        if (
            (not wanted.sensors or columns["sensor"] in wanted.sensors) and
            (after is None or position > after)
            and (wanted.since is None or epoch_ns(record["last_seen"]) >= wanted.since)
            and (wanted.until is None or position[0] < wanted.until)
            and all(columns[name] in words for name, words in wanted.words.items())
            and all(columns[name] not in words for name, words in wanted.excluded.items())
            and not any(is_device(word, record["device"]) for word in wanted.excluded_devices)
            and not any(
                name_matches(pattern, name)
                for pattern in wanted.excluded_names
                for name in record["names"]
            )
            and (not wanted.device or is_device(wanted.device, record["device"]))
            and (not wanted.names or any(
                name_matches(pattern, name) for pattern in wanted.names for name in record["names"]
            ))
        ):  # fmt: skip
            fitting.append((line, position))
    return fitting[: wanted.limit]


def random_filter(rng: random.Random) -> Filter:
    values: dict[str, Any] = {}
    if rng.random() < 0.6:
        values["device"] = rng.choice(WORDS)
    if rng.random() < 0.6:
        values["names"] = tuple(
            name_pattern(each) for each in rng.sample(PATTERNS, rng.choice((1, 1, 2)))
        )
    if rng.random() < 0.2:
        values["since"] = BEGIN + rng.randint(0, 200) * DAY
    if rng.random() < 0.2:
        values["until"] = BEGIN + rng.randint(1, 300) * DAY + 7
    if rng.random() < 0.2:
        values["verdicts"] = frozenset({rng.choice(("advisory", "exempt"))})
    if rng.random() < 0.2:
        values["networks"] = frozenset({"hq", "nowhere"})
    if rng.random() < 0.3:
        values["severities"] = frozenset(rng.sample(SEVERITIES, 2))
    if rng.random() < 0.3:
        values["sensors"] = frozenset(rng.sample(("ghent", "liège", "nowhere"), 2))
    if rng.random() < 0.2:
        values["excluded"] = {"sensor": frozenset({"liège"})}
    elif rng.random() < 0.2:
        values["excluded"] = {"app": frozenset({"tiktok"}), "network": frozenset({"hq"})}
    if rng.random() < 0.2:
        values["excluded_devices"] = (rng.choice(WORDS),)
    if rng.random() < 0.2:
        values["excluded_names"] = (name_pattern(rng.choice(PATTERNS)),)
    if rng.random() < 0.3:
        values["limit"] = rng.choice((1, 7, 101))
    return Filter(**values)


def line_of(alert: dict[str, Any]) -> str:
    return json.dumps(alert, ensure_ascii=alert["names"] == [] or "\0" in "".join(alert["names"]))


@pytest.fixture
def catalogue(catalogue_options: StoreOptions) -> Any:
    """With incidents that two sensors stored, changed, and some of which were deleted."""
    rng = random.Random(35)
    with open_catalogue(catalogue_options, create=True) as opened:
        runs = [opened.begin_run("live", sensor) for sensor in ("ghent", "liège")]
        alerts = [made_alert(rng, number) for number in range(400)]
        for run in runs:
            part = rng.sample(alerts, 300)
            opened.add_incidents(run, [(alert, line_of(alert)) for alert in part])
        changed = [made_alert(rng, number) for number in rng.sample(range(400), 100)]
        opened.add_incidents(runs[0], [(alert, line_of(alert)) for alert in changed])
        gone = [alert["id"] for alert in rng.sample(alerts, 40)]
        with opened.database.writing() as connection:
            remove_incidents(connection, tables.incident.c.id.in_(gone))
        yield opened


@pytest.mark.parametrize("few", [0, 2000])
def test_a_filter_finds_what_a_look_at_each_record_finds(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(incident_search, "_FEW", few)
    monkeypatch.setattr(incident_search, "_SOME", 40 if few else 400)
    rng, shown, sizes = random.Random(few), rows(catalogue), set()
    assert len(shown) > 300
    for number in range(100):
        wanted = random_filter(rng)
        after = rng.choice(shown)[2] if number % 4 == 0 else None
        expected = scan(shown, wanted, after)
        assert list(incidents_after(catalogue, wanted, after)) == expected, wanted
        sizes.add(len(expected))
    assert {0, 1, 7} <= sizes
    assert max(sizes) > 150


@pytest.mark.parametrize("few", [0, 2000])
@pytest.mark.parametrize("sort", SORTS)
def test_records_are_in_the_order_that_is_asked_for(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, sort: str, few: int
) -> None:
    monkeypatch.setattr(incident_search, "_FEW", few)
    monkeypatch.setattr(incident_search, "_FEW_IN_CASES", few)
    monkeypatch.setattr(incident_search, "_AT_ONCE", 7)
    rng, shown = random.Random(12), rows(catalogue)
    descends = sort.startswith("-")
    for number in range(40):
        wanted = random_filter(rng) if number else Filter()
        found = scan(shown, replace(wanted, limit=None), None)

        def key(each: tuple[str, Any]) -> Any:
            record, (first, *place) = json.loads(each[0]), each[1]
            if sort.endswith("contacts"):
                number = record["counts"]["lookups"] + record["counts"]["handshakes"]
                return number, first, record["id"]
            severity = (*SEVERITIES, "unheard-of").index(record["severity"])
            return -severity if descends else severity, first, *place

        expected = sorted(found, key=key, reverse=sort == "-contacts")[: wanted.limit]
        asked = replace(wanted, sort=sort)
        answer = [*incidents_after(catalogue, asked)]
        assert [line for line, _ in answer] == [line for line, _ in expected], wanted
        for at in range(0, len(answer), 9):
            rest = incidents_after(catalogue, replace(asked, limit=5), answer[at][1])
            assert [*rest] == answer[at + 1 : at + 6] or wanted.limit is not None


def test_devices_are_known_by_their_words_alone(catalogue: Catalogue) -> None:
    column = tables.incident.c
    with catalogue.database.reading() as connection:
        statement = select(column.record, tables.run.c.sensor).join(tables.run)
        found = [(json.loads(line), who) for line, who in connection.execute(statement)]
        for word in WORDS:
            places = {
                (device["ip"], device["mac"], record["network"]["name"], sensor)
                for record, sensor in found
                if is_device(word, device := record["device"])
            }
            assert places_called(connection, word) == places, word
            assert places_called(connection, word, ["pc-1", "ß/ss"]) == {
                (record["device"]["ip"], record["device"]["mac"], record["network"]["name"], who)
                for record, who in found
                if is_device(word, record["device"]) and record["device"]["id"] in ("pc-1", "ß/ss")
            }
    for word in (*WORDS, "pc-12", "%"):
        is_one = any(is_device(word, record["device"]) for record, _ in found)
        is_address = "." in word or ":" in word or parse_mac(word) is not None
        assert is_known_device(catalogue, word) == (is_one or is_address), word


def derived(catalogue: Catalogue) -> list[list[Any]]:
    found = (tables.incident_device_word, tables.incident_name, tables.incident_named)
    with catalogue.database.reading() as connection:
        return [sorted(connection.execute(select(table)).all()) for table in found]


def test_words_that_were_kept_are_those_made_anew(catalogue: Catalogue) -> None:
    kept = derived(catalogue)
    assert all(kept)
    with catalogue.database.writing() as connection:
        for table in (tables.incident_device_word, tables.incident_name, tables.incident_named):
            connection.execute(table.delete())
        index_all(connection)
    assert derived(catalogue) == kept


def test_nothing_of_a_deleted_incident_is_left(catalogue: Catalogue) -> None:
    with catalogue.database.writing() as connection:
        remove_incidents(connection, tables.incident.c.run > 0)
    assert derived(catalogue) == [[], [], []]
    assert not is_known_device(catalogue, "pc-1")


def test_a_mac_is_known_in_each_spelling(catalogue: Catalogue) -> None:
    packed = parse_mac("02-00-00-00-00-01")
    assert packed is not None
    with catalogue.database.reading() as connection:
        places = places_called(connection, "02-00-00-00-00-01")
        assert places == places_called(connection, mac_text(packed))
    assert {mac for _, mac, *_ in places} == {"02:00:00:00:00:01"}
