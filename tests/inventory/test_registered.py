"""Devices of registers, made fit for an inventory."""

from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.inventory.registered import MAX_CELL, Registered, registered, settle

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
        "02:00:00:00:00:01 is that of a and of b",
        "10.0.0.254 is that of a and of b and 1 more",
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
