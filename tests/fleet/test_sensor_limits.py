"""A sensor speaks of its own networks and devices; of others it is contradicted, and changes
nothing there."""

import asyncio
import json

import pytest
from support.fleet_alerts import GAP, MINUTE, fleet_alert
from support.fleet_local import LocalCentre
from support.fleet_messages import coverage, coverage_record, facts, message

from netwatch.config.fleet_section import SensorLimit
from netwatch.fleet.border import Outside, SensorLimits
from netwatch.fleet.centre_status import CENTRE_METRICS, CentreStatus
from netwatch.fleet.commit_process import AlertCommits
from netwatch.fleet.fact_commits import FactCommits
from netwatch.store import catalogue_tables as tables
from netwatch.store.flow_rows import new_key
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import ClientAddress
from netwatch.watch.endpoint import _health

NETWORKS = SensorLimits({"evil-1": SensorLimit(networks=frozenset({"guest"}))})
DEVICES = SensorLimits({"evil-1": SensorLimit(devices=("kiosk-*",))})


@pytest.fixture
def options(tmp_path):
    return StoreOptions(str(tmp_path / "store"))


def commit(options, *alerts, limits=NETWORKS):
    """Commit alerts, each of its sensor; the result."""
    commits = AlertCommits(options, GAP, limits)
    envelopes = []
    for each in alerts:
        record = {**each.record, "sensor": {**each.record["sensor"], "name": each.sensor}}
        body = {"alerts": [{"key": record["id"], "record": record}]}
        envelopes.append(message("alerts", 1, each.sensor, body))
    try:
        commits.prepare(envelopes, {})
        return commits.store()
    finally:
        commits.close()


def cases(options):
    with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:
        rows = connection.execute(tables.fleet_case.select()).all()
    return {tuple(each["sensor"] for each in record["seen_by"]): record
            for record in (json.loads(row.record) for row in rows)}  # fmt: skip


def director(sensor, **values):
    """What a sensor says of a device, with all that would name and accuse somebody."""
    found = fleet_alert(sensor, MINUTE, flows=("1:x",), severity="critical",
                        confidence="confirmed", **values)  # fmt: skip
    found.record["device"]["owner"] = "Director"
    found.record["binding"]["source"] = "inventory"
    return found


@pytest.mark.parametrize("network", ["hq", "Guest"])
def test_a_sensor_cannot_confirm_what_another_saw_in_a_network_that_is_not_its_own(
    options, network
):
    honest = fleet_alert("ghent-1", 0, 2 * MINUTE, flows=("1:x",), confidence="probable",
                         severity="medium", is_listed=False)  # fmt: skip
    commit(options, honest)
    before = cases(options)[("ghent-1",)]
    result = commit(options, director("evil-1", network=network))
    assert result.outside == {"evil-1": Outside({network})}
    found = cases(options)
    assert found[("ghent-1",)] == before
    alone = found[("evil-1",)]
    assert alone["confidence"] == "possible"
    (said,) = alone["contradictions"]
    assert said["type"] == "sensor-network"
    assert "guest" in said["text"]
    assert (said["count"], said["evidence"][0]["packet"]) == (1, 1)


@pytest.mark.parametrize("flows", [(), ("1:x",)])
def test_a_sensor_has_no_part_in_a_case_of_another_network(options, flows):
    """It names its own network, and the device of an inventory, or a flow, of another one."""
    honest = fleet_alert("ghent-1", 0, 2 * MINUTE, flows=("1:x",), confidence="probable",
                         severity="medium")  # fmt: skip
    commit(options, honest)
    before = cases(options)[("ghent-1",)]
    forged = director("evil-1", network="guest")
    forged.record["community_ids"] = list(flows)
    forged.record["sensor"]["networks"] = ["guest", "hq"]
    result = commit(options, forged)
    assert result.outside == {}
    found = cases(options)
    assert found[("ghent-1",)] == before
    assert found[("evil-1",)]["sensor"]["networks"] == ["guest"]


def test_a_sensor_reaches_no_other_network_by_way_of_a_third(options):
    """Nor does it keep those apart who see both."""
    flow = {"flows": ("1:x",)}
    honest = [fleet_alert("ghent-1", 0, **flow), fleet_alert("liege-1", 0, network="guest", **flow)]
    commit(options, fleet_alert("evil-1", 0, network="guest", **flow), *honest)
    assert {*cases(options)} == {("ghent-1", "liege-1"), ("evil-1",)}


def test_a_sensor_that_may_see_both_networks_proves_a_case(options):
    flow = {"flows": ("1:x",)}
    commit(options, fleet_alert("ghent-1", 0, network="guest", **flow),
           fleet_alert("liege-1", MINUTE, network="wan", **flow))  # fmt: skip
    assert {*cases(options)} == {("ghent-1", "liege-1")}


