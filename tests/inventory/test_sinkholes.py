"""Sinkholes: addresses and ranges, and the null addresses without being listed."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.inventory.sinkholes import Sinkholes

RANGES = ("10.20.0.80", "198.51.100.0/25", "2001:db8:80::/64", "2001:db8:81::1/128")


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
