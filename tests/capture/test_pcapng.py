import io
import struct

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_captures import (
    PACKETS,
    SECOND,
    block,
    dropcount,
    enhanced,
    interface,
    obsolete,
    option,
    pcapng,
    read,
    section,
    simple,
)

from netwatch.capture.block import Interface
from netwatch.capture.files import open_source
from netwatch.capture.pcapng import INTERFACES
from netwatch.capture.stream import BUFFER_SIZE
from netwatch.core.errors import CaptureError

TICKS = SECOND * 1_000_000 + 7
TIME = TICKS * 1000


@pytest.fixture
def made(tmp_path):
    def write(*blocks):
        path = tmp_path / "made.pcapng"
        path.write_bytes(b"".join(blocks))
        return path

    return write


@pytest.mark.parametrize("order", "<>")
def test_enhanced_packets(made, order):
    rows, notes = read(made(pcapng(order=order)))
    assert notes == []
    assert [row.data for row in rows] == list(PACKETS)
    assert [row.wire for row in rows] == [len(data) + 5 for data in PACKETS]
    assert [row.time for row in rows] == [
        (SECOND + n) * 10**9 + (n + 1) * 1000 for n in range(len(PACKETS))
    ]
    assert {row.interface for row in rows} == {Interface(1, 6)}


@pytest.mark.parametrize("order", "<>")
def test_obsolete_packets(made, order):
    blocks = section(order), interface(order), interface(order, link=101)
    rows, notes = read(made(*blocks, obsolete(b"abc", TICKS, order, on=1)))
    assert notes == []
    assert [(row.data, row.time, row.wire) for row in rows] == [(b"abc", TIME, 8)]
    assert rows[0].interface.link_type == 101


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("snaplen", "wire", "captured"),
    [(0, 10, 10), (4, 10, 4), (64, 10, 10), (0, 9, 9), (0, 99, 12), (10, 99, 10)],
)
def test_simple_packets(made, order, snaplen, wire, captured):
    data = bytes(range(12))
    rows, (note,) = read(
        made(section(order), interface(order, snaplen=snaplen), simple(data, wire, order))
    )
    assert [(row.data, row.time, row.wire) for row in rows] == [(data[:captured], 0, wire)]
    assert note == "packets without a time stamp are dated 1970-01-01 (1 of them, from packet 1 on)"


@pytest.mark.parametrize(
    ("resolution", "ticks", "time", "digits"),
    [
        (0, SECOND, SECOND * 10**9, 0),
        (3, SECOND * 1000 + 5, SECOND * 10**9 + 5_000_000, 3),
        (9, SECOND * 10**9 + 1, SECOND * 10**9 + 1, 9),
        (10, SECOND * 10**10 + 19, SECOND * 10**9 + 1, 9),
        (0x80, SECOND, SECOND * 10**9, 0),
        (0x80 | 1, SECOND * 2 + 1, SECOND * 10**9 + 500_000_000, 1),
        (0x80 | 10, (SECOND << 10) + 512, SECOND * 10**9 + 500_000_000, 4),
        (0x80 | 32, (SECOND << 32) + (1 << 30), SECOND * 10**9 + 250_000_000, 9),
    ],
)
def test_resolution_of_time_stamps(made, resolution, ticks, time, digits):
    options = [(9, bytes([resolution]))]
    rows, _ = read(made(section(), interface(options=options), enhanced(b"x", ticks)))
    assert (rows[0].time, rows[0].interface.time_digits) == (time, digits)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("offset", [0, 3600, -3600])
def test_offset_of_time_stamps(made, order, offset):
    options = [(14, struct.pack(order + "q", offset))]
    rows, _ = read(
        made(section(order), interface(order, options=options), enhanced(b"x", TICKS, order))
    )
    assert rows[0].time == TIME + offset * 10**9


@pytest.mark.parametrize("offset", [1 << 62, -(1 << 62), -(1 << 63), -SECOND - 1])
def test_times_that_are_not_known(made, offset):
    options = [(14, struct.pack("<q", offset))]
    rows, (note,) = read(made(section(), interface(options=options), enhanced(b"x", TICKS)))
    assert rows[0].time == 0
    assert "without a time stamp" in note


