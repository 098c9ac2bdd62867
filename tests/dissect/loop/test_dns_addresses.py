"""Addresses that the packet loop remembers of answers for names of no interest."""

from ipaddress import ip_address

import messages
import pytest
from support.captures import START, rows, timed
from support.frames import CLIENT, SERVER, udp
from support.interpreted import interpreted

from netwatch.core.flow import DNS_TTL_GRACE
from netwatch.dissect.loop.loop import Loop

RAW = 101
SECOND = 1_000_000_000
ADDRESS, ADDRESS6 = "203.0.113.10", "2001:db8::10"


def packed(text: str) -> bytes:
    return ip_address(text).packed


def answer(name: str = "www.example.org", address: str = ADDRESS, ttl: int = 60) -> bytes:
    kind = "AAAA" if ":" in address else "A"
    payload = messages.answer(1, name, kind, [(name, kind, ttl, address)])
    return udp(payload, src=SERVER, sport=53, dst=CLIENT, dport=50000)


def walked(*packets: bytes, zones: tuple[bytes, ...] = (b"example.com",)) -> Loop:
    loop = Loop(64, seed=5, domains=zones)
    rows(loop, timed(packets, gap=100 * SECOND), RAW)
    return loop


@pytest.mark.parametrize("address", [ADDRESS, ADDRESS6])
@pytest.mark.parametrize(
    ("at", "known"),
    [
        (-1, False),
        (0, True),
        (60 * SECOND + DNS_TTL_GRACE, True),
        (60 * SECOND + DNS_TTL_GRACE + 1, False),
    ],
)
def test_an_answer_is_known_from_its_time_until_it_is_out_of_date(
    address: str, at: int, known: bool
) -> None:
    loop = walked(answer(address=address))
    assert loop.addresses.answered(packed(CLIENT), packed(address), START + at) is known
    assert not loop.addresses.answered(packed("10.9.9.9"), packed(address), START + at)
    assert not loop.addresses.answered(packed(CLIENT), packed("203.0.113.11"), START + at)


@pytest.mark.parametrize("source", [False, True])
def test_the_name_is_known_as_long(source: bool) -> None:
    """The packet loop and a parser remember it alike, compiled and interpreted."""
    loop = (interpreted().Loop if source else Loop)(64, seed=5, domains=(b"example.com",))
    rows(loop, timed([answer("www.Example.org"), answer("Www.example.com")]), RAW)
    last = START + 60 * SECOND + DNS_TTL_GRACE
    client, other = packed(CLIENT), packed("10.9.9.9")
    for at, known in ((START - 1, False), (START, True), (last, True), (last + 1, False)):
        assert loop.addresses.asked(client, "www.example.org", at) is known
    assert not loop.addresses.asked(other, "www.example.org", START)
    assert not loop.addresses.asked(client, "example.org", START)
    assert not loop.addresses.asked(client, "www.example.com", START + SECOND)
    loop.addresses.remember_name(other, "www.example.net", START, last)
    assert loop.addresses.asked(other, "www.example.net", last)
    assert not loop.addresses.asked(client, "www.example.net", last)


def test_asked_again_it_lasts_from_the_first_to_the_last() -> None:
    loop = walked(answer(), answer(), answer(ttl=0))
    for seconds, known in ((0, True), (100 + 60 + 300, True), (200 + 300.5, False)):
        time = START + int(seconds * SECOND)
        assert loop.addresses.answered(packed(CLIENT), packed(ADDRESS), time) is known


def test_answers_of_interest_are_left_to_the_parser() -> None:
    loop = walked(answer("www.example.com"))
    assert not loop.addresses.answered(packed(CLIENT), packed(ADDRESS), START)
    assert loop.candidates.total == 1


def test_more_than_there_is_room_for_is_counted() -> None:
    first = packed("198.51.100.0")
    addresses = [(ip_address(first) + number).packed for number in range(70_000)]
    one = answer(address="198.51.100.0")
    assert one.count(first) == 1
    loop = Loop(64, seed=5, domains=[])
    rows(loop, timed([one.replace(first, each) for each in addresses], gap=1000), RAW)
    held = sum(loop.addresses.answered(packed(CLIENT), each, START + SECOND) for each in addresses)
    assert held + loop.addresses.evicted == 70_000
    assert 10_000 < held < 65_536
