"""Frame Streams: frames, and the handshake of a receiver."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.logs.frame_streams import (
    ACCEPT,
    DNSTAP,
    FINISH,
    MAX_FRAME,
    READY,
    START,
    STOP,
    Frame,
    FrameError,
    Handshake,
    control_frame,
    frames,
    is_frame_streams,
)


def data_frame(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


def test_start_frame_of_a_file() -> None:
    # The first bytes of every dnstap file, as fstrm writes them.
    start = bytes.fromhex("00000000 00000022 00000002 00000001 00000016") + DNSTAP
    assert control_frame(START, DNSTAP) == start
    assert is_frame_streams(start)
    assert list(frames(start + data_frame(b"abc"))) == [
        Frame(len(start), b"", START, (DNSTAP,)),
        Frame(len(start) + 7, b"abc"),
    ]


@pytest.mark.parametrize("head", [b"", b"Nov 27 00:00:00 dnsmasq", bytes(12), b"SQLite format 3\0"])
def test_other_files_are_none(head: bytes) -> None:
    assert not is_frame_streams(head)


def test_incomplete_frames_wait() -> None:
    data = control_frame(STOP) + data_frame(b"abcd")
    for size in range(len(data)):
        assert len(list(frames(data[:size]))) == (1 if size >= 12 else 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (struct.pack(">I", MAX_FRAME + 1), "frame-too-long"),
        (struct.pack(">II", 0, 3) + b"abc", "control-frame-invalid"),
        (struct.pack(">II", 0, 513), "control-frame-invalid"),
        (struct.pack(">III", 0, 4, 9), "control-frame-invalid"),
        (struct.pack(">IIIII", 0, 12, START, 2, 0), "control-frame-invalid"),
        (struct.pack(">IIIII", 0, 12, START, 1, 9), "control-frame-invalid"),
        (struct.pack(">IIII", 0, 8, START, 1), "control-frame-invalid"),
    ],
)
def test_damaged_frames_are_named(data: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        list(frames(data))


def take(handshake: Handshake, data: bytes) -> bytes:
    return b"".join(map(handshake.take, frames(data)))


def test_handshake_of_both_sides() -> None:
    handshake = Handshake()
    assert take(handshake, control_frame(READY, DNSTAP)) == control_frame(ACCEPT, DNSTAP)
    assert not handshake.is_started
    assert take(handshake, control_frame(START, DNSTAP) + data_frame(b"abc")) == b""
    assert handshake.is_started
    assert take(handshake, control_frame(STOP)) == control_frame(FINISH)
    assert handshake.is_stopped


def test_sender_that_waits_for_no_answer() -> None:
    handshake = Handshake()
    assert take(handshake, control_frame(START) + data_frame(b"a") + control_frame(STOP)) == b""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (data_frame(b"early"), "frame-unexpected"),
        (control_frame(STOP), "frame-unexpected"),
        (control_frame(READY, b"protobuf:other"), "content-type-other"),
        (control_frame(START, b"protobuf:other"), "content-type-other"),
        (control_frame(START) * 2, "frame-unexpected"),
        (control_frame(START) + control_frame(STOP) + data_frame(b"late"), "frame-unexpected"),
        (control_frame(ACCEPT), "frame-unexpected"),
    ],
)
def test_order_is_kept(data: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        take(Handshake(), data)


@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    found = []
    with contextlib.suppress(FrameError):
        found += frames(data)
    assert all(frame.end <= len(data) for frame in found)