def test_a_sensor_counts_in_its_own_network(options):
    honest = fleet_alert("ghent-1", 0, 2 * MINUTE, confidence="probable", network="guest")
    commit(options, honest, fleet_alert("evil-1", MINUTE, network="guest"))
    found = cases(options)
    assert found[("ghent-1", "evil-1")]["confidence"] == "confirmed"
    assert not found[("ghent-1", "evil-1")].get("contradictions")


def test_what_it_says_of_others_is_not_mixed_with_what_it_may_say(options):
    commit(options, fleet_alert("evil-1", 0, network="guest", flows=("1:x",)))
    commit(options, director("evil-1", network="hq"))
    assert len(cases(options)[("evil-1",)]) > 0
    with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:
        rows = connection.execute(tables.fleet_case.select()).all()
    assert sorted(row.confidence for row in rows) == ["confirmed", "possible"]


def test_what_a_sensor_forges_as_a_contradiction_is_checked(options):
    for wrong in ("x", [7], [{"type": "sensor-network"}], [{"type": 1, "text": "", "count": 1,
                                                              "evidence": []}]):  # fmt: skip
        result = commit(options, fleet_alert("ghent-1", 0, contradictions=wrong))
        assert result.refused["ghent-1"]


def test_clients_and_coverage_of_other_networks_count_for_none(options):
    commits = FactCommits(options, new_key(), limits=NETWORKS)
    clients = (ClientAddress("10.1.0.1", None, "hq", "service"),
               ClientAddress("10.2.0.1", None, "guest", "guest"))  # fmt: skip
    networks = [each for name in ("hq", "guest") for each in coverage_record(name)["networks"]]
    record = {**coverage_record(), "networks": networks}
    try:
        commits.prepare([
            facts("observation", {"client": 0}, {"client": 1}, clients=clients, sensor="evil-1"),
            coverage(2, "evil-1", record=record),
            facts("observation", {}, sensor="ghent-1"),
            coverage(2, "ghent-1"),
        ])  # fmt: skip
        result = commits.finish()
    finally:
        commits.close()
    assert (result.refused, result.outside) == ([], {"evil-1": Outside({"hq"})})
    with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:

        def of(table):
            joined = table.join(tables.run, tables.run.c.id == table.c.run)
            return {(row.sensor, row.network) for row in
                    connection.execute(joined.select().with_only_columns(
                        tables.run.c.sensor, table.c.network))}  # fmt: skip

        shown = {("evil-1", "guest"), ("ghent-1", "hq")}
        assert of(tables.coverage_network) == shown
        assert of(tables.hour_network) == shown
        known = connection.execute(tables.client.select()).all()
        assert {(row.sensor, row.network) for row in known} == {*shown, ("evil-1", None)}


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("device", ["lab-07", "Kiosk-1", " kiosk-1", "kiosk", "fe80::1%kiosk-1"])
def test_a_sensor_cannot_confirm_what_another_saw_of_a_device_that_is_not_its_own(
    options, device, is_listed
):
    """It names the device of an inventory, whether it says that it is of one or not."""
    honest = fleet_alert("ghent-1", 0, 2 * MINUTE, flows=("1:x",), device=device,
                         confidence="probable", severity="medium")  # fmt: skip
    commit(options, honest, limits=DEVICES)
    before = cases(options)[("ghent-1",)]
    forged = fleet_alert("evil-1", MINUTE, flows=("1:x",), device=device, severity="critical",
                         is_listed=is_listed)  # fmt: skip
    result = commit(options, forged, limits=DEVICES)
    assert result.outside == {"evil-1": Outside(devices={device})}
    found = cases(options)
    assert found[("ghent-1",)] == before
    alone = found[("evil-1",)]
    assert alone["confidence"] == "possible"
    assert alone["sensor"]["devices"] == ["kiosk-*"]
    (said,) = alone["contradictions"]
    assert said["type"] == "sensor-device"
    assert f"the device {device}; its own: kiosk-*." in said["text"]