def test_interface_names_and_other_options(made):
    options = [(3, b"a comment"), (2, b"eth0\0"), (2, b"second"), (11, b"\0tcp")]
    rows, notes = read(made(section(), interface(options=options), enhanced(b"x", TICKS)))
    assert rows[0].interface.name == "eth0"
    assert notes == []


def test_sections_have_their_own_order_and_interfaces(made):
    rows, notes = read(
        made(
            section("<"),
            interface("<", link=1),
            interface("<", link=101, options=[(9, b"\x09")]),
            enhanced(b"a", TICKS * 1000, "<", on=1),
            enhanced(b"b", TICKS, "<", on=0),
            section(">"),
            interface(">", link=113),
            enhanced(b"c", TICKS, ">", on=0),
            interface(">", link=276),
            enhanced(b"d", TICKS, ">", on=1),
            enhanced(b"e", TICKS, ">", on=0),
        )
    )
    assert notes == []
    assert [(row.number, row.data, row.time, row.interface.link_type) for row in rows] == [
        (1, b"a", TIME, 101),
        (2, b"b", TIME, 1),
        (3, b"c", TIME, 113),
        (4, b"d", TIME, 276),
        (5, b"e", TIME, 113),
    ]


def test_unknown_blocks_are_skipped(made):
    big = block(0x0000_0ABC, bytes(3 * BUFFER_SIZE))
    rows, notes = read(
        made(
            section(),
            block(4, b"names"),
            interface(),
            enhanced(b"a", TICKS),
            big,
            block(5, b"statistics"),
            enhanced(b"b", TICKS, options=option(1, b"a comment") + bytes(4)),
        )
    )
    assert notes == []
    assert [row.data for row in rows] == [b"a", b"b"]


def statistics(on, dropped, lost, order):
    counts = [option(5, struct.pack(order + "Q", dropped), order)]
    counts.append(option(7, struct.pack(order + "Q", lost), order))
    return block(5, struct.pack(order + "III", on, 0, 0) + b"".join(counts), order)


@pytest.mark.parametrize("order", "<>")
def test_statistics_count_what_was_dropped(made, order):
    path = made(
        section(order),
        interface(order),
        interface(order),
        statistics(0, 1, 2, order),
        enhanced(b"abc", TICKS, order),
        statistics(0, 4, 3, order),
        statistics(1, 10, 0, order),
        statistics(2, 1000, 0, order),
        block(5, bytes(12) + struct.pack(order + "HH", 5, 4) + bytes(4), order),
    )
    source = open_source(str(path))
    assert sum(block.count for block in source.blocks()) == 1
    assert source.dropped == 17


@pytest.mark.parametrize("order", "<>")
def test_packets_count_what_was_lost_before_them(made, order):
    def lost(*behind):
        blocks = [
            section(order),
            interface(order),
            interface(order),
            enhanced(b"abc", TICKS, order, options=dropcount(5, order)),
            enhanced(b"a", TICKS, order, options=dropcount(1 << 32, order)),
            enhanced(b"", TICKS, order, on=1, options=dropcount(7, order)),
            enhanced(b"abcd", TICKS, order, options=option(4, b"1234", order)),
            *behind,
        ]
        source = open_source(str(made(*blocks)))
        assert sum(block.count for block in source.blocks()) >= 4
        assert source.notes == []
        return source.dropped

    assert lost() == 12
    # Of an interface both may tell the same, and what its statistics tell may be less.
    assert lost(statistics(0, 6, 0, order), statistics(1, 1, 0, order)) == 13
    # The old block has it in a field of its own (made with 3), unless nobody knew.
    unknown = struct.pack(order + "HHIIII", 0, 0xFFFF, 0, 0, 1, 1) + b"a\0\0\0"
    assert lost(obsolete(b"abcd", 1, order), block(2, unknown, order)) == 15
    assert lost(*[section(order), interface(order), statistics(0, 2, 0, order)] * 2) == 16


def test_statistics_of_all_sections_add_up(made):
    path = made(*[section(), interface(), statistics(0, 2, 3, "<")] * 2, section(), interface())
    source = open_source(str(path))
    assert sum(block.count for block in source.blocks()) == 0
    assert (source.dropped, source.notes) == (10, [])


