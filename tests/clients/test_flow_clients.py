"""Chromium and curl, a real exporter and a resolver's log: what flow records say of real clients
is what packets show."""

import pytest
from flow_clients import Found, found, table, wrong
from flow_site import Exporter
from flow_visitors import Visit
from support.namespaces import needs_namespaces
from support.programs import needs

from netwatch.core.addresses import parse_ip

pytestmark = [
    pytest.mark.alone,
    needs("chromium", "curl", "dnsmasq", "nginx", "softflowd", "tcpdump"),
    needs_namespaces,
]

CHROMIUM, CURL, INNOCENT = "10.20.1.1", "10.20.1.2", "10.20.1.3"
ALONE, SHARED, OTHER, PLAIN = (
    "www.tiktok.com",
    "m.tiktok.com",
    "www.capcut.com",
    "www.plain.example",
)
NAMES = {
    ALONE: "198.18.0.1",
    SHARED: "203.0.113.1",
    OTHER: "203.0.113.1",
    PLAIN: "198.18.0.3",
}
"""One name of the app has an address of its own; the other shares one with another app."""

EXPORTER = Exporter("softflowd", 10)


def visits(*names: str) -> list[Visit]:
    return [Visit(0.3, ((name, 20_000),)) for name in names]


PLANS = {
    CHROMIUM: visits(PLAIN, ALONE, OTHER, SHARED),
    CURL: visits(ALONE, OTHER, SHARED, PLAIN),
    # It goes on when the others are done: softflowd leaves the last packets of an interface that
    # falls silent in its buffer.
    INNOCENT: visits(*[OTHER, PLAIN] * 12),
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Found:
    clients = {CHROMIUM: "Chromium", CURL: "curl", INNOCENT: "curl"}
    return found(tmp_path_factory.mktemp("site"), NAMES, PLANS, clients, [EXPORTER], idle=1)


def to(result: Found, client: str, name: str) -> dict[int, str]:
    """The confidence of accusations of a client's flows to the address of a name, by its port."""
    records = result.listeners[EXPORTER].contacts.records
    ends = parse_ip(client), parse_ip(NAMES[name])
    return {port: said for (ip, port, server), said in records.items() if (ip, server) == ends}


def test_nothing_is_said_that_packets_do_not_show(result: Found) -> None:
    measured = result.measured(EXPORTER)
    assert list(wrong(result)) == []
    assert measured.grades["confirmed"] == [0, 0]
    assert measured.grades["probable"][1] >= 2
    # Both clients, at both names of the app.
    assert measured.recorded == measured.flows >= 4
    assert not any("confirmed" in line for line in table(result))


@pytest.mark.parametrize("client", [CHROMIUM, CURL])
def test_a_name_with_an_address_of_its_own_is_probable(result: Found, client: str) -> None:
    assert set(to(result, client, ALONE).values()) == {"probable"}


@pytest.mark.parametrize("client", [CHROMIUM, CURL, INNOCENT])
def test_an_address_of_two_apps_accuses_nobody(result: Found, client: str) -> None:
    assert to(result, client, SHARED) == {}


def test_flows_that_may_go_to_two_apps_are_one_of_two(result: Found) -> None:
    measured = result.measured(EXPORTER, frozenset({CHROMIUM, CURL}))
    said, right = measured.one_of[2]
    assert said >= right >= 2
    report = result.listeners[EXPORTER].coverage.report(0, {})
    assert report.one_of[2] >= 2


def test_a_client_of_others_only_is_not_accused(result: Found) -> None:
    measured = result.measured(EXPORTER, frozenset({INNOCENT}))
    assert (measured.flows, dict(measured.grades), dict(measured.one_of)) == (0, {}, {})
