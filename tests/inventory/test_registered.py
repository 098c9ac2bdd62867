"""Devices of registers, made fit for an inventory.

Which class a device of a register has.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.inventory.registered import (
    MAX_CELL,
    ClassRule,
    Registered,
    class_by,
    folded_dn,
    folders_of,
    pattern_of,
    registered,
    settle,
)

MACS = [bytes([2, 0, 0, 0, 0, n]) for n in range(5)]


def mac(text: str) -> bytes:
    found = parse_mac(text)
    assert found
    return found


def ip(text: str) -> bytes:
    found = parse_ip(text)
    assert found
    return found


def test_only_what_one_device_can_have_remains() -> None:
    device = registered(
        " a\x00b\n\u202e ",
        macs=[bytes(6), b"\xff" * 6, mac("01:00:5e:00:00:01"), MACS[2], MACS[1], MACS[1]],
        ips=map(
            ip, ("10.0.0.2", "127.0.0.1", "0.0.0.0", "224.0.0.1", "fe80::1", "::1", "10.0.0.1")
        ),
        hostname="WS-1.City.Example.",
        owner="x" * 1000,
    )
    assert device.id == "a b"
    assert device.macs == (MACS[1], MACS[2])
    assert device.ips == (ip("10.0.0.1"), ip("10.0.0.2"))
    assert device.hostname == "ws-1.city.example"
    assert len(device.owner) == MAX_CELL


def test_what_two_devices_have_is_left_out_of_both() -> None:
    virtual = ip("10.0.0.254")
    found = settle(
        [
            [
                registered("b", macs=[MACS[1], MACS[3]], ips=[virtual]),
                registered("a", macs=[MACS[1]], ips=[ip("10.0.0.1"), virtual]),
                registered("c", ips=[virtual]),
                registered("d", macs=[MACS[4]]),
            ]
        ]
    )
    assert [(each.id, each.macs, each.ips) for each in found.devices] == [
        ("a", (), (ip("10.0.0.1"),)),
        ("b", (MACS[3],), ()),
        ("d", (MACS[4],), ()),
    ]
    assert found.left_out == (
        "02:00:00:00:00:01 belongs to a and to b",
        "10.0.0.254 belongs to a and to b and 1 more",
        "c has no MAC, address or host name of its own",
    )


def test_registers_complete_one_another() -> None:
    first = registered("WS-1", macs=[MACS[1]], owner="Finance", device_class="service")
    second = registered(
        "ws-1", macs=[MACS[2]], hostname="ws-1.city.example", owner="Other", device_class="guest"
    )
    (device,) = settle([[first], [second]]).devices
    assert device == registered(
        "WS-1",
        macs=MACS[1:3],
        hostname="ws-1.city.example",
        owner="Finance",
        device_class="service",
    )


def test_two_devices_of_one_register_keep_apart() -> None:
    twins = [registered("lab", macs=[MACS[n]], origin=f"device {n}") for n in (1, 2)]
    triplets = [registered("x", macs=[MACS[n]], origin="") for n in (3, 4)]
    found = settle([[*twins, *triplets]])
    assert [each.id for each in found.devices] == [
        "lab (device 1)",
        "lab (device 2)",
        "x ()",
        "x () 2",
    ]
    assert found.left_out == ()


DEVICE = st.builds(
    registered,
    st.sampled_from(["a", "A", "b", "c", "", "#x", "a (o)"]) | st.text(max_size=300),
    macs=st.lists(st.sampled_from(MACS), max_size=3),
    ips=st.lists(st.sampled_from([ip("10.0.0.1"), ip("10.0.0.2"), ip("2001:db8::1")]), max_size=2),
    hostname=st.sampled_from(["", "a.example", "B"]),
    origin=st.sampled_from(["", "o", "p"]),
)


@given(st.lists(st.lists(DEVICE, max_size=6), max_size=3))
def test_settled_devices_have_nothing_in_common(registers: list[list[Registered]]) -> None:
    devices = settle(registers).devices
    for values in (
        [each.id for each in devices],
        [value for each in devices for value in each.macs],
        [value for each in devices for value in each.ips],
    ):
        assert len(set(values)) == len(values)
    assert all(each.id and (each.macs or each.ips or each.hostname) for each in devices)
    assert settle([devices]).devices == devices


def test_the_first_rule_that_fits_decides() -> None:
    rules = (
        ClassRule("infrastructure", (("role", ("router", "sw*")),)),
        ClassRule("personal", (("tag", ("byod",)), ("site", ("hq",)))),
        ClassRule("service"),
    )
    assert class_by(rules, {"role": ["Switch"]}) == "infrastructure"
    assert class_by(rules, {"tag": ["other", "BYOD"], "site": ["hq"]}) == "personal"
    assert class_by(rules, {"tag": ["byod"], "site": ["annex"]}) == "service"
    assert class_by(rules, {}) == "service"
    assert class_by(rules[:2], {}) is None


@pytest.mark.parametrize(
    ("folder", "is_in"),
    [
        ("OU=PC,OU=City,DC=city,DC=example", True),
        ("ou=city, dc=city, dc=example", True),
        ("dc=example", True),
        ("OU=C,OU=City,DC=city,DC=example", False),
        ("CN=ws-1,OU=PC,OU=City,DC=city,DC=example", False),
        ("OU=Ci*", True),
    ],
)
def test_a_computer_is_in_all_folders_above_it(folder: str, is_in: bool) -> None:
    rule = ClassRule("service", (("under", (pattern_of("under", folder),)),))
    dn = "CN=ws-1, OU=PC,OU=City,DC=city,DC=example"
    assert rule.fits({"under": folders_of(dn)}) is is_in


def test_an_escaped_comma_separates_nothing() -> None:
    assert folders_of(r"CN=a\,b,OU=x\\,DC=example") == [r"ou=x\\,dc=example", "dc=example"]
    assert folded_dn("CN=a\\") == "cn=a\\"


def test_long_names_take_little_time() -> None:
    assert folders_of("CN=a," * 1_000_000) == []
    assert len(folders_of("," * 8000)) == 64


@given(st.text())
def test_any_text_has_folders(dn: str) -> None:
    assert all(folded_dn(dn).endswith(folder) for folder in folders_of(dn))
