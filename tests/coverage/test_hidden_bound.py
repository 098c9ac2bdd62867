"""The bound of hidden contacts: its numbers, its coverage, and where it says nothing."""

import itertools
import math
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.coverage.hidden_bound import (
    LEVEL,
    MAX_SHOWING,
    DeviceFlows,
    HiddenBound,
    NoBound,
    hidden_bound,
    hidden_devices,
)


def contacts(*devices: DeviceFlows) -> int:
    found = hidden_bound(devices)
    assert isinstance(found, HiddenBound)
    return found.contacts


@pytest.mark.parametrize("share", [0.01, 0.05, 0.051, 0.1, 0.3, 0.5, 0.9])
def test_without_a_contact_it_is_the_closed_form(share: float) -> None:
    # All k are hidden with share**k, which is more than 5 % up to ln 0.05 / ln share.
    assert hidden_devices([], [share] * 200) == math.ceil(math.log(1 - LEVEL) / math.log(share)) - 1


def test_equal_shares_give_the_limits_of_clopper_and_pearson() -> None:
    # The upper 95 % limit of 0 of 5 is 0.4507, that of 1 of 5 is 0.6574 and that of 3 of 10 is
    # 0.6066 (one-sided): so many fail to show a contact where it is just above 1 - share.
    assert hidden_devices([], [1 - 0.4500] * 9) == 5
    assert hidden_devices([], [1 - 0.4515] * 9) == 4
    assert hidden_devices([1 - 0.6570], [1 - 0.6570] * 9) == 4
    assert hidden_devices([1 - 0.6580], [1 - 0.6580] * 9) == 3
    assert hidden_devices([1 - 0.6060] * 3, [1 - 0.6060] * 9) == 7
    assert hidden_devices([1 - 0.6070] * 3, [1 - 0.6070] * 9) == 6


@given(st.lists(st.floats(0.01, 0.99), max_size=3), st.lists(st.floats(0.01, 0.99), max_size=5))
def test_is_what_all_outcomes_add_up_to(showing: list[float], others: list[float]) -> None:
    def likely(shares: Sequence[float]) -> float:
        return math.fsum(
            math.prod(s if is_hidden else 1 - s for s, is_hidden in zip(shares, each, strict=True))
            for each in itertools.product([False, True], repeat=len(shares))
            if each.count(False) <= len(showing)
        )

    ranked = sorted(others, reverse=True)
    number = hidden_devices(showing, others)
    assert number == 0 or likely([*showing, *ranked[:number]]) > 1 - LEVEL - 1e-9
    if number < len(others):
        assert likely([*showing, *ranked[: number + 1]]) <= 1 - LEVEL + 1e-9


def test_where_little_is_hidden_nothing_is() -> None:
    assert contacts(*[DeviceFlows(960, 40)] * 100) == 0


def test_a_device_that_hides_a_tenth_may_hide_its_contacts() -> None:
    assert contacts(*[DeviceFlows(960, 40)] * 100, DeviceFlows(90, 10)) == 40


def test_what_shows_a_contact_may_hide_more() -> None:
    assert contacts(DeviceFlows(980, 20, contacts=1)) == 20


def test_the_few_flows_of_a_device_without_names_all_count() -> None:
    assert contacts(DeviceFlows(1000, 0), DeviceFlows(0, 19)) == 19


@pytest.mark.parametrize(
    ("devices", "code"),
    [
        ([], "no-names"),
        ([DeviceFlows(0, 12)], "no-names"),
        ([DeviceFlows(1000, 0), DeviceFlows(0, 20)], "hides-all"),
        ([DeviceFlows(1000, 3, tunnels=1)], "tunnels"),
        ([DeviceFlows(9, 1, contacts=1)] * (MAX_SHOWING + 1), "many-contacts"),
    ],
)
def test_where_the_assumption_fails_it_says_so(devices: list[DeviceFlows], code: str) -> None:
    found = hidden_bound(devices)
    assert isinstance(found, NoBound)
    assert found.code == code


@given(
    st.lists(
        st.builds(
            DeviceFlows, st.integers(1, 500), st.integers(0, 500), st.sampled_from([0, 0, 0, 1])
        ),
        min_size=1,
        max_size=12,
    )
)
def test_is_never_more_than_what_was_not_read(devices: list[DeviceFlows]) -> None:
    assert 0 <= contacts(*devices) <= sum(each.unread for each in devices)


Rates = Callable[[random.Random], Callable[[], float]]
"""Makes for a device what gives the rate at which it hides the flows of its next app."""


def flow_by_flow(numbers: random.Random) -> Callable[[], float]:
    rate = numbers.random() * 0.4
    return lambda: rate


def app_by_app(numbers: random.Random) -> Callable[[], float]:
    rate = numbers.random() * 0.4
    return lambda: float(numbers.random() < rate)


def some_of_each_app(numbers: random.Random) -> Callable[[], float]:
    rate = 0.02 + numbers.random() * 0.4
    return lambda: numbers.betavariate(2 * rate, 2 * (1 - rate))


@pytest.mark.parametrize("rates", [flow_by_flow, app_by_app, some_of_each_app])
@pytest.mark.parametrize("having", [1, 3, 8])
def test_covers_what_is_hidden_at_random(rates: Rates, having: int) -> None:
    numbers = random.Random(having)
    draws = 200
    covered = sum(_is_covered(numbers, rates, having) for _ in range(draws))
    # 183 of 200 or fewer would come about once in 50 times if the bound held in just 95 %.
    assert covered > 183


def _is_covered(numbers: random.Random, rates: Rates, having: int) -> bool:
    """Whether the bound holds in a network of 12 devices with 15 apps each, of which `having` also
    have the app of the ban."""
    devices, hidden = [], 0
    for device in range(12):
        rate = rates(numbers)
        named = unread = shown = 0
        for app in range(15 + (device < having)):
            size = 1 + int(numbers.lognormvariate(1, 1))
            now = rate()
            unnamed = sum(numbers.random() < now for _ in range(size))
            named, unread = named + size - unnamed, unread + unnamed
            if app == 15:
                hidden += unnamed
                shown = size - unnamed
        devices.append(DeviceFlows(named, unread, shown))
    found = hidden_bound(devices)
    return isinstance(found, NoBound) or hidden <= found.contacts
