"""What of a store counts as a contact, and who had been told its address."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from support.asking_office import START as FIRST
from support.asking_office import Office, events, mac_of, stored, switched
from support.made_store import write_rows

from netwatch.coverage.bypass import DeviceDay
from netwatch.inventory.entry_table import Entry, EntryTable
from netwatch.store import untold
from netwatch.store.catalogue import Catalogue
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import ClientAddress
from netwatch.store.untold import Findings, Known, bypass_findings

SECOND = 1_000_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
START = 19_400 * DAY
NOON = START + 12 * HOUR + 5 * MINUTE
"""In no hour's first or last minute, so that what takes a second is in one hour."""
RESOLVER = "10.20.0.53"


@dataclass
class Site:
    """A store whose rows a test writes down. Two devices that nobody asks about keep lookups heard
    all day."""

    catalogue: Catalogue
    options: StoreOptions

    def client(
        self,
        ip: str = "10.20.0.1",
        mac: str | None = "02:00:00:00:00:01",
        network: str | None = "hq",
        device_class: str = "service",
        **more: Any,
    ) -> int:
        address = ClientAddress(ip, mac, network, device_class, **more)
        (number,) = self.catalogue.client_numbers([address], "sensor")
        return number

    def told(self, client: int, time: int, *ips: str, ttl: int = 60, **row: Any) -> dict[str, Any]:
        return {
            "capture": 1, "sequence": time, "time": time, "time_digits": 9,
            "evidence": "dns-answer", "name": "www.example", "client": client,
            "client_port": 40_000, "server_ip": RESOLVER, "server_port": 53, "transport": "udp",
            "source": "made", "packet": 1, "flow": 0, "dns_answers": [*ips] or ["198.51.100.250"],
            "dns_ttls": [ttl] * (len(ips) or 1),
        } | row  # fmt: skip

    def talk(self, client: int, time: int, ip: str, last: int = 0, **row: Any) -> dict[str, Any]:
        return {
            "capture": 1, "sequence": time, "first": time, "last": last or time + SECOND,
            "transport": "tcp", "client": client, "client_port": 50_000 + time // SECOND % 10_000,
            "server_ip": ip, "server_port": 443, "bytes_out": 100, "bytes_in": 900,
            "name_status": "none", "start_seen": True, "incomplete_message": False,
            "client_sent": "payload", "server_sent": "payload", "source": "made", "packet": 1,
            "flow": time,
        } | row  # fmt: skip

    def heard(self, begin: int = START, end: int = START + DAY) -> list[dict[str, Any]]:
        clients = [self.client(f"10.20.0.20{n}", f"02:00:00:00:00:f{n}") for n in range(2)]
        return [
            self.told(client, time) for time in range(begin, end, 15 * MINUTE) for client in clients
        ]

    def fill(self, answers: Iterable[dict[str, Any]], flows: Iterable[dict[str, Any]]) -> None:
        write_rows(self.catalogue, self.options, "observation", answers)
        write_rows(self.catalogue, self.options, "flow", flows)

    def days(
        self, monkeypatch: pytest.MonkeyPatch, known: Known | None = None
    ) -> dict[str, tuple[int, int]]:
        """Contacts and untold ones of each device on the day."""
        found: list[DeviceDay] = []

        def keep(days: Iterable[DeviceDay], kept: object) -> Sequence[Any]:
            found.extend(days)
            return []

        monkeypatch.setattr(untold, "bypasses", keep)
        bypass_findings(self.catalogue, self.options, None, None, known or Known())
        return {each.device.device: (each.contacts, each.untold) for each in found}


@pytest.fixture
def site(tmp_path: Path) -> Any:
    options = StoreOptions(str(tmp_path / "kept"))
    with open_catalogue(options, create=True) as catalogue:
        run = catalogue.begin_run("scan", "sensor")
        catalogue.begin_capture(run, 0, [])
        yield Site(catalogue, options)


ME = "02:00:00:00:00:01"


def test_an_empty_store_has_nothing(site: Site) -> None:
    assert bypass_findings(site.catalogue, site.options, None, None, Known()) == Findings(())


def test_a_store_without_lookups_has_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    me = site.client()
    site.fill([], [site.talk(me, NOON + n * HOUR, "192.0.2.1") for n in range(9)])
    assert site.days(monkeypatch) == {}


@dataclass(frozen=True)
class Told:
    """A conversation begins so long `after` an answer: is it untold?"""

    after: int
    ttl: int
    untold: int


