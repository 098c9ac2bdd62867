"""Devices of several sites that are known by one address are several in a report."""

import pytest
from report.stores import Office
from report.test_collect import MARCH, made, only
from support.fleet_alerts import GAP, MINUTE, fleet_alert

from netwatch.core.addresses import parse_ip
from netwatch.store.cases import keep_alerts

IP = "10.0.0.5"


@pytest.mark.parametrize("names_devices", [True, False])
def test_an_address_in_two_networks_is_two_devices(office: Office, names_devices: bool) -> None:
    for second, network in enumerate(("hq", "byod")):
        # The same app at the same time: two runs that saw one thing would be counted once.
        at = f"2023-03-21T10:00:0{second}"
        office.incident(office.run(), at, device=IP, network=network)
    office.incident(office.run(), "2023-03-21T12:00:00", device="10.0.0.6")
    ban = only(made(office, MARCH, names_devices=names_devices))
    assert (ban.totals.all.violation, ban.totals.merged) == (3, 0)
    assert {each.counts.violation for each in ban.devices} == {1}
    devices = [each.device for each in ban.devices]
    assert len(set(devices)) == 3
    if names_devices:
        assert sorted(devices) == [f"{IP} (byod)", f"{IP} (hq)", "10.0.0.6"]
    else:
        assert all(parse_ip(each) is None for each in devices)


def test_of_the_built_in_network_sensors_tell(office: Office) -> None:
    keep_alerts(
        office.catalogue,
        [
            fleet_alert(sensor, at * MINUTE, ban="city", device=IP, ip=IP, network="private",
                        is_listed=False)
            for at, sensor in enumerate(("ghent", "liege"))
        ],
        GAP,
    )  # fmt: skip
    ban = only(made(office, MARCH, names_devices=True))
    assert sorted(each.device for each in ban.devices) == [f"{IP} (ghent)", f"{IP} (liege)"]


def test_blind_devices_are_told_apart(office: Office) -> None:
    run = office.whole()
    flows = {IP: {"named": 1, "ech": 500}}
    office.coverage(run, "2023-03-02", "2023-03-03", {"hq": {"ech": 500}, "byod": {"ech": 500}},
                    part=1, devices={"hq": flows, "byod": flows})  # fmt: skip
    found = made(office, MARCH, names_devices=True).coverage.by_device
    assert found is not None
    assert sorted(each.device for each in found.devices) == [f"{IP} (byod)", f"{IP} (hq)"]
