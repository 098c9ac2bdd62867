"""What tells that there are several devices behind an address, and for how long."""

from hypothesis import given
from hypothesis import strategies as st

from netwatch.inventory import shared_clients
from netwatch.inventory.shared_clients import (
    MANY_FINGERPRINTS,
    MANY_STACKS,
    NAT,
    PROXY,
    WINDOW,
    SharedClients,
)

KEY = "hq", bytes((10, 20, 5, 5))
OTHER = "byod", KEY[1]
S = 1_000_000_000


def stack(number: int, variant: int = 0) -> str:
    return f"t13d15{variant:02}h2_{number:012x}_{variant:012x}"


def test_many_stacks_within_an_hour_are_several_devices() -> None:
    clients = SharedClients()
    for number in range(MANY_STACKS - 1):
        clients.note_fingerprint(KEY, stack(number), number * S)
    assert clients.reason_at(KEY, 60 * S) == ""
    assert not clients.has_any
    clients.note_fingerprint(KEY, stack(99), 60 * S)
    assert clients.reason_at(KEY, 60 * S) == NAT
    assert clients.reason_at(KEY, 59 * S) == ""  # what was not known then
    assert clients.reason_at(KEY, 60 * S + WINDOW - 1) == NAT
    assert clients.reason_at(KEY, 60 * S + WINDOW) == ""
    assert clients.reason_at(OTHER, 60 * S) == ""


def test_stacks_that_are_seldom_seen_are_those_of_one_device() -> None:
    clients = SharedClients()
    for number in range(4 * MANY_STACKS):
        clients.note_fingerprint(KEY, stack(number), number * (WINDOW // (MANY_STACKS - 1) + S))
    assert not clients.has_any


def test_one_program_has_several_fingerprints() -> None:
    clients = SharedClients()
    for number in range(MANY_FINGERPRINTS - 1):
        clients.note_fingerprint(KEY, stack(number % 3, number), S)
    assert not clients.has_any
    clients.note_fingerprint(KEY, stack(0, 98), S)
    assert clients.reason_at(KEY, S) == NAT


def test_an_address_that_is_asked_is_a_proxy_for_an_hour() -> None:
    clients = SharedClients()
    clients.note_request(KEY, 10 * S)
    clients.note_request(KEY, 20 * S)
    times = [9 * S, 10 * S, 20 * S + WINDOW - 1, 20 * S + WINDOW]
    assert [clients.reason_at(KEY, time) for time in times] == ["", PROXY, PROXY, ""]


def test_the_table_is_bounded() -> None:
    clients = SharedClients(limit=4)
    for number in range(10):
        clients.note_request(("hq", bytes((10, 0, 0, number))), number * S)
    assert (len(clients), clients.evicted) == (4, 6)
    for number in range(100):
        clients.note_fingerprint(KEY, stack(number), number * 2 * WINDOW)
        clients.note_request(KEY, number * 2 * WINDOW)
    stored = clients._clients[KEY]
    assert len(stored.fingerprints) <= MANY_FINGERPRINTS
    assert len(stored.periods) <= shared_clients.MAX_PERIODS


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8000)), max_size=60))
def test_an_address_is_shared_exactly_if_many_stacks_were_seen(
    contacts: list[tuple[int, int]],
) -> None:
    """Beside a search in all contacts so far, whatever the order of their times."""
    clients = SharedClients()
    seen: dict[str, int] = {}
    for number, second in contacts:
        ja4, time = stack(number), second * S
        clients.note_fingerprint(KEY, ja4, time)
        seen[ja4] = max(time, seen.get(ja4, 0))
        recent = {each for each, last in seen.items() if last > time - WINDOW}
        if len(recent) >= MANY_STACKS:
            assert clients.reason_at(KEY, time) == NAT
        elif len(seen) < MANY_STACKS:
            assert clients.reason_at(KEY, time) == ""
