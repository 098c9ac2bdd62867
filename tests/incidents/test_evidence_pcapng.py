"""What is written as pcapng reads back as it was, here and in the tools of others."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import tshark
from support.captures import START, timed
from support.frames import ETHERNET, tcp, udp
from support.programs import needs

from netwatch.capture.block import FIELDS
from netwatch.capture.files import open_source
from netwatch.core.flow import Frame
from netwatch.incidents.evidence_pcapng import MAX_OPTION, interface, packet, section, with_vlan_tag


def frame(data: bytes, number: int = 1, **fields: object) -> Frame:
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
        frame(data, number, time=time, wire_length=len(data) + more)
        for number, (data, time, more) in enumerate(packets)
    ]
    found = read(written(tmp_path / "a.pcapng", frames))
    assert found == [(each.time, each.data, each.wire_length, "eth1", 9) for each in frames]


def test_packets_larger_than_the_usual_snap_length_are_read(tmp_path: Path) -> None:
    (found,) = read(written(tmp_path / "a.pcapng", [frame(bytes(300_000))]))
    assert len(found[1]) == 300_000


def test_a_stripped_vlan_tag_is_inserted_again() -> None:
    bare = ETHERNET.frame(tcp(b"x"))
    data, wire = with_vlan_tag(frame(bare, vlan_tci=0x601E))
    assert data == bare[:12] + b"\x81\x00\x60\x1e" + bare[12:]
    assert wire == len(bare) + 4


@pytest.mark.parametrize("fields", [{"link_type": 101}, {"data": b"short", "wire_length": 5}])
def test_no_tag_is_inserted_where_there_is_no_ethernet_header(fields: dict) -> None:
    made = (
        frame(b"no frame of Ethernet", vlan_tci=30, **fields)
        if "data" not in fields
        else frame(fields["data"], vlan_tci=30)
    )
    assert with_vlan_tag(made) == (made.data, made.wire_length)


def test_a_long_comment_is_cut_between_characters(tmp_path: Path) -> None:
    text = "é" * MAX_OPTION
    data = packet(frame(b""), 0, [text])
    assert text.encode()[:MAX_OPTION] in data
    assert text.encode()[: MAX_OPTION + 1] not in data


@tshark.needed
def test_tshark_reads_comments_names_and_nanoseconds(tmp_path: Path) -> None:
    packets = [ETHERNET.frame(each) for each in (tcp(b"abc"), udp(b"def", dport=9))]
    frames = [
        frame(data, number, time=time + 7) for number, (time, data) in enumerate(timed(packets))
    ]
    path = written(tmp_path / "a.pcapng", frames, ("tls-sni www.tiktok.com", "and another"))
    fields = ("frame.time_epoch", "frame.len", "frame.interface_name", "frame.comment")
    rows = tshark.fields(path, fields)
    assert [row[1:3] for row in rows] == [[str(len(data)), "eth1"] for data in packets]
    assert [row[0].partition(".")[2][:9] for row in rows] == ["000000007", "001000007"]
    assert all("tls-sni www.tiktok.com" in row[3] and "and another" in row[3] for row in rows)


@needs("capinfos")
def test_capinfos_reads_it_without_errors(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pcapng", [frame(ETHERNET.frame(tcp(b"abc")))])
    done = subprocess.run(
        ["capinfos", "-M", str(path)], check=True, capture_output=True, text=True, timeout=60
    )
    assert "Number of packets:   1" in done.stdout
    assert "Capture comment:     an incident" in done.stdout
    assert "nanoseconds (9)" in done.stdout
