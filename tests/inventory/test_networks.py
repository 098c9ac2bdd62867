"""Sinkholes: addresses and ranges, and the null addresses without being listed."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.file_keys import keys_of
from netwatch.core.user_yaml import Fields, Problems, YamlMapping
from netwatch.core.verdict import Network
from netwatch.core.yaml_reader import parse_yaml
from netwatch.inventory import networks
from netwatch.inventory.networks import Networks, Scope, Sinkholes, built_in, check, read_scope

RANGES = ("10.20.0.80", "198.51.100.0/25", "2001:db8:80::/64", "2001:db8:81::1/128")


def scope(name, *ranges, vlans=(), kind="service"):
    spans = tuple(ip_network(text) for text in ranges)
    return Scope(Network(name, kind), spans, frozenset(vlans))


def where(table, address, vlan=None):
    network = table.find(ip_address(address).packed, vlan)
    return network and network.name


def read(text):
    problems = Problems()
    top = parse_yaml(text, "n.yaml", problems)
    fields = Fields(top, "n.yaml", problems, "the file")
    scopes = fields.build_each("networks", read_scope, "a network")
    check(scopes, problems)
    return scopes, [str(problem) for problem in problems.found]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.0.0.0", "private"),
        ("10.255.255.255", "private"),
        ("11.0.0.0", None),
        ("172.15.255.255", None),
        ("172.16.0.0", "private"),
        ("172.31.255.255", "private"),
        ("172.32.0.0", None),
        ("192.168.1.1", "private"),
        ("192.0.2.1", None),
        ("169.254.1.1", None),
        ("224.0.0.251", None),
        ("fc00::1", "private"),
        ("fdff::1", "private"),
        ("fe80::1", None),
        ("ff02::fb", None),
        ("2001:db8::1", None),
    ],
)
def test_the_built_in_network_has_private_ranges(address, name):
    assert where(Networks(built_in()), address) == name


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.20.0.53", "resolver"),
        ("10.20.0.54", "floor"),
        ("10.20.1.1", "site"),
        ("10.21.0.1", "all"),
        ("2001:db8:20:1::1", "floor6"),
        ("2001:db8:21::1", "all6"),
        ("192.0.2.1", None),
    ],
)
def test_of_nested_ranges_the_most_specific_wins(address, name):
    scopes = [
        scope("all", "10.0.0.0/8"),
        scope("resolver", "10.20.0.53/32"),
        scope("site", "10.20.0.0/16"),
        scope("floor", "10.20.0.0/24"),
        scope("all6", "2001:db8::/32"),
        scope("floor6", "2001:db8:20::/48"),
    ]
    assert where(Networks(scopes), address) == name
    assert where(Networks(scopes[::-1]), address) == name


@pytest.mark.parametrize(
    ("address", "vlan", "name"),
    [
        ("10.30.0.1", 30, "byod"),  # range and VLAN before the range alone
        ("10.30.0.1", 31, "plain"),
        ("10.30.0.1", None, "plain"),
        ("10.40.0.1", 30, None),  # byod needs both
        ("10.30.0.1", 99, "guests"),  # a VLAN alone before any range without VLANs
        ("198.51.100.9", 99, "guests"),
        ("2001:db8::9", 99, "guests"),
        ("10.30.0.53", 99, "resolver"),  # but not before a single address
        ("10.50.0.1", 99, "lab"),  # a range inside that VLAN is more specific
        ("10.50.0.1", 98, None),
    ],
)
def test_vlans(address, vlan, name):
    scopes = [
        scope("plain", "10.30.0.0/16"),
        scope("byod", "10.30.0.0/16", vlans=[30]),
        scope("guests", vlans=[99]),
        scope("resolver", "10.30.0.53/32"),
        scope("lab", "10.50.0.0/16", vlans=[99]),
    ]
    for order in (scopes, scopes[::-1]):
        assert where(Networks(order), address, vlan) == name


def test_a_longer_range_goes_before_a_shorter_one_with_vlan():
    scopes = [scope("wide", "10.0.0.0/8", vlans=[5]), scope("narrow", "10.1.0.0/16")]
    assert where(Networks(scopes), "10.1.0.1", 5) == "narrow"
    assert where(Networks(scopes), "10.2.0.1", 5) == "wide"


addresses = st.integers(0, 255).map(lambda low: bytes((10, 0, 0, low)))
spans = st.tuples(addresses, st.integers(24, 32)).map(lambda s: ip_network(s, strict=False))


@given(st.sets(spans, max_size=12), addresses)
def test_agrees_with_a_scan_of_all_ranges(ranges, ip):
    table = Networks([scope(str(span), str(span)) for span in ranges])
    holding = [span for span in ranges if ip_address(ip) in span]
    best = max(holding, key=lambda span: span.prefixlen, default=None)
    found = table.find(ip, None)
    assert (found and found.name) == (best and str(best))


def test_the_cache_is_bounded(monkeypatch):
    monkeypatch.setattr(networks, "CACHE_LIMIT", 4)
    table = Networks(built_in())
    for low in range(9):
        assert where(table, f"10.0.0.{low}") == "private"
    assert table.evictions == 8
    assert where(table, "11.0.0.1") is None
    assert where(table, "11.0.0.1") is None


@pytest.mark.parametrize(
    ("address", "vlan", "why"),
    [
        ("10.30.0.1", 30, "range 10.30.0.0/16 in VLAN 30"),
        ("10.30.0.1", 7, "range 10.30.0.0/16"),
        ("192.0.2.1", 99, "VLAN 99"),
        ("192.0.2.1", 7, "no range or VLAN of the configuration matches the address in VLAN 7"),
    ],
)
def test_explains_what_decided(address, vlan, why):
    scopes = [
        scope("byod", "10.30.0.0/16", vlans=[30]),
        scope("plain", "10.30.0.0/16"),
        scope("guests", vlans=[99]),
    ]
    assert Networks(scopes).explain(ip_address(address).packed, vlan)[1] == why


def test_reads_what_is_written():
    scopes, messages = read(
        """
