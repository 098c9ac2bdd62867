"""Old versions and vendors' variants of pcap, against files that are right, cut, and of any bytes;
and tshark and tcpdump as further readers."""

import contextlib
import io
import struct
import subprocess

import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import tshark
from support.examples import only_long
from support.frames import ETHERNET, udp
from support.made_captures import PACKETS, SECOND, kuznetzov, nokia, pcap, read
from support.programs import needs

from netwatch.capture.block import Interface
from netwatch.capture.pcap import MAX_RECORDS_TRIED, read_header
from netwatch.capture.stream import FileStream, StreamBuffer
from netwatch.core.errors import CaptureError

STANDARD, MODIFIED = 0xA1B2C3D4, 0xA1B2CD34
VARIANTS = {
    "2.0": {"version": (2, 0), "swapped": True},
    "2.1": {"version": (2, 1), "swapped": True},
    "2.2": {"version": (2, 2), "swapped": True},
    "2.3": {"version": (2, 3)},
    "2.3-swapped": {"version": (2, 3), "swapped": True},
    "dg-ux": {"version": (543, 0), "swapped": True},
    "kuznetzov-first": {"extra": "kuznetzov"},
    "kuznetzov": {"magic": MODIFIED, "extra": "kuznetzov"},
    "suse": {"magic": MODIFIED, "extra": "suse"},
    "nokia": {"extra": "nokia"},
    "ixia-us": {"magic": 0x1C0001AB, "behind": b"\0\0\1\0"},
    "ixia-ns": {"magic": 0x1C0001AC, "behind": b"\0\0\1\0"},
}
UNREAD_BY_TCPDUMP = {"kuznetzov-first", "suse", "nokia", "ixia-us", "ixia-ns"}
"""Variants of others than libpcap."""

QUERIES = [ETHERNET.frame(udp(messages.query(n, f"n{n}.example.org", "A"))) for n in range(5)]


def made(name, packets=PACKETS, order="<"):
    fields = dict(VARIANTS[name])
    extra = {
        None: None,
        "kuznetzov": kuznetzov(order),
        "suse": kuznetzov(order, more=b"\1\2\3\4\5"),
        "nokia": nokia(order),
    }[fields.pop("extra", None)]
    return pcap(packets, order, extra=extra, **fields)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("name", VARIANTS)
def test_packets_times_and_lengths_of_every_variant(tmp_path, name, order):
    path = tmp_path / "made"
    path.write_bytes(made(name, order=order))
    rows, notes = read(path)
    digits, unit = (9, 1) if name == "ixia-ns" else (6, 1000)
    assert notes == []
    assert [row.data for row in rows] == list(PACKETS)
    assert [row.wire for row in rows] == [len(data) + 5 for data in PACKETS]
    assert [row.time for row in rows] == [
        (SECOND + n) * 10**9 + (n + 1) * unit for n in range(len(PACKETS))
    ]
    assert {row.interface for row in rows} == {Interface(1, digits)}


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("name", VARIANTS)
def test_few_packets_tell_the_variant(tmp_path, name, count):
    path = tmp_path / "made"
    path.write_bytes(made(name, QUERIES[:count]))
    rows, notes = read(path)
    assert ([row.data for row in rows], notes) == (QUERIES[:count], [])


@pytest.mark.parametrize("name", VARIANTS)
def test_every_prefix_yields_what_is_complete(tmp_path, name):
    """What is cut within the first records may be whole in another variant; later cuts change
    nothing of the packets before them."""
    whole = made(name, QUERIES)
    told = len(made(name, QUERIES[:MAX_RECORDS_TRIED]))
    path = tmp_path / "made"
    for cut in range(4, len(whole)):
        path.write_bytes(whole[:cut])
        if cut < 24:
            with pytest.raises(CaptureError, match="truncated within its pcap header"):
                read(path)
        elif cut >= told:
            rows, _ = read(path)
            complete = sum(len(made(name, QUERIES[:n])) <= cut for n in range(1, 6))
            assert [row.data for row in rows] == QUERIES[:complete]