@pytest.mark.parametrize(
    "device",
    ["10.20.1.7", "unknown:10.20.1.7", "2001:db8::7", "02:00:5e:00:53:01/lab-07",
     "p3f9a-k7q2m5xw4n6b3c2d", "kiosk-1"],
)  # fmt: skip
def test_a_device_that_no_inventory_names_is_not_limited_and_joins_no_case_of_one(options, device):
    """Nor does it keep those apart who see the device of the inventory."""
    honest = [fleet_alert(name, 0, 2 * MINUTE, flows=("1:x",), confidence="probable")
              for name in ("ghent-1", "liege-1")]  # fmt: skip
    forged = fleet_alert("evil-1", 0, flows=("1:x",), device=device, hostname="lab-07",
                         is_listed=device == "kiosk-1")  # fmt: skip
    forged.record["sensor"]["devices"] = ["*"]
    result = commit(options, forged, *honest, limits=DEVICES)
    assert result.outside == {}
    found = cases(options)
    assert {*found} == {("ghent-1", "liege-1"), ("evil-1",)}
    assert found[("ghent-1", "liege-1")]["confidence"] == "probable"
    assert not found[("evil-1",)].get("contradictions")
    assert found[("evil-1",)]["sensor"]["devices"] == ["kiosk-*"]


def test_whoever_names_an_owner_speaks_of_an_inventory(options):
    forged = fleet_alert("evil-1", 0, device="10.20.1.7", is_listed=False)
    forged.record["device"]["owner"] = "Director"
    result = commit(options, forged, limits=DEVICES)
    assert result.outside == {"evil-1": Outside(devices={"10.20.1.7"})}


def test_a_sensor_counts_for_its_own_devices_and_for_addresses(options):
    for device in ("kiosk-1", "10.20.1.7"):
        honest = fleet_alert("ghent-1", 0, 2 * MINUTE, confidence="probable", device=device,
                             is_listed=device == "kiosk-1")  # fmt: skip
        same = fleet_alert("evil-1", MINUTE, device=device, is_listed=device == "kiosk-1")
        commit(options, honest, same, limits=DEVICES)
        found = cases(options)[("ghent-1", "evil-1")]
        assert (found["device"]["id"], found["confidence"]) == (device, "confirmed")


def test_what_is_outside_both_ways_is_said_twice(options):
    limits = SensorLimits({"evil-1": SensorLimit(frozenset(), ())})
    result = commit(options, director("evil-1"), limits=limits)
    assert result.outside == {"evil-1": Outside({"hq"}, {"lab-07"})}
    (found,) = cases(options).values()
    said = [(each["type"], each["text"]) for each in found["contradictions"]]
    assert said == [
        ("sensor-network", "The sensor evil-1 speaks of the network hq; its own: none."),
        ("sensor-device", "The sensor evil-1 speaks of the device lab-07; its own: none."),
    ]


def test_what_a_sensor_speaks_of_is_in_the_roster_until_the_centre_ends(tmp_path):
    """Whatever it says of itself, and whether it gives signs of life or not."""
    centre = LocalCentre(tmp_path, "evil-1")
    centre.roster.enrolled("evil-1", 1)
    centre.receiver.note_outside({"evil-1": Outside({"hq"}, {"lab-07"})})
    said = [f"evil-1 speaks of {what} that are not its own: {name}"
            for what, name in (("devices", "lab-07"), ("networks", "hq"))]  # fmt: skip
    asyncio.run(centre.roster.written())
    assert centre.roster.known()[0].status == {"outside": said}
    centre.roster.heard("evil-1", b'{"health":"ok","outside":7}')
    asyncio.run(centre.roster.written())
    assert centre.roster.known()[0].status == {"health": "ok", "outside": said}
    counts = {each.name: each.read(centre.status) for each in CENTRE_METRICS}
    assert counts["netwatch_fleet_outside_devices_total"] == {"evil-1": 1}
    assert counts["netwatch_fleet_outside_networks_total"] == {"evil-1": 1}
    centre.close()


@pytest.mark.parametrize(
    ("networks", "said"), [({None}, "none"), ({"hq", None}, "hq, none"), ({"hq"}, "hq")]
)
def test_a_network_that_is_none_is_noted_too(tmp_path, networks, said):
    """It ended the connection of the centre, again and again."""
    centre = LocalCentre(tmp_path)
    centre.receiver.note_outside({"evil-1": Outside(networks)})
    text = centre.status.contradictions["evil-1", "sensor-network"]
    assert text.endswith(f"not its own: {said}")
    centre.close()


def test_what_a_sensor_does_wrong_is_noted_and_leaves_the_centre_healthy():
    status = CentreStatus(connection_problem="")
    status.refused["evil-1"] += 2
    status.contradictions["evil-1", "sensor-network"] = (
        "evil-1 speaks of networks that are not its own: hq"
    )
    line, body = _health(status.troubles())
    found = json.loads(body)
    assert (line, found["healthy"], found["troubles"]) == ("200 OK", True, [])
    assert [(each["kind"], each["where"]) for each in found["notes"]] == [
        ("sensor-network", "evil-1"),
        ("refused", "evil-1"),
    ]