networks:
  - {name: hq, cidrs: [10.20.0.0/16, "2001:db8:20::/48"], class: service, authority: BE-FED}
  - {name: byod, cidrs: [10.30.0.0/16], vlans: [30, 40-42], class: personal}
"""
    )
    assert messages == []
    assert scopes[0].network == Network("hq", "service", "BE-FED")
    assert [str(span) for span in scopes[0].ranges] == ["10.20.0.0/16", "2001:db8:20::/48"]
    assert scopes[1].vlans == {30, 40, 41, 42}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{cidrs: [10.0.0.0/8], class: service}", "a network needs 'name'"),
        ("{name: a, cidrs: [10.0.0.0/8]}", "a network needs 'class'"),
        ("{name: a, cidrs: [10.0.0.0/8], class: servise}", "expected one of service, personal"),
        ("{name: a, cidrs: [10.0.0.0/8], class: unknown}", "expected one of service, personal"),
        ("{name: a, class: guest}", "expected 'cidrs', 'vlans' or both, found neither"),
        ("{name: a, cidrs: [], class: guest}", "expected a range or a VLAN, found empty lists"),
        ("{name: a, cidrs: [10.20.1.0/16], class: guest}", "did you mean '10.20.0.0/16'?"),
        (
            "{name: a, cidrs: [10.20.0/16], class: guest}",
            "expected a range of addresses like 10.20.0.0/16, found '10.20.0/16'",
        ),
        (
            "{name: a, cidrs: 10.0.0.0/8, class: guest}",
            "'cidrs': expected a list, found '10.0.0.0/8'",
        ),
        (
            "{name: a, vlans: [0], class: guest}",
            "'vlans': expected a number from 1 to 4094, or a span like 30-39, found 0",
        ),
        ("{name: a, vlans: [4095], class: guest}", "found 4095"),
        ("{name: a, vlans: [true], class: guest}", "found true"),
        ("{name: a, vlans: [40-30], class: guest}", "found '40-30'"),
        ("{name: a, vlans: [1], class: guest, vlan: 2}", "unknown key 'vlan'"),
    ],
)
def test_mistakes_have_file_and_line(entry, message):
    _, messages = read(f"networks:\n  - {entry}\n")
    assert len(messages) == 1
    assert messages[0].startswith("n.yaml:2: ")
    assert message in messages[0]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "{name: b, cidrs: [10.0.0.0/8], class: guest}",
            "duplicate range 10.0.0.0/8 (first in network 'a' on line 2, again in 'b'): expected"
            " one class, found classes service and guest",
        ),
        (
            "{name: b, cidrs: [10.0.0.0/8], class: service}",
            "duplicate range 10.0.0.0/8 (first in network 'a' on line 2, again in 'b')",
        ),
        (
            "{name: a, cidrs: [192.168.0.0/16], class: service}",
            "duplicate network 'a' (first on line 2)",
        ),
        ("{name: b, vlans: [7], class: guest}", "duplicate VLAN 7 (first in network 'v' on line 3"),
        (
            "{name: b, cidrs: [172.16.0.0/12], vlans: [5, 6], class: guest}",
            "duplicate range 172.16.0.0/12 (first in network 'w' on line 4",
        ),
    ],
)
def test_duplicates_have_both_places(entry, message):
    _, messages = read(
        f"""networks:
  - {{name: a, cidrs: [10.0.0.0/8], class: service}}
  - {{name: v, vlans: [7], class: service}}
  - {{name: w, cidrs: [172.16.0.0/12], vlans: [6], class: service}}
  - {entry}