def test_a_large_unknown_block_truncated_or_wrong(made):
    start = section() + interface() + enhanced(b"a", TICKS)
    big = block(0xABC, bytes(3 * BUFFER_SIZE))
    for cut in (2 * BUFFER_SIZE, len(big) - 4, len(big) - 1):
        rows, (note,) = read(made(start, big[:cut]))
        assert len(rows) == 1
        assert f"block at byte {len(start)} " in note
        assert "ends within this block" in note
    rows, (note,) = read(made(start, block(0xABC, bytes(3 * BUFFER_SIZE), second=20)))
    assert f"block at byte {len(start)} " in note
    assert "two lengths differ (the second is 20)" in note


@pytest.mark.parametrize(
    "bad",
    [block(0xABC, b"x", second=99), block(6, bytes(40), second=99), block(1, bytes(8), second=9)],
)
def test_lengths_that_differ_end_the_file(made, bad):
    start = section() + interface() + enhanced(b"a", TICKS)
    rows, (note,) = read(made(start, bad, enhanced(b"b", TICKS)))
    assert len(rows) == 1
    assert f"block at byte {len(start)} (next packet: 2): its two lengths differ" in note


@pytest.mark.parametrize("length", [0, 8, 11, 30, 0xFFFFFFFC, (1 << 24) + 4])
@pytest.mark.parametrize("kind", [1, 2, 3, 6])
def test_implausible_lengths_end_the_file(made, length, kind):
    start = section() + interface() + enhanced(b"a", TICKS)
    rows, (note,) = read(made(start, struct.pack("<II", kind, length) + bytes(100)))
    assert len(rows) == 1
    assert f"the length {length} is not plausible" in note


def test_implausible_captured_length(made):
    body = struct.pack("<IIIII", 0, 0, 0, 262145, 0) + bytes(262148)
    rows, (note,) = read(made(section(), interface(), block(6, body)))
    assert rows == []
    assert "the length 262145 is not plausible" in note
    rows, notes = read(made(section(), interface(snaplen=262145), block(6, body)))
    assert ([len(row.data) for row in rows], notes) == ([262145], [])


def test_packets_without_a_known_interface_are_skipped_but_numbered(made):
    misfit = block(6, struct.pack("<IIIII", 0, 0, 0, 9, 9) + b"12345678")
    rows, notes = read(
        made(
            section(),
            simple(b"zero", 4),
            interface(),
            enhanced(b"a", TICKS),
            enhanced(b"?", TICKS, on=1),
            misfit,
            enhanced(b"?", TICKS, on=0xFFFFFFFF),
            enhanced(b"b", TICKS),
        )
    )
    assert [(row.number, row.data) for row in rows] == [(2, b"a"), (6, b"b")]
    assert notes == [
        "packets that name no interface are skipped (3 of them, from packet 1 on)",
        "packets that do not fit their block are skipped (1 of them, from packet 4 on)",
    ]


def test_interfaces_are_bounded(made):
    blocks = [section(), *[interface()] * (INTERFACES + 3)]
    blocks += [enhanced(b"a", TICKS, on=INTERFACES - 1), enhanced(b"b", TICKS, on=INTERFACES)]
    rows, notes = read(made(*blocks))
    assert [row.data for row in rows] == [b"a"]
    assert notes[0].startswith(f"interfaces beyond {INTERFACES} in a section are ignored (3 ")


def test_options_that_run_past_their_block(made):
    body = struct.pack("<HHI", 1, 0, 0) + option(2, b"eth0") + struct.pack("<HH", 9, 400)
    rows, (note,) = read(made(section(), block(1, body), enhanced(b"a", TICKS)))
    assert rows[0].interface == Interface(1, 6, "eth0")
    assert note.startswith("options that exceed their block")


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (section(version=2), "expected pcapng version 1.0, found 2.0"),
        (block(0x0A0D0D0A, bytes(16)), "expected a byte-order magic"),
        (section()[:20], "is truncated"),
        (section()[:4] + struct.pack("<I", 24) + section()[8:], "the length 24 is not plausible"),
    ],
)
def test_a_bad_first_section_is_no_capture(made, start, why):
    source = open_source(str(made(start)))
    with pytest.raises(CaptureError, match=f"made.pcapng: block at byte 0 .*{why}"):
        list(source.blocks())