@pytest.mark.parametrize(
    ("kind", "link", "padding"), [(6, 1, b""), (9, 6, b""), (15, 10, b"pad"), (24, 0, b"")]
)
def test_aix_writes_numbers_of_interfaces_and_nanoseconds(tmp_path, kind, link, padding):
    packets = [padding + data for data in PACKETS]
    path = tmp_path / "made"
    path.write_bytes(pcap(packets, ">", network=kind, version=(2, 2), swapped=True))
    rows, notes = read(path)
    assert notes == []
    assert [row.data for row in rows] == list(PACKETS)
    assert [row.wire for row in rows] == [len(data) + 5 for data in PACKETS]
    assert rows[1].time == (SECOND + 1) * 10**9 + 2
    assert {row.interface for row in rows} == {Interface(link, 9)}


class Slow(io.RawIOBase):
    """A pipe that has the header of a file and nothing else yet."""

    def __init__(self, header):
        self.parts = [header]

    def readinto(self, buffer):
        assert self.parts, "waited for a record before the header was used"
        part = self.parts.pop()
        buffer[: len(part)] = part
        return len(part)


def test_a_pipe_is_not_waited_for():
    """Its records may be those of any variant, and are taken for the standard's."""
    pipe = StreamBuffer(FileStream(Slow(pcap(QUERIES)[:24]), []))
    found = read_header(pipe, "pipe", whole=False)
    assert (found.header, found.first) == (16, 24)


@given(st.sampled_from(sorted(VARIANTS)), st.data())
def test_any_bytes_end_in_packets_notes_or_an_error(tmp_path_factory, name, data):
    whole = bytearray(made(name, QUERIES))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(4, len(whole)))
        whole[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    path = tmp_path_factory.mktemp("any") / "made"
    path.write_bytes(bytes(whole))
    with contextlib.suppress(CaptureError):
        rows, _ = read(path)
        assert sum(len(row.data) for row in rows) <= len(whole)


def test_a_usual_file_with_odd_fields_is_not_taken_for_another(tmp_path):
    """A capture whose first packets have impossible fractions, or are longer than its snap
    length, is still one."""
    path = tmp_path / "made"
    whole = bytearray(pcap(QUERIES, snaplen=16))
    for at in (24, 24 + 16 + len(QUERIES[0])):
        struct.pack_into("<I", whole, at + 4, 5_000_000)
    path.write_bytes(bytes(whole))
    rows, notes = read(path)
    assert ([row.data for row in rows], notes) == (QUERIES, [])


def timestamp(time):
    """A time in ns as tshark writes it."""
    return f"{time // 10**9}.{time % 10**9:09d}"


@tshark.needed
@pytest.mark.parametrize("order", ["<", only_long(">")])
@pytest.mark.parametrize("name", VARIANTS)
def test_tshark_reads_the_same(tmp_path, name, order):
    path = tmp_path / "made.pcap"
    path.write_bytes(made(name, QUERIES, order))
    rows, _ = read(path)
    told = tshark.fields(path, ["dns.qry.name", "frame.time_epoch", "frame.len", "frame.cap_len"])
    expected = [
        [f"n{n}.example.org", timestamp(row.time), str(row.wire), str(len(row.data))]
        for n, row in enumerate(rows)
    ]
    assert told == expected


@needs("tcpdump")
@pytest.mark.parametrize("name", sorted(set(VARIANTS) - UNREAD_BY_TCPDUMP))
def test_tcpdump_reads_the_same(tmp_path, name):
    path = tmp_path / "made.pcap"
    path.write_bytes(made(name, QUERIES))
    done = subprocess.run(
        ["tcpdump", "-nn", "-tt", "-r", str(path)], capture_output=True, text=True, timeout=60
    )
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        f"{SECOND + n}.{n + 1:06d}" for n in range(len(QUERIES))
    ]
    assert all(f"n{n}.example.org" in line for n, line in enumerate(lines))
