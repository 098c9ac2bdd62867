"""Incidents of before and after are compared without having all of them in memory."""

from collections.abc import Iterator
from typing import Any

from netwatch.rejudge.differences import compared


def record(number: int, *, id_: str = "", packet: int = 0, verdict: str = "violation") -> Any:
    """A record with what is compared of it."""
    piece = {"type": "tls-sni", "name": "a", "source": "a.pcap", "packet": packet or number}
    return {
        "id": id_ or f"id-{number}",
        "first_seen": f"2023-04-01T00:00:{number:02}Z",
        "ban": {"id": "ban"},
        "app": {"id": "app"},
        "verdict": verdict,
        "evidence": [piece],
    }


def test_both_sides_are_read_at_the_same_pace() -> None:
    read = [0, 0]

    def side(number: int) -> Iterator[Any]:
        for place in range(1, 50):
            read[number] += 1
            assert abs(read[0] - read[1]) <= 1
            yield record(place)

    assert list(compared(side(0), side(1))) == []
    assert read == [49, 49]


def test_another_order_is_no_difference() -> None:
    records = [record(number) for number in range(1, 10)]
    assert list(compared(records, records[::-1])) == []
    assert list(compared(records[3:] + records[:3], records)) == []


def test_differences_come_in_the_order_of_time() -> None:
    before = [record(1), record(2), record(4), record(6)]
    after = [record(6, verdict="advisory"), record(5), record(2), record(3, id_="x", packet=4)]
    found = [
        (each.change, (each.after or each.before)["id"], each.fields)  # type: ignore[index]
        for each in compared(before, after)
    ]
    assert found == [
        ("withdrawn", "id-1", ()),
        ("changed", "x", ("id", "first_seen")),
        ("new", "id-5", ()),
        ("changed", "id-6", ("verdict",)),
    ]


def test_an_incident_has_one_other_only() -> None:
    """Of two that have its evidence the first one counts, and the other is new."""
    before = [record(1, packet=7), record(2, packet=7)]
    after = [record(3, id_="x", packet=7)]
    found = [each.change for each in compared(before, after)]
    assert sorted(found) == ["changed", "withdrawn"]
    found = [each.change for each in compared(after, before)]
    assert found == ["changed", "new"]