"""
    )
    assert len(messages) == 1
    assert messages[0].startswith(f"n.yaml:5: {message}")


def test_one_range_may_be_in_several_vlans():
    _, messages = read(
        """networks:
  - {name: a, cidrs: [10.0.0.0/8], class: service}
  - {name: b, cidrs: [10.0.0.0/8], vlans: [5], class: guest}
  - {name: c, cidrs: [10.0.0.0/8], vlans: [6], class: personal}
"""
    )
    assert messages == []


def test_a_network_with_mistakes_is_nobodys():
    problems = Problems()
    mapping = YamlMapping(1)
    found = read_scope(Fields(mapping, "n.yaml", problems, "a network"))
    assert found == Scope(Network("", "unknown"), (), frozenset(), "n.yaml", 1)
    assert len(problems.found) == 3
    check([found, found], problems)
    assert len(problems.found) == 3


ADDRESSES = st.sampled_from(
    ["10.0.0.0", "10.0.0.1", "0.0.0.0", "01.2.3.4", "1.2.3", "::", "2001:db8::"]
)
LENGTHS = st.sampled_from(
    ["", "/", "/0", "/08", "/24", "/32", "/33", "/128", "/129", "/0255", "/-1"]
)
OTHERS = st.sampled_from(
    ["/255.0.0.0", "/0.0.0.255", "%1/64", "/٣", "/ 8", "/8 ", "::ffff:10.0.0.0/104"]
)


@given(st.tuples(ADDRESSES, LENGTHS | OTHERS).map("".join) | st.text(max_size=6))
def test_a_range_is_what_the_standard_library_says(text: str) -> None:
    problems = Problems()
    fields = Fields(YamlMapping(1), "n.yaml", problems, "a network")
    (declared,) = [key for _, _, key in keys_of(networks.NetworkKeys) if key.name == "cidrs"]
    found = networks.read_cidr(fields, declared, 1, text)
    try:
        expected = ip_network(text)
    except ValueError:
        assert found is None
        assert len(problems.found) == 1
    else:
        assert (found, type(found)) == (expected, type(expected))
        assert problems.found == []


def test_many_networks_are_read_with_their_lines_and_mistakes() -> None:
    count = 5_000
    row = "  - {{name: net-{0}, cidrs: [10.{1}.{2}.0/28], class: service, authority: HQ}}\n"
    rows = [row.format(n, n >> 8, n & 255) for n in range(count)]
    rows[4_000] = "  - {name: net-4000, cidrs: [10.0.3.0/28], class: guest}\n"
    rows[4_001] = "  - {name: net-4001, cidrs: [10.0.3.1/28], class: service}\n"
    scopes, messages = read("networks:\n" + "".join(rows))
    assert len(scopes) == count
    assert [message.split(",")[0].split(" (")[0] for message in messages] == [
        "n.yaml:4003: 'cidrs': expected a range of addresses like 10.20.0.0/16",
        "n.yaml:4002: duplicate range 10.0.3.0/28",
    ]
    assert "found '10.0.3.1/28'" in messages[0]
    network, why = Networks(scopes).explain(bytes((10, 19, 135, 5)), None)
    assert network is not None
    assert (network.name, why) == ("net-4999", "range 10.19.135.0/28")


def test_one_range_in_all_networks_costs_no_more_than_different_ones() -> None:
    """Each is compared with the first alone: with all others it would take minutes."""
    rows = [f"  - {{name: n{n}, cidrs: [10.0.0.0/8], class: guest}}\n" for n in range(5_000)]
    _, messages = read("networks:\n" + "".join(rows))
    assert len(messages) == 4_999
    where = "first in network 'n0' on line 2, again in 'n4999'"
    assert messages[-1] == f"n.yaml:5001: duplicate range 10.0.0.0/8 ({where})"


TAGGED = [
    scope("byod", "10.30.0.0/16", vlans=[40, 30, 31], kind="personal"),
    scope("hq", "10.0.0.0/9"),
    scope("lab", "192.0.2.0/24", vlans=[7]),
    scope("lab-hosts", "192.0.2.128/25", vlans=[8]),
    scope("v6", "2001:db8::/32", vlans=[7]),
]
NO_TAG, OTHER_TAG = "but the packet has no VLAN tag", "but the packet has another tag"


@pytest.mark.parametrize(
    ("address", "vlan", "why"),
    [
        (
            "192.0.2.1",
            None,
            f"range 192.0.2.0/24 of network 'lab' matches only in VLAN 7, {NO_TAG}",
        ),
        (
            "192.0.2.1",
            8,
            f"range 192.0.2.0/24 of network 'lab' matches only in VLAN 7, {OTHER_TAG}",
        ),
        (
            "192.0.2.129",
            9,
            f"range 192.0.2.128/25 of network 'lab-hosts' matches only in VLAN 8, {OTHER_TAG}",
        ),
        (
            "2001:db8::1",
            0,
            f"range 2001:db8::/32 of network 'v6' matches only in VLAN 7, {OTHER_TAG}",
        ),
        ("203.0.113.1", None, ""),
        ("203.0.113.1", 7, ""),
    ],
)
def test_says_which_tag_a_client_outside_is_missing(
    address: str, vlan: int | None, why: str
) -> None:
    table = Networks(TAGGED)
    ip = ip_address(address).packed
    assert table.missed(ip, vlan) == table.missed(ip, vlan) == why
    network, explained = table.explain(ip, vlan)
    tagged = "" if vlan is None else f" in VLAN {vlan}"
    nothing = f"no range or VLAN of the configuration matches the address{tagged}"
    assert (network, explained) == (None, why or nothing)


def test_says_that_a_more_specific_range_needs_another_tag() -> None:
    table = Networks(TAGGED)
    ip = bytes((10, 30, 0, 9))
    specific = "range 10.30.0.0/16 of network 'byod' matches only in VLANs 30-31, 40"
    assert table.explain(ip, None)[1] == f"range 10.0.0.0/9; the more specific {specific}, {NO_TAG}"
    assert table.explain(ip, 5)[1] == f"range 10.0.0.0/9; the more specific {specific}, {OTHER_TAG}"
    assert table.explain(ip, 31)[1] == "range 10.30.0.0/16 in VLAN 31"
    assert table.explain(bytes((10, 31, 0, 9)), None)[1] == "range 10.0.0.0/9"


def test_says_which_vlans_are_networks_where_a_packet_has_no_tag() -> None:
    table = Networks([scope("v", vlans=[5]), scope("w", vlans=[1, 9, *range(20, 60, 2)])])
    shown = "1, 5, 9, 20, 22, 24, 26, 28, 30, 32 and 13 more"
    expected = f"VLANs {shown} would match without a range, {NO_TAG}"
    assert table.missed(bytes((192, 0, 2, 1)), None) == expected
    assert table.missed(bytes((192, 0, 2, 1)), 6) == ""
    assert table.explain(bytes((192, 0, 2, 1)), 5)[1] == "VLAN 5"


@pytest.mark.parametrize(
    ("address", "listed"),
    [
        ("0.0.0.0", True),
        ("::", True),
        ("10.20.0.80", True),
        ("10.20.0.81", False),
        ("198.51.100.127", True),
        ("198.51.100.128", False),
        ("2001:db8:80::ffff", True),
        ("2001:db8:80:1::", False),
        ("2001:db8:81::1", True),
        ("2001:db8:81::2", False),
        ("::1", False),
        ("0.0.0.1", False),
    ],
)
def test_addresses(address: str, listed: bool) -> None:
    sinkholes = Sinkholes(ip_network(text) for text in RANGES)
    assert (ip_address(address).packed in sinkholes) == listed


def test_without_ranges_only_the_null_addresses_are_listed() -> None:
    assert bytes(4) in Sinkholes()
    assert bytes(16) in Sinkholes()
    assert bytes(15) + b"\1" not in Sinkholes()


@given(
    st.ip_addresses(),
    st.lists(st.tuples(st.ip_addresses(), st.integers(0, 128)), max_size=6),
)
def test_ranges_are_those_of_the_standard_library(address, ranges) -> None:
    networks = [
        ip_network((each.packed, min(length, each.max_prefixlen)), strict=False)
        for each, length in ranges
    ]
    expected = any(address in network for network in networks) or int(address) == 0
    assert (address.packed in Sinkholes(networks)) == expected
