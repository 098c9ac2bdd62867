"""Addresses in their packed and text forms."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac


@given(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)))
def test_addresses_agree_with_the_standard_library(packed: bytes) -> None:
    assert parse_ip(ip_text(packed)) == packed
    if packed[:10] != bytes(10):
        assert ip_text(packed) == str(ip_address(packed))


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("0.0.0.0", "0.0.0.0"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("::", "::"),
        ("::1", "::1"),
        # RFC 5952 section 5, whatever the version of Python
        ("::ffff:c000:201", "::ffff:192.0.2.1"),
    ],
)
def test_one_text_form(address: str, text: str) -> None:
    assert ip_text(ip_address(address).packed) == text


@pytest.mark.parametrize("text", ["", "192.0.2", "192.0.2.256", "2001:db8", "::1/128", "a"])
def test_no_address(text: str) -> None:
    assert parse_ip(text) is None


def test_a_mac_as_text() -> None:
    assert mac_text(bytes([2, 0, 0xAB, 0, 0, 1])) == "02:00:ab:00:00:01"


@pytest.mark.parametrize(
    "text",
    [
        "02:00:00:00:00:0a",
        "02-00-00-00-00-0A",
        "0200.0000.000a",
        "02000000000A",
    ],
)
def test_mac_forms(text: str) -> None:
    assert parse_mac(text) == bytes.fromhex("02000000000a")


@pytest.mark.parametrize(
    "text", ["", "02:00:00:00:00", "02:00-00:00:00:01", "02:00:00:00:00:0g", "02:00:00:00:00:01:02"]
)
def test_no_mac(text: str) -> None:
    assert parse_mac(text) is None
