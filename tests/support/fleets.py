"""The store of a centre with a small fleet: what its pages and reports are tested with."""

from support.fleet_alerts import DAY, GAP, MINUTE, SECOND, fleet_alert

from netwatch.incidents.alert_parts import incident_id
from netwatch.store.case_members import case_id
from netwatch.store.cases import keep_alerts
from netwatch.store.catalogue import Catalogue
from netwatch.store.fleet_sensors import applied, enrolled, heard, refused, silent

STATUS = {
    "schema": "netwatch.sensor/1",
    "version": "9.9",
    "packets": 120_000,
    "dropped": 17,
    "rates": {"packets": 812.4, "bits": 5_000_000.0, "names": 9.5, "dropped": 0.0},
    "interfaces": [{"name": "eth1", "up": True}],
    "troubles": [],
    "outputs": [{"name": "siem", "waiting": 2, "oldest": None, "lost": 0}],
    "store": {"rows": 4000, "lost": 0, "skipped": 0, "records_lost": 0},
}
"""What a sensor that is well says of itself."""


_PROVED = 9 * 60 * MINUTE
FLEET_CASE = case_id(
    "ghent", incident_id(("kiosk-1", "tiktok", "default", "violation"), DAY + _PROVED, "ghent")
)
"""The id of the case that two sensors saw, which a flow proves."""


def fill_fleet(catalogue: Catalogue, now: int) -> None:
    """Four sensors: one is well, one rejected a set and has a clock that is off, one is silent, one
    was never heard. Two of them saw the same contact, one of them another one, and two saw one that
    no flow proves."""
    for number, name in enumerate(("ghent", "liege", "namur", "new")):
        enrolled(catalogue, name, now - 5 * 86_400 * SECOND + number)
    heard(catalogue, "namur", now - 7200 * SECOND, STATUS)
    silent(catalogue, "namur", now - 7200 * SECOND)
    heard(catalogue, "ghent", now - SECOND, STATUS, SECOND // 1000)
    trouble = {"kind": "dropping", "where": "eth1", "message": "eth1 dropped 5 % of its packets"}
    heard(catalogue, "liege", now - SECOND, {**STATUS, "troubles": [trouble]}, 5 * SECOND)
    applied(catalogue, "ghent", "set", "12", "applied", "", now - 60 * SECOND)
    applied(catalogue, "liege", "set", "11", "applied", "", now - 86_400 * SECOND)
    applied(catalogue, "liege", "set", "12", "rejected", "signature of a stranger", now - SECOND)
    refused(catalogue, "liege", "schema netwatch.fleet/9")
    keep_alerts(
        catalogue,
        [
            fleet_alert("ghent", _PROVED, flows=("1:x",), device="kiosk-1", count=3),
            fleet_alert("liege", _PROVED + 5 * SECOND, flows=("1:x",), device="kiosk-1",
                        count=5, clock_offset=5 * SECOND),
            fleet_alert("ghent", 12 * 60 * MINUTE, app="wechat", device="kiosk-2", ip="10.20.1.22"),
            fleet_alert("ghent", 15 * 60 * MINUTE, device="kiosk-3", ip="10.20.1.23"),
            fleet_alert("namur", 15 * 60 * MINUTE + MINUTE, device="kiosk-3", ip="10.20.1.23",
                        status="open"),
        ],
        GAP,
    )  # fmt: skip