def test_a_bad_later_section_is_a_note(made):
    rows, (note,) = read(made(pcapng(), section(version=2)))
    assert len(rows) == len(PACKETS)
    assert "version 1.0, found 2.0" in note


def test_every_prefix_yields_what_is_complete(made):
    whole = pcapng()
    ends = [len(section()), len(section()) + len(interface())]
    for data in PACKETS:
        ends.append(ends[-1] + len(enhanced(data, 0)))
    for cut in range(len(whole) + 1):
        path = made(whole[:cut])
        if cut < ends[0]:
            with pytest.raises(CaptureError, match=r"made\.pcapng: "):
                read(path)
            continue
        rows, notes = read(path)
        complete = max(0, sum(end <= cut for end in ends) - 2)
        assert [row.data for row in rows] == list(PACKETS[:complete])
        if cut in ends:
            assert notes == []
        else:
            (note,) = notes
            assert f"(next packet: {complete + 1}): is truncated" in note


@given(packets=st.lists(st.binary(max_size=100), max_size=20), big=st.booleans())
def test_agrees_with_dpkt(tmp_path_factory, packets, big):
    data = pcapng(packets, order=">" if big else "<")
    path = tmp_path_factory.mktemp("pcapng") / "x"
    path.write_bytes(data)
    rows, _ = read(path)
    peer = list(dpkt.pcapng.Reader(io.BytesIO(data)))
    assert [row.data for row in rows] == [packet for _, packet in peer]
    assert all(
        abs(row.time / 10**9 - time) < 1e-6 for row, (time, _) in zip(rows, peer, strict=True)
    )


BLOCKS = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda kind, body, order: block(kind, body, order),
        st.sampled_from([1, 2, 3, 4, 6, 0x0A0D0D0A]),
        st.binary(max_size=80),
        st.sampled_from("<>"),
    ),
    st.builds(section, st.sampled_from("<>")),
    st.builds(
        interface,
        st.sampled_from("<>"),
        options=st.lists(
            st.tuples(st.sampled_from([0, 1, 2, 9, 14]), st.binary(max_size=9)), max_size=3
        ),
    ),
    st.builds(enhanced, st.binary(max_size=20), st.integers(0, (1 << 64) - 1)),
)


@given(pieces=st.lists(BLOCKS, max_size=8))
def test_any_blocks_behind_a_section(tmp_path_factory, pieces):
    path = tmp_path_factory.mktemp("pcapng") / "x"
    data = section() + b"".join(pieces)
    path.write_bytes(data)
    rows, notes = read(path)
    assert sum(16 + len(row.data) for row in rows) <= len(data)
    assert len(notes) <= 6
    assert all(0 <= row.time < 1 << 63 for row in rows)


def unread(path):
    source = open_source(str(path))
    for _ in source.blocks():
        pass
    return source.unread


def test_a_whole_file_has_nothing_unread(made):
    assert unread(made(pcapng())) is None
    timeless = interface(options=[(9, b"\xff")])
    assert unread(made(section(), timeless, enhanced(b"a", TICKS))) is None


@pytest.mark.parametrize(
    "bad",
    [
        struct.pack("<II", 6, 0xFFFFFFFC) + bytes(100),
        struct.pack("<II", 99, 8) + bytes(100),
        struct.pack("<II", 99, 4_000_000) + bytes(100),  # a block that would go on behind the file
        block(99, bytes(92), second=48),
        struct.pack("<III", 0x0A0D0D0A, 28, 7) + bytes(16),
    ],
)
def test_bytes_behind_damage_are_counted(made, bad):
    rest = bad + enhanced(b"b", TICKS) * 1000
    assert unread(made(section(), interface(), enhanced(b"a", TICKS), rest)) == len(rest)


def test_packets_that_are_skipped_are_unread(made):
    stray = enhanced(b"?", TICKS, on=1)
    path = made(section(), interface(), stray, enhanced(b"a", TICKS), stray, stray)
    assert unread(path) == 3 * len(stray)


def test_bytes_of_an_incomplete_block_are_unread(made):
    whole = pcapng()
    assert unread(made(whole[:-5])) == len(enhanced(PACKETS[-1], TICKS)) - 5
