"""Which packets are written: within limits, whole contacts, in the order of the capture."""

from hypothesis import given
from hypothesis import strategies as st
from support.alerts import SECOND, START, alert, frame, proof

from netwatch.incidents.evidence_selection import MAX_COMMENTS, Limits, choose, first_time, ordered


def numbers(reported, limits: Limits | None = None) -> list[int]:
    chosen, _ = choose(reported, limits or Limits())
    return [each.number for each, _ in chosen]


def test_packets_are_in_capture_order_whatever_their_importance() -> None:
    reported = alert(proof(frame(5), frame(4)), proof(frame(2)), proof(frame(9), frame(2)))
    assert numbers(reported) == [2, 4, 5, 9]


def test_a_clock_that_is_set_back_does_not_change_the_order_of_a_source() -> None:
    frames = [frame(1, second=10), frame(2, second=3), frame(3, second=11)]
    other = [frame(1, source="eth2", second=10.5)]
    reported = [(each.source, each.number) for each in ordered([*frames, *other])]
    assert reported == [("eth1", 1), ("eth1", 2), ("eth2", 1), ("eth1", 3)]


def test_a_contact_is_written_completely_or_not_at_all() -> None:
    reported = alert(proof(frame(1)), proof(frame(2), frame(3), frame(4)), proof(frame(5)))
    chosen, left_out = choose(reported, Limits(packets=3))
    assert [each.number for each, _ in chosen] == [1, 5]
    assert left_out == {"evidence-packets": 1}


def test_bytes_are_bounded() -> None:
    reported = alert(proof(frame(1, 300)), proof(frame(2, 800)), proof(frame(3, 100)))
    assert numbers(reported, Limits(octets=500)) == [1, 3]


def test_age_is_bounded() -> None:
    reported = alert(proof(frame(1)), proof(frame(100)))
    chosen, left_out = choose(reported, Limits(age=60 * SECOND))
    assert [each.number for each, _ in chosen] == [1]
    assert left_out == {"evidence-age": 1}


def test_an_earlier_contact_of_an_incident_that_keeps_its_id_stays_out() -> None:
    reported = alert(proof(frame(5)), proof(frame(9)))
    later = alert(proof(frame(5)), proof(frame(9)), proof(frame(3)), id=reported.id)
    assert later.first_seen == START + 3 * SECOND
    assert first_time(later) == reported.first_seen
    assert numbers(later) == [5, 9]


def test_an_id_of_no_contact_begins_with_the_first() -> None:
    assert first_time(alert(proof(frame(5)), id="f" * 32)) == START + 5 * SECOND


def test_comments_say_what_a_packet_is_for() -> None:
    reported = alert(
        proof(frame(1), frame(2)), proof(frame(2), kind="tls-cert", name="a.tiktok.com")
    )
    chosen, _ = choose(reported, Limits())
    assert [comments for _, comments in chosen] == [
        [f"part of tls-sni www.tiktok.com, incident {reported.id}, packet eth1#1"],
        [
            f"tls-sni www.tiktok.com, incident {reported.id}, packet eth1#2",
            f"tls-cert a.tiktok.com, incident {reported.id}, packet eth1#2",
        ],
    ]


def test_comments_are_bounded_and_escaped() -> None:
    names = [f"n{number}\x1b[2J\u202e" for number in range(20)]
    chosen, _ = choose(alert(*(proof(frame(1), name=name) for name in names)), Limits())
    ((_, comments),) = chosen
    assert len(comments) == MAX_COMMENTS
    assert all(text.isprintable() for text in comments)


@given(
    st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=5, unique=True), max_size=12),
    st.integers(0, 12),
    st.integers(0, 1200),
)
def test_any_contacts_stay_within_the_limits(contacts: list, packets: int, octets: int) -> None:
    reported = alert(*(proof(*map(frame, each)) for each in contacts))
    chosen, left_out = choose(reported, Limits(packets, octets))
    there = {each.number for each, _ in chosen}
    assert len(there) == len(chosen) <= packets
    assert sum(len(each.data) for each, _ in chosen) <= octets
    missing = [each for each in contacts if not there.issuperset(each)]
    assert left_out.total() >= len(missing)
    assert there == {n for each in contacts if there.issuperset(each) for n in each}
