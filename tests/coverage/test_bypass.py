"""Which days of which devices are findings, and why; and which are not."""

from dataclasses import replace
from typing import Any

import pytest

from netwatch.coverage.bypass import (
    MIN_CONTACTS,
    MIN_DAYS,
    MIN_OTHERS,
    PAST_DAYS,
    REASONS,
    Bypass,
    Counts,
    DeviceDay,
    DeviceKey,
    bypasses,
    wilson,
)

ONE = DeviceKey("hq", "", "ws-1")


def day(number: int, contacts: int, untold: int, *, of: DeviceKey = ONE, **more: Any) -> DeviceDay:
    return DeviceDay(of, number, contacts, untold, **{"lookups": contacts} | more)


def usual(days: int, *, of: DeviceKey = ONE, untold: int = 1) -> list[DeviceDay]:
    return [day(number, 100, untold, of=of) for number in range(days)]


def others(number: int, count: int, untold: int = 1) -> list[DeviceDay]:
    return [
        day(number, 100, untold, of=DeviceKey("hq", "", f"other-{each}")) for each in range(count)
    ]


def found(days: list[DeviceDay]) -> list[Bypass]:
    return list(bypasses(days))


def test_intervals_are_those_of_wilson() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion", table I.
    for (hits, of), expected in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert wilson(hits, of) == pytest.approx(expected, abs=0.0001)


@pytest.mark.parametrize(("hits", "of"), [(0, 0), (0, 1), (1, 1), (1, 3), (10**9, 10**9)])
def test_an_interval_has_the_share(hits: int, of: int) -> None:
    low, high = wilson(hits, of)
    assert 0 <= low <= high <= 1
    assert not of or low <= hits / of <= high + 1e-12


def test_a_device_that_stops_to_ask_is_found_with_its_reasons() -> None:
    switched = day(5, 90, 85, named=80, most=9, lookups=0)
    (one,) = found([*usual(5), *others(5, 6), switched])
    assert one.own == switched
    assert one.reasons == (
        "share-above-past", "share-above-others", "fewer-lookups", "names-shown",
    )  # fmt: skip
    assert set(one.reasons) <= {*REASONS}
    assert one.past is not None
    assert (one.past.days, one.past.contacts, one.past.untold) == (5, 500, 5)
    assert one.others is not None
    assert (one.others.devices, one.others.median) == (6, 0.01)
    assert one.interval == wilson(85, 90)


def test_a_tunnel_is_one_address() -> None:
    (one,) = found([*usual(5), day(5, 9, 9, most=9, lookups=0)])
    assert one.reasons == ("share-above-past", "fewer-lookups", "one-address")
    assert one.others is None


def test_it_is_found_as_long_as_it_goes_on_and_not_afterwards() -> None:
    hiding = [day(number, 100, 90) for number in range(5, 8)]
    days = [*usual(5), *hiding, day(8, 100, 1)]
    assert [each.own.day for each in found(days)] == [5, 6, 7]
    assert [each.past.days for each in found(days) if each.past] == [5, 5, 5]


@pytest.mark.parametrize(
    "days",
    [
        [],
        [day(0, 0, 0)],
        [day(0, 100, 0)],
        # One day only, of a device alone: nothing to compare with.
        [day(0, 100, 100, lookups=0)],
        [*usual(MIN_DAYS - 1), day(5, 100, 100)],
        # A new device in a small network.
        [*others(0, MIN_OTHERS - 1), day(0, 100, 100, lookups=0)],
        # Too few contacts, whatever they are.
        [*usual(5), day(5, MIN_CONTACTS - 1, MIN_CONTACTS - 1)],
        # Earlier days with too few contacts are no days.
        [*(day(number, MIN_CONTACTS - 1, 0) for number in range(9)), day(9, 100, 100)],
        # Its past is too long ago.
        [*usual(5), day(5 + PAST_DAYS, 100, 100)],
        # It was always like that.
        [*usual(5, untold=80), day(5, 100, 90)],
        # It was once like that: days differ.
        [*usual(4), day(4, 100, 20), day(5, 100, 40)],
        # A quiet day, on which what it always has is much.
        [*usual(5, untold=10), day(5, 12, 12)],
        # The resolver is no longer seen: it concerns them all.
        [
            *(each for number in range(3) for each in others(number, 6)),
            *others(3, 6, untold=100),
        ],
        # All devices are new, and half of them ask elsewhere: nobody can tell what is usual.
        [
            *others(0, 4),
            *(day(0, 100, 95, lookups=0, of=DeviceKey("hq", "", f"new-{n}")) for n in range(5)),
        ],
    ],
)
def test_nothing_is_found_where_nothing_can_be_said(days: list[DeviceDay]) -> None:
    assert found(days) == []


def test_addresses_that_it_always_goes_to_are_habits() -> None:
    """A line of a hosts file is no reason, on a quiet day either; a tunnel is one beside it."""
    hosts = {"192.0.2.1": Counts(9), "192.0.2.2": Counts(9, 9)}
    before = [day(number, 100, 18, named=9, most=9, addresses=hosts) for number in range(5)]
    assert found([*before, day(5, 18, 18, named=9, most=9, addresses=hosts)]) == []
    tunnel = day(
        5, 29, 29, most=11, named=9, lookups=0, addresses=hosts | {"192.0.2.9": Counts(11)}
    )
    (one,) = found([*before, tunnel])
    assert (one.own.contacts, one.own.untold, one.own.named, one.own.most) == (11, 11, 0, 11)
    assert one.own.addresses == {"192.0.2.9": Counts(11)}
    assert one.past is not None
    assert (one.past.contacts, one.past.untold, one.past.most) == (5 * 82, 0, 0)
    assert one.reasons == ("share-above-past", "fewer-lookups", "one-address")
    again = replace(tunnel, day=6)
    assert [each.own.day for each in found([*before, tunnel, again])] == [5, 6]


def test_a_new_device_is_compared_with_the_others_alone() -> None:
    (one,) = found([*others(0, MIN_OTHERS), day(0, 100, 80, lookups=0)])
    assert one.past is None
    assert one.reasons == ("share-above-others",)
    assert found([*others(0, MIN_OTHERS), day(0, 100, 55, lookups=0)]) == []
    # It asks: what it does besides may be its habit.
    assert found([*others(0, MIN_OTHERS), day(0, 100, 80, lookups=8)]) == []


def test_networks_and_sensors_are_apart() -> None:
    elsewhere = [
        DeviceDay(DeviceKey(network, sensor, f"other-{n}"), 0, 100, 1)
        for network, sensor in (("byod", ""), ("hq", "annex"))
        for n in range(9)
    ]
    assert found([*elsewhere, day(0, 100, 100, lookups=0)]) == []
    same_id = usual(5, of=DeviceKey("byod", "", "ws-1"))
    assert found([*same_id, day(5, 100, 100)]) == []


def test_the_order_of_the_days_does_not_matter() -> None:
    days = [*usual(5), *others(5, 6), day(5, 100, 90), day(6, 100, 90)]
    assert found(days[::-1]) == found(days)
    assert len(found(days)) == 2
