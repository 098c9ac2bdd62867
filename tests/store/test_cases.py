"""Incidents of several sensors become cases, whatever the order in which they arrive."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy import delete, select
from support.examples import examples
from support.fleet_alerts import GAP, MINUTE, SECOND, fleet_alert

from netwatch.store import catalogue_tables as tables
from netwatch.store.case_members import Member, group
from netwatch.store.case_record import make_case
from netwatch.store.cases import SensorAlert, keep_alerts
from netwatch.store.catalogue import Catalogue
from netwatch.store.incident_rows import remove_incidents
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions


@pytest.fixture
def catalogue(catalogue_options: StoreOptions) -> Iterator[Catalogue]:
    with open_catalogue(catalogue_options, create=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    place = tmp_path_factory.mktemp("cases") / "store"
    with open_catalogue(StoreOptions(str(place)), create=True) as opened:
        yield opened


def cases(catalogue: Catalogue) -> list[Mapping[str, Any]]:
    """The records of all cases in the order of time."""
    case = tables.fleet_case.c
    with catalogue.database.reading() as connection:
        rows = connection.execute(select(case.record).order_by(case.first_seen, case.id)).scalars()
        return [json.loads(text) for text in rows]


def kept(catalogue: Catalogue, *alerts: SensorAlert) -> list[Mapping[str, Any]]:
    """The cases after some alerts, each of which came by itself."""
    for each in alerts:
        keep_alerts(catalogue, [each], GAP)
    return cases(catalogue)


def sensors(case: Mapping[str, Any]) -> list[str]:
    return [each["sensor"] for each in case["seen_by"]]


def test_a_sensor_alone_is_a_case(catalogue: Catalogue) -> None:
    alert = fleet_alert("ghent", MINUTE, 2 * MINUTE, count=7)
    (case,) = kept(catalogue, alert)
    assert (case["schema"], case["joined_by"]) == ("netwatch.case/1", None)
    assert case["counts"] == alert.record["counts"]
    (seen,) = case["seen_by"]
    assert (seen["sensor"], seen["incident"]) == ("ghent", alert.record["id"])
    assert (case["first_seen"], case["last_seen"]) == (
        alert.record["first_seen"], alert.record["last_seen"],
    )  # fmt: skip


def test_what_two_sensors_saw_alike_is_a_case_of_two_incidents(catalogue: Catalogue) -> None:
    """Device, app, ban and time are the same, and each incident is found by its own id."""
    alerts = [fleet_alert(sensor, MINUTE, flows=("1:x",)) for sensor in ("ghent", "liege")]
    (case,) = kept(catalogue, *alerts)
    assert len({each["incident"] for each in case["seen_by"]}) == 2
    shown = select(tables.incident.c.id).where(tables.incident.c.shown == 1)
    with catalogue.database.reading() as connection:
        ids = sorted(connection.execute(shown).scalars())
    assert ids == sorted(alert.record["id"] for alert in alerts)


def test_a_flow_that_both_saw_proves_it(catalogue: Catalogue) -> None:
    (case,) = kept(
        catalogue,
        fleet_alert("a", 0, MINUTE, flows=("1:x", "1:y"), count=5),
        fleet_alert("b", 7, MINUTE, flows=("1:y",), count=9, device="10.20.1.7",
                    network="wan", is_listed=False),
    )  # fmt: skip
    assert case["joined_by"] == "community_id"
    assert case["counts"]["bytes_in"] == 9
    assert case["counts"]["outcomes"]["reached"] == 9
    assert case["community_ids"] == ["1:x", "1:y"]
    assert [each["shared_community_ids"] for each in case["seen_by"]] == [1, 1]
    assert case["device"]["id"] == "lab-07"  # from the inventory of one of them


def test_time_alone_speaks_for_it_and_says_so(catalogue: Catalogue) -> None:
    (case,) = kept(
        catalogue, fleet_alert("a", 0, count=5), fleet_alert("b", GAP, count=3),
    )  # fmt: skip
    assert case["joined_by"] == "time"
    assert case["counts"]["flows"] == 5
    assert sensors(case) == ["a", "b"]


def test_different_flows_are_added(catalogue: Catalogue) -> None:
    """Three sensors: two on the same path, one on another one."""
    (case,) = kept(
        catalogue,
        fleet_alert("a", 0, flows=("1:x",), count=5),
        fleet_alert("b", 1, flows=("1:x",), count=6),
        fleet_alert("c", 2, flows=("1:z",), count=10),
    )
    assert case["joined_by"] == "time"
    assert case["counts"]["flows"] == 16


def test_lists_of_flows_that_may_be_cut_prove_no_difference(catalogue: Catalogue) -> None:
    many = tuple(f"1:{number:03}" for number in range(64))
    (case,) = kept(
        catalogue,
        fleet_alert("a", 0, flows=many, count=100),
        fleet_alert("b", 1, flows=("1:z",), count=10),
    )
    assert case["counts"]["flows"] == 100


def test_a_gap_ends_a_case(catalogue: Catalogue) -> None:
    found = kept(catalogue, fleet_alert("a", 0), fleet_alert("b", GAP + 1000))
    assert [sensors(each) for each in found] == [["a"], ["b"]]


def test_one_that_bridges_a_gap_joins_cases(catalogue: Catalogue) -> None:
    found = kept(catalogue, fleet_alert("a", 0), fleet_alert("a", 2 * GAP))
    assert len(found) == 2
    (case,) = kept(catalogue, fleet_alert("b", MINUTE, 2 * GAP - MINUTE))
    assert sensors(case) == ["a", "b", "a"]
    assert case["counts"]["lookups"] == 2  # of the two of `a`


def test_clocks_are_corrected(catalogue: Catalogue) -> None:
    hour = 60 * MINUTE
    (case,) = kept(
        catalogue,
        fleet_alert("a", 2 * MINUTE, flows=("1:x",)),
        fleet_alert("b", 5 * hour, 5 * hour + 3 * MINUTE, flows=("1:x",), clock_offset=5 * hour),
    )
    assert (case["first_seen"], case["last_seen"]) == (
        "2023-03-20T00:00:00.000000Z", "2023-03-20T00:03:00.000000Z",
    )  # fmt: skip
    by = {each["sensor"]: each for each in case["seen_by"]}
    assert by["b"]["clock_offset"] == 5 * 3600
    assert by["b"]["first_seen"] == "2023-03-20T05:00:00.000000Z"


@pytest.mark.parametrize(
    "other",
    [
        {"device": "lab-08"},
        {"app": "wechat"},
        {"ban": "other"},
        {"verdict": "advisory"},
        {"device": "10.20.1.7", "is_listed": False, "network": "other"},
        {"device": "10.20.1.9", "ip": "10.20.1.9", "mac": "02:00:00:00:00:01", "is_listed": False},
    ],
)
def test_another_device_app_ban_or_verdict_is_another_case(
    shared: Catalogue, other: Mapping[str, Any]
) -> None:
    clear(shared)
    ip = {} if "ip" in other else {"ip": "10.20.1.8" if "device" in other else "10.20.1.7"}
    if other.get("network"):
        ip = {"ip": "10.20.1.7"}  # two sites have the same addresses
    found = kept(
        shared, fleet_alert("a", 0, mac="02:00:00:00:00:01"), fleet_alert("b", 1, **ip, **other)
    )
    assert sorted(sensors(each) for each in found) == [["a"], ["b"]]


@pytest.mark.parametrize(
    "other",
    [
        {"device": "10.20.1.7"},
        {"device": "02:00:00:00:00:01", "ip": "2001:db8::7", "mac": "02:00:00:00:00:01"},
        {"device": "2001:db8::7", "ip": "2001:db8::7", "hostname": "LAB.example"},
    ],
)
def test_sensors_may_call_a_device_by_other_names(
    shared: Catalogue, other: Mapping[str, Any]
) -> None:
    clear(shared)
    (case,) = kept(
        shared,
        fleet_alert("a", 0, mac="02:00:00:00:00:01", hostname="lab.example"),
        fleet_alert("b", 1, is_listed=False, **other),
    )
    assert case["joined_by"] == "time"
    assert case["device"]["id"] == "lab-07"


def test_the_built_in_network_is_another_one_at_each_site(catalogue: Catalogue) -> None:
    def alert(sensor: str, at: int, *flows: str) -> SensorAlert:
        return fleet_alert(
            sensor, at, device="10.0.0.5", ip="10.0.0.5", network="private", is_listed=False,
            flows=flows,
        )  # fmt: skip

    assert len(kept(catalogue, alert("ghent", 0), alert("liege", MINUTE))) == 2
    clear(catalogue)
    (case,) = kept(catalogue, alert("ghent", 0, "1:x"), alert("liege", MINUTE, "1:x"))
    assert case["joined_by"] == "community_id"


def test_devices_that_a_sensor_tells_apart_stay_apart(catalogue: Catalogue) -> None:
    """An address passes to another device; one sensor sees addresses alone."""
    found = kept(
        catalogue,
        fleet_alert("a", 0, device="one"),
        fleet_alert("a", 10 * MINUTE, device="two"),
        fleet_alert("b", MINUTE, 11 * MINUTE, device="10.20.1.7", is_listed=False),
    )
    assert sorted(sensors(each) for each in found) == [["a"], ["b", "a"]]


def test_pseudonyms_of_two_keys_are_joined_by_a_flow(catalogue: Catalogue) -> None:
    found = kept(
        catalogue,
        fleet_alert("a", 0, device="p1-x", ip=None, flows=("1:x",), is_listed=False),
        fleet_alert("b", 1, device="p2-y", ip=None, flows=("1:x", "1:y"), is_listed=False),
        fleet_alert("c", 1, device="p3-z", ip=None, is_listed=False),
    )
    assert sorted(sensors(each) for each in found) == [["a", "b"], ["c"]]


def test_updates_and_closing(catalogue: Catalogue) -> None:
    opened = fleet_alert("a", 0, status="open", confidence="probable")
    (case,) = kept(catalogue, opened)
    assert (case["status"], case["confidence"]) == ("open", "probable")
    other = fleet_alert("b", 3, status="open", confidence="probable")
    closed = fleet_alert("a", 0, 5 * MINUTE, count=4)
    (after,) = kept(catalogue, other, closed)
    assert (after["status"], after["confidence"]) == ("update", "confirmed")
    assert after["counts"]["flows"] == 4
    assert after["id"] == case["id"]
    assert keep_alerts(catalogue, [opened, closed], GAP) == 0  # repeated by the network
    (ended,) = kept(catalogue, fleet_alert("b", 3, 6 * MINUTE))
    assert (ended["status"], ended["last_seen"]) == ("closed", "2023-03-20T00:06:00.000000Z")


def test_what_is_removed_leaves_its_case(catalogue: Catalogue) -> None:
    bridge = fleet_alert("b", MINUTE, 2 * GAP - MINUTE)
    kept(catalogue, fleet_alert("a", 0), fleet_alert("a", 2 * GAP), bridge)
    with catalogue.database.writing() as connection:
        remove_incidents(connection, tables.incident.c.id == bridge.record["id"])
    assert [sensors(each) for each in cases(catalogue)] == [["a"], ["a"]]
    with catalogue.database.writing() as connection:
        remove_incidents(connection, tables.incident.c.id != "")
        for table in (tables.fleet_case, tables.fleet_case_incident, tables.fleet_case_word):
            assert connection.execute(select(table)).all() == []


def test_too_many_of_one_device_are_cases_of_their_own(
    shared: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear(shared)
    monkeypatch.setattr("netwatch.store.case_rows.MEMBER_LIMIT", 4)
    alerts = [fleet_alert("forger", number * SECOND) for number in range(9)]
    found = kept(shared, *alerts)
    assert sum(len(each["seen_by"]) for each in found) == 9
    assert max(len(each["seen_by"]) for each in found) <= 5
    again = fleet_alert("forger", 0, MINUTE, count=3)
    found = kept(shared, again)
    assert sum(len(each["seen_by"]) for each in found) == 9
    assert max(each["counts"]["flows"] for each in found) >= 3


def clear(catalogue: Catalogue) -> None:
    with catalogue.database.writing() as connection:
        for table in reversed(tables.metadata.sorted_tables):
            if table is not tables.store:
                connection.execute(delete(table))


def dump(catalogue: Catalogue) -> list[Any]:
    """All that is kept of cases, without the numbers of runs."""
    case, incident, word = tables.fleet_case, tables.fleet_case_incident, tables.fleet_case_word
    incidents = tables.incident
    columns = [each for each in incident.columns if each.name != "run"]
    with catalogue.database.reading() as connection:
        return [
            sorted(map(tuple, connection.execute(select(case)))),
            sorted(map(tuple, connection.execute(select(*columns)))),
            sorted(map(tuple, connection.execute(select(word)))),
            sorted(map(tuple, connection.execute(select(incidents.c.id, incidents.c.record)))),
        ]


FLOWS = st.sets(st.sampled_from(["1:u", "1:v", "1:w", "1:x"]), max_size=2)
OFFSETS = {"a": 0, "b": 40 * MINUTE, "c": -7 * SECOND}


@st.composite
def sent(draw: st.DrawFn) -> list[SensorAlert]:
    """An incident of a sensor, as the alerts that are sent of it."""
    sensor = draw(st.sampled_from("abc"))
    first = draw(st.integers(0, 8)) * 10 * MINUTE + OFFSETS[sensor]
    names = draw(
        st.sampled_from(
            [
                {"device": "lab-07"},
                {"device": "lab-08", "ip": "10.20.1.7"},
                {"device": "10.20.1.7", "is_listed": False},
                {"device": "p-1", "ip": None, "is_listed": False},
            ]
        )
    )
    values = {
        **names,
        "verdict": draw(st.sampled_from(["violation", "violation", "exempt"])),
        "clock_offset": OFFSETS[sensor],
    }
    flows = tuple(draw(FLOWS))
    length = draw(st.integers(0, 5)) * 10 * MINUTE
    states = [fleet_alert(sensor, first, status="open", confidence="probable", **values)]
    if draw(st.booleans()):
        states.append(fleet_alert(sensor, first, first + length // 2, status="update", **values))
    if draw(st.booleans()):
        states.append(fleet_alert(sensor, first, first + length, flows=flows, count=9, **values))
    return states


@examples(25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_any_order_and_repetition_give_the_same_cases(
    shared: Catalogue, data: st.DataObject
) -> None:
    found = data.draw(st.lists(sent(), min_size=1, max_size=7))
    alerts = [each for states in found for each in states]
    clear(shared)
    keep_alerts(shared, alerts, GAP)
    expected = dump(shared)
    assert [each[0] for each in expected[0]] == sorted(oracle(alerts))
    order = data.draw(st.permutations(range(len(alerts))))
    order += data.draw(st.lists(st.sampled_from(range(len(alerts))), max_size=4))
    clear(shared)
    while order:
        size = data.draw(st.integers(1, len(order)))
        keep_alerts(shared, [alerts[at] for at in order[:size]], GAP)
        order = order[size:]
    assert dump(shared) == expected


def oracle(alerts: Sequence[SensorAlert]) -> set[str]:
    """The ids of the cases of alerts that are looked at all together."""
    members: dict[tuple[str, str], Member] = {}
    for each in alerts:
        member = Member.of(each.sensor, each.record, each.line, each.clock_offset)
        known = members.get(member.key)
        members[member.key] = member if known is None else known.merged(member)
    return {make_case(part).id for part in group(list(members.values()), GAP)}


def test_a_jump_of_a_clock_moves_an_incident_out_of_its_case(catalogue: Catalogue) -> None:
    first = fleet_alert("b", 3, status="open")
    (case,) = kept(catalogue, fleet_alert("a", 0), first)
    assert sensors(case) == ["a", "b"]
    later = replace(fleet_alert("b", 3, 4), clock_offset=-5 * GAP)
    found = kept(catalogue, later)
    assert [sensors(each) for each in found] == [["a"], ["b"]]
    assert found[1]["first_seen"] > found[0]["first_seen"]