TOLD = (
    Told(0, 60, 0),
    Told(-SECOND, 60, 0),  # a log notes both when they end
    Told(-MINUTE, 60, 1),
    Told(59 * MINUTE, 60, 0),
    Told(62 * MINUTE, 60, 1),
    Told(6 * HOUR, 6 * 3600, 0),
    Told(8 * HOUR, 6 * 3600, 1),
)


def test_an_address_is_told_for_its_ttl_and_a_margin(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, flows, expected = site.heard(), [], {}
    for place, told in enumerate(TOLD):
        mac = f"02:00:00:00:00:0{place}"
        client = site.client(f"10.20.0.{place}", mac)
        pair = f"192.0.2.{place}", f"192.0.2.20{place}"
        answers.append(site.told(client, NOON, *pair, ttl=told.ttl))
        flows.append(site.talk(client, NOON + told.after, pair[1]))
        expected[mac] = 1, told.untold
    site.fill(answers, flows)
    assert site.days(monkeypatch) == expected


def test_what_another_client_of_the_resolver_was_told_counts(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, other = site.client(), site.client("10.20.0.2", "02:00:00:00:00:02")
    elsewhere = {"server_ip": "10.20.0.54"}
    site.fill(
        [
            *site.heard(),
            site.told(me, NOON - HOUR, "192.0.2.9"),
            site.told(other, NOON, "192.0.2.1"),
            site.told(other, NOON, "192.0.2.2", **elsewhere),
        ],
        [site.talk(me, NOON, "192.0.2.1"), site.talk(me, NOON, "192.0.2.2")],
    )
    assert site.days(monkeypatch)[ME] == (2, 1)


def test_a_device_that_never_asks_has_the_resolvers_of_its_network(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, other = site.client(), site.client("10.20.0.2", "02:00:00:00:00:02")
    site.fill(
        [*site.heard(), site.told(other, NOON, "192.0.2.1", server_ip="10.20.0.54")],
        [site.talk(me, NOON, "192.0.2.1"), site.talk(me, NOON, "192.0.2.2")],
    )
    assert site.days(monkeypatch)[ME] == (2, 1)


NO_CONTACTS: tuple[dict[str, Any], ...] = (
    {"server_ip": "10.99.0.1"},
    {"server_ip": "fe80::1"},
    {"server_ip": "239.1.1.1"},
    {"server_ip": "255.255.255.255"},
    {"server_ip": "203.0.113.5"},
    {"server_ip": RESOLVER},
    {"server_ip": "192.0.2.53"},
    {"server_port": 123, "transport": "udp"},
    {"server_port": 67, "transport": "udp"},
    {"start_seen": False},
    {"bytes_in": 0},
    {"server_ip": None},
)


def test_what_is_no_contact_does_not_count(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, flows = site.heard(), []
    for place, values in enumerate((*NO_CONTACTS, {})):
        client = site.client(f"10.20.0.{place}", f"02:00:00:00:00:{place:02x}")
        answers.append(site.told(client, NOON - HOUR, server_ip="192.0.2.53"))
        flows.append(site.talk(client, NOON, "192.0.2.1") | values)
    site.fill(answers, flows)
    known = Known([ip_network("203.0.113.0/24")])
    assert site.days(monkeypatch, known) == {f"02:00:00:00:00:{len(NO_CONTACTS):02x}": (1, 1)}


def test_other_clients_do_not_count(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = [
        site.client("192.0.2.200", None, network=None),
        site.client("10.20.0.53", None, device_class="infrastructure"),
    ]
    site.fill(site.heard(), [site.talk(each, NOON, "192.0.2.1") for each in clients])
    assert site.days(monkeypatch) == {}


def test_nothing_counts_before_lookups_were_heard_for_long(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = site.client()
    # It is not heard for an hour from noon on.
    answers = [*site.heard(end=NOON), *site.heard(NOON + HOUR)]
    times = {
        START + HOUR: False,
        START + 3 * HOUR: True,
        NOON - HOUR: True,
        NOON + HOUR // 2: False,
        NOON + 2 * HOUR: False,
        NOON + 4 * HOUR: True,
    }
    for place, time in enumerate(times):
        site.fill(answers if not place else [], [site.talk(me, time, f"192.0.2.{place}")])
    assert site.days(monkeypatch) == {ME: (sum(times.values()), sum(times.values()))}


def test_nothing_counts_while_only_the_device_itself_asks(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = site.client()
    own = [site.told(me, time) for time in range(START, START + DAY, 10 * MINUTE)]
    site.fill(own, [site.talk(me, NOON, "192.0.2.1")])
    assert site.days(monkeypatch) == {}


def test_a_conversation_is_judged_by_its_beginning(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = site.client()
    parts = [
        site.talk(me, NOON + n * HOUR, "192.0.2.1", NOON + n * HOUR + 30 * MINUTE, client_port=9)
        for n in range(5)
    ]
    long = site.talk(me, NOON, "192.0.2.2", NOON + 3 * HOUR + MINUTE)
    begun_before = [
        site.talk(me, NOON, "192.0.2.3", start_seen=False, client_port=8),
        site.talk(me, NOON + HOUR, "192.0.2.3", client_port=8),
    ]
    site.fill([*site.heard(), site.told(me, NOON, "192.0.2.1")], [*parts, long, *begun_before])
    # Five hours of the first, and four of the second, which nobody had been told.
    assert site.days(monkeypatch) == {ME: (9, 4)}


def test_connections_of_one_hour_to_one_address_are_one_contact(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = site.client()
    flows = [site.talk(me, NOON + n * MINUTE, "192.0.2.1", client_port=n) for n in range(1, 50)]
    site.fill(site.heard(), flows)
    assert site.days(monkeypatch) == {ME: (1, 1)}


def test_a_log_without_ttls_tells_for_a_day(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    me = site.client()
    logged = {"log_format": "dnsmasq", "server_ip": None, "ttl": 0}
    answers = [row | {"log_format": "dnsmasq", "server_ip": None} for row in site.heard()]
    site.fill(
        [*answers, site.told(me, START + HOUR, "192.0.2.1", **logged)],
        [site.talk(me, NOON, "192.0.2.1"), site.talk(me, NOON, "192.0.2.2")],
    )
    assert site.days(monkeypatch)[ME] == (2, 1)


def test_devices_are_those_of_the_inventory_or_their_macs(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Entry(
        "lab-07", bytes([2, 0, 0, 0, 0, 2]), (bytes([10, 20, 0, 7]),), None, None, None, 1
    )
    routed = [site.client(f"10.20.9.{n}", "02:00:00:00:00:99") for n in range(5)]
    clients = [
        site.client("10.20.0.1"),
        site.client("10.20.0.9"),  # the same MAC
        site.client("2001:db8::1"),
        site.client("10.20.0.2", "02:00:00:00:00:02"),
        site.client("10.20.0.7", None),
        site.client("10.20.0.8", None),
        *routed,
    ]
    site.fill(
        site.heard(),
        [site.talk(each, NOON, f"192.0.2.{n}") for n, each in enumerate(clients)],
    )
    assert site.days(monkeypatch, Known((), EntryTable([entry]))) == {
        ME: (3, 3),
        "lab-07": (2, 2),
        "10.20.0.8": (1, 1),
        **{f"10.20.9.{n}": (1, 1) for n in range(5)},
    }


def test_of_too_many_flows_the_last_days_are_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = site.client()
    for day in range(4):
        site.fill(
            site.heard(START + day * DAY, START + (day + 1) * DAY),
            [site.talk(me, NOON + day * DAY + n * MINUTE, "192.0.2.1") for n in range(10)],
        )
    monkeypatch.setattr(untold, "MAX_ROWS", 500)
    found = bypass_findings(site.catalogue, site.options, None, None, Known())
    assert found.unread == 2
    whole = bypass_findings(site.catalogue, site.options, START + 3 * DAY, None, Known())
    assert whole.unread == 0


OFFICE = Office(devices=6, days=5, visits=20, names=80, quirks=0.5)
RESTARTS = tuple((n * DAY + 10 * HOUR, n * DAY + 10 * HOUR + n * 20 * MINUTE) for n in range(5))
LOST = ((3 * DAY, 4 * DAY),)


@pytest.mark.parametrize(
    ("office", "hiding"),
    [
        (replace(OFFICE, gaps=RESTARTS, deaf=LOST, moves=True), []),
        (switched(OFFICE, 4, 3, "doh"), [4]),
        (switched(OFFICE, 4, 3, "vpn"), [4]),
    ],
    ids=["restarts", "doh", "vpn"],
)
def test_only_those_that_hide_are_found(office: Office, hiding: list[int], tmp_path: Path) -> None:
    with stored(events(office, 7), tmp_path) as (catalogue, options):
        found = bypass_findings(catalogue, options, None, None, Known())
    assert found.judged >= office.devices * 3
    days = [each.bypass.own for each in found.found]
    assert {each.device.device for each in days} == {mac_of(each).hex(":") for each in hiding}
    assert {each.day - FIRST // DAY for each in days} <= {3, 4}
