"""Which packets are written: within limits, whole contacts, in the order of the capture.

What is written as pcapng reads back as it was, here and in the tools of others.
"""

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import tshark
from support.alerts import SECOND, START, alert, frame, proof
from support.captures import timed
from support.frames import ETHERNET, tcp, udp
from support.programs import needs

from netwatch.capture.block import FIELDS
from netwatch.capture.files import open_source
from netwatch.core.flow import Frame
from netwatch.incidents.evidence_selection import (
    MAX_COMMENTS,
    MAX_OPTION,
    Limits,
    choose,
    first_time,
    interface,
    ordered,
    packet,
    section,
    with_vlan_tag,
)


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


def written_frame(data: bytes, number: int = 1, **fields: object) -> Frame:
    made = {
        "source": "eth1",
        "number": number,
        "time": START + number,
        "time_digits": 9,
        "link_type": 1,
        "interface": "eth1",
        "wire_length": len(data),
        "vlan_tci": -1,
        "data": data,
    }
    return Frame(**(made | fields))


def written(path: Path, frames: list[Frame], comments: tuple[str, ...] = ("seen",)) -> Path:
    longest = max((len(each.data) + 4 for each in frames), default=0)
    blocks = [section("netwatch", "an incident"), interface(1, "eth1", "eth1", longest)]
    blocks += [packet(each, 0, comments) for each in frames]
    path.write_bytes(b"".join(blocks))
    return path


def read(path: Path) -> list[tuple[int, bytes, int, str | None, int]]:
    """Time, bytes, length on the wire, interface and its digits of each packet."""
    source, found = open_source(str(path)), []
    for block in source.blocks():
        for at in range(0, block.count * FIELDS, FIELDS):
            time, offset, size, wire, on, tag = block.records[at : at + FIELDS]
            assert tag == -1
            of = block.interfaces[on]
            found.append(
                (time, bytes(block.data[offset : offset + size]), wire, of.name, of.time_digits)
            )
    assert source.notes == []
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    packets=st.lists(
        st.tuples(st.binary(max_size=200), st.integers(0, 2**63 - 1), st.integers(0, 70)),
        max_size=20,
    )
)
def test_any_packets_read_back_as_they_were(packets: list, tmp_path: Path) -> None:
    frames = [
        written_frame(data, number, time=time, wire_length=len(data) + more)
        for number, (data, time, more) in enumerate(packets)
    ]
    found = read(written(tmp_path / "a.pcapng", frames))
    assert found == [(each.time, each.data, each.wire_length, "eth1", 9) for each in frames]


def test_packets_larger_than_the_usual_snap_length_are_read(tmp_path: Path) -> None:
    (found,) = read(written(tmp_path / "a.pcapng", [written_frame(bytes(300_000))]))
    assert len(found[1]) == 300_000


def test_a_stripped_vlan_tag_is_inserted_again() -> None:
    bare = ETHERNET.frame(tcp(b"x"))
    data, wire = with_vlan_tag(written_frame(bare, vlan_tci=0x601E))
    assert data == bare[:12] + b"\x81\x00\x60\x1e" + bare[12:]
    assert wire == len(bare) + 4


@pytest.mark.parametrize("fields", [{"link_type": 101}, {"data": b"short", "wire_length": 5}])
def test_no_tag_is_inserted_where_there_is_no_ethernet_header(fields: dict) -> None:
    made = (
        written_frame(b"no frame of Ethernet", vlan_tci=30, **fields)
        if "data" not in fields
        else written_frame(fields["data"], vlan_tci=30)
    )
    assert with_vlan_tag(made) == (made.data, made.wire_length)


def test_a_long_comment_is_cut_between_characters(tmp_path: Path) -> None:
    text = "é" * MAX_OPTION
    data = packet(written_frame(b""), 0, [text])
    assert text.encode()[:MAX_OPTION] in data
    assert text.encode()[: MAX_OPTION + 1] not in data


@tshark.needed
def test_tshark_reads_comments_names_and_nanoseconds(tmp_path: Path) -> None:
    packets = [ETHERNET.frame(each) for each in (tcp(b"abc"), udp(b"def", dport=9))]
    frames = [
        written_frame(data, number, time=time + 7)
        for number, (time, data) in enumerate(timed(packets))
    ]
    path = written(tmp_path / "a.pcapng", frames, ("tls-sni www.tiktok.com", "and another"))
    fields = ("frame.time_epoch", "frame.len", "frame.interface_name", "frame.comment")
    rows = tshark.fields(path, fields)
    assert [row[1:3] for row in rows] == [[str(len(data)), "eth1"] for data in packets]
    assert [row[0].partition(".")[2][:9] for row in rows] == ["000000007", "001000007"]
    assert all("tls-sni www.tiktok.com" in row[3] and "and another" in row[3] for row in rows)


@needs("capinfos")
def test_capinfos_reads_it_without_errors(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pcapng", [written_frame(ETHERNET.frame(tcp(b"abc")))])
    done = subprocess.run(
        ["capinfos", "-M", str(path)], check=True, capture_output=True, text=True, timeout=60
    )
    assert "Number of packets:   1" in done.stdout
    assert "Capture comment:     an incident" in done.stdout
    assert "nanoseconds (9)" in done.stdout
